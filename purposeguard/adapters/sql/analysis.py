"""Analysis: what a statement reads, what its outputs are made of, and what flows where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from sqlglot import exp

from purposeguard.adapters.sql.catalogue import Catalogue, TablesLike
from purposeguard.adapters.sql.reading import parsed
from purposeguard.adapters.sql.relations import Flow, Relation
from purposeguard.adapters.sql.writes import Writes
from purposeguard.errors import UnresolvedStatement
from purposeguard.notice.vocabulary import Immutable


class Analysis(Immutable):
    """What was found out about one statement.

    `kind`: select, insert, create, update, delete or merge. `used`: by table, the columns that it reads. `outputs`: by
    name, the columns of tables that an output is made of (`*` where it cannot be told how many there are; `#2` for the
    second where it has no name). `target`: the table that it writes to, None for a query; `writes`: by column of it,
    the columns that flow into it. `conditions`: the columns that decide which rows it gives or writes, and which value
    of several: what is given or written depends on them as well, and tells of them. `columns`: what each output is made
    of, in their order, also where two have one name; None where it cannot be told how many there are.
    """

    __slots__ = ("columns", "conditions", "kind", "outputs", "target", "used", "writes")

    kind: str
    used: Mapping[str, frozenset[str]]
    outputs: Mapping[str, Flow]
    target: str | None
    writes: Mapping[str, Flow]
    conditions: Flow
    columns: tuple[Flow, ...] | None

    def __init__(
        self,
        kind: str,
        reads: Iterable[tuple[str, str]],
        found: Relation,
        target: str | None,
        writes: Mapping[str, Flow],
        *,
        conditions: Flow,
        order: Mapping[str, int],
    ) -> None:
        used: dict[str, set[str]] = {}
        for table, column in reads:
            used.setdefault(table, set()).add(column)
        told = {name: frozenset(used[name]) for name in sorted(used, key=lambda name: order[name])}
        self._fill(
            kind=kind,
            used=MappingProxyType(told),
            outputs=MappingProxyType(_outputs(found)),
            columns=tuple(one.flow for one in found.columns) if found.complete else None,
            target=target,
            writes=MappingProxyType(dict(writes)),
            conditions=conditions,
        )

    @property
    def depends(self) -> dict[str, Flow]:
        """By the name of each output, all that it depends on: what it is made of, and the conditions."""
        return {name: flow | self.conditions for name, flow in self.outputs.items()}

    def __repr__(self) -> str:
        return f"<Analysis of a statement: {self.kind} of {', '.join(self.used) or 'nothing'}>"


class Read:
    """A statement that was read: its tree, what was found out, and the places where it names tables and views.

    `targets`: the places, by identity, where it names the table that it writes to.
    """

    __slots__ = ("analysis", "mentions", "targets", "tree")

    def __init__(
        self,
        tree: exp.Expr,
        analysis: Analysis,
        mentions: tuple[tuple[exp.Table, str], ...],
        targets: frozenset[int] = frozenset(),
    ) -> None:
        self.tree: Final = tree
        self.analysis: Final = analysis
        self.mentions: Final = mentions
        self.targets: Final = targets


def read(text: str, catalogue: Catalogue) -> Read:
    """Reads one statement.

    Raises:
        UnresolvedStatement: it cannot be told what it reads or writes.
    """
    tree = parsed(text, catalogue.names.dialect, catalogue.column_keys)
    reader = Writes(catalogue)
    try:
        done = reader.statement(tree)
    except RecursionError:
        pass
    else:
        order = {table.name: number for number, table in enumerate(catalogue.tables.values())}
        analysis = Analysis(
            done.kind,
            reader.reads,
            done.outputs,
            done.target,
            done.writes,
            conditions=done.conditions,
            order=order,
        )
        return Read(tree, analysis, tuple(reader.mentions.values()), frozenset(reader.targets))
    raise UnresolvedStatement("the statement is nested too deeply to be looked into")


def analyse(text: str, tables: TablesLike, dialect: str, functions: Iterable[str] = ()) -> Analysis:
    """What a statement reads and writes, as far as `tables` tell of them; see `Analysis`.

    `tables`: by name, the names of columns in their order, as `Tables` has them, or the text of a view. `functions`:
    those of the database's own that read nothing but their arguments.

    Raises:
        UnresolvedStatement: it cannot be told what it reads or writes.
        ValueError: the dialect is not known, or two of the tables or columns have one name in it.
    """
    return read(text, Catalogue(tables, dialect, functions)).analysis


def _outputs(found: Relation) -> dict[str, Flow]:
    outputs: dict[str, Flow] = {}
    for number, column in enumerate(found.columns, 1):
        name = column.name or f"#{number}"
        outputs[name] = outputs.get(name, frozenset()) | column.flow
    if not found.complete and found.rest is not None:
        outputs["*"] = found.rest.flow
    return outputs
