"""What a seal does not block, each shown to be so: docs/explanation/limits.md lists these and no others.

A way that is closed one day fails its test here, and goes off the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import gc
import os
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Annotated, Any
from unittest import mock

from pydantic import BaseModel, ValidationError

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.snapshot import Permissions
from purposeguard.values.sealed import content
from tests.bypass.seal_forks import in_a_fork
from tests.bypass.seal_looking import NUMBER, TEXT, guard, opened, seal

Shown = Callable[[], object]
LIMITS: dict[str, list[Shown]] = {}
"""What the page calls it → ways of that kind; each returns something that shows the value."""


def limit(name: str) -> Callable[[Shown], Shown]:
    """Lists a way under what the page calls it."""

    def add(shown: Shown) -> Shown:
        LIMITS.setdefault(name, []).append(shown)
        return shown

    return add


def report_of(ask: Callable[[], object]) -> object:
    """A report of the error that it ends with, with the locals of each frame."""
    try:
        return ask()
    except (ValidationError, pg.UnknownSource) as error:
        return [*traceback.TracebackException.from_exception(error, capture_locals=True).format()]


# --- reaching past Python's own walls


@limit("Memory")
def what_the_garbage_collector_finds() -> object:
    return gc.get_referents(seal())


@limit("Memory")
def what_lies_at_its_address() -> object:
    one = seal()
    return ctypes.py_object.from_address(id(one) + object.__basicsize__).value


@limit("Writing past the seal")
def the_label_set_by_object() -> object:
    one = seal()
    object.__setattr__(one, "label", pg.Label(pg.NotPersonal))
    return opened(one, "2.3①")


@limit("The library's own parts")
def what_opens_inside() -> object:
    return content(seal())


@limit("The library's own parts")
def what_decides_replaced() -> object:
    allowed = Verdict(True, guard.engine.snapshot.matrix, pg.Label(tm.ProductData), tm.RenewalGuidance)  # a field
    with mock.patch.object(Permissions, "decide", return_value=allowed):
        return opened(seal(TEXT, tm.ProductData))


@limit("Names replaced elsewhere")
def what_is_called_personal() -> object:
    with mock.patch.object(pg, "Personal", lambda value, *_: value):
        return pg.Personal(TEXT, tm.Registration)


@limit("Tracers and debuggers at work")
def what_a_profiler_sees() -> object:
    heard: list[Any] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, given: heard.append(given) if event == "return" else None)
    try:
        opened(seal())
    finally:
        sys.setprofile(before)
    return [one for one in heard if one == TEXT]


# --- before it is sealed, and after it is opened


@limit("Before it is sealed")
def the_locals_of_whoever_seals() -> object:
    def load() -> pg.Personal[str, tm.Registration]:
        row = {"email": TEXT}
        return pg.Personal(row["email"], tm.Registration, "no source")  # type: ignore[call-overload, no-any-return]  # the error

    return report_of(load)


@limit("Before it is sealed")
def what_sealed_it_kept() -> object:
    email = [TEXT]
    seal(email)
    return email


@limit("A label that is not true")
def not_personal_by_hand() -> object:
    return opened(seal(TEXT, pg.NotPersonal), "2.3①")


class Tagged(BaseModel):
    device: Annotated[str, tm.ProductData]


@limit("A label that is not true")
def tags_in_an_object_without_fields() -> object:
    return opened(seal(types.SimpleNamespace(held=Tagged(device=TEXT)))).held


@limit("A tag beside a seal")
def opened_without_the_tag() -> object:
    class Beside(BaseModel):
        device: Annotated[pg.Personal[str, tm.Registration], tm.ProductData]

    return opened(Beside.model_validate({"device": TEXT}).device, tm.RenewalGuidance)


@limit("A derivation in name only")
def the_half_of_a_link() -> object:
    linked = tm.link_usage(pg.Personal("", tm.Cookie), seal())
    return opened(linked.map(lambda both: both[1]), tm.UsageAnalysis)


@limit("A purpose that is not meant")
def a_purpose_named_to_get_through() -> object:
    with guard.purpose(tm.SecurityInformation) as use:
        return f"to be sold: {use.open(seal())}"


@limit("A guard of one's own")
def one_that_observes() -> object:
    return opened(seal(TEXT, tm.ProductData), by=pg.Guard(tm.NOTICE, mode="observe"))


@limit("After it is opened")
def what_was_opened_is_plain() -> object:
    return f"{opened(seal())}"


@limit("Functions given to `map`")
def one_that_keeps_it() -> object:
    kept: list[Any] = []
    opened(seal().map(kept.append))
    return kept


@limit("Functions given to `map`")
def one_that_leaves_the_program() -> object:
    try:
        return opened(seal().map(sys.exit))
    except SystemExit as error:
        return error


# --- leaving the lattice


def keeping(kept: list[Any]) -> Callable[[Any], Any]:
    """A function that keeps what it is given."""

    def keep(value: Any) -> Any:
        kept.append(value)
        return value

    return keep


@limit("Reclassifiers")
def one_that_hands_it_through() -> object:
    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to show a limit")
    def anonymous(value: str) -> str:
        return value

    return opened(anonymous(seal()), "2.3①")


@limit("Reclassifiers")
def what_map_has_put_before_it() -> object:
    """Runs outside any purpose."""

    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to show a limit")
    def length(value: str) -> int:
        return len(value)

    kept: list[Any] = []
    length(seal().map(keeping(kept)))
    return kept


totals = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to show a limit", at_least=2)


@limit("Aggregates")
def subjects_that_are_made_up() -> object:
    every = pg.Personal.collect([seal(NUMBER), seal(NUMBER)])
    return opened(totals.mean(every, of=lambda value: value, subject=lambda _: object()), "2.3①")


@limit("Aggregates")
def the_difference_of_two_figures() -> object:
    def total(*values: int) -> float:
        every = pg.Personal.collect(map(seal, values))
        mean = totals.mean(every, of=float, subject=lambda value: value)
        return float(opened(mean, "2.3①")) * len(values)

    return round(total(1, 2, NUMBER) - total(1, 2))


# --- time and place


@limit("What `guard.carry` gave")
def called_in_a_forked_process() -> object:
    with guard.purpose(tm.RenewalGuidance):
        carried = guard.carry(lambda: guard.current.open(seal()))
    return in_a_fork(carried)


@limit("What the interpreter runs in between")
def a_finaliser() -> object:
    kept: list[Any] = []
    owner = mock.Mock()
    weakref.finalize(owner, lambda: kept.append(guard.current.open(seal())))
    with guard.purpose(tm.RenewalGuidance):
        del owner
        gc.collect()
    return kept


@limit("A thread that died in a block")
def its_number_given_again() -> object:
    kept: list[Any] = []

    def enter() -> None:
        uses[threading.get_ident()] = guard.purpose(tm.RenewalGuidance).__enter__()

    def find() -> None:
        if threading.get_ident() in uses:
            kept.append(uses[threading.get_ident()].open(seal()))

    uses: dict[int, pg.Use[Any]] = {}
    for _ in range(1_000):  # the system gives numbers again; which, is its own business
        for task in (enter, find):
            thread = threading.Thread(target=task)
            thread.start()
            thread.join()
        if kept:
            break
    return kept


@limit("A fork from another context")
def one_that_sees_no_block() -> object:
    with guard.purpose(tm.RenewalGuidance) as use:
        return in_a_fork(lambda: use.open(seal()), lambda: contextvars.Context().run(os.fork))


# --- listed in other sections of the page, and so of sealed values too

ELSEWHERE: dict[str, Shown] = {}


def elsewhere(name: str) -> Callable[[Shown], Shown]:
    """Lists a way that the page says of purposes in general."""

    def add(shown: Shown) -> Shown:
        ELSEWHERE[name] = shown
        return shown

    return add


@elsewhere("The unguarded function")
def the_function_below_a_reclassifier() -> object:
    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to show a limit")
    def shout(value: str) -> str:
        return value.upper()

    return shout.__wrapped__(TEXT)  # type: ignore[attr-defined]  # as functools has it


@elsewhere("A `with` block across a `yield`")
def a_use_that_a_generator_hands_out() -> object:
    def uses() -> Iterator[pg.Use[Any]]:
        with guard.purpose(tm.RenewalGuidance) as use:
            yield use

    with contextlib.closing(uses()) as given:  # type: ignore[type-var]  # a generator has it
        return next(given).open(seal())


@elsewhere("A block entered by hand")
def a_block_that_a_function_leaves_open() -> object:
    def enter() -> None:
        guard.purpose(tm.RenewalGuidance).__enter__()

    def steps() -> Iterator[None]:
        enter()
        yield

    def consume() -> object:
        next(steps())
        return guard.current.open(seal())

    return contextvars.copy_context().run(consume)


@elsewhere("A loop inside a synchronous activity")
def a_task_of_that_loop() -> object:
    async def main(use: pg.Use[Any]) -> Any:
        async def task() -> Any:
            return use.open(seal())

        return await asyncio.create_task(task())

    with guard.purpose(tm.RenewalGuidance) as use:
        return asyncio.run(main(use))


@elsewhere("Observe mode")
def a_block_that_only_observes() -> object:
    with guard.purpose("2.3①", mode="observe") as use:
        return use.open(seal())
