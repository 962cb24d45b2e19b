"""One run of a test's body under a purpose, and what came of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import inspect
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from hypothesis.errors import HypothesisException

from purposeguard.runtime.activity import Block
from purposeguard.runtime.use import Use
from purposeguard.testing._patching import Lines
from purposeguard.testing._pins import pinned
from purposeguard.testing._raising import told
from purposeguard.testing._settled import settled
from purposeguard.testing._sql import open_connections
from purposeguard.testing._views import STREAMED, lines_of
from purposeguard.testing._waiting import Waiting
from purposeguard.testing.effects import Effect, captured
from purposeguard.values.annotations import is_taggable
from purposeguard.values.sealed import plain


@dataclass(frozen=True)
class Outcome:
    """What came of one run, as somebody who sees all but the run's arguments could tell it."""

    result: Lines = ()
    error: str | None = None
    effects: tuple[Effect, ...] = ()
    raised: BaseException | None = field(default=None, compare=False, repr=False)

    @property
    def is_shared(self) -> bool:
        """Whether several threads or tasks had a part in it, of which nobody knows which comes first."""
        return len({one.lane for one in self.effects}) > 1

    def key(self, *, ordered: bool) -> object:
        """What is compared: the effects in order, or without regard to which thread came first."""
        effects: object = self.effects
        if not ordered:
            effects = collections.Counter(self.effects)
        return self.result, self.error, effects


@dataclass
class Conduct:
    """How the runs of a test are made."""

    body: Callable[..., Any]
    block: Block[Any]
    pins: Collection[str]
    kinds: Collection[str]
    moment: float = field(default_factory=time.time)
    connections: list[Any] = field(default_factory=open_connections)
    drawn: Collection[str] | None = None
    """Which arguments are drawn; None: nobody knows."""
    tracer: Any = None
    """What traces the body, and is taken off elsewhere."""
    took: float = 0.0
    """How long the last run took, in seconds."""
    spent: float = 0.0
    """How long all runs took."""
    forbidden: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """The paths that may not be used, of arguments that have such."""
    _waiting: Waiting = field(default_factory=Waiting)

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Outcome | None:
        """Runs the body; None where it says itself that it is not for these arguments (`assume`)."""
        __tracebackhide__ = True
        started = time.perf_counter()
        given = {name: self._fresh(name, one) for name, one in kwargs.items()}
        with pinned(self.pins, self.moment), captured(connections=self.connections) as effects, self._waiting.threads():
            began = time.time()
            result: Lines = ()
            raised: BaseException | None = None
            try:
                result = self._result(args, given)
            except HypothesisException:
                return None
            except (Exception, SystemExit) as error:  # noqa: BLE001  # what is raised is an outcome; it is raised later
                raised = error
        self.took = time.perf_counter() - started
        self.spent += self.took
        result = (*result, *self._changed(kwargs, given))
        failed = None if raised is None else settled(told(raised), began)
        return Outcome(
            tuple((settled(path, began), settled(text, began)) for path, text in result),
            failed,
            tuple(one for one in effects.settled() if one.kind in self.kinds),
            raised,
        )

    def _changed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Lines:
        """What the body has made of its arguments, which whoever has called it sees; not of what may not be used."""
        found: list[tuple[str, str]] = []
        for name, one in after.items():
            if one is before[name] or _are_equal(one, before[name]):
                continue
            paths = self.forbidden.get(name, ())
            for path, text in lines_of(one, lambda seal: seal):
                plain_path = _KEY.sub("[]", path).removeprefix(".")
                if not any(plain_path == one or plain_path.startswith((f"{one}.", f"{one}[")) for one in paths):
                    found.append((f" ({name}{path} afterwards)", text))
        return tuple(found)

    def _fresh(self, name: str, value: Any) -> Any:
        """A copy of what was drawn, so that no run sees what another did to it; of fixtures the very same."""
        return value if self.drawn is not None and name not in self.drawn else fresh(value)

    @contextlib.contextmanager
    def _traced(self) -> Generator[None]:
        if self.tracer is None:
            yield
            return
        sys.settrace(self.tracer)
        try:
            yield
        finally:
            sys.settrace(None)

    def _result(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lines:
        __tracebackhide__ = True
        if inspect.iscoroutinefunction(self.body) or inspect.isasyncgenfunction(self.body):
            return asyncio.run(self._result_of_coroutine(args, kwargs))
        with self.block as use:
            with self._traced():
                result = self.body(*args, **kwargs)
                if inspect.isgenerator(result):
                    result = _some(cast("Generator[Any, None, Any]", result))
            if not (inspect.isawaitable(result) or isinstance(result, AsyncIterator)):
                return lines_of(result, _opened_by(use))
        return asyncio.run(self._result_of_awaitable(result))

    async def _result_of_coroutine(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lines:
        __tracebackhide__ = True
        return await self._awaited(lambda: self.body(*args, **kwargs))

    async def _result_of_awaitable(self, result: Any) -> Lines:
        __tracebackhide__ = True
        return await self._awaited(lambda: result)

    async def _awaited(self, call: Callable[[], Any]) -> Lines:
        __tracebackhide__ = True
        try:
            async with self.block as use:
                result = call()
                if inspect.isawaitable(result):
                    result = await result
                if isinstance(result, AsyncIterator):
                    result = await _some_of_async(result)
                return lines_of(result, _opened_by(use))
        finally:
            await self._waiting.for_tasks()


def _some(generator: Generator[Any, None, Any]) -> list[Any]:
    """What a generator gives, and at its end returns."""
    found: list[Any] = []
    try:
        while len(found) < STREAMED:
            found.append(next(generator))
    except StopIteration as ended:
        if ended.value is not None:
            found.append(ended.value)
    return found


async def _some_of_async(items: AsyncIterator[Any]) -> list[Any]:
    found: list[Any] = []
    async for one in items:
        found.append(one)
        if len(found) >= STREAMED:
            break
    return found


def _opened_by(use: Use[Any]) -> Callable[[Any], Any]:
    """What is sealed is seen by whoever may open it, and by nobody else."""

    def opened(sealed: Any) -> Any:
        return plain(sealed) if use.knows(sealed.label) and use.allows(sealed.label) else sealed

    return opened


_KEY: Final = re.compile(r"\[[^\[\]]*\]")
"""Which one of several it is, in a path."""


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # whatever the application's `__eq__` does: then it is looked at in full
        return False


_COPIED: Final = (list, dict, set, bytearray, collections.deque)


def fresh(value: Any) -> Any:
    """A copy of data, so that no run sees what another did to it; what is no data, such as a client, as it is."""
    if isinstance(value, _COPIED) or (is_taggable(type(value)) and not isinstance(value, type)):
        with contextlib.suppress(TypeError, copy.Error):
            return copy.deepcopy(value)
    return value
