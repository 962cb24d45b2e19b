"""The command: `python -m benchmarks.data [--quick] [--only PART]`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

from benchmarks.data import measured

PARTS = ("frames", "sql", "orm", "spark")
"""The modules that measure, each with `rows(quick)`, and `PACKAGES`, whose versions belong to the figures."""


def main(
    arguments: Sequence[str] | None = None, *, parts: Sequence[str] = PARTS, package: str = "benchmarks.data"
) -> int:
    """Measure the modules `parts` of a package, and print a table of each."""
    parser = argparse.ArgumentParser(f"python -m {package}", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, and fewer runs: rougher")
    parser.add_argument("--only", metavar="PART", choices=parts, help="one part of the table alone")
    options = parser.parse_args(arguments)
    print(
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores"
    )
    for name in parts if options.only is None else (options.only,):
        part = importlib.import_module(f"{package}.{name}")
        versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in part.PACKAGES)
        print(f"\n## {name}\n\n{versions}\n\n{measured.table(part.rows(options.quick))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
