"""The check of a dbt project: every column needs a label, and every purpose must be allowed to use its columns.

The SQL adapter resolves what a model reads, and the guard decides what a purpose may use. Anything unknown is refused.
"""

from __future__ import annotations

import re
from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from sqlglot import exp

from purposeguard.adapters.dbt.declassification import explain_undeclassified
from purposeguard.adapters.dbt.lineage import OTHERS, BuiltTable, DbtLineage, Output, Outputs, join_outputs
from purposeguard.adapters.dbt.manifest import QUERIES, ManifestNode, Project, Unread, table_name
from purposeguard.adapters.dbt.tags import Declassified, OfColumn, OfExposure, OfTable, read_meta, read_tag
from purposeguard.adapters.enforcement import require_covering
from purposeguard.adapters.sql.scopes import perhaps
from purposeguard.adapters.tags import Tag
from purposeguard.containers import drop_none_values, intersect
from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source
from purposeguard.policy.violations import FlowViolation

Rule = Literal["unread", "meta", "untagged", "flow", "declassification", "purpose"]

_TABLES: Final = frozenset({"source", "seed", "model", "snapshot"})

_HARMLESS: Final = re.compile(
    r"\s*(?:grant|revoke|analyze|vacuum|optimize|comment\s+on)\b(?:[^;{}]|\{\{\s*(?:this|target\.\w+)\s*\}\})*;?\s*",
    re.IGNORECASE,
)
"""Hooks that do not move data."""

MAX_ROOTS_SHOWN: Final = 3
"""Maximum number of declared columns that a finding names."""


class Finding(NamedTuple):
    """A refusal: the file, resource and column that it is about, the reason, and the remedy."""

    path: str
    resource: str
    column: str
    rule: Rule
    message: str
    help: str


@dataclass
class Checked:
    """The result of a check."""

    project: Project
    outputs: dict[str, Outputs] = field(default_factory=dict)
    """The columns of each resource that could be read, by the id of the resource."""
    findings: list[Finding] = field(default_factory=list)
    declassified: dict[tuple[str, str], Declassified] = field(default_factory=dict)
    """The declassifications that hold, by the id of the resource and the column."""


def check(project: Project, guard: Guard, *, trust_hooks: bool = False, trusted_macros: Container[str] = ()) -> Checked:
    """Propagate labels through a project, and ask the guard about each purpose that the project states.

    Args:
        project: The project.
        guard: The guard that decides.
        trust_hooks: Assume that hooks and operations, which are not analysed, move no personal data.
        trusted_macros: The names of macros that run queries while a model is compiled, but put nothing personal into
            its SQL.

    Raises:
        ValueError: resources depend on each other in a circle.
    """
    checker = _ProjectChecker(project, guard, trust_hooks, project.find_querying_macros(trusted_macros))
    for node in project.iter_in_order():
        with checker.reporting(node):
            checker.check_resource(node)
    for node in project.manifest.saved_queries.values():
        if node.exports:
            checker.report(node, "unread", "", "it exports tables that nobody labels", "export nothing")
    for node in project.manifest.exposures.values():
        with checker.reporting(node):
            checker.check_exposure(node)
    checker.checked.findings.sort()
    return checker.checked


class _DeclaredColumn(NamedTuple):
    """A column that a properties file describes."""

    name: str
    meta: OfColumn


class _ProjectChecker:
    """The check of one project. It adds to `checked` what it finds."""

    def __init__(self, project: Project, guard: Guard, trust_hooks: bool, querying: frozenset[str]) -> None:
        self.project: Final = project
        self.guard: Final = guard
        self.trust_hooks: Final = trust_hooks
        self.querying: Final = querying
        self.lineage: Final = DbtLineage(project, guard.notice)
        self.checked: Final = Checked(project, self.lineage.outputs)
        self.owners: Final[dict[str, ManifestNode]] = {}
        """The resource of each table, by the name of the table."""

    # ---- findings --------------------------------------------------------------------------------------------------

    def report(self, node: ManifestNode, rule: Rule, column: str, message: str, way_out: str) -> None:
        """Add a finding to the result. Its path is the SQL file or the properties file, depending on the rule."""
        path = self.project.path(node, properties=rule != "unread")
        self.checked.findings.append(Finding(path, node.called, column, rule, message, way_out))

    @contextmanager
    def reporting(self, node: ManifestNode, column: str = "") -> Generator[None]:
        """Turn an exception about a resource into a finding."""
        try:
            yield
        except Unread as error:
            self.report(node, "unread", column, error.why, error.way_out)
        except PurposeGuardError as error:
            self.report(node, "meta", column, " ".join(str(error).split()), "see the reference of `purposeguard dbt`")

    # ---- resources -------------------------------------------------------------------------------------------------

    def check_resource(self, node: ManifestNode) -> None:
        """Check a node or a source, after everything that it depends on."""
        if node.resource_type in _TABLES:
            self._check_table(node)
        elif node.resource_type == "operation":
            self._check_hooks([node.compiled_code or node.raw_code])
        elif node.resource_type == "test":
            if node.config.store_failures or node.config.store_failures_as:
                raise Unread("it stores the rows that fail, and nobody labels these", "set `store_failures: false`")
        elif node.resource_type not in {"analysis", "unit_test"}:
            raise Unread(f"resources of the kind `{node.resource_type}` are not read", "leave it out of the project")

    def _check_hooks(self, texts: Iterable[str]) -> None:
        """Raise Unread if a hook or operation may move data."""
        if not self.trust_hooks and not all(map(_HARMLESS.fullmatch, texts)):
            raise Unread(
                "a hook or operation runs a statement, which is not looked into",
                "leave it out, or check with `--trust-hooks` if hooks and operations move no personal data",
            )

    def _check_jinja(self, node: ManifestNode) -> None:
        """Raise Unread if the Jinja of a model runs a query, whose result would be text without a label in the SQL."""
        macros = intersect(node.depends_on.macros, self.querying)
        if macros or QUERIES.search(node.raw_code):
            by = f" by {_join_names([macro.removeprefix('macro.') for macro in macros])}" if macros else ""
            raise Unread(
                f"its Jinja runs a query{by}, and what that returns is in its SQL as text",
                "leave it out, or check with `--trust-macro NAME` if nothing personal gets into the SQL",
            )

    def _read_declared_columns(self, node: ManifestNode) -> dict[str, _DeclaredColumn]:
        """Return the columns that the properties file of a resource describes, by key."""
        columns = {self.lineage.names.make_column_key(column.name): column for column in node.columns.values()}
        if len(columns) < len(node.columns):
            raise Unread("two declared columns have the same name in its database", "declare it once")
        declared: dict[str, _DeclaredColumn] = {}
        for key, column in columns.items():
            meta = read_meta(OfColumn, column, f"{node.called}.{column.name}")
            declared[key] = _DeclaredColumn(column.name, meta)
        return declared

    def _check_table(self, node: ManifestNode) -> None:
        """Label the columns of a table, and check the purpose that the table is declared to have."""
        own = read_meta(OfTable, node, node.called)
        declared = self._read_declared_columns(node)
        self._check_jinja(node)
        if node.config.materialized == "ephemeral":
            if own != OfTable() or any(column.meta != OfColumn() for column in declared.values()):
                raise Unread("an ephemeral model has no table to declare anything of", "tag the models that read it")
            return
        owner = self.owners.setdefault(self.project.table(node), node)
        if owner is not node:
            raise Unread(f"`{node.relation_name}` is the table of {owner.called} as well", "refer to either of them")
        self._check_hooks(hook.sql for hook in (*node.config.pre_hook, *node.config.post_hook))
        built = self.lineage.build_table(node)
        if built is None:
            return
        for key, column in declared.items():
            if key not in built.outputs and column.meta != OfColumn():
                self.report(node, "meta", column.name, "there is no such column", "tag a column of the model")
        outputs: dict[str, Output] = {}
        outputs_by_name: dict[str, Output] = {}
        figures: list[Output] = []
        tags = self._read_tags(node, built, declared, own)
        for key in built.outputs:
            declassified = declared[key].meta.declassified if key in declared else None
            output = self._label_column(node, key, built, declassified, tags.get(key))
            outputs[key] = outputs_by_name[output.name] = output
            if (node.unique_id, output.name) in self.checked.declassified:
                figures.append(output)
        self.lineage.outputs[node.unique_id] = outputs
        # If a declassification holds, each row is about at least the declared number of subjects.
        rows = join_outputs("", figures) if figures else built.rows.as_reported()
        self.lineage.rows[node.unique_id] = rows
        self._check_purpose(node, own, outputs_by_name)

    def _read_tags(
        self, node: ManifestNode, built: BuiltTable, declared: Mapping[str, _DeclaredColumn], own: OfTable
    ) -> dict[str, Tag]:
        """Return the tags that `meta` and `tags.toml` state for the columns of a table, by key."""
        file = self.guard.tags
        schema, _, table = self.project.table(node).rpartition(".")
        entries = (file.find_table(table, schema or None) if file is not None else None) or {}
        stated = {self.lineage.names.make_column_key(name): entry for name, entry in entries.items()}
        tags: dict[str, Tag | None] = {}
        for key, output in built.outputs.items():
            words = declared[key].meta.tags if key in declared else None
            if output.name != OTHERS:
                with self.reporting(node, output.name):
                    where = f"{node.called}.{output.name}"
                    default = own.tags if words is None else words
                    tags[key] = read_tag(self.guard.notice, default, file, stated.get(key), where)
        return drop_none_values(tags)

    def _label_column(
        self, node: ManifestNode, key: str, built: BuiltTable, declassified: Declassified | None, tag: Tag | None
    ) -> Output:
        """Return a column with its stated tag. Report a finding if the tag does not cover what flows in."""
        output = built.outputs[key]
        name = f"{node.called}.{output.name}"
        if declassified is not None:
            return self._apply_declassification(node, key, built, declassified, tag)
        if built.tree is None and node.language != "python":
            if tag is None:
                return Output(output.name, untagged=frozenset({name}))
            return Output(output.name, tag, frozenset({(name, tag.label)}))
        if not key and output.untagged == frozenset({name}) and node.language != "python":
            return output  # columns of an earlier version, reported only if they are used
        if output.tag is None or (tag is None and node.language == "python"):
            self._report_untagged(node, output)
            return Output(output.name)
        if tag is None:
            return output
        try:
            require_covering(node.called, output.name, tag.label, output.tag.label)
        except FlowViolation as error:
            message, way_out = map(str.strip, str(error).split("\n"))
            self.report(node, "flow", output.name, f"{message}{_format_roots(output, error.missing.sources)}", way_out)
        added_sources = tag.label.sources - output.tag.label.sources
        roots = output.roots | ({(name, Label(*added_sources))} if added_sources else frozenset())
        return Output(output.name, Tag(tag.label | output.tag.label, mark=tag.mark), roots)

    def _report_untagged(self, node: ManifestNode, output: Output) -> None:
        """Report a column without a label. Columns that are made of it are not reported again."""
        names = sorted(output.untagged)
        if not names and node.language == "python":
            names = [f"{node.called}.{output.name}"]
        if not names:
            return
        why = f"no tag says what {_join_names(names)} is"
        way_out = "tag it in `meta` with its source, or `not-personal`"
        if any(OTHERS in name for name in names):
            why = f"it may hold columns of {names[0].removesuffix(f'.{OTHERS}')} that are not known here"
            way_out = "run `dbt docs generate`, whose catalog tells all columns, or name the columns instead of `*`"
        self.report(node, "untagged", output.name, why, way_out)

    def _apply_declassification(
        self, node: ManifestNode, key: str, built: BuiltTable, declaration: Declassified, tag: Tag | None
    ) -> Output:
        """Return a column with the tag that is stated for it, if its declassification holds.

        Report a finding and return the column unchanged if it is not a figure over enough subjects.
        """
        output, names = built.outputs[key], self.lineage.names
        why = "it has no `tags`, which say what it is from then on, or no query makes it"
        if tag is not None and built.tree is not None:

            def is_subject(table: exp.Table, column: str) -> bool:
                return (table_name(table, names), column) in built.subjects

            why = explain_undeclassified(built.tree, names, key, declaration.at_least, is_subject)
        if why or tag is None:
            self.report(node, "declassification", output.name, f"it is not declassified: {why}", _DECLASSIFIED)
            return output
        self.checked.declassified[node.unique_id, output.name] = declaration
        return Output(output.name, tag, frozenset({(f"{node.called}.{output.name}", tag.label)}))

    # ---- purposes --------------------------------------------------------------------------------------------------

    def check_exposure(self, node: ManifestNode) -> None:
        """Check the columns that an exposure uses: those that it names, or all columns of what it depends on."""
        meta = read_meta(OfExposure, node, node.called)
        models: dict[str, ManifestNode] = {}
        model_names: set[str] = set()
        for model in self.lineage.reads(node):
            models[model.unique_id] = model
            model_names |= {model.called, model.name}
        for name in meta.columns.keys() - model_names:
            near = perhaps(name, model_names)
            self.report(node, "meta", "", f"`{name}` is nothing that it depends on{near}", "name it as `ref` does")
        for unique_id, model in models.items():
            outputs = self.lineage.outputs.get(unique_id)
            if outputs is not None:  # otherwise reported already
                named_columns = meta.columns.get(model.called, meta.columns.get(model.name))
                uses = self._choose_columns(node, model, outputs, named_columns)
                self._check_purpose(node, meta, uses or {model.called: self.lineage.rows[unique_id]})

    def _choose_columns(
        self, node: ManifestNode, model: ManifestNode, outputs: Outputs, named_columns: Sequence[str] | None
    ) -> dict[str, Output]:
        """Return the columns of a model that an exposure uses, by their names in messages.

        These are the columns that the exposure names, or all columns if it names none of the model.
        """
        uses: dict[str, Output] = {}
        if named_columns is None:
            for output in outputs.values():
                uses[f"{model.called}.{output.name}"] = output
            return uses
        names = {self.lineage.names.make_column_key(name): name for name in named_columns}
        for key, output in outputs.items():
            if key in names:
                uses[f"{model.called}.{output.name}"] = output
        for key, name in names.items():
            if key not in outputs:
                column = f"{model.called}.{name}"
                self.report(node, "meta", column, "there is no such column", "name a column of the model")
        return uses

    def _check_purpose(self, node: ManifestNode, meta: OfTable | OfExposure, uses: Mapping[str, Output]) -> None:
        """Ask the guard about the columns that a resource uses, or holds for a purpose."""
        exposed = isinstance(meta, OfExposure)
        if meta.purpose is None and meta.channel is not None:
            self.report(node, "meta", "", f"it states the channel `{meta.channel}` and no purpose", "state `purpose`")
        for name, output in uses.items():
            if output.tag is None:
                # These are columns of sources, seeds or earlier versions. Other columns were reported with their model.
                if output.untagged and (exposed or meta.purpose is not None):
                    self.report(node, "untagged", name, "no tag says what it is", "tag it in `meta`, or do not use it")
            elif meta.purpose is not None:
                decision = self.guard.explain(output.tag.label, meta.purpose, meta.channel)
                if not decision:
                    message = f"{decision.headline}{_format_roots(output, decision.denied)}"
                    self.report(node, "purpose", name, message, "; ".join(decision.details) or _NARROW)
            elif exposed and output.tag.is_personal:
                message = (
                    f"it is personal data, used without a purpose{_format_roots(output, output.tag.label.sources)}"
                )
                self.report(node, "purpose", name, message, "state `purpose` in the `meta` of the exposure")


_NARROW: Final = "use other columns, or another purpose"
_DECLASSIFIED: Final = "group by what stays, `HAVING count(distinct SUBJECT) >= N`, and tag SUBJECT as `subject`"


def _format_roots(output: Output, sources: Iterable[type[Source]]) -> str:
    """Return the end of a message that names the declared columns behind some sources of a column."""
    roots = sorted(name for name, root in output.roots if not root.sources.isdisjoint(sources))
    return f", which comes from {_join_names(roots)}" if roots else ""


def _join_names(names: Sequence[str]) -> str:
    suffix = f" and {len(names) - MAX_ROOTS_SHOWN} more" if len(names) > MAX_ROOTS_SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:MAX_ROOTS_SHOWN]) + suffix
