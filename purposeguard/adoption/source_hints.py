"""Find the sources of a notice that the names of a class and its field hint at.

The hints are words that a name shares with the titles of a source in any language, and the kind of data that the name
indicates, if a title names it too. A word or kind that few sources have in common counts more than one that many have.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from purposeguard.adoption.lexicon import (
    ADDRESS,
    EMAIL,
    LOOKS,
    NAME,
    NETWORK,
    PAYMENT,
    PHONE,
    PLACE,
    POSTCODE,
    SENSITIVE,
    TERMINAL,
    WORK,
    DataKind,
    contains_japanese,
    find_kinds,
    make_singular,
    split_name,
)
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Source

_SHORTEST_WORD: Final = 3
"""Letters of a word that counts. Shorter ones are mostly grammar: `of`, `to`, `de`, `im`."""

_KINDS_BY_TITLE_WORD: Final = {
    **dict.fromkeys(("contact", "連絡"), (NAME, EMAIL, PHONE, ADDRESS, POSTCODE)),
    **dict.fromkeys(("account", "identity", "identifier", "登録"), (NAME, EMAIL)),
    **dict.fromkeys(("terminal", "device", "端末"), (TERMINAL, NETWORK)),
    **dict.fromkeys(("log", "network", "アクセス"), (NETWORK, TERMINAL)),
    **dict.fromkeys(("payment", "支払"), (PAYMENT,)),
    **dict.fromkeys(("health", "medical", "健康"), (SENSITIVE,)),
    **dict.fromkeys(("place", "位置"), (PLACE,)),
    **dict.fromkeys(("picture", "image", "video", "画像", "映像"), (LOOKS,)),
    **dict.fromkeys(("employer", "職務", "所属"), (WORK,)),
}
"""Words of titles that stand for several kinds of data, or for a kind that names of fields call otherwise."""


@dataclass(frozen=True, slots=True)
class SourceHint:
    """A source that a name hints at, and the reasons."""

    source: type[Source]
    score: float
    words: tuple[str, ...]
    """The words that the name shares with the titles of the source, its id or its slug."""
    kind: DataKind | None
    """The kind of data that the name indicates, if a title names it."""


class SourceHints:
    """The words and kinds of data in the titles of the sources of a notice."""

    def __init__(self, notice: Notice) -> None:
        """Read the titles of a notice, in all its languages."""
        self._sources_by_word: dict[str, list[type[Source]]] = defaultdict(list)
        self._sources_by_kind: dict[DataKind, list[type[Source]]] = defaultdict(list)
        for source in notice.sources:
            texts = (source.clause, source.slug, *source.title.values())
            for word in _list_words(*texts):
                self._sources_by_word[word].append(source)
            for kind in _list_kinds(*source.title.values()):
                self._sources_by_kind[kind].append(source)

    def find(self, class_name: str, field_name: str, kind: DataKind | None = None) -> list[SourceHint]:
        """Return the sources that the names hint at, the best first.

        Args:
            class_name: The name of the class or table.
            field_name: The name of the field or column.
            kind: The kind of data that the field holds, as `find_personal_fields` tells.
        """
        scores: dict[type[Source], float] = defaultdict(float)
        shared_words: dict[type[Source], list[str]] = defaultdict(list)
        for word in sorted(_list_words(class_name, field_name)):
            sources = self._sources_by_word.get(word, [])
            for source in sources:
                scores[source] += 1 / len(sources)
                shared_words[source].append(word)
        sources_of_kind = self._sources_by_kind.get(kind, []) if kind is not None else []
        for source in sources_of_kind:
            scores[source] += 1 / len(sources_of_kind)
        hints: list[SourceHint] = []
        for source, score in scores.items():
            shared_kind = kind if source in sources_of_kind else None
            hints.append(SourceHint(source, score, tuple(shared_words[source]), shared_kind))
        return sorted(hints, key=lambda hint: -hint.score)


def _list_words(*texts: str) -> frozenset[str]:
    """Return the words of texts. Japanese has no blanks between words, so each pair of letters counts as a word."""
    words: set[str] = set()
    for text in texts:
        for word in split_name(text):
            if contains_japanese(word):
                words.update(first + second for first, second in pairwise(word) if not _is_hiragana(first, second))
            elif len(word) >= _SHORTEST_WORD:
                words.add(make_singular(word))
    return frozenset(words)


def _is_hiragana(*letters: str) -> bool:
    """Return True for letters of which Japanese grammar consists."""
    return any("\u3040" <= letter <= "\u309f" for letter in letters)


def _list_kinds(*titles: str) -> frozenset[DataKind]:
    kinds: set[DataKind] = set()
    for title in titles:
        kinds.update(find_kinds(title))
        words = _list_words(title)
        for word, kinds_of_word in _KINDS_BY_TITLE_WORD.items():
            if word in words or (contains_japanese(word) and word in title):
                kinds.update(kinds_of_word)
    return frozenset(kinds)
