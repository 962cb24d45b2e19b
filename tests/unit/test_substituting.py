"""Another governance, clock and ledger under a guard that exists already, and all as before afterwards."""

from __future__ import annotations

import dataclasses
import datetime
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Any, cast

import pytest

import purposeguard as pg
from purposeguard import Personal
from purposeguard.adapters.sql import Statements
from purposeguard.errors import UnknownRecipient
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.observer import Observer
from purposeguard.testing import Office, WrittenDown, capture_decisions, substituting
from tests.oversights import STOPPED, Told
from tests.unit.samples import SMALL, revised

SMALL_NOTICE = pg.Notice.loads(SMALL)
ACCOUNT = SMALL_NOTICE.source("Account")
EMAIL = Personal("aiko@example.com", ACCOUNT)
NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)


def make_guard(**options: Any) -> pg.Guard:
    return pg.Guard(SMALL_NOTICE, **options)


def stopping() -> Office:
    """Governance of a test, in which subject 1 has stopped all use."""
    return Told({"1": STOPPED})


def equipment(guard: pg.Guard) -> tuple[object, ...]:
    """What a substitution may exchange, and what depends on it."""
    engine = guard.engine
    observers = tuple(engine.observers)
    return guard.governance, engine.clock, guard.ledger, engine.table, engine.counting, observers, guard.notice


def test_a_guard_without_governance_gets_it_for_the_duration_of_a_block() -> None:
    guard = make_guard()
    block = guard.purpose("Service")
    before = equipment(guard)
    office, ledger = stopping(), WrittenDown()
    with substituting(guard, governance=office, clock=lambda: NOON, ledger=ledger):
        assert (guard.governance, guard.ledger) == (office, ledger)
        assert guard.engine.clock.read() == NOON
        with block as use:
            assert use.open(EMAIL, subject=2) == "aiko@example.com"
            with pytest.raises(pg.SubjectViolation) as caught:
                use.open(EMAIL, subject=1)
    assert ledger.denials == [caught.value]
    assert [use[1:] for use in ledger.uses] == [("3(2)①", pg.Label(ACCOUNT))]
    assert equipment(guard) == before
    with block as use, pytest.raises(TypeError, match="this guard asks nobody"):
        use.open(EMAIL, subject=1)


def test_uses_that_began_before_or_inside_ask_who_is_there() -> None:
    guard = make_guard(governance=Office())
    block, nested = guard.purpose("Service"), guard.purpose("Service")
    assert isinstance(guard.governance, Office)
    with block as use, ExitStack() as inside:
        for _ in range(2):
            use.open(EMAIL, subject=1)
        with substituting(guard, governance=stopping()):
            for _ in range(2):
                with pytest.raises(pg.SubjectViolation):
                    use.open(EMAIL, subject=1)
            left_open = inside.enter_context(nested)
            left_open.open(EMAIL, subject=2)
        guard.governance.preferences_by_subject["2"] = STOPPED
        for each in (use, left_open):
            assert each.open(EMAIL, subject=1) == "aiko@example.com"
            with pytest.raises(pg.SubjectViolation):
                each.open(EMAIL, subject=2)


def test_governance_that_requires_subjects_refuses_what_was_allowed_without() -> None:
    guard = make_guard(governance=Office())
    with guard.purpose("Service") as use:
        use.open(EMAIL)
        with substituting(guard, governance=Told(requires_subject=True)), pytest.raises(pg.SubjectViolation):
            use.open(EMAIL)
        use.open(EMAIL)


@dataclasses.dataclass
class Row:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = "router"


class Ways:
    """Each way to use data whose count is taken by a shortcut at the second time."""

    def __init__(self, guard: pg.Guard) -> None:
        self.guard = guard
        self.sealed = Personal("aiko@example.com", tm.Registration)
        self.statements = Statements(guard, {"customer": {"email": tm.Registration}}, dialect="sqlite")

        @guard.access(tm.Registration)
        def load() -> str:
            return "aiko@example.com"

        @guard.access(withhold=True)
        def load_row() -> Row:
            return Row("aiko@example.com")

        @guard.purpose(tm.RenewalGuidance)
        def remind() -> str:
            return load()

        self.load, self.load_row, self.remind = load, load_row, remind

    def check(self) -> None:
        self.guard.check(tm.Registration, tm.RenewalGuidance)

    def open(self) -> None:
        self.guard.current.open(self.sealed)

    def open_for_subject(self) -> None:
        self.guard.current.open(self.sealed, subject=1)

    def read_row(self) -> None:
        assert self.load_row().email

    def run_statement(self) -> None:
        self.statements.check("SELECT email FROM customer")


WAYS: dict[str, Callable[[Ways], object]] = {
    "a check": Ways.check,
    "a sealed value": Ways.open,
    "a sealed value of a subject": Ways.open_for_subject,
    "an access function": lambda ways: ways.load(),
    "a row": Ways.read_row,
    "an activity": lambda ways: ways.remind(),
    "a statement": Ways.run_statement,
}


@pytest.mark.parametrize("has_ledger", [True, False])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_use_is_counted_by_the_ledger_that_is_there(way: Callable[[Ways], object], has_ledger: bool) -> None:
    ledgers = [WrittenDown(), WrittenDown(), WrittenDown()]
    guard = pg.Guard(tm.NOTICE, governance=Office(), ledger=ledgers[0] if has_ledger else None)
    ways, block = Ways(guard), guard.purpose(tm.RenewalGuidance)

    def use_twice(*expected: int) -> None:
        for _ in range(2):
            way(ways)
        assert [len(ledger.uses) for ledger in ledgers] == [expected[0] if has_ledger else 0, *expected[1:]]

    with block:
        use_twice(2, 0, 0)
        with substituting(guard, ledger=ledgers[1]):
            use_twice(2, 2, 0)
            with substituting(guard, ledger=ledgers[2]):
                use_twice(2, 2, 2)
            use_twice(2, 4, 2)
        use_twice(4, 4, 2)


def test_an_error_restores_everything() -> None:
    guard = make_guard(governance=Office(), ledger=WrittenDown())
    before = equipment(guard)
    with pytest.raises(ZeroDivisionError), substituting(guard, governance=stopping(), ledger=WrittenDown()):
        raise ZeroDivisionError
    assert equipment(guard) == before


def test_governance_of_another_notice_changes_nothing() -> None:
    guard = make_guard()
    before = equipment(guard)
    governance = Governance(None, notice=tm.NOTICE)
    with governance, pytest.raises(pg.NoticeError), substituting(guard, governance=governance):
        pytest.fail("the block must not begin")
    assert equipment(guard) == before


def test_nested_substitutions_are_undone_in_order() -> None:
    guard = make_guard(governance=Office())
    outer, inner = stopping(), WrittenDown()
    seen = [equipment(guard)]
    with substituting(guard, governance=outer):
        seen.append(equipment(guard))
        with substituting(guard, ledger=inner):
            assert (guard.governance, guard.ledger) == (outer, inner)
        assert equipment(guard) == seen[1]
    assert equipment(guard) == seen[0]


def test_a_block_that_ends_before_one_inside_it_is_an_error_that_leaves_nothing_behind() -> None:
    guard = make_guard(governance=Office())
    before = equipment(guard)
    outer, inner = substituting(guard, governance=stopping()), substituting(guard, ledger=WrittenDown())
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="ended before one that it contains"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    assert equipment(guard) == before


def test_two_threads_cannot_substitute_at_once() -> None:
    guard, other = make_guard(), make_guard()
    errors: list[BaseException | None] = []

    def substitute_both() -> None:
        with substituting(other, governance=Office()):
            errors.append(None)
        try:
            with substituting(guard, governance=Office()):
                errors.append(None)
        except RuntimeError as error:
            errors.append(error)

    def run_thread() -> None:
        thread = threading.Thread(target=substitute_both)
        thread.start()
        thread.join()

    with substituting(guard, governance=stopping()):
        before = equipment(guard)
        run_thread()
        assert equipment(guard) == before
    run_thread()
    assert [error is None for error in errors] == [True, False, True, True]
    assert f"thread {threading.current_thread().name} is substituting this guard already" in str(errors[1])


def test_the_notice_in_force_is_restored_as_well() -> None:
    class Watching(Observer):
        def __init__(self) -> None:
            self.notices: list[pg.Notice] = []
            self.replacements = 0

        def attach(self, guard: pg.Guard) -> None:
            self.notices.append(guard.notice)

        def replaced(self) -> None:
            self.replacements += 1

    watching = Watching()
    narrowed = revised(SMALL_NOTICE, lambda tables: tables["grant"][0].update(sources=["2"]), "2025-01-01")
    guard = make_guard(observers=[watching])
    before = equipment(guard)
    with guard.purpose("Renewal", channel="email") as use:
        with substituting(guard, ledger=WrittenDown()):
            guard.replace(pg.History(SMALL_NOTICE, narrowed))
            assert not use.allows(narrowed.source("Account"))
        assert use.allows(ACCOUNT)
        with pytest.raises(pg.UnknownSource):
            use.allows(narrowed.source("Account"))
    assert equipment(guard) == before
    assert watching.notices[-2:] == [narrowed, SMALL_NOTICE]
    assert watching.replacements == 2


def test_the_ledger_of_governance_follows_it() -> None:
    class Recording(Office):
        def __init__(self) -> None:
            super().__init__()
            self.ledger = WrittenDown()

    office = Recording()
    for guard in (make_guard(governance=Recording()), make_guard(governance=Recording(), ledger=WrittenDown())):
        own = cast("WrittenDown", guard.ledger)
        follows = own is guard.governance.ledger  # type: ignore[union-attr]  # it is a Recording
        with substituting(guard, governance=office):
            assert guard.ledger is (office.ledger if follows else own)
            guard.check(ACCOUNT, "Service")
        assert len(own.uses) == (0 if follows else 1)
        assert guard.ledger is own


def test_adapters_ask_for_the_roster_of_who_is_there() -> None:
    guard = pg.Guard(tm.NOTICE, governance=Office())
    columns = {"id": pg.Subject, "email": tm.Registration}
    contacts = Statements(guard, {"contact": columns}, dialect="sqlite")
    query = "SELECT email FROM contact"
    with guard.purpose(tm.ProductGuidance):
        plain = contacts.narrowed(query)
        with substituting(guard, governance=stopping()):
            assert "'1'" in contacts.narrowed(query) != plain
        assert contacts.narrowed(query) == plain


def test_results_cached_in_a_block_are_not_found_outside_it() -> None:
    guard = pg.Guard(tm.NOTICE)
    emails = iter(["before", "inside", "after"])

    @guard.cached()
    @guard.access(tm.Registration)
    def load() -> str:
        return next(emails)

    def load_twice() -> list[str]:
        return [load(), load()]

    with guard.purpose(tm.RenewalGuidance):
        assert load_twice() == ["before", "before"]
        with substituting(guard, governance=Office()):
            assert load_twice() == ["inside", "inside"]
        assert load_twice() == ["after", "after"]


def test_hand_overs_are_recorded_by_who_is_there() -> None:
    contractor = Recipient("mail-house", "domestic-contractor", "JP", means="storage-media")
    offices = [Office(), Office()]
    guard = pg.Guard(tm.NOTICE, mode="observe", governance=offices[0], clock=lambda: NOON)

    @guard.entrust(contractor, tm.Registration)
    def send(email: str) -> None: ...

    def send_in_block() -> list[int]:
        with guard.purpose(tm.ProductProvision):
            send("aiko@example.com")
        return [len(office.provisions) for office in offices]

    with substituting(guard, governance=offices[1]):
        assert send_in_block() == [0, 1]
    assert send_in_block() == [1, 1]


def test_recipients_of_a_test_are_those_of_its_office() -> None:
    office = Office()
    guard = pg.Guard(tm.NOTICE, mode="observe", governance=office)

    @guard.entrust("mail-house", tm.Registration, means="storage-media")
    def send(email: str) -> None: ...

    with guard.purpose(tm.ProductProvision):
        with pytest.raises(UnknownRecipient, match="it is not in `recipients`"):
            office.recipient("mail-house")
        office.recipients["mail-house"] = Recipient("mail-house", "domestic-contractor", "JP")
        send("aiko@example.com")
    assert [provision.recipient for provision in office.provisions] == ["mail-house"]


def test_decisions_are_captured_in_and_around_a_block() -> None:
    guard = make_guard(governance=Office())
    with capture_decisions(guard) as around:
        with substituting(guard, governance=stopping()), capture_decisions(guard) as inside:
            guard.allows(ACCOUNT, "Service", subject=1)
        guard.allows(ACCOUNT, "Service", subject=1)
    assert [decided.allowed for decided in around] == [False, True]
    assert [decided.allowed for decided in inside] == [False]
    assert guard.allows(ACCOUNT, "Service")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guard": SMALL_NOTICE}, "takes the guard of the service, not Notice"),
        ({"governance": Office}, r"pass an object such as `Office\(\)`"),
        ({"governance": {}}, r"pass an object such as `Office\(\)`"),
        ({"ledger": Observer()}, "it has no `denied`, `counter`, `reclassified`"),
    ],
)
def test_what_cannot_stand_in_is_refused(options: dict[str, Any], message: str) -> None:
    guard = make_guard()
    before = equipment(guard)
    arguments: dict[str, Any] = {"guard": guard, **options}
    with pytest.raises(TypeError, match=message), substituting(**arguments):
        pytest.fail("the block must not begin")
    assert equipment(guard) == before


def test_an_office_answers_for_those_it_knows() -> None:
    office = Office()
    assert office.preferences("1") == SubjectPreferences()
    office.preferences_by_subject["1"] = STOPPED
    assert office.preferences("1") is STOPPED
    assert dict(office.roster().groups) == {STOPPED: ("1",)}
    assert office.roster() is office.roster()
