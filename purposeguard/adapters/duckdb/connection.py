"""The guarded connection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, NoReturn, Self

from purposeguard.adapters.duckdb.locked import MEMORY, Locked
from purposeguard.adapters.duckdb.result import Result
from purposeguard.adapters.duckdb.sources import merged, source_of
from purposeguard.adapters.duckdb.statements import Explanation, Runner, must_be_query
from purposeguard.guard import Guard

NOTHING: Mapping[str, Any] = MappingProxyType({})


def connect(
    guard: Guard,
    tables: Mapping[str, object],
    *,
    tags: Mapping[str, object] = NOTHING,
    views: Mapping[str, str] = NOTHING,
    database: str | os.PathLike[str] = MEMORY,
) -> Connection:
    """Opens a guarded connection, to be closed at the end; also a context manager.

    `tables`: by the name that statements call it, the path of a file (Parquet, Feather, CSV or JSON, by its ending), a
    table of Arrow, or a frame of pandas (without its index) or polars. Parquet is read where it lies, by each statement
    anew, and a file that changes meanwhile is refused; everything else is read now, and kept in memory.

    `tags`: by name, what `purposeguard.adapters.tags.columns_of` takes, for columns that say nothing of themselves:
    those of Parquet, Feather and Arrow may bear tags, and what they say counts. A column without a tag cannot be used.

    `views`: by name, the texts of queries, which are looked into. `database`: the file of a DuckDB database; those of
    its tables can be named that are in `tags`, by `table` or `schema.table`.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: a file is not of its kind, tags name a column that it does not have, or a name is none, or two.
        TypeError: a table is given as something else.
        UnlabelledData, UnknownSource: a tag cannot be read, is of another notice, or contradicts another one.
        UnresolvedStatement: it cannot be told what a view reads.
        duckdb.Error: the database cannot be opened, or a view not be made.
    """
    revisions = guard._engine.snapshot.matrix.history
    for name in (*tables, *views):
        if not name.strip() or "." in name or "\0" in name:
            raise ValueError(f"`{name}` is no name for a table here: give one without dots")
    _refuse_alike([*tables, *views, *(name for name in tags if name not in tables)])
    for text in views.values():
        must_be_query(text)
    sources = {name: source_of(name, given, tags.get(name), revisions) for name, given in tables.items()}
    locked = Locked(os.fspath(database), sources)
    try:
        known = {name: (source.names, source.tags) for name, source in sources.items()}
        for name, given in tags.items():
            if name in tables:
                continue
            names = locked.columns_of(name.split("."))
            known[name] = (tuple(names), merged(f"table `{name}`", names, NOTHING, given, revisions))
        _refuse_shadows(locked, (*tables, *views))
        runner = Runner(guard, known, views, locked)
        locked.show(views)
    except BaseException:
        locked.close()
        raise
    return Connection(runner.run, runner.explain, locked.close)


class Connection:
    """A guarded connection to DuckDB, made by `connect`. From any thread: each statement has a cursor of its own.

    It has no other way to its tables, and shows the real connection nowhere. Outside a purpose it answers what is not
    personal.
    """

    __slots__ = ("__weakref__", "_close", "_explain", "_run")

    def __init__(
        self,
        run: Callable[[str, Sequence[Any] | Mapping[str, Any] | None], Result],
        explain: Callable[[str], Explanation],
        close: Callable[[], None],
    ) -> None:
        self._run = run
        self._explain = explain
        self._close = close

    def sql(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Result:
        """Runs one statement for the purpose that is under way, and gives its rows.

        A query, `CREATE TABLE … AS`, whose table gets the tags of what flows into it, or a statement that writes to a
        table of the database, whose tags must cover what flows into it. `parameters`: values for `?`, `$1` and `$name`.
        They are taken for values of nobody.

        All rows are read before it returns. See `Result` for how long they are handed out.

        Raises:
            PurposeMissing: it uses personal data, and no purpose is under way.
            PurposeViolation: the purpose may not use a column of it; `field` names the first, as `customer.email`.
            UnlabelledData: it uses a column without a tag, or names a table that is none of this connection.
            UnresolvedStatement: it cannot be told what it reads, it is none of these kinds, or a file has changed.
            FlowViolation: it would write what the tags of the target do not cover.
            UnknownSource: a row names a source that is none.
            duckdb.Error: DuckDB refused it, or failed. Its message tells no values.
        """
        return self._run(text, parameters)

    def explain(self, text: str) -> Explanation:
        """What a statement would use and give, and what would be said of each column under the present purpose.

        Nothing is run, and no column is refused.

        Raises:
            PurposeMissing: no purpose is under way.
            UnlabelledData: it names a table that is none of this connection, or none says of which source its rows are.
            UnresolvedStatement: it cannot be told what it reads, or it is none of these kinds.
            TypeError, StoreUnavailable: governance cannot tell of all subjects, or not now.
        """
        return self._explain(text)

    def close(self) -> None:
        """Closes it. What was read stays as it is."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection is not pickled or copied: open another one")

    def __repr__(self) -> str:
        return "<guarded Connection to DuckDB>"


def _refuse_shadows(locked: Locked, names: Iterable[str]) -> None:
    for name in names:
        if locked.has(name):
            raise ValueError(f"the database has a table `{name}` already: call the other one otherwise")


def _refuse_alike(names: Sequence[str]) -> None:
    """DuckDB does not tell capitals from small letters in names."""
    seen: dict[str, str] = {}
    for name in names:
        key = name.lower()
        if key in seen:
            raise ValueError(f"`{seen[key]}` and `{name}` are one name to DuckDB: call one of them otherwise")
        seen[key] = name
