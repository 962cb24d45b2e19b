"""Activities: functions and blocks that run for a purpose, and functions to which the current purpose is carried."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from opcode import opmap
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from purposeguard.errors import PurposeMissing, hides_own_frames
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import ChannelViolation
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.current_use import require_current_use
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.frames import awaiting_frame
from purposeguard.runtime.registry import Activity, Register
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import CarriedUse, Use, end_use, is_owner_running, wrap_in_activity
from purposeguard.runtime.wrapping import (
    Function,
    is_task,
    refuse_method,
    require_function,
    wrap_body,
    wrap_method,
    wrap_task,
)
from purposeguard.values.callables import callable_kind, is_plain

P = TypeVar("P", bound=Source | Purpose)
F = TypeVar("F")
Q = ParamSpec("Q")
R = TypeVar("R")


class StatedPurpose:
    """The arguments of `guard.purpose(…)` at one place in the code, shared by all blocks that are created there.

    Attributes:
        engine: The engine of the guard.
        register: The inventory of the guard.
        purpose: The purpose or family.
        channel: The channel, if one is stated.
        conditions: The conditions that are stated to hold.
        name: The name of the activity, if one is stated.
        observing: True if violations are only observed.
        where: The code, line and module of the place.
        handle: The handle of the block's activity. None until the block is entered.
        fits: True if the purpose admits the channel, or its absence (rule 7). Otherwise the violation was observed.
    """

    __slots__ = (
        "channel",
        "conditions",
        "engine",
        "fits",
        "handle",
        "name",
        "observing",
        "purpose",
        "register",
        "where",
    )

    def __init__(
        self,
        engine: Engine,
        register: Register,
        purpose: type[Purpose] | Family,
        channel: str | None,
        name: str | None,
        *,
        conditions: frozenset[str],
        observing: bool,
        frame: FrameType,
    ) -> None:
        """Check the channel of the purpose.

        Raises:
            ChannelViolation: The purpose is closed, and no channel or one that it does not admit is stated.
        """
        self.engine = engine
        self.register = register
        self.purpose = purpose
        self.channel = channel
        self.conditions = conditions
        self.name = name
        self.observing = observing
        self.where = (frame.f_code, frame.f_lineno, frame.f_globals.get("__name__", "?"))
        self.handle: ActivityHandle | None = None
        self.fits = _check_channel(engine, self.make_activity(Site("", "", 0), name or ""))

    def make_activity(self, site: Site, name: str) -> Activity:
        """Return the activity with this name at a place in the code."""
        return Activity(name, self.purpose, self.channel, self.observing, site, self.conditions)

    def get_handle(self) -> ActivityHandle:
        """Return the handle of the block's activity, which is listed in the inventory on the first call."""
        if self.handle is None:
            code, line, module = self.where
            self.handle = self.get_handle_at(Site(module, code.co_qualname, line))
        return self.handle

    def get_handle_at(self, site: Site) -> ActivityHandle:
        """List the activity at another place in the inventory, and return its handle."""
        activity = self.make_activity(site, self.name or site.dotted)
        self.register.add_activity(site, activity)
        return ActivityHandle(self.engine, activity)


def is_result_dropped(frame: FrameType) -> bool:
    """Return True if the result of the call that this frame is executing will be discarded."""
    after = frame.f_code.co_code[frame.f_lasti + 2 :].lstrip(b"\0")  # The interpreter's inline caches follow a call.
    return after.startswith(_POP_TOP)


_POP_TOP: Final = bytes([opmap["POP_TOP"]])


class UseAttribute:
    """A placeholder for an attribute of `Use` on objects that are not uses. The error explains how to get a use."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @hides_own_frames
    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        raise AttributeError(
            f"`{self._name}` is of a use, which a block gives: write `with guard.purpose(…) as use:`, and "
            f"`use.{self._name}(…)` in it"
        )


class Block(Generic[P]):
    """The result of `guard.purpose(…)`: a decorator for functions of any kind, and a sync and async context manager.

    As a context manager it yields a `Use`. A block is reentrant, and several tasks may enter it at the same time.
    """

    __slots__ = ("_entered", "stated")

    stated: StatedPurpose
    """The purpose and the place of the block. Integrations begin activities from them."""

    def __init__(self, stated: StatedPurpose) -> None:
        self.stated = stated
        self._entered: list[tuple[FrameType, Use[P]]] = []  # Each use with the frame that entered it.

    @hides_own_frames
    def __call__(self, fn: F) -> F:
        """Decorate a function so that its body runs for this purpose.

        Args:
            fn: The function, or a task of a queue, which stays a task.
        """
        if is_task(fn):
            return cast("F", wrap_task(fn, self.wrap_function))
        return decorate_function(fn, self.wrap_function)

    @hides_own_frames
    def with_use(self, fn: Callable[Concatenate[Use[P], Q], R], /) -> Callable[Q, R]:
        """Decorate a function so that its body runs for this purpose and receives the use as its first argument.

        Args:
            fn: The function. Its callers omit the first argument.

        Raises:
            TypeError: `fn` is not a function. Or it is a generator, whose steps have uses of their own, or a method,
                whose first argument is its object: call `guard.use(…)` in their body instead.
        """
        refuse_method(fn, "ask `guard.use(…)` in it")
        engine = self.stated.engine
        wrapper: Any = decorate_function(fn, lambda inner: self.wrap_function(with_use(inner, engine), Site.of(inner)))
        return cast("Callable[Q, R]", wrapper)

    if not TYPE_CHECKING:  # pragma: no branch  # It is always true at run time.
        vars().update({name: UseAttribute(name) for name in dir(Use) if not name.startswith("_")})

    def wrap_function(self, fn: Function, site: Site | None = None) -> Function:
        """Wrap a plain function so that its body runs for this purpose.

        Args:
            fn: The function.
            site: Where the activity is declared. By default it is where the function is defined.
        """
        stated = self.stated
        site = site or Site.of(fn)
        activity = stated.make_activity(site, stated.name or site.dotted)
        wrapper = _run_as_activity(fn, stated.engine, activity)
        wrapper.__purposeguard_activity__ = activity  # type: ignore[attr-defined]  # Access functions and integrations look for it.
        stated.register.add_activity(site, activity)
        return wrapper

    def __enter__(self) -> Use[P]:
        frame = sys._getframe(1)
        use: Use[P] = Use(self.stated.handle or self.stated.get_handle(), frame)
        self._entered.append((frame, use))
        return use

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = self._entered
        if len(entered) == 1:  # `_find_entry` returns the only entry, wherever the block is left.
            entry = entered[0]
            entered.remove(entry)  # Not `pop`, because another thread may have entered meanwhile.
            end_use(entry[1])
        else:
            self._leave(sys._getframe(1))

    async def __aenter__(self) -> Use[P]:
        frame = sys._getframe(1)
        use: Use[P] = Use(self.stated.get_handle(), frame)
        self._entered.append((frame, use))
        return use

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(sys._getframe(1))

    def _leave(self, frame: FrameType) -> None:
        if not self._entered:
            raise RuntimeError("this block was left more often than it was entered")
        entry = self._find_entry(frame)
        if entry is None:
            raise RuntimeError(
                "this block was entered several times, and left from where it was never entered: leave it in the task "
                "or thread that entered it, or make a block for each"
            )
        self._entered.remove(entry)
        _, use = entry
        end_use(use)

    def _find_entry(self, leaving_frame: FrameType) -> tuple[FrameType, Use[P]] | None:
        """Find the entry to end. A `with` statement leaves from the frame in which it entered, in any context.

        A call by hand, as by an exit stack, leaves the ambient use. In another context it leaves the last use that was
        entered here.
        """
        entries = self._entered[::-1]
        ambient = self.stated.engine.innermost()
        for frame, use in entries:
            if frame is leaving_frame:
                return frame, use
        for frame, use in entries:
            if use is ambient:
                return frame, use
        for frame, use in entries:
            if is_owner_running(use):
                return frame, use
        return entries[0] if len(entries) == 1 else None


def decorate_function(fn: F, wrap: Callable[[Function], Function]) -> F:
    """Wrap a function. If it is a classmethod or staticmethod, wrap the function inside it."""
    method = wrap_method(fn, wrap)
    return method if method is not None else wrap(fn)  # type: ignore[return-value,arg-type]  # a wrapper is typed as what it wraps


def with_use(fn: Function, engine: Engine) -> Function:
    """Wrap a function so that its first argument is the active use, which callers omit.

    Raises:
        TypeError: `fn` is not a function, or it is a generator.
    """
    require_function(fn)
    ambient = engine.ambient
    signature = inspect.signature(fn)

    @functools.wraps(fn)
    def call_with_use(*args: Any, **kwargs: Any) -> Any:
        return fn(ambient(), *args, **kwargs)

    @functools.wraps(fn)
    async def await_with_use(*args: Any, **kwargs: Any) -> Any:
        return await fn(ambient(), *args, **kwargs)

    kind = callable_kind(fn)
    if kind not in ("plain", "coroutine"):
        raise TypeError(f"{Site.of(fn).dotted} yields, and each of its steps has a use of its own: ask `guard.use(…)`")
    wrapper: Any = call_with_use if kind == "plain" else await_with_use
    wrapper.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    return cast("Function", wrapper)


class ActivityWrapper:
    """Enters a new use around each run of a function body."""

    __slots__ = ("_entry_point", "_handle", "_origin")

    def __init__(self, handle: ActivityHandle, origin: Use[Any] | None = None) -> None:
        """Prepare the uses of an activity.

        Args:
            handle: The activity.
            origin: The use that `guard.carry` carries, if any. The present entry point is carried with it.
        """
        self._handle = handle
        self._origin = origin
        self._entry_point = current_entry_point()

    def enter(self) -> Use[Any]:
        """Make a new use ambient and return it."""
        frame = awaiting_frame(sys._getframe(1))
        if self._origin is None:
            return Use(self._handle, frame)
        return CarriedUse(self._handle, self._origin, frame, self._entry_point)

    enter_for_cleanup = enter

    def leave(self, token: Use[Any]) -> None:
        """End the use that `enter` returned."""
        end_use(token)
        if isinstance(token, CarriedUse) and token.entry_point is not None:
            token.entry_point.__exit__()

    def filter_result(self, value: Any, token: Use[Any]) -> Any:  # noqa: ARG002  # as in BodyWrapper
        """Return the value unchanged."""
        return value


def _run_as_activity(fn: Function, engine: Engine, activity: Activity) -> Function:
    """Wrap a function so that its body runs as this activity."""
    handle = ActivityHandle(engine, activity)
    wrapper = wrap_body(fn, ActivityWrapper(handle))
    return wrap_in_activity(fn, handle) if is_plain(fn) else wrapper


def carry_purpose(fn: F, engine: Engine) -> F:
    """Bind a function to the purpose that is active here.

    Raises:
        PurposeMissing: No purpose is active here, or the use is an exception, which cannot be carried.
        TypeError: `fn` is not callable.
    """
    if not callable(fn) and not isinstance(fn, (classmethod, staticmethod)):
        raise TypeError(
            f"carries functions, and was given `{type(fn).__name__}`: carry the function before it is called, "
            "`guard.carry(fn)(…)`"
        )
    use = require_current_use(engine, f"{Site.of(fn).dotted} was to be carried")
    if use is None:  # The violation is only observed.
        return fn
    if not use.handle.can_be_carried:
        raise PurposeMissing(f"{use.activity.name} is an exception, which is not carried: enter it where it is needed")
    body_wrapper = ActivityWrapper(ActivityHandle(engine, use.activity), use)
    return decorate_function(fn, lambda inner: wrap_body(inner, body_wrapper))


def _check_channel(engine: Engine, activity: Activity) -> bool:
    """Check that an activity states a channel that its purpose admits, or none if the purpose is open (rule 7).

    Returns:
        True if the channel fits, False if it does not and that is only observed.

    Raises:
        ChannelViolation: The channel does not fit.
    """
    matrix = engine.snapshot.matrix
    admitted = matrix.list_admitted_channels(activity.purpose)
    if activity.channel in admitted or (activity.channel is None and not matrix.must_state_channel(activity.purpose)):
        return True
    holders = [source for source in matrix.notice.sources if activity.purpose in matrix.resolve_row(source)]
    broadest: list[type[Source]] = []
    for holder in holders:
        is_narrower = any(holder is not broader and issubclass(holder, broader) for broader in holders)
        if not is_narrower:
            broadest.append(holder)
    label = Label(*(broadest or (NotPersonal,)))
    verdict = engine.snapshot.decide(
        label, activity.purpose, activity.channel, activity=True, conditions=activity.conditions
    )
    decision = Decision(verdict._replace(closed=True))
    advice = "state " + " or ".join(f'`channel="{channel}"`' for channel in admitted)
    engine.report_violation(ChannelViolation(decision, activity.name or None, advice=advice), activity)
    return False
