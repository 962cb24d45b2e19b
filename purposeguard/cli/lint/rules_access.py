"""`unguarded-access` and `cached-guarded-function`: unguarded reads, and caches around guarded functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.cli.lint.code import FunctionNode, Module, Scope, dotted, last, own
from purposeguard.cli.lint.findings import Found, Rule
from purposeguard.cli.lint.guarding import CHECKING, Guarding
from purposeguard.cli.lint.lexicon import words_set
from purposeguard.cli.lint.models import Held, Models

UNGUARDED: Final = Rule(
    "unguarded-access",
    "a function reads tagged data and no guard checks it",
    "decorate it with `@guard.access`",
)
CACHED: Final = Rule(
    "cached-guarded-function",
    "a cache around a guarded function does not distinguish purposes",
    "remove the cache, and put `@guard.cached(…)` above `@guard.access`",
)

READING: Final = words_set(
    "execute scalars scalar scalar_one scalar_one_or_none fetchone fetchall fetchmany fetch fetchrow fetchval query "
    "find_one find_all aggregate stream stream_scalars exec get_one filter_by hgetall hget get_item sql mget "
    "one_or_none read_sql"
)
"""Methods that read from a store, whatever it is called."""

ALSO_READING: Final = words_set(
    "get find filter load read read_text read_bytes readlines select all first one values items scan lookup search"
)
"""Methods that read from something whose name or type is that of a store."""

ASKING: Final = words_set("get post request urlopen read_csv read_json read_parquet read_sql read_table load connect")
LIBRARIES: Final = words_set("requests httpx pandas polars json pickle urllib yaml tomllib")
"""Libraries whose functions of these names read."""

STORES: Final = words_set(
    "session db database conn connection cursor cur client engine redis collection table pool tx transaction con"
)
"""Last words of the names of stores. A repository is none: its own functions are checked."""

STORE_TYPES: Final = (
    *("Session", "Connection", "Engine", "Cursor", "Client", "Database", "Pool", "Collection", "Redis"),
    *("scoped_session", "sessionmaker", "connect", "open", "begin", "urlopen", "acquire", "cursor", "get_session"),
)
"""Ends of the names of classes of stores, and of functions that return one."""

TABLES: Final = words_set("dict defaultdict list OrderedDict WeakValueDictionary TTLCache LRUCache deque set")
EXCUSED: Final = words_set(
    "overload abstractmethod fixture property cached_property validator field_validator model_validator composite given"
)
"""Decorators of functions that are no access functions."""

CACHES: Final = frozenset(
    {
        *(f"functools.{name}" for name in ("lru_cache", "cache", "cached_property")),
        *("cachetools.cached", "cachetools.cachedmethod", "async_lru.alru_cache", "aiocache.cached"),
        *(f"cachetools.func.{name}_cache" for name in ("lru", "ttl", "lfu", "fifo", "rr", "mru")),
        *("streamlit.cache_data", "streamlit.cache_resource", "django.utils.functional.cached_property"),
        *("django.views.decorators.cache.cache_page", "fastapi_cache.decorator.cache", "asyncstdlib.lru_cache"),
        *(
            "joblib.Memory.cache",
            "diskcache.Cache.memoize",
            "flask_caching.Cache.memoize",
            "flask_caching.Cache.cached",
        ),
    }
)
SPEAKING: Final = frozenset({"lru_cache", "alru_cache", "ttl_cache", "cached_property"})
"""Names that only caches have, for decorators that cannot be followed."""


# --- unguarded-access ------------------------------------------------------------------------------------------------


def unguarded(module: Module, models: Models, guarding: Guarding) -> Iterator[Found]:
    """Findings: functions of a module that return tagged data unguarded."""
    reads = _Reads(module, models, guarding)
    for function in module.functions:
        what = reads.returned_data(function)
        if what is not None and not reads.is_excused(function) and any(map(reads.is_read, own(function.body))):
            name = module.qualname(function)
            yield Found(function, f"`{name}` returns {what} and is not guarded", name, to=function.returns)


class _Reads:
    """The reads of a module."""

    def __init__(self, module: Module, models: Models, guarding: Guarding) -> None:
        self.module = module
        self.models = models
        self.guarding = guarding
        self.code = models.code

    def returned_data(self, function: FunctionNode) -> str | None:
        """The tagged data that a function returns: by its annotation, or by the models that it makes."""
        scope = self.module.scope_of[function]
        if function.returns is not None:
            held = self.models.deeply(function.returns, scope)
            named = [held_class.name for held_class in held.classes if self.models.of_class(held_class).bears]
            return _description(held, named)
        for node in own(function.body):
            value = node.value if isinstance(node, (ast.Return, ast.Yield)) else None
            value = value.elt if isinstance(value, (ast.ListComp, ast.SetComp, ast.GeneratorExp)) else value
            if isinstance(value, ast.Call) and (cls := self._made(value)) is not None:
                return _description(self.models.of_class(cls), [cls.name])
        return None

    def _made(self, call: ast.Call) -> ast.ClassDef | None:
        """The class of which a call makes an instance: `Customer(…)`, `Customer.model_validate(…)`."""
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in ("model_validate", "from_orm", "model_construct", "_make"):
            func = func.value
        thing = self.code.of(func, self.module.scope_of[call])
        return None if thing is None or thing.instance else thing.cls

    def is_excused(self, function: FunctionNode) -> bool:
        """True if it is guarded, or no access function: a stub, a fixture, a method of the model itself."""
        if any(how != "purpose" for how in self.guarding.by[function]):
            return True
        if {last(decorator) for decorator in function.decorator_list} & EXCUSED:
            return True
        cls = self.module.inside[function].cls
        if cls is not None and ("typing.Protocol" in self.code.bases(cls) or self.models.of_class(cls).bears):
            return True
        return self.guarding.asks_itself(function) or self.guarding.is_helper(function)

    def is_read(self, node: ast.AST) -> bool:
        """True if a node reads data from a store."""
        scope = self.module.scope_of.get(node, self.module.scope)
        match node:
            case ast.Call(func=ast.Name(id="open")):
                return self.code.name(node.func, scope) == "builtins.open"
            case ast.Call(func=ast.Attribute() as func):
                return self._is_method(func, scope)
            case ast.Subscript(ctx=ast.Load()):
                return self._is_table(node.value, scope)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                return self._is_table(node.iter, scope)
            case _:
                return False

    def _is_method(self, func: ast.Attribute, scope: Scope) -> bool:
        library = self.code.name(func, scope).partition(".")[0]
        if library in LIBRARIES:
            return func.attr in ASKING
        if func.attr not in READING and func.attr not in ALSO_READING:
            return False
        owner = func.value.value if isinstance(func.value, ast.Await) else func.value
        if isinstance(owner, ast.Call):  # of `session.query(…).all()` the inner call reads already
            return last(owner).endswith(STORE_TYPES) and not self._is_passed(owner, scope)
        if not isinstance(owner, (ast.Name, ast.Attribute)):
            return False
        return self._is_store(owner, func.attr, scope) or self._is_table(owner, scope)

    def _is_passed(self, call: ast.Call, scope: Scope) -> bool:
        """True if a guard has checked it, or it is a model."""
        made = self._made(call)
        return self.guarding.refusing(call, scope) is not None or (
            made is not None and self.models.of_class(made).bears
        )

    def _is_store(self, owner: ast.Name | ast.Attribute, method: str, scope: Scope) -> bool:
        thing = self.code.of(owner, scope)
        if thing is not None and thing.instance:
            if thing.name.endswith(STORE_TYPES):
                return True
            if thing.name.startswith("builtins.") or (thing.cls is not None and method not in READING):
                return False
        bindings = scope.bindings(owner.id) if isinstance(owner, ast.Name) else []
        calls = [
            binding.value
            for binding in bindings
            if binding.how in ("value", "entered") and isinstance(binding.value, ast.Call)
        ]
        if any(self._is_passed(call, scope) for call in calls):
            return False
        named = last(owner).lower().rpartition("_")[2] in STORES or any(
            last(call).endswith(STORE_TYPES) for call in calls
        )
        return named or method in READING

    def _is_table(self, expr: ast.expr, scope: Scope) -> bool:
        """True for a table in memory that outlives the function: `CUSTOMERS[key]`, `self._rows[key]`."""
        if isinstance(expr, ast.Attribute) and last(expr.value) == "self" and scope.function is not None:
            cls = scope.function.cls
            values = [] if cls is None else [value for value, _, _ in self.code.on_self(cls, expr.attr)]
            return any(map(_makes_table, values))
        bindings = scope.bindings(expr.id) if isinstance(expr, ast.Name) else []
        return bool(bindings) and all(
            binding.how == "value" and binding.scope.parent is None and _makes_table(binding.value)
            for binding in bindings
        )


def _description(held: Held, classes: list[str]) -> str | None:
    if not held.tagged and not (held.sealed and held.marked):
        return None
    return f"`{classes[0]}`, which has tags," if classes else "tagged data"


def _makes_table(value: ast.AST | None) -> bool:
    """True for an empty table or one with rows, but not for a list of words."""
    match value:
        case ast.Call():
            return last(value) in TABLES
        case ast.Dict():
            return all(not isinstance(element, ast.Constant) for element in value.values)
        case ast.List():
            return all(not isinstance(element, ast.Constant) for element in value.elts)
        case _:
            return isinstance(value, (ast.DictComp, ast.ListComp))


# --- cached-guarded-function -----------------------------------------------------------------------------------------


def cached(module: Module, models: Models, guarding: Guarding) -> Iterator[Found]:
    """Functions that are decorated, or called, with a cache."""
    for function in module.functions:
        scope = module.scope_of[function]
        caches = [decorator for decorator in function.decorator_list if _is_cache(decorator, scope, models)]
        what = None if not caches else _what(function, caches[0], scope, guarding)
        if what is not None:
            cache = caches[0].func if isinstance(caches[0], ast.Call) else caches[0]
            name = module.qualname(function)
            yield Found(caches[0], f"`@{dotted(cache)}` on `{name}` {what}", name, lines=(function.lineno,))
    for call in module.all(ast.Call):
        scope = module.scope_of[call]
        if len(call.args) == 1 and isinstance(call.args[0], (ast.Name, ast.Attribute)):
            thing = models.code.of(call.args[0], scope)
            target = None if thing is None else thing.function
            if target is not None and _is_cache(call.func, scope, models) and guarding.may_be_refused(target):
                name = dotted(call.func)
                yield Found(call, f"`{name}` around `{target.name}` answers without asking the guard", target.name)


def _what(function: FunctionNode, cache: ast.expr, scope: Scope, guarding: Guarding) -> str | None:
    decorators = function.decorator_list
    guards = [decorator for decorator in decorators if guarding.how(decorator, scope) in CHECKING]
    if guards:
        above = decorators.index(cache) < decorators.index(guards[-1])
        return "answers without asking the guard" if above else "is below the guard and does not distinguish purposes"
    why = guarding.may_be_refused(function)
    if why is None:
        return None
    inner = why.partition(", which calls ")[2] or why
    return f"keeps the result of {inner.partition(',')[0]} and does not ask the guard again"


def _is_cache(expr: ast.expr, scope: Scope, models: Models, depth: int = 0) -> bool:
    """True for a cache, a name of one, or a function that returns what a cache decorated."""
    plain = expr.func if isinstance(expr, ast.Call) else expr
    thing = models.code.of(plain, scope)
    if (thing is not None and thing.name in CACHES) or (thing is None and last(plain) in SPEAKING):
        return True
    binding = models.code.assigned(plain, scope) if isinstance(plain, (ast.Name, ast.Attribute)) else None
    if binding is not None and isinstance(binding.value, ast.Call) and depth < 3:
        return _is_cache(binding.value, binding.scope, models, depth + 1)
    if thing is None or thing.function is None or thing.module is None or depth > 2:
        return False
    names = {argument.arg for argument in thing.function.args.args}
    returned = [node.value for node in own(thing.function.body) if isinstance(node, ast.Return)]
    return any(
        isinstance(value, ast.Call)
        and any(isinstance(argument, ast.Name) and argument.id in names for argument in value.args)
        and _is_cache(value.func, thing.module.scope_of[value], models, depth + 1)
        for value in returned
    )
