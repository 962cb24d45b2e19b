"""Generated histories: revisions of one notice that grant, forbid, extend, add and drop other things."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from purposeguard.notice.grants import compute_grants
from purposeguard.notice.history import find_unexplained_terms
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import Document
from tests.generated.notice_tables import (
    CHANNELS,
    WORDS,
    Tables,
    add_bases,
    add_conditions,
    add_extensions,
    bans,
    copied,
    differing_bans,
    families_of,
    purposes_of,
    some,
    sources_of_tables,
    tables,
    titled,
    without_conditions,
)


@st.composite
def revisions(draw: st.DrawFn, least: int = 2, most: int = 3, *, conditions: bool = False) -> tuple[Notice, ...]:
    """Revisions in the order of their dates; `conditions`: on which they depend."""
    made = draw(tables())
    made["revision"] = draw(st.dates(datetime.date(2020, 1, 1), datetime.date(2024, 12, 31))).isoformat()
    add_bases(draw, made)
    if conditions:
        add_conditions(draw, made)
    found = [Notice.parse(made)]
    for _ in range(draw(st.integers(least, most)) - 1):
        made = draw(revision_after(made, conditions=conditions))
        found.append(Notice.parse(made))
    return tuple(found)


@st.composite
def revision_after(draw: st.DrawFn, before: Tables, *, conditions: bool = False) -> Tables:
    """The tables of a revision that follows: changed in a few ways, valid again."""
    made = copied(before)
    without_conditions(made)
    days = draw(st.integers(1, 500))
    made["revision"] = (datetime.date.fromisoformat(made["revision"]) + datetime.timedelta(days=days)).isoformat()
    for gone in ("extension", "renamed", "unchanged"):  # what was said of the step before
        made.pop(gone, None)
    for change in draw(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=4, unique=True)):
        change(draw, made)
    _mend(made)
    if conditions:
        add_conditions(draw, made)
    add_extensions(draw, made)
    _explain(draw, before, made)
    return made


def _explain(draw: st.DrawFn, before: Tables, made: Tables) -> None:
    """Say of each id with another class or other words whether it is the same term, or another one."""
    for term in find_unexplained_terms(Notice.parse(before), Notice.parse(made)):
        if draw(st.booleans()):
            row = {"kind": term.kind, "ids": [term.after.id], "since": before["revision"]}
            made.setdefault("unchanged", []).append(row)
        else:
            made.setdefault("renamed", []).append({"kind": term.kind, "old": term.before.id})


def _grant_otherwise(draw: st.DrawFn, made: Tables) -> None:
    for grant in made["grant"]:
        if draw(st.booleans()):
            grant["sources"] = draw(some([row["id"] for row in made["source"]]))


def _other_channels(draw: st.DrawFn, made: Tables) -> None:
    channels = [row["id"] for row in made["channel"]]
    if not channels:
        made["channel"] = [{"id": given, "title": titled(given)} for given in CHANNELS[:2]]
        return
    for row in (row for grant in made["grant"] for row in grant["purpose"] if draw(st.booleans())):
        row.pop("channels", None)
        if kind := draw(st.sampled_from([None, "closed", "open"])):
            row["channels"] = {kind: draw(some(channels))}


def _fewer_channels(_: st.DrawFn, made: Tables) -> None:
    for row in made["channel"][1:]:
        made["channel"].remove(row)


def _other_bases(draw: st.DrawFn, made: Tables) -> None:
    for grant in made["grant"]:
        for row in (grant, *grant["purpose"]):
            row.pop("basis", None)
    add_bases(draw, made)


def _other_prohibitions(draw: st.DrawFn, made: Tables) -> None:
    made["forbid"] = draw(bans(made, 2))


def _fewer_purposes(draw: st.DrawFn, made: Tables) -> None:
    grant = draw(st.sampled_from(made["grant"]))
    if len(grant["purpose"]) > 1:
        grant["purpose"].remove(draw(st.sampled_from(grant["purpose"])))


def _more_purposes(draw: st.DrawFn, made: Tables) -> None:
    grant = draw(st.sampled_from(made["grant"]))
    number = _unused(made, 90, ".9")
    grant["purpose"].append({"id": f"{number}.9", "class": f"Added{number}Purpose", "title": titled("what is new")})


def _unused(made: Tables, start: int, ending: str) -> int:
    """A number that no id and no class has."""
    taken = {str(row[key]) for row in _rows(made) for key in ("id", "class")}
    names = ("Added{}Purpose", "Added{}Data", "{}" + ending)
    return next(one for one in itertools.count(start) if taken.isdisjoint(name.format(one) for name in names))


def _fewer_sources(draw: st.DrawFn, made: Tables) -> None:
    parents = {row.get("parent") for row in made["source"]}
    leaves = [row for row in made["source"] if row["id"] not in parents]
    if len(made["source"]) > 1:
        made["source"].remove(draw(st.sampled_from(leaves)))


def _more_sources(draw: st.DrawFn, made: Tables) -> None:
    number = _unused(made, 80, ".1")
    row = {"id": f"{number}.1", "class": f"Added{number}Data", "title": titled("what is new")}
    parent = draw(st.sampled_from([None, *(row["id"] for row in made["source"])]))
    made["source"].append(row if parent is None else row | {"parent": parent})
    grant = draw(st.sampled_from(made["grant"]))
    grant["sources"] = list(dict.fromkeys([*grant["sources"], row["id"]]))  # it may have been there before


def _other_overlays(draw: st.DrawFn, made: Tables) -> None:
    for row in made.get("overlay", ()):
        row["serves"] = draw(some(purposes_of(made), 0))


def _fewer_families(draw: st.DrawFn, made: Tables) -> None:
    for row in made.get("family", ())[:1]:
        members = draw(some(purposes_of(made), 2))
        if len(members) > 1 and all(set(members) != set(other["purposes"]) for other in made["family"]):
            row["purposes"] = members
        elif draw(st.booleans()):
            made["family"].remove(row)


def _fewer_derivations(draw: st.DrawFn, made: Tables) -> None:
    rows = made.get("derivation", [])
    if rows:
        rows.remove(draw(st.sampled_from(rows)))


def _other_titles(draw: st.DrawFn, made: Tables) -> None:
    made["source"][0]["title"] = titled(draw(st.sampled_from(WORDS)))


def _renumber(draw: st.DrawFn, made: Tables) -> None:
    """Another id for a term, by a `[[renamed]]` row or without."""
    row = draw(st.sampled_from(_rows(made)))
    was, row["id"] = row["id"], f"77.{draw(st.integers(1, 3))}"
    kind = "source" if row in made["source"] else "purpose"
    if sum(one["id"] == row["id"] for one in _rows(made)) > 1 or was == row["id"]:
        row["id"] = was
        return
    _replace_references(made, kind, {was: row["id"]})
    if draw(st.booleans()):
        made["renamed"] = [{"kind": kind, "old": was, "new": row["id"]}]
        if draw(st.booleans()):
            row["class"] = f"Renamed{''.join(filter(str.isdecimal, made['revision']))}"


def _swap(draw: st.DrawFn, made: Tables) -> None:
    """Two terms change their numbers, by `[[renamed]]` rows or without; or their names alone."""
    kind = draw(st.sampled_from(["source", "purpose"]))
    rows = [row for row in _rows(made) if (row in made["source"]) is (kind == "source")]
    one, other = draw(st.sampled_from(rows)), draw(st.sampled_from(rows))
    if one is other:
        return
    if draw(st.booleans()):
        for key in ("class", "title"):
            one[key], other[key] = other[key], one[key]
        return
    was, one["id"], other["id"] = one["id"], other["id"], one["id"]
    _replace_references(made, kind, {was: one["id"], one["id"]: was})
    if draw(st.booleans()):
        pairs = [(was, one["id"]), (one["id"], was)]
        made["renamed"] = [{"kind": kind, "old": old, "new": new} for old, new in pairs]


def _rename(draw: st.DrawFn, made: Tables) -> None:
    """Another class name for a term."""
    draw(st.sampled_from(_rows(made)))["class"] = f"Otherwise{''.join(filter(str.isdecimal, made['revision']))}"


def _rows(made: Tables) -> list[Tables]:
    return [*made["source"], *(row for grant in made["grant"] for row in grant["purpose"])]


def _replace_references(made: Tables, kind: str, ids: dict[str, str]) -> None:
    keys = ("sources", "from", "with", "parent", "source") if kind == "source" else ("purposes", "serves")
    for table in ("source", "grant", "family", "overlay", "derivation", "forbid"):
        for row in made.get(table, ()):
            for key in keys:
                if isinstance(row.get(key), list):
                    row[key] = [ids.get(one, one) for one in row[key]]
                elif key in row:
                    row[key] = ids.get(row[key], row[key])


_CHANGES: Final[list[Callable[[st.DrawFn, Tables], None]]] = [
    _renumber, _swap, _rename, _grant_otherwise, _other_channels, _fewer_channels, _other_bases, _other_prohibitions,
    _fewer_purposes, _more_purposes, _fewer_sources, _more_sources, _other_overlays, _fewer_families,
    _fewer_derivations, _other_titles,
]  # fmt: skip


def _mend(made: Tables) -> None:
    """Takes away what refers to rows that are gone, until all fits together."""
    before = None
    while before != made:
        before = copied(made)
        _mend_grants(made)
        _mend_references(made)
        members: list[set[str]] = []
        for row in list(made.get("family", ())):
            if set(row["purposes"]) in members:
                made["family"].remove(row)
            members.append(set(row["purposes"]))
    known = {"source": sources_of_tables(made), "purpose": purposes_of(made)}
    made["renamed"] = [row for row in made.get("renamed", ()) if row["new"] in known[row["kind"]]]
    served = compute_grants(Document.model_validate(made))
    for row in made["overlay"]:  # they may only narrow
        row["serves"] = [one for one in row["serves"] if one in served[row["source"]]]


def _mend_grants(made: Tables) -> None:
    channels = {row["id"] for row in made["channel"]}
    clauses = [row["id"] for row in made["source"]]
    for grant in made["grant"]:
        grant["sources"] = [one for one in grant["sources"] if one in clauses] or clauses[:1]
        for row in grant["purpose"]:
            for kind, named in row.pop("channels", {}).items():
                if left := [one for one in named if one in channels]:
                    row["channels"] = {kind: left}
    made["overlay"] = [row for row in made.get("overlay", ()) if row["source"] in clauses]


def _mend_references(made: Tables) -> None:
    sources, purposes = sources_of_tables(made), purposes_of(made)
    for table, key, known, least in (
        ("family", "purposes", purposes, 2),
        ("overlay", "serves", purposes, 0),
        ("derivation", "from", sources, 1),
        ("derivation", "with", sources, 1),
        ("derivation", "serves", purposes, 1),
        ("forbid", "sources", sources, 1),
        ("forbid", "purposes", [*purposes, *families_of(made)], 1),
    ):
        for row in made.get(table, ()):
            row[key] = [one for one in row[key] if one in known]
        if table in made:
            made[table] = [row for row in made[table] if len(row[key]) >= least]
    if "forbid" in made:  # what is left of two may be the same
        made["forbid"] = differing_bans(made["forbid"])
