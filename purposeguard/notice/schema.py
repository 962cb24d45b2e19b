"""The notice file: its tables as frozen pydantic models, in the order and the words of a notice.

Nothing here judges how the tables fit together (`notice.validation` does) or decides anything. Field names are the keys
of the TOML file; where a key is a Python keyword the attribute ends in an underscore.
"""

from __future__ import annotations

import datetime
import keyword
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from purposeguard.notice.timezones import UTC, known
from purposeguard.notice.vocabulary import fold, slug_of

FORMAT = 1
"""The version of the file format that this library reads."""


ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""Text without line breaks and control characters."""


class Table(BaseModel):
    """A table of the file: frozen, and a key it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _readable_id(text: str) -> str:
    if fold(text) is None:
        raise ValueError("cannot be read as an id: use numbers, letters and brackets, e.g. `1.2(1)①`")
    return text


def _class_name(text: str) -> str:
    if keyword.iskeyword(text) or text.upper() == text:
        raise ValueError("cannot name a Python class: use words in CamelCase, e.g. `RenewalGuidance`")
    return text


def _email(text: str) -> str:
    if "@" not in text.strip("@"):
        raise ValueError("is no e-mail address")
    return text


def _time_zone(text: str) -> str:
    if not known(text):
        raise ValueError(f"unknown time zone `{text}`")
    return text


Id = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable_id)]
ClassName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=100), AfterValidator(_class_name)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=100)]
ChannelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=50)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code")]
Text = Annotated[
    str,
    Field(min_length=1, pattern=ONE_LINE, description="one line, no control characters"),
]
Days = Annotated[int, Field(gt=0, strict=True, description="a period in days")]
TimeZone = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE), AfterValidator(_time_zone)]
Basis = Literal["consent", "contract", "law", "legitimate-interest", "public-task", "vital-interest"]
"""On what the use of data rests in law, where the notice states it."""


class Titles(Table):
    """A short title in the file author's own words, in English and Japanese."""

    en: Text
    ja: Text


class Named(Table):
    """A row that becomes a class: its id, class name and titles."""

    id: Id
    class_: ClassName = Field(alias="class")
    title: Titles

    @property
    def slug(self) -> str:
        """The id that people type: the class name in lower case with hyphens."""
        return slug_of(self.class_)


class Channel(Table):
    """A way of contacting a person."""

    id: ChannelId
    title: Titles


class SourceRow(Named):
    """A source category: the clause under which data is collected. `parent` is the clause whose item it is."""

    parent: Id | None = None
    automatic: bool = Field(
        default=False, strict=True, description="collected from the terminal, not given by the person"
    )


class Channels(Table):
    """The channels that a purpose names: `closed`, these and no other, or `open`, these for example."""

    closed: tuple[ChannelId, ...] | None = Field(default=None, min_length=1)
    open: tuple[ChannelId, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.closed is None) == (self.open is None):
            raise ValueError("needs either `closed` (these only) or `open` (these for example)")
        return self


class PurposeRow(Named):
    """A purpose of use, as one item of a grant. Its `basis`, where it states one, goes before that of the grant."""

    channels: Channels | None = None
    basis: Basis | None = None


class Grant(Table):
    """The clause that lets some sources serve some purposes. A parent among the sources means all its items."""

    clause: Id
    title: Titles
    sources: tuple[Id, ...] = Field(min_length=1)
    basis: Basis | None = None
    purpose: tuple[PurposeRow, ...] = Field(min_length=1)


class FamilyRow(Table):
    """Purposes of several clauses that state the same real-world goal."""

    class_: ClassName = Field(alias="class")
    title: Titles
    purposes: tuple[Id, ...] = Field(min_length=2)

    @property
    def slug(self) -> str:
        """The id that people type."""
        return slug_of(self.class_)


class Derivation(Named):
    """A combination that has a source of its own: one of `from` joined with one of `with` by `operation` (rule 6)."""

    operation: Slug
    function: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="the generated function's name")]
    from_: tuple[Id, ...] = Field(alias="from", min_length=1)
    with_: tuple[Id, ...] = Field(alias="with", min_length=1)
    serves: tuple[Id, ...] = Field(min_length=1)


class Prohibition(Table):
    """These sources may not serve these purposes (or families), whatever a grant says (rule 5)."""

    sources: tuple[Id, ...] = Field(min_length=1)
    purposes: tuple[Id, ...] = Field(min_length=1)
    reason: Titles


class Overlay(Named):
    """What one item of one product's data may serve: less than `source`, never more (rule 8)."""

    source: Id
    product: Text
    item: Text
    serves: tuple[Id, ...]


class Extension(Table):
    """What this revision extends to data collected under earlier ones (rule 9). `notified`: when notice was given."""

    purposes: tuple[Id, ...] = Field(min_length=1)
    sources: tuple[Id, ...] | None = Field(default=None, min_length=1)
    basis: Literal["related", "consent"]
    notified: datetime.date | None = None


class Renaming(Table):
    """A source or purpose that had another id in the revision before: it is the same one still."""

    kind: Literal["source", "purpose"]
    old: Id
    new: Id


class Kind(Table):
    """One entry of a closed list: an id and its titles."""

    id: Slug
    title: Titles


class RecipientKind(Kind):
    """A kind of recipient. `place`: whether such a one sits in the home country or abroad, where the kind says so."""

    place: Literal["home", "abroad"] | None = None


class Entrustment(Table):
    """Clause 4: to whom the handling of data is entrusted, and that it is supervised."""

    clause: Id
    recipients: tuple[RecipientKind, ...] = Field(min_length=1)
    scope: Literal["granted-purposes"]
    supervision: Literal["required", "recorded"]


class ThirdPartyProvision(Table):
    """A clause that lets data be provided to third parties, who use it for ends of their own.

    `sources` and `purposes` say which data and for what; without them, all data and whatever it may serve. Of `form`
    `aggregate` no personal data is provided: only what a declassification made of it. `countries` are those that the
    clause names, or `any` where it lets data go anywhere; without them clause 5 says where data may go.
    """

    clause: Id
    title: Titles
    recipients: tuple[RecipientKind, ...] = Field(min_length=1)
    sources: tuple[Id, ...] | None = Field(default=None, min_length=1)
    purposes: tuple[Id, ...] | None = Field(default=None, min_length=1)
    form: Literal["personal", "aggregate"] = "personal"
    countries: tuple[Country, ...] | Literal["any"] | None = Field(default=None, min_length=1)
    safeguards: Literal["required", "recorded"] = "required"


class TransferLimit(Table):
    """Narrower terms for one country: only to this recipient, for these products, for these tasks."""

    recipient: Kind
    products: Kind
    tasks: tuple[Kind, ...] = Field(min_length=1)


class TransferCountry(Table):
    """A foreign country that the notice lists."""

    code: Country
    title: Titles
    limit: TransferLimit | None = None


class Equivalence(Table):
    """Countries not listed because their protection is recognised as equivalent."""

    id: Slug
    title: Titles
    countries: tuple[Country, ...] = Field(min_length=1)


class Transfer(Table):
    """Clause 5: to which countries data may be handed. Any other is refused, or needs a safeguard of clause 6."""

    clause: Id
    home: Country
    scope: Literal["entrustment-only", "any-recipient"]
    country: tuple[TransferCountry, ...]
    equivalent: tuple[Equivalence, ...]
    otherwise: Literal["refuse", "safeguards"]


class Safeguards(Table):
    """Clause 6: what must be on record before data is handed over, and by which means it travels."""

    clause: Id
    before_transfer: Literal["required"]
    measures: tuple[Kind, ...] = Field(min_length=1)
    means: tuple[Kind, ...] = Field(min_length=1)


class Request(Kind):
    """A request that a subject may make; `effect` is what it changes."""

    effect: Literal["discloses", "amends", "stops-use", "deletes", "stops-provision"]


class Rights(Table):
    """Clause 7: who may ask for what, and within how many days it is answered."""

    clause: Id
    days: Days | None = None
    requesters: tuple[Literal["subject", "agent"], ...] = Field(min_length=1)
    request: tuple[Request, ...] = Field(min_length=1)


class Period(Table):
    """How long data of a source is kept, from its collection or from the end of use: the controller's own choice.

    Of a range, `days` is its end and `at_least` its beginning: data is kept at least so long, and never longer than
    `days`. A period of no days from the end of use means: as long as it is used.
    """

    source: Id
    days: Annotated[int, Field(ge=0, strict=True, description="a period in days")]
    from_: Literal["collection", "end-of-use"] = Field(default="end-of-use", alias="from")
    at_least: Days | None = None

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.days == 0 and self.from_ == "collection":
            raise ValueError("no data is kept for no days from its collection: give `days` above zero")
        if self.at_least is not None and self.at_least > self.days:
            raise ValueError("ends before `at_least`: `days` is the end of the range")
        return self


class Criterion(Table):
    """How long data of a source is kept where the notice gives no number: a text, which nothing can enforce."""

    source: Id
    title: Titles


class Retention(Table):
    """Clause 8: what data is kept for after the end of use, and how long where the controller has set it."""

    clause: Id
    starts: Literal["end-of-use"]
    bases: tuple[Literal["law", "granted-purposes"], ...] = Field(min_length=1)
    after: Literal["law-only"]
    period: tuple[Period, ...] = ()
    criterion: tuple[Criterion, ...] = ()


class Office(Table):
    """Who answers: at least one of e-mail, phone and address."""

    clause: Id
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

    controller: Office
    complaints: Office | None = None


class Voluntary(Table):
    """Clause 10: whether giving data is optional; what is not given is absent, which is no error."""

    clause: Id
    optional: bool = Field(strict=True)


class Changes(Table):
    """Clause 11: what a change needs before it may be relied on."""

    clause: Id
    announced_by: tuple[ChannelId | Literal["other"], ...] = Field(min_length=1)
    material: Literal["notice"]
    required_by_law: Literal["notice", "consent"]


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
    channel: tuple[Channel, ...] = ()
    source: tuple[SourceRow, ...] = Field(min_length=1)
    grant: tuple[Grant, ...] = Field(min_length=1)
    family: tuple[FamilyRow, ...] = ()
    derivation: tuple[Derivation, ...] = ()
    forbid: tuple[Prohibition, ...] = ()
    overlay: tuple[Overlay, ...] = ()
    extension: tuple[Extension, ...] = ()
    renamed: tuple[Renaming, ...] = ()
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
        return (*entrusted, *(kind for row in self.provision for kind in row.recipients))

    @property
    def purposes(self) -> tuple[PurposeRow, ...]:
        """All purposes of all grants, in the notice's order."""
        return tuple(row for grant in self.grant for row in grant.purpose)
