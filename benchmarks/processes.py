"""What only a fresh process can tell: the time of an import, and the time and memory of compiling a notice."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Times

ROOT = Path(__file__).parents[1]

IMPORT = "`import purposeguard`"
PYDANTIC = "`import pydantic` and the same models built"
COMPILE = "compile 2,000 purposes × 500 sources, 50 purposes a source, classes included"
COMPILE_READ = "compile the same notice from its TOML file"
MEMORY = "memory of the compiled notice at its highest"
MILLION = "a million values sealed"
SEAL_BYTES = "memory of a sealed value beside its value"
COUNT_OPEN = "counting a use in a ledger, on top of `use.open(sealed)`"
COUNT_ACCESS = "the same, on top of calling an access function"
COUNT_OPEN_ALL = "the same, on top of each value of `use.open_all(…)`"
COUNT_CHECK = "the same, on top of `guard.check(…)`"
OPEN_OF = "`use.open(sealed, subject=7)`, the subject asked about before"
ALLOWS_OF = "`use.allows(label, subject=7)`, likewise"
COUNTED_ACTIVITY = "`@guard.purpose` around a function, where a ledger counts"
COUNTED_DENIAL = "a denial that is on record, durably, when it is raised"

_IMPORT = "import purposeguard"

# The models are those of purposeguard.notice.schema, without the package around them and without the functions that its
# validators call, so that nothing of the library's own is on this side of the ratio.
_PYDANTIC = """
import pydantic
stub = type(pydantic)
package, terms = stub("purposeguard"), stub("purposeguard.notice.vocabulary")
package.__path__ = [ROOT + "/purposeguard"]
terms.__getattr__ = lambda name: str
sys.modules.update({"purposeguard": package, "purposeguard.notice.vocabulary": terms})
import purposeguard.notice.schema
from typing import Any
from pydantic import BaseModel, TypeAdapter, ValidationError, model_serializer, model_validator
class PersonalModel(BaseModel):
    @model_validator(mode="wrap")
    @classmethod
    def validated(cls, value: Any, handler: Any) -> Any: ...
    @model_serializer(mode="wrap")
    def serialised(self, handler: Any, info: Any): ...
"""

_TIMED = """
import sys, time
ROOT = {root!r}
started = time.perf_counter()
{body}
print(time.perf_counter() - started)
"""


def importing() -> Times:
    """Return the nanoseconds of both imports, each in its own process, with compiled bytecode."""
    nanoseconds: dict[str, float] = {}
    for name, body in ((IMPORT, _IMPORT), (PYDANTIC, _PYDANTIC)):
        nanoseconds[name] = float(_run("-c", _TIMED.format(root=str(ROOT), body=body))) * 1e9
    return nanoseconds


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="purposeguard-bench-")


def _environment() -> dict[str, str]:
    """Return an environment in which modules are compiled once a run, wherever they are."""
    variables = dict(os.environ)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables | {"PYTHONPYCACHEPREFIX": _folder().name}


def compiling() -> Times:
    """Return the nanoseconds and bytes of compiling a large notice in its own process."""
    times: Times = json.loads(_run("-m", "benchmarks.compiling"))
    return times


def sealing() -> Times:
    """Return the nanoseconds of a million seals and the bytes of one, in its own process."""
    times: Times = json.loads(_run("-m", "benchmarks.sealing"))
    return times


def counting() -> Times:
    """Return the nanoseconds of counting uses in governance ledgers, in its own process."""
    times: Times = json.loads(_run("-m", "benchmarks.counting"))
    return times


def _run(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=True)  # noqa: S603  # our own
    return done.stdout
