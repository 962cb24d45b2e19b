"""What is shown of an exception: its message, those of its causes, and the local variables of its frames, masked.

Tagged objects in the locals and arguments tell which texts are personal: where the same text stands plain, in a message
or in another local, it is replaced as well.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, NamedTuple

import pydantic
import pydantic_core

from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_texts import MaskedTexts
from purposeguard.integrations.masking import Look, Masker
from purposeguard.policy.violations import REFUSALS

MOST_ERRORS: Final = 50
"""Exceptions in one chain that are looked at."""

MOST_FRAMES: Final = 200
"""Frames of these whose local variables are looked at."""


class FramePlace(NamedTuple):
    """Where a frame stands: its file as an absolute path, the line, the function's name."""

    path: str
    line: int
    function: str


class MaskedFailure:
    """What one record, event or the like is masked by: its exception with all causes, if it has one.

    `texts` are the personal ones that were found in it, and those that `look` finds beside it.
    """

    def __init__(self, masker: Masker, error: BaseException | None) -> None:
        self.texts = MaskedTexts()
        self.look = Look(masker, self.texts)
        self._masker = masker
        self._errors = [] if error is None else list(itertools.islice(_iter_chain(error), MOST_ERRORS))
        self._args = {id(each): tuple(map(self.look.masked, each.args)) for each in self._errors}
        self._locals: dict[FramePlace, collections.deque[dict[str, Any]]] = {}
        for each in self._errors:
            self.look.entries({name: value for name, value in vars(each).items() if name != "__notes__"})
        frames = list(itertools.islice(_iter_frames(self._errors), MOST_FRAMES))
        for frame, line in reversed(frames):  # those nearest to where it was raised first
            place = FramePlace(os.path.abspath(frame.f_code.co_filename), line, frame.f_code.co_name)  # noqa: PTH100  # as who reports it writes it
            self._locals.setdefault(place, collections.deque()).appendleft(self.look.entries(frame.f_locals))

    def locals_at(self, path: str, line: int, function: str) -> dict[str, Any]:
        """Return the masked local variables of a frame, once for each time that it is there; none of one not known."""
        place = FramePlace(os.path.abspath(path), line, function)  # noqa: PTH100  # as above
        known = self._locals.get(place)
        if not known:
            return {}
        shown: dict[str, Any] = self.texts.replace_in_value(known.popleft() if len(known) > 1 else known[0])
        return shown

    def text(self, text: str) -> str:
        """Return a text that belongs to the exception, masked."""
        return self.texts.replace_in_text(self._masker.text(text))

    def message(self, error: BaseException) -> str:
        """The message of one of these exceptions, masked; where an argument of it is masked, its arguments instead."""
        if type(error) in REFUSALS:
            return str(error)  # which holds clauses and names of code
        try:
            if isinstance(error, (pydantic.ValidationError, pydantic_core.ValidationError)):
                return self.text(_describe_without_input(error))
            args = self._args[id(error)]
            # Those in a group are looked at by themselves.
            if isinstance(error, BaseExceptionGroup) or all(map(operator.is_, args, error.args)):
                return self.text(str(error))
            return self.text(str(args[0] if len(args) == 1 else args))
        except Exception:  # noqa: BLE001  # of the exception's own code
            return HIDDEN

    def notes(self, error: BaseException) -> list[str]:
        """Return the notes of one of these exceptions, masked."""
        return [self.text(str(note)) for note in getattr(error, "__notes__", ())]

    def message_like(self, kind: str, text: str) -> str:
        """Return the masked message of an exception of which a class's name and a text are known.

        HIDDEN if there is none of this name; of several that it may be, that of the one whose message it is.
        """
        same = [error for error in self._errors if type(error).__name__ == kind]
        if len(same) > 1:
            same = [error for error in same if _exception_text(error) == text][:1]
        return "\n".join((self.message(same[0]), *self.notes(same[0]))) if same else HIDDEN

    def to_masked_exception(self) -> BaseException:
        """The exception; or, where any message in its chain is not as it was, one of the same name that says less."""
        return self._mask_exception(self._errors[0], {})

    def _mask_exception(self, error: BaseException, made: dict[int, BaseException]) -> BaseException:
        if id(error) in made:
            return made[id(error)]
        if not self._is_changed:
            return error
        instead: BaseException
        if isinstance(error, BaseExceptionGroup):
            inner = [self._mask_exception(each, made) for each in error.exceptions]
            instead = _make_substitute_class(type(error), BaseExceptionGroup)(self.text(str(error.message)), inner)
        else:
            instead = _make_substitute_class(type(error), Exception)(self.message(error))
        made[id(error)] = instead
        for note in self.notes(error):
            instead.add_note(note)
        if error.__cause__ is not None:
            instead.__cause__ = self._mask_exception(error.__cause__, made)
        if error.__context__ is not None:
            instead.__context__ = self._mask_exception(error.__context__, made)
        instead.__suppress_context__ = error.__suppress_context__
        return instead.with_traceback(error.__traceback__)

    @functools.cached_property
    def _is_changed(self) -> bool:
        return any(
            self.message(error) != _exception_text(error) or self.notes(error) != getattr(error, "__notes__", [])
            for error in self._errors
        )


def find_exception(exc_info: Any) -> BaseException | None:
    """Return the exception that a record or event is about: given itself, as three things, or by `True`."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) == 3 else None
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _exception_text(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # of the exception's own code
        return None


def _iter_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised in, and what is in a group."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions


def _iter_frames(errors: list[BaseException]) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of tracebacks, each with its line there."""
    for error in errors:
        trace = error.__traceback__
        while trace is not None:
            yield trace.tb_frame, trace.tb_lineno
            trace = trace.tb_next


def _describe_without_input(error: Any) -> str:
    """What pydantic says of an input, without the input: where, and of which kind."""
    lines = [
        f"{'.'.join(map(str, each['loc']))} ({each['type']})"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "\n  ".join((f"{error.error_count()} validation errors for {error.title}", *lines))


def _make_substitute_class(cls: type[BaseException], base: type[Any]) -> type[Any]:
    """Return a class of the same name, for an exception of the class that says less."""
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (base,), named)
