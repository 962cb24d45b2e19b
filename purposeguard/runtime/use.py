"""Use: one act of opening data for a purpose."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import Token, copy_context
from importlib import import_module
from types import FrameType
from typing import Any, ClassVar, Final, Generic, NoReturn, Self, TypeVar, cast

from purposeguard.errors import PurposeGuardError, PurposeMissing, UnlabelledData, hide_own_frames
from purposeguard.notice.label import Label, Sources
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import UNNAMED
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.row_context import RowContext
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

# Invariant: were it contravariant, what gives a use would give whatever use is asked for (`P` would be solved as the
# union of its argument and of what is asked for), and a reminder could be written under another purpose.
P = TypeVar("P", bound=Source | Purpose)
T = TypeVar("T")
D = TypeVar("D")


def _advise_opening(refusal: Decision, engine: Engine) -> str:
    """What to do where a sealed value may not be opened."""
    if is_about_the_subject(refusal):
        if refusal.context.preferences not in (None, UNNAMED):
            return "do without it, as `use.try_open(value, default, subject=…)` does"
        consents = "" if engine.oversight is not None else "; `Guard(notice, governance=…)` knows who consents"
        return f"`use.open(value, subject=…)` says whose it is{consents}"
    return "open it under a purpose that may use it, or do without it, as `use.try_open(value, default)` does"


class Use(Authorization, Opener, Generic[P]):
    """One act of opening data for a purpose: what `with guard.purpose(…) as use` gives.

    It holds in the task, greenlet or thread that entered it, until its block ends; in another one, while what
    `guard.carry` gave runs there. `Use[P]` opens sealed values whose sources may all serve `P`. Invariant, so a use is
    of just its purpose; `guard.use(Member)` gives that of a family's member inside the family's block.
    """

    # `_allowed_labels`, `_counted`, `_owner` and `_runs` are read by wrappers on their fast path. `_owner` is what
    # entered (NOBODY before and after): a task, a proxy of a greenlet, the identifier of a thread. `_runs` is the
    # quickest function that says which one runs.
    __slots__ = ("_before", "_owner", "_runs")

    _carries: ClassVar[bool] = True
    """Whether `guard.carry` may take it elsewhere."""

    _keeps: ClassVar[bool] = True
    """Whether what was read in it may be kept for another like it, and it may be given what was kept."""

    _owner: object
    _runs: Callable[[], object]
    _before: Use[Any] | Token[Use[Any]]

    def __init__(self, handle: ActivityHandle, frame: FrameType | None = None) -> None:
        """Make this the ambient use of the present task, greenlet or thread.

        Args:
            handle: The activity.
            frame: The frame that enters it. If it is of a generator or coroutine, the use is ambient only while that
                is not suspended.
        """
        # `activity._quick` does the same without the call.
        self._handle = handle
        engine = handle.engine
        before = engine.innermost()
        self._before = before if before._owner is not NOBODY or before is NO_USE else nearest_active_use(before)
        self._runs, self._owner = current_execution()
        if frame is not None and not frame.f_code.co_flags & SUSPENDABLE and frame.f_globals is not CONTEXTLIB:
            frame = None  # `find_suspendable_frame` would say so, less quickly
        if frame is not None or type(before._runs) is FrameCheck:
            self._runs = check_frames(self._runs, frame, before)
        permissions = handle.permissions
        if permissions.retired:
            permissions = handle.get_permissions()
        self._allowed_labels = permissions.allowed_labels  # empty where uses are counted
        self._counted = handle.counted
        if get_dump_opener.get() is not None:
            get_dump_opener.set(None)
        engine.set_ambient(self)

    @property
    def active(self) -> bool:
        """Whether its block is under way (wherever that is)."""
        return self._owner is not NOBODY

    def _close(self) -> None:
        """End this use and restore the one before; for guards and wrappers."""
        engine = self._handle.engine
        self._owner = NOBODY
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS
        if type(self._runs) is FrameCheck:
            self._runs.frame = None
        before: Any = self._before
        if before is not NO_USE:
            self._before = before = nearest_active_use(
                _enclosing_use(self)
            )  # no more than that is kept of those that have ended
        if engine.innermost() is self:
            # Not where a block is left in another context than it was entered in: there is nothing to restore there.
            engine.set_ambient(before)

    def check(self, sources: Sources, subject: Whose = None) -> None:
        """Nothing where data from these sources (of this subject) may be used here.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: the notice does not grant it.
            UnknownSource, UnlabelledData: as `Guard.allows`.
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
        """Return the plain value of a sealed one, where this purpose may use all its sources.

        `subject` says whose it is, where there is somebody who keeps what subjects asked for (`Guard(governance=…)`):
        an id, a `RowContext`, or a row whose marked fields say it.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: the notice does not grant it.
            UnknownSource: its sources are of another notice.
            SealedValue: a function given to `map` failed, or is not registered with a strict guard.
        """
        try:
            if subject is not None:
                return self._open_for_subject(value, subject)
            try:
                if value._ready in self._allowed_labels and self._owner == self._runs():
                    return content(value)  # type: ignore[no-any-return]  # the slot knows no type
                tick = self._counted[value._ready]
                if self._owner == self._runs():
                    tick()
                    return content(value)  # type: ignore[no-any-return]  # likewise
            except (AttributeError, KeyError, TypeError, RuntimeError, ReferenceError):
                pass  # not used before, or something is to be applied first; or no seal, or not here: said below
            require_sealed(value, "`open`")
            return self._open((value,))[0]
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _open_for_subject(self, value: Personal[T, Any], subject: object) -> T:
        """Return the plain value of somebody's: the way of `open` where a subject is named."""
        engine = self._engine
        try:
            if type(subject) in IDS and self._is_owner_running():
                label = value._ready
                if label in self._labels_allowed_for(self._permissions, subject):
                    if not engine.counting:
                        return content(value)  # type: ignore[no-any-return]  # the slot knows no type
                    tick = self._handle.ticks.get(label)
                    if tick is not None:
                        tick()
                        return content(value)  # type: ignore[no-any-return]  # likewise
        except (AttributeError, TypeError):
            pass  # as in `open`; what is no id is said below
        require_sealed(value, "`open`")
        return self._open((value,), row_contexts=(self._resolve_row_contexts(subject),))[0]

    def _open_in_context(self, value: Personal[T, Any], row_contexts: tuple[RowContext, ...], /) -> T:
        """The plain value of a sealed one that this is known of; for dumps, of whose rows it is. Raises as `open`."""
        return self._open((value,), row_contexts=(row_contexts,))[0]

    def open_all(
        self, values: Iterable[Personal[T, P | NotPersonal]], /, subjects: Iterable[Whose] | None = None
    ) -> list[T]:
        """Return the plain values of sealed ones, in their order: of all or, where one may not be opened, of none.

        `subjects` says of each value in turn whose it is, as `subject` of `open` does. They are asked of together, and
        again once all is decided: what one asked for meanwhile counts.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, SealedValue: as `open`.
            ValueError: there are fewer or more subjects than values.
            TypeError: one subject is named, and not one for each.
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
                pass  # as above, of one of them
            for value in sealed:
                require_sealed(value, "`open_all`")
            return self._open(sealed)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _open_for_subjects(self, sealed: tuple[Personal[T, Any], ...], subjects: Iterable[Whose]) -> list[T]:
        """Return the plain values of somebody's each: the way of `open_all` where subjects are named."""
        if isinstance(subjects, (str, bytes, Mapping)):
            raise TypeError("`subjects` says of each value in turn whose it is: give a list")
        for value in sealed:
            require_sealed(value, "`open_all`")
        row_contexts = tuple(() if subject is None else self._resolve_row_contexts(subject) for subject in subjects)
        if len(row_contexts) != len(sealed):
            raise ValueError(f"there are {len(sealed)} values and {len(row_contexts)} subjects: name one for each")
        return self._open(sealed, row_contexts=row_contexts)

    def try_open(self, value: Personal[T, Any], default: D, /, *, subject: Whose = None) -> T | D:
        """The plain value where this purpose may use it, or else `default`: a question, never an error for a denial.

        Where denials are only observed it gives the default as well: code that asks is ready for it.

        Raises:
            PurposeMissing, UnknownSource, SealedValue: as `open`.
        """
        require_sealed(value, "`try_open`")
        permissions = self._permissions  # once: the question and the opening are decided by one revision
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
        """All of these, checked before the first is opened; the way of `open` where it is not a short one.

        `row_contexts` says of each what is known of it beside its label.
        """
        engine = self._engine
        absence = self._explain_absence()
        if absence is not None:
            engine.report_missing_purpose("a sealed value was to be opened", absence, self)
        engine.require_registered(values)
        if absence is None:
            permissions = permissions or self._permissions  # once: all are decided by one revision
            asked: dict[tuple[Label, tuple[RowContext, ...]], int] = {}
            for value, known in zip(values, row_contexts or ((),) * len(values), strict=True):
                asked[value.label, known] = asked.get((value.label, known), 0) + 1
            if len(asked) == 1:
                judged = {one: self._decide_and_report(*one, permissions, used=used) for one in asked}
            else:
                judged = self._decide_each(asked, permissions, used=used)
            for one, refusal in judged.items():
                if refusal is not None:
                    engine.refuse(refusal, self, advice=_advise_opening(refusal, engine))
                    del asked[one]  # observed only
            for (label, known), times in asked.items():
                self._count_use(label, known, permissions, times)
        return [compute_plain_value(value) for value in values]

    def _decide_each(
        self, asked: Collection[tuple[Label, tuple[RowContext, ...]]], permissions: Permissions, *, used: bool | None
    ) -> dict[tuple[Label, tuple[RowContext, ...]], Decision | None]:
        """Return each of these, judged; those whose subjects asked for something meanwhile, judged again."""
        row_contexts = [row_context for _, known in asked for row_context in known]
        before = self._engine.collect_preferences(row_contexts)
        judged = {one: self._decide_and_report(*one, permissions, used=used, known=before) for one in asked}
        now = self._engine.collect_preferences(row_contexts)
        changed = () if now == before else {subject for subject in now if now[subject] != before[subject]}
        for one in asked if changed else ():
            if any(each.subject in changed for each in one[1]):
                judged[one] = self._decide_and_report(*one, permissions, used=used, known=now)
        return judged

    def _current_use(self) -> Use[Any]:
        """Return the use of its guard that is under way here; itself where there is none."""
        engine = self._handle.engine
        ambient = engine.ambient()
        # One that an application keeps in a variable of its own decides where its guard has nothing under way; one
        # whose generator is suspended does not.
        return self if ambient._nothing and engine.innermost()._nothing else ambient

    def _is_current(self) -> bool:
        """Return True if it is what its guard has under way, and holds here and now."""
        return self._handle.engine.ambient() is self and self._explain_absence() is None

    def withhold(self, value: T, like: object = None) -> T:
        """Return `value`, or a copy without the fields that may not be used here.

        Models, dataclasses, attrs objects and NamedTuples are read by their classes, also inside containers; rows that
        are plain dicts by `like`, an annotation such as `list[InvoiceRow]`. An iterator asks this use at each item.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: what may not be used cannot be told apart in it.
            UnlabelledData: nothing says what the value holds.
        """
        if self._require_active() is None:
            return value
        from purposeguard.runtime.results import withhold_denied_fields  # noqa: PLC0415  # loaded by the first value that is looked through
        from purposeguard.values.withholding import describes_itself  # noqa: PLC0415  # likewise

        shape = Shape() if like is None else read_shape(like)  # without an annotation, by the classes in the value
        if not (describes_itself(value) if like is None else shape.has_tags):
            what = type(value).__qualname__
            raise UnlabelledData(f"no field of {what} carries a tag: give `like=`, an annotation whose fields do")
        try:
            return cast("T", withhold_denied_fields(self, value, shape, None, again=self._require_active))
        finally:
            del value  # from the traceback, where it is refused

    def _withhold_for_dump(self, value: T, met: list[Any]) -> T:
        """Return `value`, or a copy without the fields that may not be used here, whatever it is; for dumps.

        `met` gets all models in it, as they are given back. Raises as `withhold` does, save UnlabelledData.
        """
        if self._require_active() is None:
            return value
        from purposeguard.runtime.results import withhold_denied_fields  # noqa: PLC0415  # loaded by the first value that is looked through

        return cast("T", withhold_denied_fields(self, value, Shape(), None, met=met, again=self._require_active))

    def _require_active(self) -> Use[Any] | None:
        """Return this use, where it holds here and now; None where that it does not is only observed."""
        absence = self._explain_absence()
        if absence is None:
            return self
        self._engine.report_missing_purpose("data was to be withheld", absence, self)
        return None

    def _explain_absence(self) -> str | None:
        """Why this use does not hold here and now; None where it does."""
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
        # This one has inherited the context. It may be part of the activity, or a request that a server began in it.
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
        """Return True if what entered it is what runs now; for guards.

        A use opened outside any event loop belongs to its greenlet or thread, and to a loop that its body runs there.
        """
        runs = self._runs.runs if type(self._runs) is FrameCheck else self._runs
        try:
            if self._owner == runs():
                return runs is not get_ident or is_in_first_greenlet()
            return is_served(self._owner)
        except (RuntimeError, ReferenceError):  # no event loop runs here, and it was entered in one; or it is gone
            return False

    def _is_ambient_here(self) -> bool:
        """Return True if what entered it runs now, and no generator or coroutine that entered it is suspended."""
        runs = self._runs
        return self._is_owner_running() and (type(runs) is not FrameCheck or runs.holds())

    def _in_running_frame(self) -> Use[Any]:
        """Return this use, or the nearest one around it whose generator or coroutine is not suspended.

        A use of another task or thread stays what is under way: it does not hold here, and says so.
        """
        use: Use[Any] = self
        while type(use._runs) is FrameCheck and not use._runs.holds() and use._is_owner_running():
            use = nearest_active_use(_enclosing_use(use))
        return use

    def _is_carried(self) -> bool:
        """Whether it was carried to what runs here: by the use under way here, or one that this one is nested in."""
        carrier = self._engine.ambient()
        while not carrier._nothing:
            if isinstance(carrier, CarriedUse) and carrier.stands_for(self):
                return carrier._is_owner_running()
            carrier = _enclosing_use(carrier)._in_running_frame()
        return False

    def __copy__(self) -> Self:
        return self  # a copy would go on after the block

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a use belongs to its block, and goes to no other process")

    def __repr__(self) -> str:
        state = "active" if self.active else "not active"
        return f"<Use of {self.activity.name} for {self.activity.purpose_id}, {state}>"


class CarriedUse(Use[Any]):
    """A use that `guard.carry` made elsewhere of one that is under way: there, that one holds while this one does."""

    __slots__ = ("_origins",)

    _origins: tuple[Use[Any], ...]

    def __init__(self, handle: ActivityHandle, origin: Use[Any], frame: FrameType | None = None) -> None:
        """`origin` is the use that was carried."""
        further = origin._origins if isinstance(origin, CarriedUse) else ()
        self._origins = tuple(one for one in (origin, *further) if one.active)
        super().__init__(handle, frame)  # last: from then on it is ambient

    def stands_for(self, use: Use[Any]) -> bool:
        """Return True if it was carried from this use, directly or by way of others."""
        return any(origin is use for origin in self._origins)


class MemberUse(Use[Any]):
    """The use of a family for one of its members: holds where and as long as that does, and opens less."""

    __slots__ = ("_whole",)

    _whole: Use[Any]

    def __init__(self, whole: Use[Any], member: type[Purpose] | Family) -> None:
        """`whole` is the use of the family."""
        self._whole = whole
        self._handle = whole._handle.narrow_to(member)

    @property
    def _owner(self) -> object:  # type: ignore[override]  # asked of the whole, which may have ended
        """The task, greenlet or thread that entered the family's."""
        return self._whole._owner

    @property
    def _runs(self) -> Callable[[], object]:  # type: ignore[override]  # likewise
        """What says which one runs."""
        return self._whole._runs

    @property
    def _allowed_labels(self) -> set[object] | frozenset[object]:  # type: ignore[override]  # likewise
        """What is known to be allowed to the member."""
        return NOTHING if self._whole._allowed_labels is NOTHING else self._permissions.allowed_labels

    @property
    def _counted(self) -> Mapping[object, Tick]:  # type: ignore[override]  # likewise
        """The same, with what counts it."""
        return NO_COUNTS if self._whole._counted is NO_COUNTS else self._handle.counted

    @property
    def _permissions(self) -> Permissions:
        self._whole._handle.get_permissions()  # raises where the revision in force has no such family
        return self._handle.get_permissions()

    def _explain_absence(self) -> str | None:
        """Why the family's use does not hold here and now; None where it does."""
        return self._whole._explain_absence()


class ObservedUse(Use[Any]):
    """A use for a purpose that is not under way, where that is only observed: it refuses nothing, and has no end."""

    __slots__ = ()

    _carries: ClassVar[bool] = False

    def __init__(self, handle: ActivityHandle) -> None:
        self._handle = handle
        self._before = NO_USE
        self._runs, self._owner = current_execution()
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS


class _NoUse(Use[Any]):
    """What is ambient where nothing is: never active, clears nothing."""

    __slots__ = ()

    _nothing = True

    def __init__(self) -> None:
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS
        self._runs, self._owner = get_ident, NOBODY

    @property
    def _handle(self) -> ActivityHandle:  # type: ignore[override]  # there is none: asking raises, with the reason
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
    """Return the use under way here; None in observe mode where there is none.

    Raises:
        PurposeMissing: there is none, it has ended, or it is another task's or thread's.
    """
    use: Use[Any] = engine.ambient()
    absence = use._explain_absence()
    if absence is None:
        return use
    engine.report_missing_purpose(what, absence, None if use._nothing else use)
    return None


def use_for_call(engine: Engine, access: Access) -> Use[Any] | None:
    """Return the use under way here, for an access function that was called; raises as `present` does."""
    for report in engine.observers.called:
        report(access)
    return require_current_use(engine, f"{access.name} was called")


def authorize(engine: Engine, access: Access, label: Label) -> Use[Any] | None:
    """The use under way here, once it is seen that it may open data of this label.

    Raises:
        PurposeMissing, PurposeViolation: it may not, or there is none.
    """
    use = use_for_call(engine, access)
    refusal = use._check_label(label, access=access) if use is not None else None
    if refusal is not None:
        engine.refuse(refusal, use, access)
    return use


def check_frames(runs: Callable[[], object], frame: FrameType | None, before: Use[Any]) -> Callable[[], object]:
    """Return the function that says what runs here, for a use that is entered in a frame, inside of another use.

    Args:
        runs: The function for a use that no generator or coroutine has entered.
        frame: The frame that enters it.
        before: The innermost use so far.
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
    """Return the frame of a wrapper if it can be suspended while it is in a use; a generator's leaves it before."""
    return frame if frame.f_code.co_flags & AWAITING else None


def nearest_active_use(use: Use[Any]) -> Use[Any]:
    """Return this use, or the nearest one around it that has not ended: of blocks that were left out of order."""
    while use._owner is NOBODY and use is not NO_USE:
        use = _enclosing_use(use)
    return use


def _enclosing_use(use: Use[Any]) -> Use[Any]:
    """Return the use that this one was entered in."""
    before = getattr(use, "_before", NO_USE)  # not set yet where a signal interrupts a quick wrapper
    if not isinstance(before, Token):
        return before
    earlier = before.old_value  # a quick wrapper keeps what the context variable gave it
    return earlier if isinstance(earlier, Use) else NO_USE


def _clear_use_after_fork() -> None:
    """In a forked child nothing is under way: its thread is the parent's by name alone, and its work is another."""
    copied = GEVENT in modules or EVENTLET in modules  # the greenlets of this thread are in the child, and may go on
    if not copied and not any(isinstance(one, Use) and one.active for one in copy_context().values()):
        return  # looking at every object would undo what servers win by forking
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    for one in gc.get_objects():  # also those further up the stack, which inner ones would restore
        if Use in type(one).__mro__ and type(one) not in (MemberUse, _NoUse):
            one._owner = NOBODY
            one._allowed_labels = NOTHING
            one._counted = NO_COUNTS
    if frozen:
        gc.freeze()


_LOADED_LATER: Final = ("purposeguard.runtime.results", "difflib")
"""The modules that first calls and first errors load, so that a program starts without them."""


def _load_before_fork() -> None:
    """Load what other threads may be importing: a child inherits the locks of imports, and not who would release them.

    That waits for an import under way, and leaves none to begin. Without other threads there is nothing to wait for.
    """
    if len(sys._current_frames()) > 1:
        for name in _LOADED_LATER:
            import_module(name)


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(before=_load_before_fork, after_in_child=_clear_use_after_fork)
