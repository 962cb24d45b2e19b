"""`Frames`: checks the columns of frames, withholds columns, and keeps the rows that may be used."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final, TypeVar, cast

from purposeguard.adapters import row_values
from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.frames.kinds import find_frame_kind, refuse_odd
from purposeguard.adapters.frames.tags import FrameTags
from purposeguard.adapters.tags import Columns
from purposeguard.guard import Guard
from purposeguard.runtime.use import Use

Frame = TypeVar("Frame")

_KIND: Final = "read of a frame"
_TABLE: Final = ""
_KEPT: Final = 1000
"""Sets of columns whose demands are remembered."""


class Frames:
    """Holds frames to a guard's notice. May be shared by threads.

    `tags` are a tagged class whose rows the frame has, a mapping of its columns to sources, or `Columns`. A table of
    Arrow may bear its own (see `purposeguard.adapters.arrow`); of any other frame they are given.
    """

    def __init__(self, guard: Guard) -> None:
        self._decider = Decider(
            guard,
            rows="keep those that may be used first, with `Frames.permitted`",
            columns="leave the column out, as `Frames.withhold` and `Frames.permitted(…, withhold=True)` do",
        )
        self._demand = functools.lru_cache(_KEPT)(self._demand_of)
        self._tags = FrameTags()

    def check(self, frame: object, tags: object = None, columns: Iterable[str] | None = None) -> None:
        """Checks that the purpose under way may use the columns: all of them, or those named.

        No row is looked at. Where rows are decided one by one, the columns are refused: see `permitted`.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: it may not; `field` names the first column that it may not use.
            UnlabelledData: a column carries no tag; or rows say where they are from, or whose.
            UnknownSource: a tag is of another notice, or of a clause that is gone.
            UnresolvedStatement: two columns have one name.
            TypeError: it is no frame of a library that is known here.
            ValueError: there is no column of such a name.
        """
        kind = find_frame_kind(frame)
        names = kind.names(frame)
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        if columns is not None:
            named = (columns,) if isinstance(columns, str) else tuple(columns)
            present = set(names)
            for name in named:
                if name not in present:
                    raise row_values.no_column(name)
            names = list(dict.fromkeys(named))
        self._decider.check_demand(self._demand(tagged, tuple(names), narrowed=False))

    def withhold(self, frame: Frame, tags: object = None) -> Frame:
        """The frame without the columns that the purpose under way may not use.

        Raises:
            UnlabelledData: likewise where rows are decided one by one: `permitted(…, withhold=True)` does both.
            PurposeMissing, UnknownSource, UnresolvedStatement, TypeError: as `check`.
        """
        kind = find_frame_kind(frame)
        names = kind.names(frame)
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        use = self._use(tagged, names)
        if use is None:
            return frame
        left = self._list_remaining(use, tagged, names)
        self._decider.check_demand_under(use, self._demand(tagged, tuple(left), narrowed=False))
        return frame if len(left) == len(names) else kind.settled(frame, kind.selected(frame, left))

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
        kind = find_frame_kind(frame)
        names = kind.names(frame)
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        use = self._use(tagged, names)
        if use is None:
            return frame
        used = self._list_remaining(use, tagged, names) if withhold else names
        rule = self._decider.make_row_rule(use, tagged, used, _TABLE)
        self._decider.check_demand_under(use, self._demand(tagged, tuple(used), narrowed=True), {_TABLE: rule})
        left: Any = frame
        if rule is not None:
            for name in rule.columns:
                if name not in names:
                    raise row_values.missing(name)
            subjects = {name for name, _ in tagged.subjects()}
            telling = {name for name in names if name in subjects or tagged[name].is_personal}
            left = kind.filtered(frame, rule, telling)
        if len(used) < len(names):
            left = kind.selected(left, used)
        return cast("Frame", frame if left is frame else kind.settled(frame, left))

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def _demand_of(self, columns: Columns, names: tuple[str, ...], *, narrowed: bool) -> Demand:
        refuse_odd(names)
        self._decider.declare({_TABLE: columns})
        return self._decider.demand({_TABLE: (columns, names)}, {_TABLE} if narrowed else (), kind=_KIND)

    def _use(self, columns: Columns, names: Iterable[str]) -> Use[Any] | None:
        """The use that decides; None where all stays as it is: nothing is personal, or it is only observed."""
        demand = self._demand(columns, tuple(names), narrowed=True)
        use = self._decider.current_use(demand.kind, demand.tables) if demand.is_personal else None
        if use is not None and use.activity.observing:
            self._decider.check_demand_under(use, demand)
            return None
        return use

    def _list_remaining(self, use: Use[Any], columns: Columns, names: Iterable[str]) -> list[str]:
        denied = self._decider.find_denied_columns(use, columns, names, _TABLE)
        return [name for name in names if name not in denied]
