"""Two revisions of a notice compared (clause 11): what widened, what narrowed, and what that asks for."""

from purposeguard.policy.diff.cells import Cell, Level
from purposeguard.policy.diff.changes import Change, Matching, Pair
from purposeguard.policy.diff.comparison import Comparison, compare

__all__ = ["Cell", "Change", "Comparison", "Level", "Matching", "Pair", "compare"]
