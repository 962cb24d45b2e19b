"""`Frames`, which checks the columns of frames, withholds columns, and keeps the rows that may be used."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final, TypeVar, cast

from purposeguard.adapters import row_values
from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.frames.kinds import FrameKind, find_frame_kind, refuse_odd
from purposeguard.adapters.frames.tags import FrameTags
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.tags import Columns
from purposeguard.containers import exclude
from purposeguard.guard import Guard
from purposeguard.runtime.use import Use

Frame = TypeVar("Frame")

_KIND: Final = "read of a frame"
_TABLE: Final = ""
_MAX_CACHED_DEMANDS: Final = 1000
"""Maximum number of column sets whose demands are cached."""


class Frames:
    """An adapter that holds frames to a guard's notice. Threads may share it.

    The `tags` that methods take are a tagged class whose rows the frame holds, a mapping of its columns to sources, or
    `Columns`. An Arrow table may bear its own tags (see `purposeguard.adapters.arrow`); for any other frame you must
    give them.

    In observe mode no frame is refused or changed. What would have been refused is reported to the observers.
    """

    def __init__(self, guard: Guard) -> None:
        self._decider = Decider(
            guard,
            rows="keep those that may be used first, with `Frames.permitted`",
            columns="leave the column out, as `Frames.withhold` and `Frames.permitted(…, withhold=True)` do",
        )
        self._demand = functools.lru_cache(_MAX_CACHED_DEMANDS)(self._make_demand)
        self._tags = FrameTags(guard.tags)

    def check(self, frame: object, tags: object = None, columns: Iterable[str] | None = None) -> None:
        """Check that the purpose under way may use all columns, or those in `columns`.

        No row is read. Columns whose rows must be decided one by one are refused; use `permitted` for them.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: the purpose may not use a column; `field` names the first one.
            UnlabelledData: a column has no tag, or rows state their own source or subject.
            UnknownSource: a tag belongs to another notice, or to a clause that was removed.
            UnresolvedStatement: two columns have the same name.
            TypeError: `frame` is not a frame of a supported library.
            ValueError: `columns` names a column that the frame lacks.
        """
        kind = find_frame_kind(frame)
        if self._decider.is_observing():
            self._observe(kind, frame, tags, columns, narrowed=False)
            return
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        names = _select_names(kind.list_names(frame), columns)
        self._decider.check_demand(self._demand(tagged, tuple(names), narrowed=False))

    def withhold(self, frame: Frame, tags: object = None) -> Frame:
        """Return the frame without the columns that the purpose under way may not use.

        Raises:
            UnlabelledData: a column has no tag, or rows must be decided one by one. `permitted(…, withhold=True)` does
                both.
            PurposeMissing, UnknownSource, UnresolvedStatement, TypeError: as `check`.
        """
        kind = find_frame_kind(frame)
        if self._decider.is_observing():
            self._observe(kind, frame, tags, narrowed=False)
            return frame
        names = kind.list_names(frame)
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        use = self._current_use(tagged, names)
        if use is None:
            return frame
        remaining = self._list_allowed_columns(use, tagged, names)
        self._check_under(use, self._demand(tagged, tuple(remaining), narrowed=False))
        return frame if len(remaining) == len(names) else kind.settle(frame, kind.select_columns(frame, remaining))

    def permitted(self, frame: Frame, tags: object = None, *, withhold: bool = False) -> Frame:
        """Return the frame with only those rows that the purpose under way may use.

        Rows are selected by their source, by when they were collected, by when their subject's use ended, and by what
        the subject asked for, as far as columns are marked with these facts. The result does not change when subjects
        ask for something later.

        Args:
            frame: The frame.
            tags: The tags of its columns, as described for the class.
            withhold: Also leave out the columns that the purpose may not use, instead of refusing them.

        Raises:
            UnlabelledData: a column has no tag, a marked column is missing, or a row does not state its source.
            UnknownSource: a row states an unknown source; or as `check`. For a lazy frame, the engine raises its own
                error when the frame is read or collected.
            StoreUnavailable: governance cannot say what subjects asked for.
            PurposeMissing, PurposeViolation, UnresolvedStatement, TypeError: as `check`.
        """
        kind = find_frame_kind(frame)
        if self._decider.is_observing():
            self._observe(kind, frame, tags, narrowed=True)
            return frame
        all_columns = kind.list_names(frame)
        tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
        use = self._current_use(tagged, all_columns)
        if use is None:
            return frame
        kept_columns = self._list_allowed_columns(use, tagged, all_columns) if withhold else all_columns
        rule = self._decider.make_row_rule(use, tagged, kept_columns, _TABLE)
        self._check_under(use, self._demand(tagged, tuple(kept_columns), narrowed=True), rule)
        filtered: Any = frame
        if rule is not None:
            for name in rule.columns:
                if name not in all_columns:
                    raise row_values.missing(name)
            # A categorical column may still list the values of dropped rows, so these columns must lose such lists.
            revealing_columns = {name for name, _ in tagged.subjects()}
            for name in all_columns:
                if tagged[name].is_personal:
                    revealing_columns.add(name)
            filtered = kind.filter_rows(frame, rule, revealing_columns)
        if len(kept_columns) < len(all_columns):
            filtered = kind.select_columns(filtered, kept_columns)
        # A frame that is unchanged needs no settling, which may read a lazy one.
        return cast("Frame", frame if filtered is frame else kind.settle(frame, filtered))

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def _make_demand(self, columns: Columns, names: tuple[str, ...], *, narrowed: bool) -> Demand:
        refuse_odd(names)
        self._decider.declare({_TABLE: columns})
        return self._decider.demand({_TABLE: (columns, names)}, {_TABLE} if narrowed else (), kind=_KIND)

    def _current_use(self, columns: Columns, names: Iterable[str]) -> Use[Any] | None:
        """Return the use that decides about the frame, or None if no column is personal."""
        demand = self._demand(columns, tuple(names), narrowed=True)
        if not demand.is_personal:
            return None
        return self._decider.current_use(demand.kind, demand.tables)

    def _check_under(self, use: Use[Any], demand: Demand, rule: RowRule | None = None) -> None:
        if self._decider.engine.observers.read:
            self._decider.report_read(demand.columns)
        self._decider.check_demand_under(use, demand, {_TABLE: rule})

    def _observe(
        self, kind: FrameKind, frame: object, tags: object, requested: Iterable[str] | None = None, *, narrowed: bool
    ) -> None:
        """Report the use of a frame, and what would have been refused."""
        with self._decider.report_unresolved(_KIND):
            tagged = self._tags.of(kind, frame, tags, self._decider.revisions)
            personal = tuple((name, tag.label) for name, tag in tagged.items() if tag.is_personal)
            with self._decider.report_unresolved(_KIND, personal):
                names = _select_names(kind.list_names(frame), requested)
                self._decider.check_demand(self._demand(tagged, tuple(names), narrowed=narrowed))

    def _list_allowed_columns(self, use: Use[Any], columns: Columns, names: Iterable[str]) -> list[str]:
        denied = self._decider.find_denied_columns(use, columns, names, _TABLE)
        return exclude(names, denied)


def _select_names(names: list[str], requested: Iterable[str] | None) -> list[str]:
    """Return the requested names, or all names if none are requested.

    Raises:
        ValueError: a requested name is not among them.
    """
    if requested is None:
        return names
    requested_names = (requested,) if isinstance(requested, str) else tuple(requested)
    present = set(names)
    for name in requested_names:
        if name not in present:
            raise row_values.no_column(name)
    return list(dict.fromkeys(requested_names))
