"""What several kinds of tests share: whole generated notices, spellings of ids, labels, a recording ledger."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from purposeguard import (
    ChannelViolation,
    Family,
    Guard,
    Label,
    Notice,
    Purpose,
    PurposeGuardError,
    PurposeMissing,
    PurposeViolation,
    Source,
    reference,
)
from purposeguard.document import Document
from purposeguard.grants import granted
from purposeguard.inventory import Reclassification

Tables = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

CHANNELS = ("email", "phone", "post", "in_product")
WORDS = ("Alpha", "Bravo", "Carol", "Delta", "Echo", "Fox", "Golf", "Hotel", "India", "Jazz", "Kilo", "Lima", "Mike")
CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩"

# ---- Notices, as the tables of a file ---------------------------------------------------------------------------


def titled(text: str) -> dict[str, str]:
    return {"en": f"About {text}", "ja": f"{text}について"}


def some(ids: Sequence[str], least: int = 1, most: int = 4) -> st.SearchStrategy[list[str]]:
    """Some of the ids, each once; none where there are none."""
    if not ids:
        return st.just([])
    return st.lists(st.sampled_from(ids), unique=True, min_size=min(least, len(ids)), max_size=min(most, len(ids)))


@st.composite
def tables(
    draw: Draw, *, derivations: bool = True, prohibitions: bool = True, overlays: bool = True, rest: bool = False
) -> Tables:
    """The tables of a valid notice; `rest`: with some of the facts of clauses 4 to 11 too."""
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
        for _ in range(draw(st.integers(0, 3))):
            made.setdefault("forbid", []).append(draw(prohibition(made, later)))
    _add_overlays(draw, made, later)
    if rest:
        made |= draw(some_facts(made))
        add_bases(draw, made)
        add_extensions(draw, made)
    return made


def notices(**parts: bool) -> st.SearchStrategy[Notice]:
    """Valid notices, compiled."""
    return tables(**parts).map(Notice.parse)


def _sources(draw: Draw) -> list[dict[str, Any]]:
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


def _add_grants(draw: Draw, made: Tables) -> None:
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
    return [row["id"] for grant in made["grant"] for row in grant["purpose"]]


def families_of(made: Tables) -> list[str]:
    return [row["class"] for row in made.get("family", ())]


def sources_of_tables(made: Tables) -> list[str]:
    return [row["id"] for kind in ("source", "overlay", "derivation") for row in made.get(kind, ())]


def _add_families(draw: Draw, made: Tables) -> None:
    purposes = purposes_of(made)
    if len(purposes) < 2:
        return
    chosen = draw(st.lists(some(purposes, 2), max_size=3, unique_by=frozenset))
    made["family"] = [
        {"class": f"Any{word}", "purposes": members, "title": titled(word)}
        for word, members in zip(WORDS, chosen, strict=False)
    ]


def _add_derivations(draw: Draw, made: Tables, overlays: list[str]) -> None:
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
        rows.append(row)
        known.append(given)  # what is derived may go into what is derived next
    made["derivation"] = rows if draw(st.booleans()) else rows[::-1]


@st.composite
def prohibition(draw: Draw, made: Tables, later: Sequence[str] = ()) -> dict[str, Any]:
    """A prohibition that the notice could have; `later`: overlays that it is going to have."""
    return {
        "sources": draw(some([*sources_of_tables(made), *later], most=2)),
        "purposes": draw(some([*purposes_of(made), *families_of(made)], most=3)),
        "reason": titled("a prohibition"),
    }


def _add_overlays(draw: Draw, made: Tables, ids: list[str]) -> None:
    """An overlay must not widen: what its source may serve is asked of the reference."""
    clauses = [row["id"] for row in made["source"]]
    rows = []
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
    return [given for given in purposes_of(made) if reference.may(document, source, given, None)]


@st.composite
def some_facts(draw: Draw, made: Tables) -> Tables:
    """Some of the tables that clauses 4 to 11 make, with texts that are hard to quote."""
    text = st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12
    ) | st.sampled_from(['"', '"""', "'", "\\", "\\n", "\\u0041", "\N{NO-BREAK SPACE}", "{}", "#", "'''\"\"\"\\"])
    title = st.fixed_dictionaries({"en": text, "ja": text})
    kinds = st.lists(
        st.fixed_dictionaries({"id": st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), "title": title}),
        min_size=1,
        max_size=3,
    )
    periods = st.lists(
        st.fixed_dictionaries(
            {"source": st.sampled_from(sources_of_tables(made)), "days": st.integers(1, 9_999)},
            optional={"from": st.sampled_from(["collection", "end-of-use"])},
        ),
        max_size=3,
        unique_by=lambda row: (row["source"], row.get("from", "end-of-use")),
    )
    office = st.fixed_dictionaries(
        {"clause": st.just("9.1"), "name": title, "email": st.just("privacy@example.org")},
        optional={"unit": title, "phone": st.lists(text, min_size=1, max_size=2), "address": title},
    )
    facts: Tables = draw(
        st.fixed_dictionaries(
            {"title": title, "controller": title},
            optional={
                "timezone": st.sampled_from(["UTC", "Asia/Tokyo", "Europe/Berlin", "America/St_Johns"]),
                "renamed": st.just([{"kind": "source", "old": "0.9", "new": made["source"][0]["id"]}]),
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
                    }
                ),
                "contact": st.fixed_dictionaries({"controller": office}, optional={"complaints": office}),
                "voluntary": st.fixed_dictionaries({"clause": st.just("10"), "optional": st.booleans()}),
            },
        )
    )
    return facts


BASES = ("consent", "contract", "law", "legitimate-interest")


def add_bases(draw: Draw, made: Tables) -> None:
    """On some of its grants and purposes, the basis that it rests on."""
    for grant in made["grant"]:
        for row in (grant, *grant["purpose"]):
            if basis := draw(st.sampled_from([None, None, *BASES])):
                row["basis"] = basis


def add_extensions(draw: Draw, made: Tables) -> None:
    """What the notice extends to data collected under earlier revisions: some of what it grants."""
    served = granted(Document.model_validate(made))
    parents = {row.get("parent") for row in made["source"]}
    named = [row["id"] for kind in ("source", "derivation") for row in made.get(kind, ()) if row["id"] not in parents]
    rows = []
    for purpose in draw(some(purposes_of(made), 0, 3)):
        may = [source for source in named if purpose in served[source]]
        basis = draw(st.sampled_from(["related", "consent"]))
        row = {"purposes": [purpose], "basis": basis}
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


Revisions = tuple[Notice, Notice]


@st.composite
def revisions(draw: Draw) -> Revisions:
    """Two versions of one revision that have the same terms and grant other things."""
    made = draw(tables(overlays=False))
    other = copied(made)
    for grant in other["grant"]:
        grant["sources"] = draw(some([row["id"] for row in made["source"]]))
    other["forbid"] = [draw(prohibition(made)) for _ in range(draw(st.integers(0, 2)))]
    return Notice.parse(made), Notice.parse(other)


def crossed() -> Revisions:
    """Two versions of a revision under each of which one of two sources may serve the purpose, and never both."""
    purpose = {"id": "1.2①", "class": "Goal", "title": titled("1.2①")}
    made: Tables = {
        "format": 1,
        "id": "generated",
        "revision": "2024-04-01",
        "controller": titled("it"),
        "title": titled("it"),
        "source": [{"id": f"{number}.1", "class": f"{WORDS[number]}Data", "title": titled("it")} for number in (1, 2)],
        "grant": [{"clause": "1.2", "title": titled("1.2"), "sources": ["1.1"], "purpose": [purpose]}],
    }
    other = copied(made)
    other["grant"][0]["sources"] = ["2.1"]
    return Notice.parse(made), Notice.parse(other)


# ---- Labels, purposes, and the questions that can be asked of a notice --------------------------------------------


def id_of(term: type[Source | Purpose] | Family) -> str:
    return term.name if isinstance(term, Family) else term.clause


def asked_of(notice: Notice) -> tuple[type[Purpose] | Family, ...]:
    """Everything that may be asked of a notice as a purpose."""
    return (*notice.purposes, *notice.families)


def labels(notice: Notice, most: int = 4) -> st.SearchStrategy[Label]:
    return st.lists(st.sampled_from(notice.sources), min_size=1, max_size=most).map(lambda some: Label(*some))


def every_label(notice: Notice, most: int) -> Iterator[tuple[type[Source], ...]]:
    """Every set of up to so many sources."""
    for size in range(1, min(most, len(notice.sources)) + 1):
        yield from itertools.combinations(notice.sources, size)


def forms(term: type[Source | Purpose]) -> st.SearchStrategy[Any]:
    """The forms in which code may name a term."""
    return st.sampled_from([term, term.clause, term.slug, term.__name__])


def declarable(guard: Guard) -> list[tuple[str, str | None]]:
    """The purposes and channels for which an activity can be declared (rule 7)."""
    found: list[tuple[str, str | None]] = []
    for purpose, channel in itertools.product(asked_of(guard.notice), (None, *guard.notice.channels)):
        with suppress(ChannelViolation):
            guard.purpose(id_of(purpose), channel=channel)
            found.append((id_of(purpose), channel))
    return found


def outcome(act: Callable[[], object]) -> object:
    """What came of it, to be compared: a value (a dataclass: what can be read of each field), or an error's text."""
    try:
        value = act()
    except PurposeGuardError as error:
        return type(error), str(error)
    # What was withheld is no field of the copy any more; it is one of the class that the copy was made from.
    declared = [fields(cls) for cls in type(value).__mro__ if is_dataclass(cls)]
    if not declared:
        return value
    return {field.name: outcome(partial(getattr, value, field.name)) for field in max(declared, key=len)}


Answer = Callable[[Collection[str], str, str | None], bool]


def plain_reference(document: Document) -> Answer:
    """`reference.allowed` of a document."""
    return partial(reference.allowed, document)


@contextmanager
def remembering_reference(document: Document) -> Iterator[Answer]:
    """`reference.allowed` of a document, with the answers of `reference.may` remembered.

    A document is frozen and `may` is a function of it and its arguments alone. Rules 2 and 3, which are about several
    sources and several purposes, stand in `allowed` and are worked out anew at every question.
    """
    may = reference.may

    @cache
    def remembered(source: str, purpose: str, channel: str | None) -> bool:
        return may(document, source, purpose, channel)

    def fake(asked: Document, source: str, purpose: str, channel: str | None) -> bool:
        return remembered(source, purpose, channel) if asked is document else may(asked, source, purpose, channel)

    with mock.patch.object(reference, "may", fake):
        yield partial(reference.allowed, document)


# ---- Doubles ------------------------------------------------------------------------------------------------------


class RecordingLedger:
    """Keeps what it is told, from any thread."""

    def __init__(self) -> None:
        self.denials: list[tuple[PurposeViolation | PurposeMissing, bool]] = []
        self.uses: list[tuple[str | None, str, Label, int]] = []
        self.reclassifications: list[tuple[Reclassification, Label]] = []
        self._lock = threading.Lock()

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        with self._lock:
            self.denials.append((error, observed))

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        with self._lock:
            self.uses.append((activity, purpose, label, count))

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        with self._lock:
            self.reclassifications.append((declared, label))


@contextmanager
def switching(interval: float = 1e-6) -> Iterator[None]:
    """Threads take turns as often as the interpreter can manage."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(jobs: Iterable[Callable[[], object]]) -> None:
    """Runs each job in a thread of its own, all from one start; raises what the first failing one raised."""
    jobs = list(jobs)
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait()
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
