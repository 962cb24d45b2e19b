"""Generated worlds of rows: revisions, a guard over them, what subjects asked for, a table's tags and its rows.

What is expected of a row is what the core says of it, asked about that row alone.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from hypothesis import strategies as st

from purposeguard import Guard, History, Label, Notice, Notices, NotPersonal, RowContext, Source
from purposeguard.adapters.tags import Columns, Tag
from purposeguard.policy.context import SubjectPreferences
from purposeguard.runtime.use import Use
from purposeguard.testing.strategies import list_purposes
from purposeguard.values.markers import Collected, Ended, RowSource, Subject
from tests.generated.notice_revisions import revision_after
from tests.generated.notice_tables import Tables, add_bases, add_conditions, tables
from tests.oversights import Told

NOW = datetime.datetime(2025, 6, 15, 12, tzinfo=datetime.UTC)
Row = Mapping[str, Any]


@dataclasses.dataclass
class World:
    """A guard with what it knows, and a table: its tags, and rows as plain mappings."""

    guard: Guard
    purpose: object
    channel: str | None
    columns: Columns
    rows: list[Row]
    conditions: frozenset[str] = frozenset()

    def using(self) -> Any:
        return self.guard.purpose(self.purpose, channel=self.channel, conditions=self.conditions)  # type: ignore[call-overload]

    def permitted(self, use: Use[Any], names: list[str]) -> list[Row]:
        """The rows that the core lets this use read these columns of, asked one by one."""
        return [row for row in self.rows if all(self._may(use, row, self.columns[name]) for name in names)]

    def _may(self, use: Use[Any], row: Row, tag: Tag) -> bool:
        if not tag.is_personal:
            return True
        notice = self.guard.notice
        label = tag.label
        if tag.by_row:
            source = self.columns.columns_with_mark(RowSource)
            if source is None:
                raise AssertionError("a world with columns by row has a column that says the source")
            label = label | Label(notice.source(row[source]))
        return all(use.handle.decide_and_report(label, (about,)) is None for about in self._row_contexts(row))

    def _row_contexts(self, row: Row) -> Iterator[RowContext]:
        begun, over = self.columns.columns_with_mark(Collected), self.columns.columns_with_mark(Ended)
        collected = None if begun is None else row[begun] or datetime.date.min
        ended = None if over is None else row[over]
        subjects = [
            row[name] if mark.realm is None else f"{mark.realm}:{row[name]}"
            for name, mark in self.columns.subjects()
            if row[name] is not None
        ]
        if self.guard.governance is None:
            subjects = []
        for subject in subjects or [None]:
            yield RowContext(subject, collected=collected, ended=ended)


KEYS = ["1", "2", "3", "4", "a", "b", "customer:1", "customer:2", "customer:a", "lead:1"]


@st.composite
def worlds(draw: st.DrawFn, *, rows: int = 12) -> World:
    """A world of one table, in which the rows say as much of themselves as there is to say."""
    history = draw(_histories())
    notice = history.latest
    purpose = draw(st.sampled_from(list_purposes(notice)))
    channel = draw(st.sampled_from([None, *notice.channels]))
    governance = draw(st.none() | _oversights(notice, list(history)))
    guard = Guard(history, governance=governance, clock=lambda: NOW)
    columns = draw(_columns(notice))
    held = draw(st.lists(_row(notice, columns), max_size=rows))
    return World(guard, purpose, channel, columns, held, draw(_stated(notice)))


@st.composite
def worlds_of_two(draw: st.DrawFn, *, rows: int = 12) -> World:
    """The same where a guard holds to two notices, in time zones of their own; days are dates or moments."""
    histories = [draw(_histories(id_)) for id_ in ("one", "other")]
    latest = [history.latest for history in histories]
    members = tuple(draw(st.sampled_from(notice.purposes)) for notice in latest)
    guard_over = Notices(*histories, families={"OfBoth": Union[members]})  # noqa: UP007  # drawn
    revisions = [revision for history in histories for revision in history]
    joint = Guard(guard_over).notice
    governance = draw(st.none() | _oversights(joint, revisions))
    guard = Guard(guard_over, governance=governance, clock=lambda: NOW)
    purpose = draw(st.just("OfBoth") | st.sampled_from(list_purposes(joint)))
    channel = draw(st.sampled_from([None, *joint.channels]))
    granted = [source for source in joint.sources if not joint.grants[source].keys().isdisjoint(members)]
    columns = draw(_columns(joint, granted))  # else most columns are refused before rows are asked about
    days = DAYS if draw(st.booleans()) else MOMENTS
    held = draw(st.lists(_row(joint, columns, days), max_size=rows))
    return World(guard, purpose, channel, columns, held, draw(_stated(joint)))


@st.composite
def _stated(draw: st.DrawFn, notice: Notice) -> frozenset[str]:
    return frozenset(one for one in notice.conditions if draw(st.booleans()))


@st.composite
def _histories(draw: st.DrawFn, id_: str | None = None) -> History:
    """One or two revisions of a notice, of this id if it matters."""
    made = draw(tables())
    made["id"] = id_ or made["id"]
    made["revision"] = draw(st.dates(datetime.date(2023, 1, 1), datetime.date(2024, 6, 30))).isoformat()
    add_bases(draw, made)
    conditions = draw(st.booleans())
    if conditions:
        add_conditions(draw, made)
    revisions = [Notice.parse(made)]
    if draw(st.booleans()):
        made = draw(revision_after(made, conditions=conditions))
        revisions.append(Notice.parse(_with_periods(draw, made)))
    else:
        revisions = [Notice.parse(_with_periods(draw, made))]
    return History(*[one for one in revisions if one.revision <= NOW.date()])


def _with_periods(draw: st.DrawFn, made: Tables) -> Tables:
    sources = [row["id"] for row in made["source"]]
    periods = st.lists(
        st.fixed_dictionaries(
            {
                "source": st.sampled_from(sources),
                "days": st.sampled_from([30, 365, 500, 700]),
                "from": st.sampled_from(["collection", "end-of-use"]),
            }
        ),
        max_size=3,
        unique_by=lambda row: (row["source"], row["from"]),
    )
    held = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only", "period": draw(periods)}
    zone = draw(st.sampled_from(["UTC", "Asia/Tokyo", "America/St_Johns"]))
    return made | {"retention": held, "timezone": zone}


def _oversights(notice: Notice, revisions: list[Notice]) -> st.SearchStrategy[Told]:
    purposes = [notice.key(one) for one in notice.purposes]
    consents = st.frozensets(
        st.tuples(st.sampled_from(purposes), st.sampled_from([one.revision for one in revisions])), max_size=4
    )
    all_preferences = st.builds(
        SubjectPreferences,
        suspended=st.frozensets(st.sampled_from(purposes), max_size=3),
        all_suspended=st.sampled_from([False, False, False, True]),
        erased=st.sampled_from([False, False, False, True]),
        consents=consents,
    )
    told = st.dictionaries(st.sampled_from(KEYS), all_preferences, max_size=6)
    return st.builds(Told, told, requires_subject=st.sampled_from([False, False, False, True]))


@st.composite
def _columns(draw: st.DrawFn, notice: Notice, sources: Sequence[type[Source]] = ()) -> Columns:
    labels = st.lists(st.sampled_from(sources or notice.sources), max_size=2).map(
        lambda some: Label(*(some or [NotPersonal]))
    )
    found = {f"c{n}": Tag(draw(labels), by_row=draw(st.booleans())) for n in range(draw(st.integers(1, 3)))}
    found["src"] = Tag(mark=RowSource)
    if draw(st.booleans()):
        found["who"] = Tag(mark=draw(st.sampled_from([Subject, Subject("customer")])))
    if draw(st.sampled_from([False, False, True])):
        found["whom"] = Tag(mark=Subject("lead"))
    if draw(st.booleans()):
        found["got"] = Tag(mark=Collected)
    if draw(st.booleans()):
        found["over"] = Tag(mark=Ended)
    names = draw(st.permutations(list(found)))
    return Columns({name: found[name] for name in names})


DAYS = st.none() | st.dates(datetime.date(2022, 6, 1), datetime.date(2025, 6, 20))


MOMENTS = st.none() | st.builds(
    lambda day, hour: datetime.datetime.combine(day, datetime.time(hour), datetime.UTC),
    st.dates(datetime.date(2022, 6, 1), datetime.date(2025, 6, 20)),
    st.integers(0, 23),
)


@st.composite
def _row(draw: st.DrawFn, notice: Notice, columns: Columns, days: st.SearchStrategy[Any] = DAYS) -> Row:
    row: dict[str, Any] = {}
    for name, tag in columns.items():
        if tag.mark is RowSource:
            source = draw(st.sampled_from(notice.sources))
            id_ = notice.key(source)  # its class may be one of another notice too
            row[name] = draw(st.sampled_from([id_, id_.replace(source.clause, source.__name__), id_.upper()]))
        elif tag.mark in (Collected, Ended):
            row[name] = draw(days)
        elif tag.mark is not None:
            row[name] = draw(st.sampled_from([None, "1", "2", "3", "4", "5", "a", "b", "z"]))
        else:
            row[name] = draw(st.integers(0, 9))
    return row
