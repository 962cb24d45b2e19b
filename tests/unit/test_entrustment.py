"""Handing data over: what is checked before it, of whom, and that it is on record first."""

import datetime
import functools
import inspect
import logging
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, UnknownRecipient
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.clock import Clock
from purposeguard.values.markers import Collected, Ended, Subject
from tests.unit.models import MarkedCustomer, in_a_loop
from tests.unit.oversights import Office
from tests.unit.samples import Tape

NOW = datetime.datetime(2026, 6, 15, 3, 0, tzinfo=UTC)
CONTRACT = Safeguard("contract", "2026-117", since=date(2026, 4, 1))
MAIL_HOUSE = Recipient(
    "mail-house", "domestic-contractor", "JP", name="Mail House", safeguards=[CONTRACT],
    supervised_on=date(2026, 5, 1), means="storage-media",
)  # fmt: skip
ABROAD = replace(MAIL_HOUSE, id="support-centre", kind="Overseas Contractor", country="PH")


class Overseer(Office):
    """Governance that keeps what it is told of hand-overs, and has a register."""

    def __init__(self, **options: Any) -> None:
        super().__init__({}, **options)
        self.register: dict[str, Recipient] = {}
        self.provisions: list[Provision] = []
        self.fails: Exception | None = None

    def provided(self, provision: Provision, /) -> None:
        if self.fails is not None:
            raise self.fails
        self.provisions.append(provision)

    def recipient(self, given: str, /) -> Recipient:
        if given not in self.register:
            raise UnknownRecipient(given)
        return self.register[given]


class Book(Tape):
    """A ledger that can be told of hand-overs."""

    def __init__(self) -> None:
        super().__init__()
        self.provisions: list[Provision] = []

    def provided(self, provision: Provision, /) -> None:
        self.provisions.append(provision)


@pytest.fixture
def overseer():
    return Overseer()


@pytest.fixture
def guard(overseer):
    return pg.Guard(tm.NOTICE, governance=overseer, clock=lambda: NOW)


@dataclass
class Customer:
    id: Annotated[int, Subject]
    email: Annotated[str, tm.Registration]
    plan: Annotated[str, tm.Contract] = "basic"


class Row(BaseModel):
    key: Annotated[str, Subject]
    phone: pg.Personal[str, tm.Registration]
    friends: list[Customer] = []


class Plain(TypedDict):
    who: Annotated[uuid.UUID, Subject]
    address: Annotated[str, tm.Registration]
    device: NotRequired[Annotated[str, tm.ProductData]]


HANAKO = Customer(7, "hanako@example.jp")
TARO = Customer(8, "taro@example.jp")


def hand_customer_over(customer: Customer) -> str:
    return "done"


def handing(guard: pg.Guard, annotation: Any, *sources: Any) -> Callable[[Any], None]:
    """A function that hands over what is annotated like this."""

    def hand_over(given: Any) -> None: ...

    hand_over.__annotations__["given"] = annotation
    return guard.entrust(MAIL_HOUSE, *sources)(hand_over)


def test_a_recipient_is_asked_about_without_handing_anything_over(guard, overseer):
    guard.check_recipient(tm.Registration, tm.RenewalGuidance, MAIL_HOUSE)
    guard.check_recipient({"1.1a", "1.1c"}, "1.2(1)①", MAIL_HOUSE, means="email")
    guard.check_recipient("1.1a", "1.2(1)①", ABROAD, subject=7, channel="email")
    guard.check_recipient("1.1a", tm.AnyProductGuidance, MAIL_HOUSE)
    assert not overseer.provisions


def test_clause_4_only_for_what_the_data_may_serve(guard):
    with pytest.raises(pg.PurposeViolation, match=r"may not use product-data \(1.1\(b\)\)") as caught:
        guard.check_recipient(tm.ProductData, tm.RenewalGuidance, MAIL_HOUSE)
    assert type(caught.value) is pg.PurposeViolation
    with pytest.raises(pg.ChannelViolation):
        guard.check_recipient("2.1", "2.2③", MAIL_HOUSE, channel="phone")


@pytest.mark.parametrize(
    ("recipient", "terms", "why"),
    [
        (replace(MAIL_HOUSE, kind="advertiser"), {}, "not to `<a text of 10 characters>`"),
        (replace(MAIL_HOUSE, supervised_on=None), {}, "no supervision"),
        (replace(ABROAD, country="KR"), {}, "names no country KR"),
        (replace(MAIL_HOUSE, safeguards=()), {}, "no safeguard"),
        (MAIL_HOUSE, {"means": "pigeon"}, "not by `<a text of 6 characters>`"),
        (replace(MAIL_HOUSE, means="pigeon"), {}, "not by `<a text of 6 characters>`"),
        (replace(ABROAD, country="CN"), {"product": "x"}, "no task is stated"),
    ],
    ids=["kind", "supervision", "country", "safeguard", "means", "own means", "China"],
)
def test_a_recipient_that_the_notice_does_not_allow_is_refused(guard, recipient, terms, why):
    with pytest.raises(pg.RecipientViolation) as caught:
        guard.check_recipient("1.1a", "1.2(1)①", recipient, **terms)
    assert why in str(caught.value)
    assert not caught.value.decision
    assert violation_class(caught.value.decision) is pg.RecipientViolation
    assert isinstance(caught.value, PermissionError)


def test_china_when_all_its_conditions_hold(guard):
    own = replace(ABROAD, kind="overseas-affiliate", country="CN", own_subsidiary=True, products={"Deep Security"})
    guard.check_recipient("1.1b", "1.2(2)①", own, product="Deep Security", task="operation")


def test_today_is_a_day_of_the_notice():
    ends = replace(MAIL_HOUSE, safeguards=[replace(CONTRACT, until=date(2026, 6, 15))])
    late = datetime.datetime(2026, 6, 15, 14, 59, tzinfo=UTC)  # 23:59 in Tokyo
    now = [late]
    guard = pg.Guard(tm.NOTICE, clock=lambda: now[0])
    guard.check_recipient("1.1a", "1.2(1)①", ends)
    now[0] = late + datetime.timedelta(minutes=1)
    with pytest.raises(pg.RecipientViolation, match="ended on 2026-06-15"):
        guard.check_recipient("1.1a", "1.2(1)①", ends)


@pytest.mark.parametrize("years", [10, -10])
def test_a_safeguard_holds_at_both_times_where_a_clock_has_jumped(years):
    now = [NOW]
    ends = replace(MAIL_HOUSE, safeguards=[replace(CONTRACT, since=date(2025, 1, 1), until=date(2027, 1, 1))])
    guard = pg.Guard(tm.NOTICE, clock=Clock(lambda: now[0], lambda: 0.0))
    guard.check_recipient("1.1a", "1.2(1)①", ends)
    now[0] = NOW.replace(year=NOW.year + years)
    with pytest.raises(pg.RecipientViolation):
        guard.check_recipient("1.1a", "1.2(1)①", ends)
    now[0] = NOW
    guard.check_recipient("1.1a", "1.2(1)①", ends)


def test_clause_7_subjects_stop_provision_and_use(guard, overseer):
    overseer.all_preferences = {
        "7": SubjectPreferences(provision_stopped=True),
        "8": SubjectPreferences(all_suspended=True),
    }
    for subject in (7, "8"):
        with pytest.raises(pg.SubjectViolation):
            guard.check_recipient("1.1a", "1.2(1)①", MAIL_HOUSE, subject=subject)
    guard.check("1.1a", "1.2(1)①", subject=7)  # the use itself goes on
    with pytest.raises(pg.SubjectViolation) as caught:
        guard.check_recipient("1.1a", "1.2(1)①", MAIL_HOUSE, subject=HANAKO)
    assert str(caught.value).splitlines() == [
        "renewal-guidance (1.2(1)①) may not hand 1.1(a) of this subject to mail-house",
        "  the subject asked for the provision of the data to others to stop (clause 7)",
    ]


def test_denials_are_told_and_may_be_observed_only(caplog):
    book = Book()
    guard = pg.Guard(tm.NOTICE, ledger=book)
    with pytest.raises(pg.RecipientViolation):
        guard.check_recipient("1.1a", "1.2(1)①", replace(ABROAD, country="KR"))
    assert [(type(error), observed) for error, observed in book.denials] == [(pg.RecipientViolation, False)]
    guard = pg.Guard(tm.NOTICE, ledger=book, mode="observe")
    with caplog.at_level(logging.WARNING, "purposeguard"):
        guard.check_recipient("1.1b", "1.2(1)①", replace(ABROAD, country="KR"))
    assert [(type(error), observed) for error, observed in book.denials][1:] == [
        (pg.PurposeViolation, True),
        (pg.RecipientViolation, True),
    ]
    assert "names no country KR" in caplog.text


def test_what_is_no_recipient_is_refused(guard):
    with pytest.raises(TypeError, match="not tuple"):
        guard.check_recipient("1.1a", "1.2(1)①", ("mail-house", "JP"))
    with pytest.raises(TypeError, match="no register"):
        pg.Guard(tm.NOTICE).check_recipient("1.1a", "1.2(1)①", "mail-house")


def test_recipients_of_the_register_are_as_they_are_now(guard, overseer):
    with pytest.raises(UnknownRecipient):
        guard.check_recipient("1.1a", "1.2(1)①", "mail-house")
    overseer.register["mail-house"] = replace(MAIL_HOUSE, supervised_on=None)
    with pytest.raises(pg.RecipientViolation, match="supervision"):
        guard.check_recipient("1.1a", "1.2(1)①", "mail-house")
    overseer.register["mail-house"] = MAIL_HOUSE
    guard.check_recipient("1.1a", "1.2(1)①", "mail-house")


def test_a_hand_over_is_on_record_before_it_takes_place(guard, overseer):
    seen = []

    @guard.entrust(ABROAD, means="email")
    def hand_over(customers: list[Customer], note: str = "") -> int:
        seen.append(len(overseer.provisions))
        return len(customers)

    with guard.purpose(tm.RenewalGuidance, activity="reminders"):
        assert hand_over([HANAKO, TARO]) == 2
    assert seen == [1]
    assert overseer.provisions == [
        Provision(
            recipient="support-centre", kind="overseas-contractor", country="PH", clauses=("4", "5", "6.2"),
            sources=("1.1(a)", "1.1(c)"), purpose="1.2(1)①", revision=date(2024, 4, 1), activity="reminders",
            means="email", subjects=("7", "8"), at=NOW, name="Mail House",
        )
    ]  # fmt: skip


@in_a_loop
async def test_coroutine_functions_hand_over_when_they_run(guard, overseer):
    @guard.entrust(MAIL_HOUSE, product="Deep Security", task="operation")
    async def hand_over(customer: Customer) -> int:
        return len(overseer.provisions)

    with guard.purpose(tm.RenewalGuidance):
        waiting = hand_over(HANAKO)
        assert not overseer.provisions
        assert await waiting == 1
    (provision,) = overseer.provisions
    assert (provision.product, provision.task) == ("Deep Security", "operation")
    assert inspect.iscoroutinefunction(hand_over)
    with pytest.raises(pg.PurposeMissing):
        await hand_over(HANAKO)
    assert len(overseer.provisions) == 1


def test_methods_of_all_kinds_hand_over(guard, overseer):
    class Desk:
        @guard.entrust(MAIL_HOUSE)
        def one(self, customer: Customer) -> str:
            return "one"

        @guard.entrust(MAIL_HOUSE)
        @classmethod
        def two(cls, customer: Customer) -> str:
            return cls.__name__

        @staticmethod
        @guard.entrust(MAIL_HOUSE)
        def three(customer: Customer) -> str:
            return "three"

    with guard.purpose(tm.RenewalGuidance):
        assert (Desk().one(HANAKO), Desk.two(HANAKO), Desk.three(HANAKO)) == ("one", "Desk", "three")
    assert [one.subjects for one in overseer.provisions] == [("7",)] * 3


def test_without_a_purpose_nothing_is_handed_over(guard, overseer):
    hand_over = guard.entrust(MAIL_HOUSE)(hand_customer_over)
    with pytest.raises(pg.PurposeMissing) as caught:
        hand_over(HANAKO)
    assert "hand_customer_over was called outside any purpose" in str(caught.value)
    assert not overseer.provisions


def test_for_another_purpose_nothing_is_handed_over(guard, overseer):
    hand_over = handing(guard, Annotated[list[str], tm.ProductData])
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation) as caught:
        hand_over(["x"])
    assert str(caught.value.function).endswith("hand_over")
    assert "it was to be handed to mail-house" in str(caught.value)
    assert not overseer.provisions


def test_to_another_recipient_nothing_is_handed_over(guard, overseer):
    hand_over = guard.entrust(replace(ABROAD, country="KR"))(hand_customer_over)
    with guard.purpose(tm.RenewalGuidance, activity="reminders"), pytest.raises(pg.RecipientViolation) as caught:
        hand_over(HANAKO)
    head, _, rest = str(caught.value).partition("\n")
    assert head.startswith("renewal-guidance (1.2(1)①) may not hand 1.1(a), 1.1(c) to support-centre")
    assert "handed over by" in str(caught.value)
    assert "clause 5 names no country KR" in rest
    assert not overseer.provisions
    # It shows nothing of what was to be handed over.
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert not any("hanako" in repr(frame.f_locals) for frame in frames[1:])
    assert caught.value.__context__ is None


def test_of_a_subject_who_stopped_it_nothing_is_handed_over(guard, overseer):
    hand_over = handing(guard, list[Customer])
    for preferences in (
        SubjectPreferences(provision_stopped=True),
        SubjectPreferences(suspended=frozenset({"1.2(1)①"})),
        SubjectPreferences(erased=True),
    ):
        overseer.all_preferences = {"8": preferences}
        with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.SubjectViolation):
            hand_over([HANAKO, TARO])
    assert not overseer.provisions


def test_what_cannot_be_recorded_is_not_handed_over(guard, overseer):
    hand_over = guard.entrust(MAIL_HOUSE)(hand_customer_over)
    overseer.fails = StoreUnavailable("no store")
    with guard.purpose(tm.RenewalGuidance), pytest.raises(StoreUnavailable):
        hand_over(HANAKO)


def test_observed_only_it_goes_ahead_and_is_on_record(overseer, caplog):
    guard = pg.Guard(tm.NOTICE, governance=overseer, mode="observe")
    hand_over = guard.entrust(replace(ABROAD, country="KR"))(hand_customer_over)
    with caplog.at_level(logging.WARNING, "purposeguard"):
        with guard.purpose(tm.WebUsability):
            assert hand_over(HANAKO) == "done"
        assert hand_over(HANAKO) == "done"
    assert "names no country KR" in caplog.text
    assert "outside any purpose" in caplog.text
    assert [(one.purpose, one.subjects) for one in overseer.provisions] == [("2.2⑨", ("7",)), (None, ("7",))]


def test_sources_that_are_named_are_what_is_handed_over(guard, overseer):
    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def hand_over(customer: Customer, more: object = None) -> None:
        pass

    with guard.purpose(tm.RenewalGuidance):
        hand_over(HANAKO, [Row(key="9", phone=pg.Personal("03", tm.Registration))])
    assert overseer.provisions[0].sources == ("1.1(a)",)
    assert overseer.provisions[0].subjects == ("7", "9")


@pytest.mark.parametrize("named", [pg.NotPersonal, pg.Label(pg.NotPersonal)], ids=["class", "label"])
def test_personal_data_is_not_named_away(guard, overseer, named):
    rows, anything = handing(guard, list[Customer], named), handing(guard, object, named)
    with guard.purpose(tm.RenewalGuidance):
        for what in (41, "text", {"a": [pg.Personal(3, pg.NotPersonal)]}):
            anything(what)
            assert overseer.provisions.pop().sources == ("not-personal",)
        rows([HANAKO])
        assert overseer.provisions.pop().sources == ("1.1(a)", "1.1(c)")
        anything({"a": [pg.Personal("03", tm.Registration)]})
        assert overseer.provisions.pop().sources == ("1.1(a)",)
        with pytest.raises(pg.PurposeViolation, match="may not use product-data"):
            anything([pg.Personal(3, tm.ProductData)])
    assert not overseer.provisions


def test_what_is_met_beyond_the_annotation_counts_too(guard, overseer):
    @guard.entrust(MAIL_HOUSE)
    def hand_over(address: Annotated[str, tm.Registration], *more: object) -> None:
        pass

    with guard.purpose(tm.RenewalGuidance):
        hand_over("Tokyo", [pg.Personal("x", tm.Contract)])
        hand_over("Tokyo", {"all": (HANAKO,)})
        with pytest.raises(pg.PurposeViolation):
            hand_over("Tokyo", pg.Personal("x", tm.ProductData))
    assert [one.sources for one in overseer.provisions] == [("1.1(a)", "1.1(c)")] * 2


def test_sealed_parameters_are_sources(guard, overseer):
    hand_over = handing(guard, pg.Personal[str, tm.Registration])
    with guard.purpose(tm.RenewalGuidance):
        hand_over(pg.Personal("03", tm.Registration))
        with pytest.raises(pg.PurposeViolation):
            hand_over(pg.Personal("03", tm.ProductData))
    assert len(overseer.provisions) == 1


def test_what_was_withheld_is_not_handed_over(guard, overseer):
    @guard.entrust(MAIL_HOUSE)
    def hand_over(address: Annotated[str, tm.Registration], row: object) -> None:
        pass

    with guard.purpose(tm.RenewalGuidance) as use:
        hand_over("Tokyo", use.withhold(MarkedCustomer(7, "a@b", "mac")))
        with pytest.raises(pg.PurposeViolation):
            hand_over("Tokyo", MarkedCustomer(7, "a@b", "mac"))
    assert overseer.provisions[0].sources == ("1.1(a)",)
    assert overseer.provisions[0].subjects == ("7",)


def test_keys_that_are_not_there_are_not_handed_over(guard, overseer):
    hand_over = handing(guard, Plain)
    with guard.purpose(tm.ProductProvision):
        hand_over({"who": uuid.UUID(int=7), "address": "Tokyo"})
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        hand_over({"who": uuid.UUID(int=7), "address": "Tokyo"})  # what the annotation says it may hold counts
    assert overseer.provisions[0].sources == ("1.1(a)", "1.1(b)")


def test_nothing_without_a_source_is_declared(guard):
    with pytest.raises(pg.UnlabelledData, match="names a source"):
        handing(guard, int)
    with pytest.raises(pg.UnknownSource):
        guard.entrust(MAIL_HOUSE, "9.9")


def test_names_that_are_defined_later_are_read_at_the_first_call(guard, overseer):
    @guard.entrust(MAIL_HOUSE)
    def hand_over(customer: "Later") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # defined below

    assert [one.label for one in guard.entrustments] == [None]
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.UnlabelledData, match="`Later`, which is not defined"):
        hand_over(HANAKO)
    with guard.purpose(tm.RenewalGuidance):
        globals()["Later"] = Customer
        try:
            hand_over(HANAKO)
        finally:
            del globals()["Later"]
    assert guard.entrustments[0].label == pg.Label(tm.Registration, tm.Contract)
    assert overseer.provisions[0].subjects == ("7",)


def test_subjects_are_found_wherever_rows_are(guard, overseer):
    @guard.entrust(MAIL_HOUSE)
    def hand_over(rows: dict[str, list[Row | Plain]], first: Customer | None = None) -> None: ...

    key = uuid.uuid4()
    rows: Any = {
        "a": [Row(key="9", phone=pg.Personal("03", tm.Registration), friends=[TARO])],
        "b": [{"who": key, "address": "Tokyo"}],
    }
    with guard.purpose(tm.ProductProvision):
        hand_over(rows, first=HANAKO)
    assert sorted(overseer.provisions[0].subjects) == sorted(["7", "8", "9", str(key)])


def test_marked_parameters_say_whom_it_is_about(guard, overseer):
    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def hand_over(
        keys: list[Annotated[int, Subject]],
        other: Annotated[int | None, Subject] = None,
        *more: Annotated[str, Subject],
        **named: Annotated[list[int], Subject],
    ) -> None: ...

    with guard.purpose(tm.RenewalGuidance):
        hand_over([7, 8])
        hand_over([], 9, "10", "11", x=[12, 13])
        hand_over([])
        with pytest.raises(pg.UnlabelledData, match="cannot be read") as caught:
            hand_over([7.5])
    assert "7.5" not in str(caught.value)
    assert [one.subjects for one in overseer.provisions] == [("7", "8"), ("9", "10", "11", "12", "13"), ()]


def test_marked_keys_say_whom_it_is_about(guard, overseer):
    hand_over = handing(guard, dict[Annotated[int, Subject], Annotated[str, tm.Registration]])
    overseer.all_preferences = {"9": SubjectPreferences(provision_stopped=True)}
    with guard.purpose(tm.RenewalGuidance):
        hand_over({7: "Tokyo", 8: "Osaka"})
        with pytest.raises(pg.SubjectViolation):
            hand_over({7: "Tokyo", 9: "Osaka"})
    assert [one.subjects for one in overseer.provisions] == [("7", "8")]


def test_marked_parameters_count_within_their_realm(guard, overseer):
    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def send(leads: list[Annotated[int, Subject("lead")]], customer: Annotated[int | None, Subject] = None) -> None: ...

    with guard.purpose(tm.RenewalGuidance):
        send([7, 8])
        send([7], 7)
        assert [one.subjects for one in overseer.provisions] == [("lead:7", "lead:8"), ("lead:7", "7")]
        overseer.all_preferences["lead:7"] = SubjectPreferences(provision_stopped=True)
        with pytest.raises(pg.SubjectViolation):
            send([7, 8])
        send([8], 7)
        with pytest.raises(pg.UnlabelledData, match="cannot be read"):
            send([""])


@dataclass
class Order:
    since: Annotated[date, Collected]
    address: Annotated[str, tm.Registration] = "Tokyo"


@dataclass
class Buyer:
    key: Annotated[int, Subject]
    orders: list[Order]


def test_what_a_row_in_a_row_does_not_say_the_other_does():
    overseer = Overseer(requires_subject=True)
    guard = pg.Guard(tm.NOTICE, governance=overseer, clock=lambda: NOW)

    send = handing(guard, list[Buyer])
    with guard.purpose(tm.RenewalGuidance):
        send([Buyer(8, [Order(date(2025, 3, 1)), Order(date(2025, 4, 1))])])
        assert [one.subjects for one in overseer.provisions] == [("8",)]
        with pytest.raises(pg.RevisionViolation):
            send([Buyer(8, [Order(date(2020, 3, 1))])])
        overseer.all_preferences["8"] = SubjectPreferences(all_suspended=True)
        with pytest.raises(pg.SubjectViolation):
            send([Buyer(8, [Order(date(2025, 3, 1))])])


def test_a_default_says_whom_it_is_about_too(guard, overseer):
    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def hand_over(key: Annotated[int, Subject] = 7) -> None: ...

    with guard.purpose(tm.RenewalGuidance):
        hand_over()
    assert overseer.provisions[0].subjects == ("7",)


def test_marked_days_count():
    overseer = Overseer()
    tables = tm.NOTICE.dump()
    tables["retention"]["period"] = [
        {"source": "1.1", "days": 30},
        {"source": "1.1", "days": 365, "from": "collection"},
    ]
    guard = pg.Guard(pg.Notice.parse(tables), governance=overseer, clock=lambda: NOW)

    @guard.entrust(MAIL_HOUSE, "1.1(a)")
    def hand_over(
        key: Annotated[int, Subject],
        since: Annotated[date | None, Collected],
        until: Annotated[date | None, Ended] = None,
    ) -> None: ...

    with guard.purpose("1.2(1)①"):
        hand_over(7, date(2026, 1, 1))
        hand_over(7, date(2026, 1, 1), date(2026, 6, 1))
        for days in ((date(2024, 5, 1), None), (date(2026, 1, 1), date(2026, 5, 1)), (None, None)):
            with pytest.raises((pg.RetentionViolation, pg.RevisionViolation)):
                hand_over(7, *days)
    assert len(overseer.provisions) == 2


def test_where_it_must_be_said_whose_it_is_it_must_be_said_here():
    guard = pg.Guard(tm.NOTICE, governance=Overseer(requires_subject=True))

    hand_over = handing(guard, Annotated[int | None, Subject], tm.Registration)
    with guard.purpose(tm.RenewalGuidance):
        hand_over(7)
        with pytest.raises(pg.SubjectViolation):
            hand_over(None)


def test_what_cannot_be_looked_through_is_not_handed_over(guard, overseer):
    def rows() -> Iterator[Customer]:
        yield HANAKO

    @guard.entrust(MAIL_HOUSE)
    def hand_over(customers: Any, address: Annotated[str, tm.Registration] = "") -> None: ...

    circle: list[Any] = []
    circle.append(circle)
    with guard.purpose(tm.RenewalGuidance):
        for given, why in ((rows(), "is a generator"), (map(str, []), "is a map"), (circle, "holds itself")):
            with pytest.raises(pg.UnlabelledData, match=why):
                hand_over(given)
        hand_over([circle.copy, b"bytes", object(), {"a": {1}}, range(3)])


class Query:
    """As a database gives them: rows that are read when they are gone through."""

    def __iter__(self) -> Iterator[Customer]:
        return iter([HANAKO])


class Session(Query):
    def __contains__(self, row: object) -> bool:
        return True


def test_a_query_is_not_handed_over_before_its_rows_are_read(guard, overseer):
    overseer.all_preferences["7"] = SubjectPreferences(provision_stopped=True)

    @guard.entrust(MAIL_HOUSE)
    def hand_over(customers: Iterable[Customer], _connection: Any = None) -> None:
        raise AssertionError("was handed over")

    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def hand_over_named(customers: Any, _connection: Any = None) -> None:
        raise AssertionError("was handed over")

    with guard.purpose(tm.RenewalGuidance):
        for function in (hand_over, hand_over_named):
            with pytest.raises(pg.UnlabelledData, match="is a Query, and"):
                function(Query())
            with pytest.raises(pg.SubjectViolation):
                function(list(Query()), Session())
        with pytest.raises(pg.UnlabelledData, match="is a Session, and"):
            hand_over(Session())
    assert overseer.provisions == []


def test_what_is_not_as_it_was_announced_is_not_handed_over(guard):
    hand_over = handing(guard, Customer | list[Customer] | None)
    with guard.purpose(tm.RenewalGuidance):
        hand_over(None)
        hand_over([HANAKO])
        with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
            hand_over(object())
        with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
            hand_over([{"id": 7}])


def test_files_are_handed_over_as_they_are(guard, overseer, tmp_path):
    @guard.entrust(MAIL_HOUSE, tm.Registration)
    def hand_over(file: Any, key: Annotated[int, Subject]) -> str:
        return str(file.read())

    path = tmp_path / "letters"
    path.write_text("letters")
    with guard.purpose(tm.RenewalGuidance), path.open() as file:
        assert hand_over(file, 7) == "letters"


def test_what_is_declared_is_listed(guard):
    guard.entrust(MAIL_HOUSE, means="email", product="x", task="y")(hand_customer_over)

    @guard.entrust("support-centre", "1.1(b)")
    def other(customer: Customer) -> None: ...

    one, two = guard.entrustments
    assert one.recipient is MAIL_HOUSE
    assert (one.recipient_id, one.means, one.product, one.task) == ("mail-house", "email", "x", "y")
    assert one.label == pg.Label(tm.Registration, tm.Contract)
    assert one.name.endswith("hand_customer_over")
    assert (one.module, one.line > 0) == (__name__, True)
    assert two.recipient_id == "support-centre"
    assert two.label == two.named == pg.Label(tm.ProductData)


def test_signatures_are_kept(guard):
    @guard.entrust(MAIL_HOUSE)
    def hand_over(customer: Customer, *, note: str = "") -> int:
        """Documented."""
        return 1

    assert str(inspect.signature(hand_over)).endswith("note: str = '') -> int")
    assert hand_over.__doc__ == "Documented."
    with guard.purpose(tm.RenewalGuidance), pytest.raises(TypeError, match="customer"):
        hand_over()


def test_what_nobody_could_record_is_not_declared():
    for guard in (pg.Guard(tm.NOTICE), pg.Guard(tm.NOTICE, ledger=Tape())):
        with pytest.raises(TypeError, match="nobody here could record it"):
            guard.entrust(MAIL_HOUSE)


def test_a_ledger_alone_records_it_too():
    book = Book()
    guard = pg.Guard(tm.NOTICE, ledger=book)
    hand_over = guard.entrust(MAIL_HOUSE)(hand_customer_over)
    with guard.purpose(tm.RenewalGuidance):
        hand_over(HANAKO)
    assert [one.subjects for one in book.provisions] == [("7",)]
    assert [use[1:] for use in book.uses] == [("1.2(1)①", pg.Label(tm.Registration, tm.Contract), 1)]


def test_what_was_refused_was_not_used():
    book = Book()
    guard = pg.Guard(tm.NOTICE, ledger=book)
    hand_over = guard.entrust(replace(ABROAD, country="KR"))(hand_customer_over)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.RecipientViolation):
        hand_over(HANAKO)
    assert not book.uses
    assert [type(error) for error, _ in book.denials] == [pg.RecipientViolation]


def test_governance_tells_its_own_ledger_and_the_guard_any_other():
    book = Book()
    for own, told in ((book, 0), (None, 1)):
        overseer = Overseer(ledger=own)
        guard = pg.Guard(tm.NOTICE, governance=overseer, ledger=book)
        hand_over = guard.entrust(MAIL_HOUSE)(hand_customer_over)
        book.provisions.clear()
        with guard.purpose(tm.RenewalGuidance):
            hand_over(HANAKO)
        assert (len(overseer.provisions), len(book.provisions)) == (1, told)


def test_how_the_data_travels_is_stated(guard, overseer):
    silent = replace(MAIL_HOUSE, means=None)
    with pytest.raises(TypeError, match="says how the data travels"):
        guard.entrust(silent)
    hand_over = guard.entrust("mail-house")(hand_customer_over)
    overseer.register["mail-house"] = silent
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.RecipientViolation, match="by which means"):
        hand_over(HANAKO)
    overseer.register["mail-house"] = replace(silent, means="Cloud Storage")
    with guard.purpose(tm.RenewalGuidance):
        hand_over(HANAKO)
    assert overseer.provisions[0].means == "cloud-storage"
    del overseer.register["mail-house"]
    with guard.purpose(tm.RenewalGuidance), pytest.raises(UnknownRecipient):
        hand_over(HANAKO)


@pytest.mark.parametrize("wrong", [{"means": " "}, {"product": ""}, {"task": 7}], ids=str)
def test_terms_are_texts(guard, wrong):
    with pytest.raises(ValueError, match="is a text"):
        guard.entrust(MAIL_HOUSE, **wrong)


def test_what_is_no_function_hands_nothing_over(guard):
    def steps(customer: Customer) -> Iterator[int]:
        yield 1

    for wrong, why in ((Customer, "not a class"), (7, "not `int`"), (steps, "a hand-over is one call")):
        with pytest.raises(TypeError, match=why):
            guard.entrust(MAIL_HOUSE)(wrong)


def test_a_partial_and_an_object_hand_over(guard, overseer):
    def hand_over(note: str, customer: Customer) -> str:
        return note

    class Sender:
        def __call__(self, customer: Customer) -> str:
            return "sent"

    with guard.purpose(tm.RenewalGuidance):
        assert guard.entrust(MAIL_HOUSE)(functools.partial(hand_over, "hello"))(customer=HANAKO) == "hello"
        assert guard.entrust(MAIL_HOUSE)(Sender())(HANAKO) == "sent"
    assert [one.subjects for one in overseer.provisions] == [("7",)] * 2


def test_under_another_revision_the_new_rules_decide(guard, overseer):
    hand_over = guard.entrust(MAIL_HOUSE, "1.1(a)")(hand_customer_over)
    later = tm.NOTICE.dump() | {"revision": "2026-01-01"}
    del later["entrustment"]
    with guard.purpose(tm.RenewalGuidance):
        hand_over(HANAKO)
        guard.replace(pg.Notice.parse(later))
        with pytest.raises(pg.RecipientViolation, match=r"no \[entrustment\]"):
            hand_over(HANAKO)
    assert len(overseer.provisions) == 1


def test_a_local_function_that_calls_itself_hands_over(guard, overseer):
    @guard.entrust(MAIL_HOUSE)
    def send(customer: Customer, again: int = 1) -> None:
        if again:
            send(customer, again - 1)

    with guard.purpose(tm.RenewalGuidance):
        send(HANAKO)
    assert [one.subjects for one in overseer.provisions] == [("7",)] * 2
