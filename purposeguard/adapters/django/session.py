"""Connections held to the notice: each statement is analysed, decided and narrowed before it is executed."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FrameType
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.db.migrations.executor import MigrationExecutor

from purposeguard.adapters.django.instances import InstanceChecks, find_loaded_outputs
from purposeguard.adapters.django.tags import Model, columns_of_model, tables_of
from purposeguard.adapters.enforcement import Decider, iter_declared_tables
from purposeguard.adapters.sql import Statements
from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sql.tags import Tables, several
from purposeguard.adapters.sql.unresolved import Faults, ReachableColumns
from purposeguard.adapters.tags import TAG_ERRORS, Columns
from purposeguard.errors import PurposeGuardError, SealedValue, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.runtime.current_use import find_current_use
from purposeguard.runtime.registry import TaggedTable
from purposeguard.values.personal import Personal

Execute = Callable[[Any, Any, bool, Mapping[str, Any]], Any]

DIALECTS: Final[Mapping[str, str]] = {"sqlite": "sqlite", "postgresql": "postgres"}
"""The SQL dialect of each supported database vendor."""

FUNCTIONS: Final[Mapping[str, frozenset[str]]] = {
    "sqlite": words(
        """
        bitxor django_date_extract django_date_trunc django_datetime_cast_date django_datetime_cast_time
        django_datetime_extract django_datetime_trunc django_format_dtdelta django_time_diff django_time_extract
        django_time_trunc django_timestamp_diff md5 rand regexp repeat sha1 sha224 sha256 sha384 sha512 stddev_pop
        stddev_samp var_pop var_samp
        """
    )
}
"""Functions that Django defines in SQLite, by dialect. They read nothing but their arguments."""

SETTING: Final = "PURPOSEGUARD_FUNCTIONS"
"""The setting that names functions of the database that read nothing but their arguments."""

_NAME: Final = r'"?\w+"?'
_CONTROL: Final = re.compile(
    rf"""(?:
      BEGIN(?:\ (?:DEFERRED|IMMEDIATE|EXCLUSIVE))?
    | (?:SAVEPOINT|RELEASE\ SAVEPOINT|ROLLBACK\ TO\ SAVEPOINT)\ {_NAME}
    | SET\ CONSTRAINTS\ ALL\ (?:IMMEDIATE|DEFERRED)
    | PRAGMA\ (?:foreign_keys|legacy_alter_table)(?:\ =\ (?:ON|OFF))?
    | PRAGMA\ foreign_key_check(?:\({_NAME}\))?
    | UPDATE\ "sqlite_sequence"\ SET\ "seq"\ =\ 0\ WHERE\ "name"\ IN\ \('\w+'(?:,\ '\w+')*\)
    | TRUNCATE\ {_NAME}(?:,\ {_NAME})*(?:\ RESTART\ IDENTITY)?(?:\ CASCADE)?
    );?""",
    re.VERBOSE,
)
"""Statements that begin or end transactions, or empty tables. They return no rows."""

_ODD_NAME: Final = re.compile(r"%\((?!\w+\)s)")
"""A parameter whose name has unusual characters, which Django and the analysis could read differently."""

_ABOUT_ITSELF: Final = re.compile(r"django\.db\.backends\.\w+\.(?:base|creation|features|introspection)")
"""Modules in which Django asks a database about itself."""

_SCHEMA: Final = re.compile(r"django\.db\.backends\.\w+\.schema")
_DEFINITION: Final = re.compile(r"(?:CREATE|ALTER|DROP|COMMENT|PRAGMA)\b", re.IGNORECASE)
_READING: Final = re.compile(r"\b(?:SELECT|AS\s+TABLE|AS\s+EXECUTE|AS\s+VALUES|USING)\b", re.IGNORECASE)

_BETWEEN: Final = ("django.db.backends.utils", "purposeguard.")
"""Prefixes of the modules on the stack between the author of a statement and the driver."""

_PAST: Final = frozenset({"callproc", "copy", "copy_expert", "copy_from", "copy_to", "executescript", "stream"})
"""Methods other than `execute` with which drivers' cursors execute something."""

_MIGRATES: Final[CodeType] = MigrationExecutor.migrate.__code__
"""The code that runs migrations. A migration is running while it is on the stack."""

_MARK: Final = "purposeguard_holds"


class HeldConnections:
    """All connections of the process, held to one guard."""

    def __init__(self, guard: Guard, functions: Iterable[str] = (), passes: Iterable[str] = ()) -> None:
        self.guard: Final = guard
        self._functions: Final = frozenset(several(functions, SETTING, '["name"]'))
        self._passes: Final = tuple(several(passes, "PURPOSEGUARD_PASSES", '["PRAGMA synchronous"]'))
        self.decider: Final = Decider(guard)
        self._statements: dict[tuple[str, bool], Statements] = {}
        """The analyzers of statements, by vendor and whether faults of tags are only observed."""
        self._tables: dict[bool, Tables] = {}
        self._columns: dict[Model, Columns] = {}
        self._tried: set[type] = set()
        self.instances: InstanceChecks | None = None
        """The checks of instances, if `check_instances` was called."""
        self._lock: Final = make_lock()
        guard.inventory.add_tables_of(self)

    def list_declared_tables(self) -> Iterable[TaggedTable]:
        """Return the tables of all models.

        Return no tables if a tag cannot be read. That error is raised when a statement is executed.
        """
        try:
            return tuple(iter_declared_tables(tables_of(self.decider.revisions, self.guard.tags)))
        except (TypeError, *TAG_ERRORS):
            return ()

    def statements(self, vendor: str) -> Statements:
        """Return the analyser of statements for a database vendor.

        Raises:
            UnresolvedStatement: the vendor is not supported.
            TypeError, UnknownSource, UnlabelledData: the tag of a model's field, or a setting, cannot be read.
            NoticeError: `tags.toml` and the code do not agree.
        """
        is_observing = self.decider.is_observing()
        key = (vendor, is_observing)
        cached = self._statements.get(key)
        if cached is not None:
            return cached
        if vendor not in DIALECTS:
            raise UnresolvedStatement(f"the statements of {vendor} are not read: {', '.join(DIALECTS)} are")
        with self._lock:
            if key not in self._statements:
                statements = Statements(
                    self.guard,
                    self.tables(),
                    dialect=DIALECTS[vendor],
                    functions=FUNCTIONS.get(vendor, frozenset()) | self._functions,
                    passes=self._passes,
                    partial=True,
                )
                statements.catalogue.functions_named_by = SETTING
                self._statements[key] = statements
            return self._statements[key]

    def tables(self) -> Tables:
        """Return the tables of all models. If faults of tags are only observed, faulty tags are left out.

        Raises:
            TypeError, UnknownSource, UnlabelledData, NoticeError: a tag cannot be read.
        """
        is_observing = self.decider.is_observing()
        if is_observing not in self._tables:
            self._tables[is_observing] = tables_of(self.decider.revisions, self.guard.tags, omit_faulty=is_observing)
        return self._tables[is_observing]

    @functools.cached_property
    def _reachable(self) -> ReachableColumns:
        """The personal columns that statements could touch."""
        return ReachableColumns(tables_of(self.decider.revisions, self.guard.tags, omit_faulty=True))

    def refuse_unresolved(self, error: PurposeGuardError, sql: object = "") -> None:
        """Raise an error of the analysis. In observe mode, report it with the columns that could be touched.

        Args:
            error: The error.
            sql: The statement, if there is one.
        """
        if not self.decider.is_observing():
            raise error
        event, columns = self._reachable.describe(sql if isinstance(sql, str) else "")
        self.decider.refuse_unresolved(error, event, columns)

    def columns(self, model: Model) -> Columns:
        """Return the tags of a model's fields. Raise the errors of `columns_of_model`."""
        if model not in self._columns:
            self._columns[model] = columns_of_model(model, self.decider.revisions, self.guard.tags)
        return self._columns[model]

    def install(self) -> None:
        """Hold all connections of this process, both open and future ones."""
        connection_created.connect(self._hold_connection, dispatch_uid="purposeguard", weak=False)
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                self._hold_connection(connection=connection)

    def check_instances(self) -> None:
        """Check each read of a personal field of an instance, in this process."""
        self.instances = InstanceChecks(self.decider, self.tables)
        self.instances.install()

    def _hold_connection(self, *, connection: Any, **_: object) -> None:
        """Hold one connection.

        Raises:
            ImproperlyConfigured: this Django no longer calls the wrapper, or creates cursors in another way.
        """
        wrappers: list[Any] = connection.execute_wrappers
        if not any(wrapper == self._execute for wrapper in wrappers):
            # The wrapper must not be the last one, because leaving a `connection.execute_wrapper(…)` block removes the
            # last wrapper. Only the wrapper that brings a request's purpose into this thread comes before it.
            wrappers.insert(1 if wrappers and getattr(wrappers[0], "purposeguard_hops", False) else 0, self._execute)
        connection.make_cursor = lambda cursor: _HeldCursor(cursor, connection, self)
        connection.make_debug_cursor = lambda cursor: _HeldDebugCursor(cursor, connection, self)
        if type(connection) not in self._tried and connection.vendor in DIALECTS:
            self._try(connection)
            self._tried.add(type(connection))

    def _try(self, connection: Any) -> None:
        calls: list[object] = []

        def ask(*args: object) -> None:  # the innermost wrapper: it does not execute the statement
            calls.append(args)

        with connection.execute_wrapper(ask), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            if calls and isinstance(cursor, _HeldCursorMixin):
                return
        raise ImproperlyConfigured(
            "this release of Django executes statements that purposeguard is not asked about: use one that was tested "
            "with this release of purposeguard"
        )

    def _execute(self, execute: Execute, sql: Any, params: Any, many: bool, context: Mapping[str, Any]) -> Any:
        """Check and narrow a statement, then execute it. Django calls this wrapper for each statement.

        In observe mode, the statement is executed unchanged.
        """
        vendor = context["connection"].vendor
        if not self.decider.is_observing():
            return execute(self._admit(sql, params, vendor), params, many, context)
        faults = Faults()
        with faults.collect():
            self._admit(sql, params, vendor)
        for error in faults.errors:  # The adapter of SQL has reported its own.
            self.refuse_unresolved(error, sql)
        return execute(sql, params, many, context)

    def _admit(self, sql: Any, params: Any, vendor: str) -> str:
        """Check a statement, and return it narrowed.

        Raises:
            UnresolvedStatement: the statement is no text, or has a parameter of an odd name; or it is unknown what it
                reads or writes.
            PurposeGuardError: the errors of `Statements.narrowed`.
        """
        if not isinstance(sql, str):
            raise UnresolvedStatement("a statement that is no text is not read: give it as one, with `%s` for values")
        if isinstance(params, Mapping) and _ODD_NAME.search(sql):
            raise UnresolvedStatement("a parameter is named by letters, digits and underscores: `%(name)s`")
        if _CONTROL.fullmatch(sql) is not None or self._is_exempt(sql):
            return sql
        loaded: frozenset[int] = frozenset()
        if self.instances is not None and self.decider.engine.observers.read:
            loaded = find_loaded_outputs(sys._getframe(1))
        return self.statements(vendor).narrowed(sql, percent=params is not None, loaded=loaded)

    def _is_exempt(self, sql: str) -> bool:
        """Return True if the statement comes from Django itself, or from a migration outside any purpose.

        Django's own statements inspect or change the tables of the database.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _module(frame).startswith(_BETWEEN):
            frame = frame.f_back
        if frame is None:
            return False
        module = _module(frame)
        if _ABOUT_ITSELF.fullmatch(module):
            return True
        if _SCHEMA.fullmatch(module) and _DEFINITION.match(sql) and _READING.search(sql) is None:
            return True
        if find_current_use(self.decider.engine) is not None:
            return False
        while frame is not None and frame.f_code is not _MIGRATES:
            frame = frame.f_back
        return frame is not None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _must_hold_no_seals(params: Any) -> None:
    """Raise SealedValue if a parameter is a sealed value, or contains one in a list or mapping."""
    if type(params) is Personal:
        raise SealedValue(
            "a sealed value was given to a statement: it is neither stored nor looked for. Open it with `use.open(…)` "
            "in a purpose that may use it"
        )
    if isinstance(params, (list, tuple, set, frozenset)):
        for param in params:
            _must_hold_no_seals(param)
    elif isinstance(params, Mapping):
        for param in params.values():
            _must_hold_no_seals(param)


class _HeldCursorMixin:
    """A cursor that refuses sealed values and the driver methods that bypass the analysis."""

    def __init__(self, cursor: Any, db: Any, held_connections: HeldConnections) -> None:
        inherited: Any = super()
        inherited.__init__(cursor, db)
        self._held_connections = held_connections

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Execute a statement, like any cursor, but refuse sealed values."""
        # A wrapper would be too late: with DEBUG, Django logs the parameters even if the wrapper raises.
        _must_hold_no_seals(params)
        inherited: Any = super()
        return inherited.execute(sql, params)

    def executemany(self, sql: Any, param_list: Any) -> Any:
        """Execute a statement for each item, like any cursor, but refuse sealed values."""
        every = list(param_list)
        _must_hold_no_seals(every)
        inherited: Any = super()
        return inherited.executemany(sql, every)

    def __getattr__(self, name: str) -> Any:
        if name in _PAST:
            self._refuse_bypass(name)
        inherited: Any = super()
        return inherited.__getattr__(name)

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to call a procedure, because its effects are unknown. In observe mode, report it."""
        self._refuse_bypass("callproc")
        inherited: Any = super()
        return inherited.callproc(*args, **kwargs)

    def _refuse_bypass(self, name: str) -> None:
        self._held_connections.refuse_unresolved(
            UnresolvedStatement(
                f"`{name}` of a cursor leads to the driver, where nobody sees what is executed: execute a statement, "
                "or use the driver by itself for what is not personal"
            )
        )


class _HeldCursor(_HeldCursorMixin, CursorWrapper):
    pass


class _HeldDebugCursor(_HeldCursorMixin, CursorDebugWrapper):
    pass
