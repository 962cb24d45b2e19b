"""Objections of notices to handing data to a recipient (clauses 4, 5 and 6).

`runtime.handover` asks for the objections before data is handed over. `governance.transfers` stores the recipients and
records the hand-overs.

`list_objections` applies the rules of these clauses, each in a function of its own, and reads everything that a notice
may decide from the notice. It fails closed: what is not stated, not listed or not on record is an objection.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from purposeguard.errors import format_id
from purposeguard.notice.grants import ClauseHierarchy
from purposeguard.notice.languages import title_in
from purposeguard.notice.schema import (
    Document,
    Entrustment,
    Kind,
    RecipientKind,
    Safeguards,
    ThirdPartyProvision,
    Transfer,
    TransferLimit,
    list_ids,
)
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source, fold, is_text
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import BY_CLAUSE, Decision, format_term, override_decision

OWN_SUBSIDIARY: Final = "own-subsidiary"
"""The id of a subsidiary of the controller in a limit. `Recipient.own_subsidiary` declares to be one."""

LONGEST_TEXT: Final = 200
"""The greatest length of a name, a kind or a reference."""


@dataclasses.dataclass(frozen=True, slots=True)
class Safeguard:
    """A measure on record (clause 6), e.g. `Safeguard("contract", "2026-117", since=date(2026, 4, 1))`.

    `measure` is one that the notice names, `reference` says where to find it. It holds from `since` to `until`, both
    included; without an `until`, until further notice.

    Raises:
        TypeError, ValueError: a text is blank or none; a day is none; `until` is before `since`.
    """

    measure: str
    reference: str
    since: datetime.date
    until: datetime.date | None = None

    def __post_init__(self) -> None:
        _require_texts(self, "measure", "reference")
        _require_days(self, "since", "until")
        if self.until is not None and self.until < self.since:
            raise ValueError(f"a safeguard that ends on {self.until} did not begin on {self.since}")

    def holds(self, day: datetime.date) -> bool:
        """Return True if the safeguard is in force on a day."""
        return self.since <= day and (self.until is None or day <= self.until)


@dataclasses.dataclass(frozen=True, slots=True)
class Recipient:
    """A party that handles data for the controller, e.g. `Recipient("mail-house", "domestic-contractor", "JP")`.

    Raises:
        TypeError, ValueError: a text is blank or none; the country is no two letters; a day is none.
    """

    id: str
    """The id of the recipient in records."""
    kind: str
    """The kind of recipient, one that the notice names."""
    country: str
    """The ISO 3166-1 alpha-2 code of the country in which it handles the data."""
    _: dataclasses.KW_ONLY
    name: str | None = None
    """The name for people."""
    safeguards: Collection[Safeguard] = ()
    """The measures on record (clause 6)."""
    supervised_on: datetime.date | None = None
    """The day of its last supervision (clause 4)."""
    own_subsidiary: bool = False
    """True for a subsidiary of the controller (clause 5)."""
    products: Collection[str] = ()
    """The controller's products for which it may handle data, if the notice limits them without naming them."""
    means: str | None = None
    """The means by which data goes to the recipient, unless a hand-over states another."""

    def __post_init__(self) -> None:
        _require_texts(self, "id", "kind", "country", "name", "means")
        _require_days(self, "supervised_on")
        products: tuple[object, ...] = tuple(self.products)  # callers may be untyped
        safeguards: tuple[object, ...] = tuple(self.safeguards)
        if isinstance(self.products, str) or not all(map(is_text, products)):
            raise TypeError("`products` are the names of products, in a set or a list")
        if not all(isinstance(safeguard, Safeguard) for safeguard in safeguards):
            raise TypeError("`safeguards` are `Safeguard(…)`, in a list or a tuple")
        if type(self.own_subsidiary) is not bool:  # A value that is only truthy must not open a country.
            raise TypeError("`own_subsidiary` is True or False")
        country = self.country.strip().upper()
        if not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise ValueError("a country is given by its two letters in ISO 3166-1, e.g. `JP` or `US`")
        object.__setattr__(self, "country", country)
        object.__setattr__(self, "products", frozenset(products))
        object.__setattr__(self, "safeguards", safeguards)


@dataclasses.dataclass(frozen=True, slots=True)
class Provision:
    """A hand-over of data to a recipient, as it is recorded before it takes place.

    `clauses` are those that it rests on. `sources` and `purpose` are ids of the notice in its `revision`. `subjects`
    are the canonical keys of those whom the data is about, as far as they are known.
    """

    recipient: str
    kind: str
    country: str
    clauses: tuple[str, ...]
    sources: tuple[str, ...]
    purpose: str | None
    revision: datetime.date
    activity: str | None
    means: str
    subjects: tuple[str, ...] = dataclasses.field(repr=False)
    at: datetime.datetime
    _: dataclasses.KW_ONLY
    name: str | None = None
    product: str | None = None
    task: str | None = None


def list_clauses(document: Document, recipient: Recipient) -> tuple[str, ...]:
    """Return the clauses that a hand-over to this recipient rests on.

    The clause on foreign recipients is among them if the recipient is abroad.
    """
    clauses = list(dict.fromkeys(row.clause for row in _find_provisions(document, recipient)))
    if not clauses and document.entrustment is not None:
        clauses.append(document.entrustment.clause)
    if document.transfer is not None and document.transfer.home != recipient.country:
        clauses.append(document.transfer.clause)
    return (*clauses, document.safeguards.clause) if document.safeguards is not None else tuple(clauses)


def list_objections(
    document: Document,
    recipient: Recipient,
    *,
    sources: Collection[str] | None = None,
    purposes: Collection[str] | None = None,
    means: str | None = None,
    product: str | None = None,
    task: str | None = None,
    today: datetime.date,
) -> tuple[str, ...]:
    """Return the objections to handing data to this recipient today, in the order of the clauses.

    The result is empty if the clauses on recipients allow the hand-over. These are:

    - If clauses on third parties (`[[provision]]`) name this kind of recipient, one of them must allow it, and the
      result is that of the clause with the fewest objections. Each has terms of its own about the place, the data and
      the purposes. Clause 5 applies unless it states `countries`, and clause 6 unless its `safeguards` are `recorded`.
    - Otherwise, clauses 4 (`[entrustment]`: kind, place and supervision), 5 (`[transfer]`: country) and 6
      (`[safeguards]`: measures and means) must all allow it. One that the notice lacks objects.

    This function does not decide whether the data may serve the purpose at all. The table of the notice does.

    Args:
        document: the notice.
        recipient: the recipient, with what is on record about it.
        sources: the clauses of the data that is provided to a third party. None: not checked.
        purposes: the clauses of the purposes for which it is provided. None: not checked.
        means: how the data goes to the recipient. None: not checked.
        product: the product that the data is handled for.
        task: the task that the data is handled for.
        today: the day of the hand-over.
    """
    by_clause: list[tuple[str, ...]] = []
    for row in _find_provisions(document, recipient):
        place = _check_provision(document, row, recipient, product, task)
        content = _check_content(document, row, sources, purposes)
        by_clause.append((*place, *content, *_check_measures(document, row, recipient, means, today)))
    if by_clause:  # One clause is enough. If all of them object, report the one with the fewest objections.
        return min(by_clause, key=len)
    entrustment, transfer, safeguards = document.entrustment, document.transfer, document.safeguards
    objections: list[str] = []
    if entrustment is None:
        objections.append(_describe_missing_table("entrustment", "4", "entrusts data to nobody"))
    else:
        home = transfer.home if transfer is not None else None
        objections += _check_entrustment(entrustment, recipient, home, today)
    if transfer is None:
        objections.append(_describe_missing_table("transfer", "5", "names no country to which data may go"))
    else:
        objections += _check_transfer(transfer, recipient, product, task)
    if safeguards is None:
        objections.append(_describe_missing_table("safeguards", "6", "names no measure and no means"))
    else:
        objections += _check_safeguards(safeguards, recipient, means, today)
    return tuple(objections)


def make_refusal(
    document: Document,
    decision: Decision,
    recipient: Recipient,
    reasons: tuple[str, ...],
    key: Callable[[type[Source | Purpose]], str] = BY_CLAUSE,
) -> Decision:
    """Return a decision that refuses a hand-over to this recipient, for a purpose that the notice grants."""
    data = ", ".join(map(key, decision.label))
    kind = _find_kind(document.recipients, recipient.kind)
    whom = f"{recipient.id} ({'no kind of the notice' if kind is None else kind.id}, {recipient.country})"
    return override_decision(
        decision, DenialReason.RECIPIENT, f"{format_term(decision.purpose, key)} may not hand {data} to {whom}", reasons
    )


def _describe_missing_table(table: str, clause: str, what: str) -> str:
    return f"the notice has no [{table}] (clause {clause}), so it {what}"


def _find_provisions(document: Document, recipient: Recipient) -> list[ThirdPartyProvision]:
    """Find the clauses that let data be provided to recipients of this kind."""
    return [row for row in document.provision if _find_kind(row.recipients, recipient.kind) is not None]


def _check_provision(
    document: Document, row: ThirdPartyProvision, recipient: Recipient, product: str | None, task: str | None
) -> Iterator[str]:
    """Yield the objections of a clause on third parties to the recipient's place: by its own terms, or by clause 5."""
    rule = document.transfer
    home = None if rule is None else rule.home
    yield from _check_place(row.clause, _find_kind(row.recipients, recipient.kind), recipient, home)
    if row.countries == "any":
        return
    if row.countries is not None:
        if recipient.country not in row.countries:
            yield f"clause {row.clause} lets data go to {', '.join(row.countries)}, not to {recipient.country}"
    elif rule is None:
        yield _describe_missing_table("transfer", "5", f"names no country to which data of clause {row.clause} may go")
    elif rule.scope == "entrustment-only" and recipient.country != rule.home:
        yield f"clause {rule.clause} lets data go abroad to those that it is entrusted to, and to no third party"
    else:
        yield from _check_transfer(rule, recipient, product, task)


def _check_content(
    document: Document, row: ThirdPartyProvision, sources: Collection[str] | None, purposes: Collection[str] | None
) -> Iterator[str]:
    """Yield the objections of a clause on third parties to the data that is provided, and to its purposes."""
    personal = [source for source in sources or () if source != NotPersonal.clause]
    if row.form == "aggregate" and personal:
        yield (
            f"clause {row.clause} provides no personal data, only what is made of it: declassify "
            f"{', '.join(personal)} first"
        )
    if row.sources is not None:
        covered = set(ClauseHierarchy(document).with_items(row.sources))
        covered |= {overlay.id for overlay in document.overlay if overlay.source in covered}
        if others := [source for source in personal if source not in covered]:
            yield f"clause {row.clause} provides {', '.join(row.sources)}, not {', '.join(others)}"
    if row.purposes is not None and purposes is not None:
        stated = document.members_of(row.purposes)
        if others := [purpose for purpose in purposes if purpose not in stated]:
            yield f"clause {row.clause} provides data for {', '.join(row.purposes)}, not for {', '.join(others)}"


def _check_measures(
    document: Document, row: ThirdPartyProvision, recipient: Recipient, means: str | None, today: datetime.date
) -> Iterator[str]:
    """Yield the objections of clause 6 if the clause on third parties requires its measures."""
    if row.safeguards == "recorded":
        return
    if document.safeguards is None:
        yield _describe_missing_table("safeguards", "6", f"names no measure, which clause {row.clause} requires")
    else:
        yield from _check_safeguards(document.safeguards, recipient, means, today)


def _check_place(clause: str, kind: Kind | None, recipient: Recipient, home: str | None) -> Iterator[str]:
    """Yield an objection if the notice places this kind of recipient at home or abroad, and this one is elsewhere."""
    place = kind.place if isinstance(kind, RecipientKind) else None
    if place is not None and home is not None and (place == "home") != (recipient.country == home):
        where = f"in {home}" if place == "home" else f"outside {home}"
        here = recipient.country
        yield f"a recipient of the kind {recipient.kind} is {where}, and this one is in {here} (clause {clause})"


def _check_entrustment(
    rule: Entrustment, recipient: Recipient, home: str | None, today: datetime.date
) -> Iterator[str]:
    """Yield the objections of clause 4 to the recipient's kind, its place and its supervision."""
    kind = _find_kind(rule.recipients, recipient.kind)
    if not isinstance(kind, RecipientKind):
        other = _format_unknown_id(recipient.kind, rule.recipients)
        yield f"clause {rule.clause} entrusts data to {_format_ids(rule.recipients)}, not to {other}"
    else:
        yield from _check_place(rule.clause, kind, recipient, home)
    if rule.supervision == "required":
        if recipient.supervised_on is None:
            yield f"no supervision of it is on record, which clause {rule.clause} requires"
        elif recipient.supervised_on > today:
            yield f"its first supervision is on record for {recipient.supervised_on} only (clause {rule.clause})"


def _check_transfer(rule: Transfer, recipient: Recipient, product: str | None, task: str | None) -> Iterator[str]:
    """Yield the objections of clause 5: the country must be the home country, equivalent, or listed.

    A listed country may have narrower terms, which must be met.
    """
    row = next((country for country in rule.country if country.code == recipient.country), None)
    if row is not None:  # This comes first, since the terms of the row may be narrower.
        if row.limit is not None:
            only = f"clause {rule.clause} lets data go to {row.code} only"
            yield from _check_limit(row.limit, only, recipient, product, task)
        return
    is_equivalent = any(recipient.country in group.countries for group in rule.equivalent)
    if rule.otherwise == "refuse" and recipient.country != rule.home and not is_equivalent:
        yield f"clause {rule.clause} names no country {recipient.country}, and any that it does not name is refused"


def _check_limit(
    limit: TransferLimit, only: str, recipient: Recipient, product: str | None, task: str | None
) -> Iterator[str]:
    """Yield the objections by the narrower terms of a country, which name a recipient, products and tasks."""
    own = recipient.own_subsidiary and limit.recipient.id == OWN_SUBSIDIARY
    if not own and fold(recipient.kind) != fold(limit.recipient.id):
        title = title_in(limit.recipient.title, "en")
        yield f"{only} to {limit.recipient.id} ({title}), and this recipient is not said to be it"
    products = f"{only} for {limit.products.id} ({title_in(limit.products.title, 'en')})"
    if product is None:
        yield f"{products}, and no product is stated: `product=…`"
    elif _normalize_product(product) not in map(_normalize_product, recipient.products):
        other = format_id(product, tuple(recipient.products))
        yield f"{products}, and {other} is none of the `products` of this recipient"
    tasks = f"{only} for {_format_ids(limit.tasks)}"
    if task is None:
        yield f"{tasks}, and no task is stated: `task=…`"
    elif _find_kind(limit.tasks, task) is None:
        yield f"{tasks}, not for {_format_unknown_id(task, limit.tasks)}"


def _check_safeguards(rule: Safeguards, recipient: Recipient, means: str | None, today: datetime.date) -> Iterator[str]:
    """Yield the objections of clause 6: a measure must hold today, and the means must be one that the notice names."""
    measures = [measure for measure in recipient.safeguards if _find_kind(rule.measures, measure.measure) is not None]
    if not any(safeguard.holds(today) for safeguard in measures):
        yield _describe_missing_measure(rule, recipient, measures, today)
    if means is not None and _find_kind(rule.means, means) is None:
        stated = _format_unknown_id(means, rule.means)
        yield f"data travels by {_format_ids(rule.means)} (clause {rule.clause}), not by {stated}"


def _describe_missing_measure(
    rule: Safeguards, recipient: Recipient, known: list[Safeguard], today: datetime.date
) -> str:
    if not recipient.safeguards:
        return f"no safeguard is on record, such as {_format_ids(rule.measures)} (clause {rule.clause})"
    if not known:
        others = ", ".join(_format_unknown_id(safeguard.measure, rule.measures) for safeguard in recipient.safeguards)
        return f"{others} is no measure of clause {rule.clause}, which names {_format_ids(rule.measures)}"
    ended = [safeguard.until for safeguard in known if safeguard.until is not None and safeguard.until < today]
    if ended:
        return f"its last safeguard on record ended on {max(ended)} (clause {rule.clause})"
    first = min(safeguard.since for safeguard in known)
    return f"its first safeguard on record begins on {first} (clause {rule.clause})"


def _find_kind(kinds: Iterable[Kind], given: str) -> Kind | None:
    """Return the entry of an id; None if there is none. Case, blanks and hyphens do not matter."""
    wanted = fold(given)
    for kind in kinds:
        if wanted is not None and fold(kind.id) == wanted:
            return kind
    return None


def canonicalize_id(kinds: Iterable[Kind], given: str) -> str:
    """Return an id as the notice spells it, or unchanged if the notice does not have it."""
    kind = _find_kind(kinds, given)
    return given if kind is None else kind.id


def _format_ids(kinds: Iterable[Kind]) -> str:
    *first, last = (kind.id for kind in kinds)
    return f"{', '.join(first)} or {last}" if first else last


def _normalize_product(product: str) -> str:
    """Normalize the name of a product for comparison: case and blanks do not matter, everything else does."""
    return " ".join(product.split()).casefold()


def _format_unknown_id(given: str, kinds: Iterable[Kind]) -> str:
    return format_id(given, list_ids(kinds))


def _require_texts(record: object, *names: str) -> None:
    """Check that these fields of a record are texts of one line, and not blank. Some may be None.

    Raises:
        TypeError: a field is no text.
        ValueError: a text is blank, too long, or has several lines.
    """
    for name in names:
        value = getattr(record, name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, str):
            raise TypeError(f"`{name}` is a text, not {type(value).__name__}")
        if not value.strip() or not value.isprintable() or len(value) > LONGEST_TEXT:
            raise ValueError(f"`{name}` is a text of one line, not blank, of {LONGEST_TEXT} characters at most")


def _require_days(record: object, *names: str) -> None:
    """Check that these fields of a record are dates. Some may be None.

    Raises:
        TypeError: a field is no date.
    """
    for name in names:
        value = getattr(record, name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise TypeError(f"`{name}` is a date, not {type(value).__name__}")


_OPTIONAL: Final = frozenset({"means", "name", "supervised_on", "until"})
"""The fields that may be left out."""
