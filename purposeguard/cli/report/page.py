"""The report as one HTML page, which needs nothing but itself. The words are in `templates/report.toml`."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from purposeguard.cli.options import needing
from purposeguard.cli.report.drawing import draw_map
from purposeguard.cli.report.facts import Facts
from purposeguard.cli.report.notice_facts import NoticeFacts
from purposeguard.cli.report.observations import MAX_ENTRY_POINTS, MAX_FIELDS, MAX_UNRESOLVED
from purposeguard.cli.report.records import NONE, LedgerRecords
from purposeguard.cli.report.registers import Language, ReportRegister
from purposeguard.cli.report.relations import MapColumn, NoticeRelations
from purposeguard.cli.report.revisions import sentences
from purposeguard.notice.languages import nearest_language, title_in
from purposeguard.notice.texts import Titles

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
"""Letters for legal bases, which can be distinguished without colour."""

UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@functools.cache
def words(language: Language) -> Mapping[str, str]:
    """Return the words of the page in a language, by their names in the template."""
    table = tomllib.loads((TEMPLATES / "report.toml").read_text("utf-8"))
    return {name: texts[language] for name, texts in table.items()}


def page(facts: Facts, language: Language, registers: Sequence[ReportRegister] = ()) -> str:
    """Return the report as an HTML page.

    Raises:
        CommandProblem: Jinja2 is not installed.
    """
    style = (TEMPLATES / "report.css").read_text("utf-8")
    script = (TEMPLATES / "report.js").read_text("utf-8")
    notice, records = facts.notice, facts.records
    document = notice.document
    relations = NoticeRelations(notice)
    changes = [(step, sentences(step.comparison, language)) for step in facts.steps]
    return (
        _environment()
        .get_template("report.html")
        .render(
            facts=facts,
            notice=notice,
            document=document,
            records=records,
            language=language,
            nearest=nearest_language,
            words=words(language),
            style=style,
            script=script,
            policy=_policy(style, script),
            titles=_titles(notice),
            most={"entry_points": MAX_ENTRY_POINTS, "fields": MAX_FIELDS, "unresolved": MAX_UNRESOLVED},
            relations=relations,
            map=draw_map(relations, language, BADGES),
            options=_options(notice, relations, language),
            badges=BADGES,
            legend=list(_legend(notice)),
            cards=tuple(_cards(facts)),
            contents=tuple(_contents(facts, registers)),
            changes=changes,
            restrictions={} if records is None else _restrictions(records),
            registers=tuple(map(_split_constant_columns, registers)),
        )
    )


def _titles(notice: NoticeFacts) -> dict[str, dict[str, Titles]]:
    """Return the titles of rows by their ids, for each kind of row."""
    document = notice.document
    rights, safeguards = document.rights, document.safeguards
    return {
        "terms": _titles_by_id((*notice.sources, *document.purposes)),
        "conditions": _titles_by_id(document.condition),
        "channels": _titles_by_id(document.channel),
        "recipients": _titles_by_id(document.recipients),
        "means": _titles_by_id(() if safeguards is None else safeguards.means),
        "requests": _titles_by_id(() if rights is None else rights.request),
    }


def _titles_by_id(rows: Iterable[Any]) -> dict[str, Titles]:
    return {row.id: row.title for row in rows}


def _policy(style: str, script: str) -> str:
    """Return the content security policy, which allows this style sheet and this script only.

    So names in the report can never run as code.
    """
    return (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        "form-action 'none'; base-uri 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def _environment() -> Environment:
    with needing("report", "the report needs"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # needs the extra `report`
        from markupsafe import Markup, escape  # noqa: PLC0415  # comes with it

    def breakable(text: object) -> Markup:
        """Return a name of code, which may go on in the next line behind a dot or an underscore."""
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
    """Return a text with U+FFFD in place of the characters that a page cannot have."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _moment(text: str) -> str:
    """Return a time of the ledger, to the minute."""
    return _printable(text[:16].replace("T", " "))


class _Option(NamedTuple):
    """An item of a list that filters: the key of a term, its text and the language of the text."""

    key: str
    text: str
    language: str


def _options(notice: NoticeFacts, relations: NoticeRelations, language: Language) -> dict[str, list[_Option]]:
    """Return the lists that filter, by column."""
    options: dict[str, list[_Option]] = {"family": [], "source": [], "purpose": []}

    def add(column: MapColumn, id_: str, head: str, title: Mapping[str, str]) -> None:
        text = f"{head}{title_in(title, language)}"
        options[column].append(_Option(relations.key(column, id_), text, nearest_language(title, language)))

    for family in notice.notice.families:
        add("family", family.name, "", family.title)
    for source in notice.sources:
        add("source", source.id, f"{source.id} ", source.title)
    for purpose in notice.document.purposes:
        add("purpose", purpose.id, f"{purpose.id} ", purpose.title)
    return options


def _legend(notice: NoticeFacts) -> Iterator[tuple[str, str]]:
    """Yield the letters in the matrix, each with its legal basis."""
    stated = set(notice.basis.values())
    for basis, letter in BADGES.items():
        if basis in stated:
            yield letter or "●", basis or "none"


def _cards(facts: Facts) -> Iterator[tuple[str, int, bool]]:
    """Yield the figures at the head: name, number, and whether it needs attention."""
    guard, records, observations = facts.code.guard, facts.records, facts.observations
    purposes = len(facts.notice.document.purposes)
    yield "purposes", purposes, False
    yield "covered", purposes - len(facts.gaps.purposes), False
    yield "sources", len(facts.notice.sources), False
    yield "activities", len(guard.activities), False
    yield "accesses", len(guard.accesses), False
    yield "gaps", facts.gaps.count, bool(facts.gaps.count)
    if observations is not None:
        yield "violating", observations.violating, bool(observations.violating)
    if records is None:
        return
    evidence = NONE
    for _, _, _, recorded in records.uses():
        evidence += recorded
    yield "uses", evidence.uses, False
    yield "denials", evidence.denials, bool(evidence.denials)
    pending = overdue = due = 0
    for figures in records.requests:
        pending += figures.states.get("open", 0) + figures.states.get("verified", 0)
        overdue += figures.overdue
    for part in records.erasable:
        due += part.count + part.pending
    yield "pending", pending, False
    yield "overdue", overdue, bool(overdue)
    yield "due", due, bool(due)


def _contents(facts: Facts, registers: Sequence[ReportRegister]) -> Iterator[tuple[str, int | None]]:
    for anchor in ("glance", "map", "matrix"):
        yield anchor, None
    yield "purposes", len(facts.notice.document.purposes)
    yield "sources", len(facts.notice.sources)
    yield "parties", None
    if facts.observations is not None:
        yield "observed", len(facts.observations.entry_points)
    yield "gaps", facts.gaps.count
    yield "revisions", len(facts.steps) + 1
    yield "people", None
    if registers:
        yield "registers", len(registers)


def _split_constant_columns(register: ReportRegister) -> tuple[ReportRegister, list[tuple[str, str]]]:
    """Return a register without the columns that are the same in each row, and the cells of those columns."""
    shown: list[tuple[str, ...]] = []
    constant: list[tuple[str, str]] = []
    for number, (heading, *cells) in enumerate(zip(register.columns, *register.rows, strict=True)):
        if number and len(cells) > 1 and len(set(cells)) == 1:  # The first column names the row.
            constant.append((heading, cells[0]))
        else:
            shown.append((heading, *cells))
    headings, *rows = zip(*shown, strict=True)
    return dataclasses.replace(register, columns=headings, rows=tuple(rows)), constant


def _restrictions(records: LedgerRecords) -> Mapping[tuple[str, str | None, datetime.date], int]:
    """Count the subjects of each declared restriction, by its kind, purpose (None for all) and revision."""
    counts: Counter[tuple[str, str | None, datetime.date]] = Counter()
    for figure in records.restrictions:
        for purpose in figure.purposes or (None,):
            counts[figure.kind, purpose, figure.revision] += figure.subjects
    return counts
