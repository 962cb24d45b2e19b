"""Values of classes whose fields are tagged in `tags.toml` alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest
from pydantic import BaseModel, computed_field
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, mapped_column
from typing_extensions import TypeAliasType, TypedDict

import purposeguard as pg
from purposeguard.errors import NoticeError, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.registry import Access
from purposeguard.values import type_schema
from tests.support import RecordingObserver
from tests.unit.oversights import Office

T = TypeVar("T")


@dataclasses.dataclass
class User:
    id: int
    email: str
    threats: int = 0
    friends: list[User] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Lead(User):
    campaign: str = ""


@dataclasses.dataclass
class Team:
    name: str
    members: tuple[User, ...] = ()

    @property
    def leader(self) -> User:
        return self.members[0]


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = 0

    @computed_field  # type: ignore[prop-decorator]  # mypy does not support decorators of properties.
    @property
    def first(self) -> str:
        return str(self.items[0])


class Users(Page[User]):
    pass


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    total: int = 0


@dataclasses.dataclass
class UserBox(Box[User]):
    pass


class Row(TypedDict):
    email: str


class LongRow(Row):
    threats: int


@dataclasses.dataclass
class Mixed:
    email: Annotated[str, tm.Registration]
    key: Annotated[int, pg.Subject]
    threats: int = 0
    rows: list[Row] = dataclasses.field(default_factory=list)


Tree = TypeAliasType("Tree", "User | list[Tree]")

FILE = f"""\
["{__name__}.User"]
id = {{ source = "not-personal", subject = true }}
email = "1.1(a)"
threats = "1.1(b)"

["{__name__}.*"]
campaign = "1.1(c)"
email = "1.1(c)"
name = "not-personal"

["{__name__}.Page"]
total = "1.1(c)"
first = "1.1(b)"

["{__name__}.Row"]
email = "1.1(a)"

["{__name__}.LongRow"]
threats = "1.1(b)"
"""

UNDECIDED = f'["{__name__}.User"]\nemail = "1.1(a)"\nthreats = "undecided"\n'
EMAIL = {"email": pg.Label(tm.Registration)}
AIKO = User(7, "a@example.com", 3)

MakeGuard = Callable[..., pg.Guard]


@pytest.fixture
def make_guard(write: Callable[..., Path]) -> MakeGuard:
    """A function that makes a guard with a file of tags."""

    def make(text: str = FILE, **options: Any) -> pg.Guard:
        return pg.Guard(tm.NOTICE, tags=write(text, "tags.toml"), **options)

    return make


def make_access(guard: pg.Guard, annotation: Any, value: object = None, *sources: Any, **options: bool) -> Any:
    """Return an access function with this return annotation."""

    def load() -> Any:
        return value

    load.__annotations__["return"] = annotation
    return guard.access(*sources, **options)(load)


def find_fields(guard: pg.Guard, annotation: Any) -> Mapping[str, pg.Label]:
    """Return the fields of an access function with this return annotation, by its entry in the inventory."""
    access: Access = make_access(guard, annotation).__purposeguard_access__.access
    return access.fields


def test_fields_that_are_inherited_and_nested(make_guard: MakeGuard) -> None:
    guard = make_guard()
    own = {**EMAIL, "id": pg.Label(pg.NotPersonal), "threats": pg.Label(tm.ProductData)}
    more = {**own, "campaign": pg.Label(tm.Contract)}
    assert find_fields(guard, User) == own
    # The entry of a base is more specific than a pattern that matches the class.
    friends = {f"friends[].{name}": label for name, label in own.items()}
    assert find_fields(guard, list[Lead]) == pg.sources_of(Lead, tags=guard.tags) == {**more, **friends}
    assert pg.untagged(Page[int], tags=guard.tags) == ("items",)
    assert pg.untagged(Page[int]) == ("items", "total", "first")
    team = {"name": pg.Label(pg.NotPersonal), **{f"members[].{name}": label for name, label in own.items()}}
    assert find_fields(guard, Team) == team
    page = {"total": pg.Label(tm.Contract), "first": pg.Label(tm.ProductData)}
    for annotation in (Page[User], Users):
        assert find_fields(guard, annotation) == {f"items[].{name}": label for name, label in own.items()} | page
    for box in (Box[User], UserBox):
        assert find_fields(guard, box) == {f"content.{name}": label for name, label in own.items()}
    assert find_fields(guard, Row) == EMAIL
    assert find_fields(guard, LongRow) == {**EMAIL, "threats": pg.Label(tm.ProductData)}
    assert find_fields(guard, Tree)["email"] == pg.Label(tm.Registration)
    with pytest.raises(TypeError, match="has no fields"):
        pg.sources_of("User", tags=guard.tags)


def test_fields_of_many_classes(make_guard: MakeGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type_schema, "MOST_CACHED", 2)
    guard = make_guard()
    for _ in range(2):
        for cls in (User, Row, LongRow, Lead):
            assert find_fields(guard, cls)["email"] == pg.Label(tm.Registration)


def test_two_guards_with_other_files_share_no_plan(make_guard: MakeGuard) -> None:
    strict, mild = make_guard(), make_guard(FILE.replace('"1.1(b)"', '"not-personal"'))
    plain = pg.Guard(tm.NOTICE)
    for _ in range(2):
        for guard, threats in ((strict, None), (mild, 3)):
            with guard.purpose(tm.RenewalGuidance) as use:
                (row,) = make_access(guard, list[User], [AIKO], withhold=True)()
                for read in (row, use.withhold(AIKO)):
                    assert (read.email, vars(read).get("threats")) == (AIKO.email, threats)
        with plain.purpose(tm.RenewalGuidance) as use, pytest.raises(UnlabelledData, match="carries a tag"):
            use.withhold(AIKO)


def test_values_that_were_not_announced(make_guard: MakeGuard) -> None:
    guard = make_guard()
    team = Team("red", (AIKO,))
    team.extra = [AIKO]  # type: ignore[attr-defined]  # an attribute that is no field
    values: list[Any] = [Lead(7, "a", 3, campaign="x"), {"k": [AIKO]}, Page[Any](items=[AIKO], total=3)]
    with guard.purpose(tm.RenewalGuidance) as use:
        for value in values:
            assert "threats=3" in str(value)
            assert "threats=3" not in str(use.withhold(value))
        filtered = use.withhold(team)
        assert "threats=3" not in str(filtered.members)
        assert not hasattr(filtered, "extra")


def test_the_subject_of_a_row(make_guard: MakeGuard) -> None:
    guard = make_guard(governance=Office())
    assert not guard.allows(tm.Registration, tm.RenewalGuidance, subject=AIKO)
    assert guard.allows(tm.Registration, tm.RenewalGuidance, subject=User(8, "b"))
    friends = [AIKO, User(8, "b")]
    with guard.purpose(tm.ProductProvision):
        assert make_access(guard, list[User], friends, narrow=True)() == friends[1:]
        with pytest.raises(pg.SubjectViolation):
            make_access(guard, list[User], friends)()


def test_what_a_function_hands_over(make_guard: MakeGuard) -> None:
    def send(*users: User, **more: User) -> None:
        """Send nothing."""

    recipient = Recipient("mail", "domestic-contractor", "JP", means="email")
    guard = make_guard(governance=Office())
    guard.entrust(recipient)(send)
    (declared,) = guard.inventory.entrustments
    assert declared.label == pg.Label(tm.Registration, tm.ProductData)
    undecided = make_guard(UNDECIDED, governance=Office())
    with undecided.purpose(tm.RenewalGuidance):
        with pytest.raises(UnlabelledData, match=r"`users\[\]` is a User, whose field `threats` is undecided"):
            undecided.entrust(recipient)(send)(AIKO)
        with pytest.raises(UnlabelledData, match=r"`more\[\]` is a User, whose field `threats` is undecided"):
            undecided.entrust(recipient)(send)(more=AIKO)


def test_code_and_file_must_agree(make_guard: MakeGuard) -> None:
    head = f'["{__name__}.Mixed"]\n'
    agreed = head + 'email = "1.1(a)"\nkey = { source = "1.1(a)", subject = true }\nrows = "not-personal"\n'
    assert find_fields(make_guard(agreed), Mixed) == {
        "email": pg.Label(tm.Registration),
        "key": pg.Label(tm.Registration),
        "rows": pg.Label(pg.NotPersonal),
    }
    text = head + 'email = "1.1(c)"\nkey = { source = "1.1(a)", collected = true }\nthreats = "1.1(b)"\n'
    with pytest.raises(NoticeError) as caught:
        find_fields(make_guard(text), Mixed)
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(2, 1), (3, 1)]
    with pytest.raises(NoticeError):
        pg.sources_of(Mixed, tags=make_guard(text).tags)
    observer = RecordingObserver()
    observing = make_guard(text, mode="observe", observers=[observer])
    expected = {
        "email": pg.Label(tm.Registration),
        "key": pg.Label(tm.Registration),
        "threats": pg.Label(tm.ProductData),
    }
    assert find_fields(observing, Mixed) == expected
    assert find_fields(observing, list[Mixed]) == {f"{name}": label for name, label in expected.items()}
    (error,) = observer.errors
    assert str(error) == str(caught.value)


@pytest.mark.parametrize("options", [{}, {"withhold": True}])
def test_an_undecided_field_is_refused_with_its_row(make_guard: MakeGuard, options: dict[str, bool]) -> None:
    guard = make_guard(UNDECIDED)
    message = rf"a User, whose field `threats` is undecided, by `{__name__}\.User` \(line 3\): decide its source"
    with guard.purpose(tm.RenewalGuidance) as use:
        for annotation, value in ((User, AIKO), (list[User], [AIKO]), (Team, Team("red", (AIKO,)))):
            for _ in range(2):
                with pytest.raises(UnlabelledData, match=message):
                    make_access(guard, annotation, value, **options)()
        assert make_access(guard, list[User], [], **options)() == []
        for value in (AIKO, [AIKO], Team("red", (AIKO,))):
            with pytest.raises(UnlabelledData, match=message):
                use.withhold(value)


def test_an_undecided_field_of_an_observed_activity_is_recorded(make_guard: MakeGuard) -> None:
    for mode in ("observe", "enforce"):
        observer = RecordingObserver()
        guard = make_guard(UNDECIDED, mode=mode, observers=[observer])
        load = make_access(guard, list[User], [AIKO])
        with guard.purpose(tm.RenewalGuidance, mode="observe") as use:
            assert load() == [AIKO]
            assert use.withhold(AIKO) is AIKO
        assert ["undecided" in str(error) for error in observer.errors] == [True, True]
        with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(UnlabelledData, match="undecided"):
            load()


def test_a_guard_that_refuses_untagged_fields_refuses_undecided_ones(make_guard: MakeGuard) -> None:
    with pytest.raises(UnlabelledData, match="nothing says what `threats` is"):
        make_access(make_guard(UNDECIDED + 'id = "not-personal"\n', untagged="refuse"), User)


def test_rows_that_name_their_source_are_for_adapters(make_guard: MakeGuard) -> None:
    with pytest.raises(UnlabelledData, match="a column of a table whose rows say where they were"):
        make_access(make_guard(f'["{__name__}.User"]\nemail = ["1.1(a)", "by-row"]\n'), User)
    with pytest.raises(UnlabelledData, match="is sealed and marked"):
        make_access(make_guard(f'["{__name__}.Sealed"]\nemail = {{ source = "1.1(a)", subject = true }}\n'), Sealed)


@dataclasses.dataclass
class Sealed:
    email: pg.Personal[str, tm.Registration]
    note: str = ""


class Struct(msgspec.Struct):
    key: int
    email: str = ""


class Plain:
    def __init__(self, key: int) -> None:
        self.key = key


class Sub(Plain):
    pass


class Base(DeclarativeBase):
    pass


class Mapped(Base):
    __tablename__ = "mapped"
    email = mapped_column(String, primary_key=True)


def test_classes_whose_fields_are_not_read(make_guard: MakeGuard) -> None:
    names = ("Struct", "Plain", "Mapped")
    text = FILE + "".join(f'["{__name__}.{name}"]\nkey = "not-personal"\nemail = "1.1(a)"\n' for name in names)
    observer = RecordingObserver()
    guard, observing = make_guard(text), make_guard(text, mode="observe", observers=[observer])
    for cls in (Struct, Plain, Sub):
        message = rf"`\w+\.email` holds what is tagged, .*: {cls.__name__} is not a pydantic model"
        with pytest.raises(UnlabelledData, match=message):
            pg.untagged(list[cls], tags=guard.tags)  # type: ignore[valid-type]  # a variable
        with pytest.raises(UnlabelledData, match=message):
            make_access(guard, cls)
        team = Team("red", (cls(1),))  # type: ignore[arg-type]  # It is not what was announced.
        with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(UnlabelledData, match=message):
            use.withhold(team)
        with observing.purpose(tm.RenewalGuidance) as use:
            assert use.withhold(team) is team
            assert make_access(observing, cls, team, tm.Registration)() is team
        assert re.search(message, str(observer.errors[-1]))
    # The session of SQLAlchemy asks about its objects.
    with guard.purpose(tm.RenewalGuidance):
        mapped = Mapped(email="a@example.com")
        assert make_access(guard, Mapped, mapped, tm.Registration)() is mapped


def test_a_generator_of_rows(make_guard: MakeGuard) -> None:
    guard = make_guard()

    @guard.access(withhold=True)
    def load() -> Iterator[User]:
        yield AIKO

    with guard.purpose(tm.RenewalGuidance):
        (row,) = load()
    assert vars(row).keys() == {"id", "email", "friends"}


def test_annotations_that_are_read_anew(make_guard: MakeGuard) -> None:
    guard = make_guard(f'["{__name__}.*.<locals>.Local"]\nemail = "1.1(a)"\n')

    @dataclasses.dataclass
    class Local:
        email: str
        inner: Inner  # type: ignore[name-defined]  # noqa: F821  # It is named where it is read.

    for hint, more in ((int, {}), (Annotated[str, tm.Contract], {"inner": pg.Label(tm.Contract)})):
        pg.sources_of(Local, {"Inner": hint}, tags=guard.tags)
        assert find_fields(guard, Local) == {**EMAIL, **more}
