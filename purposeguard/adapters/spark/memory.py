"""What is remembered of Spark's plans on the driver: the tags of relations, and the expressions that were made here.

An expression that was made here bears a token, which is a text that only it has. What is not remembered any more says
nothing, and is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import cachetools

from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.spark.lineage import SparkRelation, SparkScope
from purposeguard.adapters.spark.plan import Key, Listing, key_of, short
from purposeguard.adapters.tags import Tag
from purposeguard.locks import make_lock

_ATTRIBUTES_KEPT: Final = 500_000
_CALLS_KEPT: Final = 20_000

MARKER: Final = "purposeguard:"
"""What tokens begin with."""

NOT_PERSONAL: Final = Tag()


def new_token() -> str:
    """Return a token that is in no other expression."""
    return f"{MARKER}{uuid.uuid4().hex}"


@dataclasses.dataclass(slots=True, eq=False)
class KeptRule:
    """A row rule in plans: its relation, the columns that it was made for, and the rule.

    `rule` is None if denials were only observed, so all rows were kept. `digest`: of its condition, once it was seen in
    a plan.
    """

    shape: tuple[object, ...]
    names: frozenset[str]
    rule: RowRule | None
    digest: str | None = None


class SparkMemory:
    """The memory of one adapter. From any thread."""

    def __init__(self) -> None:
        self._leaves: cachetools.LRUCache[Key, str | None] = cachetools.LRUCache(_ATTRIBUTES_KEPT)
        self._tags: cachetools.LRUCache[str, Tag] = cachetools.LRUCache(_ATTRIBUTES_KEPT)
        self._kept: cachetools.LRUCache[str, KeptRule] = cachetools.LRUCache(_CALLS_KEPT)
        self._lock = make_lock()

    # ---- relations ---------------------------------------------------------------------------------------------------

    def learn(self, columns: Iterable[tuple[Key, str | None]]) -> None:
        """Remembers the text under our key for columns of relations."""
        with self._lock:
            for key, text in columns:
                self._leaves[key] = text

    def knows(self, key: Key) -> bool:
        """Return True if the tag of a relation's column is known, so Spark need not be asked."""
        with self._lock:
            return key in self._leaves

    def bears(self, key: Key) -> str | None:
        """Return the text of the tag of a relation's column; None if it has none."""
        with self._lock:
            return self._leaves.get(key)

    # ---- expressions that were made here ---------------------------------------------------------------------------

    def tag(self, tags: Mapping[int, Tag]) -> str:
        """Return a token under which columns are tagged, each by its place."""
        token = new_token()
        with self._lock:
            for place, tag in tags.items():
                self._tags[f"{token}:{place}"] = tag
        return token

    def tagging(self, listing: Listing) -> tuple[str, object] | None:
        """Return the call of `tagged` and the tag that an expression stands for; None for any other expression."""
        if len(listing) <= TAGGING or [short(expression) for expression in listing[:TAGGING]] != _TAGGED:
            return None
        token = listing[2].get("value")
        if not isinstance(token, str) or token != listing[3].get("value") or listing[0]["num-children"] != 2:
            return None
        with self._lock:
            tag = self._tags.get(token)
        return None if tag is None else (token.rpartition(":")[0], tag)

    def keep(self, token: str, relation: SparkRelation, names: Iterable[str], rule: RowRule | None) -> KeptRule:
        """Remembers the rule that a condition with this token stands for."""
        record = KeptRule(relation.shape, frozenset(names), rule)
        with self._lock:
            self._kept[token] = record
        return record

    def get_kept_rule(self, token: str) -> KeptRule | None:
        """Return the rule that this token stands for; None if it was evicted, or the token is empty."""
        with self._lock:
            return self._kept.get(token)

    def match_kept_rule(
        self, condition: Listing, scope: SparkScope, relations: Sequence[SparkRelation]
    ) -> tuple[str, int] | None:
        """Return the token of the row rule that a condition stands for, and its relation; None for any other condition.

        A token alone proves nothing: the whole condition must be the one made here, on the columns it was made for.
        """
        if len(condition) < 5 or [short(expression) for expression in condition[:5]] != _MADE:
            return None
        token = condition[3].get("value")
        if not isinstance(token, str) or not token.startswith(MARKER):
            return None
        record = self.get_kept_rule(token)
        if record is None:
            return None
        normal = _Normal(scope)
        digest = hashlib.sha256(json.dumps(normal.of(condition), sort_keys=True).encode()).hexdigest()
        if len(normal.relations) != 1:
            return None
        number = normal.relations[0]
        if relations[number].shape != record.shape:
            return None
        if record.digest is None:
            record.digest = digest
        return (token, number) if record.digest == digest else None


_MADE: Final = ["And", "Or", "EqualTo", "Literal", "Literal"]
"""How a condition begins that was made here: the token twice, which Spark takes for what it is, and a column."""

TAGGING: Final = 4
"""So many nodes stand before what is tagged: a condition that holds, with the token."""

_TAGGED: Final = ["CaseWhen", "EqualTo", "Literal", "Literal"]

_DROPPED: Final = frozenset({"qualifier", "nullable", "metadata"})


class _Normal:
    """A condition in a form that is the same wherever it stands: what it is, on which columns of which relations."""

    def __init__(self, scope: SparkScope) -> None:
        self.relations: list[int] = []
        self._scope = scope
        self._numbers: dict[Key, int] = {}

    def of(self, value: object) -> object:
        if isinstance(value, Mapping):
            return self._fields(value)
        return [self.of(item) for item in value] if isinstance(value, list) else value

    def _fields(self, fields: Mapping[str, Any]) -> object:
        if "jvmId" in fields:
            return self._numbers.setdefault((int(fields["id"]), str(fields["jvmId"])), len(self._numbers))
        if "class" in fields and short(fields) == "AttributeReference":
            column = self._column(key_of(fields))
            if column is not None:
                return column
            name = fields.get("name")
            return ["#", self.of(fields["exprId"]), name]
        return dict(self._items(fields))

    def _items(self, fields: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
        for name, value in fields.items():
            if name not in _DROPPED:
                yield name, self.of(value)

    def _column(self, key: Key) -> object:
        for out in self._scope.inputs:
            flow = out.flows.get(key)
            if flow is not None and flow.same is not None:
                if flow.same.relation not in self.relations:
                    self.relations.append(flow.same.relation)
                return ["column", self.relations.index(flow.same.relation), flow.same.column]
            if flow is not None:
                return ["other", sorted(flow.atoms)]
        return None
