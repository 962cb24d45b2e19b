"""The command `purposeguard sql`: a query over files, held to a purpose. Registered by `commands`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from purposeguard.errors import PurposeGuardError, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.notice.notice import Notice
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from purposeguard.tools.files import read_notice
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Format as ReportFormat
from purposeguard.tools.render import Report, complain, show
from purposeguard.tools.sql_report import explain_report, rows_report
from purposeguard.tools.sql_tags import read_tags

if TYPE_CHECKING:
    from purposeguard.adapters.duckdb import Connection, Explanation  # at run time it takes an extra

REFERENCE = "trendmicro-jp"
ROWS_SHOWN = 100
"""Rows that are printed as a table where no `--limit` is given."""
LISTING = ("DESC", "SHOW", "SUMMARIZE", "PRAGMA")
"""How those begin who want to know what columns there are."""
LISTED = '`--explain "SELECT * FROM …"` lists the columns of a table with their tags'


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


Statement = Annotated[str, typer.Argument(metavar="STATEMENT", help="A query, in DuckDB's SQL.", show_default=False)]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Parquet, Feather, CSV or JSON; a table is called as its file is, or as told by `name=FILE`.",
        show_default=False,
    ),
]


def sql(
    statement: Statement,
    files: Files,
    *,
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="PURPOSE", help="A purpose, or a family.", show_default=False)
    ],
    channel: Annotated[
        str | None,
        typer.Option("--channel", help="How the person is contacted: `email`, `phone`, …", show_default=False),
    ] = None,
    notice: Annotated[
        str, typer.Option("--notice", metavar="NOTICE", help="A TOML file, or the name of a bundled notice.")
    ] = REFERENCE,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(
            "--overlay", metavar="FILE", help="A file of product overlays; may be repeated.", show_default=False
        ),
    ] = None,
    tags: Annotated[
        Path | None,
        typer.Option(
            "--tags", metavar="FILE", help="A TOML file with the tags of columns that bear none.", show_default=False
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="TARGET",
            help="A store of governance, by its URL or the path of its SQLite file: who opted out is left out, and the "
            "use is put in its ledger.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Run nothing: print which columns are used, and whether they may be.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help=f"Rows printed at most; {ROWS_SHOWN} of a table.", show_default=False),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> bool:
    """Run a query over files for a purpose, or say why it may not be run.

    Columns are refused by the tags that Parquet and Feather files bear, or that `--tags` tells. Rows that the purpose
    may not use are left out.
    """
    paths = _named(files)
    found = read_notice(notice, overlay or ())
    told = {} if tags is None else read_tags(tags, found, paths)
    if limit is None and form is Format.table:
        limit = ROWS_SHOWN
    with _guard(found, store) as guard:
        report, verdict = _answer(
            guard, statement, purpose=purpose, channel=channel, paths=paths, tags=told, limit=limit, explain=explain
        )
    show(report, ReportFormat(form), Console(highlight=False))
    if isinstance(verdict, str) and form is Format.table:
        print(verdict)
    for warning in report.warnings:
        complain(_err(), "note", warning)
    return bool(verdict)


def _answer(
    guard: Guard,
    statement: str,
    *,
    purpose: str,
    channel: str | None,
    paths: Mapping[str, Path],
    tags: Mapping[str, object],
    limit: int | None,
    explain: bool,
) -> tuple[Report, str | bool]:
    """What is to be printed, and the number of rows in words; or of an explanation whether the statement would run.

    Raises:
        typer.Exit: it is refused, which is an answer, and no bad input.
        Problem: a file cannot be read, or DuckDB does not run the statement.
        PurposeGuardError: bad input, such as a column without a tag.
    """
    try:
        import duckdb  # noqa: PLC0415  # needs the extra `duckdb`

        from purposeguard.adapters.duckdb import connect  # noqa: PLC0415  # likewise
    except ModuleNotFoundError as error:
        raise Problem(
            f"`sql` needs {error.name}, which is not installed: pip install 'purposeguard[duckdb]'"
        ) from error
    try:
        with (
            connect(guard, paths, tags=tags) as connection,
            guard.purpose(purpose, channel=channel, activity="purposeguard sql"),
        ):
            explanation = _explained(connection, statement, paths)
            if explain:
                return explain_report(explanation), explanation.allowed
            if explanation.kind != "select":
                raise Problem(
                    f"only a query is run here, and no {explanation.kind.upper()}: nothing would be kept of it"
                )
            try:
                return rows_report(connection.sql(statement), limit)
            except UnlabelledData as error:
                if all(one.label is not None for one in explanation.used):
                    raise
                raise Problem(f"{error}\n  `--tags FILE` tells the tags of columns that bear none") from error
    except (PurposeViolation, FlowViolation) as error:
        complain(_err(), "refused", str(error))
        raise typer.Exit(1) from error
    except PurposeGuardError:
        raise
    except (duckdb.Error, OSError, ValueError) as error:
        raise Problem(str(error)) from error


def _explained(connection: Connection, statement: str, paths: Mapping[str, Path]) -> Explanation:
    """What a statement would do; where it cannot be told, with the way that a command line has.

    Raises:
        Problem: it names a table that is not there, or asks what columns there are.
        UnresolvedStatement: it cannot be told otherwise.
    """
    try:
        return connection.explain(statement)
    except UnlabelledData as error:  # of a table that is not there
        raise Problem(f"{error}\n  tables here: {', '.join(f'`{name}`' for name in paths)}") from error
    except UnresolvedStatement as error:
        if not statement.lstrip().upper().startswith(LISTING):
            raise
        raise Problem(f"{error}\n  {LISTED}") from error


def _err() -> Console:
    return Console(stderr=True, highlight=False)


def _named(files: list[str]) -> dict[str, Path]:
    """The files by the names of their tables.

    Raises:
        Problem: two have one name, or a file's name is none for a table.
    """
    found: dict[str, Path] = {}
    for given in files:
        name, equals, rest = given.partition("=")
        if equals and not {"/", "\\"}.intersection(name) and not Path(given).exists():
            path = Path(rest)
            if not name.strip() or not rest:
                raise Problem(f"`{given}` names no table, or no file: write `name=FILE`")
        else:
            path = Path(given)
            name = path.stem if path.suffix.lower() not in (".gz", ".zst") else Path(path.stem).stem
        if "." in name or not name.strip():
            raise Problem(f"`{name}` is no name for a table: give {path} one, `name={path}`")
        other = next((one for one in found if one.lower() == name.lower()), None)
        if other is not None:
            raise Problem(
                f"{found[other]} and {path} would both be called `{other}`: give one of them another name, "
                f"`other={path}`"
            )
        found[name] = path
    return found


@contextlib.contextmanager
def _guard(notice: Notice, store: str | None) -> Generator[Guard]:
    """A guard, which a store of governance tells who opted out of what."""
    if store is None:
        yield Guard(notice)
        return
    try:
        from purposeguard.governance import Governance  # noqa: PLC0415  # needs the extra `governance`
        from purposeguard.governance.store import existing_store  # noqa: PLC0415  # likewise
    except ModuleNotFoundError as error:
        raise Problem(
            f"a store needs {error.name}, which is not installed: pip install 'purposeguard[governance]'"
        ) from error
    try:
        opened = existing_store(store)
    except ValueError as error:  # of the URL
        raise Problem(str(error)) from error
    with opened, Governance(opened, notice=notice) as governance:
        yield Guard(notice, governance=governance)
