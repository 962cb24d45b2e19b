"""The policy in force: what may be used under one notice, and what was seen to be allowed."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose
from purposeguard.policy.context import NO_CONDITIONS, NONE_KNOWN, NOT_NAMED, Context, SubjectPreferences
from purposeguard.policy.table import MOST_REMEMBERED, PolicyTable, freeze_sources
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.observer import Tick

NOTHING: Final[frozenset[object]] = frozenset()
NO_LABELS: Final[frozenset[Label]] = frozenset()
_NOT_PERSONAL: Final = Label(NotPersonal)

_CHECKS_AT_MOST: Final = 1000
"""Different bare checks that are remembered."""

_PLACES_AT_MOST: Final = 1000
"""Places of the code whose purpose is remembered."""

_NONE_ASKED: Final[Mapping[object, Any]] = MappingProxyType({})


class UsageCounter(Protocol):
    """What counts uses of labels that it has seen to be allowed."""

    counted: dict[object, Tick]


class Permissions:
    """What may be used for one purpose, by one channel, under the conditions that are stated, under one snapshot.

    These are the answers of `decide` that allow.

    `allowed_labels` holds the labels seen to be allowed, where nobody is told of each use. When the notice is replaced
    they are retired: emptied, and never filled again, so that uses under way fall back to the slow path and are decided
    by the notice in force; so are the `counted` of the activities that count by them.
    """

    __slots__ = (
        "_allowed_to",
        "_counting",
        "_lock",
        "allowed_labels",
        "channel",
        "conditions",
        "matrix",
        "purpose",
        "retired",
        "snapshot",
    )

    def __init__(
        self,
        snapshot: PolicySnapshot,
        purpose: type[Purpose] | Family,
        channel: str | None,
        conditions: frozenset[str] = NO_CONDITIONS,
    ) -> None:
        self.snapshot = snapshot
        self.matrix = snapshot.matrix
        self.purpose = purpose
        self.channel = channel
        self.conditions = conditions
        self.allowed_labels: set[object] = set()
        self._allowed_to: dict[SubjectPreferences, set[Label]] = {}
        self._counting: weakref.WeakValueDictionary[int, UsageCounter] = weakref.WeakValueDictionary()
        self.retired = False
        self._lock = make_lock()  # a signal handler or finaliser may ask while its thread holds it; so below

    def decide(self, sources: object, context: Context | None = None) -> Verdict:
        """What the snapshot decides for an activity of this purpose and channel; remembered where it is allowed.

        `context` says all that is known of the data beside its label; None: nothing is. The conditions are added.

        Raises:
            UnknownSource: a source is of another notice, or of a clause that is gone.
            UnlabelledData: there are no sources.
        """
        verdict = self.snapshot.decide(
            sources, self.purpose, self.channel, context, activity=True, conditions=self.conditions
        )
        if verdict.allowed:
            self._cache_allowed(verdict.label, context)
        return verdict

    def is_known_allowed(self, label: Label, context: Context) -> bool:
        """Return True if it was decided before that data of this label may be used in this context."""
        plain = context.preferences is not None and context.under is None and not context.overdue
        return plain and label in self._allowed_to.get(context.preferences, NO_LABELS)  # type: ignore[arg-type]  # not None

    def labels_allowed_for(self, preferences: SubjectPreferences) -> set[Label] | frozenset[Label]:
        """Return the labels seen to be allowed of subjects with these preferences."""
        return self._allowed_to.get(preferences, NO_LABELS)

    def _cache_allowed(self, label: Label, context: Context | None) -> None:
        if context is None:
            if self.snapshot.remembers_labels:
                with self._lock:
                    if not self.retired:
                        self.allowed_labels.add(label)
        elif context.preferences is not None and context.under is None and not context.overdue:
            with self._lock:
                if not self.retired and len(self._allowed_to) < MOST_REMEMBERED:
                    self._allowed_to.setdefault(context.preferences, set()).add(label)

    def set_counter(self, counting: UsageCounter, label: Label, tick: Tick) -> None:
        """From now on an allowed label is counted by `tick`, the short way, where data is used by this activity."""
        with self._lock:
            if not self.retired:
                self._counting[id(counting)] = counting
                counting.counted[label] = tick

    def retire(self) -> None:
        """Remembers nothing any more."""
        with self._lock:
            self.retired = True
            self.allowed_labels.clear()
            self._allowed_to.clear()
            # A copy: a finaliser may add to it meanwhile.
            for counting in filter(None, [reference() for reference in self._counting.valuerefs()]):
                counting.counted.clear()


class PolicySnapshot:
    """A compiled notice, what decides by it, and what it was seen to allow: replaced as one.

    `known` holds what `Guard.allows` was asked before, `checked` the bare checks that are counted by what they give,
    `stated` what `Guard.purpose` was given at each place of the code.
    """

    __slots__ = (
        "__weakref__",
        "_lock",
        "_permissions",
        "_requires_subject",
        "_retired",
        "checked",
        "known",
        "matrix",
        "observed",
        "remembers_labels",
        "stated",
    )

    def __init__(
        self,
        matrix: PolicyTable,
        *,
        remembers_labels: bool = True,
        requires_subject: bool = False,
        observed: bool = False,
    ) -> None:
        """What decides by this matrix.

        `remembers_labels`: no ledger has to be told of each use. `requires_subject`: an activity uses nothing without
        saying whose it is. `observed`: each decision is told, so nothing is remembered.
        """
        self.matrix = matrix
        self.known = (_NONE_ASKED, _NONE_ASKED) if observed else matrix.lookup_tables
        self.observed = observed
        self.remembers_labels = remembers_labels
        self._requires_subject = requires_subject
        self._permissions: dict[tuple[object, str | None, frozenset[str]], Permissions] = {}
        self.checked: dict[object, Tick] = {}
        self.stated: dict[object, Any] = {}
        self._retired = observed
        self._lock = make_lock()

    def decide(
        self,
        sources: object,
        purpose: type[Purpose] | Family,
        channel: str | None = None,
        context: Context | None = None,
        *,
        activity: bool = False,
        conditions: frozenset[str] = NO_CONDITIONS,
    ) -> Verdict:
        """Whether data from these sources may serve a purpose (by a channel), in this context.

        The one place where this is said; all else remembers or explains what it says. `purpose` and `channel` are of
        the notice. `context` says all that is known of the data beside its label; None: nothing is. `activity`: an
        activity asks. It states a channel where its purpose names the channels (rule 7), also where a purpose named
        them in the revision under which the data was collected (rule 9), and it says whose the data is where that has
        to be said. `conditions`, of the notice, are stated to hold.

        Raises:
            UnknownSource: a source is of another notice, or of a clause that is gone.
            UnlabelledData: there are no sources.
        """
        matrix = self.matrix
        asked = freeze_sources(sources)
        label = matrix.resolve_label(asked)
        closed = False
        if context is None:
            named = not (activity and self._requires_subject) or label is _NOT_PERSONAL
            context = NONE_KNOWN if named else NOT_NAMED
        if conditions:
            context = context._replace(conditions=conditions)
        if activity and channel is None:
            closed = matrix.must_state_channel(purpose)
            if matrix.was_closed(purpose):
                context = context._replace(unstated=True)
        row = matrix.row_for(label, channel, context)
        if context is NONE_KNOWN and asked is not label:
            matrix.cache_row(asked, channel, row)
        allowed = not closed and purpose in row
        return Verdict(allowed, matrix, label, purpose, channel, context, closed)

    def get_permissions(
        self, purpose: type[Purpose] | Family, channel: str | None, conditions: frozenset[str] = NO_CONDITIONS
    ) -> Permissions:
        """What may be used for a purpose, in the classes of any revision.

        Raises:
            UnknownPurpose, UnknownChannel, UnknownCondition: the notice has no such purpose, channel or condition.
        """
        permissions = self._permissions.get((purpose, channel, conditions))
        if permissions is None:
            purpose, channel = self.matrix.resolve_purpose(purpose), self.matrix.resolve_channel(channel)
            conditions = self.matrix.resolve_conditions(conditions)
            permissions = Permissions(self, purpose, channel, conditions)
            with self._lock:
                permissions = self._permissions.setdefault((purpose, channel, conditions), permissions)
                if self._retired:  # asked for while the notice was being replaced
                    permissions.retire()
        return permissions

    def cache_check(self, check: tuple[object, ...], tick: Tick) -> None:
        """A bare check is allowed as it was asked for; `tick` counts it. Of many different ones the first are kept."""
        if not self._retired and len(self.checked) < _CHECKS_AT_MOST:
            self.checked[check] = tick

    def cache_stated(self, place: object, stated: object) -> None:
        """Have what was last stated at a place of the code found there again. Of many places the first are kept."""
        with self._lock:
            if not self._retired and (place in self.stated or len(self.stated) < _PLACES_AT_MOST):
                self.stated[place] = stated

    def retire(self) -> None:
        """Retire all permissions, those asked for from now on too."""
        with self._lock:
            self._retired = True
            self.stated.clear()
            for permissions in self._permissions.values():
                permissions.retire()
