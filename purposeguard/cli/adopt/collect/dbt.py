"""Tables of a dbt project: its sources and seeds, and its models, whose labels follow from theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from purposeguard.adapters.dbt.manifest import ManifestNode, Project, Unread
from purposeguard.adapters.dbt.tags import OfColumn, OfTable, read_meta
from purposeguard.adapters.tags import parts_of
from purposeguard.adoption.catalog import FoundClass, FoundField
from purposeguard.cli.adopt.collect.classes import read_tag
from purposeguard.cli.files import CommandProblem
from purposeguard.notice.notice import Notice
from purposeguard.project.tags import TABLE, FieldTag


def collect_dbt(folder: Path, notice: Notice) -> Iterator[FoundClass]:
    """Yield the tables of a dbt project with their columns.

    Raises:
        CommandProblem: The manifest cannot be read.
        PurposeGuardError: A tag in the project cannot be read.
    """
    try:
        project = Project.read(folder)
    except ValueError as error:
        raise CommandProblem(str(error)) from error
    for node in project.resources.values():
        if node.resource_type not in (*_LABELED, *_BUILT) or node.config.materialized == "ephemeral":
            continue
        try:
            table = project.table(node)
        except Unread as error:
            raise CommandProblem(f"{node.called}: {error.why}: {error.way_out}") from error
        names = dict.fromkeys([*(project.catalog.columns(node.unique_id) or ()), *node.columns])
        fields = tuple(_describe_column(node, name, notice) for name in names)
        file = project.path(node, properties=True)
        yield FoundClass(TABLE + table, "table", fields, (), "", table, file)


_LABELED: Final = ("source", "seed")
"""The kinds of tables that are not made by the project. Each of their columns needs a tag."""

_BUILT: Final = ("model", "snapshot")
"""The kinds of tables whose labels follow from what they read. Their columns need no tags, but may have some."""


def _describe_column(node: ManifestNode, name: str, notice: Notice) -> FoundField:
    described = node.columns.get(name)
    comment = "" if described is None else described.description or ""
    tag = _read_tag(node, name, notice)
    return FoundField(name, column=name, comment=comment, is_nested=node.resource_type in _BUILT, tag=tag)


def _read_tag(node: ManifestNode, name: str, notice: Notice) -> FieldTag | None:
    where = f"{node.called}.{name}"
    column = node.columns.get(name)
    words = None if column is None else read_meta(OfColumn, column, where).tags
    if words is None:
        words = read_meta(OfTable, node, node.called).tags
    return None if words is None else read_tag(notice, parts_of(words), where)
