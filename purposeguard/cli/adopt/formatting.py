"""The format of changed files: ruff formats those that it formatted before, if it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_COMMANDS: Final = (
    ("check", "--select", "I001", "--fix-only", "--no-cache", "--quiet"),
    ("format", "--no-cache", "--quiet"),
)


def keep_format(path: Path, old: bytes, new: bytes) -> bytes:
    """Return the new content of a file. If ruff sorted the imports or formatted the old one, it does so again.

    Args:
        path: The file, whose folder has the settings of ruff.
        old: The content before the change.
        new: The content after it.
    """
    beside = Path(sys.executable).with_name("ruff")
    ruff = str(beside) if beside.exists() else shutil.which("ruff")
    if ruff is None:
        return new
    for command in _COMMANDS:
        if _run([ruff, *command], path, old) == old:
            new = _run([ruff, *command], path, new)
    return new


def _run(command: list[str], path: Path, content: bytes) -> bytes:
    """Return the content as ruff changes it; unchanged if ruff fails."""
    arguments = [*command, "--stdin-filename", str(path), "-"]
    result = subprocess.run(arguments, input=content, capture_output=True, check=False)  # noqa: S603  # ruff alone
    return result.stdout if result.returncode == 0 and result.stdout else content
