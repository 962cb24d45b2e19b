"""The comparison of a run of tests with the report that an earlier run wrote as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

FORMAT: Final = 2
"""The format of the JSON report."""


class ReportError(Exception):
    """A file is no report that can be compared."""


class _ReportedActivity(BaseModel):
    notice: str
    activity: str
    purpose: str
    channels: list[str | None]
    ran: int
    used: dict[str, int]


class _Report(BaseModel):
    activities: list[_ReportedActivity]


@dataclasses.dataclass
class _Summary:
    """The evidence about one activity, added up."""

    purposes: set[str] = dataclasses.field(default_factory=set)
    used: set[str] = dataclasses.field(default_factory=set)
    ran: bool = False


class Change(NamedTuple):
    """A difference between two runs.

    `matters` is True if a purpose or channel has changed, or if an activity that ran before uses another source.
    """

    activity: str
    change: str
    matters: bool


class Comparison:
    """The changes since a previous report."""

    def __init__(self, path: str, before: list[_ReportedActivity], tables: dict[str, Any]) -> None:
        """Compare the activities of a report with those of `tables`, which is the report as JSON values."""
        self.path: Final = path
        self.title: Final = f"changes since {path} (! marks those that fail the run)"
        self.changes: Final = list(_compare(_summarize(before), _summarize(_Report(**tables).activities)))

    @property
    def failure(self) -> str | None:
        """A sentence on the changes that matter, and how to accept them. None if there are none."""
        count = sum(change.matters for change in self.changes)
        if not count:
            return None
        return (
            f"FAIL: purposes, channels or sources changed since {self.path}: {count} (!). "
            f"To accept the changes, write the report anew: pytest --purposeguard-json={self.path}"
        )

    def lines(self) -> Iterator[str]:
        """Yield the changes, those that matter first."""
        for change in sorted(self.changes, key=lambda change: not change.matters):
            yield f"{'!' if change.matters else ' '} {change.activity}: {change.change}"
        if not self.changes:
            yield "  none"

    def tables(self) -> list[dict[str, Any]]:
        """Return the changes as JSON values."""
        return [change._asdict() for change in self.changes]


def read_report(folder: Path, path: str) -> list[_ReportedActivity]:
    """Return the activities of a report.

    Raises:
        ReportError: There is no such file, or no report of this format in it.
    """
    write = f"write it anew: pytest --purposeguard-json={path}"
    try:
        tables = json.loads((folder / path).read_text("utf-8"))
        if isinstance(tables, dict) and isinstance(tables.get("format"), int) and tables["format"] != FORMAT:
            raise ReportError(f"{path} has format {tables['format']}, and only format {FORMAT} is compared; {write}")
        return _Report.model_validate(tables).activities
    except FileNotFoundError:
        raise ReportError(f"there is no report at {path}; {write}") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, ValidationError):
        raise ReportError(f"{path} holds no report of purposeguard; {write}") from None


def _summarize(rows: Iterable[_ReportedActivity]) -> dict[tuple[str, str], _Summary]:
    """Return what the rows say of each activity, by the id of its notice, whatever its revision, and its name."""
    summaries: dict[tuple[str, str], _Summary] = {}
    for row in rows:
        summary = summaries.setdefault((row.activity, row.notice.partition(" ")[0]), _Summary())
        for channel in row.channels:  # There are none where a member of the activity's family was asked for.
            summary.purposes.add(row.purpose if channel is None else f"{row.purpose} by {channel}")
        summary.used |= row.used.keys()
        summary.ran = summary.ran or row.ran > 0
    return summaries


def _compare(before: dict[tuple[str, str], _Summary], now: dict[tuple[str, str], _Summary]) -> Iterator[Change]:
    for key in sorted(before.keys() | now.keys()):
        name, _ = key
        if key not in now:
            yield Change(name, "gone", matters=False)
        elif key not in before:
            use = f"uses {_join(now[key].used)}" if now[key].used else "uses nothing"
            yield Change(name, f"new, for {_join(now[key].purposes)}; {use}", matters=False)
        else:
            yield from _compare_activity(name, before[key], now[key])


def _compare_activity(name: str, before: _Summary, now: _Summary) -> Iterator[Change]:
    if before.purposes != now.purposes:
        yield Change(name, f"for {_join(now.purposes)}, was for {_join(before.purposes)}", matters=True)
    added, removed = now.used - before.used, before.used - now.used
    if added:
        first = "" if before.ran else "; it had never run"
        yield Change(name, f"uses {_join(added)}, which it did not{first}", matters=before.ran)
    if removed:
        never = "" if now.ran else "; it never ran"
        yield Change(name, f"no longer uses {_join(removed)}{never}", matters=False)


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
