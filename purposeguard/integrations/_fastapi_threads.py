"""The purpose of a request in the threads and tasks in which FastAPI runs code for it.

Each route knows the functions that it calls (`dependant`) and the fields that serialize its answers. Both are replaced
by wrappers that carry the purpose. Only public names are used, and one local variable of Starlette; `verify_hooks`
checks that FastAPI still calls the wrappers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Annotated, Any, Final, cast

from pydantic_core import PydanticSerializationError

from purposeguard.extras import Needs
from purposeguard.integrations.asgi import App, Receive, Scope, Send, iter_routes
from purposeguard.integrations.threads import Hop, hopping_function, hops
from purposeguard.runtime.use import end_use
from purposeguard.values.personal_model import raise_dump_refusal
from purposeguard.values.pydantic import DumpRefusal, dump_without_withheld, refusals

with Needs(__name__, "fastapi"):
    import fastapi
    from fastapi import APIRouter, Depends, FastAPI
    from fastapi.dependencies.models import Dependant
    from fastapi.responses import StreamingResponse
    from fastapi.routing import APIRoute
    from starlette.background import BackgroundTask, BackgroundTasks
    from starlette.concurrency import iterate_in_threadpool
    from starlette.responses import Response

Wrap = Callable[[Any], Any]

_FIELD_HOP: Final = Hop()


def hop_route(route: Any) -> None:
    """Wrap everything that a route runs so that it has the purpose of the request. A second call changes nothing."""
    dependant = getattr(route, "dependant", None)
    if dependant is not None:
        _replace_calls(dependant, _HoppingCallable)
    for name in ("response_field", "stream_item_field"):
        field = getattr(route, name, None)
        if field is not None and "validate" not in vars(field):
            _wrap_serialization(field)


def _replace_calls(dependant: Dependant, wrap: Wrap) -> None:
    if dependant.call is not None and not isinstance(dependant.call, _HoppingCallable):
        dependant.call = wrap(dependant.call)
    for inner in dependant.dependencies:
        _replace_calls(inner, wrap)


def _wrap_serialization(field: Any, wrap: Wrap = lambda fn: fn) -> None:
    """Wrap a response field so that it has the purpose of the request, and raises refusals.

    Otherwise errors that quote the value are raised instead of a refusal.
    """
    vars(field)["validate"] = wrap(_wrap_validation(field.validate))
    for name in ("serialize", "serialize_json"):
        vars(field)[name] = wrap(_wrap_dump(getattr(field, name)))


def _wrap_dump(dump: Any) -> Any:
    def serialize(value: Any, **options: Any) -> Any:
        dump_refusals: list[DumpRefusal] = []
        failures: list[PydanticSerializationError] = []
        result: Any = None
        carried = _FIELD_HOP.enter()
        token = refusals.set(dump_refusals)
        try:
            result = dump_without_withheld(value, dump, options)
        except PydanticSerializationError as error:
            failures.append(error)
        finally:
            refusals.reset(token)
            if carried is not None:
                end_use(carried)
        if dump_refusals or failures:
            with raise_dump_refusal(value):  # It is entered only now, because most dumps are not refused.
                cast("list[DumpRefusal]", refusals.get()).extend(dump_refusals)
                if failures:
                    raise failures[0]
        return result

    return serialize


def _wrap_validation(validate: Any) -> Any:
    @functools.wraps(validate)
    def validate_or_refuse(*args: Any, **kwargs: Any) -> Any:
        dump_refusals: list[DumpRefusal] = []
        carried = _FIELD_HOP.enter()
        token = refusals.set(dump_refusals)
        try:
            value, errors = validate(*args, **kwargs)
        finally:
            refusals.reset(token)
            if carried is not None:
                end_use(carried)
        if errors and dump_refusals:
            raise dump_refusals[0].error.with_traceback(None)
        return value, errors

    return validate_or_refuse


class _HoppingCallable:
    """A function that FastAPI calls for a request.

    It equals the function that it wraps, so overrides are found. It has the attributes of that function, because
    applications mark dependencies and look for the marks in the routes.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn, updated=())
        self._fn = fn
        self._run = hopping_function(fn, _HoppingEndpoint())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for value in kwargs.values():
            if isinstance(value, BackgroundTasks) and "add_task" not in vars(value):
                vars(value)["add_task"] = functools.partial(_add_task, value.add_task)
        return self._run(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return bool(self._fn == (other._fn if isinstance(other, _HoppingCallable) else other))

    def __hash__(self) -> int:
        return hash(self._fn)

    def __getattr__(self, name: str) -> Any:
        if "_fn" not in vars(self):  # A copy that is not complete yet.
            raise AttributeError(name)
        return getattr(self._fn, name)


def _add_task(add: Callable[..., None], func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    add(hops(func), *args, **kwargs)


class _HoppingEndpoint(Hop):
    """A `Hop` for endpoints, which also wraps the response. Coroutines stay in the task of the request."""

    def filter_result(self, value: Any, token: Any) -> Any:  # noqa: ARG002  # The signature is that of Around.
        """Wrap the stream and the background tasks of a response. Return any other value unchanged."""
        return _hop_response(value) if isinstance(value, Response) else value


def _hop_response(response: Response) -> Response:
    """Wrap the stream and the background tasks of a response so that they have the purpose of the request."""
    if isinstance(response, StreamingResponse):
        response.body_iterator = _hop_stream(response.body_iterator)
    background = getattr(response, "background", None)
    tasks = background.tasks if isinstance(background, BackgroundTasks) else [background]
    for task in tasks:
        if isinstance(task, BackgroundTask):
            task.func = hops(task.func)
    return response


def _hop_stream(stream: Any) -> Any:
    # Starlette has wrapped a synchronous iterable, and would step it in threads.
    inner = _find_thread_iterable(stream)
    return hops(_iterate_async)(stream) if inner is None else iterate_in_threadpool(hops(_iterate)(inner))


def _find_thread_iterable(stream: Any) -> Iterable[Any] | None:
    """Return the iterable that Starlette would step in threads.

    Returns:
        None if the stream is asynchronous itself, or has begun.
    """
    code: Any = iterate_in_threadpool
    if not inspect.isasyncgen(stream) or stream.ag_code is not code.__code__ or stream.ag_frame is None:
        return None
    inner: Iterable[Any] | None = stream.ag_frame.f_locals.get("iterator")
    return inner


def _iterate(steps: Iterable[Any]) -> Generator[Any]:
    yield from steps


async def _iterate_async(steps: Any) -> AsyncGenerator[Any]:
    async for step in steps:
        yield step


class HooksMissing(RuntimeError):
    """The installed FastAPI does not call the hooks that keep routes to their purposes. It must not be used."""


_PROBE: Final = "/purposeguard-probe"


_IS_PROBE: Final = "purposeguard_probe"


def is_probe(app: FastAPI) -> bool:
    """Return True if an application is the probe application of `verify_hooks`."""
    return getattr(app.state, _IS_PROBE, False)


async def verify_hooks(route_class: type[APIRoute]) -> None:
    """Send a request through a probe application to check that FastAPI calls the hooks in its routes.

    Raises:
        HooksMissing: A hook was not called.
    """
    called: set[str] = set()

    class Probed(route_class):  # type: ignore[valid-type,misc]  # The base class is a parameter.
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            called.add("handle")
            await super().handle(scope, receive, send)

    router = APIRouter(route_class=Probed)
    router.add_api_route(_PROBE, _endpoint)
    app = FastAPI(openapi_url=None, telemetry={"exclude": lambda _: True})
    setattr(app.state, _IS_PROBE, True)
    app.include_router(router)
    for route, _ in iter_routes(app):
        _replace_calls(route.dependant, functools.partial(_record_calls, called))
        _wrap_serialization(route.response_field, functools.partial(_record_calls, called))
    await _send_probe(app, _PROBE)
    expected = {"handle", "_endpoint", "_dependency", "validate", "serialize"}
    if _find_thread_iterable(StreamingResponse(iter(())).body_iterator) is not None:
        called.add("stream")
    missing = (expected | {"stream"}) - called
    if missing:
        raise HooksMissing(
            f"FastAPI {fastapi.__version__} does not call {', '.join(sorted(missing))} of a route where this release "
            "of purposeguard takes its purpose: use a version that it was tested with"
        )


def _dependency() -> int:
    return 1


def _endpoint(number: Annotated[int, Depends(_dependency)]) -> int:
    return number


def _record_calls(called: set[str], fn: Any) -> Any:
    @functools.wraps(fn)
    def record_and_call(*args: Any, **kwargs: Any) -> Any:
        called.add(fn.__name__)
        return fn(*args, **kwargs)

    return record_and_call


async def _send_probe(app: App, path: str) -> None:
    """Send one GET request and ignore the answer."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        """Ignore the message."""

    common = {"http_version": "1.1", "scheme": "http", "root_path": "", "query_string": b"", "headers": []}
    await app({"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), **common}, receive, send)
