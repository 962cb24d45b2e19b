"""Which terms of a notice belong together, as keys that the page filters by.

Each source, clause, purpose, family and channel has a key: `s3` is the fourth source, `p0` the first purpose. Each part
of the map, and each row of the page that filters apply to, is `of` some terms, by their keys. If a term is chosen, the
parts that are of it are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final, Literal

from purposeguard.adoption.summary import ObservedUse
from purposeguard.cli.report.notice_facts import NoticeFacts
from purposeguard.notice.schema import PurposeRow, SourceRow, list_ids

MapColumn = Literal["source", "grant", "purpose", "family", "channel"]
"""The kind of a term, each of which has a column on the map."""

KEY_PREFIXES: Final[Mapping[MapColumn, str]] = {
    "source": "s",
    "grant": "g",
    "purpose": "p",
    "family": "f",
    "channel": "c",
}
"""The first letter of keys; the columns are in the order of the map."""


class NoticeRelations:
    """The keys of all terms, and of which terms each is.

    Attributes:
        notice: The notice.
        terms: The terms that the map shows, by column.
    """

    def __init__(self, notice: NoticeFacts) -> None:
        self.notice = notice
        document = notice.document
        self.terms: dict[MapColumn, list[str]] = {
            "source": list_ids(notice.sources),
            "grant": list(notice.clauses),
            "purpose": list_ids(document.purposes),
            "family": [family.name for family in notice.notice.families],
            "channel": list(_iter_used_channels(notice)),
        }
        self._keys: dict[tuple[MapColumn, str], str] = {}
        for column, terms in self.terms.items():
            for number, term in enumerate(terms):
                self._keys[column, term] = f"{KEY_PREFIXES[column]}{number}"
        self._of: dict[str, set[str]] = defaultdict(set)
        for purpose in document.purposes:
            self._relate(purpose)
        for source in notice.sources:
            if isinstance(source, SourceRow) and source.parent is not None:
                self._of[self.key("source", source.id)].add(self.key("source", source.parent))

    def _relate(self, purpose: PurposeRow) -> None:
        """Let the terms of a purpose be of the purpose, and of its terms in other columns."""
        terms = self.find_related_keys(purpose)
        for key in terms:
            # Other sources, families and channels of the purpose are not its own.
            self._of[key] |= {self.key("purpose", purpose.id), key, *_iter_keys_outside(terms, {_column(key)})}

    def key(self, column: MapColumn, term: str) -> str:
        """Return the key of a term."""
        return self._keys[column, term]

    def find_related_keys(self, purpose: PurposeRow) -> set[str]:
        """Return the keys of a purpose, and of all that it is granted to, by, or belongs to."""
        keys = {self.key("purpose", purpose.id), self.key("grant", self.notice.grant_of[purpose.id])}
        for source in self.notice.served[purpose.id]:
            keys.add(self.key("source", source))
        for family in self.notice.families_of(purpose.id):
            keys.add(self.key("family", family.name))
        for channel in channels_of(purpose):
            keys.add(self.key("channel", channel))
        return keys

    def of(self, column: MapColumn, term: str) -> str:
        """Return the keys of the terms that a term belongs to, as an attribute of a page."""
        key = self.key(column, term)
        return _join_keys({key} | self._of.get(key, set()))

    def find_keys_of_observed(self, uses: Iterable[ObservedUse]) -> str:
        """Return the keys of observed uses: of their sources, purposes and channels, but not of what is granted."""
        keys: set[str] = set()
        for use in uses:
            keys |= self._find_keys("source", use.key.source, {"source"})
            keys |= self._find_keys("purpose", use.key.purpose, {"grant", "family"})
            keys |= self._find_keys("family", use.key.purpose)
            keys |= self._find_keys("channel", use.key.channel)
        return _join_keys(keys)

    def _find_keys(self, column: MapColumn, term: str, wider: Container[MapColumn] = ()) -> set[str]:
        """Return the key of a term, if the notice has it, and of the terms in some columns that it belongs to."""
        key = self._keys.get((column, term))
        if key is None:
            return set()
        return {key, *(other for other in self._of.get(key, ()) if _column(other) in wider)}

    def between(self, purposes: Iterable[PurposeRow], *ends: tuple[MapColumn, str], above: str | None = None) -> str:
        """Return the keys of the ends of a line, of the purposes that join them, and of what these belong to.

        Args:
            purposes: The purposes that the line stands for.
            ends: The terms at its ends.
            above: A source whose key is added: the parent of the source at the end.
        """
        keys = {self.key(*end) for end in ends}
        if above is not None:
            keys.add(self.key("source", above))
        columns = {column for column, _ in ends}
        for purpose in purposes:
            keys.update(_iter_keys_outside(self.find_related_keys(purpose), columns))
        return _join_keys(keys)


def channels_of(purpose: PurposeRow) -> tuple[str, ...]:
    """Return the channels that a purpose names."""
    return () if purpose.channels is None else purpose.channels.closed or purpose.channels.open or ()


def _iter_used_channels(notice: NoticeFacts) -> Iterator[str]:
    """Yield the channels that some purpose names, in the order of the notice."""
    used: set[str] = set()
    for purpose in notice.document.purposes:
        used.update(channels_of(purpose))
    for channel in notice.document.channel:
        if channel.id in used:
            yield channel.id


def _iter_keys_outside(keys: Iterable[str], columns: Container[str]) -> Iterator[str]:
    """Yield the keys of terms in other columns."""
    for key in keys:
        if _column(key) not in columns:
            yield key


def _column(key: str) -> MapColumn:
    return COLUMNS_BY_PREFIX[key[0]]


COLUMNS_BY_PREFIX: Final[Mapping[str, MapColumn]] = {prefix: column for column, prefix in KEY_PREFIXES.items()}


def _join_keys(keys: Iterable[str]) -> str:
    return " ".join(sorted(keys, key=lambda key: (key[0], int(key[1:]))))
