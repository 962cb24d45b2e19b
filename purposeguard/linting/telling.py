"""What is said of classes and tables that stand elsewhere, by `pg.tag` and `protect`, by the text alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.names import Here, Value, terminal
from purposeguard.linting.scopes import Assigned, Scope
from purposeguard.linting.tagging import Tags

TAG: Final = "purposeguard.tag"
PROTECT: Final = "purposeguard.adapters.sqlalchemy.protect"

Key = ast.AST | str
"""A class, the call that makes a table, or the name of a table."""


class Told:
    """Knows which fields are tagged from outside."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._names = tags.names
        self._fields: dict[Key, set[str]] | None = None
        self._whole: set[Key] = set()
        self._any_table = False

    def of_class(self, cls: Here, field: str) -> bool:
        """Whether something is said of a field of a class, of it or of what it derives from."""
        lineage = [one.node for one in self._names.lineage(cls)]
        found = self._says([*lineage, *(name for one in lineage for name in _table_names(one))], field)
        return found or (self._any_table and self._tags.kind(cls) == "sqlalchemy")

    def of_table(self, made: ast.Call, name: str, column: str) -> bool:
        """Whether something is said of a column of a table."""
        return self._says([made, *([name] if name else [])], column) or self._any_table

    def _says(self, keys: list[Key], field: str) -> bool:
        fields = self._read()
        return any(one in self._whole or field in fields.get(one, ()) for one in keys)

    def _read(self) -> dict[Key, set[str]]:
        if self._fields is None:
            self._fields = {}
            for module in self._names.project.modules:
                for call in module.all(ast.Call):
                    scope = module.scope_of[call]
                    called = terminal(call)
                    if called == "tag" and call.args and TAG in self._names.names(call.func, scope):
                        self._of_tag(call, scope, self._fields)
                    elif called == "protect" and PROTECT in self._names.names(call.func, scope):
                        self._of_protect(call, scope, self._fields)
        return self._fields

    def _of_tag(self, call: ast.Call, scope: Scope, fields: dict[Key, set[str]]) -> None:
        for ref in self._names.refs(call.args[0], scope):
            if isinstance(ref, Here) and ref.is_class:
                own = fields.setdefault(ref.node, set())
                for one in call.keywords:  # what stands in `**` may be any of them
                    own.update([one.arg] if one.arg else [field.name for field in self._tags.fields(ref)])

    def _of_protect(self, call: ast.Call, scope: Scope, fields: dict[Key, set[str]]) -> None:
        for keyword in call.keywords:
            given, where = self._followed(keyword.value, scope)
            if keyword.arg == "not_personal" and isinstance(given, (ast.List, ast.Tuple, ast.Set)):
                self._whole.update(key for one in given.elts for key in self._tables(one, where))
            elif keyword.arg == "tags" and isinstance(given, ast.Dict):
                for one, value in zip(given.keys, given.values, strict=True):
                    self._of_row(one, value, where, fields)
            elif keyword.arg in (None, "tags", "not_personal"):
                self._any_table = True  # made elsewhere: it may say anything

    def _of_row(self, table: ast.expr | None, said: ast.expr, scope: Scope, fields: dict[Key, set[str]]) -> None:
        """`Customer: {"email": tm.WebContact}`; a class or what is made elsewhere may tell all of a table's columns."""
        keys = [] if table is None else list(self._tables(table, scope))
        if not keys:
            self._any_table = True
        value, _ = self._followed(said, scope)
        columns = value.keys if isinstance(value, ast.Dict) else [None]
        for one in columns:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                for key in keys:
                    fields.setdefault(key, set()).add(one.value)
            else:
                self._whole.update(keys)

    def _tables(self, expr: ast.expr, scope: Scope) -> Iterator[Key]:
        if isinstance(expr, ast.Constant) and isinstance(expr.value, str):
            yield expr.value
        elif isinstance(expr, ast.Attribute) and expr.attr == "__table__":
            yield from self._tables(expr.value, scope)
        elif isinstance(expr, (ast.Name, ast.Attribute)):
            for ref in self._names.refs(expr, scope):
                if isinstance(ref, Here) and ref.is_class:
                    yield ref.node
                elif isinstance(ref, Value) and isinstance(ref.binding, Assigned) and ref.binding.value is not None:
                    yield ref.binding.value

    def _followed(self, expr: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """What a name is bound to, where it is bound once."""
        if isinstance(expr, (ast.Name, ast.Attribute)):
            refs = list(self._names.refs(expr, scope))
            if len(refs) == 1 and isinstance(refs[0], Value) and isinstance(refs[0].binding, Assigned):
                bound = refs[0].binding
                if bound.value is not None:
                    return bound.value, bound.scope
        return expr, scope


def _table_names(node: ast.AST) -> Iterator[str]:
    for one in getattr(node, "body", ()):
        if isinstance(one, (ast.Assign, ast.AnnAssign)) and isinstance(one.value, ast.Constant):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            if any(isinstance(each, ast.Name) and each.id == "__tablename__" for each in targets):
                yield str(one.value.value)
