"""Watching guards: every decision that they make for whoever calls them, told as it is made.

A watched guard decides by the same matrix as before; what it remembers is put aside, so that each question is decided
and seen. Nothing of this is on the way of a guard that is not watched. What the library asks for itself (the
alternatives in a message, which of a million rows to keep) is no decision that somebody asked for, and is not told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import cast

from purposeguard.guard import LIVE_GUARDS, Guard
from purposeguard.runtime.snapshot import Engine
from purposeguard.testing._flipping import Cell, notice_key
from purposeguard.testing._watched import Aside, WatchedEngine, WatchedState
from purposeguard.testing._watchers import Asked, Own, Watcher, everywhere, silence

__all__ = [
    "Asked",
    "Watcher",
    "is_granted",
    "leave_all",
    "silence",
    "turn",
    "watch_all",
    "watched_guards",
    "watching",
]


def _watch(guard: Guard, watcher: Watcher | None = None) -> None:
    """Has a guard watched, by those who watch all guards and by this one."""
    with everywhere.lock:
        engine = guard._engine
        if not isinstance(engine, WatchedEngine):
            with guard._replacing:
                state = engine.snapshot
                aside = Aside(state)
                watched = WatchedState(state.matrix, Own(), named=state._named, aside=aside)
                # In this order, and back in the other: other threads may be in the middle of either.
                engine.snapshot = watched
                _turn_into(engine, WatchedEngine)
                aside.put()
            everywhere.guards.add(guard)
        if watcher is not None:
            own = cast("WatchedState", engine.snapshot).teller.own
            own.watchers = (*own.watchers, watcher)


def _turn_into(engine: Engine, cls: type[Engine]) -> None:
    engine.__class__ = cls  # both have the same slots


def _leave(guard: Guard, watcher: Watcher | None = None) -> None:
    """The reverse; a guard that nobody watches any more is as it was before."""
    with everywhere.lock:
        engine = guard._engine
        if not isinstance(engine, WatchedEngine):
            return
        own = cast("WatchedState", engine.snapshot).teller.own
        own.watchers = tuple(one for one in own.watchers if one is not watcher)
        if own.watchers or everywhere.watchers:
            return
        with guard._replacing:
            watched = cast("WatchedState", engine.snapshot)
            _turn_into(engine, Engine)
            aside = watched.aside
            if aside is not None:
                aside.back()
                engine.snapshot = aside.state
            else:  # the notice was replaced meanwhile
                engine.snapshot = engine._snapshot(watched.plain)
        everywhere.guards.discard(guard)


@contextlib.contextmanager
def watching(watcher: Watcher, guard: Guard | None = None) -> Generator[None, None, None]:
    """Has a watcher told of what one guard decides inside, or of what all do, those made meanwhile too."""
    if guard is not None:
        _watch(guard, watcher)
        try:
            yield
        finally:
            _leave(guard, watcher)
        return
    watch_all(watcher)
    try:
        yield
    finally:
        leave_all(watcher)


def watch_all(watcher: Watcher) -> None:
    """Has a watcher told of what all guards decide, living ones and those made from now on."""
    with everywhere.lock:
        everywhere.watchers = (*everywhere.watchers, watcher)
        if len(everywhere.watchers) == 1:
            everywhere.attach = attach = Guard._attach

            def attached(self: Guard) -> None:
                attach(self)
                if self not in everywhere.guards:
                    _watch(self)
                    for one in everywhere.watchers:
                        one.made(self)

            Guard._attach = attached  # type: ignore[method-assign]  # called at the end of making each
            for guard in list(LIVE_GUARDS):
                _watch(guard)


def leave_all(watcher: Watcher) -> None:
    """Tells a watcher no more; where it was the last, guards are as they were before."""
    with everywhere.lock:
        everywhere.watchers = tuple(one for one in everywhere.watchers if one is not watcher)
        if not everywhere.watchers and everywhere.attach is not None:
            Guard._attach = everywhere.attach  # type: ignore[method-assign,assignment]  # what it was before
            everywhere.attach = None
            for guard in list(everywhere.guards):
                _leave(guard)


def watched_guards() -> tuple[Guard, ...]:
    """The guards that are watched now."""
    return tuple(everywhere.guards)


def is_granted(cell: Cell) -> bool:
    """Whether the notice of a watched guard grants a cell."""
    for guard in everywhere.guards:
        notice = guard.notice
        if notice_key(notice) == cell.notice:
            held = next((held for one, held in notice.grants.items() if one.clause == cell.source), {})
            return any(one.clause == cell.purpose for one in held)
    return False


def turn(cell: Cell | None) -> None:
    """Turns one cell in all watched guards, and in those made from now on; None turns none."""
    with everywhere.lock:
        everywhere.flip = cell
        for guard in list(everywhere.guards):
            engine = guard._engine
            with guard._replacing:
                before = cast("WatchedState", engine.snapshot)
                engine.snapshot = WatchedState(before.plain, before.teller.own, named=before._named, aside=before.aside)
