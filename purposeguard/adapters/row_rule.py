"""Row rules: the rows of a table that a purpose may use, as plain data, for engines that test the rows themselves.

`row_kinds` makes a rule by deciding one row of each kind. `render_rule` renders it as an expression over the columns of
the table, in the language of an engine. Nothing is decided here.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from purposeguard.containers import drop_none
from purposeguard.errors import UnknownSource
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.policy.row_context import LONGEST_SUBJECT
from purposeguard.values.markers import SubjectMark

E = TypeVar("E")


_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')


class KeySet:
    """Keys of subjects (see `subject_key`), in the forms in which columns hold ids. Compared by identity; immutable.

    A set lives as long as its roster, so that engines can cache their own form of it in a weak mapping.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys: Final = tuple(keys)
        self._within: dict[str, KeySet] = {}

    def restrict_to_realm(self, realm: str | None) -> KeySet:
        """Return the keys of a realm without its prefix, or all keys if the realm is None."""
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
        """True if no key needs escaping in JSON, so that all encoders write the keys alike."""
        return not any(map(_ESCAPED.search, self.keys))

    @functools.cached_property
    def ints(self) -> tuple[int, ...]:
        """The sorted keys that are integers of up to 64 bits, for columns of integers."""
        numbers = map(int, filter(_NUMBER.fullmatch, self.keys))
        return tuple(sorted(number for number in numbers if -(2**63) <= number < 2**63))

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """The sorted keys and their NFD forms, for columns of text, since rows may hold either."""
        forms = set(self.keys)
        for key in self.keys:
            if not key.isascii():
                forms.add(unicodedata.normalize("NFD", key))
        return tuple(sorted(forms))

    @functools.cached_property
    def uuids(self) -> tuple[str, ...]:
        """The sorted 32 digits of the keys that are UUIDs, for columns that may spell UUIDs differently."""
        return tuple(sorted(key.replace("-", "") for key in self.keys if _UUID.fullmatch(key)))

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<KeySet of {len(self.keys):,}>"  # The keys identify people, so they are not shown.


_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

UUID_PREFIX: Final = "urn:uuid:"
UUID_MARKS: Final = "{}-"
"""Characters that other spellings of a UUID have besides its digits, for normalization within an engine."""


NO_ID: Final = (
    r"^$|^ | $|[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}"
    "\N{NO-BREAK SPACE}\N{OGHAM SPACE MARK}\N{EN QUAD}-\N{HAIR SPACE}\N{NARROW NO-BREAK SPACE}"
    "\N{MEDIUM MATHEMATICAL SPACE}\N{IDEOGRAPHIC SPACE}]"
)
"""A regular expression that matches a text that is no id of a subject. All engines read it alike.

`subject_key` refuses such a text: it could mean anybody, with an invisible mark such as a tab or a line end.
"""

LONGEST: Final = LONGEST_SUBJECT
"""Length of the longest id, in characters."""


@dataclasses.dataclass(frozen=True, slots=True)
class DaySpan:
    """Days from `since` (included) to `before` (not included), each None where there is no such bound.

    If `absent` is True, the span includes the rows that hold no day.
    """

    since: datetime.date | None
    before: datetime.date | None
    absent: bool

    @property
    def is_all(self) -> bool:
        """True if every row is in the span."""
        return self.since is None and self.before is None and self.absent

    @property
    def is_none_at_all(self) -> bool:
        """True if the span includes only the rows that hold no day."""
        return self.since == self.before and self.since is not None


NO_DAY: Final = DaySpan(datetime.date.min, datetime.date.min, absent=True)
"""The rows that hold no day."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectTest:
    """The subjects whose rows may be used: everybody except `keys`, or nobody but them if `only` is True.

    Every subject that a row names must pass. If `nobody` is True, a row without a subject may be used.
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
    """The rule of the notices of one time zone. It keeps rows that meet one of `branches`, by days in that zone."""

    timezone: str
    branches: tuple[Branch, ...]


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class RowRule:
    """A rule that keeps the rows that may be used: those that meet each of `zones`. Compared by identity.

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
        names = drop_none((self.source, self.collected, self.ended))
        for name, _ in self.subjects:
            names.append(name)
        return tuple(names)

    @property
    def permitted(self) -> frozenset[str]:
        """The ids of the sources that the kept rows may have."""
        permitted = self.known
        for zone in self.zones:
            in_zone: set[str] = set()
            for branch in zone.branches:
                if branch.sources is not None:
                    in_zone |= branch.sources
            permitted &= in_zone
        return permitted

    @property
    def known(self) -> frozenset[str]:
        """The ids of all sources that rows may name."""
        return frozenset(map(self.notice.key, self.notice.sources))

    def label_of(self, label: Label) -> Label:
        """Return the label of values in the kept rows: `label`, and the sources that those rows may have."""
        joined = self._labels.get(label)
        if joined is None:
            permitted = self.permitted
            sources = [source for source in self.notice.sources if self.notice.key(source) in permitted]
            joined = self._labels[label] = label | Label(*sources) if sources else label
        return joined


@functools.lru_cache(maxsize=64)
def spellings(notice: Notice) -> Mapping[str, str]:
    """Return the usual spellings of the sources of a notice → their ids, for engines that compare texts.

    `notice.source` reads many more spellings; `id_meant` reads any text that is not in this mapping.
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
        return False  # Another notice has this spelling too, or the slug is of the notice's own making.


def id_meant(notice: Notice, text: str) -> str:
    """Return the id of the source that a row names, in any spelling that the notice reads.

    If there are several notices, the id names the notice too.

    Raises:
        UnknownSource: the text means no source, or a source in several notices.
    """
    return notice.key(notice.source(text))


# ---- conditions ------------------------------------------------------------------------------------------------------


class Renderer(Protocol[E]):
    """The conditions on rows in the language of an engine. `E` is the type of its expressions.

    A condition is true or false and never null. An engine whose expression could be null must make it false.
    """

    def constant(self, *, value: bool) -> E:
        """Return a condition that every row meets, or none."""
        ...

    def all_of(self, parts: Sequence[E], /) -> E:
        """Return the condition that a row meets each of at least two conditions."""
        ...

    def any_of(self, parts: Sequence[E], /) -> E:
        """Return the condition that a row meets one of at least two conditions."""
        ...

    def negate(self, part: E, /) -> E:
        """Return the condition that a row does not meet a condition."""
        ...

    def absent(self, column: str, /) -> E:
        """Return the condition that a column is null."""
        ...

    def source_in(self, column: str, ids: frozenset[str], /) -> E:
        """Return the condition that a row's source is one of these.

        A null, and a text that is no id of a source, must make the query fail.
        """
        ...

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /) -> E:
        """Return the condition that a column holds a day from `since` to before `before`.

        A moment counts by its day in the time zone. A bound that is None does not limit. Null is on no day.
        """
        ...

    def subject_in(self, column: str, keys: KeySet, /) -> E:
        """Return the condition that a row's subject id, in any spelling, is one of these keys.

        There may be no keys. Null is none of them. A column whose type cannot hold ids must be refused in any case.
        """
        ...


def render_rule(rule: RowRule, words: Renderer[E]) -> E:
    """Render a rule as one expression of an engine: the condition that the kept rows meet."""
    zone_conditions: list[E] = []
    for zone in rule.zones:
        branches = [_render_branch(rule, zone, branch, words) for branch in zone.branches]
        zone_conditions.append(_any(branches, words))
    return zone_conditions[0] if len(zone_conditions) == 1 else words.all_of(zone_conditions)


def _render_branch(rule: RowRule, zone: ZoneRule, branch: Branch, words: Renderer[E]) -> E:
    parts: list[E] = []
    if rule.source is not None and branch.sources is not None:
        parts.append(words.source_in(rule.source, branch.sources))
    for column, span in ((rule.collected, branch.collected), (rule.ended, branch.ended)):
        if column is not None and span is not None and not span.is_all:
            parts.append(_render_span(column, span, zone.timezone, words))
    if branch.subjects is not None:
        parts += _render_subjects(rule.subjects, branch.subjects, words)
    if not parts:
        return words.constant(value=True)
    return parts[0] if len(parts) == 1 else words.all_of(parts)


def _render_span(column: str, span: DaySpan, timezone: str, words: Renderer[E]) -> E:
    alternatives: list[E] = []
    if span.absent:
        alternatives.append(words.absent(column))
    if not span.is_none_at_all:
        alternatives.append(words.days_in(column, span.since, span.before, timezone))
    return _any(alternatives, words)


def _render_subjects(columns: Sequence[tuple[str, SubjectMark]], test: SubjectTest, words: Renderer[E]) -> Iterator[E]:
    """Yield the conditions that every subject of a row must meet."""
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
    if not parts:
        return words.constant(value=False)
    return parts[0] if len(parts) == 1 else words.any_of(parts)
