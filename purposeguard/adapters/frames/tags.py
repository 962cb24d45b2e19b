"""Tags of the columns of frames: those that an Arrow table bears, or those that the caller states."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import cachetools

from purposeguard.adapters.frames.kinds import ARROW, SPARK, FrameKind
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Revisions, Tag, columns_of
from purposeguard.errors import UnlabelledData
from purposeguard.locks import make_lock
from purposeguard.project.tags import TagFile

_MAX_CACHED_TABLES: Final = 1000
"""Maximum number of tables whose tags are cached."""


def _return_unchanged(columns: Columns) -> Columns:
    return columns


class _BorneTags(NamedTuple):
    """The tags that the tables with a schema bear."""

    schema: Any
    revisions: Revisions
    columns: Columns


class FrameTags:
    """A reader of tags with a cache. Threads may share it."""

    def __init__(self, file: TagFile | None = None) -> None:
        """Create a reader. `file` is the file `tags.toml` of the guard, which may tag classes."""
        self._file = file
        # Equal columns are always the same object, because comparing two takes longer than the rest of a check.
        self._same = functools.lru_cache(_MAX_CACHED_TABLES)(_return_unchanged)
        self._of_class = functools.lru_cache(_MAX_CACHED_TABLES)(self._read)
        self._by_names: cachetools.LRUCache[object, _BorneTags] = cachetools.LRUCache(_MAX_CACHED_TABLES)
        self._lock = make_lock()

    def of(self, kind: FrameKind, frame: Any, tags: object, revisions: Revisions) -> Columns:
        """Return the tags of a frame's columns.

        Args:
            kind: The kind of the frame.
            frame: The frame.
            tags: The tags that the caller states, or None to use those that an Arrow table bears.
            revisions: The revisions of the notice that the tags refer to.

        Raises:
            UnlabelledData: there are no tags, or an Arrow table bears tags that the stated tags do not cover.
            TypeError, UnknownSource: as `columns_of`.
        """
        borne = self._read_borne(frame, revisions) if kind.name == ARROW else None
        if tags is None:
            if borne is not None:
                return borne
            advice = ", or let `purposeguard.adapters.spark` follow where its columns come from" * (kind.name == SPARK)
            raise UnlabelledData(
                f"a frame of {kind.name} bears no tags that could be relied on: give `tags`, a tagged class or a "
                f"mapping of its columns to sources{advice}"
            )
        stated_columns = (self._of_class if isinstance(tags, (type, Columns)) else columns_of)(revisions, tags)
        if borne is not None and borne is not stated_columns:
            _require_covered(stated_columns, borne)
        return stated_columns

    def _read(self, revisions: Revisions, tags: object) -> Columns:
        return self._same(columns_of(revisions, tags, self._file))

    def _read_borne(self, frame: Any, revisions: Revisions) -> Columns:
        """Return the tags that an Arrow table bears."""
        from purposeguard.adapters import arrow  # noqa: PLC0415  # only an Arrow table gets here

        schema = frame.schema
        key = tuple(schema.names)
        with self._lock:
            entry = self._by_names.get(key)
        # Comparing two schemas takes a fifth of the time of hashing one.
        if entry is None or entry.revisions is not revisions or not schema.equals(entry.schema, check_metadata=True):
            entry = _BorneTags(schema, revisions, self._same(arrow.columns_of(schema, revisions)))
            with self._lock:
                self._by_names[key] = entry
        return entry.columns


def _require_covered(stated_columns: Columns, borne: Columns) -> None:
    """Raise UnlabelledData if a column bears a tag that its stated tag does not cover."""
    for name, tag in borne.items():
        own = stated_columns.get(name)
        if own is not None and not _covers(own, tag):
            raise UnlabelledData(
                f"`{name}` bears a tag that says more than the one that is given: leave `tags` out, or tag the "
                "table anew with `purposeguard.adapters.arrow`"
            )


def _covers(stated_tag: Tag, borne: Tag) -> bool:
    """Return True if the stated tag says at least as much as the tag that the column bears."""
    sources = borne.label is NOT_PERSONAL or borne.label.sources <= stated_tag.label.sources
    return sources and borne.by_row <= stated_tag.by_row and (borne.mark is None or borne.mark == stated_tag.mark)
