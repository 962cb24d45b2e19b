"""The storage of restrictions and consents (clause 7).

Rows are never changed or removed: a declaration is one row, and its revocation another, with its time and author.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

import sqlalchemy as sa

from purposeguard.governance.pseudonyms import AT_A_TIME, barred, forgotten, get_keys, pseudonym, select_list_members
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.clock import Span

Kind = Literal["suspension-of-use", "stop-of-provision", "erasure"]
"""The kinds of restrictions."""

Person = Literal["subject", "agent"]
"""The author of a request: the subject, or an agent on the subject's behalf."""

KINDS: Final = frozenset({"suspension-of-use", "stop-of-provision", "erasure"})
PERSONS: Final = frozenset({"subject", "agent"})
CONSENT: Final = "consent"

declaration: Final = sa.Table(
    "purposeguard_declaration",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("pseudonym", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("purposes", sa.JSON(none_as_null=True)),  # clauses; none: every purpose
    sa.Column("revision", sa.Date, nullable=False),  # the notice's, under which it was declared
    sa.Column("asked_by", sa.String(10), nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("request", sa.BigInteger),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("until", Moment),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.Column("words", sa.String(64)),  # the digest of the words consented to; none if it was not recorded
    sa.Index(None, "pseudonym"),
)

revocation: Final = sa.Table(
    "purposeguard_revocation",
    metadata,
    sa.Column("declaration", Serial, sa.ForeignKey(declaration.c.id), primary_key=True, autoincrement=False),
    sa.Column("asked_by", sa.String(10), nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("request", sa.BigInteger),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Revocation:
    """The lifting of a restriction, or the withdrawal of a consent: its author and time."""

    by: Person
    at: datetime.datetime
    recorded: datetime.datetime
    request: int | None = None
    reference: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Declaration:
    """A declaration of a subject under a revision of the notice."""

    id: int
    subject: str = dataclasses.field(repr=False)
    revision: datetime.date
    by: Person
    at: datetime.datetime
    """The time at which the subject asked for it."""
    recorded: datetime.datetime
    """The time since which it is in force."""
    until: datetime.datetime | None
    """The time at which it ends by itself."""
    request: int | None
    reference: str | None = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Restriction(_Declaration):
    """A restriction: use suspended for some purposes (clauses; None: all), provision stopped, or erasure."""

    kind: Kind
    purposes: tuple[str, ...] | None
    lifted: Revocation | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Consent(_Declaration):
    """A consent: data may serve one purpose, as this revision of the notice states it.

    `words` is the digest of the purpose's titles and published words at that time; None where it was not recorded.
    """

    purpose: str
    withdrawn: Revocation | None
    words: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectRecord:
    """All restrictions and consents of a subject, in the order of their recording, and the present preferences."""

    subject: str = dataclasses.field(repr=False)
    restrictions: tuple[Restriction, ...]
    consents: tuple[Consent, ...]
    preferences: SubjectPreferences


class SubjectState(NamedTuple):
    """The preferences of a subject, and the times at which they change by themselves."""

    preferences: SubjectPreferences
    until: datetime.datetime | None
    """The time from which they no longer hold."""
    since: datetime.datetime | None = None
    """The time before which they do not hold: if a fast clock is set back, an ended restriction is in force again."""

    def holds(self, span: Span) -> bool:
        """Return True if the preferences hold throughout this span of time."""
        return (self.until is None or span.latest < self.until) and (self.since is None or span.earliest >= self.since)


_SAID: Final = (
    declaration.c.kind,
    declaration.c.purposes,
    declaration.c.revision,
    declaration.c.until,
    declaration.c.words,
)
"""The columns of a declaration that decide which preferences hold."""

_DECLARED: Final = declaration.outerjoin(revocation)
_NAMED: Final = pseudonym.join(declaration, pseudonym.c.pseudonym == declaration.c.pseudonym).outerjoin(
    revocation, revocation.c.declaration == declaration.c.id
)
_STANDING: Final = revocation.c.declaration.is_(None)


_BARRED: Final = (sa.literal_column("'erasure'"), *(sa.cast(sa.null(), column.type) for column in _SAID[1:]))
"""The columns for barred subjects, who are treated as if they had asked for erasure."""


IN_FORCE: Final = (
    sa.select(pseudonym.c.subject, *_SAID)
    .select_from(_NAMED)
    .where(pseudonym.c.subject == sa.bindparam("subject"), _STANDING)
    .union_all(sa.select(barred.c.digest, *_BARRED).where(barred.c.digest == sa.bindparam("digest")))
)
"""The declarations in force of one subject: the only query of a check that the cache does not answer."""

IN_FORCE_APART: Final = (
    sa.select(declaration.c.pseudonym.label("subject"), *_SAID)
    .select_from(_DECLARED)
    .where(declaration.c.pseudonym == sa.bindparam("subject"), _STANDING)
)
"""The same query by pseudonym, for keys in a store of their own."""


def _select_in_force(dialect: str) -> sa.Executable:
    return (
        sa.select(pseudonym.c.subject, *_SAID)
        .select_from(_NAMED)
        .where(pseudonym.c.subject.in_(select_list_members(dialect, "subjects")), _STANDING)
        .union_all(sa.select(sa.null(), *_BARRED).where(sa.exists(sa.select(barred.c.digest))))
    )


def _select_in_force_by_name(dialect: str) -> sa.Executable:
    condition = declaration.c.pseudonym.in_(select_list_members(dialect, "subjects"))
    return (
        sa.select(declaration.c.pseudonym.label("subject"), *_SAID).select_from(_DECLARED).where(condition, _STANDING)
    )


IN_FORCE_OF_EACH: Final = {dialect: _select_in_force(dialect) for dialect in ("sqlite", "postgresql")}
"""`IN_FORCE` for several subjects, by dialect. If somebody is barred, there is also a row without a subject."""

IN_FORCE_OF_EACH_APART: Final = {dialect: _select_in_force_by_name(dialect) for dialect in ("sqlite", "postgresql")}
"""The same query by pseudonym, for keys in a store of their own."""

ALL_IN_FORCE: Final = (
    sa.select(pseudonym.c.subject, *_SAID)
    .select_from(_NAMED)
    .where(_STANDING)
    .order_by(pseudonym.c.subject, declaration.c.id)
)
"""The declarations in force of all subjects."""

ALL_IN_FORCE_APART: Final = (
    sa.select(declaration.c.pseudonym.label("subject"), *_SAID)
    .select_from(_DECLARED)
    .where(_STANDING)
    .order_by(declaration.c.pseudonym, declaration.c.id)
)
"""The same query by pseudonym, for keys in a store of their own."""

# The column is cast to text because PostgreSQL cannot compare JSON.
_PURPOSES: Final[sa.ColumnElement[str | None]] = sa.cast(declaration.c.purposes, sa.Text)

_FIGURES: Final = (
    sa.select(
        declaration.c.kind, _PURPOSES, declaration.c.revision, sa.func.count(sa.distinct(declaration.c.pseudonym))
    )
    .select_from(_DECLARED)
    .where(_STANDING, declaration.c.pseudonym.not_in(sa.select(forgotten.c.pseudonym)))
    .group_by(declaration.c.kind, _PURPOSES, declaration.c.revision)
    .order_by(declaration.c.kind, _PURPOSES, declaration.c.revision)
)
"""The number of subjects with the same declaration in force, without forgotten ones."""

_ASKED: Final = {
    "by": "asked_by",
    "at": "asked_at",
    "recorded": "recorded_at",
    "request": "request",
    "reference": "reference",
}
"""The fields that declarations and revocations share, with their columns."""

_HISTORY: Final = (
    sa.select(
        declaration,
        revocation.c.declaration.label("revoked"),
        *(revocation.c[column].label(f"revoked_{column}") for column in _ASKED.values()),
    )
    .select_from(_DECLARED)
    .order_by(declaration.c.id)
)


ClauseNow = Callable[[str, datetime.date], str | None]
"""A function that returns the present clause of a purpose of a revision; None if the notice no longer has it."""


HasWords = Callable[[str, datetime.date, str], bool]
"""A function that returns True if a purpose has, or had in a known revision, the words of this digest."""


def keep_clause(clause: str, _revision: datetime.date) -> str:
    """Return the clause itself, for callers that know no other revision."""
    return clause


def has_any_words(_clause: str, _revision: datetime.date, _words: str) -> bool:
    """Return True: no words of purposes are known."""
    return True


def read_state(
    connection: sa.Connection,
    subject: str,
    now: Span,
    clause_now: ClauseNow = keep_clause,
    has_words: HasWords = has_any_words,
) -> SubjectState:
    """Read the preferences of a subject, by one query that uses an index."""
    keys = get_keys(connection)
    if keys.apart is None:
        rows = connection.execute(IN_FORCE, {"subject": subject, "digest": keys.digest_for_bar(subject)}).all()
        return _compute_state(rows, now, clause_now, has_words)
    return read_states(connection, (subject,), now, clause_now, has_words)[subject]


def read_states(
    connection: sa.Connection,
    subjects: Sequence[str],
    now: Span,
    clause_now: ClauseNow = keep_clause,
    has_words: HasWords = has_any_words,
) -> dict[str, SubjectState]:
    """Read the preferences of each of these subjects, by one query that uses an index.

    If the keys are in a store of their own, one more query reads them first.
    """
    states = dict.fromkeys(subjects, NOTHING_DECLARED)
    keys = get_keys(connection)
    declared: dict[str, list[Any]] = {}
    if keys.apart is None:
        for row in connection.execute(IN_FORCE_OF_EACH[connection.dialect.name], {"subjects": list(subjects)}):
            declared.setdefault(row.subject, []).append(row)
        has_barred = declared.pop(None, None)  # type: ignore[call-overload]  # A row for barred persons has no subject.
        barred_subjects = keys.find_barred(connection, subjects) if has_barred else frozenset()
    else:
        # Keys are read first, so that each declaration found afterwards has its key.
        names, barred_subjects = keys.find_known(connection, subjects)
        subject_of = {name: subject for subject, name in names.items()}
        if names:
            query = IN_FORCE_OF_EACH_APART[connection.dialect.name]
            for row in connection.execute(query, {"subjects": list(subject_of)}):
                declared.setdefault(subject_of[row.subject], []).append(row)
    for subject, rows in declared.items():
        states[subject] = _compute_state(rows, now, clause_now, has_words)
    for subject in barred_subjects:
        state = states[subject]
        states[subject] = state._replace(preferences=dataclasses.replace(state.preferences, erased=True))
    return states


def _make_row_key(row: Any) -> tuple[object, ...]:
    """Return all that counts of a declaration, to find the same declaration of another subject."""
    purposes = None if row.purposes is None else tuple(row.purposes)
    return row.kind, purposes, row.revision, row.until, row.words


def read_all_states(
    connection: sa.Connection, now: Span, clause_now: ClauseNow = keep_clause, has_words: HasWords = has_any_words
) -> dict[str, SubjectState]:
    """Read the preferences of each subject with a declaration in force.

    One streamed query reads the declarations, and one query per batch reads the keys. Barred subjects are left out,
    since a digest does not tell whose it is.
    """
    all_preferences: dict[str, SubjectState] = {}
    alike: dict[object, SubjectState] = {}  # few of a million subjects made a declaration that nobody else made
    for subject, declared in _iter_declarations(connection):
        key = tuple(map(_make_row_key, declared))
        present = alike.get(key)
        if present is None:
            present = alike[key] = _compute_state(declared, now, clause_now, has_words)
        if present != NOTHING_DECLARED:
            all_preferences[subject] = present
    return all_preferences


def _iter_declarations(connection: sa.Connection) -> Iterator[tuple[str, list[Any]]]:
    """Yield each subject with its declarations in force."""
    keys = get_keys(connection)
    query = ALL_IN_FORCE if keys.apart is None else ALL_IN_FORCE_APART
    rows = connection.execute(query.execution_options(stream_results=True, yield_per=10_000))
    groups = _group_by_subject(rows)
    if keys.apart is None:
        yield from groups
        return
    keys.find_known(connection, ())  # It checks that these are the keys of the store.
    while batch := dict(itertools.islice(groups, AT_A_TIME)):
        for name, subject in keys.find_subjects(connection, batch).items():
            yield subject, batch[name]


def _group_by_subject(rows: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, group in itertools.groupby(rows, operator.attrgetter("subject")):
        yield name, list(group)


class Figure(NamedTuple):
    """The number of subjects who made the same declaration: `kind` is that of a restriction, or `consent`."""

    kind: str
    purposes: tuple[str, ...] | None
    revision: datetime.date
    subjects: int


def count_declarations(connection: sa.Connection, now: datetime.datetime) -> list[Figure]:
    """Count the declarations in force, without naming persons, by one query."""
    lasting = sa.or_(declaration.c.until.is_(None), declaration.c.until > now)
    figures: list[Figure] = []
    for kind, purposes, revision, subjects in connection.execute(_FIGURES.where(lasting)):
        clauses = None if purposes is None else tuple(json.loads(purposes))
        figures.append(Figure(kind, clauses, revision, subjects))
    return figures


def _compute_state(rows: Sequence[Any], now: Span, clause_now: ClauseNow, has_words: HasWords) -> SubjectState:
    """Compute the state of a subject from their declarations.

    If the time is in doubt, restrictions end late and consents early. A consent to words other than those of its
    purpose is ignored.
    """
    rows_by_kind: dict[str, list[Any]] = {}
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    for row in rows:
        if row.until is None or row.until > (now.latest if row.kind == CONSENT else now.earliest):
            rows_by_kind.setdefault(row.kind, []).append(row)
            if row.until is not None:
                until = row.until if until is None else min(until, row.until)
        elif row.kind != CONSENT:
            since = row.until if since is None else max(since, row.until)
    if not rows_by_kind:
        return SubjectState(CLEAR, None, since)
    suspensions = rows_by_kind.get("suspension-of-use", ())
    preferences = SubjectPreferences(
        suspended=_collect_suspended_clauses(suspensions, clause_now),
        all_suspended=any(row.purposes is None for row in suspensions),
        erased="erasure" in rows_by_kind,
        provision_stopped="stop-of-provision" in rows_by_kind,
        # By the clause of that revision: `SubjectPreferences.has_consented` knows its present one.
        consents=_collect_valid_consents(rows_by_kind.get(CONSENT, ()), has_words),
    )
    return SubjectState(preferences, until, since)


NOTHING_DECLARED: Final = SubjectState(CLEAR, None)


def _collect_suspended_clauses(suspensions: Iterable[Any], clause_now: ClauseNow) -> frozenset[str]:
    """Return the present clauses of the suspended purposes, without those that are gone."""
    suspended: set[str] = set()
    for row in suspensions:
        for clause in row.purposes or ():
            present_clause = clause_now(clause, row.revision)
            if present_clause is not None:
                suspended.add(present_clause)
    return frozenset(suspended)


def _collect_valid_consents(consent_rows: Iterable[Any], has_words: HasWords) -> frozenset[tuple[str, datetime.date]]:
    """Return clause and revision of each consent whose words are those of its purpose, or were not recorded."""
    consents: set[tuple[str, datetime.date]] = set()
    for row in consent_rows:
        clause = row.purposes[0]
        if row.words is None or has_words(clause, row.revision, row.words):
            consents.add((clause, row.revision))
    return frozenset(consents)


def read_history(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Restriction | Consent]:
    """Return the declarations that meet these conditions, in the order of their recording.

    Declarations of forgotten subjects are left out.
    """
    rows = connection.execute(_HISTORY.where(*which)).all()
    subjects = get_keys(connection).find_subjects(connection, map(operator.attrgetter("pseudonym"), rows))
    return [_make_declaration(row, subjects[row.pseudonym]) for row in rows if row.pseudonym in subjects]


def _make_declaration(row: Any, subject: str) -> Restriction | Consent:
    data = row._mapping  # SQLAlchemy documents it; the underscore keeps it apart from names of columns.
    revoked = None
    if row.revoked is not None:
        revoked = Revocation(**{field: data[f"revoked_{column}"] for field, column in _ASKED.items()})
    same: dict[str, Any] = {field: data[column] for field, column in _ASKED.items()}
    same |= {"id": row.id, "subject": subject, "revision": row.revision, "until": row.until}
    if row.kind == CONSENT:
        return Consent(purpose=row.purposes[0], withdrawn=revoked, words=row.words, **same)
    purposes = None if row.purposes is None else tuple(row.purposes)
    return Restriction(kind=cast("Kind", row.kind), purposes=purposes, lifted=revoked, **same)


def filter_not_revoked(declared: Iterable[Restriction | Consent]) -> list[Restriction | Consent]:
    """Return the declarations that were not revoked."""
    return [record for record in declared if _get_revocation(record) is None]


def _get_revocation(record: Restriction | Consent) -> Revocation | None:
    return record.withdrawn if isinstance(record, Consent) else record.lifted
