"""Draws twins of a container with other items: fewer, more, one of them twice, or in another order."""

from __future__ import annotations

import collections.abc
import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, get_args

from purposeguard.testing._leaves import Limits, Unsolvable, adapter_of, passes
from purposeguard.testing._models import Spot
from purposeguard.testing._places import copy_with


class ItemDrawing(Protocol):
    """Draws changes and items."""

    def choose(self, options: Sequence[Any]) -> Any:
        """Draw one of the options."""
        ...

    def value(self, annotation: Any, spot: Spot) -> Any:
        """Return a value of an annotation."""
        ...

    def with_marks(self) -> ItemDrawing:
        """Return a drawing of distinct values."""
        ...


def restructure(drawing: ItemDrawing, value: Any, annotation: Any, spot: Spot) -> Any:
    """Return a copy of a container with one structural change.

    The items that stay are the same objects, so that only the structure differs.

    Args:
        drawing: Draws the change, and new items.
        value: The container.
        annotation: Its annotation, without `Annotated`.
        spot: Its place, with the constraints that `Annotated` names.

    Returns:
        The copy; the container itself if its constraints allow no change.
    """
    args = get_args(annotation)
    is_fixed = len(args) != 2 if isinstance(value, Mapping) else isinstance(value, tuple) and args[-1:] != (...,)
    if not args or is_fixed or spot.strategy is not None:
        return value
    items = list(value.items() if isinstance(value, Mapping) else value)
    limits = Limits(spot.metadata)
    changes = list(_list_changes(items, limits, is_set=isinstance(value, collections.abc.Set)))
    change = drawing.choose(changes) if changes else "none"
    if change in {"add", "repeat"}:
        repeated = drawing.choose(items) if change == "repeat" else None
        with contextlib.suppress(Unsolvable):  # The application draws such items by a strategy of its own.
            items += _draw_items(drawing, value, args, spot, repeated)
    elif change == "drop":
        del items[drawing.choose(range(len(items)))]
    elif change == "reverse":
        items.reverse()
    elif change == "clear":
        items.clear()
    else:
        return value
    changed = copy_with(value, items)
    if len(changed) != len(items):
        return value
    adapter = adapter_of(annotation, spot.metadata) if limits.others and not spot.validates else None
    refused = adapter is not None and not passes(lambda: adapter.validate_python(changed))
    return value if refused else changed


def _list_changes(items: list[Any], limits: Limits, *, is_set: bool) -> Iterator[str]:
    """Yield the changes that the limits of a length allow, the simplest first."""
    is_short = limits.longest is None or len(items) < limits.longest
    if is_short:
        yield "add"
    if len(items) > limits.shortest:
        yield "drop"
    if is_short and items and not is_set:
        yield "repeat"
    if not is_set and items != items[::-1]:
        yield "reverse"
    if len(items) > 1 and not limits.shortest:
        yield "clear"


def _draw_items(drawing: ItemDrawing, value: Any, args: tuple[Any, ...], spot: Spot, item: Any = None) -> list[Any]:
    """Return a list of one item to add: a new one, or `item` again. The list is empty if no other key is found.

    In a mapping, `item` is repeated under a new key.
    """
    below = spot.item().but(personal=True, seals=False)
    if isinstance(value, Mapping):
        keys = _draw_unlike(drawing, args[0], spot.but(metadata=(), check=None, seals=False), value)
        return [(key, drawing.value(args[-1], below) if item is None else item[1]) for key in keys]
    if isinstance(value, collections.abc.Set):
        return _draw_unlike(drawing, args[0], below, value)
    return [drawing.value(args[0], below) if item is None else item]


def _draw_unlike(drawing: ItemDrawing, annotation: Any, spot: Spot, used: Collection[Any]) -> list[Any]:
    """Return a list of one value that is not used yet; empty if none is found."""
    drawn = drawing.value(annotation, spot)
    if drawn in used:
        drawn = drawing.with_marks().value(annotation, spot.but(personal=True))
    return [] if drawn in used else [drawn]
