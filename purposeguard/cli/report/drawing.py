"""The notice as a map: sources, the clauses that grant, purposes, families and channels in columns, joined by lines.

Each part of the map, and each row of the page that filters apply to, is `of` some terms, by their keys: `s3` is the
fourth source, `p0` the first purpose. A part is shown for a term if it is of it.
"""

from __future__ import annotations

import dataclasses
import itertools
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from purposeguard.cli.application import clauses_of
from purposeguard.cli.report.facts import NoticeFacts, parent_of
from purposeguard.notice.languages import nearest_language
from purposeguard.notice.schema import Named, Overlay, PurposeRow, SourceRow

Column = Literal["source", "grant", "purpose", "family", "channel"]
PREFIX: Final[Mapping[Column, str]] = {"source": "s", "grant": "g", "purpose": "p", "family": "f", "channel": "c"}

PLACES: Final[Mapping[Column, tuple[int, int]]] = {
    "source": (1, 212),
    "grant": (262, 138),
    "purpose": (450, 288),
    "family": (818, 181),
    "channel": (818, 181),  # above the families: lines from purposes would run behind another column
}
"""Where each column begins, and how wide it is."""

WIDTH: Final = 1000
TOP: Final = 34
"""The room for the heads of the columns."""

PITCH: Final = 28
"""From one purpose to the next."""

HEIGHT: Final = 22
TALL: Final = 38
"""The height of a clause, which has two lines."""

INDENT: Final = 16
SIZE: Final = 12.5
BOLD: Final = 1.15
"""How much wider bold text is."""


class MapNode(NamedTuple):
    """A term in its place: its key, the terms that it is of, its texts and their language; `badge` is its basis."""

    column: Column
    key: str
    of: str
    x: float
    y: float
    width: float
    height: float
    id: str
    label: str
    title: str
    language: str
    badge: str


class Line(NamedTuple):
    """A line from one term to another: `part` of the purposes of a clause, `open` for a channel that is an example."""

    of: str
    path: str
    style: Literal["whole", "part", "open"]


@dataclasses.dataclass(frozen=True, slots=True)
class MapDrawing:
    """The map."""

    width: int
    height: int
    nodes: tuple[MapNode, ...]
    lines: tuple[Line, ...]
    heads: tuple[tuple[Column, int, float], ...]


class NoticeRelations:
    """The keys of all terms, and of which terms each is."""

    def __init__(self, notice: NoticeFacts) -> None:
        self.notice = notice
        self.terms: dict[Column, list[str]] = {
            "source": [source.id for source in notice.sources],
            "grant": [grant.clause for grant in notice.document.grant],
            "purpose": [purpose.id for purpose in notice.document.purposes],
            "family": [family.name for family in notice.notice.families],
            "channel": [
                channel.id
                for channel in notice.document.channel
                if any(channel.id in _channels(purpose) for purpose in notice.document.purposes)
            ],
        }
        self._keys = {
            (column, term): f"{PREFIX[column]}{number}"
            for column, terms in self.terms.items()
            for number, term in enumerate(terms)
        }
        of: dict[str, set[str]] = defaultdict(set)
        for purpose in notice.document.purposes:
            terms = self.related_keys(purpose)
            for key in terms:
                # Other sources, families and channels of the purpose are not its own.
                of[key] |= {self.key("purpose", purpose.id), key} | {
                    other for other in terms if other[0] != key[0] or other == key
                }
        for source in notice.sources:
            if isinstance(source, SourceRow) and source.parent is not None:
                of[self.key("source", source.id)].add(self.key("source", source.parent))
        self._of = of

    def key(self, column: Column, term: str) -> str:
        """Return the key of a term."""
        return self._keys[column, term]

    def related_keys(self, purpose: PurposeRow) -> set[str]:
        """Return the keys of a purpose, and of all that it is granted to, by, or belongs to."""
        return {
            self.key("purpose", purpose.id),
            self.key("grant", self.notice.grant_of[purpose.id]),
            *(self.key("source", source) for source in self.notice.served[purpose.id]),
            *(self.key("family", family.name) for family in self.notice.families_of(purpose.id)),
            *(self.key("channel", channel) for channel in _channels(purpose)),
        }

    def of(self, column: Column, term: str) -> str:
        """Return the keys of the terms that a term belongs to, as an attribute of a page."""
        key = self.key(column, term)
        return _join_elements(self._of.get(key, set()) | {key})

    def between(self, purposes: Iterable[PurposeRow], *ends: tuple[Column, str], above: str | None = None) -> str:
        """Return the keys of the ends, of the purposes that join them, and of what these belong to.

        `above` adds the key of a parent.
        """
        keys = {self.key(*end) for end in ends}
        keys |= set() if above is None else {self.key("source", above)}
        columns = {end[0] for end in ends}
        for purpose in purposes:
            keys |= {key for key in self.related_keys(purpose) if _column(key) not in columns}
        return _join_elements(keys)


def _channels(purpose: PurposeRow) -> tuple[str, ...]:
    return () if purpose.channels is None else purpose.channels.closed or purpose.channels.open or ()


def _column(key: str) -> Column:
    return next(column for column, prefix in PREFIX.items() if key.startswith(prefix))


def _join_elements(keys: Iterable[str]) -> str:
    return " ".join(sorted(keys, key=lambda key: (key[0], int(key[1:]))))


def draw_map(relations: NoticeRelations, language: Literal["en", "ja"], badges: Mapping[str | None, str]) -> MapDrawing:
    """Return the map of a notice, with titles in a language; `badges` are the letters of legal bases."""
    return _Drawer(relations, language, badges).drawing()


class _Drawer:
    def __init__(
        self, relations: NoticeRelations, language: Literal["en", "ja"], badges: Mapping[str | None, str]
    ) -> None:
        self._relations = relations
        self._notice = relations.notice
        self._language = language
        self._badges = badges
        self._middles: dict[tuple[Column, str], float] = {}
        self._indented: set[str] = set()

    def drawing(self) -> MapDrawing:
        nodes = [*self._purposes(), *self._grants(), *self._channels()]
        families = float(TOP) + len(self._relations.terms["channel"]) * PITCH
        families += TOP if self._relations.terms["channel"] else 0
        nodes += self._families(families)
        families = min((node.y for node in nodes if node.column == "family"), default=families)
        nodes += self._sources()  # where the clauses are is known now
        order: Sequence[Column] = tuple(PREFIX)
        nodes.sort(key=lambda node: (order.index(node.column), node.y))
        height = max(node.y + node.height for node in nodes) + 8
        heads: tuple[tuple[Column, int, float], ...] = tuple(
            (column, PLACES[column][0], (families if column == "family" else TOP) - 16.0)
            for column in order
            if self._relations.terms[column]
        )
        return MapDrawing(WIDTH, round(height), tuple(nodes), (*self._brackets(), *self._lines()), heads)

    # ---- Terms ----------------------------------------------------------------------------------------------------

    def _node(
        self,
        column: Column,
        term: str,
        title: Mapping[str, str],
        y: float,
        *,
        height: float = HEIGHT,
        badge: str = "",
        shown: str = "",
    ) -> MapNode:
        x, width = PLACES[column]
        if column == "source" and term in self._indented:
            x, width = x + INDENT, width - INDENT
        self._middles[column, term] = y + height / 2
        language = nearest_language(title, self._language)
        text = title[language]
        id_ = shown or ("" if column in {"family", "channel"} else term)
        room = width - 16 - (18 if badge else 0) - (BOLD * _length(f"{id_} ") if id_ and height == HEIGHT else 0)
        return MapNode(
            column=column,
            key=self._relations.key(column, term),
            of=self._relations.of(column, term),
            x=x,
            y=round(y, 1),
            width=width,
            height=height,
            id=id_,
            label=_fitting(text, room),
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
        terms = {
            grant.clause: (grant.title, [purpose.id for purpose in grant.purpose])
            for grant in self._notice.document.grant
        }
        return self._place_beside_purposes("grant", terms, TALL, TOP)

    def _families(self, top: float) -> Iterator[MapNode]:
        terms = {family.name: (family.title, clauses_of(family)) for family in self._notice.notice.families}
        return self._place_beside_purposes("family", terms, HEIGHT, top)

    def _place_beside_purposes(
        self, column: Column, terms: Mapping[str, tuple[Mapping[str, str], Sequence[str]]], height: float, top: float
    ) -> Iterator[MapNode]:
        """Yield the nodes of terms, each placed in the middle of its purposes."""
        wanted = {
            term: _mean(self._middles["purpose", purpose] for purpose in purposes)
            for term, (_, purposes) in terms.items()
        }
        for term, y in _spread(wanted, dict.fromkeys(terms, height), top):
            yield self._node(column, term, terms[term][0], y, height=height)

    def _channels(self) -> Iterator[MapNode]:
        titles = {channel.id: channel.title for channel in self._notice.document.channel}
        for number, channel in enumerate(self._relations.terms["channel"]):
            yield self._node("channel", channel, titles[channel], TOP + number * PITCH)

    def _sources(self) -> Iterator[MapNode]:
        """Yield each clause with its items below it."""
        groups: dict[str, list[Named]] = {}
        by_id = {source.id: source for source in self._notice.sources}
        for source in self._notice.sources:
            top = source
            while (parent := parent_of(top)) in by_id:
                top = by_id[parent]
            groups.setdefault(top.id, []).append(source)
            if top is not source:
                self._indented.add(source.id)
        wanted = {
            name: _mean(
                self._middles["grant", self._notice.grant_of[purpose]]
                for purpose, sources in self._notice.served.items()
                if not sources.isdisjoint(source.id for source in group)
            )
            for name, group in groups.items()
        }
        sizes = {name: len(group) * PITCH - (PITCH - HEIGHT) for name, group in groups.items()}
        for name, y in _spread(wanted, {name: float(size) for name, size in sizes.items()}):
            for number, source in enumerate(groups[name]):
                shown = source.slug if isinstance(source, Overlay) else ""
                yield self._node("source", source.id, source.title, y + number * PITCH, shown=shown)

    # ---- Lines ----------------------------------------------------------------------------------------------------

    def _brackets(self) -> Iterator[Line]:
        """Yield a line from each clause to each of its items."""
        for source in self._notice.sources:
            above = parent_of(source)
            if above is not None and ("source", above) in self._middles:
                x = PLACES["source"][0] + INDENT / 2
                top, end = self._middles["source", above] + HEIGHT / 2, self._middles["source", source.id]
                path = f"M{x} {top:.1f}V{end:.1f}H{PLACES['source'][0] + INDENT}"
                yield Line(self._relations.of("source", source.id), path, "whole")

    def _lines(self) -> Iterator[Line]:
        for grant in self._notice.document.grant:
            own = grant.purpose
            for source in self._notice.sources:
                served = [purpose for purpose in own if source.id in self._notice.served[purpose.id]]
                # The items of a clause have lines of their own.
                if served and source.id not in self._notice.parents:
                    ends: tuple[tuple[Column, str], tuple[Column, str]] = ("source", source.id), ("grant", grant.clause)
                    of = self._relations.between(served, *ends, above=parent_of(source))
                    yield self._line(of, *ends, "whole" if len(served) == len(own) else "part")
            for purpose in own:
                ends = ("grant", grant.clause), ("purpose", purpose.id)
                yield self._line(self._relations.between([purpose], *ends), *ends, "whole")
        for purpose in self._notice.document.purposes:
            for family in self._notice.families_of(purpose.id):
                ends = ("purpose", purpose.id), ("family", family.name)
                yield self._line(self._relations.between([purpose], *ends), *ends, "whole")
            for channel in _channels(purpose):
                ends = ("purpose", purpose.id), ("channel", channel)
                of = self._relations.between([purpose], *ends)
                yield self._line(of, *ends, "whole" if purpose.channels and purpose.channels.closed else "open")

    def _line(
        self, of: str, start: tuple[Column, str], end: tuple[Column, str], style: Literal["whole", "part", "open"]
    ) -> Line:
        left, right = sum(PLACES[start[0]]), PLACES[end[0]][0]
        above, below = self._middles[start], self._middles[end]
        middle = (left + right) / 2
        return Line(of, f"M{left} {above:.1f}C{middle} {above:.1f} {middle} {below:.1f} {right} {below:.1f}", style)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else TOP


def _spread(wanted: Mapping[str, float], sizes: Mapping[str, float], top: float = TOP) -> list[tuple[str, float]]:
    """Return the upper edges of boxes of these sizes, close to the wanted middles and without overlaps."""
    gap = PITCH - HEIGHT
    stacks: list[tuple[list[str], float]] = []  # boxes that touch, and the upper edge of the first
    for name in sorted(wanted, key=lambda name: wanted[name]):
        names, edge = [name], wanted[name] - sizes[name] / 2
        while stacks and stacks[-1][1] + sum(sizes[above] + gap for above in stacks[-1][0]) > edge:
            names = [*stacks.pop()[0], *names]
            offsets = itertools.accumulate((sizes[member] + gap for member in names[:-1]), initial=0.0)
            edge = _mean(
                wanted[member] - sizes[member] / 2 - offset for member, offset in zip(names, offsets, strict=True)
            )
        stacks.append((names, edge))
    placed: list[tuple[str, float]] = []
    free = top
    for names, edge in stacks:
        free = max(free, edge)
        for name in names:
            placed.append((name, free))
            free += sizes[name] + gap
    return placed


def _length(text: str) -> float:
    """Return the approximate length of a text."""
    return sum(SIZE if unicodedata.east_asian_width(char) in "WFA" else SIZE * 0.55 for char in text)


def _fitting(text: str, room: float) -> str:
    """Return as much of the beginning of a text as fits."""
    if _length(text) <= room:
        return text
    while text and _length(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
