"""What is relied on of SQLAlchemy and not promised is seen to be there; each test takes one of it away."""

from __future__ import annotations

import inspect
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute
from sqlalchemy.orm.state import InstanceState

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import compatibility, protect
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sqlalchemy.shop import Base


@pytest.fixture(autouse=True)
def anew():
    compatibility._differences.cache_clear()
    yield
    compatibility._differences.cache_clear()


def _refused(guard: Guard) -> str:
    engine = create_engine("sqlite://")
    with pytest.raises(UnresolvedStatement) as caught:
        protect(engine, guard, Base)
    assert type(engine) is Engine
    assert sqlalchemy.__version__ in str(caught.value)
    return str(caught.value)


def _calls_another(patch: pytest.MonkeyPatch, cls: type, hook: str) -> None:
    """What a later version does that gives a method another name, and may leave the old one in its place."""
    for name, method in list(vars(cls).items()):
        if not inspect.isfunction(method) or f".{hook}" not in inspect.getsource(method):
            continue
        body = textwrap.indent(textwrap.dedent(inspect.getsource(method)), "    ").replace(
            f".{hook}", f".renamed_{hook}"
        )
        text = f"from __future__ import annotations\nclass {cls.__name__}:\n{body}"  # a class, for its private names
        found: dict[str, Any] = {}
        exec(compile(text, cls.__name__, "exec"), method.__globals__, found)  # noqa: S102
        patch.setattr(cls, name, vars(found[cls.__name__])[name])
    patch.setattr(cls, f"renamed_{hook}", getattr(cls, hook), raising=False)


@pytest.mark.parametrize(
    ("cls", "hook"),
    [
        (Session, "_execute_internal"),
        (Session, "_merge"),
        (Session, "expunge_all"),
        (Engine, "_connection_cls"),
        (Engine, "_option_cls"),
        (Connection, "_handle_dbapi_exception"),
    ],
)
def test_a_hook_that_is_not_called_any_more_is_noticed(
    cls: type, hook: str, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    _calls_another(monkeypatch, cls, hook)
    assert hook in _refused(guard)


@pytest.mark.parametrize(
    ("cls", "hook"),
    [
        (Session, "_execute_internal"),
        (Session, "_merge"),
        (DefaultDialect, "_deliver_insertmanyvalues_batches"),
        (InstanceState, "_expire_attributes"),
    ],
)
def test_a_hook_that_is_gone_or_takes_something_else_is_noticed(
    cls: type, hook: str, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cls, hook, lambda self, other: None)
        assert hook in _refused(guard)
    compatibility._differences.cache_clear()
    with monkeypatch.context() as patch:
        patch.delattr(cls, hook)
        assert hook in _refused(guard)


def test_a_result_that_does_not_ask_whether_rows_are_logged_is_noticed(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compatibility._Probe, "_should_log_info", lambda self: False)  # results ask after that alone
    assert "_should_log_debug" in _refused(guard)


def test_that_lists_of_parameters_are_noted_elsewhere_is_noticed(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = property(lambda self: {}, lambda self, value: None)
    monkeypatch.setattr(DefaultExecutionContext, "_expanded_parameters", nothing)
    assert "_expanded_parameters" in _refused(guard)


def test_attributes_that_do_not_ask_are_noticed(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.adapters.sqlalchemy.objects._ATTRIBUTE", InstrumentedAttribute)
    assert "InstrumentedAttribute" in _refused(guard)


def test_that_a_session_loads_is_noticed_under_another_name(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility, "LOADS", "another option")
    assert "load options" in _refused(guard)


def test_it_is_looked_at_once(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(create_engine("sqlite://"), guard, Base)
    monkeypatch.setattr(compatibility, "_iter_missing_hooks", lambda: iter(["something"]))
    protect(create_engine("sqlite://"), guard, Base)


def test_the_extra_names_the_versions_that_are_told() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    first = project["optional-dependencies"]["sqlalchemy"][0]
    assert first.replace("[asyncio]", "") == compatibility.TESTED
