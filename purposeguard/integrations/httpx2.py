"""Guarded requests of httpx2, as in `purposeguard.integrations.httpx`."""

from __future__ import annotations

from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations.outgoing import WatchedBody

with Needs(__name__, "httpx2"):
    import httpx2

    from purposeguard.integrations._httpx_transports import AsyncTransportMixin, SyncTransportMixin, guarded

    must_be_tested("httpx2", "2.16", "2.16")

__all__ = ["AsyncGuardedTransport", "GuardedTransport", "guarded"]


class _WatchedStream(WatchedBody, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a request."""


class GuardedTransport(SyncTransportMixin, httpx2.BaseTransport):
    """`httpx2.Client(transport=GuardedTransport(outgoing))`: sends what may leave, and checks each redirect anew."""

    _library = httpx2
    _stream = _WatchedStream


class AsyncGuardedTransport(AsyncTransportMixin, httpx2.AsyncBaseTransport):
    """A guarded transport for `httpx2.AsyncClient`."""

    _library = httpx2
    _stream = _WatchedStream
