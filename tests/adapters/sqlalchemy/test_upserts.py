"""An INSERT that asks whether a row is there already uses the keys by which it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, UniqueConstraint, create_engine
from sqlalchemy.dialects import postgresql, sqlite

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import PurposeMissing, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from purposeguard.values.markers import Subject
from tests.adapters.sqlalchemy.shop import Shop

held = MetaData()
members = Table(
    "members",
    held,
    Column("id", Integer, primary_key=True),
    Column("email", String(80), info={"purposeguard": tm.Registration}),
    Column("device", String(80), info={"purposeguard": tm.ProductData}),
    UniqueConstraint("email", name="one_each"),
)
EMAIL = {"email": "ann@example.org"}
Upsert = Callable[[Any], Any]


def _update(into: Any, **given: Any) -> Any:
    return into.on_conflict_do_update(set_={"email": into.excluded.email}, **given)


PROBES: dict[str, Upsert] = {
    "a key by its name": lambda into: _update(into, index_elements=["email"]).returning(members.c.id),
    "a key by its column": lambda into: _update(into, index_elements=[members.c.email]),
    "a row that is left as it is": lambda into: into.on_conflict_do_nothing(index_elements=["email"]),
    "no key": lambda into: into.on_conflict_do_nothing(),
}


def _engine(url: str, guard: Guard) -> Engine:
    return protect(create_engine(url), guard, held)


@pytest.mark.parametrize("name", PROBES)
def test_a_row_is_not_looked_for_without_a_purpose_that_may(name: str, shop: Shop, guard: Guard) -> None:
    held.create_all(shop.plain)
    dialect = sqlite if shop.plain.dialect.name == "sqlite" else postgresql
    engine = _engine(shop.url, guard)
    statement = PROBES[name](dialect.insert(members).values(EMAIL))
    try:
        with engine.connect() as connection:
            with pytest.raises(PurposeMissing):
                connection.execute(statement)
            with guard.purpose(tm.TrafficAnalysis), pytest.raises(PurposeViolation):
                connection.execute(statement)
        with GuardedSession(engine) as session, pytest.raises(PurposeMissing):
            session.execute(statement)
        many = PROBES[name](dialect.insert(members))
        with GuardedSession(engine) as session, pytest.raises(PurposeMissing):
            session.execute(many, [EMAIL, EMAIL | {"email": "ren@example.org"}])
    finally:
        engine.dispose()
        held.drop_all(shop.plain)


def test_what_finds_the_row_decides_what_is_written(shop: Shop, guard: Guard) -> None:
    held.create_all(shop.plain)
    dialect = sqlite if shop.plain.dialect.name == "sqlite" else postgresql
    engine = _engine(shop.url, guard)
    into = dialect.insert(members).values(EMAIL)

    keyed = dialect.insert(members).values(EMAIL | {"id": 1})
    try:
        with engine.connect() as connection, guard.purpose(tm.ProductProvision):
            for telling in (  # the device, or the id, would tell of the address
                into.on_conflict_do_update(index_elements=["email"], set_={"device": "x"}),
                _update(keyed, index_elements=["email"]),
            ):
                with pytest.raises(FlowViolation):
                    connection.execute(telling)
            connection.execute(_update(into, index_elements=["email"]))
            connection.execute(_update(keyed, index_elements=["id"]))
            connection.rollback()
    finally:
        engine.dispose()
        held.drop_all(shop.plain)


def test_a_row_of_somebody_who_stopped_it_is_not_looked_for(shop: Shop, governed: Guard) -> None:
    own = MetaData()
    people = Table(
        "persons",
        own,
        Column("id", Integer, primary_key=True, info={"purposeguard": Subject("customer")}),
        Column("email", String(80), unique=True, info={"purposeguard": tm.Registration}),
    )
    own.create_all(shop.plain)
    dialect = sqlite if shop.plain.dialect.name == "sqlite" else postgresql
    engine = protect(create_engine(shop.url), governed, own)
    into = dialect.insert(people).values(EMAIL)
    try:
        with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
            for statement in (
                into.on_conflict_do_nothing(),
                into.on_conflict_do_nothing(index_elements=["email"]),
                _update(into, index_elements=["email"]).returning(people.c.id),
            ):
                with pytest.raises(UnresolvedStatement):
                    connection.execute(statement)
            connection.execute(into.values(id=1).on_conflict_do_nothing(index_elements=["id"]))
            connection.rollback()
    finally:
        engine.dispose()
        own.drop_all(shop.plain)
