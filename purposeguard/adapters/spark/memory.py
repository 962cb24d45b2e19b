"""What is remembered of Spark's plans on the driver: the tags of relations, and the expressions that were made here.

An expression that was made here contains a token, which is a text that only it has. Only the newest tags and rules are
kept. A frame that needs an older one is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import cachetools

from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.spark.lineage import SparkRelation, SparkScope
from purposeguard.adapters.spark.plan import Key, Listing, key_of, short
from purposeguard.adapters.tags import Tag
from purposeguard.locks import make_lock

_MAX_CACHED_ATTRIBUTES: Final = 500_000
_MAX_CACHED_RULES: Final = 20_000

MARKER: Final = "purposeguard:"
"""The prefix of all tokens."""


def new_token() -> str:
    """Return a new unique token."""
    return f"{MARKER}{uuid.uuid4().hex}"


@dataclasses.dataclass(slots=True, eq=False)
class KeptRule:
    """A row rule that was added to a plan."""

    shape: tuple[object, ...]
    """The shape of the relation."""
    names: frozenset[str]
    """The columns that the rule was made for."""
    rule: RowRule | None
    """The rule, or None if denials were only observed and all rows were kept."""
    digest: str | None = None
    """The digest of its condition, set when the condition is first seen in a plan."""


class SparkMemory:
    """The tags and row rules that one adapter has seen or made in plans. Threads may share it."""

    def __init__(self) -> None:
        self._leaves: cachetools.LRUCache[Key, str | None] = cachetools.LRUCache(_MAX_CACHED_ATTRIBUTES)
        self._tags: cachetools.LRUCache[str, Tag] = cachetools.LRUCache(_MAX_CACHED_ATTRIBUTES)
        self._kept: cachetools.LRUCache[str, KeptRule] = cachetools.LRUCache(_MAX_CACHED_RULES)
        self._lock = make_lock()

    # ---- relations ---------------------------------------------------------------------------------------------------

    def learn(self, columns: Iterable[tuple[Key, str | None]]) -> None:
        """Store the encoded tags of columns of relations."""
        with self._lock:
            for key, text in columns:
                self._leaves[key] = text

    def knows(self, key: Key) -> bool:
        """Return True if the tag of a relation's column, or its absence, is cached."""
        with self._lock:
            return key in self._leaves

    def get_tag(self, key: Key) -> str | None:
        """Return the encoded tag of a relation's column, or None if it has none."""
        with self._lock:
            return self._leaves.get(key)

    # ---- own expressions -------------------------------------------------------------------------------------------

    def tag(self, tags: Mapping[int, Tag]) -> str:
        """Store the tags of columns, by position. Return their token."""
        token = new_token()
        with self._lock:
            for place, tag in tags.items():
                self._tags[f"{token}:{place}"] = tag
        return token

    def tagging(self, listing: Listing) -> tuple[str, object] | None:
        """Return the token and the tag that a tagging expression stands for, or None for any other expression."""
        if len(listing) <= TAGGING or list(map(short, listing[:TAGGING])) != _TAGGING_PREFIX:
            return None
        token = listing[2].get("value")
        if not isinstance(token, str) or token != listing[3].get("value") or listing[0]["num-children"] != 2:
            return None
        with self._lock:
            tag = self._tags.get(token)
        return None if tag is None else (token.rpartition(":")[0], tag)

    def keep(self, token: str, relation: SparkRelation, names: Iterable[str], rule: RowRule | None) -> KeptRule:
        """Store the rule that a condition with this token stands for."""
        record = KeptRule(relation.shape, frozenset(names), rule)
        with self._lock:
            self._kept[token] = record
        return record

    def get_kept_rule(self, token: str) -> KeptRule | None:
        """Return the rule of a token, or None if the rule was evicted or the token is empty."""
        with self._lock:
            return self._kept.get(token)

    def match_kept_rule(
        self, condition: Listing, scope: SparkScope, relations: Sequence[SparkRelation]
    ) -> tuple[str, int] | None:
        """Return the token and the relation of the row rule that a condition stands for.

        Return None for any other condition. A token alone proves nothing: the whole condition must be the one that this
        adapter made, on the columns that it was made for.
        """
        if len(condition) < len(_RULE_PREFIX) or list(map(short, condition[: len(_RULE_PREFIX)])) != _RULE_PREFIX:
            return None
        token = condition[3].get("value")
        if not isinstance(token, str) or not token.startswith(MARKER):
            return None
        record = self.get_kept_rule(token)
        if record is None:
            return None
        normal = _NormalForm(scope)
        digest = hashlib.sha256(json.dumps(normal.normalize(condition), sort_keys=True).encode()).hexdigest()
        if len(normal.relations) != 1:
            return None
        number = normal.relations[0]
        if relations[number].shape != record.shape:
            return None
        if record.digest is None:
            record.digest = digest
        return (token, number) if record.digest == digest else None


_RULE_PREFIX: Final = ["And", "Or", "EqualTo", "Literal", "Literal"]
"""The first nodes of a condition of this adapter: a comparison of the token with itself, then a column."""

TAGGING: Final = 4
"""The number of nodes before a tagged expression: a condition that is always true and holds the token."""

_TAGGING_PREFIX: Final = ["CaseWhen", "EqualTo", "Literal", "Literal"]

_VOLATILE_FIELDS: Final = frozenset({"qualifier", "nullable", "metadata"})
"""Fields of an expression that may differ between two places in a plan."""


class _NormalForm:
    """The normal form of a condition, which does not depend on attribute ids or on the place in a plan."""

    def __init__(self, scope: SparkScope) -> None:
        self.relations: list[int] = []
        self._scope = scope
        self._numbers: dict[Key, int] = {}

    def normalize(self, value: object) -> object:
        """Return the normal form of a serialized expression, or of a part of it."""
        if isinstance(value, Mapping):
            return self._normalize_fields(value)
        return list(map(self.normalize, value)) if isinstance(value, list) else value

    def _normalize_fields(self, fields: Mapping[str, Any]) -> object:
        if "jvmId" in fields:
            return self._numbers.setdefault((int(fields["id"]), str(fields["jvmId"])), len(self._numbers))
        if "class" in fields and short(fields) == "AttributeReference":
            column = self._normalize_column(key_of(fields))
            if column is not None:
                return column
            return ["#", self.normalize(fields["exprId"]), fields.get("name")]
        normal_fields: dict[str, object] = {}
        for name, value in fields.items():
            if name not in _VOLATILE_FIELDS:
                normal_fields[name] = self.normalize(value)
        return normal_fields

    def _normalize_column(self, key: Key) -> object:
        """Return the place of a column of a relation, or None if it is an attribute of no input."""
        for out in self._scope.inputs:
            flow = out.flows.get(key)
            if flow is not None and flow.same is not None:
                if flow.same.relation not in self.relations:
                    self.relations.append(flow.same.relation)
                return ["column", self.relations.index(flow.same.relation), flow.same.column]
            if flow is not None:
                return ["other", sorted(flow.atoms)]
        return None
