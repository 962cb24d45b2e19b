"""Strategies of hypothesis: instances of tagged models, and their twins.

Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from hypothesis import reject
from hypothesis import strategies as st

from purposeguard.fields import sources_of
from purposeguard.testing._drawing import Drawing
from purposeguard.testing._redrawing import Redrawing
from purposeguard.testing.values import Markers, value_strategy

__all__ = ["instances", "twins", "value_strategy"]

T = TypeVar("T")


def instances(
    model: type[T], markers: Markers | None = None, /, **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[T]:
    """Instances of a tagged model: pydantic, dataclass, TypedDict, NamedTuple or attrs, or an annotation that holds one.

    Constraints are kept to, and what validators take is found by trying. Where `markers` is given, what is personal is
    marked, which `markers` remembers: make one anew in each example. `fields` draw the fields of these names.

    Raises:
        TypeError: nothing is known that a field could be made from, when one is drawn: give a strategy for the field.
    """
    return _instances(model, markers, fields)


@st.composite
def _instances(draw: Any, model: Any, markers: Markers | None, fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    if markers is None:
        return Drawing(draw).instance(model, fields)
    made = Drawing(draw, marking=True, salt=markers._next_salt()).instance(model, fields)
    markers.remember(made, model, without=tuple(fields))
    return made


def twins(instance: T, fields: Collection[str], model: Any = None) -> st.SearchStrategy[T]:
    """Copies of an instance with what is in these fields drawn anew, valid again, and the same everything else.

    `fields` are paths as `pg.sources_of` prints them; of fields within containers each one. A field without value
    (an absent key, no items) stays so. What is sealed is sealed anew, under the same label. `model` is the annotation
    of the instance where its class does not say it (a TypedDict, a generic dataclass, a list).

    Raises:
        ValueError: no field has one of these paths.
    """
    model = type(instance) if model is None else model
    known = sources_of(model)
    unknown = [one for one in fields if one not in known]
    if unknown or not fields:
        raise ValueError(f"`{unknown[0]}` is no tagged field" if unknown else "no fields were named")
    return _twins(instance, frozenset(fields), model)


@st.composite
def _twins(draw: Any, instance: Any, fields: frozenset[str], model: Any) -> Any:
    redrawing = Redrawing(Drawing(draw), fields)
    twin = redrawing.value(instance, model)
    return twin if redrawing.changed else reject()
