"""Access functions that return sealed values, which are checked where they are opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.marked_rows import reading
from tests.unit.models import C, D, R, lacks
from tests.unit.seals import (
    ABSENT,
    DEVICE,
    NAME,
    Name,
    Sealed,
    Told,
    run,
    sealed_by_key,
    sealed_customer,
    sealed_each,
    sealed_later,
    sealed_stream,
    words,
)


class Mixed(BaseModel):
    name: Name
    bill: Annotated[str, tm.Contract]


def sealed_names() -> list[Name]:
    return [NAME]


def sealed_name() -> Name:
    return NAME


def sealed_for() -> pg.Personal[str, tm.RenewalGuidance]:
    return NAME


def sealed_anyhow() -> pg.Personal | None:  # type: ignore[type-arg]  # as untyped code writes it
    return NAME


SEALED: dict[str, tuple[Callable[[], Any], dict[str, pg.Label]]] = {
    "model": (sealed_customer, {"name": R, "device": D}),
    "coroutine": (sealed_later, {"name": R, "device": D}),
    "generator": (sealed_each, {"name": R, "device": D}),
    "async-generator": (sealed_stream, {"name": R, "device": D}),
    "list": (sealed_names, {"[]": R}),
    "whole": (sealed_name, {"(value)": R}),
    "purpose": (sealed_for, {}),
    "bare": (sealed_anyhow, {}),
    "mapping": (sealed_by_key, {"name": R, "device": D}),
}
each_sealed = pytest.mark.parametrize(("fn", "sources"), SEALED.values(), ids=list(SEALED))


@each_sealed
def test_what_is_sealed_takes_a_purpose_to_be_read_and_no_more(
    fn: Callable[[], Any], sources: dict[str, pg.Label]
) -> None:
    told = Told()
    for guard in (pg.Guard(tm.NOTICE), pg.Guard(tm.NOTICE, ledger=told)):
        read = guard.access(fn)
        with pytest.raises(pg.PurposeMissing) as missing:
            run(read)
        assert f"{fn.__module__}.{fn.__qualname__} was called outside any purpose" in words(missing)
        for purpose in (tm.RenewalGuidance, tm.TrafficAnalysis):
            with guard.purpose(purpose):
                for _ in range(2):
                    assert run(read) is not None
        (access,) = guard.accesses
        assert access.label is access.named is access.whole is None
        assert access.fields == {}
        assert access.sealed == sources
    assert told.uses == []  # nothing was opened
    assert len(told.denials) == 1


def test_what_is_plain_beside_it_is_checked_where_it_is_read() -> None:
    told = Told()
    guard = pg.Guard(tm.NOTICE, ledger=told)
    read = reading(guard, Mixed, lambda: Mixed(name=NAME, bill="bill"))
    (access,) = guard.accesses
    assert (access.label, access.fields, access.sealed) == (C, {"bill": C}, {"name": R})
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        assert use.open(read().name) == "name"
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation) as refused:
        read()
    assert refused.value.decision.label is C
    assert told.uses == [("it", "1.2(1)①", C, 1), ("it", "1.2(1)①", R, 1)]


def test_named_sources_are_checked_too() -> None:
    guard = pg.Guard(tm.NOTICE)
    read = guard.access(tm.Contract)(sealed_customer)

    @guard.access(tm.Contract, withhold=True)
    def read_some() -> Sealed:
        return sealed_customer()

    for fn in (read, read_some):
        with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
            fn()
    with guard.purpose(tm.RenewalGuidance) as use:
        assert read().device is DEVICE
        assert use.open(read_some().name) == "name"
        assert lacks(read_some(), "device")
    assert [access.label for access in guard.accesses] == [C, C]


def test_an_annotation_that_is_resolved_later(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def read() -> Undefined:  # type: ignore[name-defined]  # noqa: F821  # defined below
        return Later(NAME)

    assert guard.accesses[0].sealed == {}
    with pytest.raises(pg.UnlabelledData, match="`Undefined`, which is not defined"):
        read()
    monkeypatch.setitem(globals(), "Undefined", Later)
    with pytest.raises(pg.PurposeMissing):
        read()
    assert guard.accesses[0].sealed == {"name": R}
    with guard.purpose(tm.TrafficAnalysis):
        assert read().name is NAME


@dataclasses.dataclass
class Later:
    name: Name


def test_sealed_sources_of_another_notice_are_refused_at_decoration() -> None:
    other: Any = pg.Notice.parse(tm.NOTICE.dump()).source("1.1a")

    def read() -> Any: ...

    read.__annotations__["return"] = pg.Personal[str, other]
    with pytest.raises(pg.UnknownSource):
        pg.Guard(tm.NOTICE).access(read)


def test_what_is_sealed_is_kept_for_every_purpose() -> None:
    guard = pg.Guard(tm.NOTICE)
    calls: list[int] = []

    @guard.cached()
    @guard.access
    def read() -> Sealed:
        calls.append(1)
        return sealed_customer()

    with pytest.raises(pg.PurposeMissing):
        read()
    for purpose, may in [(tm.RenewalGuidance, False), (tm.ProductProvision, True), (tm.RenewalGuidance, False)]:
        with guard.purpose(purpose) as use:
            device = read().device
            assert device is not None
            assert (use.try_open(device, ABSENT) is not ABSENT) is may
    assert len(calls) == 2  # each purpose has its own entry
    guard.cache_clear(read)
    with guard.purpose(tm.RenewalGuidance):
        read()
    assert len(calls) == 3
    with pytest.raises(TypeError, match=r"sealed_customer has no cache: `@guard\.cached\(…\)` gives it one"):
        guard.cache_clear(sealed_customer)
