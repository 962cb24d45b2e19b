"""Copies of many rows without some fields, by a function that is generated for their class.

The source of such a function names fields and nothing else; tracebacks show it as `<copies of Customer>`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.values.annotations import is_namedtuple
from purposeguard.values.plan import RowReader
from purposeguard.values.pydantic import set_fields
from purposeguard.values.withheld import GONE

Copies = Callable[..., list[Any]]
"""A function that copies rows of one class in their order. Columns of changed values are passed after the rows.

It raises KeyError or AttributeError if a field was never set.
"""


def compile_row_copier(
    base: Any, cls: type, reader: RowReader, visible: tuple[str, ...], changed: tuple[str, ...] = ()
) -> Copies | None:
    """Compile a function that copies rows of `base` as instances of its subclass `cls`.

    The copies have the fields in `visible`, of which those in `changed` get other values. Return None if rows of the
    class must be copied one by one: their fields are kept in, or set by, another object than the row.
    """
    names: dict[str, Any] = {"cls": cls, "new": object.__new__, "put": object.__setattr__, "held_of": reader.held}
    other = {name: f"changed_{number}" for number, name in enumerate(changed)}
    compiled = functools.partial(_compile_copier, base, names, tuple(other.values()))
    keys = {name: str.__repr__(name) for name in visible}  # A key may be a member of a string enumeration.
    values = ", ".join(f"{key}: {other.get(name) or f'held[{key}]'}" for name, key in keys.items())
    if issubclass(base, BaseModel):
        if base.__private_attributes__ or base.model_config.get("extra") == "allow":
            return None
        names |= {"left": frozenset(visible)}
        names |= {"put_fields": set_fields}
        names |= {f"set_{name}": vars(BaseModel)[f"__pydantic_{name}__"].__set__ for name in _BESIDE}
        names |= {"fields_of": vars(BaseModel)["__pydantic_fields_set__"].__get__}
        return compiled(
            "held = held_of(row)",
            "copy = new(cls)",
            f"put_fields(copy, {{{values}}})",
            "set_fields_set(copy, fields_of(row) & left)",
            "set_extra(copy, None)",
            "set_private(copy, None)",
        )
    if base is dict:
        return compiled("held = row", f"copy = cls({{{values}}})")
    if is_namedtuple(base):
        names |= {"new": tuple.__new__, "GONE": GONE, "items_of": tuple.__iter__}
        items = [f"item_{number}" for number in range(len(base._fields))]
        tuple_items = [
            other.get(name) or item if name in visible else "GONE"
            for name, item in zip(base._fields, items, strict=True)
        ]
        return compiled(f"{', '.join(items)}, = items_of(row)", f"copy = new(cls, ({', '.join(tuple_items)},))")
    if issubclass(base, dict) or hasattr(base, "_sa_class_manager"):
        return None
    slots = _find_class_attributes(base, visible)
    if len(slots) == len(visible) and set(map(type, slots)) == {MemberDescriptorType}:
        moves: list[str] = []
        for number, (name, slot) in enumerate(zip(visible, slots, strict=True)):
            names |= {f"get_{number}": slot.__get__, f"set_{number}": slot.__set__}
            item = other.get(name, f"get_{number}(row)")
            moves.append(f"set_{number}(copy, {item})")
        return compiled("copy = new(cls)", *moves)
    # The reader exists only if no descriptor of the class takes the place of a field, so `__dict__` can be set.
    return compiled("held = held_of(row)", "copy = new(cls)", f"put(copy, '__dict__', {{{values}}})")


_BESIDE: Final = ("fields_set", "extra", "private")
"""The state that a pydantic model keeps beside its fields."""


def _find_class_attributes(cls: type, names: tuple[str, ...]) -> list[Any]:
    """Return all attributes with these names of a class and its bases."""
    attributes: list[Any] = []
    for name in names:
        attributes += [vars(owner)[name] for owner in cls.__mro__ if name in vars(owner)]
    return attributes


def _compile_copier(base: type, names: dict[str, Any], changed: tuple[str, ...], *steps: str) -> Copies:
    each = f"for row, {', '.join(changed)} in zip(rows, *changed, strict=True):" if changed else "for row in rows:"
    lines = ["def copies(rows, *changed):", "    made = []", f"    {each}", *(f"        {step}" for step in steps)]
    source = "\n".join([*lines, "        made.append(copy)", "    return made", ""])
    exec(compile(source, f"<copies of {base.__qualname__}>", "exec"), names)  # noqa: S102  # The source contains only names of fields, as literals.
    copies: Copies = names["copies"]
    return copies
