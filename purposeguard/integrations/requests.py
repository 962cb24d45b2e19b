"""Guarded requests of requests: they go only to recipients, checked and on record before they leave (clauses 4-6).

::

    session = GuardedSession(outgoing)

    with guard.purpose(my.Renewal) as use, outgoing.handover(name, subject=7):
        session.post(url, json={"name": use.open(name)})
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations.outgoing import NO_OUTGOING, Outbound, Outgoing, Place, WatchedBody, watch_body

with Needs(__name__, "requests"):
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
    from requests.utils import prepend_scheme_if_needed, select_proxy
    from urllib3.util import parse_url

    must_be_tested("requests", "2.32", "2.34")

__all__ = ["GuardedAdapter", "GuardedSession"]


class GuardedAdapter(HTTPAdapter):
    """`session.mount("https://", GuardedAdapter(outgoing))`: sends what may leave, and checks each redirect anew.

    A proxy that the session, the call or the environment names counts as a host on the way. `options` are those of
    `HTTPAdapter`. The adapter does not see requests that leave by more specific mounts beside it. A `GuardedSession`
    has only guarded mounts.
    """

    def __init__(self, outgoing: Outgoing, **options: Any) -> None:
        if not isinstance(outgoing, Outgoing):
            raise TypeError(NO_OUTGOING)
        super().__init__(**options)
        self._outgoing = outgoing

    def send(  # noqa: PLR0917  # The signature is that of HTTPAdapter.
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send a request if it may leave. Raises as `Outgoing.check_and_record` does."""
        url = request.url or ""
        # The connection is made by these, so no other reading of the URL decides.
        parts, _ = self.build_connection_pool_key_attributes(request, verify, cert)
        proxy = select_proxy(url, proxies)
        method = (request.method or "").upper()
        self._outgoing.check_and_record(
            Outbound(
                Place.of(parts["scheme"], parts["host"] or "", parts["port"]),
                tuple(_text(value) for name, value in request.headers.items() if name.lower() == "host"),
                None if not proxy else _proxy_place(proxy),
                tuple(_texts(request)),
                misled="a tunnel leads to another host: name the proxy, `proxies=…`" if method == "CONNECT" else None,
            )
        )
        body: Any = request.body
        if body is not None and not isinstance(body, (str, bytes)) and not hasattr(body, "read"):
            request.body = watch_body(self._outgoing, body, WatchedBody)
        return super().send(request, stream, timeout, verify, cert, proxies)

    def __reduce__(self) -> Any:
        raise TypeError("a guarded adapter belongs to its guard, and goes to no other process")


class GuardedSession(requests.Session):
    """A session whose adapters are all guarded. `options` are those of `HTTPAdapter`."""

    def __init__(self, outgoing: Outgoing, **options: Any) -> None:
        super().__init__()
        self._guarded = GuardedAdapter(outgoing, **options)
        self.adapters.clear()
        for scheme in ("https://", "http://"):
            self.mount(scheme, self._guarded)

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter for a URL.

        Raises:
            TypeError: A more specific mount gets around `Outgoing`.
        """
        adapter = super().get_adapter(url)
        if not isinstance(adapter, GuardedAdapter):
            raise TypeError(
                f"a request gets around `Outgoing` by a mounted {type(adapter).__name__}: mount a `GuardedAdapter`"
            )
        return adapter


def _texts(request: requests.PreparedRequest) -> Iterator[bytes]:
    yield (request.url or "").encode()
    for value in request.headers.values():
        yield value if isinstance(value, bytes) else value.encode()
    body: Any = request.body
    if isinstance(body, (str, bytes)):
        yield body if isinstance(body, bytes) else body.encode()


def _proxy_place(proxy: str) -> Place:
    """Return the place of a proxy, reading its URL as the connection does."""
    url = parse_url(prepend_scheme_if_needed(proxy, "http"))
    return Place.of(url.scheme or "", url.host or "", url.port)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
