"""The table of a notice, and a decision, as reports."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from purposeguard.guard import Guard
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import Channels
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.tools.render import CONSENT, CONSENT_MARK, Cell, Column, Report, Table


class Language(StrEnum):
    """The language of titles."""

    en = "en"
    ja = "ja"


def matrix_report(notice: Notice, channel: str | None, language: Language) -> Report:
    """What each source may serve: every purpose and every family, by the channel where one is given.

    What rests on consent is granted for the data of subjects who gave it: `consent` stands there.

    Raises:
        UnknownChannel: the notice names no such channel.
    """
    guard = Guard(notice)
    channel = None if channel is None else notice.channel(channel)
    named = {row.id: row.channels for row in notice.document.purposes}

    def cells(purpose: type[Purpose] | Family) -> dict[str, Cell]:
        return {source.clause: cell(guard.explain(source, purpose, channel)) for source in notice.sources}

    def cell(decision: Decision) -> Cell:
        # Nobody is asked about here, so that nothing but consent is missing from a subject.
        return CONSENT if is_about_the_subject(decision) else decision.allowed

    purposes: list[dict[str, Any]] = [
        {
            "id": one.clause,
            "slug": one.slug,
            "title": one.title[language],
            "channels": _channels_data(named[one.clause]),
            "sources": cells(one),
        }
        for one in notice.purposes
    ]
    families: list[dict[str, Any]] = [
        {
            "name": one.name,
            "slug": one.slug,
            "title": one.title[language],
            "purposes": [member.clause for member in one.members],
            "sources": cells(one),
        }
        for one in notice.families
    ]
    data = {
        "notice": notice.id,
        "revision": notice.revision.isoformat(),
        "channel": channel,
        "sources": [_term(one, language) for one in notice.sources],
        "purposes": purposes,
        "families": families,
    }
    marks = tuple(Column(one.clause, "mark") for one in notice.sources)
    by = f" by {channel}" if channel else ""
    head = f"{notice.id}, revision of {notice.revision}: what may serve each"
    if any(CONSENT in row["sources"].values() for row in (*purposes, *families)):
        by += f" ({CONSENT_MARK}: of subjects who consent to it)"
    rows = tuple(
        (row["id"], row["title"], _channels_text(named[row["id"]]), *row["sources"].values()) for row in purposes
    )
    family_rows = tuple(
        (row["title"], f"{row['name']}: {' '.join(row['purposes'])}", *row["sources"].values()) for row in families
    )
    tables = [Table(f"{head} purpose{by}", (Column("id"), Column("title"), Column("channels", "under"), *marks), rows)]
    if families:
        columns = (Column("family"), Column("purposes", "under"), *marks)
        tables.append(Table(f"{head} family{by}", columns, family_rows))
    source_rows = tuple((one.clause, one.slug, one.title[language]) for one in notice.sources)
    tables.append(Table("Sources", (Column("id"), Column("slug"), Column("title")), source_rows))
    flat = Table(
        "matrix",
        (*(Column(name) for name in ("kind", "id", "slug", "title", "channels")), *marks),
        (
            *(("purpose", row[0], purposes[number]["slug"], *row[1:]) for number, row in enumerate(rows)),
            *(("family", row["name"], row["slug"], row["title"], "", *row["sources"].values()) for row in families),
        ),
    )
    return Report(data, tuple(tables), flat)


def _term(term: type[Source], language: Language) -> dict[str, str]:
    return {"id": term.clause, "slug": term.slug, "title": term.title[language]}


def _channels_data(channels: Channels | None) -> dict[str, list[str]] | None:
    if channels is None:
        return None
    return {"closed": list(channels.closed)} if channels.closed else {"open": list(channels.open or ())}


def _channels_text(channels: Channels | None) -> str:
    if channels is None:
        return ""
    return f"by {', '.join(channels.closed)} only" if channels.closed else f"by {', '.join(channels.open or ())}, …"


def decision_data(decision: Decision) -> dict[str, Any]:
    """A decision as JSON values."""
    purpose = decision.purpose
    return {
        "allowed": decision.allowed,
        "sources": [source.clause for source in decision.label],
        "purpose": purpose.name if isinstance(purpose, Family) else purpose.clause,
        "channel": decision.channel,
        "grants": {source.clause: clause for source, clause in decision.grants.items()},
        "reasons": list(decision.reasons),
        "alternatives": [one.clause for one in decision.alternatives],
    }
