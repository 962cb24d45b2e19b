"""A guarded engine: its connections, dialect and pool let the guard decide each statement before the driver gets it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.base import OptionEngine
from sqlalchemy.exc import CompileError

from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sqlalchemy.checks import StatementWatch, is_asking, own_statement, own_statements
from purposeguard.errors import PurposeGuardError, UnresolvedStatement

_INSIDE: Final = ("sqlalchemy.engine.", "sqlalchemy.dialects.", "sqlalchemy.pool.")
"""The modules of SQLAlchemy that handle connections of the driver."""


def _refuse_outside(watch: StatementWatch, action: str, depth: int = 2) -> None:
    """Raise UnresolvedStatement unless SQLAlchemy is the caller, as nothing checks a connection of the driver.

    In observe mode, report it instead.
    """
    try:
        caller = str(sys._getframe(depth).f_globals.get("__name__", ""))
    except ValueError:  # There is no caller at the bottom of a greenlet.
        caller = ""
    if not caller.startswith(_INSIDE):
        _refuse(watch, action)


def _refuse(watch: StatementWatch, action: str) -> None:
    watch.refuse_driver_connection(
        UnresolvedStatement(
            f"{action} of a guarded engine leads to the driver, where nobody sees what is executed: execute statements "
            "on the connection itself, or use an engine of its own for what is not personal"
        )
    )


class _AskedConnection(Connection):
    """A connection by which a dialect asks the database about itself. It marks the statements of the dialect."""

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement as any connection does, marked as the dialect's if it is."""
        if not is_asking():
            return super().execute(statement, *args, **kwargs)
        with own_statement(statement):
            return super().execute(statement, *args, **kwargs)

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement as any connection does, marked as the dialect's if it is, and return the first value."""
        if not is_asking():
            return super().scalar(statement, *args, **kwargs)
        with own_statement(statement):
            return super().scalar(statement, *args, **kwargs)

    def exec_driver_sql(self, statement: str, *args: Any, **kwargs: Any) -> Any:
        """Execute a text as any connection does, marked as the dialect's if it is."""
        if not is_asking():
            return super().exec_driver_sql(statement, *args, **kwargs)
        with own_statement(statement):
            return super().exec_driver_sql(statement, *args, **kwargs)


_DATA_EXCEPTION: Final = "22"
_INTEGRITY: Final = "23"
"""The first characters of the SQL states for an invalid value, and for a row that breaks a constraint."""


def _hide_values(error: BaseException, *, left_out: bool) -> None:
    """Remove values from an error of the database.

    If rows are `left_out`, the database may have evaluated an expression on them.
    """
    state = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None))
    if left_out and state.startswith(_DATA_EXCEPTION):
        message = f"a value does not fit (SQLSTATE {state}); it may be of a row that is left out, so it is hidden"
    elif state.startswith(_INTEGRITY):
        message = str(error).partition("\n")[0]  # The next line quotes the row.
    else:
        return
    for each in (error, error.__cause__):  # Some drivers chain an error of their own.
        if each is not None:
            each.args = (message,)


class GuardedConnection(_AskedConnection):
    """A connection of a guarded engine."""

    _asking = False

    @property
    def _watch(self) -> StatementWatch:
        return self.dialect.purposeguard  # type: ignore[attr-defined, no-any-return]  # of a guarded one

    @property
    def connection(self) -> Any:
        """The driver's connection. Only SQLAlchemy may read it."""
        _refuse_outside(self._watch, "`connection`")
        return Connection.connection.fget(self)  # type: ignore[attr-defined]  # a property: super() has none

    def _handle_dbapi_exception(
        self, e: BaseException, statement: Any, parameters: Any, cursor: Any, context: Any, *args: Any, **kwargs: Any
    ) -> NoReturn:
        if isinstance(e, self.dialect.loaded_dbapi.Error) and not self._asking:
            self._asking = True  # The query for the unknown source may fail, too.
            try:
                e = self._watch.find_row_refusal(e, self, context) or e
            finally:
                self._asking = False
            if not self._watch.is_observing():
                _hide_values(e, left_out=bool(getattr(context, "purposeguard_rules", None)))
        if isinstance(e, CompileError) and isinstance(e.__cause__, PurposeGuardError):
            e = e.__cause__  # A sealed value would have been written into the text.
        if isinstance(e, PurposeGuardError):  # Raise it unwrapped, so that it does not contain the parameters.
            if cursor is not None:
                self._safe_close_cursor(cursor)
            if not self.in_transaction():
                self._rollback_impl()
            raise e
        super()._handle_dbapi_exception(e, statement, parameters, cursor, context, *args, **kwargs)


class GuardedEngine(Engine):
    """An engine whose statements are decided by a guard."""

    _connection_cls = GuardedConnection

    @property
    def _watch(self) -> StatementWatch:
        return self.dialect.purposeguard  # type: ignore[attr-defined, no-any-return]  # of a guarded one

    @property
    def hide_parameters(self) -> bool:
        """True if errors and logs must not contain parameters. In observe mode, the application decides that."""
        return self._own_hide_parameters or not self._watch.is_observing()

    @hide_parameters.setter
    def hide_parameters(self, hide: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # It can be set.
        self.__dict__["hide_parameters"] = hide

    @property
    def _own_hide_parameters(self) -> bool:
        return bool(self.__dict__["hide_parameters"])

    def raw_connection(self) -> Any:
        """Return the driver's connection. Only SQLAlchemy may call this."""
        _refuse_outside(self._watch, "`raw_connection`")
        return super().raw_connection()

    def _should_log_debug(self) -> bool:
        """Return False unless violations are only observed.

        At this level SQLAlchemy logs rows, whose values are personal as parameters are.
        """
        return self._watch.is_observing() and super()._should_log_debug()


class GuardedOptionEngine(GuardedEngine, OptionEngine):  # pyright: ignore[reportIncompatibleVariableOverride]  # As above.
    """A guarded engine with other options."""

    @property
    def _own_hide_parameters(self) -> bool:
        proxied: Any = self._proxied  # The option of this engine itself may have been copied in enforce mode.
        return bool(proxied._own_hide_parameters)


GuardedEngine._option_cls = GuardedOptionEngine
GuardedOptionEngine._option_cls = GuardedOptionEngine


def _guard_pool(pool: Any, watch: StatementWatch) -> None:
    """Let a pool, and the pools that replace it, give connections only to SQLAlchemy."""
    plain_connect, plain_recreate = type(pool).connect, type(pool).recreate

    def connect() -> Any:
        _refuse_outside(watch, "`pool`")
        owner = sys._getframe(1).f_locals.get("self")
        if isinstance(owner, Engine) and not isinstance(owner, GuardedEngine):
            _refuse(watch, "another engine on the pool, as `execution_options` gave it before,")
        return plain_connect(pool)

    def recreate() -> Any:
        made = plain_recreate(pool)
        _guard_pool(made, watch)
        return made

    pool.connect, pool.recreate = connect, recreate


def _deciding(method: Callable[..., Any], *, many: bool) -> Callable[..., Any]:
    """Wrap a method of a dialect that gives a statement to the driver, so that it is decided and narrowed first."""

    @functools.wraps(method)
    def execute(dialect: Any, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        statement, parameters = dialect.purposeguard.admit(statement, parameters, context, many=many)
        return method(dialect, cursor, statement, parameters, context)

    return execute


def _deciding_bare(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method of a dialect that gives a statement without parameters to the driver."""

    @functools.wraps(method)
    def execute(dialect: Any, cursor: Any, statement: Any, context: Any = None) -> Any:
        statement, _ = dialect.purposeguard.admit(statement, (), context, bare=True)
        return method(dialect, cursor, statement, context)

    return execute


def _batching(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method of a dialect that splits an INSERT of many rows into batches, so that each batch is recorded."""

    @functools.wraps(method)
    def batches(*args: Any, **kwargs: Any) -> Any:
        context = kwargs.get("context", args[-1])
        for batch in method(*args, **kwargs):
            context.purposeguard_batch = batch.replaced_statement
            yield batch

    return batches


def _its_own(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method by which a dialect asks the database about itself, so that its statements are marked."""

    @functools.wraps(method)
    def asking(dialect: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        if type(connection) is Connection:  # The first connection of an engine is not guarded.
            connection.__class__ = _AskedConnection
        with own_statements():
            result = method(dialect, connection, *args, **kwargs)
            # A generator is exhausted here, so that its statements run within the block.
            return iter(list(result)) if inspect.isgenerator(result) else result

    return asking


def _sequence(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method that reads the next value of a sequence, so that its one statement is marked as the dialect's."""

    @functools.wraps(method)
    def fire(*args: Any, **kwargs: Any) -> Any:
        with own_statement():
            return method(*args, **kwargs)

    return fire


_ASKING: Final = ("get_", "has_", "_get_", "_has_", "initialize", "do_prepare_twophase", "do_commit_twophase")
"""Prefixes of methods by which a dialect asks the database about itself, or ends a transaction."""


def _watch_dialect(cls: type) -> type:
    """Return a subclass of a dialect whose methods let the guard decide statements."""
    # A mixin would not do: an existing dialect can only get a class that derives from its own class alone.
    dialect: Any = cls
    own: dict[str, Any] = {
        "do_execute": _deciding(dialect.do_execute, many=False),
        "do_executemany": _deciding(dialect.do_executemany, many=True),
        "do_execute_no_params": _deciding_bare(dialect.do_execute_no_params),
    }
    own["_deliver_insertmanyvalues_batches"] = _batching(dialect._deliver_insertmanyvalues_batches)
    # SQLAlchemy reads this attribute from the class itself and not from its bases.
    own["supports_statement_cache"] = cls.__dict__.get("supports_statement_cache", False)
    for name in dir(cls):
        if name.startswith((*_ASKING, "do_rollback_twophase", "do_begin_twophase", "do_recover_twophase")):
            method = inspect.getattr_static(cls, name)
            if inspect.isfunction(method) and "connection" in list(inspect.signature(method).parameters)[1:2]:
                own[name] = _its_own(method)
    return type(f"Watched{cls.__name__}", (cls,), own)


def _sequences_its_own(cls: Any) -> type:
    """Return a subclass of a dialect's execution context that marks statements for the next value of a sequence."""
    return type(f"Watched{cls.__name__}", (cls,), {"fire_sequence": _sequence(cls.fire_sequence)})


_QUOTED: Final = words("""
    alter any connect_by_root current_user describe drop fetch function glob grant if ilike insert lateral
    partitioned_by qualify regexp returning revoke rlike rollback tablesample uncache unnest values with xor
""")
"""Names of tables and columns that the parser takes for something else if they are not quoted."""


def guard_engine(engine: Engine, watch: StatementWatch) -> None:
    """Guard an engine in place, so that every reference to it is guarded."""
    dialect: Any = engine.dialect
    dialect.__class__ = _watch_dialect(type(dialect))
    dialect.purposeguard = watch
    preparer = dialect.identifier_preparer
    preparer.reserved_words = preparer.reserved_words | _QUOTED
    if hasattr(dialect.execution_ctx_cls, "fire_sequence"):
        dialect.execution_ctx_cls = _sequences_its_own(dialect.execution_ctx_cls)
    any_engine: Any = engine
    any_engine.__class__ = GuardedOptionEngine if isinstance(engine, OptionEngine) else GuardedEngine
    engine.clear_compiled_cache()
    _guard_pool(engine.pool, watch)
