"""Ways around what a subject asked for, as a colleague in a hurry takes them: each is blocked."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import datetime
import gc
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.values.json import encode_sealed
from tests.bypass.seal_forks import in_a_fork
from tests.bypass.seal_looking import TEXT, leaks
from tests.bypass.subjects import NAME, P, R, Row, Safe, answer
from tests.support import in_threads, switching
from tests.unit.oversights import STOPPED, Counting, Office, guarded
from tests.unit.samples import Tape, revised, tables

DAY = datetime.date(2024, 1, 1)


class Plain(BaseModel):
    email: Annotated[str, tm.Registration] = "e"


def ways_without_a_subject(guard: pg.Guard, use: pg.Use[Any]) -> dict[str, Callable[[], Any]]:
    """Whatever opens data without saying whose it is."""

    @guard.access
    def load() -> Plain:
        return Plain()

    @guard.access(tm.Registration)
    def named() -> str:
        return "e"

    @guard.access(tm.Registration)
    def named_rows() -> list[Row]:
        return [Row(key=8)]

    @guard.cached()
    @guard.access
    def cached() -> Plain:
        return Plain()

    @guard.access
    async def later() -> Plain:
        return Plain()

    @guard.access
    def each() -> Iterator[Plain]:
        yield Plain()

    @guard.access(withhold=True)
    def withheld() -> Plain:
        return Plain()

    class Sealed(pg.PersonalModel):
        email: pg.Personal[str, tm.Registration]

    row = Sealed(email=NAME)
    return {
        "open": lambda: use.open(NAME),
        "open none": lambda: use.open(NAME, subject=None),
        "open about": lambda: use.open(NAME, subject=pg.RowContext()),
        "open dated": lambda: use.open(NAME, subject=pg.RowContext(collected=datetime.date(2025, 1, 1))),
        "open_all": lambda: use.open_all([NAME]),
        "open_all none": lambda: use.open_all([NAME], subjects=[None]),
        "try_open": lambda: use.try_open(NAME, None),
        "mapped": lambda: use.open(NAME.map(str.upper)),
        "zipped": lambda: use.open(NAME.zip(NAME)),
        "check": lambda: use.check(R),
        "allows": lambda: use.allows(R),
        "allows an id": lambda: use.allows("1.1a"),
        "allows a set": lambda: use.allows({"1.1a"}),
        "explain": lambda: bool(use.explain(R)),
        "current": lambda: guard.current.open(NAME),
        "access": load,
        "named": named,
        "named rows": named_rows,
        "cached": cached,
        "coroutine": lambda: asyncio.run(later()),
        "generator": lambda: list(each()),
        "withheld": lambda: withheld().email,
        "withhold": lambda: use.withhold(Plain()).email,
        "dump": row.model_dump,
        "dump json": row.model_dump_json,
        "adapter": lambda: TypeAdapter(list[Sealed]).dump_python([row]),
        "encode": lambda: encode_sealed(NAME),
        "json": lambda: json.dumps(NAME, default=encode_sealed),
    }


def blocked(guard: pg.Guard, use: pg.Use[Any]) -> dict[str, object]:
    """The ways that lead through."""
    refusals = (None, False, pg.SubjectViolation, PydanticSerializationError)
    found = {name: answer(way) for name, way in ways_without_a_subject(guard, use).items()}
    return {name: given for name, given in found.items() if given not in refusals}


@pytest.mark.parametrize("ledger", [None, Tape, Counting], ids=["none", "tape", "counting"])
def test_nothing_is_opened_of_nobody_where_somebody_must_be_named(ledger: Any) -> None:
    guard = guarded(Office(requires_subject=True), ledger=ledger and ledger())
    for _ in range(2):
        with guard.purpose(P) as use:
            assert blocked(guard, use) == {}
            # What was opened of somebody is known to be allowed, and opens nothing of nobody.
            for subject in (8, "8", pg.RowContext(8), Row(key=8)):
                assert use.open(NAME, subject=subject) == "name"
                assert use.allows(R, subject=subject)
            use.check(R, subject=8)
            assert use.open_all([NAME], subjects=[8]) == ["name"]
            assert Safe(key=8, email=NAME).model_dump()["email"] == "name"
            assert blocked(guard, use) == {}


CONSENT = revised(pg.Notice.parse(tables()), lambda t: t["grant"][1].update(basis="consent"))
SERVICE = CONSENT.purpose("3(2)①")


@pytest.mark.parametrize("ledger", [None, Tape, Counting], ids=["none", "tape", "counting"])
def test_what_one_agreed_to_opens_nothing_of_another_or_of_nobody(ledger: Any) -> None:
    """Labels known to be allowed of a subject who agreed are known of those alone who stand like this."""
    agreed = SubjectPreferences(consents=frozenset({("3(2)①", DAY)}))
    guard = guarded(Office({"1": agreed}), CONSENT, ledger=ledger and ledger())
    value: pg.Personal[str, Any] = pg.Personal("v", CONSENT.source("1(a)"))
    for _ in range(2):
        with guard.purpose(SERVICE) as use:
            for _ in range(2):
                assert use.open(value, subject=1) == "v"
                assert use.open_all([value], subjects=[1]) == ["v"]
                assert use.allows(value.label, subject=1)
                use.check(value.label, subject=1)
            for subject in (2, None, pg.RowContext(), "1 of another"):
                assert answer(lambda: use.open(value, subject=subject)) is pg.SubjectViolation  # noqa: B023
                assert not use.allows(value.label, subject=subject)
                assert answer(lambda: use.check(value.label, subject=subject)) is pg.SubjectViolation  # noqa: B023
            assert answer(lambda: use.open_all([value])) is pg.SubjectViolation
            assert not use.allows(value.label)
    assert not guard.allows(value.label, SERVICE)


@pytest.mark.parametrize("ledger", [None, Tape, Counting], ids=["none", "tape", "counting"])
def test_what_is_opened_of_nobody_opens_nothing_of_who_stopped_it(ledger: Any) -> None:
    guard = guarded(ledger=ledger and ledger())
    with guard.purpose(P) as use:
        for _ in range(3):
            assert use.open(NAME) == "name"
            assert use.open(NAME, subject=8) == "name"
            assert answer(lambda: use.open(NAME, subject=7)) is pg.SubjectViolation
            assert answer(lambda: use.open_all([NAME, NAME], subjects=[8, 7])) is pg.SubjectViolation
            assert use.try_open(NAME, "else", subject=7) == "else"
            assert not use.allows(R, subject=7)


def test_one_guard_knows_nothing_of_another() -> None:
    office = Office({})
    one, other = guarded(office), guarded(Office())
    with one.purpose(P) as use:
        assert use.open(NAME, subject=7) == use.open(NAME, subject=7) == "name"
    with other.purpose(P) as use:
        assert answer(lambda: use.open(NAME, subject=7)) is pg.SubjectViolation


def test_a_list_that_was_narrowed_holds_nothing_else() -> None:
    guard = guarded()

    @guard.access(narrow=True)
    def load() -> list[Row]:
        return [Row(key=7, email=TEXT), Row(key=8)]

    with guard.purpose(P):
        rows = load()
    for ask in (list, copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given)), repr):
        assert leaks(ask(rows)) == []
    assert list(rows) == list(rows) == [Row(key=8)]
    gc.collect()
    assert not [one for one in gc.get_referrers(rows[0]) if isinstance(one, list) and len(one) == 2]


def test_a_copy_says_what_was_decided_when_it_was_made() -> None:
    """A field that was withheld is not in it, so it does not come back; one that was not, is as plain as any value."""
    office = Office()
    guard = guarded(office)
    with guard.purpose(P) as use:
        stopped, free = use.withhold(Row(key=7, email=TEXT)), use.withhold(Row(key=8))
    office.all_preferences = {"8": STOPPED}
    assert leaks(stopped) == []
    assert answer(lambda: stopped.email) is pg.SubjectViolation
    assert free.email == "e"
    again = pickle.loads(pickle.dumps(stopped))
    assert answer(lambda: again.email) is pg.SubjectViolation
    with guard.purpose(P) as use:
        assert answer(lambda: use.withhold(free).email) is pg.SubjectViolation


@pytest.mark.parametrize("ledger", [None, Counting], ids=["none", "counting"])
def test_no_cache_answers_for_a_subject(ledger: Any) -> None:
    office = Office({})
    guard = guarded(office, ledger=ledger and ledger())

    @guard.cached()
    @guard.access
    def load(key: int) -> Row:
        return Row(key=key)

    @guard.cached()
    @guard.access
    async def later(key: int) -> Row:
        return Row(key=key)

    @guard.cached(ttl=60)
    @guard.access(withhold=True)
    def withheld(key: int) -> Row:
        return Row(key=key)

    asks: list[Callable[[int], Any]] = [load, lambda key: asyncio.run(later(key)), withheld]
    for _ in range(2):
        with guard.purpose(P):
            office.all_preferences = {}
            assert [ask(1).email for ask in asks] == ["e"] * 3
            office.all_preferences = {"1": STOPPED}
            assert [answer(lambda ask=ask: ask(1).email) for ask in asks] == [pg.SubjectViolation] * 3  # type: ignore[misc]  # a default binds it
            office.closed = True
            assert [answer(lambda ask=ask: ask(1).email) for ask in asks] == [StoreUnavailable] * 3  # type: ignore[misc]  # likewise
            office.closed = False


def test_a_use_is_nobodys_elsewhere() -> None:
    guard = guarded()
    with guard.purpose(P) as use, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert use.open(NAME, subject=8) == use.open(NAME, subject=8) == "name"
        ways: list[Callable[[], Any]] = [
            lambda: use.open(NAME, subject=8),
            lambda: use.open_all([NAME], subjects=[8]),
            lambda: use.try_open(NAME, "else", subject=8),
            lambda: use.check(R, subject=8),
            lambda: use.withhold(Row(key=8)),
            lambda: Safe(key=8, email=NAME).model_dump(context={"use": use}),
        ]
        for way in ways:
            assert pool.submit(answer, way).result() is pg.PurposeMissing
        assert in_a_fork(lambda: {answer(way) for way in ways} == {pg.PurposeMissing}) == "True"

        async def task() -> list[object]:
            return [await asyncio.create_task(_later(way)) for way in ways]

        with guard.purpose(P):
            pass
    assert [answer(way) for way in ways] == [pg.PurposeMissing] * len(ways)


async def _later(way: Callable[[], Any]) -> object:
    return answer(way)


def test_what_is_carried_asks_for_its_subjects_there() -> None:
    office = Office()
    guard = guarded(office)
    with guard.purpose(P) as use, concurrent.futures.ThreadPoolExecutor(1) as pool:
        for subject, found in ((8, "name"), (7, pg.SubjectViolation)):
            given = pool.submit(guard.carry(lambda: answer(lambda: use.open(NAME, subject=subject)))).result()  # noqa: B023
            assert given == found
        carried = guard.carry(lambda: answer(lambda: guard.use(P).open(NAME, subject=9)))
        assert pool.submit(carried).result() == "name"
        office.all_preferences["9"] = STOPPED
        assert pool.submit(carried).result() is pg.SubjectViolation
    assert answer(carried) in (pg.SubjectViolation, pg.PurposeMissing)


def test_a_stop_holds_in_every_thread_from_then_on() -> None:
    office = Office({})
    guard = guarded(office)
    stopped = threading.Event()
    late: list[object] = []

    @guard.access
    def load() -> Row:
        return Row(key=1)

    def use_it() -> None:
        with guard.purpose(P) as use:
            for _ in range(400):
                over = stopped.is_set()
                found = [answer(lambda: use.open(NAME, subject=1)), use.allows(R, subject="1"), answer(load)]
                if over:
                    late.append(found == [pg.SubjectViolation, False, pg.SubjectViolation])

    def stop() -> None:
        office.all_preferences["1"] = STOPPED
        stopped.set()

    with switching():
        in_threads([use_it, use_it, stop])
    assert late
    assert all(late)


def test_a_revision_that_is_put_in_force_forgets_what_was_allowed() -> None:
    def less(t: dict[str, Any]) -> None:
        t["grant"][0]["sources"] = ["1.1(c)"]

    for ledger in (None, Tape(), Counting()):
        guard = guarded(ledger=ledger)
        with guard.purpose(P) as use:
            for subject in (8, None):
                assert use.open(NAME, subject=subject) == use.open(NAME, subject=subject) == "name"
            guard.replace(revised(tm.NOTICE, less, "2025-01-01"))
            whose: Any
            for whose in (8, 7, None, pg.RowContext(8), Row(key=8)):
                assert answer(lambda: use.open(NAME, subject=whose)) is pg.PurposeViolation  # noqa: B023
                assert not use.allows(R, subject=whose)
            guard.replace(tm.NOTICE)
            assert use.open(NAME, subject=8) == "name"
            assert answer(lambda: use.open(NAME, subject=7)) is pg.SubjectViolation


# --- known to lead through, as limits.md says


def test_limit_without_a_subject_nobody_is_asked_unless_that_is_required() -> None:
    guard = guarded()
    with guard.purpose(P) as use:
        assert use.open(Safe(key=7, email=NAME).email) == "name"
        assert encode_sealed(Safe(key=7, email=NAME).email) == "name"


def test_limit_a_plain_model_does_not_say_whose_its_seals_are_when_it_is_written() -> None:
    class Bare(BaseModel):
        key: Annotated[int, pg.Subject]
        email: pg.Personal[str, tm.Registration]

    with guarded().purpose(P):
        assert Bare(key=7, email=NAME).model_dump() == {"key": 7, "email": "name"}
    with guarded(Office(requires_subject=True)).purpose(P), pytest.raises(Exception, match="name the subject"):
        Bare(key=8, email=NAME).model_dump()


def test_limit_rows_are_those_that_an_annotation_names() -> None:
    guard = guarded()

    @guard.access(tm.Registration)
    def load() -> list[Any]:
        return [Row(key=7)]

    with guard.purpose(P):
        assert load()[0].email == "e"


def test_limit_what_was_given_out_stays_out() -> None:
    office = Office({})
    guard = guarded(office)

    @guard.access
    def load() -> Row:
        return Row(key=1)

    with guard.purpose(P):
        row = load()
        office.all_preferences["1"] = STOPPED
        assert row.email == "e"
