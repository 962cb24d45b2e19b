"""Two revisions of a notice compared (clause 11): what widened, what narrowed, and what that asks for."""

from purposeguard.comparing.cells import Cell, Level
from purposeguard.comparing.changes import Change
from purposeguard.comparing.comparison import Comparison, compare
from purposeguard.comparing.matching import Matching, Pair

__all__ = ["Cell", "Change", "Comparison", "Level", "Matching", "Pair", "compare"]
