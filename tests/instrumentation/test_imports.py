"""Hooks that run after imports, and the start of observation in a process."""

import importlib.resources
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from purposeguard.instrumentation.imports import ImportHooks
from purposeguard.instrumentation.startup import build_environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder from which modules are imported."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_hook_runs_after_the_first_import(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hooked_module.py").write_text("value = 1\n", "utf-8")
    hooks = ImportHooks()
    seen: list[int] = []
    hooks.add("hooked_module", lambda module: seen.append(module.value))
    monkeypatch.setattr(sys, "meta_path", [hooks, *sys.meta_path])
    import hooked_module  # type: ignore[import-not-found]  # written above

    assert seen == [1]
    assert type(hooked_module.__loader__) is type(hooked_module.__spec__.loader)
    assert type(hooked_module.__loader__).__name__ == "SourceFileLoader"
    hooks.add("hooked_module", lambda module: seen.append(2))
    assert seen == [1, 2]


def test_a_module_that_is_not_there_is_an_ordinary_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = ImportHooks()
    hooks.add("no_such_module", lambda _: None)
    monkeypatch.setattr(sys, "meta_path", [hooks, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError):
        __import__("no_such_module")


def test_a_module_that_fails_is_hooked_when_it_succeeds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = folder / "failing_module.py"
    module.write_text("raise ValueError(7)\n", "utf-8")
    hooks = ImportHooks()
    seen: list[ModuleType] = []
    hooks.add("failing_module", seen.append)
    monkeypatch.setattr(sys, "meta_path", [hooks, *sys.meta_path])
    with pytest.raises(ValueError, match="7"):
        __import__("failing_module")
    assert not seen
    module.write_text("value = 12345\n", "utf-8")
    assert __import__("failing_module") is seen[0]


def test_a_search_for_a_module_does_not_use_up_its_hooks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sought_module.py").write_text("value = 1\n", "utf-8")
    hooks = ImportHooks()
    seen: list[ModuleType] = []
    hooks.add("sought_module", seen.append)
    monkeypatch.setattr(sys, "meta_path", [hooks, *sys.meta_path])
    assert importlib.util.find_spec("sought_module") is not None
    module = importlib.import_module("sought_module")
    assert seen == [module]
    importlib.reload(module)
    assert seen == [module]


def test_a_module_in_an_archive_is_hooked_and_its_data_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_package/__init__.py", "value = 1\n")
        file.writestr("zipped_package/data.txt", "text")
    monkeypatch.syspath_prepend(archive)
    hooks = ImportHooks()
    seen: list[ModuleType] = []
    hooks.add("zipped_package", seen.append)
    monkeypatch.setattr(sys, "meta_path", [hooks, *sys.meta_path])
    module = importlib.import_module("zipped_package")
    assert seen == [module]
    assert importlib.resources.files(module).joinpath("data.txt").read_text("utf-8") == "text"


def run_python(code: str, directory: Path, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that is observed."""
    environment = build_environment(directory, tmp_path / "evidence.sqlite", variables)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )


def test_another_sitecustomize_runs_as_well(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import sys\nsys.other_sitecustomize = True\n", "utf-8")
    code = "import sys; print(sys.other_sitecustomize)"
    ended = run_python(code, tmp_path / "nowhere", tmp_path, PYTHONPATH=str(other))
    assert ended.stdout == "True\n", ended.stderr


def test_a_process_whose_project_cannot_be_read_runs_unobserved(tmp_path: Path) -> None:
    ended = run_python("print(1)", tmp_path / "nowhere", tmp_path)
    assert (ended.stdout, ended.returncode) == ("1\n", 0)
    assert ended.stderr.startswith("purposeguard: this process is not observed: ")
    assert ended.stderr.count("\n") < 5


def test_processes_that_are_not_observed_import_nothing(tmp_path: Path) -> None:
    environment = build_environment(tmp_path, tmp_path / "evidence.sqlite", {})
    del environment["PURPOSEGUARD_OBSERVE"]
    code = "import sys; print('purposeguard' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout == "False\n", ended.stderr
