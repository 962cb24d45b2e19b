"""A module whose optional library is not installed names the extra that installs it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from purposeguard.extras import LIBRARIES, Needs, UntestedVersion, must_be_tested
from tests.locks import FOLDER, PYTHONS, lines, locked, requirement_of

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "purposeguard"
OPTIONAL: Final = frozenset[str]().union(*LIBRARIES.values())
EXTRAS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


@pytest.mark.spark  # Of all extras, Spark's included.
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
    ("purposeguard.instrumentation.libraries", "django"),  # only after Django was imported
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


@pytest.mark.spark
def test_a_client_without_classic_sessions_is_refused_as_documented() -> None:
    """`pyspark-client` and `databricks-connect` lack these packages."""
    run = subprocess.run([sys.executable, "-c", CONNECT_ONLY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("a frame of Spark Connect shows no plan")


def test_a_version_that_was_not_tested_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        must_be_tested("pydantic", "2.9", "2.99")
        must_be_tested("pydantic", "2", "2")
        must_be_tested("unknown", "2.1", "2.3", installed="2.3.7rc1")
    for installed in ("2.4.0", "2.0.9", "1", "3.0", "unreadable"):
        with pytest.warns(UntestedVersion, match=f"unknown {installed} was not tested .*2.1 to 2.3"):
            must_be_tested("unknown", "2.1", "2.3", installed=installed)
    with pytest.raises(PackageNotFoundError):
        must_be_tested("unknown", "2.1", "2.3")


PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RANGES: Final = [requirement_of(text) for texts in (PROJECT["dependencies"], *EXTRAS.values()) for text in texts]
"""What the core and the extras require of other projects."""

WITHOUT_MAJOR: Final = {"cryptography", "pyarrow", "structlog"}
"""Libraries whose first number says when they were released, and not what they broke."""


def _bound(requirement: Requirement, operator: str) -> Version | None:
    return next((Version(one.version) for one in requirement.specifier if one.operator == operator), None)


def _lowest() -> list[str]:
    text = (FOLDER / "lowest.in").read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _tested() -> dict[str, tuple[str, str]]:
    """Return the first and the last minor version that modules name, by package."""
    tested: dict[str, tuple[str, str]] = {}
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "must_be_tested":
                package, first, last = map(ast.literal_eval, node.args)
                tested[package] = (first, last)
    return tested


def test_each_range_ends_before_a_major_that_nobody_tested() -> None:
    for requirement in RANGES:
        end = _bound(requirement, "<")
        assert (end is None) is (requirement.name in WITHOUT_MAJOR), str(requirement)


NEEDED_NEWER: Final = {"opentelemetry-api", "opentelemetry-sdk"}
"""Libraries of which FastAPI asks for a newer version than this project does."""


def test_the_lowest_versions_are_those_of_the_ranges() -> None:
    pinned = {
        canonicalize_name(line.name): Version(next(iter(line.specifier)).version)
        for line in map(requirement_of, _lowest())
    }
    begins = {canonicalize_name(one.name): _bound(one, ">=") for one in RANGES}
    assert pinned.keys() | NEEDED_NEWER == begins.keys()
    assert pinned == {name: begins[name] for name in pinned}


def test_tested_versions_are_those_of_the_ranges_and_locks() -> None:
    """The gate runs the lowest and the newest of them."""
    newest = {**locked(lines("dev"), PYTHONS[-1]), **locked(lines("newest"), PYTHONS[-1])}
    lowest = {canonicalize_name(one.name): _bound(one, ">=") for one in RANGES}
    for package, (first, last) in _tested().items():
        begin = lowest[canonicalize_name(package)]
        assert begin is not None
        assert Version(first).release == begin.release[:2], package
        assert Version(last).release == Version(newest[canonicalize_name(package)]).release[:2], package
