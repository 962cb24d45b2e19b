"""The command `purposeguard inventory`: the declarations of an application, expected refusals, and findings."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, NamedTuple

from purposeguard.adoption.summary import Summary
from purposeguard.cli.adopt.project import EvidenceOption, has_evidence, read_summary
from purposeguard.cli.application import clauses_of, find_guard, package_of
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.forecasts import ForecastOutcome, Forecasts, TableOutcome
from purposeguard.cli.options import Imports, TableOption, err, out
from purposeguard.cli.render import RenderedTable, Report, complain, show
from purposeguard.containers import map_values
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.policy.explanation import format_term
from purposeguard.policy.transfers import Recipient, list_objections
from purposeguard.project.directory import find_directory
from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification
from purposeguard.runtime.registry import Access, Activity, TaggedTable

with Needs(__name__, "cli"):
    import typer


def inventory(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:GUARD", help="Where the guard is, e.g. `shop.privacy:guard`.")
    ],
    imports: Imports = None,
    evidence: EvidenceOption = None,
    form: TableOption = "table",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where there is a finding.")] = False,
) -> bool:
    """List an application's activities, access functions and tables, and what comes of each using each.

    Imports the application's modules and runs nothing else of it. Listed is what decorators declare in the modules
    imported. Findings, such as an activity that may read nothing, go to standard error. With evidence, each activity
    has the number of its observed reads.
    """
    guard = find_guard(target, imports or ())
    directory = find_directory()
    summary = read_summary(directory, guard, evidence) if has_evidence(directory, evidence) else None
    report = inventory_report(guard, summary)
    show(report, form, out())
    for warning in report.warnings:
        complain(err(), "finding", warning)
    return not (strict and report.warnings)


def inventory_report(guard: Guard, summary: Summary | None = None) -> Report:
    """Return the report on activities, access functions, and what happens if each activity calls each function.

    Args:
        guard: The guard.
        summary: The evidence of the application, if there is some.
    """
    forecasts = Forecasts(guard, guard.activities)
    columns = _InventoryColumns(guard, forecasts, None if summary is None else _count_reads(summary))
    findings = list(_findings(guard, forecasts))
    data: dict[str, Any] = {
        "notice": guard.notice.id,
        "revision": guard.notice.revision.isoformat(),
        "mode": guard.mode,
        "activities": list_rows(columns.activities(), guard.activities),
        "accesses": list_rows(columns.accesses(), guard.accesses),
        "entrustments": list_rows(columns.entrustments(), guard.entrustments),
        "combinations": list_rows(columns.calls(), forecasts.calls),
        "tables": list(map(_table_data, guard.tables)),
        "table_uses": list_rows(columns.table_uses(), forecasts.tables),
        "reclassifications": list_rows(columns.reclassifications(), guard.reclassifications),
        "strict": guard.strict,
        "transforms": list_rows((NAME, *PLACE), guard.transforms),
        "findings": findings,
    }
    return Report(data, tuple(_tables(guard, forecasts, columns)), tuple(findings))


def _tables(guard: Guard, forecasts: Forecasts, columns: _InventoryColumns) -> Iterator[RenderedTable]:
    """Yield the tables, without the common package of all names."""
    within = f" in {columns.package.rstrip('.')}" if columns.package else ""
    yield make_table(f"Activities{within} ({len(guard.activities)})", columns.activities(), guard.activities)
    yield make_table(f"Access functions{within} ({len(guard.accesses)})", columns.accesses(), guard.accesses)
    if guard.tables:
        yield make_table(f"Tables ({len(guard.tables)})", TAGGED_COLUMNS, _list_tagged_columns(guard))
    if guard.entrustments:
        title = f"Hand-overs{within} ({len(guard.entrustments)})"
        yield make_table(title, columns.entrustments(), guard.entrustments)
    if guard.reclassifications:
        title = f"Reclassifications{within} ({len(guard.reclassifications)})"
        yield make_table(title, columns.reclassifications(), guard.reclassifications)
    yield make_table("If this activity calls this access function", columns.calls(), forecasts.calls)
    if guard.tables:
        yield make_table("If this activity uses this table", columns.table_uses(), forecasts.tables)


# ---- Columns --------------------------------------------------------------------------------------------------------


NAME: Final[ReportColumn[Any]] = ReportColumn("name", lambda declared: declared.name)
PLACE: Final[tuple[ReportColumn[Any], ...]] = (
    ReportColumn("module", lambda declared: declared.site.module),
    ReportColumn("qualname", lambda declared: declared.site.qualname),
    ReportColumn("line", lambda declared: declared.site.line),
)
"""Where something is declared; a table shows it in one column."""


@dataclasses.dataclass
class _ObservedReads:
    """The observed uses of an activity: the numbers of reads and of refusals, and the last day."""

    times: int = 0
    denials: int = 0
    last: datetime.date | None = None


def _count_reads(summary: Summary) -> dict[tuple[str, str], _ObservedReads]:
    """Count the observed uses of each activity, by its name and purpose."""
    reads: dict[tuple[str, str], _ObservedReads] = {}
    for use in summary.uses:
        observed = reads.setdefault((use.key.activity, use.key.purpose), _ObservedReads())
        observed.times += use.times
        observed.denials += use.denials.total()
        observed.last = use.last if observed.last is None else max(observed.last, use.last)
    return reads


def _format_day(day: datetime.date | None) -> str | None:
    return None if day is None else day.isoformat()


class _InventoryColumns:
    """The columns of each list of the report. Tables show names without the package that all of them share."""

    def __init__(
        self, guard: Guard, forecasts: Forecasts, reads: Mapping[tuple[str, str], _ObservedReads] | None
    ) -> None:
        self._unread = forecasts.unread
        self._reads = reads
        self.package = package_of(guard)

    def activities(self) -> tuple[ReportColumn[Activity], ...]:
        """Return the columns of activities."""
        return (
            self._name("activity"),
            *PLACE,
            self._where(),
            ReportColumn("purpose", lambda activity: activity.purpose_id),
            ReportColumn("slug", lambda activity: activity.purpose.slug, "purpose"),
            ReportColumn("ids", text=lambda activity: " ".join(clauses_of(activity.purpose)), under="slug"),
            ReportColumn(
                "channel", lambda activity: activity.channel, "channel", lambda activity: activity.channel or "-"
            ),
            ReportColumn("conditions", lambda activity: sorted(activity.conditions) or None, optional=True),
            ReportColumn("mode", lambda activity: "observe" if activity.observing else "enforce", "mode", words=True),
            *self._iter_columns_of_reads(),
        )

    def _iter_columns_of_reads(self) -> Iterator[ReportColumn[Activity]]:
        """Yield the columns of observed reads, if there is evidence."""
        if self._reads is None:
            return
        reads = self._reads

        def find(activity: Activity) -> _ObservedReads:
            return reads.get((activity.name, activity.purpose_id), _ObservedReads())

        yield ReportColumn("reads", lambda activity: find(activity).times, "observed reads")
        yield ReportColumn("denials", lambda activity: find(activity).denials)
        yield ReportColumn("last", lambda activity: _format_day(find(activity).last))

    def accesses(self) -> tuple[ReportColumn[Access], ...]:
        """Return the columns of access functions."""
        return (
            self._name("access function"),
            *PLACE,
            self._where(),
            ReportColumn("sources", _clauses, "sources", _sources_text, words=True),
            ReportColumn("fields", lambda access: _clauses_by_path(access.fields)),
            ReportColumn("sealed", lambda access: _clauses_by_path(access.sealed)),
            ReportColumn(
                "withhold",
                lambda access: access.withhold,
                "withholds",
                lambda access: "yes" if access.withhold else "no",
                words=True,
            ),
            ReportColumn("unresolved", lambda access: self._unread.get(access.site)),
        )

    def entrustments(self) -> tuple[ReportColumn[EntrustmentDeclaration], ...]:
        """Return the columns of functions that hand data over."""
        return (
            self._name("function"),
            *PLACE,
            self._where(),
            ReportColumn("recipient", lambda entrustment: entrustment.recipient_id, "recipient"),
            ReportColumn("party", text=_party, under="recipient", words=True),
            ReportColumn("kind", lambda entrustment: _of_recipient(entrustment, "kind")),
            ReportColumn("country", lambda entrustment: _of_recipient(entrustment, "country")),
            ReportColumn("sources", _clauses, "sources", lambda entrustment: " ".join(_clauses(entrustment) or ["?"])),
            ReportColumn("means", _means, "means", lambda entrustment: _means(entrustment) or "-"),
            ReportColumn("product", lambda entrustment: entrustment.product),
            ReportColumn("task", lambda entrustment: entrustment.task),
        )

    def reclassifications(self) -> tuple[ReportColumn[Reclassification], ...]:
        """Return the columns of functions that change a label."""
        return (
            ReportColumn(
                "name",
                lambda declared: declared.name,
                "declared",
                lambda declared: declared.name.removeprefix(self.package),
                words=True,
            ),
            *PLACE,
            self._where(),
            ReportColumn(
                "from",
                lambda declared: list_term_ids(declared.sources),
                "from",
                lambda declared: " ".join(list_term_ids(declared.sources)),
            ),
            ReportColumn(
                "to",
                lambda declared: list_term_ids(declared.to),
                "to",
                lambda declared: " ".join(list_term_ids(declared.to)),
            ),
            ReportColumn("why", lambda declared: declared.why, under="approver"),
            ReportColumn(
                "approver", lambda declared: declared.approver, "approved by", lambda declared: declared.approver or "-"
            ),
        )

    def calls(self) -> tuple[ReportColumn[ForecastOutcome], ...]:
        """Return the columns of the outcomes of activities that call access functions."""
        return (
            self._make_activity_column(),
            ReportColumn(
                "access",
                lambda outcome: outcome.access.name,
                "access function",
                lambda outcome: self._shorten(outcome.access),
            ),
            ReportColumn("outcome", lambda outcome: outcome.verdict, "outcome", _outcome_text, kind="verdict"),
            ReportColumn("enforced", lambda outcome: not outcome.activity.observing),
            ReportColumn("withheld", lambda outcome: list(outcome.fields)),
            ReportColumn("closed", lambda outcome: list(outcome.closed)),
            ReportColumn("reasons", lambda outcome: list(outcome.reasons), text=_why, under="outcome", words=True),
        )

    def table_uses(self) -> tuple[ReportColumn[TableOutcome], ...]:
        """Return the columns of the outcomes of activities that use tables."""
        return (
            self._make_activity_column(),
            ReportColumn("table", lambda outcome: outcome.table.name, "table"),
            ReportColumn(
                "refused", lambda outcome: list(outcome.refused), "outcome", _table_outcome_text, kind="verdict"
            ),
            ReportColumn("enforced", lambda outcome: not outcome.activity.observing),
            ReportColumn("reasons", lambda outcome: list(outcome.reasons), text=_why, under="refused", words=True),
        )

    def _name(self, heading: str) -> ReportColumn[Any]:
        return ReportColumn("name", lambda declared: declared.name, heading, self._shorten)

    def _make_activity_column(self) -> ReportColumn[Any]:
        """Return the column of the activities of outcomes."""
        return ReportColumn(
            "activity",
            lambda outcome: outcome.activity.name,
            "activity",
            lambda outcome: self._shorten(outcome.activity),
            kind="group",
        )

    def _where(self) -> ReportColumn[Any]:
        return ReportColumn("where", text=self._place, under="name", words=True)

    def _shorten(self, declared: Activity | Access | EntrustmentDeclaration) -> str:
        return declared.name.removeprefix(self.package) if declared.name == declared.site.dotted else declared.name

    def _place(self, declared: Any) -> str:
        """Return the line of a declaration, behind its place in the code where its name is another one."""
        site = declared.site
        line = f"line {site.line}"
        return line if declared.name == site.dotted else f"{site.dotted.removeprefix(self.package)}, {line}"


class _TaggedColumn(NamedTuple):
    """A tagged column of a table; `table` is empty behind the first one."""

    table: str
    column: str
    label: Label


TAGGED_COLUMNS: Final[tuple[ReportColumn[_TaggedColumn], ...]] = (
    ReportColumn("table", lambda tagged: tagged.table, "table"),
    ReportColumn("column", lambda tagged: tagged.column, "column"),
    ReportColumn("sources", heading="sources", text=lambda tagged: " ".join(list_term_ids(tagged.label))),
)
"""The columns of the table of tables, with a row for each column; the JSON output has an object for each table."""


def _list_tagged_columns(guard: Guard) -> Iterator[_TaggedColumn]:
    for table in guard.tables:
        for place, (column, label) in enumerate(table.columns):
            yield _TaggedColumn("" if place else table.name, column, label)


def _table_data(table: TaggedTable) -> dict[str, Any]:
    return {"name": table.name, "columns": _clauses_by_path(dict(table.columns))}


def _clauses(declared: Access | EntrustmentDeclaration) -> list[str] | None:
    return None if declared.label is None else list_term_ids(declared.label)


def _clauses_by_path(labels: Mapping[str, Label]) -> dict[str, list[str]]:
    return map_values(list_term_ids, labels)


def _of_recipient(entrustment: EntrustmentDeclaration, name: Literal["kind", "country", "means"]) -> str | None:
    """Return a fact about a recipient; None if it is one of the register, which is not known before the call."""
    recipient = entrustment.recipient
    value: str | None = getattr(recipient, name) if isinstance(recipient, Recipient) else None
    return value


def _means(entrustment: EntrustmentDeclaration) -> str | None:
    return entrustment.means or _of_recipient(entrustment, "means")


def _table_outcome_text(outcome: TableOutcome) -> str:
    note = " (observed: logged only)" if outcome.activity.observing else ""
    return f"refused {', '.join(outcome.refused)}{note}" if outcome.refused else "allowed"


def _party(entrustment: EntrustmentDeclaration) -> str:
    party = entrustment.recipient
    return f"{party.kind}, {party.country}" if isinstance(party, Recipient) else "as on the register"


def _sources_text(access: Access) -> str:
    """Return the sources that an access function reads, sealed ones in brackets."""
    words = _clauses(access) or ([] if access.sealed else ["?"])
    sealed: dict[str, None] = {}
    for label in access.sealed.values():
        sealed |= dict.fromkeys(list_term_ids(label))
    if sealed:
        words = [*words, f"(sealed: {' '.join(sealed)})"]
    return " ".join(words)


def _why(outcome: ForecastOutcome | TableOutcome) -> str:
    """Return the reasons, shortened: without the purpose, and with ungranted sources in one list."""
    start = "no clause grants it to "
    clauses: list[str] = []
    others: list[str] = []
    for reason in outcome.reasons:
        short = reason.replace(format_term(outcome.activity.purpose), "it")
        if short.startswith(start):
            clauses.append(short.removeprefix(start))
        else:
            others.append(short)
    if clauses:
        others.insert(0, start + ", ".join(clauses))
    return "; ".join(others)


def _outcome_text(outcome: ForecastOutcome) -> str:
    if outcome.verdict == "refused":
        return "REFUSED (observed: logged only)" if outcome.activity.observing else "REFUSED"
    if outcome.verdict == "withheld":
        note = " (observed: kept)" if outcome.activity.observing else ""
        return f"withheld {', '.join(outcome.fields)}{note}"
    closed = ", ".join(outcome.closed)
    return f"{outcome.verdict}; may not open {closed}" if closed else outcome.verdict


def _findings(guard: Guard, forecasts: Forecasts) -> Iterator[str]:
    """Yield probable mistakes: code that cannot work under this notice."""
    hand_overs = set(map(attrgetter("site"), guard.entrustments))
    for site, why in forecasts.unread.items():
        kind = "hand-over" if site in hand_overs else "access function"
        yield f"{kind} {site.dotted}: its sources are not known: {why}"
    starved, silent = forecasts.find_starved(), forecasts.silent()
    for activity in guard.activities:
        if activity in starved:
            yield f"activity {activity.name}: every access function would be refused to it"
        if activity in silent:
            yield f"activity {activity.name}: {activity.purpose.slug} names its channels, and it states none"
    for entrustment in guard.entrustments:
        yield from _explain_refusal(guard, entrustment)
    for access in forecasts.idle():
        yield f"access function {access.name}: every activity would be refused it"
    used = set(map(attrgetter("table"), forecasts.used_tables))
    for table in guard.tables:
        if guard.activities and table not in used:
            yield f"table {table.name}: every activity would be refused all its tagged columns"


def _explain_refusal(guard: Guard, entrustment: EntrustmentDeclaration) -> Iterator[str]:
    """Yield the reasons for which a function would hand over nothing today, as far as known without a call."""
    if isinstance(entrustment.recipient, Recipient):
        means = entrustment.means or entrustment.recipient.means
        document = guard.notice.document
        today = to_local_day(document.timezone, guard.engine.clock.now())
        for why in list_objections(
            document,
            entrustment.recipient,
            means=means,
            product=entrustment.product,
            task=entrustment.task,
            today=today,
        ):
            yield f"hand-over {entrustment.name}: {why}"
    label, activities = entrustment.label, guard.activities
    if label is not None and activities and not any(guard.allows(label, a.purpose, a.channel) for a in activities):
        yield f"hand-over {entrustment.name}: it would be refused to every activity"
