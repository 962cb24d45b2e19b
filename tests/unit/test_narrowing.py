"""`@guard.access(narrow=True)`: rows that may not be used are left out of whatever holds them."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.values.row_filter import RowFilter
from purposeguard.values.type_schema import read_shape
from tests.unit.marked_rows import BAD, KINDS, Frozen, every_kind, good, listed, narrowed, reading
from tests.unit.models import Email, P
from tests.unit.oversights import STOPPED, Many, Office, guarded


@pytest.mark.usefixtures("remembers")
@every_kind
def test_the_subjects_of_many_rows_are_asked_of_at_once(kind: str) -> None:
    cls, make = KINDS[kind]
    rows = [make(key) for key in range(20)]
    renewal = SubjectPreferences(suspended=frozenset({tm.RenewalGuidance.clause}))
    web = SubjectPreferences(suspended=frozenset({tm.WebFeedback.clause}))
    alone = Office({"7": STOPPED, "9": renewal, "11": web})
    many = Many(alone.all_preferences)
    expected = [make(key) for key in range(20) if key not in {7, 9}]
    assert narrowed(listed(cls), rows, guard=guarded(alone)) == expected
    assert narrowed(listed(cls), rows, guard=guarded(many)) == expected
    if many.batches:  # not of kinds that are read row by row
        assert many.batches == [[str(key) for key in range(20)]]
        assert many.asked == []


@pytest.mark.parametrize("given", [[CLEAR], [CLEAR, None], ["clear", CLEAR]], ids=["fewer", "none", "another"])
def test_an_office_that_does_not_answer_for_each_is_refused(given: list[Any]) -> None:
    office = Many({})
    office.preferences_of_each = lambda _subjects, /: given  # type: ignore[method-assign]  # the fault
    with pytest.raises(TypeError, match="preferences_of_each"):
        narrowed(list[Frozen], [good(), good()], guard=guarded(office))


class Rows(list[Frozen]):
    """A list of one's own."""


class Deque(collections.deque[Frozen]):
    pass


@pytest.mark.parametrize(
    ("annotation", "holding"),
    [
        (list[Frozen], list),
        (Rows, Rows),
        (tuple[Frozen, ...], tuple),
        (set[Frozen], set),
        (frozenset[Frozen], frozenset),
        (collections.deque[Frozen], collections.deque),
        (Deque, Deque),
    ],
    ids=["list", "own list", "tuple", "set", "frozenset", "deque", "own deque"],
)
def test_a_container_stays_what_it_is(annotation: Any, holding: Callable[[list[Frozen]], Any]) -> None:
    value = holding([good(8), good(9)])
    assert narrowed(annotation, value) is value
    left = narrowed(annotation, holding([BAD, good(8), good(9)]))
    assert type(left) is type(value)
    assert left == value
    empty = narrowed(annotation, holding([BAD]))
    assert type(empty) is type(value)
    assert len(empty) == 0


class OwnDict(dict[str, Frozen]):
    pass


@pytest.mark.parametrize("make", [dict, OwnDict, collections.OrderedDict], ids=lambda made: made.__name__)
def test_items_of_a_mapping_are_left_out(make: Any) -> None:
    value = make({"b": good(8), "a": good(9)})
    assert narrowed(dict[str, Frozen], value) is value
    left = narrowed(dict[str, Frozen], make({"x": BAD, "b": good(8), "a": good(9)}))
    assert type(left) is make
    assert list(left.items()) == [("b", good(8)), ("a", good(9))]


def test_the_length_of_a_deque_and_the_default_of_a_dict_are_kept() -> None:
    assert narrowed(collections.deque[Frozen], collections.deque([BAD, good()], maxlen=5)).maxlen == 5
    value = collections.defaultdict(list, {"a": [BAD], "b": [good()]})
    left = narrowed(dict[str, list[Frozen]], value)
    assert left == {"a": [], "b": [good()]}
    assert left["c"] == []


def test_keys_that_are_rows_are_left_out() -> None:
    assert narrowed(dict[Frozen, int], {good(): 1, BAD: 2}) == {good(): 1}
    assert narrowed(dict[Frozen, Frozen], {good(): BAD, good(9): good()}) == {good(9): good()}
    pair = tuple[Frozen, ...]
    value = {(good(), good(9)): 1}
    assert narrowed(dict[pair, int], value) is value
    with pytest.raises(pg.UnlabelledData, match="has keys in which nothing can be left out"):
        narrowed(dict[pair, int], {(good(), BAD): 1})


class OwnTuple(tuple[Frozen, ...]):
    __slots__ = ()


class OwnSet(set[Frozen]):
    pass


@pytest.mark.parametrize(
    ("annotation", "holding"),
    [
        (Mapping[str, Frozen], lambda row: MappingProxyType({"a": row})),
        (OwnTuple, lambda row: OwnTuple((row,))),
        (OwnSet, lambda row: OwnSet({row})),
        (list[Frozen], lambda row: {"a": row}.values()),
    ],
    ids=["proxy", "own tuple", "own set", "view"],
)
def test_what_cannot_be_made_anew_is_refused(annotation: Any, holding: Callable[[Frozen], Any]) -> None:
    value = holding(good())
    assert narrowed(annotation, value) is value
    with pytest.raises(pg.UnlabelledData, match="in which nothing can be left out: give a list"):
        narrowed(annotation, holding(BAD))


def test_containers_in_containers() -> None:
    value = {"a": [(good(), BAD), (BAD,)], "b": []}
    assert narrowed(dict[str, list[tuple[Frozen, ...]]], value) == {"a": [(good(),), ()], "b": []}
    assert narrowed(list[list[Frozen | None]], [[BAD, None], [good()]]) == [[None], [good()]]


def test_a_container_that_holds_itself_is_refused() -> None:
    rows: list[Any] = [good()]
    rows.append(rows)
    with pytest.raises(pg.UnlabelledData, match="not what its annotation says"):
        narrowed(list[Frozen], rows)
    with pytest.raises(pg.UnlabelledData, match=r"`\[\]` is a list that holds itself"):
        narrowed(Frozen | list[Frozen | list[Frozen]], rows)
    twice = [good()]
    assert narrowed(list[list[Frozen]], [twice, twice]) == [twice, twice]


@pytest.mark.parametrize("annotation", [Frozen, Frozen | None], ids=["row", "optional"])
def test_a_row_alone_is_refused(annotation: Any) -> None:
    assert narrowed(annotation, good()) == good()
    with pytest.raises(pg.SubjectViolation) as caught:
        narrowed(annotation, BAD)
    assert caught.value.field == "email"


def test_none_is_given_as_it_is() -> None:
    assert narrowed(Frozen | None, None) is None
    assert narrowed(list[Frozen] | None, None) is None


@pytest.mark.parametrize(
    "annotation", [tm.Registration, Annotated[str, tm.Registration], list[Email]], ids=["source", "value", "values"]
)
def test_rows_that_do_not_say_whose_they_are_cannot_be_left_out(annotation: Any) -> None:
    with pytest.raises(pg.UnlabelledData):
        reading(guarded(), annotation, [], narrow=True)


def test_generators_leave_out_as_they_go() -> None:
    guard = guarded()
    steps = []

    @guard.access(narrow=True)
    def each() -> Generator[Frozen, str, Frozen]:
        for key in (7, 8, 7, 9):
            sent = yield Frozen(key=key)
            steps.append((key, sent))
        return BAD

    @guard.access(narrow=True)
    def ends_well() -> Generator[Frozen, None, Frozen]:
        yield BAD
        return good()

    with guard.purpose(P):
        rows = each()
        assert next(rows) == good(8)
        assert rows.send("s") == good(9)
        with pytest.raises(StopIteration) as stopped:
            rows.send("t")
        assert stopped.value.value is None
        with pytest.raises(StopIteration) as stopped:
            next(ends_well())
        assert stopped.value.value == good()
    # What is sent goes to the row that was given, and none to those left out.
    assert steps == [(7, None), (8, "s"), (7, None), (9, "t")]


def test_what_is_thrown_in_reaches_the_row_that_was_given() -> None:
    guard = guarded()
    caught = []

    @guard.access(narrow=True)
    def each() -> Iterator[Frozen]:
        for key in (8, 7, 9):
            try:
                yield Frozen(key=key)
            except KeyError:
                caught.append(key)

    with guard.purpose(P):
        rows: Any = each()
        assert next(rows) == good(8)
        assert rows.throw(KeyError()) == good(9)
        rows.close()
    assert caught == [8]


def test_coroutines_and_async_generators() -> None:
    guard = guarded()
    closed = []

    @guard.access(narrow=True)
    async def load() -> list[Frozen]:
        await asyncio.sleep(0)
        return [BAD, good()]

    @guard.access(narrow=True)
    async def stream() -> AsyncIterator[Frozen]:
        try:
            for key in (7, 8, 7, 9):
                yield Frozen(key=key)
        finally:
            closed.append(1)

    async def run() -> tuple[list[Frozen], list[Frozen]]:
        return await load(), [row async for row in stream()]

    with guard.purpose(P):
        assert asyncio.run(run()) == ([good()], [good(8), good(9)])
    assert closed == [1]


def test_each_item_of_a_stream_may_be_a_list() -> None:
    guard = guarded()

    @guard.access(narrow=True)
    def batches() -> Iterator[list[Frozen]]:
        yield [good(), BAD]
        yield [BAD]

    with guard.purpose(P):
        assert list(batches()) == [[good()], []]


def test_partials_methods_and_callable_objects() -> None:
    guard = guarded()

    def each(*keys: int) -> Iterator[Frozen]:
        for key in keys:
            yield Frozen(key=key)

    class Shop:
        @guard.access(narrow=True)
        def load(self) -> list[Frozen]:
            return [BAD, good()]

        @guard.access(narrow=True)
        @classmethod
        def every(cls) -> list[Frozen]:
            return [BAD, good()]

        def __call__(self) -> Iterator[Frozen]:
            yield BAD
            yield good()

    with guard.purpose(P):
        assert list(guard.access(narrow=True)(functools.partial(each, 7, 8))()) == [good()]
        assert Shop().load() == Shop.every() == [good()]
        assert list(guard.access(narrow=True)(Shop())()) == [good()]


def test_an_iterator_leaves_out_as_it_goes() -> None:
    office = Office({})
    guard = guarded(office)
    function = reading(guard, Iterator[Frozen], lambda: iter([good(8), good(9), good(10)]), narrow=True)
    with guard.purpose(P):
        rows = function()
        assert next(rows) == good(8)
        office.all_preferences["9"] = STOPPED
        assert list(rows) == [good(10)]
        assert list(function()) == [good(8), good(10)]
        assert list(rows) == []


def test_no_more_plans_are_kept_than_some() -> None:
    narrower = RowFilter(lambda *_: None, lambda *_: None, leave_out=True, named=None, stream=lambda *_: None)
    row, shape = good(), read_shape(Frozen)
    shape.plans.update((type(f"Row{number}", (), {}), None) for number in range(1000))
    assert narrower.apply(row, shape) is row
    assert list(shape.plans) == [Frozen]


def test_awaitables_are_to_be_awaited_by_the_function() -> None:
    async def later() -> list[Frozen]:
        raise AssertionError("it is not run")

    guard = guarded()

    @guard.access(narrow=True)
    def load() -> Awaitable[list[Frozen]]:
        return later()

    with guard.purpose(P), pytest.raises(pg.UnlabelledData, match="make the function itself `async`"):
        load()
