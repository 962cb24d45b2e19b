"""HTTP requests that go out, and what an application that is called in this process answers."""

from __future__ import annotations

import contextlib
import http.client
import sys
from typing import Any, Final

from purposeguard.testing._patching import Patches, Tell, asking, is_told_above, text_of, told_above

_DULL: Final = frozenset({"date", "content-length", "connection", "accept-encoding", "server"})
"""Headers that say nothing by themselves: how long a body is, is seen by the body."""


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


def _named(headers: Any) -> dict[str, str]:
    items = [(text_of(name).lower(), text_of(value)) for name, value in headers.items()]
    return {f"header {name}": value for name, value in items if name not in _DULL}


# ---- httpx, and what has its interface ----------------------------------------------------------------------------


def _sent(send: Any, tell: Tell) -> Any:
    def wrapper(self: Any, request: Any, **options: Any) -> Any:
        inside = _is_inside(self, request)
        if not inside:
            tell("http", request.method, lambda: _request(request, request.read()))
        with asking() if inside else contextlib.nullcontext():
            response = send(self, request, **options)
        if inside and not options.get("stream"):
            tell("response", "", lambda: _response(response))
        return response

    return wrapper


def _sent_async(send: Any, tell: Tell) -> Any:
    async def wrapper(self: Any, request: Any, **options: Any) -> Any:
        inside = _is_inside(self, request)
        if not inside:
            body = await request.aread()
            tell("http", request.method, lambda: _request(request, body))
        with asking() if inside else contextlib.nullcontext():
            response = await send(self, request, **options)
        if inside and not options.get("stream"):
            tell("response", "", lambda: _response(response))
        return response

    return wrapper


def _is_inside(client: Any, request: Any) -> bool:
    """Whether a client calls an application in this process: what a test asks it is no effect, its answer is."""
    find = getattr(client, "_transport_for_url", None)
    transport = find(request.url) if find is not None else getattr(client, "_transport", None)
    return getattr(transport, "app", None) is not None


def _request(request: Any, body: bytes) -> dict[str, str]:
    return {"address": str(request.url), **_named(request.headers), "body": text_of(body)}


def _response(response: Any) -> dict[str, str]:
    return {"status": str(response.status_code), **_named(response.headers), "body": text_of(response.content)}


# ---- requests -----------------------------------------------------------------------------------------------------


def _sent_by_requests(send: Any, tell: Tell) -> Any:
    def wrapper(self: Any, request: Any, **options: Any) -> Any:
        tell(
            "http",
            str(request.method),
            lambda: {"address": str(request.url), **_named(request.headers), "body": _body(request.body)},
        )
        with told_above():
            return send(self, request, **options)

    return wrapper


def _body(body: Any) -> str:
    if body is None:
        return ""
    return text_of(body) if isinstance(body, (str, bytes, bytearray, memoryview)) else f"<{type(body).__name__}>"


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
        return endheaders(self, message_body, **options)

    return wrapper


def _sent_on(send: Any) -> Any:
    def wrapper(self: Any, data: Any) -> Any:
        method, found = _going_on(self)
        # What comes first are the request line and the headers, which are told already.
        if not (isinstance(data, bytes) and data.startswith(f"{method} ".encode()) and b" HTTP/1." in data):
            for one in found:
                one.grow("body", _body(data))
        return send(self, data)

    return wrapper


def _address(connection: Any, url: str) -> str:
    if "://" in url:
        return url
    secure = isinstance(connection, http.client.HTTPSConnection)
    return f"http{'s' if secure else ''}://{connection.host}:{connection.port}{url}"
