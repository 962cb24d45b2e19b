"""The commands of `purposeguard`, and the table of a notice as a report."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from purposeguard.cli.dbt import dbt_app
from purposeguard.cli.diff import diff
from purposeguard.cli.export import export_app
from purposeguard.cli.files import Problem, difference, read_notice, warned_of, write
from purposeguard.cli.inventory import inventory
from purposeguard.cli.ledger import ledger_app
from purposeguard.cli.lint.command import lint_paths
from purposeguard.cli.options import (
    BAD_INPUT,
    NO,
    OK,
    REFERENCE,
    Channel,
    Check,
    LanguageOfAll,
    NoticeArgument,
    NoticeOption,
    Output,
    Overlays,
    Speaking,
    TableOption,
    TextOption,
    configured_language,
    ending,
    err,
    out,
    reporting,
)
from purposeguard.cli.people import disclose, list_requests, sweep
from purposeguard.cli.render import (
    CONSENT,
    CONSENT_MARK,
    Cell,
    Column,
    Format,
    Report,
    Table,
    TextFormat,
    complain,
    json_text,
    show,
    verdict,
)
from purposeguard.cli.report.command import report
from purposeguard.cli.schema import schema_text
from purposeguard.cli.sql import sql
from purposeguard.cli.store import store_app
from purposeguard.cli.words import Language, begin, change, language, said
from purposeguard.errors import Fault, NoticeError
from purposeguard.guard import Guard
from purposeguard.notice.codegen import generate
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import Channels
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.policy.explanation import Decision, is_about_the_subject

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
    """Holds the commands."""
    context.call_on_close(begin(language or Language.en))
    if language is None:
        with reporting():
            change(configured_language(Path.cwd()))


@app.command(epilog="Exit codes: 0 printed, 2 bad input.")
def matrix(
    notice: NoticeOption = REFERENCE,
    overlay: Overlays = None,
    channel: Channel = None,
    form: TableOption = Format.table,
) -> None:
    """Print the whole table: which sources may serve which purposes and families."""
    with reporting():
        report = matrix_report(read_notice(notice, overlay or ()), channel, language())
        show(report, form, out())


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
    form: TextOption = TextFormat.text,
) -> None:
    """Say whether data from these sources may serve a purpose, by which clause, or why not and what instead.

    Several sources are data derived from all of them. In a shell, put ids with brackets in quotes, or write slugs:
    `purposeguard explain "1.1(a),1.1(c)" "1.2(1)①"`, `purposeguard explain product-data renewal-guidance`.
    """
    with reporting():
        guard = Guard(read_notice(notice, overlay or ()))
        named = [name.strip() for text in sources for name in text.split(",") if name.strip()]
        decision = guard.explain(named, purpose, channel)
        if form is TextFormat.json:
            print(json_text(decision_data(decision)), end="")
        else:
            verdict(out(), "allowed" if decision else "denied", decision.headline, decision.details)
    raise typer.Exit(OK if decision else NO)


@app.command(epilog="Exit codes: 0 valid, 1 a warning (with --strict), 2 not valid.")
def validate(
    notice: NoticeArgument,
    overlay: Overlays = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there is a warning.")] = False,
    form: TextOption = TextFormat.text,
) -> None:
    """Read a notice file, and its overlays, and report every fault at once, each with its line and what to write.

    Of a valid notice it warns of what is probably not meant, such as a source that may serve no purpose.
    """
    with reporting():
        try:
            loaded_notice = read_notice(notice, overlay or ())
        except NoticeError as error:
            if form is TextFormat.text:
                raise
            faults = list(map(_fault_data, error.faults))
            print(json_text({"valid": False, "file": error.origin, "faults": faults, "warnings": []}), end="")
            raise typer.Exit(BAD_INPUT) from error
        warned = warned_of(loaded_notice, notice, overlay or ())
    if form is TextFormat.json:
        warnings = list(map(_fault_data, warned))
        print(json_text({"valid": True, "file": notice, "faults": [], "warnings": warnings}), end="")
    else:
        for warning in warned:
            complain(err(), "warning", str(warning))
        print(said(f"{notice} is valid: {_summary(loaded_notice)}"))
    if strict and warned:
        raise typer.Exit(NO)


def _fault_data(fault: Fault) -> dict[str, Any]:
    facts = fault._asdict()
    return {"help" if name == "suggestion" else name: fact for name, fact in facts.items()}


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
    """Prints a generated text, writes it to a file, or compares the file with it."""
    if output is None:
        if check:
            raise Problem("`--check` compares a file: name it with `-o FILE`")
        print(text, end="")
    elif not check:
        write(output, text)
    elif differs := difference(output, text):
        complain(err(), "stale", f"{differs}\nrun: {command} -o {output}")
        raise typer.Exit(NO)


def matrix_report(notice: Notice, channel: str | None, language: Language) -> Report:
    """What each source may serve: every purpose and every family, by the channel where one is given.

    What rests on consent is granted for the data of subjects who gave it: `consent` stands there.

    Raises:
        UnknownChannel: the notice names no such channel.
    """
    guard = Guard(notice)
    channel = None if channel is None else notice.channel(channel)
    named = {row.id: row.channels for row in notice.document.purposes}

    def cells(purpose: type[Purpose] | Family) -> dict[str, Cell]:
        return {source.clause: cell(guard.explain(source, purpose, channel)) for source in notice.sources}

    def cell(decision: Decision) -> Cell:
        # Nobody is asked about here, so that nothing but consent is missing from a subject.
        return CONSENT if is_about_the_subject(decision) else decision.allowed

    purposes: list[dict[str, Any]] = [
        {
            "id": purpose.clause,
            "slug": purpose.slug,
            "title": purpose.title[language],
            "channels": _channels_data(named[purpose.clause]),
            "sources": cells(purpose),
        }
        for purpose in notice.purposes
    ]
    families: list[dict[str, Any]] = [
        {
            "name": family.name,
            "slug": family.slug,
            "title": family.title[language],
            "purposes": [member.clause for member in family.members],
            "sources": cells(family),
        }
        for family in notice.families
    ]
    data = {
        "notice": notice.id,
        "revision": notice.revision.isoformat(),
        "channel": channel,
        "sources": [_term(source, language) for source in notice.sources],
        "purposes": purposes,
        "families": families,
    }
    marks = tuple(Column(source.clause, "mark") for source in notice.sources)
    by = f" by {channel}" if channel else ""
    head = f"{notice.id}, revision of {notice.revision}: what may serve each"
    if any(CONSENT in row["sources"].values() for row in (*purposes, *families)):
        by += f" ({CONSENT_MARK}: of subjects who consent to it)"
    rows = tuple(
        (row["id"], row["title"], _channels_text(named[row["id"]]), *row["sources"].values()) for row in purposes
    )
    family_rows = tuple(
        (row["title"], f"{row['name']}: {' '.join(row['purposes'])}", *row["sources"].values()) for row in families
    )
    tables = [
        Table(
            f"{head} purpose{by}",
            (Column("id"), Column("title"), Column("channels", "under", words=True), *marks),
            rows,
        )
    ]
    if families:
        columns = (Column("family"), Column("purposes", "under"), *marks)
        tables.append(Table(f"{head} family{by}", columns, family_rows))
    source_rows = tuple((source.clause, source.slug, source.title[language]) for source in notice.sources)
    tables.append(Table("Sources", (Column("id"), Column("slug"), Column("title")), source_rows))
    return Report(data, tuple(tables))


def _term(term: type[Source], language: Language) -> dict[str, str]:
    return {"id": term.clause, "slug": term.slug, "title": term.title[language]}


def _channels_data(channels: Channels | None) -> dict[str, list[str]] | None:
    if channels is None:
        return None
    return {"closed": list(channels.closed)} if channels.closed else {"open": list(channels.open or ())}


def _channels_text(channels: Channels | None) -> str:
    if channels is None:
        return ""
    return f"by {', '.join(channels.closed)} only" if channels.closed else f"by {', '.join(channels.open or ())}, …"


def decision_data(decision: Decision) -> dict[str, Any]:
    """A decision as JSON values."""
    purpose = decision.purpose
    return {
        "allowed": decision.allowed,
        "sources": [source.clause for source in decision.label],
        "purpose": purpose.name if isinstance(purpose, Family) else purpose.clause,
        "channel": decision.channel,
        "grants": {source.clause: clause for source, clause in decision.grants.items()},
        "reasons": list(decision.reasons),
        "alternatives": [alternative.clause for alternative in decision.alternatives],
    }


app.command("requests", epilog="Exit codes: 0 printed, 1 one is overdue (with --overdue), 2 bad input or no store.")(
    ending(list_requests)
)
app.command("disclose", epilog="Exit codes: 0 written, 2 bad input or no store.")(ending(disclose))
app.command("diff", epilog="Exit codes: 0 printed, 1 such a change is there (with --fail-on), 2 bad input.")(
    ending(diff)
)
app.command("sql", epilog="Exit codes: 0 printed, 1 refused for the purpose, 2 bad input.")(ending(sql))
app.command("lint", epilog="Exit codes: 0 nothing found, 1 a finding, 2 bad input, or a file that cannot be read.")(
    ending(lint_paths)
)
app.command("inventory", epilog="Exit codes: 0 printed, 1 a finding (with --strict), 2 bad input.")(ending(inventory))
app.command("report", epilog="Exit codes: 0 written, 2 bad input or no store.")(ending(report))
app.command(
    "sweep", epilog="Exit codes: 0 listed, or all due is erased, 1 an eraser failed, 2 refused, bad input or no store."
)(ending(sweep))
app.add_typer(ledger_app, name="ledger")
app.add_typer(dbt_app, name="dbt")
app.add_typer(export_app, name="export")
app.add_typer(store_app, name="store")
