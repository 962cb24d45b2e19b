"""Uses, which open data for a purpose."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import Token, copy_context
from types import FrameType
from typing import Any, ClassVar, Final, Generic, NoReturn, Protocol, Self, TypeVar, cast

from purposeguard.errors import (
    PurposeGuardError,
    PurposeMissing,
    StoreUnavailable,
    UnknownSource,
    UnlabelledData,
    hide_own_frames,
)
from purposeguard.notice.label import Label, Sources
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext, subject_key
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.execution import (
    ASYNCIO,
    GREENLET,
    NOBODY,
    TRIO,
    current_execution,
    get_ident,
    is_in_first_greenlet,
    is_served,
    modules,
)
from purposeguard.runtime.frames import CONTEXTLIB, SUSPENDABLE, FrameCheck, find_suspendable_frame
from purposeguard.runtime.observer import NO_COUNTS, Tick
from purposeguard.runtime.opening import open_values
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.snapshot import NO_LABELS, NOTHING, Permissions
from purposeguard.runtime.wrapping import Function, explain_call
from purposeguard.values.opener import Opener, dump_opener_var
from purposeguard.values.personal import Personal, require_sealed
from purposeguard.values.rows import Whose
from purposeguard.values.sealed import content
from purposeguard.values.type_schema import read_shape

# The variable is invariant. If it were contravariant, type checkers would solve `P` as the union of a purpose and the
# expected purpose, so a block for one purpose would be accepted where a use for another one is expected.
P = TypeVar("P", bound=Source | Purpose)
T = TypeVar("T")
D = TypeVar("D")

IDS: Final = frozenset({int, str, uuid.UUID})
"""The types of subject ids."""


class Use(Opener, Generic[P]):
    """Opens data for a purpose inside a block: the target of `with guard.purpose(…) as use`.

    A use is valid in the task, greenlet or thread that entered it, until its block ends. It is valid in another one
    while a function that was bound by `guard.carry` runs there. `Use[P]` opens sealed values whose sources may all
    serve `P`. Its type parameter is invariant, so a use is for exactly one purpose. Inside the block of a family,
    `guard.use(Member)` returns a use for one member.
    """

    __slots__ = ("_allowed_labels", "_before", "_counted", "_entered_by", "_identify_runner", "handle")

    handle: ActivityHandle
    """The activity with its permissions. Adapters and integrations let it decide, report and count. It does not check
    that the use is valid here."""

    _allowed_labels: set[object] | frozenset[object]
    """The labels that are cached as allowed if uses are not counted. Empty after the block has ended."""

    _counted: Mapping[object, Tick]
    """The labels that are cached as allowed if uses are counted, each with the function that counts a use. Empty after
    the block has ended."""

    _entered_by: object
    """The task, the proxy of a greenlet or the identifier of the thread that entered. NOBODY before and after."""

    _identify_runner: Any
    """The quickest function that returns the task, greenlet or thread that is running. A `FrameCheck` if the use
    depends on frames that can be suspended."""

    _before: Use[Any] | Token[Use[Any]]
    """The use in which this one was entered, or the token of the context variable that has it."""

    def __init__(self, handle: ActivityHandle, frame: FrameType | None = None) -> None:
        """Make this the ambient use of the present task, greenlet or thread.

        Args:
            handle: The activity.
            frame: The frame that enters it. If it belongs to a generator or coroutine, the use is ambient only while
                this is not suspended.
        """
        # `wrap_in_activity` does the same without a call.
        self.handle = handle
        engine = handle.engine
        before = engine.innermost()
        self._before = before if before._entered_by is not NOBODY or before is NO_USE else nearest_active_use(before)
        self._identify_runner, self._entered_by = current_execution()
        if frame is not None and not frame.f_code.co_flags & SUSPENDABLE and frame.f_globals is not CONTEXTLIB:
            frame = None  # `find_suspendable_frame` would find this out more slowly.
        if frame is not None or type(before._identify_runner) is FrameCheck:
            self._identify_runner = check_frames(self._identify_runner, frame, before)
        permissions = handle.permissions
        if permissions.retired:
            permissions = handle.get_permissions()
        self._allowed_labels = permissions.allowed_labels  # It stays empty if uses are counted.
        self._counted = handle.counted
        if dump_opener_var.get() is not None:
            dump_opener_var.set(None)
        engine.set_ambient(self)

    @property
    def active(self) -> bool:
        """True from the start of its block until its end, in any task or thread."""
        return self._entered_by is not NOBODY

    @property
    def activity(self) -> Activity:
        """The activity of this use."""
        return self.handle.activity

    @property
    def purpose(self) -> type[Purpose] | Family:
        """The purpose, or family, of this use."""
        return self.handle.get_permissions().purpose

    @property
    def channel(self) -> str | None:
        """The channel by which the person is contacted, if the activity states one."""
        return self.activity.channel

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions that are stated to hold."""
        return self.activity.conditions

    def allows(self, sources: Sources, subject: Whose = None) -> bool:
        """Return True if data from these sources may be used here. A denial is not an error.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.

        Raises:
            UnknownSource, UnlabelledData, StoreUnavailable: As in `Guard.allows`.
        """
        if subject is None:
            try:
                if sources in self._allowed_labels or sources in self._counted:
                    return True
            except TypeError:
                pass  # Sources that are not hashable are never cached. They are decided below.
            handle = self.handle
            return handle.report_verdict(handle.get_permissions().decide(sources), used=False) is None
        permissions = self.handle.get_permissions()
        if (
            type(sources) is Label
            and type(subject) in IDS
            and sources in self._labels_allowed_for(permissions, subject)
        ):
            return True
        label = permissions.matrix.resolve_label(sources)
        row_contexts = self._resolve_row_contexts(subject)
        return self.handle.decide_and_report(label, row_contexts, permissions, used=False) is None

    def explain(self, sources: Sources, subject: Whose = None) -> Decision:
        """Return the decision on these sources with its reasons. Raises the errors of `allows`.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        permissions = self.handle.get_permissions()
        if subject is None:
            verdict = permissions.decide(sources)
        else:
            engine = self.handle.engine
            label = permissions.matrix.resolve_label(sources)
            row_contexts = self._resolve_row_contexts(subject)
            preferences = engine.collect_preferences(row_contexts)
            verdicts: list[Verdict] = []
            for row_context in row_contexts:
                context = engine.resolve_context(row_context, label, permissions.snapshot, preferences)
                verdicts.append(permissions.decide(label, context))
            verdict = next((verdict for verdict in verdicts if not verdict.allowed), verdicts[0])
        self.handle.report_verdict(verdict, used=False)
        return Decision(verdict)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """Return the subjects and dates that a `subject=` argument names."""
        return self.handle.engine.resolve_row_contexts(subject)

    def _labels_allowed_for(self, permissions: Permissions, subject: object) -> set[Label] | frozenset[Label]:
        """Return the labels that are cached as allowed for a subject with this id."""
        oversight = self.handle.engine.oversight
        if oversight is None:
            return NO_LABELS
        return permissions.labels_allowed_for(oversight.preferences(subject_key(subject)))

    def check(self, sources: Sources, subject: Whose = None) -> None:
        """Raise PurposeViolation unless data from these sources may be used here.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.

        Raises:
            PurposeMissing: The block has ended, or belongs to another task or thread.
            PurposeViolation: The notice does not grant the use.
            UnknownSource, UnlabelledData: As in `Guard.allows`.
        """
        engine = self.handle.engine
        try:
            label = engine.snapshot.matrix.resolve_label(sources)
            absence = self.explain_absence()
            if absence is not None:
                engine.report_missing_purpose("a check was made", absence, self)
                return
            refusal = self.handle.check_label(
                label, row_contexts=() if subject is None else self._resolve_row_contexts(subject)
            )
            if refusal is not None:
                engine.refuse(refusal, self)
        except (PurposeGuardError, TypeError) as error:
            if isinstance(error, StoreUnavailable) and engine.report_if_observed(error, "check", (), self.activity):
                return
            hide_own_frames(error)
            raise

    def open(self, value: Personal[T, P | NotPersonal], /, subject: Whose = None) -> T:
        """Open a sealed value if this purpose may use all its sources.

        Args:
            value: The sealed value.
            subject: The person whom the value is about: an id, a `RowContext`, or a row with marked fields. It requires
                a guard with governance (`Guard(governance=…)`).

        Returns:
            The plain value.

        Raises:
            PurposeMissing: The block has ended, or belongs to another task or thread.
            PurposeViolation: The notice does not grant the use.
            UnknownSource: The sources of the value belong to another notice.
            SealedValue: A function that was passed to `map` failed, or is not registered with a strict guard.
        """
        try:
            if subject is not None:
                return self._open_for_subject(value, subject)
            try:
                # Reading the private slot of the seal takes less time than a call.
                if value._sealed_label in self._allowed_labels and self._entered_by == self._identify_runner():
                    return content(value)  # type: ignore[no-any-return]  # The slot has no type.
                tick = self._counted[value._sealed_label]
                if self._entered_by == self._identify_runner():
                    tick()
                    return content(value)  # type: ignore[no-any-return]  # As above.
            except (AttributeError, KeyError, TypeError, RuntimeError, ReferenceError):
                # The label is new, functions must be applied first, the value is not sealed, or the use is not valid
                # here. The steps below handle each case.
                pass
            require_sealed(value, "`open`")
            return self._open((value,))[0]
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _open_for_subject(self, value: Personal[T, Any], subject: object) -> T:
        """Open a sealed value of a subject. Called by `open` if a subject is named."""
        engine = self.handle.engine
        try:
            if type(subject) in IDS and is_owner_running(self):
                label = value._sealed_label
                if label in self._labels_allowed_for(self.handle.get_permissions(), subject):
                    if not engine.counting:
                        return content(value)  # type: ignore[no-any-return]  # The slot has no type.
                    tick = self.handle.ticks.get(label)
                    if tick is not None:
                        tick()
                        return content(value)  # type: ignore[no-any-return]  # As above.
        except (AttributeError, TypeError):
            pass  # As in `open`. The steps below handle other subjects than ids.
        except StoreUnavailable:
            if not self.activity.observing:  # Otherwise the steps below report it.
                raise
        require_sealed(value, "`open`")
        return self._open((value,), row_contexts=(self._resolve_row_contexts(subject),))[0]

    def _open_in_context(self, value: Personal[T, Any], row_contexts: tuple[RowContext, ...], /) -> T:
        """Open a sealed value whose subjects and dates are known. Used by dumps. Raises the errors of `open`."""
        return self._open((value,), row_contexts=(row_contexts,))[0]

    def open_all(
        self, values: Iterable[Personal[T, P | NotPersonal]], /, subjects: Iterable[Whose] | None = None
    ) -> list[T]:
        """Open several sealed values: all of them, or none if one of them may not be opened.

        The preferences of the subjects are read together, and again after the decisions, so that a request that arrives
        meanwhile is obeyed.

        Args:
            values: The sealed values.
            subjects: The subjects of the values, in the same order. Each may be anything that `open` accepts.

        Returns:
            The plain values in their order.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, SealedValue: As in `open`.
            ValueError: There are fewer or more subjects than values.
            TypeError: `subjects` is a single subject.
        """
        sealed = tuple(values)
        try:
            if subjects is not None:
                return self._open_for_subjects(sealed, subjects)
            try:
                # The first fast path: uses are not counted, and all labels are cached as allowed.
                if self._allowed_labels.issuperset({value._sealed_label for value in sealed}) and is_owner_running(
                    self
                ):
                    return list(map(content, sealed))
                # The second one: uses are counted, and each label is cached as allowed with its counter. All counters
                # are found before the first one counts, so that nothing is counted if a label is not cached.
                ticks = [self._counted[value._sealed_label] for value in sealed]
                if is_owner_running(self):
                    for tick in ticks:
                        tick()
                    return list(map(content, sealed))
            except (AttributeError, KeyError, TypeError):
                pass  # As in `open`, for one of the values.
            for value in sealed:
                require_sealed(value, "`open_all`")
            return self._open(sealed)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _open_for_subjects(self, sealed: tuple[Personal[T, Any], ...], subjects: Iterable[Whose]) -> list[T]:
        """Open several sealed values of subjects. Called by `open_all` if subjects are named."""
        if isinstance(subjects, (str, bytes, Mapping)):
            raise TypeError("`subjects` says of each value in turn whose it is: give a list")
        for value in sealed:
            require_sealed(value, "`open_all`")
        row_contexts = tuple(() if subject is None else self._resolve_row_contexts(subject) for subject in subjects)
        if len(row_contexts) != len(sealed):
            raise ValueError(f"there are {len(sealed)} values and {len(row_contexts)} subjects: name one for each")
        return self._open(sealed, row_contexts=row_contexts)

    def try_open(self, value: Personal[T, Any], default: D, /, *, subject: Whose = None) -> T | D:
        """Open a sealed value if this purpose may use it, or return a default. A denial is not an error.

        A denied value leads to the default even if denials are only observed, because the caller handles it.

        Args:
            value: The sealed value.
            default: The result if the value may not be opened.
            subject: The person whom the value is about, as in `open`.

        Returns:
            The plain value or the default.

        Raises:
            PurposeMissing, UnknownSource, SealedValue: As in `open`.
        """
        require_sealed(value, "`try_open`")
        permissions = (
            self.handle.get_permissions()
        )  # Read once, so that one revision decides both the question and the opening.
        row_contexts = () if subject is None else self._resolve_row_contexts(subject)
        if (
            self.explain_absence() is None
            and self.handle.decide_and_report(value.label, row_contexts, permissions, used=True) is not None
        ):
            return default
        return self._open((value,), permissions, (row_contexts,), used=None)[0]

    def _open(
        self,
        values: tuple[Personal[T, Any], ...],
        permissions: Permissions | None = None,
        row_contexts: tuple[tuple[RowContext, ...], ...] | None = None,
        *,
        used: bool | None = True,
    ) -> list[T]:
        """Open values without the shortcuts of `open` and `open_all`. The arguments are those of `open_values`."""
        handle = self.handle
        return open_values(handle, self.explain_absence(), values, permissions, row_contexts, used=used)

    def _current_use(self) -> Use[Any]:
        """Return the use of the same guard that is active here, or this use if there is none."""
        engine = self.handle.engine
        ambient = engine.ambient()
        # A use that an application holds in a variable decides if its guard has no active use here. A use whose
        # generator is suspended does not.
        return self if ambient is NO_USE and engine.innermost() is NO_USE else ambient

    def _knows(self, label: Label) -> bool:
        """Return True if the sources of this label belong to the notice in force."""
        try:
            self.handle.engine.snapshot.matrix.resolve_label(label)
        except UnknownSource:
            return False
        return True

    def _is_current(self) -> bool:
        """Return True if this is the guard's ambient use and valid here."""
        return self.handle.engine.ambient() is self and self.explain_absence() is None

    def withhold(self, value: T, like: object = None) -> T:
        """Withhold the fields of a value that may not be used here.

        Args:
            value: A model, dataclass, attrs object, NamedTuple or dict, or a container or iterator of these.
            like: An annotation with tagged fields, such as `list[InvoiceRow]`. It is required for plain dicts; other
                objects are described by their classes.

        Returns:
            The value itself if nothing had to be withheld, otherwise a copy. An iterator is checked at each item.

        Raises:
            PurposeMissing: The block has ended, or belongs to another task or thread.
            PurposeViolation: The denied data cannot be separated from the rest of the value.
            UnlabelledData: Neither the value nor `like` has tagged fields.
        """
        if self._require_active() is None:
            return value
        from purposeguard.runtime.results import withhold_denied_fields  # noqa: PLC0415  # loaded by the first value that is looked through
        from purposeguard.values.withholding import describes_itself  # noqa: PLC0415  # As above.

        shape = self.handle.engine.silent
        if like is None:  # The classes in the value count.
            has_tags = describes_itself(value, shape)
        else:
            shape = read_shape(like, shape.bindings)
            has_tags = shape.has_tags
        if not has_tags:
            class_name = type(value).__qualname__
            raise UnlabelledData(f"no field of {class_name} carries a tag: give `like=`, an annotation whose fields do")
        try:
            return cast("T", withhold_denied_fields(self, value, shape, None, authorize=self._require_active))
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def _withhold_for_dump(self, value: T, met: list[Any]) -> T:
        """Withhold the fields of any value that may not be used here. Used by dumps.

        Args:
            value: The value. Values without tags are returned unchanged.
            met: A list to which all models in the result are added.

        Raises:
            PurposeMissing, PurposeViolation: As in `withhold`.
        """
        if self._require_active() is None:
            return value
        from purposeguard.runtime.results import withhold_denied_fields  # noqa: PLC0415  # loaded by the first value that is looked through

        shape = self.handle.engine.silent
        return cast("T", withhold_denied_fields(self, value, shape, None, met=met, authorize=self._require_active))

    def _require_active(self) -> Use[Any] | None:
        """Return this use if it is valid here, or None if it is not and that is only observed.

        Raises:
            PurposeMissing: The use is not valid here.
        """
        absence = self.explain_absence()
        if absence is None:
            return self
        self.handle.engine.report_missing_purpose("data was to be withheld", absence, self)
        return None

    def explain_absence(self) -> str | None:
        """Explain why this use is not valid here; None if it is valid."""
        if self._entered_by is NOBODY:
            return self._explain_end()
        if is_owner_running(self) or self._is_carried():
            return self.handle.explain_end()
        name = self.activity.name
        if not self.handle.can_be_carried:
            return f"{name} holds where it was entered, and is not carried elsewhere: enter it where it is needed"
        place = "task or thread" if is_in_first_greenlet() else "task, greenlet or thread"
        elsewhere = f"activity {name} runs in another {place}"
        if self.handle.engine.innermost() is not self:
            return f"{elsewhere}; hand it over with `guard.carry(fn)`"
        # The current task has inherited the context. It may be part of the activity, or an unrelated request that a
        # server began in it.
        return (
            f"{elsewhere}, which began this one; what is part of it is handed over there, with `guard.carry(fn)`, and "
            "what is not states a purpose here, with `@guard.purpose(…)`"
        )

    def _explain_end(self) -> str:
        ended = f"activity {self.activity.name} has ended"
        if self.handle.engine.innermost() is self:
            return ended
        ambient = self.handle.engine.ambient()
        if isinstance(ambient, CarriedUse) and is_owner_running(ambient):
            return f"{ended}, and what was carried has a use of its own: ask `guard.use(…)` in it"
        return f"{ended}, or the step of a generator that this use was for: ask `guard.use(…)` where it is needed"

    def in_running_frame(self) -> Use[Any]:
        """Return this use, or the nearest enclosing use whose generator or coroutine is not suspended.

        A use of another task or thread is returned as it is. It is not valid here, and its errors say so.
        """
        use: Use[Any] = self
        while type(use._identify_runner) is FrameCheck and not use._identify_runner.holds() and is_owner_running(use):
            use = nearest_active_use(_enclosing_use(use))
        return use

    def _is_carried(self) -> bool:
        """Return True if the active use or one of its enclosing uses carries this use here."""
        carrier = self.handle.engine.ambient()
        while carrier is not NO_USE:
            if isinstance(carrier, CarriedUse) and carrier.stands_for(self):
                return is_owner_running(carrier)
            carrier = _enclosing_use(carrier).in_running_frame()
        return False

    def __copy__(self) -> Self:
        return self  # A copy would remain valid after the block.

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a use belongs to its block, and goes to no other process")

    def __repr__(self) -> str:
        state = "active" if self.active else "not active"
        return f"<Use of {self.activity.name} for {self.activity.purpose_id}, {state}>"


class CarriedUse(Use[Any]):
    """A use in a function that was bound by `guard.carry`. The original use is valid there while this one is."""

    __slots__ = ("_origins", "entry_point")

    _origins: tuple[Use[Any], ...]

    entry_point: EntryPoint | None
    """The entry point that was carried with the use and is entered here, if any."""

    def __init__(
        self,
        handle: ActivityHandle,
        origin: Use[Any],
        frame: FrameType | None = None,
        entry_point: str | None = None,
    ) -> None:
        """Make the carried use ambient.

        Args:
            handle: The activity.
            origin: The use that was carried.
            frame: The frame that enters it, as in `Use`.
            entry_point: The name of the entry point to enter, if any. The caller leaves it.
        """
        self.entry_point = None if entry_point is None else EntryPoint(entry_point).__enter__()
        earlier_origins = origin._origins if isinstance(origin, CarriedUse) else ()
        self._origins = tuple(use for use in (origin, *earlier_origins) if use.active)
        super().__init__(handle, frame)  # This comes last, because it makes the use ambient.

    def stands_for(self, use: Use[Any]) -> bool:
        """Return True if it was carried from `use`, directly or through other carried uses."""
        return any(origin is use for origin in self._origins)


class MemberUse(Use[Any]):
    """A use for one member of a family. It is valid while the family's use is valid, and may open less."""

    __slots__ = ("_whole",)

    _whole: Use[Any]

    def __init__(self, whole: Use[Any], member: type[Purpose] | Family) -> None:
        """Restrict a use to a member.

        Args:
            whole: The use of the family.
            member: The member of the family.
        """
        self._whole = whole
        self.handle = whole.handle.narrow_to(member)

    @property
    def _entered_by(self) -> object:  # type: ignore[override]  # Read from the family's use, which may have ended.
        """The task, greenlet or thread that entered the family's use."""
        return self._whole._entered_by

    @property
    def _identify_runner(self) -> Any:
        """The function that returns the running task, greenlet or thread."""
        return self._whole._identify_runner

    @property
    def _allowed_labels(self) -> set[object] | frozenset[object]:  # type: ignore[override]  # As above.
        """The labels that are cached as allowed for the member."""
        return NOTHING if self._whole._allowed_labels is NOTHING else self.handle.get_permissions().allowed_labels

    @property
    def _counted(self) -> Mapping[object, Tick]:  # type: ignore[override]  # As above.
        """The allowed labels of the member, each with the function that counts a use."""
        return NO_COUNTS if self._whole._counted is NO_COUNTS else self.handle.counted

    def explain_absence(self) -> str | None:
        """Explain why the family's use is not valid here; None if it is valid."""
        return self._whole.explain_absence()


class _InactiveHandle(ActivityHandle):
    __slots__ = ()

    can_be_carried: ClassVar[bool] = False


class InactiveUse(Use[Any]):
    """A use for a purpose that is not active, in observe mode. It refuses nothing and does not end."""

    __slots__ = ()

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.handle = _InactiveHandle(engine, activity)
        self._before = NO_USE
        self._identify_runner, self._entered_by = current_execution()
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS


class _NoUse(Use[Any]):
    """The ambient use outside any purpose. It is never active and allows nothing."""

    __slots__ = ()

    _is_placeholder: ClassVar[bool] = True

    def __init__(self) -> None:
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS
        self._identify_runner, self._entered_by = get_ident, NOBODY

    @property
    def handle(self) -> ActivityHandle:  # type: ignore[override]  # There is no activity, so reading it raises.
        raise PurposeMissing(f"nothing may be used outside any purpose: {self.explain_absence()}")

    def __repr__(self) -> str:
        return "<no use>"

    def explain_absence(self) -> str:
        uses = [value for value in copy_context().values() if isinstance(value, Use)]
        here = [use for use in uses if use.active and is_owner_running(use)]
        if any(use.in_running_frame() is not NO_USE for use in here):
            return "what is under way is of another guard: make one guard, and import it where it is needed"
        if here:
            return (
                f"activity {here[0].activity.name} was entered by a generator or coroutine that is suspended now, and "
                "is not handed to its consumer: state the purpose here, with `@guard.purpose(…)` or `with "
                "guard.purpose(…)`"
            )
        advice = "decorate the function that needs the data with `@guard.purpose(…)`, or enter `with guard.purpose(…)`"
        place = "thread" if is_in_first_greenlet() else "greenlet"
        if place == "greenlet" or threading.current_thread() is not threading.main_thread():
            advice += f"; where the caller in another {place} has a purpose, it hands it over with `guard.carry(fn)`"
        return advice


NO_USE: Final = _NoUse()


def end_use(use: Use[Any]) -> None:
    """End a use at the end of its block, and make the previous one ambient again."""
    engine = use.handle.engine
    use._entered_by = NOBODY  # As `invalidate` does, without a call.
    use._allowed_labels = NOTHING
    use._counted = NO_COUNTS
    if type(use._identify_runner) is FrameCheck:
        use._identify_runner.frame = None
    before: Any = use._before
    if before is not NO_USE:
        # Only the nearest active use is referenced, so that ended uses can be freed.
        use._before = before = nearest_active_use(_enclosing_use(use))
    if engine.innermost() is use:
        # If a block is left in another context than it was entered in, there is nothing to restore.
        engine.set_ambient(before)
        if dump_opener_var.get() is not None:
            dump_opener_var.set(None)


def invalidate(use: Use[Any]) -> None:
    """Let a use open nothing any more."""
    use._entered_by = NOBODY
    use._allowed_labels = NOTHING
    use._counted = NO_COUNTS


def is_owner_running(use: Use[Any]) -> bool:
    """Return True if the task, greenlet or thread that entered a use is the one that is running.

    A use that was entered outside any event loop is also valid in a loop that its body runs in this thread.
    """
    runs = use._identify_runner.runs if type(use._identify_runner) is FrameCheck else use._identify_runner
    try:
        if use._entered_by == runs():
            return runs is not get_ident or is_in_first_greenlet()
        return is_served(use._entered_by)
    except (RuntimeError, ReferenceError):  # It belongs to an event loop, and none runs here, or its owner is gone.
        return False


def is_ambient_here(use: Use[Any]) -> bool:
    """Return True if the owner of a use is running, and no generator or coroutine that entered it is suspended."""
    runs = use._identify_runner
    return is_owner_running(use) and (type(runs) is not FrameCheck or runs.holds())


def use_cached_labels(use: Use[Any], labels: Collection[Label]) -> bool:
    """Count a use of data with these labels, if all of them are cached as allowed and the use is valid here.

    Args:
        use: The use.
        labels: The labels of the data.

    Returns:
        True if the data may be used. False if the caches do not suffice, and nothing was counted.
    """
    if use._allowed_labels.issuperset(labels) and is_ambient_here(use):
        return True
    counted = use._counted
    if not counted or not is_ambient_here(use):
        return False
    try:
        ticks = [counted[label] for label in labels]
    except KeyError:  # A label is new, or the notice was replaced meanwhile.
        return False
    for tick in ticks:
        tick()
    return True


def check_frames(runs: Callable[[], object], frame: FrameType | None, before: Use[Any]) -> Callable[[], object]:
    """Return the function that a new use calls to find out what is running.

    Args:
        runs: The function that returns the running task, greenlet or thread.
        frame: The frame that enters the use, if it may belong to a generator or coroutine.
        before: The innermost use so far.

    Returns:
        `runs`, or a `FrameCheck` around it if the use depends on frames that can be suspended.
    """
    if frame is not None:
        frame = find_suspendable_frame(frame)
    suspended: list[FrameCheck] = []
    use = before if type(before._identify_runner) is FrameCheck else NO_USE
    while use is not NO_USE:
        check = use._identify_runner
        if type(check) is FrameCheck and check.is_suspended():
            suspended.append(check)
        use = _enclosing_use(use)
    return runs if frame is None and not suspended else FrameCheck(runs, frame, tuple(suspended))


def nearest_active_use(use: Use[Any]) -> Use[Any]:
    """Return this use, or the nearest enclosing use that has not ended. Blocks may be left out of order."""
    while use._entered_by is NOBODY and use is not NO_USE:
        use = _enclosing_use(use)
    return use


def _enclosing_use(use: Use[Any]) -> Use[Any]:
    """Return the use in which this one was entered."""
    before = getattr(use, "_before", NO_USE)  # It is not set yet if a signal interrupts a fast wrapper.
    if not isinstance(before, Token):
        return before
    earlier = before.old_value  # A fast wrapper stores the token of the context variable.
    return earlier if isinstance(earlier, Use) else NO_USE


# ---- wrappers of plain functions, which inline the steps of a use --------------------------------------------------


def wrap_in_activity(fn: Function, handle: ActivityHandle) -> Function:
    """Wrap a plain function so that it runs for an activity.

    The wrapper inlines the steps of `Use.__init__` and `end_use`, to save calls. The body runs and the use ends in the
    context in which it was entered, so a token can restore the previous use.
    """
    enter, leave, innermost = handle.engine.set_ambient, handle.engine.reset_ambient, handle.engine.innermost
    new: Callable[[type[Use[Any]]], Use[Any]] = object.__new__
    counted = handle.counted
    get_dump_opener = dump_opener_var.get

    @functools.wraps(fn)
    def activity_wrapper(*args: Any, **kwargs: Any) -> Any:
        permissions = handle.permissions
        if permissions.retired:
            permissions = handle.get_permissions()
        use = new(Use)
        use.handle = handle
        if ASYNCIO in modules or GREENLET in modules or TRIO in modules:
            use._identify_runner, use._entered_by = current_execution()
        else:
            use._identify_runner = get_ident
            use._entered_by = get_ident()
        # A `before` that has ended is not skipped as in `Use.__init__`: readers skip ended uses, and the token below
        # keeps it from being freed only until the function returns.
        before = innermost()
        # While the generator of an enclosing use is suspended, its consumer has this use. `check_frames` notes that, so
        # that this use does not decide in the generator. This function itself cannot be suspended: it has no frame.
        if type(before._identify_runner) is FrameCheck:
            use._identify_runner = check_frames(use._identify_runner, None, before)
        use._allowed_labels = permissions.allowed_labels
        use._counted = counted
        # A use that is entered or left during a dump, or between two dumps, ends the shortcut of the previous use.
        if get_dump_opener() is not None:
            dump_opener_var.set(None)
        use._before = token = enter(use)
        try:
            return fn(*args, **kwargs) if kwargs else fn(*args)  # Calling without keywords copies no dict.
        except BaseException as error:
            explain_call(error, fn, args, kwargs)
            hide_own_frames(error)
            raise
        finally:
            use._entered_by = NOBODY
            use._allowed_labels = NOTHING
            use._counted = NO_COUNTS
            use._before = NO_USE
            leave(token)
            if get_dump_opener() is not None:
                dump_opener_var.set(None)

    return activity_wrapper


class QuickReader(Protocol):
    """An access function that withholds no fields, and whose label is known."""

    access: Access
    eager_classes: set[type]

    @property
    def innermost(self) -> Callable[[], Any]:
        """A function that returns the innermost use that was entered here."""
        ...

    def authorize_and_get_label(self) -> Label | None:
        """Authorize a call and return the label of the function."""

    def check_lazily(self, value: Any) -> Any:
        """Wrap an iterator or coroutine so that each step is checked. Return any other value unchanged."""


def wrap_in_lookup(fn: Function, reader: QuickReader) -> Function:
    """Wrap a plain function. A use that was allowed before costs one lookup in the ambient use."""
    innermost = reader.innermost
    label = reader.access.label
    eager_classes = reader.eager_classes

    @functools.wraps(fn)
    def access_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal label
        use = innermost()
        try:
            try:
                is_allowed = label in use._allowed_labels and use._entered_by == use._identify_runner()
            except (RuntimeError, ReferenceError):  # The use belongs to an event loop or to a greenlet that is gone.
                is_allowed = False
            if not is_allowed:
                label = reader.authorize_and_get_label()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # Calling without keywords copies no dict.
            return value if type(value) in eager_classes else reader.check_lazily(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper


def wrap_in_counting_lookup(fn: Function, reader: QuickReader) -> Function:
    """Wrap a plain function of a guard that counts each use."""
    innermost = reader.innermost
    label = reader.access.label
    eager_classes = reader.eager_classes

    @functools.wraps(fn)
    def access_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal label
        use = innermost()
        try:
            try:
                tick = use._counted.get(label) if use._entered_by == use._identify_runner() else None
            except (RuntimeError, ReferenceError):  # The use belongs to an event loop or to a greenlet that is gone.
                tick = None
            if tick is None:
                label = reader.authorize_and_get_label()
            else:
                tick()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # Calling without keywords copies no dict.
            return value if type(value) in eager_classes else reader.check_lazily(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper
