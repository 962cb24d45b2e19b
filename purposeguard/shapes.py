"""What an annotation says of a value: its tags and marks, its models, its containers.

`Annotated[str, Registration]` tags a value. Read are pydantic models, dataclasses, TypedDicts, NamedTuples and attrs
classes, through optionals, unions, containers, nested and generic models, forward references and type aliases.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, ForwardRef, NewType, TypeVar, TypeVarTuple, cast, get_args, get_origin

import typing_extensions
from pydantic import BaseModel

from purposeguard import hints
from purposeguard.annotations import (
    ALIASES,
    LITERALS,
    NO_CONTAINERS,
    OPAQUE,
    PLAIN,
    TRANSPARENT,
    WITHOUT_FIELDS,
    evaluated,
    is_taggable,
    resolvable,
)
from purposeguard.errors import UnlabelledData
from purposeguard.label import Label
from purposeguard.marks import TABLES_ALONE, Collected, Ended, Mark
from purposeguard.sealing import Sealed
from purposeguard.terms import Source, TermMeta, is_union

_LEAVES: Final = (*(PLAIN - {type(None)}), *WITHOUT_FIELDS)

Bindings = Mapping[Any, "Shape"]
"""What the type variables of a generic model stand for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A taggable class as an annotation names it, with what its type variables stand for."""

    cls: type
    bindings: tuple[tuple[Any, Shape], ...] = ()

    @property
    def is_mapping(self) -> bool:
        """Whether its values are plain dicts that do not know their class."""
        return typing_extensions.is_typeddict(self.cls)

    @property
    def shape(self) -> Shape:
        """The shape of a value of this class."""
        return Shape(models=(self,))

    def fields(self) -> Mapping[str, Shape]:
        """The shape of each field, in the class's order; read once for each class that is not generic.

        Raises:
            UnlabelledData: an annotation cannot be resolved, so what the field holds is unknown; or only the rows of a
                table say where it was collected, which is not asked here.
        """
        known: Mapping[str, Shape] | None = vars(self.cls).get(_SHAPES) if not self.bindings else None
        if known is None:
            known = self.columns()
            for name, shape in known.items():
                if not shape.marks_within.isdisjoint(TABLES_ALONE):
                    raise UnlabelledData(
                        f"{self.cls.__qualname__}.{name} is marked as a column of a table whose rows say where they "
                        "were collected: read them through `purposeguard.adapters`, or tag the field with its sources"
                    )
            if not self.bindings:
                type.__setattr__(self.cls, _SHAPES, known)
        return known

    def columns(self) -> Mapping[str, Shape]:
        """The same of a table whose rows the class describes, which may have marks that no field of a model has.

        Raises:
            UnlabelledData: an annotation cannot be resolved.
        """
        scopes = _scopes(self.cls, dict(self.bindings))
        return {
            name: shape_of(hint, scopes.get(hints.stated_by(self.cls, name), {}))
            for name, hint in hints_of(self.cls).items()
        }

    def marks(self) -> Mapping[Mark, tuple[str, ...]]:
        """Mark → the fields that bear it, themselves or on their items; likewise.

        Raises:
            UnlabelledData: a mark is on a sealed field or on keys, or twice where one field is to say it. Also as
                `fields`.
        """
        known: Mapping[Mark, tuple[str, ...]] | None = vars(self.cls).get(_MARKED) if not self.bindings else None
        if known is None:
            known = _marks_of(self.cls, self.fields())
            if not self.bindings:
                type.__setattr__(self.cls, _MARKED, known)
        return known


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What an annotation says of a value: its own tags, the models it may be, and what it contains.

    `sealed`: it is, or may be, a sealed value; `seal` are its sources, where the annotation names sources. What is in a
    sealed value (`within`) is checked where it is opened, so it counts for nothing that is checked where it is read.
    `keys` are those of a mapping, whose tags are among its own. `plain` are the classes without fields that it may be.
    """

    tags: frozenset[type[Source]] = frozenset()
    models: tuple[Model, ...] = ()
    items: Shape | None = None
    sealed: bool = False
    seal: frozenset[type[Source]] = frozenset()
    within: Shape | None = None
    marks: frozenset[Mark] = frozenset()
    keys: Shape | None = None
    plain: frozenset[type] = frozenset()

    @property
    def says_what(self) -> bool:
        """Whether it says what the value is: a model, a container or a seal. Else anything may come."""
        return self.sealed or self.items is not None or bool(self.models)

    @property
    def own_label(self) -> Label | None:
        """The label of the value as a whole: its own tags, and those of plain items in it."""
        tags = set(self.tags)
        items = self.items
        while items is not None:
            tags |= items.tags
            items = items.items
        return Label(*tags) if tags else None

    def __or__(self, other: Shape) -> Shape:
        items, within, keys = (
            one | another if one and another else one or another
            for one, another in ((self.items, other.items), (self.within, other.within), (self.keys, other.keys))
        )
        models = tuple(dict.fromkeys((*self.models, *other.models)))
        sealed = self.sealed or other.sealed
        marks, plain = self.marks | other.marks, self.plain | other.plain
        return Shape(self.tags | other.tags, models, items, sealed, self.seal | other.seal, within, marks, keys, plain)

    def walk(self, path: str = "", seen: tuple[Model, ...] = ()) -> Iterator[tuple[str, Shape]]:
        """Every value below this one by its path, e.g. `orders[].address`; a model inside itself is not entered."""
        if path or self.tags or self.seal:
            yield path, self
        if self.within is not None:  # what is in it keeps its tags, and none of it is seen from outside
            yield path, Shape(sealed=True, seal=frozenset().union(*self.within.everything(set())))
        if self.items is not None:
            yield from self.items.walk(f"{path}[]", seen)
        for model in self.models:
            if _is_new(model, seen):
                for name, shape in model.fields().items():
                    yield from shape.walk(f"{path}.{name}" if path else name, (*seen, model))

    def everything(self, seen: set[Model]) -> Iterator[frozenset[type[Source]]]:
        """The sources of all that is in it, each model entered once."""
        yield self.tags | self.seal
        for part in (self.items, self.within):
            if part is not None:
                yield from part.everything(seen)
        for model in self.models:
            if _is_new(model, seen):
                seen.add(model)
                for shape in model.fields().values():
                    yield from shape.everything(seen)

    @property
    def is_marked(self) -> bool:
        """Whether there are rows in it that say whose they are, or from when."""
        return any(model.marks() for model in self.every_model())

    @property
    def marks_within(self) -> frozenset[Mark]:
        """The marks that stand on it, or on what it contains, and not on a field of a row."""
        parts = (self.items, self.keys, self.within)
        return self.marks.union(*(part.marks_within for part in parts if part is not None))

    @property
    def is_marked_itself(self) -> bool:
        """Whether a mark stands on it, or on what it contains, and not on a field of a row."""
        return bool(self.marks_within)

    def outside_rows(self) -> Iterator[Shape]:
        """It, and what is in it and in no marked row: nothing will say whose that is."""
        pending: list[Shape] = [self]
        seen: list[Model] = []
        while pending:
            shape = pending.pop()
            yield shape
            if shape.items is not None:
                pending.append(shape.items)
            for model in shape.models:
                if not model.marks() and _is_new(model, tuple(seen)):
                    seen.append(model)
                    pending += model.fields().values()

    def every_model(self) -> Iterator[Model]:
        """The models in it, each once."""
        seen: list[Model] = []
        pending = [self]
        while pending:
            shape = pending.pop()
            pending += [one for one in (shape.items, shape.keys, shape.within) if one is not None]
            for model in shape.models:
                if _is_new(model, tuple(seen)):
                    seen.append(model)
                    yield model
                    pending += model.fields().values()

    @property
    def has_fields(self) -> bool:
        """Whether there is a model in it, or a tag."""
        return bool(self.models or self.tags or self.sealed) or (self.items is not None and self.items.has_fields)

    @property
    def holds_seals(self) -> bool:
        """Whether there may be a sealed value in it."""
        return any(shape.sealed for _, shape in self.walk("value"))

    @property
    def has_tags(self) -> bool:
        """Whether anything in it is tagged or sealed."""
        return self.holds_seals or bool(self.all_labels())

    @property
    def is_leaf(self) -> bool:
        """Whether nothing below it can carry a tag of its own."""
        return not self.models and (self.items is None or self.items.is_leaf)

    def labels(self) -> dict[str, Label]:
        """Path → label of everything tagged and plain."""
        return _united_labels((path, shape.tags) for path, shape in self.walk())

    def seals(self) -> dict[str, Label]:
        """Path → label of everything sealed."""
        return _united_labels((path, shape.seal) for path, shape in self.walk())

    def all_labels(self) -> dict[str, Label]:
        """Path → label of everything tagged or sealed."""
        return _united_labels((path, shape.tags | shape.seal) for path, shape in self.walk())

    def label_of_all(self) -> Label | None:
        """The label of the value with everything in it; None where nothing is tagged or sealed."""
        labels = self.all_labels()
        return Label.join(*labels.values()) if labels else None


def says_nothing(cls: type) -> bool:
    """Whether a class is known to have no marks; quicker than to ask its model, where it was asked before."""
    own = vars(cls)
    return not own.get(_MARKED, True) and "__purposeguard_withheld__" not in own


def _is_new(model: Model, seen: Collection[Model]) -> bool:
    """Whether a model was not entered yet: a class with other arguments is another.

    Raises:
        UnlabelledData: its arguments grow each time that it holds itself, so there is no end of it.
    """
    if sum(one.cls is model.cls for one in seen) > _DEEPEST:
        raise UnlabelledData(f"{model.cls.__qualname__} holds itself with ever more arguments: its tags have no end")
    return model not in seen


_DEEPEST: Final = 50
"""How often a generic class may hold itself with other arguments."""


def _united_labels(found: Iterable[tuple[str, frozenset[type[Source]]]]) -> dict[str, Label]:
    united: dict[str, Label] = {}
    for path, sources in found:
        if sources:
            label = Label(*sources)
            united[path] = united[path] | label if path in united else label
    return united


def shape_of(annotation: object, bindings: Bindings = types.MappingProxyType({})) -> Shape:
    """The shape of an annotation.

    Raises:
        UnlabelledData: it is, or holds, a name that is not resolved.
        UnknownSource: a tag is a purpose, or the bare `Source`.
    """
    if isinstance(annotation, (TypeVar, TypeVarTuple)):
        return bindings[annotation] if annotation in bindings else _shape_of_unbound(annotation, bindings)
    if isinstance(annotation, (str, ForwardRef)):
        raise UnlabelledData(f"the annotation {annotation!r} is not resolved, so what it holds is unknown")
    if isinstance(annotation, NewType):
        return shape_of(annotation.__supertype__, bindings)
    if isinstance(annotation, dataclasses.InitVar):
        return shape_of(annotation.type, bindings)
    if isinstance(annotation, ALIASES):
        return shape_of(cast("Any", annotation).__value__, bindings)
    origin = get_origin(annotation)
    if origin is not None:
        return _shape_of_generic(annotation, origin, get_args(annotation), bindings)
    if isinstance(annotation, TermMeta):  # what a type variable or an alias stands for in `Personal[T, S]`
        is_source = issubclass(annotation, Source) and "clause" in vars(annotation)
        return Shape(seal=frozenset({cast("type[Source]", annotation)}) if is_source else frozenset())
    if isinstance(annotation, type) and issubclass(annotation, Sealed):
        return Shape(sealed=True)
    if isinstance(annotation, type) and issubclass(annotation, _LEAVES) and not is_taggable(annotation):
        # As type checkers have it, an int is a float.
        return Shape(plain=frozenset({annotation, int} if annotation is float else {annotation}))
    return Shape(models=(Model(annotation),)) if is_taggable(annotation) else _shape_of_bases(annotation, bindings)


def _shape_of_unbound(name: Any, bindings: Bindings) -> Shape:
    """The shape of a type variable that nothing is given for: all that it may be."""
    default = getattr(name, "__default__", typing_extensions.NoDefault)
    stated = [getattr(name, "__bound__", None), *getattr(name, "__constraints__", ())]
    return _joined(stated if default is typing_extensions.NoDefault else [*stated, default], bindings)


def _shape_of_bases(cls: object, bindings: Bindings) -> Shape:
    """The shape of a class that is no model: one that derives from `list[Customer]` holds customers."""
    bases = [base for one in getattr(cls, "__mro__", ()) for base in vars(one).get("__orig_bases__", ())]
    return _joined((base for base in bases if get_origin(base) not in NO_CONTAINERS), bindings)


def _shape_of_generic(annotation: object, origin: Any, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """The shape of what was written with brackets, or as a union."""
    if origin is Annotated:
        marks = frozenset(one for one in args[1:] if isinstance(one, Mark))
        return Shape(frozenset(_tags(args[1:])), marks=marks) | shape_of(args[0], bindings)
    if is_union(annotation) or origin in TRANSPARENT:
        return _joined(args, bindings)
    if origin in OPAQUE:
        return Shape(plain=frozenset(map(type, args)) if origin in LITERALS else frozenset())
    if isinstance(origin, ALIASES):
        return shape_of(origin.__value__, {**bindings, **_bound(origin.__type_params__, args, bindings)})
    if isinstance(origin, type) and issubclass(origin, Sealed):
        return _shape_of_seal(args, bindings)
    if is_taggable(origin):
        bound = _bound(getattr(origin, "__parameters__", ()), args, bindings)
        return Shape(models=(Model(origin, tuple(bound.items())),))
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
        keys = shape_of(args[0], bindings)
        tags = frozenset(source for label in keys.labels().values() for source in label.sources)
        return Shape(tags, (), shape_of(args[1], bindings), keys.sealed, keys.seal, keys.within, keys=keys)
    # A container; of a generic class that is not known to be one, its arguments are taken to be inside.
    return Shape(items=_joined((arg for arg in args if arg is not ...), bindings))


def _bound(parameters: Sequence[Any], args: Sequence[Any], bindings: Bindings) -> dict[Any, Shape]:
    """What the type variables of a generic class or alias stand for."""
    found: dict[Any, Shape] = {}
    left = list(args)
    for number, name in enumerate(parameters):
        if isinstance(name, TypeVarTuple):  # takes what the ones behind it leave
            end = max(0, len(left) - (len(parameters) - number - 1))
            found[name], left = _joined(left[:end], bindings), left[end:]
        elif left:
            found[name] = shape_of(left.pop(0), bindings)
    return found


def _shape_of_seal(args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """The shape of `Personal[T, S]`."""
    return Shape(sealed=True, seal=shape_of(args[1], bindings).seal, within=shape_of(args[0], bindings))


def _joined(annotations: Iterable[object], bindings: Bindings) -> Shape:
    shape = Shape()
    for annotation in annotations:
        if annotation is not None:
            shape |= shape_of(annotation, bindings)
    return shape


def _tags(marks: Iterable[object]) -> Iterator[type[Source]]:
    for mark in marks:
        if isinstance(mark, TermMeta):
            yield from Label(cast("type[Source]", mark)).sources
        elif isinstance(mark, Label):
            yield from mark.sources


_MARKED: Final = "__purposeguard_marks__"
"""Where a class keeps which of its fields are marked."""


def _marks_of(cls: type, fields: Mapping[str, Shape]) -> dict[Mark, tuple[str, ...]]:
    found: dict[Mark, tuple[str, ...]] = {}
    for name, shape in fields.items():
        part: Shape | None = shape
        while part is not None:
            if (part.marks and part.sealed) or (part.within is not None and part.within.is_marked_itself):
                raise UnlabelledData(f"{cls.__qualname__}.{name} is sealed and marked: nobody could read the mark")
            if part.keys is not None and part.keys.is_marked_itself:
                raise UnlabelledData(
                    f"{cls.__qualname__}.{name} has marked keys: a mark stands on a field, or its items"
                )
            for mark in part.marks:
                found[mark] = (*found.get(mark, ()), name)
            part = part.items
    for mark in (Collected, Ended):
        if len(found.get(mark, ())) > 1:
            names = " and ".join(f"`{name}`" for name in found[mark])
            raise UnlabelledData(f"{cls.__qualname__}: {names} are both marked {mark!r}, and one is to say it")
    return found


_READ: Final = "__purposeguard_hints__"
"""Where a class keeps its annotations once they are read: they do not change, and go when it goes."""

_SHAPES: Final = "__purposeguard_shapes__"
"""Where it keeps what they say."""


def hints_of(cls: type, localns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Field → resolved annotation, tags included, those said from outside as well."""
    known: dict[str, Any] | None = vars(cls).get(_READ)  # of its own: a subclass has more
    if known is None or localns:
        known, others = hints.read(cls, localns)
        if issubclass(cls, BaseModel):
            _refuse_hidden_tags(cls)
        elif hints.EXTRA_ITEMS in others and shape_of(others[hints.EXTRA_ITEMS]).labels():
            raise UnlabelledData(f"{cls.__qualname__}: extra items cannot carry a tag: declare a key, or seal it")
        _refuse_hidden_marks(cls, others)
        type.__setattr__(cls, _READ, known)
        type.__setattr__(cls, _SHAPES, None)  # they may have been read with other names before
    return known


def _refuse_hidden_tags(cls: type[BaseModel]) -> None:
    """Raises UnlabelledData where what is no field carries a tag: nobody would read it. Seals look after themselves."""
    for one in cls.__mro__:
        stated = typing_extensions.get_annotations(one, format=typing_extensions.Format.FORWARDREF)
        names = getattr(sys.modules.get(one.__module__), "__dict__", {})
        for name in ("__pydantic_extra__", *vars(one).get("__private_attributes__", ())):
            with contextlib.suppress(NameError):  # what only type checkers know is no tag
                if one is not BaseModel and name in stated and shape_of(evaluated(stated[name], names)).labels():
                    what = "extra fields" if name == "__pydantic_extra__" else f"the private attribute `{name}`"
                    raise UnlabelledData(f"{one.__qualname__}: {what} cannot carry a tag: declare a field, or seal it")
        if one is not BaseModel:
            _refuse_hidden_marks(one, resolvable({n: a for n, a in stated.items() if n not in cls.model_fields}, names))


def _refuse_hidden_marks(cls: type, others: Mapping[str, object]) -> None:
    """Raises UnlabelledData where one of these, which are no fields, is marked: no row would hold what it says."""
    if "__purposeguard_withheld__" in vars(cls):
        return  # a copy, which lacks some of the fields: which, it says itself
    for name, annotation in others.items():
        if shape_of(annotation).is_marked_itself:
            raise UnlabelledData(
                f"{cls.__qualname__}: `{name}` is marked and is no field, so no row says whose it is, or from when: "
                "declare a field"
            )


def _scopes(cls: type, bindings: Bindings) -> dict[type, Bindings]:
    """Class → what its type variables stand for; two generic classes may use one variable for different things."""
    scopes: dict[type, Bindings] = {cls: bindings}
    for one in hints.lineage(cls):
        for base in one.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type):
                names = getattr(origin, "__parameters__", ())
                scopes.setdefault(origin, _bound(names, get_args(base), scopes.get(one, {})))
    return scopes
