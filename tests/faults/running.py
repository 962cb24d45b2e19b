"""One run of the shop's tests over a copy of the example, in a process of its own; what it fails with, and why."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard import errors
from purposeguard.errors import StoreUnavailable
from purposeguard.testing import Interference, Leaked
from tests.faults.corpus import ROOT
from tests.faults.sighting import Seen, Sighting
from tests.faults.suites import PARTS, suite_of, tool_of


def seen(copy: Path, folder: Path, part: str, only: Sequence[str] = (), reach: str = "") -> Seen:
    """What is seen of the copy by a part of the tests, or by those of them that `only` names.

    Of proofs, which are of one part of the work each, those are run that ask for what reaches the fault, where any do.
    `folder` is for what they write. The modules of the copy are imported here and stay so: never more than one copy in
    a process.
    """
    sys.path.insert(0, str(copy))
    errors.ALL_FRAMES = True  # what the library raises is told by its frames
    here = folder / "here"
    here.mkdir()
    os.chdir(here)  # where code writes that names no folder
    try:
        _start(copy, folder)
    except Exception as error:
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if isinstance(error, pg.PurposeGuardError) or Path(last.f_code.co_filename).is_relative_to(LIBRARY):
            return Seen([Sighting("start", type(error).__name__, _line(error))])
        return Seen(crashes=[f"it does not start: {type(error).__name__}: {_line(error)}"])
    if list(only) == ["start"]:
        return Seen()
    recorder = _Recorder(reach)
    paths = [str(ROOT / one) for one in only or PARTS[part]]
    options = [
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(ROOT),
        "-o",
        "pythonpath=",
        "-p",
        "no:cacheprovider",
        "-m",
        "not deep",
    ]
    # Modules that pytest would rewrite are here already, and assert nothing.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    options += ["-q", "--basetemp", str(folder / "pytest"), "--tb=short"]
    report = folder / "report.json"
    if part == "tests" and not only:
        options += ["--purposeguard-json", str(report)]
    code = pytest.main([*options, *paths], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        recorder.seen.crashes.append(f"pytest ends with {code!r}")
    if report.exists() and not recorder.seen.sightings:  # it is read where all tests pass
        recorder.seen.sightings += _reported(json.loads(report.read_text("utf-8")))
    return recorder.seen


def _start(copy: Path, folder: Path) -> None:
    app = importlib.import_module("examples.shop.app")
    if not Path(str(app.__file__)).is_relative_to(copy):
        raise RuntimeError(f"the example was imported from {app.__file__}")
    settings = importlib.import_module("examples.shop.settings").Settings(
        database_url=f"sqlite:///{folder / 'shop.db'}",
        governance_url=f"sqlite:///{folder / 'privacy.db'}",
        reports_folder=folder / "reports",
        mistakes=True,
    )
    testclient = importlib.import_module("fastapi.testclient")
    with testclient.TestClient(app.create_app(settings)):
        pass


class _Recorder:
    """A plugin of pytest: takes down what tests fail with."""

    def __init__(self, reach: str) -> None:
        self.seen = Seen()
        self._reached = [re.compile(re.sub(r"(?<=/)\d+", r"\\d+", re.escape(one))) for one in _ASKED.findall(reach)]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves the proofs that ask for what reaches the fault."""
        proofs = {one: work for one in items if (work := _work_of(one)) is not None}
        asking = {one for one, work in proofs.items() if self._asks(work.requests)}
        if asking:
            items[:] = [one for one in items if one not in proofs or one in asking]

    def _asks(self, requests: Iterable[tuple[str, str, object]]) -> bool:
        asked = [f"{method} {path.partition('?')[0]}" for method, path, _ in requests]
        return any(one.fullmatch(request) for one in self._reached for request in asked)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around the others, which add to the report
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
        report: pytest.TestReport = yield
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            file = item.path.relative_to(ROOT).as_posix()
            kind = _kind(error, [title for title, _ in report.sections])
            if kind == "broken":
                self.seen.crashes.append(f"{item.nodeid}: {type(error).__name__}: {_line(error)}")
            elif kind is not None and (tool := tool_of(file, kind)):
                self.seen.sightings.append(Sighting(tool, item.nodeid, f"{type(error).__name__}: {_line(error)}"))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """One that fails is enough: the others of its kind are not run any more."""
        suite = suite_of(item.path.relative_to(ROOT).as_posix())
        if any(suite_of(one.by.partition("::")[0]) == suite for one in self.seen.sightings):
            pytest.skip("another has failed")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.seen.crashes.append(f"{report.nodeid} is not collected: {str(report.longrepr)[-300:]}")


_ASKED = re.compile(r"(?:GET|POST|PUT) /[\w/{}.-]*[\w}]")


def _work_of(item: pytest.Item) -> Any:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("work")


REFUSED = "refused by the guard"
"""The title of the section that the shop's own tests add to a failure where the last answer was a refusal."""


LIBRARY = Path(pg.__file__).parent
"""What it raises refuses something, whatever the class."""

_TESTS = str(ROOT / "tests")


def _kind(error: BaseException, sections: Sequence[str]) -> str | None:
    """What a test failed with: `broken` where the copy is, None where the code stumbles over something of its own."""
    errors = list(_behind(error))
    for kind, types in (("interference", Interference), ("leaked", Leaked)):
        if any(isinstance(one, types) for one in errors):
            return kind
    if any(isinstance(one, StoreUnavailable) for one in errors):
        return None  # a machine under load, which is no fault of the code
    if any(isinstance(one, pg.PurposeGuardError) for one in errors):
        return "refused"
    if isinstance(error, NameError | ImportError | SyntaxError):
        return "broken"
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    # A test may trip over an answer before it asserts anything of it.
    if isinstance(error, AssertionError | pytest.fail.Exception) or last.f_code.co_filename.startswith(_TESTS):
        return "refused" if REFUSED in sections else "assertion"
    return None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """An error, those in it and those that it came of."""
    met: list[BaseException] = []
    to_come: list[BaseException | None] = [error]
    while to_come:
        one = to_come.pop()
        if one is None or any(one is other for other in met):
            continue
        met.append(one)
        yield one
        to_come += [one.__cause__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _reported(report: dict[str, Any]) -> list[Sighting]:
    """What the plugin tells, beside the figures."""
    found = [
        Sighting("plugin", "never called", one["function"])
        for one in report["accesses"]
        if not one["called"] and one["function"].startswith("examples.")
    ]
    found += [
        Sighting("plugin", "never ran", one["activity"])
        for one in report["activities"]
        if not one["ran"] and one["activity"].startswith("examples.")
    ]
    if report["percent"] < LEAST:
        found.append(Sighting("plugin", "cells", f"{report['percent']:.1f} % of cells exercised"))
    return found


LEAST = 0.0
"""What the shop's team asks for by `--purposeguard-fail-under`."""
