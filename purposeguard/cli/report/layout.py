"""The measures of the map: where columns stand, how boxes are spread in them, and how much text fits into a box.

The map is a diagram of a notice in columns of boxes: sources, the grants that name them, the purposes of each grant,
and families and channels. Lines connect boxes of neighboring columns, so a box should be level with those it is
connected to.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from purposeguard.cli.report.relations import MapColumn


class ColumnPlace(NamedTuple):
    """Where a column begins, and how wide it is."""

    left: int
    width: int

    @property
    def right(self) -> int:
        """Where the column ends."""
        return self.left + self.width


COLUMN_PLACES: Final[Mapping[MapColumn, ColumnPlace]] = {
    "source": ColumnPlace(1, 212),
    "grant": ColumnPlace(262, 138),
    "purpose": ColumnPlace(450, 288),
    "family": ColumnPlace(818, 181),
    # Channels stand above the families: lines from purposes would run behind another column.
    "channel": ColumnPlace(818, 181),
}

WIDTH: Final = 1000
"""The width of the map. All measures are in units of the drawing."""

TOP: Final = 34
"""The room for the heads of the columns."""

PITCH: Final = 28
"""From one purpose to the next."""

HEIGHT: Final = 22
"""The height of a box with one line."""

GAP: Final = PITCH - HEIGHT
"""The room between two boxes."""

GRANT_HEIGHT: Final = 38
"""The height of a clause, which has two lines."""

INDENT: Final = 16
"""The room by which an item stands to the right of its parent."""

FONT_SIZE: Final = 12.5
"""The size of the text."""

BOLD_FACTOR: Final = 1.15
"""How much wider bold text is."""


def mean_or_top(values: Iterable[float]) -> float:
    """Return the mean of positions; the top of the map if there are none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else TOP


class _Stack(NamedTuple):
    """Boxes that touch, from the upper edge of the first on."""

    names: list[str]
    edge: float


def spread(middles: Mapping[str, float], sizes: Mapping[str, float], top: float = TOP) -> list[tuple[str, float]]:
    """Return the upper edges of boxes, close to the wanted middles and without overlaps.

    The method is that of pooling adjacent violators: boxes that would overlap become one stack, which moves as a whole.

    Args:
        middles: The wanted middle of each box.
        sizes: The height of each box.
        top: The upper edge of the room.
    """
    stacks: list[_Stack] = []
    for name in sorted(middles, key=lambda name: middles[name]):
        names, edge = [name], middles[name] - sizes[name] / 2
        while stacks and _bottom(stacks[-1], sizes) > edge:
            names = [*stacks.pop().names, *names]
            edge = _find_best_edge(names, middles, sizes)
        stacks.append(_Stack(names, edge))
    placed: list[tuple[str, float]] = []
    free = top
    for stack in stacks:
        free = max(free, stack.edge)
        for name in stack.names:
            placed.append((name, free))
            free += sizes[name] + GAP
    return placed


def _bottom(stack: _Stack, sizes: Mapping[str, float]) -> float:
    """Return where the next box may begin."""
    return stack.edge + sum(sizes[name] + GAP for name in stack.names)


def _find_best_edge(names: Iterable[str], middles: Mapping[str, float], sizes: Mapping[str, float]) -> float:
    """Return the upper edge of boxes that touch, for which they are as close to their middles as possible."""
    edges: list[float] = []
    offset = 0.0
    for name in names:
        edges.append(middles[name] - sizes[name] / 2 - offset)
        offset += sizes[name] + GAP
    return mean_or_top(edges)


def text_width(text: str) -> float:
    """Return the approximate width of a text."""
    width = 0.0
    for char in text:
        width += FONT_SIZE if unicodedata.east_asian_width(char) in "WFA" else FONT_SIZE * 0.55
    return width


def shorten_to_fit(text: str, room: float) -> str:
    """Return as much of the beginning of a text as fits."""
    if text_width(text) <= room:
        return text
    while text and text_width(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
