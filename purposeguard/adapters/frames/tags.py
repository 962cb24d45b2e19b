"""Tags of the columns of frames: those that a table of Arrow bears, or those that are given."""

from __future__ import annotations

import functools
from typing import Any, Final

import cachetools

from purposeguard.adapters.frames.kinds import ARROW, SPARK, FrameKind
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Revisions, Tag, columns_of
from purposeguard.errors import UnlabelledData
from purposeguard.locks import make_lock

_KEPT: Final = 1000
"""Tables whose tags are remembered."""


def _itself(columns: Columns) -> Columns:
    return columns


class FrameTags:
    """Reads tags, and remembers them. May be shared by threads."""

    def __init__(self) -> None:
        # Of equal columns always the same object: to compare two takes longer than the rest of a check.
        self._same = functools.lru_cache(_KEPT)(_itself)
        self._of_class = functools.lru_cache(_KEPT)(self._read)
        self._by_names: cachetools.LRUCache[object, tuple[Any, Revisions, Columns]] = cachetools.LRUCache(_KEPT)
        self._lock = make_lock()

    def of(self, kind: FrameKind, frame: Any, tags: object, revisions: Revisions) -> Columns:
        """Returns the tags of a frame's columns. `tags` are those that are given, None where none are.

        Raises:
            UnlabelledData: there are none, or a table of Arrow bears tags that say more.
            TypeError, UnknownSource: as `columns_of`.
        """
        borne = self._borne(frame, revisions) if kind.name == ARROW else None
        if tags is None:
            if borne is not None:
                return borne
            advice = ", or let `purposeguard.adapters.spark` follow where its columns come from" * (kind.name == SPARK)
            raise UnlabelledData(
                f"a frame of {kind.name} bears no tags that could be relied on: give `tags`, a tagged class or a "
                f"mapping of its columns to sources{advice}"
            )
        stated = (self._of_class if isinstance(tags, (type, Columns)) else columns_of)(revisions, tags)
        for name, tag in () if borne is None or borne is stated else borne.items():
            own = stated.get(name)
            if own is not None and not _covers(own, tag):
                raise UnlabelledData(
                    f"`{name}` bears a tag that says more than the one that is given: leave `tags` out, or tag the "
                    "table anew with `purposeguard.adapters.arrow`"
                )
        return stated

    def _read(self, revisions: Revisions, tags: object) -> Columns:
        return self._same(columns_of(revisions, tags))

    def _borne(self, frame: Any, revisions: Revisions) -> Columns:
        from purposeguard.adapters import arrow  # noqa: PLC0415  # there is a table of it

        schema = frame.schema
        key = tuple(schema.names)
        with self._lock:
            entry = self._by_names.get(key)
        # To compare two schemas takes a fifth of the time that it takes to hash one.
        if entry is None or entry[1] is not revisions or not schema.equals(entry[0], check_metadata=True):
            entry = (schema, revisions, self._same(arrow.columns_of(schema, revisions)))
            with self._lock:
                self._by_names[key] = entry
        return entry[2]


def _covers(stated: Tag, borne: Tag) -> bool:
    """True if a tag that is given says at least what the one that a column bears does."""
    sources = borne.label is NOT_PERSONAL or borne.label.sources <= stated.label.sources
    return sources and borne.by_row <= stated.by_row and (borne.mark is None or borne.mark == stated.mark)
