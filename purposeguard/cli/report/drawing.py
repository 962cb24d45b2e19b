"""The notice as a map: sources, the clauses that grant, purposes, families and channels in columns, joined by lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from purposeguard.cli.application import clauses_of
from purposeguard.cli.report.layout import (
    BOLD_FACTOR,
    COLUMN_PLACES,
    GAP,
    GRANT_HEIGHT,
    HEIGHT,
    INDENT,
    PITCH,
    TOP,
    WIDTH,
    mean_or_top,
    shorten_to_fit,
    spread,
    text_width,
)
from purposeguard.cli.report.notice_facts import parent_of
from purposeguard.cli.report.relations import KEY_PREFIXES, MapColumn, NoticeRelations, channels_of
from purposeguard.notice.languages import nearest_language
from purposeguard.notice.schema import Named, Overlay, index_by_id, list_ids

MapTerm = tuple[MapColumn, str]
"""A term and its column."""
LineStyle = Literal["whole", "part", "open"]
"""`part` of the purposes of a clause; `open` for a channel that is an example."""


class MapNode(NamedTuple):
    """A term in its place."""

    column: MapColumn
    key: str
    """Its key."""
    of: str
    """The keys of the terms that it is of."""
    x: float
    y: float
    width: float
    height: float
    id: str
    """Its id, if that is shown."""
    label: str
    """As much of its title as fits."""
    title: str
    language: str
    """The language of the title."""
    badge: str
    """The letter of its legal basis."""


class MapLine(NamedTuple):
    """A line from one term to another."""

    of: str
    """The keys of the terms that it is of."""
    path: str
    """The path of SVG."""
    style: LineStyle


class ColumnHead(NamedTuple):
    """The place of a column's heading."""

    column: MapColumn
    x: int
    y: float


@dataclasses.dataclass(frozen=True, slots=True)
class MapDrawing:
    """The map."""

    width: int
    height: int
    nodes: tuple[MapNode, ...]
    lines: tuple[MapLine, ...]
    heads: tuple[ColumnHead, ...]


def draw_map(relations: NoticeRelations, language: Literal["en", "ja"], badges: Mapping[str | None, str]) -> MapDrawing:
    """Return the map of a notice.

    Args:
        relations: The terms of the notice.
        language: The language of titles.
        badges: The letters of legal bases.
    """
    drawer = _NodeDrawer(relations, language, badges)
    nodes = drawer.draw()
    height = max(node.y + node.height for node in nodes) + 8
    lines = _LineDrawer(relations, drawer.middles).draw()
    return MapDrawing(WIDTH, round(height), tuple(nodes), tuple(lines), tuple(_place_heads(relations, nodes)))


def _place_heads(relations: NoticeRelations, nodes: Sequence[MapNode]) -> Iterator[ColumnHead]:
    for column in KEY_PREFIXES:
        if relations.terms[column]:
            top = float(TOP)
            if column == "family":  # They begin below the channels.
                top = min(node.y for node in nodes if node.column == "family")
            yield ColumnHead(column, COLUMN_PLACES[column].left, top - 16.0)


# ---- Terms ----------------------------------------------------------------------------------------------------------


class _NodeDrawer:
    """Places the terms.

    Attributes:
        middles: The height of the middle of each term that was placed.
    """

    def __init__(
        self, relations: NoticeRelations, language: Literal["en", "ja"], badges: Mapping[str | None, str]
    ) -> None:
        self._relations = relations
        self._notice = relations.notice
        self._language = language
        self._badges = badges
        self.middles: dict[MapTerm, float] = {}
        self._indented: set[str] = set()

    def draw(self) -> list[MapNode]:
        """Return all terms, by column from top to bottom."""
        nodes = [*self._purposes(), *self._grants(), *self._channels()]
        channels = len(self._relations.terms["channel"])
        nodes += self._families(float(TOP) + channels * PITCH + (TOP if channels else 0))
        nodes += self._sources()  # The places of the clauses are known now.
        columns = list(KEY_PREFIXES)
        nodes.sort(key=lambda node: (columns.index(node.column), node.y))
        return nodes

    def _node(
        self,
        column: MapColumn,
        term: str,
        title: Mapping[str, str],
        y: float,
        *,
        height: float = HEIGHT,
        badge: str = "",
        shown: str = "",
    ) -> MapNode:
        x, width = COLUMN_PLACES[column]
        if column == "source" and term in self._indented:
            x, width = x + INDENT, width - INDENT
        self.middles[column, term] = y + height / 2
        language = nearest_language(title, self._language)
        text = title[language]
        id_ = shown or ("" if column in {"family", "channel"} else term)
        room: float = width - 16 - (18 if badge else 0)
        if id_ and height == HEIGHT:  # The id is in the line of the title.
            room -= BOLD_FACTOR * text_width(f"{id_} ")
        return MapNode(
            column=column,
            key=self._relations.key(column, term),
            of=self._relations.of(column, term),
            x=x,
            y=round(y, 1),
            width=width,
            height=height,
            id=id_,
            label=shorten_to_fit(text, room),
            title=text,
            language=language,
            badge=badge,
        )

    def _purposes(self) -> Iterator[MapNode]:
        y = float(TOP)
        for number, grant in enumerate(self._notice.document.grant):
            y += PITCH / 2 if number else 0
            for purpose in grant.purpose:
                badge = self._badges[self._notice.basis[purpose.id]]
                yield self._node("purpose", purpose.id, purpose.title, y, badge=badge)
                y += PITCH

    def _grants(self) -> Iterator[MapNode]:
        wanted: dict[str, float] = {}
        for clause, grant in self._notice.clauses.items():
            wanted[clause] = self._middle_of_purposes(list_ids(grant.purpose))
        for clause, y in spread(wanted, dict.fromkeys(wanted, float(GRANT_HEIGHT))):
            yield self._node("grant", clause, self._notice.clauses[clause].title, y, height=GRANT_HEIGHT)

    def _families(self, top: float) -> Iterator[MapNode]:
        families = {family.name: family for family in self._notice.notice.families}
        wanted: dict[str, float] = {}
        for name, family in families.items():
            wanted[name] = self._middle_of_purposes(clauses_of(family))
        for name, y in spread(wanted, dict.fromkeys(wanted, float(HEIGHT)), top):
            yield self._node("family", name, families[name].title, y)

    def _middle_of_purposes(self, purposes: Sequence[str]) -> float:
        return mean_or_top(self.middles["purpose", purpose] for purpose in purposes)

    def _channels(self) -> Iterator[MapNode]:
        titles = {channel.id: channel.title for channel in self._notice.document.channel}
        for number, channel in enumerate(self._relations.terms["channel"]):
            yield self._node("channel", channel, titles[channel], TOP + number * PITCH)

    def _sources(self) -> Iterator[MapNode]:
        """Yield each clause with its items below it."""
        groups = self._group_sources()
        wanted: dict[str, float] = {}
        sizes: dict[str, float] = {}
        for name, group in groups.items():
            wanted[name] = mean_or_top(self._middles_of_grants(group))
            sizes[name] = float(len(group) * PITCH - GAP)
        for name, y in spread(wanted, sizes):
            for number, source in enumerate(groups[name]):
                shown = source.slug if isinstance(source, Overlay) else ""
                yield self._node("source", source.id, source.title, y + number * PITCH, shown=shown)

    def _group_sources(self) -> dict[str, list[Named]]:
        """Return the sources by the clause that they are in. All but the clause itself are indented."""
        groups: dict[str, list[Named]] = {}
        by_id = index_by_id(self._notice.sources)
        for source in self._notice.sources:
            top = source
            while (parent := parent_of(top)) in by_id:
                top = by_id[parent]
            groups.setdefault(top.id, []).append(source)
            if top is not source:
                self._indented.add(source.id)
        return groups

    def _middles_of_grants(self, sources: Sequence[Named]) -> Iterator[float]:
        """Yield the middles of the clauses of all purposes that some of the sources may serve."""
        ids = set(list_ids(sources))
        for purpose, served in self._notice.served.items():
            if not served.isdisjoint(ids):
                yield self.middles["grant", self._notice.grant_of[purpose]]


# ---- Lines ----------------------------------------------------------------------------------------------------------


class _LineDrawer:
    """Joins the terms."""

    def __init__(self, relations: NoticeRelations, middles: Mapping[MapTerm, float]) -> None:
        self._relations = relations
        self._notice = relations.notice
        self._middles = middles

    def draw(self) -> Iterator[MapLine]:
        """Yield all lines."""
        yield from self._brackets()
        yield from self._lines_to_grants()
        yield from self._lines_from_purposes()

    def _brackets(self) -> Iterator[MapLine]:
        """Yield a line from each clause to each of its items."""
        left = COLUMN_PLACES["source"].left
        for source in self._notice.sources:
            above = parent_of(source)
            if above is not None and ("source", above) in self._middles:
                top, end = self._middles["source", above] + HEIGHT / 2, self._middles["source", source.id]
                path = f"M{left + INDENT / 2} {top:.1f}V{end:.1f}H{left + INDENT}"
                yield MapLine(self._relations.of("source", source.id), path, "whole")

    def _lines_to_grants(self) -> Iterator[MapLine]:
        """Yield the lines from sources to clauses, and from these to their purposes."""
        for clause, grant in self._notice.clauses.items():
            middle: MapTerm = ("grant", clause)
            for source in self._notice.sources:
                served = [purpose for purpose in grant.purpose if source.id in self._notice.served[purpose.id]]
                # The items of a clause have lines of their own.
                if served and source.id not in self._notice.parents:
                    start: MapTerm = ("source", source.id)
                    of = self._relations.between(served, start, middle, above=parent_of(source))
                    yield self._line(of, start, middle, "whole" if len(served) == len(grant.purpose) else "part")
            for purpose in grant.purpose:
                granted: MapTerm = ("purpose", purpose.id)
                yield self._line(self._relations.between([purpose], middle, granted), middle, granted, "whole")

    def _lines_from_purposes(self) -> Iterator[MapLine]:
        """Yield the lines from purposes to families and channels."""
        for purpose in self._notice.document.purposes:
            start: MapTerm = ("purpose", purpose.id)
            for family in self._notice.families_of(purpose.id):
                end: MapTerm = ("family", family.name)
                yield self._line(self._relations.between([purpose], start, end), start, end, "whole")
            for channel in channels_of(purpose):
                end = ("channel", channel)
                of = self._relations.between([purpose], start, end)
                yield self._line(of, start, end, "whole" if purpose.channels and purpose.channels.closed else "open")

    def _line(self, of: str, start: MapTerm, end: MapTerm, style: LineStyle) -> MapLine:
        (start_column, _), (end_column, _) = start, end
        left, right = COLUMN_PLACES[start_column].right, COLUMN_PLACES[end_column].left
        above, below = self._middles[start], self._middles[end]
        middle = (left + right) / 2
        return MapLine(of, f"M{left} {above:.1f}C{middle} {above:.1f} {middle} {below:.1f} {right} {below:.1f}", style)
