"""Instances with other values at some places, valid again, and the very same objects everywhere else."""

from __future__ import annotations

import collections.abc
import functools
import types
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, NewType, TypeVar, cast, get_args, get_origin

from hypothesis import reject

from purposeguard.fields import _TRANSPARENT, ALIASES, is_taggable
from purposeguard.label import Label
from purposeguard.marks import Mark
from purposeguard.personal import Personal
from purposeguard.rows import read_field
from purposeguard.sealing import Sealed, plain
from purposeguard.terms import TermMeta, is_union
from purposeguard.testing._drawing import Drawing
from purposeguard.testing._leaves import Check, passes
from purposeguard.testing._models import Names, bindings_of, current, fields_of, made, replaced, scope_of, substituted

_ATTEMPTS = 5


class Redrawing:
    """Draws anew what stands at `paths`. `differing`: until it is not what it was."""

    def __init__(self, drawing: Drawing, paths: Collection[str], *, differing: bool = True) -> None:
        self._drawing = drawing
        self._paths = frozenset(paths)
        self._differing = differing
        self.changed: set[str] = set()
        """The paths at which something is another now."""

    def value(self, value: Any, annotation: Any) -> Any:
        """The value, or a copy of it with what was drawn."""
        return self._inside(value, annotation, "", types.MappingProxyType({}), (), None, False)

    def _reaches(self, path: str) -> bool:
        below = (f"{path}.", f"{path}[") if path else ("",)
        return any(one.startswith(below) for one in self._paths)

    def _inside(  # noqa: C901, PLR0917  # one line a form that an annotation may have
        self,
        value: Any,
        annotation: Any,
        path: str,
        names: Names,
        metadata: tuple[object, ...],
        check: Check | None,
        personal: bool,
    ) -> Any:
        if path in self._paths:
            return self._anew(value, annotation, path, names, metadata, check, personal)
        if value is None or isinstance(value, Sealed) or not self._reaches(path):
            return value
        again = functools.partial(self._inside, value, path=path, names=names, check=check, personal=personal)
        annotation = substituted(annotation, names)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            more = tuple(one for one in args[1:] if not isinstance(one, (TermMeta, Label, Mark)))
            return again(args[0], metadata=(*more, *metadata))
        if isinstance(annotation, NewType):
            return again(annotation.__supertype__, metadata=metadata)
        if isinstance(annotation, ALIASES):
            return again(cast("Any", annotation).__value__, metadata=metadata)
        if isinstance(origin, ALIASES):
            bound = dict(zip(origin.__type_params__, (substituted(one, names) for one in args), strict=False))
            return self._inside(value, origin.__value__, path, {**names, **bound}, metadata, check, personal)
        if is_union(annotation):
            return again(_member_of(value, args), metadata=metadata)
        if origin in _TRANSPARENT:
            return again(args[0], metadata=metadata)
        if is_taggable(origin or annotation):
            return self._model(value, annotation, path, names)
        if isinstance(annotation, TypeVar):
            return value
        return self._items(value, args, path, names)

    def _anew(  # noqa: PLR0917
        self,
        value: Any,
        annotation: Any,
        path: str,
        names: Names,
        metadata: tuple[object, ...],
        check: Check | None,
        personal: bool,
    ) -> Any:
        before = plain(value) if isinstance(value, Sealed) else value
        for _ in range(_ATTEMPTS if self._differing else 1):
            self._drawing.avoid = (before,) if self._differing else ()
            drawn = self._drawing.value(annotation, path, personal=True, names=names, metadata=metadata, check=check)
            self._drawing.avoid = ()
            after = plain(drawn) if isinstance(drawn, Sealed) else drawn
            if not self._differing or not _same(before, after):
                self.changed.add(path)
                # Sealed under what the value itself says, which may be less than its annotation.
                return (
                    Personal(after, value.label) if isinstance(value, Sealed) and isinstance(drawn, Sealed) else drawn
                )
        return value

    def _items(self, value: Any, args: tuple[Any, ...], path: str, names: Names) -> Any:
        inner = functools.partial(self._inside, path=f"{path}[]", names=names, metadata=(), check=None, personal=False)
        if isinstance(value, Mapping):
            last = args[-1] if args else object
            found = {key: inner(one, last) for key, one in value.items()}
            if all(found[key] is one for key, one in value.items()):
                return value
            return found if type(value) is dict else cast("Any", type(value))(found)
        if not isinstance(value, (collections.abc.Sequence, collections.abc.Set)) or isinstance(value, (str, bytes)):
            return value
        each = args[:-1] if args and args[-1] is ... else args
        fixed = isinstance(value, tuple) and args and args[-1] is not ...
        items = [inner(one, each[index if fixed else 0]) for index, one in enumerate(value)]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return cast("Any", type(value))(items)

    def _model(self, value: Any, annotation: Any, path: str, names: Names) -> Any:
        cls, bindings = bindings_of(annotation, names)
        if isinstance(value, cls) if not isinstance(value, dict) else False:
            cls, bindings = (cls, bindings) if type(value) is cls else (type(value), ())
        fields, scope = fields_of(cls), scope_of(cls, bindings)
        held = current(value, tuple(one.name for one in fields))
        refused: Callable[[], bool] = functools.cache(lambda: not passes(lambda: made(cls, held)))
        for _ in range(_ATTEMPTS):
            changes: dict[str, Any] = {}
            for field in fields:
                if field.name in held:
                    below = f"{path}.{field.name}" if path else field.name
                    old = held[field.name]
                    new = self._inside(old, field.annotation, below, scope(field.name), (), field.check, False)
                    if new is not old:
                        changes[field.name] = new
            if not changes:
                return value
            try:
                whole = made(cls, {**held, **changes})
            except Exception:  # noqa: BLE001  # the application's validators, which may raise anything
                if refused():  # what it holds now cannot be given once more: no validator can tell
                    return replaced(value, changes)
                continue
            return replaced(value, {name: read_field(whole, name) for name in changes})
        return reject()


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return one is other or bool(one == other) or (one != one and other != other)  # noqa: PLR0124  # NaN


def _member_of(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that a value is of."""
    for one in members:
        plain_member = one
        while get_origin(plain_member) is Annotated:
            plain_member = get_args(plain_member)[0]
        cls = get_origin(plain_member) or plain_member
        if isinstance(cls, type) and is_taggable(cls):
            if isinstance(value, dict):
                if not hasattr(cls, "__total__") or not set(value) <= set(cls.__annotations__):
                    continue
                return one
            if isinstance(value, cls):
                return one
        elif isinstance(cls, type) and not is_taggable(type(value)) and isinstance(value, cls):
            return one
    return next((one for one in members if one is not type(None)), members[0])
