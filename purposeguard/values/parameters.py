"""Shapes of the parameters of functions, by their annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Unpack, get_origin

import typing_extensions

from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source
from purposeguard.values.annotations import evaluate_annotation, read_function_annotations
from purposeguard.values.type_schema import SILENT, Shape, read_shape


def read_parameter_shapes(
    fn: Callable[..., Any], localns: Mapping[str, Any] | None, silent: Shape = SILENT
) -> dict[str, Shape]:
    """Return parameter → shape for a function. The shape of a parameter without an annotation is `silent`.

    Raises:
        NameError: an annotation names what is not defined (yet).
        UnlabelledData, UnknownSource: as `read_shape`.
    """
    annotations, names, around = read_function_annotations(fn, localns)
    shapes: dict[str, Shape] = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        annotation = evaluate_annotation(annotations.get(name), names, around)
        shape = read_shape(annotation, silent.bindings)
        # An unpacked annotation describes all the arguments together.
        unpacked = get_origin(annotation) in _UNPACK or getattr(annotation, "__unpacked__", False)
        if parameter.kind is parameter.VAR_POSITIONAL and not unpacked:
            shape = Shape(items=shape, lookup=silent.lookup)
        elif parameter.kind is parameter.VAR_KEYWORD and not unpacked:
            shape = Shape(items=shape, keys=silent, lookup=silent.lookup)
        shapes[name] = shape
    return shapes


_UNPACK: Final = (Unpack, typing_extensions.Unpack)


def unite_shape_labels(shapes: Mapping[str, Shape]) -> Label | None:
    """Return the label of all that is tagged or sealed in the parameters; None if nothing is."""
    sources: set[type[Source]] = set()
    for shape in shapes.values():
        sources |= shape.sources
    return Label(*sources) if sources else None
