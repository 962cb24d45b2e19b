"""Standard output and error, line by line, and processes that are started."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from typing import Any

from purposeguard.testing._patching import Patches, Tell, text_of


class _Tee:
    """A stream that tells what is written to it; everything else is the stream's own."""

    def __init__(self, stream: Any, kind: str, tell: Tell, lines: threading.local) -> None:
        self._stream = stream
        self._kind = kind
        self._tell = tell
        self._lines = lines

    def write(self, text: Any) -> Any:
        self._note(text_of(text))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> _Tee:
        return _Tee(self._stream.buffer, self._kind, self._tell, self._lines)

    def _note(self, text: str) -> None:
        for line in text.splitlines(keepends=True):
            going_on: list[Any] = [one for one in getattr(self._lines, self._kind, []) if not one.ended]
            shown = line.rstrip("\n")
            if not going_on:
                going_on = self._tell(self._kind, "", functools.partial(_line, shown))
            else:
                for one in going_on:
                    one.grow("text", shown)
            setattr(self._lines, self._kind, [] if line.endswith("\n") else going_on)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _line(text: str) -> dict[str, str]:
    return {"text": text}


def watch(patches: Patches, tell: Tell) -> None:
    """Watches what is written to `sys.stdout` and `sys.stderr`, and what is started."""
    lines = threading.local()
    for kind in ("stdout", "stderr"):
        if getattr(sys, kind) is not None:  # there is none under pythonw
            patches.put(sys, kind, functools.partial(_Tee, kind=kind, tell=tell, lines=lines))

    def started(init: Any) -> Any:
        def wrapper(self: Any, args: Any, *more: Any, **options: Any) -> None:
            tell("process", "", lambda: {"command": _command(args), **_environment(options.get("env"))})
            init(self, args, *more, **options)

        return wrapper

    def called(system: Any) -> Any:
        def wrapper(command: Any) -> Any:
            tell("process", "", lambda: {"command": _command(command)})
            return system(command)

        return wrapper

    patches.put(subprocess.Popen, "__init__", started)
    patches.put(os, "system", called)


def _command(args: Any) -> str:
    if isinstance(args, (str, bytes, os.PathLike)):
        return text_of(os.fspath(args))
    return " ".join(
        text_of(os.fspath(one)) if isinstance(one, (str, bytes, os.PathLike)) else repr(one) for one in args
    )


def _environment(given: Any) -> dict[str, str]:
    """What a process is given beside what this one has."""
    if given is None:
        return {}
    return {
        f"environment {text_of(name)}": text_of(value)
        for name, value in given.items()
        if os.environ.get(text_of(name)) != text_of(value)
    }
