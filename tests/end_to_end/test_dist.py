"""The files of a release: the same bytes each time, with metadata that an index can show."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from tests.dist import build
from tests.locks import ROOT

pytestmark = pytest.mark.processes  # each build is a process

URL = "https://code.example/purposeguard"
LINK = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PROJECT_URL", URL)
        build(folder)
    return folder


def test_two_builds_have_the_same_bytes(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the time zone, the umask and the order of sets differ, and where the sdist is the source."""
    monkeypatch.setenv("PROJECT_URL", URL)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "again")
        (sdist,) = files.glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path / "source", filter="data")
        (source,) = (tmp_path / "source").iterdir()
        of_sdist = build(tmp_path / "of_sdist", "wheel", source=source)
    finally:
        os.umask(before)
    assert again == {path.name: path.read_bytes() for path in files.iterdir()}
    assert of_sdist.items() <= again.items()


def _metadata(files: Path) -> Metadata:
    (wheel,) = files.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(archive.read(name), validate=True)


def test_the_metadata_is_valid_and_names_the_repository(files: Path) -> None:
    metadata = _metadata(files)
    assert metadata.project_urls == {
        "Repository": URL,
        "Documentation": f"{URL}/blob/v{metadata.version}/docs/index.md",
        "Changelog": f"{URL}/blob/v{metadata.version}/CHANGELOG.md",
    }
    assert metadata.description_content_type == "text/markdown"


def test_each_link_of_the_description_works_outside_the_repository(files: Path) -> None:
    metadata = _metadata(files)
    links = LINK.findall(metadata.description or "")
    relative = LINK.findall((ROOT / "README.md").read_text("utf-8"))
    assert len(links) == len(relative) > 30
    for link, path in zip(links, relative, strict=True):
        kind = "raw" if path.startswith("docs/images/") else "blob"
        assert link == (path if "://" in path else f"{URL}/{kind}/v{metadata.version}/{path}")
        assert "://" in path or (ROOT / path.partition("#")[0]).exists()
