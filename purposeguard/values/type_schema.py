"""Shapes of annotations: the tags, marks, models and containers that an annotation states.

`Annotated[str, Registration]` tags a value. Read are pydantic models, dataclasses, TypedDicts, NamedTuples and attrs
classes, through optionals, unions, containers, nested and generic models, forward references and type aliases.
Reading an annotation gives a shape, and a shape reads the annotations of the models in it, so both are here.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import sys
import types
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    NamedTuple,
    NewType,
    NoReturn,
    Protocol,
    TypeVar,
    TypeVarTuple,
    cast,
    get_args,
    get_origin,
)

import typing_extensions
from pydantic import BaseModel

from purposeguard.containers import map_values, omit_keys
from purposeguard.errors import PurposeGuardError, UnknownSource, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source, TermMeta, is_union
from purposeguard.values import annotations as hints
from purposeguard.values.annotations import (
    ALIASES,
    LITERALS,
    NO_CONTAINERS,
    OPAQUE,
    PLAIN,
    READABLE,
    TRANSPARENT,
    WITHOUT_FIELDS,
    Missing,
    Statement,
    alias_value,
    can_have_statements,
    evaluate_annotation,
    is_taggable,
    iter_properties,
    iter_statements,
    resolve_annotations,
)
from purposeguard.values.markers import TABLES_ALONE, Collected, Ended, Mark
from purposeguard.values.sealed import Sealed

_LEAVES: Final = (*(PLAIN - {type(None)}), *WITHOUT_FIELDS)

Bindings = Mapping[Any, "Shape"]
"""The shapes of the type variables of a generic model and of `Self`; `ForwardRef` for names that are not resolved.

`TagLookup` stands for the shape whose lookup all models get.
"""


class Model(NamedTuple):
    """A taggable class that an annotation names, with the arguments for its type variables.

    Attributes:
        cls: The class.
        bindings: The shapes of its type variables.
        lookup: The tags of fields that are not in the code, if a guard reads some.
    """

    cls: type
    bindings: tuple[tuple[Any, Shape], ...] = ()
    lookup: TagLookup | None = None

    @property
    def is_mapping(self) -> bool:
        """True if its values are plain dicts that do not know their class."""
        return typing_extensions.is_typeddict(self.cls)

    @property
    def shape(self) -> Shape:
        """The shape of a value of this class."""
        return Shape(models=(self,), lookup=self.lookup)

    def fields(self) -> Mapping[str, Shape]:
        """Return field → shape, in the order of the class. Cached for classes that are not generic.

        Raises:
            NoticeError: the lookup and the annotations do not agree.
            UnlabelledData: an annotation cannot be resolved, so what the field holds is unknown; or a field is marked
                as a column of a table whose rows name their sources.
        """
        shapes: Mapping[str, Shape] | None = None
        if not self.bindings:
            shapes = vars(self.cls).get(_SHAPES) if self.lookup is None else self.lookup.get_fields(self.cls)
        if shapes is None:
            shapes = self.columns() if self.lookup is None else self.lookup.complete(self.cls, self.columns())
            for name, shape in shapes.items():
                if not shape.marks_within.isdisjoint(TABLES_ALONE):
                    raise UnlabelledData(
                        f"{self.cls.__qualname__}.{name} is marked as a column of a table whose rows say where they "
                        "were collected: read them through `purposeguard.adapters`, or tag the field with its sources"
                    )
            if self.lookup is not None:
                self.lookup.set_fields(self, shapes)
            elif not self.bindings:
                type.__setattr__(self.cls, _SHAPES, shapes)
        return shapes

    def columns(self) -> Mapping[str, Shape]:
        """Return field → shape by the annotations alone. The marks that only columns of tables may have are allowed.

        Raises:
            UnlabelledData: an annotation cannot be resolved.
        """
        outer = self.shape.bindings
        scopes = _type_variable_scopes(self.cls, {**outer, **dict(self.bindings)}, outer)
        fields = resolve_hints(self.cls)

        def bindings_of(owner: type) -> Bindings:
            # Pydantic expresses inherited fields in the type variables of the inheriting class.
            scope = self.cls if issubclass(owner, BaseModel) else owner
            return {**scopes.get(scope, outer), typing_extensions.Self: self.shape}

        shapes: dict[str, Shape] = {}
        for name, hint in fields.items():
            owner = hints.find_annotating_class(self.cls, name)
            shapes[name] = self._field(name, hint, bindings_of(owner))
            if name not in getattr(self.cls, "__required_keys__", fields):
                shapes[name] |= Shape(varies=True)
        for statement in vars(self.cls)[_RESTATED]:
            earlier = self._field(statement.name, statement.annotation, bindings_of(statement.owner))
            shapes[statement.name] |= earlier.merge_restated(shapes[statement.name])
        return shapes

    def _field(self, name: str, annotation: object, bindings: Bindings) -> Shape:
        where = f"{self.cls.__qualname__}.{name}"
        try:
            return read_shape(annotation, bindings)
        except UnknownSource as error:
            raise UnknownSource(error.given, f"{error.why}, and tags `{where}`") from None
        except UnlabelledData as error:
            raise UnlabelledData(f"{where}: {error.args[0]}") from None

    def marks(self) -> Mapping[Mark, tuple[str, ...]]:
        """Return mark → the fields that bear it, themselves or on their items. Cached for classes that are not generic.

        Raises:
            UnlabelledData: a mark is on a sealed field or on keys, or on too many fields. Also as `fields`.
        """
        if self.bindings or self.lookup is not None:
            return _collect_marks(self.cls, self.fields())
        marked_fields: Mapping[Mark, tuple[str, ...]] | None = vars(self.cls).get(_MARKED)
        if marked_fields is None:
            marked_fields = _collect_marks(self.cls, self.fields())
            type.__setattr__(self.cls, _MARKED, marked_fields)
        return marked_fields


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """The meaning of an annotation: the tags of a value, the models it may be, and its contents.

    Attributes:
        tags: The sources that the value itself is tagged with.
        models: The classes with fields that it may be.
        items: The shape of the items of a container.
        sealed: True if it is, or may be, a sealed value.
        seal: The sources of the sealed value, if the annotation names sources.
        within: The shape of the data in a sealed value. It is checked when the value is opened, not when it is read.
        marks: The marks on the value itself.
        keys: The shape of the keys of a mapping; their tags are among the mapping's own.
        plain: The classes without fields that it may be.
        unread: The classes that it may be whose fields are not read. If one of them has tags, the value is refused.
        repeats: True if the items of a container have this shape again, as in a recursive type alias.
        literals: The single values that it may be, with their classes.
        undecided: The reason why nobody may use the value: its source is not decided. Empty if it is.
        lookup: The tags of fields that are not in the code, for the classes of values that were not announced.
        varies: True if it is a container of any length, or may be None or an absent key of a TypedDict.
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
    unread: tuple[type, ...] = ()
    repeats: bool = False
    literals: frozenset[tuple[type, Any]] = frozenset()
    undecided: str = ""
    lookup: TagLookup | None = dataclasses.field(default=None, compare=False, repr=False)
    varies: bool = dataclasses.field(default=False, compare=False, repr=False)
    plans: dict[type, Any] = dataclasses.field(default_factory=dict, init=False, compare=False, repr=False)
    """Class of a value → its cached `plan.ValuePlan` where this shape was announced."""

    @property
    def silent(self) -> Shape:
        """The shape of an annotation that states nothing, with the same lookup."""
        return SILENT if self.lookup is None else self.lookup.silent

    @property
    def bindings(self) -> Bindings:
        """The bindings with which annotations are read with the same lookup."""
        return {} if self.lookup is None else self.lookup.bindings

    @property
    def says_what(self) -> bool:
        """True if the annotation names a model, a container or a seal. Otherwise any value may come."""
        return self.sealed or self.repeats or self.items is not None or bool(self.models)

    @property
    def contents(self) -> Shape | None:
        """The shape of the items of a container; None if no container was announced."""
        if not self.repeats:
            return self.items
        return self if self.items is None else dataclasses.replace(self, items=None) | self.items

    @property
    def iterated(self) -> Shape | None:
        """The shape of the values that iteration gives: the items or, for a mapping, the keys."""
        contents = self.contents
        return contents | self.keys if contents and self.keys else contents

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
        items = _unite_parts(self.items, other.items)
        within = _unite_parts(self.within, other.within)
        keys = _unite_parts(self.keys, other.keys)
        models = tuple(dict.fromkeys((*self.models, *other.models)))
        sealed = self.sealed or other.sealed
        marks, plain = self.marks | other.marks, self.plain | other.plain
        unread = tuple(dict.fromkeys((*self.unread, *other.unread)))
        tags, seal = self.tags | other.tags, self.seal | other.seal
        repeats, literals = self.repeats or other.repeats, self.literals | other.literals
        undecided, lookup = self.undecided or other.undecided, self.lookup or other.lookup
        return Shape(
            *(tags, models, items, sealed, seal, within, marks, keys, plain, unread, repeats, literals, undecided),
            lookup=lookup,
            varies=self.varies or other.varies,
        )

    def merge_restated(self, other: Shape) -> Shape:
        """Return the part of this shape that still holds after the field was annotated anew with `other`.

        A sealed value has a label of its own. If the field was sealed and is plain now, it is tagged with the sources
        of the seal.
        """
        items = None if self.items is None else self.items.merge_restated(other.items or SILENT)
        keys = None if self.keys is None else self.keys.merge_restated(other.keys or SILENT)
        tags = self.tags
        if self.sealed and not other.sealed:
            tags = tags.union(self.seal, () if self.within is None else self.within.sources)
        return Shape(tags, self.models, items, marks=self.marks, keys=keys, unread=self.unread, repeats=self.repeats)

    def iter_parts(self) -> Iterator[Shape]:
        """Yield this shape and those of its items and keys, but not of the fields of models or the data in seals."""
        yield self
        for part in (self.items, self.keys):
            if part is not None:
                yield from part.iter_parts()

    def item_models(self) -> Iterator[Model]:
        """Yield the models that the value may be, and those of its items."""
        part: Shape | None = self
        while part is not None:
            yield from part.models
            part = part.items

    def refuse_unread(self) -> None:
        """Raise UnlabelledData if the value may be of a class that has tags but whose fields are not read."""
        for cls in self.unread:
            self.refuse_unread_class(cls)

    def refuse_unread_class(self, cls: type) -> None:
        """Raise UnlabelledData if a class whose fields are not read has tags, in the code or for the lookup."""
        refuse_unread(cls)
        if self.lookup is not None:
            self.lookup.refuse_unread(cls)

    def walk(self) -> Iterator[tuple[str, Shape]]:
        """Yield every value below this one with its path, e.g. `orders[].address`.

        Recursive classes are each listed where the shortest path meets them: once, or once for each field there. All
        other paths are listed.

        Raises:
            UnlabelledData: there may be a value whose contents are unknown.
        """
        return _PathListing(self).list_below(self, "", None, is_first=True)

    def iter_reachable(self, *parts: str, rows: bool = True) -> Iterator[Shape]:
        """Yield this shape and every shape that can be reached through these parts and the fields of models.

        Each model is entered once. Without `rows`, models with marks are not entered.
        """
        entered: set[Model] = set()
        pending: list[tuple[Shape, tuple[Model, ...]]] = [(self, ())]
        while pending:
            shape, around = pending.pop()
            yield shape
            for part in parts:
                inner = getattr(shape, part)
                if inner is not None:
                    pending.append((inner, around))
            for model in shape.models:
                if (rows or not model.marks()) and model not in entered:
                    _refuse_growing(model, around)
                    entered.add(model)
                    generic = (*around, model) if model.bindings else ()  # No other class passes arguments on.
                    pending += [(field, generic) for field in model.fields().values()]

    @property
    def sources(self) -> frozenset[type[Source]]:
        """The sources of all data in the value, sealed or not. Raises as `walk` does."""
        sources: set[type[Source]] = set()
        for shape in self.iter_reachable("items", "within"):
            shape.refuse_unread()
            sources |= shape.tags | shape.seal
        return frozenset(sources)

    @property
    def is_marked(self) -> bool:
        """True if the value may hold rows with marks."""
        return any(model.marks() for model in self.iter_models())

    @property
    def marks_within(self) -> frozenset[Mark]:
        """The marks on the value and its contents, without those on the fields of rows."""
        parts = (self.items, self.keys, self.within)
        return self.marks.union(*(part.marks_within for part in parts if part is not None))

    @property
    def is_marked_itself(self) -> bool:
        """True if a mark stands on the value or its contents, and not on a field of a row."""
        return bool(self.marks_within)

    def iter_outside_rows(self) -> Iterator[Shape]:
        """Yield this shape and those of its contents, without rows that have marks of their own."""
        return self.iter_reachable("items", rows=False)

    def iter_models(self) -> Iterator[Model]:
        """Yield each model in the value once. Raises as `walk` does."""
        models: set[Model] = set()
        for shape in self.iter_reachable("items", "keys", "within"):
            shape.refuse_unread()
            for model in shape.models:
                if model not in models:
                    models.add(model)
                    yield model

    @property
    def has_fields(self) -> bool:
        """True if there is a model, a tag or a seal in the value."""
        return bool(self.models or self.tags or self.sealed) or (self.items is not None and self.items.has_fields)

    @property
    def holds_seals(self) -> bool:
        """True if there may be a sealed value in the value."""
        for shape in self.iter_reachable("items"):
            shape.refuse_unread()
            if shape.sealed:
                return True
        return False

    @property
    def has_tags(self) -> bool:
        """True if anything in the value is tagged or sealed."""
        return self.holds_seals or bool(self.sources)

    @property
    def is_tagged_or_marked(self) -> bool:
        """True if a tag, a mark or a seal stands on the value itself."""
        return bool(self.tags or self.marks or self.seal or self.sealed)

    @property
    def is_leaf(self) -> bool:
        """True if nothing below the value can carry a tag of its own."""
        return not self.models and (self.items is None or self.items.is_leaf)

    def labels(self) -> dict[str, Label]:
        """Return path → label of all tagged plain data."""
        return _unite_labels((path, shape.tags) for path, shape in self.walk())

    def seals(self) -> dict[str, Label]:
        """Return path → label of all sealed data."""
        return _unite_labels((path, shape.seal) for path, shape in self.walk())

    def all_labels(self) -> dict[str, Label]:
        """Return path → label of all tagged or sealed data."""
        return _unite_labels((path, shape.tags | shape.seal) for path, shape in self.walk())

    def iter_untagged(self, *, holders: bool = False) -> Iterator[tuple[str, Shape]]:
        """Yield path and shape of the fields that have no tag, neither on themselves nor on a field around them.

        Other fields that hold models or seals are left out: their contents may have tags.

        Args:
            holders: Yield also the containers and optional fields with tagged data inside: no tag covers how many
                items there are, or whether there is a value.
        """
        tagged = self.all_labels()
        for path, shape in self.walk():
            if path.endswith("[]"):
                continue
            if shape.is_leaf and not shape.sealed:
                is_untagged = not any(_is_covered_by(tagged_path, path) for tagged_path in tagged)
            else:
                is_untagged = holders and shape.own_label is None and shape.holds_untagged(path, tagged)
            if is_untagged:
                yield path, shape

    def holds_untagged(self, path: str, tagged: Collection[str]) -> bool:
        """Return True if tagged data is inside, but no tag covers how many items there are, or whether there is one.

        Args:
            path: The path of this value.
            tagged: The paths that have tags or seals.
        """
        if not self.varies or self.sealed or not self.has_tags:
            return False
        return not any(not own or own == path or path.startswith((f"{own}.", f"{own}[")) for own in tagged)

    def label_of_all(self) -> Label | None:
        """Return the label of the value and all its contents; None if nothing is tagged or sealed."""
        sources = self.sources
        return Label(*sources) if sources else None


_ITSELF: Final = Shape(repeats=True)
"""The shape of a type alias inside itself."""

SILENT: Final = Shape()
"""The shape of an annotation that states nothing: a value is described by its own class."""


class FieldTags(Protocol):
    """Tags of fields that are not in the code: `guard.tags`."""

    def complete(
        self, cls: type, shapes: Mapping[str, Shape], *, refuse: Callable[[PurposeGuardError], object]
    ) -> Mapping[str, Shape]:
        """Complete the fields of a class, given by their annotations. Pass contradictions to `refuse`."""
        ...

    def find_personal_field(self, cls: type) -> str | None:
        """Return a field of a class that is named without wildcards, and may be personal; None if there is none."""
        ...


def _raise(error: PurposeGuardError) -> NoReturn:
    raise error


class TagLookup:
    """The tags of fields that are not in the code, for the classes whose values one guard looks through.

    The shapes and models that a guard reads carry its lookup. So guards with different tags share no plans.

    Attributes:
        silent: The shape of an annotation that states nothing.
        bindings: The bindings with which annotations are read for the guard.
    """

    def __init__(self, tags: FieldTags, refuse: Callable[[PurposeGuardError], object] = _raise) -> None:
        """Make a lookup.

        Args:
            tags: The tags.
            refuse: A function that gets the error if tags contradict the code, or are of a class that is not read. If
                it does not raise the error, the code alone counts.
        """
        self.silent: Final = Shape(lookup=self)
        self.bindings: Final[Bindings] = types.MappingProxyType({TagLookup: self.silent})
        self._tags = tags
        self._refuse = refuse
        self._fields: dict[type, tuple[object, Mapping[str, Shape]]] = {}

    def complete(self, cls: type, shapes: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """Complete the fields of a class, given by their annotations."""
        return self._tags.complete(cls, shapes, refuse=self._refuse)

    def refuse_unread(self, cls: type) -> None:
        """Refuse a class that has tags and whose fields are not read, unless an adapter reads its objects."""
        name = None if any(hasattr(cls, member) for member in _MAPPED) else self._tags.find_personal_field(cls)
        if name is not None:
            self._refuse(_make_unread_error(cls, name))

    def get_fields(self, cls: type) -> Mapping[str, Shape] | None:
        """Return the cached fields of a class; None if there are none, or its annotations were read anew."""
        hints, shapes = self._fields.get(cls, (None, None))
        return shapes if hints is vars(cls).get(_READ) else None

    def set_fields(self, model: Model, shapes: Mapping[str, Shape]) -> None:
        """Cache the fields of a class that is not generic."""
        if not model.bindings:
            if len(self._fields) >= MOST_CACHED:
                self._fields.clear()
            self._fields[model.cls] = (vars(model.cls)[_READ], shapes)


_MAPPED: Final = ("__mapper__", "_meta")
"""The attributes of classes that SQLAlchemy and Django map to tables."""

MOST_CACHED: Final = 1000
"""The number of classes for which a lookup caches fields, or a shape caches plans."""


def _lookup_in(bindings: Bindings) -> TagLookup | None:
    return bindings.get(TagLookup, SILENT).lookup


def _is_covered_by(tagged: str, path: str) -> bool:
    """Return True if the tag at `tagged` covers the field at `path`: on itself, a field around it or its items."""
    if not tagged or tagged == path:
        return True
    return tagged.startswith(f"{path}[") or path.startswith((f"{tagged}.", f"{tagged}["))


def _unite_parts(part: Shape | None, other: Shape | None) -> Shape | None:
    return part | other if part and other else part or other


class _PathListing:
    """A list of the values below one shape with their paths. It ends even if classes hold each other."""

    def __init__(self, root: Shape) -> None:
        """Find the classes below `root`, and the class by which each is met first.

        Raises:
            UnlabelledData: as `Shape.walk`.
        """
        self._holders: dict[Model, Model | None] = {}
        """Model → the model whose fields hold it, on a shortest path; None for models of the root itself."""
        self._listed: set[Model] = set()
        holders: dict[Model, set[Model]] = {}
        inner_models: dict[Model, set[Model]] = {}
        pending: collections.deque[tuple[Model | None, Shape]] = collections.deque([(None, root)])
        while pending:
            holder, shape = pending.popleft()
            for model in shape.item_models():
                if holder is not None:
                    inner_models[holder].add(model)
                    holders.setdefault(model, set()).add(holder)
                if model not in self._holders:
                    self._holders[model] = holder
                    _refuse_growing(model, self._chain_of(holder))
                    inner_models[model] = set()
                    pending += ((model, field) for field in model.fields().values())
        self._endless = _models_that_reach_circles(inner_models, holders)

    def _chain_of(self, model: Model | None) -> Iterator[Model]:
        while model is not None:
            yield model
            model = self._holders[model]

    def list_below(
        self, shape: Shape, path: str, holder: Model | None, *, is_first: bool
    ) -> Iterator[tuple[str, Shape]]:
        """Yield a value at `path` in a field of `holder`, and every value below it.

        Args:
            shape: The shape of the value.
            path: Where it is, from the root.
            holder: The model whose field it is in; None for the root.
            is_first: Whether the fields of the holder are listed for the first time.
        """
        shape.refuse_unread()
        if path or shape.tags or shape.seal:
            yield path, shape
        if shape.within is not None:  # The tags of sealed data are not seen from outside.
            yield path, Shape(sealed=True, seal=shape.within.sources)
        if shape.items is not None:
            yield from self.list_below(shape.items, f"{path}[]", holder, is_first=is_first)
        for model in shape.models:
            is_first_below = is_first
            if model in self._endless:
                if not is_first or self._holders[model] != holder:
                    continue
                is_first_below = model not in self._listed
                self._listed.add(model)
            for name, field in model.fields().items():
                below = f"{path}.{name}" if path else name
                yield from self.list_below(field, below, model, is_first=is_first_below)


def _models_that_reach_circles(
    inner_models: Mapping[Model, set[Model]], holders: Mapping[Model, set[Model]]
) -> set[Model]:
    """Return the models that hold themselves, directly or through others, and those above them."""
    remaining = map_values(len, inner_models)
    finite = [model for model, count in remaining.items() if not count]
    for model in finite:  # The list grows during the iteration.
        for holder in holders.get(model, ()):
            remaining[holder] -= 1
            if not remaining[holder]:
                finite.append(holder)
    return set(inner_models).difference(finite)


def _refuse_growing(model: Model, holders: Iterable[Model]) -> None:
    """Refuse a generic class that holds itself with other arguments each time, which would never end.

    Raises:
        UnlabelledData: the class is among its holders too often.
    """
    if sum(holder.cls is model.cls for holder in holders) > _DEEPEST:
        raise UnlabelledData(f"{model.cls.__qualname__} holds itself with ever more arguments: its tags have no end")


_DEEPEST: Final = 50
"""The greatest number of times that a generic class may hold itself with other arguments."""


def _unite_labels(sources_by_path: Iterable[tuple[str, frozenset[type[Source]]]]) -> dict[str, Label]:
    united: dict[str, Label] = {}
    for path, sources in sources_by_path:
        if sources:
            label = Label(*sources)
            united[path] = united[path] | label if path in united else label
    return united


def read_shape(annotation: object, bindings: Bindings = types.MappingProxyType({})) -> Shape:
    """Read the shape of an annotation.

    Raises:
        UnlabelledData: it is, or holds, a name that is not resolved, or what may have been meant as a tag and is none.
        UnknownSource: a tag is a purpose, or the bare `Source`.
    """
    shape = read_argument_shape(annotation, bindings)
    if any(part.seal and not part.sealed for part in shape.iter_parts()):
        raise UnlabelledData(
            "a source class stands where the type of a value belongs: write `Annotated[str, Source]`, or "
            "`Personal[str, Source]`"
        )
    return shape


def read_argument_shape(annotation: object, bindings: Bindings) -> Shape:
    """Read the shape of an annotation in brackets, which may be a source, as in `Personal[T, Source]`."""
    shape = _read_argument_shape(annotation, bindings)
    lookup = _lookup_in(bindings)
    return shape if shape.lookup is lookup else dataclasses.replace(shape, lookup=lookup)


def _read_argument_shape(annotation: object, bindings: Bindings) -> Shape:
    if isinstance(annotation, (TypeVar, TypeVarTuple)):
        return bindings[annotation] if annotation in bindings else _read_type_variable_shape(annotation, bindings)
    if annotation is typing_extensions.Self or isinstance(annotation, (str, ForwardRef)):
        return _shape_of_reference(annotation, bindings)
    if isinstance(annotation, ALIASES):
        return _shape_of_alias(annotation, (), bindings)
    for kind, stands_for in _NAMES:
        if isinstance(annotation, kind):
            return read_argument_shape(getattr(annotation, stands_for), bindings)
    origin = get_origin(annotation)
    if origin is not None:
        return _read_generic_shape(annotation, origin, get_args(annotation), bindings)
    if isinstance(annotation, TermMeta):  # This is the source in `Personal[T, S]`.
        is_source = issubclass(annotation, Source) and "clause" in vars(annotation)
        return Shape(seal=frozenset({cast("type[Source]", annotation)}) if is_source else frozenset())
    return _read_class_shape(annotation, bindings)


def _shape_of_reference(annotation: object, bindings: Bindings) -> Shape:
    """Return the shape of `Self`, or of a name that is not resolved."""
    if annotation is typing_extensions.Self:
        if annotation not in bindings:
            raise UnlabelledData("`Self` does not say here which class it is: write its name")
        return bindings[annotation]
    if ForwardRef not in bindings:
        raise UnlabelledData(f"the annotation {annotation!r} is not resolved, so what it holds is unknown")
    return bindings[ForwardRef]


_NAMES: Final = (
    (NewType, "__supertype__"),
    (dataclasses.InitVar, "type"),
)
"""Types that rename or wrap another annotation, with the attribute that holds it."""


def _shape_of_alias(alias: Any, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of a type alias, which may refer to itself.

    The containers in a recursive alias hold anything that the alias may be, at any depth.

    Raises:
        UnlabelledData: it refers to itself with ever more arguments, or as an argument of a class with tags.
    """
    bound = _bind_parameters(alias.__type_params__, args, bindings)
    use = _AliasUse(alias, tuple(bound.items()))
    if use in bindings:
        return bindings[use]
    if sum(isinstance(outer, _AliasUse) and outer.alias is alias for outer in bindings) > _DEEPEST:
        raise UnlabelledData(f"{alias.__name__} refers to itself with ever more arguments: its tags have no end")
    annotation = alias_value(alias)
    inner = {**bindings, **bound}
    shape = read_argument_shape(annotation, {**inner, use: _ITSELF})
    is_argument = _ITSELF in _iter_arguments(shape)
    if not is_argument and not any(part.repeats for part in shape.iter_parts()):
        return shape
    # A container in the alias may hold the alias, and so a value of any level at any depth. `anything` unites the
    # levels: the alias itself, what its containers hold, what containers in those hold, and so on.
    anything, part = _ITSELF, shape
    while part.items is not None:
        anything |= dataclasses.replace(part, items=None)
        part = part.items
    anything |= part
    says_something = anything.is_tagged_or_marked or anything.unread or bool(anything.models)
    if is_argument and (shape.has_tags or shape.is_marked):
        raise UnlabelledData(
            f"{alias.__name__} refers to itself as an argument of a generic class, so its tags have no end: write a "
            "class that holds itself"
        )
    # An alias that states nothing is described by the classes of its values, at any depth.
    return read_argument_shape(annotation, {**inner, use: anything if says_something else SILENT})


class _AliasUse(NamedTuple):
    """A type alias with its arguments: the key under which its own shape is bound while it is read."""

    alias: Any
    arguments: tuple[tuple[Any, Shape], ...]


def _iter_arguments(shape: Shape) -> Iterator[Shape]:
    """Yield the shapes in the brackets of the generic classes in a shape, and what they contain."""
    for part in shape.iter_parts():
        for model in part.models:
            for _, argument in model.bindings:
                yield from argument.iter_parts()
                yield from _iter_arguments(argument)


def _read_class_shape(cls: object, bindings: Bindings) -> Shape:
    if isinstance(cls, type) and issubclass(cls, Sealed):
        return Shape(sealed=True)
    if is_taggable(cls):
        return Shape(models=(_make_model(cls, bindings),))
    if cls is type(None):
        return Shape(varies=True)
    if isinstance(cls, type) and issubclass(cls, _LEAVES):
        # Type checkers accept an int as a float.
        return Shape(plain=frozenset({cls, int} if cls is float else {cls}), unread=_find_unread_classes(cls))
    return _read_bases_shape(cls, bindings) | Shape(unread=_find_unread_classes(cls))


def _make_model(cls: type, bindings: Bindings) -> Model:
    """Return the model of a class that was written without brackets.

    Pydantic makes a class for a generic model with brackets. It is the generic class itself if the brackets hold the
    class's own variables; otherwise it keeps its arguments.
    """
    generic: Mapping[str, Any] = getattr(cls, hints.GENERIC, {})
    if not generic.get("parameters"):
        return Model(cls, lookup=_lookup_in(bindings))
    if generic["origin"] is not None:
        return _make_generic_model(generic["origin"], generic["args"], bindings)
    bound = tuple((name, bindings[name]) for name in generic["parameters"] if name in bindings)
    return Model(cls, bound, _lookup_in(bindings))


def _make_generic_model(origin: type, args: tuple[Any, ...], bindings: Bindings) -> Model:
    bound = _bind_parameters(getattr(origin, "__parameters__", ()), args, bindings)
    return Model(origin, tuple(bound.items()), _lookup_in(bindings))


def _find_unread_classes(cls: object) -> tuple[type, ...]:
    return (cls,) if isinstance(cls, type) and cls not in PLAIN and can_have_statements(cls) else ()


def _read_type_variable_shape(name: Any, bindings: Bindings) -> Shape:
    """Return the shape of a type variable without an argument: everything that it may be."""
    default = getattr(name, "__default__", typing_extensions.NoDefault)
    bounds = [getattr(name, "__bound__", None), *getattr(name, "__constraints__", ())]
    return _unite_shapes(bounds if default is typing_extensions.NoDefault else [*bounds, default], bindings)


def _read_bases_shape(cls: object, bindings: Bindings) -> Shape:
    """Return the shape of a class that is no model, by its bases: a subclass of `list[Customer]` holds customers."""
    bases: list[Any] = []
    for owner in getattr(cls, "__mro__", ()):
        bases += vars(owner).get("__orig_bases__", ())
    return _unite_shapes((base for base in bases if get_origin(base) not in NO_CONTAINERS), bindings)


def _read_generic_shape(annotation: object, origin: Any, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of an annotation with brackets, or of a union."""
    if origin is Annotated:
        annotated, *metadata = args
        return _read_metadata_shape(metadata) | read_argument_shape(annotated, bindings)
    if is_union(annotation) or origin in TRANSPARENT:
        return _unite_shapes(args, bindings)
    if origin in LITERALS:
        return Shape(literals=frozenset(zip(map(type, args), args, strict=True)))
    if origin in OPAQUE:
        return Shape()
    if isinstance(origin, ALIASES):
        return _shape_of_alias(origin, args, bindings)
    if not isinstance(origin, type):
        return _read_container_shape(origin, args, bindings)
    return _read_generic_class_shape(origin, args, bindings)


def _read_generic_class_shape(origin: type, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of a class with brackets."""
    if issubclass(origin, Sealed):
        return _read_seal_shape(args, bindings)
    if is_taggable(origin):
        return Shape(models=(_make_generic_model(origin, args, bindings),))
    # A counter is written with the type of its keys alone.
    mapping_args = (*args, int) if issubclass(origin, collections.Counter) else args
    if issubclass(origin, Mapping) and len(mapping_args) == 2:
        return _read_mapping_shape(origin, mapping_args, bindings)
    return _read_container_shape(origin, args, bindings)


def _read_metadata_shape(metadata: Sequence[Any]) -> Shape:
    """Return the shape of the tags and marks that `Annotated` holds behind the type.

    Raises:
        UnlabelledData: something seems to be meant as a tag, and is none.
    """
    if any(not hints.is_tag(item) and hints.looks_like_tag(item) for item in metadata):
        raise UnlabelledData(
            "what stands in `Annotated` seems to be meant as a tag, and is none: name each source class by itself, "
            "`Annotated[str, Source, Other]`; a text that is no id goes into `Doc(…)`"
        )
    marks = frozenset(item for item in metadata if isinstance(item, Mark))
    return Shape(frozenset(_iter_tags(metadata)), marks=marks)


def _read_mapping_shape(origin: type, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of a mapping: `args` are the annotations of its keys and its values."""
    keys, values = (read_argument_shape(argument, bindings) for argument in args)
    # For attributes that are no fields, the keys are checked with the rest. Reading their labels here could read
    # the class that is being checked.
    labels = {} if ForwardRef in bindings else keys.labels()
    tags: frozenset[type[Source]] = frozenset().union(*(label.sources for label in labels.values()))
    unread = _find_unread_classes(origin)
    return Shape(tags, (), values, keys.sealed, keys.seal, keys.within, keys=keys, unread=unread, varies=True)


def _read_container_shape(origin: Any, args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of a container, or of a generic class that is assumed to contain its arguments."""
    items = _unite_shapes((arg for arg in args if arg is not ...), bindings)
    iterable = isinstance(origin, type) and issubclass(origin, (Iterable, AsyncIterable))
    if not items.sealed and isinstance(origin, type) and not iterable:
        items = dataclasses.replace(items, seal=frozenset())  # It is a parameter, as in `Reclassifier[S, To]`.
    varies = iterable and (origin is not tuple or args[-1:] == (...,))
    return Shape(items=items, unread=_find_unread_classes(origin), varies=varies)


def _bind_parameters(parameters: Sequence[Any], args: Sequence[Any], bindings: Bindings) -> dict[Any, Shape]:
    """Return type variable → the shape of its argument, for a generic class or alias."""
    bound: dict[Any, Shape] = {}
    remaining = list(args)
    for number, name in enumerate(parameters):
        if isinstance(name, TypeVarTuple):  # It takes all arguments that later parameters do not need.
            end = max(0, len(remaining) - (len(parameters) - number - 1))
            bound[name], remaining = _unite_shapes(remaining[:end], bindings), remaining[end:]
        elif remaining:
            bound[name] = read_argument_shape(remaining.pop(0), bindings)
    return bound


def _read_seal_shape(args: tuple[Any, ...], bindings: Bindings) -> Shape:
    """Return the shape of `Personal[T, S]`."""
    return Shape(sealed=True, seal=read_argument_shape(args[1], bindings).seal, within=read_shape(args[0], bindings))


def _unite_shapes(annotations: Iterable[object], bindings: Bindings) -> Shape:
    shape = bindings.get(TagLookup, SILENT)
    for annotation in annotations:
        if annotation is not None:
            shape |= read_argument_shape(annotation, bindings)
    return shape


def _iter_tags(marks: Iterable[object]) -> Iterator[type[Source]]:
    for mark in marks:
        if isinstance(mark, TermMeta):
            yield from Label(cast("type[Source]", mark)).sources
        elif isinstance(mark, Label):
            yield from mark.sources


_MARKED: Final = "__purposeguard_marks__"
"""The attribute in which a class keeps its marked fields."""


def _collect_marks(cls: type, fields: Mapping[str, Shape]) -> dict[Mark, tuple[str, ...]]:
    marked_fields: dict[Mark, tuple[str, ...]] = {}
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
                marked_fields[mark] = (*marked_fields.get(mark, ()), name)
            part = part.items
    for mark in (Collected, Ended):
        if len(marked_fields.get(mark, ())) > 1:
            names = " and ".join(f"`{name}`" for name in marked_fields[mark])
            raise UnlabelledData(f"{cls.__qualname__}: {names} are both marked {mark!r}, and one is to say it")
    return marked_fields


_READ: Final = "__purposeguard_hints__"
"""The attribute in which a class caches its resolved annotations, which do not change while the class exists."""

_RESTATED: Final = "__purposeguard_restated__"
"""The attribute with the annotations in base classes of fields that were annotated anew."""

_SHAPES: Final = "__purposeguard_shapes__"
"""The attribute with the shapes of the fields."""

_HIDDEN: Final = "__purposeguard_hidden__"
"""The attribute in which a class whose fields are not read keeps the first field with tags, and undefined names.

The field is an empty string if none has tags.
"""

NOBODY: Final[Bindings] = types.MappingProxyType({ForwardRef: Shape(), typing_extensions.Self: Shape()})
"""Bindings for annotations of attributes that are no fields."""


def refuse_unread(cls: type) -> None:
    """Raise UnlabelledData if a class whose fields are not read, or a class in it, has tags, marks or seals."""
    where = _find_hidden_tags(cls) if can_have_statements(cls) else ""
    if where:
        raise _make_unread_error(cls, where)


def _make_unread_error(cls: type, where: str) -> UnlabelledData:
    return UnlabelledData(
        f"`{where}` holds what is tagged, marked or sealed, and nobody reads it: {cls.__qualname__} is not "
        f"{READABLE}; make it one, or give one with these fields"
    )


def is_fully_defined(cls: type) -> bool:
    """Return True if all names in the annotations of a class are defined, so that its shape is final."""
    cached: tuple[str, Missing] = vars(cls).get(_HIDDEN, ("", ()))
    return not cached[1]


def _find_hidden_tags(cls: type) -> str:
    cached: tuple[str, Missing] | None = vars(cls).get(_HIDDEN)
    if cached is not None and not any(name in around for around, name in cached[1]):
        return cached[0]
    tagged_place = ""
    missing: Missing = ()
    models: list[Model] = []
    unread: dict[type, None] = {}
    pending = [("", Shape(unread=(cls,)))]
    while pending and not tagged_place:
        where, shape = pending.pop()
        for part in shape.iter_parts():
            if part.tags or part.marks or part.sealed or part.seal:
                tagged_place = where
            holders: list[Model | type] = [
                *part.models,
                *(unread_class for unread_class in part.unread if unread_class not in unread),
            ]
            for other in holders:
                if isinstance(other, Model):
                    if other in models:
                        continue
                    _refuse_growing(other, models)
                    models.append(other)
                else:
                    unread[other] = None
                fields, names = _collect_statements(other)
                pending += ((where or place, field) for place, field in fields)
                missing += names
    # If nothing was found, none of the visited classes has tags either.
    settled: Iterable[type] = (cls,) if tagged_place else unread
    for settled_class in settled:
        with contextlib.suppress(TypeError):  # A metaclass that is written in C refuses this.
            type.__setattr__(settled_class, _HIDDEN, (tagged_place, missing))
    return tagged_place


def _collect_statements(holder: Model | type) -> tuple[list[tuple[str, Shape]], Missing]:
    """Return place → shape for the attributes of a class, and the names in their annotations that are not defined."""
    if isinstance(holder, Model):
        try:
            return [(f"{holder.cls.__qualname__}.{name}", shape) for name, shape in holder.fields().items()], ()
        except UnlabelledData:  # Some names exist only for type checkers, so read the rest of the class.
            holder = holder.cls
    places: list[tuple[str, Shape]] = []
    missing: Missing = ()
    for statement in iter_statements(holder):
        places.append((f"{holder.__qualname__}.{statement.name}", _read_statement_shape(statement)))
        missing += statement.missing
    return places, missing


def _read_statement_shape(statement: Statement) -> Shape:
    try:
        return read_argument_shape(statement.annotation, NOBODY)
    except UnlabelledData as error:
        raise UnlabelledData(f"{statement.owner.__qualname__}.{statement.name}: {error.args[0]}") from None


def resolve_hints(cls: type, localns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return field → resolved annotation, with all tags, including those added from outside."""
    annotations: dict[str, Any] | None = vars(cls).get(_READ)  # A subclass has more fields than its base.
    if annotations is None or localns:
        annotations, others, restated = hints.read_fields(cls, localns)
        if issubclass(cls, BaseModel):
            _refuse_hidden_tags(cls)
        elif hints.EXTRA_ITEMS in others and read_shape(others[hints.EXTRA_ITEMS]).labels():
            raise UnlabelledData(f"{cls.__qualname__}: extra items cannot carry a tag: declare a key, or seal it")
        hidden = dict(others)
        for base in cls.__mro__:
            for statement in iter_properties(base):
                if statement.name not in annotations:
                    hidden[statement.name] = statement.annotation
        _refuse_hidden(cls, hidden)
        type.__setattr__(cls, _RESTATED, restated)
        type.__setattr__(cls, _READ, annotations)
        type.__setattr__(cls, _SHAPES, None)  # Shapes may have been read with other names before.
    return annotations


def _refuse_hidden_tags(cls: type[BaseModel]) -> None:
    """Raise UnlabelledData if an attribute of a pydantic model that is no field carries a tag, which would not be read.

    Sealed values are allowed: they are checked when they are opened.
    """
    for base in cls.__mro__:
        annotations = typing_extensions.get_annotations(base, format=typing_extensions.Format.FORWARDREF)
        names = getattr(sys.modules.get(base.__module__), "__dict__", {})
        for name in ("__pydantic_extra__", *vars(base).get("__private_attributes__", ())):
            with contextlib.suppress(NameError):  # A name that only type checkers know is no tag.
                if (
                    base is not BaseModel
                    and name in annotations
                    and read_shape(evaluate_annotation(annotations[name], names)).labels()
                ):
                    kind = "extra fields" if name == "__pydantic_extra__" else f"the private attribute `{name}`"
                    raise UnlabelledData(f"{base.__qualname__}: {kind} cannot carry a tag: declare a field, or seal it")
        if base is not BaseModel:
            _refuse_hidden(base, resolve_annotations(omit_keys(annotations, cls.model_fields), names))


def _refuse_hidden(cls: type, others: Mapping[str, object]) -> None:
    """Raise UnlabelledData if one of these annotations, which belong to no fields, has a tag or a mark: it is not read.

    Sealed values are allowed: they are checked when they are opened.
    """
    if "__purposeguard_withheld__" in vars(cls):
        return  # The class of a copy lacks withheld fields on purpose.
    for name, annotation in others.items():
        shape = _read_statement_shape(Statement(cls, name, annotation))
        if shape.is_marked_itself:
            raise UnlabelledData(
                f"{cls.__qualname__}: `{name}` is marked and is no field, so no row says whose it is, or from when: "
                "declare a field"
            )
        if any(part.tags for part in shape.iter_parts()):
            raise UnlabelledData(
                f"{cls.__qualname__}: `{name}` is tagged and is no field, so nobody reads its tag: declare a field (of "
                "a property of a pydantic model, a computed one), or seal it"
            )


def _type_variable_scopes(cls: type, bindings: Bindings, outer: Bindings) -> dict[type, Bindings]:
    """Return class → the shapes of its type variables, since two generic classes may use one variable differently.

    The bindings of each class contain the `outer` ones.
    """
    scopes: dict[type, Bindings] = {cls: bindings}
    for owner in hints.class_lineage(cls):
        for base in owner.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type):
                names = getattr(origin, "__parameters__", ())
                bound = _bind_parameters(names, get_args(base), scopes.get(owner, outer))
                scopes.setdefault(origin, {**outer, **bound})
    return scopes
