"""A module whose optional library is not installed names the extra that installs it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from purposeguard.extras import LIBRARIES, Needs

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "purposeguard"
OPTIONAL: Final = frozenset[str]().union(*LIBRARIES.values())
EXTRAS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


def test_each_extra_is_listed_with_libraries_that_it_installs() -> None:
    assert LIBRARIES.keys() == EXTRAS.keys()
    distributions = packages_distributions()
    for extra, requirements in EXTRAS.items():
        installed = {canonicalize_name(Requirement(text).name) for text in requirements}
        for name in list(installed):
            installed |= {canonicalize_name(Requirement(text).name) for text in requires(name) or ()}
        for library in LIBRARIES[extra]:
            owners = {canonicalize_name(name) for name in distributions[library]}
            assert owners & installed, f"{library} is not installed by {extra}"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("no", name="sqlglot"), "my.module needs sqlglot, which is not installed: pip install "),
        (ModuleNotFoundError("no", name="sqlglot.exp"), "my.module needs sqlglot.exp, which is not installed: pip "),
        (ModuleNotFoundError("no", name="sqlglot-c"), "my.module needs sqlglot-c, which is not installed: pip "),
        (ModuleNotFoundError("other", name="pandas"), "other"),
        (ModuleNotFoundError("unnamed"), "unnamed"),
        (ImportError("broken"), "broken"),
    ],
)
def test_only_a_missing_library_of_the_extra_is_said_with_it(error: ImportError, message: str) -> None:
    with pytest.raises(type(error), match=f"^{message}") as caught, Needs("my.module", "sql"):
        raise error
    assert ("purposeguard[sql]" in str(caught.value)) is (caught.value is not error)
    with Needs("my.module", "sql"):
        pass


# ---- every module ----------------------------------------------------------------------------------------------------


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _imports(node: ast.AST, *, eager: bool = True, covered: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """Yield each imported module, whether it is imported with the module itself, and whether `Needs` covers it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        for name in _imported(child):
            yield name, eager, covered
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        needs = isinstance(child, ast.With) and any(
            getattr(getattr(item.context_expr, "func", None), "id", "") in {"Needs", "needing"} for item in child.items
        )
        yield from _imports(child, eager=eager and not function, covered=covered or needs)


MODULES: Final = {_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if path.stem.isidentifier()}

UNNAMED: Final = {
    ("purposeguard.adapters.frames.rows", "pyarrow"),  # only for values of it
    ("purposeguard.adapters.spark.rows", "pyarrow"),  # only where it is installed
    ("purposeguard.testing._sent_effects", "sqlalchemy"),  # only where the tests loaded it
    ("purposeguard.testing.registering", "hypothesis"),  # which runs this function
}
"""Imports in functions that run only where the library is there."""


def test_an_import_in_a_function_names_the_extra() -> None:
    bare = {
        (module, name.partition(".")[0])
        for module, path in MODULES.items()
        for name, eager, covered in _imports(ast.parse(path.read_text("utf-8")))
        if not eager and not covered and name.partition(".")[0] in OPTIONAL
    }
    assert bare == UNNAMED


WITHOUT: Final = """
import importlib, importlib.metadata, json, sys

ROOMS = tuple(f"purposeguard.{room}" for room in ("adapters", "cli", "governance", "integrations", "testing"))
library = ""
version = importlib.metadata.version


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == library or name.startswith(library + "."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def version_unless_missing(package):
    if package.replace("-", ".").startswith(library.replace("_", ".")):
        raise importlib.metadata.PackageNotFoundError(package)
    return version(package)


def error_of(module):
    for name in [name for name in sys.modules if name.startswith(ROOMS)]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return str(error)
    return "nothing"


importlib.metadata.version = version_unless_missing
sys.meta_path.insert(0, Missing())
errors = []
for library, modules in json.loads(sys.argv[1]).items():
    names = [name for name in sys.modules if name == library or name.startswith(library + ".")]
    removed = {name: sys.modules.pop(name) for name in names}
    errors += [[library, module, error_of(module)] for module in modules]
    sys.modules.update(removed)
print(json.dumps(errors))
"""


def _own_extra(module: str) -> str:
    """Return the extra that is named after a module or its room, or an empty text."""
    _, room, *parts = module.split(".")
    if room in {"adapters", "integrations"} and parts:
        name = parts[0].strip("_").replace("_", "-")
        return next((extra for extra in (name, name.partition("-")[0]) if extra in EXTRAS), "")
    return "web" if parts[:1] == ["web"] else room if room in EXTRAS else ""


def test_a_missing_library_is_said_with_the_extra_of_the_module() -> None:
    """In one process for all: each takes seconds to start."""
    modules: dict[str, list[str]] = {library: [] for library in sorted(OPTIONAL)}
    for module, path in MODULES.items():
        names = [name for name, eager, _ in _imports(ast.parse(path.read_text("utf-8"))) if eager]
        for library in {name.partition(".")[0] for name in names} & OPTIONAL:
            modules[library].append(module)
    modules["opentelemetry.sdk"] = ["purposeguard.integrations.opentelemetry_spans"]
    modules["structlog"] = ["purposeguard.integrations.structlog"]  # which asks for its version alone
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, json.dumps(modules)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    errors = json.loads(run.stdout)
    assert len(errors) > 100
    wrong: list[str] = []
    for library, module, message in errors:
        own, top = _own_extra(module), library.partition(".")[0]
        fitting = [own] if top in LIBRARIES.get(own, ()) else [extra for extra in EXTRAS if top in LIBRARIES[extra]]
        ends = tuple(f"which is not installed: pip install 'purposeguard[{extra}]'" for extra in fitting)
        if not message.endswith(ends):
            wrong.append(f"{module} without {library}: {message}")
    assert wrong == []


CONNECT_ONLY: Final = """
import sys


class ConnectOnly:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("pyspark.core", "pyspark.sql.classic", "py4j")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, ConnectOnly())
import purposeguard as pg
from purposeguard.adapters.spark import Spark
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from pyspark.sql import DataFrame


class Frame(DataFrame):
    def __init__(self): ...


try:
    Spark(pg.Guard(tm.NOTICE)).permitted(object.__new__(Frame))
except UnresolvedStatement as error:
    print(error)
"""


def test_a_client_without_classic_sessions_is_refused_as_documented() -> None:
    """`pyspark-client` and `databricks-connect` lack these packages."""
    run = subprocess.run([sys.executable, "-c", CONNECT_ONLY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("a frame of Spark Connect shows no plan")
