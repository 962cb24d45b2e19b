"""Shared by the commands of adoption: the files of a project and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceRow
from purposeguard.adoption.summary import Summary, summarize
from purposeguard.cli.options import err, store_of
from purposeguard.cli.render import complain
from purposeguard.cli.words import learn_titles
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.project.directory import ProjectFiles, find_directory, read_project

with Needs(__name__, "cli"):
    import typer

EVIDENCE_NAME = "evidence.sqlite"
"""The name of the file of the evidence in the directory of the project, unless another one is named."""

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIRECTORY",
        help="The directory of notice.toml, tags.toml and purposes.toml. Else `directory` of `[tool.purposeguard]` in "
        "pyproject.toml, or `privacy`.",
    ),
]
EvidenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--evidence",
        metavar="TARGET",
        help=f"A file of evidence, or the URL of a store of governance, by default {EVIDENCE_NAME} in the directory. "
        "Counters of several are added.",
    ),
]


def open_project(directory: Path | None) -> ProjectFiles:
    """Read the files of the project, and name terms by the titles of its notice.

    Raises:
        NoticeError: A file is wrong, or there is no notice.
    """
    project = read_project(find_directory() if directory is None else directory)
    learn_titles(project.notice)
    return project


def make_guard(project: ProjectFiles) -> Guard:
    """Return a guard for the notice of a project."""
    return Guard(project.notice, tags=project.tags, purposes=project.purposes)


def has_evidence(directory: Path, targets: Sequence[str] | None) -> bool:
    """Return True if a command names evidence, or there is some in the directory."""
    return bool(targets) or (directory / EVIDENCE_NAME).is_file()


def read_summary(directory: Path, guard: Guard, targets: Sequence[str] | None) -> Summary:
    """Summarize the evidence that a command names, or else that in the directory.

    Raises:
        EvidenceError: It cannot be read, or was collected under another notice.
        StoreUnavailable: A store cannot be opened.
        CommandProblem: The libraries of stores are not installed, or a URL is wrong.
    """
    rows: list[EvidenceRow] = []
    for target in targets or [str(directory / EVIDENCE_NAME)]:
        rows += _load(target)
    summary = summarize(rows, guard)
    for revision in sorted(summary.other_revisions):
        message = f"some evidence was collected under {revision}: it is judged by the notice in force"
        complain(err(), "warning", message)
    return summary


def _load(target: str) -> list[EvidenceRow]:
    if "://" not in target:
        return EvidenceFile(target).load()
    with store_of(target) as store:
        from purposeguard.governance.evidence import StoredEvidence  # noqa: PLC0415  # needs the extra `governance`

        return StoredEvidence(store).load()
