"""The directory of a project's files: where it is, and what it contains."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.notice import Notice
from purposeguard.project.baseline import Baseline
from purposeguard.project.purposes import PurposeFile
from purposeguard.project.reading import FilePath
from purposeguard.project.tags import TagFile

F = TypeVar("F", TagFile, PurposeFile, Baseline)

DIRECTORY = "privacy"
"""The name of the directory, unless pyproject.toml says otherwise."""

NOTICE, TAGS, PURPOSES, BASELINE = "notice.toml", "tags.toml", "purposes.toml", "baseline.toml"
"""The names of the files in it."""


class Settings(NamedTuple):
    """`[tool.purposeguard]` of a project: the language of words, the path or name of its notice, and the directory."""

    language: str | None = None
    notice: str | None = None
    directory: str | None = None


def read_settings(folder: Path) -> Settings:
    """Read each key from the nearest pyproject.toml that sets it, in this folder or above it.

    A path in a file is relative to its folder.

    Raises:
        NoticeError: A file cannot be read, or its table has another key, or a value that is not a text.
    """
    settings: dict[str, str] = {}
    for path in _iter_pyproject_files(folder):
        try:
            tool = tomllib.loads(path.read_text("utf-8")).get("tool", {})
        except (OSError, ValueError) as error:
            raise _make_error(path, f"{path} cannot be read: {error}") from error
        section = tool.get("purposeguard", {}) if isinstance(tool, dict) else {}
        if not isinstance(section, dict) or not section.keys() <= set(Settings._fields):
            keys = "`language`, `notice` and `directory`"
            raise _make_error(path, f"`[tool.purposeguard]` of {path} has other keys than {keys}")
        for key, value in section.items():
            if not isinstance(value, str):
                raise _make_error(path, f"`{key}` of `[tool.purposeguard]` of {path} must be a text in quotes")
            is_file = key == "directory" or (key == "notice" and Path(value).suffix == ".toml")
            settings.setdefault(key, os.path.relpath(path.parent / value) if is_file else value)
        if len(settings) == len(Settings._fields):
            break
    return Settings(**settings)


def _iter_pyproject_files(folder: Path) -> Iterator[Path]:
    """Yield the files pyproject.toml in this folder and above it."""
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        try:
            exists = path.is_file()
        except OSError as error:
            raise _make_error(path, f"{path} cannot be read: {error}") from error
        if exists:
            yield path


def _make_error(path: Path, message: str) -> NoticeError:
    return NoticeError([Fault("", message)], str(path))


def find_directory(start: FilePath | None = None) -> Path:
    """Return the directory of the project's files, which need not exist yet.

    It is the `directory` under `[tool.purposeguard]` in pyproject.toml. By default it is `privacy` beside the nearest
    pyproject.toml, or in the folder itself if that one exists or there is no pyproject.toml.

    Args:
        start: The folder in which the search begins, by default the working directory.

    Raises:
        NoticeError: A pyproject.toml cannot be read, or its table is wrong.
    """
    folder = Path.cwd() if start is None else Path(start).resolve()
    setting = read_settings(folder).directory
    if setting is not None:
        return Path(setting).resolve()
    roots = [path.parent for path in _iter_pyproject_files(folder)]
    candidates = [root / DIRECTORY for root in (*roots[:1], folder)]
    return next((path for path in candidates if path.is_dir()), candidates[0])


@dataclasses.dataclass(frozen=True, slots=True)
class ProjectFiles:
    """The files of a project. A file that does not exist is None."""

    directory: Path
    notice: Notice
    tags: TagFile | None = None
    purposes: PurposeFile | None = None
    baseline: Baseline | None = None


def read_project(directory: FilePath | None = None) -> ProjectFiles:
    """Read the files of a project. Its notice is the file in its directory, or else the one that pyproject.toml names.

    Args:
        directory: The directory, by default that of `find_directory`.

    Raises:
        NoticeError: With every fault of the files, or because there is no notice.
    """
    place = find_directory() if directory is None else Path(directory)
    notice = _read_notice(place)
    faults: list[Fault] = []

    def read(name: str, kind: type[F]) -> F | None:
        try:
            return kind.read(place / name, notice) if os.path.lexists(place / name) else None
        except NoticeError as error:
            faults.extend(error.faults)
            return None

    project = ProjectFiles(place, notice, read(TAGS, TagFile), read(PURPOSES, PurposeFile), read(BASELINE, Baseline))
    if faults:
        raise NoticeError(faults, str(place))
    return project


def _read_notice(place: Path) -> Notice:
    if (place / NOTICE).is_file():
        return Notice.load(place / NOTICE)
    setting = read_settings(place.resolve()).notice
    if setting is None:
        message = f"has no {NOTICE}, and `[tool.purposeguard]` in pyproject.toml names no `notice`"
        raise NoticeError([Fault("", message, "`purposeguard new` starts a notice")], str(place))
    return Notice.load(setting) if Path(setting).suffix == ".toml" else Notice.bundled(setting)
