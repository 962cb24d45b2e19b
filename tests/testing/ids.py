"""Ids of parametrised tests, the same in every process that collects them."""

from __future__ import annotations

import re


def told(one: object) -> str:
    """A value as text, without where it lies in memory, and of a set in an order of its own."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(sorted(map(str, one)) if isinstance(one, (set, frozenset)) else one))
