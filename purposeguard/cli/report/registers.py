"""The registers that a controller must keep by law, as far as a notice and an application's declarations fill them.

Records of processing activities (GDPR, Article 30(1)), a row for each purpose; and the Japanese register of personal
data, a row for each kind of data. Nothing is made up: what neither states is marked in its cell, and listed as a gap
with what to write there. A cell may have several lines.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from purposeguard.cli.application import clauses_of
from purposeguard.guard import Guard
from purposeguard.notice.bases import collect_bases
from purposeguard.notice.grants import LegalGrounds
from purposeguard.notice.label import Label
from purposeguard.notice.languages import title_in
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import (
    BasisRow,
    ContactPoint,
    Derivation,
    Overlay,
    PurposeRow,
    SourceRow,
    Transfer,
    TransferLimit,
    index_by_id,
)
from purposeguard.notice.texts import Titles
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.policy.explanation import is_about_the_subject

Language = Literal["en", "ja"]
Data = SourceRow | Overlay | Derivation
Row = TypeVar("Row")
Columns = Mapping[str, Callable[[Row], str]]
"""Column → its entry in a row; `registers.toml` has the heading."""

WORDS: Final = Path(__file__).parent / "templates" / "registers.toml"


@dataclass(frozen=True, slots=True)
class ReportRegister:
    """A table for a person to read and to complete."""

    key: str
    """A short name without blanks."""
    title: str
    note: str
    columns: tuple[str, ...]
    """The headings; in the records of the GDPR each begins with its letter of Article 30(1)."""
    rows: tuple[tuple[str, ...], ...]
    """The rows, each with a cell for each column."""
    gaps: tuple[str, ...]
    """What to write into each column that has cells with the mark `absent`."""
    absent: str
    """The mark of what is not stated."""


def registers(guard: Guard, language: Language = "en") -> tuple[ReportRegister, ...]:
    """Return the registers of a guard's notice, with what the application's code declares."""
    entries = _RegisterEntries(guard, language)
    return entries.processing_activities(), entries.personal_data()


@functools.cache
def _words() -> Mapping[str, Any]:
    return tomllib.loads(WORDS.read_text("utf-8"))


class _RegisterEntries:
    """What stands in the cells."""

    def __init__(self, guard: Guard, language: Language) -> None:
        self._notice = guard.notice
        document = guard.notice.document
        self._document = document
        self._language: Language = language
        self._guard = guard
        self._bases = collect_bases(document)
        self._when = LegalGrounds(document).when
        self._periods = Periods(document)
        self._absent = self._word("absent")
        self._parents = {row.id: row.parent for row in document.source}
        """The clause that a source is an item of, if any, by the id of the source."""
        self._data = index_by_id(self._kinds_of_data())
        """The kinds of data by their ids."""
        self._served = frozenset(self._find_permitted_pairs())
        """The pairs of sources and purposes that the notice permits."""

    def _kinds_of_data(self) -> Iterator[Data]:
        """Yield the kinds of data. A clause stands for its items, and is none of its own."""
        clauses = set(self._parents.values())
        for row in self._document.source:
            if row.id not in clauses:
                yield row
        yield from self._document.overlay
        yield from self._document.derivation

    def _find_permitted_pairs(self) -> Iterator[tuple[str, str]]:
        guard = Guard(self._notice)
        for source in self._notice.sources:
            for purpose in self._notice.purposes:
                decision = guard.explain(source, purpose, conditions=self._notice.conditions)
                # What rests on consent is used for the data of subjects who gave it.
                if decision.allowed or is_about_the_subject(decision):
                    yield source.clause, purpose.clause

    # ---- Words -------------------------------------------------------------------------------------------------------

    def _word(self, name: str, **facts: object) -> str:
        word: str = _words()[name][self._language]
        return word.format(**facts)

    def _title(self, titles: Titles) -> str:
        return title_in(titles, self._language)

    def _format_term(self, row: Data | PurposeRow) -> str:
        return f"{row.id} {self._title(row.title)}"

    def _join_by_colon(self, head: str, text: str) -> str:
        return self._word("said", what=head, of=text)

    def _bracket(self, text: str, bracketed: str) -> str:
        return self._word("bracket", what=text, of=bracketed)

    def _comma(self, parts: Iterable[str]) -> str:
        return self._word("comma").join(parts)

    def _format_stated(self, lines: Iterable[str]) -> str:
        return "\n".join(lines) or self._absent

    def _format_list(self, lines: Iterable[str], otherwise: str = "nothing") -> str:
        return "\n".join(lines) or self._word(otherwise)

    def _format_unstated(self, _: object) -> str:
        """Return the placeholder for a column that neither notice nor code can fill."""
        return self._absent

    def _register(self, key: str, columns: Columns[Row], items: Iterable[Row]) -> ReportRegister:
        """Return a register with a row for each item."""
        words, document, language = _words()[key], self._document, self._language
        rows = tuple(tuple(entry(item) for entry in columns.values()) for item in items)
        headings: list[str] = []
        gaps: list[str] = []
        for position, name in enumerate(columns):
            heading: str = words[name]["heading"][language]
            headings.append(heading)
            if any(self._absent in row[position] for row in rows):
                gaps.append(self._join_by_colon(heading, words[name]["fill"][language]))
        head = self._word(
            "head",
            controller=self._title(document.controller),
            title=self._title(document.title),
            revision=document.revision,
        )
        return ReportRegister(
            key,
            words["title"][language],
            f"{head} {words['note'][language]}",
            tuple(headings),
            rows,
            tuple(gaps),
            self._absent,
        )

    # ---- GDPR, Article 30(1) -----------------------------------------------------------------------------------------

    def processing_activities(self) -> ReportRegister:
        """Return a row for each purpose."""
        columns: dict[str, Callable[[PurposeRow], str]] = {
            "purpose": self._format_term,
            "controller": self._controller,
            "others": self._format_unstated,
            "subjects": self._format_unstated,
            "data": self._data_for,
            "recipients": lambda _: self._format_stated(self._recipients()),
            "transfers": self._transfers,
            "kept": lambda row: self._describe_retention(self._of(row)),
            "security": self._format_unstated,
            "basis": lambda row: self._basis(row.id),
            "activities": self._activities,
        }
        return self._register("gdpr-30", columns, self._document.purposes)

    def _controller(self, _: PurposeRow) -> str:
        contact = self._document.contact
        controller = self._title(self._document.controller)
        texts = [self._absent] if contact is None else self._list_contact_texts(contact.controller)
        return self._format_stated([controller, *texts])

    def _list_contact_texts(self, point: ContactPoint) -> Iterator[str]:
        name = self._title(point.name)
        if name != self._title(self._document.controller):
            yield name
        for titles in (point.unit, point.address):
            if titles is not None:
                yield self._title(titles)
        if point.email is not None:
            yield point.email
        yield from point.phone

    def _data_for(self, row: PurposeRow) -> str:
        return self._format_list((self._format_term(self._data[source]) for source in self._of(row)), "no_data")

    def _of(self, row: PurposeRow) -> list[str]:
        """Return the kinds of data that may serve a purpose."""
        return [source for source in self._data if (source, row.id) in self._served]

    def _basis(self, purpose: str) -> str:
        return "; ".join(map(self._describe_basis, self._bases[purpose])) + self._where(self._when[purpose])

    def _describe_basis(self, row: BasisRow) -> str:
        text: str = self._absent if row.basis is None else _words()["bases"][row.basis][self._language]
        if row.sources:
            text += f" ({self._comma(row.sources)})"
        text += self._where(row.when)
        if row.opt_out:
            text += f" {self._word('opt_out')}"
        return text

    def _where(self, conditions: Iterable[str]) -> str:
        titles = [self._title(row.title) for row in self._document.condition if row.id in conditions]
        return f" {self._word('only_where', conditions=self._comma(titles))}" if titles else ""

    def _activities(self, row: PurposeRow) -> str:
        """Return the activities of a purpose, and of the families that it belongs to, each name once."""
        names: dict[str, None] = {}
        for activity in self._guard.activities:
            if row.id in clauses_of(activity.purpose):
                names[activity.name] = None
        return self._format_list(names)

    # ---- The Japanese register ---------------------------------------------------------------------------------------

    def personal_data(self) -> ReportRegister:
        """Return a row for each kind of data."""
        columns: dict[str, Callable[[Data], str]] = {
            "data": self._format_term,
            "acquired": self._describe_acquisition,
            "purposes": lambda row: self._format_list(map(self._format_term, self._serves(row)), "no_purpose"),
            "bases": self._bases_of,
            "database": self._database,
            "responsible": self._format_unstated,
            "access": self._format_unstated,
            "recipients": lambda row: self._format_stated([*self._recipients(), *self._hand_overs(row)]),
            "transfers": self._transfers,
            "kept": lambda row: self._describe_retention([row.id]),
            "deletion": self._format_unstated,
            "functions": self._functions,
        }
        return self._register("jp-register", columns, self._data.values())

    def _describe_acquisition(self, row: Data) -> str:
        if isinstance(row, Overlay):
            return self._word("part", product=row.product, item=row.item, source=row.source)
        if isinstance(row, Derivation):
            return self._word("derived", first=self._comma(row.from_), second=self._comma(row.with_))
        return self._word("automatic") if row.automatic else self._absent

    def _serves(self, row: Data) -> list[PurposeRow]:
        return [purpose for purpose in self._document.purposes if (row.id, purpose.id) in self._served]

    def _bases_of(self, row: Data) -> str:
        purposes_of: dict[str, list[str]] = {}
        for purpose in self._serves(row):
            purposes_of.setdefault(self._basis(purpose.id), []).append(purpose.id)
        if [*purposes_of] == [self._absent]:
            return self._absent
        return self._format_list(map(self._join_by_colon, purposes_of, map(self._comma, purposes_of.values())))

    def _database(self, row: Data) -> str:
        return self._format_stated(self._tables_with(row))

    def _tables_with(self, row: Data) -> Iterator[str]:
        """Yield the tables that have data of this kind, each with its columns."""
        for table in self._guard.tables:
            columns = [column for column, label in table.columns if self._concerns(label, row)]
            if columns:
                yield self._join_by_colon(table.name, self._comma(columns))

    def _functions(self, row: Data) -> str:
        return self._format_list(self._accesses_to(row))

    def _accesses_to(self, row: Data) -> Iterator[str]:
        """Yield the access functions that read data of this kind."""
        for access in self._guard.accesses:
            if any(self._concerns(label, row) for label in (access.label, *access.sealed.values())):
                yield access.name

    def _hand_overs(self, row: Data) -> Iterator[str]:
        for hand_over in self._guard.entrustments:
            if self._concerns(hand_over.label, row):
                recipient, who = hand_over.recipient, hand_over.recipient_id
                if not isinstance(recipient, str):
                    who = self._bracket(recipient.name or recipient.id, recipient.country)
                yield self._join_by_colon(who, hand_over.name)

    def _concerns(self, label: Label | None, row: Data) -> bool:
        """Return True if data with this label may be of this kind.

        Its label names the kind's clause, or a clause that has it as an item.
        """
        if label is None:
            return False
        clauses = {row.id}
        above = self._parents.get(row.id)
        while above is not None:
            clauses.add(above)
            above = self._parents[above]
        return not clauses.isdisjoint(list_term_ids(label))

    # ---- In both -----------------------------------------------------------------------------------------------------

    def _recipients(self) -> Iterator[str]:
        for kind in self._document.recipients:
            yield self._title(kind.title)

    def _transfers(self, _: object) -> str:
        transfer, safeguards = self._document.transfer, self._document.safeguards
        lines = [self._absent] if transfer is None else list(self._countries(transfer))
        if safeguards is not None:
            measures = self._comma(self._title(measure.title) for measure in safeguards.measures)
            lines.append(self._join_by_colon(self._word("safeguards", clause=safeguards.clause), measures))
        elif transfer is not None:
            lines.append(self._absent)
        return "\n".join(lines)

    def _countries(self, transfer: Transfer) -> Iterator[str]:
        """Yield the countries to which data may be handed, those without further terms first."""
        unlimited: list[str] = []
        limited: list[str] = []
        for row in transfer.country:
            country = self._bracket(self._title(row.title), row.code)
            if row.limit is None:
                unlimited.append(country)
            else:
                limited.append(self._limit(country, row.limit))
        if unlimited:
            yield self._comma(unlimited)
        yield from limited
        for equivalent in transfer.equivalent:
            yield self._join_by_colon(self._title(equivalent.title), self._comma(equivalent.countries))
        yield self._word("otherwise", clause=transfer.clause)

    def _limit(self, country: str, limit: TransferLimit) -> str:
        return self._word(
            "limit",
            country=country,
            recipient=self._title(limit.recipient.title),
            products=self._title(limit.products.title),
            tasks=self._comma(self._title(task.title) for task in limit.tasks),
        )

    def _describe_retention(self, sources: Sequence[str]) -> str:
        """Return the retention periods of each kind of data, or what the notice says instead."""
        lines: list[str] = []
        without: list[str] = []
        for source in sources:
            periods = self._periods.of(source)
            if not periods:
                without.append(source)
            lines += (self._word(period.from_, source=source, days=period.days) for period in periods)
        for source in sources:
            for legal_period in self._periods.of_law(source):
                lines.append(self._word(f"law-{legal_period.from_}", source=source, days=legal_period.days))
        if without:
            lines.append(self._join_by_colon(self._comma(without), self._absent) if lines else self._absent)
            if (retention := self._document.retention) is not None:
                lines.append(self._word("kept", clause=retention.clause))
        return self._format_list(lines)
