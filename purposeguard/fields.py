"""Tags on annotations: which fields of a model carry personal data, and from which sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purposeguard.annotations import READABLE, is_taggable, what_is
from purposeguard.errors import wrapped
from purposeguard.label import Label
from purposeguard.shapes import Shape, hints_of, shape_of


def sources_of(model: object, localns: Mapping[str, Any] | None = None) -> dict[str, Label]:
    """The tagged and sealed fields of a model, `{"email": Label(1.1(a)), "orders[].address": …}`, in its order.

    Containers stand in the path as `[]`, mappings by their values (a tag on the keys counts for the mapping).
    Instead of a model any annotation that holds one may be given, e.g. `list[Customer]`.

    Raises:
        TypeError: there is no taggable class in `model`.
        UnlabelledData: an annotation cannot be resolved; `localns` gives names it may need.
    """
    return _taggable(model, localns).all_labels()


def untagged(model: object, localns: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The paths of the fields that carry no tag and contain no model whose fields could.

    Raises:
        TypeError, UnlabelledData: as `sources_of`.
    """
    return tuple(dict.fromkeys(path for path, _ in _taggable(model, localns).untagged()))


def _taggable(model: object, localns: Mapping[str, Any] | None) -> Shape:
    if localns and is_taggable(model):
        hints_of(model, localns)
    shape = Shape() if isinstance(model, str) else shape_of(model)  # a text is no forward reference to anything here
    if not shape.has_fields:
        shape.all_labels()  # raises where the class has tags and is of no kind that is read
        raise TypeError(
            wrapped(
                f"{what_is(model)} has no fields to read tags from: give {READABLE}, or an annotation that holds one"
            )
        )
    return shape
