"""Passports in requests: what a service sends to which host, and what another one takes over."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import requests
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from starlette.websockets import WebSocketDisconnect

import purposeguard as pg
from purposeguard.integrations.passport import HEADER, Passports
from purposeguard.integrations.passport_http import (
    BAGGAGE,
    Crossing,
    PassportMiddleware,
    accepted,
    headers,
    passport_in,
    with_baggage,
)
from purposeguard.integrations.replays import LocalReplays
from purposeguard.integrations.threads import hops
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.models import get_purpose, make_loader

guard = pg.Guard(tm.NOTICE)
load = make_loader(guard)
passports = Passports(guard, keys={"a": b"k" * 32})
GUIDANCE, IMPROVEMENT = tm.ProductGuidance.clause, tm.ProductImprovement.clause


def purpose() -> str | None:
    return get_purpose(guard)


api = FastAPI()


@api.get("/purpose")
async def read_purpose(wait: int = 0) -> str | None:
    for _ in range(wait):
        await asyncio.sleep(0)
    return purpose()


@api.get("/customers/{key}")
async def get_customer(key: int) -> dict[str, str]:
    return load(key).model_dump()


@api.get("/thread")
async def get_in_thread() -> list[str | None]:
    return [await asyncio.to_thread(hops(purpose)), await asyncio.to_thread(purpose)]


@api.get("/fails")
async def fails() -> None:
    raise pg.PurposeMissing("a fault of the application itself")


@api.websocket("/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json(purpose())
    await socket.close()


def service(**terms: Any) -> TestClient:
    permits = terms.pop("permits", [tm.ProductGuidance, tm.ProductImprovement])
    return TestClient(PassportMiddleware(api, terms.pop("passports", passports), permits=permits, **terms))


def sent(under: Any = tm.ProductGuidance, **terms: Any) -> dict[str, str]:
    with guard.purpose(under):
        return headers(passports, **terms)


def test_a_request_runs_for_the_purpose_of_its_passport():
    client = service()
    assert client.get("/purpose", headers=sent()).json() == GUIDANCE
    assert client.get("/customers/7", headers=sent()).json() == {"name": "Aiko"}
    assert client.get("/customers/7", headers=sent(tm.ProductImprovement)).json() == {"name": "Aiko", "device": "TM-7"}
    assert client.get("/thread", headers=sent()).json() == [GUIDANCE, None]
    assert "http" in {activity.name for activity in guard.activities}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (dict, "missing"),
        (lambda: {HEADER: "1.a.e30.AAAA"}, "forged"),
        (lambda: {HEADER: ""}, "forged"),
        (lambda: sent(tm.RenewalGuidance), "not-permitted"),
        (lambda: sent(audience="billing"), "audience"),
        (lambda: sent(subject=7), "subject"),
    ],
    ids=["none", "unsigned", "empty", "purpose", "audience", "subject"],
)
def test_other_requests_are_answered_with_a_problem(given, reason):
    answer = service().get("/purpose", headers=given())
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["reason"] == reason
    assert answer.json()["type"] == "urn:purposeguard:problem:passport"


def test_two_passports_are_none():
    pairs = [(HEADER, sent()[HEADER]), (HEADER, sent()[HEADER])]
    assert service().get("/purpose", headers=pairs).json()["reason"] == "forged"


def test_a_service_may_answer_requests_without_a_passport_for_no_purpose():
    client = service(required=False)
    assert client.get("/purpose").json() is None
    with pytest.raises(pg.PurposeMissing):
        client.get("/customers/7")
    assert client.get("/purpose", headers={HEADER: "forged"}).json()["reason"] == "forged"


def test_one_time_passports_are_answered_once():
    once = Passports(guard, keys={"a": b"k" * 32}, one_time=LocalReplays())
    client, given = service(passports=once), sent()
    assert client.get("/purpose", headers=given).json() == GUIDANCE
    assert client.get("/purpose", headers=given).json()["reason"] == "replayed"


def test_an_error_of_the_application_itself_is_left_to_it():
    with pytest.raises(pg.PurposeMissing, match="a fault of the application itself"):
        service().get("/fails", headers=sent())
    assert purpose() is None


def test_a_websocket_runs_for_its_purpose_or_is_closed():
    client = service()
    with client.websocket_connect("/live", headers=sent()) as socket:
        assert socket.receive_json() == GUIDANCE
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live"):
        pass


def test_a_guard_that_observes_lets_all_pass():
    watching = pg.Guard(tm.NOTICE, mode="observe")
    client = service(passports=Passports(watching, keys={"a": b"k" * 32}))
    assert client.get("/purpose").json() is None
    assert headers(Passports(watching, keys={"a": b"k" * 32})) == {}


def test_a_block_of_a_handler_takes_headers_of_any_framework():
    given = sent(audience="billing")
    for form in (given, {name.lower(): value for name, value in given.items()}, [*given.items()], httpx.Headers(given)):
        with accepted(passports, form, permits=[tm.ProductGuidance], audience="billing") as use:
            assert use.activity.name.endswith("test_a_block_of_a_handler_takes_headers_of_any_framework")
    with pytest.raises(pg.UnknownPurpose):
        PassportMiddleware(api, passports, permits=["1.9"])


def test_two_hundred_requests_at_once_keep_their_purposes():
    app = PassportMiddleware(api, passports, permits=[tm.ProductGuidance, tm.ProductImprovement])

    async def ask() -> list[tuple[str, Any]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside") as client:
            terms = [(tm.ProductGuidance, tm.ProductImprovement)[number % 2] for number in range(200)]
            waits = [{"wait": number % 7} for number in range(200)]
            asked = zip(waits, terms, strict=True)
            answers = await asyncio.gather(*(client.get("/purpose", params=w, headers=sent(t)) for w, t in asked))
        return [(term.clause, answer.json()) for term, answer in zip(terms, answers, strict=True)]

    assert all(expected == seen for expected, seen in asyncio.run(ask()))


crossing = Crossing(passports, inside={"billing.internal": "billing", "*.svc.local": None})


@pytest.mark.parametrize(
    ("host", "goes"),
    [
        *((host, True) for host in ("billing.internal", "BILLING.internal.", "a.svc.local", "a.b.svc.local")),
        *((host, False) for host in ("svc.local", "xsvc.local", "billing.internal.example.com", "example.com")),
        *((host, False) for host in ("a.svc.local.example.com", "")),
    ],
)
def test_a_passport_goes_to_hosts_inside_alone(host, goes):
    given = {"purpose-passport": "an earlier one", "accept": "*/*"}
    with guard.purpose(tm.ProductGuidance):
        crossing.apply(host, given)
    assert (HEADER in given) == goes
    assert "purpose-passport" not in given
    assert given["accept"] == "*/*"


def test_it_is_for_the_audience_and_the_subject_that_are_told():
    given: dict[str, str] = {}
    with guard.purpose(tm.ProductGuidance):
        crossing.apply("billing.internal", given, subject=7)
    with accepted(passports, given, permits=[tm.ProductGuidance], audience="billing", subject=7):
        pass


def test_outside_a_purpose_nothing_is_added():
    given = {HEADER: "an earlier one"}
    crossing.apply("billing.internal", given)
    assert given == {}


@pytest.mark.parametrize("host", ["http://billing", "billing:80", "billing/x", "", "user@billing", "two hosts"])
def test_inside_are_hosts(host):
    with pytest.raises(ValueError, match="hosts alone"):
        Crossing(passports, inside={host: None})


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_httpx_takes_it_along_and_not_where_a_redirect_leads(kind):
    seen: list[tuple[str, bool, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, HEADER in request.headers, request.headers.get("baggage")))
        to = {"billing.internal": "http://example.com/", "example.com": "http://a.svc.local/"}.get(request.url.host)
        return httpx.Response(302, headers={"location": to}) if to else httpx.Response(200)

    async def ask() -> None:
        hooks: Any = {"request": [crossing.on_request_async]}
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), event_hooks=hooks) as client:
            await client.get("http://billing.internal/", headers=carried, follow_redirects=True)

    carried = {"baggage": f"user=7,{BAGGAGE}=abc"}
    with guard.purpose(tm.ProductGuidance):
        if kind == "async":
            asyncio.run(_in_purpose(ask))
        else:
            hooks: Any = {"request": [crossing.on_request]}
            with httpx.Client(transport=httpx.MockTransport(answer), event_hooks=hooks) as client:
                client.get("http://billing.internal/", headers=carried, follow_redirects=True)
    assert [(host, header) for host, header, _ in seen] == [
        ("billing.internal", True),
        ("example.com", False),
        ("a.svc.local", True),
    ]
    assert seen[1][2] == "user=7"


async def _in_purpose(ask: Any) -> None:
    with guard.purpose(tm.ProductGuidance):
        await ask()


def test_headers_of_requests_are_set_right_too():
    prepared: Any = requests.Request("GET", "http://billing.internal/", headers={"PURPOSE-PASSPORT": "x"}).prepare()
    with guard.purpose(tm.ProductGuidance):
        crossing.apply("billing.internal", prepared.headers)
    assert passports.read(prepared.headers[HEADER], audience="billing").purpose == GUIDANCE
    crossing.apply("example.com", prepared.headers)
    assert HEADER not in prepared.headers


def test_a_passport_travels_in_the_baggage_of_opentelemetry():
    propagator = W3CBaggagePropagator()
    with guard.purpose(tm.ProductGuidance):
        given = {"baggage": with_baggage("user=7;level=1", passports.issue())}
    context = propagator.extract(given)
    assert baggage.get_baggage("user", context) is not None
    onward: dict[str, str] = {}
    propagator.inject(onward, context)  # as each instrumented client does, to whichever host
    with accepted(passports, onward, permits=[tm.ProductGuidance]) as use:
        assert use.purpose is tm.ProductGuidance
    crossing.apply("billing.internal", onward)
    assert passport_in(onward) is not None
    crossing.apply("example.com", onward)
    assert passport_in(onward) is None
    assert "user=7" in onward["baggage"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{BAGGAGE}=x", None),
        (f" {BAGGAGE} = x ; p=1 , user=7", "user=7"),
        (f"user=7,{BAGGAGE}=x,{BAGGAGE}=y", "user=7"),
        ("purpose%2Dpassport=x,user=7", "user=7"),
        (f"user={BAGGAGE}", f"user={BAGGAGE}"),
        (f"{BAGGAGE}s=x", f"{BAGGAGE}s=x"),
    ],
)
def test_baggage_is_stripped_of_it_however_it_is_written(before, after):
    given = {"Baggage": before}
    crossing.apply("example.com", given)
    assert given.get("Baggage", "").strip() == (after or "")
    assert ("Baggage" in given) == (after is not None)
    assert passport_in(given) is None


def test_it_takes_the_place_of_an_earlier_one():
    assert with_baggage(f"a=1,{BAGGAGE}=x", "y") == f"a=1,{BAGGAGE}=y"
    assert with_baggage(None, "y") == f"{BAGGAGE}=y"
    assert passport_in({"baggage": f"{BAGGAGE}=x,{BAGGAGE}=y"}) == "x, y"  # which no key signed
