"""Whose data it is, and from when: one spelling of an id, and what is known of a datum beyond its label."""

from __future__ import annotations

import copy
import datetime
import enum
import pickle
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.policy.row_context import LONGEST_SUBJECT, subject_key
from tests.unit.models import UTC

DAY = datetime.date(2025, 3, 1)
MOMENT = datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)
SOME = uuid.UUID("12345678-9ABC-def0-1234-56789abcdef0")


class Number(enum.IntEnum):
    SEVEN = 7


class Word(str, enum.Enum):  # noqa: UP042  # as older code has it: `str()` of a member is not its value
    SEVEN = "7"


class Masked(str):
    """A text that says something else of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    def __iter__(self) -> Iterator[str]:
        return iter("***")


class MaskedNumber(int):
    def __int__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "***"


class MaskedUUID(uuid.UUID):
    def __str__(self) -> str:
        return "***"


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        ("7", [7, "7", Number.SEVEN, Word.SEVEN, Masked("7"), MaskedNumber(7)]),
        (
            "12345678-9abc-def0-1234-56789abcdef0",
            [SOME, str(SOME), str(SOME).upper(), SOME.hex, f"{{{SOME}}}", SOME.urn],
        ),
        ("12345678-9abc-def0-1234-56789abcdef0", [Masked(SOME.hex), MaskedUUID(SOME.hex)]),
    ],
    ids=["number", "uuid", "texts and UUIDs that mask themselves"],
)
def test_all_spellings_of_an_id_are_one_subject(key: str, spellings: list[Any]) -> None:
    for spelling in spellings:
        assert subject_key(spelling) == key
        assert type(subject_key(spelling)) is str


def test_a_uuid_within_a_realm_has_one_spelling_too() -> None:
    key = f"customer:{SOME}"
    for spelling in (str(SOME), str(SOME).upper(), SOME.hex, f"{{{SOME}}}", SOME.urn):
        assert subject_key(f"customer:{spelling}") == key
        assert subject_key(f"urn:uuid:{SOME}") == str(SOME)
    for other in (f"Customer:{SOME.hex.upper()}", f"a b:{SOME.hex.upper()}", f"customer::{SOME.hex.upper()}"):
        assert subject_key(other) == other


def test_digits_that_could_be_a_uuid_are_one_subject_in_every_form() -> None:
    number = 12345678901234567890123456789012
    assert subject_key(number) == subject_key(str(number)) == subject_key(uuid.UUID(str(number)))
    for other in (number // 10, number * 10):
        assert subject_key(other) == subject_key(str(other)) == str(other)


@pytest.mark.parametrize("given", ["0x" + "1" * 30, "_".join("1" * 16) + "1", "１" * 32, "urn:uuid:" + "1" * 23])
def test_what_only_python_takes_for_a_uuid_stays_a_text(given: str) -> None:
    assert subject_key(given) == given
    assert subject_key(given) != subject_key("00" + "1" * 30)


def test_capitals_count_and_the_way_a_letter_is_composed_does_not() -> None:
    assert subject_key("Jane") != subject_key("jane")
    assert subject_key("e\N{COMBINING ACUTE ACCENT}") == subject_key("é")


@pytest.mark.parametrize(
    "given",
    ["", " ", " 7", "7 ", "7\n", "\t7", "a\x00b", "\N{RIGHT-TO-LEFT OVERRIDE}a", "x" * (LONGEST_SUBJECT + 1), "\ud800"],
    ids=ascii,
)
def test_what_does_not_print_is_no_id(given: str) -> None:
    with pytest.raises(ValueError, match="1 to 200 characters") as caught:
        subject_key(given)
    assert len(given) < 2 or given not in str(caught.value)


def test_an_id_is_of_two_hundred_characters_at_most() -> None:
    assert subject_key("x" * LONGEST_SUBJECT) == "x" * LONGEST_SUBJECT
    assert subject_key(10**LONGEST_SUBJECT - 1) == "9" * LONGEST_SUBJECT
    for given in (10**LONGEST_SUBJECT, -(10**LONGEST_SUBJECT), 10**5000):
        with pytest.raises(ValueError, match="1 to 200 characters"):
            subject_key(given)
    assert subject_key(-7) == "-7"
    assert subject_key(0) == "0"


@pytest.mark.parametrize("given", [True, None, 7.0, b"7", [7], (7,), object()], ids=lambda one: type(one).__name__)
def test_nothing_else_names_a_subject(given: Any) -> None:
    with pytest.raises(TypeError, match="an int, a text or a UUID, not") as caught:
        subject_key(given)
    assert "7" not in str(caught.value)


def test_equal_where_the_same_is_known() -> None:
    one, other = pg.RowContext(7, collected=DAY), pg.RowContext("7", collected=DAY)
    assert one == other
    assert hash(one) == hash(other)
    assert one != pg.RowContext(7)
    assert one != pg.RowContext(7, collected=DAY, ended=DAY)
    assert one != "7"
    assert one != ("7", DAY, None)


def test_it_is_kept_as_it_was_made() -> None:
    about = pg.RowContext(SOME, collected=MOMENT, ended=DAY)
    assert copy.copy(about) is about
    assert copy.deepcopy(about) is about
    assert pickle.loads(pickle.dumps(about)) == about
    for name in ("subject", "collected", "ended", "other"):
        with pytest.raises(AttributeError) as caught:
            setattr(about, name, None)
        assert str(SOME) not in str(caught.value)
    with pytest.raises(AttributeError):
        del about.subject


def test_it_does_not_show_whose_it_is() -> None:
    about = pg.RowContext("jane.doe", collected=DAY, ended=DAY)
    for shown in (repr(about), str(about), f"{about}", format(about), ascii(about)):
        assert "jane" not in shown
        assert "2025" not in shown
    assert repr(about) == "<RowContext collected, ended, subject>"
    assert repr(pg.RowContext()) == "<RowContext nothing known>"


@pytest.mark.parametrize("name", ["collected", "ended"])
def test_a_day_is_a_date_or_a_moment_with_its_time_zone(name: str) -> None:
    def make(given: Any) -> pg.RowContext:
        return pg.RowContext(7, **{name: given})

    for given in (DAY, MOMENT):
        assert getattr(make(given), name) is given
    with pytest.raises(ValueError, match=f"`{name}` has no time zone"):
        make(datetime.datetime(2025, 3, 1))  # noqa: DTZ001  # what is refused
    for wrong in ("2025-03-01", 20250301, datetime.time(), object()):
        with pytest.raises(TypeError, match=f"`{name}` is a date or a datetime, not"):
            make(wrong)


def test_its_subject_is_an_id() -> None:
    for wrong, error in ((True, TypeError), ("", ValueError)):
        with pytest.raises(error):
            pg.RowContext(wrong)
