"""Watching guards: a watcher is called with every decision of a guard, as it is made.

A watched guard decides as before, but without its caches, so that each question is seen. A guard that is not watched
runs none of this code. The notice of watched guards can have one cell turned: what a source may serve it may not, or
the reverse.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Generator, Iterable, Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from purposeguard.containers import map_values, pick_keys
from purposeguard.errors import PurposeMissing
from purposeguard.guard import GUARD_LISTENERS, LIVE_GUARDS, Guard
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import JointNotice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source, list_members
from purposeguard.policy.table import MOST_REMEMBERED, PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.current_use import find_current_use
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.observer import Observer
from purposeguard.runtime.registry import Access, Activity

_NOT_PERSONAL: Final = Label(NotPersonal)


class WatchedCell(NamedTuple):
    """One source and one purpose of one revision of a notice, by their clauses."""

    notice: str
    """`trendmicro-jp 2024-04-01`."""
    source: str
    purpose: str

    def __str__(self) -> str:
        return f"({self.source}, {self.purpose})"


def notice_key(notice: Notice) -> str:
    """Return the name of a notice in cells."""
    return f"{notice.id} {notice.revision}"


class CellQuestion(NamedTuple):
    """One decision.

    `used`: data was about to be used; otherwise it was only asked whether it may be. `activity` is None where a guard
    was asked and no use. `answers` are the cells that were consulted, each with its own answer: of a family, the
    members that let the source through or, where none does, all of them. `function` and `field` are the access function
    that reads the data and the field that it lies in, where there is one.
    """

    notice: Notice
    label: Label
    purpose: type[Purpose] | Family
    channel: str | None
    allowed: bool
    used: bool
    activity: Activity | None
    answers: tuple[tuple[WatchedCell, bool], ...]
    function: str | None = None
    field: str | None = None

    @property
    def denied(self) -> tuple[type[Source], ...]:
        """The sources that may not serve the purpose, ordered by clause."""
        clauses = {cell.source for cell, allowed in self.answers if not allowed}
        return tuple(source for source in self.label if source.clause in clauses)


class Watcher:
    """Called with what watched guards do, from any thread. The base class ignores everything."""

    def decided(self, question: CellQuestion) -> None:
        """Handle a decision."""

    def entered(self, activity: Activity, outer: Activity | None) -> None:
        """Handle an activity that runs or resumes within `outer`, or within itself where it reads its permissions."""

    def called(self, access: Access, activity: Activity | None) -> None:
        """Handle a call of an access function by an activity; its decision follows."""

    def refused(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Handle a use that is refused, or only observed."""

    def made(self, guard: Guard) -> None:
        """Handle a new guard; called only for watchers of all guards."""


class _Everywhere:
    """The watchers of all guards, the observers of watched guards, and the turned cell."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self.observers: weakref.WeakKeyDictionary[Guard, _Observer] = weakref.WeakKeyDictionary()
        self.flip: WatchedCell | None = None
        self.lock = make_lock()


class _Observer(Observer):
    """The observer of one guard's engine, which calls the watchers."""

    def __init__(self, engine: Engine) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self._engine = weakref.ref(engine)  # which holds this
        self._matrix: PolicyTable | None = None
        self._answers: dict[object, tuple[tuple[WatchedCell, bool], ...]] = {}

    @property
    def _active(self) -> tuple[Watcher, ...]:
        """The watchers to call."""
        return _everywhere.watchers + self.watchers

    def decided(
        self, verdict: Verdict, *, used: bool, activity: Activity | None, access: Access | None, field: str | None
    ) -> None:
        watchers = self._active
        if not watchers or verdict.label is _NOT_PERSONAL:
            return
        asked = CellQuestion(
            verdict.matrix.notice,
            verdict.label,
            verdict.purpose,
            verdict.channel,
            verdict.allowed,
            used,
            activity,
            self._cells(verdict),
            None if access is None else access.name,
            field,
        )
        for watcher in watchers:
            watcher.decided(asked)

    def _cells(self, verdict: Verdict) -> tuple[tuple[WatchedCell, bool], ...]:
        answers = self._answers
        if verdict.matrix is not self._matrix:
            self._matrix, self._answers = verdict.matrix, (answers := {})
        cells = answers.get(verdict)
        if cells is None:
            cells = tuple(_cells(verdict))
            if len(answers) < MOST_REMEMBERED:
                answers[verdict] = cells
        return cells

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        for watcher in self._active:
            watcher.refused(error, observed=observed)

    def entered(self, activity: Activity) -> None:
        for watcher in self._active:
            watcher.entered(activity, self._find_activity())

    def called(self, access: Access) -> None:
        for watcher in self._active:
            watcher.called(access, self._find_activity())

    def _find_activity(self) -> Activity | None:
        """Return the activity that runs here."""
        engine = self._engine()
        use = find_current_use(engine) if engine is not None else None
        return use.activity if use is not None else None

    def replaced(self) -> None:
        self.turn()

    def turn(self) -> None:
        """Put the matrix with the turned cell, or the original one, into the engine."""
        engine = self._engine()
        if engine is not None:
            cell = _everywhere.flip
            matrix = engine.table if cell is None else flip_cell(engine.table, cell)
            if matrix is not engine.snapshot.matrix:
                engine.install_table(matrix)


def _cells(verdict: Verdict) -> Iterator[tuple[WatchedCell, bool]]:
    """Yield the cells that a verdict consulted, each with its own answer."""
    matrix, purpose = verdict.matrix, verdict.purpose
    notice = notice_key(matrix.notice)
    members = list_members(purpose)
    for source in verdict.label:
        if source is NotPersonal:
            continue
        row = matrix.row_for(Label(source), verdict.channel, verdict.context)
        granted = [] if verdict.closed else list(filter(row.__contains__, members))
        clause = matrix.current_source(source).clause
        for member in granted or members:
            yield WatchedCell(notice, clause, member.clause), bool(granted)


_everywhere: Final = _Everywhere()


def _observe(guard: Guard) -> _Observer:
    observer = _everywhere.observers.get(guard)
    if observer is None:
        observer = _everywhere.observers[guard] = _Observer(guard.engine)
        guard.engine.add_observer(observer)
        observer.turn()
    return observer


def _leave(guard: Guard) -> None:
    """Remove the observer of a guard without watchers."""
    observer = _everywhere.observers.get(guard)
    if observer is not None and not observer.watchers and not _everywhere.watchers:
        del _everywhere.observers[guard]
        guard.engine.remove_observer(observer)


@contextlib.contextmanager
def watching(watcher: Watcher, guard: Guard | None = None) -> Generator[None, None, None]:
    """Return a context manager: a block in which a watcher sees one guard, or all guards, new ones included."""
    if guard is None:
        watch_all(watcher)
        try:
            yield
        finally:
            leave_all(watcher)
        return
    with _everywhere.lock:
        observer = _observe(guard)
        observer.watchers = (*observer.watchers, watcher)
    try:
        yield
    finally:
        with _everywhere.lock:
            observer.watchers = _remove(watcher, observer.watchers)
            _leave(guard)


def _remove(watcher: Watcher, watchers: Iterable[Watcher]) -> tuple[Watcher, ...]:
    return tuple(each for each in watchers if each is not watcher)


def watch_all(watcher: Watcher) -> None:
    """Add a watcher of all guards, existing and future ones."""
    with _everywhere.lock:
        _everywhere.watchers = (*_everywhere.watchers, watcher)
        if len(_everywhere.watchers) == 1:
            GUARD_LISTENERS.append(_notify_made)
            for guard in _of_one_notice(LIVE_GUARDS):
                _observe(guard)


def _of_one_notice(guards: Iterable[Guard]) -> list[Guard]:
    """Return the guards of a single notice. Guards over several notices are not watched."""
    return [guard for guard in list(guards) if not isinstance(guard.notice, JointNotice)]


def _notify_made(guard: Guard) -> None:
    if not _of_one_notice([guard]):
        return
    with _everywhere.lock:
        _observe(guard)
        watchers = _everywhere.watchers
    for watcher in watchers:
        watcher.made(guard)


def leave_all(watcher: Watcher) -> None:
    """Remove a watcher of all guards; after the last one, guards are no longer observed."""
    with _everywhere.lock:
        _everywhere.watchers = _remove(watcher, _everywhere.watchers)
        if not _everywhere.watchers and _notify_made in GUARD_LISTENERS:
            GUARD_LISTENERS.remove(_notify_made)
            for guard in list(_everywhere.observers):
                _leave(guard)


def list_watched_guards() -> tuple[Guard, ...]:
    """Return the watched guards."""
    return tuple(_everywhere.observers)


def is_granted(cell: WatchedCell) -> bool:
    """Return True if the notice of a watched guard grants a cell."""
    for guard in list_watched_guards():
        notice = guard.notice
        if notice_key(notice) == cell.notice:
            source, purpose = _find_terms(notice, cell)
            return source is not None and purpose in notice.grants[source]
    return False


def _find_terms(notice: Notice, cell: WatchedCell) -> tuple[type[Source] | None, type[Purpose] | None]:
    """Return the source and the purpose of a cell; None for one that the notice does not have."""
    source = next((source for source in notice.sources if source.clause == cell.source), None)
    purpose = next((purpose for purpose in notice.purposes if purpose.clause == cell.purpose), None)
    return source, purpose


def turn(cell: WatchedCell | None) -> None:
    """Turn one cell in all watched guards, future ones included; None restores all."""
    with _everywhere.lock:
        _everywhere.flip = cell
        for observer in list(_everywhere.observers.values()):
            observer.turn()


# ---- A table in which one cell is turned -------------------------------------------------------------------------


def flip_cell(matrix: PolicyTable, cell: WatchedCell) -> PolicyTable:
    """Return the matrix with one cell turned, and its consequences; the matrix itself if it lacks the cell.

    A parent serves what all of its items may, so it follows its items; an overlay never serves more than what it
    narrows; families follow their members. A parent's own cell is turned for data that is labelled with it, and its
    items stay.
    """
    notice = matrix.notice
    source, purpose = _find_terms(notice, cell)
    if source is None or purpose is None or notice_key(notice) != cell.notice:
        return matrix
    granted = purpose not in notice.grants[source]
    grants: dict[type[Source], dict[type[Purpose], str]] = map_values(dict, notice.grants)
    clause = _find_grant(notice, purpose) or purpose.clause
    _turn(notice, grants[source], purpose, clause if granted else None)
    if not granted:
        for row in notice.document.overlay:
            if row.source == source.clause:
                _turn(notice, grants[notice.source(row.id)], purpose, None)
    below = source
    while (above := _find_parent(matrix, below)) is not None:
        every = all(purpose in grants[item] for item in matrix.children[above])
        may = every and (above.clause, purpose.clause) not in notice.prohibited
        _turn(notice, grants[above], purpose, clause if may else None)
        below = above
    return PolicyTable(_granting(notice, grants), matrix, matrix.history, prefix=matrix.prefix)


def _turn(notice: Notice, row: dict[type[Purpose], str], purpose: type[Purpose], clause: str | None) -> None:
    """Grant a purpose by this clause, or with None revoke it. Keep the notice's order."""
    grants = dict(row)
    if clause is None:
        grants.pop(purpose, None)
    else:
        grants.setdefault(purpose, clause)
    row.clear()
    row |= pick_keys(grants, notice.purposes)


def _find_grant(notice: Notice, purpose: type[Purpose]) -> str | None:
    """Return the clause that grants a purpose; None if no source may serve it."""
    for grants in notice.grants.values():
        if purpose in grants:
            return grants[purpose]
    return None


def _find_parent(matrix: PolicyTable, source: type[Source]) -> type[Source] | None:
    for parent, items in matrix.children.items():
        if source in items:
            return parent
    return None


def _granting(notice: Notice, grants: dict[type[Source], dict[type[Purpose], str]]) -> Notice:
    other = object.__new__(Notice)
    other._fill(**{name: getattr(notice, name) for name in Notice.__slots__ if name != "grants"})
    other._fill(grants=MappingProxyType(map_values(MappingProxyType, grants)))
    return other
