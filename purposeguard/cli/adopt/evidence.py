"""The command `purposeguard adopt evidence`: which entry point reads which source, and if the notice permits it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

from purposeguard.adoption.summary import Judgment, ObservedUse, Summary
from purposeguard.cli.adopt.project import DirectoryOption, EvidenceOption, make_guard, open_project, read_summary
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.options import TableOption, out
from purposeguard.cli.render import Report, show
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    import typer


def evidence(
    files: EvidenceOption = None,
    *,
    directory: DirectoryOption = None,
    entry_point: Annotated[
        str | None, typer.Option("--entry-point", metavar="PATTERN", help="Only uses of these, such as `GET /users*`.")
    ] = None,
    denied: Annotated[bool, typer.Option("--denied", help="All uses but those that are permitted.")] = False,
    form: TableOption = "table",
) -> bool:
    """Show which entry point reads which source, for which purpose, and whether the notice permits it."""
    project = open_project(directory)
    summary = read_summary(project.directory, make_guard(project), files)
    uses: list[ObservedUse] = []
    for use in summary.uses:
        is_wanted = entry_point is None or fnmatchcase(use.key.entry_point, entry_point)
        if is_wanted and not (denied and use.judgment is Judgment.PERMITTED):
            uses.append(use)
    show(make_evidence_report(summary, uses), form, out())
    return True


def make_evidence_report(summary: Summary, uses: Iterable[ObservedUse]) -> Report:
    """Return the report of these uses, and of what could not be analyzed."""
    listed = list(uses)
    unresolved = list(summary.unresolved.items())
    tables = [make_table("What was read", USE_COLUMNS, listed)]
    if unresolved:
        tables.append(make_table("What could not be analyzed", UNRESOLVED_COLUMNS, unresolved))
    data = {"uses": list_rows(USE_COLUMNS, listed), "unresolved": list_rows(UNRESOLVED_COLUMNS, unresolved)}
    return Report(data, tuple(tables))


def _format_denials(use: ObservedUse) -> str:
    return ", ".join(f"{reason} {times}" for reason, times in sorted(use.denials.items()))


USE_COLUMNS: Final[tuple[ReportColumn[ObservedUse], ...]] = (
    ReportColumn("entry_point", lambda use: use.key.entry_point, "entry point", kind="group"),
    ReportColumn("activity", lambda use: use.key.activity or None),
    ReportColumn("purpose", lambda use: use.key.purpose or None, "purpose", lambda use: use.key.purpose or "-"),
    ReportColumn("channel", lambda use: use.key.channel or None),
    ReportColumn("conditions", lambda use: use.key.conditions.split()),
    ReportColumn("source", lambda use: use.key.source, "source"),
    ReportColumn("fields", lambda use: sorted(use.fields), "fields", lambda use: ", ".join(sorted(use.fields))),
    ReportColumn("judgment", lambda use: use.judgment.value, "judgment", kind="verdict"),
    ReportColumn("clause", lambda use: use.clause or None, text=lambda use: use.clause, under="judgment"),
    ReportColumn("times", lambda use: use.times, "times"),
    ReportColumn("denials", lambda use: dict(use.denials), "denials", _format_denials),
    ReportColumn("first", lambda use: use.first.isoformat()),
    ReportColumn("last", lambda use: use.last.isoformat()),
)
UNRESOLVED_COLUMNS: Final[tuple[ReportColumn[Any], ...]] = (
    ReportColumn("entry_point", lambda row: row[0][0], "entry point", kind="group"),
    ReportColumn("description", lambda row: row[0][1], "description"),
    ReportColumn("times", lambda row: row[1], "times"),
)
