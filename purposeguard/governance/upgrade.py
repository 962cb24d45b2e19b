"""Brings a store's tables up to date. Alembic does the work, with neither an ini file nor a logging configuration."""

from __future__ import annotations

import datetime
import secrets
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from purposeguard.governance.schema import keys
from purposeguard.governance.unavailable import unavailable
from purposeguard.locks import new_lock
from purposeguard.runtime.clock import UTC

VERSION_TABLE: Final = "purposeguard_version"
"""Not Alembic's usual one, which an application that shares the database has for itself."""

_ONE_AT_A_TIME: Final = new_lock()
# Alembic's operations go to whatever context was entered last in the process, whichever thread entered it.


def configuration() -> Config:
    """Alembic's configuration: the migrations that come with this package."""
    found = Config()
    # A percent sign would be read as an interpolation.
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return found


def upgrade(connection: sa.Connection, where: str) -> bytes:
    """Upgrades to the newest version, within a transaction in which no other process does; gives the store's secret.

    Raises:
        StoreUnavailable: the store was made by a newer version of this package.
    """
    config = configuration()
    scripts = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    unknown = sorted(set(present) - {script.revision for script in scripts.walk_revisions()})
    if unknown:
        raise unavailable(
            where,
            f"was made by a newer version of purposeguard: `{unknown[0]}` is not known to this one",
            "upgrade purposeguard, or name another store",
        )
    if set(present) != set(scripts.get_heads()):
        config.attributes["connection"] = connection
        with _ONE_AT_A_TIME:
            command.upgrade(config, "head")
    return _secret(connection)


def _secret(connection: sa.Connection) -> bytes:
    """The store's secret, made with the store."""
    secret = connection.execute(sa.select(keys.c.secret)).scalar_one_or_none()
    if secret is None:
        secret = secrets.token_bytes(32)
        made = datetime.datetime.now(UTC)
        connection.execute(sa.insert(keys).values(id=1, secret=secret, made=made))
    return bytes(secret)
