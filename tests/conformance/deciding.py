"""The cases of `decisions.json`, and what is asked of them: a guard, the compiled table, the specification, Cedar."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from purposeguard import Family, Guard, History, Label, Notice, RowContext
from purposeguard.policy.context import Context, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from tests.oversights import Told

PATH = Path(__file__).parent / "decisions.json"
TODAY = datetime.date(2026, 6, 1)
LONG_AGO = datetime.date(2024, 4, 2)


@functools.cache
def loaded() -> dict[str, Any]:
    """The file."""
    found: dict[str, Any] = json.loads(PATH.read_text("utf-8"))
    return found


@dataclasses.dataclass(frozen=True)
class Case:
    """One case."""

    given: Mapping[str, Any]

    @property
    def id(self) -> str:
        given: str = self.given["id"]
        return given

    @property
    def refused(self) -> str | None:
        refused: str | None = self.given["expect"].get("refused")
        return refused

    @property
    def is_answered(self) -> bool:
        """Whether it is a question at all: every id means something, and the data has a label."""
        return self.refused is None or "denied" in self.given["expect"]

    @property
    def denied(self) -> set[str]:
        return set(self.given["expect"].get("denied", ()))

    @property
    def channel(self) -> str | None:
        channel: str | None = self.given.get("channel")
        return channel

    @property
    def is_plain(self) -> bool:
        """Whether it is about nothing but sources, purpose and channel."""
        return not {"collected_under", "subject", "overdue"} & set(self.given)

    @property
    def is_for_cedar(self) -> bool:
        """Whether an exported notice can be asked it: it is about nothing else, save what the subject agrees to now."""
        about = {"collected_under", "overdue"} & set(self.given)
        agreed_now = all(day == self.notice.revision for _, day in self.consents)
        return not about and set(self.given.get("subject", {})) <= {"consents"} and agreed_now

    # ---- what it is asked of ----------------------------------------------------------------------------------------

    @property
    def matrix(self) -> PolicyTable:
        return compiled(self.given["notice"], tuple(self.given.get("overdue", ())))

    @property
    def history(self) -> History:
        return self.matrix.history

    @property
    def notice(self) -> Notice:
        return self.matrix.notice

    def guard(self) -> Guard:
        all_preferences = {"7": self.preferences}
        noon = datetime.datetime.combine(TODAY, datetime.time(3), datetime.UTC)
        return Guard(self.history, governance=Told(all_preferences), clock=lambda: noon)

    def sources(self, guard: Guard) -> Any:
        """What is asked for: ids, or the label of what was linked."""
        given: list[str] = self.given["sources"]
        operation = self.given.get("operation")
        return given if operation is None else guard.derive(operation, *given)

    @property
    def about(self) -> RowContext | None:
        """Whose the data is and when it was collected, where anything is known of it."""
        if self.is_plain:
            return None
        ended = LONG_AGO if self.given.get("overdue") else None
        return RowContext(7, collected=self._collected, ended=ended)

    @property
    def _collected(self) -> datetime.date | None:
        day: str | None = self.given.get("collected_under")
        return None if day is None else datetime.date.fromisoformat(day)

    @property
    def preferences(self) -> SubjectPreferences:
        given = self.given.get("subject", {})
        restricted = given.get("restricted", ())
        return SubjectPreferences(
            suspended=frozenset() if restricted == "all" else frozenset(restricted),
            all_suspended=restricted == "all",
            erased=given.get("erased", False),
            consents=self.consents,
        )

    @property
    def consents(self) -> frozenset[tuple[str, datetime.date]]:
        rows = self.given.get("subject", {}).get("consents", ())
        return frozenset((one, datetime.date.fromisoformat(day)) for one, day in rows)

    @property
    def context(self) -> Context:
        return Context(self.preferences, self._collected, frozenset(self.given.get("overdue", ())))

    # ---- the same by canonical ids ----------------------------------------------------------------------------------

    @property
    def label(self) -> Label:
        given: list[str] = self.given["sources"]
        operation = self.given.get("operation")
        return self.matrix.resolve_label(given) if operation is None else self.matrix.derive_label(operation, *given)

    @property
    def clauses(self) -> tuple[str, ...]:
        """Its sources, as the notice prints them."""
        return tuple(one.clause for one in self.label)

    @property
    def purpose(self) -> str:
        found = self.notice.purpose_or_family(self.given["purpose"])
        return found.name if isinstance(found, Family) else found.clause

    @property
    def known(self) -> dict[str, Any]:
        """The keyword arguments of `reference_circumstances.allowed`."""
        preferences = self.preferences
        return {
            "collected_under": self._collected,
            "suspended": preferences.suspended,
            "stopped": preferences.erased or preferences.all_suspended,
            "consents": preferences.consents,
            "overdue": tuple(self.given.get("overdue", ())),
        }


@functools.cache
def compiled(name: str, overdue: tuple[str, ...] = ()) -> PolicyTable:
    """A notice with its revisions; `overdue`: sources that may be kept for a day after the end of use."""
    found = []
    for row in loaded()["notices"][name]["revisions"]:
        tables = Notice.bundled(row["bundled"]).dump()
        for key, value in row.get("with", {}).items():
            tables[key] = [*tables.get(key, ()), *value] if isinstance(value, list) else value
        if overdue:
            tables["retention"] = {**tables["retention"], "period": [{"source": one, "days": 1} for one in overdue]}
        found.append(Notice.parse(tables))
    return PolicyTable(found[-1], history=History(*found))


@functools.cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of the file."""
    return tuple(Case(given) for given in loaded()["cases"])
