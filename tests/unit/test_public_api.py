from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg

ROOT = Path(pg.__file__).parents[1]

CONTRACT = [
    "Notice", "Guard", "Label", "Source", "Purpose", "NotPersonal", "Decision", "Use", "sources_of", "untagged",
    "PurposeGuardError", "NoticeError", "UnknownTerm", "UnknownSource", "UnknownPurpose", "UnknownChannel",
    "UnlabelledData", "PurposeMissing", "SealedValue", "PurposeViolation", "ChannelViolation", "RecipientViolation",
    "SubjectViolation", "RetentionViolation", "RevisionViolation",
]  # fmt: skip

OPTIONAL = [
    "asyncio", "attr", "attrs", "email_validator", "fastapi", "hypothesis", "importlib.resources", "jsonschema",
    "logging", "pytest", "rich", "sqlalchemy", "starlette", "trio", "typer", "purposeguard.notice.codegen",
    "purposeguard.notices", "purposeguard.notices.trendmicro_jp", "purposeguard.policy.spec", "purposeguard.cli",
]  # fmt: skip


def loaded_by(program: str) -> set[str]:
    """The modules that a fresh interpreter has after a program."""
    ending = "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + ending], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_name_of_the_contract_is_public() -> None:
    assert set(CONTRACT) <= set(pg.__all__)


def test_what_is_public_exists_and_is_documented_and_sorted() -> None:
    assert list(pg.__all__) == sorted(pg.__all__)
    assert len(set(pg.__all__)) == len(pg.__all__)
    for name in pg.__all__:
        assert getattr(pg, name).__doc__, name
    public = {name for name in vars(pg) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(pg, name), type(sys))}
    assert public - modules == set(pg.__all__)


def list_modules() -> list[Any]:
    """List the modules of the package. Those of Spark are of its kind, because the fast tests do without pyspark."""
    modules: list[Any] = []
    for path in sorted((ROOT / "purposeguard").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.name != "__main__.py":
            modules.append(pytest.param(name, marks=pytest.mark.spark if "spark" in name else ()))
    return modules


@pytest.mark.parametrize("name", list_modules())
def test_each_listed_name_of_a_module_exists(name: str) -> None:
    module = importlib.import_module(name)
    assert [listed for listed in getattr(module, "__all__", ()) if not hasattr(module, listed)] == []


# What the library stands on, with a model built, loads what it loads: early versions of pydantic bring asyncio along.
FOUNDATION = (
    "import pydantic, pydantic.errors, typing_extensions, cachetools\n"
    "from pydantic import BaseModel\nclass M(BaseModel): x: int"
)

_programs: dict[str, set[str]] = {}


def added_by(program: str) -> set[str]:
    """The modules that a program has beyond those of the foundation; each program is run once."""
    for one in (FOUNDATION, program):
        if one not in _programs:
            _programs[one] = loaded_by(one)
    return _programs[program] - _programs[FOUNDATION]


def test_importing_loads_the_package_and_the_standard_library_alone() -> None:
    added = added_by("import purposeguard")
    assert {name.partition(".")[0] for name in added} - set(sys.stdlib_module_names) <= {"purposeguard", "pydantic"}


def test_no_optional_library_is_loaded_by_the_core() -> None:
    assert added_by("import purposeguard").isdisjoint(OPTIONAL)


def test_a_guard_that_enforces_loads_nothing_optional_either() -> None:
    program = (
        "import purposeguard as pg\n"
        "guard = pg.Guard(pg.Notice.bundled('trendmicro-jp'))\n"
        "@guard.access('1.1a')\n"
        "def load() -> str: return 'x'\n"
        "with guard.purpose('1.2(1)1') as use: load(); use.check('1.1a')\n"
    )
    added = added_by(program)
    assert "purposeguard.notices.trendmicro_jp" in added
    assert added.isdisjoint({"asyncio", "logging", "attr", "typer", "rich", "hypothesis"})
