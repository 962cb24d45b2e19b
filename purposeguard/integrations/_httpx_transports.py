"""The shared part of the transports for httpx and httpx2, which differ in nothing but the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from purposeguard.extras import Needs
from purposeguard.integrations.outgoing import NO_OUTGOING, Handover, Outbound, Outgoing, Place, WatchedBody, watch_body
from purposeguard.integrations.threads import hopping, hops, off_loop

with Needs(__name__, "httpx"):
    import anyio
    import anyio.to_thread

Client = TypeVar("Client")

EXTENSION = "purposeguard"
"""The extension of a request that declares what is in it: a `Handover`, or what `Outgoing.handover` takes."""


class GuardedTransportBase:
    """A transport that asks `outgoing` whether a request may leave, and then sends it by another transport.

    `options` are those of the library's `HTTPTransport`; the proxy or socket that requests leave by is named there.
    `inner` is a transport of another kind that sends instead. Requests that it makes itself are not checked.

    Raises:
        TypeError: `inner` is an HTTPTransport, or comes with options.
    """

    _library: Any
    _usual: str
    """The name of the transport that sends unless another is given."""
    _stream: type[WatchedBody]

    def __init__(self, outgoing: Outgoing, inner: Any = None, **options: Any) -> None:
        library = self._library
        if not isinstance(outgoing, Outgoing):
            raise TypeError(NO_OUTGOING)
        if inner is not None and (options or isinstance(inner, (library.HTTPTransport, library.AsyncHTTPTransport))):
            raise TypeError(
                f"the options of an `{self._usual}` go to `{type(self).__name__}(outgoing, …)` itself, which has to "
                "know the proxy or socket that requests leave by"
            )
        proxy, socket = options.get("proxy"), options.get("uds")
        if proxy is not None and socket is not None:
            raise TypeError("requests leave by a proxy or by a socket: `proxy=` or `uds=`")
        self._outgoing = outgoing
        self._inner = getattr(library, self._usual)(**options) if inner is None else inner
        self._proxy = None if proxy is None else _place_of_url(library.URL(getattr(proxy, "url", proxy)))
        self._socket = None if socket is None else Place.socket(str(socket))

    def _leave(self, request: Any, declared: Handover | None = None) -> None:
        headers = request.headers.raw
        loaded = b"".join(request.stream) if isinstance(request.stream, self._library.ByteStream) else None
        target, sni = request.extensions.get("target"), request.extensions.get("sni_hostname")
        self._outgoing.check_and_record(
            Outbound(
                self._socket or _place_of_url(request.url),
                () if self._socket else tuple(_iter_host_names(headers, sni)),
                self._proxy,
                (request.url.raw_path, loaded or b"", *(value for _, value in headers)),
                declared or request.extensions.get(EXTENSION),
                _find_target_mismatch(request.method, target),
            )
        )
        if loaded is None:
            request.stream = watch_body(self._outgoing, request.stream, self._stream)


class SyncTransportMixin(GuardedTransportBase):
    """A guarded transport for a synchronous client."""

    _usual = "HTTPTransport"

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)

    def handle_request(self, request: Any) -> Any:
        """Send a request if it may leave. Raises as `Outgoing.check_and_record` does."""
        self._leave(request)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncTransportMixin(GuardedTransportBase):
    """A guarded transport for an asynchronous client. A thread asks governance and writes the record first."""

    _usual = "AsyncHTTPTransport"

    async def __aenter__(self) -> Any:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request if it may leave. Raises as `Outgoing.check_and_record` does."""
        outgoing = self._outgoing
        use = outgoing.under_way
        if use is None:
            async with off_loop(outgoing.guard.engine):
                self._leave(request)
        else:
            declared = outgoing.find_declared_handover(request.extensions.get(EXTENSION))
            with hopping(use):
                await anyio.to_thread.run_sync(hops(self._leave), request, declared)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def guarded(client: Client) -> Client:
    """Return the client after checking that its transport and all its mounts are guarded.

    A client that is given `proxy=` or `mounts=` sends by transports that know nothing of `Outgoing`.

    Raises:
        TypeError: A transport is not guarded, or the client cannot be inspected.
    """
    attributes = vars(client)
    if not {"_transport", "_mounts"} <= attributes.keys():
        raise TypeError(f"a {type(client).__name__} of this version cannot be looked into: its ways out are not known")
    transports = {"its transport": attributes["_transport"]}
    for pattern, transport in attributes["_mounts"].items():
        transports[f"its mount `{pattern.pattern}`"] = transport
    unguarded: list[str] = []
    for name, transport in transports.items():
        if transport is not None and not isinstance(transport, GuardedTransportBase):
            unguarded.append(name)
    if unguarded:
        raise TypeError(
            f"requests get around `Outgoing` by {', '.join(unguarded)}: give the client guarded transports alone, and "
            "a proxy to the transport, `GuardedTransport(outgoing, proxy=…)`"
        )
    return client


def _place_of_url(url: Any) -> Place:
    return Place.of(url.raw_scheme.decode("ascii"), url.raw_host.decode("ascii"), url.port)


def _iter_host_names(headers: list[tuple[bytes, bytes]], sni: Any) -> Iterator[str]:
    for name, value in headers:
        if name.lower() == b"host":
            yield value.decode("latin-1")
    if sni is not None:
        yield sni.decode("latin-1") if isinstance(sni, bytes) else str(sni)


def _find_target_mismatch(method: str, target: Any) -> str | None:
    if method == "CONNECT":
        return "a tunnel leads to another host: give the transport the proxy, `GuardedTransport(outgoing, proxy=…)`"
    first = target[:1] if target is not None else b"/"
    return None if first in (b"/", "/") else "its `target` is no path: leave the extension out"
