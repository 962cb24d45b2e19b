"""A cache for access functions whose key contains the purpose and the label as well as the arguments.

A plain cache above a guarded function would return to every caller the data that was read, or withheld, for the first
one. This cache checks each call before it answers, and stores results separately for each purpose. The storage comes
from cachetools.
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
from purposeguard.runtime.use import NO_USE
from purposeguard.runtime.wrapping import Function
from purposeguard.values.callables import callable_kind, is_plain


def cache_function(fn: Function, engine: Engine, maxsize: int, ttl: float | None, typed: bool) -> Function:
    """Wrap an access function in a cache.

    Args:
        fn: An access function of this guard.
        engine: The engine of the guard.
        maxsize: The greatest number of cached results.
        ttl: The lifetime of a result in seconds. None for no limit.
        typed: If True, arguments of different types are cached separately.

    Raises:
        TypeError: `fn` is not an access function of this guard, or it is a generator, whose items cannot be cached.
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
        use = reader.authorize()  # Raises on a denial, even if a result is cached.
        activity_key: tuple[object, ...] = ()
        if use is not None:
            activity = use.activity
            activity_key = (activity.purpose, activity.channel, activity.conditions, activity.observing)
            if reader.access.withhold:  # Withheld fields name the activity in their errors.
                activity_key += (activity.name,)
        # The table and the era are in the key, so results that were read under a replaced notice, or before a test put
        # other governance in place, are not found again.
        return engine.snapshot.matrix, engine.era, activity_key, reader.resolve_label(), make_key(*args, **kwargs)

    lock = make_lock()  # Reentrant, because a finalizer may call the cached function while its thread holds the lock.
    if is_plain(fn):

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> _CachedResult:
            # Computing the key has already authorized the call.
            return _CachedResult(reader.run_authorized(*args, **kwargs))

        return _filter_cached_results(cachetools.cached(store, key=key, lock=lock, info=True)(run), fn, reader)
    if callable_kind(fn) != "coroutine":
        raise TypeError("`guard.cached` keeps what a function returns; a generator returns nothing to keep")
    return _cache_coroutine(fn, reader, store, key, lock)


def _may_cache(reader: AccessFunction) -> bool:
    """Return True if results may be cached here. Without a use, the check before the cache refuses the call."""
    use = reader.ambient()
    return use is NO_USE or use.handle.can_be_cached


class _CachedResult:
    """A cached result. Its representation hides the value, because caches appear in reprs and tracebacks."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _filter_cached_results(cached_fn: Any, fn: Function, reader: AccessFunction) -> Function:
    """Wrap a cached function so that each row is checked again, since its subject's wishes may have changed."""

    @functools.wraps(cached_fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not _may_cache(reader):
            return fn(*args, **kwargs)
        return reader.result_from_cache(cached_fn(*args, **kwargs).value)

    del wrapper.cache  # type: ignore[attr-defined]  # It holds the rows as they were read, before filtering.
    wrapper.cache_info = cached_fn.cache_info  # type: ignore[attr-defined]  # As on cachetools' own wrappers.
    wrapper.cache_clear = cached_fn.cache_clear  # type: ignore[attr-defined]  # As above.
    return wrapper


def _cache_coroutine(fn: Function, reader: AccessFunction, store: Any, key: Function, lock: RLock) -> Function:
    """Cache the results of a coroutine function, which `cachetools.cached` does not support.

    Concurrent calls that find no result each run the function.
    """
    hits = misses = 0
    absent = object()

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal hits, misses
        if not _may_cache(reader):
            return await fn(*args, **kwargs)
        call_key = key(*args, **kwargs)
        with lock:
            result = store.get(call_key, absent)
            if result is not absent:
                hits += 1
            else:
                misses += 1
        try:
            if result is absent:
                result = _CachedResult(await reader.run_authorized_coroutine(*args, **kwargs))
                with lock:
                    result = store.setdefault(call_key, result)
            return reader.result_from_cache(result.value)
        finally:
            del result  # Keep the value out of the traceback of a refusal.

    def cache_info() -> tuple[int, int, float, int]:
        with lock:
            return hits, misses, store.maxsize, store.currsize

    def cache_clear() -> None:
        nonlocal hits, misses
        with lock:
            store.clear()
            hits = misses = 0

    wrapper.cache_info = cache_info  # type: ignore[attr-defined]  # As on cachetools' own wrappers.
    wrapper.cache_clear = cache_clear  # type: ignore[attr-defined]  # As above.
    return wrapper
