"""The commands of `purposeguard`: some are defined here, and all are registered here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from purposeguard.cli.adopt.command import adopt_app
from purposeguard.cli.application import clauses_of
from purposeguard.cli.dbt import dbt_app
from purposeguard.cli.diff import diff
from purposeguard.cli.export import export_app
from purposeguard.cli.files import CommandProblem, difference, list_warnings, read_notice, write
from purposeguard.cli.inventory import inventory
from purposeguard.cli.ledger import ledger_app
from purposeguard.cli.matrix import matrix_report
from purposeguard.cli.new import new
from purposeguard.cli.options import (
    BAD_INPUT,
    NO,
    NOTICE_HELP,
    OK,
    Channel,
    Check,
    Conditions,
    LanguageOfAll,
    NoticeArgument,
    NoticeOption,
    Output,
    Overlays,
    Speaking,
    TableOption,
    TextOption,
    TextsOption,
    TitleLanguageOption,
    ending,
    err,
    having,
    out,
    read_chosen_notice,
    read_configured_language,
    reporting,
)
from purposeguard.cli.people import disclose, list_requests, sweep
from purposeguard.cli.render import complain, json_text, quote, show, verdict
from purposeguard.cli.report.command import report
from purposeguard.cli.schema import schema_text
from purposeguard.cli.sql import sql
from purposeguard.cli.store import store_app
from purposeguard.cli.words import Language, begin, change, language, translate
from purposeguard.errors import Fault, NoticeError, UnknownSource
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.codegen import generate
from purposeguard.notice.grants import source_rows
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import Prohibition
from purposeguard.notice.vocabulary import Family, list_term_ids
from purposeguard.policy.explanation import Decision

with Needs(__name__, "cli"):
    import typer


app = typer.Typer(
    cls=Speaking,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A privacy notice at the command line: what data may serve which purpose, and what an application does.",
    epilog="Exit codes: 0 done or allowed, 1 denied, stale or a finding, 2 bad input.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"purposeguard {metadata.version('purposeguard')}")
        raise typer.Exit(OK)


@app.callback()
def root(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    language: LanguageOfAll = None,
) -> None:
    """Hold the commands."""
    context.call_on_close(begin(language or Language.en))
    if language is None:
        with reporting():
            change(read_configured_language(Path.cwd()))


@app.command(epilog="Exit codes: 0 printed, 2 bad input.")
def matrix(
    file: Annotated[
        str | None, typer.Argument(metavar="[NOTICE]", help=f"{NOTICE_HELP} Instead of `--notice`.")
    ] = None,
    *,
    notice: NoticeOption = None,
    overlay: Overlays = None,
    channel: Channel = None,
    condition: Conditions = None,
    form: TableOption = "table",
    language: TitleLanguageOption = Language.en,
    text: TextsOption = False,
) -> None:
    """Print the whole table: which sources may serve which purposes and families."""
    with reporting():
        read = read_chosen_notice(_one_notice(file, notice), overlay or ())
        report = matrix_report(read, channel, having(read, language), condition or (), texts=text)
        show(report, form, out())


@app.command(epilog="Exit codes: 0 allowed, 1 denied, 2 bad input.")
def explain(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NOTICE] SOURCES...",
            help="Ids, class names or slugs, apart or with commas between. A notice file may come first.",
        ),
    ],
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="A purpose, or the name of a family.")],
    *,
    channel: Channel = None,
    condition: Conditions = None,
    notice: NoticeOption = None,
    overlay: Overlays = None,
    form: TextOption = "text",
    text: TextsOption = False,
) -> None:
    """Say whether data from these sources may serve a purpose, by which clause, or why not and what instead.

    Several sources are data derived from all of them. In a shell, put ids with brackets in quotes, or write slugs:
    `purposeguard explain "1.1(a),1.1(c)" "1.2(1)①"`, `purposeguard explain product-data renewal-guidance`.
    """
    with reporting():
        file = sources.pop(0) if Path(sources[0]).suffix == ".toml" else None
        if not sources:
            raise CommandProblem(f"name sources and a purpose behind `{file}`, such as `registration renewal-guidance`")
        guard = Guard(read_chosen_notice(_one_notice(file, notice), overlay or ()))
        decision = guard.explain(list(_ids(guard.notice, sources)), purpose, channel, conditions=condition or ())
        texts = list(_texts_of(guard.notice, decision))
        if form == "json":
            print(json_text(decision_data(decision) | ({"texts": texts} if texts else {})), end="")
        else:
            verdict(out(), "allowed" if decision else "denied", decision.headline, decision.details)
            for row in texts:
                quote(out(), f"{row['what']} {row['id']} reads:", row["words"], whole=text)
    raise typer.Exit(OK if decision else NO)


def _one_notice(argument: str | None, option: str | None) -> str | None:
    """Return the notice that a command line names, as an argument or by `--notice`.

    Raises:
        CommandProblem: it names two.
    """
    if argument is not None and option is not None:
        raise CommandProblem(f"name one notice: `{argument}`, or `--notice {option}`")
    return option if argument is None else argument


@app.command(epilog="Exit codes: 0 valid, 1 a warning (with --strict), 2 not valid.")
def validate(
    notice: NoticeArgument,
    overlay: Overlays = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there is a warning.")] = False,
    form: TextOption = "text",
) -> None:
    """Read a notice file, and its overlays, and report every fault at once, each with its line and what to write.

    Of a valid notice it warns of what is probably not meant, such as a source that may serve no purpose.
    """
    with reporting():
        try:
            loaded_notice = read_notice(notice, overlay or ())
        except NoticeError as error:
            if form == "text":
                raise
            faults = list(map(_fault_data, error.faults))
            print(json_text({"valid": False, "file": error.origin, "faults": faults, "warnings": []}), end="")
            raise typer.Exit(BAD_INPUT) from error
        warned = list_warnings(loaded_notice, notice, overlay or ())
    if form == "json":
        warnings = list(map(_fault_data, warned))
        print(json_text({"valid": True, "file": notice, "faults": [], "warnings": warnings}), end="")
    else:
        for warning in warned:
            complain(err(), "warning", str(warning))
        print(translate(f"{notice} is valid: {_summary(loaded_notice)}"))
    if strict and warned:
        raise typer.Exit(NO)


def _fault_data(fault: Fault) -> dict[str, Any]:
    return {
        "place": fault.place,
        "message": fault.message,
        "help": fault.suggestion,
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
    }


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
    """Print a generated text, write it to a file, or compare the file with it."""
    if output is None:
        if check:
            raise CommandProblem("`--check` compares a file: name it with `-o FILE`")
        print(text, end="")
    elif not check:
        write(output, text)
    elif differs := difference(output, text):
        complain(err(), "stale", f"{differs}\nrun: {command} -o {output}")
        raise typer.Exit(NO)


def _ids(notice: Notice, arguments: Iterable[str]) -> Iterator[str]:
    """Yield the ids in arguments: each is a single id, which may contain a comma, or several, separated by commas."""
    for argument in arguments:
        try:
            notice.source(argument)
        except UnknownSource:
            yield from filter(None, map(str.strip, argument.split(",")))
        else:
            yield argument


def _texts_of(notice: Notice, decision: Decision) -> Iterator[dict[str, str]]:
    """Yield the notice's own words for a decision: the texts of its sources, purposes, clauses and prohibitions."""
    for kind, id_, row in _rows_of(notice, decision):
        text = notice.text(row, language())
        if text is not None:
            yield {"what": kind, "id": id_, "language": text[0], "words": text[1]}


def _rows_of(notice: Notice, decision: Decision) -> Iterator[tuple[str, str, object]]:
    """Yield the rows of the notice that a decision rests on, each with what it is and its id."""
    document = notice.document
    sources = set(list_term_ids(decision.label))
    purposes = set(clauses_of(decision.purpose))
    for source in source_rows(document):
        if source.id in sources:
            yield "source", source.id, source
    for grant in document.grant:
        own = [purpose for purpose in grant.purpose if purpose.id in purposes]
        if own:
            yield "clause", grant.clause, grant
        for purpose in own:
            yield "purpose", purpose.id, purpose
    forbidden: dict[int, Prohibition] = {}  # A row stands for many pairs.
    for (source_id, purpose_id), prohibition in notice.prohibited.items():
        if source_id in sources and purpose_id in purposes:
            forbidden[id(prohibition)] = prohibition
    for prohibition in forbidden.values():
        yield "prohibition", ", ".join(prohibition.sources), prohibition


def decision_data(decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON values."""
    purpose = decision.purpose
    data: dict[str, Any] = {
        "allowed": decision.allowed,
        "sources": list_term_ids(decision.label),
        "purpose": purpose.name if isinstance(purpose, Family) else purpose.clause,
        "channel": decision.channel,
    }
    if decision.context.conditions:
        data["conditions"] = sorted(decision.context.conditions)
    data |= {
        "grants": {source.clause: clause for source, clause in decision.grants.items()},
        "reasons": list(decision.reasons),
        "alternatives": list_term_ids(decision.alternatives),
    }
    return data


app.command("new", epilog="Exit codes: 0 written, 2 bad input.")(ending(new))
app.command("requests", epilog="Exit codes: 0 printed, 1 one is overdue (with --overdue), 2 bad input or no store.")(
    ending(list_requests)
)
app.command("disclose", epilog="Exit codes: 0 written, 2 bad input or no store.")(ending(disclose))
app.command("diff", epilog="Exit codes: 0 printed, 1 such a change is there (with --fail-on), 2 bad input.")(
    ending(diff)
)
app.command("sql", epilog="Exit codes: 0 printed, 1 refused for the purpose, 2 bad input.")(ending(sql))
app.command("inventory", epilog="Exit codes: 0 printed, 1 a finding (with --strict), 2 bad input.")(ending(inventory))
app.command("report", epilog="Exit codes: 0 written, 2 bad input or no store.")(ending(report))
app.command(
    "sweep", epilog="Exit codes: 0 listed, or all due is erased, 1 an eraser failed, 2 refused, bad input or no store."
)(ending(sweep))
app.add_typer(adopt_app, name="adopt")
app.add_typer(ledger_app, name="ledger")
app.add_typer(dbt_app, name="dbt")
app.add_typer(export_app, name="export")
app.add_typer(store_app, name="store")
