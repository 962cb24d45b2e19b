"""The executable specification: the rules of decision, in the plainest code.

`permits` is rules 1 to 8. `is_allowed` adds rule 9 and clauses 7 and 8: data of another revision, subjects who stopped
its use or agreed to it, periods that are over. `is_allowed_jointly` decides under several notices. All are slow; tests
compare the compiled `table` with them. Ids are in the documents' own spelling, and stay the same unless `[[renamed]]`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

from purposeguard.errors import UnlabelledData
from purposeguard.notice.fields import EVERY
from purposeguard.notice.schema import BasisRow, Derivation, Document, Overlay, SourceRow

Stated = AbstractSet[str]
NONE: Stated = frozenset()


def permits(
    notice: Document, sources: Collection[str], purpose: str, channel: str | None = None, conditions: Stated = NONE
) -> bool:
    """Return True if the sources may serve the purpose or family, by the channel if there is one."""
    if not sources:
        raise UnlabelledData("no sources")  # rule 4
    members = members_of(notice, purpose)  # Rule 2: every source must be allowed. Rule 3: each by some purpose.
    return all(
        any(is_permitted(notice, source, member, channel, conditions) for member in members) for source in sources
    )


def members_of(notice: Document, purpose: str) -> Collection[str]:
    """Return the purposes of a family, or the purpose itself."""
    return {row.class_: row.purposes for row in notice.family}.get(purpose, (purpose,))


def is_permitted(notice: Document, source: str, purpose: str, channel: str | None, conditions: Stated = NONE) -> bool:
    """Return True if one source may serve one purpose under these conditions. More conditions never allow less."""
    row = _row(notice, source)
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(
            is_permitted(notice, item, purpose, channel, conditions) for item in items
        )  # a parent: what every item may
    if _is_forbidden(notice, source, purpose, conditions):
        return False  # rule 5, before any grant
    if isinstance(row, Overlay):
        return purpose in row.serves and is_permitted(
            notice, row.source, purpose, channel, conditions
        )  # rule 8: only narrows
    if isinstance(row, Derivation):
        granted_to = row.serves  # rule 6
    else:  # Rule 1: only a grant allows.
        granting = [grant for grant in notice.grant if {*grant.sources} & {*EVERY, source, *_above(notice, source)}]
        granted_to = tuple(purpose.id for grant in granting for purpose in grant.purpose)
    granted_here = purpose in granted_to and admits(notice, purpose, channel)
    return granted_here and bool(list_bases(notice, source, purpose, conditions))


def list_bases(notice: Document, source: str, purpose: str, conditions: Stated) -> list[BasisRow]:
    """Return the bases of a use under these conditions. One must be met, so a use without bases is not permitted."""
    grant, row = next((grant, row) for grant in notice.grant for row in grant.purpose if row.id == purpose)
    owner = row if row.basis or row.bases else grant  # The purpose's own bases go before the grant's.
    every = owner.bases or [BasisRow.model_construct(basis=owner.basis)]
    rows = [basis_row for basis_row in every if conditions >= {*grant.when, *row.when, *basis_row.when}]
    return [row for row in rows if row.sources is None or set(row.sources) & {source, *_above(notice, source)}]


def derive_source(notice: Document, operation: str, one: str, other: str) -> str | None:
    """Return the source of two sources joined by `operation`; None if the notice declares none (rule 6)."""
    for row in (row for row in notice.derivation if row.operation == operation):
        for left, right in ((one, other), (other, one)):
            if {left, *_above(notice, left)} & set(row.from_) and {right, *_above(notice, right)} & set(row.with_):
                return row.id
    return None


def admits(notice: Document, purpose: str, channel: str | None) -> bool:
    """Return True if the purpose may be served by this channel (rule 7)."""
    named = {row.id: row.channels for row in notice.purposes}[purpose]
    return channel is None or named is None or named.closed is None or channel in named.closed


def _is_forbidden(notice: Document, source: str, purpose: str, conditions: Stated) -> bool:
    names = {*EVERY, *_origins(notice, source)}  # A prohibition may name the source, its clause or its origins.
    rules = [row for row in notice.forbid if not (row.unless and conditions >= {*row.unless})]
    rules = [row for row in rules if names & {*row.sources}]
    return any(purpose in members_of(notice, forbidden) for row in rules for forbidden in row.purposes)


def _origins(notice: Document, source: str) -> set[str]:
    row = _row(notice, source)
    if isinstance(row, Overlay):
        return {source} | _origins(notice, row.source)
    if isinstance(row, Derivation):
        named = {*row.from_, *row.with_}
        inputs = named | {item.id for item in notice.source if named & {*_above(notice, item.id)}}
        return {source}.union(*(_origins(notice, item) for item in inputs))
    return {source, *_above(notice, source)}


def _above(notice: Document, source: str) -> list[str]:
    parent = next((row.parent for row in notice.source if row.id == source), None)
    return [parent, *_above(notice, parent)] if parent else []


def _row(notice: Document, source: str) -> SourceRow | Overlay | Derivation:
    return {row.id: row for row in (*notice.source, *notice.overlay, *notice.derivation)}[source]  # type: ignore[return-value]  # mypy joins them to their base


def is_allowed(  # noqa: PLR0913  # The rules read nothing but their arguments.
    notices: Sequence[Document],  # the revisions that are known; the last is the one in force
    sources: Collection[str],
    purpose: str,  # or a family
    channel: str | None = None,
    *,
    collected_under: date | None = None,  # the revision under which the data was collected; None: the one in force
    suspended: Collection[str] = (),  # purposes for which the subject stopped the use
    stopped: bool = False,  # the subject stopped it for all, or asked for erasure
    consents: Collection[tuple[str, date]] = (),  # purposes agreed to, each with the revision of the consent
    overdue: Collection[str] = (),  # sources past their period; with `|law`, past the period for law
    activity: bool = False,  # an activity asks, so rule 7 applies
    conditions: Stated = NONE,  # the conditions that are stated to hold
    named: bool = False,  # the subject of the data is named
) -> bool:
    """Return True if data from these sources may serve the purpose or family in this context."""

    def lawful(notice: Document, source: str, member: str, *, agreed: bool, asked: str = "") -> bool:
        source = {row.id: row.source for row in notice.overlay}.get(source, source)  # an overlay rests on its source's
        if items := [item.id for item in notice.source if item.parent == source]:
            return all(lawful(notice, item, member, agreed=agreed, asked=asked) for item in items)
        every = list_bases(notice, source, member, conditions)  # Clause 8: past its period, only law, until that ends.
        rows = [row for row in every if asked + "|law" * (row.basis == "law") not in overdue]
        return any((row.basis != "consent" or agreed) and (named or not row.opt_out) for row in rows)

    now = notices[-1]
    then = now if collected_under is None else next((n for n in notices if n.revision == collected_under), None)

    def serves(source: str, member: str) -> bool:
        agreed = [day for given_to, day in consents if translate_id(notices, "purpose", member, day) == given_to]
        if not is_permitted(now, source, member, channel, conditions):
            return False  # Rules 1 to 8: the revision in force must grant it, whatever another one did.
        if stopped or any(translate_id(notices, "purpose", member, n.revision) in suspended for n in notices):
            return False  # Clause 7: the subject asked for the use to stop, by any id that the purpose ever had.
        if not lawful(now, source, member, asked=source, agreed=bool(agreed)):
            return False
        if then is now or then is None:
            return then is now  # What an unknown revision granted is not known.
        # Rule 9: of data collected under another revision, that one must have granted it too, on its own terms …
        one, other = (
            translate_id(notices, "source", source, then.revision),
            translate_id(notices, "purpose", member, then.revision),
        )
        if one is not None and other is not None and is_granted(then, one, other, channel, activity):
            return is_permitted(then, one, other, channel, conditions) and lawful(then, one, other, agreed=bool(agreed))
        # … or the revision in force, a later one, expressly extends it to data collected earlier.
        agreed_since = any(day > then.revision for day in agreed)
        return then.revision < now.revision and is_extended(now, source, member, agreed_since)

    heard = not activity or is_channel_stated(now, purpose, channel)  # Rule 7, of what an activity is for.
    members = members_of(now, purpose)  # Rules 2 and 3, as above. Rule 4: no source is no licence.
    return heard and bool(sources) and all(any(serves(source, member) for member in members) for source in sources)


def is_allowed_jointly(
    notices: Mapping[str, Sequence[Document]],  # id of each notice → its known revisions, as above
    sources: Collection[tuple[str, str]],  # pairs of a notice id and a source of that notice
    parts: Mapping[str, Mapping[str, Any]],  # notice id → the other arguments above
) -> bool:
    """Decide under several notices. Each source is decided by its own notice, which must be one of those in `parts`."""
    for of, its in parts.items():
        if its["activity"] and not is_channel_stated(notices[of][-1], its["purpose"], its["channel"]):
            return False  # Rule 7, of what an activity is for, whichever notice its data is of.
    return bool(sources) and all(
        of in parts and is_allowed(notices[of], [source], **parts[of]) for of, source in sources
    )


def translate_id(notices: Sequence[Document], kind: str, given: str | None, day: date) -> str | None:
    """Translate an id of the notice in force to the revision of that day; None if the term has no id there."""
    now = notices[-1].revision
    passed = {n.revision: n.renamed for n in notices if min(now, day) < n.revision <= max(now, day)}
    for revision in sorted(passed, reverse=day < now):
        rows = [(row.new, row.old) if day < now else (row.old, row.new) for row in passed[revision] if row.kind == kind]
        if given not in dict(rows) and given in [other for _, other in rows]:
            return None  # The id was given away, was another term's before, or its term is gone.
        given = dict(rows).get(given, given)
    return given


def is_granted(notice: Document, source: str, purpose: str, channel: str | None, activity: bool = False) -> bool:
    """Return True if another revision grants the use under some conditions. An unknown source is granted nothing."""
    sources = (row.id for row in (*notice.source, *notice.overlay, *notice.derivation))
    granted_there = source in sources and is_permitted(
        notice, source, purpose, channel, {row.id for row in notice.condition}
    )
    return granted_there and (not activity or is_channel_stated(notice, purpose, channel))


def is_channel_stated(notice: Document, purpose: str, channel: str | None) -> bool:
    """Return True if a channel is stated, or if none must be: activities must state it if the clause names channels."""
    return channel is not None or all(admits(notice, member, "") for member in members_of(notice, purpose))


def is_extended(notice: Document, source: str, purpose: str, agreed_since: bool) -> bool:
    """Return True if a revision extends the purpose to data of this source that was collected earlier."""
    source = {row.id: row.source for row in notice.overlay}.get(source, source)  # an overlay follows its source
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(is_extended(notice, item, purpose, agreed_since) for item in items)  # a parent: to every item
    for row in notice.extension:
        named = row.sources is None or set(row.sources) & {source, *_above(notice, source)}
        if named and any(purpose in members_of(notice, named_purpose) for named_purpose in row.purposes):
            return row.basis == "related" or agreed_since  # For `related`, the given notice is enough.
    return False
