"""The entry points of an application that was imported, each with the function that answers it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from purposeguard.cli.options import needing
from purposeguard.runtime.entry_point import METHODS, EntryPoint, name_method

Framework = Literal["fastapi", "flask", "django", "celery", "command"]

_UNSTATED_METHODS = frozenset({"HEAD", "OPTIONS"})
"""Methods that frameworks add to routes."""


class FoundEntryPoint(NamedTuple):
    """An entry point.

    Attributes:
        name: Its name, as in `purposes.toml`.
        framework: What calls it.
        function: The function that answers, as the application wrote it.
        stated: What the code states for it: blocks and activities of purposes.
        takes_purpose: True for a route of a `PurposeRouter`.
    """

    name: str
    framework: Framework
    function: Any
    stated: tuple[Any, ...] = ()
    takes_purpose: bool = False


def iter_entry_points(applications: Iterable[Any]) -> Iterator[FoundEntryPoint]:
    """Yield the entry points of applications, and of Django if it is set up.

    Raises:
        CommandProblem: The extra of a framework is not installed.
    """
    for application in applications:
        if _is_instance(application, "starlette.applications", "Starlette"):
            yield from _iter_fastapi(application)
        elif _is_instance(application, "flask", "Flask"):
            yield from _iter_flask(application)
        elif _is_instance(application, "celery", "Celery"):
            yield from _iter_celery(application)
    registry = sys.modules.get("django.apps")
    if registry is not None and registry.apps.ready:
        yield from _iter_django()


def _is_instance(application: object, module: str, name: str) -> bool:
    return module in sys.modules and isinstance(application, getattr(sys.modules[module], name))


def _iter_fastapi(app: Any) -> Iterator[FoundEntryPoint]:
    with needing("fastapi", "the routes of FastAPI need"):
        from purposeguard.integrations.asgi import get_declared_route, iter_routes  # noqa: PLC0415  # needs an extra
        from purposeguard.integrations.fastapi import PurposeRoute, list_declared_blocks  # noqa: PLC0415  # likewise
        from purposeguard.integrations.stated_purposes import find_activity  # noqa: PLC0415  # likewise
    for route, path in iter_routes(app, behind_middlewares=False):
        endpoint, methods = getattr(route, "endpoint", None), getattr(route, "methods", None)
        if endpoint is None or not hasattr(route, "dependant"):
            continue
        activity = find_activity(endpoint)
        stated = (*list_declared_blocks(route), *([] if activity is None else [activity]))
        takes_purpose = isinstance(get_declared_route(route), PurposeRoute)
        for method in sorted(methods or {"WEBSOCKET"}):
            name = EntryPoint.route(name_method(method, methods or ()), path).name
            yield FoundEntryPoint(name, "fastapi", endpoint, stated, takes_purpose)


def _iter_flask(app: Any) -> Iterator[FoundEntryPoint]:
    with needing("flask", "the routes of Flask need"):
        from purposeguard.integrations.flask import find_marked_block  # noqa: PLC0415  # needs an extra
        from purposeguard.integrations.stated_purposes import find_activity  # noqa: PLC0415  # likewise
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        view_class = getattr(view, "view_class", None)
        for method in sorted((rule.methods or set()) - _UNSTATED_METHODS):
            name = f"{name_method(method, rule.methods)} {rule.rule}"
            marked, activity = find_marked_block(view, method), find_activity(view)
            stated = ([] if marked is None else [marked[1]]) + ([] if activity is None else [activity])
            function = view if view_class is None else getattr(view_class, method.lower(), None)
            yield FoundEntryPoint(name, "flask", function, tuple(stated))


def _iter_celery(app: Any) -> Iterator[FoundEntryPoint]:
    with needing("celery", "the tasks of Celery need"):
        from purposeguard.integrations.stated_purposes import find_activity  # noqa: PLC0415  # needs an extra
    app.loader.import_default_modules()
    app.finalize()
    for name, task in sorted(app.tasks.items()):
        activity = find_activity(task.run)
        yield FoundEntryPoint(EntryPoint.task(name).name, "celery", task.run, () if activity is None else (activity,))


def _iter_django() -> Iterator[FoundEntryPoint]:
    with needing("django", "the views of Django need"):
        from django.core.management import get_commands, load_command_class  # noqa: PLC0415  # needs an extra
        from django.urls import get_resolver  # noqa: PLC0415  # likewise

        from purposeguard.integrations.django.stated_views import find_stated, iter_views, name_route  # noqa: PLC0415  # likewise
        from purposeguard.integrations.stated_purposes import find_activity  # noqa: PLC0415  # likewise
    resolver: Any = get_resolver()
    for route, view in iter_views(resolver.url_patterns, ""):
        view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
        actions = getattr(view, "actions", None) or {}
        for method in sorted(METHODS - _UNSTATED_METHODS):
            lower = method.lower()
            function = view if view_class is None else getattr(view_class, actions.get(lower, lower), None)
            if function is not None:
                yield FoundEntryPoint(name_route(method, route), "django", function, tuple(find_stated(view, method)))
    for name, app in sorted(get_commands().items()):
        if not str(app).startswith("django."):
            handle = type(load_command_class(app, name)).handle
            activity = find_activity(handle)
            yield FoundEntryPoint(
                EntryPoint.command(name).name, "command", handle, () if activity is None else (activity,)
            )


def unwrap(function: Any) -> Any:
    """Return the function that the source code defines: without decorators, and of a bound method its function."""
    return inspect.unwrap(getattr(function, "__func__", function))
