"""Lineage of a dbt project: the columns of each table, and what flows into them in the SQL that dbt compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

from sqlglot import exp

from purposeguard.adapters.dbt.manifest import ManifestNode, Project, Unread
from purposeguard.adapters.sql.lineage import ReadStatement, read_statement
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.scopes import Flow, NameRules, lower
from purposeguard.adapters.sql.tags import Catalog, Tables
from purposeguard.adapters.tags import NOT_PERSONAL, NOT_PERSONAL_TAG, Tag
from purposeguard.errors import PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.values.markers import SubjectMark

OTHERS: Final = "(other columns)"
"""The name of a table's unknown columns in messages. Their key is empty and they have no tag, so anything that may
refer to one of them, such as `*`, is refused."""

ROWS: Final = "\0"
"""The key of a pseudo column that stands for the choice of a table's rows. No statement can name it."""

MATERIALIZED: Final = frozenset(
    {"table", "view", "materialized_view", "incremental", "dynamic_table", "streaming_table", "external", "snapshot"}
)
"""Materializations that create a table or view with the columns of the query."""

_SNAPSHOT_COLUMNS: Final = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")

Roots = frozenset[tuple[str, Label]]
"""Declared columns: their names in messages, each with its label."""


class Output(NamedTuple):
    """A column of a table."""

    name: str
    tag: Tag | None = None
    """The tag of the column, or None if it is unknown."""
    roots: Roots = frozenset()
    """The declared columns that its values come from."""
    untagged: frozenset[str] = frozenset()
    """The columns without a tag that it is made of and that have not been reported."""

    def with_name(self, name: str) -> Output:
        """Return a column of another name that is made of the same columns."""
        return self._replace(name=name)

    def as_reported(self) -> Output:
        """Return the column after what it lacks was reported."""
        return self._replace(untagged=frozenset())


Outputs = Mapping[str, Output]
"""Columns, by their keys in the database engine."""


class BuiltTable(NamedTuple):
    """The lineage of one table."""

    outputs: Outputs
    rows: Output
    """The joint output of everything that decides which rows the table has."""
    tree: exp.Expr | None = None
    """The query that makes the table, or None."""
    subjects: frozenset[tuple[str, str]] = frozenset()
    """The columns with the mark `subject` that the query reads, as table and column."""


class DbtLineage:
    """The lineage of a project.

    `outputs` and `rows` hold the lineage of all tables built so far, by the id of the resource.
    """

    def __init__(self, project: Project, notice: Notice) -> None:
        self.project: Final = project
        self.notice: Final = notice
        self.names: Final = NameRules(project.dialect)
        self.resources: Final = project.resources
        self.outputs: Final[dict[str, Outputs]] = {}
        self.rows: Final[dict[str, Output]] = {}

    def format_column(self, key: str) -> str:
        """Format the key of a column for messages."""
        if not key:
            return OTHERS
        return lower(key) if self.names.make_column_key(lower(key)) == key else key

    def build_table(self, node: ManifestNode) -> BuiltTable | None:
        """Return the lineage of a table. Return None if a table that it reads could not be built.

        Raises:
            Unread: the columns of the table are unknown.
        """
        if node.resource_type in {"model", "snapshot"} and node.language != "python":
            return self._build_query(node)
        if node.language != "python":
            return BuiltTable(self._read_catalog_columns(node, None), Output("", NOT_PERSONAL_TAG))
        tables = self._collect_tables(node)
        if tables is None:
            return None
        # A Python model may write anything that it reads into any column.
        everything = join_outputs("", chain.from_iterable(outputs.values() for outputs in tables.values()))
        return BuiltTable(self._read_catalog_columns(node, everything), everything)

    def _read_catalog_columns(self, node: ManifestNode, default: Output | None) -> Outputs:
        """Return the columns of a table that no query makes.

        These are the columns in the catalog. Without a catalog, these are the declared columns and `OTHERS`.
        """
        names = self.project.catalog.columns(node.unique_id)
        if names is None:
            names = [column.name for column in node.columns.values()]
            names.append("")
        output = default or Output("")
        outputs: dict[str, Output] = {}
        for key in map(self.names.make_column_key, names):
            outputs[key] = output.with_name(self.format_column(key))
        if len(outputs) < len(names):
            raise Unread("the names of two columns differ in case alone", "rename a column")
        return outputs

    def reads(self, node: ManifestNode) -> Iterator[ManifestNode]:
        """Yield the tables that a resource reads, directly or through ephemeral models.

        Raises:
            Unread: the manifest lacks a resource.
        """
        for unique_id in node.depends_on.nodes:
            other = self.resources.get(unique_id)
            if other is None:
                raise Unread(f"it depends on {unique_id}, whose columns are not known", "refer to a model or source")
            if other.config.materialized == "ephemeral":
                yield from self.reads(other)
            else:
                yield other

    def _collect_tables(self, node: ManifestNode) -> dict[str, Outputs] | None:
        """Return the columns and `ROWS` of the tables that a resource reads, by table.

        Return None if one of the tables could not be built.
        """
        tables: dict[str, Outputs] = {}
        for other in self.reads(node):
            if other.unique_id not in self.outputs:
                return None
            tables[self.project.table(other)] = {**self.outputs[other.unique_id], ROWS: self.rows[other.unique_id]}
        return tables

    def _build_query(self, node: ManifestNode) -> BuiltTable | None:
        config, text = node.config, node.compiled_code
        if config.materialized not in MATERIALIZED:
            raise Unread(f"the materialization `{config.materialized}` is not known here", "use one of dbt's own")
        if not text:
            raise Unread("the manifest has no compiled SQL of it", "run `dbt build` or `dbt compile`, of all models")
        if config.sql_header or config.incremental_predicates or config.predicates:
            raise Unread("`sql_header` and predicates are not looked into", "leave them out of its configuration")
        tables, own = self._collect_tables(node), self.project.table(node)
        if tables is None:
            return None
        try:
            if config.materialized == "incremental":
                tables[own] = self._make_past_outputs(node, text)
            catalog = Catalog(Tables(self.notice, _list_tags(tables)), self.project.dialect)
            statement = read_statement(text, catalog)
        except (PurposeGuardError, ValueError) as error:
            way_out = "refer to tables by `ref` and `source`, in SQL that the SQL adapter reads"
            raise Unread(" ".join(str(error).split()), way_out) from error
        flows = self._add_row_dependencies(node, self._list_flows(statement))
        outputs = self._resolve_flows(flows, tables, own)
        rows = outputs.pop(ROWS)
        for key in self._iter_old_columns(node):
            if key not in outputs:
                outputs[key] = self._make_untagged_output(node, key)
        return BuiltTable(outputs, rows, statement.tree, frozenset(_iter_subject_columns(tables)))

    def _iter_old_columns(self, node: ManifestNode) -> Iterator[str]:
        """Yield the keys of columns that may remain in a table although its query no longer returns them."""
        config = node.config
        if config.materialized not in {"snapshot", "incremental"}:
            return
        catalog_columns = self.project.catalog.columns(node.unique_id)
        if catalog_columns is not None:
            yield from map(self.names.make_column_key, catalog_columns)
        elif config.materialized == "snapshot" or config.on_schema_change == "append_new_columns":
            yield self.names.make_column_key("")

    def _make_past_outputs(self, node: ManifestNode, text: str) -> Outputs:
        """Return the columns of its own table that an incremental model may read.

        These are the columns in the catalog. Without a catalog, these are all columns that its query names.
        """
        catalog_columns = self.project.catalog.columns(node.unique_id)
        keys: list[str] = []
        if catalog_columns is None:
            tree = parse_statement(text, Catalog({}, self.project.dialect))
            names = [column.this for column in tree.find_all(exp.Column)]
            keys += (self.names.key(name) for name in names if isinstance(name, exp.Identifier))
            keys.append("")
        else:
            keys += map(self.names.make_column_key, catalog_columns)
        return {key: self._make_untagged_output(node, key) for key in keys}

    def _make_untagged_output(self, node: ManifestNode, key: str) -> Output:
        name = self.format_column(key)
        return Output(name, untagged=frozenset({f"{node.called}.{name}"}))

    def _list_flows(self, statement: ReadStatement) -> dict[str, Flow]:
        """Return the columns and rows that each column of a query depends on, and the query's own `ROWS`.

        Raises:
            Unread: some columns are unknown, or have no name of their own.
        """
        relation = statement.outputs
        if statement.analysis.kind != "select" or not relation.complete:
            raise Unread("it is no query all of whose columns are known", "name its columns instead of `*`")
        conditions = statement.analysis.conditions | {(name, ROWS) for _, name in statement.mentions}
        flows: dict[str, Flow] = {ROWS: conditions}
        for number, column in enumerate(relation.columns, 1):
            unknown = column.key is None and "" in map(itemgetter(1), column.flow)
            key = "" if unknown else column.key
            if key is None or self.names.make_column_key(key) != key or (key in flows and not unknown):
                called = f"`{column.name}`" if column.name else f"number {number}"
                raise Unread(f"its column {called} has no name of its own", "give each column a name with AS")
            flows[key] = flows.get(key, frozenset()) | column.flow | conditions
        return flows

    def _add_row_dependencies(self, node: ManifestNode, flows: dict[str, Flow]) -> dict[str, Flow]:
        """Add to each flow the columns that decide which rows the table keeps.

        A snapshot also gets its metadata columns, which reveal these decisions.
        """
        config, snapshot = node.config, node.resource_type == "snapshot"
        deciding: Flow = frozenset()
        settings = [config.unique_key]
        if snapshot:
            settings += [config.check_cols, config.updated_at]
        for setting in settings:
            names = [setting] if isinstance(setting, str) else setting or []
            for name in names:
                flow = flows.get(self.names.make_column_key(name))  # an expression, or `all`, may use any column
                deciding |= frozenset().union(*flows.values()) if flow is None else flow
        all_flows = {key: flow | deciding for key, flow in flows.items()}
        added: list[str] = list(_SNAPSHOT_COLUMNS) if snapshot else []
        if config.hard_deletes == "new_record":
            added.append("dbt_is_deleted")
        renamed = config.snapshot_meta_column_names or {}
        for name in added:
            all_flows[self.names.make_column_key(renamed.get(name) or name)] = all_flows[ROWS]
        return all_flows

    def _resolve_flows(self, flows: dict[str, Flow], tables: Mapping[str, Outputs], own: str) -> dict[str, Output]:
        """Return the outputs of a query from the flows of its columns.

        What an incremental model reads from its own table counts as what flowed into that table before.
        """
        past = {(own, key): key for key in flows} if own in tables else {}
        changed = bool(past)
        while changed:
            before = dict(flows)
            for key, flow in before.items():
                for column in flow & past.keys():
                    flows[key] |= before[past[column]]
            changed = flows != before
        outputs: dict[str, Output] = {}
        for key, flow in flows.items():
            parts = [tables[table][column] for table, column in sorted(flow - past.keys())]
            outputs[key] = join_outputs(self.format_column(key), parts)
        return outputs


def _list_tags(tables: Mapping[str, Outputs]) -> dict[str, dict[str, Tag | None]]:
    """Return the tags of the columns of tables, without the pseudo column `ROWS`."""
    tags: dict[str, dict[str, Tag | None]] = {}
    for name, outputs in tables.items():
        tags[name] = {key: output.tag for key, output in outputs.items() if key != ROWS}
    return tags


def _iter_subject_columns(tables: Mapping[str, Outputs]) -> Iterator[tuple[str, str]]:
    """Yield the columns with the mark `subject`, as table and column."""
    for name, outputs in tables.items():
        for key, output in outputs.items():
            if output.tag is not None and isinstance(output.tag.mark, SubjectMark):
                yield name, key


def join_outputs(name: str, parts: Iterable[Output]) -> Output:
    """Return a column that is made of other columns."""
    label: Label | None = NOT_PERSONAL
    roots: set[tuple[str, Label]] = set()
    untagged: set[str] = set()
    for output in parts:
        label = None if label is None or output.tag is None else label | output.tag.label
        roots |= output.roots
        untagged |= output.untagged
    return Output(name, None if label is None else Tag(label), frozenset(roots), frozenset(untagged))
