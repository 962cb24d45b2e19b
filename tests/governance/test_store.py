"""The store itself: opened, read, written, closed; its secret; what its tables are."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event

import purposeguard.governance
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.schema import VERSION_TABLE, metadata
from purposeguard.governance.store import Store


def test_a_change_is_kept_when_its_block_ends_and_not_where_it_fails(store: Store) -> None:
    with store.writing() as connection:
        changes.record_changes(connection, ["7"])
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        _fail(changes.record_changes(connection, ["8"]))
    with store.reading() as connection:
        assert changes.changes_since(connection, 0) == (1, ("7",))


def _fail(_done: int) -> None:
    raise ZeroDivisionError


def test_changes_are_numbered_in_the_order_in_which_they_are_kept(store: Store) -> None:
    with store.writing() as connection:
        assert changes.record_changes(connection, []) == 0  # nothing to number, but nobody else gets past
        assert changes.record_changes(connection, ["7", "8", "7"]) == 2
        assert changes.record_changes(connection, ["7"]) == 3
    with store.reading() as connection:
        assert changes.changes_since(connection, 0) == (3, ("7", "8", "7"))
        assert changes.changes_since(connection, 2) == (3, ("7",))
        assert changes.changes_since(connection, 3) == (3, ())
        assert changes.changes_since(connection, 4) == (3, None)


def test_a_person_has_one_pseudonym_whichever_process_makes_it(empty_url: str) -> None:
    with Store.open(empty_url) as one, Store.open(empty_url) as other:
        assert one.pseudonym("7") == other.pseudonym("7") != other.pseudonym("8")
        assert one.pseudonyms(["8", "7", "8"]) == [other.pseudonym(each) for each in ("8", "7", "8")]
        assert len(one.pseudonym("7")) == 32


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match=r"was closed"), store.reading():
        pass


def test_a_store_that_is_not_opened_yet_says_so(store_url: str) -> None:
    store = Store()
    assert repr(store) == "<Store of governance>"
    for use in (store.reading, store.writing):
        with pytest.raises(StoreUnavailable, match=r"the store of governance was not opened yet"), use():
            pass
    with pytest.raises(StoreUnavailable, match=r"was not opened yet"):
        store.pseudonym("7")
    store.close()
    with store:
        store.connect(store_url)
        assert len(store.pseudonym("7")) == 32
        with pytest.raises(RuntimeError, match="is open"):
            store.connect(store_url)
    store.connect(store_url)
    with store.reading() as connection:
        assert changes.latest_change(connection) == 0
    store.close()


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


def test_what_is_read_while_the_store_is_closed_is_closed_too(store: Store) -> None:
    ended = []
    event.listen(store.engine, "close", lambda *_: ended.append(1))
    with store.reading() as connection:
        before = len(ended)
        store.close()
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        assert len(ended) == before
    assert len(ended) == before + 1
