"""The notice file: its tables as frozen pydantic models, in the order and the words of a notice.

Nothing here judges how the tables fit together (`notice.validation` does) or decides anything. Field names are the keys
of the TOML file; where a key is a Python keyword the attribute ends in an underscore.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    RootModel,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from purposeguard.notice.languages import is_well_formed
from purposeguard.notice.timezones import UTC, is_known
from purposeguard.notice.vocabulary import fold, make_slug

FORMAT = 1
"""The version of the file format that this library reads."""


ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""Text without line breaks and control characters."""

LINES = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
"""Text that may have several lines, without other control characters."""


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


def _language(tag: str) -> str:
    if not is_well_formed(tag):
        raise ValueError("is no language tag: write one of BCP 47, e.g. `en`, `pt-BR`, `zh-Hant`")
    return tag


def _check_file_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or set(name) & {"\\", ":"}:
        raise ValueError("is no file beside the notice: write a path below its folder, e.g. `texts/notice.en.txt`")
    return name


def _email(text: str) -> str:
    if "@" not in text.strip("@"):
        raise ValueError("is no e-mail address")
    return text


def _time_zone(text: str) -> str:
    if not is_known(text):
        raise ValueError(f"unknown time zone `{text}`")
    return text


EVERY: Final = ("*",)
"""What `sources = "any"` is held as: no id, so that code that does not expand it finds no source."""


def _unless_any(given: object, read: Callable[[object], Any]) -> Any:
    return EVERY if given == "any" else read(given)


def _any_or_ids(held: tuple[str, ...]) -> str | list[str]:
    return "any" if held == EVERY else list(held)


@dataclasses.dataclass(frozen=True, slots=True)
class Refers:
    """What the ids in a field name; of a renaming its `kind` says it."""

    kind: Literal["source", "purpose", "purpose or family", "channel", "condition", "source or purpose"]


Id = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable_id)]
SourceId = Annotated[Id, Refers("source")]
SourceIds = Annotated[tuple[Id, ...], Field(min_length=1), Refers("source")]
SomeSources = Annotated[tuple[Id, ...] | None, Refers("source")]
PurposeIds = Annotated[tuple[Id, ...], Refers("purpose")]
PurposesOrFamilies = Annotated[tuple[Id, ...], Field(min_length=1), Refers("purpose or family")]
AnySourceIds = Annotated[
    tuple[Id, ...],
    Field(min_length=1),
    Refers("source"),
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
When = Annotated[
    tuple[Slug, ...],
    Field(min_length=1, description="only where all these conditions are stated"),
    Refers("condition"),
]
SomeChannels = Annotated[tuple[ChannelId, ...] | None, Refers("channel")]


V = TypeVar("V")
Language = Annotated[str, Field(max_length=100), AfterValidator(_language)]


class ByLanguage(RootModel[dict[Language, V]], Mapping[str, V], Generic[V]):
    """Something in one language or more, by their tags (BCP 47); the first where no other is asked for."""

    model_config = ConfigDict(frozen=True)

    root: Annotated[dict[Language, V], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        tags = sorted(self.root, key=str.casefold)
        for tag, other in itertools.pairwise(tags):
            if tag.casefold() == other.casefold():
                raise ValueError(f"names the language `{tag}` a second time, as `{other}`")
        return self

    def begin_with(self, tag: str) -> None:
        """Put a language first, if there is one. Equality and hash do not change."""
        if tag in self.root:
            others = {other: value for other, value in self.root.items() if other != tag}
            first = self.root[tag]
            self.root.clear()
            self.root.update({tag: first, **others})

    def __getitem__(self, tag: str) -> V:
        return self.root[tag]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # as a mapping, not as a model
        return iter(self.root)

    def __len__(self) -> int:
        return len(self.root)

    def __hash__(self) -> int:
        return hash(frozenset(self.root.items()))


class Titles(ByLanguage[Text]):
    """A short title in the file author's own words, by language."""


class Passage(Table):
    """The published words of a row: themselves, or the place where a file beside the notice has them.

    `lines`: lines of the file, `12` or `12-18`. Or `from` and `to`: the passage from some words, which the file has
    once, to the end of some others; without `to` to the end of the paragraph. `sha256` is that of the words in a file:
    who reads the file fills it in, or holds the words to the one that the notice states.
    """

    words: Annotated[str, Field(min_length=1, pattern=LINES)] | None = None
    file: (
        Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE), AfterValidator(_check_file_name)] | None
    ) = None
    lines: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}(-[1-9][0-9]{0,6})?$")] | None = None
    from_: Text | None = Field(default=None, alias="from")
    to: Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.words is not None:
            if self.model_fields_set != {"words"}:
                raise ValueError("needs either `words` or a `file`")
            if not self.words.strip():
                raise ValueError("is blank")
        elif self.file is None or (self.lines is None) == (self.from_ is None) or (self.to and not self.from_):
            raise ValueError('needs words in quotes, or a `file` with `lines` ("12-18") or with `from` and `to`')
        elif self.sha256 is None:
            raise ValueError(
                f"is in the file `{self.file}`, and none is beside this notice: read it with `Notice.load(path)`, or "
                "state the `sha256` of the words"
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.words is None else self.words

    @property
    def place(self) -> str:
        """Where a file has the words: `notice.en.txt, lines 12-18`."""
        if self.lines is not None:
            return f"{self.file}, line{'s' if '-' in self.lines else ''} {self.lines}"
        return f"{self.file}, from “{self.from_}”"


def _from_words(given: object) -> object:
    return {"words": given} if isinstance(given, str) else given


class _OrWords:
    """In the JSON Schema: words in quotes, or a place."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class Texts(ByLanguage[Annotated[Passage, BeforeValidator(_from_words), _OrWords]]):
    """What the notice itself says in a row, word by word, by language."""


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


class Request(Kind):
    """A request that a subject may make; `effect` is what it changes."""

    effect: Literal["discloses", "amends", "stops-use", "deletes", "stops-provision"]


class Rights(Table):
    """Clause 7: who may ask for what, and within how many days it is answered."""

    clause: Id
    text: Texts | None = None
    days: Days | None = None
    requesters: tuple[Literal["subject", "agent"], ...] = Field(min_length=1)
    request: tuple[Request, ...] = Field(min_length=1)


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


class Office(Table):
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

    controller: Office
    complaints: Office | None = None


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
        return (*entrusted, *(kind for row in self.provision for kind in row.recipients))

    @model_validator(mode="after")
    def _own_language_first(self) -> Self:
        """Read all titles in the notice's first language where a language is requested that they do not have."""
        for texts in iter_texts_by_language(self):
            texts.begin_with(next(iter(self.title)))
        return self

    def members_of(self, purposes: Iterable[str]) -> dict[str, None]:
        """Return the ids of these purposes and of the members of these families, each once."""
        members = {row.class_: row.purposes for row in self.family}
        return dict.fromkeys(id_ for purpose in purposes for id_ in members.get(purpose, (purpose,)))

    def iter_grants(self) -> Iterator[tuple[Grant, PurposeRow]]:
        """Iterate over all purposes of all grants, each with its grant, in the notice's order."""
        for grant in self.grant:
            for purpose in grant.purpose:
                yield grant, purpose

    @property
    def purposes(self) -> tuple[PurposeRow, ...]:
        """All purposes of all grants, in the notice's order."""
        return tuple(purpose for _, purpose in self.iter_grants())


@functools.cache
def reference_fields(model: type[Table]) -> Mapping[str, Refers]:
    """Return the fields of a table that refer to other rows, with what they refer to."""
    return {
        name: mark for name, field in model.model_fields.items() for mark in field.metadata if isinstance(mark, Refers)
    }


def iter_texts_by_language(table: Table) -> Iterator[ByLanguage[Any]]:
    """Yield the titles and texts of a table and of all tables in it, in the order of the file."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ByLanguage):
                yield part
            elif isinstance(part, Table):
                yield from iter_texts_by_language(part)


ALONE: Final = MappingProxyType({basis: (BasisRow.model_construct(basis=basis),) for basis in (*get_args(Basis), None)})
"""A basis that a notice states by `basis`, or none, as the one row that it comes down to."""


def resolve_basis_rows(grant: Grant, purpose: PurposeRow) -> tuple[BasisRow, ...]:
    """Return the bases of a purpose: its own, or else those of its grant.

    If the notice states none, the result is one row without a basis.
    """
    row = purpose if purpose.bases or purpose.basis is not None else grant
    return row.bases or ALONE[row.basis]


def bases_by_purpose(document: Document) -> dict[str, tuple[BasisRow, ...]]:
    """Return the bases of each purpose, by its id. One of them that applies is enough."""
    return {row.id: resolve_basis_rows(grant, row) for grant in document.grant for row in grant.purpose}


def bases(document: Document) -> dict[str, Basis | Literal["several"] | None]:
    """Return the basis of each purpose, by its id.

    `several` stands for a purpose whose basis is not the same for all data; None for one whose basis is not stated.
    """
    return {
        purpose: rows[0].basis if rows == ALONE[rows[0].basis] else "several"
        for purpose, rows in bases_by_purpose(document).items()
    }
