"""The differences between the rows of two revisions: terms, titles, clauses 4 to 11 and the head of the file.

As with uses, only the effect of the rows counts: a country that moves from one list to another may change nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, cast

from purposeguard.containers import exclude
from purposeguard.notice.fields import EVERY
from purposeguard.notice.grants import compute_grants, source_rows
from purposeguard.notice.history import History, find_unexplained_terms
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import (
    Channel,
    Condition,
    Document,
    Kind,
    LegalPeriod,
    Named,
    Period,
    Prohibition,
    PurposeRow,
    RecipientKind,
    Rights,
    index_by_id,
    list_ids,
)
from purposeguard.notice.texts import Titles
from purposeguard.notice.vocabulary import fold
from purposeguard.policy.diff.changes import KINDS, AnyPair, Change, Direction, Fact, Matching, Pair, id_of, kind_of
from purposeguard.policy.diff.texts import strip_texts

PeriodsOfSource = Callable[[str], Sequence[Period | LegalPeriod]]
"""A function that returns the periods that apply to a source."""

SOURCES = frozenset({"source", "overlay", "derivation"})


def diff_terms(history: History, matching: Matching) -> Iterator[Change]:
    """Yield the terms that are new, removed, renamed or worded differently."""
    first, *between, last = history
    old, new = first.document, last.document
    served = compute_grants(old)
    purposes = matching.purpose_ids
    every: tuple[AnyPair, ...] = (*matching.sources, *matching.purposes, *matching.families)
    for pair in every:
        kind = kind_of(pair)
        if pair.old is None:
            yield _make_term_change("added", "neutral", pair, kind)
        elif pair.new is None:
            lost = served.get(pair.id, {}) if kind in SOURCES else {}
            served_ids = tuple(purposes.get(purpose, purpose) for purpose in lost)
            yield _make_term_change("removed", "narrowed", pair, kind, served=served_ids)
        else:
            yield from _diff_ids(pair, kind)
            yield from _diff_titles(pair.old.title, pair.row.title, what=kind, id=pair.id)
    yield from _find_reused_ids(matching, [notice.document for notice in (*between, last)])
    for earlier, later in itertools.pairwise(history):
        yield from _diff_unexplained_ids(earlier, later)
        yield from _find_stale_renamings(earlier.document, later.document)
    yield from _diff_compositions(matching)
    yield from _diff_clauses(old, new, matching)
    yield from _diff_entries("channel", old.channel, new.channel, "neutral", "narrowed")
    yield from _diff_entries("condition", old.condition, new.condition, "neutral", "narrowed")
    yield from _diff_prohibitions(old, new, matching)


def _make_term_change(kind: str, direction: Direction, pair: AnyPair, what: str, **more: Fact) -> Change:
    row = pair.row
    return Change(kind, direction, {"what": what, "id": pair.id, "class": row.class_, "title": dict(row.title), **more})


def _diff_ids(pair: AnyPair, what: str) -> Iterator[Change]:
    if pair.old is None or pair.how not in {"stated", "class", "id"}:
        return
    facts: dict[str, Fact] = {"what": what, "old": id_of(pair.old), "new": pair.id, "by": pair.how}
    if pair.old.class_ != pair.row.class_:
        facts |= {"old_class": pair.old.class_, "new_class": pair.row.class_}
    yield Change("renamed", "neutral", facts)


def _diff_titles(was: Titles, is_: Titles, **facts: Fact) -> Iterator[Change]:
    """Yield a change if a title differs. `facts` name the row of the title."""
    if was != is_:
        yield Change("title", "neutral", {**facts, "old": dict(was), "new": dict(is_)})


def _find_reused_ids(matching: Matching, later: Sequence[Document]) -> Iterator[Change]:
    """Find ids that mean another term now, by the `[[renamed]]` rows of the later revisions."""
    explained: set[tuple[str, str | None]] = set()
    for renaming in itertools.chain.from_iterable(document.renamed for document in later):
        for id_ in renaming.ids:
            explained.add((renaming.kind, fold(id_)))
    pairs: Sequence[Sequence[Pair[Named]] | Sequence[Pair[PurposeRow]]] = (matching.sources, matching.purposes)
    for group in pairs:
        was = {pair.old_id: pair for pair in group if pair.old_id is not None}
        for pair in group:
            other = was.get(pair.id)
            if pair.new is not None and other is not None and other is not pair:
                old_class = other.old.class_ if other.old is not None else ""
                kind = "purpose" if kind_of(pair) == "purpose" else "source"
                if (kind, fold(pair.id)) in explained:
                    facts: dict[str, Fact] = {"what": kind_of(pair), "id": pair.id, "old_class": old_class}
                    yield Change("reused", "neutral", {**facts, "new_class": pair.row.class_})


def _diff_unexplained_ids(earlier: Notice, later: Notice) -> Iterator[Change]:
    """Find ids that may mean another term now: data and consents of the earlier one would count for it."""
    for term in find_unexplained_terms(earlier, later):
        facts: dict[str, Fact] = {
            "what": term.kind,
            "id": term.after.id,
            "since": earlier.revision.isoformat(),
            "old_class": term.before.class_,
            "new_class": term.after.class_,
        }
        kind = "words-unexplained" if term.before.class_ == term.after.class_ else "class-unexplained"
        yield Change(kind, "widened", facts, "consent")


def _find_stale_renamings(old: Document, new: Document) -> Iterator[Change]:
    """Find `[[renamed]]` rows whose old id the earlier revision does not have: a slip, or a row of another revision."""
    earlier_rows = {"source": source_rows(old), "purpose": old.purposes}
    for row in new.renamed:
        if all(fold(term.id) != fold(row.old) for term in earlier_rows[row.kind]):
            facts = {"what": row.kind, "old": row.old, "new": row.new, "revision": old.revision.isoformat()}
            yield Change("renamed-nothing", "neutral", facts)


def _diff_compositions(matching: Matching) -> Iterator[Change]:
    """Yield the parents, families, derivations and overlays that are made of something else."""
    pairs: tuple[AnyPair, ...] = (*matching.families, *matching.sources)
    for pair in pairs:
        was, is_, kind = pair.old, pair.new, kind_of(pair)
        if was is None or is_ is None:
            continue
        if type(was) is not type(is_):
            yield from _diff_value(kind, pair.id, "kind", KINDS[type(was)], KINDS[type(is_)])
            continue
        was = matching.translate_ids(was)
        for name, field in type(is_).model_fields.items():
            if name not in {"id", "class_", "title", "text"}:  # These name the row itself, and its words.
                before, after, key = getattr(was, name), getattr(is_, name), field.alias or name
                if isinstance(after, tuple):
                    yield from _diff_set(kind, pair.id, key, before, cast("tuple[str, ...]", after))
                else:
                    yield from _diff_value(kind, pair.id, key, before, after)


def _diff_clauses(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Yield the changes of grants: purposes that another clause states, and titles of clauses."""
    was, is_ = _clauses_of_purposes(old), _clauses_of_purposes(new)
    for pair in matching.purposes:
        if pair.old is not None and pair.new is not None:
            yield from _diff_value("purpose", pair.id, "clause", was[pair.old.id], is_[pair.new.id])
            yield from _diff_value("purpose", pair.id, "open_end", pair.old.open_end, pair.new.open_end)
    titles = {grant.clause: grant.title for grant in old.grant}
    for grant in new.grant:
        yield from _diff_titles(titles.get(grant.clause, grant.title), grant.title, what="clause", id=grant.clause)


def _clauses_of_purposes(document: Document) -> dict[str, str]:
    """Return purpose → the clause that states it."""
    return {purpose.id: grant.clause for grant, purpose in document.iter_grants()}


def _diff_value(what: str, id_: str, key: str, was: Fact, is_: Fact) -> Iterator[Change]:
    if was != is_:
        yield Change("value", "neutral", {"what": what, "id": id_, "key": key, "old": was, "new": is_})


def _diff_set(what: str, id_: str, key: str, was: Sequence[str], is_: Sequence[str]) -> Iterator[Change]:
    added = tuple(exclude(is_, was))
    removed = tuple(exclude(was, is_))
    if added or removed:
        yield Change("members", "neutral", {"what": what, "id": id_, "key": key, "added": added, "removed": removed})


def _diff_prohibitions(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Yield the prohibitions that changed. Their effect is reported as narrowed and widened uses."""
    was = {_prohibition_key(matching.translate_ids(row)): row for row in old.forbid}
    is_ = {_prohibition_key(row): row for row in new.forbid}
    for kind, some, others in (("added", is_, was), ("removed", was, is_)):
        for key, row in some.items():
            if key not in others:
                yield Change(kind, "neutral", {**_prohibition_facts(row), "title": dict(row.reason)})
    for key, row in is_.items():
        if key in was:
            yield from _diff_titles(was[key].reason, row.reason, **_prohibition_facts(row))


def _prohibition_key(row: Prohibition) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(row.sources), frozenset(row.purposes)


def _prohibition_facts(row: Prohibition) -> dict[str, Fact]:
    return {
        "what": "prohibition",
        "sources": ("any",) if row.sources == EVERY else row.sources,
        "purposes": row.purposes,
    }


Terms = tuple[str, str, frozenset[str]]
"""The only recipient, the only products, the only tasks."""

OPEN, REFUSED = "open", "refused"


def diff_facts(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Yield all changes of the tables that state facts."""
    changes_of = {
        "entrustment": _diff_recipients(old, new),
        "transfer": _diff_countries(old, new),
        "safeguards": _diff_safeguards(old, new),
        "rights": _diff_rights(old.rights, new.rights),
        "retention": _diff_periods(old, new, matching),
        "provision": _diff_provisions(old, new, matching),
    }
    for key, changes in changes_of.items():
        listed = list(changes)
        was, is_ = getattr(old, key), getattr(new, key)
        if was is not None and is_ is not None and strip_texts(was) != strip_texts(is_) and not listed:
            # Only the number of a clause, a note or the order of a list differs.
            listed.append(Change("table", "neutral", {"key": key}))
        yield from listed
    yield from _diff_remaining_tables(old, new)


def _make_change(kind: str, direction: Direction, **facts: Fact) -> Change:
    """Make a change that affects data and subjects of all revisions. If it widens, it is material (clause 11)."""
    return Change(kind, direction, facts, "notice" if direction == "widened" else None)


def _diff_entries(
    what: str,
    was: Iterable[Kind | Channel | Condition],
    is_: Iterable[Kind | Channel | Condition],
    added: Direction,
    removed: Direction,
) -> Iterator[Change]:
    """Yield the entries of a closed list that are new, removed or titled differently.

    `added` and `removed` are the directions of such changes.
    """
    before, after = index_by_id(was), index_by_id(is_)
    for id_, row in after.items():
        if id_ not in before:
            yield _make_change("added", added, what=what, id=id_, title=dict(row.title))
        else:
            yield from _diff_titles(before[id_].title, row.title, what=what, id=id_)
    for id_, row in before.items():
        if id_ not in after:
            yield _make_change("removed", removed, what=what, id=id_, title=dict(row.title))


def _diff_recipients(old: Document, new: Document) -> Iterator[Change]:
    was, is_ = old.entrustment, new.entrustment
    yield from _diff_recipient_kinds(was.recipients if was else (), is_.recipients if is_ else ())
    if was and is_ and was.supervision != is_.supervision:
        direction: Direction = "widened" if is_.supervision == "recorded" else "narrowed"
        yield _make_change("supervision", direction, old=was.supervision, new=is_.supervision)


def _diff_recipient_kinds(before: Sequence[RecipientKind], after: Sequence[RecipientKind]) -> Iterator[Change]:
    yield from _diff_entries("recipient", before, after, "widened", "narrowed")
    places = {row.id: row.place for row in before}
    for row in after:
        if row.id in places and places[row.id] != row.place:
            direction: Direction = "narrowed" if places[row.id] is None else "widened"
            yield _make_change(
                "value", direction, what="recipient", id=row.id, key="place", old=places[row.id], new=row.place
            )


def _diff_provisions(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Yield the changes of what is provided to third parties, to whom, for what and where, clause by clause."""
    was = {row.clause: row for row in old.provision}
    for row in new.provision:
        before = was.pop(row.clause, None)
        if before is None:
            yield _make_change("added", "widened", what="provision", id=row.clause, title=dict(row.title))
            continue
        facts: dict[str, Fact] = {"what": "provision", "id": row.clause}
        yield from _diff_titles(before.title, row.title, **facts)
        yield from _diff_recipient_kinds(before.recipients, row.recipients)
        before = matching.translate_ids(before)
        terms: dict[str, tuple[Fact, Fact, bool]] = {
            "sources": _compare_ids(before.sources, row.sources),
            "purposes": _compare_ids(before.purposes, row.purposes),
            "form": (before.form, row.form, row.form == "aggregate"),
            "countries": _compare_countries(before.countries, row.countries),
            "safeguards": (before.safeguards, row.safeguards, row.safeguards == "required"),
        }
        for key, (then, now, narrower) in terms.items():
            if then != now:
                yield _make_change("value", "narrowed" if narrower else "widened", **facts, key=key, old=then, new=now)
    for clause, row in was.items():
        yield _make_change("removed", "narrowed", what="provision", id=clause, title=dict(row.title))


def _compare_ids(was: tuple[str, ...] | None, is_: tuple[str, ...] | None) -> tuple[Fact, Fact, bool]:
    """Return the two sets of ids, sorted, and whether the second is within the first. None stands for all ids."""
    then = None if was is None else tuple(sorted(was))
    now = None if is_ is None else tuple(sorted(is_))
    return then, now, now is not None and (then is None or {*now} <= {*then})


def _compare_countries(
    was: tuple[str, ...] | Literal["any"] | None, is_: tuple[str, ...] | Literal["any"] | None
) -> tuple[Fact, Fact, bool]:
    """Return the two sets of countries, and whether the second is known to be within the first.

    None stands for the countries of clause 5, which cannot be compared with a list here.
    """
    within = was == "any" or (isinstance(was, tuple) and isinstance(is_, tuple) and {*is_} <= {*was})
    return was, is_, within and is_ != "any"


def _diff_countries(old: Document, new: Document) -> Iterator[Change]:
    """Yield the countries that are refused, under narrower terms, or open in one revision and not in the other."""
    before, after = _country_terms(old), _country_terms(new)
    other_before, other_after = _default_terms(old), _default_terms(new)
    titles = _country_titles(old) | _country_titles(new)
    for code in sorted({*before, *after}):
        was, is_ = before.get(code, other_before), after.get(code, other_after)
        if was != is_:
            facts: dict[str, Fact] = {
                "code": code,
                "title": titles.get(code),
                "old": _describe_terms(was),
                "new": _describe_terms(is_),
            }
            yield _make_change("country", "narrowed" if _is_narrower(is_, was) else "widened", **facts)
    if other_before != other_after:
        facts = {"code": "other countries", "title": None, "old": other_before, "new": other_after}
        yield _make_change("country", "narrowed" if _is_narrower(other_after, other_before) else "widened", **facts)
    if old.transfer and new.transfer and old.transfer.scope != new.transfer.scope:
        direction: Direction = "widened" if new.transfer.scope == "any-recipient" else "narrowed"
        facts = {"what": "table", "id": "transfer", "key": "scope"}
        yield _make_change("value", direction, **facts, old=old.transfer.scope, new=new.transfer.scope)
    if old.transfer and new.transfer and old.transfer.home != new.transfer.home:
        yield Change("home", "neutral", {"old": old.transfer.home, "new": new.transfer.home})


def _country_terms(document: Document) -> dict[str, str | Terms]:
    """Return the terms of each country by its code: `open`, or narrower terms. Missing countries are refused."""
    rule = document.transfer
    if rule is None:
        return {}
    terms_of: dict[str, str | Terms] = {rule.home: OPEN}
    for group in rule.equivalent:
        terms_of |= dict.fromkeys(group.countries, OPEN)
    for row in rule.country:  # The row of a country counts before a group.
        limit = row.limit
        terms_of[row.code] = OPEN
        if limit is not None:
            terms_of[row.code] = limit.recipient.id, limit.products.id, frozenset(list_ids(limit.tasks))
    return terms_of


def _default_terms(document: Document) -> str:
    """Return the terms of countries that clause 5 does not name."""
    rule = document.transfer
    return OPEN if rule is not None and rule.otherwise == "safeguards" else REFUSED


def _country_titles(document: Document) -> dict[str, Mapping[str, str]]:
    return {row.code: dict(row.title) for row in document.transfer.country} if document.transfer else {}


def _describe_terms(terms: str | Terms) -> Fact:
    if isinstance(terms, str):
        return terms
    recipient, products, tasks = terms
    return (recipient, products, *sorted(tasks))


def _is_narrower(terms: str | Terms, others: str | Terms) -> bool:
    """Return True if the second terms allow all that the first allow. Different products cannot be compared."""
    if terms == REFUSED or others == OPEN:
        return True
    return isinstance(terms, tuple) and isinstance(others, tuple) and terms[:2] == others[:2] and terms[2] <= others[2]


def _diff_safeguards(old: Document, new: Document) -> Iterator[Change]:
    was, is_ = old.safeguards, new.safeguards
    for key, kind in (("measures", "measure"), ("means", "means")):
        before: Sequence[Kind] = getattr(was, key) if was else ()
        after: Sequence[Kind] = getattr(is_, key) if is_ else ()
        yield from _diff_entries(kind, before, after, "widened", "narrowed")


def _diff_rights(was: Rights | None, is_: Rights | None) -> Iterator[Change]:
    """Yield the changes of subjects' rights. A right that subjects lose counts as a widening."""
    before, after = was.request if was else (), is_.request if is_ else ()
    yield from _diff_entries("request", before, after, "narrowed", "widened")
    effects = {row.id: row.effect for row in before}
    for row in after:
        if row.id in effects and effects[row.id] != row.effect:
            yield _make_change(
                "value", "widened", what="request", id=row.id, key="effect", old=effects[row.id], new=row.effect
            )
    if was and is_:
        for requester in is_.requesters:
            if requester not in was.requesters:
                yield _make_change("added", "narrowed", what="requester", id=requester)
        for requester in was.requesters:
            if requester not in is_.requesters:
                yield _make_change("removed", "widened", what="requester", id=requester)
        if was.days != is_.days:
            longer = was.days is not None and (is_.days is None or is_.days > was.days)
            yield _make_change("answer-days", "widened" if longer else "narrowed", old=was.days, new=is_.days)


def _diff_periods(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """Yield the changes of the periods for which data is kept, and of those for which law needs it."""
    before, after = Periods(old), Periods(new)
    yield from _diff_shortest_periods("period", before.of, after.of, matching)
    yield from _diff_shortest_periods("law-period", before.of_law, after.of_law, matching)


def _diff_shortest_periods(
    kind: str, before: PeriodsOfSource, after: PeriodsOfSource, matching: Matching
) -> Iterator[Change]:
    """Yield the changes of the shortest period that applies to each source, from collection and from the end of use."""
    sources_of: dict[tuple[str, int | None, int | None], list[str]] = {}
    for pair in matching.sources:
        if pair.old is None or pair.new is None:
            continue
        for start in ("collection", "end-of-use"):
            was, is_ = _find_shortest(before(pair.old.id), start), _find_shortest(after(pair.new.id), start)
            if was != is_:
                sources_of.setdefault((start, was, is_), []).append(pair.id)
    for (start, was, is_), sources in sources_of.items():
        longer = was is not None and (is_ is None or is_ > was)
        direction: Direction = "widened" if longer else "narrowed"
        yield _make_change(kind, direction, sources=tuple(sources), start=start, old=was, new=is_)


def _find_shortest(periods: Sequence[Period | LegalPeriod], start: str) -> int | None:
    return min((row.days for row in periods if row.from_ == start), default=None)


def _diff_remaining_tables(old: Document, new: Document) -> Iterator[Change]:
    """Yield the changes of the tables that decide little or nothing."""
    if old.controller != new.controller:
        titles = {"old": dict(old.controller), "new": dict(new.controller)}
        yield Change("controller", "neutral", titles, "notice")
    yield from _diff_titles(old.title, new.title, what="notice", id=new.id)
    if old.timezone != new.timezone:
        yield Change("timezone", "neutral", {"old": old.timezone, "new": new.timezone})
    if old.voluntary and new.voluntary and old.voluntary.optional != new.voluntary.optional:
        direction: Direction = "narrowed" if new.voluntary.optional else "widened"
        yield _make_change("voluntary", direction, old=old.voluntary.optional, new=new.voluntary.optional)
    yield from _diff_entries("incorporated", old.incorporated, new.incorporated, "neutral", "neutral")
    for key in ("contact", "changes"):
        if strip_texts(getattr(old, key)) != strip_texts(getattr(new, key)):
            yield Change("table", "neutral", {"key": key})
    for key in ("entrustment", "transfer", "safeguards", "rights", "retention", "voluntary"):
        was, is_ = getattr(old, key), getattr(new, key)
        if (was is None) != (is_ is None):
            yield Change("added" if was is None else "removed", "neutral", {"what": "table", "id": key})


def find_other_differences(old: Document, new: Document) -> Iterator[Change]:
    """Yield the tables that differ without an effect, such as in the order of their rows."""
    for key in type(new).model_fields:
        if key != "revision" and getattr(old, key) != getattr(new, key):
            yield Change("table", "neutral", {"key": key})
