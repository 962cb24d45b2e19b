"""`Frames`: what a guard says of a frame."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, TypeVar, cast

import cachetools

from purposeguard.adapters import tags as told
from purposeguard.adapters.deciding import Decider, Demand
from purposeguard.adapters.frames.kinds import ARROW, SPARK, Kind, kind_of, refuse_odd
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag
from purposeguard.adapters.words import values
from purposeguard.errors import UnlabelledData
from purposeguard.guard import Guard
from purposeguard.locks import new_lock
from purposeguard.notice.history import History
from purposeguard.runtime.use import Use, present

Frame = TypeVar("Frame")

_WHAT: Final = "a frame was read"
_TABLE: Final = ""
_NARROWED: Final = frozenset({_TABLE})
_KEPT: Final = 1000
"""Sets of columns whose demands are remembered."""


class Frames:
    """What a guard says of frames. From any thread.

    `tags` are a tagged class whose rows the frame has, a mapping of its columns to sources, or `Columns`. A table of
    Arrow may bear its own (see `purposeguard.adapters.arrow`); of any other frame they are given.
    """

    def __init__(self, guard: Guard) -> None:
        self._decider = Decider(
            guard,
            rows="keep those that may be used first, with `Frames.permitted`",
            columns="leave the column out, as `Frames.withhold` and `Frames.permitted(…, withhold=True)` do",
        )
        self._demands: cachetools.LRUCache[object, Demand] = cachetools.LRUCache(_KEPT)
        self._classes: weakref.WeakKeyDictionary[type, tuple[History, Columns]] = weakref.WeakKeyDictionary()
        # Of equal ones always the same, since to compare two of them takes longer than all the rest.
        self._same: cachetools.LRUCache[Columns, Columns] = cachetools.LRUCache(_KEPT)
        self._given: cachetools.LRUCache[Columns, tuple[History, Columns]] = cachetools.LRUCache(_KEPT)
        self._borne: cachetools.LRUCache[object, tuple[Any, History, Columns]] = cachetools.LRUCache(_KEPT)
        self._lock = new_lock()

    def check(self, frame: object, tags: object = None, columns: Iterable[str] | None = None) -> None:
        """Nothing where the purpose under way may use the columns: all of them, or those named.

        No row is looked at. Where rows are decided one by one, the columns are refused: see `permitted`.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: it may not; `field` names the first column that it may not use.
            UnlabelledData: a column carries no tag; or rows say where they are from, or whose.
            UnknownSource: a tag is of another notice, or of a clause that is gone.
            UnresolvedStatement: two columns have one name.
            TypeError: it is no frame that is known here.
            ValueError: there is no column of such a name.
        """
        kind = kind_of(frame)
        names = kind.names(frame)
        known = self._columns(kind, frame, tags)
        if columns is not None:
            given = (columns,) if isinstance(columns, str) else tuple(columns)
            held = set(names)
            for one in given:
                if one not in held:
                    raise values.no_column(one)
            names = list(dict.fromkeys(given))
        self._decider.meet(self._demand(known, tuple(names), narrowed=False), _WHAT)

    def withhold(self, frame: Frame, tags: object = None) -> Frame:
        """The frame without the columns that the purpose under way may not use.

        Raises:
            UnlabelledData: likewise where rows are decided one by one: `permitted(…, withhold=True)` does both.
            PurposeMissing, UnknownSource, UnresolvedStatement, TypeError: as `check`.
        """
        kind = kind_of(frame)
        names = kind.names(frame)
        known = self._columns(kind, frame, tags)
        use = self._use(known, names)
        if use is None:
            return frame
        kept = self._left(use, known, names)
        self._decider.meet_under(use, self._demand(known, tuple(kept), narrowed=False))
        return frame if len(kept) == len(names) else kind.settled(frame, kind.selected(frame, kept))

    def permitted(self, frame: Frame, tags: object = None, *, withhold: bool = False) -> Frame:
        """The rows of a frame that the purpose under way may use; with `withhold`, without the columns that it may not.

        Rows are chosen by their sources, by when they were collected and their subjects' use ended, and by what those
        asked for, as far as columns are marked to say it. What subjects ask for later does not reach the frame.

        Raises:
            UnlabelledData: a column carries no tag, one that is marked is not there, or a row does not say its source.
            UnknownSource: a row names a source that means nothing; or as `check`. Of a lazy frame, whatever its engine
                raises for either when it is read, or carried out.
            StoreUnavailable: governance cannot tell what subjects asked for.
            PurposeMissing, PurposeViolation, UnresolvedStatement, TypeError: as `check`.
        """
        kind = kind_of(frame)
        names = kind.names(frame)
        known = self._columns(kind, frame, tags)
        use = self._use(known, names)
        if use is None:
            return frame
        kept = self._left(use, known, names) if withhold else names
        rule = self._decider.rule(use, known, kept, _TABLE)
        self._decider.meet_under(use, self._demand(known, tuple(kept), narrowed=True), {_TABLE: rule})
        found: Any = frame
        if rule is not None:
            held = set(names)
            for one in rule.columns:
                if one not in held:
                    raise values.missing(one)
            subjects = {name for name, _ in known.subjects()}
            telling = {name for name in names if name in subjects or known[name].is_personal}
            found = kind.filtered(frame, rule, telling)
        if len(kept) < len(names):
            found = kind.selected(found, kept)
        return cast("Frame", frame if found is frame else kind.settled(frame, found))

    # ---- tags --------------------------------------------------------------------------------------------------------

    def _columns(self, kind: Kind, frame: Any, tags: object) -> Columns:
        revisions = self._decider.revisions
        borne = self._columns_borne(frame, revisions) if kind.name == ARROW else None
        if tags is None:
            if borne is not None:
                return borne
            advice = ", or let `purposeguard.adapters.spark` follow where its columns come from" * (kind.name == SPARK)
            raise UnlabelledData(
                f"a frame of {kind.name} bears no tags that could be relied on: give `tags`, a tagged class or a "
                f"mapping of its columns to sources{advice}"
            )
        given = self._columns_given(tags, revisions)
        for name, tag in () if borne is None or borne is given else borne.items():
            own = given.get(name)
            if own is not None and not _covers(own, tag):
                raise UnlabelledData(
                    f"`{name}` bears a tag that says more than the one that is given: leave `tags` out, or tag the "
                    "table anew with `purposeguard.adapters.arrow`"
                )
        return given

    def _columns_given(self, tags: object, revisions: History) -> Columns:
        if not isinstance(tags, (type, Columns)):
            return told.columns_of(revisions, tags)
        kept = cast(
            "MutableMapping[object, tuple[History, Columns]]", self._classes if isinstance(tags, type) else self._given
        )
        with self._lock:
            held = kept.get(tags)
        if held is None or held[0] is not revisions:
            found = told.columns_of(revisions, tags)
            with self._lock:
                held = kept[tags] = (revisions, self._same.setdefault(found, found))
        return held[1]

    def _columns_borne(self, frame: Any, revisions: History) -> Columns:
        from purposeguard.adapters import arrow  # noqa: PLC0415  # there is a table of it

        schema = frame.schema
        key = tuple(schema.names)
        with self._lock:
            held = self._borne.get(key)
        # To compare two schemas takes a fifth of the time that it takes to hash one.
        if held is None or held[1] is not revisions or not schema.equals(held[0], check_metadata=True):
            found = arrow.columns_of(schema, revisions)
            with self._lock:
                held = self._borne[key] = (schema, revisions, self._same.setdefault(found, found))
        return held[2]

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def _demand(self, columns: Columns, names: tuple[str, ...], *, narrowed: bool) -> Demand:
        key = (columns, names, narrowed)
        with self._lock:
            found = self._demands.get(key)
        if found is None:
            refuse_odd(names)
            found = self._decider.demand({_TABLE: (columns, names)}, _NARROWED if narrowed else frozenset[str]())
            with self._lock:
                self._demands[key] = found
        return found

    def _use(self, columns: Columns, names: Iterable[str]) -> Use[Any] | None:
        """The use that decides; None where all stays as it is: nothing is personal, or it is only observed."""
        demand = self._demand(columns, tuple(names), narrowed=True)
        use = present(self._decider.engine, _WHAT) if demand.is_personal else None
        if use is not None and use.activity.observing:
            self._decider.meet_under(use, demand)
            return None
        return use

    def _left(self, use: Use[Any], columns: Columns, names: Iterable[str]) -> list[str]:
        denied = self._decider.denied(use, columns, names, _TABLE)
        return [name for name in names if name not in denied]


def _covers(given: Tag, borne: Tag) -> bool:
    """Whether a tag that is given says at least what the one that a column bears does."""
    sources = borne.label is NOT_PERSONAL or borne.label.sources <= given.label.sources
    return sources and borne.by_row <= given.by_row and (borne.mark is None or borne.mark == given.mark)
