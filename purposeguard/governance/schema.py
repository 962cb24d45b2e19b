"""The common parts of the tables of governance. Each module defines its tables beside the code that uses them.

Names of tables begin with `purposeguard_`: the database may hold tables of an application.
"""

from __future__ import annotations

import datetime
from typing import Final

import sqlalchemy as sa

from purposeguard.runtime.clock import UTC, to_utc

metadata: Final = sa.MetaData(
    # The same names in each dialect, so that migrations can use them.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Serial: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""The type of generated numbers. SQLite generates numbers only in columns of type INTEGER."""

VERSION_TABLE: Final = "purposeguard_version"
"""The table of Alembic's version. Its name is not the usual one, which an application in the same database may use."""


class Moment(sa.types.TypeDecorator[datetime.datetime]):
    """The type of moments: aware datetimes of any time zone, read back in UTC.

    In migrations it is `sa.DateTime(timezone=True)`.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Return the time for the database; refuse one without a time zone. SQLite, which knows none, gets UTC."""
        if value is None:
            return None
        moment = to_utc(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Return the time in UTC, whatever the time zone of the session."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


identity: Final = sa.Table(
    "purposeguard_store",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("mark", sa.String(32), nullable=False),
    sa.Column("made", Moment, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""A single row with the mark of the keys that belong to the store."""
