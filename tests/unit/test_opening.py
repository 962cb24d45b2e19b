"""Opening sealed values: what a use opens, what it refuses and says, and what is told of it."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from purposeguard.values.opener import Opener, find_opener
from tests.support import racing
from tests.unit.models import D, R
from tests.unit.samples import revised
from tests.unit.seals import ABSENT, BILL, COOKIE, DEVICE, FREE, NAME, Told, words


@pytest.fixture(params=["bare", "told"])
def guard(request: pytest.FixtureRequest) -> pg.Guard:
    """One without a ledger, whose uses have a short way, and one with a ledger, whose uses count."""
    return pg.Guard(tm.NOTICE, ledger=Told() if request.param == "told" else None)


def test_a_use_opens_what_its_purpose_may_use(guard: pg.Guard) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        for _ in range(3):  # decided, and then remembered
            assert use.open(NAME) == "name"
            assert use.open(NAME.zip(BILL)) == ("name", "bill")
            assert use.open(NAME.map(str.upper)) == "NAME"
            assert use.open(FREE) == "free"
            assert use.try_open(NAME, ABSENT) == "name"
            assert use.try_open(NAME.zip(FREE), ABSENT) == ("name", "free")
            assert use.open_all([NAME, BILL, NAME]) == ["name", "bill", "name"]
            assert use.open_all(value for value in (NAME, BILL.map(len))) == ["name", 4]
            assert use.open_all([]) == []


def test_a_refusal_says_what_is_denied_and_who_asked(guard: pg.Guard) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="shop.mail.remind") as use:
        for value in (DEVICE, NAME.zip(DEVICE), DEVICE.map(len)):
            for act in (use.open, lambda value: use.open_all([NAME, value])):
                with pytest.raises(pg.PurposeViolation) as refused:
                    act(value)
                assert refused.value.decision.denied == (tm.ProductData,)
                assert refused.value.activity == "shop.mail.remind"
                assert refused.value.function is refused.value.field is None


def test_the_channel_counts(guard: pg.Guard) -> None:
    contact = pg.Personal("address", tm.WebContact)
    with guard.purpose(tm.AnyEventInvitation, channel="phone") as use:
        assert use.open(contact) == "address"
        assert use.open(contact.zip(NAME)) == ("address", "name")
    with guard.purpose(tm.AnySecurityInformation, channel="phone") as use:
        with pytest.raises(pg.ChannelViolation) as refused:
            use.open(contact)
        assert "by phone" in words(refused)
        assert use.try_open(contact, ABSENT) is ABSENT
        assert use.open(NAME) == "name"


def test_only_sealed_values_are_opened(guard: pg.Guard) -> None:
    class Decoy:
        """As hard as one can try from outside."""

        label = _sealed_label = R

    class Row(NamedTuple):
        name: pg.Personal[str, tm.Registration]

    plain: Any
    with guard.purpose(tm.RenewalGuidance) as use:
        ways: dict[str, Callable[[Any], object]] = {
            "open": use.open,
            "open_all": lambda value: use.open_all([NAME, value]),
            "try_open": lambda value: use.try_open(value, ABSENT),
        }
        use.open(NAME)
        with pytest.raises(TypeError, match=r"was given `None`: compare with `None` first"):
            use.open(None)  # type: ignore[arg-type]  # the slip
        for plain in ("name", 5, Decoy(), pg.Personal):
            kind = type(plain).__name__
            for who, act in ways.items():
                with pytest.raises(
                    TypeError, match=rf"`{who}` takes sealed values, and was given a {kind}: `Personal\("
                ):
                    act(plain)
        for plain in ([NAME], (NAME,), {"name": NAME}, set()):
            for who, act in ways.items():
                with pytest.raises(TypeError, match=rf"`{who}` takes .*: `open_all` opens what is in a list"):
                    act(plain)
        for who, act in ways.items():
            with pytest.raises(TypeError, match=rf"`{who}` takes sealed values, and was given a Row: give its fields"):
                act(Row(NAME))
        with pytest.raises(TypeError, match="not iterable"):
            use.open_all(None)  # type: ignore[arg-type]  # untyped code may


def test_what_another_notice_sealed_is_unknown(guard: pg.Guard) -> None:
    other = pg.Notice.parse(tm.NOTICE.dump())  # equal, with classes of its own
    foreign: pg.Personal[str, Any] = pg.Personal("x", other.source("1.1a"))
    with guard.purpose(tm.RenewalGuidance) as use:
        for value in (foreign, foreign.zip(NAME), foreign.map(len)):
            acts: list[Callable[[], object]] = [
                lambda value=value: use.open(value),  # type: ignore[misc]  # each its own
                lambda value=value: use.open_all([NAME, value]),  # type: ignore[misc]
                lambda value=value: use.try_open(value, ABSENT),  # type: ignore[misc]
            ]
            for act in acts:
                with pytest.raises(pg.UnknownSource):
                    act()


def test_all_are_opened_or_none(guard: pg.Guard) -> None:
    ran: list[object] = []
    told = NAME.map(ran.append)
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.PurposeViolation):
            use.open_all([told, DEVICE, told])
        assert ran == []
        with pytest.raises(TypeError):
            use.open_all([told, "plain"])  # type: ignore[arg-type]  # likewise
        assert ran == []
        assert use.open_all([told, told]) == [None, None]
    assert ran == ["name", "name"]


def test_after_its_block_a_use_opens_nothing(guard: pg.Guard) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        assert use.open(NAME) == "name"
    for act in (lambda: use.open(NAME), lambda: use.open_all([NAME]), lambda: use.try_open(DEVICE, ABSENT)):
        with pytest.raises(pg.PurposeMissing):
            act()
    with pytest.raises(pg.PurposeMissing):
        use.open_all([])
    assert use.allows(R)  # a question is answered still
    with guard.purpose(tm.ProductProvision):
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME)
        with pytest.raises(pg.PurposeMissing):
            use.withhold(NAME)


def test_a_use_opens_within_a_block_of_another_purpose(guard: pg.Guard) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        with guard.purpose(tm.ProductImprovement) as inner:
            assert inner.open(DEVICE) == "device"
            assert use.open(NAME) == "name"
            with pytest.raises(pg.PurposeViolation):
                use.open(DEVICE)
        assert use.open(NAME) == "name"


def test_the_use_under_way_is_given_for_its_purpose() -> None:
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance) as use:
        assert guard.use(tm.RenewalGuidance) is guard.use("1.2(1)①") is guard.current is use
        with pytest.raises(pg.PurposeMissing) as missing:
            guard.use(tm.ProductGuidance)
        wanted, held = "product-guidance (1.2(1)②)", "renewal-guidance (1.2(1)①)"
        assert words(missing) == f"a use for {wanted} was asked for, and what is under way is for {held}"
    with guard.purpose(tm.AnyProductGuidance, channel="email") as use:
        assert guard.use(tm.AnyProductGuidance) is use
        with pytest.raises(pg.PurposeMissing):
            guard.use(tm.AnyFeedback)
    with guard.purpose(tm.ProductGuidance), pytest.raises(pg.PurposeMissing):
        guard.use(tm.AnyProductGuidance)  # which may use more
    with pytest.raises(pg.PurposeMissing):
        guard.use(tm.RenewalGuidance)
    with pytest.raises(pg.UnknownPurpose):
        guard.use("9.9")


def test_observing_opens_all_and_tells_each_denial(caplog: pytest.LogCaptureFixture) -> None:
    tape = Told()
    guard = pg.Guard(tm.NOTICE, ledger=tape, mode="observe")
    with caplog.at_level(logging.WARNING, "purposeguard"), guard.purpose(tm.RenewalGuidance, activity="it") as use:
        assert use.open(DEVICE) == "device"
        assert use.open_all([DEVICE, NAME, COOKIE, DEVICE]) == ["device", "name", "cookie", "device"]
        assert use.try_open(DEVICE, ABSENT) is ABSENT  # a question: who asks is ready for the answer
        told = [(error.decision.label, seen) for error, seen in tape.denials if isinstance(error, pg.PurposeViolation)]
        assert told == [(D, True), (D, True), (pg.Label(tm.Cookie), True)]
        assert len(caplog.messages) == 2  # The first of each kind is logged.
        assert all(message.startswith("observed, not enforced: renewal-guidance") for message in caplog.messages)
    assert tape.uses == [("it", "1.2(1)①", R, 1)]  # what was allowed
    # Outside any purpose likewise.
    assert use.open(DEVICE) == "device"
    assert use.open_all([NAME, DEVICE]) == ["name", "device"]
    assert use.try_open(DEVICE, ABSENT) == "device"
    assert use.withhold(NAME) is NAME
    missing = tape.denials[len(told) :]
    assert [(type(error), seen) for error, seen in missing] == [(pg.PurposeMissing, True)] * 4
    assert len(tape.uses) == 1
    assert "device" not in caplog.text.replace("ProductData", "")


def test_one_activity_may_observe() -> None:
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance, mode="observe") as use:
        assert use.open(DEVICE) == "device"
        with guard.purpose(tm.RenewalGuidance) as enforcing, pytest.raises(pg.PurposeViolation):
            enforcing.open(DEVICE)
        holder = Contact(device=DEVICE)
        assert use.withhold(holder) is holder
        assert use.withhold(DEVICE) is DEVICE
    with pytest.raises(pg.PurposeMissing):
        use.open(NAME)  # the guard itself enforces, and there is no activity any more


def narrower(made: dict[str, Any]) -> None:
    for grant in made["grant"]:
        if grant["clause"] == "1.2(1)":
            grant["sources"] = ["1.1(b)"]


def closing(made: dict[str, Any]) -> None:
    for grant in made["grant"]:
        for purpose in grant["purpose"]:
            if purpose["id"] == "1.2(1)①":
                purpose["channels"] = {"closed": ["email"]}


def test_an_opening_follows_the_revision_in_force(guard: pg.Guard) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open_all([NAME, NAME]) == ["name", "name"]
        guard.replace(revised(tm.NOTICE, narrower))
        for value in (NAME, NAME.map(len), NAME.zip(DEVICE)):
            with pytest.raises(pg.PurposeViolation):
                use.open(value)
            assert use.try_open(value, ABSENT) is ABSENT
        assert use.open(DEVICE) == "device"
        guard.replace(tm.NOTICE)
        assert use.open(NAME) == "name"
        guard.replace(revised(tm.NOTICE, closing))
        with pytest.raises(pg.ChannelViolation, match="without a stated channel"):
            use.open(NAME)
        assert use.try_open(NAME, ABSENT) is ABSENT


def test_one_opening_is_by_one_revision(guard: pg.Guard) -> None:
    later = revised(tm.NOTICE, narrower)
    for act, expected in [
        (lambda use: use.try_open(NAME, ABSENT), "name"),
        (lambda use: use.open(NAME), "name"),
        (lambda use: use.open_all([NAME, BILL]), ["name", "bill"]),
    ]:
        guard.replace(tm.NOTICE)
        with guard.purpose(tm.RenewalGuidance) as use, racing(guard, later):
            assert act(use) == expected
            assert use.try_open(NAME, ABSENT) is ABSENT
    for both in ([NAME, DEVICE], [DEVICE, NAME]):
        guard.replace(tm.NOTICE)
        with guard.purpose(tm.RenewalGuidance) as use, racing(guard, later):
            with pytest.raises(pg.PurposeViolation) as refused:
                use.open_all(both)  # which no revision lets be opened together
            assert not refused.value.decision


class Contact(BaseModel):
    device: pg.Personal[str, tm.ProductData]


def test_the_use_under_way_opens_where_none_is_named() -> None:
    one, other = pg.Guard(tm.NOTICE), pg.Guard(pg.Notice.parse(tm.NOTICE.dump()))
    foreign: pg.Personal[str, Any] = pg.Personal("foreign", other.notice.source("1.1a"))
    with pytest.raises(pg.PurposeMissing) as missing:
        encode_sealed(NAME)
    assert "was to be opened outside any purpose: enter `with guard.purpose(…)`" in words(missing)
    with one.purpose(tm.RenewalGuidance) as use:
        assert encode_sealed(NAME) == "name"
        assert find_opener(None) is use
        with other.purpose("1.2(1)①"):
            # Each guard decides by its own notice, and is asked of what that knows.
            assert encode_sealed(NAME) == "name"
            assert encode_sealed(foreign) == "foreign"
            with pytest.raises(pg.PurposeMissing, match="of several guards are under way, and each could decide"):
                encode_sealed(FREE)
            third = pg.Guard(pg.Notice.parse(tm.NOTICE.dump()))
            unknown: pg.Personal[str, Any] = pg.Personal("unknown", third.notice.source("1.1a"))
            for value in (unknown, NAME.zip(foreign)):
                with pytest.raises(pg.PurposeMissing, match="several guards are under way, and none of their notices"):
                    encode_sealed(value)
            with pytest.raises(pg.PurposeMissing, match=r"name one, `context"):
                find_opener(None)
            assert find_opener(None, {"use": use}) is use
    with pytest.raises(TypeError, match="names a use, not Guard"):
        find_opener(R, {"use": one})
    with pytest.raises(pg.PurposeMissing):
        find_opener(R, {"withhold": True})


def test_a_use_that_an_application_keeps_by_itself_is_found_once() -> None:
    kept: contextvars.ContextVar[object] = contextvars.ContextVar("kept")

    def within() -> None:
        guard = pg.Guard(tm.NOTICE)
        with guard.purpose(tm.RenewalGuidance) as use:
            kept.set(use)
            assert encode_sealed(NAME) == "name"
        with guard.purpose(tm.ProductProvision):
            assert encode_sealed(DEVICE) == "device"  # and the one that has ended is passed over
        with pytest.raises(pg.PurposeMissing, match="has ended"):
            encode_sealed(NAME)

    contextvars.copy_context().run(within)


def test_of_uses_that_an_application_keeps_the_one_under_way_of_their_guard_decides() -> None:
    kept: contextvars.ContextVar[object] = contextvars.ContextVar("kept")
    web = pg.Personal("web", tm.WebContact)

    def within() -> None:
        guard = pg.Guard(tm.NOTICE)
        with guard.purpose(tm.RenewalGuidance) as use:
            kept.set(use)
            with guard.purpose(tm.ProductProvision):
                assert encode_sealed(DEVICE) == "device"
        with guard.purpose(tm.AnyProductGuidance, channel="email"):
            kept.set(guard.use(tm.ProductGuidance))
            assert encode_sealed(web) == "web"
            second = pg.Guard(tm.NOTICE).purpose(tm.WebSecurityMail, channel="email")
            with second, pytest.raises(pg.PurposeMissing, match="uses of several guards are under way"):
                encode_sealed(web)

    contextvars.copy_context().run(within)


def test_an_opener_is_what_a_use_makes_of_it() -> None:
    for ask in (
        Opener.explain_absence,
        Opener._current_use,
        Opener._is_current,
        lambda one: one._knows(R),
        lambda one: one.open(NAME),
        lambda one: one._open_in_context(NAME, ()),
        lambda one: one._withhold_for_dump(NAME, []),
    ):
        with pytest.raises(NotImplementedError):
            ask(Opener())
