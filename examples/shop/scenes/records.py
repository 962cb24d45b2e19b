"""What stands on record of it all."""

from __future__ import annotations

from collections import Counter
from typing import Any

from examples.shop.narration import Story
from examples.shop.scenes.common import ledger_page, scene


@scene(
    "The inventory",
    """What leaves, and on whose word, is listed where the activities and the access functions are, at GET
    /privacy/inventory: the first thing to read for whoever answers for this shop.""",
)
def inventory(story: Story) -> None:
    listed = story.ask("GET", "/privacy/inventory", quiet=True)
    story.note(f"{len(listed['activities'])} activities, {len(listed['accesses'])} access functions, and:")
    for one in listed["reclassifications"]:
        story.show(
            f"{_short(one['name'])}\n  {one['sources']} to {one['to']}: {one['why']}\n  approved: {one['approver']}"
        )
    ways = [(one["sources"], one["to"], bool(one["approver"])) for one in listed["reclassifications"]]
    story.check(ways == [("1.1(b)", "not-personal", True)] * 3, "three ways out, all of telemetry, all approved")


@scene(
    "The ledger",
    """Everything above is on record: each denial, each figure, what people asked for, what was handed over and what was
    opened by law, as it happened; and how often each activity used what. Clauses and names of code; no name, no
    address, and who asked for what by a digest alone. Each entry holds the hash of the one before, so one that was
    changed or is gone is found. An auditor reads it at GET /privacy/ledger.""",
)
def ledger(story: Story) -> None:
    page = ledger_page(story)
    story.note("Refused, or observed where it would have been:")
    for one in page["denials"]:
        verdict = "observed" if one["observed"] else "refused"
        story.show(f"{verdict:9} {_what(one)}")
    story.note("Reclassified:")
    for way, times in Counter(map(_way_out, page["reclassified"])).items():
        story.show(f"{times:3} x     {way}")
    story.note("Used:")
    for one in page["uses"]:
        story.show(f"{one['count']:3} x     {_what(one)}")
    story.note("And one by one:")
    noted = Counter(one["kind"] for one in page["noted"])
    for kind, times in noted.items():
        story.show(f"{times:3} x     {kind}")
    errors = Counter(one["error"] for one in page["denials"])
    expected = {"PurposeViolation": 7, "ChannelViolation": 1, "PurposeMissing": 2}
    expected |= {"SubjectViolation": 2, "RecipientViolation": 1}
    story.check(
        errors == expected,
        "thirteen denials: seven purposes, one channel, two missing, two people, one recipient",
    )
    story.check([one["observed"] for one in page["denials"]].count(True) == 1, "one of them was observed only")
    renewals = [one["sources"] for one in page["uses"] if one["activity"].endswith("remind_of_renewal")]
    story.check(renewals == ["1.1(a) 1.1(c)"], "the reminders used 1.1(a) with 1.1(c)")
    whole = str(page).lower()
    people = ("aiko", "ben ", "chie", "daichi", "example.com")
    story.check(not any(one in whole for one in people), "the ledger names nobody")
    story.check((noted["restriction"], noted["provision"]) == (4, 1), "four wishes of three people, and one hand-over")
    verdict = story.ask("GET", "/privacy/ledger/verdict")
    story.check(verdict["entries"] > sum(noted.values()), "every entry is as it was written")


def _what(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line: which activity, what, what for."""
    if entry["purpose"] is None:
        what = str(entry["reason"]).partition(":")[0]
    else:
        what = f"{entry['activity']}: {entry['sources']} for {entry['purpose']}"
    return _short(what)


def _way_out(entry: dict[str, Any]) -> str:
    return f"{_short(entry['name'])}: {entry['sources']} to {entry['to']}, in {_short(entry['activity'])}"


def _short(name: str) -> str:
    return name.removeprefix("examples.shop.").removeprefix("activities.").removeprefix("routes.")
