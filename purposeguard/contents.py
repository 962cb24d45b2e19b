"""What lies in a value that is to be sealed: no seal takes away a tag that something in it carries."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from types import MemberDescriptorType
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.annotations import PLAIN, WITHOUT_FIELDS, is_taggable, may_state
from purposeguard.errors import PurposeGuardError, SealedValue
from purposeguard.label import Label
from purposeguard.rows import entries_of
from purposeguard.sealing import failure
from purposeguard.shapes import Model, refuse_unread

_CONTAINERS: Final = (Mapping, Sequence, AbstractSet, ValuesView)


def with_tags_in(value: Any, label: Label) -> Label:
    """The label with what is tagged in a value: models, dataclasses and the like, and those in them or in containers.

    Raises:
        SealedValue: there is an iterator or a coroutine in it, whose contents cannot be seen without using them up; or
            a container's own code failed.
    """
    found = {label}
    seen: dict[int, Any] = {}  # kept, so that no identity is given again: views and own containers make their items
    pending = [value]
    del value
    try:
        while pending:
            if id(pending[-1]) in seen:
                pending.pop()
                continue
            seen[id(pending[-1])] = pending[-1]
            tags = _look_into(pending.pop(), pending)
            if tags is not None:
                found.add(tags)
    finally:
        pending.clear()  # nothing is left of it in the frame, where a class could not be read
        seen.clear()
    return Label.join(*found)


def _look_into(value: Any, pending: list[Any]) -> Label | None:
    """What a value's class is tagged with; `pending` gets what lies in it that may be tagged."""
    kind: Any = type(value)
    items: tuple[Any, ...] = ()
    try:
        tags, names, is_read = _tags_of(kind)
        if not is_read:
            refuse_unread(kind)
        items = tuple(_items(value, names))
        if not PLAIN.issuperset(map(type, items)):
            pending += (item for item in items if type(item) not in PLAIN)
    except PurposeGuardError:
        raise
    except Exception as error:  # noqa: BLE001  # of a container's own code; what it says may show the value
        told = failure(f"looking for tags in a {kind.__qualname__}", error)
    else:
        return tags
    finally:
        del value, items
    raise told


def _items(value: Any, names: Iterable[str]) -> Iterable[Any]:
    try:
        inside: list[Any] = []
        if isinstance(value, Mapping):
            inside += (part for entry in entries_of(value) for part in entry)
        elif isinstance(value, _CONTAINERS) and not isinstance(value, WITHOUT_FIELDS):
            inside += value
        elif not names:
            _must_be_there(value)
        if isinstance(value, BaseModel):
            beside = (value.__pydantic_extra__ or {}, value.__pydantic_private__ or {})
            inside += (*value.__dict__.values(), *(item for more in beside for item in more.values()))
        elif names:
            held: dict[str, Any] = getattr(value, "__dict__", {})
            inside += (*held.values(), *(_in_slot(value, name) for name in names if name not in held))
        return inside
    finally:
        del value


def _must_be_there(value: Any) -> None:
    """Raises SealedValue where a value is yet to come."""
    kind = type(value)
    if isinstance(value, (Iterator, AsyncIterator)):
        raise SealedValue(
            f"a {kind.__name__} is used up when it is looked at, and what is in it cannot be seen before: seal a list "
            "or a tuple of it"
        )
    if inspect.iscoroutine(value) or hasattr(kind, "_asyncio_future_blocking"):  # as `asyncio.isfuture` asks
        raise SealedValue(f"a {kind.__name__} is no value yet: seal what it gives when it is awaited")


def _in_slot(value: object, name: str) -> Any:
    """A field's value, without running any code of its class."""
    slot = inspect.getattr_static(type(value), name, None)
    try:
        return slot.__get__(value) if isinstance(slot, MemberDescriptorType) else None
    except AttributeError:  # never set
        return None


@functools.lru_cache(maxsize=1024)
def _tags_of(kind: Any) -> tuple[Label | None, tuple[str, ...], bool]:
    """What the fields of a class are tagged with, their names, and whether all that it may say is said by them."""
    if not is_taggable(kind):
        return None, (), not may_state(kind)
    model = Model(kind)
    return model.shape.label_of_all(), tuple(model.fields()), True
