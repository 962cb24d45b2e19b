"""The same on async engines: aiosqlite, and psycopg's async connections."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import load_only, selectinload

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import AsyncGuardedSession, permitted, protect
from purposeguard.errors import PurposeMissing, UnresolvedStatement
from purposeguard.governance import BlockingStoreCall, Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.protocols import Roster
from tests.adapters.sqlalchemy.shop import Base, Customer, Letter, Person, Setting, Shop

Session = async_sessionmaker[AsyncGuardedSession]


@contextlib.asynccontextmanager
async def guarded(shop: Shop, guard: Guard) -> AsyncGenerator[AsyncEngine]:
    url = shop.url.replace("sqlite:", "sqlite+aiosqlite:")
    engine = protect(create_async_engine(url), guard, Base, not_personal=[Setting])
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
def run(shop: Shop, governed: Guard) -> Callable[[Callable[[AsyncEngine, Session], Awaitable[None]]], None]:
    """Runs a test's body with a guarded async engine, and sessions on it."""

    def running(body: Callable[[AsyncEngine, Session], Awaitable[None]]) -> None:
        async def main() -> None:
            async with guarded(shop, governed) as engine:
                await body(engine, async_sessionmaker(engine, class_=AsyncGuardedSession))

        asyncio.run(main())

    return running


def test_statements_are_decided_and_narrowed(run: Callable[..., None], governed: Guard) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        statement = select(Person.email).order_by(Person.id)
        async with make() as session:
            with pytest.raises(PurposeMissing, match=r"^select of `people` in .*\.body \(test_async\.py:\d+\)"):
                await session.scalars(statement)
            async with governed.purpose(tm.RenewalGuidance):
                assert (await session.scalars(statement)).all() == ["p3", "p4", "p5", "p6"]
                with pytest.raises(PurposeViolation):
                    await session.scalars(select(Customer.device))
            async with governed.purpose(tm.ProductProvision):
                assert len((await session.scalars(statement)).all()) == 5
            assert await session.scalar(select(func.count()).select_from(Person)) == 6

    run(body)


def test_what_is_loaded_later_is_decided_later(run: Callable[..., None], governed: Guard) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        async with make() as session, governed.purpose(tm.RenewalGuidance):
            found = await session.get(Customer, 1, options=[load_only(Customer.email), selectinload(Customer.orders)])
            assert found is not None
            assert [order.total for order in found.orders] == [10, 11]
            with pytest.raises(PurposeViolation):
                await session.refresh(found, ["device"])
            assert await session.get(Person, 1) is None
            short = selectinload(Letter.person).options(load_only(Person.email))
            letters = (await session.scalars(select(Letter).options(short).order_by(Letter.id))).all()
            assert [one.person and one.person.email for one in letters] == [None, None, "p3", "p4", "p5", "p6"]

    run(body)


def test_core_text_and_streams(run: Callable[..., None], governed: Guard) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        async with engine.connect() as connection:
            async with governed.purpose(tm.RenewalGuidance):
                assert len((await connection.scalars(select(Person.email))).all()) == 4
                rows = permitted(engine, Person, "email")
                assert len((await connection.scalars(select(rows.c.email))).all()) == 4
                with pytest.raises(PurposeViolation):
                    await connection.execute(text("SELECT device FROM customers"))
                streamed = await connection.stream(select(Customer.email))
                assert len([row async for row in streamed]) == 4
            with pytest.raises(PurposeMissing):
                await connection.stream(select(Customer.email))

    run(body)


def test_the_drivers_connection_is_refused(run: Callable[..., None]) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        async with engine.connect() as connection:
            with pytest.raises(UnresolvedStatement):
                await connection.get_raw_connection()
        with pytest.raises(UnresolvedStatement):
            await engine.raw_connection()
        async with make() as session:
            with pytest.raises(UnresolvedStatement):
                await (await session.connection()).get_raw_connection()

    run(body)


def test_a_task_without_a_purpose_has_none(run: Callable[..., None], governed: Guard) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        async def other() -> None:
            async with make() as session:
                await session.scalars(select(Customer.email))

        async with governed.purpose(tm.RenewalGuidance):
            with pytest.raises(PurposeMissing):
                await asyncio.create_task(other())

    run(body)


def test_the_loop_goes_on_while_governance_is_asked_for_all_subjects(shop: Shop, tmp_path: Path) -> None:
    """Without a warning, which is an error here: neither for the first statement nor for one after a change."""
    with Governance(f"sqlite:///{tmp_path / 'privacy.db'}", notice=tm.NOTICE) as governance:
        guard = Guard(tm.NOTICE, governance=governance)

        async def body() -> None:
            statement = select(Person.email).order_by(Person.id)
            purpose = guard.purpose(tm.ProductProvision)
            async with guarded(shop, guard) as engine, engine.connect() as connection, purpose:
                assert len((await connection.scalars(statement)).all()) == 6
                await asyncio.to_thread(governance.restrict, "customer:4")
                assert (await connection.scalars(statement)).all() == ["p1", "p2", "p3", "p5", "p6"]

        with warnings.catch_warnings():
            warnings.simplefilter("error", BlockingStoreCall)
            asyncio.run(body())


class Narrower(Governance):
    """Governance that tells of other subjects than it inherits to tell."""

    def roster(self) -> Roster:
        return Roster({SubjectPreferences(all_suspended=True): ("customer:5",)})


def test_a_roster_that_is_overridden_is_the_one_that_counts(shop: Shop, tmp_path: Path) -> None:
    with Narrower(f"sqlite:///{tmp_path / 'privacy.db'}", notice=tm.NOTICE) as governance:
        guard = Guard(tm.NOTICE, governance=governance)

        async def body() -> None:
            purpose = guard.purpose(tm.ProductProvision)
            async with guarded(shop, guard) as engine, engine.connect() as connection, purpose:
                emails = (await connection.scalars(select(Person.email).order_by(Person.id))).all()
            assert emails == ["p1", "p2", "p3", "p4", "p6"]

        asyncio.run(body())


def test_many_tasks_each_have_their_own_rows(run: Callable[..., None], governed: Guard) -> None:
    async def body(engine: AsyncEngine, make: Session) -> None:
        async def asked(purpose: type) -> int:
            async with make() as session, governed.purpose(purpose):
                return len((await session.scalars(select(Person.email))).all())

        found = await asyncio.gather(*(asked(one) for one in [tm.RenewalGuidance, tm.ProductProvision] * 10))
        assert found == [4, 5] * 10

    run(body)
