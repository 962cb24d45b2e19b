"""The library's own decisions, each as an application would write it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import purposeguard as pg
from benchmarks.timing import Case
from purposeguard.notices import trendmicro_jp as tm

USE_ALLOWS = "`use.allows(label)`"
OPEN = "`use.open(sealed)`"
OPEN_ALL = "`use.open_all(…)` of a hundred, each"
OPEN_MAPPED = "`use.open(sealed.map(len))`, mapped beforehand"
SEAL = "`Personal(value, Source)`"
CLASS_CLASS = "`guard.allows(Class, Class)`"
IDS = '`guard.allows({"1.1a", "1.1b"}, "1.2(1)①")`, warm'
ACCESS = "`@guard.access`, allowed, ambient purpose set"
ACTIVITY = "`@guard.purpose` around a function"
DENIAL = "a denial with its full message"
UNREAD = "a denial whose message is not read"

CLASS_DENIED = "`guard.allows(Class, Class)`, denied"
CHECK = "`guard.check(Class, Class)`, allowed"
ACCESS_1 = "`@guard.access` around a function of one parameter"
ACCESS_ANY = "`@guard.access` around a function of `*args, **kwargs`, given one of each"
ACTIVITY_INSIDE = "`@guard.purpose` around a function, inside another purpose"
BLOCK = "`with guard.purpose(…)`"


def denial(guard: pg.Guard) -> str:
    try:
        guard.check(tm.ProductData, tm.RenewalGuidance)
    except pg.PurposeViolation as violation:
        return str(violation)
    raise AssertionError


def unread(guard: pg.Guard) -> None:
    try:
        guard.check(tm.ProductData, tm.RenewalGuidance)
    except pg.PurposeViolation:
        return
    raise AssertionError


def decisions() -> list[Case]:
    guard = pg.Guard(tm.NOTICE)
    label = pg.Label(tm.Registration)

    @guard.access(tm.Registration)
    def access() -> None:
        pass

    @guard.access(tm.Registration)
    def access_one(key: int) -> None:
        pass

    @guard.access(tm.Registration)
    def access_any(*args: Any, **kwargs: Any) -> None:
        pass

    @guard.purpose(tm.RenewalGuidance)
    def activity() -> None:
        pass

    def ambient() -> AbstractContextManager[Any]:
        return guard.purpose(tm.RenewalGuidance, activity="ambient")

    def block() -> None:
        with blocks:
            pass

    blocks = guard.purpose(tm.RenewalGuidance, activity="block")
    sealed = pg.Personal("value", tm.Registration)
    hundred = [sealed] * 100
    mapped = sealed.map(len)
    with ambient() as use:  # the first time a label is asked for is the slow one
        access()
        access_one(1)
        access_any()
        assert use.allows(label)
        assert use.open_all(hundred) == ["value"] * 100
        assert use.open(mapped) == 5
    assert not guard.allows({"1.1a", "1.1b"}, "1.2(1)①")
    assert denial(guard).startswith("renewal-guidance (1.2(1)①) may not use product-data (1.1(b))")
    names = {"guard": guard, "Source": tm.Registration, "Other": tm.ProductData, "Purpose": tm.RenewalGuidance}
    return [
        Case(USE_ALLOWS, "use.allows(label)", {"label": label}, ambient),
        Case(OPEN, "use.open(sealed)", {"sealed": sealed}, ambient),
        Case(OPEN_ALL, "use.open_all(hundred)", {"hundred": hundred}, ambient, of=100),
        Case(OPEN_MAPPED, "use.open(mapped)", {"mapped": mapped}, ambient),
        Case(SEAL, 'Personal("value", Source)', {"Personal": pg.Personal, "Source": tm.Registration}),
        Case(CLASS_CLASS, "guard.allows(Source, Purpose)", names),
        Case(IDS, 'guard.allows({"1.1a", "1.1b"}, "1.2(1)①")', names),
        Case(ACCESS, "access()", {"access": access}, ambient),
        Case(ACTIVITY, "activity()", {"activity": activity}),
        Case(DENIAL, "denial(guard)", {"denial": denial, "guard": guard}),
        Case(UNREAD, "unread(guard)", {"unread": unread, "guard": guard}),
        Case(CLASS_DENIED, "guard.allows(Other, Purpose)", names),
        Case(CHECK, "guard.check(Source, Purpose)", names),
        Case(ACCESS_1, "access(7)", {"access": access_one}, ambient),
        Case(ACCESS_ANY, "access(7, limit=1)", {"access": access_any}, ambient),
        Case(ACTIVITY_INSIDE, "activity()", {"activity": activity}, ambient),
        Case(BLOCK, "block()", {"block": block}),
    ]
