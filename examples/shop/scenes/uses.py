"""What the shop does with data, and what it is not let do."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from examples.shop.narration import Story
from examples.shop.scenes.common import contract, event, issue, ledger_page, newest_denial_is, outbox, scene


@scene(
    "The shop collects data",
    """Two customers register (clause 1.1(a); their contracts: 1.1(c)), their products report telemetry (1.1(b)),
    somebody visits the website (2.3), somebody else fills in a form there (2.1), and sales meets a prospect (3.1).
    A customer, the lead and the prospect write to the support desk. Collecting needs no purpose; using does: whatever
    name or address is read from now on comes sealed, `Personal[str, Registration]`, until a purpose opens it.""",
)
def collect(story: Story) -> None:
    aiko = {"name": "Aiko Mori", "email": "aiko@example.com", "phone": "+81 3 0000 0001"}
    ben = {"name": "Ben Ito", "email": "ben@example.com"}
    story.ask("POST", "/customers", aiko | contract("Shield", "2030-01-20"), status=201)
    story.ask("POST", "/customers", ben | contract("Vault", "2030-09-01"), status=201, quiet=True)
    events = [
        event(1, "Shield", "aiko-laptop", "scan", 7.5),
        event(1, "Shield", "aiko-phone", "crash", 0.2),
        event(2, "Vault", "ben-desktop", "backup", 12.0),
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
    """The activity `remind_of_renewal` works for renewal-guidance, 1.2(1)①. It makes a text of a sealed name, product
    and date, which is sealed in turn, under the clauses of all of them: 1.1(a) and 1.1(c). 1.2(1) grants the purpose
    to exactly these, so the mailer may open address and text, and nothing gets in its way.""",
)
def remind(story: Story) -> None:
    answer = story.ask("POST", "/renewals/reminders", {"due_before": "2030-02-01"})
    story.check(answer == {"customers": 1, "leads": 0, "prospects": 0}, "one contract is due, so one mail went out")
    used = [one["sources"] for one in ledger_page(story)["uses"] if one["activity"].endswith("remind_of_renewal")]
    story.check(used == ["1.1(a) 1.1(c)"], "the ledger knows of which clauses it was made")


@scene(
    "A clerk opens a customer's card: partly withheld",
    """The same purpose, and a function that reads all about a customer, devices included: product data, 1.1(b). It is
    declared with `withhold=True`, so it gives what the purpose may use. The other fields are not empty: they are not
    there, and code that reads one is refused. For providing the product, 1.2(2)①, they are there. The answer is
    written inside the purpose: outside, name and address are sealed to the web framework too.""",
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
    3.2③. Together they are a family, AnySecurityInformation, and a use of it with channel="email" opens addresses of
    all three lists, each under its own clause.""",
)
def newsletter(story: Story) -> None:
    answer = story.ask("POST", "/newsletters/security", issue("A hole in the roof", "Please update today."))
    story.check(answer == {"customers": 2, "leads": 1, "prospects": 1}, "four mails, to people of three sources")


@scene(
    "The same warning by telephone: refused",
    """Sales would rather call the lead. But 2.2③ lets the shop inform website users of security matters by e-mail and
    by nothing else, so the purpose is refused before anything is looked up. By e-mail it goes out.""",
)
def phone(story: Story) -> None:
    letter = issue("A hole in the roof", "Please update today.")
    refused = story.ask("POST", "/leads/1/warnings?channel=phone", letter, status=403)
    story.check(refused.get("clauses") == ["2.2③"], "clause 2.2③ is named")
    story.check(newest_denial_is(story, "ChannelViolation"), "the ledger has it as a ChannelViolation")
    answer = story.ask("POST", "/leads/1/warnings?channel=email", letter)
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


WRONG = """\
@guard.purpose(tm.ProductGuidance, channel="email").with_use
def promote(use: Use[tm.ProductGuidance], to: CustomerContact, event: Event) -> None:
    Mailing(use).add(to, "Faster!", event.device)
"""

SAID = (
    'error: Argument 3 to "add" of "Mailing" has incompatible type "Personal[str, ProductData]"; '
    'expected "Personal[str, ProductGuidance | NotPersonal]"  [arg-type]'
)
"""What mypy says of the last line of `WRONG`. There is none where the demo runs; the tests ask one."""


@scene(
    "A hurried colleague sends marketing from telemetry: refused twice",
    """"Their devices are slow, let us sell them something faster!" So the colleague writes, honestly for
    product-guidance, 1.2(1)②:""",
)
def marketing(story: Story) -> None:
    story.quote(WRONG)
    story.note("That never runs, for no type checker lets it pass. Of the last line mypy says:")
    story.show(SAID, "!")
    story.say(
        """With `Any` for the types it passes, and is refused when the text would be opened. A summary does not help:
        what is made from product data is product data. Nor does the cache, which holds that summary for another
        purpose: it asks first, and keeps them apart."""
    )
    before = outbox(story)
    refused = story.ask("POST", "/mistakes/promote-upgrade?product=Shield", status=403)
    story.check(refused.get("sources") == ["1.1(b)"], "1.1(b) is named as what may not be used")
    alternatives = [one["slug"] for one in refused.get("alternatives", [])]
    story.check("product-improvement" in alternatives, f"alternatives are named: {', '.join(alternatives)}")
    story.check("aiko" not in str(refused).lower(), "the answer holds no personal value")
    cached = story.ask("GET", "/mistakes/promote-from-summary?product=Shield", status=403)
    story.check(cached.get("sources") == ["1.1(b)"], "the cached summary is refused as well")
    story.check(outbox(story) == before, "no mail went out")


@scene(
    "A colleague looks for a fault, and prints whatever is at hand: nothing shows",
    """A sealed value may be logged, printed and passed on: what shows is the clause. Written as JSON, compared or used
    as a text it is an error, which says what to do. Where a function given to `map` fails, its message, which could
    quote the value, is not told. And a sealed model that is handed to the web framework is not written.""",
)
def seals(story: Story) -> None:
    with _log("examples.shop") as lines:
        seen = story.ask("GET", "/mistakes/look-for-a-fault/1", quiet=True)
    story.note("> GET /mistakes/look-for-a-fault/1")
    for what, shown in seen.items():
        story.show(f"{what}: {shown}")
    story.note("The log of the server says:")
    story.show("\n".join(lines), "!")
    story.check(
        lines == ["mailing <sealed 1.1(a)>, that is CustomerContact(name=<sealed 1.1(a)>, email=<sealed 1.1(a)>)"],
        "the log has the clause in the place of the address",
    )
    handed = story.ask("GET", "/mistakes/hand-out/1", status=500)
    told = f"{seen} {lines} {handed}".lower()
    story.check("aiko" not in told, "nothing of it shows a name or an address")


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
    customer wrote, and no more; answering them as if they were leads does not pass a type checker and, where one was
    not asked, is refused. The way meant for them is open.""",
)
def support(story: Story) -> None:
    inquiries = story.ask("GET", "/support/inquiries")
    story.check(inquiries[0]["lead"]["email"] == "chie@example.com", "the lead's inquiry is readable")
    story.check(inquiries[1]["prospect"]["email"] == "daichi@example.com", "and the prospect's")
    story.check(inquiries[2]["customer"] == {}, "name, address and text of the customer are withheld")
    answer = {"text": "With pleasure."}
    story.check(story.ask("POST", "/support/inquiries/1/answer", answer) == {"sent": 1}, "the lead was answered")
    refused = story.ask("POST", "/mistakes/answer/3", status=403)
    story.check(refused.get("field") == "name", "the field that was asked for is named")
    helped = story.ask("POST", "/support/customers/1/answer", answer)
    story.check(helped["customers"] == 1, "for product-provision the same customer was answered")


@scene(
    "Visitors, and a new activity that is only observed",
    """Cookie data may serve traffic-analysis, 2.3①. Linked with a customer, by `tm.link_usage`, it is a source of its
    own, which may serve usage-analysis, 2.3③, alone. A new activity would compare visits with leads for 2.2⑧, which is
    not granted to cookie data. It is declared with mode="observe": while it is tried out nothing is refused, but all is
    recorded.""",
)
def observe(story: Story) -> None:
    traffic = story.ask("GET", "/visits/traffic")
    story.check(traffic == [{"page": "/pricing", "visits": 2}], "traffic was counted")
    linked = story.ask("GET", "/visits/of-customers")
    story.check(linked == [{"customer": "Aiko Mori", "page": "/pricing"}], "linked visits were analysed")
    with _log("purposeguard") as lines:
        compared = story.ask("GET", "/visits/compared-with-leads")
    story.check(compared["companies"] == [{"company": "Sato Ltd", "leads": 1}], "the new activity did its work")
    story.note("The log of the server says:")
    story.show("\n".join(lines), "!")
    story.check(len(lines) == 1 and "2.3" in lines[0], "one use was logged as one that would be refused")


@scene(
    "Figures: the declared way out",
    """How fast is the product, and how often does it crash? That is no personal data once it is about many. Two
    aggregates and one function are declared for it, `guard.reclassify(…)`, with the reason, who approved it and the
    least number of customers. Of fewer than five they give nothing. What they give may be on the website, and in a
    marketing mail too.""",
)
def figures(story: Story) -> None:
    story.ask("GET", "/telemetry/Shield/figures", status=409)
    for number in range(3, 7):
        customer = {"name": f"Customer {number}", "email": f"customer-{number}@example.com"}
        story.ask("POST", "/customers", customer | contract("Shield", "2031-01-01"), status=201, quiet=True)
        scan = event(number, "Shield", f"laptop-{number}", "scan", 3.0)
        story.ask("POST", "/telemetry", [scan], status=202, quiet=True)
    story.note("(four more customers register, and their products report)")
    made = story.ask("GET", "/telemetry/Shield/figures")
    story.check((made["runs"], made["crash_percent"]) == (6, 17), "six runs of five customers, of which one crashed")
    sent = story.ask("POST", "/newsletters/advertisements", {"product": "Shield"})
    story.check(sent["leads"] == 1, "the lead was told how fast it is")
    out = ledger_page(story)["reclassified"]
    story.check(len(out) == 7, "each figure that was asked for is in the ledger: three, twice, and one of too few")


def _devices(lines: Any) -> list[str]:
    # One line is also valid JSON by itself, and comes parsed.
    return [lines["device"]] if isinstance(lines, dict) else [line for line in str(lines).splitlines() if line]


@contextmanager
def _log(name: str) -> Generator[list[str]]:
    """The lines that a logger is given meanwhile; the server runs in a thread of this process."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger(name), Keeping()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
