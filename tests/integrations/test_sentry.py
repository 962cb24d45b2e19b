"""What Sentry's SDK would send, through the options that mask: envelopes hold nothing personal."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sentry_sdk.envelope import Envelope as Sent
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport

import purposeguard as pg
from purposeguard.integrations import sentry
from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_urls import hide_places_in
from purposeguard.integrations.masking import Masker
from purposeguard.integrations.sentry import options
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.people import (
    DEVICE,
    EMAIL,
    ID,
    NAME,
    Broken,
    Customer,
    Envelope,
    Point,
    contact,
    customer,
    household,
    must_hold_none,
    row,
)

log = logging.getLogger("tests.sentry")


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[Sent] = []
        self.lost: list[str] = []

    def capture_envelope(self, envelope: Sent) -> None:
        self.envelopes.append(envelope)

    def record_lost_event(self, reason: str, *args: Any, **kwargs: Any) -> None:
        self.lost.append(reason)

    @property
    def text(self) -> str:
        sentry_sdk.flush()
        return "\n".join(envelope.serialize().decode() for envelope in self.envelopes)

    def items(self, kind: str) -> list[dict[str, Any]]:
        sentry_sdk.flush()
        items = [item for envelope in self.envelopes for item in envelope.items if item.type == kind]
        return [json.loads(item.get_bytes()) for item in items]


@pytest.fixture
def kept() -> Iterator[Kept]:
    with started() as transport:
        yield transport


@contextlib.contextmanager
def started(masked: bool = True, **own: Any) -> Iterator[Kept]:
    """A client of the SDK with these options, alone, for a block."""
    transport = Kept()
    made: dict[str, Any] = {"dsn": "https://key@127.0.0.1/1", "transport": transport, "traces_sample_rate": 1.0}
    made |= {"enable_logs": True, "data_collection": {}, "auto_enabling_integrations": False, **own}
    client = sentry_sdk.Client(**(options(**made) if masked else made))
    with sentry_sdk.isolation_scope() as isolation, sentry_sdk.new_scope() as scope:
        isolation.clear()
        scope.clear()
        isolation.set_client(client)
        yield transport
    client.close(0)


def locals_of_every_kind() -> None:
    person, copied, email = customer(), NAME, EMAIL
    dump = person.model_dump()
    people = [person, household(), {"row": row(), "columns": vars(row())}]
    point, seal, sealed = Point(DEVICE, 1.5), pg.Personal(EMAIL, tm.Registration), contact()
    hidden, broken = Envelope(person), Broken()
    formatted = f"{person} {dump}"

    def inner(full_name: str, text: str) -> None:
        raise ValueError("no", person, text)

    assert len((copied, email, people, point, seal, sealed, hidden, broken, formatted)) == 9
    inner(NAME, f"of {EMAIL}")


def caught(fails: Callable[[], None]) -> None:
    try:
        fails()
    except Exception as error:
        sentry_sdk.capture_exception(error)


def chained() -> None:
    known = customer()
    try:
        raise KeyError(known.email)
    except KeyError as error:
        error.add_note(f"of {known.full_name}")
        raise ExceptionGroup("many", [error, ValueError(known)]) from error


def logged() -> None:
    known = customer()
    try:
        raise LookupError(known.full_name)
    except LookupError:
        log.exception("failed for %s and %s", known, NAME, extra={"known": known, "dump": known.model_dump()})


def transaction() -> None:
    with sentry_sdk.start_transaction(op="task", name="remind") as whole:
        whole.set_data("customer", customer())
        whole.set_tag("customer", str(customer()))
        with sentry_sdk.start_span(op="db", name=f"select {customer().model_dump()}") as span:
            span.set_data("rows", [row(), Point(DEVICE, 2.0)])
            span.set_data("params", customer().model_dump())
    sentry_sdk.capture_message("done")


def scoped() -> None:
    scope = sentry_sdk.get_current_scope()
    scope.set_extra("customer", customer())
    scope.set_extra("dump", customer().model_dump())
    scope.set_extra("point", Point(DEVICE, 1.5))
    scope.set_context("people", {"customer": customer(), "point": Point(DEVICE, 1.0), "dump": customer().model_dump()})
    scope.set_tag("customer", str(customer()))
    scope.set_user({"id": ID, "email": EMAIL, "username": NAME, "ip_address": "192.0.2.7"})
    sentry_sdk.capture_message(f"for {customer()}")


def breadcrumbs() -> None:
    sentry_sdk.add_breadcrumb(message=f"loaded {customer()}", data={"customer": customer(), "at": [row()]})
    sentry_sdk.add_breadcrumb(category="dump", data=customer().model_dump())
    sentry_sdk.add_breadcrumb(category="broken", data={"x": Broken(), "y": Envelope(customer())})
    log.warning("soon: %s", customer())
    log.info("with %s", customer(), extra={"customer": customer()})
    sentry_sdk.capture_message("now")


def request() -> None:
    body = {**customer().model_dump(by_alias=True), "page": 1}
    asked = {"url": "https://shop.example/customers", "query_string": f"full_name={NAME}&email={EMAIL}"}
    for data in (body, json.dumps(body)):
        event: Any = {"message": "posted", "request": {**asked, "method": "POST", "data": data}}
        sentry_sdk.capture_event(event)


def logs() -> None:
    sentry_sdk.logger.info("for {customer}", customer=customer())
    sentry_sdk.logger.warning("sent", attributes={"full_name": NAME, "email": EMAIL, "customer": str(customer())})
    log.warning("log of %s and %s", customer(), row(), extra={"customer": customer(), "dump": customer().model_dump()})


MISTAKES: dict[str, Callable[[], object]] = {
    "locals": lambda: caught(locals_of_every_kind),
    "a chain and a group": lambda: caught(chained),
    "a log record with an exception": logged,
    "a transaction": transaction,
    "the scope": scoped,
    "breadcrumbs": breadcrumbs,
    "a request": request,
    "an exception of no traceback": lambda: sentry_sdk.capture_event(
        {"exception": {"values": [{"type": "ValueError", "value": f"no {NAME}"}]}}
    ),
    "logs": logs,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_send_nothing_personal(name: str, kept: Kept) -> None:
    MISTAKES[name]()
    must_hold_none(kept.text)
    assert kept.envelopes
    assert not kept.lost


@pytest.mark.parametrize("name", MISTAKES)
def test_the_same_mistakes_without_the_options_send_it(name: str) -> None:
    with started(masked=False) as sent:
        MISTAKES[name]()
        assert any(each in sent.text for each in (NAME, EMAIL, DEVICE))


def test_locals_are_sent_masked(kept: Kept) -> None:
    def inner(full_name: str, remark_of_ours: str, seal: object) -> None:
        raise ValueError("no", remark_of_ours, hidden)

    def outer() -> None:
        person, copied = customer(), NAME
        dump = person.model_dump()
        inner(person.full_name, f"of {copied} {len(dump)}", pg.Personal(EMAIL, tm.Registration))

    hidden = Envelope(customer())
    caught(outer)
    (event,) = kept.items("event")
    (value,) = event["exception"]["values"]
    first, second = [frame["vars"] for frame in value["stacktrace"]["frames"][-2:]]
    assert first["person"].startswith("Customer(customer_id=<subject>, full_name=<1.1(a)>")
    assert first["copied"] == "<1.1(a)>"
    assert "'plan': 'standard'" in first["dump"]
    assert second["full_name"] == "<1.1(a)>"
    assert second["remark_of_ours"] == "of <1.1(a)> 5"
    assert second["seal"] == "<sealed 1.1(a)>"
    assert second["hidden"] == "<tests.integrations.people.Envelope>"
    assert value["type"] == "ValueError"
    assert value["value"] == "('no', 'of <1.1(a)> 5', <tests.integrations.people.Envelope>)"
    must_hold_none(kept.text)


def test_what_is_harmless_is_sent() -> None:
    plan, count = "standard", 3

    def fails() -> None:
        raise ValueError(f"no such plan: {plan} of {count}")

    with started() as kept:
        sentry_sdk.set_tag("region", "tokyo")
        sentry_sdk.set_context("shop", {"plan": plan})
        sentry_sdk.add_breadcrumb(message="looked", data={"plan": plan})
        caught(fails)
        log.error("failed with %s", plan)
        (event, record) = kept.items("event")
    assert event["exception"]["values"][0]["value"] == "no such plan: standard of 3"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["vars"] == {"plan": "'standard'", "count": "3"}
    assert event["tags"]["region"] == "tokyo"
    assert event["contexts"]["shop"] == {"plan": "standard"}
    assert event["contexts"]["trace"]["trace_id"].isalnum()
    assert event["breadcrumbs"]["values"][0]["data"] == {"plan": "standard"}
    assert record["logentry"]["formatted"] == "failed with standard"
    assert event["user"] == {} if "user" in event else True


def test_hooks_of_the_application_come_first() -> None:
    seen: list[str] = []

    def before_send(event: Any, hint: Any) -> Any:
        seen.append(event["message"])
        event["extra"] = {"customer": str(customer())}
        return None if event["message"] == "drop" else event

    def before_breadcrumb(crumb: Any, hint: Any) -> Any:
        return {**crumb, "data": {"added": customer()}}

    with started(before_send=before_send, before_breadcrumb=before_breadcrumb) as kept:
        sentry_sdk.add_breadcrumb(message="one")
        sentry_sdk.capture_message("drop")
        sentry_sdk.capture_message("keep")
        assert seen == ["drop", "keep"]
        must_hold_none(kept.text)
        assert "added" in kept.text


def test_where_a_hook_fails_nothing_is_sent() -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError(NAME)

    with started(before_send=fails, before_breadcrumb=fails, before_send_log=fails) as kept:
        sentry_sdk.add_breadcrumb(message=NAME)
        sentry_sdk.logger.info(f"for {NAME}")
        sentry_sdk.capture_message(NAME)
        assert not kept.items("event")
        must_hold_none(kept.text)


def test_frames_without_an_exception_have_no_locals() -> None:
    person = customer()
    with started(attach_stacktrace=True) as kept:
        sentry_sdk.capture_message("here")
        must_hold_none(kept.text)
        frames = kept.items("event")[0]["threads"]["values"][0]["stacktrace"]["frames"]
    assert person.plan
    assert frames[-1]["vars"]["person"] == "<not shown>"


NUMBER, WORD = "7310044", "sentinel-word"
PATH = f"/people/{NUMBER}/{WORD}?full_name={WORD}&page={NUMBER}"


def _service() -> FastAPI:
    app = FastAPI()

    @app.get("/people/{number}/{word}")
    def show(request: Request) -> None:
        log.warning("asked for %s", request.url)
        sentry_sdk.add_breadcrumb(
            type="http", category="call", data={"url": f"https://api.example{PATH}", "method": "GET"}
        )
        with sentry_sdk.start_span(op="http.client", name=f"GET https://api.example{PATH}") as span:
            span.set_data("url", f"https://api.example{PATH}")
            span.set_data("http.query", f"full_name={WORD}")
            span.set_data("url.path", f"/people/{NUMBER}")
        message = f"no answer from https://user:{WORD}@api.example{PATH}"
        raise LookupError(message)

    return app


@pytest.mark.parametrize("lifecycle", ["static", "stream"])
@pytest.mark.parametrize("path", [PATH, PATH.replace("people", "unknown"), f"/people/x/{WORD}?q={NUMBER}"])
def test_paths_and_queries_are_not_sent(path: str, lifecycle: str) -> None:
    own: dict[str, Any] = {"_experiments": {"trace_lifecycle": lifecycle}} if lifecycle == "stream" else {}
    with started(integrations=[StarletteIntegration(), FastApiIntegration()], **own) as kept:
        headers = {"Referer": f"https://shop.example{PATH}"}
        TestClient(_service(), raise_server_exceptions=False).get(path, headers=headers)
        text = kept.text
        events = kept.items("event")
    assert kept.envelopes
    shown = [text[match.start() - 90 : match.end()] for match in re.finditer(f"{NUMBER}|{WORD}", text)]
    assert not shown
    if path == PATH:
        assert events[-1]["transaction"] == "/people/{number}/{word}"
        assert events[-1]["request"]["url"] == "http://testserver"
        assert "https://api.example" in text


def test_the_same_request_without_the_options_sends_paths_and_queries() -> None:
    with started(masked=False, integrations=[StarletteIntegration(), FastApiIntegration()]) as sent:
        TestClient(_service(), raise_server_exceptions=False).get(PATH)
        assert f"full_name={WORD}" in sent.text
        assert f"/people/{NUMBER}" in sent.text


def test_names_that_are_urls_are_not_sent(kept: Kept) -> None:
    for source, name in (("url", f"/people/{WORD}"), ("custom", f"GET /people/{WORD}"), ("route", "/people/{word}")):
        with sentry_sdk.start_transaction(op="http.server", name=name, source=source):
            sentry_sdk.capture_message(f"GET /people/{WORD}?page=1 HTTP/1.1 took long, see /a?b={WORD}")
    names = [event["transaction"] for event in (*kept.items("event"), *kept.items("transaction"))]
    assert names == [HIDDEN, f"GET {HIDDEN}", "/people/{word}"] * 2
    assert WORD not in kept.text


def test_places_are_hidden_in_whatever_holds_them() -> None:
    for value, shown in (
        ("https://user:pass@host:8080/a/b?c=d#e and more", "https://host:8080 and more"),
        ("postgresql://u:p@db/people", "postgresql://db"),
        ("POST /people/7 HTTP/1.1", f"POST {HIDDEN} HTTP/1.1"),
        ("1/2 of 3", "1/2 of 3"),
        ({"url": "https://host/a", "http.route": "/a/{id}"}, {"url": "https://host", "http.route": "/a/{id}"}),
        ({"URL.Path": "/a/b", "query": {"a": "b"}, "path": None}, {"URL.Path": HIDDEN, "query": HIDDEN, "path": None}),
        ({"url.full": {"value": "https://host/a", "n": 1}}, {"url.full": {"value": "https://host", "n": 1}}),
        (
            {"https://host/a": ["GET /a", ("https://host/a", 7)]},
            {"https://host": [f"GET {HIDDEN}", ("https://host", 7)]},
        ),
    ):
        assert hide_places_in(value) == shown


def test_streamed_spans_are_masked() -> None:
    with started(_experiments={"trace_lifecycle": "stream"}) as kept:
        with sentry_sdk.traces.start_span(name=f"for {customer()}", attributes={"full_name": NAME, "email": EMAIL}):
            pass
        text = kept.text
    must_hold_none(text)
    assert "<1.1(a)>" in text


def test_a_masker_of_ones_own() -> None:
    with started() as kept:
        sentry_sdk.set_extra("inside", Envelope("x"))
        sentry_sdk.capture_message("one")
        assert "<tests.integrations.people.Envelope>" in kept.text
    assert options(Masker(shown=[Envelope]))["integrations"]


def test_logging_is_left_out_where_the_application_leaves_it_out() -> None:
    own = LoggingIntegration(level=logging.ERROR)
    assert [each for each in options(integrations=[own])["integrations"] if isinstance(each, LoggingIntegration)] == [
        own
    ]
    for given in ({"disabled_integrations": [LoggingIntegration]}, {"default_integrations": False}):
        assert not any(isinstance(each, LoggingIntegration) for each in options(**given)["integrations"])


@pytest.mark.parametrize("hook", ["_mask_event", "_mask_part", "_mask_objects"])
def test_a_hook_that_masks_nothing_is_noticed_at_start_up(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry, hook, lambda _masker, given, _hint: given)
    with pytest.raises(RuntimeError, match="sends values past the hooks that mask"):
        options()


def test_a_hook_for_streamed_spans_that_masks_nothing_is_noticed_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry, "_span", lambda _masker, given, _hint: given)
    for streaming in ({"trace_lifecycle": "stream"}, {"_experiments": {"trace_lifecycle": "stream"}}):
        with pytest.raises(RuntimeError, match="sends values past the hooks that mask"):
            options(**streaming)
    assert "before_send_span" not in options()


HOOKS = ["before_send", "before_send_transaction", "before_breadcrumb", "before_send_log", "before_send_metric"]
HOOKS += ["before_send_span", "event_processor", "EventHandler", "BreadcrumbHandler", "SentryLogsHandler"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_is_not_called_any_more_is_noticed_at_start_up(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(**given: Any) -> Any:
        given.pop(hook, None)
        for integration in given["integrations"]:
            for handler in vars(integration).values():
                if type(handler).__name__ == hook:
                    handler.filters.clear()
        return client(**given)

    client = sentry_sdk.Client
    monkeypatch.setattr(sentry_sdk, "Client", without)
    if hook == "event_processor":
        monkeypatch.setattr("sentry_sdk.scope.global_event_processors", [])
    with pytest.raises(RuntimeError, match="sends values past the hooks that mask: use a version that"):
        options(trace_lifecycle="stream")


def test_an_sdk_that_drops_what_is_sent_is_noticed_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry, "_mask_event", lambda *_: None)
    with pytest.raises(RuntimeError, match="drops some of what the hooks masked"):
        options()


def test_the_check_leaves_what_the_application_chose() -> None:
    chosen = LoggingIntegration(sentry_logs_level=None)
    before = vars(LoggingIntegration).get("capture_sentry_logs")
    options(integrations=[chosen])
    assert vars(LoggingIntegration).get("capture_sentry_logs") is before
    assert Customer.model_fields["device"].repr is False
