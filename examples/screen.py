"""Output of the demos: in English or Japanese, in colour if the terminal has it, and as a picture."""

from __future__ import annotations

import argparse
import html
import os
import re
import sys
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

Language = Literal["en", "ja"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ja")
Color = Literal["auto", "always", "never"]
COLORS: Final[tuple[Color, ...]] = ("auto", "always", "never")

COLUMNS: Final = 100
"""The greatest width of a line. Narrower terminals have narrower lines."""

HANG: Final = 4
"""The indentation of continued lines, as in purposeguard's messages."""

GOOD, BAD = "green", "bold red"

_WIDE = "\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
_CLOSING = "、。）」』】・ー：！？ぁぃぅぇぉっゃゅょァィゥェォッャュョ々"
"""Characters that no line starts with."""
_PIECES = re.compile(rf" *[（「『【]*(?:[^ {_WIDE}]+|[{_WIDE}])[{_CLOSING}]*")
"""Text that stays on one line: a word, or a Japanese character, with its punctuation."""
_BREAKS = re.compile(rf"(?<=[{_WIDE}])\s*\n\s*(?=[{_WIDE}])|(?<=[、。：（「])\s*\n\s*")
"""Ends of lines, in the source of a Japanese text, at which no blank is read."""

CLAUSE = r"(?<![\w.])\d\.\d(?:\(\w\))?+[①-⑳]?+(?!\w)"
_CODE = r"`[^`]+`"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="the language of the narration")
    parser.add_argument("--color", choices=COLORS, default="auto", help="auto: in a terminal, unless NO_COLOR is set")


def survive_any_encoding() -> None:
    """Make standard output print `?` for characters that it cannot encode, such as ①."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


class Said(NamedTuple):
    """The same text in both languages."""

    en: str
    ja: str


class Screen:
    """A screen that wraps each text to the columns beside its lead."""

    def __init__(
        self, language: Language = "en", color: Color = "auto", *, recording: bool = False, file: TextIO | None = None
    ) -> None:
        """Create a screen. With `recording` it has the width of a picture, whatever the terminal's width."""
        plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
        colors: Literal["auto", "standard"] = "standard" if color == "always" else "auto"
        self._console = Console(
            color_system=None if plain else colors,
            force_terminal=True if color == "always" else None,
            no_color=False,
            highlight=False,
            record=recording,
            file=file,
        )
        self.language: Language = language
        self.columns = COLUMNS
        if self._console.is_terminal and not recording:
            self.columns = min(self._console.width, COLUMNS)
        self._console.width = self.columns

    def words(self, en: str, ja: str) -> str:
        """Return the text in this screen's language, on one line."""
        return " ".join(_BREAKS.sub("", ja).split()) if self.language == "ja" else " ".join(en.split())

    def blank(self) -> None:
        self._console.print()

    def title(self, en: str, ja: str) -> None:
        self._print(Text(self.words(en, ja), "bold"))

    def head(self, number: int, en: str, ja: str) -> None:
        """Print a line across the screen as a heading."""
        text = Text.assemble(("── ", "dim"), (f"{number}. {self.words(en, ja)} ", "bold"))
        self._print(text.append("─" * (self.columns - cell_len(text.plain)), "dim"))

    def say(self, en: str, ja: str, lead: str = "", lead_style: str = "", style: str = "") -> None:
        self.line(lead, _highlight(self.words(en, ja), style), lead_style, hang=0)

    def line(
        self, lead: str, text: str | Text, lead_style: str = "", later: str | None = None, hang: int = HANG
    ) -> None:
        """Print a text, wrapped.

        The lines after the first are indented by the length of `later`, or of the lead, and `hang` more.
        """
        text = Text(text) if isinstance(text, str) else text
        later = " " * cell_len(lead) if later is None else later
        for number, part in enumerate(_wrap(text, self.columns - cell_len(lead), hang)):
            self._print(Text.assemble((later + " " * hang if number else lead, lead_style), part))

    def row(self, label: Text, columns: int, cells: Iterable[Text], wide: int) -> None:
        """Print a label, cut to a number of columns, and cells of a fixed width."""
        label.truncate(columns - 1, overflow="ellipsis", pad=True)
        line = label.append(" ")
        for cell in cells:
            cell.pad_right(max(wide - cell.cell_len, 0))
            line.append_text(cell)
        self._print(line)

    def picture(self, title: str) -> str:
        """Return all that was printed, as SVG; only with `recording`."""
        drawn = self._console.export_svg(title=title, theme=_THEME, code_format=_TEMPLATE, unique_id="demo")
        return "\n".join(line.rstrip() for line in _TEXTS.sub(_as_wide, drawn).splitlines()) + "\n"

    def _print(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text, soft_wrap=True)


def _highlight(text: str, style: str) -> Text:
    """Return a text with clauses and code highlighted."""
    line = Text(text, style)
    line.highlight_regex(CLAUSE, "cyan")
    line.highlight_regex(_CODE, "bold")
    return line


def _wrap(text: Text, columns: int, hang: int) -> list[Text]:
    """Return the text in lines of this width, the first one wider by `hang`. A longer word stays whole."""
    breaks: list[int] = []
    used = 0
    for piece in _PIECES.finditer(text.plain):
        width = cell_len(piece[0])
        if used and used + width > (columns - hang if breaks else columns):
            start = piece.start() + len(piece[0]) - len(piece[0].lstrip(" "))
            breaks.append(start)
            width, used = cell_len(piece[0].lstrip(" ")), 0
        used += width
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
    return lines


# --- the picture ----------------------------------------------------------------------------------------------------

_TEXTS = re.compile(r'(?P<before><text [^>]*textLength=")[^"]*(?P<between>"[^>]*>)(?P<text>[^<]*)</text>')


def _as_wide(drawn: re.Match[str]) -> str:
    """Return a text as wide as its cells: rich counts its characters, and a Japanese one takes two cells."""
    if not drawn["text"].strip():
        return ""  # the end of a line
    length = cell_len(html.unescape(drawn["text"])) * _CELL
    return f"{drawn['before']}{length:g}{drawn['between']}{drawn['text']}</text>\n"


_CELL = 20 * 0.61
"""The width of a cell in `export_svg`."""

_THEME = TerminalTheme(
    (16, 20, 27),
    (214, 219, 226),
    [
        *[(60, 66, 78), (244, 112, 103), (104, 203, 128), (226, 190, 105)],
        *[(108, 172, 255), (205, 148, 240), (94, 204, 214), (214, 219, 226)],
    ],
)

# Like rich's own template, but without fonts from the network: a picture must not load anything from another host.
_TEMPLATE = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
