"""One way to send by each library: what leaves is to be the same by all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import httpx2

from purposeguard.integrations import httpx as guarded_httpx
from purposeguard.integrations import httpx2 as guarded_httpx2
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.integrations.requests import GuardedSession

TLS = ssl.create_default_context()
"""Made once: it takes longer than a request."""

Send = Callable[..., int]
"""`send(outgoing, method, url, proxy=None, **options)` gives the status of the answer."""


def by(library: Any, transport: Any) -> Send:
    def send(outgoing: Outgoing, method: str, url: str, proxy: str | None = None, **options: Any) -> int:
        with library.Client(transport=transport(outgoing, proxy=proxy, verify=TLS), follow_redirects=True) as client:
            return int(client.request(method, url, **options).status_code)

    return send


def by_async(library: Any, transport: Any) -> Send:
    def send(outgoing: Outgoing, method: str, url: str, proxy: str | None = None, **options: Any) -> int:
        async def sent() -> int:
            way = transport(outgoing, proxy=proxy, verify=TLS)
            async with library.AsyncClient(transport=way, follow_redirects=True) as client:
                return int((await client.request(method, url, **options)).status_code)

        return asyncio.run(sent())

    return send


def by_requests(outgoing: Outgoing, method: str, url: str, proxy: str | None = None, **options: Any) -> int:
    with GuardedSession(outgoing) as session:
        session.trust_env = False
        proxies = None if proxy is None else {"http": proxy, "https": proxy}
        data = options.pop("content", options.pop("data", None))
        return session.request(method, url, proxies=proxies, data=data, timeout=60, **options).status_code


SENDERS: dict[str, Send] = {
    "httpx": by(httpx, guarded_httpx.GuardedTransport),
    "httpx-async": by_async(httpx, guarded_httpx.AsyncGuardedTransport),
    "httpx2-async": by_async(httpx2, guarded_httpx2.AsyncGuardedTransport),
    "requests": by_requests,
}
