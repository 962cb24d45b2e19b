"""The executable specification: the rules of decision, as plainly as they can be said.

`may` is rules 1 to 8 for one notice; `allowed` adds rule 9 and clauses 7 and 8: data collected under another
revision, subjects who asked for its use to stop or agreed to it, periods that are over; `together` asks several
notices at once. Slow on purpose; tests hold the compiled `table` equal to it. Ids are in the documents' own spelling,
and mean the same in every revision, save where `[[renamed]]` moves them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from purposeguard.errors import UnlabelledData
from purposeguard.notice.schema import Derivation, Document, Overlay, SourceRow


def permits(notice: Document, sources: Collection[str], purpose: str, channel: str | None = None) -> bool:
    """Whether data from these sources may serve the purpose or family, by the channel where one is given."""
    if not sources:
        raise UnlabelledData("no sources")  # rule 4
    members = members_of(notice, purpose)
    # Rule 2: every source must be allowed. Rule 3: for a family, each by some purpose of it.
    return all(any(may(notice, source, member, channel) for member in members) for source in sources)


def members_of(notice: Document, purpose: str) -> Collection[str]:
    """The purposes of a family; of a purpose itself."""
    return {row.class_: row.purposes for row in notice.family}.get(purpose, (purpose,))


def may(notice: Document, source: str, purpose: str, channel: str | None) -> bool:
    """Whether one source may serve one purpose."""
    row = _row(notice, source)
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(may(notice, item, purpose, channel) for item in items)  # a parent: what every item may
    if _forbidden(notice, source, purpose):
        return False  # rule 5, before any grant
    if isinstance(row, Overlay):
        return purpose in row.serves and may(notice, row.source, purpose, channel)  # rule 8: only narrows
    if isinstance(row, Derivation):
        return purpose in row.serves and _admits(notice, purpose, channel)  # rule 6
    granting = [grant for grant in notice.grant if set(grant.sources) & {source, *_above(notice, source)}]
    # Rule 1: only a grant allows.
    return any(purpose == p.id for grant in granting for p in grant.purpose) and _admits(notice, purpose, channel)


def derived(notice: Document, operation: str, one: str, other: str) -> str | None:
    """Rule 6: the source of two sources joined by `operation`, or None where the notice declares none."""
    for row in (row for row in notice.derivation if row.operation == operation):
        for left, right in ((one, other), (other, one)):
            if {left, *_above(notice, left)} & set(row.from_) and {right, *_above(notice, right)} & set(row.with_):
                return row.id
    return None


def _admits(notice: Document, purpose: str, channel: str | None) -> bool:  # rule 7
    named = {row.id: row.channels for row in notice.purposes}[purpose]
    return channel is None or named is None or named.closed is None or channel in named.closed


def _forbidden(notice: Document, source: str, purpose: str) -> bool:  # by its own name, its clause's, or its origins'
    families = {row.class_: row.purposes for row in notice.family}
    rules = [rule for rule in notice.forbid if set(rule.sources) & _origins(notice, source)]
    return any(purpose in families.get(given, (given,)) for rule in rules for given in rule.purposes)


def _origins(notice: Document, source: str) -> set[str]:
    row = _row(notice, source)
    if isinstance(row, Overlay):
        return {source} | _origins(notice, row.source)
    if isinstance(row, Derivation):
        inputs = {item for given in (*row.from_, *row.with_) for item in (given, *_below(notice, given))}
        return {source}.union(*(_origins(notice, item) for item in inputs))
    return {source, *_above(notice, source)}


def _above(notice: Document, source: str) -> list[str]:
    parent = next((row.parent for row in notice.source if row.id == source), None)
    return [parent, *_above(notice, parent)] if parent else []


def _below(notice: Document, source: str) -> list[str]:
    return [x for row in notice.source if row.parent == source for x in (row.id, *_below(notice, row.id))]


def _row(notice: Document, source: str) -> SourceRow | Overlay | Derivation:
    return {row.id: row for row in (*notice.source, *notice.overlay, *notice.derivation)}[source]  # type: ignore[return-value]  # mypy joins them to their base


def allowed(
    notices: Sequence[Document],  # the revisions that are known; the last is the one in force
    sources: Collection[str],
    purpose: str,  # or a family
    channel: str | None = None,
    *,
    collected_under: date | None = None,  # the revision under which the data was collected; None: the one in force
    suspended: Collection[str] = (),  # purposes for which the subject stopped the use
    stopped: bool = False,  # the subject stopped it for all, or asked for erasure
    consents: Collection[tuple[str, date]] = (),  # purposes agreed to, each with the revision under which that was
    overdue: Collection[str] = (),  # sources that may be kept no longer
    activity: bool = False,  # an activity asks, and not somebody who wants to know of any channel
) -> bool:
    """Whether data from these sources may serve the purpose or family in this context."""
    now = notices[-1]
    then = now if collected_under is None else next((n for n in notices if n.revision == collected_under), None)

    def serves(source: str, member: str) -> bool:
        agreed = [day for given_to, day in consents if moved(notices, "purpose", member, day) == given_to]
        if not may(now, source, member, channel):
            return False  # Rules 1 to 8: the revision in force must grant it, whatever another one did.
        if stopped or any(moved(notices, "purpose", member, n.revision) in suspended for n in notices):
            return False  # Clause 7: the subject asked for the use to stop, by any id that the purpose ever had.
        if source in overdue and basis(now, member) != "law":
            return False  # Clause 8: past its period, data serves only what rests on law.
        if basis(now, member) == "consent" and not agreed:
            return False  # What rests on consent serves only the data of those who gave it.
        if then is now or then is None:
            return then is now  # Of a revision that is not known, nobody knows what it granted.
        # Rule 9: of data collected under another revision, that one must have granted it too, on its own terms …
        one, other = moved(notices, "source", source, then.revision), moved(notices, "purpose", member, then.revision)
        if one is not None and other is not None and granted(then, one, other, channel, activity):
            return basis(then, other) != "consent" or bool(agreed)
        # … or the revision in force, a later one, expressly extends it to data collected earlier.
        agreed_since = any(day > then.revision for day in agreed)
        return then.revision < now.revision and extended(now, source, member, agreed_since)

    # Rule 2: every source must be allowed. Rule 3: for a family, each by some purpose. Rule 4: none is no licence.
    members = members_of(now, purpose)
    if activity and not all(stated(now, member, channel) for member in members):
        return False  # Rule 7, of what an activity is for.
    return bool(sources) and all(any(serves(source, member) for member in members) for source in sources)


def together(
    notices: Mapping[str, Sequence[Document]],  # by its id, each notice in the revisions that are known, as above
    sources: Collection[tuple[str, str]],  # each with the notice that it is of
    purposes: Mapping[str, str],  # what is asked for: of each notice that has a part in it, a purpose or family
    facts: Mapping[str, Mapping[str, Any]],  # the rest, as `allowed` takes it, by notice: ids are of that notice
) -> bool:
    """Several notices at once: each source is decided by its own alone, which must have a part in what is asked for."""
    for notice, purpose in purposes.items():  # Rule 7, of what an activity is for, whichever notice its data is of.
        known, now = facts[notice], notices[notice][-1]
        if known["activity"] and not all(stated(now, one, known["channel"]) for one in members_of(now, purpose)):
            return False
    return bool(sources) and all(
        of in purposes and allowed(notices[of], [source], purposes[of], **facts[of]) for of, source in sources
    )


def moved(notices: Sequence[Document], kind: str, given: str, day: date) -> str | None:
    """The id that a source or purpose of the notice in force has in the revision of that day; None if it has none."""
    now = notices[-1].revision
    passed = {n.revision: n.renamed for n in notices if min(now, day) < n.revision <= max(now, day)}
    for revision in sorted(passed, reverse=day < now):
        rows = [(row.new, row.old) if day < now else (row.old, row.new) for row in passed[revision] if row.kind == kind]
        if given not in dict(rows) and given in dict(rows).values():
            return None  # a number that was given away, or was another's before
        given = dict(rows).get(given, given)
    return given


def granted(notice: Document, source: str, purpose: str, channel: str | None, activity: bool = False) -> bool:
    """Whether another revision grants it; one that has no such source grants it nothing."""
    known = (row.id for row in (*notice.source, *notice.overlay, *notice.derivation))
    if source not in known or not may(notice, source, purpose, channel):
        return False
    return not activity or stated(notice, purpose, channel)


def stated(notice: Document, purpose: str, channel: str | None) -> bool:
    """Whether a channel is stated, or need not be: where a clause names the channels, activities must say theirs."""
    named = next(row.channels for row in notice.purposes if row.id == purpose)
    return channel is not None or named is None or named.closed is None


def extended(notice: Document, source: str, purpose: str, agreed_since: bool) -> bool:
    """Whether a revision extends the purpose to data of this source that was collected earlier."""
    source = {row.id: row.source for row in notice.overlay}.get(source, source)  # an overlay: to what it narrows
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(extended(notice, item, purpose, agreed_since) for item in items)  # a parent: to every item
    families = {row.class_: row.purposes for row in notice.family}
    for row in notice.extension:
        named = row.sources is None or set(row.sources) & {source, *_above(notice, source)}
        if named and any(purpose in families.get(given, (given,)) for given in row.purposes):
            return row.basis == "related" or agreed_since  # related: notice was given, which is enough
    return False


def basis(notice: Document, purpose: str) -> str | None:
    """On what a purpose rests: what it states itself, else what its grant states."""
    return next(row.basis or grant.basis for grant in notice.grant for row in grant.purpose if row.id == purpose)
