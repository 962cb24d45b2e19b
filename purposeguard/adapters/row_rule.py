"""Row rules: which rows of a table a purpose may use, as plain data, for engines that test the rows themselves.

`row_kinds` makes a rule by asking the core about one row of each kind. `rendered` makes it one expression over the
columns of the table, in the words of an engine. Nothing is decided here.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from purposeguard.errors import UnknownSource
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.policy.row_context import LONGEST_SUBJECT
from purposeguard.values.markers import SubjectMark

E = TypeVar("E")


_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')


class KeySet:
    """Keys of subjects (see `subject_key`), in the forms in which columns hold ids. Compared by identity; immutable.

    It lives as long as the roster that it is from, so that engines can keep their own form of it beside it, weakly.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys: Final = tuple(keys)
        self._within: dict[str, KeySet] = {}

    def restrict_to_realm(self, realm: str | None) -> KeySet:
        """Return the keys of a realm, without its prefix; all keys for None."""
        if realm is None:
            return self
        own = self._within.get(realm)
        if own is None:
            prefix = f"{realm}:"
            keys = (key.removeprefix(prefix) for key in self.keys if key.startswith(prefix))
            own = self._within.setdefault(realm, KeySet(keys))
        return own

    @functools.cached_property
    def is_plain(self) -> bool:
        """True if no key is escaped in JSON, so that all that write it write it alike."""
        return not any(_ESCAPED.search(key) for key in self.keys)

    @functools.cached_property
    def ints(self) -> tuple[int, ...]:
        """For columns of whole numbers: the sorted keys that are whole numbers of up to 64 bits."""
        return tuple(sorted(n for key in self.keys if _NUMBER.fullmatch(key) and -(2**63) <= (n := int(key)) < 2**63))

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """For columns of text: the keys, and their NFD form, since rows may hold either."""
        return tuple(
            sorted(
                {
                    form
                    for key in self.keys
                    for form in ((key,) if key.isascii() else (key, unicodedata.normalize("NFD", key)))
                }
            )
        )

    @functools.cached_property
    def uuids(self) -> tuple[str, ...]:
        """For columns that may spell UUIDs otherwise: the sorted 32 digits of the keys that are UUIDs."""
        return tuple(sorted(key.replace("-", "") for key in self.keys if _UUID.fullmatch(key)))

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


@dataclasses.dataclass(frozen=True, slots=True)
class DaySpan:
    """Days from `since` (included) to `before` (not included), each None where there is no such bound.

    `absent`: rows that hold no day are in it as well.
    """

    since: datetime.date | None
    before: datetime.date | None
    absent: bool

    @property
    def is_all(self) -> bool:
        """True if every row is in it."""
        return self.since is None and self.before is None and self.absent

    @property
    def is_none_at_all(self) -> bool:
        """True if the rows in it are those that hold no day."""
        return self.since == self.before and self.since is not None


NO_DAY: Final = DaySpan(datetime.date.min, datetime.date.min, absent=True)
"""The rows that hold no day."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectTest:
    """The subjects whose rows may be used: everybody but `keys`, or (`only`) these alone.

    Every subject that a row names must pass. `nobody`: a row without a subject may be used.
    """

    keys: KeySet
    only: bool
    nobody: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """Rows that may be used: those that meet every part. A part that is None always holds.

    `sources` are ids as records name them; `collected` and `ended` the days on which the row was collected, and its
    subject's use ended.
    """

    sources: frozenset[str] | None = None
    collected: DaySpan | None = None
    ended: DaySpan | None = None
    subjects: SubjectTest | None = None


class ZoneRule(NamedTuple):
    """Which rows the notices of one time zone let be used: those that meet one of `branches`, by days in that zone."""

    timezone: str
    branches: tuple[Branch, ...]


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class RowRule:
    """Which rows may be used: those that meet each of `zones`. Compared by identity.

    `source`, `collected`, `ended` and `subjects` name the deciding columns, if any. `notice` has the ids of sources.
    """

    notice: Notice
    zones: tuple[ZoneRule, ...]
    source: str | None = None
    collected: str | None = None
    ended: str | None = None
    subjects: tuple[tuple[str, SubjectMark], ...] = ()
    _labels: dict[Label, Label] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def keeps_the_rows_of(self, other: RowRule) -> bool:
        """Return True if both rules keep the same rows of any table."""
        return self is other or (
            self.notice is other.notice
            and self.zones == other.zones
            and (self.source, self.collected, self.ended, self.subjects)
            == (other.source, other.collected, other.ended, other.subjects)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The deciding columns."""
        named = (self.source, self.collected, self.ended, *(name for name, _ in self.subjects))
        return tuple(name for name in named if name is not None)

    @property
    def permitted(self) -> frozenset[str]:
        """The ids of the sources that some rows may have and be used."""
        by_zone = (
            frozenset[str]().union(*(branch.sources for branch in zone.branches if branch.sources is not None))
            for zone in self.zones
        )
        return self.known.intersection(*by_zone)

    @property
    def known(self) -> frozenset[str]:
        """The ids of all sources that rows may name."""
        return frozenset(map(self.notice.key, self.notice.sources))

    def label_of(self, label: Label) -> Label:
        """Return the label of values of the rows that are kept, whose own sources count besides `label`."""
        known = self._labels.get(label)
        if known is None:
            permitted = self.permitted
            sources = [source for source in self.notice.sources if self.notice.key(source) in permitted]
            known = self._labels[label] = label | Label(*sources) if sources else label
        return known


@functools.lru_cache(maxsize=64)
def spellings(notice: Notice) -> Mapping[str, str]:
    """Return the usual spellings of the sources of a notice → their ids: for engines that compare texts.

    `notice.source` reads many more: `id_meant` asks it about each text that is not here.
    """
    ids: dict[str, str] = {}
    for source in notice.sources:
        id_ = notice.key(source)
        prefix = id_.removesuffix(source.clause)
        for name in (source.clause, source.__name__, source.slug, source.clause.replace("(", "").replace(")", "")):
            for form in {name, prefix + name}:
                if _is_read_as(notice, form, id_):
                    ids.update(dict.fromkeys((form, form.upper(), form.lower()), id_))
    return ids


def _is_read_as(notice: Notice, form: str, id_: str) -> bool:
    try:
        return id_meant(notice, form) == id_
    except UnknownSource:
        return False  # another notice has it too, or it is a slug of the notice's own making


def id_meant(notice: Notice, text: str) -> str:
    """The id of the source that a row names, in any spelling that the notice reads; of several it names the notice.

    Raises:
        UnknownSource: it means nothing in the notice, or a source in each of several.
    """
    return notice.key(notice.source(text))


# ---- conditions ------------------------------------------------------------------------------------------------------


class Renderer(Protocol[E]):
    """The words of an engine for conditions of rows; `E` is the type of its expressions.

    A condition is true or false and never null: an engine that could give null must make it false.
    """

    def constant(self, *, value: bool) -> E:
        """Return every row, or no row."""
        ...

    def all_of(self, parts: Sequence[E], /) -> E:
        """Return rows that meet each of at least two conditions."""
        ...

    def any_of(self, parts: Sequence[E], /) -> E:
        """Return rows that meet one of at least two conditions."""
        ...

    def negate(self, part: E, /) -> E:
        """Return rows that do not meet a condition."""
        ...

    def absent(self, column: str, /) -> E:
        """Return rows in which a column is null."""
        ...

    def source_in(self, column: str, ids: frozenset[str], /) -> E:
        """Return rows whose source is one of these.

        A null, and what is no id of a source, must make the query fail.
        """
        ...

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /) -> E:
        """Return rows that hold a day, or a moment on a day in this time zone, from `since` to before `before`.

        None: no such bound. Null is on no day.
        """
        ...

    def subject_in(self, column: str, keys: KeySet, /) -> E:
        """Rows whose subject's id, in any spelling, is one of these keys, which may be none. Null is none of them.

        A column whose type holds no ids must be refused, also where there are no keys.
        """
        ...


def render_rule(rule: RowRule, words: Renderer[E]) -> E:
    """Return the condition that the rows of a rule meet, as an expression of an engine."""
    parts = [_any([_branch(rule, zone, branch, words) for branch in zone.branches], words) for zone in rule.zones]
    return parts[0] if len(parts) == 1 else words.all_of(parts)


def _branch(rule: RowRule, zone: ZoneRule, branch: Branch, words: Renderer[E]) -> E:
    parts: list[E] = []
    if rule.source is not None and branch.sources is not None:
        parts.append(words.source_in(rule.source, branch.sources))
    for column, span in ((rule.collected, branch.collected), (rule.ended, branch.ended)):
        if column is not None and span is not None and not span.is_all:
            within = [] if span.is_none_at_all else [words.days_in(column, span.since, span.before, zone.timezone)]
            parts.append(_any([words.absent(column), *within] if span.absent else within, words))
    if branch.subjects is not None:
        parts += _subjects(rule.subjects, branch.subjects, words)
    return parts[0] if len(parts) == 1 else words.all_of(parts) if parts else words.constant(value=True)


def _subjects(columns: Sequence[tuple[str, SubjectMark]], test: SubjectTest, words: Renderer[E]) -> Iterator[E]:
    for column, mark in columns:
        keys = test.keys.restrict_to_realm(mark.realm)
        if test.only:
            those = words.subject_in(column, keys) if len(keys) else words.constant(value=False)
            yield words.any_of([words.absent(column), those])
        # If each row must name somebody, the value must be an id, even while nobody is left out.
        elif len(keys) or not test.nobody:
            yield words.negate(words.subject_in(column, keys))
    if not test.nobody:
        yield _any([words.negate(words.absent(column)) for column, _ in columns], words)


def _any(parts: Sequence[E], words: Renderer[E]) -> E:
    return parts[0] if len(parts) == 1 else words.any_of(parts) if parts else words.constant(value=False)
