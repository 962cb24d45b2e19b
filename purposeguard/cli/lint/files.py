"""Lists and reads the files to lint, without running or importing any of them."""

from __future__ import annotations

import ast
import fnmatch
import io
import os
import stat
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from purposeguard.cli.lint.findings import Unread

SUFFIXES: Final = (".py", ".pyw")
NOTEBOOK: Final = ".ipynb"
LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Folders that are not linted, besides virtual environments and those that begin with a dot."""

LARGEST: Final = 10_000_000
"""Bytes of the largest file that is read: no person wrote a larger one."""


class NotLintable(Exception):
    """A path that cannot be linted."""


@dataclass(frozen=True, slots=True)
class Text:
    """A file: its text, with uniform line endings, and its tree."""

    path: Path
    shown: str
    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Listing:
    """The files to lint, and the notebooks, which are not linted."""

    files: tuple[Path, ...]
    notebooks: tuple[Path, ...]
    unread: tuple[Unread, ...] = ()
    """Folders that could not be listed."""


def listing(paths: Sequence[Path], exclude: Iterable[str] = ()) -> Listing:
    """Every file under these paths, once, in order.

    Raises:
        NotLintable: a path is not there, or is a notebook.
    """
    globs = tuple(exclude)
    files: dict[Path, None] = {}
    notebooks: dict[Path, None] = {}
    unread: list[Unread] = []
    for path in paths:
        if path.is_dir():
            for file in _below(path, globs, unread):
                (notebooks if file.suffix == NOTEBOOK else files)[file] = None
        elif not path.exists():
            raise NotLintable(f"{path} does not exist")
        elif path.suffix == NOTEBOOK:
            raise NotLintable(f"{path} is a notebook: export it as a script and lint that")
        else:
            files[path] = None
    once: dict[str, Path] = {}
    for file in files:
        once.setdefault(os.path.realpath(file), file)  # unlike `resolve`, allows a link to itself
    return Listing(tuple(once.values()), tuple(notebooks), tuple(unread))


def _below(folder: Path, globs: tuple[str, ...], unread: list[Unread]) -> Iterator[Path]:
    def not_listed(error: OSError) -> None:
        unread.append(Unread(spelt(Path(error.filename or folder)), 1, f"cannot be listed: {error.strerror or error}"))

    for here, folders, names in os.walk(folder, onerror=not_listed):
        at = Path(here)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in LEFT_OUT
            and not (at / name / "pyvenv.cfg").exists()
            and not _excluded((at / name).relative_to(folder), globs)
        )
        for name in sorted(names):
            path = at / name
            if path.suffix in (*SUFFIXES, NOTEBOOK) and not _excluded(path.relative_to(folder), globs):
                yield path


def _excluded(path: Path, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path.as_posix(), glob) or fnmatch.fnmatch(path.name, glob) for glob in globs)


def spelt(path: Path) -> str:
    """A path as text; bytes that are not UTF-8 are escaped."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read(path: Path) -> Text | Unread:
    """A file with its tree, or why it cannot be read."""
    shown = spelt(path)
    data = b""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return Unread(shown, 1, "is not a regular file")  # a pipe would be waited for without end
        if about.st_size > LARGEST:
            return Unread(shown, 1, f"is larger than {LARGEST // 1_000_000} MB")
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes, say: no business of this linter
            return Text(path, shown, text, ast.parse(text))
    except OSError as error:
        return Unread(shown, 1, f"cannot be read: {error.strerror or error}")
    except SyntaxError as error:
        return Unread(shown, error.lineno or 1, f"is not valid Python: {error.msg}")
    except UnicodeDecodeError as error:
        return Unread(shown, data.count(b"\n", 0, error.start) + 1, f"is not {error.encoding}")
    except (LookupError, ValueError) as error:  # a coding that is none of texts, as `hex`; a null byte
        return Unread(shown, 1, f"is not valid Python: {error}")
    except (RecursionError, MemoryError):  # what the parser raises where expressions lie in each other without end
        return Unread(shown, 1, "is nested too deeply to be parsed")
