"""Clauses 4 to 11 and the head of the file, before and after: who may have data, how long, and what may be asked.

As with uses, what counts is what comes of the rows: a country that moves from one list to another may change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import Document, Kind, Rights, Titles
from purposeguard.policy.diff.changes import Change, Direction, Fact
from purposeguard.policy.diff.matching import Matching

Terms = tuple[str, str, frozenset[str]]
"""The only recipient, the only products, the only tasks."""

OPEN, REFUSED = "open", "refused"


def facts(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """All changes of the tables that state facts."""
    found = {
        "entrustment": _recipients(old, new),
        "transfer": _countries(old, new),
        "safeguards": _safeguards(old, new),
        "rights": _rights(old.rights, new.rights),
        "retention": _periods(old, new, matching),
    }
    for key, changes in found.items():
        told = list(changes)
        was, is_ = getattr(old, key), getattr(new, key)
        if was is not None and is_ is not None and was != is_ and not told:
            told.append(Change("table", "neutral", {"key": key}))  # a clause's number, a note, a list's order
        yield from told
    yield from _rest(old, new)


def _change(kind: str, direction: Direction, **given: Fact) -> Change:
    """A change that is felt by data and subjects of whatever revision: where it widens, it is material (clause 11)."""
    return Change(kind, direction, given, "notice" if direction == "widened" else None)


def _listed(
    what: str, was: Iterable[Kind], is_: Iterable[Kind], added: Direction, removed: Direction
) -> Iterator[Change]:
    """Entries of a closed list."""
    before, after = {row.id: row for row in was}, {row.id: row for row in is_}
    for given, row in after.items():
        if given not in before:
            yield _change("added", added, what=what, id=given, title=_titles(row.title))
        elif before[given].title != row.title:
            old, new = _titles(before[given].title), _titles(row.title)
            yield Change("title", "neutral", {"what": what, "id": given, "old": old, "new": new})
    for given, row in before.items():
        if given not in after:
            yield _change("removed", removed, what=what, id=given, title=_titles(row.title))


def _titles(title: Titles) -> Mapping[str, str]:
    return {"en": title.en, "ja": title.ja}


def _recipients(old: Document, new: Document) -> Iterator[Change]:
    was, is_ = old.entrustment, new.entrustment
    before, after = was.recipients if was else (), is_.recipients if is_ else ()
    yield from _listed("recipient", before, after, "widened", "narrowed")
    places = {row.id: row.place for row in before}
    for row in after:
        if row.id in places and places[row.id] != row.place:
            direction: Direction = (
                "widened" if row.place is None else "narrowed" if places[row.id] is None else "widened"
            )
            yield _change(
                "value", direction, what="recipient", id=row.id, key="place", old=places[row.id], new=row.place
            )
    if was and is_ and was.supervision != is_.supervision:
        direction = "widened" if is_.supervision == "recorded" else "narrowed"
        yield _change("supervision", direction, old=was.supervision, new=is_.supervision)


def _countries(old: Document, new: Document) -> Iterator[Change]:
    """Country by country: refused, under narrower terms, or open."""
    before, after = _open_to(old), _open_to(new)
    titles = {code: title for one in (old, new) for code, title in _country_titles(one).items()}
    for code in sorted({*before, *after}):
        was, is_ = before.get(code, REFUSED), after.get(code, REFUSED)
        if was != is_:
            facts: dict[str, Fact] = {"code": code, "title": titles.get(code), "old": _said(was), "new": _said(is_)}
            yield _change("country", "narrowed" if _within(is_, was) else "widened", **facts)
    if old.transfer and new.transfer and old.transfer.home != new.transfer.home:
        yield Change("home", "neutral", {"old": old.transfer.home, "new": new.transfer.home})


def _open_to(document: Document) -> dict[str, str | Terms]:
    """Country code → `open`, or its narrower terms; what is not in it is refused."""
    rule = document.transfer
    if rule is None:
        return {}
    found: dict[str, str | Terms] = {rule.home: OPEN}
    found |= {code: OPEN for group in rule.equivalent for code in group.countries}
    for row in rule.country:  # a row of its own goes first
        limit = row.limit
        found[row.code] = OPEN
        if limit is not None:
            found[row.code] = limit.recipient.id, limit.products.id, frozenset(task.id for task in limit.tasks)
    return found


def _country_titles(document: Document) -> dict[str, Mapping[str, str]]:
    return {row.code: _titles(row.title) for row in document.transfer.country} if document.transfer else {}


def _said(terms: str | Terms) -> Fact:
    if isinstance(terms, str):
        return terms
    recipient, products, tasks = terms
    return (recipient, products, *sorted(tasks))


def _within(terms: str | Terms, others: str | Terms) -> bool:
    """Whether whatever the terms allow, the others allow too: nobody can tell that other products are fewer."""
    if terms == REFUSED or others == OPEN:
        return True
    return isinstance(terms, tuple) and isinstance(others, tuple) and terms[:2] == others[:2] and terms[2] <= others[2]


def _safeguards(old: Document, new: Document) -> Iterator[Change]:
    was, is_ = old.safeguards, new.safeguards
    for key, what in (("measures", "measure"), ("means", "means")):
        before: Sequence[Kind] = getattr(was, key) if was else ()
        after: Sequence[Kind] = getattr(is_, key) if is_ else ()
        yield from _listed(what, before, after, "widened", "narrowed")


def _rights(was: Rights | None, is_: Rights | None) -> Iterator[Change]:
    """What subjects lose is to their disadvantage, and counts as a widening."""
    before, after = was.request if was else (), is_.request if is_ else ()
    yield from _listed("request", before, after, "narrowed", "widened")
    effects = {row.id: row.effect for row in before}
    for row in after:
        if row.id in effects and effects[row.id] != row.effect:
            yield _change(
                "value", "widened", what="request", id=row.id, key="effect", old=effects[row.id], new=row.effect
            )
    if was and is_:
        for one in is_.requesters:
            if one not in was.requesters:
                yield _change("added", "narrowed", what="requester", id=one)
        for one in was.requesters:
            if one not in is_.requesters:
                yield _change("removed", "widened", what="requester", id=one)
        if was.days != is_.days:
            longer = was.days is not None and (is_.days is None or is_.days > was.days)
            yield _change("answer-days", "widened" if longer else "narrowed", old=was.days, new=is_.days)


def _periods(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Source by source: the shortest period that applies, from collection and from the end of use."""
    before, after = Periods(old), Periods(new)
    found: dict[tuple[str, int | None, int | None], list[str]] = {}
    for pair in matching.sources:
        if pair.old is None or pair.new is None:
            continue
        for start in ("collection", "end-of-use"):
            was, is_ = _shortest(before, pair.old.id, start), _shortest(after, pair.new.id, start)
            if was != is_:
                found.setdefault((start, was, is_), []).append(pair.id)
    for (start, was, is_), sources in found.items():
        longer = was is not None and (is_ is None or is_ > was)
        direction: Direction = "widened" if longer else "narrowed"
        yield _change("period", direction, sources=tuple(sources), start=start, old=was, new=is_)


def _shortest(periods: Periods, source: str, start: str) -> int | None:
    return min((row.days for row in periods.of(source) if row.from_ == start), default=None)


def _rest(old: Document, new: Document) -> Iterator[Change]:
    """What decides nothing, or little."""
    if old.controller != new.controller:
        titles = {"old": _titles(old.controller), "new": _titles(new.controller)}
        yield Change("controller", "neutral", titles, "notice")
    if old.title != new.title:
        yield Change(
            "title", "neutral", {"what": "notice", "id": new.id, "old": _titles(old.title), "new": _titles(new.title)}
        )
    if old.timezone != new.timezone:
        yield Change("timezone", "neutral", {"old": old.timezone, "new": new.timezone})
    if old.voluntary and new.voluntary and old.voluntary.optional != new.voluntary.optional:
        direction: Direction = "narrowed" if new.voluntary.optional else "widened"
        yield _change("voluntary", direction, old=old.voluntary.optional, new=new.voluntary.optional)
    for key in ("contact", "changes"):
        if getattr(old, key) != getattr(new, key):
            yield Change("table", "neutral", {"key": key})
    for key in ("entrustment", "transfer", "safeguards", "rights", "retention", "voluntary"):
        was, is_ = getattr(old, key), getattr(new, key)
        if (was is None) != (is_ is None):
            yield Change("added" if was is None else "removed", "neutral", {"what": "table", "id": key})
