"""Refusals as HTTP answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from purposeguard.integrations.problems import MEDIA_TYPE, problem_of


class PurposeMiddleware:
    """A middleware that answers errors of this library with problem details.

    The errors may come from a view or from the rendering of its response. The middleware is both sync and async. With
    `PURPOSEGUARD_DETAILS = False` in the settings, callers learn only the kind of error.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Initialize with the next middleware or view, which answers the request."""
        self._get_response = get_response
        if iscoroutinefunction(get_response):  # pyright: ignore[reportDeprecated]  # It also sees marked functions, on each Python.
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Return the answer of the next middleware or view, or an awaitable of it."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:  # noqa: ARG002  # The signature is Django's.
        """Return the answer to an error, or None if the error is not one of this library."""
        problem = problem_of(exception, details=bool(getattr(settings, "PURPOSEGUARD_DETAILS", True)))
        if problem is None:
            return None
        headers = problem.headers
        return JsonResponse(problem.body, status=problem.status, content_type=MEDIA_TYPE, headers=headers)
