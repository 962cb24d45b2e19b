"""The report as one HTML page, which needs nothing but itself. The words are in `templates/report.toml`."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from purposeguard.cli.options import needing
from purposeguard.cli.report.drawing import draw_map
from purposeguard.cli.report.facts import Facts
from purposeguard.cli.report.notice_facts import NoticeFacts
from purposeguard.cli.report.records import NONE, LedgerRecords
from purposeguard.cli.report.registers import Language, ReportRegister
from purposeguard.cli.report.relations import MapColumn, NoticeRelations
from purposeguard.cli.report.revisions import sentences
from purposeguard.notice.languages import nearest_language, title_in

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
        Problem: Jinja2 is not installed.
    """
    style, script = ((TEMPLATES / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    notice, records = facts.notice, facts.records
    document = notice.document
    relations = NoticeRelations(notice)
    own = words(language)
    rights, safeguards = document.rights, document.safeguards
    titled: dict[str, tuple[Any, ...]] = {
        "terms": (*notice.sources, *document.purposes),
        "conditions": document.condition,
        "channels": document.channel,
        "recipients": document.recipients,
        "means": () if safeguards is None else safeguards.means,
        "requests": () if rights is None else rights.request,
    }
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
            words=own,
            style=style,
            script=script,
            policy=_policy(style, script),
            titles={kind: {row.id: row.title for row in rows} for kind, rows in titled.items()},
            relations=relations,
            map=draw_map(relations, language, BADGES),
            options=_options(notice, relations, language),
            badges=BADGES,
            legend=_legend(notice),
            cards=tuple(_cards(facts)),
            contents=tuple(_contents(facts, registers)),
            changes=changes,
            restrictions={} if records is None else _restrictions(records),
            registers=tuple(map(_split_constant_columns, registers)),
        )
    )


def _policy(style: str, script: str) -> str:
    """Return the content security policy, which allows this style sheet and this script only.

    So names in the report can never run as code.
    """
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


def _options(
    notice: NoticeFacts, relations: NoticeRelations, language: Language
) -> dict[str, list[tuple[str, str, str]]]:
    """Return the lists that filter: column → key, text and language of each term."""
    terms: dict[MapColumn, list[tuple[str, str, Mapping[str, str]]]] = {
        "family": [(family.name, "", family.title) for family in notice.notice.families],
        "source": [(row.id, f"{row.id} ", row.title) for row in notice.sources],
        "purpose": [(row.id, f"{row.id} ", row.title) for row in notice.document.purposes],
    }
    return {
        column: [
            (relations.key(column, id_), f"{head}{title_in(title, language)}", nearest_language(title, language))
            for id_, head, title in rows
        ]
        for column, rows in terms.items()
    }


def _legend(notice: NoticeFacts) -> list[tuple[str, str]]:
    """Return the letters in the matrix, each with its legal basis."""
    stated = set(notice.basis.values())
    return [(letter or "●", basis or "none") for basis, letter in BADGES.items() if basis in stated]


def _cards(facts: Facts) -> Iterator[tuple[str, int, bool]]:
    """Yield the figures at the head: name, number, and whether it needs attention."""
    guard, records = facts.code.guard, facts.records
    purposes = len(facts.notice.document.purposes)
    yield "purposes", purposes, False
    yield "covered", purposes - len(facts.gaps.purposes), False
    yield "sources", len(facts.notice.sources), False
    yield "activities", len(guard.activities), False
    yield "accesses", len(guard.accesses), False
    yield "gaps", facts.gaps.count, bool(facts.gaps.count)
    if records is None:
        return
    evidence = sum((evidence for _, _, _, evidence in records.uses()), NONE)
    yield "uses", evidence.uses, False
    yield "denials", evidence.denials, bool(evidence.denials)
    yield "pending", sum(row.states.get(state, 0) for row in records.requests for state in ("open", "verified")), False
    overdue = sum(row.overdue for row in records.requests)
    yield "overdue", overdue, bool(overdue)
    due = sum(row.count + row.pending for row in records.erasable)
    yield "due", due, bool(due)


def _contents(facts: Facts, registers: Sequence[ReportRegister]) -> Iterator[tuple[str, int | None]]:
    for anchor in ("glance", "map", "matrix"):
        yield anchor, None
    yield "purposes", len(facts.notice.document.purposes)
    yield "sources", len(facts.notice.sources)
    yield "parties", None
    yield "gaps", facts.gaps.count
    yield "revisions", len(facts.steps) + 1
    yield "people", None
    if registers:
        yield "registers", len(registers)


def _split_constant_columns(register: ReportRegister) -> tuple[ReportRegister, list[tuple[str, str]]]:
    """Return a register without the columns that are the same in each row, and the cells of those columns."""
    columns = list(zip(register.columns, *register.rows, strict=True))
    # The first column names the row.
    alike = [column for column in columns[1:] if len(column) > 2 and len(set(column[1:])) == 1]
    heads, *rows = zip(*(column for column in columns if column not in alike), strict=True)
    return dataclasses.replace(register, columns=heads, rows=tuple(rows)), [column[:2] for column in alike]


def _restrictions(records: LedgerRecords) -> Mapping[tuple[str, str | None, datetime.date], int]:
    """Count the subjects of each declared restriction, by its kind, purpose (None for all) and revision."""
    counts: Counter[tuple[str, str | None, datetime.date]] = Counter()
    for figure in records.restrictions:
        for purpose in figure.purposes or (None,):
            counts[figure.kind, purpose, figure.revision] += figure.subjects
    return counts
