"""HTML for notebooks that show a notice, a guard or a decision. It brings no style sheet of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from purposeguard.notice.grants import LegalGrounds, compute_grants, compute_prohibitions, name_proviso, source_rows
from purposeguard.notice.schema import Document

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


def describe_revisions(documents: Iterable[Document]) -> str:
    """Return the ids of notices, each with its revision."""
    return ", ".join(f"{document.id}, revision of {document.revision}" for document in documents)


def render_grants(document: Document) -> str:
    """Render a table of the purposes that each source of a notice may serve."""
    under = "? under conditions, " if document.condition else ""
    marks = f"✓ may use, c by consent, {under}✗ prohibited, · not granted"
    names = (f"{source.id} {source.class_}" for source in source_rows(document))
    return render_table(f"{describe_revisions([document])} ({marks})", ("", *names), _iter_grant_rows(document))


def _iter_grant_rows(document: Document) -> Iterator[list[str]]:
    grants, grounds, prohibited = compute_grants(document), LegalGrounds(document), compute_prohibitions(document)
    marks_of = {None: "✓", "consent": "c", "conditions": "?"}
    for purpose in document.purposes:
        row = [f"{purpose.id} {purpose.class_}"]
        for source in source_rows(document):
            if purpose.id in grants[source.id]:
                row.append(marks_of[name_proviso(grounds.get_grounds(source.id, purpose.id))])
            elif (source.id, purpose.id) in prohibited:
                row.append("✗")
            else:
                row.append("·")
        yield row
