"""The command `purposeguard adopt propose`: propose purposes for entry points from the evidence."""

from __future__ import annotations

import os
from typing import Final

from purposeguard.adoption.proposals import Candidate, Proposal, propose_purposes
from purposeguard.adoption.summary import Summary
from purposeguard.cli.adopt.project import DirectoryOption, EvidenceOption, make_guard, open_project, read_summary
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.options import DryRun, TableOption, err, out
from purposeguard.cli.render import Report, complain, show
from purposeguard.notice.vocabulary import Family
from purposeguard.project.directory import PURPOSES, ProjectFiles
from purposeguard.project.purposes import PurposeFile


def propose(
    files: EvidenceOption = None,
    *,
    directory: DirectoryOption = None,
    form: TableOption = "table",
    dry_run: DryRun = False,
) -> bool:
    """Propose a purpose for each entry point: the best of those that permit what it read.

    The best ones need no consent. Among these come first those of entry points with a similar name, and then those that
    fit the name.

    Entry points that no purpose permits come first. The others are added to purposes.toml in observe mode. Existing
    entries stay as they are.
    """
    project = open_project(directory)
    guard = make_guard(project)
    summary = read_summary(project.directory, guard, files)
    stated = list_stated_purposes(summary, project.purposes)
    proposals = propose_purposes(summary, guard, stated)
    known = {*stated, *(proposal.entry_point for proposal in proposals)}
    show(_make_report(proposals, [name for name in summary.entry_points if name and name not in known]), form, out())
    if not dry_run:
        _write(project, proposals)
    return True


def list_stated_purposes(summary: Summary, purposes: PurposeFile | None) -> dict[str, str]:
    """Return the purposes of the entry points that have one: in the file, or in the code as it was observed."""
    stated: dict[str, str] = {}
    for use in summary.uses:
        if use.key.purpose:
            stated[use.key.entry_point] = use.key.purpose
    for entry_point in summary.entry_points:
        entry = None if purposes is None else purposes.find(entry_point)
        if entry is not None:
            stated[entry_point] = entry.purpose.name if isinstance(entry.purpose, Family) else entry.purpose.clause
    return stated


def _write(project: ProjectFiles, proposals: list[Proposal]) -> None:
    """Add the proposals to purposes.toml."""
    from purposeguard.project.editing import TomlEditor  # noqa: PLC0415  # needs the extra `adopt`

    path = project.directory / PURPOSES
    editor = TomlEditor(path)
    for proposal in proposals:
        if proposal.candidates:
            best = proposal.candidates[0]
            values = {"purpose": best.purpose}
            if best.channel is not None:
                values["channel"] = best.channel
            editor.set_entry(proposal.entry_point, {**values, "mode": "observe"})
    if editor.save():
        complain(err(), "written", os.path.relpath(path))


def _make_report(proposals: list[Proposal], unresolved: list[str]) -> Report:
    forbidden = [proposal for proposal in proposals if not proposal.candidates]
    proposed = [proposal for proposal in proposals if proposal.candidates]
    tables = []
    if forbidden:
        tables.append(make_table("No purpose of the notice permits what these read", FORBIDDEN_COLUMNS, forbidden))
    tables.append(make_table("Proposed purposes", PROPOSED_COLUMNS, proposed))
    if unresolved:
        title = "Their statements could not be analyzed: state their purposes by hand"
        tables.append(make_table(title, UNRESOLVED_COLUMNS, unresolved))
    data = {
        "unresolved": unresolved,
        "forbidden": list_rows(FORBIDDEN_COLUMNS, forbidden),
        "proposed": list_rows(PROPOSED_COLUMNS, proposed),
    }
    return Report(data, tuple(tables))


_MAX_SHOWN: Final = 4
"""The number of further purposes that a table shows."""


def _format_candidate(candidate: Candidate) -> str:
    text = candidate.purpose if candidate.channel is None else f"{candidate.purpose} {candidate.channel}"
    return f"{text} (consent)" if candidate.by_consent else text


def _format_others(proposal: Proposal) -> str:
    others = list(dict.fromkeys(candidate.purpose for candidate in proposal.candidates[1:]))
    shown = ", ".join(others[:_MAX_SHOWN])
    return shown if len(others) <= _MAX_SHOWN else f"{shown} and {len(others) - _MAX_SHOWN} more"


UNRESOLVED_COLUMNS: Final[tuple[ReportColumn[str], ...]] = (
    ReportColumn("entry_point", heading="entry point", text=str),
)
ENTRY_POINT: Final[ReportColumn[Proposal]] = ReportColumn(
    "entry_point", lambda proposal: proposal.entry_point, "entry point"
)
SOURCES: Final[ReportColumn[Proposal]] = ReportColumn(
    "sources", lambda proposal: list(proposal.sources), "sources", lambda proposal: ", ".join(proposal.sources)
)
FORBIDDEN_COLUMNS: Final[tuple[ReportColumn[Proposal], ...]] = (
    ENTRY_POINT,
    SOURCES,
    ReportColumn(
        "without",
        lambda proposal: list(proposal.forbidding),
        "permitted without one of",
        lambda proposal: ", ".join(proposal.forbidding),
    ),
)
PROPOSED_COLUMNS: Final[tuple[ReportColumn[Proposal], ...]] = (
    ENTRY_POINT,
    SOURCES,
    ReportColumn(
        "candidates",
        lambda proposal: [candidate._asdict() for candidate in proposal.candidates],
        "purpose",
        lambda proposal: _format_candidate(proposal.candidates[0]),
        words=True,
    ),
    ReportColumn("others", heading="or", text=_format_others, words=True),
)
