"""Values that are not containers of rows: let through as they are. Where they may hold rows, looked into or refused."""

from __future__ import annotations

import dataclasses
import time
from collections import UserString
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.customers import Data, withheld
from tests.unit.marked_rows import Customer, reading
from tests.unit.models import D, Device, Email, P, R, guard


@dataclasses.dataclass
class Holder:
    email: Email
    device: Device = "d"
    value: Any = None
    vector: NDArray[np.float64] | None = None


class Tensor:
    """A tensor of no dimension, as torch makes them: it looks like a container and cannot be iterated."""

    dtype = "float32"

    def __dlpack__(self, **_options: Any) -> Any:
        raise NotImplementedError

    def __contains__(self, item: object) -> bool:
        raise TypeError("of a 0-d tensor")

    def __iter__(self) -> Any:
        raise TypeError("iteration over a 0-d tensor")

    def __len__(self) -> int:
        raise TypeError("len() of a 0-d tensor")


def array_of(*objects: object) -> Any:
    array = np.empty(len(objects), dtype=object)
    array[:] = objects
    return array


OPAQUE: dict[str, Any] = {
    "numbers": np.zeros(3),
    "two dimensions": np.zeros((2, 2)),
    "no dimension": np.array(3.0),
    "texts": np.array(["a"]),
    "days": np.array(["2026-01-01"], dtype="M8[D]"),
    "masked": np.ma.array([1, 2], mask=[False, True]),
    "records": np.zeros(2, dtype=[("a", "i4")]),
    "record": np.zeros(2, dtype=[("a", "i4")])[0],
    "number": np.float64(1.5),
    "objects": array_of("a", 1, None),
    "tensor": Tensor(),
    "own text": UserString("abc"),
}


@pytest.mark.parametrize("value", OPAQUE.values(), ids=OPAQUE)
def test_arrays_of_numbers_tensors_and_texts_stay_as_they_are(value: Any) -> None:
    left = withheld(Holder("e", value=value, vector=value))
    assert left.value is left.vector is value
    with pytest.raises(pg.PurposeViolation):
        left.device  # noqa: B018
    assert pg.Personal(value, tm.Registration).label is R
    narrowed = reading(guard, Customer | Holder, Holder("e", value=value))
    with guard.purpose(tm.ProductProvision):
        assert narrowed().value is value


def test_an_array_of_numbers_takes_no_longer_than_a_plain_field() -> None:
    def seconds(value: Any) -> float:
        holder = Holder("e", value=value)
        times: list[float] = []
        with guard.purpose(P) as use:
            for _ in range(30):
                began = time.perf_counter()
                for _ in range(20):
                    use.withhold(holder)
                times.append(time.perf_counter() - began)
        return min(times)

    assert seconds(np.zeros(100_000)) < 5 * seconds("x")


@pytest.mark.parametrize(
    "array",
    [
        array_of(Data("e", "d"), 1),
        array_of(Data("e", "d")).reshape((1, 1)),
        np.array(Data("e", "d"), dtype=object),
        np.ma.array(array_of(Data("e", "d")), mask=[True]),
    ],
    ids=["one dimension", "two dimensions", "no dimension", "masked"],
)
def test_rows_in_arrays_are_looked_at(array: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match="in which nothing can be left out: give a list"):
        withheld(Holder("e", value=array))
    assert withheld(Holder("e", value=array), purpose=tm.ProductProvision).value is array
    assert pg.Personal(array, tm.Registration).label is R | D


def test_records_that_hold_objects_are_refused() -> None:
    records = np.zeros(1, dtype=[("row", object)])
    for value in (records, records[0]):
        with pytest.raises(pg.UnlabelledData, match="of records that hold objects: give a list of rows"):
            withheld(Holder("e", value=value))
    with pytest.raises(pg.UnlabelledData, match="of records that hold objects"):
        pg.Personal(records, tm.Registration)


def test_an_array_of_numbers_is_no_list_of_rows() -> None:
    for annotation in (list[Data], list[pg.Personal[str, tm.Registration]], list[Customer], list[list[Data]]):
        with pytest.raises(pg.UnlabelledData, match="ndarray without objects, and rows were announced"):
            withheld(np.zeros(3), annotation, tm.ProductProvision)
    assert withheld(np.zeros(3), list[Email]).shape == (3,)


class Text(Sequence[Any]):
    """A text of one's own: each of its items is such a text again."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        if index:
            raise IndexError
        return Text()


def test_a_container_without_an_end_is_refused() -> None:
    for use in (lambda: withheld(Holder("e", value=Text())), lambda: pg.Personal(Text(), tm.Registration)):
        with pytest.raises(pg.UnlabelledData, match="what has no end is refused"):
            use()


def test_rows_may_be_linked_in_a_long_chain_in_what_is_sealed() -> None:
    chain: Any = None
    for _ in range(5_000):
        chain = Holder("e", value=[chain])
    assert pg.Personal(chain, tm.Registration).label is R | D
