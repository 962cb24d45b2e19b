"""Whether a function gets what it gives from where data is kept: a session, a file, a table in memory."""

from __future__ import annotations

import ast
from typing import Final

from purposeguard.linting.guards import Function
from purposeguard.linting.names import terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Binding, Entered, Imported, Parameter, Scope, parameters, within
from purposeguard.linting.tagging import Held
from purposeguard.linting.values import PERSONAL

READING: Final = frozenset(
    {
        *(
            "execute",
            "scalars",
            "scalar",
            "scalar_one",
            "scalar_one_or_none",
            "fetchone",
            "fetchall",
            "fetchmany",
            "fetch",
        ),
        *(
            "fetchrow",
            "fetchval",
            "query",
            "find",
            "find_one",
            "find_all",
            "aggregate",
            "read_sql",
            "read_csv",
            "read_json",
        ),
        *(
            "read_parquet",
            "stream",
            "stream_scalars",
            "exec",
            "get",
            "get_one",
            "filter",
            "filter_by",
            "hgetall",
            "hget",
            "load",
        ),
        *(
            "loads",
            "read_text",
            "read_bytes",
            "read",
            "readlines",
            "select",
            "all",
            "first",
            "one",
            "one_or_none",
            "values",
        ),
        *("items", "scan", "get_item", "sql", "mget", "lookup", "search", "yield_per"),
    }
)
"""Methods that read from where data is kept."""

ASKING: Final = frozenset(
    {
        "get",
        "request",
        "post",
        "urlopen",
        "read_sql",
        "read_csv",
        "read_json",
        "read_parquet",
        "load",
        "DictReader",
        "reader",
    }
)
SESSIONS: Final = frozenset(
    {
        *(
            "session",
            "db",
            "database",
            "conn",
            "connection",
            "cursor",
            "cur",
            "client",
            "engine",
            "repo",
            "repository",
            "store",
        ),
        *(
            "storage",
            "redis",
            "collection",
            "table",
            "pool",
            "dao",
            "uow",
            "tx",
            "transaction",
            "con",
            "dbsession",
            "db_session",
        ),
    }
)
"""What a parameter is called by which data is read."""

SESSION_TYPES: Final = (
    "Session",
    "Connection",
    "Engine",
    "Cursor",
    "Client",
    "Database",
    "Pool",
    "Collection",
    "Repository",
    "Redis",
    "Store",
    "scoped_session",
)
VERBS: Final = frozenset(
    {
        "load",
        "get",
        "fetch",
        "find",
        "read",
        "list",
        "query",
        "select",
        "search",
        "lookup",
        "retrieve",
        "all",
        "scan",
        "yomu",
        "shutoku",
        "iter",
        "stream",
    }
)
PLAIN: Final = frozenset(
    {
        "builtins.int",
        "builtins.str",
        "uuid.UUID",
        "datetime.date",
        "datetime.datetime",
        "builtins.float",
        "builtins.bool",
        "builtins.bytes",
    }
)
"""Types of what names data, and is not made into it."""


def bears(held: Held) -> bool:
    """Whether something is tagged or sealed."""
    return held.tagged or held.sealed


def reads(function: Function, program: Program) -> bool:
    """Whether it gets the data from where it is kept: not from its arguments, nor from a function that is guarded."""
    node, module = function.node, function.here.module
    nodes = list(within(node.body))
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    if any(_of_store(one, function, program) for one in nodes):
        return True
    if any(program.guards.called(one, module.scope_of[one]) for one in calls if not _makes_model(one, module, program)):
        return False  # whom it calls is judged there
    verb = node.name.strip("_").partition("_")[0].lower()
    return (
        verb in VERBS and not _converts(function, program) and any(_makes_model(one, module, program) for one in calls)
    )


def _of_store(node: ast.AST, function: Function, program: Program) -> bool:
    module = function.here.module
    scope = module.scope_of.get(node, function.here.scope)
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Name):
            return func.id == "open" and bool(program.names.names(func, scope) & {"builtins.open"})
        if isinstance(func, ast.Attribute) and func.attr in READING:
            return _is_store(func.value, scope, program)
        return isinstance(func, ast.Attribute) and func.attr in ASKING and _is_store(func.value, scope, program)
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _is_kept(node.value, scope, program)
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        return _is_kept(node.iter, scope, program)
    return False


def _is_store(expr: ast.expr, scope: Scope, program: Program) -> bool:
    """Whether something is where data is kept: a session, a connection, a file, a table in memory."""
    root = expr
    while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call, ast.Await)):
        func = root.func if isinstance(root, ast.Call) else None
        if isinstance(func, ast.Attribute) and func.attr in READING and _is_store(func.value, scope, program):
            return True
        root = func if func is not None else root.value  # type: ignore[union-attr]  # else it is no call
    if not isinstance(root, ast.Name) or program.guards.is_use(root, scope):
        return False
    if root.id in ("self", "cls"):
        return root is not expr
    if program.guards.is_guard(root, scope) is not False:
        return False
    bindings = scope.bindings(root.id)
    if bindings:
        return _is_bound_to_store(bindings[0], scope, program)
    return False


def _is_bound_to_store(binding: Binding, scope: Scope, program: Program) -> bool:
    if isinstance(binding, Parameter):
        return _is_session(binding, program)
    if isinstance(binding, Entered):
        return isinstance(binding.context, ast.Call) and not _is_guarded_call(binding.context, binding.scope, program)
    if isinstance(binding, Assigned):
        return _is_assigned_store(binding, scope, program)
    return isinstance(binding, Imported) and binding.module.partition(".")[0] in OUTSIDE_STORES


OUTSIDE_STORES: Final = frozenset(
    {
        "requests",
        "httpx",
        "httpx2",
        "pandas",
        "polars",
        "json",
        "pickle",
        "csv",
        "urllib",
        "yaml",
        "tomllib",
        "sqlite3",
        "duckdb",
    }
)


def _is_assigned_store(binding: Assigned, scope: Scope, program: Program) -> bool:
    value = binding.value
    if value is None:
        return binding.scope.kind == "module"
    if isinstance(value, ast.Call):
        if _is_guarded_call(value, binding.scope, program) or _makes_model(value, scope.module, program):
            return False
        if binding.scope.kind == "module":
            return True
        named = terminal(value.func).lower()
        return (
            named in SESSIONS
            or any(named.endswith(one.lower()) for one in SESSION_TYPES)
            or "connect" in named
            or _is_store(value.func, binding.scope, program)
        )
    return binding.scope.kind == "module" and isinstance(
        value, (ast.Dict, ast.List, ast.DictComp, ast.ListComp, ast.Tuple)
    )


def _is_session(binding: Parameter, program: Program) -> bool:
    annotation = binding.node.annotation
    if annotation is not None:
        stated = program.values.of_annotation(annotation, binding.scope)
        name = terminal(annotation) if stated is None else stated.name.rpartition(".")[2]
        if name.endswith(SESSION_TYPES) or name.startswith("Session"):
            return True
        if stated is not None:
            return False
    return binding.node.arg.lower().strip("_") in SESSIONS


def _is_guarded_call(call: ast.Call, scope: Scope, program: Program) -> bool:
    return program.guards.refusing(call, scope) is not None


def _is_kept(expr: ast.expr, scope: Scope, program: Program) -> bool:
    """Whether something is a table in memory: `CUSTOMERS[key]`, `self._rows[key]`."""
    if isinstance(expr, ast.Attribute):
        root = expr.value
        return isinstance(root, ast.Name) and root.id == "self" and program.values.of(expr, scope) is None
    if not isinstance(expr, ast.Name):
        return False
    found = scope.bindings(expr.id)
    return bool(found) and all(
        isinstance(one, Assigned)
        and one.scope.kind == "module"
        and isinstance(one.value, (ast.Dict, ast.List, ast.DictComp, ast.ListComp, ast.Call, ast.Tuple))
        for one in found
    )


def _makes_model(call: ast.Call, module: Module, program: Program) -> bool:
    """Whether a call makes an instance of a tagged model, or seals a value."""
    scope = module.scope_of.get(call, module.scope)
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr in (
        "model_validate",
        "parse_obj",
        "from_orm",
        "model_construct",
        "validate_python",
        "_make",
    ):
        func = func.value
    if PERSONAL in program.names.names(func, scope):
        return True
    return any(bears(program.tags.of_class(one)) for one in program.names.classes(func, scope))


def _converts(function: Function, program: Program) -> bool:
    """Whether it makes what it gives out of its arguments: out of a row, a form, another model."""
    node = function.node
    named = set()
    for one in parameters(node):
        if one.annotation is not None:
            stated = program.values.of_annotation(one.annotation, function.here.module.scope_of[node])
            if stated is not None and stated.name in PLAIN:
                continue
        named.add(one.arg)
    return any(_takes_apart(one, named) for one in within(node.body))


def _takes_apart(node: ast.AST, named: set[str]) -> bool:
    """Whether something is made of what is in one of these."""

    def is_one(expr: ast.expr) -> bool:
        return isinstance(expr, ast.Name) and expr.id in named

    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return is_one(node.value)
    if isinstance(node, ast.keyword):
        return node.arg is None and is_one(node.value)
    return isinstance(node, ast.Call) and (
        is_one(node.func) or (terminal(node.func) in VALIDATING and any(map(is_one, node.args)))
    )


VALIDATING: Final = frozenset({"model_validate", "parse_obj", "from_orm", "dict"})
