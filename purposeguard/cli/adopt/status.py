"""The command `purposeguard adopt status`: how far an adoption is, and which violations are new."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from purposeguard.adoption.summary import VIOLATIONS, Judgment, ObservedUse, Summary, summarize
from purposeguard.cli.adopt.project import (
    DirectoryOption,
    EvidenceOption,
    has_evidence,
    make_guard,
    open_project,
    read_summary,
)
from purposeguard.cli.adopt.propose import list_stated_purposes
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import out
from purposeguard.cli.render import Report, json_text, show
from purposeguard.cli.sarif import SarifFinding, SarifRule, render_sarif
from purposeguard.extras import Needs
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.project.baseline import Baseline, Tolerated, Violation
from purposeguard.project.directory import BASELINE, PURPOSES, TAGS, ProjectFiles

with Needs(__name__, "cli"):
    import typer

StatusFormat = Literal["table", "json", "sarif"]


def status(
    files: EvidenceOption = None,
    *,
    directory: DirectoryOption = None,
    form: Annotated[StatusFormat, typer.Option("--format", help="How to print it.")] = "table",
    new: Annotated[bool, typer.Option("--new", help="Exit with 1 if a violation is not in baseline.toml.")] = False,
    fail_under: Annotated[
        int | None,
        typer.Option("--fail-under", metavar="PERCENT", min=0, max=100, help="Exit with 1 if a part is done by less."),
    ] = None,
    tolerate: Annotated[
        str | None,
        typer.Option("--tolerate", metavar="REASON", help="Add the new violations to baseline.toml, for this reason."),
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Who answers for what is tolerated.")] = None,
    until: Annotated[
        datetime.datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="The last day on which it is tolerated."),
    ] = None,
) -> bool:
    """Show how many fields are tagged and how many entry points have a purpose and are enforced, and what is new."""
    project = open_project(directory)
    guard = make_guard(project)
    is_observed = has_evidence(project.directory, files)
    summary = read_summary(project.directory, guard, files) if is_observed else summarize((), guard)
    state = _Status(project, summary, datetime.datetime.now(datetime.UTC).date())
    if tolerate is not None:
        if owner is None or until is None:
            raise CommandProblem("`--tolerate` needs `--owner` and `--until`, so that it ends and somebody answers")
        state = state.tolerate(tolerate, owner, until.date())
    if form == "sarif":
        print(json_text(render_sarif(state.list_findings(), RULES)), end="")
    else:
        show(state.make_report(), form, out())
    lowest_percent = min((part.percent for part in state.progress), default=100)
    # The command exits with 1 if this is False.
    return not ((new and state.new) or (fail_under is not None and lowest_percent < fail_under))


@dataclasses.dataclass(frozen=True)
class Progress:
    """A part of the adoption: how much there is, and how much is done."""

    name: str
    done: int
    total: int

    @property
    def percent(self) -> int:
        """The part that is done, in percent, rounded down. 100 if there is nothing to do."""
        return 100 * self.done // self.total if self.total else 100


class _Status:
    """The state of an adoption on a day."""

    def __init__(self, project: ProjectFiles, summary: Summary, today: datetime.date) -> None:
        self._project = project
        self._summary = summary
        self._today = today
        self._baseline = project.baseline or Baseline(project.directory / BASELINE, project.notice)
        self.violations = [use for use in summary.uses if use.judgment in VIOLATIONS and use.key.entry_point]
        self.new = [use for use in self.violations if not self._is_tolerated(use)]
        self.expired = self._baseline.list_expired(today)
        self.obsolete = self._baseline.list_obsolete(map(_to_violation, self._list_known()))
        self.progress = list(self._measure())

    def tolerate(self, reason: str, owner: str, until: datetime.date) -> _Status:
        """Add the new violations to the file of the baseline, and return the new state.

        Violations of a source or purpose that the notice in force does not have stay new: no row can name them.
        """
        baseline = self._baseline
        for use in self.new:
            if use.judgment is not Judgment.UNKNOWN:
                baseline = baseline.add(_to_violation(use), reason=reason, owner=owner, until=until)
        return _Status(dataclasses.replace(self._project, baseline=baseline), self._summary, self._today)

    def _list_known(self) -> list[ObservedUse]:
        """Return the violations whose source and purpose the notice in force has."""
        return [use for use in self.violations if use.judgment is not Judgment.UNKNOWN]

    def _is_tolerated(self, use: ObservedUse) -> bool:
        if use.judgment is Judgment.UNKNOWN:
            return False
        return self._baseline.tolerates(*_to_violation(use), self._today)

    def _measure(self) -> Iterator[Progress]:
        tags = self._project.tags
        if tags is not None:
            fields = [tag for entry in tags.entries.values() for tag in entry.values()]
            yield Progress("fields with a decision", sum(not tag.is_undecided for tag in fields), len(fields))
        seen = [name for name in self._summary.entry_points if name]
        stated = list_stated_purposes(self._summary, self._project.purposes)
        yield Progress("entry points with a purpose", sum(name in stated for name in seen), len(seen))
        yield Progress("entry points that are enforced", sum(map(self._is_enforced, seen)), len(seen))
        tolerated = len(self.violations) - len(self.new)
        yield Progress("violations that are tolerated", tolerated, len(self.violations))

    def _is_enforced(self, entry_point: str) -> bool:
        purposes = self._project.purposes
        entry = None if purposes is None else purposes.find(entry_point)
        return entry is not None and entry.mode == "enforce"

    def make_report(self) -> Report:
        """Return the report."""
        tables = [make_table("Adoption", PROGRESS_COLUMNS, self.progress)]
        if self.new:
            tables.append(make_table("New violations", VIOLATION_COLUMNS, self.new))
        if self.expired:
            tables.append(make_table("Tolerated until a day that is over", TOLERATED_COLUMNS, self.expired))
        if self.obsolete:
            tables.append(make_table("Tolerated, and no longer observed", TOLERATED_COLUMNS, self.obsolete))
        data = {
            "progress": list_rows(PROGRESS_COLUMNS, self.progress),
            "new": list_rows(VIOLATION_COLUMNS, self.new),
            "expired": list_rows(TOLERATED_COLUMNS, self.expired),
            "obsolete": list_rows(TOLERATED_COLUMNS, self.obsolete),
        }
        return Report(data, tuple(tables))

    def list_findings(self) -> Iterator[SarifFinding]:
        """Yield the findings for code hosts: new violations, expired and obsolete rows, and undecided fields."""
        directory, purposes = self._project.directory, self._project.purposes
        for use in self.new:
            entry = None if purposes is None else purposes.find(use.key.entry_point)
            line = 1 if entry is None else entry.position.line
            message = f"{use.key.entry_point} reads {use.key.source}: {use.judgment.value}"
            yield SarifFinding(str(directory / PURPOSES), line, NEW_VIOLATION.id, message, use.key.entry_point)
        for rule, rows in ((EXPIRED, self.expired), (OBSOLETE, self.obsolete)):
            for row in rows:
                message = f"{row.entry_point}: {rule.title}"
                yield SarifFinding(str(directory / BASELINE), row.position.line, rule.id, message, row.entry_point)
        tags = self._project.tags
        for header, entry_tags in {} if tags is None else tags.entries.items():
            for name, tag in entry_tags.items():
                if tag.is_undecided:
                    message = f"{header}.{name} is undecided"
                    yield SarifFinding(str(directory / TAGS), tag.position.line, UNDECIDED.id, message, name)


def _to_violation(use: ObservedUse) -> Violation:
    return Violation(use.key.entry_point, (use.key.source,), use.key.purpose or None)


NEW_VIOLATION: Final = SarifRule(
    "new-violation",
    "an entry point reads data that its purpose may not use",
    "state another purpose in purposes.toml, read less, or tolerate it in baseline.toml until a day",
)
EXPIRED: Final = SarifRule(
    "expired-toleration", "tolerated until a day that is over", "mend the violation, or state a later day"
)
OBSOLETE: Final = SarifRule(
    "obsolete-toleration", "tolerated, and no longer observed", "remove the row from baseline.toml", "note"
)
UNDECIDED: Final = SarifRule(
    "undecided-field", "nobody has decided if a field is personal", "name its source, or not-personal", "warning"
)
RULES: Final = (NEW_VIOLATION, EXPIRED, OBSOLETE, UNDECIDED)

PROGRESS_COLUMNS: Final[tuple[ReportColumn[Progress], ...]] = (
    ReportColumn("part", lambda part: part.name, "part", words=True),
    ReportColumn("done", lambda part: part.done, "done"),
    ReportColumn("total", lambda part: part.total, "of"),
    ReportColumn("percent", lambda part: part.percent, "percent", lambda part: f"{part.percent} %"),
)
VIOLATION_COLUMNS: Final[tuple[ReportColumn[ObservedUse], ...]] = (
    ReportColumn("entry_point", lambda use: use.key.entry_point, "entry point", kind="group"),
    ReportColumn("purpose", lambda use: use.key.purpose or None, "purpose", lambda use: use.key.purpose or "-"),
    ReportColumn("source", lambda use: use.key.source, "source"),
    ReportColumn("fields", lambda use: sorted(use.fields), "fields", lambda use: ", ".join(sorted(use.fields))),
    ReportColumn("judgment", lambda use: use.judgment.value, "judgment", kind="verdict"),
)
TOLERATED_COLUMNS: Final[tuple[ReportColumn[Tolerated], ...]] = (
    ReportColumn("entry_point", lambda row: row.entry_point, "entry point"),
    ReportColumn(
        "sources", lambda row: list_term_ids(row.sources), "sources", lambda row: ", ".join(list_term_ids(row.sources))
    ),
    ReportColumn("reason", lambda row: row.reason, "reason"),
    ReportColumn("owner", lambda row: row.owner, "owner"),
    ReportColumn("until", lambda row: row.until.isoformat(), "until"),
)
