"""A store that is there already: for who only looks, so nothing is made, and no table is changed."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc
from sqlalchemy.engine import make_url

from purposeguard.governance.connecting import engine_of
from purposeguard.governance.store import Store
from purposeguard.governance.unavailable import told, unavailable
from purposeguard.governance.upgrade import VERSION_TABLE, configuration


def existing_store(target: str | os.PathLike[str], *, timeout: float = 5.0) -> Store:
    """The store of a URL, or in a SQLite file of this path.

    Raises:
        StoreUnavailable: there is none, it cannot be read, or it is one of another version of this package.
        ValueError: the URL is none of a SQLite file or of PostgreSQL.
    """
    text = os.fspath(target)
    url = text if "://" in text else sa.URL.create("sqlite", database=text)
    path = _file_of(url)
    if path is not None and not path.is_file():
        raise unavailable(f"`{path}`", "does not exist", "name the store of an application that has run")
    engine, where = engine_of(url, timeout)
    try:
        with engine.connect() as connection:
            present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    except exc.DBAPIError as error:
        failure = told(where, error)
    else:
        wanted = ScriptDirectory.from_config(configuration()).get_heads()
        if set(present) == set(wanted):
            return Store.open(url, timeout=timeout)
        if not present:
            failure = unavailable(where, "is no store of purposeguard", "name the store of an application that has run")
        else:
            advice = "start the application, which brings its store up to date, or use the version that it uses"
            failure = unavailable(where, "is of another version than this one", advice)
    finally:
        engine.dispose()
    raise failure


def _file_of(url: str | sa.URL) -> Path | None:
    try:
        made = make_url(url)
    except (exc.ArgumentError, ValueError):
        return None  # which `engine_of` says
    return Path(made.database) if made.get_backend_name() == "sqlite" and made.database else None
