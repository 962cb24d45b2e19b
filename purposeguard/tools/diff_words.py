"""What a comparison of two revisions says, in words: one sentence a change, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from purposeguard.policy.diff import Change
from purposeguard.tools.diff_uses import OfUses

NEEDS: Final[Mapping[str | None, tuple[str, str]]] = {
    None: ("", ""),
    "notice": (" [needs notice]", "【通知が必要】"),
    "consent": (" [needs consent]", "【同意が必要】"),
}


class Words(OfUses):
    """Says changes in one language."""

    def say(self, change: Change) -> str:
        """A change as a sentence, and what it needs."""
        return SAYINGS[change.kind](self, change.facts) + self.either(*NEEDS[change.needs])

    def period(self, facts: Mapping[str, Any]) -> str:
        """How long data is kept."""
        start = {
            "collection": self.either("collection", "取得"),
            "end-of-use": self.either("the end of use", "利用終了"),
        }[facts["start"]]
        s, was, is_ = self.sources(facts["sources"]), self.days(facts["old"]), self.days(facts["new"])
        return (
            self.either(
                f"{s}: kept for {is_} from {start}, before for {was}",
                f"{s}の保存期間（{start}から）が{was}から{is_}に変わる",
            )
            .replace("kept for no period", "kept without a period")
            .replace("before for no", "before without a")
        )

    def country(self, facts: Mapping[str, Any]) -> str:
        """Where data may be handed."""
        title = f" ({self.title(facts['title'])})" if facts["title"] else ""
        was, is_ = self._terms(facts["old"]), self._terms(facts["new"])
        return self.either(f"{facts['code']}{title}: {is_}; before, {was}", f"{facts['code']}{title}: {was}→{is_}")

    def _terms(self, given: Any) -> str:
        if given == "refused":
            return self.either("nothing may be handed there", "提供不可")
        if given == "open":
            return self.either("data may be handed there", "提供可")
        recipient, products, *tasks = given
        return self.either(
            f"data may be handed to {recipient} alone, for {products}, for {self.listed(tasks)}",
            f"{recipient}に限り、{products}の{self.listed(tasks)}のために提供可",
        )

    def supervision(self, facts: Mapping[str, Any]) -> str:
        """Whether recipients must be supervised."""
        return self.either(
            f"supervision of recipients is {facts['new']}, before {facts['old']}",
            f"委託先の監督が{facts['old']}から{facts['new']}に変わる",
        )

    def answered(self, facts: Mapping[str, Any]) -> str:
        """Within how many days requests are answered."""
        was, is_ = self.days(facts["old"]), self.days(facts["new"])
        return self.either(
            f"requests are answered within {is_}, before within {was}", f"請求への回答期限が{was}から{is_}に変わる"
        ).replace("within no period", "without a period")

    # --- terms and the rest

    def added(self, facts: Mapping[str, Any]) -> str:
        """What is new."""
        what, name = self.what(facts), self.named(facts)
        return self.either(f"{what} added: {name}", f"{what}の追加: {name}")

    def removed(self, facts: Mapping[str, Any]) -> str:
        """What is gone, and what it did."""
        what, name, served = self.what(facts), self.named(facts), facts.get("served")
        said = self.either(f"{what} removed: {name}", f"{what}の削除: {name}")
        if not served:
            return said
        p = self.purposes(served)
        return said + self.either(
            f"; what was collected of it serves {p} no more", f"。取得済みの情報も{p}に利用できなくなる"
        )

    def titled(self, facts: Mapping[str, Any]) -> str:
        """Another title."""
        was, is_ = self.title(facts["old"]), self.title(facts["new"])
        if was == is_:  # it is the one in the other language
            was, is_ = (str(facts[key]["en" if self._japanese else "ja"]) for key in ("old", "new"))
        name = str(facts["id"]) if "id" in facts else self.named(facts)
        what = self.what(facts)
        return self.either(
            f"{what} {name} is called “{is_}”, before “{was}”", f"{what}{name}の名称が「{was}」から「{is_}」に変わる"
        )

    def renamed(self, facts: Mapping[str, Any]) -> str:
        """Another id, or another class."""
        what, was, is_ = self.what(facts), facts["old"], facts["new"]
        said = ""
        if was != is_:
            said = self.either(f"{what} {was} is {is_} now", f"{what}{was}の番号が{is_}に変わる")
            said += {
                "stated": self.either(
                    ": data collected earlier, consents and requests move with it",
                    "。以前に取得した情報・同意・請求も引き継がれる",
                ),
                "class": self.either(
                    " by its class, and no `[[renamed]]` row says so: what was collected earlier does not move with it",
                    "（クラス名による）。`[[renamed]]`の記載がないため、以前に取得した情報は引き継がれない",
                ),
            }.get(facts["by"], "")
        if "new_class" in facts:
            classes = facts["old_class"], facts["new_class"]
            class_ = self.either(
                f"class {classes[0]} is {classes[1]} now", f"クラス名{classes[0]}が{classes[1]}に変わる"
            )
            said = self.either("; ", "。").join((said, class_)) if said else f"{what} {is_}: {class_}"
        return said

    def reused(self, facts: Mapping[str, Any]) -> str:
        """A number that means something else."""
        what, id_, was, is_ = self.what(facts), facts["id"], facts["old_class"], facts["new_class"]
        said = self.either(f"{what} {id_} was {was}, and is {is_} now", f"{what}{id_}は{was}であったが{is_}になる")
        if facts["moved"]:
            return said
        return said + self.either(
            f": no `[[renamed]]` row says so, so what was collected as {was} goes on as {is_}",
            f"。`[[renamed]]`の記載がないため、{was}として取得した情報が{is_}として扱われる",
        )

    def renamed_nothing(self, facts: Mapping[str, Any]) -> str:
        """A row that renames nothing."""
        what, was, is_, old = self.what(facts), facts["old"], facts["new"], facts["revision"]
        return self.either(
            f"a `[[renamed]]` row says that {what} {was} became {is_}, but the revision of {old} has no {was}",
            f"`[[renamed]]`は{what}{was}が{is_}になったとするが、{old}の版に{was}はない",
        )

    def members(self, facts: Mapping[str, Any]) -> str:
        """A list in a row."""
        parts = [
            self.either(f"{word[0]} {self.listed(facts[key])}", f"{self.listed(facts[key])}を{word[1]}")
            for key, word in (("added", ("with", "追加")), ("removed", ("without", "削除")))
            if facts[key]
        ]
        return f"{self.what(facts)} {self.named(facts)}: `{facts['key']}` {self.either(', ', '、').join(parts)}"

    def value(self, facts: Mapping[str, Any]) -> str:
        """A value in a row."""
        head = f"{self.what(facts)} {self.named(facts)}: `{facts['key']}`"
        was, is_ = self.shown(facts["old"]), self.shown(facts["new"])
        return self.either(f"{head} is {is_}, before {was}", f"{head}が{was}から{is_}に変わる")

    def head(self, facts: Mapping[str, Any], key: tuple[str, str]) -> str:
        """A value in the head of the file."""
        was, is_ = (
            self.title(given) if isinstance(given, Mapping) else self.shown(given)
            for given in (facts["old"], facts["new"])
        )
        return self.either(f"{key[0]} is {is_}, before {was}", f"{key[1]}が{was}から{is_}に変わる")

    def table(self, facts: Mapping[str, Any]) -> str:
        """A table whose difference changes nothing that is decided."""
        return self.either(f"[{facts['key']}] says something else", f"[{facts['key']}]の記載が変わる")


SAYINGS: Final[Mapping[str, Callable[[Words, Mapping[str, Any]], str]]] = {
    "granted": Words.granted,
    "channels-opened": Words.opened,
    "withdrawn": Words.withdrawn,
    "channels-closed": Words.closed,
    "channels-named": Words.renaming,
    "earlier-lost": Words.lost,
    "basis": Words.basis,
    "extended": Words.extended,
    "extension-basis": Words.extended,
    "extension-dropped": Words.dropped,
    "period": Words.period,
    "country": Words.country,
    "supervision": Words.supervision,
    "answer-days": Words.answered,
    "added": Words.added,
    "removed": Words.removed,
    "title": Words.titled,
    "renamed": Words.renamed,
    "reused": Words.reused,
    "renamed-nothing": Words.renamed_nothing,
    "members": Words.members,
    "value": Words.value,
    "home": lambda words, facts: words.head(facts, ("the controller's own country", "事業者の所在国")),
    "voluntary": lambda words, facts: words.head(facts, ("giving data is optional:", "提供が任意か")),
    "controller": lambda words, facts: words.head(facts, ("the controller", "事業者")),
    "timezone": lambda words, facts: words.head(facts, ("the time zone", "時間帯")),
    "table": Words.table,
}
"""Kind of change → what says it."""
