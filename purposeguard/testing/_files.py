"""Files that are written, moved or removed: their names, and what goes into them."""

from __future__ import annotations

import builtins
import functools
import io
import os
import tempfile
import weakref
from typing import Any, Final

from purposeguard.testing._patching import Patches, Tell, text_of

_NULL: Final = {os.devnull, "nul", "NUL"}


class _Told(io.FileIO):
    """A file that tells what is written to it."""

    told: list[Any]

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        text = text_of(bytes(data)[:written])
        for one in self.told:
            one.grow("content", text)
        return written


def watch(patches: Patches, tell: Tell) -> None:
    """Watches `open`, however it is called, and what `os` does to files by name."""
    tempfile.gettempdir()  # the first time that it is asked, it tries where it can write

    def opened(original: Any) -> Any:
        def wrapper(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
            name = _name(file)
            given = dict(zip(_ARGUMENTS, more, strict=False)) | options
            if name is None or name in _NULL or not _writes(mode, given):
                return original(file, mode, *more, **options)
            found = tell("file", "appended to" if "a" in mode else "written", lambda: {"name": name})
            if not found:
                return original(file, mode, *more, **options)
            stream = _opened(file, mode, given, found)
            _open.add(stream)
            return stream

        return wrapper

    replaced = opened(builtins.open)
    patches.put(builtins, "open", lambda _: replaced)
    patches.put(io, "open", lambda _: replaced)
    for name in ("mkdir", "rename", "replace", "remove", "unlink", "rmdir", "symlink", "link"):
        patches.put(os, name, functools.partial(_called, name, tell))
    patches.put(os, "open", lambda original: _opened_low(original, tell))


def _name(file: Any) -> str | None:
    """The name of a file; None of a descriptor, whose file was opened before."""
    return text_of(os.fspath(file)) if isinstance(file, (str, bytes, os.PathLike)) else None


_WORDING: Final = ("encoding", "errors", "newline")
_ARGUMENTS: Final = ("buffering", *_WORDING, "closefd", "opener")


def _writes(mode: str, given: dict[str, Any]) -> bool:
    """Whether a file is opened for writing; what `open` refuses is left to it."""
    letters = set(mode)
    valid = len(letters) == len(mode) and letters <= set("rwxabt+") and len(letters & set("rwxa")) == 1
    if not valid or {"b", "t"} <= letters or not letters & set("wxa+"):
        return False
    if "b" in letters:
        return all(given.get(name) is None for name in _WORDING)
    return bool(given.get("buffering", -1) != 0)


def _opened(file: Any, mode: str, given: dict[str, Any], told: list[Any]) -> Any:
    """What `open` makes, from the same parts, on a file that tells."""
    binary = "b" in mode
    raw = _Told(file, mode.replace("b", "").replace("t", ""), given.get("closefd", True), given.get("opener"))
    raw.told = told
    buffering = given.get("buffering", -1)
    try:
        if binary and buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffer: Any = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if binary:
            return buffer
        encoding, errors, newline = (given.get(name) for name in _WORDING)
        text: Any = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode
    except BaseException:
        raw.close()
        raise
    return text


_open: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""Files that tell, as long as somebody has them."""


def flush() -> None:
    """Sends on what was written and not sent on yet."""
    for one in list(_open):
        if one.closed:
            _open.discard(one)
        else:
            one.flush()


def _called(name: str, tell: Tell, original: Any) -> Any:
    def wrapper(*args: Any, **options: Any) -> Any:
        names = [_name(one) for one in args[:2]]
        tell("file", _DONE[name], lambda: {what: one for what, one in zip(("name", "to"), names, strict=False) if one})
        return original(*args, **options)

    return wrapper


_DONE: Final = {
    "mkdir": "folder made",
    "rename": "renamed",
    "replace": "renamed",
    "remove": "removed",
    "unlink": "removed",
    "rmdir": "folder removed",
    "symlink": "linked",
    "link": "linked",
}


def _opened_low(original: Any, tell: Tell) -> Any:
    def wrapper(path: Any, flags: int, *args: Any, **options: Any) -> Any:
        name = _name(path)
        if name is not None and name not in _NULL and flags & (os.O_WRONLY | os.O_RDWR):
            tell("file", "opened", lambda: {"name": name})
        return original(path, flags, *args, **options)

    return wrapper
