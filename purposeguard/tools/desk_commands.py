"""The commands `purposeguard requests` and `purposeguard disclose`. Registered by `commands`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from purposeguard.tools.desk_report import opened, requests_report
from purposeguard.tools.files import read_notice, write
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Format, show
from purposeguard.tools.reports import Language

REFERENCE = "trendmicro-jp"


class Page(StrEnum):
    """How a report is written."""

    html = "html"
    json = "json"


Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An application's governance, or a guard that has one, e.g. `shop.privacy:governance`; or a store, by its "
        "URL or the path of its SQLite file.",
        show_default=False,
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import this too; may be repeated.", show_default=False),
]
Of = Annotated[
    str, typer.Option("--notice", metavar="NOTICE", help="Of a store: the notice, a TOML file or a bundled one.")
]


def list_requests(
    target: Target,
    *,
    pending: Annotated[bool, typer.Option("--open", help="Only those that are yet to be answered.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only overdue ones; exit 1 where there is one.")] = False,
    notice: Of = REFERENCE,
    imports: Imports = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> bool:
    """List what subjects have asked for and is yet to be answered, by deadline, overdue ones first (clause 7)."""
    with opened(target, read_notice(notice), imports or ()) as governance:
        overview = governance.requests.overview()
    show(
        requests_report(overview, "overdue" if overdue else "open" if pending else None), form, Console(highlight=False)
    )
    return not (overdue and overview.overdue)


def disclose(
    target: Target,
    *,
    subject: Annotated[str, typer.Option("--subject", metavar="ID", help="Whose data.", show_default=False)],
    values: Annotated[bool, typer.Option("--values", help="Show the values held, not only that they are.")] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who approves it; needed for values.", show_default=False)
    ] = None,
    request: Annotated[
        int | None, typer.Option("--request", metavar="NO", help="The request that it answers.", show_default=False)
    ] = None,
    notice: Of = REFERENCE,
    imports: Imports = None,
    language: Annotated[Language, typer.Option("--language", help="The language of the report.")] = Language.en,
    form: Annotated[Page, typer.Option("--format", help="How to write it.")] = Page.html,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of printing.")
    ] = None,
) -> bool:
    """Write the report about one person: what is held, for which purposes, to whom it was provided, who answers.

    What is held is told by an application alone; of a store, the report says what was asked for, agreed to and
    provided. The page prints on A4 and needs nothing but itself.
    """
    if values and by is None:
        raise Problem("values are shown on somebody's approval, which is put on record: name who, `--by NAME`")
    with opened(target, read_notice(notice), imports or ()) as governance:
        try:
            report = governance.disclose(
                subject,
                by=by or "purposeguard disclose",
                language=language.value,
                values=values,
                request=request,
            )
        except ValueError as error:  # of the id
            raise Problem(str(error)) from error
    text = report.to_html() if form is Page.html else report.to_json()
    if output is None:
        print(text, end="")
    else:
        write(output, text)
    return True
