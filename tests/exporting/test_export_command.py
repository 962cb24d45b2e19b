"""`purposeguard export cedar`, `fides` and `dpv`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purposeguard.notice.export import dpv, fides
from purposeguard.notice.export.cedar import export
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import OVERLAY, ROOT, TINY, process, run

FILES = ["entities.json", "policies.cedar", "schema.cedarschema"]


def test_it_writes_the_files_into_a_folder_that_it_makes(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cedar"
    result = run("export", "cedar", "trendmicro-jp", "-o", folder)
    assert (result.exit_code, result.output) == (0, "")
    assert sorted(one.name for one in folder.iterdir()) == FILES
    for name, told in export(tm.NOTICE.document).items():
        assert (folder / name).read_bytes() == told.encode()


def test_check_says_what_is_stale_and_writes_nothing(tmp_path: Path) -> None:
    result = run("export", "cedar", "trendmicro-jp", "-o", tmp_path, "--check", "--language", "ja")
    assert result.exit_code == 1
    assert result.stderr.count("がありません") == 3
    assert list(tmp_path.iterdir()) == []
    assert f"実行するコマンド: purposeguard export cedar trendmicro-jp -o {tmp_path} --language ja" in result.stderr

    assert run("export", "cedar", "trendmicro-jp", "-o", tmp_path).exit_code == 0
    policies = tmp_path / "policies.cedar"
    policies.write_text(policies.read_text("utf-8").replace("1.1(c)", "1.1(b)"), "utf-8")
    before = policies.read_bytes()
    result = run("export", "cedar", "trendmicro-jp", "-o", tmp_path, "--check")
    assert result.exit_code == 1
    assert result.stderr.count("stale:") == 1
    assert "policies.cedar is not what it should be" in result.stderr
    assert policies.read_bytes() == before


def test_overlays_are_exported_too(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    (tmp_path / "scanner.toml").write_text(OVERLAY, "utf-8")
    given = ("export", "cedar", tmp_path / "tiny.toml", "-o", tmp_path)
    assert run(*given, "--overlay", tmp_path / "scanner.toml").exit_code == 0
    assert '@id("scanner-names")' in (tmp_path / "policies.cedar").read_text("utf-8")
    result = run(*given, "--check")
    assert result.exit_code == 1
    result = run(*given, "--check", "--overlay", tmp_path / "scanner.toml", "--language", "ja")
    assert f"--overlay {tmp_path / 'scanner.toml'} --language ja" in result.stderr


def test_bad_input(tmp_path: Path) -> None:
    assert run("export", "cedar", "acme", "-o", tmp_path).exit_code == 2
    assert run("export", "cedar", "trendmicro-jp").exit_code == 2
    (tmp_path / "faulty.toml").write_text(TINY.replace('sources = ["1"]', 'sources = ["7"]'), "utf-8")
    result = run("export", "cedar", tmp_path / "faulty.toml", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "unknown source `7`" in result.stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    result = run("export", "cedar", "trendmicro-jp", "-o", tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot be made" in result.stderr


def test_it_needs_no_engine() -> None:
    code = (
        "import sys; sys.modules['cedarpy'] = None\n"
        "from purposeguard.cli.main import main; sys.argv[1:] = ['export', 'cedar', 'acme', '-o', 'x']; main()"
    )
    result = process(code=code)
    assert result.returncode == 2
    assert "no bundled notice is called `acme`" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize("engine", ["cedar", "fides", "dpv"])
def test_the_page_names_every_option(engine: str) -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    section = re.search(rf"^## export {engine}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section
    told = run("export", engine, "--help", columns=200).stdout
    assert re.search(r"Exit codes: 0 .*2 ", told)
    for option in set(re.findall(r"--[a-z]+", told)) - {"--help", "--language"}:  # which every command has
        assert f"`{option}" in section[1], option


def test_manifests_and_a_graph_are_written_and_compared(tmp_path: Path) -> None:
    texts = {"fides": fides.export(tm.NOTICE.document, "ja"), "dpv": dpv.export(tm.NOTICE.document)}
    for engine, language in (("fides", ["--language", "ja"]), ("dpv", [])):
        folder = tmp_path / engine
        given = ("export", engine, "trendmicro-jp", "-o", folder, *language)
        assert run(*given, "--check").exit_code == 1
        result = run(*given)
        assert (result.exit_code, result.output) == (0, "")
        assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == texts[engine]
        assert run(*given, "--check").exit_code == 0


def test_a_guard_adds_what_is_tagged(tmp_path: Path) -> None:
    given = ("export", "fides", "trendmicro-jp", "-o", tmp_path, "--guard", "examples.shop.app:guard")
    imports = ("--import", "examples.shop.activities.mail")
    assert run(*given, *imports).exit_code == 0
    dataset = (tmp_path / "dataset.yml").read_text("utf-8")
    assert '"name": "examples.shop.repository.customer"' in dataset
    assert "notice-trendmicro-jp.customer.registration" in dataset
    (tmp_path / "dataset.yml").unlink()
    result = run(*given, *imports, "--check")
    assert result.exit_code == 1
    assert f"-o {tmp_path} --guard examples.shop.app:guard --import examples.shop.activities.mail" in result.stderr


def test_a_guard_of_another_notice_is_refused(tmp_path: Path) -> None:
    notice = ROOT / "examples" / "gdpr" / "notice.toml"
    result = run("export", "fides", notice, "-o", tmp_path, "--guard", "examples.shop.app:guard")
    assert result.exit_code == 2
    assert "the guard holds to trendmicro-jp of 2024-04-01" in result.stderr
    assert list(tmp_path.iterdir()) == []
