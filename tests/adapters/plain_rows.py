"""The words of an engine of a few lines: expressions are functions of a row. What real engines are compared with."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from purposeguard import Notice
from purposeguard.adapters.row_rule import KeySet, id_meant
from purposeguard.policy.row_context import subject_key

Test = Callable[[Any], bool]


class PlainRows:
    """Expressions over rows that are mappings."""

    def __init__(self, notice: Notice) -> None:
        self.notice = notice

    def constant(self, *, value: bool) -> Test:
        return lambda row: value

    def all_of(self, parts: Sequence[Test], /) -> Test:
        assert len(parts) > 1
        return lambda row: all(part(row) for part in parts)

    def any_of(self, parts: Sequence[Test], /) -> Test:
        assert len(parts) > 1
        return lambda row: any(part(row) for part in parts)

    def negate(self, part: Test, /) -> Test:
        return lambda row: not part(row)

    def absent(self, column: str, /) -> Test:
        return lambda row: row[column] is None

    def source_in(self, column: str, clauses: frozenset[str], /) -> Test:
        return lambda row: id_meant(self.notice, row[column]) in clauses

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /) -> Test:
        def within(row: Any) -> bool:
            day = row[column]
            if day is None:
                return False
            if isinstance(day, datetime.datetime):
                day = day.astimezone(ZoneInfo(timezone)).date()
            return (since is None or since <= day) and (before is None or day < before)

        return within

    def subject_in(self, column: str, keys: KeySet, /) -> Test:
        held = frozenset(keys.keys)
        return lambda row: row[column] is not None and subject_key(row[column]) in held
