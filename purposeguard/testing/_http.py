"""HTTP requests that go out, and what an application that is called in this process answers."""

from __future__ import annotations

import contextlib
import functools
import http.client
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any, Final

from purposeguard.testing._patching import (
    Parts,
    Patches,
    Tell,
    asking,
    is_told_above,
    text_of,
    told_above,
    told_above_in_task,
)

_DULL: Final = frozenset({"date", "content-length", "connection", "accept-encoding"})
"""Headers of requests that say nothing by themselves: how long a body is, is seen by the body."""


def watch(patches: Patches, tell: Tell) -> None:
    """Watches the clients that are loaded, and http.client, on which others stand."""
    _watch_http_client(patches, tell)
    for name in ("httpx", "httpx2"):
        module = sys.modules.get(name)
        if module is not None:
            patches.put(module.Client, "send", lambda send: _sent(send, tell))
            patches.put(module.AsyncClient, "send", lambda send: _sent_async(send, tell))
    requests = sys.modules.get("requests")
    if requests is not None:
        patches.put(requests.Session, "send", lambda send: _sent_by_requests(send, tell))
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is not None:
        patches.put(aiohttp.ClientSession, "_request", lambda request: _sent_by_aiohttp(request, tell))


def _named(headers: Any, dull: Collection[str] = _DULL) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in headers.items():
        name = f"header {text_of(header).lower()}"
        if name.removeprefix("header ") not in dull:  # there may be several of one name
            found[name] = f"{found[name]}, {text_of(value)}" if name in found else text_of(value)
    return found


# ---- httpx, and what has its interface ----------------------------------------------------------------------------


def _sent(send: Any, tell: Tell) -> Any:
    def wrapper(self: Any, request: Any, **options: Any) -> Any:
        inside = _is_inside(self, request)
        if not inside:
            tell("http", request.method, lambda: _request(request, request.read()))
        with asking() if inside else told_above():
            response = send(self, request, **options)
        if inside:
            _answered(response, tell, streaming=bool(options.get("stream")))
        return response

    return wrapper


def _sent_async(send: Any, tell: Tell) -> Any:
    async def wrapper(self: Any, request: Any, **options: Any) -> Any:
        inside = _is_inside(self, request)
        if not inside:
            body = await request.aread()
            tell("http", request.method, lambda: _request(request, body))
        with asking() if inside else told_above_in_task():
            response = await send(self, request, **options)
        if inside:
            _answered(response, tell, streaming=bool(options.get("stream")))
        return response

    return wrapper


def _is_inside(client: Any, request: Any) -> bool:
    """Whether a client calls an application in this process: what a test asks it is no effect, its answer is."""
    find = getattr(client, "_transport_for_url", None)
    transport = find(request.url) if find is not None else getattr(client, "_transport", None)
    return getattr(transport, "app", None) is not None


def _request(request: Any, body: bytes) -> Parts:
    return {"address": str(request.url), **_named(request.headers), "body": body}


def _answered(response: Any, tell: Tell, *, streaming: bool) -> None:
    """Tells of the answer of an application; of one that is a stream as it is read."""
    body = b"" if streaming else response.content
    dull = {"content-length"} if body or streaming else ()  # of the answer to HEAD it is all that there is
    parts: Parts = {"status": str(response.status_code), **_named(response.headers, dull), "body": body}
    found = tell("response", "", lambda: parts)
    if streaming and found:
        response.stream = _told_stream(response.stream, found)


def _told_stream(stream: Any, found: list[Any]) -> Any:
    """A stream that tells what is read of it; of the same class, as clients want it."""

    def grow(chunk: bytes) -> bytes:
        for one in found:
            one.grow("body", chunk)
        return chunk

    class Told(type(stream)):  # type: ignore[misc]  # which one it is, is known by now
        def __init__(self) -> None:
            """It has what the other one has, and calls that."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stream, name)

        def __iter__(self) -> Iterator[bytes]:
            return map(grow, stream)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in stream:
                yield grow(chunk)

        def close(self) -> None:
            stream.close()

        async def aclose(self) -> None:
            await stream.aclose()

    return Told()


# ---- requests -----------------------------------------------------------------------------------------------------


def _sent_by_requests(send: Any, tell: Tell) -> Any:
    def wrapper(self: Any, request: Any, **options: Any) -> Any:
        tell(
            "http",
            str(request.method),
            lambda: {"address": str(request.url), **_named(request.headers), "body": _body(request.body)},
        )
        # What is made while it is sent is told where it is sent.
        with told_above() if request.body is None or _is_whole(request.body) else contextlib.nullcontext():
            return send(self, request, **options)

    return wrapper


def _is_whole(body: Any) -> bool:
    return isinstance(body, (str, bytes, bytearray, memoryview))


def _body(body: Any) -> str | bytes:
    if body is None or isinstance(body, str):
        return body or ""
    return bytes(body) if _is_whole(body) else f"<{type(body).__name__}>"


# ---- aiohttp ------------------------------------------------------------------------------------------------------


def _sent_by_aiohttp(request: Any, tell: Tell) -> Any:
    @functools.wraps(request)
    async def wrapper(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
        address = str(self._build_url(str_or_url))
        body = _body_of_aiohttp(self, options)
        given = {name: repr(options[name]) for name in ("params", "cookies", "auth") if options.get(name)}
        headers = {**self.headers, **dict(options.get("headers") or {})}
        tell("http", method.upper(), lambda: {"address": address, **_named(headers), **given, "body": body or ""})
        with contextlib.nullcontext() if body is None else told_above_in_task():
            return await request(self, method, str_or_url, **options)

    return wrapper


def _body_of_aiohttp(session: Any, options: Mapping[str, Any]) -> str | bytes | None:
    """What is sent; None where it is made while it is sent."""
    data, json = options.get("data"), options.get("json")
    if json is not None:
        return text_of(session._json_serialize(json))
    fields = getattr(data, "_fields", None)  # of a form: how it will look is not made up yet
    if fields is not None:
        return "\n".join(f"{dict(kind)} {text_of(value)}" for kind, _, value in fields)
    if data is None or _is_whole(data):
        return _body(data)
    return repr(data) if isinstance(data, (dict, list, tuple)) else None


# ---- http.client --------------------------------------------------------------------------------------------------


def _watch_http_client(patches: Patches, tell: Tell) -> None:
    connection = http.client.HTTPConnection
    patches.put(connection, "putrequest", lambda putrequest: _begun(putrequest, tell))
    patches.put(connection, "putheader", _headed)
    patches.put(connection, "endheaders", _ended)
    patches.put(connection, "send", _sent_on)


def _going_on(connection: Any) -> tuple[str, list[Any]]:
    """The method of the request that a connection is writing, and what is told of it."""
    found: tuple[str, list[Any]] = vars(connection).get("_purposeguard", ("", []))
    return found


def _begun(putrequest: Any, tell: Tell) -> Any:
    def wrapper(self: Any, method: str, url: str, *more: Any, **options: Any) -> Any:
        found = [] if is_told_above() else tell("http", method, lambda: {"address": _address(self, url)})
        vars(self)["_purposeguard"] = (method, found)
        return putrequest(self, method, url, *more, **options)

    return wrapper


def _headed(putheader: Any) -> Any:
    def wrapper(self: Any, header: Any, *values: Any) -> Any:
        name = text_of(header).lower()
        if name not in _DULL:
            for one in _going_on(self)[1]:
                one.grow(f"header {name}", ", ".join(map(text_of, values)))
        return putheader(self, header, *values)

    return wrapper


def _ended(endheaders: Any) -> Any:
    def wrapper(self: Any, message_body: Any = None, **options: Any) -> Any:
        if isinstance(message_body, (str, bytes)):  # told here, since nothing is sent where nobody listens
            method, found = _going_on(self)
            for one in found:
                one.grow("body", _body(message_body))
            vars(self)["_purposeguard"] = (method, [])
        with told_above():  # by which socket
            return endheaders(self, message_body, **options)

    return wrapper


def _sent_on(send: Any) -> Any:
    def wrapper(self: Any, data: Any) -> Any:
        method, found = _going_on(self)
        # What comes first are the request line and the headers, which are told already.
        if not (isinstance(data, bytes) and data.startswith(f"{method} ".encode()) and b" HTTP/1." in data):
            for one in found:
                one.grow("body", _body(data))
        with told_above():
            return send(self, data)

    return wrapper


def _address(connection: Any, url: str) -> str:
    if "://" in url:
        return url
    secure = isinstance(connection, http.client.HTTPSConnection)
    return f"http{'s' if secure else ''}://{connection.host}:{connection.port}{url}"
