"""What `pg.tag` says of classes that stand elsewhere, by the text alone."""

from __future__ import annotations

import ast
from typing import Final

from purposeguard.linting.names import Here, terminal
from purposeguard.linting.scopes import Scope
from purposeguard.linting.tagging import Tags

TAG: Final = "purposeguard.tag"


class Told:
    """Knows which fields are tagged from outside."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._names = tags.names
        self._fields: dict[Here, set[str]] | None = None

    def of(self, cls: Here) -> frozenset[str]:
        """The fields of a class of which something is said, of it or of what it derives from."""
        if self._fields is None:
            self._fields = {}
            for module in self._names.project.modules:
                for call in module.all(ast.Call):
                    scope = module.scope_of[call]
                    if terminal(call) == "tag" and call.args and TAG in self._names.names(call.func, scope):
                        self._read(call, scope, self._fields)
        fields = self._fields
        return frozenset[str]().union(*(fields.get(one, ()) for one in self._names.lineage(cls)))

    def _read(self, call: ast.Call, scope: Scope, fields: dict[Here, set[str]]) -> None:
        for ref in self._names.refs(call.args[0], scope):
            if isinstance(ref, Here) and ref.is_class:
                own = fields.setdefault(ref, set())
                for one in call.keywords:  # what stands in `**` may be any of them
                    own.update([one.arg] if one.arg else [field.name for field in self._tags.fields(ref)])
