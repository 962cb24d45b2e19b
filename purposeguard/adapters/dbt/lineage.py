"""Lineage: the columns of each table of a project, and what flows into them, by the SQL that dbt compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from sqlglot import exp

from purposeguard.adapters.dbt.manifest import ManifestNode, Project, Unread
from purposeguard.adapters.sql.lineage import ReadStatement, read_statement
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.scopes import Flow, NameRules, lower
from purposeguard.adapters.sql.tags import Catalog, Tables
from purposeguard.adapters.tags import NOT_PERSONAL, Tag
from purposeguard.errors import PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.values.markers import SubjectMark

OTHERS: Final = "(other columns)"
"""What the columns of a table are called that are not known. Their key is empty, and nothing tags them: whatever may
mean one of them, such as a `*`, is refused."""

ROWS: Final = "\0"
"""In place of a column: which rows a table has. No statement can name it."""

MATERIALIZED: Final = frozenset(
    {"table", "view", "materialized_view", "incremental", "dynamic_table", "streaming_table", "external", "snapshot"}
)
"""How a query becomes a table or view whose columns are those of the query."""

_SNAPSHOT_COLUMNS: Final = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")

Roots = frozenset[tuple[str, Label]]
"""Declared columns, by the names that people know them by, each with its label."""


class Output(NamedTuple):
    """A column: its name, its tag, and the declared columns that its values come from.

    `tag` is None where nothing tells it; `untagged` are the columns without a tag that it is made of, as far as these
    were not reported.
    """

    name: str
    tag: Tag | None = None
    roots: Roots = frozenset()
    untagged: frozenset[str] = frozenset()


Outputs = Mapping[str, Output]
"""Columns by the names that the engine knows them by."""


class BuiltTable(NamedTuple):
    """The columns of a table, and `rows`, what decides which rows it has.

    `tree`: the query that makes it; `subjects`: the columns with this mark that it reads.
    """

    outputs: Outputs
    rows: Output
    tree: exp.Expr | None = None
    subjects: frozenset[tuple[str, str]] = frozenset()


class DbtLineage:
    """The lineage of a project. `outputs` and `rows`: by the ids of resources, what is known of their tables so far."""

    def __init__(self, project: Project, notice: Notice) -> None:
        self.project: Final = project
        self.notice: Final = notice
        self.names: Final = NameRules(project.dialect)
        self.resources: Final = project.resources
        self.outputs: Final[dict[str, Outputs]] = {}
        self.rows: Final[dict[str, Output]] = {}

    def format_column(self, key: str) -> str:
        """Return the name of a column as people write it."""
        if not key:
            return OTHERS
        return lower(key) if self.names.declared_key(lower(key)) == key else key

    def build_table(self, node: ManifestNode) -> BuiltTable | None:
        """Return the columns of a table, with what flows into them; None if something that it reads could not be read.

        Raises:
            Unread: they are not known.
        """
        if node.resource_type in {"model", "snapshot"} and node.language != "python":
            return self._query(node)
        if node.language != "python":
            return BuiltTable(self._read_catalog_columns(node, None), Output("", Tag()))
        tables = self._tables(node)
        if tables is None:
            return None
        # Python may put anything that it reads anywhere.
        everything = join_outputs("", [output for outputs in tables.values() for output in outputs.values()])
        return BuiltTable(self._read_catalog_columns(node, everything), everything)

    def _read_catalog_columns(self, node: ManifestNode, made: Output | None) -> Outputs:
        """Return the columns of what no query makes: those of the catalog, or those that are declared, and others."""
        known = self.project.catalog.columns(node.unique_id)
        names = [*(column.name for column in node.columns.values()), ""] if known is None else known
        output = made or Output("")
        outputs = {key: output._replace(name=self.format_column(key)) for key in map(self.names.declared_key, names)}
        if len(outputs) < len(names):
            raise Unread("the names of two columns differ in case alone", "rename a column")
        return outputs

    def reads(self, node: ManifestNode) -> Iterator[ManifestNode]:
        """Yield the tables that a resource reads, those behind ephemeral models too.

        Raises:
            Unread: a resource is not in the manifest.
        """
        for unique_id in node.depends_on.nodes:
            other = self.resources.get(unique_id)
            if other is None:
                raise Unread(f"it depends on {unique_id}, whose columns are not known", "refer to a model or source")
            if other.config.materialized == "ephemeral":
                yield from self.reads(other)
            else:
                yield other

    def _tables(self, node: ManifestNode) -> dict[str, Outputs] | None:
        """By the names of the tables that a resource reads, their columns and rows; None if any could not be read."""
        tables: dict[str, Outputs] = {}
        for other in self.reads(node):
            if other.unique_id not in self.outputs:
                return None
            tables[self.project.table(other)] = {**self.outputs[other.unique_id], ROWS: self.rows[other.unique_id]}
        return tables

    def _query(self, node: ManifestNode) -> BuiltTable | None:
        config, text = node.config, node.compiled_code
        if config.materialized not in MATERIALIZED:
            raise Unread(f"the materialization `{config.materialized}` is not known here", "use one of dbt's own")
        if not text:
            raise Unread("the manifest has no compiled SQL of it", "run `dbt build` or `dbt compile`, of all models")
        if config.sql_header or config.incremental_predicates or config.predicates:
            raise Unread("`sql_header` and predicates are not looked into", "leave them out of its configuration")
        tables, own = self._tables(node), self.project.table(node)
        if tables is None:
            return None
        try:
            if config.materialized == "incremental":
                tables[own] = self._own_past(node, text)
            tags = {
                name: {key: output.tag for key, output in outputs.items() if key != ROWS}
                for name, outputs in tables.items()
            }
            statement = read_statement(text, Catalog(Tables(self.notice, tags), self.project.dialect))
        except (PurposeGuardError, ValueError) as error:
            way_out = "refer to tables by `ref` and `source`, in SQL that the SQL adapter reads"
            raise Unread(" ".join(str(error).split()), way_out) from error
        flows = self._add_row_dependencies(node, self._flows(statement))
        subjects = frozenset(
            (name, key)
            for name, outputs in tables.items()
            for key, output in outputs.items()
            if output.tag is not None and isinstance(output.tag.mark, SubjectMark)
        )
        made = self._resolve_flows(flows, tables, own)
        rows = made.pop(ROWS)
        if config.materialized in {"snapshot", "incremental"}:
            # Columns that the query no longer gives may stay in the table.
            known = self.project.catalog.columns(node.unique_id)
            stay = config.materialized == "snapshot" or config.on_schema_change == "append_new_columns"
            old = map(self.names.declared_key, ([""] if stay else []) if known is None else known)
            made |= {key: self._make_untagged_output(node, key) for key in old if key not in made}
        return BuiltTable(made, rows, statement.tree, subjects)

    def _own_past(self, node: ManifestNode, text: str) -> Outputs:
        """The columns that an incremental model may read of itself: those of the catalog, or all that it names."""
        known = self.project.catalog.columns(node.unique_id)
        if known is None:
            bare = Catalog({}, self.project.dialect)
            columns = [column.this for column in parse_statement(text, bare).find_all(exp.Column)]
            keys = [self.names.key(name) for name in columns if isinstance(name, exp.Identifier)]
            keys.append("")
        else:
            keys = list(map(self.names.declared_key, known))
        return {key: self._make_untagged_output(node, key) for key in keys}

    def _make_untagged_output(self, node: ManifestNode, key: str) -> Output:
        name = self.format_column(key)
        return Output(name, untagged=frozenset({f"{node.called}.{name}"}))

    def _flows(self, statement: ReadStatement) -> dict[str, Flow]:
        """By column of a query, and for its rows, the columns and rows that it depends on."""
        relation = statement.outputs
        if statement.analysis.kind != "select" or not relation.complete:
            raise Unread("it is no query all of whose columns are known", "name its columns instead of `*`")
        conditions = statement.analysis.conditions | {(name, ROWS) for _, name in statement.mentions}
        flows: dict[str, Flow] = {ROWS: conditions}
        for number, column in enumerate(relation.columns, 1):
            unknown = column.key is None and any(not name for _, name in column.flow)
            key = "" if unknown else column.key
            if key is None or self.names.declared_key(key) != key or (key in flows and not unknown):
                called = f"`{column.name}`" if column.name else f"number {number}"
                raise Unread(f"its column {called} has no name of its own", "give each column a name with AS")
            flows[key] = flows.get(key, frozenset()) | column.flow | conditions
        return flows

    def _add_row_dependencies(self, node: ManifestNode, flows: dict[str, Flow]) -> dict[str, Flow]:
        """What decides which rows a table keeps counts as well; a snapshot has columns that tell of it."""
        config, snapshot = node.config, node.resource_type == "snapshot"
        deciding: Flow = frozenset()
        for part in (config.unique_key, *((config.check_cols, config.updated_at) if snapshot else ())):
            for name in [part] if isinstance(part, str) else part or ():
                flow = flows.get(self.names.declared_key(name))  # an expression, and `all`, are of any columns
                deciding |= frozenset().union(*flows.values()) if flow is None else flow
        kept = {key: flow | deciding for key, flow in flows.items()}
        renamed = config.snapshot_meta_column_names or {}
        added = [renamed.get(name) or name for name in _SNAPSHOT_COLUMNS] if snapshot else []
        if config.hard_deletes == "new_record":
            added.append(renamed.get("dbt_is_deleted") or "dbt_is_deleted")
        return kept | {self.names.declared_key(name): kept[ROWS] for name in added}

    def _resolve_flows(self, flows: dict[str, Flow], tables: Mapping[str, Outputs], own: str) -> dict[str, Output]:
        """The columns of a query by what flows into them; what it reads of its own past by what flowed into that."""
        past = {(own, key): key for key in flows} if own in tables else {}
        changed = bool(past)
        while changed:
            before = dict(flows)
            for key, flow in before.items():
                flows[key] = flow.union(*(before[past[read]] for read in flow if read in past))
            changed = flows != before
        return {
            key: join_outputs(
                self.format_column(key), [tables[table][column] for table, column in sorted(flow - past.keys())]
            )
            for key, flow in flows.items()
        }


def join_outputs(name: str, parts: Iterable[Output]) -> Output:
    """Return a column made of others."""
    outputs = list(parts)
    label = Label.join(NOT_PERSONAL, *(output.tag.label for output in outputs if output.tag is not None))
    roots = frozenset().union(*(output.roots for output in outputs))
    untagged = frozenset().union(*(output.untagged for output in outputs))
    return Output(name, None if any(output.tag is None for output in outputs) else Tag(label), roots, untagged)
