"""Walks by plans: what is asked for is never less than what was announced, and short ways leave what long ones do."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.values.type_schema import Shape, shape_of
from purposeguard.values.withheld import Withheld
from purposeguard.values.withholding import Classes, Withholder
from tests.properties.test_announced import (
    ANNOUNCED,
    BOTH,
    COMING,
    FREE,
    HIDDEN,
    HOLDERS,
    MARKED,
    SEALED,
    Kind,
)

MATRIX = PolicyTable(tm.NOTICE)


class Asked:
    """A withholder that denies these sources, with the labels that it asked for."""

    def __init__(self, *denied: type[pg.Source], is_told: bool) -> None:
        self.labels: set[pg.Label] = set()
        self.streams: list[str] = []
        self._denied = denied
        self.withholder = Withholder(
            denies=self._denies,
            denies_seal=self._denies,
            refuse=self._refuse,
            record=lambda decisions: Withheld(decisions, None, None, None),
            key=(),
            classes=Classes(),
            met=[],
            stream=self._stream,
            is_told=is_told,
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


@settings(derandomize=True, database=None, max_examples=1200, deadline=None)
@given(*PAIRS, st.sampled_from(sorted(HOLDERS.keys() - {"field", "field of a tuple"})))
def test_what_is_asked_for_is_all_that_was_announced_where_no_announced_class_comes(
    announced: Kind, comes: Kind, stated: str, comes_in: str
) -> None:
    annotation = HOLDERS[stated][0](announced.annotation)
    shape, row = shape_of(annotation), comes.make(8, FREE, HIDDEN)
    # A dict may be any TypedDict.
    if is_instance(row, announced) or is_instance(held(comes_in, annotation, stated, row), announced):
        return
    asked = Asked(is_told=True)
    value = held(comes_in, annotation, stated, row)
    if outcome(asked, value, shape) is not None and not asked.streams:
        assert shape.sources <= {source for label in asked.labels for source in label.sources}


@settings(derandomize=True, database=None, max_examples=1200, deadline=None)
@given(*PAIRS[:2], st.lists(st.sampled_from([*COMING, *BOTH.values()]), max_size=2), st.integers(1, 3), st.booleans())
def test_many_rows_at_once_are_left_as_each_by_itself(
    announced: Kind, comes: Kind, more: list[Kind], times: int, silent: bool
) -> None:
    shape = Shape() if silent else shape_of(list[announced.annotation])  # type: ignore[name-defined]  # made here
    kinds = [*([comes] * times), *more]
    left: list[Any] = []
    for is_told in (True, False):
        rows = [kind.make(number, FREE, HIDDEN) for number, kind in enumerate(kinds)]
        given_back = outcome(Asked(tm.ProductData, is_told=is_told), rows, shape)
        left.append(None if given_back is None else [*map(fields, given_back)])
    assert left[0] == left[1]
