"""A request leaves once its recipient may have what is in it, and once that is on record; by each library alike."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import logging
import sqlite3
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import pytest

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, UnknownRecipient
from purposeguard.governance import Governance
from purposeguard.integrations.httpx import AsyncGuardedTransport
from purposeguard.integrations.outgoing import OURSELVES, Outgoing, Place
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision, Recipient
from tests.integrations.outgoing.conftest import CONTRACT, SUPERVISED
from tests.integrations.outgoing.senders import SENDERS, Send
from tests.support import RecordingObserver

LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
NAME = pg.Personal("Aiko", tm.Registration)
SCANS = pg.Personal("41 threats", tm.ProductData)


@dataclass
class Customer:
    id: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest) -> Send:
    return SENDERS[request.param]


def provisions(guard: pg.Guard) -> list[Provision]:
    governance = guard.governance
    assert isinstance(governance, Governance)
    return [record.provision for record in governance.provisions.since(LONG_AGO)]


def renewal(guard: pg.Guard):
    return guard.purpose(tm.RenewalGuidance, activity="reminders")


def test_what_may_go_to_a_recipient_is_on_record_before_it_arrives(send, guard, governance, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    before: list[int] = []
    server.on_request = lambda: before.append(len(provisions(guard)))
    with renewal(guard) as use, outgoing.handover(NAME, subject=7):
        assert send(outgoing, "POST", f"{server.url}/letters", json={"to": use.open(NAME)}) == 200
    assert before == [1]
    assert b"Aiko" in server.seen[0].body
    (record,) = governance.provisions.of(7)
    told = record.provision
    assert (told.recipient, told.sources, told.purpose) == ("mail-house", ("1.1(a)",), "1.2(1)①")
    assert (told.activity, told.means) == ("reminders", "other")


def test_a_host_that_nobody_named_gets_nothing(send, guard, governance, server):
    outgoing = Outgoing(guard, {"https://api.mail.example": "mail-house"}, means="other")
    for declared in (outgoing.handover(NAME, subject=7), outgoing.handover(pg.NotPersonal), nullcontext()):
        with renewal(guard), declared, pytest.raises(pg.RecipientViolation, match="no recipient is known"):
            send(outgoing, "POST", server.url, json={})
    assert not server.seen
    assert not provisions(guard)
    with governance.ledger.reading() as reading:
        assert sum(count for _, count, _ in reading.denials()) == 3


def test_a_request_that_does_not_say_what_is_in_it_is_told_how(send, guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), pytest.raises(pg.UnlabelledData, match=r"with outgoing.handover\(Source"):
        send(outgoing, "POST", server.url, json={"to": "Aiko"})
    assert not server.seen


def test_clauses_4_to_7_are_asked_of_the_recipient(send, guard, governance, server):
    def refused(whom: str, what: object, error: type[Exception], match: str) -> None:
        outgoing = Outgoing(guard, {server.url: whom}, means="other")
        subject = None if isinstance(what, Customer) else 8  # a row says whose it is
        with renewal(guard), outgoing.handover(what, subject=subject), pytest.raises(error, match=match):
            send(outgoing, "POST", server.url, json={"to": "Ren"})

    refused("mail-hose", NAME, UnknownRecipient, "mail-house")
    refused("elsewhere", NAME, pg.RecipientViolation, "clause 5 names no country XX")
    refused("mail-house", SCANS, pg.PurposeViolation, "may not use product-data")
    governance.provisions.recipients.end_safeguard("call-centre", "2026-117", SUPERVISED)
    refused("call-centre", NAME, pg.RecipientViolation, "its last safeguard on record ended")
    governance.restrict(8, kind="stop-of-provision")
    refused("mail-house", NAME, pg.SubjectViolation, "provision of the data to others to stop")
    refused("mail-house", Customer(8, "Ren"), pg.SubjectViolation, "provision of the data to others to stop")
    assert not server.seen
    assert not provisions(guard)


def test_rows_say_of_whom_they_are(guard, governance, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    customers = [Customer(7, "Aiko"), Customer(8, "Ren")]
    with renewal(guard), outgoing.handover({"letters": customers}, subject=[9, Customer(10, "Yui")]):
        SENDERS["httpx"](outgoing, "POST", server.url, json=[customer.name for customer in customers])
    for key in (7, 8, 9, 10):
        (record,) = governance.provisions.of(key)
        assert (record.subjects, record.provision.sources) == (4, ("1.1(a)",))


@dataclass
class Letter:
    """A row whose tags are in `tags.toml` alone."""

    id: int
    name: str


def test_rows_are_tagged_in_a_file(governance, server, tmp_path):
    tags = tmp_path / "tags.toml"
    tags.write_text(f'["{__name__}.Letter"]\nid = {{ source = "1.1(a)", subject = true }}\nname = "1.1(a)"\n', "utf-8")
    guard = pg.Guard(tm.NOTICE, governance=governance, tags=tags)
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), outgoing.handover(Letter(7, "Aiko"), subject=Letter(9, "Ren")):
        SENDERS["httpx"](outgoing, "POST", server.url, json=["Aiko"])
    for key in (7, 9):
        (record,) = governance.provisions.of(key)
        assert (record.subjects, record.provision.sources) == (2, ("1.1(a)",))


def test_nothing_personal_goes_without_a_record(send, guard, server, other):
    outgoing = Outgoing(guard, {server.url: "mail-house", other.url: pg.NotPersonal}, means="other")
    with renewal(guard):
        with outgoing.handover(pg.NotPersonal):
            assert send(outgoing, "GET", server.url) == 200
        assert send(outgoing, "GET", other.url) == 200
        with outgoing.handover(NAME), pytest.raises(pg.RecipientViolation, match="gets nothing personal"):
            send(outgoing, "POST", other.url, json={"to": "Aiko"})
    assert (len(server.seen), len(other.seen)) == (1, 1)
    assert not provisions(guard)


def test_what_stays_with_ourselves_is_not_handed_over(send, guard, server):
    outgoing = Outgoing(guard, {server.url: OURSELVES})
    with renewal(guard):
        assert send(outgoing, "POST", server.url, json={"to": "Aiko"}) == 200
    assert send(outgoing, "GET", server.url) == 200
    assert not provisions(guard)


def test_a_recipient_in_code_needs_no_register(send, governance, server):
    guard = pg.Guard(tm.NOTICE, governance=governance)
    house = Recipient("printer", "domestic-contractor", "JP", safeguards=[CONTRACT], supervised_on=SUPERVISED)
    outgoing = Outgoing(guard, {server.url: house}, means="other")
    with renewal(guard), outgoing.handover(NAME, subject=7, to="printer"):
        send(outgoing, "POST", server.url, json={"to": "Aiko"})
    assert [told.recipient for told in provisions(guard)] == ["printer"]


def test_what_cannot_be_put_on_record_does_not_leave(send, guard, store_file, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with closing(sqlite3.connect(store_file)) as store:
        fault = "SELECT RAISE(ABORT, 'database or disk is full')"
        store.execute(f"CREATE TRIGGER full BEFORE INSERT ON purposeguard_provision BEGIN {fault}; END")
    with renewal(guard) as use, outgoing.handover(NAME, subject=7), pytest.raises(StoreUnavailable):
        send(outgoing, "POST", server.url, json={"to": use.open(NAME)})
    assert not server.seen


def test_a_hand_over_to_one_recipient_goes_to_no_other(send, guard, server, other):
    outgoing = Outgoing(guard, {server.url: "mail-house", other.url: "call-centre"}, means="other")
    with renewal(guard), outgoing.handover(NAME, to="mail-house"):
        assert send(outgoing, "POST", server.url, json={"to": "Aiko"}) == 200
        with pytest.raises(pg.RecipientViolation, match="names another recipient"):
            send(outgoing, "POST", other.url, json={"to": "Aiko"})
    assert not other.seen
    assert [told.recipient for told in provisions(guard)] == ["mail-house"]


def test_a_named_recipient_is_checked_before_anything_is_opened(guard, governance):
    outgoing = Outgoing(guard, {"https://api.example": "elsewhere"}, means="other")
    opened: list[object] = []
    refused = pytest.raises(pg.RecipientViolation, match="no country XX")
    with renewal(guard) as use, refused, outgoing.handover(NAME, to="elsewhere"):
        opened.append(use.open(NAME))
    governance.restrict(8, kind="stop-of-provision")
    for whose in ({"subject": 8}, {"subject": [7, 8]}, {"subject": Customer(8, "Ren")}):
        with renewal(guard), pytest.raises(pg.SubjectViolation), outgoing.handover(NAME, to="mail-house", **whose):
            opened.append("never")
    assert not opened


def test_a_store_that_asks_of_whom_data_is_gets_an_answer(store_file, server):
    send = SENDERS["httpx"]
    with Governance(f"sqlite:///{store_file}", notice=tm.NOTICE, requires_subject=True) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
        with renewal(guard):
            for named in ({}, {"to": "mail-house"}):
                with pytest.raises(pg.SubjectViolation), outgoing.handover(NAME, **named):
                    send(outgoing, "POST", server.url, json={"to": "Aiko"})
            with outgoing.handover(NAME, subject=7, to="mail-house"):
                send(outgoing, "POST", server.url, json={"to": "Aiko"})
    assert len(server.seen) == 1


def test_what_law_permits_is_handed_over_under_its_exception(guard, governance, server):
    send = SENDERS["httpx"]
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    with guard.exception(basis="law", reason="a warrant", approver="DPO", subjects=[7], until=end):
        with outgoing.handover(SCANS, subject=7, to="mail-house"):
            send(outgoing, "POST", server.url, json={"threats": 41})
        with outgoing.handover(SCANS, subject=8), pytest.raises(pg.PurposeViolation):
            send(outgoing, "POST", server.url, json={"threats": 41})
        with outgoing.handover(SCANS, subject=7), pytest.raises(pg.RecipientViolation):
            send(outgoing, "POST", "http://127.0.0.1:1", json={"threats": 41})
    assert len(server.seen) == len(provisions(guard)) == 1


@pytest.mark.parametrize("code", [302, 307])
def test_each_redirect_is_asked_anew(send, guard, server, other, code):
    hosts = {server.url: "mail-house", other.url: "call-centre"}
    to_other = f"{server.url}/to?code={code}&url={other.url}/there"
    known, unknown = Outgoing(guard, hosts, means="other"), Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), unknown.handover(NAME), pytest.raises(pg.RecipientViolation, match="no recipient is known"):
        send(unknown, "POST", to_other, json={"to": "Aiko"})
    assert not other.seen
    with renewal(guard), known.handover(NAME):
        assert send(known, "POST", to_other, json={"to": "Aiko"}) == 200
    assert len(other.seen) == 1
    assert [told.recipient for told in provisions(guard)] == ["mail-house", "mail-house", "call-centre"]


def test_a_proxy_that_nobody_named_gets_nothing(send, guard, server, proxy):
    outgoing = Outgoing(guard, {server.url: "mail-house", "https://localhost:1": "mail-house"}, means="other")
    for url in (server.url, "https://localhost:1"):
        for declared in (outgoing.handover(NAME), outgoing.handover(pg.NotPersonal)):
            with renewal(guard), declared, pytest.raises(pg.RecipientViolation, match="no recipient is known"):
                send(outgoing, "POST", url, proxy.url, json={"to": "Aiko"})
    assert not proxy.seen
    assert not server.seen


def test_a_proxy_that_can_read_the_request_is_a_recipient_too(send, guard, server, proxy):
    outgoing = Outgoing(guard, {server.url: "mail-house", proxy.url: "call-centre"}, means="other")
    with renewal(guard), outgoing.handover(NAME, subject=7):
        assert send(outgoing, "POST", f"{server.url}/letters", proxy.url, json={"to": "Aiko"}) == 200
    assert b"Aiko" in proxy.seen[0].body
    assert b"Aiko" in server.seen[0].body
    assert [told.recipient for told in provisions(guard)] == ["mail-house", "call-centre"]


@pytest.mark.parametrize("whom", ["elsewhere", pg.NotPersonal])
def test_a_proxy_that_may_not_have_it_stops_the_request_before_anything_is_on_record(send, guard, server, proxy, whom):
    outgoing = Outgoing(guard, {server.url: "mail-house", proxy.url: whom}, means="other")
    with renewal(guard), outgoing.handover(NAME), pytest.raises(pg.RecipientViolation):
        send(outgoing, "POST", server.url, proxy.url, json={"to": "Aiko"})
    assert not proxy.seen
    assert not provisions(guard)


def test_a_proxy_of_our_own_gets_what_our_own_hosts_get(send, guard, server, proxy):
    outgoing = Outgoing(guard, {server.url: "mail-house", proxy.url: OURSELVES}, means="other")
    with renewal(guard), outgoing.handover(NAME):
        assert send(outgoing, "POST", server.url, proxy.url, json={"to": "Aiko"}) == 200
    assert [told.recipient for told in provisions(guard)] == ["mail-house"]


def test_a_tunnel_hands_nothing_to_its_proxy(send, guard, proxy):
    outgoing = Outgoing(guard, {"https://localhost:1": "mail-house", proxy.url: pg.NotPersonal}, means="other")
    # The proxy of this test builds no tunnels: it was asked for one, and that is all.
    with renewal(guard), outgoing.handover(NAME), pytest.raises(Exception, match=r"403|[Tt]unnel|Forbidden"):
        send(outgoing, "POST", "https://localhost:1", proxy.url, json={"to": "Aiko"})
    assert [(seen.method, seen.body) for seen in proxy.seen] == [("CONNECT", b"")]
    assert [told.recipient for told in provisions(guard)] == ["mail-house"]


def test_a_host_header_does_not_lead_elsewhere(send, guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house", "http://b.example": "call-centre"}, means="other")
    for name in ("a.example", "b.example", "[bad", "b.example:99999"):
        with renewal(guard), outgoing.handover(NAME), pytest.raises(pg.RecipientViolation, match="`Host` header"):
            send(outgoing, "GET", server.url, headers={"Host": name})
    assert not server.seen


def test_a_user_in_the_url_is_no_host(send, guard, server):
    outgoing = Outgoing(guard, {"http://mail.example": "mail-house"}, means="other")
    port = server.url.rpartition(":")[2]
    for url in (f"http://mail.example@127.0.0.1:{port}/", f"http://mail.example:80@127.0.0.1:{port}/"):
        with renewal(guard), outgoing.handover(NAME), pytest.raises(pg.RecipientViolation):
            send(outgoing, "GET", url)
    assert not server.seen


def test_another_spelling_of_an_address_is_another_host(send, guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    port = server.url.rpartition(":")[2]
    for host in ("2130706433", "127.1", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "localhost"):
        with renewal(guard), outgoing.handover(NAME), pytest.raises(pg.RecipientViolation, match="no recipient"):
            send(outgoing, "GET", f"http://{host}:{port}/")
    assert not server.seen


def test_a_tunnel_by_hand_is_refused(send, guard, server):
    outgoing = Outgoing(guard, {server.url: OURSELVES})
    with renewal(guard), pytest.raises(pg.RecipientViolation, match="a tunnel leads to another host"):
        send(outgoing, "CONNECT", server.url)
    with pytest.raises(pg.PurposeMissing):
        send(outgoing, "CONNECT", server.url)
    assert not server.seen


def test_a_seal_reaches_no_url_form_body_or_header(send, guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    ways: list[tuple[str, dict[str, object]]] = [
        (f"/letters/{NAME}", {}),
        ("/letters", {"params": {"to": NAME}}),
        ("/letters", {"params": [("to", f"to {NAME}")]}),
        ("/letters", {"data": {"to": NAME}}),
        ("/letters", {"data": {"to": f"<p>to {NAME}"}}),
        ("/letters", {"json": {"to": [NAME]}}),
        ("/letters", {"json": {"to": f"{NAME}"}}),
        ("/letters", {"content": f"to {NAME}".encode()}),
        ("/letters", {"content": f"<p>&lt;sealed {NAME.label}".encode()}),
        ("/letters", {"headers": {"X-To": f"{NAME}"}}),
    ]
    with renewal(guard), outgoing.handover(NAME):
        for path, options in ways:
            with pytest.raises(pg.SealedValue):
                send(outgoing, "POST", f"{server.url}{path}", **options)
        with pytest.raises(Exception, match=r"must be (of type )?str or bytes"):
            send(outgoing, "POST", server.url, headers={"X-To": NAME})
    assert not server.seen
    assert not provisions(guard)


def test_what_is_declared_for_one_use_does_not_hold_for_another(send, guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), outgoing.handover(pg.NotPersonal):
        with guard.purpose(tm.ProductProvision), pytest.raises(pg.UnlabelledData):
            send(outgoing, "GET", server.url)
        assert send(outgoing, "GET", server.url) == 200
    with renewal(guard), pytest.raises(pg.UnlabelledData):
        send(outgoing, "GET", server.url)


def test_blocks_nest_and_end(guard, server):
    send = SENDERS["httpx"]
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), outgoing.handover(NAME):
        with outgoing.handover(pg.NotPersonal):
            send(outgoing, "GET", server.url)
        assert not provisions(guard)
        send(outgoing, "GET", server.url)
    assert len(provisions(guard)) == 1


def test_work_that_a_purpose_began_elsewhere_is_not_outside(guard, server):
    """What copies the context of an activity carries its data: a task beside it, or a thread that goes on after it."""
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    client = httpx.AsyncClient(transport=AsyncGuardedTransport(outgoing))

    async def beside() -> None:
        with renewal(guard), outgoing.handover(pg.NotPersonal):
            await asyncio.gather(client.get(server.url))

    with pytest.raises(pg.PurposeMissing, match="another task or thread"):
        asyncio.run(beside())
    with renewal(guard):
        context = contextvars.copy_context()
    with pytest.raises(pg.PurposeMissing, match="has ended"):
        context.run(SENDERS["httpx"], outgoing, "GET", server.url)
    assert not server.seen


def test_outside_any_purpose_only_what_carries_nothing_personal_leaves(send, guard, server, other):
    outgoing = Outgoing(guard, {server.url: "mail-house", other.url: pg.NotPersonal}, means="other")
    assert send(outgoing, "GET", other.url) == 200
    with pytest.raises(pg.PurposeMissing):
        send(outgoing, "GET", server.url)
    with outgoing.handover(NAME), pytest.raises(pg.PurposeMissing):
        send(outgoing, "GET", server.url)
    with outgoing.handover(pg.NotPersonal):
        assert send(outgoing, "GET", server.url) == 200
        with pytest.raises(pg.PurposeMissing):
            send(outgoing, "GET", "http://127.0.0.1:1")
    assert (len(server.seen), len(other.seen)) == (1, 1)


def test_an_observing_guard_logs_and_lets_pass(send, governance, server, caplog):
    guard = pg.Guard(tm.NOTICE, governance=governance, mode="observe")
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    nobody = Outgoing(guard, {"http://a.example": "mail-house"}, means="other")
    with caplog.at_level(logging.WARNING, logger="purposeguard"):
        send(outgoing, "GET", server.url)
        with renewal(guard):
            send(outgoing, "GET", server.url)
            send(nobody, "GET", server.url)
            with outgoing.handover(SCANS):
                send(outgoing, "GET", server.url)
        with renewal(guard), outgoing.handover(NAME, to="elsewhere"):  # told when it is sent
            pass
    logged = [record.getMessage() for record in caplog.records if record.name == "purposeguard"]
    told = ["outside any purpose", "does not say what is in it", "no recipient is known", "may not use product-data"]
    assert len(server.seen) == len(logged) == len(told)
    assert all(part in line for part, line in zip(told, logged, strict=True))
    assert len(provisions(guard)) == 1


def test_an_observing_guard_sends_what_it_cannot_decide(send, governance, server):
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, governance=governance, mode="observe", observers=[observer])
    unknown, known = (Outgoing(guard, {server.url: whom}, means="other") for whom in ("mail-hose", "mail-house"))
    with renewal(guard):
        with unknown.handover(NAME, subject=7):
            assert send(unknown, "GET", server.url) == 200
        with known.handover(pg.NotPersonal):
            assert send(known, "POST", server.url, content=f"to={NAME}") == 200
            assert SENDERS["requests"](known, "POST", server.url, content=iter([b"to=<sea", b"led str>"])) == 200
            assert SENDERS["httpx"](known, "POST", server.url, content=iter([b"to=<sea", b"led str>"])) == 200
    enforced = guard.purpose(tm.RenewalGuidance, mode="enforce")
    with enforced, known.handover(pg.NotPersonal), pytest.raises(pg.SealedValue):
        send(known, "POST", server.url, content=f"to={NAME}")
    assert [type(error) for error in observer.errors] == [UnknownRecipient, pg.SealedValue]
    assert len(server.seen) == 4


def test_nothing_crosses_between_concurrent_requests(guard, governance, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    purposes = {tm.RenewalGuidance: tm.Registration, tm.ProductProvision: tm.ProductData}

    async def one(client: httpx.AsyncClient, number: int) -> None:
        purpose = list(purposes)[number % 2]
        with guard.purpose(purpose), outgoing.handover(purposes[purpose], subject=number):
            await asyncio.sleep(0)
            await client.post(server.url, json={"number": number})

    async def all_of_them() -> None:
        async with httpx.AsyncClient(transport=AsyncGuardedTransport(outgoing)) as client:
            await asyncio.gather(*(one(client, number) for number in range(40)))

    asyncio.run(all_of_them())
    assert len(server.seen) == 40
    for number in range(40):
        (record,) = governance.provisions.of(number)
        purpose = list(purposes)[number % 2]
        assert record.provision.purpose == purpose.clause
        assert record.provision.sources == (purposes[purpose].clause,)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (("HTTPS", "API.Example.", None), "https://api.example"),
        (("https", "api.example", 443), "https://API.example"),
        (("http", "api.example", 80), "http://api.example:80/"),
        (("http", "::1", 8080), "http://[::1]:8080"),
        (("http", "[0:0:0:0:0:0:0:1]", 80), "http://[::1]"),
        (("https", "xn--mnchen-3ya.example", None), "https://xn--mnchen-3ya.example"),
    ],
)
def test_a_place_has_one_spelling(given, place):
    assert Place.of(*given) == Place.parsed(place)


@pytest.mark.parametrize(
    "url",
    [
        *("api.example", "https://", "https://api.example/v1", "https://api.example?a=1", "https://a:secret@b.example"),
        *("https://münchen.example", "https://a.example\\b", "https://api.example:port", "", "https://api.example#a"),
    ],
)
def test_what_is_no_host_is_told(guard, url):
    with pytest.raises(ValueError, match=r"is no host|[Pp]ort") as refused:
        Outgoing(guard, {url: "mail-house"}, means="other")
    assert "secret" not in str(refused.value)


def test_what_is_misdeclared_fails_when_it_is_made(guard):
    with pytest.raises(ValueError, match="named twice"):
        Outgoing(guard, {"https://a.example": "mail-house", "https://A.example:443": OURSELVES}, means="other")
    with pytest.raises(TypeError, match="is given TermMeta"):
        Outgoing(guard, {"https://a.example": tm.Registration}, means="other")  # type: ignore[dict-item]  # on purpose
    with pytest.raises(TypeError, match="how the data travels"):
        Outgoing(guard, {"https://a.example": Recipient("a", "domestic-contractor", "JP")})
    with pytest.raises(TypeError, match="nobody here could record it"):
        Outgoing(pg.Guard(tm.NOTICE), {"https://a.example": Recipient("a", "domestic-contractor", "JP", means="other")})
    outgoing = Outgoing(guard, {}, means="other")
    for nothing in ((), ("",), ({"name": "Aiko"},), (7,)):
        with pytest.raises((pg.UnlabelledData, pg.UnknownSource)):
            outgoing.handover(*nothing)
    for nobody in (7.5, pg.RowContext(7, collected=SUPERVISED), [object()]):
        with pytest.raises(TypeError):
            outgoing.handover(NAME, subject=nobody)  # type: ignore[arg-type]  # on purpose


def test_hand_overs_are_in_the_inventory_where_they_are_declared(guard, server):
    outgoing = Outgoing(guard, {server.url: "mail-house"}, means="other")
    with renewal(guard), outgoing.handover(NAME):
        SENDERS["httpx"](outgoing, "GET", server.url)
    (declared,) = guard.entrustments
    assert declared.qualname == "outgoing(mail-house: 1.1(a))"
    assert declared.module == __name__
    source = Path(__file__).read_text("utf-8").splitlines()
    assert source[declared.line - 1].strip().startswith("outgoing = Outgoing(guard")


def test_no_message_shows_a_value_or_a_subject(guard, server):
    outgoing = Outgoing(guard, {server.url: "elsewhere"}, means="other")
    for url in (f"{server.url}/?name=Aiko-Canary", "http://aiko-canary.customers.example/"):
        for declared in (outgoing.handover(tm.Registration, subject="subject-canary"), nullcontext()):
            with renewal(guard), declared, pytest.raises(pg.PurposeGuardError) as refused:
                SENDERS["httpx"](outgoing, "GET", url)
            assert "canary" not in str(refused.value).casefold()
    with pytest.raises(pg.PurposeMissing) as missing:
        SENDERS["httpx"](outgoing, "GET", "http://aiko-canary.customers.example/")
    assert "canary" not in str(missing.value).casefold()
