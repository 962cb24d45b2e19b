"""Hooks that connect a guard to a library right after it was imported.

What the application guards itself is left alone: an engine, an application or a connection is connected only when it
is used for the first time and has no guard.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any, Final

from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point, suspend_entry_point

MIDDLEWARE: Final = "purposeguard.integrations.django.PurposeMiddleware"
"""The middleware that makes the requests of Django entry points."""

_log: Final = logging.getLogger("purposeguard")
_unobserved_libraries: Final[set[str]] = set()


@contextlib.contextmanager
def skip_if_unavailable(name: str) -> Generator[None]:
    """Leave a library unobserved, with one warning, if another library that this needs is missing or does not fit."""
    try:
        yield
    except ImportError as error:
        if name not in _unobserved_libraries:
            _unobserved_libraries.add(name)
            _log.warning("%s is not observed: %s", name, error)


def observe_sqlalchemy(guard: Guard, sqlalchemy: ModuleType) -> None:
    """Guard each engine of SQLAlchemy when it connects for the first time."""
    from purposeguard.adapters.sqlalchemy.session import protect, watch_of  # noqa: PLC0415  # loaded with the library
    from purposeguard.adapters.sqlalchemy.tags import EVERY_TABLE  # noqa: PLC0415  # likewise

    unobserved: set[int] = set()

    def observe(engine: Any) -> None:
        if watch_of(engine) is None and id(engine) not in unobserved:
            try:
                protect(engine, guard, EVERY_TABLE)
            except (PurposeGuardError, TypeError, ValueError) as error:
                unobserved.add(id(engine))
                _log.warning("an engine for %s is not observed: %s", engine.dialect.name, error)

    for name in ("connect", "raw_connection"):
        _call_before(sqlalchemy.Engine, name, observe)


def observe_django(guard: Guard, registry: ModuleType) -> None:
    """Hold the connections, requests and commands of Django once its applications are loaded."""

    def hold(apps: Any, *_: object, **__: object) -> None:
        from django.conf import settings  # noqa: PLC0415  # loaded with the library

        from purposeguard.adapters.django.apps import RowsConfig  # noqa: PLC0415  # likewise
        from purposeguard.adapters.django.session import HeldConnections  # noqa: PLC0415  # likewise
        from purposeguard.integrations.django.apps import hold_requests  # noqa: PLC0415  # likewise

        if apps.ready and apps is registry.apps and not apps.is_installed(RowsConfig.name):
            settings.PURPOSEGUARD_GUARD = guard
            held_connections = HeldConnections(guard)
            held_connections.install()
            held_connections.check_instances()
            hold_requests()
            settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]

    _call_after(registry.Apps, "populate", hold)


def observe_fastapi(guard: Guard, applications: ModuleType) -> None:
    """Install the guard in each FastAPI application before its first event."""

    def prepare(app: Any) -> None:
        from purposeguard.integrations.fastapi import install, is_installed  # noqa: PLC0415  # loaded with the library

        if not is_installed(app):
            install(app, guard)

    _call_before(applications.FastAPI, "build_middleware_stack", prepare)


def observe_flask(guard: Guard, app: ModuleType) -> None:
    """Install the guard in each Flask application before its first request."""

    def prepare(application: Any, *_: object) -> None:
        from purposeguard.integrations.flask import Purposes, is_installed  # noqa: PLC0415  # loaded with the library

        if not is_installed(application):
            Purposes(application, guard)

    for name in ("__call__", "wsgi_app"):  # The first one looks up `wsgi_app`, which the installation replaces.
        _call_before(app.Flask, name, prepare)


def observe_celery(_: Guard, signals: ModuleType) -> None:
    """Set the entry point of each task of Celery."""
    running: dict[str, EntryPoint] = {}

    def enter(task_id: str, task: Any, **_: object) -> None:
        running[task_id] = EntryPoint.task(task.name).__enter__()

    def leave(task_id: str, **_: object) -> None:
        entry_point = running.pop(task_id, None)
        if entry_point is not None:
            entry_point.__exit__()

    signals.task_prerun.connect(enter, weak=False)
    signals.task_postrun.connect(leave, weak=False)


def observe_rq(_: Guard, job: ModuleType) -> None:
    """Set the entry point of each job of RQ."""
    perform = job.Job.perform

    @functools.wraps(perform)
    def perform_at_entry_point(self: Any) -> Any:
        with EntryPoint.task(self.func_name):
            return perform(self)

    job.Job.perform = perform_at_entry_point


def observe_threads(_: Guard, threading: ModuleType) -> None:
    """Let threads inherit the entry point in which they were started."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_at_entry_point(thread: Any) -> None:
        name = current_entry_point()
        if name is not None:
            thread.run = functools.partial(_run_at_entry_point, name, thread.run)
        start(thread)

    threading.Thread.start = start_at_entry_point


def observe_executors(_: Guard, thread: ModuleType) -> None:
    """Let functions that are submitted to a pool of threads inherit the entry point."""
    submit = thread.ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def submit_at_entry_point(pool: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        name = current_entry_point()
        if name is not None:
            fn = functools.partial(_run_at_entry_point, name, fn)
        with suspend_entry_point():  # A thread that starts now serves other entry points as well.
            return submit(pool, fn, *args, **kwargs)

    thread.ThreadPoolExecutor.submit = submit_at_entry_point


HOOKS: Final[dict[str, Callable[[Guard, ModuleType], None]]] = {
    "celery.signals": observe_celery,
    "concurrent.futures.thread": observe_executors,
    "django.apps.registry": observe_django,
    "fastapi.applications": observe_fastapi,
    "flask.app": observe_flask,
    "rq.job": observe_rq,
    "sqlalchemy": observe_sqlalchemy,
    "threading": observe_threads,
}
"""The hook of each module, which is called with the guard and the module."""


def _run_at_entry_point(name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    with EntryPoint(name):
        return fn(*args, **kwargs)


def _call_before(cls: Any, name: str, prepare: Callable[..., None]) -> None:
    """Let a method call a function with its object and arguments first."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def prepare_and_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = type(self), vars(self).get(name)
        with skip_if_unavailable(cls.__module__):
            prepare(self, *args, **kwargs)
        if (type(self), vars(self).get(name)) != before:  # The object, or its class, has another method now.
            return getattr(self, name)(*args, **kwargs)
        return method(self, *args, **kwargs)

    setattr(cls, name, prepare_and_call)


def _call_after(cls: Any, name: str, complete: Callable[..., None]) -> None:
    """Let a method call a function with its object and arguments at its end."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def call_and_complete(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        with skip_if_unavailable(cls.__module__):
            complete(self, *args, **kwargs)
        return result

    setattr(cls, name, call_and_complete)
