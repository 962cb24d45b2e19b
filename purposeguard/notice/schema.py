"""The notice file: its tables as frozen pydantic models, in the order and the words of a notice.

Nothing here judges how the tables fit together (`notice.validation` does) or decides anything. Field names are the keys
of the TOML file; where a key is a Python keyword the attribute ends in an underscore.
"""

from __future__ import annotations

import datetime
import keyword
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

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


EVERY: Final = ("*",)
"""What `sources = "any"` is held as: no id, so that code that does not expand it finds no source."""


def _unless_any(given: object, read: Callable[[object], Any]) -> Any:
    return EVERY if given == "any" else read(given)


def _any_or_ids(held: tuple[str, ...]) -> str | list[str]:
    return "any" if held == EVERY else list(held)


Id = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable_id)]
SourceIds = Annotated[
    tuple[Id, ...],
    Field(min_length=1),
    WrapValidator(_unless_any),
    PlainSerializer(_any_or_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "any"},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 100},
                    "minItems": 1,
                },
            ]
        }
    ),
]
"""Ids of sources, or all data: `"any"`."""
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
When = Annotated[tuple[Slug, ...], Field(min_length=1, description="only where all these conditions are stated")]


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


class Condition(Table):
    """A fact on which the notice makes a use depend, such as an age or a region. Code states it where it holds."""

    id: Slug
    title: Titles
    kind: Literal["age", "region", "product", "platform", "version", "other"] = "other"


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


class BasisRow(Table):
    """One of several bases of a use: of these `sources` alone (None: of all), under these conditions (`when`) alone.

    `opt_out`: it holds for subjects who are named, and did not ask for the use to stop.
    """

    basis: Basis | None = None
    sources: tuple[Id, ...] | None = Field(default=None, min_length=1)
    when: When = ()
    opt_out: bool = Field(default=False, strict=True, description="holds until the person objects, who is named")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.basis is None and not self.opt_out:
            raise ValueError("needs a `basis`, or `opt_out = true`")
        return self


def _instead_of_one(bases: tuple[BasisRow, ...], read: ValidationInfo) -> tuple[BasisRow, ...]:
    if bases and read.data.get("basis") is not None:
        raise ValueError("stands beside `basis`: write that as a row of these")
    return bases


Bases = Annotated[tuple[BasisRow, ...], Field(min_length=1), AfterValidator(_instead_of_one)]


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
    sources: SourceIds
    basis: Basis | None = None
    bases: Bases = ()
    when: When = ()
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
    """These sources may not serve these purposes (or families), whatever a grant says (rule 5).

    `unless`: save where all these conditions are stated.
    """

    sources: SourceIds
    purposes: tuple[Id, ...] = Field(min_length=1)
    reason: Titles
    unless: When = ()


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
    """Clause 5: to which countries data may be handed. Any other is refused."""

    clause: Id
    home: Country
    scope: Literal["entrustment-only"]
    country: tuple[TransferCountry, ...]
    equivalent: tuple[Equivalence, ...]
    otherwise: Literal["refuse"]


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
    """How long data of a source is kept, from its collection or from the end of use: the controller's own choice."""

    source: Id
    days: Days
    from_: Literal["collection", "end-of-use"] = Field(default="end-of-use", alias="from")


class Retention(Table):
    """Clause 8: what data is kept for after the end of use, and how long where the controller has set it."""

    clause: Id
    starts: Literal["end-of-use"]
    bases: tuple[Literal["law", "granted-purposes"], ...] = Field(min_length=1)
    after: Literal["law-only"]
    period: tuple[Period, ...] = ()


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


class Document(Table):
    """A notice file, whole. The tables follow the order of a notice's clauses."""

    format: Literal[1] = Field(description="the version of this file format")
    id: Slug
    revision: datetime.date = Field(description="the day from which this revision holds")
    timezone: TimeZone = Field(default=UTC, description="the IANA time zone in which days are counted")
    controller: Titles
    title: Titles
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
    entrustment: Entrustment | None = None
    transfer: Transfer | None = None
    safeguards: Safeguards | None = None
    rights: Rights | None = None
    retention: Retention | None = None
    contact: Contact | None = None
    voluntary: Voluntary | None = None
    changes: Changes | None = None

    @property
    def purposes(self) -> tuple[PurposeRow, ...]:
        """All purposes of all grants, in the notice's order."""
        return tuple(row for grant in self.grant for row in grant.purpose)
