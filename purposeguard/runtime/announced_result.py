"""Announced results: the results of an access function as its return annotation and its decorator declare them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple, NewType, Self, get_args, get_origin

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import is_union
from purposeguard.runtime.registry import WHOLE, Access
from purposeguard.runtime.wrapping import Function
from purposeguard.values.annotations import (
    ALIASES,
    OPAQUE,
    TRANSPARENT,
    alias_value,
    evaluate_annotation,
    is_taggable,
    read_function_annotations,
)
from purposeguard.values.streams import is_lazy_class
from purposeguard.values.type_schema import Shape, read_shape, resolve_hints
from purposeguard.values.undeclared import label_with, may_hold_unannounced_rows, shapes_beside_fields


class AnnouncedResult(NamedTuple):
    """What the return annotation and the decorator of an access function say about its results.

    Attributes:
        shape: The shape of a result.
        label: The label of the plain data. None if all of the data is sealed.
        label_outside_rows: The label of the data that is in no row, and of the sources that the decorator names. None
            if there is no such data.
        is_marked: True if the rows name their subject or dates.
        may_hold_unannounced_rows: True if a class of the rows has a place for data that no tag describes.
        may_contain_lazy_values: True if a result may contain an iterator or a coroutine.
        fields: The labels of the tagged fields, by path.
        sealed: The labels of the sealed values, by path.
    """

    shape: Shape
    label: Label | None
    label_outside_rows: Label | None
    is_marked: bool
    may_hold_unannounced_rows: bool
    may_contain_lazy_values: bool
    fields: dict[str, Label]
    sealed: dict[str, Label]

    @classmethod
    def of_any_rows(cls, named: Label, silent: Shape) -> Self:
        """Return the result of a function whose annotation cannot be resolved. Rows are recognized by their class."""
        return cls(
            silent,
            named,
            named,
            is_marked=True,
            may_hold_unannounced_rows=True,
            may_contain_lazy_values=False,
            fields={},
            sealed={},
        )


def read_announced_result(
    fn: Function, access: Access, localns: Mapping[str, Any] | None, silent: Shape
) -> AnnouncedResult:
    """Read the return annotation of an access function.

    Args:
        fn: The function.
        access: The entry of the function in the inventory, with the arguments of its decorator.
        localns: The local names around a function that is defined inside another function.
        silent: The shape of an annotation that states nothing, with the tags that the guard reads from a file.

    Raises:
        NoticeError: The file of tags and the annotations of a class do not agree.
        UnlabelledData: The annotation lacks the tags or marks that the decorator needs.
        NameError: The annotation contains a name that is not defined (yet).
    """
    annotation = _return_annotation(fn, localns)
    shape = read_shape(annotation, silent.bindings)
    labels = shape.labels()
    shapes_beside = shapes_beside_fields(shape)
    label = _join_label(access, labels, shapes_beside)
    is_marked = shape.is_marked or any(beside.is_marked for beside in shapes_beside)
    _require_tags_and_marks(access, shape, label, has_fields=bool(labels), is_marked=is_marked)
    return AnnouncedResult(
        shape=shape,
        label=label,
        label_outside_rows=_label_outside_rows(shape, access.named),
        is_marked=is_marked,
        may_hold_unannounced_rows=may_hold_unannounced_rows(shape),
        may_contain_lazy_values=_may_contain_lazy_values(annotation),
        fields={_strip_containers(path): field_label for path, field_label in labels.items() if path},
        sealed={_strip_containers(path) or WHOLE: seal_label for path, seal_label in shape.seals().items()},
    )


def _join_label(access: Access, labels: Mapping[str, Label], shapes_beside: Iterable[Shape]) -> Label | None:
    """Return the label of the plain data, from the decorator and the tags of the annotation."""
    label = Label.join(*labels.values()) if labels else None
    if access.named is None:
        # Rows with withheld fields are inspected one by one.
        return label if access.withhold else label_with(label, shapes_beside)
    return access.named | label if label is not None and access.withhold else access.named


def _require_tags_and_marks(
    access: Access, shape: Shape, label: Label | None, *, has_fields: bool, is_marked: bool
) -> None:
    """Raise UnlabelledData if the annotation lacks the tags or marks that the decorator needs."""
    # Sealed values are checked when they are opened, so returning only those requires a purpose and nothing else.
    if label is None and not shape.holds_seals:
        raise UnlabelledData(
            f"{access.name}: neither its return annotation nor the decorator names a source; annotate it with a "
            "tagged model, or name the sources: `@guard.access(Source, …)`"
        )
    if access.withhold and not has_fields and not shape.holds_seals:
        raise UnlabelledData(
            f"{access.name}: withholding needs a return annotation whose fields are tagged: a model, or a "
            "TypedDict for rows"
        )
    if shape.is_marked_itself:
        raise UnlabelledData(
            f"{access.name}: its return annotation bears a mark, which belongs on a field of the rows that it returns"
        )
    if access.narrow and not is_marked:
        raise UnlabelledData(
            f"{access.name}: narrowing needs a return annotation whose rows say whose they are: mark a field, "
            "`Annotated[int, Subject]`"
        )


def refuse_untagged(shape: Shape, name: str) -> None:
    """Raise UnlabelledData if a field has no tag, seal or mark.

    Args:
        shape: The shape of the results.
        name: The name of the function, for the message.
    """
    names: dict[str, None] = {}  # A dict keeps the order and drops duplicates.
    for path, field in shape.iter_untagged():
        if path and not field.is_marked_itself:
            names[_strip_containers(path)] = None
    if names:
        raise UnlabelledData(
            f"{name}: nothing says what {', '.join(f'`{field_name}`' for field_name in names)} "
            f'{"is" if len(names) == 1 else "are"}, and this guard has `untagged="refuse"`: tag each field, with '
            "`NotPersonal` where it is not personal"
        )


def _may_contain_lazy_values(annotation: Any) -> bool:
    """Return True if a value with this annotation may contain an iterator or a coroutine.

    A value that is an iterator or coroutine itself does not count: it is recognized when it is returned.
    """
    seen: set[tuple[Any, bool]] = set()
    pending: list[tuple[Any, bool]] = [(annotation, False)]
    while pending:
        part, is_inside = pending.pop()
        origin = get_origin(part) or part
        if isinstance(origin, list) or origin in OPAQUE:
            continue
        if isinstance(origin, NewType):
            pending.append((origin.__supertype__, is_inside))
            continue
        is_lazy = isinstance(origin, type) and is_lazy_class(origin)
        if is_inside and (is_lazy or origin in (Iterable, AsyncIterable)):
            return True
        if (origin, is_inside) not in seen:  # Classes and aliases may be recursive.
            seen.add((origin, is_inside))
            if isinstance(origin, ALIASES):
                pending.append((alias_value(origin), is_inside))
            elif is_taggable(origin):
                pending += ((hint, True) for hint in resolve_hints(origin).values())
        is_transparent = is_lazy or origin is Annotated or is_union(part) or origin in TRANSPARENT
        pending += ((argument, is_inside or not is_transparent) for argument in get_args(part))
    return False


def _label_outside_rows(shape: Shape, named: Label | None) -> Label | None:
    """Return the label of the data that is in no row, and of the sources that the decorator names; None if empty."""
    sources = set(named.sources) if named is not None else set()
    for part in shape.iter_outside_rows():
        sources.update(part.tags)
    return Label(*sources) if sources else None


def _strip_containers(path: str) -> str:
    """Remove the leading list markers of a path, which say nothing about the field."""
    while path.startswith("[]."):
        path = path[3:]
    return path


def _return_annotation(fn: Function, localns: Mapping[str, Any] | None) -> Any:
    """Return the return annotation of a function with its names resolved; None if it has none.

    Raises:
        NameError: A name in the annotation is not defined.
    """
    # Only the return annotation is evaluated: those of parameters may name classes that exist only for type checkers.
    annotations, names, around = read_function_annotations(fn, localns)
    return evaluate_annotation(annotations.get("return"), names, around)
