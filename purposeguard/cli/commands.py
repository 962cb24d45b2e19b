"""The commands of `purposeguard`, and the table of a notice as a report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from purposeguard.cli.dbt import dbt_app
from purposeguard.cli.diff import diff
from purposeguard.cli.diff_words import BASES
from purposeguard.cli.export import export_app
from purposeguard.cli.files import CommandProblem, difference, list_warnings, read_notice, write
from purposeguard.cli.inventory import inventory
from purposeguard.cli.ledger import ledger_app
from purposeguard.cli.lint.command import lint_paths
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
from purposeguard.cli.render import (
    CONDITIONS,
    CONSENT,
    FORBIDDEN,
    OPT_OUT,
    Cell,
    Column,
    RenderedTable,
    Report,
    complain,
    json_text,
    quote,
    show,
    verdict,
)
from purposeguard.cli.report.command import report
from purposeguard.cli.schema import schema_text
from purposeguard.cli.sql import sql
from purposeguard.cli.store import store_app
from purposeguard.cli.words import Language, begin, change, language, translate
from purposeguard.errors import Fault, NoticeError, UnknownSource
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.codegen import generate
from purposeguard.notice.grants import describe_bases, source_rows
from purposeguard.notice.languages import title_in
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import BasisRow, Channels, bases_by_purpose
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, is_about_the_subject

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
    """Holds the commands."""
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
        named = [name for argument in sources for name in _ids(guard.notice, argument)]
        decision = guard.explain(named, purpose, channel, conditions=condition or ())
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
        Problem: it names two.
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


def _ids(notice: Notice, argument: str) -> list[str]:
    """Return the ids in an argument: a single id, which may contain a comma, or several, separated by commas."""
    with contextlib.suppress(UnknownSource):
        notice.source(argument)
        return [argument]
    return [name.strip() for name in argument.split(",") if name.strip()]


def _texts_of(notice: Notice, decision: Decision) -> Iterator[dict[str, str]]:
    """Yield the notice's own words for a decision: the texts of its sources, purposes, clauses and prohibitions."""
    document, purpose = notice.document, decision.purpose
    sources = {source.clause for source in decision.label}
    purposes = {member.clause for member in (purpose.members if isinstance(purpose, Family) else (purpose,))}
    rows: list[tuple[str, str, object]] = [
        ("source", row.id, row) for row in source_rows(document) if row.id in sources
    ]
    for grant in document.grant:
        own = [("purpose", row.id, row) for row in grant.purpose if row.id in purposes]
        rows += [("clause", grant.clause, grant), *own] if own else []
    forbidden = {id(row): row for pair, row in notice.prohibited.items() if pair[0] in sources and pair[1] in purposes}
    rows += [("prohibition", ", ".join(row.sources), row) for row in forbidden.values()]
    for kind, id_, row in rows:
        text = notice.text(row, language())
        if text is not None:
            yield {"what": kind, "id": id_, "language": text[0], "words": text[1]}


def matrix_report(
    notice: Notice, channel: str | None, language: str, stated: Sequence[str] = (), *, texts: bool = False
) -> Report:
    """Return the report of which source may serve which purpose or family, by `channel` if it is not None.

    What rests on consent is granted for the data of subjects who gave it: `consent` stands there; `opt-out` where it is
    granted until they object; `conditions` where more than what is `stated` must hold; `forbidden` where a prohibition
    denies what may be granted elsewhere. The legal bases stand under the titles, and with `texts` what the notice
    itself says.

    Raises:
        UnknownChannel, UnknownCondition: the notice names no such channel or condition.
    """
    guard = Guard(notice)
    channel = None if channel is None else notice.channel(channel)
    named = {row.id: row for row in notice.document.purposes}
    rows_of = {row.id: row for row in source_rows(notice.document)}
    stated_on = bases_by_purpose(notice.document)

    def cells(purpose: type[Purpose] | Family) -> dict[str, Cell]:
        return {
            source.clause: cell(source, guard.explain(source, purpose, channel, conditions=[*stated]))
            for source in notice.sources
        }

    def cell(source: type[Source], decision: Decision) -> Cell:
        # The question names no subject, so only consent can be missing from one.
        if decision or is_about_the_subject(decision):
            return decision.allowed or (OPT_OUT if decision.reason is DenialReason.SUBJECT else CONSENT)
        if decision.reason is DenialReason.CONDITION:
            return CONDITIONS
        members = decision.purpose.members if isinstance(decision.purpose, Family) else (decision.purpose,)
        forbidden = all((source.clause, member.clause) in notice.prohibited for member in members)
        return FORBIDDEN if forbidden else False

    def text_under(row: Mapping[str, Any]) -> str:
        return row["text"]["words"] if texts and "text" in row else ""

    purposes: list[dict[str, Any]] = [
        {
            "id": purpose.clause,
            "slug": purpose.slug,
            "title": title_in(purpose.title, language),
            "channels": _channels_data(named[purpose.clause].channels),
            "basis": _basis_text(stated_on[purpose.clause]) or None,
            "sources": cells(purpose),
            **_text_data(notice, named[purpose.clause], language),
        }
        for purpose in notice.purposes
    ]
    families: list[dict[str, Any]] = [
        {
            "name": family.name,
            "slug": family.slug,
            "title": title_in(family.title, language),
            "purposes": [member.clause for member in family.members],
            "sources": cells(family),
        }
        for family in notice.families
    ]
    data: dict[str, Any] = {
        "notice": notice.id,
        "revision": notice.revision.isoformat(),
        "channel": channel,
        "sources": [
            _term(source, language) | _text_data(notice, rows_of[source.clause], language) for source in notice.sources
        ],
        "purposes": purposes,
        "families": families,
    }
    by = f" by {channel}" if channel else ""
    head = f"{notice.id}, revision of {notice.revision}: what may serve each"
    marks = [(Column(source.clause, "mark", data=True), partial(_mark, source.clause)) for source in notice.sources]
    tables = [
        RenderedTable.of(
            f"{head} purpose{by}",
            purposes,
            (Column("id"), itemgetter("id")),
            (Column("title"), itemgetter("title")),
            (Column("channels", "under", words=True), lambda row: _channels_text(named[row["id"]].channels)),
            (Column("basis", "under", words=True), lambda row: f"rests on {row['basis']}" if row["basis"] else ""),
            (Column("text", "under"), text_under),
            *marks,
        )
    ]
    if families:
        purposes_under = (Column("purposes", "under"), lambda row: f"{row['name']}: {' '.join(row['purposes'])}")
        tables.append(
            RenderedTable.of(
                f"{head} family{by}", families, (Column("family"), itemgetter("title")), purposes_under, *marks
            )
        )
    terms = [(Column(name), itemgetter(name)) for name in ("id", "slug", "title")]
    tables.append(RenderedTable.of("Sources", data["sources"], *terms, (Column("text", "under"), text_under)))
    return Report(data, tuple(tables))


def _mark(source: str, row: Mapping[str, Any]) -> Cell:
    cell: Cell = row["sources"][source]
    return cell


def _basis_text(rows: tuple[BasisRow, ...]) -> str:
    """Return the legal bases of a purpose in words; empty if the notice states none."""
    (row, *others) = rows
    alone = not others and row.sources is None and not row.when and not row.opt_out
    return (BASES[row.basis] if row.basis else "") if alone else describe_bases(rows)


def _text_data(notice: Notice, row: object, language: str) -> dict[str, dict[str, str]]:
    """Return the notice's own words in a row, with their language; empty if the row has no words."""
    text = notice.text(row, language)
    return {} if text is None else {"text": dict(zip(("language", "words"), text, strict=True))}


def _term(term: type[Source], language: str) -> dict[str, str]:
    return {"id": term.clause, "slug": term.slug, "title": title_in(term.title, language)}


def _channels_data(channels: Channels | None) -> dict[str, list[str]] | None:
    if channels is None:
        return None
    return {"closed": list(channels.closed)} if channels.closed else {"open": list(channels.open or ())}


def _channels_text(channels: Channels | None) -> str:
    if channels is None:
        return ""
    return f"by {', '.join(channels.closed)} only" if channels.closed else f"by {', '.join(channels.open or ())}, …"


def decision_data(decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON values."""
    purpose = decision.purpose
    return {
        "allowed": decision.allowed,
        "sources": [source.clause for source in decision.label],
        "purpose": purpose.name if isinstance(purpose, Family) else purpose.clause,
        "channel": decision.channel,
        **({"conditions": sorted(decision.context.conditions)} if decision.context.conditions else {}),
        "grants": {source.clause: clause for source, clause in decision.grants.items()},
        "reasons": list(decision.reasons),
        "alternatives": [alternative.clause for alternative in decision.alternatives],
    }


app.command("new", epilog="Exit codes: 0 written, 2 bad input.")(ending(new))
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
