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
    list_words_of,
    make_singular,
    split_name,
    split_words,
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

_KINDS_OF_ACCOUNTS: Final = (NAME, EMAIL)
_ACCOUNTS: Final = split_words("account registration")
"""Words of the name of a source that consists of what people state when they register."""

_STOP_WORDS: Final = split_words(
    "and anything buying chose collected collect data date detail else for from given giving how including "
    "information name other own personal something such that the them these they thing this those time what when "
    "where which while who whose with"
)
"""Words of titles that say nothing about a source."""

_TOPICS: Final = (
    split_words(
        "account user login password username credential registration register "
        "registered signup member membership 登録 会員 konto benutzer registrierung mitglied compte "
        "inscription cuenta registro"
    ),
    split_words("prospect lead prospective 見込 interessent"),
    split_words(
        "order purchase cart basket checkout invoice bill billing payment transaction contract "
        "renewal expense receipt refund subscription price amount currency balance 購入 注文 契約 "
        "支払 請求 更新 bestellung rechnung vertrag zahlung kauf commande facture paiement pedido "
        "factura pago"
    ),
    split_words(
        "usage log access activity visit history audit session tracking seen view click "
        "automatically online 履歴 アクセス ログ 操作 閲覧 自動 nutzung protokoll utilisation uso"
    ),
    split_words(
        "content post message comment reply note text body topic thread forum review upload "
        "attachment submission inquiry enquiry complaint question answer form survey poll "
        "feedback opinion remark chat 投稿 内容 問い 回答 苦情 nachricht anfrage inhalt beitrag contenu "
        "mensaje contenido"
    ),
    split_words("terminal device browser cookie ip agent 端末 ブラ endgerät gerät appareil dispositivo"),
    split_words(
        "event attendance attendee participation participant enrollment shift booking "
        "appointment reservation course training qualification schedule meeting 参加 予約 研修 "
        "teilnahme veranstaltung termin buchung schulung réservation reserva"
    ),
    split_words("applicant application candidate resume curriculum recruiting 応募 採用 bewerber bewerbung"),
    split_words("employee staff personnel employment payroll salary 従業 社員 mitarbeiter employé empleado"),
    split_words("health medical diagnosis treatment patient fitness 健康 医療 診療 gesundheit santé salud"),
    split_words("location geolocation gps route latitude longitude 位置 経路 standort"),
    split_words("newsletter mailing subscriber 配信 購読"),
    split_words("evaluation grade rating score vote ballot 評価 成績 投票 bewertung"),
)
"""Words that name the same part of an organization's work, in several languages. Titles and code often differ."""

_POPULATIONS: Final = tuple(
    topic for topic in _TOPICS if not topic.isdisjoint(("prospect", "applicant", "employee", "newsletter"))
)
"""The topics that name a group of people. Data of such people is in classes that are named after them."""

_WEIGHT_OF_SLUG: Final = 0.6
"""The score of a topic that a name shares with the name of one source. A word in common counts 1."""

_WEIGHT_OF_TOPIC: Final = 0.4
"""The score of a topic that a name shares with the titles of one source."""


@dataclass(frozen=True, slots=True)
class SourceHint:
    """A source that a name hints at, and the reasons."""

    source: type[Source]
    score: float
    words: tuple[str, ...]
    """The words that the name shares with the titles of the source, its id or its slug."""
    kind: DataKind | None
    """The kind of data that the name indicates, if a title names it."""
    topics: tuple[str, ...] = ()
    """The words of the name that mean much the same as words of the titles."""


class SourceHints:
    """The words and kinds of data in the titles of the sources of a notice."""

    def __init__(self, notice: Notice) -> None:
        """Read the titles of a notice, in all its languages."""
        self._sources_by_word: dict[str, list[type[Source]]] = defaultdict(list)
        self._sources_by_kind: dict[DataKind, list[type[Source]]] = defaultdict(list)
        self._sources_by_topic: dict[frozenset[str], dict[type[Source], float]] = defaultdict(dict)
        # Derivations come from linking data. No field is collected under one.
        derived = {row.id for row in notice.document.derivation}
        for source in notice.sources:
            if source.clause in derived:
                continue
            slug_words = _list_words(source.slug)
            words = _list_words(source.clause, source.slug, *source.title.values()) - _STOP_WORDS
            for word in words:
                self._sources_by_word[word].append(source)
            for topic in _TOPICS:
                if topic & words:
                    # The name of a source says what it is about. Its titles mention other things, too.
                    self._sources_by_topic[topic][source] = _WEIGHT_OF_SLUG if topic & slug_words else _WEIGHT_OF_TOPIC
            kinds = _list_kinds(source.slug, *source.title.values())
            for kind in kinds.union(_KINDS_OF_ACCOUNTS if slug_words & _ACCOUNTS else ()):
                self._sources_by_kind[kind].append(source)

    def find_absent(self, *names: str) -> frozenset[type[Source]]:
        """Return the sources about groups of people, such as prospects, at whom none of these names hints."""
        words = _list_words(*names)
        absent: set[type[Source]] = set()
        for topic in _POPULATIONS:
            if topic.isdisjoint(words):
                absent.update(self._sources_by_topic.get(topic, ()))
        return frozenset(absent)

    def find(self, class_name: str, field_name: str, kind: DataKind | None = None) -> list[SourceHint]:
        """Return the sources that the names hint at, the best first.

        Args:
            class_name: The name of the class or table.
            field_name: The name of the field or column.
            kind: The kind of data that the field holds, as `find_personal_fields` tells.
        """
        scores: dict[type[Source], float] = defaultdict(float)
        shared_words: dict[type[Source], list[str]] = defaultdict(list)
        related_words: dict[type[Source], list[str]] = defaultdict(list)
        sources_of_kind = self._sources_by_kind.get(kind, []) if kind is not None else []
        # The words for a kind count where a title names the kind: the address of `ip_address` is no home address.
        kind_words = frozenset() if kind is None else list_words_of(kind) - _list_words(class_name)
        words = sorted(_list_words(class_name, field_name))
        for word in words:
            sources = self._sources_by_word.get(word, [])
            for source in sources:
                if word not in kind_words or source in sources_of_kind:
                    # A word that few sources have in common counts more.
                    scores[source] += 1 / len(sources)
                    shared_words[source].append(word)
        for topic, weights in self._sources_by_topic.items():
            topic_words = [word for word in words if word in topic and word not in kind_words]
            if not topic_words:
                continue
            for source, weight in weights.items():
                # A topic adds nothing where a word of it was counted above.
                if not topic.intersection(shared_words[source]):
                    scores[source] += weight / len(weights)
                    related_words[source] += topic_words
        for source in sources_of_kind:
            scores[source] += 1 / len(sources_of_kind)
        hints: list[SourceHint] = []
        for source, score in scores.items():
            shared_kind = kind if source in sources_of_kind else None
            hint = SourceHint(source, score, tuple(shared_words[source]), shared_kind, tuple(related_words[source]))
            hints.append(hint)
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
