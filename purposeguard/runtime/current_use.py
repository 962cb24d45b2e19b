"""Access to the use that is active here, for functions that need one."""

from __future__ import annotations

from typing import Any

from purposeguard.notice.label import Label
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.registry import Access
from purposeguard.runtime.use import NO_USE, Use


def find_current_use(engine: Engine) -> Use[Any] | None:
    """Return the use that is active here, or None. The question is not reported."""
    use: Use[Any] = engine.ambient()
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
