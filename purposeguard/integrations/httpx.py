"""Guarded requests of httpx: they go only to recipients, and are checked and on record before they leave (clauses 4-6).

::

    client = guarded(httpx.Client(transport=GuardedTransport(outgoing)))

    with guard.purpose(my.Renewal) as use:
        client.post(url, json=…, extensions={"purposeguard": outgoing.handover(my.Registration, subject=7)})
"""

from __future__ import annotations

from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations.outgoing import WatchedBody

with Needs(__name__, "httpx"):
    import httpx

    from purposeguard.integrations._httpx_transports import AsyncTransportMixin, SyncTransportMixin, guarded

    must_be_tested("httpx", "0.28", "0.28")

__all__ = ["AsyncGuardedTransport", "GuardedTransport", "guarded"]


class _WatchedStream(WatchedBody, httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a request."""


class GuardedTransport(SyncTransportMixin, httpx.BaseTransport):
    """`httpx.Client(transport=GuardedTransport(outgoing))`: sends what may leave, and checks each redirect anew."""

    _library = httpx
    _stream = _WatchedStream


class AsyncGuardedTransport(AsyncTransportMixin, httpx.AsyncBaseTransport):
    """A guarded transport for `httpx.AsyncClient`."""

    _library = httpx
    _stream = _WatchedStream
