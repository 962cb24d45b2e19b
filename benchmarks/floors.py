"""Floors: what CPython itself takes for the smallest thing that could do the job."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from benchmarks.timing import Case
from purposeguard.notices import trendmicro_jp as tm

EMPTY = "empty function call"
MASK = "a mask tested inside a function"
SUPERSET_1 = "`frozenset.issuperset` inside a function, 1 source"
SUPERSET_2 = "`frozenset.issuperset` inside a function, 2 sources"
SUPERSET_3 = "`frozenset.issuperset` inside a function, 3 sources"
WRAPPER = "empty `functools.wraps` wrapper around an empty function"
WRAPPER_ONE = "`functools.wraps` wrapper around a function of one parameter"
WRAPPER_ANY = "`functools.wraps` wrapper around a function of `*args, **kwargs`, given one of each"
CONTEXT_GET = "`ContextVar.get`"
THREAD = "`threading.get_ident`"
SLOT = "a slot read by its descriptor"
OPENED = "a set asked, the thread asked for and a slot read by its descriptor, inside a function"
CONTEXT_SET = "`ContextVar.set` to another object and `reset`"

DENIED = 0b1010100
GRANTED = frozenset(tm.NOTICE.sources)


def empty() -> None:
    pass


def one(key: int) -> None:
    pass


def anything(*args: object, **kwargs: object) -> None:
    pass


def is_outside_mask(mask: int) -> bool:
    return not mask & DENIED


def superset(asked: frozenset[object]) -> bool:
    return GRANTED.issuperset(asked)


def wrap(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


class Slotted:
    __slots__ = ("slot",)

    def __init__(self, value: object) -> None:
        self.slot = value


read = vars(Slotted)["slot"].__get__
HERE = threading.get_ident()
KNOWN = {1}
threading_ident = threading.get_ident


def read_slot(one: int, slotted: Slotted) -> object:
    return read(slotted) if one in KNOWN and threading_ident() == HERE else None


def floors() -> list[Case]:
    variable: ContextVar[object] = ContextVar("floor", default=None)
    asked = [tm.Registration, tm.Contract, tm.ProductData]
    return [
        Case(EMPTY, "empty()", {"empty": empty}),
        Case(MASK, "masked(2)", {"masked": is_outside_mask}),
        Case(SUPERSET_1, "superset(asked)", {"superset": superset, "asked": frozenset(asked[:1])}),
        Case(SUPERSET_2, "superset(asked)", {"superset": superset, "asked": frozenset(asked[:2])}),
        Case(SUPERSET_3, "superset(asked)", {"superset": superset, "asked": frozenset(asked)}),
        Case(WRAPPER, "wrapper()", {"wrapper": wrap(empty)}),
        Case(WRAPPER_ONE, "wrapper(7)", {"wrapper": wrap(one)}),
        Case(WRAPPER_ANY, "wrapper(7, limit=1)", {"wrapper": wrap(anything)}),
        Case(CONTEXT_GET, "get()", {"get": variable.get}),
        Case(THREAD, "get_ident()", {"get_ident": threading.get_ident}),
        Case(SLOT, "read(slotted)", {"read": read, "slotted": Slotted(1)}),
        Case(OPENED, "opened(1, slotted)", {"opened": read_slot, "slotted": Slotted(1)}),
        Case(CONTEXT_SET, "reset(set_(value))", {"set_": variable.set, "reset": variable.reset, "value": object()}),
    ]
