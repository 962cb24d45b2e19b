"""People who ask for something, parties that are handed something, and a notice that changes: clauses 4 to 11."""

from __future__ import annotations

from examples.shop.narration import Story
from examples.shop.scenes.common import ask_for, issue, ledger_page, newest_denial_is, scene


@scene(
    "Two people opt out: it holds for the next mail",
    """Aiko asks that her data serve security-information, 1.2(2)④, no more, and Ben that his serve nothing (clause 7).
    A clerk makes sure that it is they who ask, and fulfils it. The rows that the shop reads say whose they are, and
    lists are read by functions declared with `narrow=True`: the mail goes to all but those two. What Aiko did not ask
    to stop goes on; of Ben a single row is refused.""",
)
def opt_out(story: Story) -> None:
    said = ask_for(story, "suspension-of-use", "customer:1", purposes=["security-information"], quiet=False)
    story.check(said["request"]["purposes"] == ["1.2(2)④"], "it is on record by its clause")
    ask_for(story, "suspension-of-use", "customer:2")
    story.note("(and Ben the same, for all purposes)")
    sent = story.ask("POST", "/newsletters/security", issue("Another hole", "Please update again."))
    story.check(sent == {"customers": 4, "leads": 1, "prospects": 1}, "of six customers four were written to")
    helped = story.ask("POST", "/support/customers/1/answer", {"text": "Is it faster now?"})
    story.check(helped["customers"] == 1, "Aiko is still helped with her product")
    refused = story.ask("POST", "/support/customers/2/answer", {"text": "Hello?"}, status=403)
    story.check("(clause 7)" in str(refused.get("reasons")), "clause 7 is named")
    story.check(newest_denial_is(story, "SubjectViolation"), "the ledger has it as a SubjectViolation")


@scene(
    "Crash reports go to a laboratory abroad, and not just anywhere",
    """A laboratory in Taiwan looks at crashes, for product-improvement. Clause 5 lists the country; the contract
    (clause 6) and the last supervision (clause 4) are on the register. `@guard.entrust("crash-lab", means=…)` has each
    hand-over on record before it takes place. A colleague has found a cheaper laboratory, in a country that the notice
    does not name; and then Aiko asks that her data is given to nobody.""",
)
def hand_over(story: Story) -> None:
    laboratory = {
        "name": "Crash Laboratory",
        "kind": "overseas-affiliate",
        "country": "TW",
        "contract": "legal/2024-31",
        "since": "2024-04-01",
        "supervised_on": "2024-05-20",
    }
    story.ask("PUT", "/privacy/recipients/crash-lab", laboratory, quiet=True)
    story.note("(the privacy office puts it on the register)")
    answer = story.ask("POST", "/customers/1/crashes/hand-over")
    story.check(answer == {"reports": 1}, "one crash was handed over")
    refused = story.ask("POST", "/mistakes/hand-over-elsewhere/1", status=403)
    story.check("clause 5 names no country BR" in str(refused.get("reasons")), "the country is the reason")
    story.check(newest_denial_is(story, "RecipientViolation"), "the ledger has it as a RecipientViolation")
    ask_for(story, "stop-of-provision", "customer:1")
    story.note("(Aiko asks that provision stop)")
    stopped = story.ask("POST", "/customers/1/crashes/hand-over", status=403)
    story.check("(clause 7)" in str(stopped.get("reasons")), "nothing of hers goes there any more")


@scene(
    "What do you have of me? A report",
    """Whoever asks is told what is held of them under which clause, what for, to whom it went, and who answers
    questions. The shop registers functions that read what it holds, `@governance.holding(…)`; the report opens it
    under an exception for this one person, which a clerk answers for. It is JSON, or a page that prints, in English or
    Japanese.""",
)
def disclosure(story: Story) -> None:
    path = "/privacy/subjects/customer:1/disclosure?by=clerk+3"
    report = story.ask("GET", path, quiet=True)
    story.note(f"> GET {path}")
    for held in report["holdings"]:
        of = sorted({source for record in held["records"] for item in record["items"] for source in item["sources"]})
        story.show(f"{held['title']}: {len(held['records'])} {' '.join(of)}".rstrip())
    for given in report["provisions"]:
        what, whom = " ".join(given["sources"]), f"{given['recipient']} in {given['country_title']}"
        story.show(f"provided: {what} to {whom} for {given['purpose_title']}, by {given['means']}")
    for one in report["restrictions"]:
        story.show(f"{one['title']}: {' '.join(one['purposes'] or ['all purposes'])}")
    given = [(one["recipient"], one["country"], one["sources"]) for one in report["provisions"]]
    story.check(given == [("Crash Laboratory", "TW", ["1.1(b)"])], "the hand-over is in it, once")
    story.check([one["clause"] for one in report["contacts"]] == ["9.1", "9.2"], "and whom to ask (clause 9)")
    story.check("aiko" not in str(report).lower(), "without `values=true` it shows no values")
    page = story.ask("GET", f"{path}&language=ja&values=true", quiet=True, accept="text/html")
    story.check("利用停止" in page and "Aiko Mori" in page, "with them, it is a page in Japanese")


@scene(
    "A warrant: law permits what the notice does not",
    """Ben has asked that nothing of his be used, so a clerk sees an empty card. A warrant that a lawyer has looked at
    opens it all the same, through the one door there is: `guard.exception(…)`, with a basis in law, a reason, who
    approved it, whom it concerns and an end. Each use of it is in the ledger, before it takes place.""",
)
def warrant(story: Story) -> None:
    card = story.ask("GET", "/renewals/customers/2")
    story.check("name" not in card and card["contracts"] == [{}], "all that there is of him is withheld")
    opened = story.ask("POST", "/privacy/warrants", {"customer_id": 2, "number": "17/2026", "approver": "legal"})
    story.check(opened["name"] == "Ben Ito", "the warrant opened it")
    noted = [one["says"] for one in ledger_page(story)["noted"] if one["kind"] == "exception"]
    of_it = [one for one in noted if one["reason"] == "warrant 17/2026"]
    for one in of_it[:1]:
        story.show(f"{one['basis']}: {one['reason']}, approved: {one['approver']}, of {one['subject'][:8]}…")
    story.check(
        bool(of_it) and all(one["approver"] == "legal" for one in of_it), "the ledger has each use, and the approver"
    )


@scene(
    "The notice changes, and promises more",
    """A next revision, made up for this story, tells website users of products no more. Before it is in force,
    `purposeguard diff` says what it will stop. Then it is put in force, at one stroke, while the shop is running: the
    product newsletter, whose lists include leads, is refused until somebody mends it. Then the first one is back.""",
)
def revision(story: Story) -> None:
    changes = story.ask("GET", "/privacy/notice/2025-04-01/changes", quiet=True)
    story.note("> GET /privacy/notice/2025-04-01/changes")
    story.show("\n".join(changes["Narrowed"]))
    stops = [_short(one) for one in changes["Stops in the shop"]]
    story.show("\n".join(f"stops: {one}" for one in stops if "lead_contacts" in one))
    story.check("Widened" not in changes, "it widens nothing")
    story.ask("PUT", "/privacy/notice", {"revision": "2025-04-01"})
    refused = story.ask("POST", "/newsletters/products", issue("New!", "Buy one."), status=403)
    story.check(refused.get("sources") == ["2.1(a)"], "what stands in the way are the addresses of leads")
    sent = story.ask("POST", "/renewals/reminders", {"due_before": "2030-02-01"})
    story.check(sent["customers"] == 1, "reminders go out as before")
    story.ask("PUT", "/privacy/notice", {"revision": "2024-04-01"})
    sent = story.ask("POST", "/newsletters/products", issue("New!", "Buy one."))
    story.check(sent["leads"] == 1, "under the first revision the newsletter goes out")


def _short(line: str) -> str:
    return line.replace("examples.shop.", "").replace("activities.", "")
