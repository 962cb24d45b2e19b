"""Classes that many threads read for the first time, all at once."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, computed_field

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import lacks

THREADS = 8
CLASSES = 40
"""Of so many new classes, some were read by two threads at the same moment in each of many runs."""


@pytest.fixture
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def make_data() -> type:
    class Base:
        @property
        def first(self) -> int:
            return 1

        @cached_property
        def second(self) -> int:
            return 2

    @dataclasses.dataclass
    class Data(Base):
        email: Annotated[str, tm.Registration]
        device: Annotated[str, tm.ProductData] = "d"

        @property
        def third(self) -> int:
            return 3

    return Data


def make_model() -> type:
    class Base(BaseModel):
        email: Annotated[str, tm.Registration]

        @property
        def first(self) -> int:
            return 1

    class Model(Base):
        device: Annotated[str, tm.ProductData] = "d"

        @computed_field  # type: ignore[prop-decorator]  # as pydantic has it
        @property
        def second(self) -> int:
            return 2

    return Model


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("make", [make_data, make_model])
def test_classes_can_be_read_first_by_many_threads_at_once(make: Any) -> None:
    guard = pg.Guard(tm.NOTICE)
    failures: list[BaseException] = []

    def read(cls: Any, barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            with guard.purpose(tm.RenewalGuidance) as use:
                left = use.withhold(cls(email="e"))
            assert left.email == "e"
            assert lacks(left, "device")
        except BaseException as error:  # reported below, from the thread of the test
            failures.append(error)

    for _ in range(CLASSES):
        barrier = threading.Barrier(THREADS)
        cls = make()
        threads = [threading.Thread(target=read, args=(cls, barrier)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
