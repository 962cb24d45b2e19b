"""What `--purposeguard-compare` tells of a run and an earlier report, and when it fails the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.testing.plugin.runs import SERVICE, TESTS, Run, has_xdist, run, write

TITLE = "changes since before.json (! marks those that fail the run)"
FAILURE = (
    "FAIL: purposes, channels or sources changed since before.json: {} (!). "
    "To accept the changes, write the report anew: pytest --purposeguard-json=before.json"
)
REMIND = "@guard.purpose(tm.RenewalGuidance)\ndef remind"
SURVEY = "@guard.purpose(tm.AnyFeedback)\ndef survey(key: int) -> str:\n    return customer(key).email"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on the service as it is."""
    folder = tmp_path_factory.mktemp("before")
    write(folder, service=SERVICE, test_service=TESTS)
    done = run(folder, "--purposeguard-json=before.json")
    assert done.code == pytest.ExitCode.OK, done.out
    return (folder / "before.json").read_text("utf-8")


def compare(folder: Path, before: str, service: str, *options: str, tests: str = TESTS, workers: int = 0) -> Run:
    """Run the tests over a service, and compare."""
    (folder / "before.json").write_text(before, "utf-8")
    write(folder, service=service, test_service=tests)
    return run(folder, "--purposeguard-compare=before.json", *options, workers=workers)


def changes(done: Run) -> list[str]:
    lines = done.section()
    below = lines[lines.index(TITLE) + 1 :]
    return below[: next(number for number, line in enumerate(below) if line[0] not in " !")]


def replaced(old: str, new: str, text: str = SERVICE) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_the_same_service_has_not_changed(tmp_path: Path, before: str) -> None:
    done = compare(tmp_path, before, SERVICE)
    assert done.code == pytest.ExitCode.OK, done.out
    assert changes(done) == ["  none"]
    assert "FAIL" not in done.out


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (
            REMIND,
            REMIND.replace("RenewalGuidance", "ProductProvision"),
            "service.remind: for 1.2(2)①, was for 1.2(1)①",
        ),
        (
            REMIND,
            REMIND.replace("Guidance)", 'Guidance, channel="email")'),
            "service.remind: for 1.2(1)① by email, was for 1.2(1)①",
        ),
        (SURVEY, f"{SURVEY} + device(key).serial", "service.survey: uses 1.1(b), which it did not"),
    ],
    ids=["purpose", "channel", "source"],
)
def test_a_change_of_purpose_channel_or_sources_fails_the_run(
    tmp_path: Path, before: str, old: str, new: str, change: str
) -> None:
    tests = TESTS.replace('assert service.survey(1) == "aiko@example.com"', "service.survey(1)")
    done = compare(tmp_path, before, replaced(old, new), "--purposeguard-json=out.json", tests=tests)
    assert done.code == pytest.ExitCode.TESTS_FAILED
    assert "6 passed" in done.out
    assert changes(done) == [f"! {change}"]
    assert done.section()[-1] == FAILURE.format(1)
    activity, _, text = change.partition(": ")
    assert done.tables["changes"] == [{"activity": activity, "change": text, "matters": True}]


def test_what_is_new_gone_or_used_no_longer_is_told_and_does_not_fail(tmp_path: Path, before: str) -> None:
    service = replaced("def careful(", "def cautious(")
    service = replaced(
        "    return customer(key).email\n\n@guard.purpose(tm.AnyFeedback)",
        '    return "aiko@example.com"\n\n@guard.purpose(tm.AnyFeedback)',
        service,
    )
    tests = TESTS.replace("careful(", "cautious(") + "\n\ndef test_warn():\n    service.warn(1)\n"
    done = compare(tmp_path, before, service, tests=tests)
    assert done.code == pytest.ExitCode.OK, done.out
    assert changes(done) == [
        "  service.careful: gone",
        "  service.cautious: new, for 1.2(1)①; uses nothing",
        "  service.remind: no longer uses 1.1(a), 1.1(c)",
        "  service.warn: uses 1.1(b), which it did not; it had never run",
    ]


def test_an_activity_that_no_test_ran_is_told_as_such(tmp_path: Path, before: str) -> None:
    done = compare(tmp_path, before, SERVICE, "-k", "not survey")
    assert done.code == pytest.ExitCode.OK, done.out
    assert changes(done) == ["  service.survey: no longer uses 1.1(a), 1.1(c); it never ran"]


@pytest.mark.skipif(not has_xdist(), reason="needs pytest-xdist")
def test_several_processes_are_compared_as_one(tmp_path: Path, before: str) -> None:
    service = replaced(REMIND, REMIND.replace("RenewalGuidance", "ProductProvision"))
    done = compare(tmp_path, before, service, workers=2)
    assert done.code == pytest.ExitCode.TESTS_FAILED
    assert done.section()[-1] == FAILURE.format(1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no report at before.json; write it anew: pytest --purposeguard-json=before.json"),
        ("{", "before.json holds no report of purposeguard; write it anew: pytest --purposeguard-json=before.json"),
        ("[]", "before.json holds no report of purposeguard; write it anew: pytest --purposeguard-json=before.json"),
        ('{"format": 2}', "before.json holds no report of purposeguard; write it anew: pytest"),
        ('{"format": 1}', "before.json has format 1, and only format 2 is compared; write it anew: pytest"),
    ],
)
def test_a_report_that_cannot_be_read_is_an_error(tmp_path: Path, content: str | None, problem: str) -> None:
    write(tmp_path, service=SERVICE, test_service=TESTS)
    if content is not None:
        (tmp_path / "before.json").write_text(content, "utf-8")
    done = run(tmp_path, "--purposeguard-compare=before.json")
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --purposeguard-compare: {problem}" in done.out
    assert "passed" not in done.out


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    write(tmp_path, service=SERVICE, test_service=TESTS)
    (tmp_path / "before.json").mkdir()
    done = run(tmp_path, "--purposeguard-compare=before.json")
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "before.json cannot be read: " in done.out


def test_a_run_does_not_accept_its_own_changes(tmp_path: Path, before: str) -> None:
    done = compare(tmp_path, before, SERVICE, "--purposeguard-json=./before.json")
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "--purposeguard-compare and --purposeguard-json name the same file, before.json" in done.out
    assert json.loads((tmp_path / "before.json").read_text("utf-8")) == json.loads(before)


def test_a_run_that_only_collects_compares_nothing(tmp_path: Path) -> None:
    write(tmp_path, service=SERVICE, test_service=TESTS)
    done = run(tmp_path, "--collect-only", "--purposeguard-compare=before.json")
    assert done.code == pytest.ExitCode.OK, done.out
