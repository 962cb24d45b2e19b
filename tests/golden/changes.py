"""One small change each to the small notice, and what is said of it: the golden file `changes.md`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import purposeguard as pg
from purposeguard.cli.diff_words import ChangeWords
from purposeguard.policy.diff import compare
from tests.unit.samples import tables

Tables = dict[str, Any]


def kind(name: str, **more: object) -> Tables:
    return {"id": name, "title": {"en": f"The {name}", "ja": f"{name}のこと"}, **more}


FACTS: Tables = {
    "entrustment": {
        "clause": "5",
        "scope": "granted-purposes",
        "supervision": "required",
        "recipients": [kind("printer", place="home")],
    },
    "transfer": {
        "clause": "6",
        "home": "JP",
        "scope": "entrustment-only",
        "otherwise": "refuse",
        "country": [],
        "equivalent": [],
    },
    "safeguards": {
        "clause": "7",
        "before_transfer": "required",
        "measures": [kind("contract")],
        "means": [kind("email")],
    },
    "rights": {"clause": "8", "requesters": ["subject"], "request": [kind("access", effect="discloses")]},
    "retention": {
        "clause": "9",
        "starts": "end-of-use",
        "bases": ["law"],
        "after": "law-only",
        "period": [{"source": "1(a)", "days": 30}],
    },
    "voluntary": {"clause": "10", "optional": True},
    "changes": {"clause": "11", "announced_by": ["email"], "material": "notice", "required_by_law": "notice"},
}


def purpose(made: Tables, grant: int, number: int) -> Tables:
    found: Tables = made["grant"][grant]["purpose"][number]
    return found


CHANGES: dict[str, Callable[[Tables], object]] = {
    "the head": lambda t: t.update(
        controller={"en": "Another shop", "ja": "別の店"},
        timezone="Asia/Tokyo",
        title={"en": "Data in a shop", "ja": "店の個人情報"},
    ),
    "a title in one language": lambda t: t["source"][3]["title"].update(ja="来訪"),
    "recipients": lambda t: t["entrustment"].update(
        supervision="recorded", recipients=[kind("printer"), kind("carrier")]
    ),
    "recipients no more": lambda t: t.pop("entrustment"),
    "the home country": lambda t: t["transfer"].update(home="DE"),
    "safeguards": lambda t: t["safeguards"].update(
        measures=[kind("audit")], means=[kind("email", title={"en": "Mail", "ja": "電子メール"})]
    ),
    "rights": lambda t: t["rights"].update(
        days=10, requesters=["agent"], request=[kind("access", effect="amends"), kind("erasure", effect="deletes")]
    ),
    "requests gone": lambda t: t["rights"].update(request=[kind("erasure", effect="deletes")]),
    "numbers of clauses": lambda t: [t[key].update(clause="99") for key in ("rights", "transfer", "changes")],
    "whether it is optional": lambda t: t["voluntary"].update(optional=False),
    "periods lifted": lambda t: t["retention"].update(period=[]),
    "periods set": lambda t: t["retention"].update(period=[{"source": "1", "days": 9, "from": "collection"}]),
    "a period of law": lambda t: t["retention"].update(law=[{"source": "1", "days": 365}]),
    "a parent": lambda t: (
        t["source"][2].pop("parent"),
        t["source"][3].pop("automatic"),
        t["overlay"][0].update(serves=[]),
    ),
    "an overlay": lambda t: t["overlay"][0].update(product="modem", item="hosts", source="1(a)", serves=[]),
    "a derivation": lambda t: t["derivation"][0].update(
        {"operation": "match", "from": ["2", "1(b)"], "with": ["1(a)"], "serves": ["4②"]}
    ),
    "prohibitions": lambda t: t.update(
        forbid=[
            {**t["forbid"][0], "reason": {"en": "it is free", "ja": "無償"}},
            {"sources": ["1(a)"], "purposes": ["AnyAdvice"], "reason": {"en": "no", "ja": "不可"}},
        ]
    ),
    "bases": lambda t: (
        t["grant"][0].update(basis="law"),
        t["grant"][2].update(basis="consent"),
        purpose(t, 1, 0).update(basis="contract"),
    ),
    "a channel": lambda t: (
        t["channel"].append(kind("sms")),
        t["channel"][0]["title"].update(en="Mail"),
        purpose(t, 0, 0).update(channels={"open": ["sms"]}),
    ),
    "a channel gone": lambda t: (
        t["channel"].pop(1),
        purpose(t, 0, 1).pop("channels"),
        purpose(t, 2, 1).update(channels={"closed": ["email"]}),
    ),
    "all channels named, and none any more": lambda t: (
        purpose(t, 0, 0).update(channels={"open": ["email"]}),
        purpose(t, 2, 0).update(channels={"closed": [row["id"] for row in t["channel"]]}),
    ),
    "another clause": lambda t: (
        t["grant"][1]["purpose"].append(t["grant"][0]["purpose"].pop()),
        t["grant"][2]["title"].update(en="Of visits"),
    ),
    "a family": lambda t: t["family"][0].update(purposes=["3(1)①", "4①"]),
    "a family gone": lambda t: t["family"].clear(),
    "a number, and no row": lambda t: purpose(t, 0, 1).update(id="3(1)③"),
    "a number and a class, and a row": lambda t: (
        purpose(t, 0, 1).update({"id": "3(1)③", "class": "Offering"}),
        t.update(renamed=[{"kind": "purpose", "old": "3(1)②", "new": "3(1)③"}]),
    ),
    "a class": lambda t: t["source"][3].update({"class": "Visited"}),
    "numbers swapped, and no row": lambda t: (
        purpose(t, 2, 0).update({"class": "Advice"}),
        purpose(t, 2, 1).update({"class": "Statistics"}),
    ),
    "numbers swapped, of purposes by other channels": lambda t: (
        purpose(t, 0, 0).update({"class": "Offers"}),
        purpose(t, 0, 1).update({"class": "Renewal"}),
    ),
    "a number that is taken over, and no row": lambda t: t["grant"][0].update(
        purpose=[{**purpose(t, 0, 1), "id": "3(1)①"}]
    ),
    "a row that renames nothing": lambda t: t.update(renamed=[{"kind": "source", "old": "9", "new": "2"}]),
    "extended where both grant": lambda t: t.update(
        extension=[
            {"purposes": ["3(2)①"], "basis": "related", "notified": "2029-01-01"},
            {"purposes": ["4①"], "basis": "consent"},
        ]
    ),
    "an extension on another basis": lambda t: t["extension"][0].update(basis="related", notified="2029-01-01"),
    "an extension gone": lambda t: t.update(extension=[]),
    "a source gone": lambda t: (
        t["source"].pop(3),
        t["grant"][2].update(sources=["1(b)"]),
        t["derivation"].clear(),
        t.update(extension=[]),
    ),
    "a clause that is an overlay": lambda t: (
        t["source"].pop(3),
        t["grant"][2].update(sources=["1(b)"]),
        t["derivation"].clear(),
        t.update(extension=[]),
        t["overlay"].append({**t["overlay"][0], "id": "2", "class": "Visit", "item": "visits", "serves": ["4①"]}),
    ),
}


def before() -> pg.Notice:
    """The small notice, with the facts of clauses 4 to 11 and something that it extends to still earlier data."""
    return pg.Notice.parse({**tables(), **FACTS, "extension": [{"purposes": ["4②"], "basis": "consent"}]})


def after(change: Callable[[Tables], object]) -> pg.Notice:
    """A later revision of it."""
    made = copy.deepcopy(before().dump()) | {"revision": "2030-01-01"}
    change(made)
    return pg.Notice.parse(made)


def lines() -> Iterator[str]:
    """The file: under each change, what is said of it."""
    yield "# What is said of one change each"
    for name, change in CHANGES.items():
        found = compare(before(), after(change))
        yield f"\n## {name}\n"
        words = ChangeWords(found)
        yield from (f"- {words.say(one)}" for one in found.changes)
