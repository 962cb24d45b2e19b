"""What refusals say and carry: a sentence that names the wrong thing is a fault too."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, TypedDict

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import Tape

HERE = __name__


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    scan: Annotated[str, tm.ProductData] = "s"


class Row(TypedDict):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


class One(BaseModel):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


guard = pg.Guard(tm.NOTICE)


def said(error: BaseException) -> str:
    """A message on one line."""
    return " ".join(str(error).split())


@guard.access
def load() -> list[Customer]:
    return [Customer(email="e", device="d")]


@guard.access
def load_one() -> One:
    return One(email="e", device="d")


@guard.access(tm.ProductData, withhold=True)
def rows() -> list[Row]:
    return [{"email": "e", "device": "d"}]


@guard.purpose(tm.RenewalGuidance)
def remind(read: object) -> object:
    return read()  # type: ignore[operator]


def test_a_violation_names_the_fields_and_the_two_ways_out() -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        remind(load)
    told = said(caught.value)
    assert caught.value.field == "device"
    assert told.endswith(
        "either read without the fields `device`, `scan`, or withhold it with @guard.access(withhold=True)"
    )
    with pytest.raises(pg.PurposeViolation) as caught:
        remind(load_one)
    told = said(caught.value)
    assert "either read without the field `device`, or withhold it" in told


def test_a_named_source_that_is_refused_is_told_with_activity_and_function() -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        remind(rows)
    assert caught.value.function == f"{HERE}.rows"
    assert caught.value.activity == f"{HERE}.remind"
    assert "cannot be withheld from this return value" in said(caught.value)


def test_no_purpose_says_what_was_called() -> None:
    for fn in (load, rows):
        with pytest.raises(pg.PurposeMissing) as caught:
            fn()
        told = said(caught.value)
        assert told.startswith(
            f"{fn.__module__}.{fn.__qualname__} was called outside any purpose: decorate the function"
        )
        assert "hands it over" not in told
    elsewhere: list[str] = []

    def run() -> None:
        try:
            load()
        except pg.PurposeMissing as error:
            elsewhere.append(said(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    (told,) = elsewhere
    assert told.startswith(f"{HERE}.load was called outside any purpose: decorate the function")
    assert elsewhere[0].endswith(
        "; where the caller in another thread has a purpose, it hands it over with `guard.carry(fn)`"
    )


def test_a_use_that_does_not_hold_says_what_was_to_be_done() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        pass
    ended = (
        f"outside any purpose: activity {use.activity.name} has ended, or the step of a generator that this use was "
        "for: ask `guard.use(…)` where it is needed"
    )
    with pytest.raises(pg.PurposeMissing) as caught:
        use.check(tm.Registration)
    assert said(caught.value) == f"a check was made {ended}"
    with pytest.raises(pg.PurposeMissing) as caught:
        use.withhold(Customer(email="e", device="d"))
    assert said(caught.value) == f"data was to be withheld {ended}"
    with pytest.raises(pg.PurposeMissing) as caught:
        guard.carry(load)
    told = said(caught.value)
    assert told.startswith(f"{HERE}.load was to be carried outside any purpose")


def test_a_use_that_was_passed_to_what_was_carried_says_to_ask_for_its_own() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        check = guard.carry(use.check)
        inherited = contextvars.copy_context()
    with pytest.raises(pg.PurposeMissing) as caught:
        check(tm.Registration)
    assert said(caught.value).endswith(
        " has ended, and what was carried has a use of its own: ask `guard.use(…)` in it"
    )
    with pytest.raises(pg.PurposeMissing) as caught:
        inherited.run(load)
    assert said(caught.value).endswith(f"load was called outside any purpose: activity {use.activity.name} has ended")


def test_a_purpose_of_another_guard_says_so() -> None:
    other = pg.Guard(tm.NOTICE)
    with other.purpose(tm.RenewalGuidance) as use:
        for act in (load, lambda: guard.current, lambda: guard.carry(load)):
            with pytest.raises(pg.PurposeMissing) as caught:
                act()
            assert said(caught.value).endswith(
                "outside any purpose: what is under way is of another guard: make one guard, and import it where it is "
                "needed"
            )
        inherited = contextvars.copy_context()
    assert not use.active
    with pytest.raises(pg.PurposeMissing, match="outside any purpose: decorate"):
        inherited.run(load)


def test_an_activity_that_does_not_say_what_it_is_for_is_told_how() -> None:
    for fn in (load, staticmethod(load), classmethod(lambda _: load())):
        with pytest.raises(pg.UnknownPurpose, match=r"an activity says what it is for: `@guard\.purpose\(Purpose\)`"):
            guard.purpose(fn)  # type: ignore[call-overload]  # the slip


def test_what_carries_no_tag_is_named() -> None:
    with (
        guard.purpose(tm.RenewalGuidance) as use,
        pytest.raises(pg.UnlabelledData, match=r"^no field of dict carries a tag: "),
    ):
        use.withhold({"email": "e"})


@pytest.mark.parametrize(
    ("channel", "headline"),
    [
        (None, "web-survey-invitation (2.2④) may not be pursued without a stated channel"),
        ("post", "web-survey-invitation (2.2④) may not be pursued by post"),
    ],
)
def test_an_activity_whose_channel_does_not_fit_is_told_which_do(channel: str | None, headline: str) -> None:
    with pytest.raises(pg.ChannelViolation) as caught:
        guard.purpose(tm.WebSurveyInvitation, channel=channel)
    assert str(caught.value).splitlines() == [
        headline,
        "  web-survey-invitation (2.2④) names its channels and closes the list: email or phone",
        '  state `channel="email"` or `channel="phone"`',
    ]
    assert caught.value.activity is None
    assert caught.value.decision.label is pg.Label(tm.Website)  # the clause, and not each of its items as well
    with pytest.raises(pg.ChannelViolation) as caught:
        guard.purpose(tm.WebSurveyInvitation, channel=channel, activity="survey")
    assert caught.value.activity == "survey"


def test_another_notice_is_refused_with_its_place_and_what_to_do() -> None:
    other = pg.Notice.parse({**tm.NOTICE.dump(), "id": "other"})
    with pytest.raises(pg.NoticeError) as caught:
        guard.replace(other)
    (fault,) = caught.value.faults
    assert (fault.place, fault.suggestion) == ("id", "make a guard of its own")
    assert fault.message == "`other` is another notice than `trendmicro-jp`"
    assert caught.value.origin == "replace"


def test_what_is_observed_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    watching = pg.Guard(tm.NOTICE, mode="observe")
    with caplog.at_level(logging.WARNING, "purposeguard"):
        watching.check(tm.ProductData, tm.RenewalGuidance)
    (record,) = caplog.records
    assert record.getMessage().startswith("observed, not enforced: renewal-guidance (1.2(1)①) may not use product-data")


def test_what_is_observed_while_withholding_is_told_with_activity_and_function() -> None:
    tape = Tape()
    watching = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)

    @watching.access(withhold=True)
    def read() -> Customer:
        return Customer(email="e", device="d")

    @watching.purpose(tm.RenewalGuidance, activity="reminder")
    def observe() -> Customer:
        return read()

    assert observe().device == "d"
    for error, observed in tape.denials:
        assert observed
        assert isinstance(error, pg.PurposeViolation)
        assert error.activity == "reminder"
        assert (
            error.function
            == f"{HERE}.test_what_is_observed_while_withholding_is_told_with_activity_and_function.<locals>.read"
        )


def test_a_withheld_field_that_is_read_is_told_to_the_ledger_of_its_activity() -> None:
    tape = Tape()
    told = pg.Guard(tm.NOTICE, ledger=tape)

    @told.access(withhold=True)
    def read() -> Customer:
        return Customer(email="e", device="d")

    @told.purpose(tm.RenewalGuidance, activity="reminder")
    def act() -> str:
        return read().device

    with pytest.raises(pg.PurposeViolation) as caught:
        act()
    assert [(error, observed) for error, observed in tape.denials] == [(caught.value, False)]
    assert (caught.value.activity, caught.value.field) == ("reminder", "device")
    assert (
        caught.value.function
        == f"{HERE}.test_a_withheld_field_that_is_read_is_told_to_the_ledger_of_its_activity.<locals>.read"
    )


def test_a_value_that_its_annotation_does_not_describe_is_refused_by_name() -> None:
    @guard.access(withhold=True)
    def wrong() -> Customer:
        return "all of it"  # type: ignore[return-value]  # what the annotation does not say

    with pytest.raises(pg.PurposeViolation) as caught:
        remind(wrong)
    assert caught.value.function is not None
    assert caught.value.function.endswith("<locals>.wrong")
    assert caught.value.activity == f"{HERE}.remind"


# --- rows that come one by one are known by the annotation alone


@guard.access(withhold=True)
def stream() -> Iterator[Row]:
    yield {"email": "e", "device": "d"}


@guard.access(withhold=True)
async def async_stream() -> AsyncIterator[Row]:
    yield {"email": "e", "device": "d"}


def test_rows_of_a_generator_are_withheld_one_by_one() -> None:
    async def collected() -> list[Row]:
        with guard.purpose(tm.RenewalGuidance):
            return [row async for row in async_stream()]

    with guard.purpose(tm.RenewalGuidance):
        plain = list(stream())
    for row in (*plain, *asyncio.run(collected())):
        assert dict(row) == {"email": "e"}
        with pytest.raises(pg.PurposeViolation):
            row["device"]


# --- what a cache hands on


def test_a_cache_hands_keywords_on() -> None:
    @guard.cached()
    @guard.access(tm.Registration)
    def read(key: int, *, suffix: str = "") -> str:
        return f"{key}{suffix}"

    @guard.cached()
    @guard.access(tm.Registration)
    async def read_async(key: int, *, suffix: str = "") -> str:
        return f"{key}{suffix}"

    async def main() -> list[str]:
        with guard.purpose(tm.RenewalGuidance):
            return [await read_async(1, suffix="x"), await read_async(1), read(1, suffix="x"), read(1)]

    assert asyncio.run(main()) == ["1x", "1", "1x", "1"]


def test_a_cache_that_shows_only_its_key_is_known_too() -> None:
    def read() -> Customer:
        raise NotImplementedError

    read.cache_key = str  # type: ignore[attr-defined]  # as cachetools marks what it wraps
    with pytest.raises(TypeError) as caught:
        guard.access(read)
    assert said(caught.value).startswith(f"{HERE}.{read.__qualname__} is behind a cache that knows no purposes")
    assert "put `@guard.cached(…)` above `@guard.access`" in said(caught.value)


# --- what a notice says of itself


def test_a_fault_names_the_file_or_text_that_it_is_in(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("format = 1\n", encoding="utf-8")
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(path)
    assert caught.value.origin == str(path)
    for text in ("format = 1\n", "format ="):
        with pytest.raises(pg.NoticeError) as caught:
            pg.Notice.loads(text, "the text")
        assert caught.value.origin == "the text"


def test_what_is_not_bundled_is_told_what_is() -> None:
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.bundled("nowhere")
    assert caught.value.origin == "bundled notice"
    assert str(caught.value).splitlines() == [
        "bundled notice: 1 fault",
        "  no bundled notice is called `<a text of 7 characters>` (help: bundled are: trendmicro-jp)",
    ]


def test_a_class_of_the_wrong_kind_is_told_what_it_is() -> None:
    for ask, wrong, why in (
        (tm.NOTICE.source, tm.RenewalGuidance, "is a purpose, not a source"),
        (tm.NOTICE.purpose, tm.Registration, "is a source, not a purpose"),
        (tm.NOTICE.source, pg.Source, "is the base of all sources"),
        (tm.NOTICE.purpose, pg.Purpose, "is the base of all purposes"),
    ):
        with pytest.raises(pg.UnknownTerm) as caught:
            ask(wrong)
        assert caught.value.why == why
    elsewhere = pg.Notice.parse(tm.NOTICE.dump()).source("1.1a")
    with pytest.raises(pg.UnknownSource) as caught:
        tm.NOTICE.source(elsewhere)
    assert caught.value.why == (
        "is a class of another notice, of another copy of trendmicro-jp, or made by hand: use this one's classes, "
        "or the id `1.1(a)`"
    )


def test_equal_notices_hash_alike_and_revisions_do_not() -> None:
    again = pg.Notice.parse(tm.NOTICE.dump())
    later = pg.Notice.parse({**tm.NOTICE.dump(), "revision": "2025-04-01"})
    assert hash(again) == hash(tm.NOTICE)
    assert hash(later) != hash(tm.NOTICE)
