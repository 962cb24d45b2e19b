"""The positions of keys and entries in a TOML text, which `tomllib` does not report; and explanations of its errors.

Positions are computed only for texts that `tomllib` has read. Such a text is valid, so that it is enough to follow
brackets, keys and texts in quotes.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

Location = tuple[str | int, ...]
"""The keys, and numbers of entries, that lead to a value: `("grant", 2, "purpose", 0, "id")`."""


class Position(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


_TOKEN: Final = re.compile(
    r"""
      (?P<blank> (?: [ \t] | \#[^\n]* )+ )
    | (?P<word>  \"{3} (?: \\. | [^\\] )*? \"{3,5}
              |  '{3} .*? '{3,5}
              |  " (?: \\. | [^"\\] )* "
              |  ' [^']* '
              |  [^\s\[\]{}=,.\#"']+ )
    | (?P<mark>  [\[\]{}=,.\n] )
    """,
    re.DOTALL | re.VERBOSE,
)


def find_positions(text: str) -> dict[Location, Position]:
    """Return the position of each key and list entry of a text that `tomllib` has read.

    The position of a key is where it is first written, that of an entry is where it begins. An entry of an array of
    tables begins at the key in its `[[header]]`. The text itself, `()`, begins at line 1.
    """
    text = text.replace("\r\n", "\n")  # `tomllib` does the same.
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    positions: dict[Location, Position] = {(): Position(1, 1)}
    for location, offset in _Scanner().scan(text):
        line = bisect_right(lines, offset)
        positions.setdefault(location, Position(line, offset - lines[line - 1] + 1))
    return positions


class _Open(NamedTuple):
    """A list, or a table in braces, that has begun and not ended."""

    location: Location
    is_list: bool
    entry: int = 0


class _Scanner:
    """A scanner of a TOML text that yields the location and the offset of each key and entry, in their order."""

    def __init__(self) -> None:
        self.table: Location = ()
        self.location: Location = ()
        """The location of the key whose value is being read."""
        self.rows: dict[Location, int] = {}
        """Array of tables → the number of its headers so far."""
        self.opened: list[_Open] = []
        self.keys: list[tuple[str, int]] = []
        self.brackets = 0
        """The number of brackets that began the current header."""
        self.in_value = False

    def scan(self, text: str) -> Iterator[tuple[Location, int]]:
        for token in _TOKEN.finditer(text):
            if token.lastgroup != "blank":
                step = self.value if self.in_value else self.key
                yield from step(token[0], token.start(), is_word=token.lastgroup == "word")

    def key(self, mark: str, at: int, *, is_word: bool) -> Iterator[tuple[Location, int]]:
        """Handle a token outside of values: part of a key or header, or the end of a table in braces."""
        if is_word:
            self.keys.append((_unquote_key(mark), at))
        elif mark == "[":
            self.brackets += 1
        elif mark == "]" and self.keys:
            yield from self.header()
            self.keys, self.brackets = [], 0
        elif mark == "=":
            self.location = self.opened[-1].location if self.opened else self.table
            for key, start in self.keys:
                self.location = (*self.location, key)
                yield self.location, start
            self.keys, self.in_value = [], True
        elif mark == "}":
            self.opened.pop()
            self.in_value = True

    def header(self) -> Iterator[tuple[Location, int]]:
        self.table = ()
        for number, (key, start) in enumerate(self.keys):
            self.table = (*self.table, key)
            yield self.table, start
            if self.brackets > 1 and number == len(self.keys) - 1:  # `[[header]]`
                self.rows[self.table] = self.rows.get(self.table, 0) + 1
            if self.table in self.rows:
                self.table = (*self.table, self.rows[self.table] - 1)
                yield self.table, start

    def value(self, mark: str, at: int, *, is_word: bool) -> Iterator[tuple[Location, int]]:
        """Handle a token inside a value or after it."""
        inner = self.opened[-1] if self.opened else None
        here = self.location
        if inner is not None and inner.is_list:
            here = (*inner.location, inner.entry)
            if is_word or mark in "[{":
                yield here, at
        if mark in ("[", "{"):
            self.opened.append(_Open(here, mark == "["))
            self.in_value = mark == "["
        elif mark in ("]", "}"):
            self.opened.pop()
        elif mark == "," and inner is not None:
            self.opened[-1] = inner._replace(entry=inner.entry + 1)
            self.in_value = inner.is_list
        elif mark == "\n":
            self.in_value = inner is not None


def _unquote_key(key: str) -> str:
    """Return a key without its quotes, and with its escapes resolved."""
    if key[0] not in "\"'":
        return key
    read: dict[str, Any] = tomllib.loads(f"{key} = 0")
    return next(iter(read))


def explain_toml_error(text: str, said: str) -> tuple[str, str, str | None]:
    """Explain why `tomllib` refuses a text; `said` is the message of its error.

    Returns:
        The text up to the fault, what is wrong, and what to write, if that is known.
    """
    text = text.replace("\r\n", "\n")
    named = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", said, re.DOTALL)
    before = text
    if named and named[2]:
        lines = text.split("\n")[: int(named[2])]
        before = "\n".join([*lines[:-1], lines[-1][: int(named[3]) - 1]])
    reason, suggestion = next((explanation for part, explanation in _SAID.items() if part in said), (said, None))
    character = text[len(before) : len(before) + 1]
    if text.endswith(".toml") and "\n" not in text:
        suggestion = "`Notice.load(path)` reads a file"
    elif text.startswith(("<<<<<<<", "=======", ">>>>>>>"), len(before)):
        suggestion = "settle the conflict that git has left in the file"
    elif character and not character.isascii():
        suggestion = _suggest_ascii(character)
    return before, reason, suggestion


def _suggest_ascii(found: str) -> str:
    """Suggest what to write for a character that is not ASCII."""
    plain = _STRAIGHT.get(found, unicodedata.normalize("NFKC", found).strip())
    if not found.strip():
        return "remove the full-width blank"
    if plain.isascii():
        return f"type `{plain}` for `{found}`"
    return "keys are in Latin letters, and a text stands in quotes"


_STRAIGHT: Final = dict.fromkeys("“”„‟«»「」『』＂", '"') | dict.fromkeys("‘’‚‛＇", "'")

_END_OF_TEXT: Final = ("a text does not end", 'end it with a quote on its own line, `"…"`')
_SAID: Final[dict[str, tuple[str, str]]] = {
    "Expected '='": ("a key without `=`", 'write `key = "value"`, and `[[source]]` above the keys of a row'),
    "Expected newline": (
        "more on the line than a key and its value",
        'write one key on each line; a text stands in quotes, `"…"`, and a quote in it is `\\"`',
    ),
    "Invalid value": (
        "what stands here is no value",
        'a text stands in quotes, `"…"`, a list in brackets, `["…", "…"]`; yes is `true`',
    ),
    "Illegal character": _END_OF_TEXT,
    "Unterminated string": _END_OF_TEXT,
    "Unclosed array": ("a list does not end", 'write `["…", "…"]`, with a comma between two entries'),
    "Unclosed inline table": (
        "a table in braces does not end",
        'write `{ en = "…", ja = "…" }` on one line, with a comma between; a quote in a text is `\\"`',
    ),
    "Invalid initial character": ("what stands here is no key", "write a table in braces on one line"),
    "Expected ']": (
        "a header does not end",
        "write `[[source]]` above one row of many, `[retention]` above the only one",
    ),
    "Invalid statement": (
        "what stands here is no key",
        'write `key = "value"`; other characters than A-Z, 0-9, `_` and `-` stand in quotes',
    ),
    "Unescaped '\\'": ("a backslash means something", "write two of them, or the text in single quotes"),
    "twice": ("a header stands twice", "`[[source]]`, in two brackets, begins each row of a list"),
    "Cannot overwrite": (
        "a key stands twice",
        "remove one of the two; `[[source]]`, in two brackets, begins another row of a list",
    ),
    "Cannot mutate": ("a table in braces has ended", "write all of it between the braces"),
}
"""Part of a message of `tomllib` → what is wrong, and what to write."""
