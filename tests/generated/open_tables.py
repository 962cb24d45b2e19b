"""Notices with languages, ids and texts of any kind; each decides what the plain notice that it comes from decides."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from tests.generated.notice_tables import Tables, copied, tables

LANGUAGES: Final[tuple[str, ...]] = ("en", "ja", "de", "fr-CA", "zh-Hant", "x-house", "sr-Latn-RS", "EN-gb")

STYLES: Final = (
    "第{n}条第2号", "§ {n} Abs. 1", "Art. {n}(1)(a)", "kind-{letter}-of-use", "tier{n}-data", "धारा {n}", "المادة {n}",
    "附則{n}・一",
)  # fmt: skip
"""Ids as notices of several countries have them, and those of notices without numbers."""

REFERENCES: Final = frozenset({"id", "parent", "source", "sources", "purposes", "serves", "from", "with", "new"})
TERMS: Final = ("source", "overlay", "derivation")

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(str.strip)
"""Words of a notice; what is written in them matters to nobody."""


@st.composite
def open_tables(draw: st.DrawFn, /, **options: bool) -> tuple[Tables, Tables]:
    """The tables of a valid notice, and those of the same one in other languages, with other ids and with texts.

    `options` are those of `tables`; with all the facts, if none are given.
    """
    plain = draw(tables(**(options or {"facts": True})))
    tags: list[str] = draw(st.lists(st.sampled_from(LANGUAGES), min_size=1, max_size=3, unique_by=str.casefold))
    rows = [row for kind in TERMS for row in plain.get(kind, ())]
    rows += [row for grant in plain["grant"] for row in grant["purpose"]]
    style = draw(st.permutations(STYLES))
    ids = {
        row["id"]: style[number % len(style)].format(n=number + 1, letter=chr(ord("a") + number))
        for number, row in enumerate(rows)
    }
    return plain, _opened(draw, copied(plain), ids, tags)


def _opened(draw: st.DrawFn, table: dict[str, Any], ids: dict[str, str], tags: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value.keys() == {"en", "ja"}:
            made[key] = {tag: f"{value['en']} ({tag})" for tag in tags}
        elif isinstance(value, dict):
            made[key] = _opened(draw, value, ids, tags)
        elif isinstance(value, list):
            made[key] = [
                _opened(draw, row, ids, tags)
                if isinstance(row, dict)
                else ids.get(row, row)
                if key in REFERENCES
                else row
                for row in value
            ]
        else:
            made[key] = ids.get(value, value) if key in REFERENCES and isinstance(value, str) else value
    if "title" in made and draw(st.booleans()):
        made["text"] = {tag: draw(words) for tag in tags}
    return made
