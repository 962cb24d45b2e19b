"""Whole notices, as the tables of a file: what `generated.notices` compiles, and what faults are put into.

Of real shapes: clauses with items, families over several clauses, channels that are named and nothing else or for
example, derivations of derivations, prohibitions over both, overlays that narrow. What an overlay may serve is asked of
the reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from hypothesis import strategies as st

from purposeguard.notice.grants import compute_grants
from purposeguard.notice.schema import Document, PurposeRow
from purposeguard.notice.validation import find_shadowed_bases
from purposeguard.notice.vocabulary import fold
from purposeguard.policy import spec

Tables = dict[str, Any]
"""The tables of a notice file, as TOML gives them."""

CHANNELS: Final = ("email", "phone", "post", "in_product")
WORDS: Final = (
    "Alpha", "Bravo", "Carol", "Delta", "Echo", "Fox", "Golf", "Hotel", "India", "Jazz", "Kilo", "Lima", "Mike",
)  # fmt: skip
CIRCLED: Final = "①②③④⑤⑥⑦⑧⑨⑩"


def titled(text: str) -> dict[str, str]:
    """The two titles of a row."""
    return {"en": f"About {text}", "ja": f"{text}について"}


def some(ids: Sequence[str], least: int = 1, most: int = 4) -> st.SearchStrategy[list[str]]:
    """Some of the ids, each once; none where there are none."""
    if not ids:
        return st.just([])
    return st.lists(st.sampled_from(ids), unique=True, min_size=min(least, len(ids)), max_size=min(most, len(ids)))


@st.composite
def tables(
    draw: st.DrawFn,
    *,
    derivations: bool = True,
    prohibitions: bool = True,
    overlays: bool = True,
    facts: bool = False,
    conditions: bool = False,
) -> Tables:
    """The tables of a valid notice; `facts`: with some of the facts of clauses 4 to 11, bases and extensions too."""
    made: Tables = {
        "format": 1,
        "id": "generated",
        "revision": draw(st.dates()).isoformat(),
        "controller": titled("the controller"),
        "title": titled("the notice"),
        "channel": [{"id": given, "title": titled(given)} for given in CHANNELS[: draw(st.integers(0, 3))]],
        "source": _sources(draw),
    }
    _add_grants(draw, made)
    _add_families(draw, made)
    later: list[str] = []  # ids of the overlays to come: derivations and prohibitions may name them
    if overlays:
        later = [f"P{number + 1}" for number in range(draw(st.integers(0, 2)))]
    if derivations:
        _add_derivations(draw, made, later)
    if prohibitions:
        made["forbid"] = draw(bans(made, 3, later))
    _add_overlays(draw, made, later)
    if facts:
        made |= draw(some_facts(made))
        add_bases(draw, made)
    if conditions:
        add_conditions(draw, made)
    if facts:
        add_extensions(draw, made)
    return made


def _sources(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Clauses, their items, items of items, …, in any order."""
    ids: list[str] = []
    rows: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from([None, None, *ids]))
        letter = "abcdefg"[sum(row.get("parent") == parent for row in rows)]
        given = f"{number + 1}.1" if parent is None else f"{parent}({letter})"
        ids.append(given)
        row = {"id": given, "class": f"{WORDS[number]}Data", "title": titled(given)}
        rows.append(row if parent is None else row | {"parent": parent})
    return rows if draw(st.booleans()) else list(draw(st.permutations(rows)))


def _add_grants(draw: st.DrawFn, made: Tables) -> None:
    sources = [row["id"] for row in made["source"]]
    channels = [row["id"] for row in made["channel"]]
    words = iter(WORDS)
    made["grant"] = []
    for number in range(draw(st.integers(1, 4))):
        clause = f"{number + 1}.2"
        grant: dict[str, Any] = {
            "clause": clause,
            "title": titled(clause),
            "sources": draw(some(sources)),
            "purpose": [],
        }
        for item in range(draw(st.integers(1, 3))):
            given = f"{clause}({number + 1}){CIRCLED[item]}" if number % 2 else f"{clause}{CIRCLED[item]}"
            row: dict[str, Any] = {"id": given, "class": f"{next(words)}Purpose", "title": titled(given)}
            kind = draw(st.sampled_from([None, "closed", "open"])) if channels else None
            grant["purpose"].append(row if kind is None else row | {"channels": {kind: draw(some(channels))}})
        made["grant"].append(grant)


def purposes_of(made: Tables) -> list[str]:
    """The ids of all purposes."""
    return [row["id"] for grant in made["grant"] for row in grant["purpose"]]


def families_of(made: Tables) -> list[str]:
    """The names of all families."""
    return [row["class"] for row in made.get("family", ())]


def sources_of_tables(made: Tables) -> list[str]:
    """The ids of all that data can derive from: clauses, overlays, derivations."""
    return [row["id"] for kind in ("source", "overlay", "derivation") for row in made.get(kind, ())]


def _add_families(draw: st.DrawFn, made: Tables) -> None:
    purposes = purposes_of(made)
    if len(purposes) < 2:
        return
    chosen = draw(st.lists(some(purposes, 2), max_size=3, unique_by=frozenset))
    made["family"] = [
        {"class": f"Any{word}", "purposes": members, "title": titled(word)}
        for word, members in zip(WORDS, chosen, strict=False)
    ]


def _add_derivations(draw: st.DrawFn, made: Tables, overlays: list[str]) -> None:
    known = [*sources_of_tables(made), *overlays]
    rows: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 3))):
        # The bundled notice gives a derivation the id of the purpose that it serves.
        given = draw(st.sampled_from([f"D{number + 1}", *purposes_of(made)[number : number + 1]]))
        row = {
            "id": given,
            "class": f"Linked{WORDS[number]}",
            "operation": draw(st.sampled_from(["link", "match"])),
            "function": f"link_{number}",
            "from": draw(some(known, most=2)),
            "with": draw(some(known, most=2)),
            "serves": draw(some(purposes_of(made))),
            "title": titled(given),
        }
        if all(_joined(row) != _joined(other) for other in rows):
            rows.append(row)
            known.append(given)  # what is derived may go into what is derived next
    made["derivation"] = rows if draw(st.booleans()) else rows[::-1]


def _joined(row: Tables) -> tuple[str, frozenset[frozenset[str]]]:
    return row["operation"], frozenset((frozenset(row["from"]), frozenset(row["with"])))


@st.composite
def prohibition(draw: st.DrawFn, made: Tables, later: Sequence[str] = ()) -> dict[str, Any]:
    """A prohibition that the notice could have; `later`: overlays that it is going to have."""
    return {
        "sources": draw(some([*sources_of_tables(made), *later], most=2)),
        "purposes": draw(some([*purposes_of(made), *families_of(made)], most=3)),
        "reason": titled("a prohibition"),
    }


def bans(made: Tables, most: int, later: Sequence[str] = ()) -> st.SearchStrategy[list[Tables]]:
    """Prohibitions of which none repeats another."""
    return st.lists(prohibition(made, later), max_size=most).map(differing_bans)


def differing_bans(rows: list[Tables]) -> list[Tables]:
    """The prohibitions of which none repeats one before it."""
    return _differing(rows, lambda row: (frozenset(row["sources"]), frozenset(row["purposes"])))


def _differing(rows: list[Any], meaning: Callable[[Any], object]) -> list[Any]:
    """The rows of which none means what one before it means."""
    found: dict[object, Any] = {}
    for row in rows:
        found.setdefault(meaning(row), row)
    return list(found.values())


def _add_overlays(draw: st.DrawFn, made: Tables, ids: list[str]) -> None:
    """An overlay must not widen: what its source may serve is asked of the reference."""
    clauses = [row["id"] for row in made["source"]]
    rows: list[Tables] = []
    for number, given in enumerate(ids):
        source = draw(st.sampled_from(clauses))
        rows.append(
            {
                "id": given,
                "class": f"{WORDS[number]}Overlay",
                "title": titled(given),
                "source": source,
                "product": "product",
                "item": f"item {number}",
                "serves": draw(some(may_serve(made, source), 0)),
            }
        )
    if rows:
        made["overlay"] = rows


def may_serve(made: Tables, source: str) -> list[str]:
    """What one of the clauses of the tables may serve, by the reference."""
    document = Document.model_validate({key: rows for key, rows in made.items() if key != "overlay"})
    return [given for given in purposes_of(made) if spec.is_permitted(document, source, given, None)]


def _folded_id(row: Tables) -> str | None:
    return fold(row["id"])


def _effective(row: Tables, effect: str) -> Tables:
    return {**row, "effect": effect}


@st.composite
def some_facts(draw: st.DrawFn, made: Tables) -> Tables:
    """Some of the tables that clauses 4 to 11 make, with texts that are hard to quote."""
    text = st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12
    ) | st.sampled_from(['"', '"""', "'", "\\", "\\n", "\\u0041", "\N{NO-BREAK SPACE}", "{}", "#", "'''\"\"\"\\"])
    title = st.fixed_dictionaries({"en": text, "ja": text})
    kind = st.fixed_dictionaries({"id": st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), "title": title})
    kinds = st.lists(kind, min_size=1, max_size=3).map(lambda rows: _differing(rows, _folded_id))
    periods = st.lists(
        st.fixed_dictionaries(
            {"source": st.sampled_from(sources_of_tables(made)), "days": st.integers(1, 9_999)},
            optional={"from": st.sampled_from(["collection", "end-of-use"]), "at_least": st.just(1)},
        )
        | st.fixed_dictionaries({"source": st.sampled_from(sources_of_tables(made)), "days": st.just(0)}),
        max_size=3,
        unique_by=lambda row: (row["source"], row.get("from", "end-of-use")),
    )
    office = st.fixed_dictionaries(
        {"clause": st.just("9.1"), "name": title, "email": st.just("privacy@example.org")},
        optional={
            "unit": title,
            "phone": st.lists(text, min_size=1, max_size=2, unique_by=lambda one: fold(one) or one.casefold()),
            "address": title,
        },
    )
    countries: Any = st.fixed_dictionaries(
        {"code": st.sampled_from(["TW", "PH", "US", "CN"]), "title": title},
        optional={"limit": st.fixed_dictionaries({"recipient": kind, "products": kind, "tasks": kinds})},
    )
    transfer = st.fixed_dictionaries(
        {
            "clause": st.just("5"),
            "home": st.just("JP"),
            "scope": st.sampled_from(["entrustment-only", "any-recipient"]),
            "country": st.lists(countries, max_size=3, unique_by=itemgetter("code")),
            "equivalent": st.lists(
                st.fixed_dictionaries({"id": st.just("eea"), "title": title, "countries": st.just(["DE", "FR"])}),
                max_size=1,
            ),
            "otherwise": st.sampled_from(["refuse", "safeguards"]),
        }
    )
    requests: Any = st.builds(_effective, kind, st.sampled_from(EFFECTS))
    rights = st.fixed_dictionaries(
        {
            "clause": st.just("7"),
            "requesters": st.sampled_from([["subject"], ["subject", "agent"]]),
            "request": st.lists(requests, min_size=1, max_size=3, unique_by=itemgetter("id")).map(
                lambda rows: _differing(rows, _folded_id)
            ),
        },
        optional={"days": st.integers(1, 60)},
    )
    provisions = st.fixed_dictionaries(
        {
            "clause": st.sampled_from(["4.1", "4.2", "shared-with-partners"]),
            "title": title,
            "recipients": kinds.map(lambda rows: [{**row, "id": f"third-{row['id']}"} for row in rows]),
        },
        optional={
            "sources": some(sources_of_tables(made)),
            "purposes": some(purposes_of(made)),
            "form": st.sampled_from(["personal", "aggregate"]),
            "countries": st.just("any") | some(["JP", "US", "DE"]),
            "safeguards": st.sampled_from(["required", "recorded"]),
        },
    )
    facts: Tables = draw(
        st.fixed_dictionaries(
            {"title": title, "controller": title},
            optional={
                "timezone": st.sampled_from(["UTC", "Asia/Tokyo", "Europe/Berlin", "America/St_Johns"]),
                "renamed": st.just([{"kind": "source", "old": "0.9", "new": made["source"][0]["id"]}]),
                "transfer": transfer,
                "provision": st.lists(provisions, max_size=2, unique_by=itemgetter("clause")),
                "incorporated": kinds.map(lambda rows: [{**row, "where": "https://example.org/"} for row in rows]),
                "rights": rights,
                "changes": st.fixed_dictionaries(
                    {
                        "clause": st.just("11"),
                        "announced_by": st.just(["other"]),
                        "material": st.just("notice"),
                        "required_by_law": st.sampled_from(["notice", "consent"]),
                    }
                ),
                "entrustment": st.fixed_dictionaries(
                    {
                        "clause": st.just("4"),
                        "recipients": kinds,
                        "scope": st.just("granted-purposes"),
                        "supervision": st.sampled_from(["required", "recorded"]),
                    }
                ),
                "safeguards": st.fixed_dictionaries(
                    {"clause": st.just("6"), "before_transfer": st.just("required"), "measures": kinds, "means": kinds}
                ),
                "retention": st.fixed_dictionaries(
                    {
                        "clause": st.just("8"),
                        "starts": st.just("end-of-use"),
                        "bases": st.sampled_from([["law"], ["law", "granted-purposes"]]),
                        "after": st.just("law-only"),
                        "period": periods,
                    },
                    optional={
                        "criterion": st.lists(
                            st.fixed_dictionaries({"source": st.sampled_from(sources_of_tables(made)), "title": title}),
                            max_size=2,
                            unique_by=itemgetter("source"),
                        )
                    },
                ),
                "contact": st.fixed_dictionaries({"controller": office}, optional={"complaints": office}),
                "voluntary": st.fixed_dictionaries({"clause": st.just("10"), "optional": st.booleans()}),
            },
        )
    )
    return facts


EFFECTS: Final = ("discloses", "amends", "stops-use", "deletes", "stops-provision")
BASES: Final = ("consent", "contract", "law", "legitimate-interest")


def add_bases(draw: st.DrawFn, made: Tables) -> None:
    """On some of its grants and purposes, the basis that it rests on."""
    for grant in made["grant"]:
        for row in (grant, *grant["purpose"]):
            if basis := draw(st.sampled_from([None, None, *BASES])):
                row["basis"] = basis


CONDITIONS: Final = ("adult", "outside-eu", "pro")
_SELDOM: Final = st.sampled_from([False, False, True])


def add_conditions(draw: st.DrawFn, made: Tables) -> None:
    """Conditions, and what depends on them: grants, purposes, bases (several, of some data), prohibitions; all data."""
    made["condition"] = [{"id": given, "title": titled(given)} for given in CONDITIONS[: draw(st.integers(0, 3))]]
    ids = [row["id"] for row in made["condition"]]
    overlays = {row["id"] for row in made.get("overlay", ())}
    named = [given for given in sources_of_tables(made) if given not in overlays]
    for grant in made["grant"]:
        for row in (grant, *grant["purpose"]):
            if draw(_SELDOM) and ids:
                row["when"] = draw(some(ids, most=2))
            if draw(_SELDOM):
                row.pop("basis", None)
                row["bases"] = draw(_bases(ids, named))
        if draw(_SELDOM) and draw(st.booleans()):
            grant["sources"] = "any"
    for row in made.get("forbid", ()):
        if draw(st.booleans()) and ids:
            row["unless"] = draw(some(ids, most=2))
            if len(made["forbid"]) == 1 and draw(st.booleans()):
                row["sources"] = "any"
    _remove_shadowed_bases(made)


@st.composite
def _bases(draw: st.DrawFn, conditions: Sequence[str], sources: Sequence[str]) -> list[Tables]:
    """Several bases, of which one at least is for all the data."""
    rows: list[Tables] = []
    for number in range(draw(st.integers(1, 3))):
        row: Tables = {"basis": draw(st.sampled_from([*BASES, "consent"]))}
        if draw(_SELDOM):
            row["opt_out"] = True
            if draw(st.booleans()):
                del row["basis"]
        if draw(st.booleans()) and conditions:
            row["when"] = draw(some(conditions, most=2))
        if number and draw(st.booleans()):
            row["sources"] = draw(some(sources, most=3))
        rows.append(row)
    return draw(st.permutations(rows))


def _remove_shadowed_bases(made: Tables) -> None:
    """Remove bases that another one makes irrelevant, which are faults; one for all the data stays."""
    owners = {row["id"]: row for grant in made["grant"] for row in grant["purpose"]}
    owners |= {grant["clause"]: grant for grant in made["grant"]}
    while found := next(find_shadowed_bases(Document.model_validate(made)), None):
        rows = owners[found.owner.id if isinstance(found.owner, PurposeRow) else found.owner.clause]["bases"]
        others = [row for number, row in enumerate(rows) if number != found.row]
        del rows[found.row if any("sources" not in row for row in others) else found.by]


def without_conditions(made: Tables) -> None:
    """Takes away what `add_conditions` added."""
    made.pop("condition", None)
    for grant in made["grant"]:
        for row in (grant, *grant["purpose"]):
            row.pop("when", None)
            row.pop("bases", None)
    for row in (*made["grant"], *made.get("forbid", ())):
        row.pop("unless", None)
        if row["sources"] == "any":
            row["sources"] = [one["id"] for one in made["source"]]


def add_extensions(draw: st.DrawFn, made: Tables) -> None:
    """What the notice extends to data collected under earlier revisions: some of what it grants."""
    served = compute_grants(Document.model_validate(made))
    parents = {row.get("parent") for row in made["source"]}
    named = [row["id"] for kind in ("source", "derivation") for row in made.get(kind, ()) if row["id"] not in parents]
    rows: list[Tables] = []
    for purpose in draw(some(purposes_of(made), 0, 3)):
        may = [source for source in named if purpose in served[source]]
        basis = draw(st.sampled_from(["related", "consent"]))
        row: Tables = {"purposes": [purpose], "basis": basis}
        if basis == "related":
            row["notified"] = made["revision"]
        if draw(st.booleans()):
            row["sources"] = draw(some(may))
        if may:
            rows.append(row)
    if rows:
        made["extension"] = rows


def copied(made: Tables) -> Tables:
    """A copy of the tables that shares nothing with them."""
    copy: Tables = json.loads(json.dumps(made))
    return copy
