"""An INSERT that asks whether a row is there already uses the keys by which it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, UniqueConstraint, create_engine, func
from sqlalchemy.dialects import mysql, postgresql, sqlite

from purposeguard import Guard
from purposeguard.adapters.sql import analyse
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import PurposeMissing, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from purposeguard.values.markers import Subject
from tests.adapters.sqlalchemy.shop import Shop
from tests.adapters.sqlalchemy.test_columns import used

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


def _told(*names: str) -> set[str]:
    return {f"members.{name}" for name in names}


def _update(into: Any, **given: Any) -> Any:
    return into.on_conflict_do_update(set_={"email": into.excluded.email}, **given)


PROBES: dict[str, Upsert] = {
    "a key by its name": lambda into: _update(into, index_elements=["email"]).returning(members.c.id),
    "a key by its column": lambda into: _update(into, index_elements=[members.c.email]),
    "a row that is left as it is": lambda into: into.on_conflict_do_nothing(index_elements=["email"]),
    "no key": lambda into: into.on_conflict_do_nothing(),
}
BY_CONSTRAINT: dict[str, Upsert] = {
    "a constraint by its name": lambda into: _update(into, constraint="one_each"),
    "a constraint": lambda into: _update(into, constraint=next(iter(members.constraints - {members.primary_key}))),
    "a constraint that nobody tells of": lambda into: into.on_conflict_do_nothing(constraint="another"),
}


def _engine(url: str, guard: Guard) -> Engine:
    return protect(create_engine(url), guard, held)


@pytest.mark.parametrize(("dialect", "url"), [(postgresql, "postgresql+psycopg://"), (sqlite, "sqlite://")])
def test_the_keys_by_which_a_row_is_found_are_read(dialect: Any, url: str, guard: Guard) -> None:
    engine, into = _engine(url, guard), dialect.insert(members).values(EMAIL)
    for name in ("a key by its name", "a key by its column", "a row that is left as it is", "no key"):
        assert used(PROBES[name](into), engine) >= _told("email"), name
        assert not used(PROBES[name](into), engine) & _told("device"), name
    by_id = dialect.insert(members).values(id=1, email="x").on_conflict_do_nothing(index_elements=["id"])
    assert used(by_id, engine) == set()  # an id is not personal
    assert used(into, engine) == set()


def test_keys_of_constraints_are_read(guard: Guard) -> None:
    engine, into = _engine("postgresql+psycopg://", guard), postgresql.insert(members).values(EMAIL)
    for name, probe in BY_CONSTRAINT.items():
        assert used(probe(into), engine) == _told("email"), name
    by_id = postgresql.insert(members).values(EMAIL | {"id": 1})
    with pytest.raises(FlowViolation):  # it is not known which columns it names
        used(_update(by_id, constraint="members_pkey"), engine)
    by_part = into.on_conflict_do_nothing(index_elements=[func.lower(members.c.email)])
    assert used(by_part, engine) == _told("email")


def test_mysql_names_no_key() -> None:
    statement = mysql.insert(members).values(EMAIL).on_duplicate_key_update(device="x")
    text = str(statement.compile(dialect=mysql.dialect())).replace("%s", "?")
    assert analyse(text, {"members": ("id", "email", "device")}, "mysql").used == {"members": {"email"}}


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
