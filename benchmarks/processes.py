"""What only a fresh process can tell: the time of an import, and the time and memory of compiling a notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import Times

ROOT = Path(__file__).parents[1]

IMPORT = "`import purposeguard`"
PYDANTIC = "`import pydantic` and the same models built"
COMPILE = "compile 2,000 purposes × 500 sources, 50 purposes a source, classes included"
COMPILE_READ = "the same, and read from its TOML file before"
MEMORY = "memory of the compiled notice at its highest"

_IMPORT = "import purposeguard"

# The models are those of purposeguard.document, without the package around them and without the functions that its
# validators call, so that nothing of the library's own is on this side of the ratio.
_PYDANTIC = """
import pydantic
stub = type(pydantic)
package, terms = stub("purposeguard"), stub("purposeguard.terms")
package.__path__ = [ROOT + "/purposeguard"]
terms.__getattr__ = lambda name: str
sys.modules.update({"purposeguard": package, "purposeguard.terms": terms})
import purposeguard.document
"""

_TIMED = """
import sys, time
ROOT = {root!r}
started = time.perf_counter()
{body}
print(time.perf_counter() - started)
"""


def importing() -> Times:
    """Nanoseconds of both imports, each in a process of its own, with compiled bytecode at hand."""
    with _bytecode() as environment:
        return {
            name: float(_run([sys.executable, "-c", _TIMED.format(root=str(ROOT), body=body)], environment)) * 1e9
            for name, body in ((IMPORT, _IMPORT), (PYDANTIC, _PYDANTIC))
        }


@contextmanager
def _bytecode() -> Iterator[dict[str, str]]:
    """An environment in which modules are compiled once, and found compiled, wherever they lie."""
    folder = Path(tempfile.gettempdir()) / f"purposeguard-bench-{os.getuid()}-{sys.implementation.cache_tag}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    yield environment | {"PYTHONPYCACHEPREFIX": str(folder)}


def compiling() -> Times:
    """Nanoseconds and bytes of compiling a large notice, in a process of its own."""
    with _bytecode() as environment:
        found: Times = json.loads(_run([sys.executable, "-m", "benchmarks.compiling"], environment))
    return found


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own
    return done.stdout
