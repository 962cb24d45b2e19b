"""Files that are written, moved or removed: their names, and what goes into them."""

from __future__ import annotations

import builtins
import functools
import io
import os
import shutil
import tempfile
import weakref
from typing import Any, Final

from purposeguard.testing._descriptors import Descriptors
from purposeguard.testing._patching import Patches, Tell, text_of
from purposeguard.testing._settled import TEMPORARY_NAMES

_NULL: Final = {os.devnull, "nul", "NUL"}


class _Told(io.FileIO):
    """A file that tells what is written to it."""

    told: list[Any]

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        _grow(self.told, bytes(data)[:written])
        return written


def _grow(told: list[Any], data: bytes) -> None:
    for one in told:
        one.grow("content", data)


def watch(patches: Patches, tell: Tell, descriptors: Descriptors) -> None:
    """Watches `open`, however it is called, and what `os` does to files."""
    tempfile.gettempdir()  # the first time that it is asked, it tries where it can write

    def opened(original: Any) -> Any:
        def wrapper(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
            name = _name(file)
            given = dict(zip(_ARGUMENTS, more, strict=False)) | options
            if name in _NULL or not _writes(mode, given):
                return original(file, mode, *more, **options)
            if name is None:  # a descriptor: of what `os.open` has opened it is known what it is
                write = descriptors.forget(file) if isinstance(file, int) else None
                found = list(getattr(write, "args", ((),))[0])
            else:
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
    for name in _DONE:
        if hasattr(os, name):
            patches.put(os, name, functools.partial(_called, name, tell))
    patches.put(type(tempfile._get_candidate_names()), "__next__", _named)  # type: ignore[attr-defined]  # its own
    patches.put(os, "open", lambda original: _opened_low(original, tell, descriptors))
    for name in ("_USE_CP_SENDFILE", "_USE_CP_COPY_FILE_RANGE"):
        if hasattr(shutil, name):  # what the system copies by itself nobody sees
            patches.put(shutil, name, lambda _: False)


def _named(following: Any) -> Any:
    """Names that are made up are known again, and are not compared."""

    def wrapper(names: Any) -> Any:
        name = following(names)
        TEMPORARY_NAMES.append(name)
        return name

    return wrapper


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
    done, also = _DONE[name]

    def wrapper(*args: Any, **options: Any) -> Any:
        found: dict[str, str | bytes] = {}
        for what, one in zip(("name", *also), args, strict=False):
            text = _name(one)
            if text is not None or what not in _NAMES:
                found[what] = repr(one) if text is None else text
        found |= {what: text_of(options[what]) for what in also if what in options}
        if name == "utime":  # by which it is found out whether a file is there
            original(*args, **options)
        if "name" in found:
            tell("file", done, lambda: found)
        return None if name == "utime" else original(*args, **options)

    return wrapper


_NAMES: Final = frozenset({"name", "to"})
_DONE: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "mkdir": ("folder made", ()),
    "mkfifo": ("pipe made", ()),
    "rename": ("renamed", ("to",)),
    "replace": ("renamed", ("to",)),
    "remove": ("removed", ()),
    "unlink": ("removed", ()),
    "rmdir": ("folder removed", ()),
    "symlink": ("linked", ("to",)),
    "link": ("linked", ("to",)),
    "truncate": ("cut", ("length",)),
    "chmod": ("permissions changed", ("mode",)),
    "chown": ("owner changed", ("uid", "gid")),
    "utime": ("times changed", ("times", "ns")),
    "setxattr": ("attribute set", ("attribute", "value")),
}


def _opened_low(original: Any, tell: Tell, descriptors: Descriptors) -> Any:
    def wrapper(path: Any, flags: int, *args: Any, **options: Any) -> Any:
        name = _name(path)
        found: list[Any] = []
        if name is not None and name not in _NULL and flags & (os.O_WRONLY | os.O_RDWR):
            found = tell("file", "opened", lambda: {"name": name})
        descriptor = original(path, flags, *args, **options)
        if found:
            descriptors.know(descriptor, functools.partial(_grow, found))
        return descriptor

    return wrapper
