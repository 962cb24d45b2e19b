"""HTML for notebooks that show a notice, a guard or a decision. It brings no style sheet of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CELL = ' style="text-align: left"'


def render_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render an HTML table. All texts are escaped; the first column holds the row headers."""
    titles = "".join(f'<th scope="col"{_CELL}>{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row"{_CELL}>{escape(name)}</th>'
        + "".join(f"<td{_CELL}>{escape(text)}</td>" for text in texts)
        + "</tr>"
        for name, *texts in rows
    )
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def render_list(head: str, lines: Iterable[str]) -> str:
    """Render a bold heading with a list below it as HTML. All texts are escaped."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><strong>{escape(head)}</strong>{f'<ul>{items}</ul>' if items else ''}</div>"
