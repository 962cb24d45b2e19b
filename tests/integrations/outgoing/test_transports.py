"""What is peculiar to the libraries: mounts, proxies, sockets, names for TLS, streams, sessions."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator

import httpx
import httpx2
import pytest
import requests
import trio
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import purposeguard as pg
from purposeguard.integrations import httpx as ways
from purposeguard.integrations import httpx2 as ways2
from purposeguard.integrations.outgoing import OURSELVES, Outgoing
from purposeguard.integrations.requests import GuardedAdapter, GuardedSession
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.outgoing.loopback import Server, serving_socket
from tests.integrations.outgoing.senders import TLS
from tests.integrations.outgoing.test_outgoing import NAME, provisions, renewal

LIBRARIES = pytest.mark.parametrize("both", [(httpx, ways), (httpx2, ways2)], ids=["httpx", "httpx2"])


@pytest.fixture
def outgoing(guard: pg.Guard, server: Server) -> Outgoing:
    return Outgoing(guard, {server.url: "mail-house"}, means="other")


@LIBRARIES
def test_ways_around_the_transport_are_noticed(both, outgoing):
    library, ways = both
    transport = ways.GuardedTransport(outgoing, verify=TLS)
    inside = library.Client(transport=transport, mounts={"http://a.example": transport, "http://b.example": None})
    assert ways.guarded(inside) is inside
    bare = library.HTTPTransport(verify=TLS)
    for around, named in (
        (library.Client(verify=TLS), "its transport"),
        (library.Client(transport=transport, mounts={"http://a.example": bare}, verify=TLS), "`http://a.example`"),
        (library.Client(transport=transport, proxy="http://127.0.0.1:1", verify=TLS), "its mount `all://`"),
    ):
        with pytest.raises(TypeError, match="get around `Outgoing` by") as refused:
            ways.guarded(around)
        assert named in str(refused.value)
    with pytest.raises(TypeError, match="cannot be looked into"):
        ways.guarded(outgoing)
    later = library.AsyncClient(transport=ways.AsyncGuardedTransport(outgoing, verify=TLS))
    assert ways.guarded(later) is later


@pytest.fixture
def proxy_of_the_environment(proxy: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return proxy


@LIBRARIES
def test_proxies_of_the_environment_are_not_used_unseen(both, outgoing, guard, server, proxy_of_the_environment):
    library, ways = both
    with ways.guarded(library.Client(transport=ways.GuardedTransport(outgoing, verify=TLS))) as client, renewal(guard):
        with outgoing.handover(NAME):
            assert client.post(server.url, json={"to": "Aiko"}).status_code == 200
        assert len(server.seen) == 1
    assert not proxy_of_the_environment.seen


@LIBRARIES
def test_an_own_proxy_may_be_mounted_for_some_hosts(both, guard, server, proxy):
    library, ways = both
    outgoing = Outgoing(guard, {server.url: "mail-house", proxy.url: OURSELVES}, means="other")
    by_proxy = ways.GuardedTransport(outgoing, proxy=library.Proxy(proxy.url), verify=TLS)
    direct = ways.GuardedTransport(outgoing, verify=TLS)
    with (
        ways.guarded(library.Client(transport=direct, mounts={"http://127.0.0.1": by_proxy})) as client,
        renewal(guard),
    ):
        client.post(server.url, json={"to": "Aiko"}, extensions={"purposeguard": NAME})
    assert len(proxy.seen) == len(server.seen) == len(provisions(guard)) == 1


@LIBRARIES
def test_what_a_transport_cannot_know_it_is_not_given(both, outgoing):
    library, ways = both
    for inner, options in ((library.HTTPTransport(verify=TLS), {}), (library.MockTransport(print), {"retries": 1})):
        with pytest.raises(TypeError, match="options of an `HTTPTransport` go to `GuardedTransport"):
            ways.GuardedTransport(outgoing, inner, **options)
    with pytest.raises(TypeError, match="by a proxy or by a socket"):  # the library would leave the socket out
        ways.GuardedTransport(outgoing, proxy="http://127.0.0.1:1", uds="/run/socket", verify=TLS)
    with pytest.raises(TypeError, match="the first argument is an `Outgoing"):
        ways.GuardedTransport(library.HTTPTransport(verify=TLS))


@LIBRARIES
def test_another_kind_of_transport_may_send(both, outgoing, guard, server):
    library, ways = both
    mock = library.MockTransport(lambda request: library.Response(204))
    with ways.guarded(library.Client(transport=ways.GuardedTransport(outgoing, mock))) as client, renewal(guard):
        with pytest.raises(pg.UnlabelledData):
            client.get(server.url)
        assert client.get(server.url, extensions={"purposeguard": tm.Registration}).status_code == 204


@LIBRARIES
def test_one_request_declares_what_is_in_it(both, outgoing, guard, server):
    library, ways = both
    with library.Client(transport=ways.GuardedTransport(outgoing, verify=TLS)) as client, renewal(guard) as use:
        for declared in (outgoing.handover(NAME, subject=7), NAME, tm.Registration, "1.1(a)"):
            client.post(server.url, json={"to": use.open(NAME)}, extensions={"purposeguard": declared})
        with outgoing.handover(pg.NotPersonal):  # what goes with the request says more
            client.post(server.url, json={"to": "Aiko"}, extensions={"purposeguard": NAME})
        with pytest.raises(pg.UnknownSource):
            client.post(server.url, json={"to": "Aiko"}, extensions={"purposeguard": "Aiko"})
    assert len(server.seen) == len(provisions(guard)) == 5
    assert len(guard.governance.provisions.of(7)) == 1


@LIBRARIES
def test_a_socket_is_a_place_of_its_own(both, guard, tmp_path):
    library, ways = both
    path = str(tmp_path / "s")
    outgoing = Outgoing(guard, {f"unix:{path}": "mail-house", "http://mail.example": OURSELVES}, means="other")
    nowhere = Outgoing(guard, {"http://mail.example": OURSELVES})
    with serving_socket(Server(), path) as server, renewal(guard), outgoing.handover(NAME):
        with library.Client(transport=ways.GuardedTransport(outgoing, uds=path, verify=TLS)) as client:
            assert client.post("http://mail.example/", json={"to": "Aiko"}).status_code == 200
        astray = library.Client(transport=ways.GuardedTransport(nowhere, uds=path, verify=TLS))
        with astray as client, pytest.raises(pg.RecipientViolation, match="no recipient is known"):
            client.post("http://mail.example/", json={"to": "Aiko"})
    assert len(server.seen) == 1


@LIBRARIES
def test_neither_the_name_for_tls_nor_a_target_leads_elsewhere(both, outgoing, guard, server):
    library, ways = both
    with library.Client(transport=ways.GuardedTransport(outgoing, verify=TLS)) as client, renewal(guard):
        for extension in (
            {"sni_hostname": "b.example"},
            {"sni_hostname": b"b.example"},
            {"target": b"http://b.example/"},
            {"target": "b.example:443"},
        ):
            with outgoing.handover(NAME), pytest.raises(pg.RecipientViolation, match=r"leads to another one|no path"):
                client.post(server.url, json={"to": "Aiko"}, extensions=extension)
        with outgoing.handover(NAME):
            client.post(server.url, json={}, extensions={"target": b"/there"})
    assert [seen.target for seen in server.seen] == ["/there"]


@LIBRARIES
def test_streams_are_sent_and_no_piece_with_a_seal(both, outgoing, guard, server):
    library, ways = both

    def pieces(*texts: str) -> Iterator[bytes]:
        for text in texts:
            yield text.encode()

    server.answer = lambda _: b"a" * 100_000
    with library.Client(transport=ways.GuardedTransport(outgoing, verify=TLS)) as client, renewal(guard):
        with outgoing.handover(NAME), client.stream("POST", server.url, content=pieces("to ", "Aiko")) as answer:
            assert sum(map(len, answer.iter_bytes())) == 100_000
        assert server.seen[0].body == b"to Aiko"
        for texts in ((f"to {NAME}",), ("to <sea", "led 1.1(a)>")):
            with outgoing.handover(NAME), pytest.raises(pg.SealedValue):
                client.post(server.url, content=pieces(*texts))
        with outgoing.handover(NAME), pytest.raises(pg.SealedValue):
            client.post(server.url, data={"to": f"{NAME}"}, files={"letter": b"Dear customer"})
    assert b"sealed" not in server.bytes


@LIBRARIES
def test_async_streams_too(both, outgoing, guard, server):
    library, ways = both

    async def pieces(*texts: str) -> AsyncIterator[bytes]:
        for text in texts:
            yield text.encode()

    async def story() -> None:
        transport = ways.AsyncGuardedTransport(outgoing, verify=TLS)
        async with library.AsyncClient(transport=transport) as client:
            with renewal(guard), outgoing.handover(NAME):
                await client.post(server.url, content=pieces("to ", "Aiko"))
                with pytest.raises(pg.SealedValue):
                    await client.post(server.url, content=pieces("to ", f"{NAME}"))

    asyncio.run(story())
    assert server.seen[0].body == b"to Aiko"
    assert b"sealed" not in server.bytes


@LIBRARIES
def test_trio_has_tasks_of_its_own(both, outgoing, guard, server):
    library, ways = both

    async def story() -> None:
        async with library.AsyncClient(transport=ways.AsyncGuardedTransport(outgoing, verify=TLS)) as client:
            with renewal(guard), outgoing.handover(NAME):
                await client.post(server.url, json={"to": "Aiko"})
                with pytest.RaisesGroup(pg.PurposeMissing):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(client.get, server.url)

    trio.run(story)
    assert len(server.seen) == 1


@LIBRARIES
def test_a_base_url_makes_no_difference(both, outgoing, guard, server):
    library, ways = both
    transport = ways.GuardedTransport(outgoing, verify=TLS)
    with library.Client(transport=transport, base_url=server.url) as client, renewal(guard), outgoing.handover(NAME):
        assert client.post("/letters", json={"to": "Aiko"}).status_code == 200
        with pytest.raises(pg.RecipientViolation):
            client.post("http://127.0.0.1:1/letters", json={"to": "Aiko"})


def test_a_more_specific_mount_does_not_get_around(outgoing, guard, server):
    with GuardedSession(outgoing) as session, renewal(guard), outgoing.handover(NAME):
        session.mount(server.url, HTTPAdapter())
        with pytest.raises(TypeError, match="gets around `Outgoing` by a mounted HTTPAdapter"):
            session.post(server.url, json={"to": "Aiko"})
        session.mount(server.url, GuardedAdapter(outgoing, max_retries=Retry(2)))
        session.trust_env = False
        assert session.post(server.url, json={"to": "Aiko"}).status_code == 200
    assert len(server.seen) == 1


def test_an_adapter_guards_a_session_that_is_there(outgoing, guard, server):
    with requests.Session() as session, renewal(guard):
        session.trust_env = False
        session.mount("http://", GuardedAdapter(outgoing))
        with pytest.raises(pg.UnlabelledData):
            session.get(server.url)
        with outgoing.handover(NAME):
            assert session.get(server.url).status_code == 200
    with pytest.raises(TypeError, match="the first argument is an `Outgoing"):
        GuardedAdapter(3)  # type: ignore[arg-type]  # on purpose


def test_a_proxy_of_the_environment_is_a_recipient(outgoing, guard, server, proxy_of_the_environment):
    proxy = proxy_of_the_environment
    unknown = pytest.raises(pg.RecipientViolation, match="no recipient is known")
    with GuardedSession(outgoing) as session, renewal(guard), outgoing.handover(NAME), unknown:
        session.post(server.url, json={"to": "Aiko"})
    assert not proxy.seen
    known = Outgoing(guard, {server.url: "mail-house", proxy.url: "call-centre"}, means="other")
    with GuardedSession(known) as session, renewal(guard), known.handover(NAME):
        assert session.post(server.url, json={"to": "Aiko"}).status_code == 200
    assert [told.recipient for told in provisions(guard)] == ["mail-house", "call-centre"]


def test_bodies_of_sessions_that_are_made_while_they_are_sent(outgoing, guard, server):
    with GuardedSession(outgoing) as session, renewal(guard), outgoing.handover(NAME):
        session.trust_env = False
        session.post(server.url, data=iter([b"to ", b"Aiko"]))
        with pytest.raises(pg.SealedValue):
            session.post(server.url, data=iter(["to ", f"{NAME}"]))
        with pytest.raises(pg.SealedValue):
            session.post(server.url, data=iter([f"{NAME}"[:5], f"{NAME}"[5:]]))
    assert server.seen[0].body == b"to Aiko"
    assert b"sealed" not in server.bytes


def test_an_adapter_goes_to_no_other_process(outgoing):
    with pytest.raises(TypeError, match="goes to no other process"):
        pickle.dumps(GuardedAdapter(outgoing))
