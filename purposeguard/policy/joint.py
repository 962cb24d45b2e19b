"""Several notices compiled into one table, in which each source is decided by the table of its own notice.

The row of a source comes from its own notice. So data of several notices may serve only a family that has a purpose of
each of them, if each notice lets its part of the data serve it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, NoReturn, cast

from purposeguard.errors import Fault, NoticeError, SeveralNotices, ShowableText, UnknownOperation, UnknownSource
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import ORIGIN, JointNotice, Notices, qualify_id, refuse_joint_attribute
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import (
    Family,
    NotPersonal,
    Purpose,
    Source,
    TermMeta,
    clause_sort_key,
    list_members,
    union_members,
)
from purposeguard.policy.context import BEFORE_ALL, NONE_KNOWN, Context, DenialReason, SubjectPreferences
from purposeguard.policy.table import PolicyTable, Row, index_families


class NoticesInForce(NamedTuple):
    """The notices that a guard holds to at once, each with its history if there is one, and their families."""

    members: tuple[tuple[Notice, History | None], ...]
    families: Mapping[str, object]


class JointTable(PolicyTable):
    """The decisions of several notices.

    `__init__` does not call that of `PolicyTable`, which compiles one notice: this table combines compiled ones.
    """

    __slots__ = ("_declared", "_parts", "_revisions", "_stand_ins")

    _declared: Mapping[str, object]
    _parts: tuple[PolicyTable, ...]
    _revisions: Notices
    _stand_ins: dict[type[Source | Purpose], TermMeta]

    def __init__(self, parts: Sequence[PolicyTable], declared: Mapping[str, object]) -> None:
        """Combine the tables of several notices.

        Args:
            parts: the table of each notice, in their order.
            declared: the families over several notices, as unions of classes of any revision.

        Raises:
            NoticeError: a family names what is of none of the notices, or the notices do not go together.
        """
        # Each of the three calls sets attributes that methods called before the next one read: the parts translate the
        # families, the joint notice names the purposes of rows, and the rows are built last.
        self._fill(_parts=tuple(parts), _declared=declared, _in_context={}, texts={}, prefix="", _stand_ins={})
        faults = list(self._find_missing_members())
        if faults:
            raise NoticeError(faults, ORIGIN)
        joint = {name: self._union_members(union) for name, union in declared.items()}
        notice = JointNotice([part.notice for part in parts], joint)
        closed: dict[type[Purpose], frozenset[str]] = {}
        opened: set[type[Purpose]] = set()
        children: dict[type[Source], tuple[type[Source], ...]] = {}
        items: list[type[Source]] = []
        for part in parts:
            closed.update(part.closed)
            opened.update(part.opened)
            children.update(part.children)
            items.extend(part.items)
        self._fill(
            notice=notice,
            _revisions=Notices(*(part.history for part in parts)),
            families=index_families(notice.families),
            closed=closed,
            opened=frozenset(opened),
            children=children,
            items=tuple(items),
            _labels={source: Label(source) for source in notice.sources},
            _purposes=dict(zip(notice.purposes, notice.purposes, strict=True)),
        )
        tables: dict[str | None, dict[object, Row]] = {}
        self._fill(_tables=tables)
        for channel in (None, *notice.channels):
            tables[channel] = {source: self._build_source_row(source, channel, NONE_KNOWN) for source in notice.sources}
            tables[channel][NotPersonal] = self._build_not_personal_row(channel)

    @classmethod
    def compile_from(cls, given: NoticesInForce, earlier: JointTable | None = None) -> JointTable:
        """Compile several notices, which replace those of `earlier`.

        Raises:
            NoticeError: a class belongs to two of them; or as `JointTable` does.
        """
        before = {part.notice.id: part for part in earlier.parts} if earlier is not None else {}
        _refuse_shared_classes(given.members, before)
        parts: list[PolicyTable] = []
        for notice, history in given.members:
            part = PolicyTable(notice, before.get(notice.id), history, prefix=qualify_id(notice.id, ""))
            parts.append(part)
        return cls(parts, given.families)

    def replace_revision(self, notice: object, history: History | None = None) -> JointTable:
        """Return the table with another revision of one notice, or with other revisions of all of them.

        Raises:
            NoticeError: it is of another notice; or a family names a purpose that the notice has no more.
        """
        parts = {part.notice.id: part for part in self.parts}
        if isinstance(notice, NoticesInForce):
            ids = [latest.id for latest, _ in notice.members]
            if ids == list(parts):
                return JointTable.compile_from(notice, self)
        else:
            present = cast("Notice", notice)
            ids = [present.id]
            if present.id in parts:
                _refuse_shared_classes([(present, history)], parts)
                earlier = parts[present.id]
                parts[present.id] = PolicyTable(present, earlier, history, prefix=earlier.prefix)
                return JointTable(list(parts.values()), self._declared)
        message = f"{', '.join(ids)}: this guard holds to {', '.join(parts)}"
        raise NoticeError([Fault("id", message, "make a guard of its own")], "replace")

    @property
    def parts(self) -> tuple[PolicyTable, ...]:
        """The tables of each notice, in their order."""
        return self._parts

    @property
    def revisions(self) -> Notices:
        """The revisions of each notice."""
        return self._revisions

    def __getattr__(self, name: str) -> NoReturn:
        """Raise the error for an attribute that is not here: SeveralNotices if each notice has its own."""
        refuse_joint_attribute(name, lambda: self.notice.notices)

    def table_of(self, source: type[Source]) -> PolicyTable:
        """Return the table of the notice that a source or purpose belongs to.

        Raises:
            UnknownSource: it belongs to none of them.
        """
        part = self._find_part(source)
        if part is None:
            raise UnknownSource(source, f"is a class of none of {self.notice.id}")
        return part

    def single_table_of(self, purpose: type[Purpose] | Family) -> PolicyTable:
        """Return the table of the only notice that a purpose or family belongs to.

        Raises:
            SeveralNotices: it is a family over several notices.
        """
        members = list_members(purpose)
        part, *others = set(map(self._find_part, members))
        if part is None or others:
            raise SeveralNotices([each.notice.id for each in self.parts], "a purpose of its own in this family")
        return part

    def split_label(self, label: Label) -> tuple[tuple[PolicyTable, Label], ...]:
        """Split a label by the notices of its sources. Return the table and the part of the label for each notice.

        Data that is not personal belongs to all notices.

        Raises:
            UnknownSource: a source belongs to none of the notices.
        """
        if NotPersonal in label:  # Then it has no other source.
            return tuple((part, label) for part in self.parts)
        sources_of: dict[PolicyTable, list[type[Source]]] = {part: [] for part in self.parts}
        for source in label:
            sources_of[self.table_of(source)].append(source)
        return tuple((part, Label(*sources)) for part, sources in sources_of.items() if sources)

    def _find_part(self, term: object) -> PolicyTable | None:
        if isinstance(term, TermMeta):
            for part in self.parts:
                if term in part.class_dates:
                    return part
        return None

    def record_id(self, term: type[Source | Purpose]) -> str:
        """Return the id by which contexts and records name a source or purpose, e.g. `jp-notice:1.1(a)`."""
        part = self._find_part(term)
        return term.clause if part is None else part.record_id(term)

    def find_denial_reason(
        self, source: type[Source], purpose: type[Purpose], channel: str | None, context: Context
    ) -> DenialReason | None:
        """Return the reason why a source may not serve a purpose, by the source's own notice; None if it may."""
        part = self.table_of(source)
        return part.find_denial_reason(source, purpose, channel, self._context_for_part(part, context))

    def collection_revision(self, source: type[Source], context: Context) -> datetime.date | None:
        """Return the date of the revision of collection in the source's notice; None if that revision is in force."""
        part = self.table_of(source)
        return part.collection_revision(source, self._context_for_part(part, context))

    def _context_for_part(self, part: PolicyTable, context: Context) -> Context:
        """Return the context with the revision of collection and the conditions of one notice."""
        if context.conditions:
            context = context._replace(conditions=part.own_conditions(context.conditions))
        if context.unders:
            return context._replace(under=context.unders[self.parts.index(part)], unders=())
        # A date alone does not say of which notice it is a revision.
        return context if context.under is None else context._replace(under=BEFORE_ALL)

    def build_context(
        self,
        sources: Iterable[type[Source]],
        preferences: SubjectPreferences | None,
        *,
        collected: Day | None,
        ended: Day | None,
        today: Day,
    ) -> Context:
        """Build the context of a decision. Each notice counts days and knows revisions by itself."""
        sources_of: dict[PolicyTable | None, list[type[Source]]] = {}
        for source in sources:
            sources_of.setdefault(self._find_part(source), []).append(source)
        unders: list[datetime.date | None] = []
        overdue: set[str] = set()
        for part in self.parts:
            own = sources_of.get(part, ())
            context = part.build_context(own, preferences, collected=collected, ended=ended, today=today)
            unders.append(context.under)
            overdue.update(context.overdue)
        if not any(unders):
            return Context(preferences, overdue=frozenset(overdue))
        return Context(preferences, BEFORE_ALL, frozenset(overdue), unders=tuple(unders))

    def to_record_label(self, label: Label) -> Label:
        """Return a label with the classes by which records name its sources. Their ids contain that of the notice."""
        return Label(*(cast("type[Source]", self.make_record_class(source)) for source in label))

    def make_record_class(self, term: type[Source | Purpose]) -> type[Source | Purpose]:
        """Return a subclass of a term for records, whose id contains that of its notice. No guard decides by it."""
        if self._find_part(term) is None:
            return term
        record_class = self._stand_ins.get(term)
        if record_class is None:
            facts = {
                "clause": self.record_id(term),
                "slug": term.slug,
                "title": term.title,
                "__module__": term.__module__,
            }
            record_class = self._stand_ins.setdefault(term, TermMeta(term.__name__, (term,), facts))
        return cast("type[Source | Purpose]", record_class)

    def derive_label(self, operation: str, one: object, other: object) -> Label:
        """Return the label of two values joined by an operation that the notice of both declares (rule 6).

        Raises:
            UnknownOperation: the notice declares none between the two, or they belong to several notices.
        """
        left, right = self.resolve_label(one), self.resolve_label(other)
        part, *others = set(map(self._find_part, (left | right).sources))
        if part is not None and not others:
            return part.derive_label(operation, left, right)
        rows = chain.from_iterable(each.notice.document.derivation for each in self.parts)
        declared = any(row.operation == operation for row in rows)
        why = "a notice derives from data of its own alone, and this is of several or of none"
        raise UnknownOperation(ShowableText(operation) if declared else operation, why)

    def find_other_revision(self, term: object) -> Notice | None:
        """Return the other revision that a class belongs to, as `PolicyTable` does, by the table of its notice."""
        part = self._find_part(term)
        return None if part is None else part.find_other_revision(term)

    def translate_term(self, term: object) -> object:
        """Translate a class of another revision, as `PolicyTable` does, by the table of its notice."""
        part = self._find_part(term)
        return term if part is None else part.translate_term(term)

    def _union_members(self, union: object) -> tuple[type[Purpose], ...]:
        """Return the purposes of a union as classes of the notices in force, in their order."""
        present = set(map(self.translate_term, union_members(union)))
        return tuple(purpose for purpose in self._iter_purposes() if purpose in present)

    def _iter_purposes(self) -> Iterator[type[Purpose]]:
        return chain.from_iterable(part.notice.purposes for part in self.parts)

    def _find_missing_members(self) -> Iterable[Fault]:
        purposes = set[object](self._iter_purposes())
        for name, union in self._declared.items():
            for member in union_members(union):
                if self.translate_term(member) not in purposes:
                    shown = getattr(member, "clause", None) or type(member).__name__
                    message = f"`{shown}` is no purpose of the notices in force"
                    yield Fault(f"family {name}", message, "declare it anew: `guard.replace(Notices(…, families=…))`")

    def __repr__(self) -> str:
        return f"<JointTable of {self.notice!r}>"


def _refuse_shared_classes(members: Iterable[tuple[Notice, History | None]], known: Mapping[str, PolicyTable]) -> None:
    """Check that no class belongs to two notices, as it may where both were bound to one module.

    Otherwise a value could be of either notice. This runs before a notice is compiled, because a new table shares what
    is known of classes with the one that it replaces. `known` holds the tables that are replaced, by notice id.

    Raises:
        NoticeError: two notices have a class.
    """
    terms: dict[str, set[TermMeta]] = {id_: set(part.class_dates) for id_, part in known.items()}
    faults: list[Fault] = []
    for present, history in members:
        for notice in (present, *(history or ())):
            terms.setdefault(notice.id, set()).update(cast("set[TermMeta]", {*notice.sources, *notice.purposes}))
    for id_, own in terms.items():
        holders: dict[TermMeta, str] = {}
        for other, classes in terms.items():
            if other != id_:
                holders.update(dict.fromkeys(classes & own, other))
        for term in sorted(holders, key=clause_sort_key):
            message = f"`{term.__name__}` is a class of {holders[term]} too"
            faults.append(Fault(id_, message, "generate a module for each notice"))
    if faults:
        raise NoticeError(faults, ORIGIN)
