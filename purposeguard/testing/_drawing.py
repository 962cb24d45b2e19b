"""Values drawn along an annotation: models with their fields, containers with their items, seals with what is in them."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NewType, TypeVar, cast, get_args, get_origin

import typing_extensions
from hypothesis import reject
from hypothesis import strategies as st
from pydantic import ValidationError

from purposeguard.fields import _OPAQUE, _TRANSPARENT, ALIASES, is_taggable, shape_of, what_is
from purposeguard.label import Label
from purposeguard.marks import Mark
from purposeguard.personal import Personal
from purposeguard.sealing import Sealed
from purposeguard.terms import NotPersonal, Purpose, Source, TermMeta, is_union
from purposeguard.testing._kinds import number_of
from purposeguard.testing._leaves import Check, Leaf, Limits, Unsolvable, leaf_of
from purposeguard.testing._models import Field, Names, bindings_of, fields_of, made, scope_of, substituted

Draw = Callable[[st.SearchStrategy[Any]], Any]
NONE: Final = type(None)
_DEEPEST: Final = 2
"""How often a model is entered within itself."""
_ATTEMPTS: Final = 4
"""How often a model is made anew whose validators refused it as a whole."""


class Drawing:
    """One drawing of one value: what is personal is marked, where it is asked for.

    `marking`: of what is personal, values that are seen again; nothing of it is left out or None.
    """

    def __init__(self, draw: Draw, *, marking: bool = False, salt: str = "") -> None:
        self._draw = draw
        self._marking = marking
        self._salt = salt
        self._counts: collections.Counter[str] = collections.Counter()
        self._inside: list[type] = []
        self.avoid: tuple[Any, ...] = ()
        """What is not to be drawn, where a type has few values."""

    def instance(self, model: Any, given: Mapping[str, st.SearchStrategy[Any]] = types.MappingProxyType({})) -> Any:
        """One of a tagged model, or of an annotation that holds some."""
        if is_taggable(get_origin(model) or model):
            cls, bindings = bindings_of(model, {})
            return self.model(cls, bindings=bindings, given=given)
        return self.value(model)

    def value(  # noqa: C901  # one line a form that an annotation may have
        self,
        annotation: Any,
        path: str = "",
        *,
        personal: bool = False,
        names: Names = types.MappingProxyType({}),
        metadata: tuple[object, ...] = (),
        check: Check | None = None,
    ) -> Any:
        """A value of the annotation; raises Unsolvable where nothing is known that it could be made from."""
        again = functools.partial(self.value, path=path, names=names, check=check)
        annotation = substituted(annotation, names)
        if isinstance(annotation, TypeVar):
            return again(_of_variable(annotation), personal=personal, metadata=metadata)
        if isinstance(annotation, NewType):
            return again(annotation.__supertype__, personal=personal, metadata=metadata)
        if isinstance(annotation, dataclasses.InitVar):
            return again(annotation.type, personal=personal, metadata=metadata)
        if isinstance(annotation, ALIASES):
            return again(cast("Any", annotation).__value__, personal=personal, metadata=metadata)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            more = tuple(one for one in args[1:] if not isinstance(one, (TermMeta, Label, Mark)))
            tagged = any(isinstance(one, (TermMeta, Label)) for one in args[1:])
            return again(args[0], personal=personal or tagged, metadata=(*more, *metadata))
        if isinstance(origin, ALIASES):
            inner = dict(zip(origin.__type_params__, (substituted(one, names) for one in args), strict=False))
            bound = {**names, **inner}
            return self.value(origin.__value__, path, personal=personal, names=bound, metadata=metadata, check=check)
        if is_union(annotation):
            return self._one_of(args, path, personal=personal, names=names, metadata=metadata, check=check)
        if origin in _TRANSPARENT:
            return again(args[0], personal=personal, metadata=metadata)
        if isinstance(origin or annotation, type) and issubclass(origin or annotation, Sealed):
            return self._sealed(args, path, names)
        if is_taggable(origin or annotation):
            return self._model(annotation, path, personal=personal, names=names)
        if origin is not None and origin not in _OPAQUE:
            return self._container(origin, args, path, personal, names, metadata, check)
        if annotation in _BARE:
            return self._container(annotation, (), path, personal, names, metadata, check)
        return self._leaf(annotation, path, personal, metadata, check)

    def _leaf(
        self, annotation: Any, path: str, personal: bool, metadata: tuple[object, ...], check: Check | None
    ) -> Any:
        leaf = _known_leaf(annotation, metadata, check)
        if leaf.fixed is not None:
            left = [one for one in leaf.fixed if one not in self.avoid]
            return self._draw(st.sampled_from(left or leaf.fixed))
        if self._marking and personal and leaf.mark is not None:
            return leaf.mark(self._number(path))
        return self._draw(leaf.values)

    def _number(self, path: str) -> int:
        """A number that no other place has, and that shrinks."""
        self._counts[path] += 1
        return number_of(self._salt, path, self._counts[path], self._draw(st.integers(0, 2**32 - 1)))

    def _one_of(self, args: Sequence[Any], path: str, *, personal: bool, names: Names, **more: Any) -> Any:
        members = list(args)
        if NONE in members and len(members) > 1:
            members.remove(NONE)
            deep = self._is_deep(members)
            keep = self._marking and (personal or any(map(_holds_personal, members))) and not deep
            if deep or (not keep and None not in self.avoid and self._draw(st.integers(0, 3)) == 0):
                return None
        failed: Unsolvable | None = None
        chosen = self._draw(st.sampled_from(range(len(members)))) if len(members) > 1 else 0
        for index in (chosen, *(one for one in range(len(members)) if one != chosen)):
            try:
                return self.value(members[index], path, personal=personal, names=names, **more)
            except Unsolvable as error:
                failed = error
        raise failed or Unsolvable("a union of nothing")

    def _is_deep(self, members: Iterable[Any]) -> bool:
        return any(self._inside.count(get_origin(one) or one) >= _DEEPEST for one in _models_in(members))

    def _sealed(self, args: Sequence[Any], path: str, names: Names) -> Any:
        if len(args) != 2:
            raise Unsolvable("a sealed field says what is in it and its sources: `Personal[str, Source]`")
        label = sealing_label(substituted(args[1], names))
        inner = self.value(args[0], path, personal=label is not _NOT_PERSONAL, names=names)
        return Personal(inner, label)

    def _model(self, annotation: Any, path: str, *, personal: bool, names: Names) -> Any:
        cls, bindings = bindings_of(annotation, names)
        return self.model(cls, path, bindings=bindings, personal=personal)

    def model(
        self,
        cls: type,
        path: str = "",
        *,
        bindings: tuple[tuple[Any, Any], ...] = (),
        personal: bool = False,
        given: Mapping[str, st.SearchStrategy[Any]] = types.MappingProxyType({}),
    ) -> Any:
        """One of a model, with what `given` draws in the fields of these names."""
        fields = fields_of(cls)
        scope = scope_of(cls, bindings)
        self._inside.append(cls)
        try:
            for attempt in range(_ATTEMPTS):
                values: dict[str, Any] = {}
                alike: dict[str, Any] = {}
                for field in fields:
                    if field.name in given:
                        values[field.name] = self._draw(given[field.name])
                        continue
                    self._field(field, values, path, personal, scope(field.name))
                    if attempt >= _ATTEMPTS // 2:  # perhaps two fields are to hold the same
                        values[field.name] = alike.setdefault(str(field.annotation), values.get(field.name))
                try:
                    return made(cls, values)
                except (ValidationError, ValueError, TypeError, AssertionError) as error:
                    refused = error
            if isinstance(refused, TypeError):
                raise refused
        finally:
            self._inside.pop()
        return reject()

    def _field(self, field: Field, values: dict[str, Any], path: str, personal: bool, names: Names) -> None:
        below = f"{path}.{field.name}" if path else field.name
        is_key = get_origin(field.annotation) in _NOT_REQUIRED
        if not field.needed and is_key and not self._marking and self._draw(st.integers(0, 3)) == 0:
            return
        try:
            value = self.value(field.annotation, below, personal=personal, names=names, check=field.check)
        except Unsolvable as error:
            if field.needed:
                raise Unsolvable(f"{below}: {error}") from error
            return
        values[field.name] = value

    def _container(  # noqa: PLR0917
        self,
        origin: Any,
        args: Sequence[Any],
        path: str,
        personal: bool,
        names: Names,
        metadata: tuple[object, ...],
        check: Check | None,
    ) -> Any:
        if origin is type or origin in _OPAQUE:
            return self._leaf(origin[tuple(args)] if args else origin, path, personal, metadata, check)
        least, most = _lengths(metadata)
        item = functools.partial(self.value, path=f"{path}[]", personal=personal, names=names)
        if origin is tuple and args and args[-1] is not ...:
            return tuple(item(one) for one in args)
        if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
            return self._mapping(origin, args, path, item, least, most)
        make = _CONTAINERS.get(origin)
        if make is None:
            raise Unsolvable(f"no strategy is known for {what_is(origin)}")
        inner = args[0] if args else str
        if self._is_deep([inner]):
            most = least
        elif self._marking and (personal or _holds_personal(inner)):
            least = max(least, 1)
        alone = make not in (set, frozenset) or least < 2
        wrapped = _Within(check, make, least) if check is not None and alone else None
        found: list[Any] = []
        size = self._draw(st.integers(least, max(least, min(least + 3, most if most is not None else least + 3))))
        while len(found) < size:
            value = item(inner, check=wrapped)
            if make in (set, frozenset) and value in found:
                size -= 1  # one of few: a set of fewer
                if size < least:
                    reject()
                continue
            found.append(value)
        return make(found)

    def _mapping(
        self, origin: Any, args: Sequence[Any], path: str, item: Callable[..., Any], least: int, most: int | None
    ) -> Any:
        key, inner = args if len(args) == 2 else (str, int if origin is collections.Counter else str)
        if self._is_deep([inner]):
            most = least
        elif self._marking and _holds_personal(inner):
            least = max(least, 1)
        size = self._draw(st.integers(least, max(least, min(least + 3, most if most is not None else least + 3))))
        found: dict[Any, Any] = {}
        for _ in range(size):
            found[item(key, path=path)] = item(inner)
        if len(found) < least:
            reject()
        make = _MAPPINGS.get(origin, dict)
        return collections.defaultdict(None, found) if make is collections.defaultdict else make(found)


_NOT_REQUIRED: Final = (typing.NotRequired, typing_extensions.NotRequired)
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
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: collections.defaultdict,
    collections.Counter: collections.Counter,
    types.MappingProxyType: types.MappingProxyType,
}
_BARE: Final = (list, tuple, set, frozenset, dict, collections.deque)
_NOT_PERSONAL: Final = Label(NotPersonal)


def _of_variable(variable: Any) -> Any:
    default = getattr(variable, "__default__", typing_extensions.NoDefault)
    if default is not typing_extensions.NoDefault:
        return default
    if variable.__bound__ is not None:
        return variable.__bound__
    return typing.Union[variable.__constraints__] if variable.__constraints__ else object  # noqa: UP007  # known now


def _lengths(metadata: Iterable[object]) -> tuple[int, int | None]:
    limits = Limits(metadata)
    return limits.shortest, limits.longest


@dataclasses.dataclass(frozen=True)
class _Within:
    """Whether a field takes an item, asked with a container of it alone."""

    check: Check
    make: Callable[[list[Any]], Any]
    least: int

    def __call__(self, value: Any) -> bool:
        try:
            return self.check(self.make([value] * max(1, self.least)))
        except TypeError:  # no hash
            return True


def _known_leaf(annotation: Any, metadata: tuple[object, ...], check: Check | None) -> Leaf:
    try:
        return _kept_leaf(annotation, metadata, check)
    except TypeError:
        return leaf_of(annotation, metadata, check)  # metadata without a hash


_kept_leaf: Final = functools.lru_cache(maxsize=2048)(leaf_of)


def _models_in(members: Iterable[Any]) -> Iterable[Any]:
    for one in members:
        if is_taggable(get_origin(one) or one):
            yield one
        elif get_origin(one) is not None:
            yield from _models_in(get_args(one))


def _holds_personal(annotation: Any) -> bool:
    return not isinstance(annotation, TypeVar) and shape_of(annotation).has_tags


def sealing_label(terms: Any) -> Label:
    """The label under which what an annotation calls sealed under `terms` is sealed: all sources that it names.

    Where it names a purpose, the first source that may serve it.

    Raises:
        Unsolvable: it names neither.
    """
    while isinstance(terms, ALIASES):
        terms = cast("Any", terms).__value__
    members = get_args(terms) if is_union(terms) else (terms,)
    found: list[type[Source]] = []
    for one in members:
        if not isinstance(one, TermMeta):
            raise Unsolvable("a sealed field that leaves its sources open: give a strategy for it")
        if issubclass(one, Source) and "clause" in vars(one):
            found.append(cast("type[Source]", one))
            continue
        serving = serving_sources(cast("type[Purpose]", one))
        if not serving:
            raise Unsolvable(f"no source may serve {one.__name__}")
        found.append(serving[0])
    return Label(*found)


def serving_sources(purpose: type[Purpose] | type[Source]) -> list[type[Source]]:
    """The sources that are subclasses of a purpose, in the order in which they were made."""
    found: dict[type[Source], None] = {}
    pending: list[Any] = [purpose]
    while pending:
        for one in type.__subclasses__(pending.pop(0)):
            pending.append(one)
            if issubclass(one, Source) and "clause" in vars(one):
                found.setdefault(one)
    return list(found)
