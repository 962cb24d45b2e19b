"""What is sealed in these tests, and how anything that comes of a try is looked through for it."""

from __future__ import annotations

import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

TEXT = "sentinel-5f1c9a"
NUMBER = 731905128
MARKS = (TEXT, TEXT.encode().hex(), str(NUMBER), f"{NUMBER:,}", f"{NUMBER:x}", f"{NUMBER:o}", "7.31905", "7.319e")
"""How the two show, whatever is done to them; long enough that no time of day has one in it."""

guard = pg.Guard(tm.NOTICE)

Ask = Callable[[Any], Any]
_STOPS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)


def seal(value: Any = TEXT, *sources: Any) -> pg.Personal[Any, Any]:
    """A value sealed under 1.1(a), or under these sources."""
    return pg.Personal(value, *(sources or (tm.Registration,)))


def opened(value: Any, purpose: Any = tm.RenewalGuidance, by: pg.Guard = guard) -> Any:
    """What a use for this purpose opens it to."""
    with by.purpose(purpose) as use:
        return use.open(value)


def says(*errors: Any) -> Callable[[Any], Any]:
    """A validator that fails, and says what it was given."""

    def fail(value: Any) -> Any:
        for error in errors:
            raise error(f"{value!r} is not allowed")
        raise PydanticCustomError("mine", "{value} is not allowed", {"value": value})

    return fail


def tried(ask: Ask, one: Any) -> tuple[type[BaseException] | None, Any]:
    """What a way gives, or the error that it ends with and its class."""
    try:
        return None, ask(one)
    except Exception as error:
        return type(error), error


def leaks(given: object, frames: str = "") -> list[str]:
    """The texts in which a sentinel shows; of a traceback's frames those are read whose module's name starts so.

    Those of the tests themselves never are: they hold what they hold.
    """
    return [text for text in _Looking(frames).texts(given, 8) if _shows(text.lower())]


def _shows(text: str) -> bool:
    return any(mark in text for mark in MARKS)


class _Looking:
    """As a reporter of errors does it: what prints, and what attributes, slots and items lead to, so deep."""

    def __init__(self, frames: str) -> None:
        self._frames = frames
        self._seen: dict[int, object] = {}

    def texts(self, given: object, depth: int) -> Iterator[str]:
        if depth < 0 or id(given) in self._seen:
            return
        self._seen[id(given)] = given
        yield from printed(given)
        if isinstance(given, BaseException):
            for one in self._of_error(given):
                yield from self.texts(one, depth)
        elif not isinstance(given, (str, bytes, int, float, *_STOPS)):
            for one in _below(given):
                yield from self.texts(one, depth - 1)

    def _of_error(self, error: BaseException) -> Iterator[object]:
        yield from (error.args, vars(error), error.__cause__, error.__context__)
        if isinstance(error, ValidationError):
            yield [quiet(error.errors), quiet(error.json)]
        if isinstance(error, BaseExceptionGroup):
            yield error.exceptions
        for frame, _ in traceback.walk_tb(error.__traceback__):
            module = str(frame.f_globals.get("__name__"))
            if module.startswith(self._frames) and not module.startswith(("tests.", "_pytest.", "pluggy.")):
                yield dict(frame.f_locals)


def printed(given: object) -> Iterator[str]:
    """An object as text, in every way to make it one."""
    if isinstance(given, (bytes, bytearray)):
        yield bytes(given).decode("utf-8", "replace")
        yield bytes(given).decode("utf-16-le", "replace")
    # Mostly they are the same.
    yield from {str(quiet(lambda render=render: render(given))) for render in (repr, str, format)}  # type: ignore[misc]  # a lambda with a default


def slots_of(given: object) -> Iterator[tuple[str, Any]]:
    """What lies in the slots that the classes of an object have descriptors for."""
    for cls in type(given).__mro__:
        for name, attribute in vars(cls).items():
            if type(attribute).__name__ in {"member_descriptor", "_tuplegetter"}:
                yield name, quiet(lambda attribute=attribute: attribute.__get__(given, type(given)))  # type: ignore[misc]  # likewise


def quiet(ask: Callable[[], Any]) -> Any:
    """What it gives, or the message of its error."""
    try:
        return ask()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _below(given: object) -> Iterable[object]:
    found: list[object] = []
    if isinstance(given, Mapping):
        found += [*quiet(lambda: list(given.keys())), *quiet(lambda: list(given.values()))]
    elif isinstance(given, (list, tuple, set, frozenset)):
        found += list(given)
    found += [vars(given)] if isinstance(getattr(given, "__dict__", None), dict) else []
    return [*found, *(one for _, one in slots_of(given))]
