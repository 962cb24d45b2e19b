"""FastAPI: an object that was loaded for one purpose is not written into an answer for another, whatever writes it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, func, orm, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, registry, relationship
from sqlmodel import Field, Relationship, SQLModel

import purposeguard as pg
from purposeguard.adapters.sqlalchemy import AsyncGuardedSession, GuardedSession, protect
from purposeguard.governance import Governance
from purposeguard.integrations.fastapi import PurposeRouter, install
from purposeguard.notices import trendmicro_jp as tm

EMAIL, HASH = "aiko@example.jp", "hash-of-aiko"


class Models(SQLModel, registry=registry()):
    """SQLModel's classes of this module alone."""


class Team(Models, table=True):
    id: int = Field(primary_key=True)
    name: Annotated[str, pg.NotPersonal]
    members: list["SqlUser"] = Relationship(back_populates="team")


class SqlUser(Models, table=True):
    id: int = Field(primary_key=True)
    email: Annotated[str, tm.Registration]
    password_hash: Annotated[str, tm.ProductData]
    team_id: int = Field(foreign_key="team.id")
    team: Team = Relationship(back_populates="members")


class Plain(DeclarativeBase): ...


class PlainUser(Plain):
    __tablename__ = "plain_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    password_hash: Mapped[Annotated[str, tm.ProductData]]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("plain_users.id"))
    boss: Mapped["PlainUser | None"] = relationship(remote_side="PlainUser.id")


class Dataclasses(MappedAsDataclass, DeclarativeBase): ...


class DataclassUser(Dataclasses):
    __tablename__ = "dataclass_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    password_hash: Mapped[Annotated[str, tm.ProductData]]


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    email: str
    password_hash: str


class UserWithoutHash(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    email: str


class TeamOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str
    members: list[UserOut]


USERS: dict[str, Any] = {"SQLModel": SqlUser, "declarative": PlainUser, "dataclass": DataclassUser}


class _Sessions:
    """One database, with a session of either kind for each request."""

    def __init__(self, folder: Path) -> None:
        self.path = f"{folder}/users.db"
        engine = create_engine(f"sqlite:///{self.path}")
        with Session(engine) as session:
            for base in (Models, Plain, Dataclasses):
                base.metadata.create_all(engine)
            session.add(Team(id=1, name="sales"))
            session.add(SqlUser(id=1, email=EMAIL, password_hash=HASH, team_id=1))
            session.add(PlainUser(id=2, email=EMAIL, password_hash=HASH))
            session.flush()
            session.add(PlainUser(id=1, email=EMAIL, password_hash=HASH, boss_id=2))
            session.add(DataclassUser(id=1, email=EMAIL, password_hash=HASH))
            session.commit()
        engine.dispose()

    def loader(self, guard: pg.Guard, loads: Any, *, is_async: bool, moves: bool) -> Any:
        """A dependency that loads for authentication, and may ask something for the purpose of the route."""
        bases = (Models.metadata, Plain, Dataclasses)
        if is_async:
            async_engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}")
            async_engine = protect(async_engine, guard, *bases, not_personal=[Team])

            async def load_async() -> AsyncIterator[Any]:
                async with AsyncGuardedSession(async_engine) as session:
                    with guard.purpose(tm.ProductProvision):
                        loaded = (await session.scalars(loads)).unique().one()
                    if moves:
                        await session.scalar(select(func.count(PlainUser.id)))
                    yield loaded
                await async_engine.dispose()

            return load_async
        engine = protect(create_engine(f"sqlite:///{self.path}"), guard, *bases, not_personal=[Team])

        def load() -> Iterator[Any]:
            with GuardedSession(engine) as session:
                with guard.purpose(tm.ProductProvision):
                    loaded = session.scalars(loads).unique().one()
                if moves:
                    session.scalar(select(func.count(PlainUser.id)))
                yield loaded
            engine.dispose()

        return load


@pytest.fixture
def sessions(tmp_path: Path) -> _Sessions:
    return _Sessions(tmp_path)


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(tm.NOTICE)


def _answer(
    guard: pg.Guard, load: Any, purpose: Any, *, wrap: Any = None, in_thread: bool = False, **options: Any
) -> Any:
    router = PurposeRouter(guard, purpose=purpose)

    def show(user: Annotated[Any, Depends(load)]) -> Any:
        return wrap(user) if wrap else user

    async def show_async(user: Annotated[Any, Depends(load)]) -> Any:
        return wrap(user) if wrap else user

    router.get("/me", **options)(show if in_thread else show_async)
    app = FastAPI()
    install(app, guard)
    app.include_router(router)
    with TestClient(app, raise_server_exceptions=False) as client:
        return client.get("/me")


def _is_refused(answer: Any) -> bool:
    assert HASH not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return bool(answer.status_code == 403 and answer.json()["sources"] == ["1.1(b)"])


RESPONSES: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "same class": ("same", None),
    "anything": (Any, None),
    "other model": (UserOut, None),
    "list without a model": (None, lambda user: [user]),
    "list of the same class": ("list of same", lambda user: [user]),
    "list of another model": (list[UserOut], lambda user: [user]),
    "in a mapping": (None, lambda user: {"user": user, "more": {"users": (user,)}}),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("user", USERS)
def test_an_object_is_not_answered_for_another_purpose(
    user: str, response: str, *, moves: bool, is_async: bool, sessions: _Sessions, guard: pg.Guard
) -> None:
    model, wrap = RESPONSES[response]
    cls: Any = USERS[user]
    if model in ("same", "list of same"):
        if user != "SQLModel":  # FastAPI does not take other mapped classes for models
            model = UserOut if model == "same" else list[UserOut]
        else:
            model = cls if model == "same" else list.__class_getitem__(cls)
    if model is Any and user == "declarative":  # Pydantic writes no object of such a class
        model = None
    loads = select(cls).where(cls.id == 1)
    load = sessions.loader(guard, loads, is_async=is_async, moves=moves)
    options = {"wrap": wrap, "response_model": model, "in_thread": not is_async}
    assert _is_refused(_answer(guard, load, tm.RenewalGuidance, **options))
    if not moves:
        load = sessions.loader(guard, loads, is_async=is_async, moves=False)
        allowed = _answer(guard, load, tm.ProductProvision, **options)
        assert allowed.status_code == 200
        assert HASH in allowed.text


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("user", USERS)
def test_what_the_purpose_may_use_is_answered(
    user: str, *, is_async: bool, sessions: _Sessions, guard: pg.Guard
) -> None:
    cls = USERS[user]
    load = sessions.loader(guard, select(cls).where(cls.id == 1), is_async=is_async, moves=False)
    answer = _answer(guard, load, tm.RenewalGuidance, response_model=UserWithoutHash)
    if is_async:  # it would have to be loaded again, which is done with `await`
        assert HASH not in answer.text
    else:
        assert answer.json() == {"id": 1, "email": EMAIL}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("moves", [False, True])
def test_an_object_in_a_relationship_is_not_answered(
    *, moves: bool, is_async: bool, sessions: _Sessions, guard: pg.Guard
) -> None:
    loads = select(Team).options(orm.selectinload(Team.members))  # type: ignore[arg-type]  # as SQLModel types it
    load = sessions.loader(guard, loads, is_async=is_async, moves=moves)
    assert _is_refused(_answer(guard, load, tm.RenewalGuidance, response_model=TeamOut))
    load = sessions.loader(guard, loads, is_async=is_async, moves=moves)
    assert HASH not in _answer(guard, load, tm.RenewalGuidance).text
    plain = select(PlainUser).where(PlainUser.id == 1).options(orm.selectinload(PlainUser.boss))
    load = sessions.loader(guard, plain, is_async=is_async, moves=moves)
    assert _is_refused(_answer(guard, load, tm.RenewalGuidance, wrap=lambda user: [user.boss], response_model=None))


class Subjects(DeclarativeBase): ...


class Member(Subjects):
    __tablename__ = "members"
    id: Mapped[Annotated[int, pg.Subject]] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]


def test_a_row_that_is_left_out_when_it_is_loaded_again_is_a_refusal(tmp_path: Path) -> None:
    with Governance(f"sqlite:///{tmp_path}/privacy.db", notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        governance.restrict(1, tm.RenewalGuidance)
        engine = create_engine(f"sqlite:///{tmp_path}/members.db")
        Subjects.metadata.create_all(engine)
        guarded = protect(engine, guard, Subjects)
        router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

        @router.post("/members/{key}")
        def add(key: int) -> str:
            with GuardedSession(guarded) as session:
                session.add(member := Member(id=key, email=EMAIL))
                session.flush()
                session.refresh(member)
                return member.email

        app = FastAPI()
        install(app, guard)
        app.include_router(router)
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.post("/members/2").json() == EMAIL
            answer = client.post("/members/1")
        engine.dispose()
    assert answer.status_code == 403
    assert answer.json() == {
        "type": "urn:purposeguard:problem:row",
        "title": "not this row for this purpose",
        "status": 403,
        "detail": "not this row for this purpose (RowLeftOut)",
    }
