"""The table of a notice as a report: which source may serve which purpose or family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.diff_words import BASES
from purposeguard.cli.render import CONDITIONS, CONSENT, FORBIDDEN, OPT_OUT, Cell, Report
from purposeguard.guard import Guard
from purposeguard.notice.bases import collect_bases, describe_bases
from purposeguard.notice.grants import source_rows
from purposeguard.notice.languages import title_in
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import BasisRow, Channels, index_by_id
from purposeguard.notice.vocabulary import Family, Purpose, Source, list_members, list_term_ids
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, is_about_the_subject


def matrix_report(
    notice: Notice, channel: str | None, language: str, stated: Sequence[str] = (), *, texts: bool = False
) -> Report:
    """Return the report of which source may serve which purpose or family.

    What rests on consent is granted for the data of subjects who gave it: `consent` stands there; `opt-out` where it is
    granted until they object; `conditions` where more than what is `stated` must hold; `forbidden` where a prohibition
    denies what may be granted elsewhere.

    Args:
        notice: The notice.
        channel: The channel by which a person is contacted, if any.
        language: The language of titles and of the notice's own words.
        stated: The conditions that hold.
        texts: Show the notice's own words in the table, too.

    Raises:
        UnknownChannel, UnknownCondition: the notice names no such channel or condition.
    """
    channel = None if channel is None else notice.channel(channel)
    return _MatrixReport(notice, channel, language, stated, texts).make()


class _MatrixRow(NamedTuple):
    """A purpose or family with its marks, by the ids of the sources."""

    term: Any
    marks: dict[str, Cell]


class _MatrixReport:
    """The columns of the report, and the functions that fill them."""

    def __init__(
        self, notice: Notice, channel: str | None, language: str, conditions: Sequence[str], texts: bool
    ) -> None:
        self._notice = notice
        self._guard = Guard(notice)
        self._channel = channel
        self._language = language
        self._conditions = list(conditions)
        self._shows_texts = texts
        self._purpose_rows = index_by_id(notice.document.purposes)
        self._source_rows = index_by_id(source_rows(notice.document))
        self._bases = collect_bases(notice.document)

    def make(self) -> Report:
        """Return the report."""
        notice = self._notice
        sources, purposes, families = self._source_columns(), self._purpose_columns(), self._family_columns()
        purpose_marks = list(map(self._mark_all, notice.purposes))
        family_marks = list(map(self._mark_all, notice.families))
        head = f"{notice.id}, revision of {notice.revision}: what may serve each"
        by = f" by {self._channel}" if self._channel else ""
        tables = [make_table(f"{head} purpose{by}", purposes, purpose_marks)]
        if family_marks:
            tables.append(make_table(f"{head} family{by}", families, family_marks))
        tables.append(make_table("Sources", sources, notice.sources))
        data: dict[str, Any] = {
            "notice": notice.id,
            "revision": notice.revision.isoformat(),
            "channel": self._channel,
            "sources": list_rows(sources, notice.sources),
            "purposes": list_rows(purposes, purpose_marks),
            "families": list_rows(families, family_marks),
        }
        return Report(data, tuple(tables))

    # ---- Columns ------------------------------------------------------------------------------------------------

    def _source_columns(self) -> list[ReportColumn[type[Source]]]:
        return [
            ReportColumn("id", lambda source: source.clause, "id"),
            ReportColumn("slug", lambda source: source.slug, "slug"),
            ReportColumn("title", self._title, "title"),
            ReportColumn("text", self._source_text, text=self._source_words, under="title", optional=True),
        ]

    def _purpose_columns(self) -> list[ReportColumn[_MatrixRow]]:
        return [
            ReportColumn("id", lambda row: row.term.clause, "id"),
            ReportColumn("slug", lambda row: row.term.slug),
            ReportColumn("title", lambda row: self._title(row.term), "title"),
            ReportColumn("channels", self._channels_data, text=self._channels_text, under="title", words=True),
            ReportColumn("basis", self._basis, text=self._basis_text, under="title", words=True),
            ReportColumn("sources", lambda row: row.marks),
            ReportColumn("text", self._purpose_text, text=self._purpose_words, under="title", optional=True),
            *self._mark_columns(),
        ]

    def _family_columns(self) -> list[ReportColumn[_MatrixRow]]:
        return [
            ReportColumn("name", lambda row: row.term.name),
            ReportColumn("slug", lambda row: row.term.slug),
            ReportColumn("title", lambda row: self._title(row.term), "family"),
            ReportColumn("purposes", _members, text=_name_with_members, under="title"),
            ReportColumn("sources", lambda row: row.marks),
            *self._mark_columns(),
        ]

    def _mark_columns(self) -> Iterator[ReportColumn[_MatrixRow]]:
        """Yield a column for each source, with the marks of purposes or families."""
        for source in self._notice.sources:
            yield _make_mark_column(source.clause)

    # ---- Cells --------------------------------------------------------------------------------------------------

    def _mark_all(self, term: type[Purpose] | Family) -> _MatrixRow:
        """Return a purpose or family with the marks of all sources."""
        marks: dict[str, Cell] = {}
        for source in self._notice.sources:
            decision = self._guard.explain(source, term, self._channel, conditions=self._conditions)
            marks[source.clause] = self._mark(source, decision)
        return _MatrixRow(term, marks)

    def _mark(self, source: type[Source], decision: Decision) -> Cell:
        # The question names no subject, so only consent can be missing from one.
        if decision or is_about_the_subject(decision):
            return decision.allowed or (OPT_OUT if decision.reason is DenialReason.SUBJECT else CONSENT)
        if decision.reason is DenialReason.CONDITION:
            return CONDITIONS
        members = list_members(decision.purpose)
        forbidden = all((source.clause, member.clause) in self._notice.prohibited for member in members)
        return FORBIDDEN if forbidden else False

    def _title(self, term: Any) -> str:
        return title_in(term.title, self._language)

    def _channels_data(self, row: _MatrixRow) -> dict[str, list[str]] | None:
        channels = self._channels(row)
        if channels is None:
            return None
        return {"closed": list(channels.closed)} if channels.closed else {"open": list(channels.open or ())}

    def _channels_text(self, row: _MatrixRow) -> str:
        channels = self._channels(row)
        if channels is None:
            return ""
        return f"by {', '.join(channels.closed)} only" if channels.closed else f"by {', '.join(channels.open or ())}, …"

    def _channels(self, row: _MatrixRow) -> Channels | None:
        return self._purpose_rows[row.term.clause].channels

    def _basis(self, row: _MatrixRow) -> str | None:
        return _describe_bases(self._bases[row.term.clause]) or None

    def _basis_text(self, row: _MatrixRow) -> str:
        basis = self._basis(row)
        return "" if basis is None else f"rests on {basis}"

    def _source_text(self, source: type[Source]) -> dict[str, str] | None:
        return self._text(self._source_rows[source.clause])

    def _source_words(self, source: type[Source]) -> str:
        return self._words(self._source_text(source))

    def _purpose_text(self, row: _MatrixRow) -> dict[str, str] | None:
        return self._text(self._purpose_rows[row.term.clause])

    def _purpose_words(self, row: _MatrixRow) -> str:
        return self._words(self._purpose_text(row))

    def _text(self, row: object) -> dict[str, str] | None:
        """Return the notice's own words in a row, with their language; None if the row has no words."""
        text = self._notice.text(row, self._language)
        if text is None:
            return None
        language, words = text
        return {"language": language, "words": words}

    def _words(self, text: Mapping[str, str] | None) -> str:
        """Return the notice's own words for a table, if they are shown there."""
        return text["words"] if text is not None and self._shows_texts else ""


def _make_mark_column(source: str) -> ReportColumn[_MatrixRow]:
    return ReportColumn(source, heading=source, text=lambda row: row.marks[source], kind="mark")


def _members(row: _MatrixRow) -> list[str]:
    return list_term_ids(row.term.members)


def _name_with_members(row: _MatrixRow) -> str:
    return f"{row.term.name}: {' '.join(_members(row))}"


def _describe_bases(rows: tuple[BasisRow, ...]) -> str:
    """Return the legal bases of a purpose in words; empty if the notice states none."""
    (row, *others) = rows
    alone = not others and row.sources is None and not row.when and not row.opt_out
    if alone:
        return BASES[row.basis] if row.basis else ""
    return describe_bases(rows)
