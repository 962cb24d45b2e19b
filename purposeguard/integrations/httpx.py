"""Requests that httpx sends: to recipients alone, checked and on record before the first byte leaves (clauses 4 to 6).

::

    client = guarded(httpx.Client(transport=GuardedTransport(outgoing)))

    with guard.purpose(my.Renewal) as use:
        client.post(url, json=…, extensions={"purposeguard": outgoing.handover(my.Registration, subject=7)})
"""

from __future__ import annotations

from typing import Any

import httpx

from purposeguard.integrations._httpx_transports import GuardedAsync, GuardedSync, Watched, guarded
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.integrations.versions import must_be_tested

__all__ = ["AsyncGuardedTransport", "GuardedTransport", "guarded"]

must_be_tested("httpx", "0.28", "0.28")


class _Stream(Watched, httpx.SyncByteStream):
    """A body of a request."""


class _AsyncStream(Watched, httpx.AsyncByteStream):
    """A body of a request of an async client."""


class GuardedTransport(GuardedSync, httpx.BaseTransport):
    """`httpx.Client(transport=GuardedTransport(outgoing))`: sends what `outgoing` lets leave, each redirect anew.

    `options` are those of `httpx.HTTPTransport`: the proxy or socket that requests leave by is named here. `inner` is a
    transport of another kind that sends instead; what it does itself is not seen.

    Raises:
        TypeError: `inner` is an HTTPTransport, or comes with options.
    """

    _stream = _Stream

    def __init__(self, outgoing: Outgoing, inner: httpx.BaseTransport | None = None, **options: Any) -> None:
        self._guard(httpx, httpx.HTTPTransport, outgoing, inner, options)


class AsyncGuardedTransport(GuardedAsync, httpx.AsyncBaseTransport):
    """The same for `httpx.AsyncClient`."""

    _stream = _AsyncStream

    def __init__(self, outgoing: Outgoing, inner: httpx.AsyncBaseTransport | None = None, **options: Any) -> None:
        self._guard(httpx, httpx.AsyncHTTPTransport, outgoing, inner, options)
