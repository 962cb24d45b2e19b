"""What a case ought to answer, worked out anew: a few lines that know frames, rows and the specification of decisions.

Nothing of an adapter is asked, and neither is the compiled matrix: decisions are those of `reference_circumstances`.
Cases are written by hand; this is the second opinion.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from purposeguard.adapters.tags import Tag
from purposeguard.notice.retention import Periods, to_local_day
from purposeguard.notice.vocabulary import Family, NotPersonal
from purposeguard.policy import spec
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.row_context import subject_key
from purposeguard.values.markers import Collected, Ended, RowSource
from tests.adapters.conformance.cases import Case, Table, preferences

Used = frozenset[tuple[str, str]]
"""Columns, each with its table."""

NOTHING: Used = frozenset()
NEVER = datetime.date.min


@dataclasses.dataclass
class Frame:
    """Rows, the columns that flow into each column, and those that decided so far which rows there are."""

    reads: dict[str, Used]
    rows: list[dict[str, Any]]
    used: Used = NOTHING


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The answer: columns in order, rows, what each column depends on, the columns that were used."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    reads: dict[str, Used]
    used: Used


Rows = Mapping[str, list[dict[str, Any]]]


def evaluated(case: Case, rows: Rows | None = None) -> Evaluated:
    """The answer of a case that is given as operations on frames, over these rows of its tables (by default all)."""
    assert case.frame is not None
    held = rows if rows is not None else {table.name: _dicts(table) for table in case.tables}
    frame = _run(case, case.frame, held)
    columns = list(frame.reads)
    used = frame.used.union(*frame.reads.values())
    reads = {name: one | frame.used for name, one in frame.reads.items()}
    return Evaluated(columns, [tuple(row[name] for name in columns) for row in frame.rows], reads, used)


def _dicts(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.names, row, strict=True)) for row in table.rows]


# ---- operations ------------------------------------------------------------------------------------------------------


def _run(case: Case, operations: list[dict[str, Any]], rows: Rows) -> Frame:
    first, *rest = operations
    frame = _read(case, first["from"], rows)
    for operation in rest:
        name = next(iter(operation))
        frame = OPERATIONS[name](case, frame, operation, rows)
    return frame


def _read(case: Case, name: str, rows: Rows) -> Frame:
    table = case.table(name)
    return Frame({one: frozenset({(name, one)}) for one in table.names}, list(rows[name]))


def _select(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    items = [(one, one) if isinstance(one, str) else tuple(one) for one in operation["select"]]
    reads = {name: _reads(frame, given) for name, given in items}
    return Frame(reads, [{name: _value(row, given) for name, given in items} for row in frame.rows], frame.used)


def _filter(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    condition = operation["filter"]
    kept = [row for row in frame.rows if _holds(row, condition) is True]
    return Frame(frame.reads, kept, frame.used | _reads(frame, condition))


def _join(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    other = _read(case, operation["join"], rows)
    pairs = operation["on"]
    found: list[dict[str, Any]] = []
    for row in frame.rows:
        matches = [one for one in other.rows if all(row[a] is not None and row[a] == one[b] for a, b in pairs)]
        if not matches and operation.get("how") == "left":
            matches = [dict.fromkeys(other.reads)]
        found += [one | row for one in matches]
    keys = [frame.reads[a] | other.reads[b] for a, b in pairs]
    return Frame({**frame.reads, **other.reads}, found, frame.used.union(*keys))


def _group(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    keys, aggregates = operation["group"], operation["aggregates"]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {} if keys else {(): []}
    for row in frame.rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    reads = {key: frame.reads[key] for key in keys}
    reads |= {name: frame.reads[given[1]] if len(given) > 1 else NOTHING for name, given in aggregates}
    found = [
        dict(zip(keys, key, strict=True)) | {name: _aggregate(held, *given) for name, given in aggregates}
        for key, held in groups.items()
    ]
    return Frame(reads, found, frame.used.union(*(frame.reads[key] for key in keys)))


def _aggregate(rows: list[dict[str, Any]], what: str, name: str | None = None) -> Any:
    if name is None:
        return len(rows)
    values = [row[name] for row in rows if row[name] is not None]
    if what == "count":
        return len(values)
    functions: dict[str, Callable[[list[Any]], Any]] = {"sum": sum, "min": min, "max": max}
    return functions[what](values) if values else None


def _sort(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    held = frame.rows
    for name, way in reversed(operation["sort"]):
        held = sorted(held, key=lambda row: (row[name] is not None, row[name]), reverse=way == "desc")
    used = frame.used.union(*(frame.reads[name] for name, _ in operation["sort"]))
    return Frame(frame.reads, held, used)


def _union(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    other = _run(case, operation["union"], rows)
    names = list(frame.reads)
    reads = {a: frame.reads[a] | other.reads[b] for a, b in zip(names, other.reads, strict=True)}
    more = [dict(zip(names, row.values(), strict=True)) for row in other.rows]
    return Frame(reads, [*frame.rows, *more], frame.used | other.used)


def _rename(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    names = operation["rename"]
    reads = {names.get(name, name): one for name, one in frame.reads.items()}
    return Frame(reads, [{names.get(name, name): one for name, one in row.items()} for row in frame.rows], frame.used)


def _distinct(case: Case, frame: Frame, operation: dict[str, Any], rows: Rows) -> Frame:
    held = {tuple(row.values()): row for row in frame.rows}
    return Frame(frame.reads, list(held.values()), frame.used.union(*frame.reads.values()))


OPERATIONS: dict[str, Callable[[Case, Frame, dict[str, Any], Rows], Frame]] = {
    "select": _select, "filter": _filter, "join": _join, "group": _group, "sort": _sort, "union": _union,
    "rename": _rename, "distinct": _distinct,
}  # fmt: skip


def _reads(frame: Frame, given: Any) -> Used:
    """The columns below that an expression or a condition reads."""
    if isinstance(given, str):
        return frame.reads[given]
    if isinstance(given, Mapping):
        return NOTHING
    what, *parts = given
    if what == "cast":
        return _reads(frame, parts[0])
    if what in ("in", "is-null", "is-not-null"):
        return _reads(frame, parts[0])
    return NOTHING.union(*(_reads(frame, part) for part in parts))


def _value(row: dict[str, Any], given: Any) -> Any:
    if isinstance(given, str):
        return row[given]
    if isinstance(given, Mapping):
        return given["literal"]
    what, *parts = given
    if what == "case":
        condition, then, otherwise = parts
        return _value(row, then if _holds(row, condition) is True else otherwise)
    if what == "cast":
        value = _value(row, parts[0])
        return None if value is None else str(value)
    values = [_value(row, part) for part in parts]
    if what == "coalesce":
        return next((one for one in values if one is not None), None)
    if any(one is None for one in values):
        return None
    if what == "concat":
        return "".join(values)
    assert what == "+"
    return sum(values)


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


def _holds(row: dict[str, Any], given: Any) -> bool | None:
    """Whether a condition holds; None where a null leaves it open."""
    what, *parts = given
    if what == "not":
        inner = _holds(row, parts[0])
        return None if inner is None else not inner
    if what == "and":
        found = [_holds(row, part) for part in parts]
        return False if False in found else None if None in found else True
    if what == "or":
        found = [_holds(row, part) for part in parts]
        return True if True in found else None if None in found else False
    value = _value(row, parts[0])
    if what in ("is-null", "is-not-null"):
        return (value is None) is (what == "is-null")
    if value is None:
        return None
    if what == "in":
        return value in parts[1]
    other = _value(row, parts[1])
    return None if other is None else COMPARED[what](value, other)


# ---- decisions -------------------------------------------------------------------------------------------------------


def labels(case: Case, reads: Used) -> list[str]:
    """The sources that a value of these columns has, where the rows say nothing."""
    found = {one.clause for table, name in reads for one in case.tags(table)[name].label.sources}
    return sorted(found - {NotPersonal.clause}) or [NotPersonal.clause]


class Judge:
    """What the purpose of a case may use, by the specification alone."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.notice = case.history.latest
        self.documents = [one.document for one in case.history]
        asked = self.notice.purpose_or_family(case.purpose)
        self.purpose = asked.name if isinstance(asked, Family) else asked.clause
        given = case.given.get("subjects")
        self.all_preferences = (
            None if given is None else {subject_key(one["subject"]): preferences(one) for one in given}
        )
        self.periods = Periods(self.notice.document)
        self.today = to_local_day(self.periods.timezone, case.now)

    def may(self, tag: Tag, about: Mapping[str, Any], source: str | None = None) -> bool:
        """Whether values of a column may be used, of which this is known."""
        revision, sources = self._sources(tag, source)
        if not sources:
            return True
        under: datetime.date | None = revision
        collected = about.get("collected")
        if "collected" in about:
            day = NEVER if collected is None else to_local_day(self.periods.timezone, collected)
            held = [one.revision for one in self.documents if one.revision <= day]
            under = min(held[-1] if held else NEVER, revision)
        who: SubjectPreferences | None = about.get("standing")
        if who is None and self.case.given.get("requires_subject"):
            return False
        who = who or CLEAR
        return spec.is_allowed(
            self.documents,
            sources,
            self.purpose,
            self.case.channel,
            collected_under=under,
            suspended=who.suspended,
            stopped=who.all_suspended or who.erased,
            consents=who.consents,
            overdue=self.periods.overdue(
                sources, collected=about.get("collected"), ended=about.get("ended"), today=self.today
            ),
        )

    def _sources(self, tag: Tag, source: str | None) -> tuple[datetime.date, list[str]]:
        """The revision that a tag is of, and its sources with that of the row, as the notice in force calls them."""
        held = [one for one in tag.label.sources if one is not NotPersonal]
        found = [one.clause for one in held] + ([] if source is None else [self.notice.source(source).clause])
        own = next((one.revision for one in self.case.history if held and held[0] in one.grants), self.notice.revision)
        return own, found

    def granted(self, tag: Tag) -> bool:
        """Whether a column may be used for the purpose at all, whoever its rows are about, and from when."""
        _, sources = self._sources(tag, None)
        return not sources or spec.permits(self.documents[-1], sources, self.purpose, self.case.channel)

    def rows(self, table: Table, used: Used) -> list[dict[str, Any]]:
        """The rows of a table of which these columns may be used."""
        tags = self.case.tags(table.name)
        personal = [tags[name] for name in table.names if (table.name, name) in used and tags[name].is_personal]
        return [row for row in _dicts(table) if all(self._may(tag, row, tags) for tag in personal)]

    def _may(self, tag: Tag, row: dict[str, Any], tags: Mapping[str, Tag]) -> bool:
        source = None
        about: dict[str, Any] = {}
        whose: list[str] = []
        for name, one in tags.items():
            if one.mark is RowSource and tag.by_row:
                source = row[name]
            elif one.mark is Collected:
                about["collected"] = row[name]
            elif one.mark is Ended:
                about["ended"] = row[name]
            elif one.mark is not None and one.mark.name == "Subject" and row[name] is not None:
                realm = getattr(one.mark, "realm", None)
                whose.append(subject_key(row[name]) if realm is None else f"{realm}:{subject_key(row[name])}")
        return all(self.may(tag, about | one, source) for one in self._whose(whose))

    def _whose(self, keys: list[str]) -> Iterator[dict[str, Any]]:
        if self.all_preferences is None or not keys:
            yield {}
            return
        for key in keys:
            yield {"standing": self.all_preferences.get(key, CLEAR)}
