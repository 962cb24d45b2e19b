"""What the page shows: the notice, the code that relies on it, the evidence, and the gaps between them. No HTML."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence

from purposeguard.adoption.summary import Summary
from purposeguard.cli.application import find_guard
from purposeguard.cli.report.code_facts import CodeFacts
from purposeguard.cli.report.gaps import Gaps, find_gaps
from purposeguard.cli.report.notice_facts import NoticeFacts
from purposeguard.cli.report.observations import Observations, make_observations
from purposeguard.cli.report.records import LedgerRecords, Progress, records_of
from purposeguard.cli.report.revisions import RevisionStep, steps
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import load_zone


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows."""

    made_at: datetime.datetime
    notice: NoticeFacts
    code: CodeFacts
    records: LedgerRecords | None
    gaps: Gaps
    steps: Sequence[RevisionStep]
    uses: Mapping[str, int]
    """How often data of a source was used, by its id."""
    observations: Observations | None
    """What was observed; None without evidence."""


def facts_of(
    target: str,
    *,
    imports: Sequence[str] = (),
    store: str | None = None,
    revisions: Sequence[Notice] = (),
    summary: Summary | None = None,
    progress: Progress = lambda _count, _total: None,
) -> Facts:
    """Gather what the page shows of the guard `MODULE:GUARD`.

    Raises:
        CommandProblem: there is no such guard, or no such store.
        NoticeError: a revision is of another notice.
        StoreUnavailable, LedgerBroken: the store, or its ledger, cannot be read.
    """
    guard = find_guard(target, imports)
    records = records_of(guard, store, progress)
    notice = NoticeFacts(guard.notice)
    code = CodeFacts(guard, target, imports, records)
    uses: Counter[str] = Counter()
    for _, _, sources, evidence in records.uses() if records is not None else ():
        uses.update(dict.fromkeys(sources, evidence.uses))
    return Facts(
        made_at=guard.engine.clock.now().astimezone(load_zone(notice.document.timezone)),
        notice=notice,
        code=code,
        records=records,
        gaps=find_gaps(notice, code, records),
        steps=steps(guard, revisions),
        uses=uses,
        observations=None if summary is None else make_observations(guard, summary),
    )
