"""Errors as whoever catches or logs them can see them."""

from __future__ import annotations

from collections.abc import Iterator

from purposeguard.errors import PurposeGuardError


def told(error: BaseException, *, suppressed: bool = True) -> str:
    """An error with its class, message and notes, what it bears beside these, and the errors that led to it.

    `suppressed`: also one that `raise … from None` leaves out of tracebacks.
    """
    return "\nafter ".join(text for _, text in each(error, suppressed=suppressed))


def each(error: BaseException, *, suppressed: bool = True) -> Iterator[tuple[str, str]]:
    """The same, the error and each behind it by itself."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        yield "error behind it" if seen else "message", "\n".join(_lines(behind, seen))
        hidden = behind.__suppress_context__ and not suppressed
        behind = behind.__cause__ or (None if hidden else behind.__context__)


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    yield f"{_class(error)}: {error}".removesuffix(": ")
    yield from map(str, getattr(error, "__notes__", ()))
    if not isinstance(error, PurposeGuardError):  # what those bear is no value
        yield from _borne(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            if id(one) not in seen:
                yield from (f"    {text}" for _, text in each(one))


def _class(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _borne(error: BaseException) -> Iterator[str]:
    """Its arguments and attributes, as far as the message does not show them."""
    message = str(error)
    if not isinstance(error, BaseExceptionGroup):  # whose errors are shown by themselves
        for value in error.args:
            text = _shown(value)
            if text not in message and repr(value) not in message:
                yield f"    with {text}"
    for name, value in getattr(error, "__dict__", {}).items():
        text = _shown(value)
        if name != "__notes__" and text not in message:
            yield f"    {name} = {text}"


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # whatever `__str__` raises, what raised the error is looked at here
        return f"<{type(value).__qualname__}>"
