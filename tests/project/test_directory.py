"""The directory of a project and the files in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from purposeguard import Guard, Notice, NoticeError
from purposeguard import notices as bundled
from purposeguard.project.directory import find_directory, read_project, read_settings

NOTICE_FILE = Path(bundled.__file__).parent / "trendmicro_jp" / "notice.toml"


def test_the_directory_is_by_the_project_file_or_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "app" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert find_directory() == inner / "privacy"
    (tmp_path / "pyproject.toml").touch()
    assert find_directory() == tmp_path / "privacy"
    (inner / "privacy").mkdir()
    assert find_directory() == inner / "privacy"
    (tmp_path / "privacy").mkdir()
    assert find_directory(inner) == tmp_path / "privacy"
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\ndirectory = "app/data"\nnotice = "n.toml"\n')
    assert find_directory() == find_directory(tmp_path) == tmp_path / "app" / "data"
    assert read_settings(inner).notice == "../../n.toml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool.purposeguard]\nfolder = 'x'", "other keys than `language`, `notice` and `directory`"),
        ("[tool.purposeguard]\ndirectory = 1", "`directory` of .* must be a text in quotes"),
        ("tool = ", "cannot be read"),
        ("tool = 1", "has no notice"),
    ],
)
def test_a_faulty_project_file(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(NoticeError, match=message):
        read_project(tmp_path)


def test_a_folder_that_cannot_exist(tmp_path: Path) -> None:
    with pytest.raises(NoticeError, match=r"cannot be read: .*File name too long"):
        read_settings(tmp_path / ("x" * 1000))


def test_the_nearest_setting_counts(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.purposeguard]\nlanguage = 'en'\nnotice = 'eu'\nlang = 'not read'\n")
    inner = tmp_path / "app" / "pyproject.toml"
    inner.write_text("[tool.purposeguard]\nlanguage = 'ja'\nnotice = 'jp'\ndirectory = '.'\n")
    assert read_settings(tmp_path / "app")[:2] == ("ja", "jp")
    inner.write_text("[tool.purposeguard]\nlanguage = 'ja'\n")
    with pytest.raises(NoticeError, match="other keys"):
        read_settings(tmp_path / "app")


def test_the_files_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notice: Notice) -> None:
    monkeypatch.chdir(tmp_path)
    privacy = tmp_path / "privacy"
    privacy.mkdir()
    with pytest.raises(NoticeError, match=r"has no notice\.toml, and .* names no `notice`"):
        read_project()
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n')
    project = read_project()
    assert project.notice is notice
    assert (project.directory, project.tags, project.purposes, project.baseline) == (privacy, None, None, None)
    shutil.copy(NOTICE_FILE, tmp_path / "other.toml")
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "other.toml"\n')
    assert read_project().notice == notice
    shutil.copy(NOTICE_FILE, privacy / "notice.toml")
    (tmp_path / "pyproject.toml").unlink()
    for name in ("tags", "purposes", "baseline"):
        (privacy / f"{name}.toml").touch()
    project = read_project(privacy)
    assert project.notice == notice
    assert project.tags
    assert project.purposes
    assert project.baseline
    assert project.tags.notice is project.purposes.notice is project.baseline.notice is project.notice
    (privacy / "tags.toml").write_text("x = 1")
    (privacy / "purposes.toml").write_text("x = 1")
    (privacy / "baseline.toml").unlink()
    (privacy / "baseline.toml").symlink_to("nowhere")
    with pytest.raises(NoticeError) as caught:
        read_project()
    assert len(caught.value.faults) == 3


def test_the_examples_of_the_page_are_read(tmp_path: Path, notice: Notice) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "project-files.md").read_text("utf-8")
    tags, purposes, baseline = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    privacy = tmp_path / "privacy"
    privacy.mkdir()
    shutil.copy(NOTICE_FILE, privacy / "notice.toml")
    (privacy / "tags.toml").write_text(tags, "utf-8")
    (privacy / "purposes.toml").write_text(purposes.replace('"adult"', ""), "utf-8")
    (privacy / "baseline.toml").write_text(baseline, "utf-8")
    project = read_project(privacy)
    assert project.tags is not None
    assert project.purposes is not None
    assert project.baseline is not None
    assert len(project.tags.entries) == 3
    Guard(notice, tags=privacy / "tags.toml", purposes=privacy / "purposes.toml")
    assert len(project.baseline.rows) == 1
