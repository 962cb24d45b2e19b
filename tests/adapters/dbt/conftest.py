"""The artifacts of the project `shop`, which tests change before they are checked."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.adapters.dbt import Checked, Project, check
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.dbt.project import ARTIFACTS

WHOLE = json.loads(ARTIFACTS.read_text("utf-8"))


class Shop:
    """Artifacts of dbt in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = copy.deepcopy(WHOLE["manifest"])
        self.catalog: dict[str, Any] | None = copy.deepcopy(WHOLE["catalog"])
        self.tags: Path | None = None
        """The file of tags of the guard."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The node, source or exposure of this name."""
        parts = ("nodes", "sources", "exposures")
        every: list[dict[str, Any]] = [one for part in parts for one in self.manifest[part].values()]
        (found,) = (one for one in every if one["name"] == name and one["resource_type"] != "test")
        return found

    def tag(self, name: str, column: str, meta: object) -> None:
        """States the tags of a column, or more of it; None takes them away."""
        metas = {} if meta is None else {"purposeguard": meta}
        self[name].setdefault("columns", {})[column] = {"name": column, "meta": metas}

    def state(self, name: str, meta: object) -> None:
        """States what a table or an exposure is for."""
        self[name].update(meta={"purposeguard": meta}, config={**self[name].get("config", {}), "meta": {}})

    def model(self, name: str, sql: str, *reads: str, meta: object = None, tags: Any = None, **more: Any) -> None:
        """Adds a model. `{x}` in its SQL is the table of the resource `x`, and is depended on, as are `reads`."""
        tables = {
            one["name"]: one
            for one in (*self.manifest["nodes"].values(), *self.manifest["sources"].values())
            if one.get("relation_name")
        }
        own = {"name": name, "relation_name": f'"shop"."main"."{name}"'}
        read = {key: one for key, one in tables.items() if key != name}
        used = [one["unique_id"] for key, one in read.items() if f"{{{key}}}" in sql or key in reads]
        config = {"materialized": "table", **more.pop("config", {})}
        self.manifest["nodes"][f"model.shop.{name}"] = {
            **own,
            "unique_id": f"model.shop.{name}",
            "resource_type": "model",
            "package_name": "shop",
            "original_file_path": f"models/{name}.sql",
            "language": "sql",
            "compiled_code": sql.format(**{key: one["relation_name"] for key, one in {**tables, name: own}.items()}),
            "depends_on": {"nodes": used},
            "config": config,
            "meta": {} if meta is None else {"purposeguard": meta},
            **more,
        }
        for column, of_column in (tags or {}).items():
            self.tag(name, column, of_column)

    def exposure(self, name: str, *reads: str, meta: object = None) -> None:
        self.manifest["exposures"][f"exposure.shop.{name}"] = {
            "unique_id": f"exposure.shop.{name}",
            "name": name,
            "resource_type": "exposure",
            "package_name": "shop",
            "original_file_path": "models/exposures.yml",
            "depends_on": {"nodes": [self[one]["unique_id"] for one in reads]},
            "meta": {} if meta is None else {"purposeguard": meta},
        }

    def written(self) -> Path:
        target = self.folder / "target"
        target.mkdir(exist_ok=True)
        (target / "manifest.json").write_text(json.dumps(self.manifest), "utf-8")
        (target / "catalog.json").unlink(missing_ok=True)
        if self.catalog is not None:
            (target / "catalog.json").write_text(json.dumps(self.catalog), "utf-8")
        return self.folder

    def check(self, **options: Any) -> Checked:
        return check(Project.read(self.written()), pg.Guard(tm.NOTICE, tags=self.tags), **options)

    def found(self, **options: Any) -> list[tuple[str, str, str]]:
        """What is refused: rule, resource, column."""
        return [(one.rule, one.resource, one.column) for one in self.check(**options).findings]

    def labels(self, name: str) -> dict[str, str | None]:
        """The clauses of each column of a resource."""
        outputs = self.check().outputs[self[name]["unique_id"]]
        return {
            one.name: None if one.tag is None else " ".join(source.clause for source in one.tag.label)
            for one in outputs.values()
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def seeds(shop: Shop) -> Shop:
    """The seeds and the source alone."""
    shop.manifest["nodes"] = {key: one for key, one in shop.manifest["nodes"].items() if key.startswith("seed.")}
    shop.manifest["exposures"] = {}
    return shop
