"""Values of annotations: valid, varied, found without much looking; and how marked ones look as text."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import annotated_types as at
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import (
    UUID1,
    AfterValidator,
    AwareDatetime,
    Base64Str,
    BaseModel,
    ByteSize,
    EmailStr,
    Field,
    FileUrl,
    FutureDatetime,
    GetCoreSchemaHandler,
    HttpUrl,
    IPvAnyAddress,
    Json,
    NaiveDatetime,
    NameEmail,
    PastDatetime,
    PostgresDsn,
    Secret,
    SecretBytes,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    create_model,
)
from pydantic_core import core_schema

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing._kinds import TEXTS, digits, number_of, word
from purposeguard.testing.strategies import instances
from purposeguard.testing.values import Markers, simplest, texts_of, value_strategy
from purposeguard.values.sealed import compute_plain_value
from tests.support import smallest
from tests.testing.ids import told


def even_length(value: str) -> str:
    assert len(value) % 2 == 0
    return value


def not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    return value


def only_mondays(value: datetime.date) -> datetime.date:
    assert value.weekday() in {0, 1, 2, 3, 4}
    return value


def each_once(values: list[int]) -> list[int]:
    assert len(set(values)) == len(values)
    return values


class Shouted(str):
    """A class of texts of the application's own, which pydantic asks."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(lambda text: cls(text.upper()), handler(str))


TOKYO = datetime.timezone(datetime.timedelta(hours=9))
NOON = datetime.datetime(2020, 1, 1, 12)  # noqa: DTZ001  # naive, as people write it

ANNOTATIONS: list[Any] = [
    *(int, str, float, bool, bytes, complex, Decimal, datetime.date, datetime.datetime, datetime.time),
    *(datetime.timedelta, uuid.UUID, ipaddress.IPv4Address, ipaddress.IPv6Address, IPvAnyAddress, EmailStr, HttpUrl),
    *(SecretStr, SecretBytes, AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime, UUID1, PostgresDsn),
    FileUrl,
    Annotated[str, Field(pattern=r"^\p{Lu}+$")],
    Literal["a", 1],
    Optional[int],  # noqa: UP045  # as people write it
    *(int | str | None, list[int], tuple[int, str], tuple[int, ...], tuple[()], set[int], frozenset[str], deque[int]),
    *(dict[str, int], OrderedDict[str, int], defaultdict[str, int], Counter[str], Mapping[str, list[int]]),
    Sequence[bool],
    Annotated[int, Field(ge=5)],
    Annotated[int, Field(gt=5, lt=9)],
    Annotated[int, Field(multiple_of=7, ge=-3)],
    Annotated[int, at.Interval(ge=0, lt=10)],
    Annotated[float, Field(ge=1.5, le=1.75)],
    Annotated[float, Field(multiple_of=0.5, ge=0, le=10)],
    Annotated[Decimal, Field(decimal_places=3)],
    Annotated[Decimal, Field(max_digits=3)],
    Annotated[Decimal, Field(gt=Decimal("0.1"), lt=Decimal("0.2"))],
    Annotated[str, Field(min_length=3, max_length=3)],
    Annotated[str, at.Len(2, 5)],
    Annotated[str, Field(pattern=r"^[a-f0-9]{32}$")],
    Annotated[str, Field(pattern=r"^(Mr|Ms) [A-Z][a-z]+$")],
    Annotated[str, StringConstraints(pattern="^x+$", max_length=4)],
    Annotated[str, StringConstraints(to_upper=True, strip_whitespace=True)],
    Annotated[str, AfterValidator(even_length)],
    Annotated[str, AfterValidator(not_blank)],
    Annotated[bytes, Field(min_length=4)],
    Annotated[datetime.date, Field(gt=datetime.date(2020, 2, 27), lt=datetime.date(2020, 3, 1))],
    Annotated[datetime.date, AfterValidator(only_mondays)],
    Annotated[datetime.datetime, Field(gt=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))],
    Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0))],
    Annotated[list[int], Field(min_length=2, max_length=2)],
    Annotated[set[int], Field(min_length=2)],
    list[Annotated[str, Field(max_length=2)]],
    Annotated[dict[Annotated[str, Field(max_length=3)], int], Field(max_length=2)],
    # Bounds at which little is left, or far from what is usual.
    Annotated[int, Field(ge=7), Field(ge=-5, le=9)],
    Annotated[Decimal, Field(gt=0, max_digits=3, decimal_places=1)],
    Annotated[Decimal, Field(gt=0, lt=1), at.MultipleOf(Decimal("0.25"))],
    Annotated[float, Field(ge=0.1, le=0.9, multiple_of=0.1)],
    Annotated[datetime.date, Field(lt=datetime.date(1800, 1, 1))],
    Annotated[datetime.date, Field(gt=datetime.date(2150, 1, 1))],
    Annotated[datetime.datetime, Field(lt=datetime.datetime(1800, 1, 1))],  # noqa: DTZ001  # naive, as people write it
    Annotated[AwareDatetime, Field(lt=datetime.datetime(2020, 1, 1, tzinfo=TOKYO))],
    Annotated[datetime.datetime, Field(gt=NOON, lt=NOON + datetime.timedelta(seconds=1))],
    Annotated[datetime.time, Field(ge=datetime.time(9), lt=datetime.time(17))],
    Annotated[datetime.timedelta, Field(gt=datetime.timedelta(0), lt=datetime.timedelta(seconds=1))],
    Annotated[str, Field(pattern=re.compile(r"^(?=.*\d)(?=.*[a-z]).{8,}$"))],
    Secret[int],
    Shouted,
]


EACH_ONCE: Any = Annotated[list[int], AfterValidator(each_once), Field(min_length=2)]
ANNOTATIONS.append(EACH_ONCE)
FEW: list[Any] = [bool, Literal["a", 1], tuple[()], EACH_ONCE]  # the last one: few of what is simple
every_annotation = pytest.mark.parametrize("annotation", ANNOTATIONS, ids=told)


@every_annotation
@settings(max_examples=8)
@given(data=st.data())
def test_values_are_valid(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(value_strategy(annotation))
    TypeAdapter(annotation).validate_python(value)


@pytest.mark.parametrize("annotation", [one for one in ANNOTATIONS if one not in FEW], ids=told)
def test_little_is_looked_for_in_vain(annotation: Any) -> None:
    """Of all that is drawn next to nothing is thrown away, and most of what is drawn is unlike the rest."""
    tried, found = 0, []

    @settings(
        max_examples=20, database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        nonlocal tried
        tried += 1
        value = data.draw(value_strategy(annotation))
        found.append(repr(value.get_secret_value() if hasattr(value, "get_secret_value") else value))

    draw()
    assert len(found) >= 0.75 * tried
    assert len(set(found)) >= min(2, len(found) // 8)


def valid_by(pattern: str) -> AfterValidator:
    def validate(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(pattern)
        return value

    validate.wanted = pattern  # type: ignore[attr-defined]  # for the id of the test
    return AfterValidator(validate)


def is_number_of_a_person(value: str) -> str:
    assert re.fullmatch(r"\d{12}", value)
    rest = sum(int(value[11 - n]) * (n + 1 if n <= 6 else n - 5) for n in range(1, 12)) % 11
    assert int(value[11]) == (0 if rest <= 1 else 11 - rest)
    return value


@pytest.mark.parametrize(
    "validator",
    [
        valid_by(r"[^@]+@[a-z.]+\.co\.jp"),
        valid_by(r"0\d{1,4}-\d{1,4}-\d{4}"),
        valid_by(r"03-\d{4}-\d{4}"),
        valid_by(r"0\d{9}"),
        valid_by(r"0[5789]0\d{8}"),
        valid_by(r"[０-９]{3}-[０-９]{4}-[０-９]{4}"),
        valid_by(r"\d{7}"),
        valid_by(r"〒\d{3}-\d{4}"),
        valid_by(r"[ぁ-んー]+"),
        valid_by(r"[ァ-ヶー]+"),
        valid_by(r"[ｦ-ﾟ ]+"),
        valid_by(r"[一-龥]+"),
        valid_by(r"[一-龥]+[ \u3000][一-龥]+"),
        valid_by(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^A-Za-z0-9]).{8,}"),
        AfterValidator(is_number_of_a_person),
    ],
    ids=lambda one: (getattr(one.func, "__closure__", None) and one.func.__closure__[0].cell_contents) or "my-number",
)
def test_what_validators_of_japan_take_is_found_and_marked(validator: AfterValidator) -> None:
    model = create_model("Model", field=(Annotated[str, validator, tm.Registration], ...))
    markers = Markers()
    marks = {markers.instance(model).field for _ in range(3)}  # type: ignore[attr-defined]  # as it was just said
    assert len(marks) == 3
    assert all(mark.recognisable for mark in markers)


def test_what_validators_take_of_nothing_known_is_said() -> None:
    """Not made of what is no such value at all: any class can be called."""
    for annotation in (Annotated[EmailStr, valid_by("open sesame")], Annotated[SecretStr, AfterValidator(refusing)]):
        with pytest.raises(TypeError, match="its validators take nothing that is known"):
            simplest(value_strategy(annotation))


def refusing(_: object) -> object:
    raise ValueError("never")


ADDRESS = type(TypeAdapter(HttpUrl).validate_python("https://example.com"))
"""Which class the values of `HttpUrl` have depends on the version of pydantic."""


@dataclasses.dataclass
class Typed:
    """Nobody validates what it is made of, so it must be of the right type at once."""

    site: Annotated[HttpUrl, tm.WebForm]
    network: Annotated[ipaddress.IPv4Network, tm.Cookie]
    seen: Annotated[AwareDatetime, tm.Cookie]
    zone: Annotated[zoneinfo.ZoneInfo, tm.Cookie]
    size: Annotated[ByteSize, tm.ProductData]
    email: Annotated[NameEmail, tm.Registration]
    secret: Annotated[SecretStr, tm.Registration]
    token: Annotated[Base64Str, tm.Registration]
    lower: Annotated[str, StringConstraints(to_lower=True), tm.Registration]
    listed: Annotated[Json[list[int]], tm.Contract]
    third: Annotated[int, at.MultipleOf(3), tm.Contract]
    sealed: Personal[HttpUrl, tm.WebForm]


@given(made=instances(Typed))
@settings(max_examples=10)
def test_values_have_the_type_that_is_asked_for(made: Typed) -> None:
    assert type(made.site) is ADDRESS
    assert isinstance(made.network, ipaddress.IPv4Network)
    assert made.seen.tzinfo is not None
    assert isinstance(made.zone, zoneinfo.ZoneInfo)
    assert isinstance(made.size, ByteSize)
    assert isinstance(made.email, NameEmail)
    assert isinstance(made.secret, SecretStr)
    assert made.lower == made.lower.lower()
    assert isinstance(made.listed, list)
    assert made.third % 3 == 0
    assert type(compute_plain_value(made.sealed)) is ADDRESS


def test_marks_have_the_type_and_are_known_again() -> None:
    markers = Markers()
    made = [markers.instance(Typed) for _ in range(4)]
    assert all(one.third % 3 == 0 and type(one.site) is ADDRESS for one in made)
    assert {mark.field for mark in markers if not mark.recognisable} <= {"zone"}  # there are few of them
    for field in ("site", "network", "seen", "size", "email", "secret", "token", "lower", "listed", "third", "sealed"):
        texts = [mark.texts for mark in markers if mark.field == field]
        assert len(set(texts)) == 4, field


def test_a_pattern_that_leaves_room_is_marked_by_what_is_known_again() -> None:
    for pattern in (r"\d{4}", r"^(\d{3}|[A-Z]{5})$", r"^[ァ-ヶー　 ]+$"):
        markers = Markers()
        for _ in range(6):
            markers.instance(create_model("Model", field=(Annotated[str, Field(pattern=pattern), tm.Contract], ...)))
        assert len({mark.texts for mark in markers if mark.recognisable}) == 6, pattern


def test_json_is_given_as_text_where_it_is_read() -> None:
    model = create_model("Model", field=(Annotated[Json[list[int]], tm.Contract], ...))
    assert Markers().instance(model).field[0] > 10**8  # type: ignore[attr-defined]  # as it was just said


def test_values_are_simple_where_nothing_else_is_asked() -> None:
    assert simplest(value_strategy(int)) == 0
    assert simplest(value_strategy(str)) == ""
    assert simplest(value_strategy(list[str])) == []
    assert simplest(value_strategy(int | None)) is None
    assert simplest(value_strategy(Annotated[int, Field(ge=5)])) == 5


def test_values_shrink() -> None:
    assert smallest(value_strategy(int), lambda one: one > 100) == 101
    assert smallest(value_strategy(list[int]), lambda some: sum(some) > 100) == [101]
    assert smallest(value_strategy(Annotated[int, Field(ge=0, le=120)]), lambda age: age >= 18) == 18
    assert smallest(value_strategy(datetime.date), lambda day: day.year > 2000) == datetime.date(2001, 1, 1)


def test_a_strategy_in_the_annotation_is_kept_to() -> None:
    class Model(BaseModel):
        name: Annotated[str, st.sampled_from(["Aiko", "Ken"]), tm.Registration]

    found = {Markers(str(n)).instance(Model).name for n in range(3)}
    assert found <= {"Aiko", "Ken"}


def test_seals_are_drawn_with_what_is_in_them() -> None:
    sealed: Any = simplest(value_strategy(Personal[Annotated[int, Field(ge=7)], tm.Registration | tm.Contract]))
    assert sealed.label is pg.Label(tm.Registration, tm.Contract)
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
        assert use.open(sealed) == 7


@given(n=st.integers(0, 2**64 - 1), length=st.integers(0, 40))
def test_letters_and_digits_are_as_long_as_they_are_to_be(n: int, length: int) -> None:
    assert re.fullmatch(r"[a-z]*", word(n, length))
    assert len(word(n, length)) == length
    assert re.fullmatch(r"([1-9][0-9]*)?", digits(n, length))
    assert len(digits(n, length)) == length


@pytest.mark.parametrize("kind", TEXTS, ids=lambda kind: kind.name)
def test_a_kind_gives_one_value_for_a_number_and_mostly_another_for_another(kind: Any) -> None:
    numbers = [number_of("test", n) for n in range(50)]
    made = [kind.make(n) for n in numbers]
    assert made == [kind.make(n) for n in numbers]
    assert all(isinstance(one, str) for one in made)
    if len(made[0]) >= 7 and kind.name != "time zone":
        assert len(set(made)) == 50


PATTERNS = [
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^\+?[1-9]\d{1,14}$",
    r"^a?b*c+$",
    r"^(?:[01]\d|2[0-3]):[0-5]\d$",
    r"(?i)^hello$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_mark_matches_its_pattern(pattern: str) -> None:
    model = create_model("Model", field=(Annotated[str, Field(pattern=pattern), tm.Contract], ...))
    markers = Markers()
    for _ in range(5):
        markers.instance(model)
    assert all(re.search(pattern, str(mark.value)) for mark in markers)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("aiko@example.com", {"aiko@example.com"}),
        ("+81 90-1234-5678", {"+81 90-1234-5678", "+819012345678", "819012345678", "012345678"}),
        ("abc", set()),
        (True, set()),
        (None, set()),
        (42, set()),
        (1234, set()),
        (7.5, set()),
        pytest.param(Secret[str]("generic"), {"generic"}, id="secret"),
        (1234567, {"1234567", "1,234,567"}),
        (Decimal("12345.60"), {"12345.60", "12,345.60", "12345.6"}),
        (1234.5, {"1234.5", "1,234.5", "1234.50", "1,234.50"}),
        (b"secret", {"secret", "736563726574", "c2VjcmV0"}),
        (
            datetime.date(1957, 3, 14),
            {
                *("1957-03-14", "1957/03/14", "19570314", "14.03.1957", "03/14/1957"),
                *("1957年3月14日", "1957/3/14", "1957-3-14", "March 14, 1957", "14 March 1957"),
                *("Mar 14, 1957", "14 Mar 1957"),
            },
        ),
        (uuid.UUID(int=1), {"00000000-0000-0000-0000-000000000001", "00000000000000000000000000000001"}),
        (ipaddress.ip_address("2001:db8::1"), {"2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"}),
        (ipaddress.ip_address("10.1.2.3"), {"10.1.2.3"}),
        (SecretStr("password"), {"password"}),
        (["hello", ("world", 1), {"key-1": "value"}], {"hello", "world", "key-1", "value"}),
        (Personal("sealed text", tm.Registration), {"sealed text"}),
        (datetime.timedelta(seconds=12345), {"3:25:45", "12345.0"}),
    ],
    ids=told,
)
def test_how_a_value_looks_as_text(value: Any, texts: set[str]) -> None:
    assert set(texts_of(value)) == texts


def test_a_moment_looks_like_its_day_as_well() -> None:
    found = texts_of(datetime.datetime(1957, 3, 14, 1, 2, 3, tzinfo=datetime.UTC))
    assert {"1957-03-14T01:02:03+00:00", "1957-03-14T01:02:03Z", "1957-03-14 01:02:03+00:00", "14.03.1957"} <= {*found}


def test_a_model_looks_like_what_is_in_it() -> None:
    class Model(BaseModel):
        name: str
        inner: list[Any]

    assert texts_of(Model(name="Aiko Yamada", inner=[Model(name="Kenta", inner=[])])) == ("Aiko Yamada", "Kenta")
