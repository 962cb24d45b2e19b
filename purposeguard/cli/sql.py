"""The command `purposeguard sql`: a query over files for a purpose."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from purposeguard.adapters.tags import MARKS, Columns, Tag, parts_of, tag_of
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import (
    Channel,
    NoticeOption,
    Overlays,
    TableOption,
    err,
    needing,
    out,
    read_chosen_notice,
    read_notice_for_store,
    store_of,
)
from purposeguard.cli.people import governance_over
from purposeguard.cli.render import Column, RenderedTable, Report, complain, show
from purposeguard.cli.words import translate
from purposeguard.errors import (
    Fault,
    NoticeError,
    PurposeGuardError,
    UnknownTerm,
    UnlabelledData,
    UnresolvedStatement,
    escape_controls,
)
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.parsing import read_toml
from purposeguard.notice.vocabulary import find_nearest, list_term_ids
from purposeguard.policy.violations import FlowViolation, PurposeViolation

with Needs(__name__, "cli"):
    import typer

if TYPE_CHECKING:
    from purposeguard.adapters.duckdb import Connection, Explanation, Result  # at run time it takes an extra
    from purposeguard.adapters.duckdb.explanation import Used

ROWS_SHOWN = 100
"""Rows of a table that are printed without `--limit`."""
LISTING = ("DESC", "SHOW", "SUMMARIZE", "PRAGMA")
"""Statements that list columns."""
LISTED = '`--explain "SELECT * FROM …"` lists the columns of a table with their tags'


Statement = Annotated[str, typer.Argument(metavar="STATEMENT", help="A query, in DuckDB's SQL.")]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Parquet, Feather, CSV or JSON; a table is called as its file is, or as told by `name=FILE`.",
    ),
]


PurposeOption = Annotated[str, typer.Option("--purpose", metavar="PURPOSE", help="A purpose, or a family.")]
Tags = Annotated[
    Path | None, typer.Option("--tags", metavar="FILE", help="A TOML file with the tags of columns that have none.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="TARGET",
        help="A store of governance, by its URL or the path of its SQLite file: who opted out is left out, and the "
        "use is put in its ledger.",
    ),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Run nothing: print which columns are used, and whether they may be.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help=f"Rows printed at most; {ROWS_SHOWN} of a table.")]


def sql(  # noqa: PLR0913  # One parameter for each option of the command.
    statement: Statement,
    files: Files,
    *,
    purpose: PurposeOption,
    channel: Channel = None,
    notice: NoticeOption = None,
    overlay: Overlays = None,
    tags: Tags = None,
    store: StoreOption = None,
    explain: Explain = False,
    limit: Limit = None,
    form: TableOption = "table",
) -> bool:
    """Run a query over files for a purpose, or say why it may not be run.

    Columns are refused by their tags, from Parquet and Feather files or from `--tags`. Rows that the purpose may not
    use are left out.
    """
    paths = _paths_by_table(files)
    if limit is None and form == "table":
        limit = ROWS_SHOWN
    with _guard(notice, overlay or (), store) as guard:
        tag_columns = {} if tags is None else read_tags(tags, guard.notice, paths)
        report, outcome = _run(
            guard,
            statement,
            purpose=purpose,
            channel=channel,
            paths=paths,
            tags=tag_columns,
            limit=limit,
            explain=explain,
        )
    show(report, form, out())
    if isinstance(outcome, str) and form == "table":
        print(translate(outcome))
    for warning in report.warnings:
        complain(err(), "note", warning)
    return bool(outcome)


def _run(
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
    """Run or explain a statement.

    Returns:
        The report, and the outcome. This is the number of rows in words; or, for an explanation, True if the statement
        would run. The command exits with 1 if it is False.

    Raises:
        typer.Exit: the statement is refused: exit code 1.
        CommandProblem: a file cannot be read, or DuckDB fails.
        PurposeGuardError: bad input, such as a column without a tag.
    """
    with needing("duckdb", "`sql` needs"):
        import duckdb  # noqa: PLC0415  # needs the extra `duckdb`

        from purposeguard.adapters.duckdb import connect  # noqa: PLC0415  # likewise
    try:
        with (
            connect(guard, paths, tags=tags) as connection,
            guard.purpose(purpose, channel=channel, activity="purposeguard sql"),
        ):
            explanation = _explain(connection, statement, paths)
            if explain:
                return explain_report(explanation), explanation.allowed
            if explanation.kind != "select":
                raise CommandProblem(
                    f"only a query is run here, and no {explanation.kind.upper()}: nothing would be kept of it"
                )
            try:
                return rows_report(connection.sql(statement), limit)
            except UnlabelledData as error:
                if all(use.label is not None for use in explanation.used):
                    raise
                raise CommandProblem(f"{error}\n  `--tags FILE` states the tags of columns that have none") from error
    except (PurposeViolation, FlowViolation) as error:
        complain(err(), "refused", str(error))
        raise typer.Exit(1) from error
    except PurposeGuardError:
        raise
    except (duckdb.Error, OSError, ValueError) as error:
        raise CommandProblem(str(error)) from error


def _explain(connection: Connection, statement: str, paths: Mapping[str, Path]) -> Explanation:
    """Return the explanation of a statement; errors name the options of this command.

    Raises:
        CommandProblem: it names an unknown table, or lists columns.
        UnresolvedStatement: its columns cannot be resolved.
    """
    try:
        return connection.explain(statement)
    except UnlabelledData as error:  # an unknown table
        raise CommandProblem(f"{error}\n  tables here: {', '.join(map('`{}`'.format, paths))}") from error
    except UnresolvedStatement as error:
        if not statement.lstrip().upper().startswith(LISTING):
            raise
        raise CommandProblem(f"{error}\n  {LISTED}") from error


def _paths_by_table(files: list[str]) -> dict[str, Path]:
    """Return the file of each table, by table name.

    Raises:
        CommandProblem: two files have the same name, or a name is not valid for a table.
    """
    paths: dict[str, Path] = {}
    for file in files:
        name, equals, rest = file.partition("=")
        if equals and not {"/", "\\"}.intersection(name) and not Path(file).exists():
            path = Path(rest)
            if not name.strip() or not rest:
                raise CommandProblem(f"`{file}` names no table, or no file: write `name=FILE`")
        else:
            path = Path(file)
            name = path.stem if path.suffix.lower() not in (".gz", ".zst") else Path(path.stem).stem
        if "." in name or not name.strip():
            raise CommandProblem(f"`{name}` is no name for a table: give {path} one, `name={path}`")
        for other, other_path in paths.items():
            if other.lower() == name.lower():
                raise CommandProblem(
                    f"{other_path} and {path} would both be called `{other}`: give one of them another name, "
                    f"`other={path}`"
                )
        paths[name] = path
    return paths


@contextlib.contextmanager
def _guard(notice: str | None, overlays: Sequence[Path], store: str | None) -> Generator[Guard]:
    """Return a context manager: a guard; with a store, one that knows which subjects opted out."""
    if store is None:
        yield Guard(read_chosen_notice(notice, overlays))
        return
    with store_of(store) as existing:
        notices = read_notice_for_store(existing, notice, overlays)
        with governance_over(existing, notices, recorded=True) as governance:
            yield Guard(notices, governance=governance)


NULL: Final = "NULL"
WIDEST: Final = 40
"""The most columns of a printed table."""


def rows_report(result: Result, limit: int | None) -> tuple[Report, str]:
    """Return the first `limit` rows of a result, and the number of all rows in words."""
    from purposeguard.adapters.duckdb.result import plain  # noqa: PLC0415  # its libraries may be missing

    everything = len(result)
    table = result.arrow().slice(0, limit)
    rows = list(zip(*map(plain, table.columns), strict=True))
    columns = [{"name": name, "sources": _sources(result.labels[name])} for name in result.columns]
    values = from_json(to_json(rows, bytes_mode="base64", inf_nan_mode="strings", fallback=str))
    data = {"columns": columns, "rows": values}
    shown = tuple(Column(escape_controls(name), data=True) for name in result.columns[:WIDEST])
    cells = tuple(tuple(map(_cell, row[:WIDEST])) for row in rows)
    counted = "1 row" if everything == 1 else f"{everything:,} rows"
    warnings: list[str] = []
    if len(rows) < everything:
        warnings.append(f"the first {len(rows):,} of {counted} are printed: `--limit N` prints more")
    if len(result.columns) > WIDEST:
        warnings.append(f"the first {WIDEST} of {len(result.columns):,} columns are printed: `--format json` has all")
    return Report(data, (RenderedTable("", shown, cells),), tuple(warnings)), counted


def explain_report(explanation: Explanation) -> Report:
    """Return the columns that a statement uses, and whether each is allowed."""
    outputs = list(starmap(_Output, explanation.outputs.items()))
    data: dict[str, Any] = {
        "allowed": explanation.allowed,
        "used": list_rows(USED, explanation.used),
        "outputs": list_rows(OUTPUTS, outputs),
    }
    tables = make_table("Used", USED, explanation.used), make_table("Given", OUTPUTS, outputs)
    return Report(data, tables, () if explanation.refused is None else (str(explanation.refused),))


def _why_not(use: Used) -> str:
    if use.allowed:
        return ""
    return "no tag says what it is" if use.decision is None else use.decision.headline


def _reasons(use: Used) -> list[str]:
    return [] if use.decision is None else list(use.decision.reasons)


def _sources(label: Label | None) -> list[str] | None:
    return None if label is None else list_term_ids(label)


def _sources_text(label: Label | None) -> str:
    return "no tag" if label is None else " ".join(list_term_ids(label))


class _Output(NamedTuple):
    """A column that a statement returns."""

    name: str
    label: Label | None


USED: Final[tuple[ReportColumn[Used], ...]] = (
    ReportColumn("table", lambda use: use.table, "table", lambda use: escape_controls(use.table), kind="group"),
    ReportColumn("column", lambda use: use.column, "column", lambda use: escape_controls(use.column)),
    ReportColumn(
        "sources", lambda use: _sources(use.label), "sources", lambda use: _sources_text(use.label), words=True
    ),
    ReportColumn(
        "by_row",
        lambda use: use.by_row,
        text=lambda use: "row by row" if use.by_row else "",
        under="sources",
        words=True,
    ),
    ReportColumn(
        "allowed",
        lambda use: use.allowed,
        "verdict",
        lambda use: "allowed" if use.allowed else "denied",
        kind="verdict",
    ),
    ReportColumn("reasons", _reasons, text=_why_not, under="allowed", words=True),
)
"""The columns of those that a statement uses."""

OUTPUTS: Final[tuple[ReportColumn[_Output], ...]] = (
    ReportColumn("column", lambda output: output.name, "column", lambda output: escape_controls(output.name)),
    ReportColumn(
        "sources",
        lambda output: _sources(output.label),
        "sources",
        lambda output: _sources_text(output.label),
        words=True,
    ),
)
"""The columns of those that a statement returns."""


def _cell(value: Any) -> str:
    return NULL if value is None else escape_controls(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def read_tags(path: Path, notice: Notice, tables: Iterable[str]) -> dict[str, Columns]:
    """Return the tags in a TOML file, by table.

    Raises:
        CommandProblem: the file is invalid, or names an unknown table.
    """
    try:
        data = read_toml(path)
    except NoticeError as error:
        raise CommandProblem(f"{path}: {error.faults[0].message}") from error
    reader = _TagReader(notice, tables)
    for table, columns in data.items():
        reader.read_table(table, columns)
    if reader.faults:
        raise CommandProblem(str(NoticeError(reader.faults, str(path))))
    return reader.tags


class _TagReader:
    """Reads the tags of tables, and collects all faults."""

    def __init__(self, notice: Notice, tables: Iterable[str]) -> None:
        self._notice = notice
        self._tables = list(tables)
        self.tags: dict[str, Columns] = {}
        """The tags by table."""
        self.faults: list[Fault] = []
        """What is wrong, in the order of the file."""

    def read_table(self, table: str, columns: object) -> None:
        """Read the tags of the columns of a table."""
        if table not in self._tables:
            near = find_nearest(table, self._tables)
            self.faults.append(Fault(table, "no file is called so", f"did you mean {near[0]}?" if near else None))
        if not isinstance(columns, dict):
            self.faults.append(
                Fault(table, "must be a table of columns", f'write `[{table}]`, and `column = "1.1(a)"`')
            )
            return
        tags: dict[str, Tag] = {}
        for column, written in columns.items():
            tag = self._read_tag(f"{table}.{column}", written)
            if tag is not None:
                tags[column] = tag
        try:
            self.tags[table] = Columns(tags)
        except UnlabelledData as error:
            self._add_fault(table, error)

    def _read_tag(self, place: str, written: object) -> Tag | None:
        """Return a tag; None if it is at fault."""
        try:
            return tag_of(self._notice, parts_of(written), place)
        except UnknownTerm as error:
            words = written if isinstance(written, list) else [written]
            misspelled = any(find_nearest(word, MARKS) for word in words)
            self._add_fault(place, error, f"marks are {', '.join(MARKS)}" if misspelled else None)
        except (PurposeGuardError, ValueError) as error:
            self._add_fault(place, error)
        return None

    def _add_fault(self, place: str, error: Exception, suggestion: str | None = None) -> None:
        self.faults.append(Fault(place, " ".join(str(error).split()), suggestion))
