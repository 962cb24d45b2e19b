"""The persons whom drawn rows are about, and rows in which only the data of one of them differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from purposeguard.policy.row_context import subject_key
from purposeguard.testing._drawing import Drawing, Redrawing
from purposeguard.testing._places import is_tagged, places, replace_places
from purposeguard.values.annotations import is_taggable
from purposeguard.values.markers import SubjectMark
from purposeguard.values.plan import make_plan
from purposeguard.values.rows import row_contexts_of
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import SILENT


def list_subjects(values: Mapping[str, Any], annotations: Mapping[str, Any]) -> list[str]:
    """Return the subjects of all rows, each once."""
    subjects: dict[str, None] = {}
    for name, annotation in annotations.items():
        if is_tagged(annotation):
            for row in _iter_rows(values[name], annotation):
                subjects.update(dict.fromkeys(_read_subjects(row)))
    return list(subjects)


def _iter_rows(value: Any, annotation: Any) -> Iterator[Any]:
    candidates = [value, *(place.value for place in places(value, annotation))]
    return (candidate for candidate in candidates if is_taggable(type(candidate)))


def _read_subjects(row: Any) -> list[str]:
    return [subject_key(context.subject) for context in row_contexts_of(row) if context.subject is not None]


def redraw_subject(drawing: Drawing, value: Any, annotation: Any, subject: str) -> Any:
    """Return a value in which the rows of one subject, and of nobody else, have other values in all tagged fields."""

    def redraw(row: Any) -> Any:
        if not is_taggable(type(row)) or set(_read_subjects(row)) != {subject}:
            return None
        paths = list_own_fields(type(row))
        return Redrawing(drawing, paths).value(row, type(row)) if paths else None

    whole = redraw(value)
    return replace_places(value, annotation, lambda place: redraw(place.value)) if whole is None else whole


def list_own_fields(model: Any) -> list[str]:
    """Return the tagged fields of a model, except those that name its subject."""
    named = {path for path in sources_of(model) if path.rpartition(".")[2] in _list_subject_fields(model)}
    return [path for path in sources_of(model) if path not in named]


def _list_subject_fields(model: Any) -> set[str]:
    if not is_taggable(model):
        return set()
    marks = make_plan(model, SILENT).marks
    return {name for mark, names in marks.items() if isinstance(mark, SubjectMark) for name in names}
