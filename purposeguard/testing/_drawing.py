"""Values drawn along an annotation: models with fields, containers with items, seals with what is in them."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import functools
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

import pydantic_core
import typing_extensions
from hypothesis import reject
from hypothesis import strategies as st
from pydantic import BaseModel, Json, Secret

from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, is_union
from purposeguard.testing._annotations import Spot, asked_by_marks, holds_personal, may_be_none, models_in, taken_apart
from purposeguard.testing._kinds import number_of
from purposeguard.testing._leaves import Check, Leaf, Limits, Unsolvable, Within, adapter_of, leaf_of
from purposeguard.testing._models import Field, bindings_of, fields_of, made, scope_of, substituted
from purposeguard.values.annotations import ALIASES, OPAQUE, is_taggable, what_is
from purposeguard.values.personal import Personal
from purposeguard.values.sealed import Sealed

NONE: Final = type(None)
_DEEPEST: Final = 2
"""How often a model is entered within itself."""
_WAYS: Final = ("any", "one", "alike", "any", "all", "none", "alike, backwards", "any")
"""How a model is made, in turn, whose validators refuse it as a whole: with any values; with one of those present that
may be None, or all, or none; with the same value in fields of the same type, that of the first or of the last."""
_SPARSE: Final = ("one", "none")
_LONGEST: Final = 3
"""How many items a container has, or how many more than it must have."""
_MORE: Final = 10
"""How often more is drawn, where what was drawn was there already."""
NOWHERE: Final = Spot()


class Drawing:
    """One drawing of one value.

    `marking`: what is personal gets values that are known again, and none of it is left out or None. They depend on
    `salt`, on their place, and on how many were drawn there.
    """

    def __init__(self, draw: st.DrawFn, *, marking: bool = False, salt: str = "") -> None:
        self._draw = draw
        self._marking = marking
        self._salt = salt
        self._counts: collections.Counter[str] = collections.Counter()
        self._inside: list[type] = []
        self.avoid: tuple[Any, ...] = ()
        """What is not to be drawn, where a type has few values."""

    def marked(self) -> Drawing:
        """Another one by the same means, of values that are marked."""
        return Drawing(self._draw, marking=True, salt=f"{self._salt}/other")

    def instance(
        self, model: Any, strategies: Mapping[str, st.SearchStrategy[Any]] = types.MappingProxyType({})
    ) -> Any:
        """One of a tagged model, with what `given` draws in its fields; or of an annotation that holds some.

        Raises:
            Unsolvable: nothing is known that a field could be made from.
            TypeError: `given` names what is no field.
        """
        if not is_taggable(get_origin(model) or model):
            if strategies:
                raise TypeError(f"{what_is(model)} has no fields to give")
            return self.value(model)
        cls, _ = bindings_of(model, {})
        unknown = set(strategies) - {field.name for field in fields_of(cls)}
        if unknown:
            raise TypeError(f"{cls.__qualname__} has no field `{min(unknown)}`")
        return self._model(model, NOWHERE, strategies)

    def value(self, annotation: Any, spot: Spot = NOWHERE) -> Any:
        """A value of an annotation; raises Unsolvable where nothing is known that it could be made from."""
        annotation, spot = taken_apart(annotation, spot)
        if spot.given is not None:
            return self._draw(spot.given)
        origin, args = get_origin(annotation), get_args(annotation)
        cls = origin or annotation
        if is_union(annotation):
            return self._one_of(args, spot)
        if isinstance(cls, type) and issubclass(cls, Sealed):
            return self._sealed(args, spot)
        if is_taggable(cls):
            return self._model(annotation, spot)
        if isinstance(cls, type) and issubclass(cls, collections.abc.Mapping):
            return self._whole(annotation, spot, lambda by, at: by._mapping(cls, args, at))
        if cls in _CONTAINERS:
            items = _items_of(annotation, args)
            return self._whole(annotation, spot, lambda by, at: by._container(cls, items, at))
        if isinstance(cls, type) and issubclass(cls, Secret) and args:
            return cls(self.value(args[0], spot.but(metadata=(), check=None, validates=False)))
        if origin is not None and origin not in OPAQUE:
            raise Unsolvable(f"no strategy is known for {what_is(annotation)}")
        return self._leaf(annotation, spot)

    # ---- What holds nothing ---------------------------------------------------------------------------------------

    def _leaf(self, annotation: Any, spot: Spot) -> Any:
        metadata = (*spot.metadata, *asked_by_marks(spot, annotation))
        leaf = _known_leaf(annotation, metadata, spot.check, reads=not spot.validates)
        if leaf.fixed is not None:
            left = [value for value in leaf.fixed if value not in self.avoid]
            return self._draw(st.sampled_from(left or leaf.fixed))
        if self._marking and spot.personal:
            for marked in leaf.mark(self._number(spot.path)):
                return leaf.read(marked)
        return leaf.read(self._draw(leaf.values))

    def _number(self, path: str) -> int:
        """A number that no other place has, and that shrinks."""
        self._counts[path] += 1
        return number_of(self._salt, path, self._counts[path], self._draw(_TURNS))

    def _one_of(self, args: Sequence[Any], spot: Spot) -> Any:
        members = [argument for argument in args if argument is not NONE] or [NONE]
        if NONE in args and members != [NONE]:
            deep = self._is_deep(members)
            keep = self._marking and (spot.personal or any(holds_personal(member, spot) for member in members))
            if deep or not (keep or None in self.avoid or self._draw(_MOSTLY)):
                return None
        members = [member for member in members if not self._is_deep([member])] or members
        chosen = self._draw(st.integers(0, len(members) - 1)) if len(members) > 1 else 0
        failed: Unsolvable | None = None
        for member in (members[chosen], *members[:chosen], *members[chosen + 1 :]):
            try:
                return self.value(member, spot)
            except Unsolvable as error:
                failed = error
        raise failed or Unsolvable("a union of nothing")

    def _is_deep(self, annotations: Sequence[Any]) -> bool:
        return any(self._inside.count(cls) >= _DEEPEST for cls in models_in(annotations))

    # ---- What holds something -------------------------------------------------------------------------------------

    def _sealed(self, args: Sequence[Any], spot: Spot) -> Any:
        if len(args) != 2:
            raise Unsolvable("a sealed field says what is in it and its sources: `Personal[str, Source]`")
        terms = substituted(args[1], spot.names)
        label = sealing_label(terms)
        personal = label is not _NOT_PERSONAL
        if spot.seals and _names_sources(terms):
            return self.value(args[0], spot.but(personal=personal, metadata=()))  # which validates it as well
        return Personal(self.value(args[0], Spot(spot.path, personal, spot.names)), label)

    def _model(
        self,
        annotation: Any,
        spot: Spot,
        strategies: Mapping[str, st.SearchStrategy[Any]] = types.MappingProxyType({}),
    ) -> Any:
        cls, bindings = bindings_of(annotation, spot.names)
        scope = scope_of(cls, bindings)
        self._inside.append(cls)
        refused: Exception | None = None
        try:
            for way in _WAYS:
                values = self._values(
                    cls, {field.name: spot.field(field, scope(field.name)) for field in fields_of(cls)}, strategies, way
                )
                try:
                    return made(cls, values)
                except Exception as error:  # noqa: BLE001  # the application's validators, which may raise anything
                    refused = error
        finally:
            self._inside.pop()
        if refused is not None and not isinstance(refused, (ValueError, AssertionError)):
            raise refused  # that is no refusal of values
        return reject()

    def _values(
        self, cls: type, spots: Mapping[str, Spot], strategies: Mapping[str, st.SearchStrategy[Any]], way: str
    ) -> dict[str, Any]:
        """What a model is made from; `way` says what validators of the whole may ask for."""
        fields = [field for field in fields_of(cls) if field.name not in strategies]
        values = {name: self._draw(strategy) for name, strategy in strategies.items()}
        absent = (
            [field.name for field in fields if may_be_none(field.annotation, spots[field.name])]
            if way in _SPARSE
            else []
        )
        if absent and way == "one":
            absent.pop(self._draw(st.integers(0, len(absent) - 1)))
        alike: dict[str, Any] = {}
        for field in reversed(fields) if way == "alike, backwards" else fields:
            if field.name in absent:
                values[field.name] = None
                continue
            self.avoid = (None,) if way == "all" else ()
            try:
                self._field(cls, field, values, spots[field.name])
            finally:
                self.avoid = ()
            if way.startswith("alike") and field.name in values:
                kind, _ = taken_apart(field.annotation, spots[field.name])  # whatever else is asked of each
                values[field.name] = alike.setdefault(str(kind), values[field.name])
        return values

    def _field(self, cls: type, field: Field, values: dict[str, Any], spot: Spot) -> None:
        if not field.needed and self._is_deep([field.annotation]):
            return
        # What is not given shows: in the keys of a dictionary, in a dump by pydantic, in `model_fields_set`.
        if not (field.needed or self._marking):
            if typing_extensions.is_typeddict(cls) and not self._draw(_MOSTLY):
                return
            if issubclass(cls, BaseModel) and self._draw(_SELDOM):
                return
        try:
            values[field.name] = self.value(field.annotation, spot)
        except Unsolvable as error:
            if field.needed:
                raise error.at(spot.path) from error

    def _whole(self, annotation: Any, spot: Spot, make: Callable[[Drawing, Spot], Any]) -> Any:
        """Something that holds others, which validators of it as a whole take."""
        others = Limits(spot.metadata).others
        if any(isinstance(validator, _JSON) for validator in others):
            made = make(self, spot.but(check=None, validates=False))
            return pydantic_core.to_json(made).decode() if spot.validates else made
        adapter = adapter_of(annotation, spot.metadata) if others and not spot.validates else None
        if adapter is None:
            return make(self, spot)  # the model that it is for has a say
        # They may ask for items that are unlike each other: marks are.
        for drawing, place in ((self, spot), *((self.marked(), spot.but(personal=True)) for _ in _WAYS)):
            made = make(drawing, place)
            with contextlib.suppress(Exception):  # validators are the application's, and may raise anything
                return adapter.validate_python(made)
        return reject()

    def _container(self, cls: Any, args: Sequence[Any], spot: Spot) -> Any:
        if cls is tuple and args[-1:] != (...,):
            return tuple(self.value(argument, spot.item()) for argument in args)
        make, inner = _CONTAINERS[cls], args[0] if args else str
        least, most = self._lengths(spot, inner)
        alone = spot.check is not None and (make not in _SETS or least < 2)
        below = spot.item(Within(spot.check, make, least) if alone and spot.check is not None else None)
        items: list[Any] = []
        for drawing, place in self._turns(least, most, below, items):
            value = drawing.value(inner, place)
            if make not in _SETS or value not in items:
                items.append(value)
        if len(items) < least:
            reject()
        return make(items)

    def _mapping(self, cls: Any, args: Sequence[Any], spot: Spot) -> Any:
        make = _MAPPINGS.get(cls)
        if make is None:
            raise Unsolvable(f"no strategy is known for {what_is(cls)}")
        key, inner = args if len(args) == 2 else (args[0] if args else str, int if cls is collections.Counter else str)
        least, most = self._lengths(spot, inner)
        keys = spot.but(metadata=(), check=None)
        items: dict[Any, Any] = {}
        for drawing, place in self._turns(least, most, keys, items):
            items[drawing.value(key, place)] = self.value(inner, spot.item())
        if len(items) < least:
            reject()
        return make(items)

    def _turns(self, least: int, most: int, spot: Spot, drawn: Collection[Any]) -> Iterator[tuple[Drawing, Spot]]:
        """So many, and while too many of them were there already a few more, which are unlike each other."""
        for _ in range(self._draw(st.integers(least, most))):
            yield self, spot
        others, place = self.marked(), spot.but(personal=True)
        for _ in range(_MORE):
            if len(drawn) >= least:
                return
            yield others, place

    def _lengths(self, spot: Spot, inner: Any) -> tuple[int, int]:
        """How many items a container has: few, and one at least where it is to be marked."""
        limits = Limits(spot.metadata)
        least = limits.shortest
        if self._is_deep([inner]):
            return least, least
        if self._marking and (spot.personal or holds_personal(inner, spot)):
            least = max(least, 1)
        most = least + _LONGEST
        return least, most if limits.longest is None else max(least, min(most, limits.longest))


_TURNS: Final = st.integers(0, 2**16 - 1)
_MOSTLY: Final = st.integers(0, 3).map(bool)
"""True three times of four; shrinks to False."""
_SELDOM: Final = st.integers(0, 3).map(lambda drawn: drawn == 3)
"""True once of four; shrinks to False."""

_SETS: Final = (set, frozenset)
_CONTAINERS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_MAPPINGS: Final[dict[Any, Callable[[dict[Any, Any]], Any]]] = {
    dict: dict,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: functools.partial(collections.defaultdict, None),
    collections.Counter: collections.Counter,
    types.MappingProxyType: types.MappingProxyType,
}


def _items_of(annotation: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a container holds; texts where it does not say."""
    return (str, ...) if annotation in (tuple, typing.Tuple) else args  # noqa: UP006  # `tuple[()]` is another one


_JSON: Final[Any] = Json  # to type checkers it is no class
_NOT_PERSONAL: Final = Label(NotPersonal)


def _known_leaf(annotation: Any, metadata: tuple[object, ...], check: Check | None, *, reads: bool) -> Leaf:
    try:
        return _kept_leaf(annotation, metadata, check, reads=reads)
    except TypeError as error:
        if isinstance(error, Unsolvable):
            raise
    return leaf_of(annotation, metadata, check, reads=reads)  # metadata without a hash


_kept_leaf: Final[Callable[..., Leaf]] = functools.lru_cache(maxsize=2048)(leaf_of)


def sealing_label(terms: Any) -> Label:
    """The label under which is sealed what an annotation calls sealed under `terms`: all sources that it names.

    Where it names a purpose, a source that may serve it.

    Raises:
        Unsolvable: it names neither.
    """
    while isinstance(terms, ALIASES):
        terms = terms.__value__
    sources: list[type[Source]] = []
    for term in get_args(terms) if is_union(terms) else (terms,):
        if not isinstance(term, TermMeta):
            raise Unsolvable("a sealed field that leaves its sources open: give a strategy for it")
        if issubclass(term, Source) and "clause" in vars(term):
            sources.append(term)
        else:
            sources.append(_serving(term))
    return Label(*sources)


def _names_sources(terms: Any) -> bool:
    while isinstance(terms, ALIASES):
        terms = terms.__value__
    return all(issubclass(term, Source) for term in (get_args(terms) if is_union(terms) else (terms,)))


def _serving(purpose: TermMeta) -> type[Source]:
    """The first source by clause that is a subclass of a purpose, which is to say that it may serve it."""
    sources: dict[str, type[Source]] = {}
    pending: list[Any] = [purpose]
    while pending:
        for subclass in type.__subclasses__(pending.pop()):
            pending.append(subclass)
            if issubclass(subclass, Source) and "clause" in vars(subclass):
                sources.setdefault(subclass.clause, subclass)
    if not sources:
        raise Unsolvable(f"no source may serve {purpose.__name__}")
    return sources[min(sources)]
