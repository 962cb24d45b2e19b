"""Entry points: who inherits them, and where they are shown."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

import purposeguard as pg
from purposeguard.governance.ledger.entries import make_denial_body
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point, name_method, suspend_entry_point
from purposeguard.runtime.observer import Observer
from tests.unit.marked_rows import reading


@pytest.mark.parametrize(
    ("entry_point", "name"),
    [
        (EntryPoint.route("get", "/users/{id}"), "GET /users/{id}"),
        (EntryPoint.task("shop.send"), "task shop.send"),
        (EntryPoint.command("clearsessions"), "command clearsessions"),
        (EntryPoint.job("nightly"), "job nightly"),
        (EntryPoint.test("tests/test_a.py::test_b"), "test tests/test_a.py::test_b"),
        (EntryPoint("job a\nb"), "job a\\nb"),
    ],
)
def test_an_entry_point_is_named_by_its_kind(entry_point: EntryPoint, name: str) -> None:
    assert current_entry_point() is None
    with entry_point:
        assert current_entry_point() == name
    assert current_entry_point() is None
    assert repr(entry_point) == f"<EntryPoint {name}>"


@pytest.mark.parametrize(
    ("method", "declared", "name"),
    [
        ("get", (), "GET"), ("HEAD", (), "GET"), ("HEAD", ("GET",), "GET"), ("HEAD", ("HEAD",), "HEAD"),
        ("PURGE", (), "OTHER"), ("PURGE", ("PURGE",), "PURGE"),
    ],
)  # fmt: skip
def test_methods_have_one_name(method: str, declared: tuple[str, ...], name: str) -> None:
    assert name_method(method, declared) == name


def test_a_request_gets_the_name_of_its_route_when_that_is_chosen() -> None:
    entry_point = EntryPoint.request("HEAD")
    read = entry_point.wrap(current_entry_point)
    with entry_point:
        assert current_entry_point() == "GET (no route)"
        entry_point.choose_route("GET", "/users/{id}")
        assert current_entry_point() == "GET /users/{id}"
    assert current_entry_point() is None
    assert read() == "GET /users/{id}"


def test_each_step_of_a_wrapped_generator_runs_at_the_entry_point() -> None:
    def steps() -> Iterator[str | None]:
        yield current_entry_point()
        yield current_entry_point()

    seen = [(name, current_entry_point()) for name in EntryPoint.job("nightly").wrap(steps)()]
    assert seen == [("job nightly", None), ("job nightly", None)]


def test_the_innermost_entry_point_counts() -> None:
    with EntryPoint.route("GET", "/"), EntryPoint.task("mail"):
        assert current_entry_point() == "task mail"


def test_code_may_run_at_no_entry_point_for_a_while() -> None:
    with EntryPoint.job("nightly"):
        with suspend_entry_point():
            assert current_entry_point() is None
        assert current_entry_point() == "job nightly"


def test_tasks_inherit_the_entry_point() -> None:
    async def look() -> str | None:
        return current_entry_point()

    async def main() -> tuple[str | None, str | None]:
        with EntryPoint.job("nightly"):
            return await asyncio.create_task(look()), await asyncio.to_thread(current_entry_point)

    assert asyncio.run(main()) == ("job nightly", "job nightly")


def test_a_block_may_be_left_in_another_context() -> None:
    entry_point = EntryPoint.job("nightly")
    entered = threading.Thread(target=entry_point.__enter__)
    entered.start()
    entered.join()
    entry_point.__exit__()
    assert current_entry_point() is None


def test_one_entry_point_may_be_entered_in_several_tasks_at_once() -> None:
    entry_point = EntryPoint.job("nightly")

    async def enter(first: asyncio.Event, second: asyncio.Event) -> str | None:
        with entry_point:
            first.set()
            await second.wait()
        return current_entry_point()

    async def main() -> list[str | None]:
        events = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(enter(*events), enter(*reversed(events))))

    assert asyncio.run(main()) == [None, None]


def test_a_block_leaves_also_entry_points_that_were_not_left_within_it() -> None:
    with EntryPoint.route("GET", "/"):
        with EntryPoint.task("mail"):
            EntryPoint.job("nightly").__enter__()
        assert current_entry_point() == "GET /"
    assert current_entry_point() is None


def test_carried_functions_run_at_the_entry_point_where_they_were_bound() -> None:
    guard = pg.Guard(tm.NOTICE)
    with ThreadPoolExecutor(1) as pool:
        with EntryPoint.task("mail"), guard.purpose(tm.RenewalGuidance):
            carried = guard.carry(current_entry_point)
            assert pool.submit(carried).result() == "task mail"
        assert pool.submit(current_entry_point).result() is None
    with guard.purpose(tm.RenewalGuidance):
        assert guard.carry(current_entry_point)() is None


class Reads(Observer):
    """An observer that collects reads and what was not analyzed."""

    def __init__(self) -> None:
        self.reads: list[tuple[list[tuple[str, str]], str | None]] = []
        self.problems: list[tuple[str, str]] = []

    def read(self, fields: object, activity: object) -> None:
        names = [(name, " ".join(list_term_ids(label))) for name, label in fields]  # type: ignore[attr-defined]  # The fields are pairs.
        self.reads.append((names, getattr(activity, "name", None)))

    def unresolved(self, fields: object, activity: object, event: str, error: Exception) -> None:
        self.problems.append((event, type(error).__name__))


def test_refusals_name_the_entry_point() -> None:
    guard = pg.Guard(tm.NOTICE)
    read = reading(guard, str, "x", tm.ProductData)
    with EntryPoint.route("GET", "/users/{id}"):
        with pytest.raises(pg.PurposeMissing, match=r"outside any purpose, at GET /users/\{id\}: ") as missing:
            read()
        with guard.purpose(tm.RenewalGuidance, activity="remind"), pytest.raises(pg.PurposeViolation) as denied:
            read()
        with guard.purpose(tm.RenewalGuidance, activity="GET /users/{id}"), pytest.raises(pg.PurposeViolation) as same:
            read()
    assert missing.value.entry_point == denied.value.entry_point == "GET /users/{id}"
    assert "for activity remind, at GET /users/{id}" in str(denied.value)
    assert ", at" not in str(same.value).partition("\n")[0]
    assert make_denial_body(denied.value, observed=False)["entry_point"] == "GET /users/{id}"


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_access_functions_report_the_fields_that_they_read(mode: Literal["enforce", "observe"]) -> None:
    reads = Reads()
    guard = pg.Guard(tm.NOTICE, mode=mode, observers=[reads])
    read = reading(guard, str, "x", tm.Registration)
    with guard.purpose(tm.RenewalGuidance, activity="remind"):
        read()
        read()
    if mode == "observe":
        read()
    else:
        with pytest.raises(pg.PurposeMissing):
            read()
    fields = [(guard.accesses[0].name, "1.1(a)")]
    assert reads.reads == [(fields, "remind"), (fields, "remind"), (fields, None)]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_what_is_not_understood_is_only_reported_in_observe_mode(mode: Literal["enforce", "observe"]) -> None:
    reads = Reads()
    engine = pg.Guard(tm.NOTICE, observers=[reads]).engine
    activities = pg.Guard(tm.NOTICE, mode=mode)
    activities.purpose(tm.RenewalGuidance)(lambda: None)
    error = pg.UnlabelledData("unknown table")
    if mode == "observe":
        engine.refuse_unresolved(error, "read of t", activity=activities.activities[0])
        assert reads.problems == [("read of t", "UnlabelledData")]
    else:
        with pytest.raises(pg.UnlabelledData):
            engine.refuse_unresolved(error, "read of t", activity=activities.activities[0])
        with pytest.raises(pg.UnlabelledData):
            engine.refuse_unresolved(error, "read of t")
