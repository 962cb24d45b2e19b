"""Captures the visible effects of code: log records, output, HTTP requests, SQL, files, processes.

`captured()` watches all of the process while its block runs, whichever thread or task it happens in; `arranging()`
takes a part of it out. Everything that is watched is put back when the outermost block ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, overload

from purposeguard.locks import make_lock
from purposeguard.testing import _local_effects, _sent_effects
from purposeguard.testing._local_effects import Parts, Patches, is_quiet
from purposeguard.testing._queries import find_access_function, is_query
from purposeguard.testing._shown import Lines, normalize_text, text_of

KINDS: Final = (
    "log", "warning", "stdout", "stderr", "http", "response", "mail", "socket", "sql", "query", "file", "process",
)  # fmt: skip
"""The kinds of effects that are watched. A `query` is a statement of an access function that only reads."""

COMPARED: Final = tuple(kind for kind in KINDS if kind != "query")
"""The kinds that tests compare and search: what an access function asks of its database is not used yet."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect that is visible outside the code.

    `kind` is one of `KINDS`. `name` says what it was done with: the logger and level, the method, the file's mode.
    `parts` are its texts, each with what it is: `("message", …)`, `("parameter 1", …)`, `("body", …)`.
    """

    kind: str
    name: str
    parts: Lines
    lane: object = field(default=None, compare=False, repr=False)
    """The thread and task: the order of effects in different lanes is undefined."""
    withholder: str = field(default="", compare=False, repr=False)
    """The access function with `withhold=True` or `narrow=True` that did it, if one did."""

    @property
    def title(self) -> str:
        """Kind and name, without content."""
        return f"{_NAMES[self.kind]} {self.name}".rstrip()

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"    {name}: {text}" for name, text in self.parts)])


_NAMES: Final = {
    "result": "result",
    "error": "error",
    "log": "log record",
    "warning": "warning",
    "stdout": "line on stdout",
    "stderr": "line on stderr",
    "http": "HTTP request",
    "response": "HTTP response",
    "mail": "mail",
    "socket": "data sent by",
    "sql": "SQL statement",
    "query": "query of an access function",
    "file": "file",
    "process": "process",
}


class _Growing:
    """An unfinished effect: a file being written, an incomplete line."""

    def __init__(self, kind: str, name: str, parts: Parts, lane: object, withholder: str) -> None:
        self.kind = kind
        self.name = name
        self.parts = {part_name: [text] for part_name, text in parts.items()}
        self.lane = lane
        self.withholder = withholder
        self.ended = False

    def grow(self, part_name: str, text: str | bytes) -> None:
        """Append to one of the texts while the effect is watched."""
        if not self.ended:
            self.parts.setdefault(part_name, []).append(text)

    def effect(self) -> Effect:
        parts = tuple((part_name, _whole(texts)) for part_name, texts in self.parts.items())
        return Effect(self.kind, self.name, parts, self.lane, self.withholder)


def _whole(texts: list[str | bytes]) -> str:
    """Return the text of all parts, decoded together: a character may be split between two."""
    whole: list[str] = []
    for kind, run in itertools.groupby(tuple(texts), type):
        whole.append(text_of(kind().join(run)))
    return "".join(whole)


class Effects(Sequence[Effect]):
    """The effects of a block, in the order in which they began.

    Comparisons ignore the present time, addresses of objects in memory, names of temporary files, and which thread did
    what.
    """

    def __init__(self) -> None:
        self._found: list[_Growing] = []
        self.began = time.time()

    def add(self, kind: str, name: str, parts: Parts, withholder: str) -> _Growing:
        """Record an effect; return it, to append to."""
        effect = _Growing(kind, name, parts, _lane(), withholder)
        self._found.append(effect)
        return effect

    @overload
    def __getitem__(self, index: int) -> Effect: ...
    @overload
    def __getitem__(self, index: slice) -> list[Effect]: ...
    def __getitem__(self, index: int | slice) -> Effect | list[Effect]:
        if isinstance(index, slice):
            return [effect.effect() for effect in self._found[index]]
        return self._found[index].effect()

    def __len__(self) -> int:
        return len(self._found)

    def end(self) -> None:
        """Read the written files; nothing is added afterwards."""
        _local_effects.end_files()
        for effect in self._found:
            effect.ended = True

    def of(self, *kinds: str) -> list[Effect]:
        """Return the effects of these kinds."""
        return [effect for effect in self if effect.kind in kinds]

    def normalize(self) -> list[Effect]:
        """Return the effects for comparison: without times, addresses and temporary names."""
        return [_normalize_effect(effect, self.began) for effect in self]

    def __eq__(self, other: object) -> bool:
        return self.normalize() == other.normalize() if isinstance(other, Effects) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no effects"

    def __repr__(self) -> str:
        return f"<{len(self)} effects: {', '.join(dict.fromkeys(effect.kind for effect in self))}>"


def _normalize_effect(effect: Effect, began: float) -> Effect:
    parts = tuple((part_name, normalize_text(text, began)) for part_name, text in effect.parts)
    return Effect(effect.kind, effect.name, parts, effect.lane, effect.withholder)


def _lane() -> object:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    thread = threading.current_thread()
    main = thread is threading.main_thread()
    return ("main" if main else thread.ident, None if task is None else id(task))


class _EffectWatch:
    """The captures that are active in this process."""

    def __init__(self) -> None:
        self.lock = make_lock()
        self.watching: list[Effects] = []
        self.arranging = 0
        self.depth = 0
        self.patches: Patches | None = None
        self.busy = threading.local()

    def tell(self, kind: str, name: str, make: Callable[[], Parts]) -> list[_Growing]:
        """Record an effect in all captures, except within `arranging` and while recording another."""
        if self.arranging or not self.watching or getattr(self.busy, "now", False) or is_quiet(kind):
            return []
        self.busy.now = True
        try:
            parts = make()
        finally:
            self.busy.now = False
        reader, withholder = find_access_function(), ""
        if reader is not None:
            if kind == "sql" and is_query(text_of(parts.get("statement", ""))):
                kind = "query"
            if reader.access.withhold or reader.access.narrow:
                withholder = reader.access.name
        return [effects.add(kind, name, dict(parts), withholder) for effects in self.watching]


_watch: Final = _EffectWatch()


@contextlib.contextmanager
def captured(*, level: int = logging.DEBUG) -> Generator[Effects]:
    """Return a context manager that captures the effects of its block.

    Log records of `level` and above count, whatever the handlers; not those below a logger's own level, nor those of
    libraries below INFO. Watched are the standard library (logging, http.client, sqlite3, files, subprocess) and, if
    loaded when the block begins, httpx, httpx2, requests, SQLAlchemy, psycopg and duckdb.
    """
    effects = Effects()
    with install_watchers(level=level):
        with _watch.lock:
            _watch.watching.append(effects)
        try:
            yield effects
        finally:
            effects.end()
            with _watch.lock:
                # Compare by identity, because two captures with the same content are equal.
                _watch.watching = [other for other in _watch.watching if other is not effects]


@contextlib.contextmanager
def install_watchers(
    connections: list[sqlite3.Connection] | None = None, *, level: int = logging.DEBUG
) -> Generator[None]:
    """Install what `captured` needs, so that several captures within this block are faster.

    `connections`: the open sqlite3 connections, which are searched for otherwise; later ones are added.
    """
    with _watch.lock:
        _watch.depth += 1
        if _watch.patches is None:
            _watch.patches = patches = Patches()
            try:
                _local_effects.watch(patches, _watch.tell, level)
                _sent_effects.watch(patches, _watch.tell, connections)
            except BaseException:
                _unwatch()
                raise
    try:
        yield
    finally:
        with _watch.lock:
            _unwatch()


def _unwatch() -> None:
    _watch.depth -= 1
    if not _watch.depth and _watch.patches is not None:
        patches, _watch.patches = _watch.patches, None
        patches.close()


@contextlib.contextmanager
def arranging() -> Generator[None]:
    """Return a context manager for set-up whose effects are not captured.

    For example, rows are inserted into a database, or caches are emptied.

    It applies to all threads, since a test client or a pool uses its own.
    """
    with _watch.lock:
        _watch.arranging += 1
    try:
        yield
    finally:
        with _watch.lock:
            _watch.arranging -= 1
