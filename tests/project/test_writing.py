"""Files that are replaced atomically."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from purposeguard.project.writing import replace_file


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    with replace_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    text: Any = "a text, not bytes"
    with pytest.raises(TypeError), replace_file(path) as file:
        file.write(text)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("new", [path])
    with replace_file(path, private=True) as file:
        file.write(b"secret")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("secret", 0o600)


def test_a_device_is_written_and_a_directory_refused(tmp_path: Path) -> None:
    with replace_file(Path(os.devnull)) as file:
        file.write(b"text")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(IsADirectoryError), replace_file(tmp_path):
        pass
