"""The decisions that the executable specification expects, for the present revisions and requests of subjects.

The guard takes no part in them. Terms that a revision renamed are followed by its `[[renamed]]` rows (rule 9).
"""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import typing_extensions

from purposeguard.containers import drop_none
from purposeguard.errors import UnknownTerm
from purposeguard.notice import retention
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import Family, NotPersonal, Source, list_term_ids
from purposeguard.policy import spec
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.row_context import RowContext, SubjectId, subject_key
from purposeguard.testing.strategies import Asked, list_purposes, name_of
from purposeguard.values.type_schema import Shape, read_shape

T = TypeVar("T")


_ANY: Final = "any at all"
"""A channel that no notice names. A purpose with a closed list of channels does not admit it."""


class Probe(NamedTuple):
    """A question: may data of this label serve a purpose or family (its id or name), where these conditions hold?"""

    label: Label
    purpose: str
    channel: str | None
    about: RowContext
    conditions: frozenset[str] = frozenset()


def list_sources(sources: object) -> tuple[object, ...]:
    """Return the items of an iterable of sources, or one source alone.

    Raises:
        TypeError: There are none.
    """
    is_one = isinstance(sources, (str, type, Label)) or typing_extensions.get_origin(sources) is not None
    if is_one or not isinstance(sources, Iterable):
        return (sources,)
    several = tuple(sources)
    if not several:
        raise TypeError("name at least one source")
    return several


class ExpectedDecisions:
    """The answers of the specification in the current state. The latest revision is in force."""

    def __init__(self, notice: Notice) -> None:
        self.known: Final = [notice]
        self._all_preferences: dict[str, SubjectPreferences] = {}

    @property
    def notice(self) -> Notice:
        """The revision in force."""
        return self.known[-1]

    def preferences(self, subject: SubjectId | None) -> SubjectPreferences:
        """Return a subject's preferences."""
        return CLEAR if subject is None else self._all_preferences.get(subject_key(subject), CLEAR)

    def stands(self, subject: SubjectId, **changes: Any) -> SubjectPreferences:
        """Set a subject's preferences."""
        preferences = dataclasses.replace(self.preferences(subject), **changes)
        self._all_preferences[subject_key(subject)] = preferences
        return preferences

    # ---- What is asked for ----------------------------------------------------------------------------------------

    def probe(self, sources: object, purpose: object, channel: str | None, about: RowContext) -> Probe | None:
        """Return a question in the ids of the revision in force; None if that revision lacks one of its terms.

        Raises:
            UnknownTerm: no revision that was in force has it.
            TypeError: `sources` is no label, source, id or tagged model.
        """
        several = list_sources(sources)
        label, name = self.label(several), self._purpose(purpose)
        by = None if channel is None else self._now_read(lambda notice: notice.channel(channel))
        ids = [each for each in several if isinstance(each, str)]
        unknown = any(self._now_read(operator.methodcaller("source", each)) is None for each in ids)
        if unknown or name is None or (by is None and channel is not None) or self.is_gone(label):
            return None
        return Probe(label, name, by, about)

    def label(self, sources: object) -> Label:
        """Return the label of a label, a source, an id, everything in a tagged model, or several; raises as `probe`."""
        return Label.join(*map(self._label_of_one, list_sources(sources)))

    def _label_of_one(self, source: object) -> Label:
        if isinstance(source, Label):
            return source
        if isinstance(source, str):
            return Label(self._of_any(lambda notice: notice.source(source))[0])
        if isinstance(source, type) and issubclass(source, Source):
            return Label(source)
        shape: Shape = read_shape(source)
        label = shape.label_of_all()
        if label is None:
            raise TypeError(f"{source!r} is no label, source or tagged model")
        return label

    def _of_any(self, read: Callable[[Notice], T]) -> tuple[T, Notice]:
        """Return the result of `read` for the latest revision that has the term, and that revision."""
        try:
            return read(self.notice), self.notice
        except UnknownTerm:
            for earlier in self.known[-2::-1]:
                with suppress(UnknownTerm):
                    return read(earlier), earlier
            raise

    def _now_read(self, read: Callable[[Notice], T]) -> T | None:
        """Return the result of `read` for the revision in force; None if only an earlier revision has the term."""
        value, revision = self._of_any(read)
        return value if revision is self.notice else None

    def _purpose(self, purpose: object) -> str | None:
        term, held = self._of_any(lambda notice: notice.purpose_or_family(purpose))
        if held is self.notice:
            return name_of(term)
        return None if isinstance(purpose, str) else self._now(term, held)

    def _now(self, asked: Asked, earlier: Notice) -> str | None:
        """Return the id in the revision in force of an earlier revision's purpose or family; None if absent."""
        if not isinstance(asked, Family):
            return self._id_in(self.notice, "purpose", asked.clause, earlier)
        members = {self._id_in(self.notice, "purpose", member.clause, earlier) for member in asked.members}
        for family in self.notice.families:
            if set(list_term_ids(family.members)) == members:
                return family.name
        return None

    def is_nothing(self, purpose: str, channel: str | None) -> bool:
        """Return True if the revision in force lacks the purpose, family or channel."""
        return not _has(self.notice, purpose) or not (channel is None or channel in self.notice.channels)

    def is_gone(self, label: Label) -> bool:
        """Return True if the revision in force lacks a source of the label, which may then serve nothing."""
        return any(self._source_now(source) is None for source in _personal(label))

    def _source_now(self, source: type[Source]) -> str | None:
        return self._id_in(self.notice, "source", source.clause, self._revision_of(source))

    def _id_in(self, notice: Notice, kind: str, wanted: str, held: Notice) -> str | None:
        """Return the id of another revision's term in a notice; None if absent."""
        if held is notice:
            return wanted
        # The specification follows ids back from the last document, whatever its date.
        documents = [*(revision.document for revision in self.known if revision is not notice), notice.document]
        for term in notice.sources if kind == "source" else notice.purposes:
            if spec.translate_id(documents, kind, term.clause, held.revision) == wanted:
                return term.clause
        return None

    def _revision_of(self, source: type[Source]) -> Notice:
        """Return the revision of a source's class.

        Raises:
            UnknownSource: no known revision has it.
        """
        notice = next((notice for notice in reversed(self.known) if source in notice.grants), None)
        if notice is None:
            self.notice.source(source)  # raises
        return notice or self.notice

    # ---- What messages say ------------------------------------------------------------------------------------------

    def describe(self, probe: Probe) -> str:
        """Return lines for a message: the subject and what it asked for, the purpose, the sources, the clauses."""
        about = probe.about
        channel = "" if probe.channel is None else f", by {probe.channel}"
        collected = "" if about.collected is None else f", collected on {about.collected}"
        lines = (
            f"subject: {self._describe_subject(about.subject)}",
            f"purpose: {probe.purpose}{channel}",
            f"sources: {', '.join(list_term_ids(probe.label))}{collected}",
            f"clauses: {'; '.join(self._describe_grants(source, probe.purpose) for source in _personal(probe.label))}",
        )
        return "".join(f"\n  {line}" for line in lines)

    def _describe_subject(self, subject: str | None) -> str:
        if subject is None:
            return "none is named"
        preferences = self._all_preferences.get(subject, CLEAR)
        wishes: list[str] = []
        if preferences.all_suspended:
            wishes.append("stopped all uses")
        if preferences.suspended:
            wishes.append(f"stopped {', '.join(sorted(preferences.suspended))}")
        if preferences.erased:
            wishes.append("asked for erasure")
        for purpose, revision in sorted(preferences.consents):
            wishes.append(f"consented to {purpose} under {revision}")
        return f"{subject}, who {' and '.join(wishes) or 'asked for nothing'}"

    def _describe_grants(self, source: type[Source], purpose: str) -> str:
        notice, current = self.notice, self._source_now(source)
        if current is None or not _has(notice, purpose):
            return f"the revision of {notice.revision} lacks {source.clause if current is None else purpose}"
        granted = notice.grants[notice.source(current)]
        members = map(notice.purpose, spec.members_of(notice.document, purpose))
        clauses = dict.fromkeys(granted[member] for member in members if member in granted)
        return f"{', '.join(clauses)} grants {current}" if clauses else f"none grants {current}"

    # ---- What follows ---------------------------------------------------------------------------------------------

    def allows(self, probe: Probe, now: datetime.datetime, *, to_activity: bool = False) -> bool:
        """Return True if the use is allowed; False if the revision in force lacks a source.

        `to_activity`: asked for an activity, which may use any channel where it states none (rule 7).

        Raises:
            UnknownSource: a source is of no revision that is known.
        """
        document = self.notice.document
        members = spec.members_of(document, probe.purpose)
        if to_activity and probe.channel is None:
            if any(not spec.admits(document, member, _ANY) for member in members):
                return False
            probe = probe._replace(channel=_ANY)
        sources = _personal(probe.label)
        if not sources:  # what is not personal may serve everything, by every channel that is open to it
            return any(spec.admits(document, member, probe.channel) for member in members)
        return all(self._may(source, probe, now) for source in sources)  # rule 2

    def _may(self, source: type[Source], probe: Probe, now: datetime.datetime) -> bool:
        current, held, about = self._source_now(source), self._revision_of(source), probe.about
        if current is None:
            return False
        under = None if held is self.notice else held.revision
        if about.collected is not None:  # the earlier of the two counts
            on = self._revision_date_on(about.collected)
            under = on if under is None else min(on, under)
        preferences = self._all_preferences.get(about.subject, CLEAR) if about.subject is not None else CLEAR
        return spec.is_allowed(
            [notice.document for notice in self.known],
            [current],
            probe.purpose,
            probe.channel,
            collected_under=under,
            suspended=preferences.suspended,
            stopped=preferences.all_suspended or preferences.erased,
            consents=preferences.consents,
            overdue=self._overdue(current, about, now),
            conditions=probe.conditions,
            named=about.subject is not None,
        )

    def _overdue(self, source: str, about: RowContext, now: datetime.datetime) -> frozenset[str]:
        if about.collected is None and about.ended is None:
            return frozenset()
        periods = retention.Periods(self.notice.document)
        return periods.overdue([source], collected=about.collected, ended=about.ended, today=now)

    def _revision_date_on(self, day: Day) -> datetime.date:
        """Return the date of the revision in force on a day; the minimal date before the earliest."""
        on = retention.to_local_day(self.notice.document.timezone, day)
        return max((notice.revision for notice in self.known if notice.revision <= on), default=datetime.date.min)

    def ever_granted(self, purpose: str, label: Label) -> bool:
        """Return True if any revision grants a purpose or family of this name to all these sources."""
        return any(self._grants(notice, label, purpose) for notice in self.known)

    def _grants(self, notice: Notice, label: Label, purpose: str) -> bool:
        ids = [self._id_in(notice, "source", source.clause, self._revision_of(source)) for source in _personal(label)]
        known = drop_none(ids)
        if len(known) < len(ids) or not _has(notice, purpose):
            return False
        return not known or spec.permits(notice.document, known, purpose)


def _personal(label: Label) -> list[type[Source]]:
    return [source for source in label if source is not NotPersonal]


def _has(notice: Notice, purpose: str) -> bool:
    return purpose in map(name_of, list_purposes(notice))
