"""`purposeguard lint`: what it prints, and how it ends."""

import json
import os
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from purposeguard.cli import render
from purposeguard.cli.lint import RULES
from tests.unit.command_line import ROOT, process, run

WRONG = "from pydantic import BaseModel\n\n\nclass Customer(BaseModel):\n    email: str\n    phone: str\n"
RIGHT = "x = 1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG, "utf-8")
    (tmp_path / "right.py").write_text(RIGHT, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["right.py"], 0),
        (["."], 1),
        (["right.py", "wrong.py"], 1),
        ([".", "--rule", "map-lets-out"], 0),
        ([".", "--exclude", "wrong.py"], 0),
        ([], 2),
        (["nowhere.py"], 2),
        ([".", "--rule", "untaged-personal-field"], 2),
        ([".", "--format", "xml"], 2),
        ([".", "--output", "no/such/folder/out.txt"], 2),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else str(value),
)
def test_exit_codes(arguments, code, folder):
    result = run("lint", *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert bool(result.stderr) is (code == 2)


def test_a_file_that_cannot_be_read_is_bad_input_and_the_rest_is_told(folder):
    (folder / "bad.py").write_text("x = (\n", "utf-8")
    (folder / "notes.ipynb").write_text("{}", "utf-8")
    result = run("lint", ".")
    assert result.exit_code == 2
    assert "wrong.py:5:5: untagged-personal-field" in result.stdout
    assert "error: bad.py:1: is not valid Python" in result.stderr
    assert "note: notes.ipynb is a notebook and was skipped" in result.stderr


def test_a_notebook_is_bad_input(folder):
    (folder / "notes.ipynb").write_text("{}", "utf-8")
    result = run("lint", "notes.ipynb")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: notes.ipynb is a notebook")


def test_a_finding_is_a_line_and_its_help_is_said_once(folder):
    result = run("lint", ".")
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "wrong.py:5:5: untagged-personal-field: `Customer.email` has no tag, and its name indicates an e-mail address"
    )
    assert lines[1].startswith("wrong.py:6:5: untagged-personal-field: `Customer.phone`")
    assert sum("tag it with its source" in one for one in lines) == 1
    assert lines[-1] == "2 findings in 2 files"


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_paths_may_hold_anything(form, folder):
    for name in (b"a\x1b[31m\nb.py", b"c\xff.py"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(WRONG, "utf-8")
    written = folder / "out"
    run("lint", str(folder), "--format", form, "--output", str(written))
    text = written.read_text("utf-8")
    assert "\x1b" not in text
    assert {"text": r"a\x1b[31m\x0ab.py:5:5", "json": r"a\u001b[31m\nb.py", "sarif": "a%1B%5B31m%0Ab.py"}[form] in text
    assert {"text": r"c\xff.py:5:5", "json": r"c\\xff.py", "sarif": "c%5Cxff.py"}[form] in text


def test_nothing_found(folder):
    assert run("lint", "right.py").stdout == "nothing found in 1 file\n"


def test_what_is_allowed_is_counted(folder):
    (folder / "wrong.py").write_text(
        WRONG.replace("email: str", "email: str  # purposeguard: allow[untagged-personal-field] of the shop"), "utf-8"
    )
    assert run("lint", ".").stdout.splitlines()[-1] == "1 finding in 2 files, 1 allowed"


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_other_forms(form, folder):
    result = run("lint", ".", "--format", form)
    assert result.exit_code == 1
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert len(printed["findings"] if form == "json" else printed["runs"][0]["results"]) == 2
    assert "顧客" not in result.stdout
    assert run("lint", ".", "--format", form, "-o", "out").stdout == ""
    assert json.loads((folder / "out").read_text("utf-8")) == printed
    assert (folder / "out").read_text("utf-8") == render.json_text(printed)


def test_text_into_a_file(folder):
    result = run("lint", ".", "-o", "out.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len((folder / "out.txt").read_text("utf-8").splitlines()) == 2


def test_an_unknown_rule_is_answered_with_the_nearest(folder):
    result = run("lint", ".", "--rule", "broad-exept", columns=200)
    assert "there is no rule `broad-exept` (help: broad-except)" in result.stderr


def test_help_fits_and_documents_its_exit_codes():
    text = run("lint", "--help").stdout
    assert re.search(r"Exit codes: 0 .*2 ", " ".join(text.split()))
    assert max(map(cell_len, text.splitlines())) <= 80


def test_the_page_names_every_option():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    section = re.search(r"^## lint$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section
    for option in set(re.findall(r"--[a-z]+", run("lint", "--help", columns=200).stdout)) - {"--help", "--language"}:
        assert f"`{option}" in section[1], option


def test_the_page_has_a_section_for_each_rule():
    page = (ROOT / "docs" / "reference" / "lint.md").read_text("utf-8")
    headings = re.findall(r"^## `([\w-]+)`$", page, re.MULTILINE)
    assert headings == [one.id for one in RULES]


def test_in_a_process_of_its_own(folder):
    done = process("lint", ".", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "2 findings in 2 files"
    assert done.stderr == ""
