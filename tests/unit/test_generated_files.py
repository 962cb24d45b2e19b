import os
import re
import stat
from pathlib import Path

import pytest

from tests.unit.command_line import ROOT, RULES, run


def test_codegen_writes_the_checked_in_module(tmp_path):
    text = (RULES / "__init__.py").read_text("utf-8")
    assert run("codegen", RULES / "notice.toml").stdout == text
    assert run("codegen", "trendmicro-jp").stdout == text
    made = tmp_path / "made.py"
    assert run("codegen", RULES / "notice.toml", "-o", made).exit_code == 0
    assert made.read_bytes() == text.encode()
    assert [one.name for one in tmp_path.iterdir()] == ["made.py"]


GENERATED = [["codegen", str(RULES / "notice.toml")], ["schema"]]


@pytest.mark.parametrize("command", GENERATED, ids=lambda command: command[0])
def test_check_passes_when_up_to_date_and_fails_when_stale(command, tmp_path):
    path = tmp_path / "made"
    result = run(*command, "-o", path, "--check")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert not path.exists()

    assert run(*command, "-o", path).exit_code == 0
    result = run(*command, "-o", path, "--check")
    assert (result.exit_code, result.output) == (0, "")

    text = path.read_text("utf-8")
    stale = text.replace("1.2(1)①", "1.2(1)⑨").replace("the notice file", "a").replace("notice's own", "notices")
    assert stale != text
    path.write_text(stale, "utf-8")
    result = run(*command, "-o", path, "--check")
    assert result.exit_code == 1
    assert path.read_text("utf-8") == stale
    assert result.stdout == ""
    assert f"{path} is not what it should be" in result.stderr
    assert f"run: purposeguard {' '.join(command)} -o {path}" in result.stderr
    assert re.search(r"^  \+.", result.stderr, re.MULTILINE)

    path.write_bytes(b"\xff\xfe")
    assert run(*command, "-o", path, "--check").exit_code == 1
    assert run(*command, "-o", path).exit_code == 0
    assert path.read_text("utf-8") == text


def test_check_shows_no_endless_difference(tmp_path):
    path = tmp_path / "made.py"
    path.write_text("nothing\n" * 500)
    result = run("codegen", "trendmicro-jp", "-o", path, "--check")
    assert len(result.stderr.splitlines()) < 30
    assert re.search(r"… and \d+ more lines", result.stderr)


def test_check_minds_a_missing_last_line_break_and_not_the_kind_of_line_ends(tmp_path):
    path = tmp_path / "schema.json"
    run("schema", "-o", path)
    written = path.read_bytes()
    for changed, code in ((written.replace(b"\n", b"\r\n"), 0), (written.removesuffix(b"\n"), 1)):
        path.write_bytes(changed)
        assert run("schema", "-o", path, "--check").exit_code == code


@pytest.mark.parametrize("command", GENERATED, ids=lambda command: command[0])
def test_check_needs_a_file(command):
    result = run(*command, "--check")
    assert result.exit_code == 2
    assert "-o FILE" in result.stderr


def test_the_checked_in_schema_is_up_to_date():
    schema = ROOT / "purposeguard" / "notices" / "notice.schema.json"
    assert run("schema", "-o", schema, "--check").exit_code == 0
    assert run("schema").stdout == schema.read_text("utf-8")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "made.py"
    path.write_text("old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    result = run("codegen", "trendmicro-jp", "-o", path)
    assert result.exit_code == 2
    assert result.stderr == f"error: {path} cannot be written: No space left on device\n"
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["made.py"]


def test_a_written_file_keeps_its_permissions_and_its_link(tmp_path):
    path, link = tmp_path / "made.py", tmp_path / "link.py"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    assert run("codegen", "trendmicro-jp", "-o", link).exit_code == 0
    assert link.is_symlink()
    assert path.read_text("utf-8") == (RULES / "__init__.py").read_text("utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("place", ["no/such/folder/made.py", ".", "/", "file/made.py"])
def test_a_place_that_cannot_be_written(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    result = run("schema", "-o", place)
    assert result.exit_code == 2
    assert f"{place} cannot be written: " in result.stderr
    result = run("schema", "-o", place, "--check")
    assert result.exit_code in {1, 2}
    assert "Traceback" not in result.output


def test_a_device_is_written_to(capfd):
    assert run("schema", "-o", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()
