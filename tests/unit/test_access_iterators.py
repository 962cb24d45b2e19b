"""What a plain function gives and reads later, an iterator or a coroutine, is asked for at each step."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import dataclasses
import io
import pickle
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from typing import IO, Annotated, Any, NewType, Self

import pytest
import typing_extensions

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.support import crossed
from tests.unit.marked_rows import Frozen, reading
from tests.unit.marked_rows import Named as MarkedKey
from tests.unit.models import Contact, Customer, Email, guard, in_a_loop
from tests.unit.oversights import STOPPED, Office, guarded
from tests.unit.samples import Tape

MAY, MAY_NOT, WHOLE = tm.RenewalGuidance, tm.TrafficAnalysis, tm.ProductProvision


def contacts() -> Generator[Contact, Any, Any]:
    for number in range(9):
        yield Contact(email=f"e{number}")


def customer(_number: int) -> Customer:
    return Customer()


def frozen(key: int) -> Frozen:
    return Frozen(key=key)


class Rows:
    """An iterator of one's own that counts how often it is asked, with methods of its own."""

    limit = 9

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Contact:
        self.asked += 1
        return Contact(email=f"e{self.asked}")

    def fetchall(self) -> list[Contact]:
        return [next(self)]

    def rest(self) -> Rows:
        return self

    def close(self) -> None:
        self.closed = True


MADE: dict[str, Callable[[], Any]] = {
    "map": lambda: map(copy.copy, contacts()),
    "filter": lambda: filter(None, contacts()),
    "list iterator": lambda: iter(list(contacts())),
    "generator": contacts,
    "cursor": Rows,
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("annotation", [Iterator[Contact], Iterable[Contact], Contact, list[Contact], Any])
def test_an_iterator_asks_at_each_item(made: str, annotation: Any) -> None:
    load = reading(guard, annotation, MADE[made], tm.Registration)
    with guard.purpose(MAY):
        rows = load()
        assert iter(rows) is rows
        assert next(rows).email
        with guard.purpose(MAY_NOT), pytest.raises(pg.PurposeViolation):
            next(rows)
        assert next(rows).email
    for _ in range(2):
        with pytest.raises(pg.PurposeMissing):
            next(rows)
    with guard.purpose(WHOLE):
        assert next(rows).email


def test_what_is_refused_is_not_taken_from_it() -> None:
    load = reading(guard, Iterator[Contact], lambda: iter([Contact(email="1"), Contact(email="2")]))
    with guard.purpose(MAY):
        rows = load()
    with pytest.raises(pg.PurposeMissing):
        next(rows)
    with guard.purpose(MAY):
        assert [row.email for row in rows] == ["1", "2"]


@pytest.mark.parametrize("options", [{}, {"withhold": True}])
def test_another_revision_decides_from_the_next_item_on(options: dict[str, bool]) -> None:
    before, after = crossed()
    mine = pg.Guard(before)
    source, purpose = before.source("1.1"), before.purposes[0]

    Row: Any = dataclasses.make_dataclass("Row", [("key", Annotated[int, source])])
    load = reading(mine, Iterator[Row], lambda: map(Row, range(9)), **options)
    with mine.purpose(purpose):
        rows = load()
        assert next(rows).key == 0
        mine.replace(after)
        with pytest.raises(pg.PurposeViolation):
            _ = next(rows).key


def test_each_step_is_counted_as_a_generators_is() -> None:
    tape = Tape()
    mine = pg.Guard(tm.NOTICE, ledger=tape)
    load = reading(mine, Iterator[Contact], lambda: iter([Contact(), Contact()]))

    @mine.access
    def each() -> Iterator[Contact]:
        yield from [Contact(), Contact()]

    for function in (load, each):
        with mine.purpose(MAY, activity=function.__name__):
            assert len(list(function())) == 2
    # Two items and the end of them; and the call, which may have read already.
    assert [(use[0], use[-1]) for use in tape.uses] == [("read", 4), ("each", 3)]


def test_what_generators_take_reaches_them() -> None:
    taken: list[Any] = []

    def talking() -> Generator[Contact, str, Contact]:
        try:
            while True:
                try:
                    taken.append((yield Contact()))
                except KeyError as error:
                    taken.append(error.args)
        except ValueError:
            return Contact(email="last")
        finally:
            taken.append("closed")

    load = reading(guard, Generator[Contact, str, Contact], talking)
    with guard.purpose(MAY):
        rows = load()
        assert isinstance(rows, Generator)
        next(rows)
        rows.send("s")
        rows.throw(KeyError("k"))
    with pytest.raises(pg.PurposeMissing):
        rows.send("t")
    with pytest.raises(pg.PurposeMissing):
        rows.throw(KeyError("t"))
    with guard.purpose(MAY), pytest.raises(StopIteration) as stopped:
        rows.throw(ValueError())
    assert stopped.value.value.email == "last"
    with guard.purpose(MAY):
        other = load()
        next(other)
    other.close()  # which reads nothing
    assert taken == ["s", ("k",), "closed", "closed"]


def test_what_an_iterator_has_not_it_does_not_get() -> None:
    load = reading(guard, Iterator[Contact], lambda: map(copy.copy, contacts()))
    with guard.purpose(MAY):
        rows: Any = load()
        assert isinstance(rows, Iterator)
        assert not isinstance(rows, (Generator, AsyncIterator))
        for name in ("send", "throw", "close", "__enter__", "__aenter__", "__anext__"):
            assert not hasattr(rows, name)


def test_other_methods_ask_too() -> None:
    made = Rows()
    load = reading(guard, Rows, lambda: made, tm.Registration)
    with guard.purpose(MAY):
        rows = load()
        fetch, rest = rows.fetchall, rows.rest()
        assert (fetch()[0].email, rows.limit, rows.asked) == ("e1", 9, 1)
        assert next(rest).email == "e2"
    for ask in (fetch, lambda: rows.limit, rows.__next__, lambda: next(rest), lambda: rows.fetchall):
        with pytest.raises(pg.PurposeMissing):
            ask()
    rows.close()
    assert (made.closed, made.asked) == (True, 2)


def test_cursors_and_files_are_read_as_before() -> None:
    connection = sqlite3.connect(":memory:")
    select = "select value from json_each('[1, 2, 3]')"
    query = reading(guard, sqlite3.Cursor, lambda: connection.execute(select), tm.Registration)
    lines = reading(guard, IO[str], lambda: io.StringIO("1\n2\n3\n"), tm.Registration)
    with contextlib.closing(connection):
        with guard.purpose(MAY):
            rows = query()
            assert (next(rows), rows.fetchone(), rows.description[0][0]) == ((1,), (2,), "value")
            with lines() as file:
                assert (next(file), file.readline()) == ("1\n", "2\n")
                with guard.purpose(MAY_NOT), pytest.raises(pg.PurposeViolation):
                    file.read()
            assert file.closed
        for ask in (lambda: rows.fetchall, lambda: rows.fetchmany, lambda: list(rows)):
            with pytest.raises(pg.PurposeMissing):
                ask()
        rows.close()
    with guard.purpose(MAY):
        again: Any = lines()
    with pytest.raises(pg.PurposeMissing):
        again.__enter__()


class Lease(Rows):
    """What it gives when it is entered is another object."""

    def __enter__(self) -> Iterator[Contact]:
        return contacts()

    def __exit__(self, *_error: object) -> None:
        self.closed = True

    async def __aenter__(self) -> Iterator[Contact]:
        return contacts()

    async def __aexit__(self, *_error: object) -> None:
        self.closed = True


def test_what_is_given_on_entering_asks_too() -> None:
    load: Callable[[], Lease] = reading(guard, Lease, Lease, tm.Registration)

    async def run() -> Iterator[Contact]:
        async with load() as rows:
            return rows

    with guard.purpose(MAY):
        with load() as entered:
            assert next(entered).email == "e0"
        others = asyncio.run(run())
        assert next(others).email == "e0"
    for rows in (entered, others):
        with pytest.raises(pg.PurposeMissing):
            next(rows)


def test_what_is_withheld_from_shows_nothing_else() -> None:
    load = reading(guard, Iterator[Customer], Rows, withhold=True)
    with guard.purpose(MAY):
        rows = load()
        assert not hasattr(rows, "__dict__")
        with pytest.raises(pg.PurposeViolation):
            _ = rows.limit  # it could be a customer's device


def test_it_is_neither_copied_nor_pickled() -> None:
    load = reading(guard, Iterator[Contact], lambda: iter([Contact()]))
    with guard.purpose(MAY):
        rows = load()
    leaving = (copy.copy, copy.deepcopy, pickle.dumps, lambda one: one.__reduce__(), lambda one: one.__getstate__())
    for leave in leaving:
        with pytest.raises(TypeError, match="asks at each item"):
            leave(rows)
    assert "Contact" not in repr(rows)


class Stream:
    """An asynchronous iterator that is no generator, and a context manager."""

    def __init__(self) -> None:
        self.open = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Contact:
        await asyncio.sleep(0)
        return Contact()

    async def fetch(self) -> Contact:
        return Contact()

    async def __aenter__(self) -> Self:
        self.open = True
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.open = False


async def acontacts(taken: list[Any] | None = None) -> AsyncGenerator[Contact, Any]:
    try:
        while True:
            try:
                sent = yield Contact()
            except KeyError as error:
                sent = error.args
            if taken is not None:
                taken.append(sent)
    finally:
        if taken is not None:
            taken.append("closed")


@pytest.mark.parametrize("make", [Stream, acontacts])
@in_a_loop
async def test_an_async_iterator_asks_at_each_item(make: Callable[[], Any]) -> None:
    load = reading(guard, AsyncIterator[Contact], make)
    with guard.purpose(MAY):
        rows = load()
        assert aiter(rows) is rows
        assert (await anext(rows)).email == "e"
        with guard.purpose(MAY_NOT), pytest.raises(pg.PurposeViolation):
            await anext(rows)
        ahead = anext(rows)
    for ask in (ahead, anext(rows)):
        with pytest.raises(pg.PurposeMissing):
            await ask


@in_a_loop
async def test_what_async_generators_take_reaches_them() -> None:
    taken: list[Any] = []
    load = reading(guard, AsyncGenerator[Contact, Any], lambda: acontacts(taken))
    with guard.purpose(MAY):
        rows = load()
        assert isinstance(rows, AsyncGenerator)
        await anext(rows)
        await rows.asend("s")
        await rows.athrow(KeyError("k"))
    for ask in (rows.asend("t"), rows.athrow(KeyError("t"))):
        with pytest.raises(pg.PurposeMissing):
            await ask
    await rows.aclose()
    assert taken == ["s", ("k",), "closed"]


@in_a_loop
async def test_an_async_cursor_is_entered_and_asked_as_before() -> None:
    stream = Stream()
    load = reading(guard, Stream, lambda: stream, tm.Registration)
    with guard.purpose(MAY):
        async with load() as rows:
            assert vars(stream) == {"open": True}
            assert (await rows.fetch()).email == "e"
            later = rows.fetch()
        assert vars(stream) == {"open": False}
    with pytest.raises(pg.PurposeMissing):
        await later


@pytest.mark.parametrize("options", [{}, {"withhold": True}])
@in_a_loop
async def test_a_coroutine_asks_when_it_runs(options: dict[str, bool]) -> None:
    ran = []

    async def read() -> Customer:
        ran.append(1)
        return Customer()

    load = reading(guard, Coroutine[Any, Any, Customer], read, **options)
    with guard.purpose(WHOLE):
        assert (await load()).device == "d"
        late: Any = load()
        other: Any = load()
    with pytest.raises(pg.PurposeMissing):
        await late
    with guard.purpose(MAY), pytest.raises(pg.PurposeViolation):
        (await other).device  # noqa: B018
    assert len(ran) == (2 if options else 1)


@pytest.mark.parametrize("options", [{}, {"withhold": True}])
@in_a_loop
async def test_an_awaitable_of_ones_own_asks_when_it_is_awaited(options: dict[str, bool]) -> None:
    class Query:
        """As some libraries have: awaited it gives its rows."""

        def __await__(self) -> Generator[Any, Any, Customer]:
            yield from asyncio.sleep(0).__await__()
            return Customer()

    load = reading(guard, Awaitable[Customer], Query, **options)
    with guard.purpose(WHOLE):
        assert (await load()).device == "d"
        late = load()
    with pytest.raises(pg.PurposeMissing):
        await late
    with guard.purpose(MAY), pytest.raises(pg.PurposeViolation):
        (await late).device  # noqa: B018


@in_a_loop
async def test_coroutine_functions_that_give_iterators() -> None:
    @guard.access
    async def load() -> Iterator[Contact]:
        return contacts()

    with guard.purpose(MAY):
        rows = await load()
        next(rows)
    with pytest.raises(pg.PurposeMissing):
        next(rows)


@pytest.mark.parametrize("made", ["map", "generator", "list iterator"])
def test_each_item_is_withheld_for_the_purpose_that_it_is_read_for(made: str) -> None:
    makes = {
        "map": lambda: map(customer, range(9)),
        "generator": lambda: (Customer() for _ in range(9)),
        "list iterator": lambda: iter([Customer()] * 9),
    }
    for annotation in (Iterator[Customer], list[Customer], Customer):
        load = reading(guard, annotation, makes[made], withhold=True)
        with guard.purpose(WHOLE):
            rows = load()
            assert next(rows).device == "d"
            with guard.purpose(MAY):
                assert next(rows).model_dump() == {"email": "e"}
            assert next(rows).device == "d"
            assert not hasattr(rows, "fetchall")
        with pytest.raises(pg.PurposeMissing):
            next(rows)


@in_a_loop
async def test_async_items_are_withheld() -> None:
    async def customers() -> AsyncIterator[Customer]:
        while True:
            yield Customer()

    load = reading(guard, AsyncIterator[Customer], customers, withhold=True)
    with guard.purpose(WHOLE):
        rows = load()
        assert (await anext(rows)).device == "d"
    with guard.purpose(MAY):
        assert (await anext(rows)).model_dump() == {"email": "e"}
    with pytest.raises(pg.PurposeMissing):
        await anext(rows)


def test_what_a_use_withholds_from_is_of_that_use() -> None:
    with guard.purpose(WHOLE) as use:
        rows = use.withhold(iter([Customer()] * 9), Iterator[Customer])
        assert next(rows).device == "d"
        with guard.purpose(MAY):
            assert next(rows).device == "d"  # as `use.open` there
    for _ in range(2):
        with pytest.raises(pg.PurposeMissing):
            next(rows)
    with guard.purpose(WHOLE), pytest.raises(pg.PurposeMissing):
        next(rows)


def test_what_was_withheld_from_is_whole_where_the_end_of_its_use_is_only_observed() -> None:
    tape = Tape()

    async def load() -> Customer:
        return Customer()

    with pg.Guard(tm.NOTICE, mode="observe", ledger=tape).purpose(MAY) as use:
        rows = use.withhold(iter([Customer()]), Iterator[Customer])
        later = use.withhold(load(), Awaitable[Customer])
    assert next(rows).device == "d"

    async def run() -> Customer:
        return await later

    assert asyncio.run(run()).device == "d"
    assert {(type(error), observed) for error, observed in tape.denials} == {(pg.PurposeMissing, True)}


@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}, {"narrow": True, "withhold": True}])
def test_each_row_of_an_iterator_is_looked_at_when_it_comes(options: dict[str, bool]) -> None:
    office = Office({})
    mine = guarded(office)

    load = reading(mine, Iterator[Frozen], lambda: map(frozen, (7, 8, 9)), **options)
    with mine.purpose(MAY):
        rows = load()
        assert next(rows).email == "e"
        office.all_preferences["8"] = STOPPED
        if "narrow" in options:
            assert next(rows).key == 9
            assert next(rows, None) is None
        else:
            with pytest.raises(pg.SubjectViolation):
                _ = next(rows).email
    with mine.purpose(MAY):
        late = load()
    with pytest.raises(pg.PurposeMissing):
        next(late)
    with mine.purpose(MAY_NOT), pytest.raises(pg.PurposeViolation):
        _ = next(late).email


@in_a_loop
async def test_rows_of_async_iterators_are_left_out_as_they_come() -> None:
    office = Office({})
    mine = guarded(office)

    async def rows() -> AsyncGenerator[Frozen, Any]:
        for key in (7, 8, 9):
            yield Frozen(key=key)

    load = reading(mine, AsyncIterator[Frozen], rows, narrow=True)
    with mine.purpose(MAY):
        stream = load()
        assert (await anext(stream)).key == 7
        office.all_preferences["8"] = STOPPED
        assert (await anext(stream)).key == 9
        assert await anext(stream, None) is None


@dataclasses.dataclass
class Sheet:
    rows: Iterator[Customer]
    title: str = "t"


Ring = typing_extensions.TypeAliasType("Ring", list[Iterator[Customer]])
Pages = NewType("Pages", tuple[int, Iterator[Customer]])


@dataclasses.dataclass
class Tree:
    own: Email
    children: list[Tree]


def test_a_class_that_holds_itself_holds_no_iterator() -> None:
    load = reading(guard, Tree, lambda: Tree("e", []))
    with guard.purpose(MAY):
        assert load() == Tree("e", [])


Others: Any = tuple[type[int], Callable[[int], int], Sheet]
HOLDING: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tuple": (tuple[int, Iterator[Customer]], lambda rows: (1, rows), lambda value: value[1]),
    "dict": (dict[str, Iterable[Customer]], lambda rows: {"a": rows}, lambda value: value["a"]),
    "dataclass": (Sheet, Sheet, lambda value: value.rows),
    "iterator": (Iterator[Iterator[Customer]], lambda rows: iter([rows]), next),
    "list in iterator": (Iterator[list[Iterator[Customer]]], lambda rows: iter([[rows]]), lambda value: next(value)[0]),
    "optional": (Sheet | None, Sheet, lambda value: value.rows),
    "alias": (Ring, lambda rows: [rows], lambda value: value[0]),
    "new type": (Pages, lambda rows: (1, rows), lambda value: value[1]),
    "beside others": (Others, lambda rows: (int, abs, Sheet(rows)), lambda value: value[2].rows),
}


@pytest.mark.parametrize("options", [{}, {"withhold": True}])
@pytest.mark.parametrize(("annotation", "make", "take"), HOLDING.values(), ids=HOLDING)
def test_announced_iterators_inside_ask_as_well(
    annotation: Any, make: Callable[[Any], Any], take: Callable[[Any], Any], options: dict[str, bool]
) -> None:
    load = reading(guard, annotation, lambda: make(Customer() for _ in range(9)), **options)
    with guard.purpose(WHOLE):
        rows = take(load())
        assert next(rows).device == "d"
        with guard.purpose(MAY), pytest.raises(pg.PurposeViolation):
            _ = next(rows).device
        assert next(rows).device == "d"
    with pytest.raises(pg.PurposeMissing):
        next(rows)


def test_rows_of_iterators_inside_rows_are_looked_at_when_they_come() -> None:
    office = Office({})
    mine = guarded(office)

    @dataclasses.dataclass
    class Batch:
        rows: Iterator[Frozen]

    for options in ({}, {"narrow": True}, {"narrow": True, "withhold": True}):
        office.all_preferences.clear()

        load = reading(mine, Batch, lambda: Batch(map(frozen, (7, 8, 9))), **options)
        with mine.purpose(MAY):
            rows = load().rows
            assert next(rows).key == 7
            office.all_preferences["8"] = STOPPED
            if options:
                assert next(rows).key == 9
            else:
                with pytest.raises(pg.SubjectViolation):
                    next(rows)
        with pytest.raises(pg.PurposeMissing):
            next(rows)
        with mine.purpose(MAY):
            rows = load().rows
        with mine.purpose(MAY_NOT), pytest.raises(pg.PurposeViolation):
            _ = next(rows).email


@dataclasses.dataclass
class Owned:
    """A row that says whose it is, of what says nothing of that itself."""

    key: Annotated[int, pg.Subject]
    contacts: Iterator[Contact] | None = None
    emails: Iterator[Email] | None = None
    latest: Awaitable[Contact] | None = None


@pytest.mark.parametrize("name", ["contacts", "emails"])
@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}])
def test_what_comes_later_in_a_row_is_of_its_subject_then(name: str, options: dict[str, bool]) -> None:
    office = Office({})
    mine = guarded(office)
    make: dict[str, Callable[[], Owned]] = {
        "contacts": lambda: Owned(7, contacts=contacts()),
        "emails": lambda: Owned(7, emails=(row.email for row in contacts())),
    }
    load = reading(mine, Owned, make[name], **options)
    with mine.purpose(MAY):
        rows = getattr(load(), name)
        assert next(rows) in (Contact(email="e0"), "e0")
        office.all_preferences["7"] = STOPPED
        if "narrow" in options:
            assert list(rows) == []
        elif name == "contacts" and options:
            assert "email" not in vars(next(rows))
        else:
            with pytest.raises(pg.SubjectViolation):
                next(rows)


def test_what_is_awaited_later_in_a_row_is_of_its_subject_then() -> None:
    office = Office({})
    mine = guarded(office)

    async def contact() -> Contact:
        return Contact()

    for options in ({}, {"narrow": True}):
        office.all_preferences.clear()
        load = reading(mine, Owned, lambda: Owned(7, latest=contact()), **options)
        with mine.purpose(MAY):
            row = load()
            office.all_preferences["7"] = STOPPED
            with pytest.raises(pg.SubjectViolation):
                asyncio.run(awaited(row.latest))


@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}])
def test_an_iterator_in_the_place_of_a_mapping_may_give_its_keys(options: dict[str, bool]) -> None:
    mine = guarded()
    rows = {MarkedKey(7): 1, MarkedKey(8): 2}
    load = reading(mine, dict[MarkedKey, int], lambda: iter(rows), **options)
    others = reading(mine, dict[MarkedKey, int], contacts, **options)
    with mine.purpose(MAY):
        if options:
            assert [row.key for row in load() if "email" in row._asdict()] in ([8], [7, 8])
        with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
            next(others())


async def awaited(value: Awaitable[Any]) -> Any:
    return await value


def test_where_denials_are_observed_everything_is_given_and_recorded() -> None:
    tape = Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    for options in ({}, {"withhold": True}):
        load = reading(observing, Iterator[Customer], lambda: iter([Customer()] * 9), **options)
        rows = load()
        assert next(rows).device == "d"
        with observing.purpose(MAY):
            assert next(rows).device == "d"
        kinds = collections.Counter(type(error) for error, observed in tape.denials if observed)
        assert kinds == {pg.PurposeMissing: 2, pg.PurposeViolation: 1}
        tape.denials.clear()


@pytest.mark.parametrize("make", [contacts, lambda: iter([Contact()])])
def test_an_iterator_is_not_kept_by_a_cache(make: Callable[[], Any]) -> None:
    load = guard.cached()(reading(guard, Iterator[Contact], make))

    @guard.cached()
    @guard.access
    async def later() -> Iterator[Contact]:
        rows: Iterator[Contact] = make()
        return rows

    with guard.purpose(MAY):
        with pytest.raises(TypeError, match="used up"):
            load()
        with pytest.raises(TypeError, match="used up"):
            asyncio.run(later())


def test_functions_that_give_many_classes_are_asked_all_the_same() -> None:
    kinds = [type(f"Kind{number}", (), {}) for number in range(300)]
    given: list[Any] = [kind() for kind in kinds]

    @guard.access(tm.Registration)
    def load(number: int) -> Any:
        return given[number] if number < 300 else iter([1])

    with guard.purpose(MAY):
        for number in range(300):
            assert load(number) is load(number) is given[number]
        rows = load(300)
    with pytest.raises(pg.PurposeMissing):
        next(rows)


@in_a_loop
async def test_awaitables_that_run_elsewhere_are_what_they_are() -> None:
    future: asyncio.Future[Contact] = asyncio.get_running_loop().create_future()
    future.set_result(Contact())
    load = reading(guard, Awaitable[Contact], lambda: future)
    with guard.purpose(MAY):
        assert load() is future
