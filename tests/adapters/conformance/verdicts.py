"""Whether a case ought to be refused, and how, by the specification alone: given the columns that it uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from purposeguard.adapters.tags import Tag
from purposeguard.errors import PurposeGuardError
from purposeguard.notice.vocabulary import Family
from purposeguard.policy import spec
from purposeguard.policy.context import SubjectPreferences
from purposeguard.values.markers import Collected, Ended, RowSource
from tests.adapters.conformance.cases import Case, Table
from tests.adapters.conformance.evaluator import Judge, Used


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The class of the error, and the column that it names where it names one."""

    kind: str
    column: str | None = None


def verdict(case: Case, used: Used) -> Refusal | None:
    """The refusal that a case ought to end in, whatever its rows say; None where there is none."""
    refusal = _of_the_purpose(case)
    if refusal is not None:
        return refusal
    personal = list(_personal(case, used))
    untagged = _untagged(case, used)
    if untagged is not None:
        return Refusal("UnlabelledData", untagged)
    if case.op in ("check", "write") and any(_asks_rows(case, table, tag) for table, _, tag in personal):
        return Refusal("UnlabelledData")
    if any(tag.by_row and case.tags(table.name).columns_with_mark(RowSource) is None for table, _, tag in personal):
        return Refusal("UnlabelledData")
    if not personal or case.given.get("mode") == "observe":
        return None
    if case.purpose is None:
        return Refusal("PurposeMissing")
    judge = Judge(case)
    for table, name, tag in personal:
        kind = _denied(case, judge, table, tag)
        if kind is not None:
            return Refusal(kind, f"{table.name}.{name}")
    return None


def _of_the_purpose(case: Case) -> Refusal | None:
    """Why no activity can be under way for the purpose, by the channel."""
    if case.purpose is None:
        return None
    notice = case.history.latest
    try:
        asked = notice.purpose_or_family(case.purpose)
        notice.channel(case.channel) if case.channel is not None else None
    except PurposeGuardError as error:
        return Refusal(type(error).__name__)
    members = asked.members if isinstance(asked, Family) else (asked,)
    closed = {row.id: row.channels.closed for row in notice.document.purposes if row.channels is not None}
    named = [closed.get(one.clause) for one in members]
    if case.channel is None:
        return Refusal("ChannelViolation") if any(one is not None for one in named) else None
    if all(one is not None and case.channel not in one for one in named):
        return Refusal("ChannelViolation")
    return None


def _untagged(case: Case, used: Used) -> str | None:
    """The first column that carries no tag."""
    names = ((table, name) for table in case.tables for name in table.names if (table.name, name) in used)
    return next((f"{table.name}.{name}" for table, name in names if name not in case.tags(table.name)), None)


def _personal(case: Case, used: Used) -> Iterator[tuple[Table, str, Tag]]:
    for table in case.tables:
        tags = case.tags(table.name)
        for name in table.names:
            if (table.name, name) in used and name in tags and tags[name].is_personal:
                yield table, name, tags[name]


def _asks_rows(case: Case, table: Table, tag: Tag) -> bool:
    tags = case.tags(table.name)
    return (
        tag.by_row
        or any(tags.columns_with_mark(mark) for mark in (Collected, Ended))
        or (bool(tags.subjects()) and "subjects" in case.given)
    )


def _denied(case: Case, judge: Judge, table: Table, tag: Tag) -> str | None:
    """The class of the error where a column may not be used, whatever the rows say."""
    if not judge.granted(tag):
        clauses = [one.clause for one in tag.label.sources]
        document = case.history.latest.document
        by_any = all(spec.permits(document, [one], judge.purpose, None) for one in clauses)
        return "ChannelViolation" if by_any else "PurposeViolation"
    if not _asks_rows(case, table, tag) and judge.may(tag, {}):
        return None
    agreed = frozenset((one.clause, of.revision) for of in case.history for one in of.purposes)
    if not judge.may(tag, {"standing": SubjectPreferences(consents=agreed)}):
        return "RevisionViolation"
    return None if _asks_rows(case, table, tag) else "SubjectViolation"
