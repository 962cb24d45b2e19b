"""Models of the dbt artifacts `target/manifest.json` and `target/catalog.json`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from purposeguard.adapters.sql.scopes import NameRules

MANIFESTS: Final = range(10, 13)
"""Supported versions of the manifest's schema, those of dbt 1.6 and later."""

ADAPTERS: Final[Mapping[str, str]] = {
    "bigquery": "bigquery",
    "databricks": "spark",
    "duckdb": "duckdb",
    "postgres": "postgres",
    "snowflake": "snowflake",
    "spark": "spark",
}
"""The SQL dialect of each supported dbt adapter."""

QUERIES: Final = re.compile(r"\.\s*(?:execute|add_query|run_sql_for_tests)\s*\(|\battr\s*\(")
"""Jinja that runs a statement in the database while the SQL of a model is compiled."""

_OF_COLUMNS: Final = frozenset({"macro.dbt.get_columns_in_relation"})
"""Macros that query only the names of columns."""


class Unread(Exception):
    """A resource that cannot be analysed. `why` is the reason, `way_out` the remedy."""

    def __init__(self, why: str, way_out: str) -> None:
        super().__init__(why)
        self.why = why
        self.way_out = way_out


class _Artifact(BaseModel):
    """Base class for parts of an artifact. Fields that are not used here are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Metadata(_Artifact):
    """The metadata of an artifact."""

    dbt_schema_version: str
    dbt_version: str = ""
    adapter_type: str | None = None
    project_name: str | None = None


class Hook(_Artifact):
    """A statement that runs before or after a model."""

    sql: str


class Config(_Artifact):
    """The configuration of a resource."""

    materialized: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)
    pre_hook: list[Hook] = Field(default_factory=list, alias="pre-hook")
    post_hook: list[Hook] = Field(default_factory=list, alias="post-hook")
    sql_header: str | None = None
    unique_key: str | list[str] | None = None
    on_schema_change: str | None = None
    incremental_predicates: list[Any] | None = None
    predicates: list[Any] | None = None
    check_cols: str | list[str] | None = None
    updated_at: str | None = None
    hard_deletes: str | None = None
    snapshot_meta_column_names: dict[str, str | None] | None = None
    store_failures: bool | None = None
    store_failures_as: str | None = None


class ManifestColumn(_Artifact):
    """A column that a properties file describes."""

    name: str
    description: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)
    config: Config = Config()


class DependsOn(_Artifact):
    """The nodes and macros that a resource depends on."""

    nodes: list[str] = Field(default_factory=list)
    macros: list[str] = Field(default_factory=list)


class Macro(_Artifact):
    """A Jinja macro."""

    name: str
    macro_sql: str
    depends_on: DependsOn = DependsOn()


class ManifestNode(_Artifact):
    """A resource: a model, seed, snapshot, test, analysis, operation, source, exposure or saved query."""

    unique_id: str
    resource_type: str
    name: str
    package_name: str
    original_file_path: str
    patch_path: str | None = None
    source_name: str | None = None
    version: str | int | float | None = None
    relation_name: str | None = None
    language: str | None = None
    raw_code: str = ""
    compiled_code: str | None = None
    columns: dict[str, ManifestColumn] = Field(default_factory=dict)
    meta: dict[str, Any] = Field(default_factory=dict)
    config: Config = Config()
    depends_on: DependsOn = DependsOn()
    exports: list[Any] = Field(default_factory=list)

    @property
    def called(self) -> str:
        """The name in messages, such as `telemetry.devices` for a source or `customers.v2` for a version."""
        source = "" if self.source_name is None else f"{self.source_name}."
        return f"{source}{self.name}" + ("" if self.version is None else f".v{self.version}")


class Manifest(_Artifact):
    """The manifest: all resources of a project and of its packages."""

    metadata: Metadata
    nodes: dict[str, ManifestNode]
    sources: dict[str, ManifestNode]
    exposures: dict[str, ManifestNode]
    saved_queries: dict[str, ManifestNode] = Field(default_factory=dict)
    macros: dict[str, Macro] = Field(default_factory=dict)


class _CatalogColumn(_Artifact):
    index: int


class _CatalogTable(_Artifact):
    columns: dict[str, _CatalogColumn]


class CatalogArtifact(_Artifact):
    """The catalog: the columns of each table in the database when `dbt docs generate` ran."""

    nodes: dict[str, _CatalogTable] = Field(default_factory=dict)
    sources: dict[str, _CatalogTable] = Field(default_factory=dict)

    def columns(self, unique_id: str) -> list[str] | None:
        """Return the names of a table's columns, in order, or None if they are unknown."""
        table = self.nodes.get(unique_id) or self.sources.get(unique_id)
        columns = {} if table is None else table.columns
        return sorted(columns, key=lambda name: columns[name].index) or None


@dataclass(frozen=True)
class Project:
    """A dbt project, read from its artifacts. `folder` is the prefix of its files' paths in messages."""

    manifest: Manifest
    catalog: CatalogArtifact = field(default_factory=CatalogArtifact)
    folder: str = ""

    @classmethod
    def read(cls, folder: Path, target: Path | None = None) -> Project:
        """Read the project in a folder.

        Args:
            folder: The folder of the project.
            target: The folder of its artifacts, by default `target` within `folder`.

        Raises:
            ValueError: there is no manifest, an artifact cannot be read, or its version or adapter is not supported.
        """
        artifacts = folder / "target" if target is None else target
        path = artifacts / "manifest.json"
        if not path.is_file():
            raise ValueError(f"there is no `{path}`: run `dbt build` or `dbt compile` first")
        manifest = _read(Manifest, path)
        version = re.search(r"/manifest/v(\d+)\.json$", manifest.metadata.dbt_schema_version)
        if version is None or int(version[1]) not in MANIFESTS:
            raise ValueError(
                f"`{path}` has the schema `{manifest.metadata.dbt_schema_version}`, and v{MANIFESTS[0]} to "
                f"v{MANIFESTS[-1]} are read: those of dbt 1.6 and later"
            )
        adapter = manifest.metadata.adapter_type
        if adapter not in ADAPTERS:
            raise ValueError(f"the adapter `{adapter}` is not known here, only {', '.join(ADAPTERS)}")
        catalog = artifacts / "catalog.json"
        shown = "" if folder == Path() else f"{folder.as_posix()}/"
        return cls(manifest, _read(CatalogArtifact, catalog) if catalog.is_file() else CatalogArtifact(), shown)

    @property
    def adapter(self) -> str:
        """The dbt adapter of the project, or an empty string."""
        return self.manifest.metadata.adapter_type or ""

    @property
    def dialect(self) -> str:
        """The dialect of the project's SQL."""
        return ADAPTERS[self.adapter]

    @property
    def resources(self) -> Mapping[str, ManifestNode]:
        """All nodes and sources, by id."""
        return {**self.manifest.sources, **self.manifest.nodes}

    def iter_in_order(self) -> Iterator[ManifestNode]:
        """Yield all nodes and sources, each after the resources that it depends on.

        Raises:
            ValueError: resources depend on each other in a circle.
        """
        resources = self.resources
        graph = {unique_id: node.depends_on.nodes for unique_id, node in resources.items()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise ValueError(f"resources depend on each other: {' → '.join(error.args[1])}") from error
        for unique_id in order:
            if unique_id in resources:
                yield resources[unique_id]

    def find_querying_macros(self, trusted: Container[str] = ()) -> frozenset[str]:
        """Return the macros that run queries while a model is compiled, directly or through other macros.

        Macros named in `trusted` do not count.
        """
        querying: set[str] = set()
        callers: defaultdict[str, list[str]] = defaultdict(list)
        for key, macro in self.manifest.macros.items():
            if macro.name not in trusted and key not in _OF_COLUMNS:
                if QUERIES.search(macro.macro_sql):
                    querying.add(key)
                for called in macro.depends_on.macros:
                    callers[called].append(key)
        pending = list(querying)
        while pending:
            new_callers = set(callers[pending.pop()]) - querying
            querying |= new_callers
            pending += new_callers
        return frozenset(querying)

    def path(self, node: ManifestNode, *, properties: bool = False) -> str:
        """Return the path of a resource's file. With `properties`, prefer the file that describes its columns."""
        path = node.original_file_path
        if properties and node.patch_path:
            path = node.patch_path.partition("://")[2]
        own = node.package_name == self.manifest.metadata.project_name
        return self.folder + (path if own else f"dbt_packages/{node.package_name}/{path}")

    def table(self, node: ManifestNode) -> str:
        """Return the name of a resource's table or view, as the SQL adapter declares it.

        Raises:
            Unread: the resource has no table, or its name is not plain.
        """
        if not node.relation_name:
            raise Unread("it has no table or view", "refer to a model that has one")
        names = NameRules(self.dialect)
        try:
            name = table_name(exp.to_table(node.relation_name, dialect=self.dialect), names)
        except (SqlglotError, ValueError):
            name = None
        if name is None:
            raise Unread(f"`{node.relation_name}` is no name of a table that is read here", "give it a plain name")
        return name


def table_name(table: exp.Table, names: NameRules) -> str | None:
    """Return the SQL adapter's name for a table.

    Return None if the name is not plain, or if the adapter would not find the table by it.
    """
    key: list[str] = []
    for part in filter(None, map(table.args.get, ("catalog", "db", "this"))):
        if type(part) is not exp.Identifier:
            return None
        key.append(names.table_key(part))
    name = ".".join(key)
    return name if names.make_table_key(name) == tuple(key) else None


A = TypeVar("A", bound=_Artifact)


def _read(artifact: type[A], path: Path) -> A:
    try:
        return artifact.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"`{path}` cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"])) or "the whole of it"
        message = f"`{path}` cannot be read: {place}: {fault['msg']}"
    raise ValueError(message)
