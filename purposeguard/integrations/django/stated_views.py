"""Views that run for the purposes that `purposes.toml` states for their routes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver

from purposeguard.guard import Guard
from purposeguard.integrations.django.views import BLOCK, load_guard_from_settings, make_decorator
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site
from purposeguard.runtime.activity import Block
from purposeguard.runtime.entry_point import METHODS, EntryPoint, name_method

_ENTERED: Final = "purposeguard_entered"
"""The attribute of the method of URL patterns that enters the purposes of views."""
_WRAPPED: Final = "purposeguard_wrapped"
"""The attribute of a URL pattern that holds a guard and the view that runs for the purposes of its file."""


def name_route(method: str, route: str) -> str:
    """Return the entry point of a request with this method for a route of the URL configuration."""
    return EntryPoint.route(name_method(method), f"/{route.removeprefix('^')}").name


def enter_stated_views() -> None:
    """Make the views of all URL patterns run for the purposes that the file states, if their code states none."""
    resolve: Any = URLPattern.resolve
    if getattr(resolve, _ENTERED, False):
        return

    @functools.wraps(resolve)
    def resolve_with_purpose(pattern: URLPattern, path: str) -> ResolverMatch | None:
        match: ResolverMatch | None = resolve(pattern, path)
        guard = load_guard_from_settings()
        if match is not None and guard.purposes is not None:
            wrapped: tuple[Guard, Any] | None = vars(pattern).get(_WRAPPED)
            if wrapped is None or wrapped[0] is not guard:
                wrapped = vars(pattern)[_WRAPPED] = (guard, _run_for_stated_purpose(guard, match.func))
            match.func = wrapped[1]
        return match

    setattr(resolve_with_purpose, _ENTERED, True)
    patterns: Any = URLPattern
    patterns.resolve = resolve_with_purpose


def _run_for_stated_purpose(guard: Guard, view: Any) -> Callable[..., Any]:
    """Wrap a view so that each request runs for the purpose that the file states for its entry point."""

    @functools.cache
    def decorate(entry_point: str, method: str) -> Callable[..., Any]:
        block = find_block(guard, entry_point, find_stated(view, method))
        decorated: Callable[..., Any] = view if block is None else make_decorator(guard, block, get_site(block))(view)
        return decorated

    def find(request: Any) -> Callable[..., Any]:
        route: str = request.resolver_match.route
        return decorate(name_route(request.method, route), name_method(request.method))

    @functools.wraps(view)
    def answer(request: Any, *args: Any, **kwargs: Any) -> Any:
        return find(request)(request, *args, **kwargs)

    @functools.wraps(view)
    async def answer_async(request: Any, *args: Any, **kwargs: Any) -> Any:
        return await find(request)(request, *args, **kwargs)

    return answer_async if iscoroutinefunction(view) else answer  # pyright: ignore[reportDeprecated]  # It also sees marked functions.


def check_root_urls() -> None:
    """Check the root URL configuration against `purposes.toml`, and list the activities of its views.

    Raises:
        ValueError: A view and the file state different purposes.
    """
    guard = load_guard_from_settings()
    if guard.purposes is None:
        return
    resolver: Any = get_resolver()
    for route, view in iter_views(resolver.url_patterns, ""):
        for method in METHODS:
            block = find_block(guard, name_route(method, route), find_stated(view, method))
            if block is not None and _can_answer(view, method):
                block.stated.get_handle_at(get_site(block))


def _can_answer(view: Any, method: str) -> bool:
    """Return False if a view certainly has no code for a method."""
    actions: dict[str, str] | None = getattr(view, "actions", None)
    if actions is not None:
        return method.lower() in actions
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return view_class is None or hasattr(view_class, method.lower())


def iter_views(patterns: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the route and the view of each pattern, and of those that it includes. Routes are joined as Django does."""
    for pattern in patterns:
        part = str(pattern.pattern)
        route = prefix + part.removeprefix("^") if prefix else part
        if isinstance(pattern, URLResolver):
            included: Any = pattern
            yield from iter_views(included.url_patterns, route)
        else:
            yield route, pattern.callback


def find_stated(view: Any, method: str) -> list[Any]:
    """Return what the code of a view states for a method: on the view, on its class, or on the method that answers."""
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    actions: dict[str, str] = getattr(view, "actions", None) or {}
    name = method.lower()
    for candidate in (getattr(view_class, actions.get(name, name), None), view):
        block: Block[Any] | None = getattr(candidate, BLOCK, None)
        stated = block or find_activity(candidate)
        if stated is not None:
            return [stated]
    return []
