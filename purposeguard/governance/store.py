"""The store of governance, in a SQLite file, or in PostgreSQL for the processes of many machines."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
import weakref
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import sqlalchemy as sa
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from purposeguard.governance.engines import (
    APPLICATION,
    BEGIN_OPTION,
    BEGIN_WRITING,
    make_engine,
    make_unavailable_error,
    translate_error,
    translate_errors,
)
from purposeguard.governance.forking import FORKS
from purposeguard.governance.pseudonyms import KEYS, TABLES, PseudonymKeys, attach_keys
from purposeguard.governance.schema import VERSION_TABLE, metadata
from purposeguard.processes import LiveObjects

UPGRADE_LOCK: Final = 0x7075_7270_6F73_6531
"""The advisory lock on PostgreSQL for upgrades."""

FORMAT: Final = re.compile(r"\d{4}(?=[a-z]?_)")
"""The number of a revision. Migrations between revisions of one number only add: `0004_notes`, `0004a_…`, `0004b_…`."""

SESSION: Final = re.compile(rf"(?<=\b{APPLICATION} )(\d{{4}})[a-z]?_\w+$")
"""The revision in the name of a session of PostgreSQL."""

Upgrade = Literal["nothing", "additions", "all"]
"""The changes to its tables that opening a store may make."""

CHANGED: Final = "purposeguard_changed"
"""The execution option with the subjects whose preferences a transaction changes."""


class Listener(Protocol):
    """An object that is notified at once, in this process, whose preferences have changed."""

    def invalidate(self, subjects: Collection[str], /) -> None:
        """Forget the preferences of these subjects.

        Called before the block that made the change ends, and also if it failed: the commit may have succeeded.
        """

    def forget(self) -> None:
        """Forget everything. Called when another store is opened in place of this one."""


class Store:
    """The database of governance: use `Store.open(url)`, or `Store()` and later `connect`.

    All errors of the database are raised as StoreUnavailable.

    Attributes:
        engine: The engine of SQLAlchemy.
        dialect: The kind of database, `sqlite` or `postgresql`.
        where: The name of the store in messages, without user and password.
        keys: The keys that link persons to pseudonyms.
        listeners: The objects that are notified of changes, held weakly.
        interruptions: The number of lost connections. After one, the store may be in an earlier state.
    """

    def __init__(self) -> None:
        """Make a store that is not opened yet and refuses everything."""
        self.where = "of governance"
        self.timeout = 0.0
        self.keys = PseudonymKeys()
        self.listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self.interruptions = 0
        self._apart: KeyStore | None = None
        self._engine: sa.Engine | None = None
        self._closed = False
        self._inherited: list[object] = []
        _STORES.add(self)
        FORKS.told.add(self)

    @property
    def engine(self) -> sa.Engine:
        """The engine of SQLAlchemy; raises StoreUnavailable before the store is opened."""
        if self._engine is None:
            raise make_unavailable_error(self.where, "was not opened yet", "open it when the application starts")
        return self._engine

    @property
    def is_open(self) -> bool:
        """True between `connect` and `close`."""
        return self._engine is not None and not self._closed

    @property
    def _file(self) -> str | None:
        """The real path of the SQLite file; None on PostgreSQL."""
        database = self.engine.url.database
        return os.path.realpath(database) if self.dialect == "sqlite" and database is not None else None

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The kind of database."""
        return "sqlite" if self.engine.dialect.name == "sqlite" else "postgresql"

    # ---- Opening --------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        url: str | URL = "sqlite:///purposeguard.db",
        *,
        keys: str | URL | None = None,
        timeout: float = 5.0,
        upgrade: bool = False,
    ) -> Self:
        """Open a store, and make it if it does not exist.

        Args:
            url: The URL of the database.
            keys: The URL of another database for the keys, which tell whose a pseudonym is; None if the store holds
                them.
            timeout: The most seconds to wait for another process or the server.
            upgrade: True to upgrade tables of an older version, as `purposeguard store upgrade --contract` does.

        Raises:
            StoreUnavailable: it cannot be opened, its tables are of another version of this package, or these are not
                its keys.
            ValueError: a URL is neither of a SQLite file nor of PostgreSQL, both are of one database, or the timeout
                is not above zero.
        """
        store = cls()
        store.connect(url, keys=keys, timeout=timeout, upgrade=upgrade)
        return store

    def connect(
        self, url: str | URL, *, keys: str | URL | None = None, timeout: float = 5.0, upgrade: bool = False
    ) -> None:
        """Open this store, for the first time or after `close`. Raise as `open` does.

        Raises:
            RuntimeError: it is open.
        """
        self._connect(url, keys, timeout, "all" if upgrade else "nothing")

    def _connect(self, url: str | URL, keys: str | URL | None, timeout: float, upgrade: Upgrade) -> None:
        if self.is_open:
            raise RuntimeError(f"{self.where} is open: close it before another is opened in its place")
        if timeout <= 0:
            raise ValueError(f"a store needs some time to answer: timeout={timeout}")
        if keys is not None and _database_identity(keys) == _database_identity(url):
            raise ValueError("keys that lie apart are in another database than the store")
        scripts = ScriptDirectory.from_config(make_alembic_config())
        self._engine, self.where = make_engine(url, timeout, f"{APPLICATION} {scripts.get_current_head()}")
        self.timeout = timeout
        self.interruptions += 1  # Cached answers of the previous store are not valid for this one.
        self._closed = False
        event.listen(self._engine, "invalidate", self._note_interruption)
        try:
            if self.dialect == "sqlite":
                self._write_ahead()
            if keys is not None:
                self._apart = KeyStore.open(keys, timeout=timeout)
            self._prepare(scripts, upgrade)
        except BaseException:
            self.close()
            raise
        for listener in list(self.listeners):
            listener.forget()

    def _write_ahead(self) -> None:
        """Set the journal mode, which the file keeps: readers beside a writer."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._connection(None) as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except exc.DBAPIError as error:
                # SQLite does not wait for this lock by itself.
                busy = getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
                failure = None if busy and time.monotonic() < deadline else translate_error(self.where, error)
            else:
                return
            if failure is not None:
                raise failure
            time.sleep(0.01)

    def _prepare(self, scripts: ScriptDirectory, upgrade: Upgrade) -> None:
        """Make the tables, or check that this version can use them, and open the keys; in one transaction."""
        with self.writing() as connection, contextlib.ExitStack() as stack:
            if self.dialect == "postgresql":
                from purposeguard.governance.postgresql import suspend_limits  # noqa: PLC0415  # needs psycopg

                stack.enter_context(suspend_limits(connection))
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            present = _read_revisions(connection)
            steps = _plan_migrations(self.where, scripts, present, upgrade)
            if steps:
                if present and self.dialect == "postgresql":
                    _require_unused(self.where, connection, steps[-1].revision)
                run_migrations(connection, scripts, steps[-1].revision)
            keys = PseudonymKeys()
            attach_keys(connection, keys, self._apart, self.where, move=upgrade != "nothing")
            self.keys = keys
        with self.reading() as connection:
            behind = keys.has_keys_to_destroy(connection)
        if behind:
            self.destroy_keys()

    def destroy_keys(self) -> None:
        """Destroy the keys of forgotten persons, if that was not done yet.

        Raises:
            StoreUnavailable: the store, or its keys, cannot be used.
        """
        with self.writing() as connection:
            self.keys.destroy(connection)
        for store in (self, self._apart):
            if store is not None and store.dialect == "sqlite":
                store._truncate()

    def _truncate(self) -> None:
        """Empty the write-ahead log, which contains older pages of the file."""
        with self.reading(single=True) as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        if busy:
            what = "has a reader, so that its log, in which older pages are, was not emptied"
            raise make_unavailable_error(self.where, what, "try again")

    # ---- Transactions ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self, *, single: bool = False) -> Generator[sa.Connection]:
        """Return a context manager for a connection that reads.

        On SQLite the connection sees one state of the store; on PostgreSQL each statement does. With `single` there is
        no transaction: for one statement, or for several that may see different states.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with translate_errors(self.where), self._connection(None if single else "BEGIN") as connection:
            if single and self.dialect == "postgresql":
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Generator[sa.Connection]:
        """Return a context manager for a transaction.

        Its changes are durable when the block ends; none are made if the block fails.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        changed: set[str] = set()
        try:
            with (
                translate_errors(self.where),
                self._connection(BEGIN_WRITING, changed) as connection,
                connection.begin(),
            ):
                yield connection
        finally:
            if changed:
                self.tell(changed)

    def tell(self, subjects: Collection[str]) -> None:
        """Notify the listeners of this process of the subjects whose preferences have changed."""
        for listener in list(self.listeners):
            listener.invalidate(subjects)

    @contextlib.contextmanager
    def _connection(self, begin: str | None, changed: set[str] | None = None) -> Generator[sa.Connection]:
        if self._closed:
            raise make_unavailable_error(self.where, "was closed", "open it again")
        if FORKS.torn and self._file in FORKS.torn:
            advice = "fork before threads write, or start the process anew (`spawn`)"
            raise make_unavailable_error(self.where, "was in a transaction when this process was forked", advice)
        engine, pool = self.engine, self.engine.pool
        try:
            with FORKS.transaction(), engine.connect() as connection:
                yield connection.execution_options(**{BEGIN_OPTION: begin, CHANGED: changed, KEYS: self.keys})
        finally:
            if self._closed or engine is not self._engine:  # type: ignore[redundant-expr]  # in another thread
                # This connection was in use when the store was closed.
                pool.dispose()
                engine.dispose()

    def pseudonym(self, subject: str) -> str:
        """Return the pseudonym of one person, as `pseudonyms` does."""
        return self.pseudonyms([subject])[0]

    def pseudonyms(self, subjects: Sequence[str]) -> list[str]:
        """Return the pseudonyms that tables and ledger use for these persons, by `subject_key`.

        Pseudonyms are random and made when they are first needed.

        Raises:
            StoreUnavailable: the store, or the keys, cannot be used.
        """
        with self.reading() as connection:
            names = self.keys.find_known(connection, subjects).names
        if len(names) < len(set(subjects)):
            with self.writing() as connection:
                names = self.keys.issue(connection, subjects)
        return [names[subject] for subject in subjects]

    # ---- The end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections. The store refuses everything until `connect`."""
        self._closed = True
        if self._engine is not None:
            self._engine.dispose()
        if self._apart is not None:
            self._apart.close()
            self._apart = None

    def _note_interruption(self, *_: Any) -> None:
        self.interruptions += 1

    def before_fork(self) -> None:
        """Close the files of SQLite before a fork.

        SQLite keeps the state of a file's locks for the process, so a child must not inherit an open file.
        """
        if self._engine is not None and self.dialect == "sqlite":
            self._engine.dispose()

    def after_fork(self, *, torn: bool) -> None:
        """Drop the parent's connections in a forked child, which neither uses nor closes them."""
        if self._engine is not None:
            self._inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            if torn and self._file is not None:
                FORKS.torn.add(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.where}>"


class KeyStore(Store):
    """A database that holds the keys of a store, and nothing else of it."""

    def _prepare(self, scripts: ScriptDirectory, upgrade: Upgrade) -> None:  # noqa: ARG002  # of one version
        with self.writing() as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            metadata.create_all(connection, tables=TABLES)


def _database_identity(target: str | URL) -> object:
    """Return where a database is, without the user and password."""
    try:
        url = make_url(target)
    except (exc.ArgumentError, ValueError):  # `make_engine` reports the error.
        return target
    if url.get_backend_name() == "sqlite":
        return "sqlite", os.path.realpath(url.database or "")
    return "postgresql", url.host or url.query.get("host"), url.port, url.database


# ---- Versions -----------------------------------------------------------------------------------------------------


def make_alembic_config() -> Config:
    """Return Alembic's configuration for the migrations of this package, without an ini file."""
    config = Config()
    # A percent sign would be read as an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _read_revisions(connection: sa.Connection) -> set[str]:
    """Return the revision of the existing tables; empty if there are none."""
    return set(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads())


def _format_number(revision: str) -> str | None:
    """Return the number that a revision begins with.

    A version can read all tables whose number is that of its own head, however new they are.
    """
    number = FORMAT.match(revision)
    return None if number is None else number[0]


def _plan_migrations(where: str, scripts: ScriptDirectory, present: set[str], upgrade: Upgrade) -> list[Script]:
    """Return the migrations to run, oldest first.

    The migrations after the revision of the tables are pending. Those with the number of that revision only add tables
    and columns. Later numbers take away what older versions use; if such a migration sets `can_wait`, this version also
    works before it.

    Args:
        where: The name of the store in messages.
        scripts: The migrations that this version knows.
        present: The revision of the tables; empty if there are no tables yet.
        upgrade: The pending migrations that the caller permits.

    Returns:
        All migrations if there are no tables yet. None if the tables have additions of a newer version. Otherwise all
        pending migrations if `upgrade` is "all", and only the pending additions if it is not.

    Raises:
        StoreUnavailable: the tables are of a newer version whose number this one does not know; `upgrade` is "nothing"
            and a pending migration cannot wait; or `upgrade` is "additions", and a pending migration takes something
            away and cannot wait.
    """
    every = list(scripts.walk_revisions())[::-1]
    if not present:
        return every
    known_revisions = [script.revision for script in every]
    revision = ", ".join(sorted(present))
    if revision not in known_revisions:
        if _format_number(revision) is not None and _format_number(revision) == _format_number(known_revisions[-1]):
            return []  # A newer version has added something that this version need not know.
        fault = f"was made by a newer version of purposeguard: `{revision}` is not known to this one"
        advice = "use the version that upgraded it or a later one, or put back the copy that was made before"
        raise make_unavailable_error(where, fault, advice)
    pending = every[known_revisions.index(revision) + 1 :]
    additions = list(
        itertools.takewhile(lambda script: _format_number(script.revision) == _format_number(revision), pending)
    )
    needed = [script for script in pending[len(additions) :] if not getattr(script.module, "can_wait", False)]
    if upgrade == "all":
        return pending
    if upgrade == "additions" and needed:
        fault = f"needs `{pending[len(additions)].revision}`, which takes away what older versions of purposeguard use"
        advice = "stop them, make a copy of the store, then run `purposeguard store upgrade --contract`"
        raise make_unavailable_error(where, fault, advice)
    if upgrade == "nothing" and (additions or needed):
        fault = "was made by an older version of purposeguard"
        raise make_unavailable_error(where, fault, "make a copy of it, then run `purposeguard store upgrade`")
    return additions


def _require_unused(where: str, connection: sa.Connection, revision: str) -> None:
    """Raise StoreUnavailable if PostgreSQL lists a session of a version that cannot use this revision.

    Sessions that are not named by `APPLICATION` and a revision are not noticed; versions before 0003 did not name them.
    """
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    number = str(_format_number(revision))
    older: list[str] = []
    for name in connection.scalars(sa.text(query)):
        session = SESSION.search(name or "")
        if session is not None and session[1] < number:
            older.append(session[0])
    older.sort()
    if older:
        fault = f"is in use by an older version of purposeguard: {len(older)} sessions, the oldest of `{older[0]}`"
        raise make_unavailable_error(where, fault, "stop its processes, then try again: they could not go on")


def run_migrations(connection: sa.Connection, scripts: ScriptDirectory, revision: str = "head") -> None:
    """Run the missing migrations up to this revision, within the current transaction.

    Alembic's global `context` and `op` are not used, because an `env.py` of the application may import this package.
    """

    def missing(present: tuple[str, ...], _: MigrationContext) -> Sequence[MigrationStep]:
        newest_first = scripts.iterate_revisions(revision, present or "base")
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script) for script in newest_first][::-1]

    # DDL of SQLite is transactional too: `Store` begins its transactions itself.
    options = {
        "version_table": VERSION_TABLE,
        "target_metadata": metadata,  # The names of constraints are made from it.
        "transactional_ddl": True,
        "fn": missing,
    }
    context = MigrationContext.configure(connection, opts=options)
    context.run_migrations(operations=Operations(context))


def open_existing_store(
    target: str | os.PathLike[str], *, keys: str | URL | None = None, timeout: float = 5.0
) -> Store:
    """Return the existing store of a URL, or in the SQLite file of a path. No table is made or changed.

    Raises:
        StoreUnavailable: the store does not exist, cannot be read, or is of another version of this package.
        ValueError: the URL is neither of a SQLite file nor of PostgreSQL.
    """
    url, _ = _find_existing(target, timeout)
    if keys is not None:
        _require_existing(keys, "name where the keys of the store lie")
    return Store.open(url, keys=keys, timeout=timeout)


def upgrade_store(
    target: str | os.PathLike[str], *, keys: str | URL | None = None, timeout: float = 5.0, contract: bool = False
) -> tuple[str, str]:
    """Upgrade the tables of a store; return their revision before and after.

    Args:
        target: The URL of the store, or the path of its file.
        contract: True to remove what this version does not need. Older versions can use the store only without it.
        keys: The URL of a database to which the keys in the store are moved.
        timeout: The seconds to wait for another process or the server.

    Raises:
        StoreUnavailable: as `open_existing_store`; this version needs `contract`; or an older version is using the
            store, which can be noticed on PostgreSQL only.
        ValueError: as `open_existing_store`.
    """
    url, before = _find_existing(target, timeout)
    with Store() as store:
        store._connect(url, keys, timeout, "all" if contract else "additions")
    return before, _find_existing(target, timeout)[1]


def has_pending_contract(revision: str) -> bool:
    """Return True if `upgrade_store` left something in tables of this revision that this version does not need."""
    revisions = [script.revision for script in ScriptDirectory.from_config(make_alembic_config()).walk_revisions()]
    return revision in revisions[1:]


def _find_existing(target: str | os.PathLike[str], timeout: float) -> tuple[str | URL, str]:
    """Return the URL of an existing store, and the revision of its tables."""
    text = os.fspath(target)
    url = text if "://" in text else sa.URL.create("sqlite", database=text)
    _require_existing(url, "name the store of an application that has run")
    engine, where = make_engine(url, timeout)
    try:
        with translate_errors(where), FORKS.transaction(), engine.connect() as connection:
            present = _read_revisions(connection)
    finally:
        engine.dispose()
    if not present:
        raise make_unavailable_error(
            where, "is no store of purposeguard", "name the store of an application that has run"
        )
    return url, ", ".join(sorted(present))


def _require_existing(url: str | URL, advice: str) -> None:
    with contextlib.suppress(exc.ArgumentError, ValueError):  # `make_engine` reports the error.
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).is_file():
            raise make_unavailable_error(f"`{Path(parsed.database)}`", "does not exist", advice)


_STORES: Final = LiveObjects(at_exit=Store.close)
