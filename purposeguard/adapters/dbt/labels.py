"""Labels, written back: as properties files of dbt, and as statements that tag columns in the warehouse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from sqlglot import exp

from purposeguard.adapters.dbt.checks import Checked
from purposeguard.adapters.dbt.lineage import Output
from purposeguard.adapters.dbt.manifest import ManifestNode
from purposeguard.adapters.tags import KEY, Tag, words_of

_SENTENCE: Final = re.compile(r"\s*(?:Not personal data|Personal data, collected under [^\n]*)\.$")
"""What an earlier run wrote behind a description."""

_STATEMENTS: Final = {
    "bigquery": "ALTER {kind} {table} ALTER COLUMN {column} SET OPTIONS (description = {text});",
    "databricks": "ALTER TABLE {table} ALTER COLUMN {column} SET TAGS ('purposeguard' = {text});",
    "snowflake": "ALTER {kind} {table} MODIFY COLUMN {column} SET TAG purposeguard = {text};",
}
LONGEST_TAG: Final = 256
"""Characters of a tag's value at most, in Snowflake."""


def _format_tag(tag: Tag) -> str:
    sources = ", ".join(f"{source.clause} ({source.slug})" for source in tag.label)
    return f"Personal data, collected under {sources}." if tag.is_personal else "Not personal data."


def properties(checked: Checked) -> Iterator[tuple[str, str]]:
    """For each model, seed and snapshot of the project itself: the name of a properties file, and its text.

    It describes each column with its label, in words and in `meta`. Descriptions, other `meta` and declassifications
    stay as they were.
    """
    named = sorted(_own(checked), key=lambda node: (node.resource_type, node.name, str(node.version)))
    for (kind, name), group in groupby(named, key=lambda node: (node.resource_type, node.name)):
        text = f"version: 2\n{kind}s:\n  - name: {json.dumps(name)}\n"
        for node in group:
            if node.meta and "    config:" not in text:
                text += f"    config: {json.dumps({'meta': node.meta}, ensure_ascii=False)}\n"
            if node.version is None:
                text += _columns(checked, node, "    ")
            else:
                head = "" if "versions:" in text else "    versions:\n"
                text += f"{head}      - v: {json.dumps(node.version)}\n" + _columns(checked, node, "        ")
        yield f"{name}.yml", text


def _columns(checked: Checked, node: ManifestNode, indent: str) -> str:
    """Return the columns of a resource, one a line. A line is JSON, which is YAML as well."""
    # dbt 1.10 moved `meta` of columns to `config`, and warns where it stands by itself.
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
    """Statements of the warehouse that tag each column with its label, under the name `purposeguard`.

    BigQuery has no SQL that sets a policy tag. There the label becomes the description of the column.

    Raises:
        ValueError: columns have no tags in that warehouse, or a label is longer than a tag may be.
    """
    adapter, dialect = checked.project.adapter, checked.project.dialect
    if adapter not in _STATEMENTS:
        raise ValueError(f"columns have no tags in {adapter}: write their labels as properties")
    if adapter == "snowflake":
        yield "CREATE TAG IF NOT EXISTS purposeguard;"
    for node in _own(checked):
        kind = "VIEW" if node.config.materialized == "view" else "TABLE"
        for key, output, tag in _iter_labeled_columns(checked, node):
            value = _format_tag(tag) if adapter == "bigquery" else " ".join(words_of(tag))
            if len(value) > LONGEST_TAG and adapter != "bigquery":
                raise ValueError(f"the label of `{node.called}.{output.name}` is too long for a tag: {value}")
            column = exp.to_identifier(key, quoted=True).sql(dialect=dialect)
            text = exp.Literal.string(value).sql(dialect=dialect)
            yield _STATEMENTS[adapter].format(kind=kind, table=node.relation_name, column=column, text=text)


def _own(checked: Checked) -> Sequence[ManifestNode]:
    manifest = checked.project.manifest
    return [
        node
        for node in manifest.nodes.values()
        if node.package_name == manifest.metadata.project_name and node.unique_id in checked.outputs
    ]


def _iter_labeled_columns(checked: Checked, node: ManifestNode) -> Iterator[tuple[str, Output, Tag]]:
    """Yield the columns of a table that have a label. Of a seed, columns that nobody uses may have none."""
    for key, output in checked.outputs[node.unique_id].items():
        if output.tag is not None:
            yield key, output, output.tag
