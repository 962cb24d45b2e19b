"""The `Guard`, which enforces a notice in an application's code.

The numbers of rules, as in "rule 4", are those of docs/reference/decision-rules.md.
"""

from __future__ import annotations

import datetime
import functools
import inspect
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args, overload

from typing_extensions import TypeForm

from purposeguard.errors import (
    PurposeGuardError,
    PurposeMissing,
    UnknownPurpose,
    format_id,
    hide_own_frames,
    hides_own_frames,
)
from purposeguard.locks import make_lock
from purposeguard.notice.history import History
from purposeguard.notice.label import Label, OneSource, Sources
from purposeguard.notice.notice import SEVERAL, Notice
from purposeguard.notice.several import Notices
from purposeguard.notice.vocabulary import Family, Purpose, Source, TermMeta
from purposeguard.policy.context import NO_CONDITIONS
from purposeguard.policy.explanation import Decision, format_term
from purposeguard.policy.table import Conditions, PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.processes import register_fork_handlers
from purposeguard.runtime.access import AccessFunction, wrap_access_function
from purposeguard.runtime.activity import (
    Block,
    StatedPurpose,
    UseAttribute,
    carry_purpose,
    decorate_function,
    is_result_dropped,
)
from purposeguard.runtime.clock import Clock, Now, read_system_time
from purposeguard.runtime.current_use import require_current_use
from purposeguard.runtime.engine import Engine, Transforms
from purposeguard.runtime.forking import end_uses_after_fork, load_before_fork
from purposeguard.runtime.notice_in_force import resolve_notice
from purposeguard.runtime.observer import Ledger, Observer
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Access, Activity, Register, TaggedTable
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import NO_USE, InactiveUse, MemberUse, Use
from purposeguard.runtime.wrapping import Function
from purposeguard.values.personal import Personal, combine_seals
from purposeguard.values.rows import Whose
from purposeguard.values.type_schema import TagLookup

if TYPE_CHECKING:
    # The methods that need these modules import them, because most applications start without them.
    from purposeguard.policy.transfers import Recipient
    from purposeguard.project.purposes import PurposeFile
    from purposeguard.project.reading import FilePath
    from purposeguard.project.tags import TagFile
    from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification, Transform
    from purposeguard.runtime.declassification import Reclassifier
    from purposeguard.runtime.legal_override import LegalBasis, LegalExceptionBlock, Subjects

P = TypeVar("P", bound=Purpose)
F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A")
B = TypeVar("B")
S1 = TypeVar("S1", bound=Source)
S2 = TypeVar("S2", bound=Source)
S3 = TypeVar("S3", bound=Source)
S4 = TypeVar("S4", bound=Source)
To = TypeVar("To", bound=Source)

Mode = Literal["enforce", "observe"]
Untagged = Literal["allow", "refuse"]


class Guard:
    """The enforcement point of an application: decides by a notice, and makes functions and blocks comply with it."""

    __slots__ = ("__weakref__", "_mode", "_purposes", "_replacing", "_tags", "_transforms", "engine", "inventory")

    engine: Engine
    """The policy in force, the ambient use and the observers, for adapters and integrations."""

    inventory: Register
    """The declarations of the application. Adapters and integrations add to it."""

    @hides_own_frames
    def __init__(  # noqa: PLR0913  # One keyword for each option.
        self,
        notice: Notice | History | Notices,
        *,
        mode: Mode = "enforce",
        ledger: Ledger | None = None,
        strict: bool = False,
        untagged: Untagged = "allow",
        governance: Oversight | None = None,
        clock: Now | Clock = read_system_time,
        observers: Iterable[Observer] = (),
        tags: TagFile | FilePath | None = None,
        purposes: PurposeFile | FilePath | None = None,
    ) -> None:
        """Compile the notice and put it in force.

        Args:
            notice: The notice to enforce. For a `History`, the revision in force today is used. For `Notices`, each
                source is decided by its own notice, and an id that two notices share is written with the id of its
                notice, `jp-notice:1.1(a)`.
            mode: `enforce` refuses violations. `observe` refuses nothing: violations are logged (logger
                `purposeguard`, level WARNING) and reported.
            ledger: Records every denial and counts the uses of each activity. By default the ledger of `governance`.
            strict: If True, sealed values are opened only if all functions passed to `map` are registered with
                `guard.transform`, because these functions see the plain value.
            untagged: With `refuse`, each field of a model that an access function returns must carry a tag, a seal, a
                mark or `NotPersonal` (rule 4). An undescribed field may be personal.
            governance: Keeps the requests and consents of subjects (`purposeguard.governance`).
            clock: Tells the time, for retention periods and exceptions.
            observers: Receive uses and denials as the ledger does, for example for telemetry.
            tags: A file `tags.toml`, for classes and tables without annotations: a path, or what was read from one.
            purposes: A file `purposes.toml`, for entry points: a path, or what was read from one.

        Raises:
            TypeError: `notice` is not a Notice, History or Notices, the ledger lacks a method, or `tags` or `purposes`
                is neither a path nor the object that is read from one.
            ValueError: `mode` is neither `enforce` nor `observe`, or `untagged` is neither `allow` nor `refuse`.
            NoticeError: No revision of the history is in force yet, the notices contradict each other, or the file of
                `tags` or `purposes` is wrong.
        """
        time = Clock.of(clock)
        present, history = resolve_notice(notice, time)
        self._mode: Mode = _check_mode(mode)
        if untagged not in get_args(Untagged):
            raise ValueError("`untagged` is `allow` or `refuse`")
        self._transforms = Transforms()
        self.engine = Engine(
            present,
            ledger if ledger is not None or governance is None else governance.ledger,
            observing=mode == "observe",
            transforms=self._transforms if strict else None,
            nothing=NO_USE,  # The engine cannot import it, because the module of uses imports the engine.
            history=history,
            oversight=governance,
            clock=time,
            untagged_refused=untagged == "refuse",
            observers=observers,
        )
        self._tags: TagFile | None = None
        self._purposes: PurposeFile | None = None
        if tags is not None or purposes is not None:
            self._read_files(tags, purposes)
        self.inventory = Register()
        self._replacing = make_lock()
        attach_governance(self)
        attach_observers(self)
        LIVE_GUARDS.add(self)
        for listener in tuple(GUARD_LISTENERS):
            listener(self)

    def _read_files(self, tags: TagFile | FilePath | None, purposes: PurposeFile | FilePath | None) -> None:
        from purposeguard.project.purposes import PurposeFile  # noqa: PLC0415  # Most applications start without.
        from purposeguard.project.reading import resolve_file  # noqa: PLC0415  # Most applications start without.
        from purposeguard.project.tags import TagFile  # noqa: PLC0415  # Most applications start without.

        if tags is not None:
            self._tags = resolve_file(tags, TagFile, self.engine.table)
            refuse = functools.partial(self.engine.refuse_unresolved, event="reading of tags")
            # Values are looked through by the shape of their annotation. Where an annotation states nothing, this shape
            # finds the classes that the file tags.
            self.engine.silent = TagLookup(self._tags, refuse).silent
        if purposes is not None:
            self._purposes = resolve_file(purposes, PurposeFile, self.engine.table)

    @property
    def mode(self) -> Mode:
        """The mode: `enforce` refuses violations, `observe` only records them."""
        return self._mode

    @property
    def strict(self) -> bool:
        """True if functions passed to `map` must be registered."""
        return self.engine.transforms is not None

    @property
    def untagged(self) -> Untagged:
        """The handling of models with undescribed fields in access functions: `allow` or `refuse`."""
        return "refuse" if self.engine.untagged_refused else "allow"

    @property
    def ledger(self) -> Ledger | None:
        """The observer that records denials and uses."""
        return self.engine.ledger

    @property
    def governance(self) -> Oversight | None:
        """The keeper of the requests and consents of subjects."""
        return self.engine.oversight

    @property
    def tags(self) -> TagFile | None:
        """The tags of the file that was passed as `tags`."""
        return self._tags

    @property
    def purposes(self) -> PurposeFile | None:
        """The purposes of the file that was passed as `purposes`."""
        return self._purposes

    @property
    def notice(self) -> Notice:
        """The notice in force. For several notices, a `JointNotice` with the attribute `notices`."""
        return self.engine.snapshot.matrix.notice

    @property
    def history(self) -> History:
        """The known revisions of the notice.

        Raises:
            SeveralNotices: The guard enforces several notices, each with a history of its own.
        """
        return self.engine.snapshot.matrix.history

    def replace(self, notice: Notice | History | Notices) -> None:
        """Put another revision of the notice in force atomically, while other threads may be deciding.

        Each decision uses exactly one revision. Uses that have begun are decided by the new revision from their next
        check on. Data tagged with classes of another revision counts as collected under that revision. It may serve
        the purposes that both revisions grant, and those that the new revision extends to it (rule 9). A clause that
        no longer exists is unknown and refused. The files `tags` and `purposes` are not read again: their sources count
        as collected under the revision that was in force when they were read.

        Args:
            notice: The new revision. If a known revision has the same date, the new one replaces it as a correction.
                If the guard enforces several notices, a revision of one of them leaves the others unchanged.

        Raises:
            TypeError: `notice` is not a Notice, History or Notices.
            NoticeError: `notice` is a revision of another notice, no revision of the history is in force yet, or a
                family over several notices names a purpose that no longer exists. Also if `tags` or `purposes` name
                what no longer exists. The notice before then stays in force.
        """
        present, history = resolve_notice(notice, self.engine.clock)
        with self._replacing:
            files = [file for file in (self._tags, self._purposes) if file is not None]
            if files:
                table = self.engine.table.replace_revision(present, history)
                for file in files:
                    file.check(table)
            self.engine.replace(present, history)
        attach_governance(self)
        attach_observers(self)

    def allows(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> bool:
        """Return True if the notice lets data from these sources serve this purpose.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.
            channel: The channel by which a person is contacted, if any.
            subject: The person whom the data is about: an id, a `RowContext`, or a row whose marked fields name its
                subject and collection date. Without a subject, nothing is allowed that rests on consent.
            conditions: The conditions of the notice that hold, such as `{"adult"}`.

        Raises:
            UnknownTerm: The notice does not define an id.
            UnlabelledData: There are no sources.
            StoreUnavailable: Governance cannot say what the subject asked for.
            TypeError: A subject is named but the guard has no governance, or `conditions` is not a set, list or tuple.
        """
        if subject is not None or conditions:
            return bool(self.explain(sources, purpose, channel, subject, conditions))
        if channel is None:
            rows, purposes = self.engine.snapshot.known_answers  # Read together, so that both belong to one revision.
            try:
                if type(sources) is set:  # Ids often come in a set. Catching the TypeError would take twice as long.
                    return purposes[purpose] in rows[frozenset(sources)]  # pyright: ignore[reportArgumentType]  # It is a set.
                row = rows[sources]
                # A class is its own key. Other forms of a purpose are resolved to their class.
                return purpose in row or purposes[purpose] in row
            except (KeyError, TypeError):
                pass  # The question is new in this form, or the sources are not hashable.
        try:
            verdict = self._decide(sources, purpose, channel)
            self.engine.report_decision(verdict, used=False)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return verdict.allowed

    def _decide(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> Verdict:
        """Decide by the notice in force without reporting the decision. Raises the errors of `allows`."""
        engine = self.engine
        snapshot = engine.snapshot  # Read once, so that one revision decides everything.
        matrix = snapshot.matrix
        purpose_class, channel_id = matrix.resolve_purpose(purpose), matrix.resolve_channel(channel)
        condition_ids = matrix.resolve_conditions(conditions)
        if subject is None:
            return snapshot.decide(sources, purpose_class, channel_id, conditions=condition_ids)
        label = matrix.resolve_label(sources)
        verdicts: list[Verdict] = []
        for row_context in engine.resolve_row_contexts(subject):
            context = engine.resolve_context(row_context, label, snapshot)
            verdicts.append(snapshot.decide(label, purpose_class, channel_id, context, conditions=condition_ids))
        return next((verdict for verdict in verdicts if not verdict.allowed), verdicts[0])

    def check(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> None:
        """Raise PurposeViolation unless the notice lets data from these sources serve this purpose.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.
            channel: The channel by which a person is contacted, if any.
            subject: The person whom the data is about: an id, a `RowContext`, or a row whose marked fields name its
                subject and collection date. Without a subject, nothing is allowed that rests on consent.
            conditions: The conditions of the notice that hold, such as `{"adult"}`.

        Raises:
            PurposeViolation: The use is not granted. The subclass names the only obstacle, if there is just one:
                ChannelViolation for the channel, ConditionViolation for conditions that are not stated,
                SubjectViolation, RevisionViolation or RetentionViolation.
            UnknownTerm, UnlabelledData, StoreUnavailable, TypeError: As in `allows`.
        """
        # `allows` looks into the same tables. A function for both would make each of them a fifth slower.
        engine = self.engine
        snapshot = engine.snapshot
        can_be_cached = subject is None and not conditions
        if can_be_cached and engine.counting:
            try:
                tick = snapshot.allowed_checks[sources, purpose, channel]
            except (KeyError, TypeError):
                pass  # The check is new in this form, or the sources are not hashable.
            else:
                tick()
                return
        elif can_be_cached and channel is None:
            # Read together, so that both belong to one revision. They are empty if observers want each decision. A row
            # has the purposes that its sources may serve, so membership means that the use is allowed.
            rows, purposes = snapshot.known_answers
            try:
                row = rows[sources]
                if purpose in row or purposes[purpose] in row:
                    return
            except (KeyError, TypeError):
                pass  # The check is new in this form, or the sources are not hashable.
        try:
            self._check(sources, purpose, channel, subject, conditions)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _check(
        self, sources: Sources, purpose: object, channel: str | None, subject: Whose, conditions: Conditions
    ) -> None:
        """Check without the shortcuts of `check`, then remember the result for them."""
        if hasattr(sources, "__next__"):  # An iterator can be read only once.
            sources = tuple(cast("Iterable[OneSource]", sources))
        engine = self.engine
        snapshot = engine.snapshot
        verdict = self._decide(sources, purpose, channel, subject, conditions)
        engine.report_decision(verdict, used=True)
        decision = Decision(verdict)
        if not decision:
            engine.refuse(decision)
        elif engine.counting:
            tick = engine.count_check(decision)
            if subject is None and not verdict.context.conditions and isinstance(sources, (str, Label, TermMeta)):
                # Not for other iterables, which may yield other sources next time.
                snapshot.cache_check((sources, purpose, channel), tick)

    def explain(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> Decision:
        """Return the decision with its reasons. A denial is returned, not raised.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.
            channel: The channel by which a person is contacted, if any.
            subject: The person whom the data is about: an id, a `RowContext`, or a row whose marked fields name its
                subject and collection date. Without a subject, nothing is allowed that rests on consent.
            conditions: The conditions of the notice that hold, such as `{"adult"}`.

        Returns:
            The decision. It is true if the use is allowed.

        Raises:
            UnknownTerm, UnlabelledData, StoreUnavailable, TypeError: As in `allows`.
        """
        try:
            verdict = self._decide(sources, purpose, channel, subject, conditions)
            self.engine.report_decision(verdict, used=False)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return Decision(verdict)

    @overload
    def derive(self, operation: str, one: Personal[A, Any], other: Personal[B, Any]) -> Personal[tuple[A, B], Any]: ...
    @overload
    def derive(self, operation: str, one: Sources, other: Sources) -> Label: ...
    def derive(self, operation: str, one: Any, other: Any) -> Any:
        """Derive the label of two values that are joined by an operation of the notice, such as `link` (rule 6).

        To combine values without such an operation, use `label | other` or `value.zip(other)`, which keep both labels.
        A generated module has a function for each operation, with precise types.

        Args:
            operation: The name of the operation in the notice.
            one: The sources of the first value, or a sealed value.
            other: The sources of the second value, or a sealed value.

        Returns:
            The derived label. For two sealed values, a tuple of both, sealed under that label.

        Raises:
            UnknownOperation: The notice does not declare this operation between the two.
        """
        derived = functools.partial(self.engine.snapshot.matrix.derive_label, operation)
        if isinstance(one, Personal) or isinstance(other, Personal):
            return combine_seals(derived, one, other)
        return derived(one, other)

    @overload
    def reclassify(
        self,
        source: type[S1],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1, To]: ...
    @overload
    def reclassify(
        self,
        source: type[S1],
        other: type[S2],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2, To]: ...
    @overload
    def reclassify(
        self,
        a: type[S1],
        b: type[S2],
        c: type[S3],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2 | S3, To]: ...
    @overload
    def reclassify(
        self,
        a: type[S1],
        b: type[S2],
        c: type[S3],
        d: type[S4],
        /,
        *more: type[S4],
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2 | S3 | S4, To]: ...
    @overload
    def reclassify(
        self,
        *sources: OneSource,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[Any, To]: ...
    def reclassify(
        self,
        *sources: Any,
        to: Any,
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[Any, Any]:
        """Declare a function that turns personal data into less restricted data, such as aggregate figures.

        The decorated function takes a sealed value that derives only from these sources, and its result is sealed under
        `to`. The declaration is listed in `guard.reclassifications`. The ledger records each run before it begins.

        Args:
            *sources: The sources from which the input may derive.
            to: The source of the result, often `NotPersonal`.
            why: The reason why the result is less restricted.
            approver: The person who approved the declaration.
            at_least: The least number of subjects of a figure. With it, the reclassifier decorates no functions.
                Instead it has the methods `count` and `mean`, which refuse to work on fewer subjects.
            name: The name of the declaration, by default that of the function.

        Returns:
            A decorator for functions; with `at_least`, an object with the methods `count` and `mean`.

        Raises:
            UnknownSource, UnlabelledData: The notice does not define `sources` or `to`.
            ValueError: `why`, `approver` or `name` is blank or not a string, or `at_least` is not an integer above 1.
        """
        from purposeguard.runtime.declassification import Reclassifier  # noqa: PLC0415  # see above

        matrix = self.engine.snapshot.matrix
        return Reclassifier(
            self.engine,
            self.inventory,
            sources=matrix.resolve_label(sources),
            to=matrix.resolve_label(to),
            why=why,
            approver=approver,
            at_least=at_least,
            name=name,
            frame=sys._getframe(1),
        )

    def exception(
        self,
        *,
        basis: LegalBasis,
        reason: str,
        approver: str,
        subjects: Subjects,
        until: datetime.datetime,
        activity: str | None = None,
    ) -> LegalExceptionBlock:
        """Create a block for a use that law permits outside the purposes of the notice, such as a warrant.

        Inside the block, data of any source may be opened if it is about one of the `subjects`. Each use must name its
        subject, or the marked fields of the rows must. The ledger records each use before it takes place.

        Args:
            basis: The legal basis of the exception.
            reason: The reason for this exception.
            approver: The person who approved it.
            subjects: The ids of the persons concerned, or `"all"` if they cannot be known beforehand.
            until: The moment when the exception ends, with a time zone.
            activity: The name of the activity, by default that of the function that contains the block.

        Returns:
            A sync or async context manager that yields a `Use`.

        Raises:
            TypeError: The guard has no ledger that records exceptions.
            ValueError: `basis` is not a known legal basis, `reason` or `approver` is blank, there are no subjects, or
                `until` has no time zone.
        """
        from purposeguard.runtime.legal_override import LegalExceptionBlock  # noqa: PLC0415  # see above

        frame = sys._getframe(1)
        site = Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)
        return LegalExceptionBlock(
            self.engine,
            basis=basis,
            reason=reason,
            approver=approver,
            subjects=subjects,
            until=until,
            activity=activity,
            site=site,
        )

    def transform(self, fn: F) -> F:
        """Register a function that may see plain values. A strict guard accepts no other functions in `map`.

        Args:
            fn: A function or another callable object.

        Returns:
            `fn` itself, so that the method can be used as a decorator.

        Raises:
            TypeError: `fn` is not callable.
        """
        from purposeguard.runtime.declarations import Transform  # noqa: PLC0415  # see above

        inner: Any = fn
        if isinstance(inner, (classmethod, staticmethod)):
            inner = inner.__func__
        if not callable(inner):
            raise TypeError(f"registers functions, not {type(fn).__name__}")
        self._transforms.add(inner)
        site = Site.of(inner)
        self.inventory.add_transform(Transform(site.dotted, site))
        return fn

    @overload
    def purpose(
        self,
        purpose: type[P],
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[P]: ...
    # Ids come before type forms, because some type checkers read a string that is passed as a form as an annotation.
    @overload
    def purpose(
        self,
        purpose: str | Family,
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[Any]: ...
    @overload
    def purpose(
        self,
        purpose: TypeForm[P],
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[P]: ...
    def purpose(
        self,
        purpose: Any = None,
        *more: Any,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[Any]:
        """State the purpose of a function or block, which becomes an activity.

        Inside, the purpose is ambient: access functions read only data that it may use. A nested activity replaces the
        purpose, and restores it on exit.

        Args:
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.
            *more: Not accepted. Purposes that are passed here lead to an error that explains how to state a family.
            channel: The channel by which a person is contacted, if any.
            activity: The name of the activity, by default that of its function.
            mode: The mode of this activity, by default that of the guard. Use `observe` to roll out in stages: the
                activity may do what would be refused, and it is recorded.
            conditions: The conditions of the notice that hold for all data in the activity, such as `{"adult"}`.
                Conditions that are not stated do not hold.

        Returns:
            A decorator for functions of any kind, which is also a sync and async context manager that yields a `Use`.
            A `RuntimeWarning` is issued if the caller does nothing with it, usually once for each place in the code.

        Raises:
            UnknownPurpose, UnknownChannel, UnknownCondition: The notice does not define an id.
            TypeError: `conditions` is not a set, list or tuple.
            ChannelViolation: The purpose is closed, and no channel or one that it does not admit is stated (rule 7).
        """
        frame = sys._getframe(1)
        snapshot = self.engine.snapshot
        try:
            matrix = snapshot.matrix  # Read once, so that everything is stated under one revision.
            condition_ids = matrix.resolve_conditions(conditions) if conditions else NO_CONDITIONS
            cache_key = (id(frame.f_code), frame.f_lasti, purpose, channel, mode, condition_ids)
            try:
                cached = snapshot.stated_purposes[cache_key]
                # The name is not in the key, so that a place whose names are made at run time has one entry.
                if cached.name == activity and not more:
                    return Block(cached)
            except (KeyError, TypeError):
                pass  # Nothing was stated here before, or the purpose is not hashable.
            stated = self._state_purpose(
                matrix, purpose, more, channel, mode=mode, name=activity, conditions=condition_ids, frame=frame
            )
            # A purpose that does not fit its channel is reported each time. Other forms of a purpose are slow to hash.
            if stated.fits and (type(purpose) is str or isinstance(purpose, TermMeta)):
                snapshot.cache_stated(cache_key, stated)
            if is_result_dropped(frame):
                warnings.warn(_NOWHERE, RuntimeWarning, stacklevel=2)
            return Block(stated)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _state_purpose(
        self,
        matrix: PolicyTable,
        purpose: Any,
        more: tuple[Any, ...],
        channel: str | None,
        *,
        mode: Mode | None,
        **options: Any,
    ) -> StatedPurpose:
        """Resolve the arguments of `purpose`. Raises the errors of `purpose`."""
        if purpose is None or isinstance(purpose, (FunctionType, classmethod, staticmethod)):
            raise UnknownPurpose(purpose, "an activity says what it is for: `@guard.purpose(Purpose)`")
        if more:
            raise UnknownPurpose([purpose, *more], SEVERAL)
        return StatedPurpose(
            self.engine,
            self.inventory,
            matrix.resolve_purpose(purpose),
            matrix.resolve_channel(channel),
            observing=(self._mode if mode is None else _check_mode(mode)) == "observe",
            **options,
        )

    @overload
    def access(self, *sources: OneSource, withhold: bool = False, narrow: bool = False) -> Callable[[F], F]: ...
    @overload
    def access(self, fn: F, /) -> F: ...
    def access(self, *sources: Any, withhold: bool = False, narrow: bool = False) -> Any:
        """Declare a data-access function. It runs only if the ambient purpose may use all its sources.

        The check takes place before the function runs; for a generator, before each step. Rows whose class marks their
        subject or their dates (`Subject`, `Collected`, `Ended`) are checked one by one when they are returned.

        Args:
            *sources: The sources that the function reads. By default, those of the tags in its return annotation. Used
                without parentheses, `@guard.access`, the only argument is the function.
            withhold: If True, the function runs under any purpose, and its result is returned without the fields that
                the purpose may not use.
            narrow: If True, rows that may not be used are dropped from their list, mapping or stream. Otherwise such a
                row raises an error, or loses its fields with `withhold=True`.

        Returns:
            A decorator, or the decorated function if the only argument is a function.

        Raises:
            UnlabelledData: No source is named or tagged, the annotation may contain a tag that is not understood, or a
                field is undescribed and the guard refuses such fields.
            UnknownSource: A source does not belong to this guard's notice.
            TypeError: The decorated object is not a function, or is behind a cache that ignores purposes.
        """
        frame = sys._getframe(1)

        @hides_own_frames
        def decorate(fn: Any) -> Any:
            return decorate_function(fn, lambda inner: self._access(inner, named, withhold, narrow, frame))

        try:
            bare = len(sources) == 1 and not isinstance(sources[0], (TermMeta, str, Label)) and not (withhold or narrow)
            named = None if bare or not sources else self.engine.snapshot.matrix.resolve_label(sources)
            return decorate(sources[0]) if bare else decorate
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _access(self, fn: Function, named: Label | None, withhold: bool, narrow: bool, frame: FrameType) -> Function:
        local = frame.f_locals if frame.f_locals is not frame.f_globals else None
        reader = AccessFunction(fn, self.engine, named, withhold, local, narrow=narrow)
        wrapper = wrap_access_function(fn, reader)
        self.inventory.add_access(reader.access)
        return wrapper

    def check_recipient(
        self,
        sources: Sources,
        purpose: object,
        recipient: Recipient | str,
        *,
        means: str | None = None,
        subject: Whose = None,
        product: str | None = None,
        task: str | None = None,
        channel: str | None = None,
        conditions: Conditions = (),
    ) -> None:
        """Raise an error unless data from these sources may be handed to this recipient for this purpose.

        The method only checks: it hands nothing over and records no hand-over. Use `entrust` for that.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.
            recipient: A `Recipient`, or the id of a recipient in the register of governance.
            means: The way in which the data travels, by default that of the recipient. It is checked if it is known.
            subject: The person whom the data is about: an id, a `RowContext`, or a row whose marked fields name its
                subject and collection date.
            product: The product for which the data is handed over, if the notice limits a country to some products.
            task: The task for which the data is handed over, if the notice limits a country to some tasks.
            channel: The channel by which a person is contacted, if any.
            conditions: The conditions of the notice that hold, such as `{"adult"}`.

        Raises:
            PurposeViolation: The data may not serve the purpose at all, as in `check`.
            RecipientViolation: The recipient's kind, country, safeguards or supervision do not permit the hand-over.
            SubjectViolation: The subject asked for provision, or use, to stop.
            UnknownRecipient: The register has no recipient with this id.
            UnknownTerm, UnlabelledData, StoreUnavailable, TypeError: As in `allows`.
        """
        from purposeguard.runtime.handover import HandOverTerms, iter_denials, require_recipient, resolve_recipient  # noqa: PLC0415  # see above

        engine = self.engine
        require_recipient(engine, recipient)
        decision = self.explain(sources, purpose, channel, subject, conditions)
        if not decision:
            engine.refuse(decision)
        party = resolve_recipient(engine, recipient)
        row_contexts = () if subject is None else engine.resolve_row_contexts(subject)
        terms = HandOverTerms(party, means or party.means, product, task)
        for refusal in iter_denials(engine, decision, terms, row_contexts):
            engine.refuse(refusal)

    def entrust(
        self,
        recipient: Recipient | str,
        *sources: OneSource,
        means: str | None = None,
        product: str | None = None,
        task: str | None = None,
    ) -> Callable[[F], F]:
        """Declare a function that hands data to a recipient.

        The function runs only if the ambient purpose may use the data, the notice permits this recipient, and no
        subject of the data objected. The hand-over is recorded before the function runs. Subjects are read from the
        marked fields of rows among the arguments, also in lists, and from marked parameters such as
        `Annotated[int, pg.Subject]`.

        Args:
            recipient: A `Recipient`, or the id of a recipient in the register of governance, looked up at each call.
            *sources: The sources of the data. By default, those of the tags and seals in the annotations of the
                parameters.
            means: The way in which the data travels, by default that of the recipient.
            product: The product for which the data is handed over, if the notice limits a country to some products.
            task: The task for which the data is handed over, if the notice limits a country to some tasks.

        Returns:
            A decorator for functions and coroutine functions.

        Raises:
            TypeError: The guard has nothing that records hand-overs, no means is stated, or the decorated object is a
                generator or not a function.
            UnlabelledData: No source is named or tagged, so nothing could be checked.
            UnknownSource: A source does not belong to this guard's notice.
            ValueError: `means`, `product` or `task` is blank.
        """
        from purposeguard.runtime.declarations import EntrustmentDeclaration  # noqa: PLC0415  # see above
        from purposeguard.runtime.handover import EntrustDecorator  # noqa: PLC0415  # see above

        named = self.engine.snapshot.matrix.resolve_label(sources) if sources else None
        declared = EntrustmentDeclaration(Site("", "", 0), recipient, means, product, task, named)
        return EntrustDecorator(self.engine, self.inventory, declared, sys._getframe(1))

    def cached(self, *, maxsize: int = 128, ttl: float | None = None, typed: bool = False) -> Callable[[F], F]:
        """Cache the results of an access function separately for each purpose.

        The key contains the purpose, the channel, the conditions and the label as well as the arguments, which must be
        hashable. Each call is checked before the cache answers. Write the decorator directly above `@guard.access`. The
        decorated function has the methods `cache_info()` and `cache_clear()`.

        Args:
            maxsize: The greatest number of cached results. The least recently used result is dropped first.
            ttl: The lifetime of a result in seconds. None for no limit.
            typed: If True, arguments of different types are cached separately, such as `1` and `1.0`.

        Returns:
            A decorator for access functions.

        Raises:
            TypeError: The decorated object is not an access function of this guard.
            ValueError: `maxsize` or `ttl` is not above zero.
        """
        from purposeguard.runtime.cache import cache_function  # noqa: PLC0415  # see above

        @hides_own_frames
        def decorate(fn: F) -> F:
            return decorate_function(fn, lambda inner: cache_function(inner, self.engine, maxsize, ttl, typed))

        return decorate

    def cache_clear(self, fn: Callable[..., Any]) -> None:
        """Empty the cache of a function. Type checkers accept this call, but do not know `fn.cache_clear`.

        Args:
            fn: A function that was decorated with `cached`.

        Raises:
            TypeError: `fn` has no cache.
        """
        clear = getattr(fn, "cache_clear", None)
        if clear is None:
            raise TypeError(f"{Site.of(fn).dotted} has no cache: `@guard.cached(…)` gives it one")
        clear()

    @hides_own_frames
    def carry(self, fn: F) -> F:
        """Bind a function to the current purpose, to run it in another thread, greenlet or task, or as a callback.

        Args:
            fn: The function. For a coroutine, pass the coroutine function before it is called.

        Returns:
            A function that runs `fn` for the purpose that is active now.

        Raises:
            PurposeMissing: No purpose is active here.
            TypeError: `fn` is not callable.
        """
        if inspect.iscoroutine(fn):
            raise TypeError("carry the coroutine function before it is called: `guard.carry(fn)(…)`")
        return carry_purpose(fn, self.engine)

    @property
    def current(self) -> Use[Any]:
        """The use that is active here.

        Raises:
            PurposeMissing: No purpose is active here. It is raised in any mode, because there is no use to return.
        """
        use: Use[Any] = self.engine.ambient()
        absence = use.explain_absence()
        try:
            if absence is not None:
                self.engine.report_denial(
                    PurposeMissing(f"a use was asked for outside any purpose: {absence}"), observed=False
                )
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return use

    @overload
    def use(self, purpose: type[P]) -> Use[P]: ...
    @overload
    def use(self, purpose: str | Family) -> Use[Any]: ...
    @overload
    def use(self, purpose: TypeForm[P]) -> Use[P]: ...
    def use(self, purpose: Any) -> Use[Any]:
        """Return the use that is active here, which must be for this purpose.

        Call it in the body of a decorated activity. Unlike `current`, the result has the type of the purpose.

        Args:
            purpose: A purpose class, an id, the name of a family, or the union of a family's members.

        Returns:
            The active use. If it is for a family that contains the purpose, a use restricted to the purpose. In observe
            mode without such a use, one for this purpose that refuses nothing.

        Raises:
            UnknownPurpose: The notice does not define an id.
            PurposeMissing: No purpose or another purpose is active here.
        """
        engine = self.engine
        requested_purpose = engine.snapshot.matrix.resolve_purpose(purpose)
        use = require_current_use(engine, "a use was asked for")
        if use is not None:
            current_purpose = use.purpose
            if current_purpose == requested_purpose:
                return use
            if (
                isinstance(current_purpose, Family)
                and not isinstance(requested_purpose, Family)
                and requested_purpose in current_purpose.members
            ):
                return MemberUse(use, requested_purpose)
            message = (
                f"a use for {format_term(requested_purpose)} was asked for, and what is under way is for "
                f"{format_term(current_purpose)}"
            )
            engine.report_denial(PurposeMissing(message), observed=use.activity.observing)
            return MemberUse(use, requested_purpose)  # It ends together with the active use.
        frame = sys._getframe(1)
        site = Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)
        return InactiveUse(engine, Activity(site.dotted, requested_purpose, None, True, site))

    if not TYPE_CHECKING:  # pragma: no branch  # It is always true at run time.
        vars().update({name: UseAttribute(name) for name in ("open", "open_all", "try_open", "withhold")})

    @property
    def activities(self) -> tuple[Activity, ...]:
        """The activities declared so far."""
        return self.inventory.activities

    @property
    def accesses(self) -> tuple[Access, ...]:
        """The access functions declared so far."""
        return self.inventory.accesses

    @property
    def tables(self) -> tuple[TaggedTable, ...]:
        """The tables that adapters guard by this notice, each with its tagged columns."""
        return self.inventory.tables

    @property
    def entrustments(self) -> tuple[EntrustmentDeclaration, ...]:
        """The declared functions that hand data over."""
        return self.inventory.entrustments

    @property
    def reclassifications(self) -> tuple[Reclassification, ...]:
        """The reclassifications declared so far."""
        return self.inventory.reclassifications

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The registered functions that may see plain values."""
        return self.inventory.transforms

    def __repr__(self) -> str:
        return f"<Guard {self.mode} {self.notice!r}>"

    def _repr_html_(self) -> str:
        """Render the declared activities as a table for notebooks."""
        from purposeguard.notice.notebook import describe_revisions, render_table  # noqa: PLC0415  # as in the notice

        rows = [(activity.name, format_term(activity.purpose), activity.channel or "") for activity in self.activities]
        strict = ", strict" if self.strict else ""
        revisions = describe_revisions(notice.document for notice in self.notice.notices)
        caption = f"Guard ({self.mode}{strict}) of {revisions}"
        return render_table(caption, ("activity", "purpose", "channel"), rows)


def attach_governance(guard: Guard) -> None:
    """Tell the governance of a guard that the guard asks it, and by which notice."""
    attach = getattr(guard.engine.oversight, "attach", None)
    if attach is not None:  # Governance with this method needs to know the guard that asks it.
        attach(guard)


def attach_observers(guard: Guard) -> None:
    """Tell the observers of a guard that they belong to it, and its notice."""
    for observer in guard.engine.observers:
        if isinstance(observer, Observer):  # Another object may have a method of this name for something else.
            observer.attach(guard)


register_fork_handlers(before=load_before_fork, in_child=end_uses_after_fork)

_NOWHERE: Final = (
    "this states a purpose that holds nowhere: write `with guard.purpose(…) as use:` above what it is for, or "
    "`@guard.purpose(…)` above a function"
)

LIVE_GUARDS: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()
"""All guards of the process, for testing tools that watch decisions. No decision depends on it."""

GUARD_LISTENERS: Final[list[Callable[[Guard], None]]] = []
"""Functions that are called with each new guard, for testing tools. No decision depends on them."""


def load_guard(stated: object, setting: str) -> Guard:
    """Return the guard of a framework's setting.

    Args:
        stated: The value of the setting: a guard, or its dotted path such as `shop.privacy.guard`.
        setting: The name of the setting, for messages.

    Raises:
        TypeError: The setting neither is nor names a guard.
        ImportError, AttributeError, ValueError: The dotted path does not exist.
    """
    import pkgutil  # noqa: PLC0415  # few applications have such a setting

    guard: object = pkgutil.resolve_name(stated) if isinstance(stated, str) else stated
    if not isinstance(guard, Guard):
        raise TypeError(
            f"{setting} is a Guard, or where it is imported from, not {type(guard).__name__}: "
            f'write `{setting} = "shop.privacy.guard"`'
        )
    return guard


def _check_mode(mode: str) -> Mode:
    if mode in get_args(Mode):
        return cast("Mode", mode)
    raise ValueError(f"mode is `enforce` or `observe`, not {format_id(mode, get_args(Mode))}")
