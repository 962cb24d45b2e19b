"""What a service's own tests prove its purposes with: generated data, noninterference, canaries, decisions watched.

Loads no optional library: names that need hypothesis or pytest are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from purposeguard.testing.canary import canaries
    from purposeguard.testing.checking import CheckReport, RecordUnreadable, Violation, Violations, check
    from purposeguard.testing.decisions import Decided, assert_denied, assert_reads, capture_decisions
    from purposeguard.testing.effects import Effect, Effects, arranging, captured
    from purposeguard.testing.failures import Interference, Leaked, Nondeterministic, NothingToProve, Unrecognisable
    from purposeguard.testing.interference import noninterference
    from purposeguard.testing.substitution import Office, WrittenDown, substituting
    from purposeguard.testing.values import CanaryMark, Markers

__all__ = [
    "CanaryMark",
    "CheckReport",
    "Decided",
    "Effect",
    "Effects",
    "Interference",
    "Leaked",
    "Markers",
    "Nondeterministic",
    "NothingToProve",
    "Office",
    "RecordUnreadable",
    "Unrecognisable",
    "Violation",
    "Violations",
    "WrittenDown",
    "arranging",
    "assert_denied",
    "assert_reads",
    "canaries",
    "capture_decisions",
    "captured",
    "check",
    "noninterference",
    "substituting",
]

_DECISIONS: Final = ("Decided", "assert_denied", "assert_reads", "capture_decisions")
_FAILURES: Final = ("Interference", "Leaked", "Nondeterministic", "NothingToProve", "Unrecognisable")
_CHECKS: Final = ("CheckReport", "RecordUnreadable", "Violation", "Violations", "check")

_HOMES: Final = {
    "canaries": "purposeguard.testing.canary",
    **dict.fromkeys(_CHECKS, "purposeguard.testing.checking"),
    **dict.fromkeys(
        ("Decided", "assert_denied", "assert_reads", "capture_decisions"), "purposeguard.testing.decisions"
    ),
    **dict.fromkeys(("Effect", "Effects", "arranging", "captured"), "purposeguard.testing.effects"),
    **dict.fromkeys(_FAILURES, "purposeguard.testing.failures"),
    "noninterference": "purposeguard.testing.interference",
    **dict.fromkeys(("Office", "WrittenDown", "substituting"), "purposeguard.testing.substitution"),
    **dict.fromkeys(("CanaryMark", "Markers"), "purposeguard.testing.values"),
}
"""Name → the module that it lies in; the module may need a library that is an extra."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
