"""A plugin of pytest: every engine that an application makes is guarded, and its own tests run under a purpose.

`suites.py` loads it into the tests of applications that know nothing of it. Each column of each table is tagged, and
the purpose may use them all, so nothing is refused for what the notice says. What is refused is not understood, and
noted.

- `SUITE_MODE`: `plain` guards nothing, `guarded` each engine; `narrowed` also leaves rows out of each statement, those
  of subjects who have none.
- `SUITE_SUBJECTS`: the columns that name a subject.
- `SUITE_TABLES`: the declarative base of the application, `module:Base`; empty where it has none.
- `SUITE_REPORT`: where the result goes.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy import Column, Engine, MetaData, Table, event, orm
from sqlalchemy.ext import asyncio

import purposeguard as pg
from purposeguard.adapters.sqlalchemy import AsyncGuardedSession, GuardedSession, protect
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

MODE: Final = os.environ["SUITE_MODE"]
SUBJECTS: Final = frozenset(os.environ["SUITE_SUBJECTS"].split())
REPORT: Final = Path(os.environ["SUITE_REPORT"])
TABLES: Final = os.environ["SUITE_TABLES"]
PASSES: Final = ("CREATE SCHEMA",)
NOBODY: Final = (-77, "nobody", "00000000-0000-4000-8000-00000000000f")
"""Subjects who have no rows, as a number, a text and a UUID."""

passed: Final[list[str]] = []
refusals: Final[Counter[str]] = Counter()
counted: Final[Counter[str]] = Counter(statements=0, narrowed=0)

_numbers: Final = itertools.count()
_tables: Final[weakref.WeakValueDictionary[tuple[int, str], Table]] = weakref.WeakValueDictionary()


class _Newest(dict[str, Table]):
    """The tables that are there: the application's; of others with one name, which tests make in turn, the newest."""

    def values(self) -> Any:
        tables = {table.fullname: table for _, table in sorted(_tables.items())}
        module, _, base = TABLES.partition(":")
        if module in sys.modules:
            tables |= getattr(sys.modules[module], base).metadata.tables
        return tables.values()


def _governed() -> pg.Guard:
    if MODE != "narrowed":
        return pg.Guard(tm.NOTICE)
    governance = Governance(f"sqlite:///{REPORT.with_suffix('.db')}", notice=tm.NOTICE)
    for subject in NOBODY:
        governance.restrict(subject, tm.ProductProvision)
    return pg.Guard(tm.NOTICE, governance=governance)


guard: Final = _governed()  # its own engine is made before others are guarded
purpose: Final = guard.purpose(tm.ProductProvision, activity="the application's own tests")


def _tagged(column: Column[Any], table: Table) -> None:
    name = f"{getattr(table, 'name', '')}.{column.name}"
    column.info.setdefault("purposeguard", (pg.Subject, tm.ProductData) if name in SUBJECTS else tm.ProductData)


def _known(table: Table, parent: object) -> None:
    if isinstance(parent, MetaData):
        _tables[next(_numbers), table.fullname] = table


def _deciding(admit: Callable[..., Any]) -> Callable[..., Any]:
    def decide(statement: str, *args: Any, **kwargs: Any) -> Any:
        counted["statements"] += 1
        try:
            with purpose:  # a task or a thread of the application's own has none
                admitted = admit(statement, *args, **kwargs)
        except pg.PurposeGuardError as error:
            refusals[
                f"{type(error).__name__}: {str(error).partition(':')[0]} [{' '.join(statement.split())[:60]}]"
            ] += 1
            raise
        counted["narrowed"] += admitted[0] != statement
        return admitted

    return decide


def _guarding(make: Callable[..., Engine]) -> Callable[..., Engine]:
    def create_engine(*args: Any, **kwargs: Any) -> Engine:
        engine = make(*args, **kwargs)
        if type(engine) is Engine:  # no mock
            metadata = MetaData()
            metadata.tables = _Newest()  # type: ignore[assignment]  # it is only looked into
            watch: Any = protect(engine, guard, metadata, passes=PASSES).dialect
            watch.purposeguard.admit = _deciding(watch.purposeguard.admit)
        return engine

    return create_engine


def _running(run: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def run_with_purpose(thread: threading.Thread) -> None:
        with purpose:
            run(thread)

    return run_with_purpose


if MODE != "plain":
    event.listen(Column, "after_parent_attach", _tagged)
    event.listen(Table, "after_parent_attach", _known)
    made = _guarding(sqlalchemy.create_engine)
    for module, name in (
        (sqlalchemy, "create_engine"),
        (sqlalchemy.engine, "create_engine"),
        (sqlalchemy.engine.create, "create_engine"),
        (asyncio.engine, "_create_engine"),
    ):
        setattr(module, name, made)
    threading.Thread.run = _running(threading.Thread.run)  # type: ignore[assignment,method-assign]
if MODE == "narrowed":  # rows are left out of objects by a session that keeps purposes apart
    for maker, session in ((orm.sessionmaker, GuardedSession), (asyncio.async_sessionmaker, AsyncGuardedSession)):
        defaults: Any = maker.__init__.__kwdefaults__
        defaults["class_"] = session
    asyncio.AsyncSession.sync_session_class = GuardedSession
    setattr(orm, "Session", GuardedSession)  # noqa: B010  # mypy takes it for a type


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    with purpose:
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        passed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    REPORT.write_text(json.dumps({"passed": passed, "refusals": refusals, "counted": counted}), "utf-8")
