"""The notices that cases of `decisions.json` are about: their rows as a file would have them, and what these mean.

Rows and meaning are both written by hand, side by side: which pairs a prohibition takes away, what is extended, and
what had which id are said here in so many words.
"""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

from tests.conformance.reading import CLOSED, FAMILIES, GRANTS, ITEMS, LINKED, NOTICE, World

Rows = dict[str, Any]


def titled(text: str) -> dict[str, str]:
    return {"en": text, "ja": text}


def pairs(sources: tuple[str, ...], purposes: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset(product(sources, purposes))


# ---- Prohibitions: of an item, of a clause, of a family, of what goes into a derivation, and of that itself

FORBIDDING: Rows = {
    "forbid": [
        {"sources": ["1.1(b)"], "purposes": ["1.2(2)③"], "reason": titled("product data is not for choosing testers")},
        {"sources": ["2.1"], "purposes": ["2.2⑧"], "reason": titled("no analysis of website users")},
        {"sources": ["3.1(b)"], "purposes": ["AnyProductGuidance"], "reason": titled("jobs choose no guidance")},
        {"sources": ["2.3"], "purposes": ["2.3①"], "reason": titled("no traffic patterns")},
    ]
}
FORBIDDING_WORLD = dataclasses.replace(
    NOTICE,
    forbidden=pairs(("1.1(b)",), ("1.2(2)③",))
    | pairs(ITEMS["2.1"], ("2.2⑧",))
    | pairs(("3.1(b)",), FAMILIES["AnyProductGuidance"])
    # What was linked holds terminal data, and may not serve 2.3① anyway.
    | pairs(("2.3", LINKED), ("2.3①",)),
)

# One item that goes into the derivation is forbidden: so is what comes out.
UNLINKED: Rows = {
    "forbid": [{"sources": ["3.1(c)"], "purposes": ["2.3③"], "reason": titled("pictures are not linked")}]
}
UNLINKED_WORLD = dataclasses.replace(NOTICE, forbidden=pairs(("3.1(c)", LINKED), ("2.3③",)))

# ---- Overlays: what one product collects, and why (rule 8) ---------------------------------------------------------

BY_PRODUCT: Rows = {
    "overlay": [
        {
            "id": "scanner-names",
            "class": "ScannerNames",
            "title": titled("Names of files"),
            "source": "1.1(b)",
            "product": "Scanner",
            "item": "names",
            "serves": ["1.2(2)①", "1.2(2)④"],
        },
        {
            "id": "scanner-sounds",
            "class": "ScannerSounds",
            "title": titled("Sounds"),
            "source": "1.1(b)",
            "product": "Scanner",
            "item": "sounds",
            "serves": [],
        },
        {
            "id": "shop-letters",
            "class": "ShopLetters",
            "title": titled("Letters"),
            "source": "2.1(c)",
            "product": "Shop",
            "item": "letters",
            "serves": ["2.2①", "2.2⑥", "2.2⑦"],
        },
    ],
    "forbid": [{"sources": ["2.1(c)"], "purposes": ["2.2⑩"], "reason": titled("forms are no preferences")}],
}
BY_PRODUCT_WORLD = dataclasses.replace(
    NOTICE,
    narrows={"scanner-names": "1.1(b)", "scanner-sounds": "1.1(b)", "shop-letters": "2.1(c)"},
    serves={
        **NOTICE.serves,
        "scanner-names": frozenset({"1.2(2)①", "1.2(2)④"}),
        "scanner-sounds": frozenset(),
        "shop-letters": frozenset({"2.2①", "2.2⑥", "2.2⑦"}),
    },
    forbidden=pairs(("2.1(c)",), ("2.2⑩",)),
)

# ---- Three revisions (rule 9): the published one, and two that were made up

SOURCES_12 = ("1.1(a)", "1.1(c)", "3.1(a)")


def _clause(clause: str) -> Rows:
    purposes = [
        {"id": f"{clause}①", "class": "Stories", "title": titled("Stories of customers")},
        {"id": f"{clause}②", "class": "Photographs", "title": titled("Photographs"), "basis": "consent"},
        {"id": f"{clause}③", "class": "Archive", "title": titled("Keeping records"), "basis": "law"},
        {"id": f"{clause}④", "class": "Greetings", "title": titled("Greetings"), "channels": {"closed": ["post"]}},
    ]
    return {"clause": clause, "title": titled("Made up"), "sources": list(SOURCES_12), "purpose": purposes}


def _family(clause: str) -> Rows:
    return {"class": "AnyStory", "purposes": [f"{clause}①", f"{clause}②", "3.2⑧"], "title": titled("Stories")}


# 2025: clause 12 is new. Stories are extended to what customers gave earlier, of which notice was given; photographs to
# the earlier data of whoever agrees; records and greetings to none. Jobs of prospects are not to be analysed.
REVISION_2025: Rows = {
    "revision": "2025-04-01",
    "grant": [_clause("12")],
    "family": [_family("12")],
    "extension": [
        {"purposes": ["12①"], "sources": ["1.1(a)", "1.1(c)"], "basis": "related", "notified": "2025-02-01"},
        {"purposes": ["12②"], "basis": "consent"},
    ],
    "forbid": [{"sources": ["3.1(b)"], "purposes": ["3.2⑤"], "reason": titled("jobs are not analysed")}],
}
# 2026: clause 12 is clause 13 now, which is said of the first two purposes only; so 13③ and 13④ are new. Jobs may be
# analysed again; web profiles may not.
REVISION_2026: Rows = {
    "revision": "2026-04-01",
    "grant": [_clause("13")],
    "family": [_family("13")],
    "renamed": [{"kind": "purpose", "old": "12①", "new": "13①"}, {"kind": "purpose", "old": "12②", "new": "13②"}],
    "extension": [
        {"purposes": ["13①"], "sources": ["1.1(a)", "1.1(c)"], "basis": "related", "notified": "2026-02-01"},
        {"purposes": ["13②"], "basis": "consent"},
        {"purposes": ["13④"], "sources": ["1.1(a)", "3.1(a)"], "basis": "related", "notified": "2026-02-01"},
    ],
    "forbid": [{"sources": ["2.1(b)"], "purposes": ["2.2⑧"], "reason": titled("web profiles are not analysed")}],
}


def _revised(revision: str, clause: str, **changes: Any) -> World:
    purposes = tuple(f"{clause}{glyph}" for glyph in "①②③④")
    return dataclasses.replace(
        NOTICE,
        revision=revision,
        grants={**GRANTS, **dict.fromkeys(purposes, frozenset(SOURCES_12))},
        closed={**CLOSED, purposes[3]: ("post",)},
        families={**FAMILIES, "AnyStory": (purposes[0], purposes[1], "3.2⑧")},
        basis={purposes[1]: "consent", purposes[2]: "law"},
        **changes,
    )


WORLD_2025 = _revised(
    "2025-04-01",
    "12",
    forbidden=pairs(("3.1(b)",), ("3.2⑤",)),
    extended={
        **dict.fromkeys(pairs(("1.1(a)", "1.1(c)"), ("12①",)), "related"),
        **dict.fromkeys(pairs(SOURCES_12, ("12②",)), "consent"),
    },
    was=dict.fromkeys(("12①", "12②", "12③", "12④")),
)
WORLD_2026 = _revised(
    "2026-04-01",
    "13",
    forbidden=pairs(("2.1(b)",), ("2.2⑧",)),
    extended={
        **dict.fromkeys(pairs(("1.1(a)", "1.1(c)"), ("13①",)), "related"),
        **dict.fromkeys(pairs(SOURCES_12, ("13②",)), "consent"),
        **dict.fromkeys(pairs(("1.1(a)", "3.1(a)"), ("13④",)), "related"),
    },
    was={"13①": "12①", "13②": "12②", "13③": None, "13④": None},
)

# ---- Two revisions of which the later one gives numbers away, and takes conditions back

LABELS = "0-labels"
"""An overlay whose id sorts before those of the notice, which come before it."""


def _moved(purposes: list[Rows], thirteen: list[str], **more: Any) -> Rows:
    rows = [{**one, "title": titled("Made up")} for one in purposes]
    letters = {"id": "13①", "class": "Cards", "title": titled("Made up")}
    overlay = {
        "id": LABELS, "class": "Labels", "title": titled("Labels"), "source": "1.1(b)", "product": "Printer",
        "item": "labels", "serves": ["12①", "12②", "12③"],
    }  # fmt: skip
    return {
        "grant": [
            {"clause": "12", "title": titled("Made up"), "sources": ["1.1"], "purpose": rows, **more.pop("clause")},
            {"clause": "13", "title": titled("Made up"), "sources": thirteen, "purpose": [letters]},
        ],
        "overlay": [overlay],
        **more,
    }


# 2024: all of clause 12 rests on consent, save 12②; 12① is by post alone.
FIRST: Rows = _moved(
    [
        {"id": "12①", "class": "Letters", "channels": {"closed": ["post"]}},
        {"id": "12②", "class": "Receipts", "basis": "contract"},
        {"id": "12③", "class": "Polls"},
    ],
    ["1.1(a)"],
    clause={"basis": "consent"},
)
# 2025: nothing of it rests on consent any more, and letters may be mails. Polls are 12④ now; 12③ is a new purpose, and
# extended to all that customers gave earlier. 13① may be served by 1.1(c) too, by earlier data with consent.
SECOND: Rows = _moved(
    [
        {"id": "12①", "class": "Letters"},
        {"id": "12②", "class": "Receipts"},
        {"id": "12③", "class": "Repairs"},
        {"id": "12④", "class": "Polls"},
    ],
    ["1.1(a)", "1.1(c)"],
    clause={},
    revision="2025-04-01",
    renamed=[{"kind": "purpose", "old": "12③", "new": "12④"}],
    extension=[
        {"purposes": ["12③"], "sources": ["1.1"], "basis": "related", "notified": "2025-02-01"},
        {"purposes": ["13①"], "sources": ["1.1(c)"], "basis": "consent"},
    ],
)
_SERVES = {**NOTICE.serves, LABELS: frozenset({"12①", "12②", "12③"})}
_LABELLED: dict[str, Any] = {"narrows": {LABELS: "1.1(b)"}, "serves": _SERVES}
FIRST_WORLD = dataclasses.replace(
    NOTICE,
    grants={**GRANTS, **dict.fromkeys(("12①", "12②", "12③"), frozenset(ITEMS["1.1"])), "13①": frozenset({"1.1(a)"})},
    closed={**CLOSED, "12①": ("post",)},
    basis={"12①": "consent", "12②": "contract", "12③": "consent"},
    **_LABELLED,
)
SECOND_WORLD = dataclasses.replace(
    NOTICE,
    revision="2025-04-01",
    grants={
        **GRANTS,
        **dict.fromkeys(("12①", "12②", "12③", "12④"), frozenset(ITEMS["1.1"])),
        "13①": frozenset({"1.1(a)", "1.1(c)"}),
    },
    extended={**dict.fromkeys(pairs((*ITEMS["1.1"], LABELS), ("12③",)), "related"), ("1.1(c)", "13①"): "consent"},
    was={"12③": None, "12④": "12③"},
    **_LABELLED,
)

BUNDLED: Rows = {"bundled": "trendmicro-jp"}

NOTICES: dict[str, list[Rows]] = {
    "trendmicro-jp": [BUNDLED],
    "forbidding": [{**BUNDLED, "with": FORBIDDING}],
    "unlinked": [{**BUNDLED, "with": UNLINKED}],
    "by-product": [{**BUNDLED, "with": BY_PRODUCT}],
    "revised": [BUNDLED, {**BUNDLED, "with": REVISION_2025}, {**BUNDLED, "with": REVISION_2026}],
    "moved": [{**BUNDLED, "with": FIRST}, {**BUNDLED, "with": SECOND}],
}
"""Name → its revisions, the last in force, as `decisions.json` has them."""

WORLDS: dict[str, tuple[World, ...]] = {
    "trendmicro-jp": (NOTICE,),
    "forbidding": (FORBIDDING_WORLD,),
    "unlinked": (UNLINKED_WORLD,),
    "by-product": (BY_PRODUCT_WORLD,),
    "revised": (NOTICE, WORLD_2025, WORLD_2026),
    "moved": (FIRST_WORLD, SECOND_WORLD),
}
"""Name → the same, as it is read."""
