"""`purposeguard adopt apply` writes the tags of `tags.toml` into classes, and keeps their formatting."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purposeguard.notices import trendmicro_jp as tm
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
        return result.output if code == 2 else json.loads(result.stdout)

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


MODEL = "from pydantic import BaseModel\n\n\nclass User(BaseModel):\n    email: str\n"
TAG = '["M.User"]\nemail = "1.1(a)"\n'


@pytest.mark.parametrize(
    ("source", "encoding"),
    [
        (MODEL.replace("\n", "\r\n"), "utf-8"),
        (MODEL.replace("    ", "\t"), "utf-8"),
        (f"# café\n{MODEL}", "utf-8-sig"),
        (f"# -*- coding: latin-1 -*-\n# café\n{MODEL}", "latin-1"),
        (MODEL.removesuffix("\n"), "utf-8"),
    ],
    ids=["crlf", "tabs", "byte-order mark", "latin-1", "no last line end"],
)
def test_line_ends_indents_and_encodings_stay(project: Project, source: str, encoding: str) -> None:
    project.write("", TAG)
    project.path.write_bytes(source.encode(encoding))
    project.apply()
    content = project.path.read_bytes()
    text = content.decode(encoding)
    assert text.encode(encoding) == content
    kept = [line for line in text.splitlines(keepends=True) if "import" not in line and "Annotated" not in line]
    for line in source.splitlines(keepends=True):
        if "import" not in line and "email" not in line:
            assert line in kept
    assert text.count("\r\n") == (text.count("\n") if "\r\n" in source else 0)
    assert text.rstrip().endswith("email: Annotated[str, tm.Registration]")


def test_another_alias_is_chosen_for_a_name_that_means_something_else(project: Project) -> None:
    (project.root / "names.py").write_text("pg = 'from a star'\n", "utf-8")
    source = (
        "from names import *\nfrom pydantic import BaseModel\n\ntm = 3\n\n\nclass Annotated: ...\n\n\n"
        "class User(BaseModel):\n    email: str\n    id: int = tm\n"
    )
    project.write(source, f'{TAG}id = {{ source = "not-personal", subject = true }}\n')
    project.apply()
    text = project.read()
    assert "    email: Annotated_2[str, tm_2.Registration]\n" in text
    assert "    id: Annotated_2[int, pg_2.Subject, pg_2.NotPersonal] = tm\n" in text
    assert "from typing import Annotated as Annotated_2\n" in text
    project.run_again()


def test_names_that_are_imported_below_a_class_are_imported_above_it_under_others(project: Project) -> None:
    below = "from typing import Annotated, Any\n\nfrom purposeguard.notices import trendmicro_jp as tm\n"
    project.write(f"{MODEL}\n\n{below}", TAG)
    project.apply()
    text = project.read()
    assert "from typing import Annotated as Annotated_2\n" in text
    assert "    email: Annotated_2[str, tm_2.Registration]\n" in text
    assert text.endswith(below)
    project.run_again()


def test_files_outside_of_the_project_are_not_changed_through_links(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "models.py"
    outside.write_text(MODEL, "utf-8")
    project.write("", TAG)
    project.path.unlink()
    project.path.symlink_to(outside)
    assert [each["reason"] for each in project.apply()["left"]] == ["no file of the project defines such a class"]
    assert outside.read_text("utf-8") == MODEL


def test_what_cannot_carry_a_tag_is_left_with_a_reason(project: Project) -> None:
    source = (
        "from __future__ import annotations\n\nimport sys\nfrom dataclasses import dataclass\n"
        "from typing import TYPE_CHECKING, ClassVar\n\nimport msgspec\nfrom pydantic import BaseModel\n\n"
        "if TYPE_CHECKING:\n    from decimal import Decimal\n\n\n"
        "class Twice(BaseModel):\n    email: str\n\n\nclass Twice(BaseModel):\n    email: str\n\n\n"
        "if sys.version_info >= (3, 11):\n\n    class Conditional(BaseModel):\n        email: str\n\n\n"
        "def make():\n    class Inner(BaseModel):\n        email: str\n\n    return Inner\n\n\n"
        "class Plain:\n    email: str\n\n\nclass Packed(msgspec.Struct):\n    email: str\n\n\n"
        "class Base(BaseModel):\n    email: str\n\n\nclass Sub(Base):\n    name: str\n\n\n"
        "@dataclass\nclass Various:\n    constant: ClassVar[str] = ''\n    price: Decimal\n\n"
        "    @property\n    def email(self) -> str:\n        return ''\n"
    )
    names = ("Twice", "Conditional", "make.<locals>.Inner", "Plain", "Packed", "Sub", "Missing")
    tags = "".join(f'["M.{name}"]\nemail = "1.1(a)"\n' for name in names)
    project.write(
        source, f'{tags}["M.Various"]\nconstant = "1.1(a)"\nprice = "1.1(a)"\nemail = "1.1(a)"\ngone = "2.3"\n'
    )
    report = project.apply()
    changed = "    class Conditional(BaseModel):\n        email: Annotated[str, tm.Registration]\n"
    assert changed in project.read()
    assert len(report["written"]) == 1
    reasons = [
        (each["entry"].partition(".")[2], each["fields"], each["reason"].replace(project.module, "M"))
        for each in report["left"]
    ]
    kind = "a field of this kind carries no tag in the code"
    assert sorted(reasons) == [
        ("Missing", ["email"], "no file of the project defines such a class"),
        ("Packed", ["email"], kind),
        ("Plain", ["email"], kind),
        ("Sub", ["email"], "it belongs to M.Base, for which there is no such entry"),
        ("Twice", ["email"], "M.Twice is defined in several places, lines 14, 18"),
        ("Various", ["constant"], kind),
        ("Various", ["email"], "it is a method or a property"),
        ("Various", ["gone"], "no class of this entry has such a field"),
        ("Various", ["price"], "its annotation names `Decimal`, which is not imported"),
        ("make.<locals>.Inner", ["email"], "M.make.<locals>.Inner is defined in a function"),
    ]
    project.run_again()


@pytest.mark.parametrize("content", [b"class User(:\n", b"class User:\n    name = '\xff'\n", b"x = 1\0\n"])
def test_a_file_that_cannot_be_parsed_is_a_fault(project: Project, content: bytes) -> None:
    project.write("", TAG)
    project.path.write_bytes(content)
    assert f"{project.path}" in project.apply(code=2)
    assert project.path.read_bytes() == content


def test_all_files_are_written_or_none(project: Project) -> None:
    project.write(MODEL, f'{TAG}["second_of_two.User"]\nemail = "1.1(a)"\n')
    second = project.root / "second_of_two.py"
    second.write_text(MODEL, "utf-8")
    draft = project.root / f".{second.name}.{os.getpid()}.new"
    draft.mkdir()
    output = project.apply(code=2)
    assert f"{second} cannot be written, and no file was changed" in output
    assert project.read() == second.read_text("utf-8") == MODEL
    draft.rmdir()
    project.apply()
    assert project.read() == second.read_text("utf-8") != MODEL
    del sys.modules["second_of_two"]


def test_an_application_that_fails_to_import_is_named(project: Project) -> None:
    project.write(f"{MODEL}\nraise RuntimeError('no settings')\n", TAG)
    result = run("adopt", "apply", columns=300)
    assert result.exit_code == 0
    assert f"{project.module} cannot be imported: RuntimeError: no settings" in result.output
    assert "Annotated" not in project.read()


def test_a_vocabulary_of_another_notice_is_refused(project: Project) -> None:
    project.write(MODEL, TAG)
    result = run("adopt", "apply", "--vocabulary", "json")
    assert result.exit_code == 2
    assert "json is no generated module of a notice" in result.output
    notice = (Path(tm.__file__).with_name("notice.toml")).read_text("utf-8")
    project.tags.with_name("notice.toml").write_text(notice.replace("2024-04-01", "2025-04-01"), "utf-8")
    assert "is not the module of this notice" in project.apply(code=2)
    result = run("adopt", "apply", columns=300)
    assert "purposeguard codegen notice.toml" in result.output
