"""Values of annotations: valid, varied, found without much looking; and how marked ones look as text."""

from __future__ import annotations

import datetime
import ipaddress
import re
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import annotated_types as at
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from pydantic import (
    UUID1,
    AfterValidator,
    AwareDatetime,
    Base64Str,
    BaseModel,
    EmailStr,
    Field,
    FileUrl,
    FutureDatetime,
    HttpUrl,
    IPvAnyAddress,
    Json,
    NaiveDatetime,
    PastDatetime,
    PostgresDsn,
    SecretBytes,
    SecretStr,
    StringConstraints,
    TypeAdapter,
)

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing._kinds import TEXTS, digits, number_of, word
from purposeguard.testing._patterns import matching
from purposeguard.testing.values import Markers, simplest, texts_of, value_strategy
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


ANNOTATIONS: list[Any] = [
    int,
    str,
    float,
    bool,
    bytes,
    complex,
    Decimal,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    IPvAnyAddress,
    EmailStr,
    HttpUrl,
    SecretStr,
    SecretBytes,
    AwareDatetime,
    NaiveDatetime,
    PastDatetime,
    FutureDatetime,
    Base64Str,
    UUID1,
    PostgresDsn,
    FileUrl,
    Annotated[str, Field(pattern=r"^\p{Lu}+$")],
    Json[str],
    Literal["a", 1],
    Optional[int],  # noqa: UP045  # as people write it
    int | str | None,
    list[int],
    tuple[int, str],
    tuple[int, ...],
    set[int],
    frozenset[str],
    deque[int],
    dict[str, int],
    OrderedDict[str, int],
    defaultdict[str, int],
    Counter[str],
    Mapping[str, list[int]],
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
]

every_annotation = pytest.mark.parametrize("annotation", ANNOTATIONS, ids=told)


@every_annotation
@settings(max_examples=8)
@given(data=st.data())
def test_values_are_valid(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(value_strategy(annotation))
    TypeAdapter(annotation).validate_python(value)


@pytest.mark.parametrize("annotation", [one for one in ANNOTATIONS if one not in {bool, Literal["a", 1]}], ids=told)
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
        found.append(repr(data.draw(value_strategy(annotation))))

    draw()
    assert len(found) >= 0.75 * tried
    assert len(set(found)) >= min(2, len(found) // 8)


def test_values_are_simple_where_nothing_else_is_asked() -> None:
    assert simplest(value_strategy(int)) == 0
    assert simplest(value_strategy(str)) == ""
    assert simplest(value_strategy(list[str])) == []
    assert simplest(value_strategy(int | None)) is None
    assert simplest(value_strategy(Annotated[int, Field(ge=5)])) == 5


def test_values_shrink() -> None:
    assert find(value_strategy(int), lambda one: one > 100) == 101
    assert find(value_strategy(list[int]), lambda some: sum(some) > 100) == [101]
    assert find(value_strategy(Annotated[int, Field(ge=0, le=120)]), lambda age: age >= 18) == 18
    assert find(value_strategy(datetime.date), lambda day: day.year > 2000) == datetime.date(2001, 1, 1)


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


# ---- What values are made of --------------------------------------------------------------------------------------


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
    r"^\d{3}-\d{4}$",
    r"[A-Z]{2}\d+",
    r"^(foo|bar|ba[zk])$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^(\w)\1$",
    r"^\+?[1-9]\d{1,14}$",
    r"^[\u30A0-\u30FF]+$",
    r"^.{3}$",
    r"^a?b*c+$",
    r"^(?:[01]\d|2[0-3]):[0-5]\d$",
    r"^(?P<y>\d{4})/(?P<m>\d\d)$",
    r"\Aabc\Z",
    r"^\S+ \S+$",
    r"(?i)^hello$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_that_is_made_of_a_pattern_matches_it(pattern: str) -> None:
    found = {matching(pattern, number_of(n)) for n in range(30)}
    assert all(one is not None and re.search(pattern, one) for one in found)
    if re.search(r"\{\d|\+", pattern):
        assert len(found) > 5


def test_a_pattern_that_is_none_has_no_text() -> None:
    assert matching("(", 1) is None


# ---- As text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("aiko@example.com", {"aiko@example.com"}),
        ("+81 90-1234-5678", {"+81 90-1234-5678", "+819012345678", "819012345678"}),
        ("abc", set()),
        (True, set()),
        (None, set()),
        (42, set()),
        (1234567, {"1234567", "1,234,567"}),
        (Decimal("12345.60"), {"12345.60", "12,345.60", "12345.6"}),
        (1234.5, {"1234.5", "1,234.5", "1234.50", "1,234.50"}),
        (b"secret", {"secret", "736563726574", "c2VjcmV0"}),
        (
            datetime.date(1957, 3, 14),
            {"1957-03-14", "1957/03/14", "19570314", "14.03.1957", "03/14/1957"},
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
