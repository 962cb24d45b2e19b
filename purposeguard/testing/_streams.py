"""Standard output and error, line by line."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from purposeguard.testing._descriptors import STDERR, STDOUT, Descriptors
from purposeguard.testing._patching import Parts, Patches, Tell, is_handling, is_showing, text_of


class _Lines:
    """Tells of what is written to a stream by lines, those of each thread by themselves."""

    def __init__(self, kind: str, tell: Tell) -> None:
        self._kind = kind
        self._tell = tell
        self._mine = threading.local()

    @property
    def is_passing_on(self) -> bool:
        """Whether what is written now, in this thread, was told where it came from."""
        return bool(getattr(self._mine, "passing", False))

    def pass_on(self, write: Any, text: Any) -> Any:
        """Writes what was told to where it goes next."""
        before = self.is_passing_on
        self._mine.passing = True
        try:
            return write(text)
        finally:
            self._mine.passing = before

    def note(self, text: str) -> None:
        """Takes note of what is written."""
        for line in text.splitlines(keepends=True):
            going_on: list[Any] = [one for one in getattr(self._mine, "going_on", []) if not one.ended]
            shown = line.rstrip("\n")
            if not going_on:
                going_on = self._tell(self._kind, "", functools.partial(_line, shown))
            else:
                for one in going_on:
                    one.grow("text", shown)
            self._mine.going_on = [] if line.endswith("\n") else going_on


class _Tee:
    """A stream that tells what is written to it; everything else is the stream's own."""

    def __init__(self, stream: Any, lines: _Lines) -> None:
        self._stream = stream
        self._lines = lines

    def write(self, text: Any) -> Any:
        if not is_showing():
            self._lines.note(text_of(text))
        return self._lines.pass_on(self._stream.write, text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> _Tee:
        return _Tee(self._stream.buffer, self._lines)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _line(text: str) -> Parts:
    return {"text": text}


def watch(patches: Patches, tell: Tell, descriptors: Descriptors) -> None:
    """Watches what is written to `sys.stdout` and `sys.stderr`, and past them to what they are made of."""
    for kind, descriptor in (("stdout", STDOUT), ("stderr", STDERR)):
        lines = _Lines(kind, tell)
        first, now = getattr(sys, f"__{kind}__"), getattr(sys, kind)
        for stream in (now, first) if first is not now else (now,):
            # Somebody may have kept the stream itself, as handlers of logging do, whose records are told already.
            if stream is not None and hasattr(stream, "__dict__"):
                patches.put(stream, "write", functools.partial(_kept, lines))
        if now is not None:  # there is none under pythonw
            patches.put(sys, kind, functools.partial(_Tee, lines=lines))
        descriptors.know(descriptor, functools.partial(_noted, lines))


def _kept(lines: _Lines, write: Any) -> Any:
    def wrapper(text: Any) -> Any:
        if not (lines.is_passing_on or is_handling() or is_showing()):
            lines.note(text_of(text))
        return lines.pass_on(write, text)

    return wrapper


def _noted(lines: _Lines, data: bytes) -> None:
    if not lines.is_passing_on:
        lines.note(text_of(data))
