"""Masking of exceptions: their messages, those of their causes, and the local variables of their frames.

Tagged objects among the locals and arguments show which texts are personal. The same text is also replaced where it
stands plain, in a message or in another local variable.
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

from purposeguard.containers import omit_keys
from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_texts import MaskedTexts
from purposeguard.integrations.masking import Look, Masker
from purposeguard.policy.violations import REFUSALS

MOST_ERRORS: Final = 50
"""The number of exceptions in one chain that are inspected."""

MOST_FRAMES: Final = 200
"""The number of their frames whose local variables are inspected."""


class FramePlace(NamedTuple):
    """The position of a frame: the absolute path of its file, the line, and the name of the function."""

    path: str
    line: int
    function: str


class MaskedFailure:
    """The exception of a record or event, if it has one, with all its causes, and the personal texts to be masked.

    `texts` are the personal texts that were found in the exception, and those that `look` finds beside it.
    """

    def __init__(self, masker: Masker, error: BaseException | None) -> None:
        self.texts = MaskedTexts()
        self.look = Look(masker, self.texts)
        self._masker = masker
        self._errors = [] if error is None else list(itertools.islice(_iter_chain(error), MOST_ERRORS))
        self._args = {id(member): tuple(map(self.look.mask, member.args)) for member in self._errors}
        self._locals: dict[FramePlace, collections.deque[dict[str, Any]]] = {}
        for member in self._errors:
            self.look.entries(omit_keys(vars(member), ("__notes__",)))
        frames = list(itertools.islice(_iter_frames(self._errors), MOST_FRAMES))
        for frame, line in reversed(frames):  # Begin with the frames nearest to where the exception was raised.
            place = FramePlace(os.path.abspath(frame.f_code.co_filename), line, frame.f_code.co_name)  # noqa: PTH100  # Reporters write it so.
            self._locals.setdefault(place, collections.deque()).appendleft(self.look.entries(frame.f_locals))

    def locals_at(self, path: str, line: int, function: str) -> dict[str, Any]:
        """Return the masked local variables of a frame; an empty dict for an unknown frame.

        If a frame occurs several times, each call answers for the next occurrence.
        """
        place = FramePlace(os.path.abspath(path), line, function)  # noqa: PTH100  # See above.
        occurrences = self._locals.get(place)
        if not occurrences:
            return {}
        masked = occurrences.popleft() if len(occurrences) > 1 else occurrences[0]
        shown: dict[str, Any] = self.texts.replace_in_value(masked)
        return shown

    def text(self, text: str) -> str:
        """Mask a text that belongs to the exception."""
        return self.texts.replace_in_text(self._masker.text(text))

    def message(self, error: BaseException) -> str:
        """Return the masked message of one of these exceptions.

        If one of its arguments was masked, the masked arguments take the place of the message.
        """
        if type(error) in REFUSALS:
            return str(error)  # A refusal holds only clauses and names of code.
        try:
            if isinstance(error, (pydantic.ValidationError, pydantic_core.ValidationError)):
                return self.text(_describe_without_input(error))
            args = self._args[id(error)]
            # The members of a group are masked by themselves.
            if isinstance(error, BaseExceptionGroup) or all(map(operator.is_, args, error.args)):
                return self.text(str(error))
            return self.text(str(args[0] if len(args) == 1 else args))
        except Exception:  # noqa: BLE001  # The exception's own code failed.
            return HIDDEN

    def notes(self, error: BaseException) -> list[str]:
        """Return the notes of one of these exceptions, masked."""
        return [self.text(str(note)) for note in getattr(error, "__notes__", ())]

    def message_like(self, kind: str, text: str) -> str:
        """Return the masked message and notes of the exception whose class has this name.

        If several have it, the first one with the message `text` is chosen.

        Returns:
            HIDDEN if there is no such exception.
        """
        matches = [error for error in self._errors if type(error).__name__ == kind]
        if len(matches) > 1:
            matches = [error for error in matches if _exception_text(error) == text][:1]
        return "\n".join((self.message(matches[0]), *self.notes(matches[0]))) if matches else HIDDEN

    def to_masked_exception(self) -> BaseException:
        """Return the exception itself, or a substitute of the same name if any message in its chain is masked."""
        return self._mask_exception(self._errors[0], {})

    def _mask_exception(self, error: BaseException, substitutes: dict[int, BaseException]) -> BaseException:
        if id(error) in substitutes:
            return substitutes[id(error)]
        if not self._is_changed:
            return error
        masked: BaseException
        if isinstance(error, BaseExceptionGroup):
            members = [self._mask_exception(member, substitutes) for member in error.exceptions]
            masked = _make_substitute_class(type(error), BaseExceptionGroup)(self.text(str(error.message)), members)
        else:
            masked = _make_substitute_class(type(error), Exception)(self.message(error))
        substitutes[id(error)] = masked
        for note in self.notes(error):
            masked.add_note(note)
        if error.__cause__ is not None:
            masked.__cause__ = self._mask_exception(error.__cause__, substitutes)
        if error.__context__ is not None:
            masked.__context__ = self._mask_exception(error.__context__, substitutes)
        masked.__suppress_context__ = error.__suppress_context__
        return masked.with_traceback(error.__traceback__)

    @functools.cached_property
    def _is_changed(self) -> bool:
        for error in self._errors:
            if self.message(error) != _exception_text(error) or self.notes(error) != getattr(error, "__notes__", []):
                return True
        return False


def find_exception(exc_info: Any) -> BaseException | None:
    """Return the exception of a record or event, which is given as itself, as an `exc_info` tuple, or as True."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) == 3 else None
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _exception_text(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # The exception's own code failed.
        return None


def _iter_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and contexts, and the members of groups."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        member = pending.pop(0)
        if member is None or id(member) in seen:
            continue
        seen.add(id(member))
        yield member
        pending += [member.__cause__, member.__context__]
        if isinstance(member, BaseExceptionGroup):
            pending += member.exceptions


def _iter_frames(errors: list[BaseException]) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of all tracebacks, each with its line number there."""
    for error in errors:
        trace = error.__traceback__
        while trace is not None:
            yield trace.tb_frame, trace.tb_lineno
            trace = trace.tb_next


def _describe_without_input(error: Any) -> str:
    """Describe a validation error of pydantic without its input: where each fault is, and of which kind."""
    lines = [f"{error.error_count()} validation errors for {error.title}"]
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(map(str, fault["loc"]))
        lines.append(f"{place} ({fault['type']})")
    return "\n  ".join(lines)


def _make_substitute_class(cls: type[BaseException], base: type[Any]) -> type[Any]:
    """Return a class with the same name, for the substitute of an exception."""
    namespace = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (base,), namespace)
