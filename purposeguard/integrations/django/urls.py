"""Purposes for views that somebody else wrote: a purpose for a whole list of URLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, include

from purposeguard.integrations.django.views import purpose


def purposed(urls: Any, for_purpose: Any, *, channel: str | None = None) -> tuple[list[Any], str | None, str | None]:
    """Return URLs for `include(…)` whose views run for this purpose: `purposed(admin.site.urls, Purpose)`.

    A view that states a purpose itself keeps its own.

    Raises:
        UnknownPurpose, UnknownChannel, ChannelViolation, TypeError: As in `purpose`.
    """
    included: Any = urls if isinstance(urls, tuple) and len(urls) == 3 else include(urls)
    module, app_name, namespace = included
    patterns = getattr(module, "urlpatterns", module)
    decorate: Callable[[Any], Any] = purpose(for_purpose, channel=channel)
    return [_decorate_pattern(pattern, decorate) for pattern in patterns], app_name, namespace


def _decorate_pattern(pattern: Any, decorate: Callable[[Any], Any]) -> Any:
    if isinstance(pattern, URLResolver):
        inside: Any = pattern.url_patterns
        nested = [_decorate_pattern(inner, decorate) for inner in inside]
        return URLResolver(pattern.pattern, nested, pattern.default_kwargs, pattern.app_name, pattern.namespace)
    if isinstance(pattern, URLPattern):
        return URLPattern(pattern.pattern, decorate(pattern.callback), pattern.default_args, pattern.name)
    raise TypeError(f"a list of URLs holds what `path(…)` gives, not {type(pattern).__name__}")
