"""A notice with channels and a family, and a folder in which files are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from purposeguard import Notice, NoticeError
from purposeguard.notices import trendmicro_jp as tm
from tests.unit import conditions


@pytest.fixture
def notice() -> Notice:
    return tm.NOTICE


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a file and returns its path."""

    def write_file(text: str, name: str = "file.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write_file


@pytest.fixture
def refuse(write: Callable[..., Path], notice: Notice) -> Callable[..., list[str]]:
    """A function that reads a faulty file and returns its faults, without the path."""

    def list_faults(kind: Any, text: str) -> list[str]:
        path = write(text)
        with pytest.raises(NoticeError) as caught:
            kind.read(path, notice)
        faults = [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults]
        assert all(fault.line for fault in caught.value.faults)
        return faults

    return list_faults


@pytest.fixture
def conditional() -> Notice:
    """A notice that names conditions."""
    return Notice.parse(conditions.tables())
