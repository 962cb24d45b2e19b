"""One run of a test's body under a purpose, and what came of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import inspect
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis.errors import HypothesisException

from purposeguard.activity import Block
from purposeguard.annotations import is_taggable
from purposeguard.sealing import plain
from purposeguard.testing._patching import Lines
from purposeguard.testing._pins import pinned
from purposeguard.testing._settled import settled
from purposeguard.testing._sql import open_connections
from purposeguard.testing._views import lines_of
from purposeguard.testing.effects import Effect, captured
from purposeguard.use import Use

_STREAMED: Final = 10_000
"""Items of a generator that are looked at."""


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

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Outcome | None:
        """Runs the body; None where it says itself that it is not for these arguments (`assume`)."""
        __tracebackhide__ = True
        kwargs = {name: self._fresh(name, one) for name, one in kwargs.items()}
        started = time.perf_counter()
        with pinned(self.pins, self.moment), captured(connections=self.connections) as effects:
            began = time.time()
            result: Lines = ()
            raised: BaseException | None = None
            try:
                result = self._result(args, kwargs)
            except HypothesisException:
                return None
            except (Exception, SystemExit) as error:  # noqa: BLE001  # what is raised is an outcome; it is raised later
                raised = error
        self.took = time.perf_counter() - started
        self.spent += self.took
        told = None if raised is None else settled(_told(raised), began)
        return Outcome(
            tuple((path, settled(text, began)) for path, text in result),
            told,
            tuple(one for one in effects.settled() if one.kind in self.kinds),
            raised,
        )

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
                    result = _some(result)
            if not inspect.isawaitable(result):
                return lines_of(result, _opened_by(use))
        return asyncio.run(self._result_of_awaitable(result))

    async def _result_of_coroutine(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lines:
        __tracebackhide__ = True
        async with self.block as use:
            result = self.body(*args, **kwargs)
            if inspect.isasyncgen(result):
                result = [one async for one in result]
            elif inspect.isawaitable(result):
                result = await result
            return lines_of(result, _opened_by(use))

    async def _result_of_awaitable(self, result: Any) -> Lines:
        __tracebackhide__ = True
        async with self.block as use:
            return lines_of(await result, _opened_by(use))


def _some(items: Iterable[Any]) -> list[Any]:
    return [one for one, _ in zip(items, range(_STREAMED), strict=False)]


def _opened_by(use: Use[Any]) -> Callable[[Any], Any]:
    """What is sealed is seen by whoever may open it, and by nobody else."""

    def opened(sealed: Any) -> Any:
        return plain(sealed) if use.knows(sealed.label) and use.allows(sealed.label) else sealed

    return opened


def _told(error: BaseException) -> str:
    """An error as whoever catches or logs it can see it: with its notes, and those that led to it."""
    lines = [f"{type(error).__name__}: {error}".removesuffix(": "), *getattr(error, "__notes__", ())]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"    {_told(one)}" for one in error.exceptions]
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        lines.append(f"after {_told(before)}")
    return "\n".join(lines)


_COPIED: Final = (list, dict, set, bytearray, collections.deque)


def fresh(value: Any) -> Any:
    """A copy of data, so that no run sees what another did to it; what is no data, such as a client, as it is."""
    if isinstance(value, _COPIED) or (is_taggable(type(value)) and not isinstance(value, type)):
        with contextlib.suppress(TypeError, copy.Error):
            return copy.deepcopy(value)
    return value
