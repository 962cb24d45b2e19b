"""Draws values of an annotation (models, containers, sealed values, plain types), and twins of an instance."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import decimal
import functools
import operator
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

import pydantic_core
import typing_extensions
from pydantic import BaseModel, Json, Secret

from purposeguard.containers import exclude, map_values, omit_keys
from purposeguard.extras import Needs
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, is_union
from purposeguard.testing._constants import Constants
from purposeguard.testing._kinds import number_of
from purposeguard.testing._leaves import (
    Check,
    Leaf,
    Limits,
    Unsolvable,
    Within,
    adapter_of,
    leaf_of,
    list_fixed_values,
    passes,
)
from purposeguard.testing._models import (
    ModelField,
    Names,
    Spot,
    bindings_of,
    constraints_of_marks,
    field_values,
    fields_of,
    has_field,
    holds_personal,
    instantiate,
    may_be_none,
    may_hold_itself,
    models_in,
    resolve_variable,
    scope_of,
    unwrap_annotation,
    with_fields,
)
from purposeguard.testing._places import with_items
from purposeguard.testing._restructuring import restructure
from purposeguard.testing.traces import texts_of
from purposeguard.values.annotations import ALIASES, OPAQUE, describe_kind, is_taggable
from purposeguard.values.personal import Personal
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import PendingValue, Sealed, content
from purposeguard.values.tagging import sources_of

with Needs(__name__, "hypothesis"):
    from hypothesis import reject
    from hypothesis import strategies as st

NONE: Final = type(None)
_DEEPEST: Final = 2
"""The depth to which a model may contain itself."""
_MOST_RELATED: Final = 24
"""The number of drawn models beyond which classes that hold each other are drawn only at the listed paths."""
_WAYS: Final = ("any", "one", "alike", "any", "all", "none", "alike, backwards", "any")
"""What is tried in turn for models whose validators look at several fields: any values; of the optional fields one, all
or none present; fields of the same type equal, to the first or to the last."""
_SPARSE: Final = ("one", "none")
_LONGEST: Final = 3
"""The most items of a container beyond its minimum."""
_MORE: Final = 10
"""How often another item is drawn in place of a duplicate."""
NOWHERE: Final = Spot()


def _is_key(path: str) -> bool:
    """Return True if a path leads to the key of a row: a row that is stored has one, although its model allows None."""
    return path.rpartition(".")[-1] == "id"


class Drawing:
    """Draws one value.

    `marking`: personal fields get recognizable values, and none of them is absent or None, nor is the key of a row.
    Such a value depends on `salt`, on its path, and on how many values were drawn at that path.

    `constants`: half of the plain values that are not marked are one of these. With `nth`, each takes the valid
    constant of that index instead; if it has fewer, it is drawn as if there were none. A mapping gives the index of
    each path, 0 if it has none. `taken` is then the paths that took a constant.
    """

    def __init__(
        self,
        draw: st.DrawFn,
        *,
        marking: bool = False,
        salt: str = "",
        constants: Constants | None = None,
        nth: int | Mapping[str, int] | None = None,
        turn: int | None = None,
    ) -> None:
        self._draw = draw
        self._constants = constants
        self._nth = nth
        self._turn = turn
        self.taken: set[str] = set()
        self._marking = marking
        self._salt = salt
        self._counts: collections.Counter[str] = collections.Counter()
        self._inside: list[Any] = []
        """The models and type aliases that are being drawn."""
        self._models = 0
        """The number of models drawn so far, to bound those of classes that hold each other."""
        self._root: Any = None
        """The annotation of the whole value, whose tagged paths are listed."""
        self.avoid: tuple[Any, ...] = ()
        """Values to avoid, where a type has few, or where the simplest are drawn."""
        self._fixed_number: int | None = None
        """The number that marks depend on; None if one is drawn for each."""
        self._simple = False
        """True if personal fields get the simplest value that is not to be avoided, in place of a recognisable one."""

    def with_marks(self, number: int | None = None, *, simple: bool = False) -> Drawing:
        """Return a drawing from the same source that marks personal values, or makes them the simplest others.

        With `number`, marks depend on it, and draw nothing more.
        """
        drawing = Drawing(self._draw, marking=True, salt=f"{self._salt}/other")
        drawing._fixed_number = number
        drawing._models, drawing._root, drawing._simple = self._models, self._root, simple
        return drawing

    def choose(self, options: Sequence[Any]) -> Any:
        """Draw one of the options; it shrinks to the first. With `turn`, return the one whose turn it is."""
        if self._turn is not None:
            is_question = all(isinstance(option, bool) for option in options)
            return options[-1] if is_question else options[self._turn % len(options)]
        return self._draw(st.sampled_from(options))

    def draw(self, strategy: st.SearchStrategy[Any]) -> Any:
        """Return a value of a strategy."""
        return self._draw(strategy)

    def instance(
        self, model: Any, strategies: Mapping[str, st.SearchStrategy[Any]] = types.MappingProxyType({})
    ) -> Any:
        """Return an instance of a tagged model, or of an annotation that contains one.

        `strategies` draw fields by name.

        Raises:
            Unsolvable: no strategy is known for a field.
            TypeError: `strategies` names a field that does not exist.
        """
        self._root = model
        if not is_taggable(get_origin(model) or model):
            if strategies:
                raise TypeError(f"{describe_kind(model)} has no fields to give")
            return self.value(model)
        cls, _ = bindings_of(model, {})
        unknown = strategies.keys() - map(operator.attrgetter("name"), fields_of(cls))
        if unknown:
            raise TypeError(f"{cls.__qualname__} has no field `{min(unknown)}`")
        return self._model(model, NOWHERE, strategies)

    def value(self, annotation: Any, spot: Spot = NOWHERE) -> Any:
        """Return a value of an annotation; raises Unsolvable if no strategy is known for it."""
        alias = get_origin(annotation) or annotation
        if not isinstance(alias, ALIASES):
            return self._value(annotation, spot)
        self._inside.append(alias)
        try:
            return self._value(annotation, spot)
        finally:
            self._inside.pop()

    def _value(self, annotation: Any, spot: Spot) -> Any:
        annotation, spot = unwrap_annotation(annotation, spot)
        if spot.strategy is not None:
            return self._draw(spot.strategy)
        origin, args = get_origin(annotation), get_args(annotation)
        cls = origin or annotation
        if is_union(annotation):
            return self._one_of(args, spot)
        if isinstance(cls, type) and issubclass(cls, Sealed):
            return self._draw_sealed(args, spot)
        if is_taggable(cls):
            return self._model(annotation, spot)
        if isinstance(cls, type) and issubclass(cls, collections.abc.Mapping):
            return self._whole(annotation, spot, lambda by, at: by.draw_mapping(cls, args, at))
        if cls in _CONTAINERS:
            items = _items_of(annotation, args)
            return self._whole(annotation, spot, lambda by, at: by.draw_container(cls, items, at))
        if isinstance(cls, type) and issubclass(cls, Secret) and args:
            return cls(self.value(args[0], spot.but(metadata=(), check=None, validates=False)))
        if origin is not None and origin not in OPAQUE:
            raise Unsolvable(f"no strategy is known for {describe_kind(annotation)}")
        return self._leaf(annotation, spot)

    # ---- Plain values ---------------------------------------------------------------------------------------------

    def _leaf(self, annotation: Any, spot: Spot) -> Any:
        metadata = (*spot.metadata, *constraints_of_marks(spot, annotation))
        leaf = _find_known_leaf(annotation, metadata, spot.check, converts=not spot.validates)
        if leaf.fixed is not None:
            choices = exclude(leaf.fixed, self.avoid)
            return self._draw(st.sampled_from(choices or leaf.fixed))
        if self._simple and spot.personal:
            for value in leaf.list_simplest():
                if value not in self.avoid and value not in map(str, self.avoid):
                    return leaf.convert(value)
        if self._marking and spot.personal:
            for marked in leaf.mark(self._number(spot.path)):
                return leaf.convert(marked)
        return leaf.convert(self._draw_plain(leaf, spot.path))

    def _draw_plain(self, leaf: Leaf, path: str) -> Any:
        """Return a valid constant of the code, or any other value."""
        constants = () if self._constants is None else leaf.list_valid_constants(self._constants)
        if self._nth is not None:
            index = self._nth if isinstance(self._nth, int) else self._nth.get(path, 0)
            if index < len(constants):
                self.taken.add(path)
                return constants[index]
            return self._draw(leaf.values)
        value = self._draw(leaf.values)
        if not constants:
            return value
        # The plain value is drawn in any case, so that an example with it is simpler than one with a constant.
        chosen = self._draw(st.integers(0, 2 * len(constants) - 1)) - len(constants)
        if chosen < 0:
            return value
        # To hypothesis, fewer choices are simpler: a constant must not be simpler than a twin with a marked value.
        self._draw(_PADDING)
        return constants[chosen]

    def _number(self, path: str) -> int:
        """Return a number unique to this path; it shrinks."""
        self._counts[path] += 1
        drawn = self._draw(_TURNS) if self._fixed_number is None else self._fixed_number
        return number_of(self._salt, path, self._counts[path], drawn)

    def _one_of(self, args: Sequence[Any], spot: Spot) -> Any:
        members = [argument for argument in args if argument is not NONE] or [NONE]
        if NONE in args and members != [NONE]:
            deep = self._is_deep(members, spot.path)
            keep = self._marking and (
                spot.personal or _is_key(spot.path) or any(holds_personal(member, spot) for member in members)
            )
            if deep or not (keep or None in self.avoid or self._draw(_MOSTLY)):
                return None
        members = [member for member in members if not self._is_deep([member], spot.path)] or members
        chosen = self._draw(st.integers(0, len(members) - 1)) if len(members) > 1 else 0
        failed: Unsolvable | None = None
        for member in (members[chosen], *members[:chosen], *members[chosen + 1 :]):
            try:
                return self.value(member, spot)
            except Unsolvable as error:
                failed = error
        raise failed or Unsolvable("a union of nothing")

    def _is_deep(self, annotations: Sequence[Any], path: str) -> bool:
        """Return True if models of these annotations would be contained too deeply at this path.

        The depth does not bound a graph of classes: two relations each double the number of models at each level. So
        where many models were drawn, those that hold each other are drawn only if a listed path leads through this one.
        """
        if any(self._inside.count(cls) >= _DEEPEST for cls in models_in(annotations)):
            return True
        return self._has_many and any(map(self._is_related, annotations)) and not self._is_listed(path)

    @property
    def _has_many(self) -> bool:
        return self._models >= _MOST_RELATED

    def _is_related(self, annotation: Any) -> bool:
        """Return True if the annotation has a model that may hold another one of its class."""
        return any(map(may_hold_itself, models_in([annotation])))

    def _is_listed(self, path: str) -> bool:
        """Return True if `sources_of` lists a field at or below this path."""
        listed = () if self._root is None else sources_of(self._root)
        return any(field == path or field.startswith((f"{path}.", f"{path}[")) for field in listed)

    # ---- Sealed values, models, containers --------------------------------------------------------------------------

    def _draw_sealed(self, args: Sequence[Any], spot: Spot) -> Any:
        if len(args) != 2:
            raise Unsolvable("a sealed field says what is in it and its sources: `Personal[str, Source]`")
        terms = resolve_variable(args[1], spot.names)
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
        self._models += 1
        refused: Exception | None = None
        try:
            for way in _WAYS:
                values = self._values(
                    cls, {field.name: spot.field(field, scope(field.name)) for field in fields_of(cls)}, strategies, way
                )
                try:
                    return instantiate(cls, values)
                except Exception as error:  # noqa: BLE001  # validators of the application may raise anything
                    refused = error
        finally:
            self._inside.pop()
        if refused is not None and not isinstance(refused, (ValueError, AssertionError)):
            raise refused  # not a validation error
        return reject()

    def _values(
        self, cls: type, spots: Mapping[str, Spot], strategies: Mapping[str, st.SearchStrategy[Any]], way: str
    ) -> dict[str, Any]:
        """Return the values of a model's fields, chosen in one of the `_WAYS`."""
        fields = [field for field in fields_of(cls) if field.name not in strategies]
        values = map_values(self._draw, strategies)
        absent: list[str] = []
        if way in _SPARSE:
            absent = [field.name for field in fields if may_be_none(field.annotation, spots[field.name])]
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
                kind, _ = unwrap_annotation(field.annotation, spots[field.name])  # without constraints
                values[field.name] = alike.setdefault(str(kind), values[field.name])
        return values

    def _field(self, cls: type, field: ModelField, values: dict[str, Any], spot: Spot) -> None:
        if not field.needed and self._is_deep([field.annotation], spot.path):
            return
        # Absent fields are visible in the keys of a dict, in pydantic's dumps, in `model_fields_set`.
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
        """Return a container that the validators of the whole container accept."""
        others = Limits(spot.metadata).others
        if any(isinstance(validator, _JSON) for validator in others):
            made = make(self, spot.but(check=None, validates=False))
            return pydantic_core.to_json(made).decode() if spot.validates else made
        adapter = adapter_of(annotation, spot.metadata) if others and not spot.validates else None
        if adapter is None:
            return make(self, spot)  # the model validates it
        # Validators may require distinct items, which marked values are.
        drawing, place = self, spot
        for _ in range(1 + len(_WAYS)):
            made = make(drawing, place)
            with contextlib.suppress(Exception):  # validators of the application may raise anything
                return adapter.validate_python(made)
            drawing, place = self.with_marks(), spot.but(personal=True)
        return reject()

    def draw_container(self, cls: Any, args: Sequence[Any], spot: Spot) -> Any:
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

    def draw_mapping(self, cls: Any, args: Sequence[Any], spot: Spot) -> Any:
        make = _MAPPINGS.get(cls)
        if make is None:
            raise Unsolvable(f"no strategy is known for {describe_kind(cls)}")
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
        """Yield the drawing and the place for each item.

        Yields at least `least` items; items that replace duplicates are marked.
        """
        for _ in range(self._draw(st.integers(least, most))):
            yield self, spot
        others, place = self.with_marks(), spot.but(personal=True)
        for _ in range(_MORE):
            if len(drawn) >= least:
                return
            yield others, place

    def _lengths(self, spot: Spot, inner: Any) -> tuple[int, int]:
        """Return the fewest and the most items of a container; at least one where it is to be marked."""
        limits = Limits(spot.metadata)
        least = limits.shortest
        if self._is_deep([inner], f"{spot.path}[]"):
            return least, least
        if self._marking and (spot.personal or holds_personal(inner, spot)):
            least = max(least, 1)
        most = least if self._has_many and self._is_related(inner) else least + _LONGEST
        return least, most if limits.longest is None else max(least, min(most, limits.longest))


_TURNS: Final = st.integers(0, 2**16 - 1)
_PADDING: Final = st.tuples(st.booleans(), st.booleans())
_MOSTLY: Final = st.integers(0, 3).map(bool)
"""True three times in four; shrinks to False."""
_SELDOM: Final = st.integers(0, 3).map(lambda drawn: drawn == 3)
"""True once in four; shrinks to False."""

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
    """Return the item types of a container; `str` where it has none."""
    return (str, ...) if annotation in (tuple, typing.Tuple) else args  # noqa: UP006  # `tuple[()]` is another one


_JSON: Final[Any] = Json  # not a class to type checkers
_NOT_PERSONAL: Final = Label(NotPersonal)


def _find_known_leaf(annotation: Any, metadata: tuple[object, ...], check: Check | None, *, converts: bool) -> Leaf:
    try:
        return _kept_leaf(annotation, metadata, check, converts=converts)
    except TypeError as error:
        if isinstance(error, Unsolvable):
            raise
    return leaf_of(annotation, metadata, check, converts=converts)  # metadata without a hash


_kept_leaf: Final[Callable[..., Leaf]] = functools.lru_cache(maxsize=2048)(leaf_of)


def sealing_label(terms: Any) -> Label:
    """Return the label of `Personal[T, terms]`: the sources in `terms`; for a purpose, a source that may serve it.

    Raises:
        Unsolvable: `terms` holds neither sources nor purposes.
    """
    sources: list[type[Source]] = []
    for term in _each(terms):
        if not isinstance(term, TermMeta):
            raise Unsolvable("a sealed field that leaves its sources open: give a strategy for it")
        if issubclass(term, Source) and "clause" in vars(term):
            sources.append(term)
        else:
            sources.append(_serving(term))
    return Label(*sources)


def _names_sources(terms: Any) -> bool:
    return all(issubclass(term, Source) for term in _each(terms))


def _each(terms: Any) -> tuple[Any, ...]:
    """Return the members of a union, which may have a name."""
    while isinstance(terms, ALIASES):
        terms = terms.__value__
    return get_args(terms) if is_union(terms) else (terms,)


def _serving(purpose: TermMeta) -> type[Source]:
    """Return the source with the first clause that may serve a purpose.

    Sources subclass the purposes that they serve.
    """
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


# ---- Twins --------------------------------------------------------------------------------------------------------

_TRIES: Final = 5
_KEPT_NONE: Final = (1, 3)
"""Attempts in which fields that are None stay None."""
_RIGID: Final = 3
"""The first attempt in which structures stay as they are."""
_BACKWARDS: Final = (2, 3)
"""Attempts in which equal fields take the new value of the last of them, not of the first."""


_SELDOM_OTHER: Final = (False, False, False, True)
_EVEN_OTHER: Final = (False, True)
_MOSTLY_OTHER: Final = (False, True, True, True)
"""How often a structure is another one. Most of the time where there is nothing yet, as no value could differ."""


class Redrawing:
    """Draws new values at `paths`; with `differing`, until they differ from the old ones.

    `structures`: paths of containers and optional values that vary as a whole: which items there are, and whether there
    is a value. A container has either other items or new values in its items, so that a difference has one cause. With
    `differing`, absent fields at any of these paths may also be present, and the reverse.
    """

    def __init__(
        self,
        drawing: Drawing,
        paths: Collection[str],
        structures: Collection[str] = (),
        *,
        differing: bool = True,
        simple: bool = False,
    ) -> None:
        self._drawing = drawing
        self._paths = frozenset(paths)
        self._structures = frozenset(structures)
        self._differing = differing
        self._simple = simple
        """True if a value that equals the old one is replaced by the next simple one, not by a recognizable one."""
        self._rigid = not differing
        """True if structures stay as they are, as validators may require."""
        self._again = False
        """True if the model converted the new value to the old one, so another must be drawn."""

    def value(self, value: Any, annotation: Any, spot: Spot = NOWHERE) -> Any:
        """Return the value, or a copy with new values at `paths`."""
        if spot.path in self._paths:
            return self._anew(value, annotation, spot)
        varies = spot.path in self._structures and not self._rigid
        if isinstance(value, Sealed) or not (varies or self._reaches(spot.path)):
            return value
        annotation, spot = unwrap_annotation(annotation, spot)
        if is_union(annotation):
            members = get_args(annotation)
            other = _MOSTLY_OTHER if value is None else _SELDOM_OTHER
            if varies and NONE in members and self._drawing.choose(other):
                return self._draw_present(annotation, spot) if value is None else None
            return None if value is None else self.value(value, _member_of(value, members), spot)
        if value is None:
            return None
        if is_taggable(get_origin(annotation) or annotation):
            return self._model(value, annotation, spot)
        if isinstance(value, (Mapping, Sequence, collections.abc.Set)) and not isinstance(value, (str, bytes)):
            changed = self._restructure(value, annotation, spot) if varies else value
            return self._items(value, get_args(annotation), spot) if changed is value else changed
        return value

    def _reaches(self, path: str) -> bool:
        below = (f"{path}.", f"{path}[") if path else ("",)
        return any(own.startswith(below) for own in (*self._paths, *self._structures))

    def _restructure(self, value: Any, annotation: Any, spot: Spot) -> Any:
        """Return the container, or a copy with other items."""
        changes = self._drawing.choose(_EVEN_OTHER if value else _MOSTLY_OTHER)
        return restructure(self._drawing, value, annotation, spot) if changes else value

    def _anew(self, value: Any, annotation: Any, spot: Spot) -> Any:
        before = _content(value)
        if not self._rigid and not self._again and isinstance(value, (list, tuple, dict)) and value:
            # Drawn items are rarely the old ones in another order, or one of them twice.
            plain, place = unwrap_annotation(annotation, spot)
            changed = value if is_taggable(get_origin(plain) or plain) else self._restructure(value, plain, place)
            if not _same(value, changed):
                return changed
        if not self._differing:
            # Keep a value that cannot be recognised: another one would only change what code does. Do not keep None,
            # because an absent field would not be reported as unrecognisable.
            if before is not None and _is_one_of_few(before, annotation, spot):
                return value
            drawn = self._draw_again(value, annotation, spot)
            return drawn if before is None or texts_of(_content(drawn)) or not _is_plain_number(before) else value
        # A drawn value may equal the old one, and does when both are the simplest; marked values differ. The number is
        # drawn in any case: to hypothesis, fewer choices are simpler, and the simplest example would not be.
        number = self._drawing.draw(_TURNS)
        drawings = [
            self._drawing.with_marks(number + attempt, simple=self._simple and attempt == 0)
            for attempt in range(_TRIES)
        ]
        for drawing in drawings[1:] if self._again else (self._drawing, *drawings):
            drawn = self._draw_unlike(value, annotation, spot, drawing)
            new = _content(drawn)
            if not _same(before, new) and new != str(before):  # The model may convert a text to the old value.
                return drawn
        return value

    def _draw_unlike(self, value: Any, annotation: Any, spot: Spot, drawing: Drawing | None = None) -> Any:
        """Draw again, without the old value where the type has few."""
        drawing = drawing or self._drawing
        drawing.avoid = (_content(value),)
        try:
            return self._draw_again(value, annotation, spot, drawing)
        finally:
            drawing.avoid = ()

    def _draw_present(self, annotation: Any, spot: Spot) -> Any:
        """Return a value for a place that has none; None if the type is drawn by a strategy of the application."""
        with contextlib.suppress(Unsolvable):
            return self._draw_unlike(None, annotation, spot)
        return None

    def _draw_again(self, value: Any, annotation: Any, spot: Spot, drawing: Drawing | None = None) -> Any:
        # The model does not seal the value, so the new value keeps the label of the old one.
        try:
            drawn = (drawing or self._drawing).value(annotation, spot.but(personal=True, seals=False))
        except Unsolvable as error:
            raise error.at(spot.path) from error
        if isinstance(value, Sealed) and isinstance(drawn, Sealed):
            # Use the value's own label: it may have fewer sources than the annotation.
            return Personal(_content(drawn), value.label)
        return drawn

    def _items(self, value: Any, args: tuple[Any, ...], spot: Spot) -> Any:
        items = list(value.values() if isinstance(value, Mapping) else value)
        if isinstance(value, Mapping):
            inner = (args[-1:] or (object,)) * len(items)
        else:
            fixed = isinstance(value, tuple) and bool(args) and args[-1] is not ...
            inner = args if fixed else (args[:1] or (object,)) * len(items)
        below = spot.item()
        changed = with_items(value, [(item, self.value(item, inner[index], below)) for index, item in enumerate(items)])
        # Two new values of a set may be equal: then it has fewer, which another place of the twin is to show.
        return changed if len(changed) == len(items) else value

    def _model(self, value: Any, annotation: Any, spot: Spot) -> Any:
        cls, bindings = bindings_of(annotation, spot.names)
        if not isinstance(value, dict) and type(value) is not cls:
            cls, bindings = type(value), ()  # a subclass, or a class other than the annotated one
            if not is_taggable(cls):
                return value
        fields, scope = fields_of(cls), scope_of(cls, bindings)
        old_values = field_values(value, tuple(map(operator.attrgetter("name"), fields)))
        refuses_itself: Callable[[], bool] = functools.cache(lambda: not passes(lambda: instantiate(cls, old_values)))
        refused = False
        rigid = self._rigid
        for attempt in range(_TRIES):
            self._rigid = rigid or attempt >= _RIGID
            try:
                changes, absent = self._changes(value, cls, fields, spot, scope)
            finally:
                self._rigid = rigid
            if not changes and not absent:
                return value
            if attempt in _KEPT_NONE:  # validators may count the fields that are present
                changes = {name: new for name, new in changes.items() if old_values.get(name) is not None} or changes
            if attempt:
                changes = _as_alike(old_values, changes, backwards=attempt in _BACKWARDS)
            last = attempt == _TRIES - 1 and not refused  # the model may have no other values than the old ones
            try:
                whole = instantiate(cls, omit_keys({**old_values, **changes}, absent))
            except Exception:  # noqa: BLE001  # the application's validators, which may raise anything
                if refuses_itself():  # the old values are refused too, so validation says nothing
                    return with_fields(value, changes)
                refused = True
                continue
            changes = {name: read_field(whole, name) for name in changes}
            self._again = not last and self._has_equal_value(old_values, changes, spot)
            if not self._again:
                return with_fields(value, {**changes, **field_values(whole, tuple(absent))}, absent)
        return reject()

    def _has_equal_value(self, old_values: Mapping[str, Any], changes: Mapping[str, Any], spot: Spot) -> bool:
        """Return True if a field that must differ has a value that equals the old one."""
        if not self._differing:
            return False
        for name, new in changes.items():
            if spot.below(name) in self._paths and _same(_content(old_values.get(name, MISSING)), _content(new)):
                return True
        return False

    def _changes(
        self, value: Any, cls: type, fields: Sequence[ModelField], spot: Spot, scope: Callable[[str], Names]
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the new values of fields, and the fields that are to be absent."""
        changes: dict[str, Any] = {}
        absent: list[str] = []
        # Absent fields are visible in the keys of a dict, in pydantic's dumps, in `model_fields_set`.
        shows_absent = not self._rigid and (typing_extensions.is_typeddict(cls) or issubclass(cls, BaseModel))
        for field in fields:
            place = spot.field(field, scope(field.name))
            varies = shows_absent and not field.needed and place.path in self._paths | self._structures
            old = read_field(value, field.name)
            if varies and has_field(value, field.name) and self._drawing.choose(_SELDOM_OTHER):
                absent.append(field.name)
            elif old is not MISSING:
                new = self.value(old, field.annotation, place)
                if new is not old:
                    changes[field.name] = new
            elif varies and self._drawing.choose(_MOSTLY_OTHER):
                new = self._draw_present(field.annotation, place)
                if new is not None:
                    changes[field.name] = new
        return changes, absent


def _as_alike(held: Mapping[str, Any], changes: dict[str, Any], *, backwards: bool) -> dict[str, Any]:
    """Return the changes, with fields equal that were equal before: validators may require it."""
    alike_changes: dict[str, Any] = {}
    for name, new in reversed(changes.items()) if backwards else changes.items():
        like = next((other for other in alike_changes if name in held and _same(held.get(other), held[name])), None)
        alike_changes[name] = new if like is None else alike_changes[like]
    return alike_changes


def _is_one_of_few(value: Any, annotation: Any, spot: Spot) -> bool:
    """Return True if the value's type has few possible values (bool, Literal, Enum).

    A container qualifies if all its items do.
    """
    annotation, spot = unwrap_annotation(annotation, spot)
    args = get_args(annotation)
    if is_union(annotation):
        return any(_is_one_of_few(value, member, spot) for member in args if member is not NONE)
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Sealed):
        return _is_one_of_few(value, args[0], spot)
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)) and args:
        inner = args if isinstance(value, tuple) and args[-1] is not ... else (args[0],) * len(value)
        return bool(value) and all(map(_is_one_of_few, value, inner, (spot,) * len(value)))
    return any(type(value) is type(few) and value == few for few in list_fixed_values(annotation) or ())


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, (int, float, decimal.Decimal))


def _content(value: Any) -> Any:
    """Return the plain value; for a pending seal, an object that equals nothing."""
    if not isinstance(value, Sealed):
        return value
    inside = content(value)
    return object() if type(inside) is PendingValue else inside


def _same(first: Any, other: Any) -> bool:
    if type(first) is not type(other):
        return False
    return first is other or bool(first == other)


def _member_of(value: Any, members: tuple[Any, ...]) -> Any:
    """Return the member of a union that a value belongs to."""
    for member in members:
        plain, _ = unwrap_annotation(member, NOWHERE)
        cls = get_origin(plain) or plain
        if isinstance(value, dict) and is_taggable(cls):
            if hasattr(cls, "__required_keys__") and cls.__required_keys__ <= set(value) <= set(cls.__annotations__):
                return member
        elif isinstance(cls, type) and isinstance(value, cls):
            return member
    for member in members:
        if member is not type(None):
            return member
    return members[0]
