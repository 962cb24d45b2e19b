"""The comparison of two revisions of a notice (clause 11): what widened, what narrowed, and what that requires."""

from purposeguard.policy.diff.cells import Cell, Level
from purposeguard.policy.diff.changes import Change, Matching, Pair
from purposeguard.policy.diff.comparison import Comparison, compare

__all__ = ["Cell", "Change", "Comparison", "Level", "Matching", "Pair", "compare"]
