"""A cache over access functions that is keyed by purpose and label as well as by arguments.

A plain cache over a guarded function answers whoever asks with what was read, or withheld, for the first who asked.
This one checks before it answers and keeps apart what each purpose was given. The keeping is cachetools'.
"""

from __future__ import annotations

import functools
from threading import RLock
from typing import Any

import cachetools
from cachetools.keys import hashkey, typedkey

from purposeguard.locks import make_lock
from purposeguard.runtime.access import AccessFunction
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.wrapping import Function
from purposeguard.values.callables import callable_kind, is_plain


def cache_function(fn: Function, engine: Engine, maxsize: int, ttl: float | None, typed: bool) -> Function:
    """Return `fn`, an access function of this guard, behind a cache of `maxsize` answers that live `ttl` seconds.

    Raises:
        TypeError: `fn` is no access function of this guard, or a generator, whose items cannot be kept.
        ValueError: `maxsize` or `ttl` is not above zero.
    """
    reader: AccessFunction | None = getattr(fn, "__purposeguard_access__", None)
    if reader is None or not reader.belongs_to(engine) or reader.wrapper is not fn:
        raise TypeError(
            "`guard.cached` goes right above `@guard.access` of the same guard, so that it can check before it answers"
        )
    if maxsize <= 0 or (ttl is not None and ttl <= 0):
        raise ValueError(f"a cache needs room and time: maxsize={maxsize}, ttl={ttl}")
    store: cachetools.Cache[Any, Any] = (
        cachetools.LRUCache(maxsize) if ttl is None else cachetools.TTLCache(maxsize, ttl)
    )
    make_key = typedkey if typed else hashkey

    def key(*args: Any, **kwargs: Any) -> object:
        use = reader.authorize()  # refuses whether or not an answer is kept
        who: tuple[object, ...] = ()
        if use is not None:
            activity = use.activity
            who = (activity.purpose, activity.channel, activity.conditions, activity.observing)
            if reader.access.withhold:  # what was withheld says for which activity
                who += (activity.name,)
        # The state is in the key: what was read under a notice since replaced is not found again.
        return engine.snapshot.matrix, who, reader.resolve_label(), make_key(*args, **kwargs)

    lock = make_lock()  # a finaliser may call what is cached while its thread holds it
    if is_plain(fn):

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> _CachedResult:
            # The key has authorised the call by now.
            return _CachedResult(reader.run_authorized(*args, **kwargs))

        return _filter_cached_results(cachetools.cached(store, key=key, lock=lock, info=True)(run), fn, reader)
    if callable_kind(fn) != "coroutine":
        raise TypeError("`guard.cached` keeps what a function returns; a generator returns nothing to keep")
    return _cache_coroutine(fn, reader, store, key, lock)


class _CachedResult:
    """An answer that is kept. Caches print what they hold, and stand in the frames of errors: this prints nothing."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _filter_cached_results(kept: Any, fn: Function, reader: AccessFunction) -> Function:
    """What is kept, each row looked at anew: what its subject wants may have changed meanwhile."""

    @functools.wraps(kept)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not reader.ambient()._keeps:
            return fn(*args, **kwargs)
        return reader.result_from_cache(kept(*args, **kwargs).value)

    del wrapper.cache  # type: ignore[attr-defined]  # rows are kept in it as they were read
    wrapper.cache_info = kept.cache_info  # type: ignore[attr-defined]  # as cachetools' own wrappers have it
    wrapper.cache_clear = kept.cache_clear  # type: ignore[attr-defined]  # likewise
    return wrapper


def _cache_coroutine(fn: Function, reader: AccessFunction, store: Any, key: Function, lock: RLock) -> Function:
    """As `cachetools.cached`, which knows no coroutines; calls that miss at the same time each run the function."""
    hits = misses = 0
    absent = object()

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal hits, misses
        if not reader.ambient()._keeps:
            return await fn(*args, **kwargs)
        wanted = key(*args, **kwargs)
        with lock:
            found = store.get(wanted, absent)
            if found is not absent:
                hits += 1
            else:
                misses += 1
        try:
            if found is absent:
                found = _CachedResult(await reader.run_authorized_coroutine(*args, **kwargs))
                with lock:
                    found = store.setdefault(wanted, found)
            return reader.result_from_cache(found.value)
        finally:
            del found  # from the traceback, where it is refused

    def cache_info() -> tuple[int, int, float, int]:
        with lock:
            return hits, misses, store.maxsize, store.currsize

    def cache_clear() -> None:
        nonlocal hits, misses
        with lock:
            store.clear()
            hits = misses = 0

    wrapper.cache_info = cache_info  # type: ignore[attr-defined]  # as cachetools' own wrappers have it
    wrapper.cache_clear = cache_clear  # type: ignore[attr-defined]  # likewise
    return wrapper
