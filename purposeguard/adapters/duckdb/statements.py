"""Statements of a guarded connection to DuckDB: read, decided, narrowed, looked at again, and run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cachetools
import duckdb
import pyarrow as pa
from sqlglot import exp

from purposeguard.adapters.deciding import Decider, Demand, label_in, label_known, must_cover
from purposeguard.adapters.deciding import tagged as tagged_column
from purposeguard.adapters.duckdb.cursors import Shown, quoted
from purposeguard.adapters.duckdb.locked import Locked
from purposeguard.adapters.duckdb.result import Result, holding, tagged
from purposeguard.adapters.duckdb.rows import Narrowed, Ready, readable, with_holes, with_tests
from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.sql.analysis import Analysis, read
from purposeguard.adapters.sql.catalogue import Catalogue
from purposeguard.adapters.sql.functions import NAMED_TABLE_FUNCTIONS
from purposeguard.adapters.sql.reading import parsed
from purposeguard.adapters.sql.relations import Flow
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag
from purposeguard.errors import UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import new_lock
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import FlowViolation
from purposeguard.runtime.use import Use, present
from purposeguard.values.markers import RowSource

DIALECT: Final = "duckdb"
STATEMENTS_KEPT: Final = 1000
"""Statements that are remembered by a connection."""

_FUNCTIONS: Final = NAMED_TABLE_FUNCTIONS[DIALECT] | {"unnest", "range", "generate_series"}
Parameters = Sequence[Any] | Mapping[str, Any] | None
Known = Mapping[str, tuple[tuple[str, ...], Columns]]
"""Tables by name: the names of all their columns, and the tags of those that bear one."""


_CREATE: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*CREATE\b", re.IGNORECASE | re.DOTALL)
_PLAIN_CREATE: Final = "of CREATE only `CREATE TABLE name AS SELECT …` is run here"

_WRITE: Final = MappingProxyType(
    {
        "insert": duckdb.StatementType.INSERT,
        "update": duckdb.StatementType.UPDATE,
        "delete": duckdb.StatementType.DELETE,
        "merge": duckdb.StatementType.MERGE_INTO,
    }
)


class Used(NamedTuple):
    """A column that a statement uses, and what is said of it under the present purpose.

    `label` is None where it bears no tag; it has the sources of the rows that would be kept. `by_row`: which rows may
    be used is told by what they say of themselves, and the others would be left out. `decision` says why it may not be
    used, whatever its rows say; None where it may.
    """

    table: str
    column: str
    label: Label | None
    by_row: bool
    decision: Decision | None

    @property
    def allowed(self) -> bool:
        """Whether it may be used."""
        return self.label is not None and self.decision is None


class Explanation(NamedTuple):
    """What a statement would do: of which `kind` it is, the columns that it uses, and the labels of what it gives.

    Of a column whose rows name their sources the label has those whose rows would be kept, or, where none would be left
    out, all of the notice. It is None where a tag is missing. `refused`: why what it writes may not be put there.
    """

    kind: str
    used: tuple[Used, ...]
    outputs: Mapping[str, Label | None]
    refused: FlowViolation | UnlabelledData | None = None

    @property
    def allowed(self) -> bool:
        """Whether it would run."""
        return self.refused is None and all(one.allowed for one in self.used)


class _World:
    """The tables as they are at one time, and what was read of statements over them."""

    def __init__(self, known: Known, views: Mapping[str, str]) -> None:
        self.known: Final = MappingProxyType(dict(known))
        self.views: Final = views
        tables = {**{name: names for name, (names, _) in known.items()}, **views}
        self.catalogue: Final = Catalogue(tables, DIALECT, functions=None)
        self.names: Final = frozenset(name.lower() for name in (*known, *views))
        self.types: Final[dict[str, Mapping[str, Any]]] = {}
        self.seen: Final[cachetools.LRUCache[str, _Seen]] = cachetools.LRUCache(STATEMENTS_KEPT)


class _Seen(NamedTuple):
    """A statement that was read, and what it takes to run it.

    `made` is the table that it makes, None where it makes none; `query` is what the rows of that are made of, or else
    all of it; `narrowed` the same where rows are left out.
    """

    analysis: Analysis
    demand: Demand
    made: str | None
    query: str
    narrowed: Narrowed | None


class Runner:
    """Runs statements for the purpose that is under way. From any thread."""

    def __init__(self, guard: Guard, known: Known, views: Mapping[str, str], locked: Locked) -> None:
        self._decider: Final = Decider(guard)
        self._locked: Final = locked
        self._world = _World(known, MappingProxyType(dict(views)))
        for text in views.values():
            read(text, self._world.catalogue)
        self._lock: Final = new_lock()  # of the world, and of what was seen in it

    def run(self, text: str, parameters: Parameters) -> Result:
        """See `Connection.sql`."""
        with self._lock:
            world = self._world
            seen = self._see(text, world)
        analysis = seen.analysis
        use, rules = self._decide(seen, world)
        tags = _Tags(world, rules)
        if analysis.target is not None:
            _refuse_flows(analysis, tags)
        if seen.narrowed is None or not rules:
            return self._run(seen, Ready(seen.query, {}, None), parameters, tags, use)
        types = {table: self._types(table, world) for table in rules}
        try:
            return self._run(seen, with_tests(seen.narrowed, rules, types, {}), parameters, tags, use)
        except UnknownSource:
            spelled = self._spelled(rules)
            if not any(spelled.values()):
                raise
        return self._run(seen, with_tests(seen.narrowed, rules, types, spelled), parameters, tags, use)

    def _types(self, table: str, world: _World) -> Mapping[str, Any]:
        known = world.types.get(table)
        if known is None:
            known = world.types[table] = self._locked.types_of(table.split("."))
        return known

    def _spelled(self, rules: Mapping[str, RowRule | None]) -> dict[str, list[str]]:
        """How rows spell their sources, by table: DuckDB knows usual spellings alone, and the notice reads all."""
        return {
            table: readable(rule.notice, self._locked.distinct(table.split("."), rule.source))
            for table, rule in rules.items()
            if rule is not None and rule.source is not None
        }

    def _run(self, seen: _Seen, whole: Ready, parameters: Parameters, tags: _Tags, use: Use[Any] | None) -> Result:
        analysis = seen.analysis
        shown = tags.shown(analysis)
        self._locked.unchanged()
        if seen.made is not None:
            return self._make(seen.made, whole, parameters, analysis, tags)
        if analysis.kind != "select":
            if analysis.outputs:
                raise UnresolvedStatement("RETURNING is not looked into here: ask for the rows by a query of its own")
            count = self._locked.write(whole, parameters, shown)
            self._locked.unchanged()
            return _counted(count)
        table, types = self._locked.read(whole, parameters, shown)
        self._locked.unchanged()
        outputs = tags.of_outputs(table.schema.names, analysis)
        table = tagged(table, types, outputs, self._decider.revisions)
        return Result(table.schema.names, outputs, holding(self._decider.engine, use, table))

    # ---- reading and deciding --------------------------------------------------------------------------------------

    def _see(self, text: str, world: _World) -> _Seen:
        seen = world.seen.get(text)
        if seen is None:
            made, query = _made(text, world)
            found = read(query, world.catalogue)
            analysis = found.analysis
            if analysis.kind == "create":
                raise UnresolvedStatement(_PLAIN_CREATE)
            if analysis.kind != "select":
                # DuckDB tells how it reads queries alone. So of what writes it gets what was read here, written down.
                query = found.tree.sql(dialect=DIALECT, comments=False)
            tables = _used(analysis, world)
            demand = self._decider.demand(tables, narrowed=tables)
            by_rows = dict.fromkeys(table for _, table, _ in demand.rows)
            narrowed = with_holes(found, world.catalogue, by_rows) if by_rows else None
            for one in (query, narrowed.text) if narrowed is not None else (query,):
                if analysis.kind == "select":
                    self._locked.look_again(one, world.names, _FUNCTIONS)
                else:
                    self._locked.must_be_one(one, _WRITE[analysis.kind])
            seen = _Seen(analysis, demand, made, query, narrowed)
            world.seen[text] = seen
        return seen

    def _decide(self, seen: _Seen, world: _World) -> tuple[Use[Any] | None, dict[str, RowRule | None]]:
        """The use that is under way, where anything personal is used, and which rows of tables it may use."""
        demand, engine = seen.demand, self._decider.engine
        if not demand.is_personal:
            return None, {}
        use = present(engine, "a statement was to run")
        if use is None:
            return None, {}  # observed only, and told already
        rules: dict[str, RowRule | None] = {}
        if demand.rows and not use.activity.observing:
            used = _used(seen.analysis, world)
            for table in dict.fromkeys(table for _, table, _ in demand.rows):
                rules[table] = self._decider.rule(use, *used[table], table)
        self._decider.meet_under(use, demand, rules)
        return use, rules

    def explain(self, text: str) -> Explanation:
        """See `Connection.explain`."""
        with self._lock:
            world = self._world
            made, query = _made(text, world)
            analysis = read(query, world.catalogue).analysis
        use = present(self._decider.engine, "a statement was asked about")
        notice = self._decider.engine.snapshot.matrix.notice
        narrows = use is not None and not use.activity.observing
        labels: dict[tuple[str, str], Label | None] = {}
        found: list[Used] = []
        rules: dict[str, RowRule | None] = {}
        for table, (columns, names) in _used(analysis, world).items():
            tagged = [name for name in names if name in columns]
            denied = self._decider.denied(use, columns, tagged, table) if use is not None else {}
            kept = [name for name in tagged if name not in denied]
            rule = self._decider.rule(use, columns, kept, table) if use is not None and narrows else None
            rules[table] = rule
            for name in names:
                tag = columns.get(name)
                label = labels[table, name] = None if tag is None else label_known(rule, tag, notice)
                by_row = tag is not None and self._decider.asks_rows(columns, {name: tag})
                found.append(Used(table, name, label, by_row, denied.get(name)))
        outputs: dict[str, Label | None] = {}
        for name, flow in analysis.depends.items():
            parts = [labels[one] for one in sorted(flow)]
            told = [one for one in parts if one is not None]
            outputs[name] = Label.join(NOT_PERSONAL, *told) if len(told) == len(parts) else None
        refused = None if None in labels.values() else _refusal(analysis, _Tags(world, rules))
        return Explanation("create" if made else analysis.kind, tuple(found), MappingProxyType(outputs), refused)

    # ---- tables that are made --------------------------------------------------------------------------------------

    def _make(self, name: str, whole: Ready, parameters: Parameters, analysis: Analysis, tags: _Tags) -> Result:
        """Makes a table of a query; its columns get the tags of what flows into them."""
        with self._lock:
            if name.lower() in self._world.names:
                raise UnresolvedStatement(f"there is a table `{name}` already: call the new one otherwise")
            whole = whole._replace(text=f"CREATE TABLE {quoted(name)} AS {whole.text}")
            count = self._locked.write(whole, parameters, tags.shown(analysis))
            self._locked.unchanged()
            names = self._locked.columns_of((name,))
            columns = Columns(dict(zip(names, tags.of_outputs(names, analysis), strict=True)))
            world = self._world
            self._world = _World({**world.known, name: (tuple(names), columns)}, world.views)
        return _counted(count)


def must_be_query(text: str) -> None:
    """Raises UnresolvedStatement where a text is not one query, so that no view can be made of it."""
    if not isinstance(parsed(text, DIALECT), exp.Query):
        raise UnresolvedStatement("a view is told by the text of one query")


def _used(analysis: Analysis, world: _World) -> dict[str, tuple[Columns, list[str]]]:
    """By table, its tags and the columns that are used, in their order."""
    found: dict[str, tuple[Columns, list[str]]] = {}
    for table, used in analysis.used.items():
        names, columns = world.known[table]
        found[table] = columns, [name for name in names if name in used]
    return found


def _made(text: str, world: _World) -> tuple[str | None, str]:
    """The table that a statement makes, None where it makes none; and its query, or all of it."""
    if _CREATE.match(text) is None:
        return None, text
    tree = parsed(text, DIALECT, world.catalogue.column_keys)
    target, query = tree.this, tree.expression
    plain = isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() == "TABLE"
    if not plain or not isinstance(target, exp.Table) or not isinstance(query, exp.Query):
        raise UnresolvedStatement(_PLAIN_CREATE)
    clauses = {name for name, part in tree.args.items() if part} - {"this", "kind", "expression"}
    if clauses or {name for name, part in target.args.items() if part} != {"this"}:
        raise UnresolvedStatement(
            "`CREATE TABLE name AS SELECT …` is run as it stands: without OR REPLACE, IF NOT EXISTS, TEMP or a schema"
        )
    name = target.name
    if name.lower() in world.names:
        raise UnresolvedStatement(f"there is a table `{name}` already: call the new one otherwise")
    return name, query.sql(dialect=DIALECT)


# ---- labels ----------------------------------------------------------------------------------------------------------


class _Tags:
    """The tags of values, by the columns that they are made of and the rows that are kept."""

    def __init__(self, world: _World, rules: Mapping[str, RowRule | None]) -> None:
        self.world: Final = world
        self._rules: Final = rules

    def of(self, flow: Flow) -> Tag:
        """Of a value that is made of these columns."""
        label = NOT_PERSONAL
        by_row = False
        for table, column in flow:
            tag = tagged_column(self.world.known[table][1], column, table)
            rule = self._rules.get(table)
            label |= label_in(rule, tag)
            by_row |= tag.by_row and rule is None
        return Tag(label, by_row=by_row)

    def shown(self, analysis: Analysis) -> Shown:
        """By table, the columns that a statement uses, and those by which its rows are kept."""
        rules = self._rules
        return {
            table: used.union(rule.columns if (rule := rules.get(table)) else ())
            for table, used in analysis.used.items()
        }

    def with_source(self, flow: Flow, beside: Flow | None) -> bool:
        """Whether these values say by row where they are from, and `beside` is just what says it."""
        known = self.world.known
        by_row = {table for table, column in flow if known[table][1][column].by_row}
        needed = {(table, known[table][1].marked(RowSource)) for table in by_row}
        return len(needed) == 1 and needed == set(beside or ())

    def of_outputs(self, names: Sequence[str], analysis: Analysis) -> list[Tag]:
        """Of the columns that DuckDB gave. Where it cannot be told which is which, each is all of them.

        Raises:
            UnresolvedStatement: they are others than were read.
        """
        columns, conditions = analysis.columns, analysis.conditions
        if columns is not None and len(columns) == len(names):
            return [self.of(flow | conditions) for flow in columns]
        if columns is not None and len(columns) > len(names):
            raise UnresolvedStatement(f"DuckDB gave {len(names)} columns, and {len(columns)} were read")
        return [self.of(conditions.union(*analysis.outputs.values()))] * len(names)


def _refusal(analysis: Analysis, tags: _Tags) -> FlowViolation | UnlabelledData | None:
    """Why what a statement writes may not be put there; None where it may, or where it writes nothing."""
    try:
        if analysis.target is not None:
            _refuse_flows(analysis, tags)
    except (FlowViolation, UnlabelledData) as error:
        return error.with_traceback(None)
    return None


def _refuse_flows(analysis: Analysis, tags: _Tags) -> None:
    """Refuses what would flow into a column whose tag does not cover it.

    Of rows that name their sources themselves the sources count of those that are kept. Where the column that names
    them goes along with the values, into one that is marked so, they count there.
    """
    target = analysis.target or ""
    columns = tags.world.known[target][1]
    for column, flow in analysis.writes.items():
        into = tagged_column(columns, column, target)
        value = tags.of(flow | analysis.conditions)
        if into.by_row and tags.with_source(flow, analysis.writes.get(columns.marked(RowSource) or "")):
            value = _Tags(tags.world, {}).of(flow | analysis.conditions)
        elif value.by_row:
            raise UnlabelledData(
                f"`{target}.{column}` would hold values whose sources their rows name: mark it `ByRow`, and put the "
                "column that names the source along"
            )
        must_cover(target, column, into.label, value.label)


def _counted(count: int) -> Result:
    table = pa.table({"Count": [count]})
    return Result(["Count"], [Tag()], lambda: table)
