"""The project `shop`, in the shape of dbt's own example: built by dbt, and what of its artifacts is read.

`python -m tests.adapters.dbt.project` builds it and writes `artifacts.json`, from which the fast tests start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import duckdb

from purposeguard.adapters.dbt.manifest import CatalogArtifact, Manifest

HERE: Final = Path(__file__).parent
ARTIFACTS: Final = HERE / "artifacts.json"
DBT: Final = Path(f"{sys.prefix}-dbt", "bin", "python")
"""dbt has an environment of its own, beside the one that the tests run in: `make dbt-env`."""

INVOKE: Final = """
import json, sys
from dbt.cli.main import dbtRunner

for arguments in json.loads(sys.argv[1]):
    if not dbtRunner().invoke(arguments).success:
        sys.exit(f"dbt {' '.join(arguments)} failed")
"""


def copied(folder: Path) -> Path:
    """A copy of the project, and a database with the table that its source names."""
    project = folder / "shop"
    shutil.copytree(HERE / "shop", project)
    with duckdb.connect(str(project / "shop.duckdb")) as database:
        database.execute("CREATE SCHEMA telemetry")
        database.execute(
            "CREATE TABLE telemetry.devices AS FROM (VALUES (1, 'antivirus', 3), (2, 'antivirus', 1), (3, 'vpn', 0)) "
            "AS devices (customer_id, product, threats)"
        )
    return project


def dbt(project: Path, *commands: list[str]) -> None:
    """Runs commands of dbt in a project, in one process."""
    assert DBT.exists(), f"there is no {DBT}: `make dbt-env`"
    environment = {**os.environ, "SHOP_DATABASE": str(project / "shop.duckdb"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "0"}
    run = subprocess.run(
        [DBT, "-c", INVOKE, json.dumps(commands)],
        cwd=project,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def built(folder: Path) -> Path:
    """The project after it was built twice: the second time its incremental model reads itself."""
    project = copied(folder)
    dbt(project, ["build"], ["docs", "generate"])
    return project


def essential(project: Path) -> dict[str, Any]:
    """What of its artifacts is read."""
    parts = ((Manifest, "manifest"), (CatalogArtifact, "catalog"))
    return {
        name: kind.model_validate_json((project / "target" / f"{name}.json").read_bytes()).model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"macros"}
        )
        for kind, name in parts
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as given:
        text = json.dumps(essential(built(Path(given))), indent=1, ensure_ascii=False, sort_keys=True)
    ARTIFACTS.write_text(f"{text}\n", "utf-8")
