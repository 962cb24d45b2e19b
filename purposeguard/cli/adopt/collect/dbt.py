"""Tables of a dbt project: its sources and seeds. The labels of models follow from theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from purposeguard.adapters.dbt.manifest import ManifestNode, Project, Unread
from purposeguard.adapters.dbt.tags import OfColumn, OfTable, read_meta
from purposeguard.adapters.tags import parts_of
from purposeguard.adoption.catalog import FoundClass, FoundField
from purposeguard.cli.adopt.collect.classes import read_tag
from purposeguard.cli.files import CommandProblem
from purposeguard.notice.notice import Notice
from purposeguard.project.tags import TABLE, FieldTag


def collect_dbt(folder: Path, notice: Notice) -> Iterator[FoundClass]:
    """Yield the sources and seeds of a dbt project with their columns.

    Raises:
        CommandProblem: The manifest cannot be read.
        PurposeGuardError: A tag in the project cannot be read.
    """
    try:
        project = Project.read(folder)
    except ValueError as error:
        raise CommandProblem(str(error)) from error
    for node in project.resources.values():
        if node.resource_type in ("source", "seed"):
            try:
                table = project.table(node)
            except Unread as error:
                raise CommandProblem(f"{node.called}: {error.why}: {error.way_out}") from error
            names = dict.fromkeys([*(project.catalog.columns(node.unique_id) or ()), *node.columns])
            fields = tuple(_describe_column(node, name, notice) for name in names)
            file = project.path(node, properties=True)
            yield FoundClass(TABLE + table, "table", fields, (), "", table, file)


def _describe_column(node: ManifestNode, name: str, notice: Notice) -> FoundField:
    described = node.columns.get(name)
    comment = "" if described is None else described.description or ""
    return FoundField(name, column=name, comment=comment, tag=_read_tag(node, name, notice))


def _read_tag(node: ManifestNode, name: str, notice: Notice) -> FieldTag | None:
    where = f"{node.called}.{name}"
    column = node.columns.get(name)
    words = None if column is None else read_meta(OfColumn, column, where).tags
    if words is None:
        words = read_meta(OfTable, node, node.called).tags
    return None if words is None else read_tag(notice, parts_of(words), where)
