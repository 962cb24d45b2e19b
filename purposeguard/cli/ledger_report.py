"""The reports of `purposeguard ledger show`: the entries of a ledger, or its uses and denials added up."""

from __future__ import annotations

import collections
import datetime
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import starmap
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.render import RenderedTable, Report
from purposeguard.cli.words import translate

if TYPE_CHECKING:
    from purposeguard.governance.ledger import Entry, Hour, LedgerSnapshot

KEYS: Final = ("activity", "field", "purpose", "sources", "entry_point")
"""What uses and denials are added up by."""

OUTCOMES: Final = ("used", "refused", "observed")
"""What is counted of them."""


class EntryFilter(NamedTuple):
    """The conditions on the entries to show, and their number."""

    kinds: Collection[str]
    """Entries of these kinds; all if it is empty."""
    activity: str | None
    """What this activity did; None for any."""
    since: datetime.datetime | None
    """Entries from this moment on."""
    until: datetime.datetime | None
    """Entries before this moment."""
    limit: int
    """The newest so many."""

    def includes(self, activity: object) -> bool:
        """Return True if what this activity did is wanted."""
        return self.activity in (None, activity)


# ---- Entries --------------------------------------------------------------------------------------------------------


def ledger_report(ledger: LedgerSnapshot, wanted: EntryFilter) -> Report:
    """Return the uses, the other entries, and the repeated denials that are counted but not written as entries yet.

    The report warns about rows and entries that are left out, entries with wrong times, and archived entries.

    Raises:
        CommandProblem: unknown kind.
        LedgerBroken: an entry cannot be read.
    """
    from purposeguard.governance.ledger import KINDS  # noqa: PLC0415  # needs the extra `governance`

    for kind in wanted.kinds:
        if kind not in KINDS:
            raise CommandProblem(f"there are no entries of kind `{kind}`: {', '.join(KINDS)}")
    kinds = set(wanted.kinds or KINDS)
    uses = _collect_uses(ledger, wanted) if "use" in kinds else []
    entries, entry_count = _read_newest(ledger, wanted, kinds - {"use"})
    repeated = list(_iter_repeated_denials(ledger, wanted)) if "denial" in kinds else []
    # The limit and the warning are about rows of uses, of which each may count many uses. The title adds up the uses.
    left_out = {"uses": max(0, len(uses) - wanted.limit), "entries": entry_count - len(entries)}
    uses = uses[left_out["uses"] :]
    warnings: list[str] = []
    for name, count in left_out.items():
        if count:
            warnings.append(f"{count:,} earlier {name} are left out (--limit {wanted.limit})")
    warnings += _iter_warnings(ledger, wanted)
    tables: list[RenderedTable] = []
    if "use" in kinds:
        tables.append(make_table(f"Uses ({sum(map(attrgetter('number'), uses)):,})", USES, uses))
    if kinds - {"use"}:
        tables.append(make_table(f"Entries ({len(entries):,})", ENTRIES, entries))
    if repeated:
        title = f"Denials that came again ({sum(map(itemgetter('count'), repeated)):,})"
        tables.append(make_table(title, REPEATED, sorted(repeated, key=itemgetter("hour", "reason"))))
    data = {
        "uses": list_rows(USES, uses),
        "entries": list_rows(ENTRIES, entries),
        "repeated": repeated,
        "left_out": left_out,
    }
    return Report(data, tuple(tables), tuple(warnings))


class _CountedHour(NamedTuple):
    """The uses of one key of counts within an hour, and their number."""

    key: Hour
    number: int


def _collect_uses(ledger: LedgerSnapshot, wanted: EntryFilter) -> list[_CountedHour]:
    """Return the wanted uses with their counts, ordered by time."""
    uses: list[_CountedHour] = []
    for key, count in ledger.uses(wanted.since, wanted.until).items():
        if wanted.includes(key.activity):
            uses.append(_CountedHour(key, count))
    return sorted(uses, key=lambda use: use.key.order)


def _read_newest(ledger: LedgerSnapshot, wanted: EntryFilter, kinds: Collection[str]) -> tuple[Collection[Entry], int]:
    """Return the newest wanted entries of these kinds, up to the limit, and the number of all wanted ones."""
    newest: collections.deque[Entry] = collections.deque(maxlen=wanted.limit)
    count = 0
    if kinds:
        for entry in ledger.entries(kinds, wanted.since, wanted.until):
            if wanted.includes(entry.body.get("activity")):
                newest.append(entry)
                count += 1
    return newest, count


def _iter_repeated_denials(ledger: LedgerSnapshot, wanted: EntryFilter) -> Iterator[dict[str, Any]]:
    """Yield the bodies of repeated denials that are counted but not written as entries yet, with their counts."""
    for body, count, _ in ledger.denials(wanted.since, wanted.until):
        if "hour" in body and "count" not in body and wanted.includes(body.get("activity")):
            yield {**body, "count": count}


def _iter_warnings(ledger: LedgerSnapshot, wanted: EntryFilter) -> Iterator[str]:
    """Yield warnings about a period.

    They concern entries made in it whose time lies outside it, and entries that were archived.
    """
    count = ledger.misdated(wanted.since, wanted.until)
    if count:
        entries = count_entries(count, "entry", "entries")
        advice = "a clock was wrong: see `ledger show` without a period"
        yield f"{entries} made between these have a time outside the period: {advice}"
    if ledger.start.seq:
        yield describe_archive(ledger.start.seq)


# ---- Counts ---------------------------------------------------------------------------------------------------------


class _Group:
    """The uses and denials that have the same values of some keys."""

    def __init__(self, values: tuple[str | None, ...], minute: str) -> None:
        self.values = values
        self.counts: collections.Counter[str] = collections.Counter()
        self.first = minute
        self.last = minute

    def add(self, outcome: str, count: int, minute: str) -> None:
        """Add uses or denials of a minute or hour."""
        self.counts[outcome] += count
        self.first = min(self.first, minute)
        self.last = max(self.last, minute)


def group_uses(ledger: LedgerSnapshot, wanted: EntryFilter, by: Sequence[str]) -> Report:
    """Count how often data was used, refused or observed, and when, for each combination of some keys.

    A ledger tells the field and the entry point of denials alone. In place of the field stands the access function, or
    the statement that ran outside any purpose.

    Raises:
        CommandProblem: unknown key, or a kind that is not added up.
        LedgerBroken: an entry cannot be read.
    """
    for name in by:
        if name not in KEYS:
            raise CommandProblem(f"entries are not added up by `{name}`: name some of {','.join(KEYS)}")
    for kind in wanted.kinds:
        if kind not in ("use", "denial"):
            raise CommandProblem(f"entries of kind `{kind}` are not added up: `--by` takes uses and denials")
    groups = _group_events(ledger, wanted, by)
    newest = sorted(groups, key=attrgetter("last"))[-wanted.limit :]
    shown = sorted(newest, key=lambda group: [value or "" for value in group.values])
    left_out = len(groups) - len(shown)
    warnings = [f"{left_out:,} earlier rows are left out (--limit {wanted.limit})"] if left_out else []
    warnings += _iter_warnings(ledger, wanted)
    columns = [*starmap(_make_key_column, enumerate(by)), *map(_make_count_column, OUTCOMES), *TIMES]
    table = make_table(f"Uses and denials by {', '.join(by)} ({len(shown):,})", columns, shown)
    return Report({"groups": list_rows(columns, shown), "left_out": left_out}, (table,), tuple(warnings))


def _group_events(ledger: LedgerSnapshot, wanted: EntryFilter, by: Sequence[str]) -> list[_Group]:
    """Return the wanted uses and denials, grouped by some keys."""
    groups: dict[tuple[str | None, ...], _Group] = {}
    for body, outcome, count, minute in _iter_events(ledger, wanted):
        if wanted.includes(body.get("activity")):
            facts = {**body, "field": _field(body)}
            values = tuple(_plain_or_none(facts.get(name)) for name in by)
            groups.setdefault(values, _Group(values, minute)).add(outcome, count, minute)
    return list(groups.values())


def _iter_events(ledger: LedgerSnapshot, wanted: EntryFilter) -> Iterator[tuple[Mapping[str, Any], str, int, str]]:
    """Yield uses and denials, each with its outcome, its count, and its minute or hour."""
    kinds = wanted.kinds or ("use", "denial")
    if "use" in kinds:
        for hour, count in ledger.uses(wanted.since, wanted.until).items():
            yield hour.body(count), "used", count, hour.hour
    if "denial" in kinds:
        for body, count, at in ledger.denials(wanted.since, wanted.until):
            yield body, "observed" if body.get("observed") else "refused", count, at


def _field(body: Mapping[str, Any]) -> object:
    """Return the field of a denial; without one, its access function or what was done outside any purpose."""
    if body.get("field") or body.get("function"):
        return body.get("field") or body["function"]
    return None if "purpose" in body else str(body.get("reason", "")).partition(" outside any purpose")[0]


def describe_archive(number: int, *, signed: bool = False) -> str:
    """Return what is said of the first `number` entries, which were archived."""
    where = f"entries 1 to {number:,} are archived"
    return f"{where}, which is signed" if signed else f"{where}: name the archives too"


def count_entries(number: int, noun: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 use`, `2 uses`; `many` is the plural if it takes more than an `s`."""
    return f"{number:,} {noun if number == 1 else many or f'{noun}s'}"


# ---- Columns --------------------------------------------------------------------------------------------------------


def _make_key_column(position: int, name: str) -> ReportColumn[_Group]:
    return ReportColumn(
        name,
        lambda group: group.values[position],
        name,
        lambda group: group.values[position] or "-",
        words=name == "field",
    )


def _make_count_column(outcome: str) -> ReportColumn[_Group]:
    return ReportColumn(
        outcome, lambda group: group.counts[outcome], outcome, lambda group: f"{group.counts[outcome]:,}"
    )


TIMES: Final[tuple[ReportColumn[_Group], ...]] = (
    ReportColumn("first", lambda group: group.first, "first (UTC)", lambda group: _hour(group.first)),
    ReportColumn("last", lambda group: group.last, "last (UTC)", lambda group: _hour(group.last)),
)
"""The columns of when the uses and denials of a group were."""

USES: Final[tuple[ReportColumn[_CountedHour], ...]] = (
    ReportColumn("hour", lambda use: use.key.hour, "hour (UTC)", lambda use: _hour(use.key.hour), kind="group"),
    ReportColumn(
        "activity", lambda use: use.key.activity, "activity", lambda use: use.key.activity or "(bare check)", words=True
    ),
    ReportColumn("purpose", lambda use: use.key.purpose, "purpose"),
    ReportColumn("sources", lambda use: list(use.key.sources), "sources", lambda use: " ".join(use.key.sources)),
    ReportColumn("count", lambda use: use.number, "uses", lambda use: f"{use.number:,}"),
)
"""The columns of uses."""

ENTRIES: Final[tuple[ReportColumn[Entry], ...]] = (
    ReportColumn("seq", lambda entry: entry.seq, "entry", lambda entry: f"{entry.seq:,}"),
    ReportColumn("at", lambda entry: entry.at, "at (UTC)", lambda entry: _second(entry.at)),
    ReportColumn("kind", lambda entry: entry.kind, "kind", words=True),
    ReportColumn("what", heading="what", text=lambda entry: _describe_entry(entry).fact, words=True),
    ReportColumn("more", text=lambda entry: _describe_entry(entry).others, under="what", words=True),
    ReportColumn("body", lambda entry: entry.body),
)
"""The columns of entries other than uses."""

REPEATED: Final[tuple[ReportColumn[Mapping[str, Any]], ...]] = (
    ReportColumn("hour", heading="hour (UTC)", text=lambda body: _hour(body["hour"]), kind="group"),
    ReportColumn("activity", heading="activity", text=lambda body: body.get("activity") or "-"),
    ReportColumn("reason", heading="what", text=lambda body: str(body["reason"])),
    ReportColumn("count", heading="times", text=lambda body: f"{body['count']:,}"),
)
"""The columns of denials that came again; in the JSON output they are as the ledger has them."""


def _hour(hour: str) -> str:
    return hour.removesuffix("Z").replace("T", " ")


def _second(at: str) -> str:
    return at[:19].replace("T", " ")


class _EntryText(NamedTuple):
    """An entry in words: the main fact, and the others."""

    fact: str
    others: str


def _describe_entry(entry: Entry) -> _EntryText:
    rest = dict(entry.body)
    if entry.kind == "archive":
        signed = "signed" if rest["signature"] else "not signed"
        return _EntryText(f"entries up to {rest['seq']:,}", translate(signed))
    fact = ""
    if entry.kind == "denial":
        fact = str(rest.pop("reason", ""))
        if rest.pop("observed", False):
            fact = f"observed only: {fact}"
    for name in ("name", "what", "did", "step", "recipient", "basis", "eraser"):
        if not fact and isinstance(rest.get(name), str):
            fact = rest.pop(name)
    others: list[str] = []
    for name, value in rest.items():
        if value not in (None, [], {}):
            others.append(f"{translate(name)}: {translate(_plain(value))}")
    return _EntryText(fact, ", ".join(others))


def _plain_or_none(value: object) -> str | None:
    return None if value is None else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    if isinstance(value, (dict, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
