"""Walks by plans: what is asked for is never less than what was announced, and short ways leave what long ones do."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.values.type_schema import Shape, read_shape
from purposeguard.values.withheld import ClassCache, WithheldRecord
from purposeguard.values.withholding import FieldWithholder
from tests.properties.test_announced import ANNOUNCED, BOTH, COMING, FREE, HIDDEN, HOLDERS, MARKED, SEALED, Kind

MATRIX = PolicyTable(tm.NOTICE)


class Asked:
    """A withholder that denies these sources, with the labels that it asked for."""

    def __init__(self, *denied: type[pg.Source], records_each_row: bool) -> None:
        self.labels: set[pg.Label] = set()
        self.streams: list[str] = []
        self._denied = denied
        self.withholder = FieldWithholder(
            denies=self._denies,
            denies_seal=self._denies,
            refuse=self._refuse,
            record=lambda decisions: WithheldRecord(decisions, None, None, None),
            key=(),
            classes=ClassCache(),
            met=[],
            stream=self._stream,
            records_each_row=records_each_row,
        )

    def _denies(self, label: pg.Label, _contexts: tuple[RowContext, ...], _path: str) -> Decision | None:
        self.labels.add(label)
        if label.sources.isdisjoint(self._denied):
            return None
        return Decision(Verdict(False, MATRIX, label, tm.RenewalGuidance))  # a field

    def _refuse(self, _decision: Decision, _field: str | None) -> None:
        raise pg.UnlabelledData("refused")

    def _stream(self, value: Any, _shape: Shape, path: str, _contexts: Any) -> Any:
        self.streams.append(path)
        return value


def held(holder: str, annotation: Any, announced_in: str, row: Any) -> Any:
    return HOLDERS[holder][1](annotation if holder == announced_in else tuple, row)


def outcome(asked: Asked, value: Any, shape: Shape) -> Any:
    """What is left of a value; None where it is refused."""
    try:
        return asked.withholder.apply(value, shape)
    except pg.UnlabelledData:
        return None


def fields(row: Any) -> tuple[Any, ...]:
    """The class of a row, and what it gives for each field."""
    return (type(row).__qualname__, *(field(row, name) for name in ("key", "email", "device")))


def field(row: Any, name: str) -> Any:
    try:
        return row[name] if isinstance(row, dict) else getattr(row, name)
    except (pg.PurposeViolation, AttributeError) as error:
        return type(error)


def is_instance(row: Any, announced: Kind) -> bool:
    cls = getattr(announced.annotation, "__origin__", announced.annotation)
    cls = getattr(cls, "__pydantic_generic_metadata__", {}).get("origin") or cls
    return isinstance(row, dict if hasattr(cls, "__total__") else cls)


PAIRS = (
    st.sampled_from([*ANNOUNCED, *MARKED.values(), *SEALED]),
    st.sampled_from([*COMING, *SEALED]),
    st.sampled_from(sorted(HOLDERS.keys() - {"field", "field of a tuple"})),
)


@settings(derandomize=True, database=None, max_examples=settings().max_examples * 10, deadline=None)
@given(*PAIRS, st.sampled_from(sorted(HOLDERS.keys() - {"field", "field of a tuple"})))
def test_what_is_asked_for_is_all_that_was_announced_where_no_announced_class_comes(
    announced: Kind, comes: Kind, stated: str, comes_in: str
) -> None:
    annotation = HOLDERS[stated][0](announced.annotation)
    shape, row = read_shape(annotation), comes.make(8, FREE, HIDDEN)
    # A dict may be any TypedDict.
    if is_instance(row, announced) or is_instance(held(comes_in, annotation, stated, row), announced):
        return
    asked = Asked(records_each_row=True)
    value = held(comes_in, annotation, stated, row)
    if outcome(asked, value, shape) is not None and not asked.streams:
        assert shape.sources <= {source for label in asked.labels for source in label.sources}


@settings(derandomize=True, database=None, max_examples=settings().max_examples * 10, deadline=None)
@given(*PAIRS[:2], st.lists(st.sampled_from([*COMING, *BOTH.values()]), max_size=2), st.integers(1, 3), st.booleans())
def test_many_rows_at_once_are_left_as_each_by_itself(
    announced: Kind, comes: Kind, more: list[Kind], times: int, silent: bool
) -> None:
    shape = Shape() if silent else read_shape(list[announced.annotation])  # type: ignore[name-defined]  # made here
    kinds = [*([comes] * times), *more]
    left: list[Any] = []
    for records_each_row in (True, False):
        rows = [kind.make(number, FREE, HIDDEN) for number, kind in enumerate(kinds)]
        given_back = outcome(Asked(tm.ProductData, records_each_row=records_each_row), rows, shape)
        left.append(None if given_back is None else [*map(fields, given_back)])
    assert left[0] == left[1]


class Address(BaseModel):
    model_config = ConfigDict(extra="allow")

    street: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = HIDDEN


class Office(Address):
    floor: Annotated[str, tm.ProductData] = HIDDEN


@dataclasses.dataclass
class Order:
    number: Annotated[str, tm.Registration]
    address: Address | None
    device: Annotated[str, tm.ProductData] = HIDDEN


class Line(NamedTuple):
    order: Order
    device: Annotated[str, tm.ProductData]


class Note(TypedDict):
    line: Line
    device: Annotated[str, tm.ProductData]


@attrs.define
class Customer:
    email: Annotated[str, tm.Registration]
    orders: list[Order]
    notes: list[Note] | None
    other: Any
    device: Annotated[str, tm.ProductData] = HIDDEN


def _address(cls: type[Address], beside: Any) -> Address:
    address = cls.model_validate({"street": FREE} | ({"note": HIDDEN} if beside == "extra" else {}))
    if beside == "unset":
        del address.__dict__["device"]
    elif beside not in ("extra", None):
        address.__dict__["street"] = beside
    return address


ADDRESSES = st.builds(
    _address,
    st.sampled_from([Address, Address, Office]),
    st.sampled_from([None, None, None, "extra", "unset", pg.Personal(HIDDEN, tm.ProductData), [HIDDEN]]),
)
ORDERS = st.builds(Order, number=st.just(FREE), address=st.none() | ADDRESSES)
NOTES: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"line": st.builds(Line, order=ORDERS, device=st.just(HIDDEN)), "device": st.just(HIDDEN)}
)
CUSTOMERS = st.builds(
    Customer,
    email=st.just(FREE),
    orders=st.lists(ORDERS, max_size=2),
    notes=st.none() | st.lists(NOTES, max_size=2),
    other=st.sampled_from([None, None, None, FREE, Line(Order(FREE, None), HIDDEN)]),
)


def everything(value: Any) -> Any:
    """All that can be read of a value, to be compared."""
    if isinstance(value, list):
        return [everything(item) for item in value]
    names: Iterable[str] = ()
    if isinstance(value, dict):
        names = Note.__annotations__
    elif isinstance(value, (Address, Order, Line, Customer)):
        names = [name for base in type(value).__mro__ for name in getattr(base, "__annotations__", ())]
    found = tuple((name, everything(field(value, name))) for name in dict.fromkeys(names))
    extra = getattr(value, "__pydantic_extra__", None)
    return (type(value).__qualname__, found, extra) if found else value


@settings(derandomize=True, database=None, max_examples=settings().max_examples * 7, deadline=None)
@given(st.lists(CUSTOMERS, min_size=1, max_size=4), st.booleans(), st.sampled_from([tm.ProductData, tm.Registration]))
def test_rows_in_rows_are_left_by_columns_as_each_by_itself(
    customers: list[Customer], again: bool, denied: type[pg.Source]
) -> None:
    rows = customers * 2 if again else customers
    left = [
        outcome(Asked(denied, records_each_row=records_each_row), copy.deepcopy(rows), read_shape(list[Customer]))
        for records_each_row in (True, False)
    ]
    assert everything(left[0]) == everything(left[1])
