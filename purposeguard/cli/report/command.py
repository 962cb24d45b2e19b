"""The command `purposeguard report`: the pages for the privacy officer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from purposeguard.cli.adopt.project import EvidenceOption, has_evidence, read_summary
from purposeguard.cli.application import find_guard
from purposeguard.cli.files import read_notice, write
from purposeguard.cli.options import Imports, LanguageOption, Output, err, needing
from purposeguard.cli.render import complain
from purposeguard.cli.report.facts import facts_of
from purposeguard.cli.report.page import page
from purposeguard.cli.report.registers import registers
from purposeguard.cli.words import Language
from purposeguard.extras import Needs
from purposeguard.project.directory import find_directory

with Needs(__name__, "cli"):
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


GuardArgument = Annotated[
    str, typer.Argument(metavar="MODULE:GUARD", help="Where the guard is, e.g. `shop.privacy:guard`.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="TARGET",
        help="The store of governance, by its URL or the path of its SQLite file; if left out, that of the guard.",
    ),
]
Revisions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NOTICE",
        help="Another revision of the notice, a file or a bundled one, to compare; may be repeated.",
    ),
]
WorkbookOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the registers there too, as a workbook.")
]


def report(
    target: GuardArgument,
    *,
    imports: Imports = None,
    store: StoreOption = None,
    revision: Revisions = None,
    evidence: EvidenceOption = None,
    language: LanguageOption = Language.en,
    output: Output = None,
    xlsx: WorkbookOption = None,
) -> bool:
    """Write the report for the privacy officer: what the notice grants, the code beside it, the evidence, the gaps.

    One HTML page that needs nothing but itself. Imports the application's modules, and runs nothing else of it but the
    part of its erasers that says what is due. No subject is named.
    """
    guard = find_guard(target, imports or ())
    directory = find_directory()
    summary = read_summary(directory, guard, evidence) if has_evidence(directory, evidence) else None
    tables = registers(guard, language.value)
    if xlsx is not None:
        with needing("report", "a workbook needs"):
            from purposeguard.cli.report import workbook  # noqa: PLC0415  # needs the extra `report`
        workbook.write(tables, xlsx)
    with _progress(err()) as progress:
        ledger = progress.add_task("ledger", total=None)

        def count_entries(count: int, total: int) -> None:
            progress.update(ledger, advance=count, total=total)

        revisions = list(map(read_notice, revision or ()))
        facts = facts_of(
            target,
            imports=imports or (),
            store=store,
            revisions=revisions,
            summary=summary,
            progress=count_entries,
        )
        progress.update(ledger, total=1, completed=1)
        text = page(facts, language.value, tables)
    if output is None:
        print(text, end="")
    else:
        write(output, text)
    for problem in facts.records.problems if facts.records is not None else ():
        complain(err(), "finding", problem)
    return True


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
