"""Entry points of requests, and refusals as HTTP answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from purposeguard.integrations.django.stated_views import check_root_urls, name_route
from purposeguard.integrations.django.views import holds_stream
from purposeguard.integrations.problems import MEDIA_TYPE, problem_of
from purposeguard.runtime.entry_point import EntryPoint

_ENTRY_POINT: Final = "purposeguard_entry_point"
"""The attribute of a request that holds its entry point."""


class PurposeMiddleware:
    """A middleware that enters the entry point of each request, and answers errors of this library.

    The entry point is the route of the URL configuration, such as `GET /customers/<int:key>/`. It holds in the
    middlewares that stand below this one in `MIDDLEWARE`, so put this one first, and until a streamed answer ends.
    Until the route is known, and without a route, it is `GET (no route)`.

    Errors are answered with problem details. They may come from a view or from the rendering of its response. The
    middleware is both sync and async. With `PURPOSEGUARD_DETAILS = False` in the settings, callers learn only the kind
    of error.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Initialize with the next middleware or view, which answers the request.

        Raises:
            ValueError: A view and `purposes.toml` state different purposes.
        """
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]  # It also sees marked functions, on each Python.
        if self._is_async:
            markcoroutinefunction(self)
        check_root_urls()

    def __call__(self, request: HttpRequest) -> Any:
        """Return the answer of the next middleware or view, or an awaitable of it."""
        entry_point = EntryPoint.request(request.method or "")
        setattr(request, _ENTRY_POINT, entry_point)
        if self._is_async:
            return self._answer_async(request, entry_point)
        with entry_point:
            return _hold_stream(self._get_response(request), entry_point)

    async def _answer_async(self, request: HttpRequest, entry_point: EntryPoint) -> Any:
        with entry_point:
            return _hold_stream(await self._get_response(request), entry_point)

    def process_view(self, request: HttpRequest, *_: object) -> None:
        """Name the entry point after the route that was chosen."""
        match = request.resolver_match
        if match is not None and match.route is not None:
            entry_point: EntryPoint = getattr(request, _ENTRY_POINT)
            entry_point.name = name_route(request.method or "", match.route)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:  # noqa: ARG002  # The signature is Django's.
        """Return the answer to an error, or None if the error is not one of this library."""
        problem = problem_of(exception, details=bool(getattr(settings, "PURPOSEGUARD_DETAILS", True)))
        if problem is None:
            return None
        headers = problem.headers
        return JsonResponse(problem.body, status=problem.status, content_type=MEDIA_TYPE, headers=headers)


def _hold_stream(response: Any, entry_point: EntryPoint) -> Any:
    """Make the steps of a streamed answer run at the entry point."""
    if holds_stream(response):
        iterate = _iterate_async if response.is_async else _iterate
        response.streaming_content = entry_point.wrap(iterate)(response.streaming_content)
    return response


def _iterate(parts: Any) -> Iterator[Any]:
    yield from parts


async def _iterate_async(parts: Any) -> AsyncIterator[Any]:
    async for part in parts:
        yield part
