"""The disclosure report (clauses 7 and 9): its models, which are its JSON, and its page. `disclosure` makes it.

Clauses are named by their ids; their titles, in the language of the report, stand once, under `sources` and `purposes`.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from purposeguard.extras import Needs
from purposeguard.notice.schema import index_by_id

if TYPE_CHECKING:
    from jinja2 import Environment

Language = Literal["en", "ja"]
"""The languages of reports. Titles are in the nearest that the notice has."""

FORMAT = 1
"""The version of the report's JSON."""


class Part(BaseModel):
    """A part of the report: frozen, and it has no keys but its own."""

    # Refused values may be personal, so they are not quoted.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NoticePart(Part):
    """The revision of the notice by which the report was made."""

    id: str
    revision: datetime.date
    title: str
    controller: str
    language: str = Field(description="of the titles: that of the report, or else one that the notice has")


class ItemPart(Part):
    """One datum that is held: a field that is tagged with its sources, or sealed under them."""

    path: str = Field(
        description="the field, e.g. `email` or `orders[0].address`; `(value)` for a value without fields"
    )
    title: str | None = Field(description="what the field is called, where the application has a title for it")
    sources: tuple[str, ...] = Field(description="the clauses under which it was collected, or that it derives from")
    sealed: bool = Field(description="whether it is kept under a seal")
    held: bool = Field(description="false where there is no value: giving data is voluntary, so it may be absent")
    value: JsonValue = Field(default=None, description="the value, in a report that shows values; null in any other")
    due_on: datetime.date | None = Field(
        description="the first day on which it may be kept no longer, where it is known"
    )


class RecordPart(Part):
    """One record about the subject, with the days that the application marks in it."""

    collected: datetime.date | None
    ended: datetime.date | None = Field(description="when the subject's use ended; null while it goes on")
    items: tuple[ItemPart, ...]


class HoldingPart(Part):
    """What one part of the application holds of the subject; no records where it holds nothing."""

    name: str
    title: str | None
    records: tuple[RecordPart, ...]


class RetentionPart(Part):
    """A period for which data of a source is kept, or for which law needs it (clause 8)."""

    days: int
    counted_from: Literal["collection", "end-of-use"]


class SourcePart(Part):
    """A source of what is held."""

    id: str
    title: str
    in_force: bool = Field(description="whether the revision in force still has this clause; else nothing may use it")
    retention: tuple[RetentionPart, ...] = Field(description="the shortest first; none where none has been set")
    law: tuple[RetentionPart, ...] = Field(
        default=(), description="how long law needs it, the shortest first; none where the notice states no end"
    )


class CategoryPart(Part):
    """What data of these sources together may be used for: what the notice grants to every one of them."""

    sources: tuple[str, ...]
    purposes: tuple[str, ...]


class BasisPart(Part):
    """One of several legal bases of a purpose: of which sources (none: of all), under which conditions, by title."""

    basis: str | None
    sources: tuple[str, ...]
    when: tuple[str, ...]
    opt_out: bool


class PurposePart(Part):
    """A purpose that something held may serve, as far as the notice goes, and what the subject asked about it."""

    id: str
    title: str
    granted_by: str = Field(description="the clause that grants it")
    basis: str | None = Field(description="the legal basis that the notice states, where it states one; or `several`")
    bases: tuple[BasisPart, ...] = Field(default=(), description="where there are several; one that applies is enough")
    when: tuple[str, ...] = Field(default=(), description="the conditions without which nothing may serve it, by title")
    suspended: bool = Field(description="whether the subject's data is not used for it, as the subject asked")
    agreed: bool | None = Field(description="whether the subject agreed, where it rests on consent; null elsewhere")


class RestrictionPart(Part):
    """A restriction that the subject asked for (clause 7)."""

    kind: str = Field(description="suspension, stop-of-provision or erasure")
    title: str
    purposes: tuple[str, ...] | None = Field(description="the purposes that it is for; null: all")
    requester: str
    since: AwareDatetime
    until: AwareDatetime | None
    lifted_at: AwareDatetime | None


class ConsentPart(Part):
    """A consent that the subject gave."""

    purpose: str
    title: str
    revision: datetime.date
    given_at: AwareDatetime
    withdrawn_at: AwareDatetime | None


class ProvisionPart(Part):
    """One hand-over of the subject's data to another party (clauses 4 to 6)."""

    at: AwareDatetime
    recipient: str
    kind: str
    country: str
    country_title: str
    means: str
    purpose: str | None = Field(description="a purpose or family; null where law permitted it outside the notice")
    purpose_title: str | None
    sources: tuple[str, ...]


class RequestPart(Part):
    """A request that the subject made (clause 7). `reason` is why it was refused, where it was."""

    id: int
    kind: str
    title: str
    requester: Literal["subject", "agent"]
    purposes: tuple[str, ...] | None
    state: Literal["open", "verified", "fulfilled", "refused", "withdrawn"]
    received_on: datetime.date
    due_on: datetime.date | None
    closed_on: datetime.date | None
    reason: str | None


class RightPart(Part):
    """What the subject may ask for."""

    kind: str
    title: str


class RightsPart(Part):
    """Clause 7 of the notice: what may be asked for, by whom, and within how many days it is answered."""

    clause: str
    days: int | None
    by_agent: bool
    requests: tuple[RightPart, ...]


class ContactPart(Part):
    """Clause 9 of the notice: who answers questions, or hears complaints."""

    role: Literal["controller", "complaints"]
    clause: str
    name: str
    unit: str | None
    email: str | None
    phone: tuple[str, ...]
    address: str | None


class Disclosure(Part):
    """What is held of one subject, under which clause, for which purposes, and to whom it was provided."""

    format: Literal[1] = Field(default=1, description="the version of this format")
    language: Language = Field(description="of the words, and of titles where the notice has them in it")
    made_at: AwareDatetime = Field(description="in the notice's time zone, as all moments and days of the report are")
    time_zone: str
    subject: str = Field(description="the application's id of the person")
    request: int | None = Field(description="the request that it answers, by number")
    values_shown: bool
    notice: NoticePart
    holdings: tuple[HoldingPart, ...] = Field(description="in the order in which the application registered them")
    sources: tuple[SourcePart, ...] = Field(description="all that `holdings` name, in the notice's order")
    categories: tuple[CategoryPart, ...] = Field(description="one for each set of sources that an item has")
    purposes: tuple[PurposePart, ...] = Field(description="all that `categories` name, in the notice's order")
    restrictions: tuple[RestrictionPart, ...] = Field(description="from the first to the last, lifted ones included")
    consents: tuple[ConsentPart, ...] = Field(description="from the first to the last, withdrawn ones included")
    provisions: tuple[ProvisionPart, ...] = Field(description="from the first to the last")
    requests: tuple[RequestPart, ...] = Field(description="from the first to the last")
    rights: RightsPart | None = Field(description="null where the notice has no such clause")
    contacts: tuple[ContactPart, ...]

    def to_json(self) -> str:
        """Return the report as JSON."""
        return self.model_dump_json(indent=2) + "\n"

    def to_html(self) -> str:
        """Return the report as one HTML page that prints on A4, without scripts or external resources."""
        return _render_page(self)


# ---- The page -----------------------------------------------------------------------------------------------------

TEMPLATES: Final = Path(__file__).parent / "templates"


@functools.cache
def load_words(language: Language, table: Path = TEMPLATES / "disclosure.toml") -> Mapping[str, str]:
    """Return the words of pages in a language, by the names that the templates use."""
    return {name: texts[language] for name, texts in tomllib.loads(table.read_text("utf-8")).items()}


def make_security_policy(style: str) -> str:
    """Return the content security policy of a page with this style sheet, without scripts and external resources."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action "


@functools.cache
def load_style_sheet() -> str:
    """Return the style sheet of the page."""
    return (TEMPLATES / "disclosure.css").read_text("utf-8")


def _render_page(report: Disclosure) -> str:
    return make_environment().get_template("disclosure.html").render(make_template_context(report, load_style_sheet()))


def make_template_context(report: Disclosure, style: str) -> dict[str, Any]:
    """Return the variables of the page's template."""
    grouped: dict[tuple[str, ...], list[CategoryPart]] = {}  # categories with the same purposes share a table
    for category in report.categories:
        grouped.setdefault(category.purposes, []).append(category)
    return {
        "report": report,
        "words": load_words(report.language),
        "style": style,
        "policy": make_security_policy(style)
        + "'none'",  # only this style sheet, whatever a value of the report may contain
        "purposes": index_by_id(report.purposes),
        "sources": index_by_id(report.sources),
        "grouped": tuple(grouped.items()),
    }


@functools.cache
def make_environment() -> Environment:
    """Return Jinja's environment for the page's template.

    Values are escaped, and an undefined name is an error.
    """
    with Needs(__name__, "governance"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # JSON does not need it

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # whatever the name of a file
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": replace_unprintable, "value": _format_value, "texts": _format_lines}
    tests: dict[str, Any] = environment.tests
    tests["nested"] = _is_nested
    return environment


def replace_unprintable(text: object) -> str:
    """Return a text with \ufffd in place of characters that a page cannot contain."""
    return "".join(map(_replace_unprintable_character, str(text)))


def _replace_unprintable_character(char: str) -> str:
    is_printable = char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"}
    return char if is_printable else "\N{REPLACEMENT CHARACTER}"


def _format_value(value: Any) -> str:
    """Return the value of an item, on one or several lines."""
    return replace_unprintable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))


def _is_nested(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple))


def _format_lines(value: Any) -> list[str] | None:
    """Return the lines of a list of plain values; None for anything else."""
    if not isinstance(value, (list, tuple)) or any(map(_is_nested, value)):
        return None
    return list(map(_format_value, value))
