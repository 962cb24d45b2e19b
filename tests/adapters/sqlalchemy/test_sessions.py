"""What a session keeps is kept apart by purpose, however the session is made and asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.orm import Session

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession
from purposeguard.errors import PurposeMissing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from tests.adapters.sqlalchemy.shop import Base, Customer, Setting, Shop


def _bound_later(engine: Engine) -> GuardedSession:
    session = GuardedSession()
    session.bind = engine
    return session


class Routing(GuardedSession):
    """One that chooses the engine for each statement."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.arguments: list[dict[str, Any]] = []

    def get_bind(self, *_: Any, **arguments: Any) -> Any:
        self.arguments.append(arguments)
        return self.engine


def _routed(engine: Engine) -> GuardedSession:
    session = Routing()
    session.engine = engine
    return session


MADE: dict[str, Callable[[Engine], GuardedSession]] = {
    "with an engine": GuardedSession,
    "with a connection": lambda engine: GuardedSession(engine.connect()),
    "with engines by class": lambda engine: GuardedSession(binds={Base: engine}),
    "with an engine later": _bound_later,
    "with a choice of engines": _routed,
}
ASKED: dict[str, Callable[[Session], Any]] = {
    "by key": lambda session: session.get(Customer, 1),
    "by a query": lambda session: session.scalars(select(Customer).where(Customer.id == 1)).one(),
    "by merging": lambda session: session.merge(Customer(id=1)),
    "one by one": lambda session: next(iter(session)),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("asked", ASKED)
def test_what_was_loaded_for_one_purpose_is_not_found_for_another(
    made: str, asked: str, shop: Shop, guard: Guard
) -> None:
    with MADE[made](shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            kept = session.get_one(Customer, 1)
            assert kept.device == "d1"
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = ASKED[asked](session).device
        with pytest.raises(PurposeMissing):
            _ = ASKED[asked](session).device
        with guard.purpose(tm.ProductProvision):
            assert ASKED[asked](session).device == "d1"
    if isinstance(session.bind, Connection):
        session.bind.close()


def test_what_was_only_observed_is_not_found_again(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        with guard.purpose(tm.RenewalGuidance, mode="observe"):
            kept = session.get_one(Customer, 1)
            assert kept.device == "d1"
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = session.get_one(Customer, 1).device


def test_a_session_of_two_engines_forgets_what_is_guarded_alone(shop: Shop, guard: Guard) -> None:
    with GuardedSession(binds={Customer: shop.guarded(guard, not_personal=[])}) as session:
        session.bind_mapper(Setting, shop.plain)
        with guard.purpose(tm.ProductProvision):
            setting = Setting(name="size", value="big")
            session.add(setting)
            session.flush()
            kept = session.get_one(Customer, 1)
            assert kept.device == "d1"
        with guard.purpose(tm.RenewalGuidance):
            with pytest.raises(PurposeViolation):
                _ = session.get_one(Customer, 1).device
            assert session.get_one(Setting, "size") is setting


@pytest.mark.parametrize("bind_arguments", [None, {"shard": 1}, {"shard": 1, "clause": None}], ids=str)
@pytest.mark.parametrize(
    "statement",
    [select(Setting), update(Setting).values(value="b"), Setting.__table__.select(), text("SELECT 1")],
    ids=["objects", "an update", "a table", "a text"],
)
def test_a_choice_of_engines_is_asked_as_by_a_plain_session(
    statement: Any, bind_arguments: dict[str, Any] | None, shop: Shop, guard: Guard
) -> None:
    with Routing() as session:
        session.engine = shop.guarded(guard)
        session.execute(statement, bind_arguments=bind_arguments)
        checked, executed = session.arguments[0], session.arguments[-1]
        assert checked == executed
