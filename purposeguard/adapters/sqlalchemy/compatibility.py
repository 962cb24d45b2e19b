"""Checks that SQLAlchemy does what guarded engines and sessions rely on and its documentation does not promise.

If another version no longer called an overridden hook, statements would pass silently. So each hook is looked up by its
name and parameters, and tried once before an engine is guarded, with a database in memory.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Column, Integer, Table, create_engine, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, UnboundExecutionError
from sqlalchemy.orm import Session, registry
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.state import InstanceState

from purposeguard.adapters.sqlalchemy.checks import LOADS, StatementWatch
from purposeguard.adapters.sqlalchemy.engine import GuardedConnection, GuardedEngine, guard_engine
from purposeguard.adapters.sqlalchemy.objects import check_reads
from purposeguard.errors import UnresolvedStatement

_HOOKS: Final[tuple[tuple[type, str, str], ...]] = (
    (Session, "_merge", "self state state_dict"),
    (Session, "_execute_internal", "self statement params"),
    (Session, "_expunge_states", "self states"),
    (Connection, "_handle_dbapi_exception", "self e statement parameters cursor context"),
    (Connection, "_safe_close_cursor", "self cursor"),
    (Connection, "_rollback_impl", "self"),
    (DefaultDialect, "_deliver_insertmanyvalues_batches", "self connection cursor statement parameters"),
    (InstanceState, "_expire_attributes", "self dict_ attribute_names"),
)
"""Methods that are overridden or called, each with its first parameters."""

TESTED: Final = "sqlalchemy>=2.0.36,<2.2"
"""The versions in the extra `sqlalchemy`."""


def must_be_known(session: type[Session]) -> None:
    """Check, once in a process, that SQLAlchemy does what guarded engines and sessions rely on.

    Args:
        session: The class of guarded sessions.

    Raises:
        UnresolvedStatement: it does not, so statements or objects could pass undecided.
    """
    wrong = _differences(session)  # type: ignore[arg-type]  # a class, which can be hashed
    if wrong:
        raise UnresolvedStatement(
            f"SQLAlchemy {sqlalchemy.__version__} does not do what its guard relies on ({', '.join(wrong)}), so it "
            f"could not be seen what passes: install {TESTED}"
        )


@functools.cache
def _differences(session: type[Session]) -> tuple[str, ...]:
    loads = functools.partial(_iter_broken_session_hooks, session)
    differences = list(_iter_missing_hooks()) or [*_try_check(_iter_broken_engine_hooks), *_try_check(loads)]
    return tuple(differences)


def _iter_missing_hooks() -> Iterator[str]:
    """Yield the names of the methods that SQLAlchemy does not have, or has with other parameters."""
    for cls, name, parameters in _HOOKS:
        method = vars(cls).get(name)
        names = parameters.split()
        if method is None or list(inspect.signature(method).parameters)[: len(names)] != names:
            yield f"{cls.__name__}.{name}"


def _try_check(check: Callable[[], Iterator[str]]) -> list[str]:
    try:
        return list(check())
    except (AttributeError, LookupError, NotImplementedError, SQLAlchemyError, TypeError) as error:
        message = str(error).partition("\n")[0]  # The message is about the check, and says which name is missing.
        return [message or type(error).__name__]


# ---- the engine ------------------------------------------------------------------------------------------------------


class _Quiet(logging.Logger):
    """A logger without handlers, so that the statements of the checks are not logged."""


class _Probe(GuardedEngine):
    """A guarded engine that counts the calls of `_should_log_debug`, and makes the connection call it."""

    def _should_log_info(self) -> bool:
        return True

    def _should_log_debug(self) -> bool:
        watch: Any = self.dialect.purposeguard  # type: ignore[attr-defined]  # of a guarded one
        watch.asked += 1
        return super()._should_log_debug()


class _ProbeWatch(StatementWatch):
    """A watch that records statements and errors, and decides nothing."""

    def __init__(self) -> None:
        self.admitted: list[tuple[str, bool]] = []
        self.loads: list[bool] = []
        self.lists: dict[str, list[str]] = {}
        self.failed = self.asked = 0

    def admit(self, statement: str, parameters: Any, context: Any, **_: Any) -> tuple[str, Any]:
        batch = getattr(context, "purposeguard_batch", None)
        self.admitted.append((statement.partition(" ")[0], batch == statement))
        self.loads.append(LOADS in context.execution_options)
        self.lists.update(context._expanded_parameters)
        return statement, parameters

    def is_observing(self) -> bool:
        return False

    def refuse_driver_connection(self, error: UnresolvedStatement) -> None:
        raise error

    def find_row_refusal(self, error: BaseException, connection: Any, context: Any) -> None:  # noqa: ARG002  # likewise
        self.failed += 1


def _iter_broken_engine_hooks() -> Iterator[str]:
    """Yield the hooks of an engine that are not called, and the ways to the driver that are not closed."""
    engine = create_engine("sqlite://")
    watch = _ProbeWatch()
    guard_engine(engine, watch)
    # The class of a guarded engine cannot be chosen, so the engine is given the class that counts calls afterwards.
    probe: Any = engine
    probe.__class__, probe.logger = _Probe, _Quiet("purposeguard", logging.CRITICAL)
    mapped = registry()
    table = Table("one", mapped.metadata, Column("a", Integer, primary_key=True), Column("b", Integer))
    try:
        if not isinstance(engine.execution_options(logging_token="x"), GuardedEngine):  # noqa: S106  # no password
            yield "Engine._option_cls"
        with engine.connect() as connection:
            if not isinstance(connection, GuardedConnection):
                yield "Engine._connection_cls"
                return
            connection.exec_driver_sql("CREATE TABLE one (a INTEGER PRIMARY KEY, b INTEGER)")
            connection.execute(insert(table), [{"b": 1}, {"b": 2}])
            connection.execute(insert(table).returning(table.c.a), [{"b": 3}, {"b": 4}]).all()
            connection.execute(select(table.c.a).where(table.c.a.in_([1, 2]))).all()
            with contextlib.suppress(DBAPIError):
                connection.exec_driver_sql("SELECT none FROM nowhere")
        statements = [(word, batch) for word, batch in watch.admitted if word in ("CREATE", "INSERT", "SELECT")]
        if statements != [("CREATE", False), ("INSERT", False), ("INSERT", True), ("SELECT", False), ("SELECT", False)]:
            yield "DefaultDialect.do_execute"
        if watch.lists != {"a_1": ["a_1_1", "a_1_2"]}:
            yield "DefaultExecutionContext._expanded_parameters"
        if watch.failed != 1:
            yield "Connection._handle_dbapi_exception"
        if not watch.asked:
            yield "Engine._should_log_debug"
        row: Any = type("Row", (), {})  # Each call makes a class of its own, because threads may check at once.
        mapped.map_imperatively(row, table)
        with Session(engine) as session:
            session.execute(select(row)).all()
        if not watch.loads[-1]:
            yield "load options"
        for name, way in (("Engine.raw_connection", engine.raw_connection), ("Pool.connect", engine.pool.connect)):
            try:
                way()
            except UnresolvedStatement:
                continue
            yield name
    finally:
        mapped.dispose()
        engine.dispose()


# ---- sessions and objects --------------------------------------------------------------------------------------------


class _HookCalled(Exception):
    """The signal of a hook that it was called."""


def _iter_broken_session_hooks(guarded: type[Session]) -> Iterator[str]:
    """Yield the hooks of sessions and attributes that are not called."""

    class ProbeSession(guarded):  # type: ignore[valid-type, misc]  # a class that is given
        def _merge(self, *_: Any, **__: Any) -> Any:
            raise _HookCalled

        def _execute_internal(self, *_: Any, **__: Any) -> Any:
            raise _HookCalled

        def _expunge_states(self, *_: Any, **__: Any) -> None:
            raise _HookCalled

        def expunge_all(self) -> None:
            raise _HookCalled

    class Thing:  # Each call makes a class of its own, because threads may check at once.
        pass

    mapped = registry()
    mapper = mapped.map_imperatively(Thing, Table("things", mapped.metadata, Column("a", Integer, primary_key=True)))
    try:
        thing: Any = Thing()
        session = ProbeSession()
        for name, call in (
            ("Session._merge", lambda: session.merge(thing)),
            ("Session._execute_internal", lambda: session.get(Thing, 1)),
            ("Session._expunge_states", lambda: (session.add(thing), session.expunge(thing))),
            ("Session.expunge_all", session.close),
            ("InstrumentedAttribute.__get__", lambda: thing.a),
            ("instance_dict", lambda: vars(thing)),
            ("InstanceState.__getstate__", lambda: instance_state(thing).__getstate__()),
        ):
            if name == "InstrumentedAttribute.__get__":  # Set up only now, so that the calls before signal themselves.
                _check_reads_of(mapper, thing)
            try:
                with contextlib.suppress(UnboundExecutionError):  # The session has no engine.
                    call()
            except _HookCalled:
                continue
            yield name
    finally:
        mapped.dispose()


def _check_reads_of(mapper: Any, thing: Any) -> None:
    """Have each read of the object signal that it was seen."""
    check_reads(mapper)
    instance_dict(thing)["a"] = 1
    state: Any = instance_state(thing)
    state.purposeguard_keeper = SimpleNamespace(use=None, innermost=_signal_call)


def _signal_call() -> None:
    raise _HookCalled
