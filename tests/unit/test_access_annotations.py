"""Where access functions take their sources from, and what is refused at decoration."""

from __future__ import annotations

import collections
import functools
from typing import TYPE_CHECKING, Annotated, Any

import cachetools
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Contact, Customer, D, Device, Email, R, guard, lacks
from tests.unit.samples import SMALL

if TYPE_CHECKING:
    from collections import Counter


def test_an_annotation_may_name_what_is_defined_later() -> None:
    mine = pg.Guard(tm.NOTICE)

    @mine.access
    def load() -> LaterRow:
        return LaterRow(email="e")

    assert mine.accesses[0].label is not None

    @mine.access
    def early() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return None

    @mine.access(tm.Registration)
    def named() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return "n"

    assert mine.accesses[1].label is None
    with mine.purpose(tm.RenewalGuidance):
        assert load().email == "e"
        assert named() == "n"
        with pytest.raises(pg.UnlabelledData, match="Nowhere"):
            early()


class LaterRow(BaseModel):
    email: Email


def test_an_annotation_that_is_resolved_at_the_first_call() -> None:
    mine = pg.Guard(tm.NOTICE)
    space: dict[str, Any] = {"guard": mine, "Customer": None}
    exec(  # noqa: S102  # a module whose names come one after the other
        "from __future__ import annotations\n"
        "@guard.access\ndef load() -> Late: return Late(email='e', device='d')\n"
        "@guard.access(withhold=True)\ndef some() -> Late: return Late(email='e', device='d')\n",
        space,
    )
    space["Late"] = Customer
    assert [access.label for access in mine.accesses] == [None, None]
    with mine.purpose(tm.ProductProvision):
        assert space["load"]().device == "d"
        assert space["some"]().device == "d"
    assert [access.label for access in mine.accesses] == [R | D, R | D]
    with mine.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation):
            space["load"]()
        assert lacks(space["some"](), "device")


def test_parameters_annotated_for_type_checkers_alone_do_not_matter() -> None:
    @guard.access
    def load(_counts: Counter[str]) -> Contact:
        return Contact(email="e")

    with guard.purpose(tm.RenewalGuidance):
        assert load(collections.Counter()).email == "e"


def test_a_function_s_local_classes_are_found() -> None:
    class Local(BaseModel):
        email: Email

    mine = pg.Guard(tm.NOTICE)

    @mine.access
    def load() -> Local:
        return Local(email="e")

    assert mine.accesses[0].label is R


@pytest.mark.parametrize("annotation", [None, int, "str", dict[str, str], BaseModel])
def test_a_function_without_sources_is_refused_at_decoration(annotation: Any) -> None:
    def load() -> Any: ...

    load.__annotations__ = {} if annotation is None else {"return": annotation}
    for decorate in (guard.access, guard.access(), guard.access(withhold=True)):
        with pytest.raises(pg.UnlabelledData, match="names a source"):
            decorate(load)
    with pytest.raises(pg.UnlabelledData, match="withholding needs"):
        guard.access(tm.Registration, withhold=True)(load)


def test_sources_of_another_notice_are_refused_at_decoration() -> None:
    small = pg.Notice.loads(SMALL)
    account = small.source("1(a)")

    class Stranger(BaseModel):
        email: Annotated[str, account]

    def load() -> Stranger:
        raise AssertionError("must not run")

    with pytest.raises(pg.UnknownSource):
        guard.access(load)
    for named in (account, pg.Label(account), "9.9", tm.RenewalGuidance, "1.2(1)①"):
        with pytest.raises(pg.UnknownSource):
            guard.access(named)


@pytest.mark.parametrize(
    "given", [Customer, 5, None, [tm.Contract], property(lambda self: 1)], ids=lambda given: type(given).__name__
)
def test_what_is_no_function_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError):
        guard.access(given)
    with pytest.raises(TypeError):
        guard.access(tm.Contract)(given)


def test_a_function_behind_a_cache_that_knows_no_purposes_is_refused() -> None:
    def load(_key: int = 0) -> Contact:
        return Contact(email="e")

    @functools.wraps(load)
    def around(key: int = 0) -> Contact:
        return cached(key)

    cached = functools.lru_cache(load)

    @functools.wraps(cached)
    def around_cached(key: int = 0) -> Contact:
        return cached(key)

    caches: list[Any] = [
        cached, functools.cache(load), functools.partial(cached, 1), around_cached, cachetools.cached({})(load),
        staticmethod(functools.cache(load)),
    ]  # fmt: skip
    for behind in caches:
        for decorate in (guard.access, guard.access(tm.Registration)):
            with pytest.raises(TypeError, match=r"guard\.cached"):
                decorate(behind)
    around.__dict__["__wrapped__"] = around  # a circle must not hang
    with pytest.raises(ValueError, match="loop"):
        guard.access(tm.Registration)(around)


def test_a_local_function_that_calls_itself_is_read_with_the_names_that_have_a_value_by_then() -> None:
    class Local(BaseModel):
        email: Email = "e"

    @guard.access
    def load(depth: int) -> Local:
        return load(depth - 1) if depth else Local()

    @guard.access
    def early() -> Later:
        return Later()

    class Later(BaseModel):
        device: Device = "d"

    with guard.purpose(tm.RenewalGuidance):
        assert load(2).email == "e"
        with pytest.raises(pg.PurposeViolation):
            early()
