"""Row rules: which rows of a table a purpose may use, as plain data, for engines that run the test themselves.

A rule is found by asking the core about a representative of each kind of row (`finding`), and made an expression of an
engine by `rendered`, with the few words that a `Renderer` has for that engine. Nothing is decided here.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from purposeguard.errors import UnknownSource
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.policy.row_context import LONGEST_SUBJECT
from purposeguard.values.markers import SubjectMark

E = TypeVar("E")


class KeySet:
    """Keys of subjects (see `subject_key`), in the forms in which columns hold ids. Compared by identity; immutable.

    It lives as long as the roster that it is from, so that engines can keep their own form of it beside it, weakly.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys: Final = tuple(keys)
        self._within: dict[str, KeySet] = {}

    def within(self, realm: str | None) -> KeySet:
        """Those of a realm, as they are called within it; all of them for None."""
        if realm is None:
            return self
        found = self._within.get(realm)
        if found is None:
            prefix = f"{realm}:"
            keys = (one.removeprefix(prefix) for one in self.keys if one.startswith(prefix))
            found = self._within.setdefault(realm, KeySet(keys))
        return found

    @functools.cached_property
    def ints(self) -> tuple[int, ...]:
        """For columns of whole numbers: those that are whole numbers of up to 64 bits, each once, in order."""
        return tuple(sorted(n for one in self.keys if _NUMBER.fullmatch(one) and -(2**63) <= (n := int(one)) < 2**63))

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """For columns of text: as they are, and those beyond ASCII also decomposed (NFD), since rows may be either."""
        return tuple(
            sorted({form for one in self.keys for form in ((one,) if one.isascii() else (one, _decomposed(one)))})
        )

    @functools.cached_property
    def uuids(self) -> tuple[str, ...]:
        """For columns whose ids may be UUIDs in other spellings: the 32 digits of those that are UUIDs, in order."""
        return tuple(sorted(one.replace("-", "") for one in self.keys if _UUID.fullmatch(one)))

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<KeySet of {len(self.keys):,}>"  # not whose


_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

UUID_PREFIX: Final = "urn:uuid:"
UUID_MARKS: Final = "{}-"
"""What other spellings of a UUID have besides its digits, which may be capitals: for normalising within an engine."""


NO_ID: Final = (
    r"^$|^ | $|[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}"
    "\N{NO-BREAK SPACE}\N{OGHAM SPACE MARK}\N{EN QUAD}-\N{HAIR SPACE}\N{NARROW NO-BREAK SPACE}"
    "\N{MEDIUM MATHEMATICAL SPACE}\N{IDEOGRAPHIC SPACE}]"
)
"""A text in which this is found is no id of a subject (`subject_key` refuses it): it could be anybody's, with a mark
that nobody sees, as a tab or an end of line is. A regular expression that all engines read alike."""

LONGEST: Final = LONGEST_SUBJECT
"""Characters of an id at most."""


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Days from `since` (included) to `before` (not included), each None where there is no such bound.

    `absent`: rows that hold no day are in it as well.
    """

    since: datetime.date | None
    before: datetime.date | None
    absent: bool

    @property
    def is_all(self) -> bool:
        """Whether every row is in it."""
        return self.since is None and self.before is None and self.absent

    @property
    def is_none_at_all(self) -> bool:
        """Whether the rows in it are those that hold no day."""
        return self.since == self.before and self.since is not None


NO_DAY: Final = Span(datetime.date.min, datetime.date.min, absent=True)
"""The rows that hold no day."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectTest:
    """About whom rows may be used: about everybody but `keys`, or (`only`) about these alone.

    Of a row that names several subjects each must meet it. `nobody`: a row that names none may be used.
    """

    keys: KeySet
    only: bool
    nobody: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """Rows that may be used: those that meet all of it. None: nothing is asked.

    `sources` are clauses; `collected` and `ended` the days on which the row was collected, and its subject's use ended.
    """

    sources: frozenset[str] | None = None
    collected: Span | None = None
    ended: Span | None = None
    subjects: SubjectTest | None = None


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True)
class RowRule:
    """Which rows may be used: those that meet one of `branches`.

    `source`, `collected`, `ended` and `subjects` name the columns that tell (None, or none, where none is asked);
    `notice` says which ids of sources there are. Days are counted in its time zone.
    """

    notice: Notice
    branches: tuple[Branch, ...]
    source: str | None = None
    collected: str | None = None
    ended: str | None = None
    subjects: tuple[tuple[str, SubjectMark], ...] = ()
    _labels: dict[Label, Label] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are asked."""
        named = (self.source, self.collected, self.ended, *(name for name, _ in self.subjects))
        return tuple(name for name in named if name is not None)

    @property
    def timezone(self) -> str:
        """The time zone in which days are counted."""
        return self.notice.document.timezone

    @property
    def permitted(self) -> frozenset[str]:
        """The clauses of the sources that some rows may have and be used."""
        return frozenset[str]().union(*(one.sources for one in self.branches if one.sources is not None))

    @property
    def known(self) -> frozenset[str]:
        """The clauses of all sources that rows may name."""
        return frozenset(source.clause for source in self.notice.sources)

    def label_of(self, label: Label) -> Label:
        """The label of values of the rows that are kept, whose own sources count besides `label`."""
        found = self._labels.get(label)
        if found is None:
            permitted = self.permitted
            sources = [source for source in self.notice.sources if source.clause in permitted]
            found = self._labels[label] = label | Label(*sources) if sources else label
        return found


@functools.lru_cache(maxsize=64)
def spellings(notice: Notice) -> Mapping[str, str]:
    """The usual spellings of the sources of a notice → their clauses: for engines that compare texts.

    What `notice.source` reads has no end of spellings; what is none of these is asked of it (`clause_meant`).
    """
    found: dict[str, str] = {}
    for source in notice.sources:
        clause = source.clause
        for form in (clause, source.__name__, source.slug, clause.replace("(", "").replace(")", "")):
            if form == clause or _is_read_as(notice, form, clause):
                found.update(dict.fromkeys((form, form.upper(), form.lower()), clause))
    return found


def _is_read_as(notice: Notice, form: str, clause: str) -> bool:
    try:
        return clause_meant(notice, form) == clause
    except UnknownSource:
        return False  # a slug of the notice's own making may not be


def clause_meant(notice: Notice, text: str) -> str:
    """The clause of the source that a row names, in any spelling that the notice reads.

    Raises:
        UnknownSource: it means nothing in the notice.
    """
    return notice.source(text).clause


class Renderer(Protocol[E]):
    """The words of an engine, of whose expressions `E` is the type. Columns are named as the rule names them.

    No expression gives null: where it could, the renderer makes it false.
    """

    def true(self) -> E:
        """Every row."""
        ...

    def false(self) -> E:
        """No row."""
        ...

    def all_of(self, parts: Sequence[E], /) -> E:
        """Rows that are in each; there are at least two."""
        ...

    def any_of(self, parts: Sequence[E], /) -> E:
        """Rows that are in one of them; there are at least two."""
        ...

    def negated(self, part: E, /) -> E:
        """The other rows."""
        ...

    def absent(self, column: str, /) -> E:
        """Rows in which the column is null."""
        ...

    def source_in(self, column: str, clauses: frozenset[str], /) -> E:
        """Rows whose source is one of these. A null, and what is no id of a source, must make the query fail."""
        ...

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, /) -> E:
        """Rows that hold a day, or a moment on a day in the notice's time zone, of these: any day for None and None."""
        ...

    def subject_in(self, column: str, keys: KeySet, /) -> E:
        """Rows whose id, in any spelling, is one of these, of whom there may be none; a null is none of them.

        What names nobody by its type must be refused, also where there are none.
        """
        ...


def rendered(rule: RowRule, words: Renderer[E]) -> E:
    """The test for rows that may be used, as an expression of an engine."""
    return _any(words, [_branch(rule, branch, words) for branch in rule.branches])


def _branch(rule: RowRule, branch: Branch, words: Renderer[E]) -> E:
    parts: list[E] = []
    if rule.source is not None and branch.sources is not None:
        parts.append(words.source_in(rule.source, branch.sources))
    for column, span in ((rule.collected, branch.collected), (rule.ended, branch.ended)):
        if column is not None and span is not None and not span.is_all:
            parts.append(_span(column, span, words))
    if branch.subjects is not None:
        parts += _subjects(rule.subjects, branch.subjects, words)
    return _all(words, parts)


def _span(column: str, span: Span, words: Renderer[E]) -> E:
    parts = [words.absent(column)] if span.absent else []
    if not span.is_none_at_all:
        within = words.days_in(column, span.since, span.before)
        parts.append(within)
    return _any(words, parts)


def _subjects(columns: Sequence[tuple[str, SubjectMark]], test: SubjectTest, words: Renderer[E]) -> list[E]:
    parts: list[E] = []
    for column, mark in columns:
        keys = test.keys.within(mark.realm)
        if not test.only:
            # Where each row is to name somebody, what stands there must be an id, also while nobody is to be left out.
            if len(keys) or not test.nobody:
                parts.append(words.negated(words.subject_in(column, keys)))
            continue
        named = words.subject_in(column, keys) if len(keys) else words.false()
        parts.append(words.any_of([words.absent(column), named]))
    if not test.nobody:
        parts.append(_any(words, [words.negated(words.absent(column)) for column, _ in columns]))
    return parts


def _all(words: Renderer[E], parts: Sequence[E]) -> E:
    if not parts:
        return words.true()
    return parts[0] if len(parts) == 1 else words.all_of(parts)


def _any(words: Renderer[E], parts: Sequence[E]) -> E:
    if not parts:
        return words.false()
    return parts[0] if len(parts) == 1 else words.any_of(parts)
