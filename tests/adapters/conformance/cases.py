"""The cases of the conformance suite, read from `tests/conformance`, and the guard that each is asked of."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from purposeguard import Guard, History, Label, Notice, NotPersonal
from purposeguard.adapters.tags import Columns, Tag
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.row_context import subject_key
from purposeguard.values.markers import Collected, Ended, Mark, RowSource, Subject
from tests.oversights import Told

FOLDER = Path(__file__).resolve().parents[2] / "conformance"
THEMES = ("columns", "statements", "rows", "subjects", "time", "writes", "bad")
NOW = datetime.datetime(2025, 6, 1, 3, tzinfo=datetime.UTC)
MARKS: Mapping[str, Mark] = {"source": RowSource, "collected": Collected, "ended": Ended}

Op = Literal["check", "withhold", "permitted", "permitted-withhold", "write", "write-narrowed"]
Row = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """A column: its type, and how it is tagged; `metadata` is a tag as a text that travels with the data."""

    name: str
    type: str
    tag: Any
    metadata: str | None

    def read(self, value: Any) -> Any:
        """A value of this column, from its JSON form."""
        if value is None or self.type not in ("date", "timestamp"):
            return value
        if self.type == "date":
            return datetime.date.fromisoformat(value)
        return datetime.datetime.fromisoformat(value)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its rows."""

    name: str
    columns: tuple[TableColumn, ...]
    rows: tuple[Row, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def has_metadata(self) -> bool:
        return any(column.metadata is not None for column in self.columns)

    def tags(self, revisions: History) -> Columns:
        """The tags of its columns; a column without one is left out."""
        told = {one.name: one.tag for one in self.columns if one.tag is not None}
        return Columns({name: _tag(revisions, given) for name, given in told.items()})


@dataclasses.dataclass(frozen=True)
class Case:
    """One case; `theme` is the file that it stands in."""

    theme: str
    name: str
    given: Mapping[str, Any]
    tables: tuple[Table, ...]

    @property
    def op(self) -> Op:
        op: Op = self.given.get("op", "check")
        return op

    @property
    def frame(self) -> list[dict[str, Any]] | None:
        frame: list[dict[str, Any]] | None = self.given.get("frame")
        return frame

    @property
    def views(self) -> dict[str, str]:
        views: dict[str, str] = self.given.get("views", {})
        return views

    @property
    def expect(self) -> Mapping[str, Any]:
        expect: Mapping[str, Any] = self.given["expect"]
        return expect

    @property
    def refused(self) -> str | None:
        refused: str | None = self.expect.get("refused")
        return refused

    @property
    def purpose(self) -> str | None:
        purpose: str | None = self.given["purpose"]
        return purpose

    @property
    def channel(self) -> str | None:
        channel: str | None = self.given.get("channel")
        return channel

    @property
    def runs(self) -> bool:
        """Whether it is to be run, and not only decided."""
        return bool(self.given.get("run", True))

    @property
    def id(self) -> str:
        return f"{self.theme}: {self.name}"

    def table(self, name: str) -> Table:
        return next(one for one in self.tables if one.name == name)

    def sql(self, dialect: str) -> str | None:
        """The statement, in a dialect; None where the case has none."""
        sql: str | None = self.given.get("sql_of", {}).get(dialect, self.given.get("sql"))
        return sql

    def cannot(self, *names: str) -> str | None:
        """Why it cannot be expressed by an engine of these names; None where it can."""
        only = self.given.get("only")
        if only is not None and not set(only) & set(names):
            return f"is of {', '.join(only)} alone"
        return next((why for name, why in self.given.get("not", {}).items() if name in names), None)

    @property
    def now(self) -> datetime.datetime:
        """The moment at which it is asked."""
        return datetime.datetime.fromisoformat(self.given["now"]) if "now" in self.given else NOW

    # ---- the guard --------------------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        return history(self.given.get("notice", "trendmicro-jp"))

    def guard(self) -> Guard:
        """A guard that knows what the case says that it knows."""
        now = self.now
        asked = self.given.get("subjects")
        oversight = None
        if asked is not None:
            all_preferences = {subject_key(one["subject"]): preferences(one) for one in asked}
            oversight = Told(all_preferences, requires_subject=self.given.get("requires_subject", False))
        mode: Any = self.given.get("mode", "enforce")
        return Guard(self.history, mode=mode, governance=oversight, clock=lambda: now)

    def tags(self, table: str) -> Columns:
        return self.table(table).tags(self.history)


def preferences(given: Mapping[str, Any]) -> SubjectPreferences:
    """How things stand for a subject, as a case says it."""
    restricted = given.get("restricted", [])
    return SubjectPreferences(
        suspended=frozenset() if restricted == "all" else frozenset(restricted),
        all_suspended=restricted == "all",
        erased=given.get("erased", False),
        provision_stopped=given.get("provision_stopped", False),
        consents=frozenset(
            (purpose, datetime.date.fromisoformat(revision)) for purpose, revision in given.get("consents", ())
        ),
    )


def _tag(revisions: History, given: Any) -> Tag:
    if isinstance(given, (str, list)):
        given = {"sources": [given] if isinstance(given, str) else given}
    notice = revisions.latest
    if "revision" in given:
        revision = datetime.date.fromisoformat(given["revision"])
        notice = next((one for one in revisions if one.revision == revision), notice_of(given["revision"]))
    sources = [NotPersonal if one == NotPersonal.clause else notice.source(one) for one in given.get("sources", ())]
    mark = MARKS.get(given.get("mark", ""))
    if given.get("mark") == "subject":
        mark = Subject(given["realm"]) if "realm" in given else Subject
    return Tag(Label(*(sources or [NotPersonal])), by_row=given.get("by_row", False), mark=mark)


# ---- the files -----------------------------------------------------------------------------------------------------


def loaded(name: str) -> dict[str, Any]:
    """A file of the suite."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


@functools.cache
def _common() -> dict[str, Any]:
    return loaded("common")


@functools.cache
def history(name: str) -> History:
    """The revisions of a notice by the name that the suite has for it."""
    given = _common()["notices"][name]
    if "bundled" in given:
        return History(Notice.bundled(given["bundled"]))
    return History(*(_revision(one) for one in given["revisions"]))


@functools.cache
def _revision(name: str) -> Notice:
    return Notice.parse(_common()["revisions"][name])


def notice_of(day: str) -> Notice:
    """The revision of that day, of the notice that has several."""
    name = next(name for name, given in _common()["revisions"].items() if given["revision"] == day)
    return _revision(name)


def table_of(name: str, given: Mapping[str, Any]) -> Table:
    """A table from its JSON form."""
    columns = tuple(
        TableColumn(one["name"], one["type"], one.get("tag"), one.get("metadata")) for one in given["columns"]
    )
    rows = tuple(tuple(column.read(one) for column, one in zip(columns, row, strict=True)) for row in given["rows"])
    return Table(name, columns, rows)


@functools.cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of the files."""
    found: list[Case] = []
    for theme in THEMES:
        read = loaded(theme)
        shared = {**_common()["tables"], **read.get("tables", {})}
        for given in read["cases"]:
            named = given["tables"]
            own = {name: shared[name] for name in named} if isinstance(named, Sequence) else named
            tables = tuple(table_of(name, one) for name, one in own.items())
            found.append(Case(theme, given["name"], given, tables))
    return tuple(found)
