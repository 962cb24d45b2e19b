"""Cedar's notation: texts, entities, sets and comments, laid out as Cedar's own formatter would."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

WIDTH = 120
"""The greatest number of columns of a line."""


def quote_text(given: str) -> str:
    """Format a text in quotes."""
    escaped = given.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(map(_escape_invisible, escaped))}"'


def _escape_invisible(character: str) -> str:
    return "\\u{%x}" % ord(character) if _is_invisible(character) else character  # noqa: UP031  # braces are Cedar's


def format_entity(kind: str, given: str) -> str:
    """Format an entity by its type and id: `Source::"1.1(a)"`."""
    return f"{kind}::{quote_text(given)}"


def format_entities(kind: str, given: Iterable[str]) -> list[str]:
    """Format entities of one type."""
    return [format_entity(kind, entity_id) for entity_id in given]


def format_set(entries: Sequence[str]) -> str:
    """Format a set on one line."""
    return f"[{', '.join(entries)}]"


def format_comment(given: str) -> str:
    """Format a comment line. Characters that could end the line are replaced by blanks."""
    return f"// {''.join(map(_blank_invisible, given))}".rstrip()


def _blank_invisible(character: str) -> str:
    return " " if _is_invisible(character) else character


def _is_invisible(character: str) -> bool:
    """Return True if a character breaks lines, changes the direction of writing, or is not assigned."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


def wrap_set(before: str, entries: Sequence[str], after: str, indent: int) -> str:
    """Format a set between two texts, as in `action in […]`, on one line if it fits, else on several."""
    line = f"{before}{format_set(entries)}{after}"
    if indent + len(line) <= WIDTH:
        return line
    inner, outer = " " * (indent + 2), " " * indent
    lines = [inner]
    for number, entry in enumerate(entries, 1):
        piece = entry if number == len(entries) else f"{entry}, "
        if len(lines[-1]) + len(piece.rstrip()) > WIDTH and lines[-1] != inner:
            lines.append(inner)
        lines[-1] += piece
    return "\n".join([f"{before}[", *(line_text.rstrip() for line_text in lines), f"{outer}]{after}"])
