"""The notice file: its tables as frozen pydantic models, in the order and the words of a notice.

Nothing here judges how the tables fit together (`notice.validation` does) or decides anything. Field names are the keys
of the TOML file; where a key is a Python keyword the attribute ends in an underscore.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Protocol, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from purposeguard.notice.fields import (
    AnySourceIds,
    Basis,
    ChannelId,
    ClassName,
    Country,
    Days,
    Id,
    PurposeIds,
    PurposesOrFamilies,
    Refers,
    Slug,
    SomeChannels,
    SomeSources,
    SourceId,
    SourceIds,
    Table,
    Text,
    TimeZone,
    When,
)
from purposeguard.notice.texts import Texts, Titles, iter_texts_by_language
from purposeguard.notice.timezones import UTC
from purposeguard.notice.vocabulary import make_slug

FORMAT = 1
"""The version of the file format that this library reads."""


def _email(text: str) -> str:
    if "@" not in text.strip("@"):
        raise ValueError("is no e-mail address")
    return text


class Named(Table):
    """A row that becomes a class: its id, class name and titles, and the `text` that it is read from."""

    id: Id
    class_: ClassName = Field(alias="class")
    title: Titles
    text: Texts | None = None

    @property
    def slug(self) -> str:
        """The id that people type: the class name in lower case with hyphens."""
        return make_slug(self.class_)


class RowWithId(Protocol):
    """A row of a notice file, or something else of a notice, that has an id."""

    @property
    def id(self) -> str:
        """The id."""
        ...


RowWithIdT = TypeVar("RowWithIdT", bound=RowWithId)


def list_ids(rows: Iterable[RowWithId]) -> list[str]:
    """Return the ids of rows of a notice file."""
    return [row.id for row in rows]


def index_by_id(rows: Iterable[RowWithIdT]) -> dict[str, RowWithIdT]:
    """Return rows of a notice file by their ids."""
    return {row.id: row for row in rows}


class Condition(Table):
    """A fact on which the notice makes a use depend, such as an age or a region. Code states it where it holds."""

    id: Slug
    title: Titles
    kind: Literal["age", "region", "product", "platform", "version", "other"] = "other"
    text: Texts | None = None


class Channel(Table):
    """A way of contacting a person."""

    id: ChannelId
    title: Titles
    text: Texts | None = None


class SourceRow(Named):
    """A source category: the clause under which data is collected. `parent` is the clause whose item it is."""

    parent: Annotated[Id | None, Refers("source")] = None
    automatic: bool = Field(
        default=False, strict=True, description="collected from the terminal, not given by the person"
    )


class Channels(Table):
    """The channels that a purpose names: `closed`, these and no other, or `open`, these for example."""

    closed: SomeChannels = Field(default=None, min_length=1)
    open: SomeChannels = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.closed is None) == (self.open is None):
            raise ValueError("needs either `closed` (these only) or `open` (these for example)")
        return self


class BasisRow(Table):
    """One of several bases of a use: of these `sources` alone (None: of all), under these conditions (`when`) alone.

    `opt_out`: it holds for subjects who are named, and did not ask for the use to stop.
    """

    basis: Basis | None = None
    sources: SomeSources = Field(default=None, min_length=1)
    when: When = ()
    opt_out: bool = Field(default=False, strict=True, description="holds until the person objects, who is named")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.basis is None and not self.opt_out:
            raise ValueError("needs a `basis`, or `opt_out = true`")
        return self


def _check_single_basis(bases: tuple[BasisRow, ...], read: ValidationInfo) -> tuple[BasisRow, ...]:
    if bases and read.data.get("basis") is not None:
        raise ValueError("stands beside `basis`: write that as a row of these")
    return bases


Bases = Annotated[tuple[BasisRow, ...], Field(min_length=1), AfterValidator(_check_single_basis)]


class PurposeRow(Named):
    """A purpose of use, as one item of a grant. Its basis or bases, where it states any, go before those of the grant.

    `bases`: one that is met is enough. `open_end`: the clause leaves open what is done; such a purpose is decided as
    any other is.
    """

    channels: Channels | None = None
    basis: Basis | None = None
    bases: Bases = ()
    when: When = ()
    open_end: Literal["stated-at-collection", "incidental"] | None = None


class Grant(Table):
    """The clause that lets some sources serve some purposes. A parent among the sources means all its items."""

    clause: Id
    title: Titles
    text: Texts | None = None
    sources: AnySourceIds
    basis: Basis | None = None
    bases: Bases = ()
    when: When = ()
    purpose: tuple[PurposeRow, ...] = Field(min_length=1)


class FamilyRow(Table):
    """Purposes of several clauses that state the same real-world goal."""

    class_: ClassName = Field(alias="class")
    title: Titles
    text: Texts | None = None
    purposes: PurposeIds = Field(min_length=2)

    @property
    def slug(self) -> str:
        """The id that people type."""
        return make_slug(self.class_)


class Derivation(Named):
    """A combination that has a source of its own: one of `from` joined with one of `with` by `operation` (rule 6)."""

    operation: Slug
    function: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="the generated function's name")]
    from_: SourceIds = Field(alias="from")
    with_: SourceIds = Field(alias="with")
    serves: PurposeIds = Field(min_length=1)


class Prohibition(Table):
    """These sources may not serve these purposes (or families), whatever a grant says (rule 5).

    `unless`: save where all these conditions are stated.
    """

    sources: AnySourceIds
    purposes: PurposesOrFamilies
    reason: Titles
    text: Texts | None = None
    unless: When = ()


class Overlay(Named):
    """What one item of one product's data may serve: less than `source`, never more (rule 8)."""

    source: SourceId
    product: Text
    item: Text
    serves: PurposeIds


class Extension(Table):
    """What this revision extends to data collected under earlier ones (rule 9). `notified`: when notice was given."""

    purposes: PurposesOrFamilies
    sources: SomeSources = Field(default=None, min_length=1)
    basis: Literal["related", "consent"]
    notified: datetime.date | None = None
    text: Texts | None = None


class Renaming(Table):
    """A source or purpose that had another id in the revision before: it is the same one still.

    Without `new`, it is gone, and a term of this revision that has its id is another one.
    """

    kind: Literal["source", "purpose"]
    old: Id
    new: Annotated[Id | None, Refers("source or purpose")] = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The old id, and the new one if there is one."""
        return (self.old, self.new) if self.new else (self.old,)


class Confirmation(Table):
    """Sources or purposes whose class or words differ from the revision before: each is the same term still.

    `since` is the date of that revision, so that a row that was copied into a later revision confirms nothing there.
    """

    kind: Literal["source", "purpose"]
    ids: Annotated[tuple[Id, ...], Field(min_length=1), Refers("source or purpose")]
    since: datetime.date


class Kind(Table):
    """One entry of a closed list: an id and its titles."""

    id: Slug
    title: Titles
    text: Texts | None = None


class RecipientKind(Kind):
    """A kind of recipient. `place`: whether such a one sits in the home country or abroad, where the kind says so."""

    place: Literal["home", "abroad"] | None = None


class Entrustment(Table):
    """Clause 4: to whom the handling of data is entrusted, and that it is supervised."""

    clause: Id
    recipients: tuple[RecipientKind, ...] = Field(min_length=1)
    scope: Literal["granted-purposes"]
    supervision: Literal["required", "recorded"]
    text: Texts | None = None


class ThirdPartyProvision(Table):
    """A clause that lets data be provided to third parties, who use it for ends of their own.

    `sources` and `purposes` say which data and for what; without them, all data and whatever it may serve. Of `form`
    `aggregate` no personal data is provided: only what a declassification made of it. `countries` are those that the
    clause names, or `any` where it lets data go anywhere; without them clause 5 says where data may go.
    """

    clause: Id
    title: Titles
    recipients: tuple[RecipientKind, ...] = Field(min_length=1)
    sources: SomeSources = Field(default=None, min_length=1)
    purposes: Annotated[tuple[Id, ...] | None, Refers("purpose or family")] = Field(default=None, min_length=1)
    form: Literal["personal", "aggregate"] = "personal"
    countries: tuple[Country, ...] | Literal["any"] | None = Field(default=None, min_length=1)
    safeguards: Literal["required", "recorded"] = "required"
    text: Texts | None = None


class TransferLimit(Table):
    """Narrower terms for one country: only to this recipient, for these products, for these tasks."""

    recipient: Kind
    products: Kind
    tasks: tuple[Kind, ...] = Field(min_length=1)
    text: Texts | None = None


class TransferCountry(Table):
    """A foreign country that the notice lists."""

    code: Country
    title: Titles
    text: Texts | None = None
    limit: TransferLimit | None = None


class Equivalence(Table):
    """Countries not listed because their protection is recognised as equivalent."""

    id: Slug
    title: Titles
    text: Texts | None = None
    countries: tuple[Country, ...] = Field(min_length=1)


class Transfer(Table):
    """Clause 5: to which countries data may be handed. Any other is refused, or needs a safeguard of clause 6."""

    clause: Id
    home: Country
    scope: Literal["entrustment-only", "any-recipient"]
    country: tuple[TransferCountry, ...]
    equivalent: tuple[Equivalence, ...]
    otherwise: Literal["refuse", "safeguards"]
    text: Texts | None = None


class Safeguards(Table):
    """Clause 6: what must be on record before data is handed over, and by which means it travels."""

    clause: Id
    before_transfer: Literal["required"]
    text: Texts | None = None
    measures: tuple[Kind, ...] = Field(min_length=1)
    means: tuple[Kind, ...] = Field(min_length=1)


class Right(Kind):
    """A request that a subject may make; `effect` is what it changes."""

    effect: Literal["discloses", "amends", "stops-use", "deletes", "stops-provision"]


class Rights(Table):
    """Clause 7: who may ask for what, and within how many days it is answered."""

    clause: Id
    text: Texts | None = None
    days: Days | None = None
    requesters: tuple[Literal["subject", "agent"], ...] = Field(min_length=1)
    request: tuple[Right, ...] = Field(min_length=1)


class Period(Table):
    """How long data of a source is kept, from its collection or from the end of use: the controller's own choice.

    Of a range, `days` is its end and `at_least` its beginning: data is kept at least so long, and never longer than
    `days`. A period of no days from the end of use means: as long as it is used.
    """

    source: SourceId
    days: Annotated[int, Field(ge=0, strict=True, description="a period in days")]
    text: Texts | None = None
    from_: Literal["collection", "end-of-use"] = Field(default="end-of-use", alias="from")
    at_least: Days | None = None

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.days == 0 and self.from_ == "collection":
            raise ValueError("no data is kept for no days from its collection: give `days` above zero")
        if self.at_least is not None and self.at_least > self.days:
            raise ValueError("ends before `at_least`: `days` is the end of the range")
        return self


class LegalPeriod(Table):
    """How long law needs data of a source, from its collection or the end of use: then uses that rest on law end."""

    source: SourceId
    days: Days
    text: Texts | None = None
    from_: Literal["collection", "end-of-use"] = Field(default="end-of-use", alias="from")


class Criterion(Table):
    """How long data of a source is kept where the notice gives no number: a text, which nothing can enforce."""

    source: SourceId
    title: Titles
    text: Texts | None = None


class Retention(Table):
    """Clause 8: what data is kept for after the end of use, and how long where the controller has set it."""

    clause: Id
    text: Texts | None = None
    starts: Literal["end-of-use"]
    bases: tuple[Literal["law", "granted-purposes"], ...] = Field(min_length=1)
    after: Literal["law-only"]
    period: tuple[Period, ...] = ()
    law: tuple[LegalPeriod, ...] = ()
    criterion: tuple[Criterion, ...] = ()


class ContactPoint(Table):
    """Who answers: at least one of e-mail, phone and address."""

    clause: Id
    text: Texts | None = None
    name: Titles
    unit: Titles | None = None
    email: Annotated[str, AfterValidator(_email)] | None = None
    phone: tuple[Text, ...] = ()
    address: Titles | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not (self.email or self.phone or self.address):
            raise ValueError("needs an `email`, a `phone` or an `address`")
        return self


class Contact(Table):
    """Clause 9: the controller's own office and the body that hears complaints."""

    controller: ContactPoint
    complaints: ContactPoint | None = None


class Voluntary(Table):
    """Clause 10: whether giving data is optional; what is not given is absent, which is no error."""

    clause: Id
    optional: bool = Field(strict=True)
    text: Texts | None = None


class Changes(Table):
    """Clause 11: what a change needs before it may be relied on."""

    clause: Id
    announced_by: tuple[ChannelId | Literal["other"], ...] = Field(min_length=1)
    material: Literal["notice"]
    required_by_law: Literal["notice", "consent"]
    text: Texts | None = None


class Incorporated(Kind):
    """Another notice that this one makes part of itself; `where` says where it is published."""

    where: Text


class Document(Table):
    """A notice file, whole. The tables follow the order of a notice's clauses."""

    format: Literal[1] = Field(description="the version of this file format")
    id: Slug
    revision: datetime.date = Field(description="the day from which this revision holds")
    timezone: TimeZone = Field(default=UTC, description="the IANA time zone in which days are counted")
    controller: Titles
    title: Titles
    text: Texts | None = None
    condition: tuple[Condition, ...] = ()
    channel: tuple[Channel, ...] = ()
    source: tuple[SourceRow, ...] = Field(min_length=1)
    grant: tuple[Grant, ...] = Field(min_length=1)
    family: tuple[FamilyRow, ...] = ()
    derivation: tuple[Derivation, ...] = ()
    forbid: tuple[Prohibition, ...] = ()
    overlay: tuple[Overlay, ...] = ()
    extension: tuple[Extension, ...] = ()
    renamed: tuple[Renaming, ...] = ()
    unchanged: tuple[Confirmation, ...] = ()
    entrustment: Entrustment | None = None
    provision: tuple[ThirdPartyProvision, ...] = ()
    transfer: Transfer | None = None
    safeguards: Safeguards | None = None
    rights: Rights | None = None
    retention: Retention | None = None
    contact: Contact | None = None
    voluntary: Voluntary | None = None
    changes: Changes | None = None
    incorporated: tuple[Incorporated, ...] = ()

    @property
    def recipients(self) -> tuple[RecipientKind, ...]:
        """All kinds of recipients: those that data is entrusted to, then those that it is provided to."""
        entrusted = () if self.entrustment is None else self.entrustment.recipients
        return (*entrusted, *itertools.chain.from_iterable(row.recipients for row in self.provision))

    @model_validator(mode="after")
    def _own_language_first(self) -> Self:
        """Read all titles in the notice's first language where a language is requested that they do not have."""
        for texts in iter_texts_by_language(self):
            texts.begin_with(next(iter(self.title)))
        return self

    def members_of(self, purposes: Iterable[str]) -> dict[str, None]:
        """Return the ids of these purposes and of the members of these families, each once."""
        members_of = {row.class_: row.purposes for row in self.family}
        members: dict[str, None] = {}
        for purpose in purposes:
            members.update(dict.fromkeys(members_of.get(purpose, (purpose,))))
        return members

    def iter_grants(self) -> Iterator[tuple[Grant, PurposeRow]]:
        """Iterate over all purposes of all grants, each with its grant, in the notice's order."""
        for grant in self.grant:
            for purpose in grant.purpose:
                yield grant, purpose

    @property
    def purposes(self) -> tuple[PurposeRow, ...]:
        """All purposes of all grants, in the notice's order."""
        return tuple(purpose for _, purpose in self.iter_grants())
