"""The command: `python -m benchmarks.services [--quick] [--only PART]`."""

from __future__ import annotations

import sys

from benchmarks.data.__main__ import main

PARTS: tuple[str, ...] = ("adoption", "fastapi", "django", "flask", "outgoing", "passport", "telemetry")
"""The modules that measure, each with `rows(quick)`, and `PACKAGES`, whose versions belong to the figures."""

if __name__ == "__main__":
    sys.exit(main(parts=PARTS, package="benchmarks.services"))
