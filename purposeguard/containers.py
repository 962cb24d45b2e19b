"""Functions that copy a part of a list or mapping."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
ResultT = TypeVar("ResultT")


def drop_none(items: Iterable[ItemT | None]) -> list[ItemT]:
    """Return the items that are not None, in their order."""
    return [item for item in items if item is not None]


def exclude(items: Iterable[ItemT], unwanted: Container[Any]) -> list[ItemT]:
    """Return the items that are not among the unwanted ones, in their order."""
    return [item for item in items if item not in unwanted]


def intersect(items: Iterable[ItemT], wanted: Container[Any]) -> list[ItemT]:
    """Return the items that are among the wanted ones, in their order."""
    return [item for item in items if item in wanted]


def drop_none_values(mapping: Mapping[KeyT, ValueT | None]) -> dict[KeyT, ValueT]:
    """Return the entries of a mapping whose values are not None."""
    return {key: value for key, value in mapping.items() if value is not None}


def omit_keys(mapping: Mapping[KeyT, ValueT], keys: Container[Any]) -> dict[KeyT, ValueT]:
    """Return the entries of a mapping that are not under any of these keys."""
    return {key: value for key, value in mapping.items() if key not in keys}


def pick_keys(mapping: Mapping[KeyT, ValueT], keys: Iterable[KeyT]) -> dict[KeyT, ValueT]:
    """Return the entries of a mapping under these keys, in the order of the keys. Keys that it lacks are left out."""
    return {key: mapping[key] for key in keys if key in mapping}


def map_values(function: Callable[[ValueT], ResultT], mapping: Mapping[KeyT, ValueT]) -> dict[KeyT, ResultT]:
    """Return a dict with the same keys, and the results of a function for their values."""
    return {key: function(value) for key, value in mapping.items()}
