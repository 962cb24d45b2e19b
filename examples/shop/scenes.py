"""The scenes of the demo. Each says what will happen, has it happen, and checks that it did."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from examples.shop.narration import Story

Scene = Callable[[Story], None]
SCENES: list[Scene] = []


def scene(title: str, text: str) -> Callable[[Scene], Scene]:
    def listed(act: Scene) -> Scene:
        def told(story: Story) -> None:
            story.scene(title, text)
            act(story)

        SCENES.append(told)
        return act

    return listed


@scene(
    "The shop collects data",
    """Two customers register (clause 1.1(a); their contracts: 1.1(c)), their products report telemetry (1.1(b)),
    somebody visits the website (2.3), somebody else fills in a form there (2.1), and sales meets a prospect (3.1).
    A customer, the lead and the prospect write to the support desk. Collecting needs no purpose; using does.""",
)
def collect(story: Story) -> None:
    aiko = {"name": "Aiko Mori", "email": "aiko@example.com", "phone": "+81 3 0000 0001"}
    ben = {"name": "Ben Ito", "email": "ben@example.com"}
    story.ask("POST", "/customers", aiko | _contract("Shield", "2030-01-20"), status=201)
    story.ask("POST", "/customers", ben | _contract("Vault", "2030-09-01"), status=201, quiet=True)
    events = [
        _event(1, "Shield", "aiko-laptop", "scan", 7.5),
        _event(1, "Shield", "aiko-phone", "crash", 0.2),
        _event(2, "Vault", "ben-desktop", "backup", 12.0),
    ]
    answer = story.ask("POST", "/telemetry", events, status=202, quiet=True)
    visit = {"cookie": "c-71", "ip": "192.0.2.7", "browser": "Firefox", "page": "/pricing"}
    story.ask("POST", "/visits", visit | {"customer_id": 1}, status=201, quiet=True)
    story.ask("POST", "/visits", visit | {"cookie": "c-72"}, status=201, quiet=True)
    chie = {"name": "Chie Sato", "email": "chie@example.com", "company": "Sato Ltd", "survey": "We use five laptops."}
    story.ask("POST", "/leads", chie, status=201, quiet=True)
    daichi = {
        "name": "Daichi Abe",
        "email": "daichi@example.com",
        "position": "Head of IT",
        "notes": "Met at the fair.",
    }
    story.ask("POST", "/prospects", daichi, status=201, quiet=True)
    senders = {"lead_id": "Do you have a trial?", "prospect_id": "A quote?", "customer_id": "My laptop is slow."}
    inquiries = [
        story.ask("POST", "/inquiries", {sender: 1, "text": text}, status=201, quiet=True)["id"]
        for sender, text in senders.items()
    ]
    story.note("(and so on)")
    story.check(answer == {"accepted": 3}, "three telemetry events were taken in")
    story.check(inquiries == [1, 2, 3], "three inquiries were taken in: of a lead, a prospect and a customer")


@scene(
    "Renewal reminders: allowed",
    """The activity `remind_of_renewal` is declared for renewal-guidance, 1.2(1)①. It reads names, addresses and
    contracts, and 1.2(1) grants that purpose to exactly these: 1.1(a) and 1.1(c). Nothing gets in its way.""",
)
def remind(story: Story) -> None:
    answer = story.ask("POST", "/renewals/reminders", {"due_before": "2030-02-01"})
    story.check(answer == {"customers": 1, "leads": 0, "prospects": 0}, "one contract is due, so one mail went out")


@scene(
    "A clerk opens a customer's card: partly withheld",
    """The same purpose, and a function that reads all about a customer, devices included: product data, 1.1(b). It is
    declared with `withhold=True`, so it gives what the purpose may use. The other fields are not empty: they are not
    there, and code that reads one is refused. For providing the product, 1.2(2)①, they are there.""",
)
def withhold(story: Story) -> None:
    card = story.ask("GET", "/renewals/customers/1")
    story.check(card["contracts"][0]["product"] == "Shield", "registration and contracts are on the card")
    story.check("devices" not in card, "the devices are withheld")
    devices = story.ask("GET", "/customers/1/devices")
    story.check(devices == ["aiko-laptop", "aiko-phone"], "the customer's own page, another purpose, shows them")


@scene(
    "One newsletter, three sources: allowed as a family",
    """Security news goes to customers, leads and prospects. The notice states that goal three times: 1.2(2)④, 2.2③ and
    3.2③. Together they are a family, AnySecurityInformation, and one function declared for it with channel="email"
    may read all three lists, each under its own clause.""",
)
def newsletter(story: Story) -> None:
    answer = story.ask("POST", "/newsletters/security", _issue("A hole in the roof", "Please update today."))
    story.check(answer == {"customers": 2, "leads": 1, "prospects": 1}, "four mails, to people of three sources")


@scene(
    "The same warning by telephone: refused",
    """Sales would rather call the lead. But 2.2③ lets the shop inform website users of security matters by e-mail and
    by nothing else, so the purpose is refused before anything is looked up. By e-mail it goes out.""",
)
def phone(story: Story) -> None:
    issue = _issue("A hole in the roof", "Please update today.")
    refused = story.ask("POST", "/leads/1/warnings?channel=phone", issue, status=403)
    story.check(refused.get("clause") == ["2.2③"], "clause 2.2③ is named")
    story.check(_told(story, "ChannelViolation"), "the ledger has it as a ChannelViolation")
    answer = story.ask("POST", "/leads/1/warnings?channel=email", issue)
    story.check(answer["leads"] == 1, "by e-mail it went out")


@scene(
    "The telemetry pipeline: allowed, row by row",
    """Product data may serve product-improvement, 1.2(2)②. The export is a pipeline of generators, streamed as it is
    read: the purpose holds while the pipeline works, and not in whoever consumes its lines.""",
)
def export(story: Story) -> None:
    lines = story.ask("GET", "/telemetry/Shield/slow-events?at_least=5")
    story.check(_devices(lines) == ["aiko-laptop"], "one slow event of the two was exported")
    summary = story.ask("GET", "/telemetry/Shield/crashes")
    story.check((summary["events"], summary["crashes"]) == (2, 1), "one crash was counted, and is now in the cache")


@scene(
    "A hurried colleague sends marketing from telemetry: refused",
    """"Their devices are slow, let us sell them something faster!" Declared honestly, for product-guidance, 1.2(1)②,
    the function is refused at its first read. A summary does not help: what is made from product data is product
    data. Nor does the cache, which holds that summary for another purpose: it asks first, and keeps them apart.""",
)
def marketing(story: Story) -> None:
    before = _outbox(story)
    refused = story.ask("POST", "/mistakes/promote-upgrade?product=Shield", status=403)
    story.check(refused.get("sources") == ["1.1(b)"], "1.1(b) is named as what may not be used")
    alternatives = [one["slug"] for one in refused.get("alternatives", [])]
    story.check("product-improvement" in alternatives, f"alternatives are named: {', '.join(alternatives)}")
    story.check("aiko" not in str(refused).lower(), "the answer holds no personal value")
    cached = story.ask("GET", "/mistakes/promote-from-summary?product=Shield", status=403)
    story.check(cached.get("sources") == ["1.1(b)"], "the cached summary is refused as well")
    story.check(_outbox(story) == before, "no mail went out")


@scene(
    "A background thread that nobody told what it works for: fails closed",
    """A purpose holds in the task or thread that entered it, never by accident in another. Work handed to a pool of
    threads takes its purpose along with `guard.carry(fn)`. Without it there is no purpose, so nothing is read: an
    error of the program, 500. The same goes for code that says no purpose at all.""",
)
def threads(story: Story) -> None:
    lost = story.ask("GET", "/mistakes/without-carry", status=500)
    story.check("guard.carry" in lost.get("detail", ""), "the message says what to do")
    compared = story.ask("GET", "/telemetry/crashes?product=Shield&product=Vault")
    story.check([one["events"] for one in compared] == [2, 1], "with guard.carry the same work is done")
    none = story.ask("GET", "/mistakes/without-purpose/1", status=500)
    story.check("aiko" not in str(none).lower(), "nothing was read")


@scene(
    "The support desk: one family, and what is not in it",
    """Inquiries of leads, 2.2⑥, and of prospects, 3.2⑦, form the family AnyInquiryResponse. The notice has no such
    purpose for customers: they are helped for product-provision, 1.2(2)①. So the desk for inquiries sees that a
    customer wrote, and no more; answering them as if they were leads is refused, the way meant for them is open.""",
)
def support(story: Story) -> None:
    inquiries = story.ask("GET", "/support/inquiries")
    story.check(inquiries[0]["lead"]["email"] == "chie@example.com", "the lead's inquiry is readable")
    story.check(inquiries[1]["prospect"]["email"] == "daichi@example.com", "and the prospect's")
    story.check(inquiries[2]["customer"] == {}, "name, address and text of the customer are withheld")
    answer = {"text": "With pleasure."}
    story.check(story.ask("POST", "/support/inquiries/1/answer", answer) == {"sent": 1}, "the lead was answered")
    refused = story.ask("POST", "/support/inquiries/3/answer", answer, status=403)
    story.check(refused.get("field") == "email", "the field that was asked for is named")
    helped = story.ask("POST", "/support/customers/1/answer", answer)
    story.check(helped["customers"] == 1, "for product-provision the same customer was answered")


@scene(
    "Visitors, and a new activity that is only observed",
    """Cookie data may serve traffic-analysis, 2.3①. Linked with a customer it is a source of its own, which may serve
    usage-analysis, 2.3③, alone. A new activity would compare visits with leads for 2.2⑧, which is not granted to
    cookie data. It is declared with mode="observe": while it is tried out nothing is refused, but all is recorded.""",
)
def observe(story: Story) -> None:
    traffic = story.ask("GET", "/visits/traffic")
    story.check(traffic == [{"page": "/pricing", "visits": 2}], "traffic was counted")
    linked = story.ask("GET", "/visits/of-customers")
    story.check(linked == [{"customer": "Aiko Mori", "page": "/pricing"}], "linked visits were analysed")
    with _log() as lines:
        compared = story.ask("GET", "/visits/compared-with-leads")
    story.check(compared["companies"] == [{"company": "Sato Ltd", "leads": 1}], "the new activity did its work")
    story.note("The log of the server says:")
    story.show("\n".join(lines), "!")
    story.check(len(lines) == 1 and "2.3" in lines[0], "one use was logged as one that would be refused")


@scene(
    "The ledger",
    """Everything above is in the shop's own database: each denial as it happened, and how often each activity used
    what. Clauses and names of code; no name, no address. An auditor reads it at GET /privacy/ledger.""",
)
def ledger(story: Story) -> None:
    page = story.ask("GET", "/privacy/ledger", quiet=True)
    story.note("Refused, or observed where it would have been:")
    for one in page["denials"]:
        verdict = "observed" if one["observed"] else "refused"
        story.show(f"{verdict:9} {_what(one)}")
    story.note("Used:")
    for one in page["uses"]:
        story.show(f"{one['count']:3} x     {_what(one)}")
    errors = [one["error"] for one in page["denials"]]
    expected = {"PurposeViolation": 4, "ChannelViolation": 1, "PurposeMissing": 2}
    counted = {name: errors.count(name) for name in expected}
    story.check(counted == expected and len(errors) == 7, "seven denials: four purposes, one channel, two missing")
    story.check([one["observed"] for one in page["denials"]].count(True) == 1, "one of them was observed only")
    renewals = [one["sources"] for one in page["uses"] if one["activity"].endswith("remind_of_renewal")]
    story.check(renewals == ["1.1(a) 1.1(c)"], "the reminders used 1.1(a) with 1.1(c)")
    whole = str(page).lower()
    people = ("aiko", "ben ", "chie", "daichi", "example.com")
    story.check(not any(one in whole for one in people), "the ledger names nobody")


# --- helpers -------------------------------------------------------------------------------------------------------


def _contract(product: str, renews_on: str) -> dict[str, object]:
    return {"contracts": [{"product": product, "renews_on": renews_on}]}


def _event(customer: int, product: str, device: str, kind: str, seconds: float) -> dict[str, object]:
    return {"customer_id": customer, "product": product, "device": device, "kind": kind, "seconds": seconds}


def _issue(subject: str, body: str) -> dict[str, str]:
    return {"subject": subject, "body": body}


def _devices(lines: Any) -> list[str]:
    # One line is also valid JSON by itself, and comes parsed.
    return [lines["device"]] if isinstance(lines, dict) else [line for line in str(lines).splitlines() if line]


def _told(story: Story, error: str) -> bool:
    """Whether the newest denial in the ledger is this error."""
    denials = story.ask("GET", "/privacy/ledger", quiet=True)["denials"]
    return bool(denials) and denials[-1]["error"] == error


def _outbox(story: Story) -> int:
    return sum(one["messages"] for one in story.ask("GET", "/outbox", quiet=True))


def _what(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line: which activity, what, what for."""
    if entry["purpose"] is None:
        what = str(entry["reason"]).partition(":")[0]
    else:
        what = f"{entry['activity']}: {entry['sources']} for {entry['purpose']}"
    return what.removeprefix("examples.shop.").removeprefix("activities.").removeprefix("routes.")


@contextmanager
def _log() -> Iterator[list[str]]:
    """The lines that purposeguard logs meanwhile; the server runs in a thread of this process."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("purposeguard"), Keeping()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
