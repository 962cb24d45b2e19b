"""Access to the use that is active here, for functions that need one."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from purposeguard.notice.label import Label
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.observer import Fields
from purposeguard.runtime.registry import Access
from purposeguard.runtime.use import NO_USE, Use


def find_current_use(engine: Engine) -> Use[Any] | None:
    """Return the use that is active here, or None. The question is not reported."""
    use: Use[Any] = engine.ambient()
    if use is NO_USE:  # The explanation why there is none takes long.
        return None
    return use if use.explain_absence() is None else None


def require_current_use(engine: Engine, event: str = "data was read") -> Use[Any] | None:
    """Return the use that is active here; None in observe mode if there is none.

    Args:
        engine: The engine of the guard.
        event: The event that needs a use, for the error message.

    Raises:
        PurposeMissing: There is no use, it has ended, or it belongs to another task or thread.
    """
    use: Use[Any] = engine.ambient()
    absence = use.explain_absence()
    if absence is None:
        return use
    engine.report_missing_purpose(event, absence, None if use is NO_USE else use)
    return None


def is_observing(engine: Engine) -> bool:
    """Return True if violations are only observed here, so that the application must run as without the library.

    Where a use that enforces is not valid, as in a task that its activity started, a missing purpose is refused too.
    """
    use: Use[Any] = engine.ambient()
    if use is NO_USE:
        return engine.observing
    return use.activity.observing and (engine.observing or use.explain_absence() is None)


def report_if_observed(engine: Engine, error: BaseException | None, event: str, fields: Fields = ()) -> bool:
    """Report an error under the use that is active here, as `Engine.report_if_observed` does."""
    if not is_observing(engine):
        return False
    use = find_current_use(engine)
    return engine.report_if_observed(error, event, fields, use.activity if use is not None else None)


class ReportUnresolved:
    """A block whose errors are passed to `report_if_observed`, so that in observe mode the code after it runs."""

    __slots__ = ("_engine", "_event", "_fields")

    def __init__(self, engine: Engine, event: str, fields: Fields = ()) -> None:
        """Prepare the block. The arguments are those of `report_if_observed`."""
        self._engine = engine
        self._event = event
        self._fields = fields

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool:
        """Report an error of the block if it is only observed."""
        return report_if_observed(self._engine, error, self._event, self._fields)


def use_for_call(engine: Engine, access: Access) -> Use[Any] | None:
    """Report the call of an access function, and return the use that is active here.

    Raises:
        PurposeMissing: As in `require_current_use`.
    """
    for report in engine.observers.called:
        report(access)
    if engine.observers.read:
        use = find_current_use(engine)
        engine.report_read(access.list_fields(), use.activity if use is not None else None)
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
    refusal = use.handle.check_label(label, access=access) if use is not None else None
    if refusal is not None:
        engine.refuse(refusal, use, access)
    return use
