"""Uses, which open data for a purpose."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import Token, copy_context
from importlib import import_module
from itertools import chain
from types import FrameType
from typing import Any, ClassVar, Final, Generic, NoReturn, Self, TypeVar, cast

from purposeguard.errors import PurposeGuardError, PurposeMissing, UnlabelledData, hide_own_frames
from purposeguard.notice.label import Label, Sources
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import UNNAMED
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.row_context import RowContext
from purposeguard.processes import register_fork_handlers
from purposeguard.runtime.authorisation import IDS, Authorization
from purposeguard.runtime.engine import ActivityHandle, Engine
from purposeguard.runtime.execution import (
    EVENTLET,
    GEVENT,
    NOBODY,
    current_execution,
    get_ident,
    is_in_first_greenlet,
    is_served,
    modules,
)
from purposeguard.runtime.frames import AWAITING, CONTEXTLIB, SUSPENDABLE, FrameCheck, find_suspendable_frame
from purposeguard.runtime.observer import NO_COUNTS, Tick
from purposeguard.runtime.registry import Access
from purposeguard.runtime.snapshot import NOTHING, Permissions
from purposeguard.values.opener import Opener, get_dump_opener
from purposeguard.values.personal import Personal, require_sealed
from purposeguard.values.rows import Whose
from purposeguard.values.sealed import compute_plain_value, content
from purposeguard.values.type_schema import Shape, read_shape

# The variable is invariant. If it were contravariant, type checkers would solve `P` as the union of a purpose and the
# expected purpose, so a block for one purpose would be accepted where a use for another one is expected.
P = TypeVar("P", bound=Source | Purpose)
T = TypeVar("T")
D = TypeVar("D")


def _advise_opening(refusal: Decision, engine: Engine) -> str:
    """Return advice for a sealed value that may not be opened."""
    if is_about_the_subject(refusal):
        if refusal.context.preferences not in (None, UNNAMED):
            return "do without it, as `use.try_open(value, default, subject=…)` does"
        consents = "" if engine.oversight is not None else "; `Guard(notice, governance=…)` knows who consents"
        return f"`use.open(value, subject=…)` says whose it is{consents}"
    return "open it under a purpose that may use it, or do without it, as `use.try_open(value, default)` does"


class Use(Authorization, Opener, Generic[P]):
    """Opens data for a purpose inside a block: the target of `with guard.purpose(…) as use`.

    A use is valid in the task, greenlet or thread that entered it, until its block ends. It is valid in another one
    while a function that was bound by `guard.carry` runs there. `Use[P]` opens sealed values whose sources may all
    serve `P`. Its type parameter is invariant, so a use is for exactly one purpose. Inside the block of a family,
    `guard.use(Member)` returns a use for one member.
    """

    # Wrappers read `_allowed_labels`, `_counted`, `_owner` and `_runs` on their fast path. `_owner` is the task, the
    # proxy of a greenlet or the identifier of the thread that entered, and NOBODY before and after. `_runs` is the
    # quickest function that returns the task, greenlet or thread that is running.
    __slots__ = ("_before", "_owner", "_runs")

    _carries: ClassVar[bool] = True
    """True if `guard.carry` may carry it to another task or thread."""

    _keeps: ClassVar[bool] = True
    """True if results that were read in it may be cached, and cached results may be returned in it."""

    _owner: object
    _runs: Any
    """The function that returns what runs here; a `FrameCheck` if it depends on frames that can be suspended."""

    _before: Use[Any] | Token[Use[Any]]

    def __init__(self, handle: ActivityHandle, frame: FrameType | None = None) -> None:
        """Make this the ambient use of the present task, greenlet or thread.

        Args:
            handle: The activity.
            frame: The frame that enters it. If it belongs to a generator or coroutine, the use is ambient only while
                this is not suspended.
        """
        # `activity._wrap_fast` does the same without a call.
        self._handle = handle
        engine = handle.engine
        before = engine.innermost()
        self._before = before if before._owner is not NOBODY or before is NO_USE else nearest_active_use(before)
        self._runs, self._owner = current_execution()
        if frame is not None and not frame.f_code.co_flags & SUSPENDABLE and frame.f_globals is not CONTEXTLIB:
            frame = None  # `find_suspendable_frame` would find this out more slowly.
        if frame is not None or type(before._runs) is FrameCheck:
            self._runs = check_frames(self._runs, frame, before)
        permissions = handle.permissions
        if permissions.retired:
            permissions = handle.get_permissions()
        self._allowed_labels = permissions.allowed_labels  # It stays empty if uses are counted.
        self._counted = handle.counted
        if get_dump_opener.get() is not None:
            get_dump_opener.set(None)
        engine.set_ambient(self)

    @property
    def active(self) -> bool:
        """True from the start of its block until its end, in any task or thread."""
        return self._owner is not NOBODY

    def _close(self) -> None:
        """End this use and restore the previous one. Used by guards and wrappers."""
        engine = self._handle.engine
        self._owner = NOBODY
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS
        if type(self._runs) is FrameCheck:
            self._runs.frame = None
        before: Any = self._before
        if before is not NO_USE:
            # Only the nearest active use is referenced, so that ended uses can be freed.
            self._before = before = nearest_active_use(_enclosing_use(self))
        if engine.innermost() is self:
            # If a block is left in another context than it was entered in, there is nothing to restore.
            engine.set_ambient(before)

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
        engine = self._engine
        try:
            label = engine.snapshot.matrix.resolve_label(sources)
            absence = self._explain_absence()
            if absence is not None:
                engine.report_missing_purpose("a check was made", absence, self)
                return
            refusal = self._check_label(
                label, row_contexts=() if subject is None else self._resolve_row_contexts(subject)
            )
            if refusal is not None:
                engine.refuse(refusal, self)
        except (PurposeGuardError, TypeError) as error:
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
                if value._ready in self._allowed_labels and self._owner == self._runs():
                    return content(value)  # type: ignore[no-any-return]  # The slot has no type.
                tick = self._counted[value._ready]
                if self._owner == self._runs():
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
        engine = self._engine
        try:
            if type(subject) in IDS and self._is_owner_running():
                label = value._ready
                if label in self._labels_allowed_for(self._permissions, subject):
                    if not engine.counting:
                        return content(value)  # type: ignore[no-any-return]  # The slot has no type.
                    tick = self._handle.ticks.get(label)
                    if tick is not None:
                        tick()
                        return content(value)  # type: ignore[no-any-return]  # As above.
        except (AttributeError, TypeError):
            pass  # As in `open`. The steps below handle other subjects than ids.
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
                if self._allowed_labels.issuperset({value._ready for value in sealed}) and self._is_owner_running():
                    return list(map(content, sealed))
                ticks = [self._counted[value._ready] for value in sealed]
                if self._is_owner_running():
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
        permissions = self._permissions  # Read once, so that one revision decides both the question and the opening.
        row_contexts = () if subject is None else self._resolve_row_contexts(subject)
        if (
            self._explain_absence() is None
            and self._decide_and_report(value.label, row_contexts, permissions, used=True) is not None
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
        """Check all values, then open them. Called by `open` and `open_all` if their shortcuts do not apply.

        Args:
            values: The sealed values.
            permissions: The permissions that decide, by default those under the notice in force.
            row_contexts: The subjects and dates of each value, if they are known.
            used: The argument of this name of `_decide_and_report`.

        Returns:
            The plain values in their order.
        """
        engine = self._engine
        absence = self._explain_absence()
        if absence is not None:
            engine.report_missing_purpose("a sealed value was to be opened", absence, self)
        engine.require_registered(values)
        if absence is None:
            permissions = permissions or self._permissions  # Read once, so that one revision decides all values.
            times_by_question: dict[tuple[Label, tuple[RowContext, ...]], int] = {}
            for value, contexts in zip(values, row_contexts or ((),) * len(values), strict=True):
                question = value.label, contexts
                times_by_question[question] = times_by_question.get(question, 0) + 1
            if len(times_by_question) == 1:
                denials = {
                    question: self._decide_and_report(*question, permissions, used=used)
                    for question in times_by_question
                }
            else:
                denials = self._decide_each(times_by_question, permissions, used=used)
            for question, denial in denials.items():
                if denial is not None:
                    engine.refuse(denial, self, advice=_advise_opening(denial, engine))
                    del times_by_question[question]  # The denial is only observed, otherwise `refuse` has raised.
            for (label, contexts), times in times_by_question.items():
                self._count_use(label, contexts, permissions, times)
        return [compute_plain_value(value) for value in values]

    def _decide_each(
        self,
        questions: Collection[tuple[Label, tuple[RowContext, ...]]],
        permissions: Permissions,
        *,
        used: bool | None,
    ) -> dict[tuple[Label, tuple[RowContext, ...]], Decision | None]:
        """Decide each pair of a label and row contexts. Decide again if a subject's preferences changed meanwhile.

        Returns:
            For each pair the denial, or None if the use is allowed.
        """
        row_contexts = list(chain.from_iterable(contexts for _, contexts in questions))
        before = self._engine.collect_preferences(row_contexts)
        denials = {
            question: self._decide_and_report(*question, permissions, used=used, preferences=before)
            for question in questions
        }
        now = self._engine.collect_preferences(row_contexts)
        if now == before:
            return denials
        changed_subjects = {subject for subject in now if now[subject] != before[subject]}
        for question in questions:
            if any(row_context.subject in changed_subjects for row_context in question[1]):
                denials[question] = self._decide_and_report(*question, permissions, used=used, preferences=now)
        return denials

    def _current_use(self) -> Use[Any]:
        """Return the use of the same guard that is active here, or this use if there is none."""
        engine = self._handle.engine
        ambient = engine.ambient()
        # A use that an application holds in a variable decides if its guard has no active use here. A use whose
        # generator is suspended does not.
        return self if ambient._nothing and engine.innermost()._nothing else ambient

    def _is_current(self) -> bool:
        """Return True if this is the guard's ambient use and valid here."""
        return self._handle.engine.ambient() is self and self._explain_absence() is None

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

        shape = Shape() if like is None else read_shape(like)  # Without an annotation, the classes in the value count.
        if not (describes_itself(value) if like is None else shape.has_tags):
            class_name = type(value).__qualname__
            raise UnlabelledData(f"no field of {class_name} carries a tag: give `like=`, an annotation whose fields do")
        try:
            return cast("T", withhold_denied_fields(self, value, shape, None, again=self._require_active))
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

        return cast("T", withhold_denied_fields(self, value, Shape(), None, met=met, again=self._require_active))

    def _require_active(self) -> Use[Any] | None:
        """Return this use if it is valid here, or None if it is not and that is only observed.

        Raises:
            PurposeMissing: The use is not valid here.
        """
        absence = self._explain_absence()
        if absence is None:
            return self
        self._engine.report_missing_purpose("data was to be withheld", absence, self)
        return None

    def _explain_absence(self) -> str | None:
        """Explain why this use is not valid here; None if it is valid."""
        if self._owner is NOBODY:
            return self._explain_end()
        if self._is_owner_running():
            return None
        if self._is_carried():
            return None
        name = self.activity.name
        if not self._carries:
            return f"{name} holds where it was entered, and is not carried elsewhere: enter it where it is needed"
        other = "task or thread" if is_in_first_greenlet() else "task, greenlet or thread"
        elsewhere = f"activity {name} runs in another {other}"
        if self._engine.innermost() is not self:
            return f"{elsewhere}; hand it over with `guard.carry(fn)`"
        # The current task has inherited the context. It may be part of the activity, or an unrelated request that a
        # server began in it.
        return (
            f"{elsewhere}, which began this one; what is part of it is handed over there, with `guard.carry(fn)`, and "
            "what is not states a purpose here, with `@guard.purpose(…)`"
        )

    def _explain_end(self) -> str:
        ended = f"activity {self.activity.name} has ended"
        if self._engine.innermost() is self:
            return ended
        ambient = self._engine.ambient()
        if isinstance(ambient, CarriedUse) and ambient._is_owner_running():
            return f"{ended}, and what was carried has a use of its own: ask `guard.use(…)` in it"
        return f"{ended}, or the step of a generator that this use was for: ask `guard.use(…)` where it is needed"

    def _is_owner_running(self) -> bool:
        """Return True if the task, greenlet or thread that entered this use is the one that is running.

        A use that was entered outside any event loop is also valid in a loop that its body runs in this thread.
        """
        runs = self._runs.runs if type(self._runs) is FrameCheck else self._runs
        try:
            if self._owner == runs():
                return runs is not get_ident or is_in_first_greenlet()
            return is_served(self._owner)
        except (RuntimeError, ReferenceError):  # It belongs to an event loop, and none runs here, or its owner is gone.
            return False

    def _is_ambient_here(self) -> bool:
        """Return True if its owner is running, and no generator or coroutine that entered it is suspended."""
        runs = self._runs
        return self._is_owner_running() and (type(runs) is not FrameCheck or runs.holds())

    def _in_running_frame(self) -> Use[Any]:
        """Return this use, or the nearest enclosing use whose generator or coroutine is not suspended.

        A use of another task or thread is returned as it is. It is not valid here, and its errors say so.
        """
        use: Use[Any] = self
        while type(use._runs) is FrameCheck and not use._runs.holds() and use._is_owner_running():
            use = nearest_active_use(_enclosing_use(use))
        return use

    def _is_carried(self) -> bool:
        """Return True if the active use or one of its enclosing uses carries this use here."""
        carrier = self._engine.ambient()
        while not carrier._nothing:
            if isinstance(carrier, CarriedUse) and carrier.stands_for(self):
                return carrier._is_owner_running()
            carrier = _enclosing_use(carrier)._in_running_frame()
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

    __slots__ = ("_origins",)

    _origins: tuple[Use[Any], ...]

    def __init__(self, handle: ActivityHandle, origin: Use[Any], frame: FrameType | None = None) -> None:
        """Make the carried use ambient.

        Args:
            handle: The activity.
            origin: The use that was carried.
            frame: The frame that enters it, as in `Use`.
        """
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
        self._handle = whole._handle.narrow_to(member)

    @property
    def _owner(self) -> object:  # type: ignore[override]  # Read from the family's use, which may have ended.
        """The task, greenlet or thread that entered the family's use."""
        return self._whole._owner

    @property
    def _runs(self) -> Any:
        """The function that returns the running task, greenlet or thread."""
        return self._whole._runs

    @property
    def _allowed_labels(self) -> set[object] | frozenset[object]:  # type: ignore[override]  # As above.
        """The labels that are cached as allowed for the member."""
        return NOTHING if self._whole._allowed_labels is NOTHING else self._permissions.allowed_labels

    @property
    def _counted(self) -> Mapping[object, Tick]:  # type: ignore[override]  # As above.
        """The allowed labels of the member, each with the function that counts a use."""
        return NO_COUNTS if self._whole._counted is NO_COUNTS else self._handle.counted

    @property
    def _permissions(self) -> Permissions:
        self._whole._handle.get_permissions()  # Raises if the revision in force has no such family.
        return self._handle.get_permissions()

    def _explain_absence(self) -> str | None:
        """Explain why the family's use is not valid here; None if it is valid."""
        return self._whole._explain_absence()


class ObservedUse(Use[Any]):
    """A use for a purpose that is not active, in observe mode. It refuses nothing and does not end."""

    __slots__ = ()

    _carries: ClassVar[bool] = False

    def __init__(self, handle: ActivityHandle) -> None:
        self._handle = handle
        self._before = NO_USE
        self._runs, self._owner = current_execution()
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS


class _NoUse(Use[Any]):
    """The ambient use outside any purpose. It is never active and allows nothing."""

    __slots__ = ()

    _nothing = True

    def __init__(self) -> None:
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS
        self._runs, self._owner = get_ident, NOBODY

    @property
    def _handle(self) -> ActivityHandle:  # type: ignore[override]  # There is no activity, so reading it raises.
        raise PurposeMissing(f"nothing may be used outside any purpose: {self._explain_absence()}")

    def __repr__(self) -> str:
        return "<no use>"

    def _explain_absence(self) -> str:
        uses = [value for value in copy_context().values() if isinstance(value, Use)]
        here = [use for use in uses if use.active and use._is_owner_running()]
        if any(not use._in_running_frame()._nothing for use in here):
            return "what is under way is of another guard: make one guard, and import it where it is needed"
        if here:
            return (
                f"activity {here[0].activity.name} was entered by a generator or coroutine that is suspended now, and "
                "is not handed to its consumer: state the purpose here, with `@guard.purpose(…)` or `with "
                "guard.purpose(…)`"
            )
        advice = "decorate the function that needs the data with `@guard.purpose(…)`, or enter `with guard.purpose(…)`"
        elsewhere = "greenlet" if not is_in_first_greenlet() else "thread"
        if elsewhere == "greenlet" or threading.current_thread() is not threading.main_thread():
            advice += (
                f"; where the caller in another {elsewhere} has a purpose, it hands it over with `guard.carry(fn)`"
            )
        return advice


NO_USE: Final = _NoUse()


def require_current_use(engine: Engine, what: str = "data was read") -> Use[Any] | None:
    """Return the use that is active here; None in observe mode if there is none.

    Args:
        engine: The engine of the guard.
        what: The event that needs a use, for the error message.

    Raises:
        PurposeMissing: There is no use, it has ended, or it belongs to another task or thread.
    """
    use: Use[Any] = engine.ambient()
    absence = use._explain_absence()
    if absence is None:
        return use
    engine.report_missing_purpose(what, absence, None if use._nothing else use)
    return None


def use_for_call(engine: Engine, access: Access) -> Use[Any] | None:
    """Report the call of an access function, and return the use that is active here.

    Raises:
        PurposeMissing: As in `require_current_use`.
    """
    for report in engine.observers.called:
        report(access)
    return require_current_use(engine, f"{access.name} was called")


def authorize(engine: Engine, access: Access, label: Label) -> Use[Any] | None:
    """Check that the active use may open data with this label, and return the use.

    Returns:
        The use, or None if there is none and that is only observed.

    Raises:
        PurposeMissing: No purpose is active here.
        PurposeViolation: The purpose may not use the data.
    """
    use = use_for_call(engine, access)
    refusal = use._check_label(label, access=access) if use is not None else None
    if refusal is not None:
        engine.refuse(refusal, use, access)
    return use


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
    use = before if type(before._runs) is FrameCheck else NO_USE
    while use is not NO_USE:
        check = use._runs
        if type(check) is FrameCheck and check.is_suspended():
            suspended.append(check)
        use = _enclosing_use(use)
    return runs if frame is None and not suspended else FrameCheck(runs, frame, tuple(suspended))


def awaiting_frame(frame: FrameType) -> FrameType | None:
    """Return a wrapper's frame if it can be suspended inside a use. A generator's wrapper leaves the use before."""
    return frame if frame.f_code.co_flags & AWAITING else None


def nearest_active_use(use: Use[Any]) -> Use[Any]:
    """Return this use, or the nearest enclosing use that has not ended. Blocks may be left out of order."""
    while use._owner is NOBODY and use is not NO_USE:
        use = _enclosing_use(use)
    return use


def _enclosing_use(use: Use[Any]) -> Use[Any]:
    """Return the use in which this one was entered."""
    before = getattr(use, "_before", NO_USE)  # It is not set yet if a signal interrupts a fast wrapper.
    if not isinstance(before, Token):
        return before
    earlier = before.old_value  # A fast wrapper stores the token of the context variable.
    return earlier if isinstance(earlier, Use) else NO_USE


def _clear_use_after_fork() -> None:
    """End all uses in a forked child, which does other work than the thread that forked."""
    copied = GEVENT in modules or EVENTLET in modules  # The greenlets of this thread exist in the child and may go on.
    if not copied and not any(isinstance(value, Use) and value.active for value in copy_context().values()):
        return  # Visiting every object would copy the memory that servers share by forking.
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    for candidate in gc.get_objects():  # This includes outer uses, which inner ones would restore.
        if Use in type(candidate).__mro__ and type(candidate) not in (MemberUse, _NoUse):
            candidate._owner = NOBODY
            candidate._allowed_labels = NOTHING
            candidate._counted = NO_COUNTS
    if frozen:
        gc.freeze()


_LOADED_LATER: Final = ("purposeguard.runtime.results", "difflib")
"""The modules that first calls and first errors load, so that a program starts without them."""


def _load_before_fork() -> None:
    """Finish the imports that other threads may have begun, because a child inherits import locks but not threads.

    Importing the modules waits for imports that have begun. Without other threads there is nothing to wait for.
    """
    if len(sys._current_frames()) > 1:
        for name in _LOADED_LATER:
            import_module(name)


register_fork_handlers(before=_load_before_fork, in_child=_clear_use_after_fork)
