"""HTML for notebooks that show a notice, a guard or a decision. It brings no style sheet of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from purposeguard.notice.grants import LegalGrounds, name_proviso

if TYPE_CHECKING:
    from purposeguard.notice.notice import Notice

_CELL = ' style="text-align: left"'


def render_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render an HTML table. All texts are escaped; the first column holds the row headers."""
    titles = "".join(f'<th scope="col"{_CELL}>{escape(title)}</th>' for title in head)
    body = "".join(map(_render_row, rows))
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _render_row(row: Sequence[str]) -> str:
    name, *texts = row
    cells = "".join(f"<td{_CELL}>{escape(text)}</td>" for text in texts)
    return f'<tr><th scope="row"{_CELL}>{escape(name)}</th>{cells}</tr>'


def render_list(head: str, lines: Iterable[str]) -> str:
    """Render a bold heading with a list below it as HTML. All texts are escaped."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><strong>{escape(head)}</strong>{f'<ul>{items}</ul>' if items else ''}</div>"


def describe_revisions(notice: Notice) -> str:
    """Return the id and the revision of a notice, or of each of several notices."""
    return ", ".join(f"{single.id}, revision of {single.revision}" for single in notice.notices)


def render_grants(notice: Notice) -> str:
    """Render a table of the purposes that each source of one notice may serve."""
    names = (f"{source.clause} {source.__name__}" for source in notice.sources)
    under = "? under conditions, " if notice.conditions else ""
    marks = f"✓ may use, c by consent, {under}✗ prohibited, · not granted"
    return render_table(f"{describe_revisions(notice)} ({marks})", ("", *names), _iter_grant_rows(notice))


def _iter_grant_rows(notice: Notice) -> Iterator[list[str]]:
    grounds = LegalGrounds(notice.document)
    marks_of = {None: "✓", "consent": "c", "conditions": "?"}
    for purpose in notice.purposes:
        row = [f"{purpose.clause} {purpose.__name__}"]
        for source in notice.sources:
            if purpose in notice.grants[source]:
                row.append(marks_of[name_proviso(grounds.get_grounds(source.clause, purpose.clause))])
            elif (source.clause, purpose.clause) in notice.prohibited:
                row.append("✗")
            else:
                row.append("·")
        yield row
