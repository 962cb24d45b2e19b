"""The store itself: opened, read, written, closed; its secret; what its tables are."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import purposeguard.governance
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.schema import metadata
from purposeguard.governance.store import Store
from purposeguard.governance.upgrade import VERSION_TABLE


def test_a_change_is_kept_when_its_block_ends_and_not_where_it_fails(store: Store) -> None:
    with store.writing() as connection:
        changes.record(connection, ["7"])
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        _fail(changes.record(connection, ["8"]))
    with store.reading() as connection:
        assert changes.since(connection, 0) == (1, ("7",))


def _fail(_done: int) -> None:
    raise ZeroDivisionError


def test_the_secret_is_made_once(empty_url: str) -> None:
    with Store.open(empty_url) as one, Store.open(empty_url) as other:
        assert one.secret == other.secret
        assert len(one.secret) == 32
        assert one.digest("7") == other.digest("7") != one.digest("8")
        assert len(one.digest("7")) == 32


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed"), store.reading():
        pass


def test_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    for module in pkgutil.iter_modules(purposeguard.governance.__path__, "purposeguard.governance."):
        if not module.name.endswith("migrations"):
            importlib.import_module(module.name)
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    with store.writing() as connection:
        connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
        metadata.drop_all(connection)
        assert sa.inspect(connection).get_table_names() == []
