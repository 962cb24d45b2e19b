"""Processes that are started: the command, what is new in their environment, and what is written to them."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import weakref
from typing import Any, Final

from purposeguard.testing._descriptors import Descriptors
from purposeguard.testing._patching import Parts, Patches, Tell, is_told_above, text_of, told_above

_POPEN: Final = (
    "bufsize", "executable", "stdin", "stdout", "stderr", "preexec_fn", "close_fds", "shell", "cwd", "env",
)  # fmt: skip
"""Parameters of `Popen` in the order in which it takes them."""


def watch(patches: Patches, tell: Tell, descriptors: Descriptors) -> None:
    """Watches what is started."""
    inputs = _Inputs(descriptors)
    before = dict(os.environ)

    def started(init: Any) -> Any:
        def wrapper(self: Any, args: Any, *more: Any, **options: Any) -> None:
            given = dict(zip(_POPEN, more, strict=False)) | options
            found = tell("process", "", lambda: _process(args, given, before))
            with told_above():  # by which call of the system it starts one
                init(self, args, *more, **options)
            inputs.of(self, found)

        return wrapper

    def called(system: Any) -> Any:
        def wrapper(command: Any) -> Any:
            tell("process", "", lambda: _process(command, {}, before))
            return system(command)

        return wrapper

    patches.put(subprocess.Popen, "__init__", started)
    patches.put(os, "system", called)
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            patches.put(os, name, lambda spawn: _spawned(spawn, tell, before))
    transport = getattr(getattr(asyncio, "unix_events", None), "_UnixSubprocessTransport", None)
    if transport is not None and sys.version_info < (3, 12):  # it puts a stream of its own in the place of `stdin`
        patches.put(transport, "_start", inputs.of_asyncio)


def _spawned(spawn: Any, tell: Tell, before: dict[str, str]) -> Any:
    def wrapper(path: Any, argv: Any, env: Any, /, **options: Any) -> Any:
        if not is_told_above():
            tell("process", "", lambda: _process(argv, {"executable": path, "env": env}, before))
        return spawn(path, argv, env, **options)

    return wrapper


class _Inputs:
    """What is written to processes."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._told: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()

    def of(self, process: Any, told: list[Any]) -> None:
        """Watches the input of a process that was started."""
        if told:
            self._told[process] = told
            self._watch(process)

    def of_asyncio(self, start: Any) -> Any:
        """The same where asyncio has started it."""

        @functools.wraps(start)
        def wrapper(transport: Any, *args: Any, **options: Any) -> Any:
            result = start(transport, *args, **options)
            self._watch(transport._proc)
            return result

        return wrapper

    def _watch(self, process: Any) -> None:
        told = self._told.get(process)
        stream = getattr(process, "stdin", None)
        if not told or stream is None:
            return

        def grow(data: Any) -> None:
            for one in told:
                one.grow("input", data if isinstance(data, str) else bytes(data))

        def noted(write: Any) -> Any:
            def wrapper(data: Any, /) -> Any:
                grow(data)
                return write(data)

            return wrapper

        self._descriptors.know(stream.fileno(), grow)  # `communicate` writes to that
        stream.write = noted(stream.write)
        stream.writelines = lambda lines: [stream.write(line) for line in lines] and None


def _process(args: Any, given: dict[str, Any], before: dict[str, str]) -> Parts:
    found: dict[str, str | bytes] = {"command": _command(args)}
    if given.get("executable") is not None:
        found["executable"] = text_of(os.fspath(given["executable"]))
    if given.get("cwd") is not None:
        found["folder"] = text_of(os.fspath(given["cwd"]))
    environment = os.environ if given.get("env") is None else given["env"]
    for name, value in environment.items():
        what, text = text_of(name), text_of(value)
        if before.get(what) != text and not what.startswith("PYTEST_"):  # the runner tells there which test it is
            found[f"environment {what}"] = text
    return found


def _command(args: Any) -> str:
    if isinstance(args, (str, bytes, os.PathLike)):
        return text_of(os.fspath(args))
    return " ".join(
        text_of(os.fspath(one)) if isinstance(one, (str, bytes, os.PathLike)) else repr(one) for one in args
    )
