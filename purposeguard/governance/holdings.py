"""The personal data that an application holds of a subject: the functions that read it, and their results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, cast

import typing_extensions

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, is_text
from purposeguard.runtime.registry import WHOLE
from purposeguard.runtime.site import Site
from purposeguard.values.annotations import is_taggable
from purposeguard.values.plan import make_plan
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Shape, read_shape

F = TypeVar("F", bound=Callable[[str], Any])

Titles = Mapping[str, str]
"""Titles by language."""

NOTHING_SAID: Final = Shape()
"""The shape of a missing annotation."""

_NOT_PERSONAL: Final = Label(NotPersonal)
_ABSENT: Final = object()
_SINGLE: Final = (str, bytes, bytearray, memoryview, range)
"""The iterable types whose instances are single values."""


@dataclass(frozen=True, slots=True)
class Held:
    """A datum of a record: its path, its label, whether it is sealed, and its value as it is kept."""

    path: str
    label: Label
    sealed: bool
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holding:
    """A function that reads what one part of the application holds of a subject."""

    name: str
    site: Site
    load: Callable[[str], object]
    title: Titles = field(default_factory=dict)
    """The title of the holding, by language."""
    names: Mapping[str, Titles] = field(default_factory=dict)
    """The titles of its fields by path (`orders[].address`), each by language."""
    realm: str | None = None
    """The realm of the ids that it takes: with `customer`, it is called with `7` for `customer:7`."""

    def records(self, subject: str) -> tuple[Any, ...]:
        """Return the records of a subject: none, one or several. Raises TypeError for a result without fields."""
        if self.realm is not None:
            realm, _, subject = subject.partition(":")
            if realm != self.realm:
                return ()
        loaded = self.load(subject)
        if loaded is None:
            return ()
        if is_taggable(type(loaded)) or isinstance(loaded, (Mapping, Sealed)):
            return (loaded,)
        if isinstance(loaded, Iterable) and not isinstance(loaded, _SINGLE):
            return tuple(loaded)
        raise TypeError(
            f"the holding `{self.name}` gave a {type(loaded).__qualname__}: it is to give a model, a list of models, "
            "or None"
        )

    @property
    def row(self) -> Shape:
        """The shape of one record by the return annotation, for rows that are plain dicts."""
        try:
            stated = typing_extensions.get_type_hints(self.load, include_extras=True).get("return")
        except (NameError, TypeError):  # Names for type checkers only, or a callable without annotations.
            return NOTHING_SAID
        shape = NOTHING_SAID if stated is None else read_shape(stated)
        return shape if shape.models else shape.items or shape

    def title_of(self, path: str, language: str) -> str | None:
        """Return the title of a field, if the application has one."""
        return self.names.get(_strip_indices(path), {}).get(language)


class Holdings:
    """The holdings of an application, in the order in which they were registered."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Holding] = {}

    def __iter__(self) -> Iterator[Holding]:
        return iter(tuple(self._known.values()))

    def holding(
        self,
        name: str,
        /,
        *,
        realm: str | None = None,
        title: Titles | None = None,
        names: Mapping[str, Titles] | None = None,
    ) -> Callable[[F], F]:
        """Return a decorator, `@holdings.holding("customers")`, for the function that reads what is held of a subject.

        The function gets the subject's id as text, and returns a model with tagged or sealed fields, a list of them, or
        None. If subjects have ids within realms, `Subject("customer")`, name the function's realm, `realm="customer"`:
        it is called only for subjects of that realm, with the id within the realm.

        Raises:
            TypeError: there is no name, or the function is a coroutine function.
            ValueError: another function is registered under this name.
        """
        if not is_text(name):  # Without this check, `@holding` without parentheses would register nothing.
            raise TypeError('a holding has a name, by which the report calls it: `@governance.holding("customers")`')

        def register(fn: F) -> F:
            if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
                raise TypeError(
                    f"the holding `{name}` is a coroutine function: register one that returns what it reads"
                )
            new_holding = Holding(name, Site.of(fn), fn, dict(title or {}), dict(names or {}), realm)
            existing = self._known.get(name)
            if existing is not None and (existing.site.module, existing.site.qualname) != (
                new_holding.site.module,
                new_holding.site.qualname,
            ):
                raise ValueError(
                    f"there is a holding `{name}` already, {existing.site.dotted}: give each a name of its own"
                )
            self._known[name] = new_holding  # A module that is loaded again replaces its function.
            return fn

        return register


def iter_held_items(record: object, row: Shape = NOTHING_SAID) -> Iterator[Held]:
    """Yield the personal data in a record, in the order of its fields.

    Fields without tags, and NotPersonal, are left out. The classes of the values state their sources; for plain dicts,
    `row` does.

    Raises:
        UnlabelledData: neither states the sources of the record.
    """
    if is_taggable(type(record)):
        row = NOTHING_SAID
    elif not (isinstance(record, Sealed) or row.has_fields):
        raise UnlabelledData(
            f"a holding gave a {type(record).__qualname__}, which says of no field where it is from: give a model, or "
            "annotate what the function returns"
        )
    for datum in _iter_items(record, row, "", row.tags, ()):
        if datum.label is not _NOT_PERSONAL:
            yield datum


def open_held_item(datum: Held, opens: Callable[[Any], Any]) -> Iterator[Held]:
    """Yield a datum without its seal, or its fields if it has some, each with the label of the seal added."""
    if not isinstance(datum.value, Sealed):
        yield datum
        return
    for inner in _iter_items(opens(datum.value), NOTHING_SAID, datum.path, datum.label.sources, ()):
        yield from open_held_item(replace(inner, sealed=True), opens)


def _iter_items(
    value: Any, shape: Shape, path: str, sources: frozenset[type[Source]], above: tuple[int, ...]
) -> Iterator[Held]:
    """Yield the data in a value.

    `sources` are those of its containers and its own, `above` the ids of its containers.
    """
    if isinstance(value, Sealed):
        yield Held(path or WHOLE, Label(*sources, *value.label.sources), True, value)
        return
    if id(value) in above:  # The value contains itself.
        return
    inside = tuple(_iter_parts(value, shape, above))
    for step, part, inner in inside:
        place = f"{path}{step}" if path or not step.startswith(".") else step[1:]
        yield from _iter_items(part, inner, place, sources | inner.tags, (*above, id(value)))
    if not inside:
        own = sources | shape.seal | (shape.own_label.sources if shape.own_label else frozenset())
        if own:
            yield Held(path or WHOLE, Label(*own), shape.sealed, value)


Part = tuple[str, Any, Shape]
"""A part of a value: the step that leads to the part, the part itself, and its shape."""


def _iter_parts(value: Any, shape: Shape, above: tuple[int, ...]) -> Iterator[Part]:
    """Yield the parts of a value if at least one part has a label of its own; otherwise nothing."""
    plan = make_plan(type(value), shape)
    if plan.fields is not None:
        for name, inner in plan.fields.items():
            # Computed fields are held as well.
            part = value.get(name, _ABSENT) if isinstance(value, dict) else getattr(value, name, _ABSENT)
            if part is not _ABSENT:
                yield f".{name}", part, inner
    elif isinstance(value, (Mapping, list, tuple, set, frozenset)) and id(value) not in above:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(cast("Iterable[Any]", value))
        steps = [(_format_step(key), part, plan.items) for key, part in pairs]
        above = (*above, id(value))
        if any(_is_labelled(part, inner, above) for _, part, inner in steps):
            yield from steps


def _is_labelled(value: Any, shape: Shape, above: tuple[int, ...]) -> bool:
    """Return True if a value, or a part of it, has a label of its own."""
    return isinstance(value, Sealed) or next(_iter_parts(value, shape, above), None) is not None


def _format_step(key: object) -> str:
    return f"[{key}]" if isinstance(key, int) else f'["{key}"]' if isinstance(key, str) else "[…]"


def _strip_indices(path: str) -> str:
    """Return a path without its indices: `orders[].address` for `orders[3].address`."""
    general, depth = "", 0
    for char in path:
        depth -= char == "]"
        if depth == 0:
            general += char
        depth += char == "["
    return general
