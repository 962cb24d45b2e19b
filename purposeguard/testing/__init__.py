"""What a service's own tests prove its purposes with: generated data, noninterference, canaries, decisions watched.

Loads no optional library: names that need hypothesis or pytest are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from purposeguard.testing.decisions import Decided, assert_denied, assert_reads, capture_decisions
    from purposeguard.testing.values import Mark, Markers

__all__ = ["Decided", "Mark", "Markers", "assert_denied", "assert_reads", "capture_decisions"]

_HOMES: Final = {
    "Decided": "purposeguard.testing.decisions",
    "Mark": "purposeguard.testing.values",
    "Markers": "purposeguard.testing.values",
    "assert_denied": "purposeguard.testing.decisions",
    "assert_reads": "purposeguard.testing.decisions",
    "capture_decisions": "purposeguard.testing.decisions",
}
"""Name → the module that it lies in; the module may need a library that is an extra."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
