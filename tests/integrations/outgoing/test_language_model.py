"""A provider of language models: what a purpose may not use reaches no prompt, no tool call and no trace."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.integrations.httpx import GuardedTransport, guarded
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from purposeguard.values.json import encode_sealed
from tests.integrations.outgoing.conftest import CONTRACT, SUPERVISED
from tests.integrations.outgoing.loopback import Seen, Server
from tests.integrations.outgoing.senders import TLS

NAME, RENEWS, THREATS = "aiko-canary", "2026-canary", "threats-canary"


class Customer(BaseModel):
    id: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]
    renews: Annotated[str, tm.Contract]
    threats: Annotated[str, tm.ProductData]


class Threats(BaseModel):
    id: Annotated[int, pg.Subject]
    threats: Annotated[str, tm.ProductData]


def model(seen: Seen) -> bytes:
    """Asks for each tool that it is offered, one after the other, and then repeats all that it was told."""
    asked = json.loads(seen.body)
    told = [message["content"] for message in asked["messages"] if message["role"] == "tool"]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if len(told) < len(asked["tools"]):
        name = asked["tools"][len(told)]["function"]["name"]
        message["tool_calls"] = [{"id": "1", "type": "function", "function": {"name": name, "arguments": "{}"}}]
    else:
        message["content"] = " ".join(each["content"] or "" for each in asked["messages"])
    return json.dumps({"choices": [{"message": message}]}).encode()


class Assistant:
    """Answers by the model, with tools that read for whichever purpose is under way."""

    def __init__(self, guard: pg.Guard, server: Server) -> None:
        self.outgoing = Outgoing(guard, {server.url: "model-house"}, means="other")
        self.client = guarded(httpx.Client(transport=GuardedTransport(self.outgoing, verify=TLS), base_url=server.url))
        self.trace: list[str] = []
        self.tools = {
            "read_customer": guard.access(withhold=True)(self.read_customer),
            "read_threats": guard.access(self.read_threats),
        }

    def read_customer(self) -> Customer:
        return Customer(id=7, name=NAME, renews=RENEWS, threats=THREATS)

    def read_threats(self) -> Threats:
        return Threats(id=7, threats=THREATS)

    def result(self, name: str) -> object:
        try:
            row = self.tools[name]()
        except pg.PurposeViolation as refused:
            return str(refused)  # as agents tell a model that a tool has failed
        return pg.Personal(row.model_dump_json(), self.outgoing.handover(row).label)

    def complete(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        self.trace.append(repr(messages))
        tools = [{"type": "function", "function": {"name": name}} for name in self.tools]
        with self.outgoing.handover(messages, subject=7, to="model-house") as handed:
            text = json.dumps({"messages": messages, "tools": tools}, default=encode_sealed)
            answer = self.client.post("/v1/chat/completions", content=text)
        message: dict[str, Any] = answer.json()["choices"][0]["message"]
        if message["content"] is not None:
            message["content"] = pg.Personal(message["content"], handed.label)
        return message

    def ask(self, prompt: pg.Personal[str, Any]) -> pg.Personal[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        while True:
            message = self.complete(messages)
            messages.append(message)
            self.trace.append(repr(message))
            for call in message.get("tool_calls") or ():
                content = self.result(call["function"]["name"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
            if message["content"] is not None:
                answer: pg.Personal[str, Any] = message["content"]
                return answer


@pytest.fixture
def assistant(governance: Governance, guard: pg.Guard, server: Server) -> Iterator[Assistant]:
    governance.provisions.recipients.register(
        Recipient("model-house", "overseas-contractor", "US", safeguards=[CONTRACT], supervised_on=SUPERVISED)
    )
    server.answer = model
    assistant = Assistant(guard, server)
    with assistant.client:
        yield assistant


PROMPT = pg.Personal(NAME, tm.Registration).map("Write to {}.".format)


def test_what_a_purpose_may_not_use_reaches_no_prompt_tool_call_or_trace(assistant, guard, governance, server, caplog):
    with caplog.at_level(logging.DEBUG), guard.purpose(tm.RenewalGuidance) as use:
        answer = use.open(assistant.ask(PROMPT))
    assert NAME in answer
    assert RENEWS in answer
    assert len(server.seen) == 3  # the prompt, and the results of both tools
    assert b"may not use product-data" in server.bytes
    everything = [answer, server.bytes.decode(), *assistant.trace, caplog.text]
    assert not [text for text in everything if THREATS in text]
    assert not [text for text in (*assistant.trace, caplog.text) if NAME in text or RENEWS in text]
    found = [record.provision.sources for record in governance.provisions.of(7)]
    assert found == [("1.1(a)",), ("1.1(a)", "1.1(c)"), ("1.1(a)", "1.1(c)")]


def test_a_purpose_that_may_use_it_sends_it_and_declares_it(assistant, guard, governance):
    with guard.purpose(tm.ProductProvision) as use:
        assert THREATS in use.open(assistant.ask(PROMPT))
    assert governance.provisions.of(7)[-1].provision.sources == ("1.1(a)", "1.1(b)", "1.1(c)")
    assert THREATS not in "".join(assistant.trace)


@pytest.mark.parametrize("restricted", ["stop-of-provision", "suspension"])
def test_a_person_who_asked_for_it_to_stop_is_in_no_prompt(assistant, guard, governance, server, restricted):
    if restricted == "suspension":
        governance.restrict(7, tm.RenewalGuidance)
    else:
        governance.restrict(7, kind=restricted)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.SubjectViolation):
        assistant.ask(PROMPT)
    assert not server.seen


def test_a_prompt_of_what_the_purpose_may_not_use_is_refused(assistant, guard, server):
    prompt = pg.Personal(THREATS, tm.ProductData)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        assistant.ask(prompt)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.SealedValue):  # written into a text, and not declared
        assistant.ask(PROMPT.map(lambda text: f"{text} {prompt}"))
    assert not server.seen
