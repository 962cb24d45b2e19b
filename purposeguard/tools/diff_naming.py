"""How a comparison names things: terms, what kind they are, lists of them, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from purposeguard.notice.grants import Lineage, source_rows
from purposeguard.notice.schema import Document, Titles
from purposeguard.notice.vocabulary import slug_of
from purposeguard.policy.diff import Comparison
from purposeguard.tools.reports import Language

WHAT: Final[Mapping[str, tuple[str, str]]] = {
    "source": ("source", "取得項目"),
    "purpose": ("purpose", "利用目的"),
    "family": ("family", "目的の族"),
    "overlay": ("product overlay", "製品別の限定"),
    "derivation": ("derivation", "派生"),
    "channel": ("channel", "連絡手段"),
    "prohibition": ("prohibition", "禁止"),
    "clause": ("clause", "条項"),
    "notice": ("notice", "通知"),
    "recipient": ("kind of recipient", "委託先の種類"),
    "measure": ("safeguard", "安全管理措置"),
    "means": ("means of handing over", "受渡し方法"),
    "request": ("request that subjects may make", "本人からの請求"),
    "requester": ("who may make requests", "請求できる者"),
    "retention": ("retention", "保存"),
    "table": ("table", "表"),
}


class Naming:
    """Names terms in one language, as the later revision that has them names them."""

    def __init__(self, comparison: Comparison, language: Language) -> None:
        self._japanese = language is Language.ja
        self.old, self.new = comparison.old.revision, comparison.new.revision
        self._names: dict[tuple[str, str], str] = {}
        for notice in (comparison.old, comparison.new):
            self._learn(notice.document)
        self._lineage = Lineage(comparison.new.document)

    def _learn(self, document: Document) -> None:
        for kind, rows in (("source", source_rows(document)), ("purpose", document.purposes)):
            for row in rows:
                self._names[kind, row.id] = self.either(f"{row.slug} ({row.id})", f"「{row.title.ja}」{row.id}")
        for family in document.family:
            named = self.either(slug_of(family.class_), f"「{family.title.ja}」{family.class_}")
            self._names["purpose", family.class_] = named
        for channel in document.channel:
            self._names["channel", channel.id] = self.either(channel.id, channel.title.ja)

    def either(self, english: str, japanese: str) -> str:
        """What is said in this language."""
        return japanese if self._japanese else english

    def listed(self, ids: Iterable[str]) -> str:
        """`a, b and c`."""
        names = list(ids)
        if self._japanese or len(names) < 2:
            return ("、" if self._japanese else ", ").join(names)
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def purposes(self, ids: Iterable[str]) -> str:
        """The names of purposes and families."""
        return self.listed(self._names.get(("purpose", one), one) for one in ids)

    def sources(self, ids: Iterable[str]) -> str:
        """The names of sources; where all items of a clause are among them, that of the clause."""
        there = list(ids)
        shown: dict[str, None] = {}
        for one in there:
            above = [one, *self._lineage.above(one)]
            whole = [clause for clause in above if all(leaf in there for leaf in self._lineage.leaves(clause))]
            shown[whole[-1] if whole else one] = None
        return self.listed(self._names.get(("source", one), one) for one in shown)

    def channels(self, ids: Iterable[str]) -> str:
        """The names of channels."""
        return self.listed(self._names.get(("channel", one), one) for one in ids)

    def title(self, title: Titles | Mapping[str, str]) -> str:
        """A title in this language."""
        texts = title.model_dump() if isinstance(title, Titles) else dict(title)
        return str(texts["ja" if self._japanese else "en"])

    def what(self, facts: Mapping[str, Any]) -> str:
        """What kind of thing a change is about."""
        return self.either(*WHAT[facts["what"]])

    def named(self, facts: Mapping[str, Any]) -> str:
        """The name of what a change is about."""
        if facts["what"] == "prohibition":
            return f"{self.sources(facts['sources'])} → {self.purposes(facts['purposes'])}"
        if "class" in facts:  # of a revision in which its id may mean another term
            return self.either(f"{slug_of(facts['class'])} ({facts['id']})", f"「{facts['title']['ja']}」{facts['id']}")
        kind = "purpose" if facts["what"] in {"purpose", "family"} else "source"
        if kind == "purpose" or facts["what"] in {"source", "overlay", "derivation"}:
            return self._names.get((kind, facts["id"]), str(facts["id"]))
        title = self.title(facts["title"]) if facts.get("title") else ""
        return f"{facts['id']} ({title})" if title else str(facts["id"])

    def shown(self, given: Any) -> str:
        """A value of the file."""
        if isinstance(given, bool):
            return self.either("yes" if given else "no", "はい" if given else "いいえ")
        return self.either("none", "なし") if given is None else str(given)

    def days(self, days: int | None) -> str:
        """A period."""
        return self.either("no period", "期限なし") if days is None else self.either(f"{days} days", f"{days}日")
