"""`cached-guarded-function`: a cache that knows no purposes, around what is guarded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.guards import CHECKING, Function
from purposeguard.linting.names import Here, Value, dotted, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Scope, walk

RULE: Final = Rule(
    "cached-guarded-function",
    "a cache that knows no purposes is around a guarded function",
    "The cache answers without asking the guard: one purpose is served what was read for another, and who opted out "
    "meanwhile is served as before.",
    "take the cache away, and put `@guard.cached(…)` above `@guard.access`",
)

CACHES: Final = frozenset(
    {
        *(f"functools.{name}" for name in ("lru_cache", "cache", "cached_property")),
        *("cachetools.cached", "cachetools.cachedmethod", "cachetools.decorators.cached"),
        *(
            f"cachetools.func.{name}"
            for name in ("lru_cache", "ttl_cache", "lfu_cache", "fifo_cache", "rr_cache", "mru_cache")
        ),
        *(
            "async_lru.alru_cache",
            "methodtools.lru_cache",
            "aiocache.cached",
            "aiocache.cached_stampede",
            "cached_property.cached_property",
        ),
        *(
            "streamlit.cache_data",
            "streamlit.cache_resource",
            "django.utils.functional.cached_property",
            "backports.functools_lru_cache.lru_cache",
        ),
        *(
            "django.views.decorators.cache.cache_page",
            "fastapi_cache.decorator.cache",
            "asyncstdlib.lru_cache",
            "asyncstdlib.cache",
        ),
    }
)
SPEAKING: Final = frozenset({"lru_cache", "alru_cache", "ttl_cache", "cached_property"})
"""What a cache is called, and nothing else, where the name cannot be followed."""

STORES: Final = frozenset({"diskcache", "joblib", "flask_caching", "dogpile", "cachier", "cashews", "percache"})
"""Libraries whose objects have methods that cache: `memory.cache`, `cache.memoize()`."""

METHODS: Final = frozenset({"cache", "cached", "memoize", "memoize_stampede", "cache_on_arguments"})


def check(module: Module, program: Program) -> Iterator[Found]:
    """Functions that are decorated, or called, with a cache."""
    for node in module.functions:
        yield from _decorated(program.guards.functions[node], module.scope_of[node], program)
    for call in module.all(ast.Call):
        scope = module.scope_of[call]
        given = call.args[0] if len(call.args) == 1 else None
        if isinstance(given, (ast.Name, ast.Attribute)):
            yield from _called(call, given, scope, program)


def _decorated(function: Function, scope: Scope, program: Program) -> Iterator[Found]:
    node = function.node
    decorators = node.decorator_list
    caches = [one for one in decorators if _is_cache(one, scope, program)]
    if not caches:
        return
    guards = [one for one in decorators if program.guards.decorator(one, scope) in CHECKING]
    cache = caches[0]
    name = f"`@{dotted(cache.func if isinstance(cache, ast.Call) else cache)}`"
    if guards:
        above = decorators.index(cache) < decorators.index(guards[-1])
        what = "answers without asking the guard" if above else "is below the guard, and knows no purposes"
    else:
        why = program.guards.may_be_refused(function)
        if why is None:
            return
        # "`total`, which calls `load`, which is guarded": what it calls is told alone.
        inner = why.partition(", which calls ")[2] or why
        what = f"keeps what {inner.partition(',')[0]} gave, and answers without asking again"
    yield Found(cache, f"{name} of `{function.name}` {what}", function.name, lines=(node.lineno,))


def _called(node: ast.Call, given: ast.expr, scope: Scope, program: Program) -> Iterator[Found]:
    """`load = lru_cache(load_customer)`."""
    for one in program.guards.meant(given, scope):
        function = program.guards.functions.get(one.node)
        if function is None or program.guards.may_be_refused(function) is None:
            continue
        if _is_cache(node.func, scope, program, called=True):
            name = dotted(node.func) or terminal(node.func)
            yield Found(node, f"`{name}` around `{function.name}` answers without asking the guard", function.name)
            return


def _is_cache(expr: ast.expr, scope: Scope, program: Program, *, called: bool = False, depth: int = 0) -> bool:
    """Whether something caches; `called`: whether it does so when it is called with a function."""
    plain = expr
    if isinstance(plain, ast.Call):
        if called and any(
            isinstance(one, (ast.Name, ast.Attribute)) and program.names.functions(one, scope) for one in plain.args
        ):
            return False  # it was given its function there already
        plain = plain.func
    names = program.names.names(plain, scope)
    if names & CACHES or (not names and terminal(plain) in SPEAKING and not program.names.refs(plain, scope)):
        return True
    if isinstance(plain, ast.Attribute) and plain.attr in METHODS:
        owner = program.values.of(plain.value, scope)
        if owner is not None and owner.name.partition(".")[0] in STORES:
            return True
    return depth < 3 and any(_leads_to_cache(ref, program, depth) for ref in program.names.refs(plain, scope))


def _leads_to_cache(ref: object, program: Program, depth: int) -> bool:
    """Whether a name is given to a cache, or to a function here that gives back what a cache made."""
    if isinstance(ref, Value) and isinstance(ref.binding, Assigned):
        value = ref.binding.value
        return isinstance(value, ast.Call) and _is_cache(
            value, ref.binding.scope, program, called=True, depth=depth + 1
        )
    if isinstance(ref, Here) and not ref.is_class:
        for node in walk(ref.node):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
                made = node.value
                inside = ref.module.scope_of[made]
                given = {one.id for one in made.args if isinstance(one, ast.Name)}
                own = {one.arg for one in ref.node.args.args} if not isinstance(ref.node, ast.ClassDef) else set()
                if given & own and _is_cache(made.func, inside, program, depth=depth + 1):
                    return True
    return False
