"""Code that reads an object by its `__dict__`, not by attributes, gets no more than attributes tell."""

import copy
import dataclasses
import functools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy import create_engine, inspect, orm, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, registry
from sqlalchemy.orm.attributes import flag_modified, get_attribute, get_history
from sqlalchemy.pool import StaticPool
from sqlmodel import Field, SQLModel

import purposeguard as pg
from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import PurposeGuardError, PurposeMissing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.violations import PurposeViolation
from purposeguard.testing import capture_decisions
from tests.oversights import Told

EMAIL, HASH = "aiko@example.jp", "hash-of-aiko"


class Models(SQLModel, registry=registry()):
    """SQLModel's classes of this module alone."""


class Account(Models, table=True):
    id: int = Field(primary_key=True)
    email: Annotated[str, tm.Registration]
    password_hash: Annotated[str, tm.ProductData]
    note: Annotated[str, pg.NotPersonal] = ""

    @functools.cached_property
    def domain(self) -> str:
        return self.email.partition("@")[2]


class Declared(DeclarativeBase): ...


class User(Declared):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    password_hash: Mapped[Annotated[str, tm.ProductData]]
    note: Mapped[Annotated[str, pg.NotPersonal]] = mapped_column(default="")

    @functools.cached_property
    def domain(self) -> str:
        return self.email.partition("@")[2]


class Dataclasses(MappedAsDataclass, DeclarativeBase): ...


class Member(Dataclasses):
    __tablename__ = "members"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    password_hash: Mapped[Annotated[str, tm.ProductData]]
    note: Mapped[Annotated[str, pg.NotPersonal]] = mapped_column(default="")


class Person(Models, table=True):
    """Each row is decided by itself."""

    id: Annotated[int, pg.Subject("customer")] = Field(primary_key=True)
    email: Annotated[str, tm.Registration]


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    email: str
    password_hash: str


CLASSES: dict[str, Any] = {"SQLModel": Account, "declarative": User, "dataclass": Member}


def _protected(guard: Guard) -> Any:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    for base in (Models, Declared, Dataclasses):
        base.metadata.create_all(engine)
    with Session(engine) as plain:
        plain.add_all([cls(id=1, email=EMAIL, password_hash=HASH, note="n") for cls in CLASSES.values()])
        plain.add_all([Person(id=1, email=EMAIL), Person(id=2, email=EMAIL)])
        plain.commit()
    return protect(engine, guard, Models.metadata, Declared, Dataclasses)


@pytest.fixture
def engine(guard: Guard) -> Iterator[Any]:
    engine = _protected(guard)
    yield engine
    engine.dispose()


def _pickled(user: Any) -> Any:
    return vars(pickle.loads(pickle.dumps(user)))


def _deeply_copied(user: Any) -> Any:
    return copy.deepcopy(user).__dict__


def _copied(user: Any) -> Any:
    return [copy.copy(user).password_hash]


def _transient(user: Any) -> Any:
    orm.make_transient(user)
    return user.password_hash


READERS: dict[str, Callable[[Any], Any]] = {
    "vars": lambda user: {**vars(user)},
    "__dict__": lambda user: dict(user.__dict__),
    "object.__getattribute__": lambda user: list(object.__getattribute__(user, "__dict__").values()),
    "one entry": lambda user: user.__dict__["password_hash"],
    "one entry, if any": lambda user: user.__dict__.get("password_hash"),
    "popped": lambda user: user.__dict__.pop("password_hash"),
    "items": lambda user: [(key, str(value)) for key, value in vars(user).items()],
    "union": lambda user: {} | vars(user),
    "a copy": lambda user: vars(user).copy(),
    "a copied dict": lambda user: copy.copy(vars(user)),
    "jsonable_encoder": jsonable_encoder,
    "from attributes": Shown.model_validate,
    "type adapter": lambda user: TypeAdapter(type(user)).dump_python(user),
    "model_dump": lambda user: user.model_dump(),
    "model_dump_json": lambda user: user.model_dump_json(),
    "dict()": dict,
    "model_copy": lambda user: user.model_copy().password_hash,
    "asdict": dataclasses.asdict,
    "copy": _copied,
    "deepcopy": _deeply_copied,
    "pickle": _pickled,
    "inspect().dict": lambda user: inspect(user).dict["password_hash"],
    "loaded_value": lambda user: inspect(user).attrs.password_hash.loaded_value,
    "history": lambda user: inspect(user).attrs.password_hash.history,
    "get_history": lambda user: get_history(user, "password_hash"),
    "get_attribute": lambda user: get_attribute(user, "password_hash"),
    "make_transient": _transient,
}
ONLY = {
    "type adapter": "SQLModel",
    "model_dump": "SQLModel",
    "model_dump_json": "SQLModel",
    "dict()": "SQLModel",
    "model_copy": "SQLModel",
}
ONLY |= {"asdict": "dataclass"}
LEFT: dict[str, Callable[[Any], Any]] = {
    "in its session": lambda session: None,
    "moved on": lambda session: session.scalars(select(User.id)).all(),
    "closed": lambda session: session.close(),
}


CASES = [
    pytest.param(reader, name, id=f"{reader}-{name}")
    for reader in READERS
    for name in CLASSES
    if ONLY.get(reader, name) == name
]


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize(("reader", "cls"), CASES)
def test_what_reads_the_state_is_refused(reader: str, cls: str, left: str, engine: Any, guard: Guard) -> None:
    if left == "closed" and reader == "make_transient":
        left = "in its session"
    for purpose in (tm.RenewalGuidance, None):
        with GuardedSession(engine) as session:
            with guard.purpose(tm.ProductProvision):
                user = session.get_one(CLASSES[cls], 1)
            if purpose is None:
                LEFT[left](session)
                with pytest.raises(Exception, match=r"PurposeMissing|outside any purpose|was left out") as caught:
                    READERS[reader](user)
            else:
                with guard.purpose(purpose):
                    LEFT[left](session)
                    with pytest.raises(Exception, match="may not use product-data") as caught:
                        READERS[reader](user)
            assert HASH not in str(caught.value)


@pytest.mark.parametrize(("reader", "cls"), CASES)
def test_what_reads_the_state_for_the_same_purpose_gets_it(reader: str, cls: str, engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session, guard.purpose(tm.ProductProvision):
        user = session.get_one(CLASSES[cls], 1)
        assert HASH in str(READERS[reader](user))


@pytest.mark.parametrize("cls", CLASSES)
def test_printing_leaves_out_what_may_not_be_read(cls: str, engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(CLASSES[cls], 1)
        with guard.purpose(tm.RenewalGuidance):
            for show in (repr, str, "{}".format, lambda shown: f"{shown!r} {shown}", lambda shown: str([shown])):
                if cls == "dataclass":  # its `repr` reads attributes
                    with pytest.raises(PurposeViolation):
                        show(user)
                    continue
                text = show(user)
                assert HASH not in text
                assert cls != "SQLModel" or EMAIL in text
        if cls == "SQLModel":
            assert EMAIL not in repr(user) + str(user)
        dictionary: Callable[[], Any] = lambda: vars(user)  # noqa: E731  # whose frame has another name
        assert HASH not in repr(dictionary())


def test_code_in_c_finds_nothing_in_the_dictionary(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(User, 1)
        with guard.purpose(tm.RenewalGuidance):
            assert json.dumps(vars(user)) == "{}"


@pytest.mark.parametrize("cls", ["SQLModel", "declarative"])
def test_what_is_allowed_is_read_and_written_beside_what_is_not(cls: str, engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(CLASSES[cls], 1)
        with guard.purpose(tm.RenewalGuidance):
            user.note = "written"
            assert user.domain == "example.jp"
            assert user.domain == "example.jp"
            user.email = "new@example.jp"
            assert (user.note, user.email) == ("written", "new@example.jp")
            session.commit()
        with guard.purpose(tm.ProductProvision):
            session.refresh(user)
            assert (user.note, user.email, user.password_hash) == ("written", "new@example.jp", HASH)


def test_the_dictionary_of_an_object_is_written_through(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(User, 1)
        with guard.purpose(tm.RenewalGuidance):
            values = user.__dict__
            assert isinstance(values, dict)
            assert ("password_hash" in values, "email" in values, "other" in values) == (True, True, False)
            assert sorted(values) == ["_sa_instance_state", "email", "id", "note", "password_hash"]
            assert (len(values), values["email"]) == (5, EMAIL)
            values["other"] = 1
            assert user.__dict__["other"] == user.other == 1  # type: ignore[attr-defined]  # it was just written
            del values["other"]
            assert "other" not in user.__dict__
            with pytest.raises(KeyError):
                values["other"]
            assert "password_hash" in dir(user)
            user.__dict__ = {"_sa_instance_state": inspect(user), "email": "set"}
            assert vars(user)["email"] == "set"
            del user.__dict__
            assert "email" not in vars(user)


def test_objects_of_the_application_are_its_own(engine: Any, guard: Guard) -> None:
    for cls in CLASSES.values():
        made = cls(id=9, email=EMAIL, password_hash=HASH, note="")
        assert HASH in str(vars(made))
        assert copy.deepcopy(made).password_hash == HASH
        with GuardedSession(engine) as session:
            session.add(made)
            assert HASH in str(vars(made))
            session.rollback()


def test_a_changed_value_does_not_tell_the_one_before(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(User, 1)
        with guard.purpose(tm.RenewalGuidance):
            user.password_hash = "another"  # noqa: S105  # no password
            assert [user.password_hash, vars(user)["password_hash"]] == ["another"] * 2
            for read in (
                lambda: inspect(user).attrs.password_hash.history,
                lambda: get_history(user, "password_hash"),
                lambda: pickle.dumps(user),
            ):
                with pytest.raises(PurposeViolation):
                    read()
            session.flush()


def test_a_shallow_copy_does_not_keep_what_its_object_forgot(guard: Guard) -> None:
    told = Told({"customer:1": SubjectPreferences(suspended=frozenset({tm.RenewalGuidance.clause}))})
    governed = Guard(tm.NOTICE, governance=told)
    engine = _protected(governed)
    for cls, read in ((User, lambda user: user.password_hash), (Person, lambda user: user.email)):
        with GuardedSession(engine) as session:
            with governed.purpose(tm.ProductProvision):
                copied = copy.copy(session.get_one(cls, 1))
            with governed.purpose(tm.RenewalGuidance):
                session.scalars(select(User.id)).all()
                for tries in (read, vars):
                    with pytest.raises(PurposeGuardError):
                        dict(tries(copied))
    engine.dispose()


def test_a_row_that_was_stopped_is_not_dumped(guard: Guard) -> None:
    told = Told({"customer:1": SubjectPreferences(suspended=frozenset({tm.RenewalGuidance.clause}))})
    governed = Guard(tm.NOTICE, governance=told)
    engine = _protected(governed)
    for number in (1, 2):
        with GuardedSession(engine) as session:
            with governed.purpose(tm.ProductProvision):
                person = session.get_one(Person, number)
            with governed.purpose(tm.RenewalGuidance):
                if number == 1:
                    with pytest.raises(PurposeGuardError):
                        person.model_dump()
                    assert EMAIL not in str(person.model_dump())
                else:
                    assert EMAIL not in repr(person)  # it is not loaded to be printed
                    assert person.model_dump() == {"id": 2, "email": EMAIL}
                    assert EMAIL in repr(person)
    engine.dispose()


def test_what_is_only_observed_is_recorded_and_dumped(engine: Any, guard: Guard) -> None:
    for read in (vars, lambda user: user.model_dump(), repr):
        with GuardedSession(engine) as session:
            with guard.purpose(tm.ProductProvision):
                user = session.get_one(Account, 1)
            with guard.purpose(tm.RenewalGuidance, mode="observe"), capture_decisions(guard) as decisions:
                assert HASH in str(read(user))
            assert [decision for decision in decisions if not decision.allowed]


def test_what_may_not_be_used_is_withheld_from_a_mapped_model(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.get_one(Account, 1)
        with guard.purpose(tm.RenewalGuidance) as use:
            withheld = use.withhold(user)
            assert withheld.model_dump() == {"id": 1, "email": EMAIL, "note": "n"}
            with pytest.raises(PurposeViolation):
                _ = withheld.password_hash


def test_a_pickled_object_is_asked_where_it_is_loaded(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session, guard.purpose(tm.ProductProvision):
        pickled = pickle.dumps(session.get_one(User, 1))
    loaded = pickle.loads(pickled)
    with pytest.raises(PurposeMissing):
        _ = loaded.email
    with guard.purpose(tm.RenewalGuidance):
        assert loaded.email == EMAIL
        with pytest.raises(PurposeViolation):
            _ = loaded.password_hash
    with guard.purpose(tm.ProductProvision):
        assert loaded.password_hash == HASH
        with GuardedSession(engine) as session:
            assert session.merge(loaded).password_hash == HASH


ELSEWHERE = """
import pickle, sys
from sqlalchemy import create_engine
from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import protect
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sqlalchemy.test_object_dicts import Declared, User
guard = Guard(tm.NOTICE)
protect(create_engine("sqlite://"), guard, Declared)
user = pickle.loads(sys.stdin.buffer.read())
with guard.purpose(tm.RenewalGuidance):
    print(user.email)
    print(user.password_hash)
"""


def test_a_pickled_object_is_asked_in_another_process(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session, guard.purpose(tm.ProductProvision):
        pickled = pickle.dumps(session.get_one(User, 1))
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=pickled,
        capture_output=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert run.stdout.decode().split() == [EMAIL]
    assert b"PurposeViolation" in run.stderr
    assert HASH.encode() not in run.stderr


def test_a_flush_and_a_merge_see_the_whole_object(engine: Any, guard: Guard) -> None:
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            user = session.scalars(select(Account).options(orm.undefer("*"))).one()
        with guard.purpose(tm.RenewalGuidance):
            user.note = "changed"
            flag_modified(user, "note")
            session.flush()
        with guard.purpose(tm.ProductProvision), GuardedSession(engine) as other:
            assert other.merge(user).model_dump()["note"] == "changed"
        session.commit()
