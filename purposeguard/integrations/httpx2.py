"""Requests that httpx2 sends, as `purposeguard.integrations.httpx` has it for httpx."""

from __future__ import annotations

from typing import Any

import httpx2

from purposeguard.integrations._httpx_transports import GuardedAsync, GuardedSync, Watched, guarded
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.integrations.versions import must_be_tested

__all__ = ["AsyncGuardedTransport", "GuardedTransport", "guarded"]

must_be_tested("httpx2", "2.16", "2.16")


class _Stream(Watched, httpx2.SyncByteStream):
    """A body of a request."""


class _AsyncStream(Watched, httpx2.AsyncByteStream):
    """A body of a request of an async client."""


class GuardedTransport(GuardedSync, httpx2.BaseTransport):
    """`httpx2.Client(transport=GuardedTransport(outgoing))`: sends what `outgoing` lets leave, each redirect anew.

    `options` are those of `httpx2.HTTPTransport`: the proxy or socket that requests leave by is named here. `inner` is
    a transport of another kind that sends instead; what it does itself is not seen.

    Raises:
        TypeError: `inner` is an HTTPTransport, or comes with options.
    """

    _stream = _Stream

    def __init__(self, outgoing: Outgoing, inner: httpx2.BaseTransport | None = None, **options: Any) -> None:
        self._guard(httpx2, httpx2.HTTPTransport, outgoing, inner, options)


class AsyncGuardedTransport(GuardedAsync, httpx2.AsyncBaseTransport):
    """The same for `httpx2.AsyncClient`."""

    _stream = _AsyncStream

    def __init__(self, outgoing: Outgoing, inner: httpx2.AsyncBaseTransport | None = None, **options: Any) -> None:
        self._guard(httpx2, httpx2.AsyncHTTPTransport, outgoing, inner, options)
