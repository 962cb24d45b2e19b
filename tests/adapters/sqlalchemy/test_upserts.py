"""An INSERT that asks whether a row is there already uses the keys by which it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, UniqueConstraint, create_engine, select
from sqlalchemy.dialects import postgresql, sqlite

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import PurposeMissing
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


def test_a_key_that_is_given_says_which_row_is_written(shop: Shop, guard: Guard) -> None:
    held.create_all(shop.plain)
    dialect = sqlite if shop.plain.dialect.name == "sqlite" else postgresql
    engine = _engine(shop.url, guard)
    into = dialect.insert(members).values(EMAIL)

    keyed = dialect.insert(members).values(EMAIL | {"id": 1})
    try:
        with engine.connect() as connection, guard.purpose(tm.ProductProvision):
            for upsert in (  # The address says which row it is.
                _update(into, index_elements=["email"]),
                into.on_conflict_do_update(index_elements=["email"], set_={"device": "x"}),
                _update(keyed, index_elements=["email"]).returning(members.c.id),
                keyed.on_conflict_do_nothing(index_elements=["email"]),
                _update(keyed, index_elements=["id"]),
            ):
                connection.execute(upsert)
            assert connection.execute(select(members)).all() == [(1, EMAIL["email"], "x")]
            with pytest.raises(FlowViolation):  # The device would choose the address.
                connection.execute(_update(keyed, index_elements=["email"], where=members.c.device == "x"))
            connection.rollback()
    finally:
        engine.dispose()
        held.drop_all(shop.plain)


def test_a_row_of_somebody_who_stopped_it_is_left_alone(shop: Shop, governed: Guard) -> None:
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
    with shop.plain.begin() as connection:
        connection.execute(
            people.insert(), [{"id": 2, "email": "ann@example.org"}, {"id": 9, "email": "ren@example.org"}]
        )
    try:
        with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
            for email, changed in (("ann@example.org", []), ("ren@example.org", [90]), ("new@example.org", [90])):
                into = dialect.insert(people).values({"id": 90, "email": email})
                update = into.on_conflict_do_update(index_elements=["email"], set_={"id": into.excluded.id})
                assert connection.scalars(update.returning(people.c.id)).all() == changed
                connection.execute(into.on_conflict_do_nothing())
                connection.execute(into.on_conflict_do_nothing(index_elements=["email"]))
                connection.rollback()
            many = dialect.insert(people)
            update = many.on_conflict_do_update(index_elements=["email"], set_={"id": many.excluded.id})
            rows = [{"id": 20, "email": "ann@example.org"}, {"id": 90, "email": "ren@example.org"}]
            connection.execute(update, rows)
            connection.commit()
        with shop.plain.connect() as connection:
            assert sorted(connection.execute(select(people)).all()) == [(2, "ann@example.org"), (90, "ren@example.org")]
    finally:
        engine.dispose()
        own.drop_all(shop.plain)
