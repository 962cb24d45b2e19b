"""How people may spell an id: other glyphs, brackets, case and width, blanks around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from tests.generated.notice_tables import CIRCLED

_FULL_WIDTH = {
    ord(char): chr(ord(char) + 0xFEE0) for char in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO().,-"
}

# A number from 1 to 9 as the glyphs of several blocks have it: circled, sans-serif, negative, dingbats, in brackets.
_FIRST_GLYPHS = (0x2460, 0x2780, 0x2776, 0x278A, 0x24F5, 0x2474, 0x2488)

_CASES: Final[list[Callable[[str], str]]] = [str, str.upper, str.lower, str.title]


def glyphs(number: int) -> list[str]:
    """The single characters that mean a number, as enclosed glyphs."""
    found = [chr(first + number - 1) for first in _FIRST_GLYPHS if number <= 10]
    return found if number <= 10 else [chr(0x2460 + number - 1), chr(0x24EB + number - 11), chr(0x2474 + number - 1)]


@st.composite
def spellings(draw: st.DrawFn, clause: str) -> str:
    """A spelling of a canonical clause id that people may type."""
    parts: list[str] = []
    for char in clause:
        number = CIRCLED.find(char) + 1 or {"⑪": 11}.get(char, 0)
        if number:
            plain = [f"{before}{number}" for before in ("-", ".", " ", "(")]
            parts.append(draw(st.sampled_from([*glyphs(number), *plain])))
        elif char in "()":
            parts.append(draw(st.sampled_from([char, " " + char, "[" if char == "(" else "]"])))
        else:
            parts.append(char)
    text = draw(st.sampled_from(_CASES))("".join(parts))
    if draw(st.booleans()):
        text = text.translate(_FULL_WIDTH)
    blank = draw(st.sampled_from(["", " ", "\N{IDEOGRAPHIC SPACE}", "\t"]))
    return f"{blank}{text}{blank}"


@st.composite
def name_spellings(draw: st.DrawFn, name: str, slug: str) -> str:
    """A spelling of a class name or slug that people may type."""
    text: str = draw(
        st.sampled_from([name, slug, slug.replace("-", "_"), slug.replace("-", " "), slug.replace("-", "‐")])
    )
    text = draw(st.sampled_from(_CASES))(text)
    return text.translate(_FULL_WIDTH) if draw(st.booleans()) else text
