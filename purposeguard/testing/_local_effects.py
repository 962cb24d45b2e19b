"""Effects on this machine: log records, warnings, output, files, processes.

Files and processes are watched by an audit hook. Python cannot remove one: it stays, and does nothing while
no block watches effects.
"""

from __future__ import annotations

import asyncio.subprocess
import contextlib
import functools
import gc
import io
import logging
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final
from unittest import mock

from purposeguard.testing._shown import TEMPORARY_NAMES, error_text, text_of

Parts = Mapping[str, str | bytes]
"""Name → text of an effect; bytes are decoded when complete."""

Tell = Callable[[str, str, Callable[[], Parts]], list[Any]]
"""Records an effect by kind, name and a function that makes its texts; returns the recorded effects, for `grow`."""


class Patches(contextlib.ExitStack):
    """Replaced attributes; `close` restores them in reverse order, each even if another fails."""

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute."""
        self.enter_context(mock.patch.object(owner, name, value))

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace an attribute by `make(attribute)`."""
        self.put(owner, name, make(getattr(owner, name)))


_quiet: Final[ContextVar[frozenset[str]]] = ContextVar("purposeguard_quiet", default=frozenset())


@contextlib.contextmanager
def quiet(*kinds: str) -> Generator[None]:
    """Return a context manager in which this thread or task records no effects of these kinds.

    The caller has recorded them already.
    """
    token = _quiet.set(_quiet.get() | frozenset(kinds))
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet(kind: str) -> bool:
    """Return True within a `quiet` block of this kind."""
    return kind in _quiet.get()


Heard = Callable[[str, tuple[Any, ...]], None]
"""Called with an audit event and its arguments."""

_heard: list[Heard] = []
"""The current listeners to audit events."""

_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for hear in _heard:
        hear(event, args)


def listen(patches: Patches, hear: Heard) -> None:
    """Call a function with each audit event until the patches are undone."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)
    _heard.append(hear)
    patches.callback(_heard.remove, hear)


def watch(patches: Patches, tell: Tell, level: int) -> None:
    """Watch logging, warnings, standard output, files and processes."""
    _watch_logging(patches, tell, level)
    for name in ("warn", "warn_explicit"):
        patches.wrap(warnings, name, functools.partial(_record_warning, tell))
    for kind in ("stdout", "stderr"):
        lines = _Lines(kind, tell)
        stream, original = getattr(sys, kind), getattr(sys, f"__{kind}__")
        for output in (stream,) if original is stream else (stream, original):
            if hasattr(output, "__dict__"):  # None under pythonw
                patches.wrap(output, "write", lines.add_text)
    tempfile.gettempdir()  # the first call writes a test file
    patches.wrap(type(tempfile._get_candidate_names()), "__next__", _record_temporary_names)  # type: ignore[attr-defined]  # its own
    environment = dict(os.environ)
    listen(patches, functools.partial(_on_event, tell, environment))
    for cls in (subprocess.Popen, asyncio.subprocess.Process):
        patches.wrap(cls, "communicate", functools.partial(_record_communication, tell))


# ---- Logging ------------------------------------------------------------------------------------------------------

_USUAL: Final = frozenset({*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime"})
"""The attributes of every record; others come from `extra` or filters."""

_LIBRARIES: Final = tuple(set(map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))))
_CLIENTS: Final = ("httpx", "httpx2")
"""Loggers that report each request, those of test clients included."""


def _watch_logging(patches: Patches, tell: Tell, level: int) -> None:
    enabled = logging.Logger.isEnabledFor

    def counts(logger: logging.Logger, at: int) -> bool:
        return at >= level and _own_level(logger) <= at

    def is_enabled_for(self: logging.Logger, level: int) -> bool:
        return enabled(self, level) or counts(self, level)

    def handle(handle: Any) -> Any:
        def wrapper(self: logging.Logger, record: logging.LogRecord) -> None:
            try:
                if enabled(self, record.levelno):  # handlers and pytest get the same records as without a watcher
                    with quiet("stdout", "stderr"):
                        handle(self, record)
            finally:
                if record.levelno >= level and not _is_chatter(record):
                    tell("log", f"{record.name} {record.levelname}", lambda: _parts(record))

        return wrapper

    patches.put(logging.Logger, "isEnabledFor", is_enabled_for)
    patches.wrap(logging.Logger, "handle", handle)


def _own_level(logger: logging.Logger) -> int:
    """Return the level set on a logger or its parents, except the root: libraries set one to be quiet."""
    while logger.parent is not None:
        if logger.level:
            return logger.level
        logger = logger.parent
    return logging.NOTSET


def _is_chatter(record: logging.LogRecord) -> bool:
    """Return True for a library's debug records of its own work: connections, durations."""
    if record.name.partition(".")[0] in _CLIENTS:
        return True
    return record.levelno < logging.INFO and record.pathname.startswith(_LIBRARIES)


def _parts(record: logging.LogRecord) -> Parts:
    try:
        parts: dict[str, str | bytes] = {"message": record.getMessage()}
    except Exception:  # noqa: BLE001  # logging reports it and continues; the arguments are still recorded
        parts = {"message": f"{record.msg} {text_of(record.args)}"}
    if isinstance(record.args, Mapping):  # handlers see all of them, even those not in the message
        parts |= {f"argument {name}": text_of(value) for name, value in record.args.items()}
    if record.exc_info and record.exc_info[1] is not None:
        parts["exception"] = error_text(record.exc_info[1], suppressed=False)
    parts |= {f"extra {name}": text_of(value) for name, value in vars(record).items() if name not in _USUAL}
    return parts


# ---- Warnings and output ------------------------------------------------------------------------------------------


def _record_warning(tell: Tell, warn: Any) -> Any:
    def wrapper(message: Any, category: Any = None, *more: Any, **options: Any) -> None:
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        tell("warning", getattr(kind, "__name__", "Warning"), lambda: {"message": str(message)})
        if warn.__name__ == "warn":  # skip the wrapper's frame
            stacklevel, more = (more[0], more[1:]) if more else (options.pop("stacklevel", 1), ())
            more = (stacklevel + 1, *more)
        with quiet("warning", "stderr"):
            warn(message, category, *more, **options)

    return wrapper


class _Lines:
    """Records the lines written to a stream, by thread."""

    def __init__(self, kind: str, tell: Tell) -> None:
        self._kind = kind
        self._tell = tell
        self._mine = threading.local()

    def add_text(self, write: Any) -> Any:
        def wrapper(text: Any) -> Any:
            for line in text_of(text).splitlines(keepends=True):
                self._note(line.rstrip("\n"), ends=line.endswith("\n"))
            with quiet(self._kind):  # the stream may write to another watched one
                return write(text)

        return wrapper

    def _note(self, text: str, *, ends: bool) -> None:
        begun = [effect for effect in getattr(self._mine, "begun", ()) if not effect.ended]
        for effect in begun:
            effect.grow("text", text)
        if not begun:
            begun = self._tell(self._kind, "", lambda: {"text": text})
        self._mine.begun = [] if ends else begun


# ---- Files and processes ------------------------------------------------------------------------------------------

_CHANGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "os.mkdir": ("folder made", ()),
    "os.rename": ("renamed", ("to",)),
    "os.remove": ("removed", ()),
    "os.rmdir": ("folder removed", ()),
    "os.symlink": ("linked", ("to",)),
    "os.link": ("linked", ("to",)),
    "os.truncate": ("cut", ("length",)),
    "os.chmod": ("permissions changed", ("mode",)),
    "os.chown": ("owner changed", ("uid", "gid")),
    "os.utime": ("times changed", ("times", "ns")),
    "os.setxattr": ("attribute set", ("attribute", "value")),
}
"""Audit event → its effect on a file, and the meaning of its arguments after the file name."""


def _on_event(tell: Tell, environment: Mapping[str, str], event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        _record_open(tell, *args)
    elif event in _CHANGES:
        name, (done, also) = _path(args[0]), _CHANGES[event]
        if name is not None and not _is_cache(name):
            for file in _written.copy():
                file.read(name)  # before it is gone
            texts = dict(zip(also, map(_path_or_text, args[1:]), strict=False))
            tell("file", done, lambda: {"name": name, **texts})
    elif event == "subprocess.Popen":
        executable, command, cwd, env = args
        parts = {"executable": None if _first(command) == executable else executable, "folder": cwd}
        tell("process", "", lambda: _process(command, parts, env, environment))
    elif event == "os.system":
        tell("process", "", lambda: _process(args[0], {}, None, environment))
    elif event == "os.posix_spawn":
        tell("process", "", lambda: _process(args[1], {"executable": args[0]}, args[2], environment))
    elif event == "syslog.syslog":
        tell("log", "syslog", lambda: {"message": text_of(args[1])})


def _is_cache(name: str) -> bool:
    """Return True for files of Python's, and of hypothesis, which writes them when it draws the first value."""
    return "__pycache__" in name or ".hypothesis" in name


def _record_open(tell: Tell, file: Any, mode: str | None, flags: int) -> None:
    name = _path(file)
    if name is None or name == os.devnull or _is_cache(name) or not flags & (os.O_WRONLY | os.O_RDWR):
        return
    if os.path.isdir(name):  # noqa: PTH112  # where a temporary file is made
        return
    appends = mode is not None and "a" in mode
    for earlier in _written.copy():
        earlier.read(name)  # before it is overwritten
    size = os.path.getsize(name) if appends and os.path.isfile(name) else 0  # noqa: PTH113, PTH202  # emits no events
    done = "opened" if mode is None else "appended to" if appends else "written"
    effects = tell("file", done, lambda: {"name": name})
    if effects:
        _written.append(_WrittenText(name, size, effects))


class _WrittenText:
    """A file opened for writing. Its content is read before it is removed or overwritten, or when the block ends."""

    def __init__(self, name: str, start: int, effects: list[Any]) -> None:
        self._path = os.path.abspath(name)  # noqa: PTH100  # as `isfile`
        self._start = start
        self._effects = effects

    def read(self, name: str | None = None) -> None:
        """Add the content to the effects; with a `name`, only if it is the file's."""
        if name is not None and os.path.abspath(name) != self._path:  # noqa: PTH100  # likewise
            return
        if self not in _written:
            return  # another thread has read it
        _written.remove(self)
        if os.path.isfile(self._path):  # noqa: PTH113  # a pipe would never end
            _flush(self._path)
            try:
                with io.FileIO(self._path) as file:
                    file.seek(self._start)
                    content = file.read(_LARGEST)
            except OSError:  # nobody may read it
                return
            for effect in self._effects:
                if content:
                    effect.grow("content", content)


_LARGEST: Final = 50_000_000
"""The most bytes read of a file."""

_written: list[_WrittenText] = []


def end_files() -> None:
    """Read all written files."""
    for file in _written.copy():
        file.read()


def _flush(name: str) -> None:
    """Flush open files of this name."""
    if not _is_open(name):
        return
    for file in gc.get_objects():
        if not issubclass(type(file), _BUFFERED):
            continue
        opened = None if file.closed else _path(getattr(file, "name", None))
        if opened is not None and os.path.abspath(opened) == name:  # noqa: PTH100  # likewise
            file.flush()


def _is_open(name: str) -> bool:
    """Return True if a descriptor of this process is open on the file, or if that is unknown."""
    try:
        file, descriptors = os.stat(name), os.listdir("/dev/fd")  # noqa: PTH116, PTH208  # as `isfile`
    except OSError:
        return True
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # that of the listing itself
            if os.path.samestat(file, os.fstat(int(descriptor))):
                return True
    return False


_BUFFERED: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def _path(file: Any) -> str | None:
    """Return the name of a file; None for a descriptor."""
    return text_of(os.fspath(file)) if isinstance(file, (str, bytes, os.PathLike)) else None


def _record_temporary_names(following: Any) -> Any:
    """Note the random names of `tempfile`, which are not compared."""

    def wrapper(names: Any) -> Any:
        name = following(names)
        TEMPORARY_NAMES.append(name)
        return name

    return wrapper


def _first(command: Any) -> Any:
    return command if isinstance(command, (str, bytes, os.PathLike)) else next(iter(command), None)


def _path_or_text(value: Any) -> str:
    return _path(value) or text_of(value)


def _process(command: Any, options: Mapping[str, Any], env: Any, before: Mapping[str, str]) -> Parts:
    words = [command] if isinstance(command, (str, bytes, os.PathLike)) else command
    parts: dict[str, str | bytes] = {"command": " ".join(map(_path_or_text, words))}
    parts |= {what: text_of(os.fspath(value)) for what, value in options.items() if value is not None}
    for name, value in (os.environ if env is None else env).items():
        what, text = text_of(name), text_of(value)
        if before.get(what) != text and not what.startswith("PYTEST_"):  # pytest puts the test's name there
            parts[f"environment {what}"] = text
    return parts


def _record_communication(tell: Tell, communicate: Any) -> Any:
    @functools.wraps(communicate)
    def wrapper(process: Any, input: Any = None, *more: Any, **options: Any) -> Any:  # noqa: A002  # its name there
        if input is not None:
            tell("process", "input", lambda: {"input": input if isinstance(input, str) else bytes(input)})
        return communicate(process, input, *more, **options)

    return wrapper
