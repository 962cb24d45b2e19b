"""One run of a test's body under a purpose, with randomness and time pinned, and its outcome."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import functools
import importlib
import inspect
import itertools
import os
import random
import re
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import thread as pools
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from purposeguard.extras import Needs
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.runtime.use import Use
from purposeguard.testing._local_effects import Patches
from purposeguard.testing._sent_effects import open_connections
from purposeguard.testing._shown import STREAMED, Lines, error_text, lines_of, normalize_text
from purposeguard.testing.effects import Effect, captured
from purposeguard.values.annotations import is_taggable
from purposeguard.values.sealed import compute_plain_value

with Needs(__name__, "hypothesis"):
    from hypothesis.errors import HypothesisException

PINS: Final = ("random", "uuid", "time")
"""What can be pinned. `random`: the modules random and secrets, numpy's; `uuid`: uuid1 and uuid4; `time`."""


@contextlib.contextmanager
def pin_randomness(pins: Collection[str], moment: float) -> Generator[None]:
    """Return a context manager in which random numbers, ids and time are the same each time."""
    with Patches() as patches:
        # The numbering of threads gives them their names.
        patches.put(threading, "_counter", itertools.count(1).__next__)
        patches.put(ThreadPoolExecutor, "_counter", itertools.count().__next__)
        if "random" in pins:
            _pin_random(patches)
        if "random" in pins or "uuid" in pins:
            urandom = _urandom()
            patches.put(os, "urandom", urandom)  # uuid4
            patches.put(random, "_urandom", urandom)  # secrets, SystemRandom
        if "uuid" in pins:
            _pin_uuid(patches, moment)
        if "time" in pins:
            _pin_time(patches, moment)
        yield


def _urandom() -> Callable[[int], bytes]:
    """Return a function that gives pseudo-random bytes from a fixed seed, for any thread."""
    numbers, lock = random.Random(_SEED), make_lock()  # noqa: S311  # reproducible on purpose

    def urandom(size: int) -> bytes:
        with lock:
            return numbers.randbytes(size)

    return urandom


_SEED: Final = 20240401


def _pin_random(patches: Patches) -> None:
    patches.callback(random.setstate, random.getstate())
    random.seed(_SEED)
    numbers = itertools.count(_SEED)

    def make_seeded(seed: Any) -> Any:
        def wrapper(self: random.Random, a: Any = None, version: int = 2) -> None:
            seed(self, next(numbers) if a is None and not isinstance(self, random.SystemRandom) else a, version)

        return wrapper

    patches.wrap(random.Random, "seed", make_seeded)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        patches.callback(numpy.set_state, numpy.get_state())
        numpy.seed(_SEED)


def _pin_uuid(patches: Patches, moment: float) -> None:
    node = uuid.getnode()  # constant on one machine
    ticks = itertools.count(int(moment * 10_000_000) + 0x01B2_1DD2_1381_4000)  # counted from 1582, as uuid1 does

    def generate_time_safe() -> tuple[bytes, None]:
        tick = next(ticks)
        fields = (tick & 0xFFFF_FFFF, (tick >> 32) & 0xFFFF, (tick >> 48) & 0x0FFF, 0, 0, node)
        return uuid.UUID(fields=fields, version=1).bytes, None

    patches.put(uuid, "_generate_time_safe", generate_time_safe)
    for name in ("_last_timestamp_v6", "_last_timestamp_v7"):  # each id is made later than the last
        if hasattr(uuid, name):
            patches.put(uuid, name, None)


def _pin_time(patches: Patches, moment: float) -> None:
    """Make clocks of durations advance by a millisecond per call, and by the whole seconds that really pass.

    The real seconds let code that waits by such a clock end. The time of day stands still if time-machine is installed.
    `monotonic`, by which most code waits, is left alone.
    """
    ticks = itertools.count(1)
    monotonic = time.monotonic
    began = monotonic()

    def milliseconds() -> int:
        return next(ticks) + int(monotonic() - began) * 1000

    for clock in ("perf_counter", "process_time"):
        patches.put(time, clock, lambda: milliseconds() / 1000)
    patches.put(time, "perf_counter_ns", lambda: milliseconds() * 1_000_000)
    travelling = time_machine()
    if travelling is not None:
        patches.enter_context(travelling.travel(moment, tick=False))


@functools.cache
def time_machine() -> Any:
    """Return the library time-machine, if it is installed."""
    try:
        return importlib.import_module("time_machine")
    except ModuleNotFoundError:
        return None


_PATIENCE: Final = 1.0
"""Seconds to wait for everything that one run started."""


class Waiting:
    """Waits for threads and tasks; after one timeout (a server, say) it does not wait again."""

    def __init__(self) -> None:
        self.patience = _PATIENCE

    @contextlib.contextmanager
    def threads(self) -> Generator[None]:
        """Return a context manager: a block whose threads, and jobs in thread pools, are waited for at its end."""
        before = set(threading.enumerate())
        submitted: list[Future[Any]] = []

        def record_and_start(submit: Any) -> Any:
            def wrapper(pool: Any, fn: Any, /, *args: Any, **options: Any) -> Future[Any]:
                future: Future[Any] = submit(pool, fn, *args, **options)
                submitted.append(future)
                return future

            return wrapper

        try:
            with Patches() as patches:
                patches.wrap(ThreadPoolExecutor, "submit", record_and_start)
                yield
        finally:
            self._wait(before, submitted)

    def _wait(self, before: set[threading.Thread], submitted: list[Future[Any]]) -> None:
        until = time.monotonic() + self.patience
        unfinished = bool(wait(submitted, self.patience).not_done)
        workers = pools._threads_queues  # workers of pools run until the process ends
        for thread in threading.enumerate():
            if thread not in before and thread not in workers and thread is not threading.current_thread():
                with contextlib.suppress(RuntimeError):  # a thread that is not started yet
                    thread.join(max(0.0, until - time.monotonic()))
                unfinished = unfinished or thread.is_alive()
        if unfinished:
            self.patience = 0.0

    async def for_tasks(self) -> None:
        """Wait for all other tasks of the running loop."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others and self.patience:
            _, unfinished = await asyncio.wait(others, timeout=self.patience)
            if unfinished:
                self.patience = 0.0


@dataclass(frozen=True)
class RunOutcome:
    """What an observer sees of one run, apart from its arguments."""

    result: Lines = ()
    error: str | None = None
    effects: tuple[Effect, ...] = ()
    raised: BaseException | None = field(default=None, compare=False, repr=False)

    @property
    def is_shared(self) -> bool:
        """True if several threads or tasks had effects, so that their order is undefined."""
        return len({effect.lane for effect in self.effects}) > 1

    def key(self, *, ordered: bool) -> object:
        """Return the values to compare: effects in order, or as a multiset."""
        effects: object = self.effects
        if not ordered:
            effects = collections.Counter(self.effects)
        return self.result, self.error, effects


@dataclass
class RunConduct:
    """Runs the body of one test."""

    body: Callable[..., Any]
    block: Any
    """A block of a purpose, or another one that gives an `Opener`."""
    pins: Collection[str]
    kinds: Collection[str]
    moment: float = field(default_factory=time.time)
    connections: list[Any] = field(default_factory=open_connections)
    drawn: Collection[str] | None = None
    """The names of the drawn arguments; None if unknown."""
    took: float = 0.0
    """Seconds that the last run took."""
    spent: float = 0.0
    """Seconds that all runs took."""
    forbidden: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """Argument → the paths in it that may not be used."""
    _waiting: Waiting = field(default_factory=Waiting)

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RunOutcome | None:
        """Run the body; None if it rejects the arguments itself (`assume`)."""
        __tracebackhide__ = True
        started = time.perf_counter()
        arguments = {name: self._fresh(name, value) for name, value in kwargs.items()}
        with pin_randomness(self.pins, self.moment), captured() as effects, self._waiting.threads():
            began = time.time()
            result: Lines = ()
            raised: BaseException | None = None
            try:
                result = self._result(args, arguments)
            except HypothesisException:
                return None
            except (Exception, SystemExit) as error:  # noqa: BLE001  # what is raised is an outcome; it is raised later
                raised = error
        self.took = time.perf_counter() - started
        self.spent += self.took
        result = (*result, *self._find_changes(kwargs, arguments))
        failed = None if raised is None else normalize_text(error_text(raised), began)
        return RunOutcome(
            tuple((normalize_text(path, began), normalize_text(text, began)) for path, text in result),
            failed,
            tuple(effect for effect in effects.normalize() if effect.kind in self.kinds),
            raised,
        )

    def _find_changes(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Lines:
        """Return the changes that the body made to its arguments, except to fields that may not be used."""
        changes: list[tuple[str, str]] = []
        for name, value in after.items():
            if value is before[name] or _are_equal(value, before[name]):
                continue
            paths = self.forbidden.get(name, ())
            for path, text in lines_of(value, lambda seal: seal):
                plain_path = _KEY.sub("[]", path).removeprefix(".")
                if not any(plain_path == own or plain_path.startswith((f"{own}.", f"{own}[")) for own in paths):
                    changes.append((f" ({name}{path} afterwards)", text))
        return tuple(changes)

    def _fresh(self, name: str, value: Any) -> Any:
        """Return a copy of a drawn value, so that no run sees the changes of another; a fixture itself."""
        return value if self.drawn is not None and name not in self.drawn else fresh(value)

    def _result(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lines:
        __tracebackhide__ = True
        if inspect.iscoroutinefunction(self.body) or inspect.isasyncgenfunction(self.body):
            return asyncio.run(self._await_result(lambda: self.body(*args, **kwargs)))
        with self.block as use:
            result = self.body(*args, **kwargs)
            if inspect.isgenerator(result):
                result = _some(cast("Generator[Any, None, Any]", result))
            if not (inspect.isawaitable(result) or isinstance(result, AsyncIterator)):
                return lines_of(result, make_opening_use(use))
        return asyncio.run(self._await_result(lambda: result))

    async def _await_result(self, call: Callable[[], Any]) -> Lines:
        __tracebackhide__ = True
        try:
            async with self.block as use:
                result = call()
                if inspect.isawaitable(result):
                    result = await result
                if isinstance(result, AsyncIterator):
                    result = await _some_of_async(result)
                return lines_of(result, make_opening_use(use))
        finally:
            await self._waiting.for_tasks()


def _some(generator: Generator[Any, None, Any]) -> list[Any]:
    """Return the items of a generator, and what it returns."""
    items: list[Any] = []
    try:
        while len(items) < STREAMED:
            items.append(next(generator))
    except StopIteration as ended:
        if ended.value is not None:
            items.append(ended.value)
    return items


def finish(result: Any) -> Any:
    """Await an awaitable, run a generator to its end, and return any other result."""
    if inspect.isgenerator(result):
        return _some(cast("Generator[Any, None, Any]", result))
    if inspect.isawaitable(result):

        async def wait_for_it() -> Any:
            return await result

        return asyncio.run(wait_for_it())
    return result


async def _some_of_async(items: AsyncIterator[Any]) -> list[Any]:
    taken: list[Any] = []
    async for item in items:
        taken.append(item)
        if len(taken) >= STREAMED:
            break
    return taken


class Opener(Protocol):
    """A use, or what stands for one where results are shown."""

    def allows(self, label: Label, /) -> object:
        """Return a true value if sealed values with this label may be opened."""
        ...


def make_opening_use(use: Opener) -> Callable[[Any], Any]:
    """Open sealed values that the use may open, and no others."""

    def open_value(sealed: Any) -> Any:
        knows = not isinstance(use, Use) or use._knows(sealed.label)
        return compute_plain_value(sealed) if knows and use.allows(sealed.label) else sealed

    return open_value


_KEY: Final = re.compile(r"\[[^\[\]]*\]")
"""An index or key in a path."""


def _are_equal(first: Any, other: Any) -> bool:
    try:
        return bool(first == other)
    except Exception:  # noqa: BLE001  # the application's `__eq__` may raise: then the values are compared in full
        return False


_COPIED: Final = (list, dict, set, bytearray, collections.deque)


def fresh(value: Any) -> Any:
    """Return a copy of data, so that no run sees the changes of another; anything else, such as a client, itself."""
    if isinstance(value, _COPIED) or (is_taggable(type(value)) and not isinstance(value, type)):
        with contextlib.suppress(TypeError, copy.Error):
            return copy.deepcopy(value)
    return value
