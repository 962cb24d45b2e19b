"""A compiled notice: immutable, with one look-up a decision, and with the same answers as `spec`.

For each channel (and for none) a table leads from the sources, in any form that code may use, to the row of purposes
and families that they may serve. The row of a label is the intersection of the rows of its sources: that is rule 2 for
purposes and rule 3 for families at once. Rows of labels are computed on first use and cached. They derive from
immutable data, so caching them is safe, and their number is bounded. The rules are in docs/reference/decision-rules.md.

Uses that rest on consent or depend on conditions are in no row of the tables. `row_for` computes the row in a context:
for a subject, a revision of collection, a period that is over, and conditions.
"""

from __future__ import annotations

import datetime
import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, Union, cast

from purposeguard.errors import (
    Fault,
    NoticeError,
    ShowableText,
    UnknownOperation,
    UnknownSource,
    UnknownTerm,
    UnlabelledData,
)
from purposeguard.notice.grants import ClauseHierarchy, Grounds, LegalGrounds, compute_extensions, filter_grounds
from purposeguard.notice.history import History
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods, for_law
from purposeguard.notice.schema import Extension
from purposeguard.notice.several import Notices
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import (
    Family,
    NotPersonal,
    Purpose,
    Source,
    TermMeta,
    fold,
    is_union,
    list_members,
    list_term_ids,
    union_members,
)
from purposeguard.policy.context import (
    BEFORE_ALL,
    NO_NAMES,
    NONE_KNOWN,
    Context,
    DenialReason,
    Names,
    SubjectPreferences,
)


def derive_label(
    notice: Notice,
    operation: str,
    left: Label,
    right: Label,
    current: Callable[[type[Source]], type[Source]] = lambda source: source,
) -> Label:
    """Return the label of two values that an operation joins.

    `current` translates a class of another revision to the notice's own class.

    Raises:
        UnknownOperation: the notice declares no such operation between the two.
    """

    def are_within(label: Label, clauses: Iterable[str]) -> bool:
        # An item is a subclass of its parent, and of no other source.
        heads = tuple(map(notice.source, clauses))
        return all(issubclass(current(source), heads) for source in label.sources)

    declared: list[str] = []
    shown: object = operation
    for row in notice.document.derivation:
        if row.operation == operation:
            for one, other in ((left, right), (right, left)):
                if are_within(one, row.from_) and are_within(other, row.with_):
                    return Label(notice.source(row.id))
            shown = ShowableText(operation)
        declared.append(f"`{row.operation}` of {', '.join(row.from_)} with {', '.join(row.with_)}")
    sides = " and ".join(", ".join(list_term_ids(label)) for label in (left, right))
    why = f"the notice derives nothing from {sides} by this; it declares {'; '.join(declared) or 'no derivation'}"
    raise UnknownOperation(shown, why)


Row = frozenset[object]
"""Purpose classes and families."""

Conditions = AbstractSet[str] | list[str] | tuple[str, ...]
"""The conditions that code states to hold, by their ids. A text is not allowed: it would be a set of letters."""

MOST_REMEMBERED = 50_000
"""The greatest number of spellings and labels cached in one table. Others are decided anew each time."""


class PolicyTable(Immutable):
    """The decisions of one notice.

    Classes of `earlier`, the table that this one replaces, and of the other revisions in `history` are understood too:
    data tagged with the classes of a revision was collected under it, and is decided by clause (rule 9). Terms that the
    revision in force no longer has are unknown, so they are refused. If several notices have one date, the last one
    that was in force decides for the classes of all, and the others are not kept.
    """

    __slots__ = (
        "_alias",
        "_by_clause",
        "_in_context",
        "_labels",
        "_named",
        "_purposes",
        "_tables",
        "_then",
        "children",
        "class_dates",
        "closed",
        "extended",
        "families",
        "grounds",
        "history",
        "items",
        "notice",
        "opened",
        "periods",
        "prefix",
        "revisions_by_date",
        "texts",
    )

    notice: Notice
    """The revision in force."""
    history: History
    """The known revisions of the notice."""
    grounds: LegalGrounds
    """The grounds of the granted uses."""
    extended: Mapping[tuple[str, str], Extension]
    """Source id and purpose id → the row that extends the use to data collected earlier."""
    closed: Mapping[type[Purpose], frozenset[str]]
    """Purpose → the only channels that it admits. Other purposes admit all."""
    opened: frozenset[type[Purpose]]
    """The purposes that admit all channels here, and not in some other revision."""
    children: Mapping[type[Source], tuple[type[Source], ...]]
    """Source → its items."""
    families: Mapping[object, list[Family]]
    """Purpose → the families that it belongs to."""
    items: tuple[type[Source], ...]
    """The sources without items."""
    periods: Periods
    """The periods of retention."""
    prefix: str
    """The beginning of this notice's ids in a context. It is not empty only if several notices are in force."""
    revisions_by_date: Mapping[datetime.date, Notice]
    """Date → the known revision of that date."""
    class_dates: weakref.WeakKeyDictionary[TermMeta, datetime.date]
    """Class → the date of its revision, for all revisions."""
    _alias: weakref.WeakKeyDictionary[TermMeta, object]
    """Class of another revision → its class here, or an unknown id."""
    _by_clause: Mapping[type[Source | Purpose], Mapping[str | None, object]]
    """`Source` or `Purpose` → folded id → the class."""
    _labels: Mapping[type[Source], Label]
    """Source → the label of this source alone."""
    _purposes: dict[object, type[Purpose] | Family]
    """Spelling → the purpose or family that it means."""
    _tables: Mapping[str | None, dict[object, Row]]
    """Channel → sources in any form → their row where nothing is known but the label."""
    _named: Mapping[type[Purpose], Names]
    """Purpose → its ids by revision, if they differ."""
    _then: dict[object, PolicyTable]
    """`id` of another revision → its table."""
    _in_context: dict[object, Row]
    """Label, channel and context → the row."""
    texts: dict[type[Source | Purpose], str]
    """The cached sentences about sources and purposes in explanations. No decision reads them."""

    def __init__(
        self,
        notice: Notice,
        earlier: PolicyTable | None = None,
        history: History | None = None,
        *,
        prefix: str = "",
    ) -> None:
        """Compile a notice.

        Args:
            notice: the notice in force.
            earlier: the table that this one replaces.
            history: the revisions of the notice, itself included; by default, those of `earlier` and the notice.
            prefix: the beginning of this notice's ids in contexts, where several notices are in force.
        """
        if history is None:
            history = earlier.history.with_(notice) if earlier is not None else History(notice)
        document, revisions = notice.document, _collect_revisions(earlier, history)
        closed, below = _find_closed_channels(notice), ClauseHierarchy(document).children
        self._fill(notice=notice, history=history, prefix=prefix, _then={}, _in_context={}, texts={})
        self._fill(
            periods=Periods(document),
            grounds=LegalGrounds(document),
            extended=compute_extensions(document),
            closed=closed,
            opened=_find_opened_purposes(notice, revisions.values(), history).difference(closed),
            items=tuple(source for source in notice.sources if source.clause not in below),
            children={notice.source(clause): tuple(map(notice.source, items)) for clause, items in below.items()},
            families=index_families(notice.families),
            revisions_by_date=revisions,
            class_dates=_collect_class_dates(notice, earlier, history),
            _by_clause={Source: _index_by_clause(notice.sources), Purpose: _index_by_clause(notice.purposes)},
            _alias=weakref.WeakKeyDictionary(),
            _named=_collect_former_ids(notice, history, prefix),
            _labels={source: Label(source) for source in notice.sources},
            _purposes=_index_purposes(notice),
        )
        self._fill(_tables=self._compile_tables())

    def _compile_tables(self) -> dict[str | None, dict[object, Row]]:
        """Return channel → source → its row where nothing is known but the source."""
        open_purposes: dict[type[Source], set[type[Purpose]]] = {}
        for source, granted in self.notice.grants.items():
            is_open = functools.partial(self.grounds.is_open, source.clause)
            open_purposes[source] = {purpose for purpose in granted if is_open(purpose.clause)}
        tables: dict[str | None, dict[object, Row]] = {}
        for channel in (None, *self.notice.channels):
            shut = {purpose for purpose in self.closed if not self.admits(purpose, channel)}
            table = tables[channel] = {}
            for source, purposes in open_purposes.items():
                is_row_shared = channel is not None and shut.isdisjoint(purposes)
                table[source] = tables[None][source] if is_row_shared else self._build_row(purposes - shut)
            table[NotPersonal] = self._build_not_personal_row(channel)
        return tables

    def _build_row(self, purposes: Iterable[type[Purpose]]) -> Row:
        """Return the row of these purposes, and of each family with one of them."""
        row: set[object] = set()
        for purpose in purposes:
            row.add(purpose)
            row.update(self.families.get(purpose, ()))
        return frozenset(row)

    @property
    def revisions(self) -> History | Notices:
        """The revisions whose sources tags of stored data may name."""
        return self.history

    def replace_revision(self, notice: object, history: History | None = None) -> PolicyTable:
        """Return the table of another revision, to replace this one.

        Raises:
            NoticeError: it is of another notice.
        """
        if not isinstance(notice, Notice) or notice.id != self.notice.id:
            label = f"`{notice.id}`" if isinstance(notice, Notice) else "more than one"
            fault = Fault("id", f"{label} is another notice than `{self.notice.id}`", "make a guard of its own")
            raise NoticeError([fault], "replace")
        return PolicyTable(notice, self, history)

    def table_of(self, source: type[Source]) -> PolicyTable:  # noqa: ARG002  # over several notices it tells
        """Return the table of the source's notice. Here there is only this one."""
        return self

    def split_label(self, label: Label) -> tuple[tuple[PolicyTable, Label], ...]:
        """Split a label by the notices of its sources. Return the table and the part of the label for each notice."""
        return ((self, label),)

    @property
    def parts(self) -> tuple[PolicyTable, ...]:
        """The table of each notice that is in force."""
        return (self,)

    def single_table_of(self, purpose: type[Purpose] | Family) -> PolicyTable:  # noqa: ARG002  # over several notices it tells
        """Return the table of the notice of a purpose or family. Here there is only this one."""
        return self

    def own_conditions(self, conditions: frozenset[str]) -> frozenset[str]:
        """Return the conditions of this notice among the given ones, by their ids within the notice."""
        prefix = self.prefix
        return frozenset(condition.removeprefix(prefix) for condition in conditions if condition.startswith(prefix))

    def record_id(self, term: type[Source | Purpose]) -> str:
        """Return the id by which contexts and records name a source or purpose.

        Where several notices are in force, the id contains that of the notice.
        """
        return self.prefix + term.clause

    def build_context(
        self,
        sources: Iterable[type[Source]],
        preferences: SubjectPreferences | None,
        *,
        collected: Day | None,
        ended: Day | None,
        today: Day,
    ) -> Context:
        """Build the context of a decision from a subject's preferences and the days of a datum.

        Args:
            sources: the sources of the datum.
            preferences: what the subject asked for and agreed to; None if no subject is named.
            collected: the day of collection, if it is known.
            ended: the day on which the use ended; None while it goes on.
            today: the day to decide for.

        Raises:
            NoticeError: this machine does not know the notice's time zone.
        """
        under = None
        if collected is not None:
            revision = self.history.on(collected)
            under = BEFORE_ALL if revision is None else revision.revision
            if under == self.notice.revision:
                under = None
        clauses = [self.current_source(source).clause for source in sources if source is not NotPersonal]
        overdue = self.periods.overdue(clauses, collected=collected, ended=ended, today=today)
        if self.prefix:
            overdue = frozenset(self.prefix + clause for clause in overdue)
        return Context(preferences, under, overdue)

    def to_record_label(self, label: Label) -> Label:
        """Return a label with the classes by which records name its sources. Here it is the label itself."""
        return label

    @property
    def lookup_tables(self) -> tuple[Mapping[object, Row], Mapping[object, type[Purpose] | Family]]:
        """The cached rows by sources (without a channel), and the purposes by spelling, for a guard's fast path."""
        return self._tables[None], self._purposes

    def allows(self, sources: object, purpose: object, channel: str | None = None) -> bool:
        """Return True if the sources may serve the purpose or family.

        Raises:
            UnknownTerm: an id means nothing in the notice.
            UnlabelledData: there are no sources.
        """
        return self.resolve_purpose(purpose) in self.resolve_row(sources, channel)

    def resolve_row(self, sources: object, channel: str | None = None) -> Row:
        """Return the purposes and families that the sources may serve.

        Raises:
            UnknownTerm: an id means nothing in the notice.
            UnlabelledData: there are no sources.
        """
        table = self._tables.get(channel) if channel is None or type(channel) is str else None
        if table is None:
            channel = self.notice.channel(channel)
            table = self._tables[channel]
        key: object = None
        row = None
        try:
            key = frozenset(sources) if isinstance(sources, (set, frozenset, list)) and sources else sources
            row = table.get(key)
        except TypeError:  # Sources that cannot be hashed are not cached.
            key = None
        if row is None:
            label = self.resolve_label(sources if key is None else key)
            row = table.get(label) or self._get_row(label, channel, table)
            for seen in (label, key):
                if seen is not None and len(table) < MOST_REMEMBERED and _is_cacheable(seen):
                    table[seen] = row
        return row

    def _get_row(self, label: Label, channel: str | None, table: dict[object, Row]) -> Row:
        for source in label.sources:
            if source not in table:  # The source is of another revision.
                table[source] = self._build_source_row(source, channel, NONE_KNOWN)
        first, *others = (table[source] for source in label.sources)
        return first.intersection(*others)

    def cache_row(self, asked: object, channel: str | None, row: Row) -> None:
        """Remember the row of these sources, so that it is found at once when they are asked for in the same form.

        `asked` must come from `freeze_sources`.
        """
        table = self._tables[channel]
        if len(table) < MOST_REMEMBERED and _is_cacheable(asked):
            table[asked] = row

    def row_for(self, label: Label, channel: str | None, context: Context) -> Row:
        """Return the purposes and families that data of a label of this table may serve in this context."""
        if context is NONE_KNOWN or context == NONE_KNOWN:
            return self.resolve_row(label, channel)
        key = (label, channel, context)
        row = self._in_context.get(key)
        if row is None:
            first, *others = (self._build_source_row(source, channel, context) for source in label.sources)
            row = first.intersection(*others)
            if len(self._in_context) < MOST_REMEMBERED:
                self._in_context[key] = row
        return row

    def _build_not_personal_row(self, channel: str | None) -> Row:
        """Return the row of data that is not personal: all purposes and families that admit the channel."""
        return self._build_row(purpose for purpose in self.notice.purposes if self.admits(purpose, channel))

    def _build_source_row(self, source: type[Source], channel: str | None, context: Context) -> Row:
        if source is NotPersonal:
            return self._tables[channel][NotPersonal]
        granted = self.notice.grants[self.current_source(source)]
        may = [purpose for purpose in granted if self.find_denial_reason(source, purpose, channel, context) is None]
        return self._build_row(may)

    def find_denial_reason(
        self, source: type[Source], purpose: type[Purpose], channel: str | None, context: Context
    ) -> DenialReason | None:
        """Return the reason why a source may not serve a purpose of the notice; None if it may."""
        current = self.current_source(source)
        if purpose not in self.notice.grants[current]:
            return DenialReason.GRANT
        if not self.admits(purpose, channel):
            return DenialReason.CHANNEL
        grounds = self.grounds.get_grounds(current.clause, purpose.clause, context.conditions)
        if () in grounds:
            return DenialReason.CONDITION
        earlier_grounds: Grounds = ()
        then = self._collection_table(source, context)
        if then is not None:
            earlier = self._earlier_grounds(then, source, purpose, channel, context)
            bar = self._find_revision_reason(current, purpose, context.preferences, then) if earlier is None else None
            if bar is not None:
                return bar
            earlier_grounds = earlier or ()
            if () in earlier_grounds:
                return DenialReason.REVISION  # That revision grants it under conditions that are not stated.
        elif context.under not in (None, self.notice.revision):
            return DenialReason.REVISION  # The revision is not known, or is earlier than all that are.
        if context.overdue:
            grounds = self._drop_overdue_grounds(grounds, current, context)
            if () in grounds:
                return DenialReason.RETENTION
        return self._find_subject_reason(grounds + earlier_grounds, purpose, context.preferences)

    def _drop_overdue_grounds(self, grounds: Grounds, source: type[Source], context: Context) -> Grounds:
        """Return the grounds without those that ended.

        Law ends when it no longer needs the source; all others end when the source may no longer be kept.
        """
        if self.prefix + source.clause in context.overdue:
            grounds = filter_grounds(grounds, lambda ground: ground.basis == "law")
        if self.prefix + for_law(source.clause) in context.overdue:
            grounds = filter_grounds(grounds, lambda ground: ground.basis != "law")
        return grounds

    def _find_subject_reason(
        self, grounds: Grounds, purpose: type[Purpose], preferences: SubjectPreferences | None
    ) -> DenialReason | None:
        """Return the reason in a subject's preferences against a use; None if there is none.

        That is a stopped use, a missing consent, or a subject who must be named and is not.
        """
        if preferences is not None and self._is_stopped(preferences, purpose):
            return DenialReason.SUBJECT
        for group in grounds:
            for ground in group:
                if ground.basis != "consent" and not (ground.opt_out and preferences is None):
                    break
            else:
                if not self._has_consented(preferences, purpose):
                    return DenialReason.SUBJECT if any(ground.opt_out for ground in group) else DenialReason.CONSENT
        return None

    def _is_stopped(self, preferences: SubjectPreferences, purpose: type[Purpose]) -> bool:
        """Return True if the subject stopped the use for a purpose, by any id that the purpose ever had."""
        named = self._named.get(purpose, NO_NAMES)
        names = [name for day, name in named.items() if name is not None and day != BEFORE_ALL]
        names.append(self.record_id(purpose))
        if self.prefix:  # Requests from before there were several notices have ids without a prefix.
            names += [name.removeprefix(self.prefix) for name in names]
        return any(map(preferences.stops, names))

    def _has_consented(
        self, preferences: SubjectPreferences | None, purpose: type[Purpose], after: datetime.date | None = None
    ) -> bool:
        """Return True if the subject agreed to a purpose, by the id that the purpose had at that time.

        With `after`, only consents under revisions later than that day count.
        """
        return preferences is not None and preferences.has_consented(
            self.record_id(purpose), after, self._named.get(purpose, NO_NAMES)
        )

    def _find_revision_reason(
        self, source: type[Source], purpose: type[Purpose], preferences: SubjectPreferences | None, then: PolicyTable
    ) -> DenialReason | None:
        """Return the reason against a use that the revision of collection does not grant (rule 9).

        Return None if the revision in force extends the purpose to such data, and the subject agreed if they must.
        """
        extension = self.extended.get((source.clause, purpose.clause))
        if extension is None or then.notice.revision > self.notice.revision:
            return DenialReason.REVISION
        agreed = self._has_consented(preferences, purpose, after=then.notice.revision)
        return None if extension.basis == "related" or agreed else DenialReason.CONSENT

    def admits(self, purpose: type[Purpose], channel: str | None) -> bool:
        """Return True if the purpose may be served by this channel, or without one (None)."""
        only = self.closed.get(purpose)
        return channel is None or only is None or channel in only

    def _collection_table(self, source: type[Source], context: Context) -> PolicyTable | None:
        """Return the table of the revision under which data was collected.

        Return None if that revision is the one in force, or is not known.
        """
        # A class of another revision dates all data that is tagged with it. A single row may be older than that.
        notice, now, said = self.find_other_revision(source), self.notice.revision, context.under
        if said not in (None, now) and (notice is None or notice.revision == now or said < notice.revision):
            notice = next((revision for revision in self.history if revision.revision == said), None)
        return None if notice is None or notice.revision == now else self.compile_revision(notice)

    def collection_revision(self, source: type[Source], context: Context) -> datetime.date | None:
        """Return the date of the revision under which data was collected; None if that revision is in force."""
        then = self._collection_table(source, context)
        return context.under if then is None else then.notice.revision

    def compile_revision(self, notice: Notice) -> PolicyTable:
        """Return the table of another revision as it was when that revision was in force."""
        table = self._then.get(id(notice))
        if table is None:
            table = self._then.setdefault(id(notice), PolicyTable(notice))
        return table

    def _earlier_grounds(
        self, then: PolicyTable, source: type[Source], purpose: type[Purpose], channel: str | None, context: Context
    ) -> Grounds | None:
        """Return the grounds on which the revision of collection grants a purpose; None if it does not grant it.

        An activity that states no channel is not granted a purpose whose channels that revision closed (rule 7).
        """
        notice = then.notice
        own, purpose_id = source, self.history.translate_clause("purpose", purpose.clause, self.notice, notice)
        source_id = self.history.translate_clause("source", self.current_source(source).clause, self.notice, notice)
        try:
            own = notice.source(source if source in notice.grants else source_id)
            granted = notice.purpose(purpose_id)
        except UnknownTerm:
            return None
        if granted not in notice.grants[own] or not then.admits(granted, channel):
            return None
        if context.channel_unstated and granted in then.closed:
            return None
        return then.grounds.get_grounds(own.clause, granted.clause, context.conditions)

    def resolve_label(self, sources: object) -> Label:
        """Return the label of a sources argument: a class, an id, a label, or an iterable of these.

        Raises:
            UnknownSource: an id means nothing, or a class belongs to another notice.
            UnlabelledData: there are no sources.
        """
        if isinstance(sources, Label):
            for source in sources.sources:
                self._resolve_source(source)
            return sources
        if isinstance(sources, (str, TermMeta)):
            source = self._resolve_source(sources)
            return self._labels.get(source) or Label(source)
        if isinstance(sources, (bytes, bytearray, Mapping)) or not isinstance(sources, Iterable):
            raise UnknownSource(sources, "sources are a class, an id, a Label, or an iterable of classes and ids")
        members: set[type[Source]] = set()
        for entry in sources:
            members |= self.resolve_label(entry).sources if isinstance(entry, Label) else {self._resolve_source(entry)}
        if not members:
            raise UnlabelledData("a check with no sources: an empty label is no licence (rule 4)")
        return Label(*members)

    def _resolve_source(self, given: object) -> type[Source]:
        if given is NotPersonal:
            return NotPersonal
        if isinstance(given, TermMeta) and given not in self.notice.grants:
            present = self.translate_term(given)
            if present is not given:
                self.notice.source(present)
                return cast("type[Source]", given)
        return self.notice.source(given)

    def find_other_revision(self, term: object) -> Notice | None:
        """Return the other revision that a class belongs to; None if it belongs to this one or to an unknown one."""
        if not isinstance(term, TermMeta) or any(term is own for own in (*self.notice.grants, *self.notice.purposes)):
            return None
        date = self.class_dates.get(term)
        return None if date is None else self.revisions_by_date.get(date)

    def translate_term(self, term: object) -> object:
        """Translate a class of another revision to the class of the same term in this one.

        Return an id that no notice knows if there is no such term. Return anything else unchanged.
        """
        origin = self.find_other_revision(term)
        if origin is None:
            return term
        alias = self._alias.get(cast("TermMeta", term))
        if alias is None:
            other = cast("type[Source | Purpose]", term)
            kind: Literal["source", "purpose"] = "source" if issubclass(other, Source) else "purpose"
            clause = self.history.translate_clause(kind, other.clause, origin, self.notice)
            alias = self._by_clause[Source if kind == "source" else Purpose].get(clause)
            if alias is None:
                alias = f"{other.clause} of {origin.revision}"
            self._alias[cast("TermMeta", term)] = alias
        return alias

    def resolve_purpose(self, given: object) -> type[Purpose] | Family:
        """Return the purpose or family of a purpose argument.

        Raises:
            UnknownPurpose: it means nothing in the notice, or is a union that is no declared family (rule 3).
        """
        try:
            resolved = self._purposes.get(given)
        except TypeError:
            resolved = None
        if resolved is None:
            resolved = self._resolve_purpose(given)
            if len(self._purposes) < MOST_REMEMBERED and _is_cacheable(given):
                self._purposes[given] = resolved
        return resolved

    def _resolve_purpose(self, given: object) -> type[Purpose] | Family:
        if isinstance(given, TermMeta):
            return self.notice.purpose(self.translate_term(given))
        if isinstance(given, Family):
            given = given.union
        if is_union(given) and any(self.find_other_revision(member) is not None for member in union_members(given)):
            members = {*map(self.translate_term, union_members(given))}
            for member in members:
                if isinstance(member, str):
                    self.notice.purpose(member)  # This raises: the revision has no such clause.
            if len(members) > 1:
                given = Union[tuple(members)]  # noqa: UP007  # the members are known only now
        return self.notice.purpose_or_family(given)

    def resolve_channel(self, given: str | None) -> str | None:
        """Return the channel of a name; None for None.

        Raises:
            UnknownChannel: the notice has no such channel.
        """
        return None if given is None else self.notice.channel(given)

    def resolve_conditions(self, given: object) -> frozenset[str]:
        """Return the conditions of a `conditions` argument: a set, list or tuple of ids, which is read once.

        Raises:
            UnknownCondition: the notice has no such condition.
            TypeError: it is something else, such as a text.
        """
        if not isinstance(given, (AbstractSet, list, tuple)):
            name = "one text" if isinstance(given, str) else f"a {type(given).__name__}"
            raise TypeError(f'`conditions` are the ids of those that hold, in a set, not {name}: `conditions={{"…"}}`')
        return frozenset(map(self.notice.condition, given))

    def must_state_channel(self, purpose: type[Purpose] | Family) -> bool:
        """Return True if an activity under this purpose must state its channel (rule 7)."""
        members = list_members(purpose)
        return any(member in self.closed for member in members)

    def is_closed_in_another_revision(self, purpose: type[Purpose] | Family) -> bool:
        """Return True if another known revision limits the channels of this purpose, and this one does not."""
        return not self.opened.isdisjoint(list_members(purpose))

    def list_admitted_channels(self, purpose: type[Purpose] | Family) -> tuple[str, ...]:
        """Return the channels that the purpose, or some member of the family, admits, in the notice's order."""
        admitted: set[str] = set()
        for member in list_members(purpose):
            admitted.update(self.closed.get(member, self.notice.channels))
        return tuple(channel for channel in self.notice.channels if channel in admitted)

    def current_source(self, source: type[Source]) -> type[Source]:
        """Return the class of this source in the revision in force."""
        return source if source in self.notice.grants else cast("type[Source]", self.translate_term(source))

    def derive_label(self, operation: str, one: object, other: object) -> Label:
        """Return the label of two values joined by an operation that the notice declares (rule 6).

        Raises:
            UnknownOperation: the notice declares no such operation between the two.
        """
        left, right = self.resolve_label(one), self.resolve_label(other)
        made = derive_label(self.notice, operation, left, right, self.current_source)
        # A value made from data of several revisions was collected under all of them.
        then = {self.find_other_revision(source) or self.notice for source in (left | right).sources}
        others = [revision for revision in then if revision.revision != self.notice.revision]
        if not others:
            return made
        present = made.sources if len(others) < len(then) else frozenset[type[Source]]()
        return Label(*present, *(self._source_in_notice(revision, source) for revision in others for source in made))

    def _source_in_notice(self, notice: Notice, source: type[Source]) -> type[Source]:
        """Return the class that a source of this notice has in another revision.

        Raises:
            UnknownSource: that revision has no such source.
        """
        clause = self.history.translate_clause("source", source.clause, self.notice, notice)
        return notice.source(clause if clause is not None else f"{source.clause} of {self.notice.revision}")

    def __repr__(self) -> str:
        return f"<PolicyTable of {self.notice!r}>"


def index_families(families: Iterable[Family]) -> dict[type[Purpose], list[Family]]:
    """Return purpose → the families that it belongs to."""
    families_of: dict[type[Purpose], list[Family]] = {}
    for family in families:
        for member in family.members:
            families_of.setdefault(member, []).append(family)
    return families_of


def _index_by_clause(terms: Iterable[type[Source | Purpose]]) -> dict[str | None, object]:
    return {fold(term.clause): term for term in terms}


def _index_purposes(notice: Notice) -> dict[object, type[Purpose] | Family]:
    """Return the purposes by class and id, and the families by name."""
    purposes: dict[object, type[Purpose] | Family] = {family.name: family for family in notice.families}
    for purpose in notice.purposes:
        purposes[purpose] = purposes[purpose.clause] = purpose
    return purposes


def _find_closed_channels(notice: Notice) -> dict[type[Purpose], frozenset[str]]:
    """Return purpose → its only channels, for the purposes that do not admit all."""
    closed: dict[type[Purpose], frozenset[str]] = {}
    for purpose, row in zip(notice.purposes, notice.document.purposes, strict=True):
        if row.channels is not None and row.channels.closed is not None:
            closed[purpose] = frozenset(row.channels.closed)
    return closed


def _find_opened_purposes(notice: Notice, others: Iterable[Notice], history: History) -> set[type[Purpose]]:
    """Return the purposes of the notice whose channels some other revision limits."""
    opened: set[type[Purpose]] = set()
    for other in others:
        closed = _find_closed_channels(other) if other is not notice else {}
        closed_ids = {fold(purpose.clause) for purpose in closed}
        for purpose in notice.purposes if closed_ids else ():
            if history.translate_clause("purpose", purpose.clause, notice, other) in closed_ids:
                opened.add(purpose)
    return opened


def _collect_revisions(earlier: PolicyTable | None, history: History) -> dict[datetime.date, Notice]:
    """Return all known revisions by date: those of the history, and those that `earlier` knew.

    Raises:
        NoticeError: together they do not make a history.
    """
    revisions = dict(earlier.revisions_by_date) if earlier is not None else {}
    for revision in history:
        revisions[revision.revision] = revision
    if len(revisions) > len(history):  # The history has not been checked with the others.
        History(*(revisions[day] for day in sorted(revisions)))
    return revisions


def _collect_class_dates(
    notice: Notice, earlier: PolicyTable | None, history: History
) -> weakref.WeakKeyDictionary[TermMeta, datetime.date]:
    """Return the date of the revision of each class, for all revisions that are or were known.

    Tables that replace each other share the dictionary. It keeps no class alive, so that replacing notices often does
    not fill it with classes that nothing is tagged with any more.
    """
    dates = weakref.WeakKeyDictionary[TermMeta, datetime.date]() if earlier is None else earlier.class_dates
    dated_ids = set[int]() if earlier is None else set(map(id, earlier.revisions_by_date.values()))
    for revision in (notice, *history):
        if id(revision) not in dated_ids:
            dated_ids.add(id(revision))
            dates.update(dict.fromkeys((*revision.sources, *revision.purposes), revision.revision))
    return dates


def _collect_former_ids(notice: Notice, history: History, prefix: str) -> dict[type[Purpose], Names]:
    """Return the ids by revision of the purposes that had another id in some revision, or whose id was another's.

    The earliest known revision itself says what purposes were called before it.
    """
    if not any(revision.document.renamed for revision in history):
        return {}
    spellings: dict[datetime.date, dict[str | None, str]] = {}
    for revision in history:
        spellings[revision.revision] = {fold(purpose.clause): purpose.clause for purpose in revision.purposes}
    earliest = history.notices[0]
    formerly = {fold(row.old): row.old for row in earliest.document.renamed if row.kind == "purpose"}
    spellings[BEFORE_ALL] = spellings[earliest.revision] | formerly
    names_of: dict[type[Purpose], Names] = {}
    for purpose in notice.purposes:
        own = fold(purpose.clause)
        names: dict[datetime.date, str | None] = {}
        for day, clauses in sorted(spellings.items()):
            folded = history.clause_on("purpose", purpose.clause, notice.revision, day)
            clause = purpose.clause if folded == own else clauses.get(folded)
            names[day] = None if clause is None else prefix + clause
        if set(names.values()) != {prefix + purpose.clause}:
            names_of[purpose] = names
    return names_of


def freeze_sources(sources: object) -> object:
    """Return a sources argument in a form that does not change.

    An instance of a subclass of `set` might give other members each time that it is read.
    """
    try:
        return frozenset(sources) if isinstance(sources, (set, frozenset, list)) and sources else sources
    except TypeError:
        return sources  # A member cannot be hashed.


def _is_cacheable(given: object) -> bool:
    """Return True if these sources or this purpose may be cached: short ids, labels, terms, and small sets of them."""
    if type(given) is frozenset:
        return len(given) <= 64 and all(map(_is_cacheable, given))
    return isinstance(given, (Label, TermMeta, Family)) or is_union(given) or (type(given) is str and len(given) <= 100)
