"""The command `purposeguard inventory`: the declarations of an application, expected refusals, and findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from purposeguard.cli.application import ForecastOutcome, Forecasts, TableOutcome, clauses_of, find_guard, package_of
from purposeguard.cli.options import Imports, TableOption, err, out
from purposeguard.cli.render import Column, RenderedTable, Report, complain, show
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.retention import to_local_day
from purposeguard.policy.explanation import format_term
from purposeguard.policy.transfers import Recipient, list_objections
from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification
from purposeguard.runtime.registry import Access, Activity, TaggedTable
from purposeguard.runtime.site import Site

with Needs(__name__, "cli"):
    import typer


def inventory(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:GUARD", help="Where the guard is, e.g. `shop.privacy:guard`.")
    ],
    imports: Imports = None,
    form: TableOption = "table",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where there is a finding.")] = False,
) -> bool:
    """List an application's activities, access functions and tables, and what comes of each using each.

    Imports the application's modules and runs nothing else of it. Listed is what decorators declare in the modules
    imported. Findings, such as an activity that may read nothing, go to standard error.
    """
    report = inventory_report(find_guard(target, imports or ()))
    show(report, form, out())
    for warning in report.warnings:
        complain(err(), "finding", warning)
    return not (strict and report.warnings)


def inventory_report(guard: Guard) -> Report:
    """Return the report on activities, access functions, and what happens if each activity calls each function."""
    forecasts = Forecasts(guard, guard.activities)
    data = {
        "notice": guard.notice.id,
        "revision": guard.notice.revision.isoformat(),
        "mode": guard.mode,
        "activities": [_activity_data(activity) for activity in guard.activities],
        "accesses": [_access_data(access, forecasts.unread.get(access.site)) for access in guard.accesses],
        "entrustments": [_entrustment_data(entrustment) for entrustment in guard.entrustments],
        "combinations": [_outcome_data(outcome) for outcome in forecasts.calls],
        "tables": [_table_data(table) for table in guard.tables],
        "table_uses": [_table_outcome_data(outcome) for outcome in forecasts.tables],
        "reclassifications": [_reclassification_data(reclassification) for reclassification in guard.reclassifications],
        "strict": guard.strict,
        "transforms": [{"name": transform.name, **_place(transform.site)} for transform in guard.transforms],
        "findings": (findings := list(_findings(guard, forecasts))),
    }
    return Report(data, tuple(_tables(guard, forecasts)), tuple(findings))


def _mode(activity: Activity) -> str:
    return "observe" if activity.observing else "enforce"


def _place(site: Site) -> dict[str, Any]:
    return {"module": site.module, "qualname": site.qualname, "line": site.line}


def _activity_data(activity: Activity) -> dict[str, Any]:
    return {
        "name": activity.name,
        **_place(activity.site),
        "purpose": activity.purpose_id,
        "slug": activity.purpose.slug,
        "channel": activity.channel,
        **({"conditions": sorted(activity.conditions)} if activity.conditions else {}),
        "mode": _mode(activity),
    }


def _access_data(access: Access, unread: str | None) -> dict[str, Any]:
    return {
        "name": access.name,
        **_place(access.site),
        "sources": _clauses(access),
        "fields": {path: _ids(label) for path, label in access.fields.items()},
        "sealed": {path: _ids(label) for path, label in access.sealed.items()},
        "withhold": access.withhold,
        "unresolved": unread,
    }


def _reclassification_data(reclassification: Reclassification) -> dict[str, Any]:
    return {
        "name": reclassification.name,
        **_place(reclassification.site),
        "from": _ids(reclassification.sources),
        "to": _ids(reclassification.to),
        "why": reclassification.why,
        "approver": reclassification.approver,
    }


def _entrustment_data(entrustment: EntrustmentDeclaration) -> dict[str, Any]:
    recipient = entrustment.recipient if isinstance(entrustment.recipient, Recipient) else None
    return {
        "name": entrustment.name,
        **_place(entrustment.site),
        "recipient": entrustment.recipient_id,
        "kind": recipient.kind if recipient else None,
        "country": recipient.country if recipient else None,
        "sources": _clauses(entrustment),
        "means": entrustment.means or (recipient.means if recipient else None),
        "product": entrustment.product,
        "task": entrustment.task,
    }


def _clauses(declared: Access | EntrustmentDeclaration) -> list[str] | None:
    return None if declared.label is None else _ids(declared.label)


def _ids(label: Label) -> list[str]:
    return [source.clause for source in label]


def _outcome_data(outcome: ForecastOutcome) -> dict[str, Any]:
    return {
        "activity": outcome.activity.name,
        "access": outcome.access.name,
        "outcome": outcome.verdict,
        "enforced": not outcome.activity.observing,
        "withheld": list(outcome.fields),
        "closed": list(outcome.closed),
        "reasons": list(outcome.reasons),
    }


def _table_data(table: TaggedTable) -> dict[str, Any]:
    return {"name": table.name, "columns": {name: _ids(label) for name, label in table.columns}}


def _table_outcome_data(outcome: TableOutcome) -> dict[str, Any]:
    return {
        "activity": outcome.activity.name,
        "table": outcome.table.name,
        "refused": list(outcome.refused),
        "enforced": not outcome.activity.observing,
        "reasons": list(outcome.reasons),
    }


def _tables(guard: Guard, forecasts: Forecasts) -> Iterator[RenderedTable]:
    """Yield the tables, without the common package of all names."""
    package = package_of(guard)
    within = f" in {package.rstrip('.')}" if package else ""

    def where(declared: Any) -> str:
        site = declared.site
        line = f"line {site.line}"
        return line if declared.name == site.dotted else f"{site.dotted.removeprefix(package)}, {line}"

    def short(declared: Activity | Access | EntrustmentDeclaration) -> str:
        return declared.name.removeprefix(package) if declared.name == declared.site.dotted else declared.name

    yield RenderedTable.of(
        f"Activities{within} ({len(guard.activities)})",
        guard.activities,
        (Column("activity"), short),
        (Column("where", "under", words=True), where),
        (Column("purpose"), lambda activity: activity.purpose.slug),
        (Column("id", "under"), lambda activity: " ".join(clauses_of(activity.purpose))),
        (Column("channel"), lambda activity: activity.channel or "-"),
        (Column("mode", words=True), _mode),
    )
    yield RenderedTable.of(
        f"Access functions{within} ({len(guard.accesses)})",
        guard.accesses,
        (Column("access function"), short),
        (Column("where", "under", words=True), where),
        (Column("sources", words=True), _read),
        (Column("withholds", words=True), lambda access: "yes" if access.withhold else "no"),
    )
    if guard.tables:
        yield RenderedTable.of(
            f"Tables ({len(guard.tables)})",
            [(table, place) for table in guard.tables for place in range(len(table.columns))],
            (Column("table"), lambda row: "" if row[1] else row[0].name),
            (Column("column"), lambda row: row[0].columns[row[1]][0]),
            (Column("sources"), lambda row: " ".join(_ids(row[0].columns[row[1]][1]))),
        )
    if guard.entrustments:
        yield RenderedTable.of(
            f"Hand-overs{within} ({len(guard.entrustments)})",
            guard.entrustments,
            (Column("function"), short),
            (Column("where", "under", words=True), where),
            (Column("recipient"), lambda entrustment: entrustment.recipient_id),
            (Column("kind and country", "under", words=True), _party),
            (Column("sources"), lambda entrustment: " ".join(_clauses(entrustment) or ["?"])),
            (Column("means"), lambda entrustment: _entrustment_data(entrustment)["means"] or "-"),
        )
    if guard.reclassifications:
        yield RenderedTable.of(
            f"Reclassifications{within} ({len(guard.reclassifications)})",
            guard.reclassifications,
            (Column("declared", words=True), lambda declared: declared.name.removeprefix(package)),
            (Column("where", "under", words=True), where),
            (Column("from"), lambda declared: " ".join(_ids(declared.sources))),
            (Column("to"), lambda declared: " ".join(_ids(declared.to))),
            (Column("approved by"), lambda declared: declared.approver or "-"),
            (Column("why", "under"), lambda declared: declared.why),
        )
    yield RenderedTable.of(
        "If this activity calls this access function",
        forecasts.calls,
        (Column("activity", "group"), lambda outcome: short(outcome.activity)),
        (Column("access function"), lambda outcome: short(outcome.access)),
        (Column("outcome", "verdict"), _outcome_text),
        (Column("why", "under", words=True), _why),
    )
    if guard.tables:
        yield RenderedTable.of(
            "If this activity uses this table",
            forecasts.tables,
            (Column("activity", "group"), lambda outcome: short(outcome.activity)),
            (Column("table"), lambda outcome: outcome.table.name),
            (Column("outcome", "verdict"), _table_outcome_text),
            (Column("why", "under", words=True), _why),
        )


def _table_outcome_text(outcome: TableOutcome) -> str:
    note = " (observed: logged only)" if outcome.activity.observing else ""
    return f"refused {', '.join(outcome.refused)}{note}" if outcome.refused else "allowed"


def _party(entrustment: EntrustmentDeclaration) -> str:
    party = entrustment.recipient
    return f"{party.kind}, {party.country}" if isinstance(party, Recipient) else "as on the register"


def _read(access: Access) -> str:
    """Return the sources that an access function reads, sealed ones in brackets."""
    plain = _clauses(access) or ([] if access.sealed else ["?"])
    sealed = dict.fromkeys(source.clause for label in access.sealed.values() for source in label)
    return " ".join([*plain, *([f"(sealed: {' '.join(sealed)})"] if sealed else [])])


def _why(outcome: ForecastOutcome | TableOutcome) -> str:
    """Return the reasons, shortened: without the purpose, and with ungranted sources in one list."""
    reasons = [reason.replace(format_term(outcome.activity.purpose), "it") for reason in outcome.reasons]
    start = "no clause grants it to "
    clauses = [reason.removeprefix(start) for reason in reasons if reason.startswith(start)]
    others = [reason for reason in reasons if not reason.startswith(start)]
    return "; ".join(([start + ", ".join(clauses)] if clauses else []) + others)


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
    handing = {entrustment.site for entrustment in guard.entrustments}
    for site, why in forecasts.unread.items():
        kind = "hand-over" if site in handing else "access function"
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
    used = {outcome.table for outcome in forecasts.used_tables}
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
