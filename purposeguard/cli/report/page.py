"""The report as one HTML page, which needs nothing but itself. The words are in `templates/report.toml`."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from purposeguard.cli.options import needing
from purposeguard.cli.report.drawing import Relations, drawn
from purposeguard.cli.report.facts import ActivityFact, Facts
from purposeguard.cli.report.records import NONE, Evidence, Records
from purposeguard.cli.report.registers import Language, Register
from purposeguard.cli.report.revisions import Rows
from purposeguard.notice.languages import nearest_language, title_in
from purposeguard.notice.schema import Titles
from purposeguard.runtime.site import Site

if TYPE_CHECKING:
    import datetime

    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).parent / "templates"

BADGES: Final[Mapping[str | None, str]] = {
    None: "",
    "several": "S",
    "consent": "C",
    "contract": "K",
    "law": "L",
    "legitimate-interest": "I",
    "public-task": "T",
    "vital-interest": "V",
}
"""The letters of legal bases, which are told apart without colour."""

UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Shown(NamedTuple):
    """A register as the page shows it: what is the `same` in each row (column, cell) is said once, above the table."""

    title: str
    note: str
    same: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    gaps: Sequence[str]


class Code(NamedTuple):
    """Code that has to do with a source: the `kind` of declaration, its name and place, its fields of that source."""

    kind: str
    name: str
    site: Site | None
    fields: tuple[str, ...]
    evidence: Evidence | None


class Declared(NamedTuple):
    """How many subjects have declared something for a purpose, or (None) for all."""

    kind: str
    purpose: str | None
    revision: datetime.date
    subjects: int


class _Titles(NamedTuple):
    """The titles of ids."""

    terms: Mapping[str, Titles]
    channels: Mapping[str, Titles]
    recipients: Mapping[str, Titles]
    means: Mapping[str, Titles]


@functools.cache
def words(language: Language) -> Mapping[str, str]:
    """The words of the page in a language, by their names in the template."""
    table = tomllib.loads((TEMPLATES / "report.toml").read_text("utf-8"))
    return {name: texts[language] for name, texts in table.items()}


def page(facts: Facts, language: Language, registers: Sequence[Register] = ()) -> str:
    """The report as an HTML page.

    Raises:
        Problem: Jinja2 is not installed.
    """
    style, script = ((TEMPLATES / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    notice, records = facts.notice, facts.records
    relations = Relations(notice)
    own = words(language)
    terms = {source.id: source.title for source in notice.sources}
    terms |= {purpose.id: purpose.title for purpose in notice.purposes}
    changes = [
        (step, [Rows(step.comparison, own, language).row(change) for change in step.comparison.changes])
        for step in facts.steps
    ]
    return (
        _environment()
        .get_template("report.html")
        .render(
            facts=facts,
            notice=notice,
            records=records,
            language=language,
            nearest=nearest_language,
            words=own,
            style=style,
            script=script,
            policy=_policy(style, script),
            titles=_Titles(terms, notice.channels, notice.recipients, notice.means),
            relations=relations,
            map=drawn(relations, language, BADGES),
            options=_options(facts, relations, language),
            badges=BADGES,
            legend=_legend(facts),
            cards=tuple(_cards(facts)),
            contents=tuple(_contents(facts, registers)),
            purposes_of={
                grant.clause: [purpose for purpose in notice.purposes if purpose.id in grant.purposes]
                for grant in notice.grants
            },
            activities_of=_activities_of(facts),
            code_of={source.id: tuple(_code_of(facts, source.id)) for source in notice.sources},
            changes=changes,
            restrictions=() if records is None else tuple(_declared(records)),
            registers=tuple(map(_shown, registers)),
        )
    )


def _policy(style: str, script: str) -> str:
    """Only this style sheet and this script are allowed, whatever a name in the report may contain."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "form-action 'none'; base-uri 'none'"
    )


@functools.cache
def _environment() -> Environment:
    with needing("report", "the report needs"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # needs the extra `report`
        from markupsafe import Markup, escape  # noqa: PLC0415  # comes with it

    def breakable(text: object) -> Markup:
        """A name of code, which may go on in the next line behind a dot or an underscore."""
        name = escape(_printable(text))
        for mark in "._":
            name = name.replace(mark, Markup("{}<wbr>").format(mark))
        return name

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # whatever the name of a file
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": _printable, "breakable": breakable, "moment": _moment}
    return environment


def _printable(text: object) -> str:
    """A text with U+FFFD in place of the characters that a page cannot have."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _moment(text: str) -> str:
    """A time of the ledger, to the minute."""
    return _printable(text[:16].replace("T", " "))


def _options(facts: Facts, relations: Relations, language: Language) -> dict[str, list[tuple[str, str, str]]]:
    """The lists that filter: column → key, text and language of each term."""
    notice = facts.notice

    def tag(title: Titles) -> str:
        return nearest_language(title, language)

    return {
        "family": [
            (relations.key("family", family.name), title_in(family.title, language), tag(family.title))
            for family in notice.families
        ],
        "source": [
            (relations.key("source", source.id), f"{source.id} {title_in(source.title, language)}", tag(source.title))
            for source in notice.sources
        ],
        "purpose": [
            (
                relations.key("purpose", purpose.id),
                f"{purpose.id} {title_in(purpose.title, language)}",
                tag(purpose.title),
            )
            for purpose in notice.purposes
        ],
    }


def _legend(facts: Facts) -> tuple[tuple[str, str], ...]:
    """The letters that the matrix has, each with its basis."""
    stated = {purpose.basis for purpose in facts.notice.purposes}
    return tuple((letter or "●", basis or "none") for basis, letter in BADGES.items() if basis in stated)


def _cards(facts: Facts) -> Iterator[tuple[str, int, bool]]:
    """The figures at the head: name, number, and whether it asks for somebody's attention."""
    notice, code, records = facts.notice, facts.code, facts.records
    yield "purposes", len(notice.purposes), False
    yield "covered", len(notice.purposes) - len(facts.gaps.purposes), False
    yield "sources", len(notice.sources), False
    yield "activities", len(code.activities), False
    yield "accesses", len(code.accesses), False
    yield "gaps", facts.gaps.count, bool(facts.gaps.count)
    if records is None:
        return
    evidence = sum((evidence for _, _, _, evidence in records.uses()), NONE)
    yield "uses", evidence.uses, False
    yield "denials", evidence.denials, bool(evidence.denials)
    yield "pending", sum(row.states.get(state, 0) for row in records.requests for state in ("open", "verified")), False
    overdue = sum(row.overdue for row in records.requests)
    yield "overdue", overdue, bool(overdue)
    due = sum(row.due + row.pending for row in records.erasable)
    yield "due", due, bool(due)


def _contents(facts: Facts, registers: Sequence[Register]) -> Iterator[tuple[str, int | None]]:
    for anchor in ("glance", "map", "matrix"):
        yield anchor, None
    yield "purposes", len(facts.notice.purposes)
    yield "sources", len(facts.notice.sources)
    yield "parties", None
    yield "gaps", facts.gaps.count
    yield "revisions", len(facts.steps) + 1
    yield "people", None
    if registers:
        yield "registers", len(registers)


def _shown(register: Register) -> Shown:
    columns = list(zip(register.columns, *register.rows, strict=True))
    # The first column names the row.
    alike = {
        number for number, column in enumerate(columns) if number and len(column) > 2 and len(set(column[1:])) == 1
    }
    return Shown(
        title=register.title,
        note=register.note,
        same=tuple((columns[number][0], columns[number][1]) for number in sorted(alike)),
        columns=tuple(column[0] for number, column in enumerate(columns) if number not in alike),
        rows=tuple(tuple(cell for number, cell in enumerate(row) if number not in alike) for row in register.rows),
        gaps=register.gaps,
    )


def _activities_of(facts: Facts) -> dict[str, list[ActivityFact]]:
    """Purpose → the activities that state it, or a family that it belongs to."""
    found: dict[str, list[ActivityFact]] = {purpose.id: [] for purpose in facts.notice.purposes}
    for activity in facts.code.activities:
        for purpose in activity.purposes:
            found[purpose].append(activity)
    return found


def _code_of(facts: Facts, source: str) -> Iterator[Code]:
    """What has to do with a source."""
    code = facts.code
    for access in code.accesses:
        if source in (access.sources or ()):
            yield Code("access", access.name, access.site, access.fields.get(source, ()), access.evidence)
    for kind, classes in (("class", code.classes), ("table", code.tables)):
        for fact in classes:
            if source in fact.fields:
                yield Code(kind, fact.name, None, fact.fields[source], None)
    for hand_over in code.hand_overs:
        if source in (hand_over.sources or ()):
            yield Code("hand_over", hand_over.name, hand_over.site, (), None)
    for declared in code.reclassifications:
        if source in declared.sources:
            yield Code("reclassification", declared.name, declared.site, (), None)


def _declared(records: Records) -> Iterator[Declared]:
    """What is in force, purpose by purpose."""
    counts: dict[tuple[str, str | None, datetime.date], int] = {}
    for figure in records.restrictions:
        for purpose in figure.purposes or (None,):
            key = figure.kind, purpose, figure.revision
            counts[key] = counts.get(key, 0) + figure.subjects
    return (Declared(*key, subjects) for key, subjects in counts.items())
