"""Errors about sealed values, and those of code that was given one, report seals: to pytest, and with all locals."""

from __future__ import annotations

import collections
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.observer import Tick
from purposeguard.values.json import decode_sealed, encode_sealed
from tests.bypass.seal_kinds import Point, seals
from tests.bypass.seal_looking import NUMBER, TEXT, guard, leaks, opened, seal
from tests.bypass.seal_reporters import frames_as_html, traced

FAILING = """
import os

import pydantic

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(pydantic.BaseModel):
    name: str = "n"
    email: pg.Personal[str, tm.Registration]


def seal():
    return pg.Personal(os.environ["SECRET"], tm.Registration)


def test_equal_lists():
    one = [seal(), {"a": seal()}]
    assert one == [seal(), {"a": "guess"}]


def test_in():
    one = seal()
    assert one in ["guess", seal()]


def test_model():
    one, other = Customer(email=seal()), Customer(email=seal())
    assert one == other


def test_opened_outside():
    with guard.purpose(tm.RenewalGuidance) as use:
        pass
    assert use.open(seal())


def test_mapped():
    one = seal().map(str.upper).zip(seal()).map(lambda both: both[0] + 1)
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(one)


def test_dumped():
    one = Customer(email=seal())
    assert one.model_dump() == {}
"""


def test_pytest_explains_failures_by_seals(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    options = ["-p", "no:cacheprovider", "-p", "no:anyio", "--color=no", "-vv", "-rA", "--showlocals", "--tb=long"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        env={**os.environ, "SECRET": TEXT, "PYTEST_ADDOPTS": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    report = done.stdout + done.stderr
    assert f"{FAILING.count('def test_')} failed" in report
    assert "<sealed 1.1(a)>" in report
    assert TEXT not in report.lower()


def outside() -> Any:
    with guard.purpose(tm.RenewalGuidance) as use:
        pass
    return use.open(seal())


def refused(value: Any) -> Any:
    with guard.purpose("2.3①") as use:
        return use.open_all([value, seal(NUMBER, tm.Cookie)])


def fails(_: object) -> Any:
    """What a function given to `map` may do wrong: it says what it was given."""
    text = repr(_)
    raise ValueError(text)


def fails_again(value: Any) -> Any:
    try:
        return fails(value)
    except ValueError as error:
        raise KeyError(value) from error


def fails_as_a_group(value: Any) -> Any:
    raise ExceptionGroup(str(value), [ValueError(value)])


def fails_by_a_seal(value: Any) -> Any:
    try:
        return int(value)
    except (TypeError, ValueError):
        return seal() + value


def fails_by_a_check(value: Any) -> Any:
    return guard.allows(value, tm.RenewalGuidance)


def fails_with_notes(value: Any) -> Any:
    error = pg.PurposeMissing("not here")
    error.add_note(f"for {value}")
    raise error


def unreadable() -> Any:
    cls: Any = type("Row", (Point,), {"__annotations__": {"x": "Nowhere"}, "__module__": __name__})
    return seal(cls(TEXT))


chain = seal().map(str.upper).map(str.lower)
FAILING_MAPS: dict[str, Callable[[Any], Any]] = {
    "an error that says it": fails,
    "an error with a cause": fails_again,
    "a group": fails_as_a_group,
    "a refusal of another seal": fails_by_a_seal,
    "a check that echoes": fails_by_a_check,
    "a refusal with notes": fails_with_notes,
    "a missing attribute": lambda value: value.nothing,
    "the end of an iterator": lambda value: next(iter([])),
    "a warning as an error": lambda value: (_ for _ in ()).throw(UserWarning(value)),
}
ERRORS: dict[str, Callable[[], Any]] = {
    "opened outside": outside,
    **{f"{name}: refused": lambda one=one: refused(one) for name, one in seals().items()},  # type: ignore[misc]  # a lambda with a default
    **{f"map: {name}": lambda fn=fn: opened(chain.map(fn)) for name, fn in FAILING_MAPS.items()},  # type: ignore[misc]  # likewise
    **{f"zip: {name}": lambda fn=fn: opened(chain.zip(chain).map(fn)) for name, fn in FAILING_MAPS.items()},  # type: ignore[misc]  # likewise
    "swapped": lambda: pg.Personal(tm.Registration, TEXT),  # type: ignore[call-overload]  # the mistake
    "two values": lambda: pg.Personal(TEXT, TEXT, tm.Registration),  # type: ignore[call-overload]  # likewise
    "a list of sources": lambda: pg.Personal(TEXT, [TEXT, tm.Registration]),  # type: ignore[call-overload]  # likewise
    "no source": lambda: pg.Personal(TEXT),  # type: ignore[call-overload]  # likewise
    "a purpose as source": lambda: pg.Personal(TEXT, tm.RenewalGuidance),
    "swapped in collect": lambda: pg.Personal.collect([seal()], TEXT),  # type: ignore[call-overload]  # likewise
    "annotations that cannot be read": unreadable,
    "decoded": lambda: decode_sealed(pg.Personal[int, tm.Registration], TEXT),
    "encoded": lambda: encode_sealed(seal()),
    "sealed for another notice": lambda: opened(seal(), by=pg.Guard(other_notice())),
}


def other_notice() -> pg.Notice:
    tables = pg.Notice.bundled("trendmicro-jp").dump()
    return pg.Notice.parse({**tables, "id": "another"})


@pytest.mark.parametrize("name", list(ERRORS))
def test_no_frame_of_the_library_holds_a_value_when_an_error_leaves_it(name: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of several classes; what is in it is asked
        ERRORS[name]()
    assert leaks(caught.value, frames="purposeguard") == []


@pytest.mark.parametrize("name", list(FAILING_MAPS))
def test_an_error_of_a_mapped_function_says_where_and_not_what(name: str) -> None:
    with pytest.raises(pg.PurposeGuardError) as caught:
        opened(chain.map(FAILING_MAPS[name]))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert leaks(caught.value) == []  # not even in frames of the function, which are gone


def test_an_error_below_one_that_is_handled_shows_no_more() -> None:
    """What is being handled when a value is opened is the application's own, and is all that is kept."""

    def handle() -> Any:
        try:
            raise LookupError("mine")
        except LookupError:
            return opened(chain.map(fails))

    with pytest.raises(pg.SealedValue) as caught:
        handle()
    assert leaks(caught.value) == []


def test_an_interruption_leaves_nothing_in_the_library_s_frames() -> None:
    def interrupted(value: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        opened(chain.zip(chain).map(interrupted))
    assert leaks(caught.value, frames="purposeguard") == []


@pytest.mark.parametrize("figure", ["function", "count", "mean"])
def test_an_interrupted_reclassification_leaves_nothing_in_the_library_s_frames(figure: str) -> None:
    guard = pg.Guard(tm.NOTICE)

    def interrupted(value: Any) -> Any:
        raise KeyboardInterrupt

    declared = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="a test")
    figures = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="a test", at_least=2)
    many = pg.Personal.collect([seal(), seal()])
    ways: dict[str, Callable[[], object]] = {
        "function": lambda: declared(interrupted)(seal()),
        "count": lambda: figures.count(many, subject=interrupted),
        "mean": lambda: figures.mean(many, interrupted, subject=lambda _: object()),
    }
    with pytest.raises(KeyboardInterrupt) as caught:
        ways[figure]()
    assert leaks(caught.value, frames="purposeguard") == []


def test_an_interrupted_sealing_leaves_nothing_in_the_library_s_frames() -> None:
    class Interrupted(collections.UserList[Any]):
        def __iter__(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        pg.Personal([Interrupted([TEXT])], tm.Registration)
    assert leaks(caught.value, frames="purposeguard") == []


class Heard:
    """A ledger that keeps all that it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def denied(self, *told: Any, **more: Any) -> None:
        self.told.append((told, more))

    def counter(self, *told: Any) -> Tick:
        return functools.partial(self.told.append, told)

    def reclassified(self, *told: Any) -> None:
        self.told.append(told)


def test_a_ledger_is_told_no_value() -> None:
    heard = Heard()
    own = pg.Guard(tm.NOTICE, ledger=heard)
    length = own.reclassify(tm.Registration, to=pg.NotPersonal, why="to be told")(len)
    with own.purpose(tm.RenewalGuidance) as use:
        use.open_all([seal(), chain])
        length(chain)
        with pytest.raises(pg.PurposeViolation):
            use.open(seal(TEXT, tm.ProductData))
        with pytest.raises(pg.SealedValue):
            use.open(chain.map(fails))
    with pytest.raises(pg.PurposeMissing):
        use.open(chain)
    assert len(heard.told) > 3
    assert leaks(heard.told) == []


@pytest.mark.parametrize("report", [traced, frames_as_html], ids=["traceback", "html"])
def test_a_report_within_a_purpose_shows_seals_too(report: Callable[[Any], str]) -> None:
    """Being in a purpose opens nothing by itself."""
    with guard.purpose(tm.RenewalGuidance):
        text = report(seal().zip(seal(NUMBER)))
    assert "<sealed 1.1(a)>" in text
    assert leaks(text) == []
