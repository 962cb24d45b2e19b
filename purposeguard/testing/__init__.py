"""What a service's own tests prove its purposes with: generated data, noninterference, canaries, decisions watched.

Loads no optional library: names that need hypothesis or pytest are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from purposeguard.testing.canary import canaries
    from purposeguard.testing.decisions import Decided, assert_denied, assert_reads, capture_decisions
    from purposeguard.testing.effects import Effect, Effects, arranging, captured
    from purposeguard.testing.failures import Interference, Leaked, Nondeterministic, NothingToProve, Unrecognisable
    from purposeguard.testing.interference import noninterference
    from purposeguard.testing.values import Mark, Markers

__all__ = [
    "Decided",
    "Effect",
    "Effects",
    "Interference",
    "Leaked",
    "Mark",
    "Markers",
    "Nondeterministic",
    "NothingToProve",
    "Unrecognisable",
    "arranging",
    "assert_denied",
    "assert_reads",
    "canaries",
    "capture_decisions",
    "captured",
    "noninterference",
]

_HOMES: Final = {
    "Decided": "purposeguard.testing.decisions",
    "Effect": "purposeguard.testing.effects",
    "Effects": "purposeguard.testing.effects",
    "Interference": "purposeguard.testing.failures",
    "Leaked": "purposeguard.testing.failures",
    "Mark": "purposeguard.testing.values",
    "Markers": "purposeguard.testing.values",
    "Nondeterministic": "purposeguard.testing.failures",
    "NothingToProve": "purposeguard.testing.failures",
    "Unrecognisable": "purposeguard.testing.failures",
    "arranging": "purposeguard.testing.effects",
    "assert_denied": "purposeguard.testing.decisions",
    "assert_reads": "purposeguard.testing.decisions",
    "canaries": "purposeguard.testing.canary",
    "capture_decisions": "purposeguard.testing.decisions",
    "captured": "purposeguard.testing.effects",
    "noninterference": "purposeguard.testing.interference",
}
"""Name → the module that it lies in; the module may need a library that is an extra."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
