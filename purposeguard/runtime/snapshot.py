"""The policy in force: one compiled notice, the decisions by it, and caches of the allowed ones.

`PolicySnapshot` decides. `Permissions` cache what it allowed for one purpose and channel.
"""

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
"""The greatest number of cached checks outside activities."""

_PLACES_AT_MOST: Final = 1000
"""The greatest number of places in the code whose purpose is cached."""

_NONE_ASKED: Final[Mapping[object, Any]] = MappingProxyType({})


class UsageCounter(Protocol):
    """An object that counts uses, with a cache of allowed labels."""

    counted: dict[object, Tick]


class Permissions:
    """The allowed uses of one purpose by one channel under one snapshot: a cache of the positive answers of `decide`.

    When the notice is replaced, permissions are retired: they are emptied and never filled again. Active uses then
    take the slow path and are decided by the notice in force. The caches of the activities that count uses by these
    permissions are emptied as well.

    Attributes:
        allowed_labels: The labels that are cached as allowed, if uses are not counted.
        channel: The channel, if one is stated.
        conditions: The conditions that are stated to hold.
        matrix: The table of the snapshot, which is the compiled notice.
        purpose: The purpose or family.
        retired: True if the notice was replaced.
        snapshot: The snapshot that decides.
    """

    __slots__ = (
        "_counting",
        "_labels_by_preferences",
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
        # The labels that are cached as allowed for subjects with these preferences.
        self._labels_by_preferences: dict[SubjectPreferences, set[Label]] = {}
        self._counting: weakref.WeakValueDictionary[int, UsageCounter] = weakref.WeakValueDictionary()
        self.retired = False
        self._lock = make_lock()  # Reentrant, because a signal handler or finalizer may interrupt its thread.

    def decide(self, sources: object, context: Context | None = None) -> Verdict:
        """Decide for an activity with this purpose and channel. Cache the answer if it allows the use.

        Args:
            sources: The sources of the data.
            context: All that is known of the data besides its label, or None. The conditions are added to it.

        Raises:
            UnknownSource: A source belongs to another notice, or its clause no longer exists.
            UnlabelledData: There are no sources.
        """
        verdict = self.snapshot.decide(
            sources, self.purpose, self.channel, context, activity=True, conditions=self.conditions
        )
        if verdict.allowed:
            self._cache_allowed(verdict.label, context)
        return verdict

    def is_known_allowed(self, label: Label, context: Context) -> bool:
        """Return True if the use of data with this label in this context is cached as allowed."""
        is_cacheable = context.preferences is not None and context.under is None and not context.overdue
        return is_cacheable and label in self._labels_by_preferences.get(context.preferences, NO_LABELS)  # type: ignore[arg-type]  # not None

    def labels_allowed_for(self, preferences: SubjectPreferences) -> set[Label] | frozenset[Label]:
        """Return the labels that are cached as allowed for subjects with these preferences."""
        return self._labels_by_preferences.get(preferences, NO_LABELS)

    def _cache_allowed(self, label: Label, context: Context | None) -> None:
        if context is None:
            if self.snapshot.remembers_labels:
                with self._lock:
                    if not self.retired:
                        self.allowed_labels.add(label)
        elif context.preferences is not None and context.under is None and not context.overdue:
            with self._lock:
                if not self.retired and len(self._labels_by_preferences) < MOST_REMEMBERED:
                    self._labels_by_preferences.setdefault(context.preferences, set()).add(label)

    def set_counter(self, counting: UsageCounter, label: Label, tick: Tick) -> None:
        """Cache an allowed label together with the function that counts its uses.

        Args:
            counting: The object whose cache is filled.
            label: The allowed label.
            tick: The function that counts one use.
        """
        with self._lock:
            if not self.retired:
                self._counting[id(counting)] = counting
                counting.counted[label] = tick

    def retire(self) -> None:
        """Empty the cache and never fill it again."""
        with self._lock:
            self.retired = True
            self.allowed_labels.clear()
            self._labels_by_preferences.clear()
            # The list is a copy, because a finalizer may add to the dictionary meanwhile.
            for counting in filter(None, [reference() for reference in self._counting.valuerefs()]):
                counting.counted.clear()


class PolicySnapshot:
    """A compiled notice with its decision function and caches, which are replaced together.

    Attributes:
        allowed_checks: Maps each allowed check outside activities, its arguments, to the function that counts it.
        known_answers: What `Guard.allows` looks up: sources → row of what they may serve, and spelling → purpose. Both
            are empty if nothing is cached.
        matrix: The table of the policy, which is the compiled notice.
        observed: True if observers want each decision, so that nothing is cached.
        remembers_labels: True if uses are not counted, so that allowed labels are cached.
        stated_purposes: Maps each place in the code to the purpose that was stated there.
    """

    __slots__ = (
        "__weakref__",
        "_caching_disabled",
        "_lock",
        "_permissions",
        "_requires_subject",
        "allowed_checks",
        "known_answers",
        "matrix",
        "observed",
        "remembers_labels",
        "stated_purposes",
    )

    def __init__(
        self,
        matrix: PolicyTable,
        *,
        remembers_labels: bool = True,
        requires_subject: bool = False,
        observed: bool = False,
    ) -> None:
        """Decide by a compiled notice.

        Args:
            matrix: The table of the policy, which is the compiled notice.
            remembers_labels: True if uses are not counted, so that allowed labels are cached.
            requires_subject: True if activities must name the subject of all personal data.
            observed: True if observers want each decision, so that nothing is cached.
        """
        self.matrix = matrix
        self.known_answers = (_NONE_ASKED, _NONE_ASKED) if observed else matrix.lookup_tables
        self.observed = observed
        self.remembers_labels = remembers_labels
        self._requires_subject = requires_subject
        self._permissions: dict[tuple[object, str | None, frozenset[str]], Permissions] = {}
        self.allowed_checks: dict[object, Tick] = {}
        self.stated_purposes: dict[object, Any] = {}
        # True from the start if observers want each decision, and once the notice was replaced.
        self._caching_disabled = observed
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
        """Decide if data from these sources may serve a purpose.

        This is the only place that decides whether sources may serve a purpose under the notice. All other code caches
        or explains its answers. `purposeguard.policy.transfers` decides about recipients, and legal exceptions
        (`purposeguard.runtime.legal_override`) permit uses outside of the notice.

        Args:
            sources: The sources of the data.
            purpose: The purpose or family, which belongs to the notice.
            channel: The channel, if one is stated, which belongs to the notice.
            context: All that is known of the data besides its label, or None.
            activity: True if an activity asks. An activity must state a channel if its purpose lists channels (rule 7),
                or listed them in the revision under which the data was collected (rule 9). It must name the subject if
                the snapshot requires that.
            conditions: The conditions of the notice that are stated to hold.

        Raises:
            UnknownSource: A source belongs to another notice, or its clause no longer exists.
            UnlabelledData: There are no sources.
        """
        matrix = self.matrix
        frozen_sources = freeze_sources(sources)
        label = matrix.resolve_label(frozen_sources)
        if context is None:
            may_omit_subject = not (activity and self._requires_subject) or label is _NOT_PERSONAL
            context = NONE_KNOWN if may_omit_subject else NOT_NAMED
        if conditions:
            context = context._replace(conditions=conditions)
        lacks_channel = False
        if activity and channel is None:
            lacks_channel = matrix.must_state_channel(purpose)
            if matrix.is_closed_in_another_revision(purpose):
                context = context._replace(channel_unstated=True)
        permitted_purposes = matrix.row_for(label, channel, context)
        # The table has cached the row of the label. It is cached for the sources in the form of this call too.
        if context is NONE_KNOWN and frozen_sources is not label:
            matrix.cache_row(frozen_sources, channel, permitted_purposes)
        allowed = not lacks_channel and purpose in permitted_purposes
        return Verdict(allowed, matrix, label, purpose, channel, context, lacks_channel)

    def get_permissions(
        self, purpose: type[Purpose] | Family, channel: str | None, conditions: frozenset[str] = NO_CONDITIONS
    ) -> Permissions:
        """Return the permissions of a purpose by a channel.

        Args:
            purpose: The purpose or family. It may be a class of another revision.
            channel: The channel, if one is stated.
            conditions: The conditions that are stated to hold.

        Raises:
            UnknownPurpose, UnknownChannel, UnknownCondition: The notice has no such purpose, channel or condition.
        """
        permissions = self._permissions.get((purpose, channel, conditions))
        if permissions is None:
            purpose, channel = self.matrix.resolve_purpose(purpose), self.matrix.resolve_channel(channel)
            conditions = self.matrix.resolve_conditions(conditions)
            permissions = Permissions(self, purpose, channel, conditions)
            with self._lock:
                permissions = self._permissions.setdefault((purpose, channel, conditions), permissions)
                if self._caching_disabled:  # Observers want each decision, or the notice was replaced meanwhile.
                    permissions.retire()
        return permissions

    def cache_check(self, check: tuple[object, ...], tick: Tick) -> None:
        """Cache an allowed check outside activities with the function that counts it, unless the cache is full."""
        if not self._caching_disabled and len(self.allowed_checks) < _CHECKS_AT_MOST:
            self.allowed_checks[check] = tick

    def cache_stated(self, place: object, stated: object) -> None:
        """Cache the purpose that was stated at a place in the code, unless the cache is full."""
        with self._lock:
            if not self._caching_disabled and (
                place in self.stated_purposes or len(self.stated_purposes) < _PLACES_AT_MOST
            ):
                self.stated_purposes[place] = stated

    def retire(self) -> None:
        """Retire all permissions, including those that are created later.

        The stated purposes are dropped, because each was resolved under this notice. The allowed checks stay: they are
        looked up only in the snapshot that is in force.
        """
        with self._lock:
            self._caching_disabled = True
            self.stated_purposes.clear()
            for permissions in self._permissions.values():
                permissions.retire()
