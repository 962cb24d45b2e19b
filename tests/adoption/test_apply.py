"""`purposeguard adopt apply` writes the tags of `tags.toml` into classes, and keeps their formatting."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.command_line import run

_NUMBERS = itertools.count()


class Project:
    """A project with one module, whose name no other test uses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.module = f"applied_{next(_NUMBERS)}"
        self.path = root / f"{self.module}.py"
        self.tags = root / "privacy" / "tags.toml"
        self.tags.parent.mkdir()
        (root / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")

    def write(self, source: str, tags: str) -> None:
        """Write the module and its tags. `M` in the tags stands for the name of the module."""
        self.path.write_text(source, "utf-8", newline="")
        self.tags.write_text(tags.replace("M.", f"{self.module}."), "utf-8")

    def apply(self, *arguments: str, code: int = 0) -> Any:
        """Run the command, and return its report."""
        vocabulary = ("--vocabulary", "purposeguard.notices.trendmicro_jp as tm")
        result = run("adopt", "apply", *vocabulary, *arguments, "--format", "json", columns=300)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if result.stdout.startswith("{") else result.output

    def read(self) -> str:
        return self.path.read_bytes().decode()

    def run_again(self) -> None:
        """Run the command on what it wrote, which changes nothing. A module is imported once in a process."""
        command = [sys.executable, "-m", "purposeguard", "adopt", "apply", "--check", "--vocabulary"]
        subprocess.run([*command, "purposeguard.notices.trendmicro_jp as tm"], cwd=self.root, check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    project = Project(tmp_path)
    yield project
    sys.modules.pop(project.module, None)


SOURCE = '''\
"""Models."""

from __future__ import annotations

import dataclasses
from typing import NotRequired, Optional, TypedDict

import attrs
from pydantic import BaseModel, Field
from sqlalchemy import Column, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class User(BaseModel):
    id: int
    # The address.
    email: str = Field(
        default="",  # empty
    )
    nick: Optional[str] = None

    def method(self) -> None:
        email: str = "x"
        print(email)

    class Inner(BaseModel):
        email: str


@dataclasses.dataclass
class Point:
    x: int
    y: int = 3  # two


@attrs.define
class Ticket:
    text: str


class Doc(TypedDict, total=False):
    text: NotRequired[str]


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    old = Column(String(20), nullable=False)
    older = Column(
        String(20),
        nullable=False,
        info={"a": 1},
    )
'''
TAGS = """\
# Decided by the privacy officer.
["M.User"]
id = { source = "not-personal", subject = "customer" }
email = "1.1(a)"  # from the form
nick = ["1.1(c)", "1.1(a)"]

["M.User.Inner"]
email = "1.1(b)"

["M.*"]
x = "1.1(a)"
y = "undecided"
text = "1.1(b)"

["M.Row"]
id = "not-personal"
name = "1.1(a)"
old = "1.1(b)"
older = { source = ["1.1(b)", "1.1(c)"], collected = true }

["table audit"]
who = "1.1(a)"
"""
EXPECTED = {
    "from typing import NotRequired,": "from typing import Annotated, NotRequired,",
    "import attrs\n": (
        "import attrs\nimport purposeguard as pg\nfrom purposeguard.notices import trendmicro_jp as tm\n"
    ),
    "    id: int\n": '    id: Annotated[int, pg.Subject("customer"), pg.NotPersonal]\n',
    "    email: str = Field": "    email: Annotated[str, tm.Registration] = Field",
    "nick: Optional[str]": "nick: Annotated[Optional[str], tm.Registration, tm.Contract]",
    "        email: str\n": "        email: Annotated[str, tm.ProductData]\n",
    "x: int": "x: Annotated[int, tm.Registration]",
    "    text: str": "    text: Annotated[str, tm.ProductData]",
    "NotRequired[str]": "NotRequired[Annotated[str, tm.ProductData]]",
    "Mapped[int]": "Mapped[Annotated[int, pg.NotPersonal]]",
    "Mapped[str | None]": "Mapped[Annotated[str | None, tm.Registration]]",
    "nullable=False)": 'nullable=False, info={"purposeguard": tm.ProductData})',
    'info={"a": 1},': 'info={"a": 1, "purposeguard": (pg.Collected, tm.ProductData, tm.Contract)},',
}


def replace_all(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_tags_are_written_into_classes_of_each_kind(project: Project) -> None:
    project.write(SOURCE, TAGS)
    report = project.apply()
    assert project.read() == replace_all(SOURCE, EXPECTED)
    assert len(report["written"]) == 11
    reasons = {each["entry"].replace(project.module, "M"): (each["fields"], each["reason"]) for each in report["left"]}
    assert reasons == {
        "M.*": (["y"], "it is undecided"),
        "table audit": (["who"], "tables are tagged in the file alone"),
    }
    assert "# from the form" in project.tags.read_text("utf-8")
    project.run_again()


def require_success(*command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_written_code_passes_linters(project: Project) -> None:
    project.write(SOURCE, TAGS)
    project.apply()
    require_success("ruff", "check", "--isolated", "--ignore", "UP045", str(project.path))
    require_success("ruff", "format", "--check", str(project.path))


@pytest.mark.checkers
def test_the_written_code_passes_type_checkers(project: Project) -> None:
    project.write(SOURCE, TAGS)
    project.apply()
    require_success("mypy", str(project.path))


def test_entries_that_are_in_the_code_can_be_removed_from_the_file(project: Project) -> None:
    project.write(SOURCE, TAGS)
    project.apply("--move")
    expected = '# Decided by the privacy officer.\n["M.*"]\ny = "undecided"\n\n["table audit"]\nwho = "1.1(a)"\n'
    assert project.tags.read_text("utf-8").replace(project.module, "M") == expected


def test_a_difference_is_printed_and_nothing_is_written(project: Project) -> None:
    project.write(SOURCE, TAGS)
    report = project.apply("--check", code=1)
    assert report["files"] == [project.path.name]
    result = run("adopt", "apply", "--diff", columns=300)
    assert result.exit_code == 1
    assert "\n+    x: Annotated[int, trendmicro_jp.Registration]\n" in result.stdout
    assert project.read() == SOURCE


def test_a_tag_in_the_code_that_differs_is_a_fault_and_nothing_is_written(project: Project) -> None:
    source = (
        "from typing import Annotated\n\nfrom pydantic import BaseModel\n\n"
        "from purposeguard.notices import trendmicro_jp as tm\n\n\n"
        "class User(BaseModel):\n    name: str\n    email: Annotated[str, tm.Cookie]\n"
    )
    project.write(source, '["M.User"]\nname = "1.1(a)"\nemail = "1.1(a)"\n')
    output = project.apply(code=2)
    assert f"{project.path}:10" in output
    assert "the code says Label(2.3), and" in output
    assert "tags.toml, line 3, says Label(1.1(a))" in output
    assert project.read() == source


def test_present_tags_stay_and_missing_parts_are_added(project: Project) -> None:
    source = (
        "import typing as t\n\nimport purposeguard as guard\nfrom purposeguard.notices import trendmicro_jp\n"
        "from pydantic import BaseModel, Field\n\nEmail = t.Annotated[str, trendmicro_jp.Registration]\n\n\n"
        "class User(BaseModel):\n    email: Email\n    mails: list[Email]\n"
        "    key: t.Annotated[int, Field(gt=0), guard.Subject]\n"
        "    name: t.Annotated[\n        str,\n        Field(min_length=1),\n    ]\n"
    )
    tags = '["M.User"]\nemail = "1.1(a)"\nmails = "1.1(a)"\nname = "1.1(a)"\n'
    project.write(source, f'{tags}key = {{ source = "1.1(c)", subject = true }}\n')
    project.apply()
    changes = {
        "guard.Subject]": "guard.Subject, trendmicro_jp.Contract]",
        "        Field(min_length=1),\n": "        Field(min_length=1),\n        trendmicro_jp.Registration,\n",
    }
    assert project.read() == replace_all(source, changes)
    project.run_again()
