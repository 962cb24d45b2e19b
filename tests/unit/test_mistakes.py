"""Typical mistakes and what is said to them, in one file: tests/golden/mistakes.txt.

`python -m tests.golden.write` writes it anew.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import Result

from tests.oversights import Told
from tests.unit.command_line import run
from tests.unit.mistakes import COMMANDS, EDITS, FILES, NOTICE, PROGRAM, PROGRAMS

GOLDEN = Path(__file__).parents[1] / "golden" / "mistakes.txt"


@contextmanager
def folder() -> Generator[None]:
    """A folder with the notice, in which everything runs."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as path:
        os.chdir(path)
        try:
            Path("notice.toml").write_text(NOTICE, encoding="utf-8")
            yield
        finally:
            os.chdir(before)


def of_notice(content: bytes) -> str:
    """What `purposeguard validate` says of a file."""
    Path("notice.toml").write_bytes(content)
    return of_command("validate notice.toml")


def of_command(line: str) -> str:
    result: Result = run(*line.split(), columns=1000)
    return result.stderr.replace(f"{Path.cwd()}/", "")


def of_program(code: str) -> str:
    """What a program warns of, and where its traceback ends."""
    source, module = PROGRAM + code, types.ModuleType("shop")
    module.__dict__["governance"] = Told()
    linecache.cache["shop.py"] = (len(source), None, source.splitlines(keepends=True), "shop.py")
    sys.modules["shop"] = module
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            text = ""
            try:
                exec(compile(source, "shop.py", "exec"), module.__dict__)  # noqa: S102  # a program of this file
            except Exception as error:  # whatever it is, it is shown
                last = traceback.extract_tb(error.__traceback__)[-1]
                text = f'  File "{last.filename}", line {last.lineno}, in {last.name}\n    {last.line}\n'
                text += "".join(traceback.format_exception_only(error))
        said = [f"{Path(one.filename).name}:{one.lineno}: {one.category.__name__}: {one.message}\n" for one in warned]
        return "".join(said) + text
    finally:
        del sys.modules["shop"]


def answers() -> dict[str, tuple[str, str]]:
    """Mistake → what was written, and what is said."""
    found: dict[str, tuple[str, str]] = {}
    with folder():
        for name, (good, bad) in EDITS.items():
            found[name] = bad, of_notice(NOTICE.replace(good, bad).encode())
        for name, content in FILES.items():
            found[name] = content.decode("utf-8", "replace")[:60].partition("\n")[0], of_notice(content)
    with folder():
        for name, code in PROGRAMS.items():
            found[name] = code, of_program(code)
        for line in COMMANDS:
            found[f"$ purposeguard {line}"] = "", of_command(line)
    return found


def written() -> str:
    """The golden file."""
    parts = [f"What newcomers write, and what is said to them.\n\n# notice.toml\n\n{NOTICE}\n# shop.py\n\n{PROGRAM}"]
    for name, (code, said) in answers().items():
        shown = "".join(f"    {line}".rstrip() + "\n" for line in code.splitlines())
        gap = "\n" if shown else ""
        parts.append(f"## {name}\n\n{shown}{gap}{said}\n")
    return "".join(parts)


@pytest.fixture(scope="module")
def golden() -> Mapping[str, str]:
    parts = GOLDEN.read_text("utf-8").split("\n## ")
    return {part.partition("\n")[0]: part for part in parts[1:]}


@pytest.fixture(scope="module")
def anew() -> Mapping[str, str]:
    return {part.partition("\n")[0]: part for part in written().split("\n## ")[1:]}


NAMES = [*EDITS, *FILES, *PROGRAMS, *(f"$ purposeguard {line}" for line in COMMANDS)]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_was_reviewed(name: str, golden: Mapping[str, str], anew: Mapping[str, str]) -> None:
    assert anew[name].rstrip() == golden[name].rstrip(), "`python -m tests.golden.write` writes it anew"


@pytest.mark.parametrize("name", [*EDITS, *FILES])
def test_a_mistake_in_a_notice_has_its_line_and_a_cure(name: str, anew: Mapping[str, str]) -> None:
    said = [line for line in anew[name].splitlines() if "notice.toml:" in line and "fault" not in line]
    assert said
    for line in said:
        assert re.search(r"notice\.toml:[0-9]+:[0-9]+: .*\(help: .+\)$", line), line


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_traceback_ends_in_the_line_of_the_program(name: str, anew: Mapping[str, str]) -> None:
    assert re.search(r'^  File "shop\.py", line [0-9]+, in .*\n    .+\n\w', anew[name], re.MULTILINE)


def test_the_file_has_all_of_them_and_no_other(golden: Mapping[str, str]) -> None:
    assert list(golden) == NAMES
    assert len(NAMES) == len({*NAMES}) >= 40
