"""The commands about subjects: requests, disclosure, and retention."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from purposeguard.cli.application import find
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem, write
from purposeguard.cli.options import (
    Imports,
    Output,
    TableOption,
    err,
    needing,
    out,
    read_notice_for_store,
    store_of,
    valid_input,
)
from purposeguard.cli.render import Report, complain, show
from purposeguard.cli.words import language, learn_titles, translate
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import LegalPeriod, Period
from purposeguard.notice.several import Notices

with Needs(__name__, "cli"):
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from purposeguard.governance import Governance, Overview, Request, Store
    from purposeguard.governance.retention import Due, Erased, Plan, RetentionJob, RetentionOutcome


Page = Literal["html", "json"]
"""The format of a report."""


Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An application's governance, or a guard that has one, e.g. `shop.privacy:governance`; or a store, by its "
        "URL or the path of its SQLite file.",
    ),
]
Of = Annotated[
    str | None,
    typer.Option(
        "--notice",
        metavar="NOTICE",
        help="Of a store: a TOML file or a bundled notice, in place of the one on record.",
    ),
]


def list_requests(
    target: Target,
    *,
    pending: Annotated[bool, typer.Option("--open", help="Only those that are yet to be answered.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only overdue ones; exit 1 where there is one.")] = False,
    notice: Of = None,
    imports: Imports = None,
    form: TableOption = "table",
) -> bool:
    """List what subjects have asked for and is yet to be answered, by deadline, overdue ones first (clause 7)."""
    with open_governance(target, notice, imports or ()) as governance:
        overview = governance.requests.overview()
    show(requests_report(overview, "overdue" if overdue else "open" if pending else None), form, out())
    return not (overdue and overview.overdue)


def disclose(
    target: Target,
    *,
    subject: Annotated[str, typer.Option("--subject", metavar="ID", help="Whose data.")],
    values: Annotated[bool, typer.Option("--values", help="Show the values held, not only that they are.")] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who approves it; needed for values.")] = None,
    request: Annotated[int | None, typer.Option("--request", metavar="NO", help="The request that it answers.")] = None,
    notice: Of = None,
    imports: Imports = None,
    form: Annotated[Page, typer.Option("--format", help="How to write it.")] = "html",
    output: Output = None,
) -> bool:
    """Write the report about one person: what is held, for which purposes, to whom it was provided, who answers.

    Only an application knows what is held; for a store, the report contains requests, consents and
    hand-overs. The page prints on A4 and needs nothing but itself.
    """
    if values and by is None:
        raise CommandProblem("values are shown on somebody's approval, which is put on record: name who, `--by NAME`")
    with open_governance(target, notice, imports or ()) as governance, valid_input():  # `disclose` refuses a bad id.
        report = governance.disclose(
            subject,
            by=by or "purposeguard disclose",
            language=language().value,
            values=values,
            request=request,
        )
    text = report.to_html() if form == "html" else report.to_json()
    if output is None:
        print(text, end="")
    else:
        write(output, text, private=True)
    return True


def open_governance(
    target: str, notice: str | None, imports: Iterable[str] = ()
) -> contextlib.AbstractContextManager[Governance]:
    """Open the governance of an application, `MODULE:NAME`, or one over a store that is named by its URL or its file.

    An application has its own notice. That of a store is chosen by `read_notice_for_store`.

    Raises:
        CommandProblem: there is none, or its libraries are not installed.
        StoreUnavailable: the store cannot be opened.
    """
    if "://" in target or Path(target).is_file():
        return _governance_in(target, notice)
    if notice is not None:
        raise CommandProblem(
            f"`--notice {notice}` is for a store: an application, such as `{target}`, has its own notice"
        )
    if ":" not in target:
        raise CommandProblem(
            f"there is no file `{target}`: give the file of a store, its URL, or where an application has its "
            "governance, e.g. `shop.privacy:governance`"
        )
    return contextlib.nullcontext(governance_of(target, imports, "a Governance, a guard that has one, or a store"))


@contextlib.contextmanager
def _governance_in(target: str, notice: str | None) -> Generator[Governance]:
    with (
        store_of(target) as store,
        governance_over(store, read_notice_for_store(store, notice), recorded=False) as governance,
    ):
        yield governance


def governance_over(store: Store, notice: Notice | History | Notices, *, recorded: bool) -> Governance:
    """Return governance over an open store, which records the notices of applications only.

    Args:
        store: The store.
        notice: The notice, its history, or several notices.
        recorded: True to put uses in the ledger of the store.
    """
    from purposeguard.governance import Governance  # noqa: PLC0415  # needs the extra `governance`, as the store did

    return Governance(store, notice=notice, ledger=None if recorded else False, record_notice=False)


def governance_of(target: str, imports: Iterable[str], wanted: str) -> Governance:
    """Return the governance `MODULE:NAME`, or that of the guard of this name.

    Raises:
        CommandProblem: a module cannot be imported, or there is no such governance.
    """
    with needing("governance", "requests need"):
        from purposeguard.governance import Governance  # noqa: PLC0415  # needs the extra `governance`
    application = find(target, imports)
    governance = application.governance if isinstance(application, Guard) else application
    if not isinstance(governance, Governance):
        kind = "a guard without governance" if governance is None else f"a {type(application).__name__}"
        raise CommandProblem(f"`{target}` is {kind}: name {wanted}")
    learn_titles(governance.notice)
    return governance


def requests_report(overview: Overview, only: str | None) -> Report:
    """Return the report of requests: `only` the open or overdue ones, or None for the open ones with counts of all."""
    listed = overview.overdue if only == "overdue" else overview.pending
    columns = _request_columns(overview)
    counts = [_RequestCount(kind, state, number) for (kind, state), number in overview.counts.items()]
    data: dict[str, Any] = {
        "as_of": overview.as_of.isoformat(),
        "today": overview.today.isoformat(),
        "overdue": len(overview.overdue),
        "counts": list_rows(REQUEST_COUNTS, counts),
        "requests": list_rows(columns, listed),
    }
    head = "Overdue" if only == "overdue" else "To be answered"
    tables = [make_table(f"{head} on {overview.today} ({len(listed)})", columns, listed)]
    if only is None:
        tables.append(make_table("All requests", REQUEST_COUNTS, counts))
    return Report(data, tuple(tables))


class _RequestCount(NamedTuple):
    """The number of requests of one kind that are in one state."""

    kind: str
    state: str
    number: int


REQUEST_COUNTS: Final[tuple[ReportColumn[_RequestCount], ...]] = (
    ReportColumn("kind", lambda counted: counted.kind, "request", kind="group", words=True),
    ReportColumn("state", lambda counted: counted.state, "state", words=True),
    ReportColumn("count", lambda counted: counted.number, "number"),
)


def _request_columns(overview: Overview) -> tuple[ReportColumn[Request], ...]:
    """Return the columns of requests. `overdue` and the text of `due_on` depend on the day of the overview."""
    return (
        ReportColumn("id", lambda request: request.id, "no."),
        ReportColumn("kind", lambda request: request.kind, "request", words=True),
        ReportColumn("state", lambda request: request.state, "state", words=True),
        ReportColumn(
            "requester",
            lambda request: request.requester,
            text=lambda request: f"by {request.requester}",
            under="due_on",
            words=True,
        ),
        ReportColumn("subject", lambda request: request.subject, "subject", lambda request: request.subject or "-"),
        ReportColumn(
            "purposes",
            lambda request: None if request.purposes is None else list(request.purposes),
            text=lambda request: " ".join(request.purposes or ()),
            under="kind",
        ),
        ReportColumn(
            "received_at",
            lambda request: request.received_at.isoformat(),
            "received",
            lambda request: f"{request.received_at:%Y-%m-%d}",
        ),
        ReportColumn(
            "due_on",
            lambda request: None if request.due_on is None else request.due_on.isoformat(),
            "answer by",
            lambda request: _deadline(request, overview),
            kind="verdict",
        ),
        ReportColumn("overdue", lambda request: request.overdue(overview.today)),
        ReportColumn("extended", lambda request: request.extended),
        ReportColumn("suspended_meanwhile", lambda request: request.interim is not None),
    )


def _deadline(request: Request, overview: Overview) -> str:
    if request.due_on is None:
        return "-"
    since = "OVERDUE since " if request.overdue(overview.today) else ""
    put_off = ", put off" if request.extended else ""
    return f"{since}{request.due_on}{put_off}"


def sweep(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="Where the governance is, or a guard that has one, e.g. `shop.privacy:governance`.",
        ),
    ],
    imports: Imports = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Erase what is due; without it, it is listed only.")] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="How much an eraser is given at a time.")] = 500,
    max_share: Annotated[
        float,
        typer.Option("--max-share", min=0, max=1, help="Erase nothing where more of what an eraser knows is due."),
    ] = 0.1,
    form: TableOption = "table",
) -> bool:
    """List what may be kept no longer, or erase it, by the erasers of an application (clause 8).

    Nothing is erased where more is due than `--max-share`: a clock or a period may be wrong. A sweep that was cut short
    is resumed. Erasers that fail, and periods that no eraser serves, go to standard error.
    """
    job = governance_of(target, imports or (), "a Governance, or a guard that has one").retention
    plan = job.plan()
    report = plan_report(plan)
    if not apply or form == "table":
        show(report, form, out())
    good = not any(part.problem for part in plan.parts)
    warnings = list(report.warnings)
    if apply:
        outcome = run_sweep(job, plan, batch, max_share, err())
        report = outcome_report(outcome)
        show(report, form, out())
        good, warnings = outcome.good, [*plan_report(plan).warnings[: len(plan.unserved)], *report.warnings]
    for warning in warnings:
        complain(err(), "finding", warning)
    if not apply and plan.count and form == "table":
        print(translate("Nothing was erased: `--apply` erases what is due."))
    return good


def plan_report(plan: Plan) -> Report:
    """Return the report of what is due, by eraser."""
    unserved: list[dict[str, Any]] = []
    warnings: list[str] = []
    for period in plan.unserved:
        unserved.append({"source": period.source, "days": period.days, "from": period.from_})
        warnings.append(f"no eraser serves the period of {period.source}, {_period_text(period)}")
    data = {
        "today": plan.today.isoformat(),
        "resumes": plan.resumes,
        "due": plan.count,
        "erasers": list_rows(DUE, plan.parts),
        "unserved": unserved,
    }
    resuming = f", resuming sweep {plan.resumes}" if plan.resumes is not None else ""
    table = make_table(f"Due on {plan.today}{resuming} ({plan.count:,})", DUE, plan.parts)
    return Report(data, (table,), (*warnings, *_iter_problems(plan.parts)))


def outcome_report(outcome: RetentionOutcome) -> Report:
    """Return the report of what was erased, by eraser."""
    data = {
        "sweep": outcome.number,
        "ended": outcome.ended,
        "good": outcome.good,
        "erasers": list_rows(ERASED, outcome.parts),
    }
    title = f"Sweep {outcome.number}" + ("" if outcome.ended else ", to be resumed")
    warnings = [*_iter_problems(outcome.parts), *_iter_failures(outcome.parts)]
    return Report(data, (make_table(title, ERASED, outcome.parts),), tuple(warnings))


def _iter_problems(parts: Iterable[Due | Erased]) -> Iterator[str]:
    """Yield the problems of erasers."""
    for part in parts:
        if part.problem:
            yield f"eraser {part.eraser}: {part.problem}"


def _iter_failures(parts: Iterable[Erased]) -> Iterator[str]:
    """Yield the erasers that left something that is due."""
    for part in parts:
        if part.left:
            yield f"eraser {part.eraser}: something is still due after it was erased"


def run_sweep(sweep: RetentionJob, plan: Plan, batch: int, max_share: float, console: Console) -> RetentionOutcome:
    """Erase what is due, with a progress bar for each eraser on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars: dict[str, TaskID] = {}
        for part in plan.parts:
            bars[part.eraser] = progress.add_task(part.eraser, total=part.count + part.pending)

        def advance(eraser: str, count: int) -> None:
            progress.advance(bars[eraser], count)

        return sweep.run(batch=batch, max_share=max_share, told=advance)


def _period_text(period: Period | LegalPeriod | None) -> str:
    if period is None:
        return "no period is set"
    days = "1 day" if period.days == 1 else f"{period.days:,} days"
    return f"{days} from {'collection' if period.from_ == 'collection' else 'the end of use'}"


def _due_text(due: Due) -> str:
    under_way = f" and {due.pending:,} under way" if due.pending else ""
    return f"{due.count:,} of {due.known:,}{under_way}"


def _erasure_text(part: Erased) -> str:
    if part.problem:
        return "FAILED"
    return "something is left" if part.left else "done"


DUE: Final[tuple[ReportColumn[Due], ...]] = (
    ReportColumn("eraser", lambda part: part.eraser, "eraser"),
    ReportColumn(
        "sources", lambda part: list(part.sources), text=lambda part: " ".join(part.sources) or "-", under="eraser"
    ),
    ReportColumn("period", heading="kept for", text=lambda part: _period_text(part.period), words=True),
    ReportColumn("days", lambda part: None if part.period is None else part.period.days),
    ReportColumn("from", lambda part: None if part.period is None else part.period.from_),
    ReportColumn(
        "before",
        lambda part: None if part.before is None else part.before.isoformat(),
        "erased if before",
        lambda part: "-" if part.before is None else part.before.isoformat(),
    ),
    ReportColumn("due", lambda part: part.count, "due", _due_text, words=True),
    ReportColumn("known", lambda part: part.known),
    ReportColumn("pending", lambda part: part.pending),
    ReportColumn("problem", lambda part: part.problem, text=lambda part: part.problem or "", under="due", words=True),
)
"""The columns of what is due, by eraser."""

ERASED: Final[tuple[ReportColumn[Erased], ...]] = (
    ReportColumn("eraser", lambda part: part.eraser, "eraser"),
    ReportColumn(
        "sources", lambda part: list(part.sources), text=lambda part: " ".join(part.sources) or "-", under="eraser"
    ),
    ReportColumn("erased", lambda part: part.done, "erased", lambda part: f"{part.done:,}"),
    ReportColumn("left", lambda part: part.left, "outcome", _erasure_text, words=True),
    ReportColumn("problem", lambda part: part.problem, text=lambda part: part.problem or "", under="left", words=True),
)
"""The columns of what was erased, by eraser."""
