"""Clauses 4 to 11 and the head of the file, before and after: who may have data, how long, and what may be asked.

As with uses, what counts is what comes of the rows: a country that moves from one list to another may change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from purposeguard.comparing.changes import Change, Direction, Fact
from purposeguard.comparing.matching import Matching
from purposeguard.document import Document, Kind, Rights, Titles, TransferLimit
from purposeguard.retention import Periods


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
        was, is_ = before.get(code, "refused"), after.get(code, "refused")
        if was == is_:
            continue
        terms = {"old": _terms(was), "new": _terms(is_)}
        width = [2 if one == "open" else 0 if one == "refused" else 1 for one in (was, is_)]
        direction: Direction = "widened" if width[1] > width[0] else "narrowed" if width[1] < width[0] else "widened"
        if isinstance(was, TransferLimit) and isinstance(is_, TransferLimit):
            direction = _of_limits(was, is_)
        yield _change("country", direction, code=code, title=titles.get(code), **terms)
    if old.transfer and new.transfer and old.transfer.home != new.transfer.home:
        yield Change("home", "neutral", {"old": old.transfer.home, "new": new.transfer.home})


def _open_to(document: Document) -> dict[str, str | TransferLimit]:
    """Country code → `open`, or its narrower terms; what is not in it is refused."""
    rule = document.transfer
    if rule is None:
        return {}
    found: dict[str, str | TransferLimit] = {rule.home: "open"}
    found |= {code: "open" for group in rule.equivalent for code in group.countries}
    return found | {row.code: row.limit or "open" for row in rule.country}  # a row of its own goes first


def _country_titles(document: Document) -> dict[str, Mapping[str, str]]:
    return {row.code: _titles(row.title) for row in document.transfer.country} if document.transfer else {}


def _terms(given: str | TransferLimit) -> Fact:
    if isinstance(given, str):
        return given
    return (given.recipient.id, given.products.id, *(task.id for task in given.tasks))


def _of_limits(was: TransferLimit, is_: TransferLimit) -> Direction:
    same = was.recipient.id == is_.recipient.id and was.products.id == is_.products.id
    tasks = {task.id for task in is_.tasks} - {task.id for task in was.tasks}
    # Another recipient or other products: nobody can tell that they are fewer.
    return "narrowed" if same and not tasks else "widened"


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
