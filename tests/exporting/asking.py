"""Cedar, asked what an exported notice decides: cedarpy reads the files as they are written, and validates them."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import cedarpy

from purposeguard import Guard, Notice
from purposeguard.notice.export.cedar import ENTITIES, POLICIES, SCHEMA, export
from purposeguard.notice.schema import Document
from purposeguard.testing.strategies import list_purposes, name_of

AT_ONCE = 5_000
"""Questions that are put at a time."""


class Question(NamedTuple):
    """By ids in the notice's own spelling. `consents`: purposes that the subject agreed to."""

    sources: tuple[str, ...]
    purpose: str
    channel: str | None = None
    consents: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()


class NoAnswer(Exception):
    """Cedar has no answer, but an error."""


class Cedar:
    """An exported notice, and what Cedar says by it; `files` in place of the exported ones."""

    def __init__(self, document: Document, files: Mapping[str, str] | None = None) -> None:
        files = export(document) if files is None else files
        self._data: dict[tuple[str, ...], str] = {}
        self.schema: Any = cedarpy.Schema.from_str(files[SCHEMA])
        self.policies = cedarpy.PolicySet.from_str(files[POLICIES])
        self.entities = cedarpy.Entities.from_json_str(files[ENTITIES], self.schema)

        actions = [row for row in json.loads(files[ENTITIES]) if row["uid"]["type"] == "Action"]
        self._parents = {row["uid"]["id"]: [one["id"] for one in row["parents"]] for row in actions}

    def within(self, purpose: str) -> set[str]:
        """The actions that a purpose is: itself, and the group of its clause."""
        return {purpose, *self._parents[purpose]}

    def answers(self, questions: Iterable[Question], policies: Any = None) -> list[bool]:
        """What Cedar says to each.

        Raises:
            NoAnswer: it cannot make a question out, or a policy fails at one.
        """
        asked = list(questions)
        found: list[bool] = []
        for start in range(0, len(asked), AT_ONCE):
            found += self._answers(asked[start : start + AT_ONCE], policies or self.policies)
        return found

    def _answers(self, asked: Sequence[Question], policies: Any) -> list[bool]:
        self._know({one.sources for one in asked}.difference(self._data))
        requests = [
            {
                "principal": _uid("Activity", "tests"),
                "action": _uid("Action", one.purpose),
                "resource": _uid("Data", self._data[one.sources]),
                "context": self._context(one),
            }
            for one in asked
        ]
        results = cedarpy.is_authorized_batch(requests, policies, self.entities, self.schema)
        for question, result in zip(asked, results, strict=True):
            if result.decision is cedarpy.Decision.NoDecision or result.diagnostics.errors:
                raise NoAnswer(f"{question}: {result.diagnostics.errors}")
        return [bool(result.allowed) for result in results]

    def _know(self, labels: Iterable[tuple[str, ...]]) -> None:
        """Data of these labels is among the entities from now on."""
        names = {label: f"data {len(self._data) + number}" for number, label in enumerate(sorted(labels))}
        if names:
            data = [
                {
                    "uid": _uid("Data", name),
                    "attrs": {"sources": [_entity("Source", one) for one in label]},
                    "parents": [],
                }
                for label, name in names.items()
            ]
            self.entities = self.entities.with_added_json_str(json.dumps(data), self.schema)
            self._data.update(names)

    def _context(self, question: Question) -> dict[str, Any]:
        context: dict[str, Any] = {}
        if question.channel is not None:
            context["channel"] = _entity("Channel", question.channel)
        if question.consents:
            context["consents"] = list(question.consents)
        if question.conditions:
            context["conditions"] = list(question.conditions)
        return context


def _uid(kind: str, given: str) -> dict[str, str]:
    return {"type": kind, "id": given}


def _entity(kind: str, given: str) -> dict[str, dict[str, str]]:
    return {"__entity": _uid(kind, given)}


def drawn(notice: Notice, count: int, chance: random.Random, most: int = 4) -> list[Question]:
    """Questions to a notice: labels of up to so many sources, some allowed, some denied for one source alone."""
    guard = Guard(notice)
    every = [source.clause for source in notice.sources]
    purposes = [name_of(one) for one in list_purposes(notice)]
    found: list[Question] = []
    for _ in range(count):
        purpose, channel = chance.choice(purposes), chance.choice((None, *notice.channels))
        may = [one for one in every if guard.allows(one, purpose, channel)]
        kind = chance.randrange(3)
        chosen = _some(chance, may if kind and may else every, most)
        if kind == 1 and len(chosen) < most:  # one source away from allowed
            chosen = list(dict.fromkeys([*chosen, chance.choice(every)]))
        found.append(Question(tuple(chosen), purpose, channel))
    return found


def _some(chance: random.Random, given: Collection[str], most: int) -> list[str]:
    return chance.sample(list(given), chance.randint(1, min(most, len(given))))
