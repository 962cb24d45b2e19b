"""One row that is looked for by its key is left out as it is from a list, whatever the form of its id."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import pytest
from sqlalchemy import create_engine, event, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.markers import Subject
from tests.oversights import STOPPED, Told
from tests.support import ON_POSTGRESQL


class Base(DeclarativeBase): ...


class Numbered(Base):
    __tablename__ = "numbered"
    id: Mapped[Annotated[int, Subject]] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.Registration]]


class Named(Base):
    __tablename__ = "named"
    id: Mapped[Annotated[str, Subject]] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.Registration]]


class Unique(Base):
    __tablename__ = "uniquely"
    id: Mapped[Annotated[uuid.UUID, Subject]] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.Registration]]


NUMBERS = [0, 7, -7, 77, 777, 2**31 - 1]
NAMES = [
    "a", "ab", "b", ",", "\n", "a\nb", '"', 'a"b', "\\", "a\\nb", "'", "ü", unicodedata.normalize("NFD", "ü"), "7",
    "\x01",
]  # fmt: skip
IDS = [uuid.UUID(int=number) for number in (1, 2**100)]


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/one.db"
    return str(request.getfixturevalue("postgresql_url")).replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def filled(url: str) -> Iterator[str]:
    plain = create_engine(url)
    Base.metadata.drop_all(plain)
    Base.metadata.create_all(plain)
    with plain.begin() as connection:
        for table, ids in ((Numbered, NUMBERS), (Named, NAMES), (Unique, IDS)):
            connection.execute(insert(table), [{"id": one, "name": "n"} for one in ids])
    yield url
    plain.dispose()


def _stopped(keys: Iterable[str]) -> Told:
    return Told(dict.fromkeys(keys, STOPPED))


@pytest.mark.parametrize(("table", "ids"), [(Numbered, NUMBERS), (Named, NAMES), (Unique, IDS)])
def test_a_row_by_its_key_is_left_out_as_from_a_list(filled: str, table: Any, ids: list[Any]) -> None:
    keys = [str(one) for one in ids if str(one).strip()]
    for stopped in (keys[::2], keys[1::2], keys[:1], [key for key in keys if '"' not in key and "\\" not in key], keys):
        guard = Guard(tm.NOTICE, governance=_stopped(stopped))
        engine = protect(create_engine(filled), guard, Base)
        statements: list[str] = []
        if filled.startswith("sqlite"):
            event.listen(engine, "connect", lambda driver, _, kept=statements: driver.set_trace_callback(kept.append))
        with GuardedSession(engine) as session, guard.purpose(tm.RenewalGuidance):
            listed = set(session.scalars(select(table.id).where(table.name == "n")))
            found = {one for one in ids if session.get(table, one) is not None}
            by_name = select(table).where(table.id == ids[0], table.name == "n")
            assert (session.scalars(by_name).one_or_none() is not None) is (ids[0] in listed)
        engine.dispose()
        assert found == listed
        plain = not any(character in key for key in stopped for character in '"\\\n\x01')
        assert any("INSTR" in statement for statement in statements) is (plain and bool(statements))
        assert len(listed) < len(ids)


def test_a_number_that_sqlite_holds_otherwise_is_compared_as_a_number(tmp_path: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/odd.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbered (id REAL PRIMARY KEY, name TEXT)"))
        connection.execute(text("INSERT INTO numbered VALUES (7.0, 'n'), (8.0, 'n')"))
    guard = Guard(tm.NOTICE, governance=_stopped(["7"]))
    protect(engine, guard, Base)
    with GuardedSession(engine) as session, guard.purpose(tm.RenewalGuidance):
        assert session.get(Numbered, 7) is None
        assert session.get(Numbered, 8) is not None
    engine.dispose()
