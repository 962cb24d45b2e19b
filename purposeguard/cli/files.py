"""Reads notices; writes generated files atomically, or compares them."""

from __future__ import annotations

import contextlib
import difflib
import os
import tomllib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from purposeguard.cli.words import learn_titles
from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.notice import Notice
from purposeguard.notice.parsing import locate_faults, merge_overlays, read_toml
from purposeguard.notice.warning import find_warnings
from purposeguard.project.directory import Settings, read_settings
from purposeguard.project.writing import replace_file


class CommandProblem(Exception):
    """Bad input to the command line: printed without a traceback, exit code 2."""


LINES_OF_DIFF = 20
"""The most lines shown of a difference."""


BUNDLED = "trendmicro-jp"
"""The bundled notice, which advice names: no command reads it unless somebody chose it."""

PROJECT_MARKS = ("pyproject.toml", ".git")
"""What the root of a project has; notice files are not looked for above it."""

NOTICE_KEYS = frozenset({"format", "id", "revision", "source", "grant"})
"""Top-level keys that every notice file has. A file of overlays has none of them."""


def read_configuration(folder: Path) -> Settings:
    """Read `[tool.purposeguard]` of the project that a folder is in.

    Raises:
        CommandProblem: a file cannot be read, or its table is wrong.
    """
    try:
        return read_settings(folder)
    except NoticeError as error:
        raise CommandProblem(error.faults[0].message) from error


class NoticeChoice(NamedTuple):
    """The notice that a command uses if it names none: its file or name, and the place that says so."""

    name: str
    origin: str


def choose_notice(folder: Path) -> NoticeChoice:
    """Return the notice of the project that this folder is in: the one that it names, or its only notice file.

    Raises:
        CommandProblem: it names none, and has no notice file or several; or pyproject.toml is at fault.
    """
    name = read_configuration(folder).notice
    if name is not None:
        return NoticeChoice(name, "`notice` of `[tool.purposeguard]` in pyproject.toml")
    for place in (folder, *folder.parents):
        files = [os.path.relpath(path, folder) for path in sorted(place.glob("*.toml")) if _is_notice_file(path)]
        if len(files) > 1:
            raise CommandProblem(
                f"which notice is meant? There are {', '.join(files)}: name one of them, `--notice {files[0]}`"
            )
        if files:
            return NoticeChoice(files[0], "the only notice file there")
        if any((place / mark).exists() for mark in PROJECT_MARKS):
            break
    raise CommandProblem(
        "which notice is meant? Name its file, `--notice notice.toml`, or write `notice` under `[tool.purposeguard]` "
        f"in pyproject.toml; the bundled one is `--notice {BUNDLED}`"
    )


def _is_notice_file(path: Path) -> bool:
    """Return whether a TOML file is a notice, with faults or without."""
    try:
        return path.is_file() and tomllib.loads(path.read_text("utf-8")).keys() >= NOTICE_KEYS
    except (OSError, ValueError):
        return False


def read_notice(name: str, overlays: Sequence[Path] = ()) -> Notice:
    """Read the notice of a TOML file, or the bundled one of this name, with product overlays.

    Raises:
        NoticeError: the files are at fault.
        CommandProblem: there is neither a file nor a bundled notice of this name.
    """
    notice = _notice(name, overlays)
    learn_titles(notice)
    return notice


def _notice(name: str, overlays: Sequence[Path]) -> Notice:
    if is_path(name):
        return Notice.load(name, *overlays)
    try:
        notice = Notice.bundled(name)
    except NoticeError as error:
        if error.origin != "bundled notice":
            raise  # the notice exists, and its module does not match it
        suggestion = error.faults[0].suggestion
        raise CommandProblem(f"no file and no bundled notice is called `{name}` (help: {suggestion})") from error
    return notice.overlaid(*overlays) if overlays else notice


def list_warnings(notice: Notice, name: str, overlays: Sequence[Path] = ()) -> list[Fault]:
    """Return probable mistakes in a valid notice that was read from `name`, with their lines if it is a file."""
    tables = read_toml(Path(name)) if is_path(name) else notice.dump()
    return locate_faults(
        find_warnings(notice.document),
        merge_overlays(tables, [(str(overlay), read_toml(overlay)) for overlay in overlays]),
    )


def is_path(name: str) -> bool:
    """Return whether a text names a file rather than a bundled notice."""
    path = Path(name)
    try:
        return path.suffix == ".toml" or path.name != name or path.is_file()
    except OSError:
        return True  # such as a name that is too long: opening it raises the error


@contextlib.contextmanager
def replacing(path: Path, *, private: bool = False) -> Generator[BinaryIO]:
    """Return a context manager with a new file that replaces `path` atomically when the block ends.

    A reader sees the old content or the new, never a part.

    `private`: it holds persons, and is for its owner alone.

    Raises:
        CommandProblem: it cannot be written; the old one is unchanged.
    """
    try:
        with replace_file(path, private=private) as file:
            yield file
    except OSError as error:
        raise CommandProblem(f"{path} cannot be written: {error.strerror or error}") from error


def write(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file atomically; raise as `replacing` does."""
    with replacing(path, private=private) as file:
        file.write(text.encode())


def write_all(folder: Path, files: Mapping[Path, str]) -> None:
    """Write files into a folder, which is created if necessary; raise as `replacing` does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandProblem(f"{folder} cannot be made: {error.strerror or error}") from error
    for path, text in files.items():
        write(path, text)


def difference(path: Path, text: str) -> str | None:
    """Return the difference between a file and its expected text; None if there is none. Line endings may differ.

    Raises:
        CommandProblem: the file is there and cannot be read.
    """
    try:
        current = path.read_text("utf-8")
    except FileNotFoundError:
        return f"{path} does not exist"
    except UnicodeDecodeError:
        return f"{path} is not UTF-8"
    except OSError as error:
        raise CommandProblem(f"{path} cannot be read: {error.strerror or error}") from error
    if current == text:
        return None
    names = (f"{path} (as it is)", f"{path} (as it should be)")
    lines = list(difflib.unified_diff(current.splitlines(), text.splitlines(), *names, lineterm="", n=1))
    more = len(lines) - LINES_OF_DIFF
    if more > 0:
        lines[LINES_OF_DIFF:] = [f"… and {more} more lines"]
    return "\n  ".join([f"{path} is not what it should be", *(lines or ["the ends of its lines differ"])])
