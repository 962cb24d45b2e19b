"""What a comparison of two revisions says, in words: one sentence a change, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from purposeguard.cli.render import Language
from purposeguard.notice.grants import Lineage, source_rows
from purposeguard.notice.schema import Document, Titles
from purposeguard.notice.vocabulary import slug_of
from purposeguard.policy.diff import Change, Comparison

Sentence = tuple[str, str]
"""In English and in Japanese."""

WHAT: Final[Mapping[str, Sentence]] = {
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


BASES: Final[Mapping[str | None, Sentence]] = {
    None: ("no stated basis", "記載なし"),
    "consent": ("consent", "同意"),
    "contract": ("a contract", "契約"),
    "law": ("law", "法令"),
    "legitimate-interest": ("a legitimate interest", "正当な利益"),
    "public-task": ("a public task", "公的任務"),
    "vital-interest": ("a vital interest", "生命に関する利益"),
}

NEEDS: Final[Mapping[str | None, Sentence]] = {
    None: ("", ""),
    "notice": (" [needs notice]", "【通知が必要】"),
    "consent": (" [needs consent]", "【同意が必要】"),
}

SENTENCES: Final[Mapping[str, Sentence]] = {
    "granted": ("{p} may use {s}{only}", "{s}を{p}に利用できるようになる{only}"),
    "channels-opened": ("{p} may use {s} by {c} too", "{s}を{p}に{c}でも利用できるようになる"),
    "withdrawn": ("{p} may use {s} no more", "{s}を{p}に利用できなくなる"),
    "channels-closed": ("{p} may use {s} by {c} no more", "{s}を{p}に{c}では利用できなくなる"),
    "channels-named": ("{p} names {is_}, before {was}", "{p}の記載する手段が{was}から{is_}に変わる"),
    "earlier-lost": (
        (
            "{p} may use data of {s} that was collected earlier{by} no more: in the revision of {earlier} a number "
            "leads to another term, or to none"
        ),
        "以前に取得した{s}を{p}に{by}利用できなくなる。{earlier}の版では番号が別のものを指すか、存在しないため",
    ),
    "basis": ("{p} rests on {is_}, before on {was}", "{p}の法的根拠が「{was}」から「{is_}」に変わる"),
    "extended": (
        "{p} may use data of {s} collected before {earlier} too, {how}",
        "{earlier}より前に取得した{s}も{p}に利用できる（{how}）",
    ),
    "extension-dropped": (
        (
            "{p} may use data of {s} collected before {earlier} no more, unless the revision of that time granted "
            "it: what extended it is not said again"
        ),
        "{earlier}より前に取得した{s}は、当時の版が認めていた場合を除き{p}に利用できなくなる。拡張の記載がなくなったため",
    ),
    "period": (
        "{s}: kept {for_} from {start}, before {before}",
        "{s}の保存期間（{start}から）が{was}から{is_}に変わる",
    ),
    "country": ("{code}{name}: {is_}; before, {was}", "{code}{name}: {was}→{is_}"),
    "supervision": ("supervision of recipients is {new}, before {old}", "委託先の監督が{old}から{new}に変わる"),
    "answer-days": ("requests are answered {within}, before {before}", "請求への回答期限が{was}から{is_}に変わる"),
    "added": ("{kind} added: {name}", "{kind}の追加: {name}"),
    "removed": ("{kind} removed: {name}", "{kind}の削除: {name}"),
    "title": ("{kind} {name} is called “{is_}”, before “{was}”", "{kind}{name}の名称が「{was}」から「{is_}」に変わる"),
    "renamed": ("{kind} {old} is {new} now", "{kind}{old}の番号が{new}に変わる"),
    "reused": (
        "{kind} {id} was {old_class}, and is {new_class} now",
        "{kind}{id}は{old_class}であったが{new_class}になる",
    ),
    "renamed-nothing": (
        "a `[[renamed]]` row says that {kind} {old} became {new}, but the revision of {revision} has no {old}",
        "`[[renamed]]`は{kind}{old}が{new}になったとするが、{revision}の版に{old}はない",
    ),
    "members": ("{kind} {name}: `{key}` {members}", "{kind} {name}: `{key}` {members}"),
    "value": ("{kind} {name}: `{key}` is {is_}, before {was}", "{kind} {name}: `{key}`が{was}から{is_}に変わる"),
    "home": ("the controller's own country is {is_}, before {was}", "事業者の所在国が{was}から{is_}に変わる"),
    "voluntary": ("giving data is optional: is {is_}, before {was}", "提供が任意かが{was}から{is_}に変わる"),
    "controller": ("the controller is {is_}, before {was}", "事業者が{was}から{is_}に変わる"),
    "timezone": ("the time zone is {is_}, before {was}", "時間帯が{was}から{is_}に変わる"),
    "table": ("[{key}] says something else", "[{key}]の記載が変わる"),
}
"""Kind of change → its sentence in English and in Japanese; `extension-basis` is said as `extended`."""

EARLIER: Final[Mapping[str, Sentence]] = {
    "none": ("", ""),
    "no": (
        ": data collected from {later} on, nothing earlier",
        "。{later}以降に取得した情報に限り、以前に取得した情報には及ばない",
    ),
    "consent": (
        "; data collected earlier too, of subjects who consent to it",
        "。以前に取得した情報には、本人が同意した場合に及ぶ",
    ),
    "related": (
        "; data collected earlier too, since it is related and notice was given on {notified}",
        "。関連する目的で{notified}に通知済みのため、以前に取得した情報にも及ぶ",
    ),
    "granted": (
        "; data collected earlier too, since the revision of {earlier} granted it as well",
        "。{earlier}の版も認めていたため、以前に取得した情報にも及ぶ",
    ),
    "same-id": (
        "; data collected earlier too, since the revision of {earlier} granted another purpose by this number",
        "。{earlier}の版が同じ番号で別の目的を認めていたため、以前に取得した情報にも及ぶ",
    ),
}
"""What becomes of data that was collected earlier."""


class Words:
    """Describes changes in one language; a term has its name in the later revision that contains it."""

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
        """The text in this language."""
        return japanese if self._japanese else english

    def listed(self, ids: Iterable[str]) -> str:
        """`a, b and c`."""
        names = list(ids)
        if self._japanese or len(names) < 2:
            return ("、" if self._japanese else ", ").join(names)
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def purposes(self, ids: Iterable[str]) -> str:
        """The names of purposes and families."""
        return self.listed(self._names.get(("purpose", id_), id_) for id_ in ids)

    def sources(self, ids: Iterable[str]) -> str:
        """The names of sources; a clause in place of all its items."""
        there = list(ids)
        shown: dict[str, None] = {}
        for source in there:
            above = [source, *self._lineage.above(source)]
            whole = [clause for clause in above if all(leaf in there for leaf in self._lineage.leaves(clause))]
            shown[whole[-1] if whole else source] = None
        return self.listed(self._names.get(("source", source), source) for source in shown)

    def channels(self, ids: Iterable[str]) -> str:
        """The names of channels."""
        return self.listed(self._names.get(("channel", id_), id_) for id_ in ids)

    def title(self, title: Titles | Mapping[str, str]) -> str:
        """A title in this language."""
        texts = title.model_dump() if isinstance(title, Titles) else dict(title)
        return str(texts["ja" if self._japanese else "en"])

    def named(self, facts: Mapping[str, Any]) -> str:
        """The name of the changed term."""
        if facts["what"] == "prohibition":
            return f"{self.sources(facts['sources'])} → {self.purposes(facts['purposes'])}"
        if "class" in facts:  # of a revision in which its id may mean another term
            return self.either(f"{slug_of(facts['class'])} ({facts['id']})", f"「{facts['title']['ja']}」{facts['id']}")
        kind = "purpose" if facts["what"] in {"purpose", "family"} else "source"
        if kind == "purpose" or facts["what"] in {"source", "overlay", "derivation"}:
            return self._names.get((kind, facts["id"]), str(facts["id"]))
        title = self.title(facts["title"]) if facts.get("title") else ""
        return f"{facts['id']} ({title})" if title else str(facts["id"])

    # --- sentences

    def say(self, change: Change) -> str:
        """A change as a sentence, with the notice or consent that it needs."""
        kind, facts = change.kind, change.facts
        sentence = SENTENCES["extended" if kind == "extension-basis" else kind]
        values: dict[str, Any] = {**facts, "earlier": self.old, "later": self.new, **self._terms(facts)}
        if "old" in facts:
            values |= self._values(kind, facts)
        tail = "".join(self.either(*pair).format(**values) for pair in self._tails(kind, facts))
        text = self._renamed(facts, values) if kind == "renamed" else self.either(*sentence).format(**values)
        return text + tail + self.either(*NEEDS[change.needs])

    def _terms(self, facts: Mapping[str, Any]) -> dict[str, str]:
        """The names that fill a change's sentence."""
        names = {"only": "", "by": ""}
        if "purposes" in facts or "purpose" in facts:
            names["p"] = self.purposes(facts.get("purposes") or [facts["purpose"]])
        if "sources" in facts:
            names["s"] = self.sources(facts["sources"])
        if "channels" in facts:
            c = self.channels(facts["channels"])
            names |= {"c": c, "only": self.either(f" by {c} alone", f"（{c}のみ）")}
            names["by"] = self.either(f" by {c}", f"{c}では")
        if "what" in facts:
            names["kind"] = self.either(*WHAT[facts["what"]])
            names["name"] = self.named(facts) if "id" in facts or "sources" in facts else ""
        if "code" in facts:
            names["name"] = f" ({self.title(facts['title'])})" if facts["title"] else ""
        if "basis" in facts:
            day = facts["notified"]
            related = f"since it is related and notice was given on {day}", f"関連する目的で{day}に通知済み"
            consent = "of subjects who consent to it", "本人が同意した場合"
            names["how"] = self.either(*(related if facts["basis"] == "related" else consent))
        if facts.get("served"):
            names["served"] = self.purposes(facts["served"])
        if "start" in facts:
            collection = facts["start"] == "collection"
            names["start"] = self.either(*(("collection", "取得") if collection else ("the end of use", "利用終了")))
        if "added" in facts:
            names["members"] = self._members(facts)
        return names

    def _members(self, facts: Mapping[str, Any]) -> str:
        """The members added to and removed from a list."""
        parts = [
            self.either(f"{word[0]} {self.listed(facts[key])}", f"{self.listed(facts[key])}を{word[1]}")
            for key, word in (("added", ("with", "追加")), ("removed", ("without", "削除")))
            if facts[key]
        ]
        return self.either(", ", "、").join(parts)

    def _values(self, kind: str, facts: Mapping[str, Any]) -> dict[str, str]:
        """The old and the new value in words."""
        old, new = facts["old"], facts["new"]
        if kind == "title":
            was, is_ = self.title(old), self.title(new)
            if was == is_:  # it is the one in the other language
                was, is_ = (str(title["en" if self._japanese else "ja"]) for title in (old, new))
            return {"was": was, "is_": is_, "name": str(facts["id"]) if "id" in facts else self.named(facts)}
        if kind in {"period", "answer-days"}:
            was, is_ = self._days(old), self._days(new)
            for_ = "without a period" if new is None else f"for {is_}"
            within = "without a period" if new is None else f"within {is_}"
            word = "for" if kind == "period" else "within"
            before = "without a period" if old is None else f"{word} {was}"
            return {"was": was, "is_": is_, "for_": for_, "within": within, "before": before}
        say = {
            "basis": lambda basis: self.either(*BASES[basis]),
            "country": self._country,
        }.get(kind, self._shown)
        if kind == "channels-named":
            return {"was": self._named_channels(facts, "old"), "is_": self._named_channels(facts, "new")}
        return {"was": say(old), "is_": say(new)}

    def _shown(self, value: Any) -> str:
        """A value of the notice file as text."""
        if isinstance(value, Mapping):
            return self.title(value)
        if isinstance(value, bool):
            return self.either("yes" if value else "no", "はい" if value else "いいえ")
        return self.either("none", "なし") if value is None else str(value)

    def _days(self, days: int | None) -> str:
        return self.either("no period", "期限なし") if days is None else self.either(f"{days} days", f"{days}日")

    def _country(self, rule: Any) -> str:
        if rule == "refused":
            return self.either("nothing may be handed there", "提供不可")
        if rule == "open":
            return self.either("data may be handed there", "提供可")
        recipient, products, *tasks = rule
        return self.either(
            f"data may be handed to {recipient} alone, for {products}, for {self.listed(tasks)}",
            f"{recipient}に限り、{products}の{self.listed(tasks)}のために提供可",
        )

    def _named_channels(self, facts: Mapping[str, Any], key: str) -> str:
        if not facts[key]:
            return self.either("no channel", "なし")
        listed, alone = self.channels(facts[key]), facts[f"{key}_alone"]
        return self.either(f"{listed} {'alone' if alone else 'for example'}", f"{listed}{'のみ' if alone else 'など'}")

    def _renamed(self, facts: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        """A changed id, title or class name."""
        moved = facts["old"] != facts["new"]
        text = self.either(*SENTENCES["renamed"]).format(**values) if moved else ""
        if moved and facts["by"] == "stated":
            text += self.either(
                ": data collected earlier, consents and requests move with it",
                "。以前に取得した情報・同意・請求も引き継がれる",
            )
        elif moved and facts["by"] == "class":
            text += self.either(
                " by its class, and no `[[renamed]]` row says so: what was collected earlier does not move with it",
                "（クラス名による）。`[[renamed]]`の記載がないため、以前に取得した情報は引き継がれない",
            )
        if "new_class" not in facts:
            return text
        classes = self.either("class {old_class} is {new_class} now", "クラス名{old_class}が{new_class}に変わる")
        class_ = classes.format(**values)
        return self.either("; ", "。").join((text, class_)) if text else f"{values['kind']} {facts['new']}: {class_}"

    def _tails(self, kind: str, facts: Mapping[str, Any]) -> Iterator[Sentence]:
        """The consequences of a change."""
        if kind in {"granted", "channels-opened"}:  # whose data, and collected when
            if facts["consent"]:
                yield ", of subjects who agree to it", "（同意した本人の分のみ）"
            yield EARLIER[facts["earlier"]]
        elif kind == "channels-named" and facts["new_alone"] != facts["old_alone"]:
            if facts["new_alone"]:
                yield "; an activity must state its channel", "。処理は手段を明示しなければならない"
            else:
                yield "; an activity need state no channel", "。処理は手段を明示しなくてよい"
        elif kind == "basis":
            yield from _tails_of_basis(facts["old"], facts["new"])
        elif kind == "removed" and facts.get("served"):
            yield "; what was collected of it serves {served} no more", "。取得済みの情報も{served}に利用できなくなる"
        elif kind == "reused" and not facts["moved"]:
            yield (
                ": no `[[renamed]]` row says so, so what was collected as {old_class} goes on as {new_class}",
                "。`[[renamed]]`の記載がないため、{old_class}として取得した情報が{new_class}として扱われる",
            )


def _tails_of_basis(was: str | None, is_: str | None) -> Iterator[Sentence]:
    if is_ == "consent":
        yield ": it serves subjects who agree to it alone", "。同意した本人の情報に限られる"
    if was == "consent":
        yield (
            ": also of subjects who did not agree, of whom data collected earlier is left out",
            "。同意のない本人の情報にも及ぶが、以前に取得した情報を除く",
        )
    if is_ == "law":
        yield "; past the period of retention it goes on", "。保存期間を過ぎた情報も利用できる"
    elif was == "law":
        yield "; past the period of retention it goes on no more", "。保存期間を過ぎた情報も利用できなくなる"
