"""Writing labels back, as properties files of dbt and as statements that tag columns in the warehouse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sqlglot import exp

from purposeguard.adapters.dbt.checks import Checked
from purposeguard.adapters.dbt.lineage import Output
from purposeguard.adapters.dbt.manifest import ManifestNode
from purposeguard.adapters.tags import KEY, Tag, words_of

_SENTENCE: Final = re.compile(r"\s*(?:Not personal data|Personal data, collected under [^\n]*)\.$")
"""The sentence that an earlier run appended to a description."""

_STATEMENTS: Final = {
    "bigquery": "ALTER {kind} {table} ALTER COLUMN {column} SET OPTIONS (description = {text});",
    "databricks": "ALTER TABLE {table} ALTER COLUMN {column} SET TAGS ('purposeguard' = {text});",
    "snowflake": "ALTER {kind} {table} MODIFY COLUMN {column} SET TAG purposeguard = {text};",
}
MAX_TAG_LENGTH: Final = 256
"""Maximum length of a tag's value in Snowflake."""


def _format_tag(tag: Tag) -> str:
    sources = ", ".join(f"{source.clause} ({source.slug})" for source in tag.label)
    return f"Personal data, collected under {sources}." if tag.is_personal else "Not personal data."


def properties(checked: Checked) -> Iterator[tuple[str, str]]:
    """Yield the name and text of a properties file for each model, seed and snapshot of the project itself.

    The file describes each column with its label, in words and in `meta`. Descriptions, other `meta` and
    declassifications are kept.
    """
    nodes = sorted(_iter_own_nodes(checked), key=lambda node: (node.resource_type, node.name, str(node.version)))
    for (kind, name), group in groupby(nodes, key=lambda node: (node.resource_type, node.name)):
        text = f"version: 2\n{kind}s:\n  - name: {json.dumps(name)}\n"
        for node in group:
            if node.meta and "    config:" not in text:
                text += f"    config: {json.dumps({'meta': node.meta}, ensure_ascii=False)}\n"
            if node.version is None:
                text += _format_columns(checked, node, "    ")
            else:
                head = "" if "versions:" in text else "    versions:\n"
                text += f"{head}      - v: {json.dumps(node.version)}\n" + _format_columns(checked, node, "        ")
        yield f"{name}.yml", text


def _format_columns(checked: Checked, node: ManifestNode, indent: str) -> str:
    """Format the columns of a resource, one per line, as JSON, which is also YAML."""
    # dbt 1.10 moved `meta` of columns into `config`, and warns of `meta` elsewhere.
    version = re.match(r"(\d+)\.(\d+)", checked.project.manifest.metadata.dbt_version)
    configured = version is None or (int(version[1]), int(version[2])) >= (1, 10)
    described = {column.name.lower(): column for column in node.columns.values()}
    lines = [f"{indent}columns:\n"]
    for _, output, tag in _iter_labeled_columns(checked, node):
        column = described.get(output.name.lower())
        declassified = checked.declassified.get((node.unique_id, output.name))
        words: Any = words_of(tag)
        if declassified is not None:
            words = {"tags": words, "declassified": declassified.model_dump(exclude_none=True)}
        meta = {"meta": {**({} if column is None else column.meta), KEY: words}}
        described_as = "" if column is None else _SENTENCE.sub("", column.description or "")
        properties = {
            "name": output.name if column is None else column.name,
            "description": f"{described_as} {_format_tag(tag)}".strip(),
            **({"config": meta} if configured else meta),
        }
        lines.append(f"{indent}  - {json.dumps(properties, ensure_ascii=False)}\n")
    return "".join(lines)


def statements(checked: Checked) -> Iterator[str]:
    """Yield SQL statements that tag each column in the warehouse with its label, under the name `purposeguard`.

    BigQuery has no SQL that sets a policy tag. There the label becomes the description of the column.

    Raises:
        ValueError: the warehouse does not support tags on columns, or a label is too long for a tag.
    """
    adapter, dialect = checked.project.adapter, checked.project.dialect
    if adapter not in _STATEMENTS:
        raise ValueError(f"columns have no tags in {adapter}: write their labels as properties")
    if adapter == "snowflake":
        yield "CREATE TAG IF NOT EXISTS purposeguard;"
    for node in _iter_own_nodes(checked):
        kind = "VIEW" if node.config.materialized == "view" else "TABLE"
        for key, output, tag in _iter_labeled_columns(checked, node):
            value = _format_tag(tag) if adapter == "bigquery" else " ".join(words_of(tag))
            if len(value) > MAX_TAG_LENGTH and adapter != "bigquery":
                raise ValueError(f"the label of `{node.called}.{output.name}` is too long for a tag: {value}")
            column = exp.to_identifier(key, quoted=True).sql(dialect=dialect)
            text = exp.Literal.string(value).sql(dialect=dialect)
            yield _STATEMENTS[adapter].format(kind=kind, table=node.relation_name, column=column, text=text)


def _iter_own_nodes(checked: Checked) -> Iterator[ManifestNode]:
    """Yield the resources of the project itself whose columns could be read."""
    manifest = checked.project.manifest
    for node in manifest.nodes.values():
        if node.package_name == manifest.metadata.project_name and node.unique_id in checked.outputs:
            yield node


def _iter_labeled_columns(checked: Checked, node: ManifestNode) -> Iterator[tuple[str, Output, Tag]]:
    """Yield the columns of a table that have a label. Unused columns of a seed may have none."""
    for key, output in checked.outputs[node.unique_id].items():
        if output.tag is not None:
            yield key, output, output.tag
