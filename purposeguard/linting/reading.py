"""Whether a function gets what it gives from where data is kept: a session, a file, a table in memory."""

from __future__ import annotations

import ast
from typing import Final

from purposeguard.linting.guards import Function
from purposeguard.linting.names import Here, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Binding, Entered, Scope, parameters, within
from purposeguard.linting.tagging import Held
from purposeguard.linting.values import PERSONAL
from purposeguard.linting.vocabulary import words_set

READING: Final = words_set(
    "execute scalars scalar scalar_one scalar_one_or_none fetchone fetchall fetchmany fetch fetchrow fetchval query "
    "find_one find_all aggregate stream stream_scalars exec get_one filter_by hgetall hget get_item sql mget yield_per "
    "one_or_none read_sql"
)
"""Methods that read from where data is kept, whatever that is called."""

ALSO_READING: Final = words_set(
    "get find filter load read read_text read_bytes readlines select all first one values items scan lookup search"
)
"""Methods that do so where they are of something that is called, or typed, as what keeps data."""

ASKING: Final = words_set(
    "get post request urlopen read_csv read_json read_parquet read_sql read_table scan_csv scan_parquet load connect"
)
"""Functions of libraries that read."""

LIBRARIES: Final = frozenset(
    {"requests", "httpx", "httpx2", "pandas", "polars", "json", "pickle", "urllib", "yaml", "tomllib"}
)

STORES: Final = words_set(
    "session db database conn connection cursor cur client engine redis collection table pool tx transaction con"
)
"""What something is called by which data is read, by its last word. A repository is not: it is judged itself."""

STORE_TYPES: Final = (
    *("Session", "Connection", "Engine", "Cursor", "Client", "Database", "Pool", "Collection", "Redis"),
    *("scoped_session", "sessionmaker", "connect", "open", "begin", "urlopen", "acquire", "cursor", "get_session"),
)
"""How the names of classes and functions end that give such."""

TABLES: Final = frozenset(
    {"dict", "defaultdict", "list", "OrderedDict", "WeakValueDictionary", "TTLCache", "LRUCache", "deque", "set"}
)
"""What makes a table in memory."""

VERBS: Final = words_set("load get fetch find read list query select search lookup retrieve all scan iter stream")
"""How the name of a function begins that reads."""

PLAIN: Final = frozenset(
    {
        *("builtins.int", "builtins.str", "builtins.float", "builtins.bool", "builtins.bytes", "uuid.UUID"),
        *("datetime.date", "datetime.datetime"),
    }
)
"""Types of what names data, and is not made into it."""

VALIDATING: Final = frozenset(
    {"model_validate", "parse_obj", "from_orm", "model_construct", "validate_python", "_make"}
)
"""Methods that make a model."""


def bears(held: Held) -> bool:
    """Whether something is tagged or sealed."""
    return held.tagged or held.sealed


def reads(function: Function, program: Program) -> bool:
    """Whether it gets the data from where it is kept: not from its arguments, nor from a function that is guarded."""
    node, module = function.node, function.here.module
    nodes = list(within(node.body))
    if any(_of_store(one, function, program) for one in nodes):
        return True
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    making = [one for one in calls if makes_model(one, module, program)]
    if not making or any(program.guards.called(one, module.scope_of[one]) for one in calls if one not in making):
        return False  # whom it calls is judged there
    verb = node.name.strip("_").partition("_")[0].lower()
    return verb in VERBS and _is_keyed(function, making, program)


def _of_store(node: ast.AST, function: Function, program: Program) -> bool:
    """Whether this is where it reads."""
    module = function.here.module
    scope = module.scope_of.get(node, function.here.scope)
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Name):
            return func.id == "open" and "builtins.open" in program.names.names(func, scope)
        if isinstance(func, ast.Attribute):
            return _is_read(func, scope, program)
        return False
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _is_table(node.value, scope, program)
    return isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and _is_table(node.iter, scope, program)


def _is_read(func: ast.Attribute, scope: Scope, program: Program) -> bool:
    """Whether a method, or a function of a library, reads from where data is kept."""
    names = program.names.names(func, scope)
    if any(one.partition(".")[0] in LIBRARIES for one in names):
        return func.attr in ASKING
    if func.attr not in READING and func.attr not in ALSO_READING:
        return False
    owner = func.value
    if program.guards.is_use(owner, scope) or program.guards.is_guard(owner, scope) is not False:
        return False
    if isinstance(owner, ast.Call):  # of what another call gave: `session.query(…).all()`
        if isinstance(owner.func, ast.Attribute) and _is_read(owner.func, scope, program):
            return True
        return not _is_harmless(owner, scope, program) and terminal(owner).endswith(STORE_TYPES)
    if isinstance(owner, (ast.Name, ast.Attribute)):
        return _is_store(owner, func.attr, scope, program) or _is_table(owner, scope, program)
    return (
        isinstance(owner, ast.Await)
        and isinstance(owner.value, ast.Call)
        and (isinstance(owner.value.func, ast.Attribute) and _is_read(owner.value.func, scope, program))
    )


def _is_store(owner: ast.Name | ast.Attribute, method: str, scope: Scope, program: Program) -> bool:
    """Whether something that has this method keeps data: a session, a connection, a file."""
    strong = method in READING  # which says so by itself
    found = program.values.of(owner, scope)
    if found is not None:
        if found.cls is not None and _gives_tagged(found.cls, method, program):
            return False  # which is judged there
        if found.name.endswith(STORE_TYPES):
            return True
        if found.name.startswith("builtins.") or (found.cls is not None and not strong):
            return False
    bindings = scope.bindings(owner.id) if isinstance(owner, ast.Name) else []
    if any(_is_let_pass(one, scope, program) for one in bindings):
        return False
    if terminal(owner).lower().rpartition("_")[2] in STORES or any(_is_opened(one) for one in bindings):
        return True
    return strong


def _gives_tagged(cls: Here, method: str, program: Program) -> bool:
    """Whether a method of a class here is annotated to give what is tagged."""
    for one in program.names.member(cls, method):
        returned = program.values.returned(one) if isinstance(one, Here) and not one.is_class else None
        if returned is not None and bears(program.tags.of(*returned)):
            return True
    return False


def _is_let_pass(binding: Binding, scope: Scope, program: Program) -> bool:
    """Whether a name is bound to what a guard has let pass, or to a model."""
    given = (
        binding.context if isinstance(binding, Entered) else binding.value if isinstance(binding, Assigned) else None
    )
    return isinstance(given, ast.Call) and _is_harmless(given, scope, program)


def _is_harmless(call: ast.Call, scope: Scope, program: Program) -> bool:
    return program.guards.refusing(call, scope) is not None or makes_model(call, scope.module, program)


def _is_opened(binding: Binding) -> bool:
    given = (
        binding.context if isinstance(binding, Entered) else binding.value if isinstance(binding, Assigned) else None
    )
    return isinstance(given, ast.Call) and terminal(given).endswith(STORE_TYPES)


def _is_table(expr: ast.expr, scope: Scope, program: Program) -> bool:
    """Whether something is a table in memory that outlives the function: `CUSTOMERS[key]`, `self._rows[key]`."""
    if isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name) and expr.value.id == "self":
        around = scope.function.around if scope.function is not None else None
        if around is None or not isinstance(around.node, ast.ClassDef):
            return False
        assigned = program.values.on_self(Here(around.module, around.node)).get(expr.attr, ())
        return any(_makes_table(value) for value, _, _ in assigned)
    if not isinstance(expr, ast.Name):
        return False
    found = scope.bindings(expr.id)
    return bool(found) and all(
        isinstance(one, Assigned) and one.scope.kind == "module" and _makes_table(one.value) for one in found
    )


def _makes_table(value: ast.expr | None) -> bool:
    """Whether a value is an empty table, or one with rows in it, and not a list of words."""
    if isinstance(value, ast.Call):
        return terminal(value) in TABLES
    if isinstance(value, ast.Dict):
        return all(not isinstance(one, ast.Constant) for one in value.values)
    if isinstance(value, (ast.List, ast.Tuple)):
        return isinstance(value, ast.List) and all(not isinstance(one, ast.Constant) for one in value.elts)
    return isinstance(value, (ast.DictComp, ast.ListComp))


def makes_model(call: ast.Call, module: Module, program: Program) -> bool:
    """Whether a call makes an instance of a tagged model, or seals a value."""
    scope = module.scope_of.get(call, module.scope)
    if PERSONAL in program.names.names(call.func, scope):
        return True
    return any(bears(program.tags.of_class(one)) for one in made_by(call, module, program))


def made_by(call: ast.Call, module: Module, program: Program) -> list[Here]:
    """The classes of which a call makes an instance: `Customer(…)`, `Customer.model_validate(…)`."""
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr in VALIDATING:
        func = func.value
    return program.names.classes(func, module.scope_of.get(call, module.scope))


def _is_keyed(function: Function, making: list[ast.Call], program: Program) -> bool:
    """Whether its arguments only name what it gives: it is not made out of a row, a form or a text that it is given."""
    node, scope = function.node, function.here.module.scope_of[function.node]
    keys: set[str] = set()
    for one in parameters(node):
        stated = None if one.annotation is None else program.values.of_annotation(one.annotation, scope)
        if stated is not None and stated.name in PLAIN:
            keys.add(one.arg)
        elif one.arg not in ("self", "cls"):
            return False
    for part in within(node.body):
        if (
            isinstance(part, (ast.Attribute, ast.Subscript))
            and isinstance(part.value, ast.Name)
            and part.value.id in keys
        ):
            return False  # a text that is taken apart
        if isinstance(part, ast.Call) and part not in making:
            given = [*part.args, *(each.value for each in part.keywords)]
            if any(isinstance(each, ast.Name) and each.id in keys for each in given):
                return False  # or is given to something that takes it apart
    return bool(keys)
