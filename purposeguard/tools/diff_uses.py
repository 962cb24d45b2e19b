"""What a comparison says of the uses of data, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from purposeguard.tools.diff_naming import Naming

BASES: Final[Mapping[str | None, tuple[str, str]]] = {
    None: ("no stated basis", "記載なし"),
    "consent": ("consent", "同意"),
    "contract": ("a contract", "契約"),
    "law": ("law", "法令"),
    "legitimate-interest": ("a legitimate interest", "正当な利益"),
    "public-task": ("a public task", "公的任務"),
    "vital-interest": ("a vital interest", "生命に関する利益"),
}


class OfUses(Naming):
    """Says what widened and what narrowed of the uses of data."""

    def granted(self, facts: Mapping[str, Any]) -> str:
        """New uses."""
        only = facts.get("channels")
        by = (
            self.either(f" by {self.channels(only or ())} alone", f"（{self.channels(only or ())}のみ）")
            if only
            else ""
        )
        p, s = self.purposes(facts["purposes"]), self.sources(facts["sources"])
        return self.either(f"{p} may use {s}{by}", f"{s}を{p}に利用できるようになる{by}") + self._of_whom(facts)

    def opened(self, facts: Mapping[str, Any]) -> str:
        """New channels."""
        p, s, c = self.purposes(facts["purposes"]), self.sources(facts["sources"]), self.channels(facts["channels"])
        said = self.either(f"{p} may use {s} by {c} too", f"{s}を{p}に{c}でも利用できるようになる")
        return said + self._of_whom(facts)

    def _of_whom(self, facts: Mapping[str, Any]) -> str:
        """Whose data, and collected when."""
        who = self.either(", of subjects who agree to it", "（同意した本人の分のみ）") if facts["consent"] else ""
        new, old, day = self.new, self.old, facts["notified"]
        return (
            who
            + {
                "none": "",
                "no": self.either(
                    f": data collected from {new} on, nothing earlier",
                    f"。{new}以降に取得した情報に限り、以前に取得した情報には及ばない",
                ),
                "consent": self.either(
                    "; data collected earlier too, of subjects who consent to it",
                    "。以前に取得した情報には、本人が同意した場合に及ぶ",
                ),
                "related": self.either(
                    f"; data collected earlier too, since it is related and notice was given on {day}",
                    f"。関連する目的で{day}に通知済みのため、以前に取得した情報にも及ぶ",
                ),
                "granted": self.either(
                    f"; data collected earlier too, since the revision of {old} granted it as well",
                    f"。{old}の版も認めていたため、以前に取得した情報にも及ぶ",
                ),
                "same-id": self.either(
                    f"; data collected earlier too, since the revision of {old} granted another purpose by this number",
                    f"。{old}の版が同じ番号で別の目的を認めていたため、以前に取得した情報にも及ぶ",
                ),
            }[facts["earlier"]]
        )

    def withdrawn(self, facts: Mapping[str, Any]) -> str:
        """Uses that end."""
        p, s = self.purposes(facts["purposes"]), self.sources(facts["sources"])
        return self.either(f"{p} may use {s} no more", f"{s}を{p}に利用できなくなる")

    def closed(self, facts: Mapping[str, Any]) -> str:
        """Channels that end."""
        p, s, c = self.purposes(facts["purposes"]), self.sources(facts["sources"]), self.channels(facts["channels"])
        return self.either(f"{p} may use {s} by {c} no more", f"{s}を{p}に{c}では利用できなくなる")

    def renaming(self, facts: Mapping[str, Any]) -> str:
        """Channels that a clause names otherwise."""
        p = self.purposes([facts["purpose"]])
        was, is_ = (self._list(facts[key], alone=facts[f"{key}_alone"]) for key in ("old", "new"))
        said = self.either(f"{p} names {is_}, before {was}", f"{p}の記載する手段が{was}から{is_}に変わる")
        if facts["new_alone"] == facts["old_alone"]:
            return said
        if facts["new_alone"]:
            return said + self.either("; an activity must state its channel", "。処理は手段を明示しなければならない")
        return said + self.either("; an activity need state no channel", "。処理は手段を明示しなくてよい")

    def _list(self, channels: Any, *, alone: bool) -> str:
        if not channels:
            return self.either("no channel", "なし")
        listed = self.channels(channels)
        return self.either(
            f"{listed} alone" if alone else f"{listed} for example", f"{listed}{'のみ' if alone else 'など'}"
        )

    def lost(self, facts: Mapping[str, Any]) -> str:
        """Uses of data collected earlier that end."""
        p, s, c = self.purposes(facts["purposes"]), self.sources(facts["sources"]), facts.get("channels")
        by = self.either(f" by {self.channels(c)}", f"{self.channels(c)}では") if c else ""
        return self.either(
            f"{p} may use data of {s} that was collected earlier{by} no more: in the revision of {self.old} a number "
            "leads to another term, or to none",
            f"以前に取得した{s}を{p}に{by}利用できなくなる。{self.old}の版では番号が別のものを指すか、存在しないため",
        )

    def basis(self, facts: Mapping[str, Any]) -> str:
        """Another basis in law, and what comes of it."""
        was, is_, p = facts["old"], facts["new"], self.purposes([facts["purpose"]])
        said = self.either(
            f"{p} rests on {BASES[is_][0]}, before on {BASES[was][0]}",
            f"{p}の法的根拠が「{BASES[was][1]}」から「{BASES[is_][1]}」に変わる",
        )
        if is_ == "consent":
            said += self.either(": it serves subjects who agree to it alone", "。同意した本人の情報に限られる")
        if was == "consent":
            said += self.either(
                ": also of subjects who did not agree, of whom data collected earlier is left out",
                "。同意のない本人の情報にも及ぶが、以前に取得した情報を除く",
            )
        if "law" in (was, is_):
            said += self.either(
                f"; past the period of retention it goes on{'' if is_ == 'law' else ' no more'}",
                f"。保存期間を過ぎた情報も利用でき{'る' if is_ == 'law' else 'なくなる'}",
            )
        return said

    def extended(self, facts: Mapping[str, Any]) -> str:
        """What reaches data collected before the earlier revision, or does not any more, or otherwise than before."""
        p, s, old = self.purposes(facts["purposes"]), self.sources(facts["sources"]), self.old
        how = self.either("of subjects who consent to it", "本人が同意した場合")
        if facts["basis"] == "related":
            day = facts["notified"]
            how = self.either(f"since it is related and notice was given on {day}", f"関連する目的で{day}に通知済み")
        return self.either(
            f"{p} may use data of {s} collected before {old} too, {how}",
            f"{old}より前に取得した{s}も{p}に利用できる（{how}）",
        )

    def dropped(self, facts: Mapping[str, Any]) -> str:
        """What no longer reaches it."""
        p, s, old = self.purposes(facts["purposes"]), self.sources(facts["sources"]), self.old
        return self.either(
            f"{p} may use data of {s} collected before {old} no more, unless the revision of that time granted it: "
            "what extended it is not said again",
            f"{old}より前に取得した{s}は、当時の版が認めていた場合を除き{p}に利用できなくなる。拡張の記載がなくなったため",
        )
