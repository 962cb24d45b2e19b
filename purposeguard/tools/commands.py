"""The commands of `purposeguard`. What they print is made in `reports` and `survey`, and how it looks in `render`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.console import Console

from purposeguard.errors import NoticeError, PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.notice.codegen import generate
from purposeguard.notice.notice import Notice
from purposeguard.tools.application import find_guard
from purposeguard.tools.desk_commands import disclose, list_requests
from purposeguard.tools.diff_command import diff
from purposeguard.tools.export_command import export_app
from purposeguard.tools.files import difference, read_notice, write
from purposeguard.tools.ledger_commands import ledger_app
from purposeguard.tools.lint_command import lint_paths
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Format, complain, json_text, show, verdict
from purposeguard.tools.reports import Language, decision_data, matrix_report
from purposeguard.tools.schema import schema_text
from purposeguard.tools.sql_command import sql
from purposeguard.tools.survey import inventory_report
from purposeguard.tools.sweeping import find_sweep, outcome_report, plan_report, swept

P = ParamSpec("P")

OK, NO, BAD_INPUT = 0, 1, 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A privacy notice at the command line: what data may serve which purpose, and what an application does.",
    epilog="Exit codes: 0 done or allowed, 1 denied, stale or a finding, 2 bad input.",
)


app.add_typer(ledger_app, name="ledger")
app.add_typer(export_app, name="export")


class TextFormat(StrEnum):
    """How an answer is printed."""

    text = "text"
    json = "json"


NoticeOption = Annotated[
    str, typer.Option("--notice", metavar="NOTICE", help="A TOML file, or the name of a bundled notice.")
]
NoticeArgument = Annotated[
    str, typer.Argument(metavar="NOTICE", help="A TOML file, or the name of a bundled notice.", show_default=False)
]
Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="A file of product overlays; may be repeated.", show_default=False),
]
Channel = Annotated[
    str | None, typer.Option("--channel", help="How the person is contacted: `email`, `phone`, …", show_default=False)
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of printing.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where the file is not what it should be.")]
REFERENCE = "trendmicro-jp"


def _out() -> Console:
    return Console(highlight=False)


def _err() -> Console:
    return Console(stderr=True, highlight=False)


@contextmanager
def reporting() -> Generator[None]:
    """Says what was wrong with the input, and ends with exit code 2."""
    try:
        yield
    except (PurposeGuardError, Problem) as error:
        complain(_err(), "error", str(error))
        raise typer.Exit(BAD_INPUT) from error


def _version(wanted: bool) -> None:
    if wanted:
        print(f"purposeguard {metadata.version('purposeguard')}")
        raise typer.Exit(OK)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing of its own: the commands do the work."""


@app.command(epilog="Exit codes: 0 printed, 2 bad input.")
def matrix(
    notice: NoticeOption = REFERENCE,
    overlay: Overlays = None,
    channel: Channel = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    language: Annotated[Language, typer.Option("--language", help="The language of titles.")] = Language.en,
) -> None:
    """Print the whole table: which sources may serve which purposes and families."""
    with reporting():
        report = matrix_report(read_notice(notice, overlay or ()), channel, language)
        show(report, form, _out())


@app.command(epilog="Exit codes: 0 allowed, 1 denied, 2 bad input.")
def explain(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES...", help="Ids, class names or slugs, apart or with commas between.", show_default=False
        ),
    ],
    purpose: Annotated[
        str, typer.Argument(metavar="PURPOSE", help="A purpose, or the name of a family.", show_default=False)
    ],
    *,
    channel: Channel = None,
    notice: NoticeOption = REFERENCE,
    overlay: Overlays = None,
    form: Annotated[TextFormat, typer.Option("--format", help="How to print it.")] = TextFormat.text,
) -> None:
    """Say whether data from these sources may serve a purpose, by which clause, or why not and what instead.

    Several sources are data derived from all of them. In a shell, put ids with brackets in quotes, or write slugs:
    `purposeguard explain "1.1(a),1.1(c)" "1.2(1)①"`, `purposeguard explain product-data renewal-guidance`.
    """
    with reporting():
        guard = Guard(read_notice(notice, overlay or ()))
        named = [one.strip() for given in sources for one in given.split(",") if one.strip()]
        decision = guard.explain(named, purpose, channel)
        if form is TextFormat.json:
            print(json_text(decision_data(decision)), end="")
        else:
            verdict(_out(), "allowed" if decision else "denied", decision.headline, decision.details)
    raise typer.Exit(OK if decision else NO)


@app.command(epilog="Exit codes: 0 valid, 2 not valid.")
def validate(
    notice: NoticeArgument,
    overlay: Overlays = None,
    form: Annotated[TextFormat, typer.Option("--format", help="How to print it.")] = TextFormat.text,
) -> None:
    """Read a notice file, and its overlays, and report every fault at once, each with its place."""
    with reporting():
        try:
            found = read_notice(notice, overlay or ())
        except NoticeError as error:
            if form is TextFormat.text:
                raise
            faults = [{"place": one.place, "message": one.message, "help": one.suggestion} for one in error.faults]
            print(json_text({"valid": False, "file": error.origin, "faults": faults}), end="")
            raise typer.Exit(BAD_INPUT) from error
    if form is TextFormat.json:
        print(json_text({"valid": True, "file": notice, "faults": []}), end="")
    else:
        print(f"{notice} is valid: {_summary(found)}")


def _summary(notice: Notice) -> str:
    counted = (
        f"{len(notice.sources)} sources",
        f"{len(notice.purposes)} purposes",
        f"{len(notice.families)} families",
        f"{len(notice.channels)} channels",
    )
    return f"{notice.id}, revision of {notice.revision}, with {', '.join(counted)}"


@app.command(epilog="Exit codes: 0 written or up to date, 1 stale (with --check), 2 bad input.")
def codegen(notice: NoticeArgument, overlay: Overlays = None, output: Output = None, check: Check = False) -> None:
    """Write a notice's vocabulary as a typed Python module."""
    with reporting():
        text = generate(read_notice(notice, overlay or ()))
        _deliver(text, output, check, f"purposeguard codegen {notice}")


@app.command(epilog="Exit codes: 0 written or up to date, 1 stale (with --check), 2 bad input.")
def schema(output: Output = None, check: Check = False) -> None:
    """Write the JSON Schema of notice files, for editors."""
    with reporting():
        _deliver(schema_text(), output, check, "purposeguard schema")


def _deliver(text: str, output: Path | None, check: bool, command: str) -> None:
    """Prints a generated text, writes it to a file, or says how the file differs from it."""
    if output is None:
        if check:
            raise Problem("`--check` compares a file: name it with `-o FILE`")
        print(text, end="")
    elif not check:
        write(output, text)
    elif differs := difference(output, text):
        complain(_err(), "stale", f"{differs}\nrun: {command} -o {output}")
        raise typer.Exit(NO)


@app.command(epilog="Exit codes: 0 printed, 1 a finding (with --strict), 2 bad input.")
def inventory(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:GUARD", help="Where the guard is, e.g. `shop.privacy:guard`.", show_default=False
        ),
    ],
    imports: Annotated[
        list[str] | None,
        typer.Option("--import", metavar="MODULE", help="Import this too; may be repeated.", show_default=False),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where there is a finding.")] = False,
) -> None:
    """List an application's activities and access functions, and what comes of each calling each.

    Imports the application's modules and runs nothing else of it. Listed is what decorators declare in the modules
    imported. Findings, such as an activity that may read nothing, go to standard error.
    """
    with reporting():
        report = inventory_report(find_guard(target, imports or ()))
        show(report, form, _out())
    for warning in report.warnings:
        complain(_err(), "finding", warning)
    if strict and report.warnings:
        raise typer.Exit(NO)


@app.command(epilog="Exit codes: 0 listed, or all due is erased, 1 an eraser failed, 2 refused, bad input or no store.")
def sweep(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="Where the governance is, or a guard that has one, e.g. `shop.privacy:governance`.",
            show_default=False,
        ),
    ],
    imports: Annotated[
        list[str] | None,
        typer.Option("--import", metavar="MODULE", help="Import this too; may be repeated.", show_default=False),
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Erase what is due; without it, it is listed only.")] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="How much an eraser is given at a time.")] = 500,
    max_share: Annotated[
        float,
        typer.Option("--max-share", min=0, max=1, help="Erase nothing where more of what an eraser knows is due."),
    ] = 0.1,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> None:
    """List what may be kept no longer, or erase it, by the erasers of an application (clause 8).

    Nothing is erased where more is due than `--max-share`: a clock or a period may be wrong. A sweep that was cut short
    is gone on with. Erasers that fail, and periods that no eraser serves, go to standard
    error.
    """
    with reporting():
        found = find_sweep(target, imports or ())
        plan = found.plan()
        report = plan_report(plan)
        if not apply or form is Format.table:
            show(report, form, _out())
        good = not any(one.problem for one in plan.parts)
        warnings = list(report.warnings)
        if apply:
            outcome = swept(found, plan, batch, max_share, _err())
            report = outcome_report(outcome)
            show(report, form, _out())
            good, warnings = outcome.good, [*plan_report(plan).warnings[: len(plan.unserved)], *report.warnings]
    for warning in warnings:
        complain(_err(), "finding", warning)
    if not apply and plan.count and form is Format.table:
        print("Nothing was erased: `--apply` erases what is due.")
    if not good:
        raise typer.Exit(NO)


def _ending(command: Callable[P, bool]) -> Callable[P, None]:
    """A command that says whether the answer is yes, as one that ends with the exit code for it."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with reporting():
            good = command(*args, **kwargs)
        if not good:
            raise typer.Exit(NO)

    return run


app.command("requests", epilog="Exit codes: 0 printed, 1 one is overdue (with --overdue), 2 bad input or no store.")(
    _ending(list_requests)
)
app.command("disclose", epilog="Exit codes: 0 written, 2 bad input or no store.")(_ending(disclose))
app.command("diff", epilog="Exit codes: 0 printed, 1 such a change is there (with --fail-on), 2 bad input.")(
    _ending(diff)
)
app.command("sql", epilog="Exit codes: 0 printed, 1 refused for the purpose, 2 bad input.")(_ending(sql))
app.command("lint", epilog="Exit codes: 0 nothing found, 1 a finding, 2 bad input, or a file that cannot be read.")(
    _ending(lint_paths)
)
