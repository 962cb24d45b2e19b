"""Several notices at once: their joint vocabulary, in which an id may contain that of its notice."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain, starmap
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar, cast

from purposeguard.errors import (
    Fault,
    NoticeError,
    SeveralNotices,
    ShowableText,
    UnknownCondition,
    UnknownPurpose,
    UnknownTerm,
)
from purposeguard.notice.history import History
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import list_ids
from purposeguard.notice.vocabulary import Family, Purpose, Source, fold, is_union, make_slug

ORIGIN: Final = "several notices"
"""The origin in error messages about notices that are combined."""

_OF_ONE: Final = {
    "document": "its own file, with rights, retention and contact",
    "history": "its revisions",
    "periods": "its periods of retention",
    "prohibited": "what it prohibits",
    "revision": "its revision",
}
"""Attributes of one notice, and of its table, that several do not have together."""


def refuse_joint_attribute(name: str, notices: Callable[[], Iterable[Notice]]) -> NoReturn:
    """Raise the error for an attribute that several notices do not have together.

    Raises:
        SeveralNotices: each notice has its own.
        AttributeError: no notice has one.
    """
    if name in _OF_ONE:
        raise SeveralNotices(list_ids(notices()), _OF_ONE[name])
    raise AttributeError(name)


_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,99}")


class Notices(Immutable):
    """Several notices that a guard holds to at once.

    For example `Notices(jp.NOTICE, eu.NOTICE, families={"AnyRenewal": jp.Renewal | eu.Renewal})`. Each member is a
    Notice, or the History of one. A family names one purpose (or one declared family) of each of several notices. Code
    asks for it by the union of their classes.

    Raises:
        NoticeError: there are fewer than two, or two of one id; or their channels are spelt differently.
        TypeError: something else than a Notice or a History is given, or a family is no union of purposes.
    """

    __slots__ = ("families", "latest", "members")

    members: tuple[Notice | History, ...]
    families: Mapping[str, object]
    latest: JointNotice
    """The last revisions of all members as one notice, without families."""

    def __init__(self, *members: Notice | History, families: Mapping[str, object] | None = None) -> None:
        for member in members:
            if not isinstance(member, (Notice, History)):
                raise TypeError(f"`Notices` is made of notices and histories, not of {type(member).__name__}")
        for name, union in (families or {}).items():
            if not is_union(union):
                raise TypeError(f"family `{name}` is a union of purposes, `jp.Renewal | eu.Renewal`")
        notices = list(map(_latest_notice, members))
        faults = [] if len(notices) > 1 else [Fault("", "there are fewer than two", "`Guard(notice)` holds to one")]
        for notice_id, count in Counter(list_ids(notices)).items():
            if count > 1:
                faults.append(Fault(notice_id, "is given twice", "give the revisions of one notice as a `History`"))
        if faults:
            raise NoticeError(faults, ORIGIN)
        latest = JointNotice(notices, {})
        self._fill(members=members, families=MappingProxyType(dict(families or {})), latest=latest)

    def __repr__(self) -> str:
        return f"<Notices {', '.join(_latest_notice(member).id for member in self.members)}>"


def _latest_notice(member: Notice | History) -> Notice:
    return member.latest if isinstance(member, History) else member


class JointNotice(Notice):
    """Several notices in force as one: `notices`, and the terms of all of them, which are their own classes.

    An id that two of them use is refused unless it names its notice, as `jp-notice:1.1(a)` does. What one notice alone
    has, such as its file, its revision and its rules for recipients, is not here: asking for it raises SeveralNotices.
    """

    __slots__ = ("_notices", "_shared")

    _notices: tuple[Notice, ...]
    _shared: Mapping[str, Mapping[str, tuple[str, ...]]]

    def __init__(self, notices: Sequence[Notice], families: Mapping[str, Sequence[type[Purpose]]]) -> None:
        """Combine the notices in force, with families over several of them.

        Args:
            notices: the notices, in their order.
            families: name of each family → its purposes in these notices.

        Raises:
            NoticeError: the notices do not go together, or a family widens what one of them alone lets be asked for.
        """
        joint_families = list(starmap(_make_joint_family, families.items()))
        sources, purposes, own_families, purposes_or_families = _Spellings(), _Spellings(), _Spellings(), _Spellings()
        conditions: list[str] = []
        words: dict[str, str] = {}
        grants: dict[type[Source], Mapping[type[Purpose], str]] = {}
        for notice in notices:
            sources.add(notice.id, notice._sources)
            purposes.add(notice.id, notice._purposes)
            own_families.add(notice.id, notice._families)
            purposes_or_families.add(notice.id, {**notice._purposes, **notice._families})
            conditions += [qualify_id(notice.id, condition) for condition in notice.conditions]
            words.update(notice.words)
            grants.update(notice.grants)
        faults = [*_check_channel_spellings(notices)]
        taken = set(purposes_or_families)
        for family in joint_families:
            faults += _check_family(family, notices, taken)
            folded = fold(family.name) or family.name
            taken.add(folded)
            own_families[folded] = {family.name: family}
        if faults:
            raise NoticeError(faults, ORIGIN)
        self._fill(
            _notices=tuple(notices),
            sources=_join(notice.sources for notice in notices),
            purposes=_join(notice.purposes for notice in notices),
            families=(*_join(notice.families for notice in notices), *joint_families),
            channels=tuple(dict.fromkeys(_join(notice.channels for notice in notices))),
            conditions=tuple(conditions),
            words=MappingProxyType(words),
            grants=MappingProxyType(grants),
            _own_purposes=frozenset(_join(notice.purposes for notice in notices)),
            _sources=sources.unique(),
            _purposes=purposes.unique(),
            _families=own_families.unique(),
            _shared=MappingProxyType({"source": sources.ambiguous(), "purpose": purposes_or_families.ambiguous()}),
        )

    @property
    def id(self) -> str:
        """The ids of the notices, joined to a text that is no id of a single notice."""
        return " + ".join(list_ids(self.notices))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The notices in force, in their order."""
        return self._notices

    def __getattr__(self, name: str) -> NoReturn:
        """Raise the error for an attribute that is not here: SeveralNotices if each notice has its own."""
        refuse_joint_attribute(name, lambda: self._notices)

    @property
    def revision(self) -> datetime.date:
        """An attribute of single notices only.

        Raises:
            SeveralNotices: always, since each notice has its own revision.
        """
        refuse_joint_attribute("revision", lambda: self._notices)

    def key(self, term: type[Source | Purpose]) -> str:
        """Return the id by which records name a source or purpose, with that of its notice: `jp-notice:1.1(a)`."""
        own = next(notice for notice in self.notices if term in notice.grants or term in notice._own_purposes)
        return qualify_id(own.id, term.clause)

    def revision_of(self, clauses: Iterable[str]) -> datetime.date:
        """Return the revision of the notice of these purposes; without purposes, the latest revision of all notices.

        Raises:
            ValueError: the purposes are of several notices.
        """
        ids = {clause.partition(":")[0] for clause in clauses}
        if len(ids) > 1:
            raise ValueError(f"the purposes are of {' and '.join(sorted(ids))}: declare it for those of each by itself")
        return max(notice.revision for notice in self.notices if notice.id in ids or not ids)

    def purpose_or_family(self, given: object) -> type[Purpose] | Family:
        """Return the purpose or family that a purpose argument means.

        Raises:
            UnknownPurpose: no notice has it, or more than one does.
        """
        if isinstance(given, str):
            self._must_be_one(given, UnknownPurpose)
        return super().purpose_or_family(given)

    @property
    def _holder(self) -> str:
        return f"none of {', '.join(list_ids(self.notices))} has this id"

    def condition(self, given: object) -> str:
        """Return the condition of a name, with the id of its notice: `jp-notice:adult`.

        Raises:
            UnknownCondition: with the nearest names; or more than one notice has it, and may mean another thing by it.
        """
        folded = isinstance(given, str) and fold(given)
        named: list[str] = []
        for condition in self.conditions:
            name = condition.partition(":")[2]
            if folded and folded == fold(name):
                named.append(condition)
        if len(named) > 1:
            raise UnknownCondition(ShowableText(cast("str", given)), f"{_join_alternatives(named)}, or each that holds")
        return named[0] if named else super().condition(given)

    def _find(self, given: object, known: Mapping[str, object], error: type[UnknownTerm]) -> object:
        if isinstance(given, str):
            self._must_be_one(given, error)
        return super()._find(given, known, error)

    def _must_be_one(self, given: str, error: type[UnknownTerm]) -> None:
        several = self._shared[error.kind].get(fold(given) or "")
        if several is not None:
            raise error(ShowableText(given), _join_alternatives(several))

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, JointNotice) and self.notices == other.notices
        return same and self.families == cast("JointNotice", other).families

    def __hash__(self) -> int:
        return hash(self.notices)

    def __repr__(self) -> str:
        return f"<JointNotice {', '.join(f'{notice.id} {notice.revision}' for notice in self.notices)}>"


class _Spellings(dict[str, dict[str, Any]]):
    """Folded spelling → the terms that it means, each by its qualified id."""

    def add(self, notice_id: str, terms: Mapping[str, Any]) -> None:
        """Add the terms of a notice by their folded spellings, with and without the id of the notice in front."""
        for folded, term in terms.items():
            named = term.name if isinstance(term, Family) else term.clause
            own = qualify_id(notice_id, named)
            self.setdefault(folded, {})[own] = term
            for spelling in (folded, named, term.slug):
                qualified = fold(qualify_id(notice_id, spelling))
                if qualified is not None:
                    self.setdefault(qualified, {})[own] = term

    def unique(self) -> Mapping[str, object]:
        """Return spelling → the only term that it means."""
        return MappingProxyType({text: next(iter(terms.values())) for text, terms in self.items() if len(terms) == 1})

    def ambiguous(self) -> Mapping[str, tuple[str, ...]]:
        """Return spelling → the ids of the several terms that it means."""
        return MappingProxyType({text: tuple(terms) for text, terms in self.items() if len(terms) > 1})


T = TypeVar("T")


def _join(groups: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(groups))


def _make_joint_family(name: str, members: Sequence[type[Purpose]]) -> Family:
    return Family(name, make_slug(name), dict(members[0].title), tuple(members))


def qualify_id(notice: str, given: str) -> str:
    """Return the id of a term with that of its notice in front: `jp-notice:1.1(a)`."""
    return f"{notice}:{given}"


def _join_alternatives(several: Iterable[str]) -> str:
    return f"more than one notice has it: write {' or '.join(f'`{alternative}`' for alternative in several)}"


def _check_channel_spellings(notices: Sequence[Notice]) -> Iterable[Fault]:
    """Yield a fault for each channel that two notices spell differently: it would be one channel under two names."""
    spelt: dict[str | None, str] = {}
    for notice in notices:
        for channel in notice.channels:
            other = spelt.setdefault(fold(channel), channel)
            if other != channel:
                yield Fault(f"{notice.id}: channel", f"`{channel}` is `{other}` in another notice", "spell them alike")


def _check_family(family: Family, notices: Sequence[Notice], taken: Container[str]) -> Iterable[Fault]:
    """Yield the faults of a family over several notices: rule 3 holds within each of them.

    `taken` holds the folded spellings of all other purposes and families.
    """
    place = f"family {family.name}"
    if (fold(family.name) or family.name) in taken or not _NAME.fullmatch(family.name):
        message = "is the name of another purpose or family, or cannot name a class"
        yield Fault(place, message, "use another name in CamelCase")
    parts = [frozenset(family.members).intersection(notice.purposes) for notice in notices]
    if sum(map(bool, parts)) < 2:
        yield Fault(place, "is of one notice alone", "declare it in the file of that notice")
    for notice, part in zip(notices, parts, strict=True):
        if len(part) > 1 and not any(part == frozenset(own.members) for own in notice.families):
            purposes = ", ".join(purpose.clause for purpose in notice.purposes if purpose in part)
            yield Fault(place, f"takes {purposes} of {notice.id}, which names no such family", "take one of them")
