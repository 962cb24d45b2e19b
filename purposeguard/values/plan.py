"""Plans: descriptions of the values of a class where a shape was announced.

A plan is compiled once for each class and shape, and cached in the shape. Every walk through a value follows plans, so
all walks agree about which values are containers, rows or mappings, and how they are read.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import enum
import inspect
import itertools
import operator
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
)
from decimal import Decimal
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from purposeguard.containers import map_values
from purposeguard.errors import UnlabelledData
from purposeguard.locks import cached_property
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source
from purposeguard.policy.explanation import Decision
from purposeguard.values.annotations import PLAIN, WITHOUT_FIELDS, field_names_of, is_namedtuple, is_taggable
from purposeguard.values.markers import Mark
from purposeguard.values.sealed import Sealed
from purposeguard.values.streams import is_lazy_class
from purposeguard.values.type_schema import (
    MOST_CACHED,
    SILENT,
    Model,
    Shape,
    TagLookup,
    is_fully_defined,
)
from purposeguard.values.undeclared import Computed, StateReader, find_computed_members, private_values, state_reader
from purposeguard.values.withheld import WithheldRecord, is_copy

MISSING: Final = object()
"""A placeholder for the value of a field that is not set."""

LEAVES: Final = PLAIN.issuperset
"""A predicate: True if all of these classes are those of plain values, `LEAVES(map(type, values))`."""


@dataclasses.dataclass(eq=False)
class ValuePlan:
    """A description of the values of one class where one shape was announced."""

    cls: type
    """The class of the values."""
    shape: Shape
    """The shape that was announced."""
    fields: Mapping[str, Shape] | None = None
    """The name of each field of a row → its shape, by all `models`. None if the values are not rows."""
    models: tuple[Model, ...] = ()
    """The models that describe a row: the announced models that it is an instance of and, last, that of its class."""
    items: Shape = SILENT
    """The shape of the items of a container, or of the values of a mapping."""
    keys: Shape = SILENT
    """The shape of the keys of a mapping."""
    contains: bool = False
    """True if the values are containers."""
    whole: Label | None = None
    """The label of everything that the announcement could mean, if the value is none of it. None if it is some of it.

    The value is used as a whole then: all sources of the label must be usable.
    """
    later: bool = False
    """True if the values are read lazily, so that a wrapper can check each step."""
    refusal: str | None = None
    """The reason why no walk looks through values of this class; None if walks do."""
    gone: Mapping[str, Decision] = dataclasses.field(default_factory=dict)
    """The name of each field that was withheld from a copy → the decision that denied it."""
    silent: Shape = dataclasses.field(init=False)
    """The shape of values about which nothing was announced."""

    def __post_init__(self) -> None:
        """Look up the tags of values that were not announced. Refuse rows with a field whose source is not decided."""
        self.silent = self.shape.silent
        if self.shape.lookup is None:
            return
        self.items = self.silent if self.items is SILENT else self.items
        self.keys = self.silent if self.keys is SILENT else self.keys
        for name, field in (self.fields or {}).items():
            if field.undecided and name not in self.gone:
                self.refusal = f", whose field `{name}` is undecided, {field.undecided}"

    @cached_property
    def marks(self) -> Mapping[Mark, tuple[str, ...]]:
        """Mark → the fields that bear it in any of the models.

        Raises:
            UnlabelledData: as `Model.marks`.
        """
        marked: dict[Mark, dict[str, None]] = {}
        for model in self.models:
            for mark, names in model.marks().items():
                marked.setdefault(mark, {}).update(dict.fromkeys(names))
        return map_values(tuple, marked)

    @cached_property
    def labels(self) -> Mapping[str, Label]:
        """Field → its label, for the fields that have tags of their own."""
        labels: dict[str, Label] = {}
        for name, shape in (self.fields or {}).items():
            label = shape.own_label
            if label is not None and name not in self.gone:
                labels[name] = label
        return labels

    def iter_values(
        self, row: Any, read: dict[str, Any], without: Container[str] = ()
    ) -> Iterator[tuple[str, Shape, Any]]:
        """Yield name, shape and value of the fields that a row has.

        Values in `read` are not read again, and newly read values are added to it. Fields in `without` are skipped.
        """
        for name, shape in (self.fields or {}).items():
            if name in self.gone or name in without:
                continue
            value = read[name] if name in read else read_field(row, name)
            if value is not MISSING:
                read[name] = value
                yield name, shape, value

    def is_as_announced(self, row: Any) -> bool:
        """Return True if a quick check finds only plain values in the row, and seals where they were announced."""
        fields = self.fields
        if (
            fields is None
            or self.refusal is not None
            or self.is_marked
            or self.unchecked_label
            or self.gone
            or find_undeclared_entries(row, fields)
        ):
            return False
        if self.computed or (self.state is not None and self.state.values(row)):
            return False
        for name, shape in fields.items():
            value = read_field(row, name)
            if not (shape.sealed and isinstance(value, Sealed) if shape.says_what else type(value) in PLAIN):
                return False
        return True

    @cached_property
    def is_opaque(self) -> bool:
        """True if the contents of a value cannot be seen before they are read."""
        if self.later or (issubclass(self.cls, Iterator) and not issubclass(self.cls, WITHOUT_FIELDS)):
            return True
        return is_lazy_iterable(self.cls, announced=self.shape.contents is not None)

    @cached_property
    def is_array(self) -> bool:
        """True if the values are arrays or tensors, by the protocols through which libraries exchange them."""
        return hasattr(self.cls, "__dlpack__") or hasattr(self.cls, "__array_interface__")

    @cached_property
    def are_rows_announced(self) -> bool:
        """True if the items of the container were announced as rows or seals with tags or marks."""
        parts = tuple(self.items.iter_parts())
        may_be_rows = any(part.models or part.sealed for part in parts)
        return self.items.is_marked_itself or (may_be_rows and (self.items.has_tags or self.items.is_marked))

    @cached_property
    def is_marked(self) -> bool:
        """True if the value holds rows with marks, or if such rows were announced."""
        return bool(self.marks) or self.shape.is_marked or any(part.is_marked for part in self.computed.values())

    @cached_property
    def labels_outside_rows(self) -> tuple[Label, ...]:
        """The labels of the fields of a row, without the fields of nested rows that have marks of their own."""
        return collect_labels_outside_rows(*(self.fields or {}).values())

    @cached_property
    def unchecked_label(self) -> Label | None:
        """The label of fields that were not announced, so that no decision was asked for them; includes `whole`."""
        announced: set[type[Source]] = set()
        for label in self.shape.labels().values():
            announced.update(label.sources)
        sources: set[type[Source]] = set()
        for shape in (self.fields or {}).values():
            for label in shape.labels().values():
                sources |= label.sources
        for part in self.computed.values():
            if part.label is not None:
                sources |= part.label.sources
        sources -= announced
        if self.whole is not None:
            sources.update(self.whole.sources)
        return Label(*sources) if sources else None

    @cached_property
    def own_label(self) -> Label | None:
        """The label of all tags in the class itself."""
        return self._own_model.shape.label_of_all() if is_taggable(self.cls) else None

    @cached_property
    def has_tags(self) -> bool:
        """True if the class itself has a tagged, sealed or undecided field, or a class in it has."""
        shape = self._own_model.shape
        return shape.has_tags or any(part.undecided for part in shape.iter_reachable("items", "keys"))

    @cached_property
    def own_names(self) -> tuple[str, ...]:
        """The fields of the class itself."""
        return tuple(self._own_model.fields()) if is_taggable(self.cls) else ()

    @property
    def _own_model(self) -> Model:
        return Model(self.cls, lookup=self.shape.lookup)

    @cached_property
    def state(self) -> StateReader | None:
        """The reader of the data that values hold outside of their fields; None if they can hold nothing there."""
        return state_reader(self.cls, self.fields or ())

    @cached_property
    def computed(self) -> Mapping[str, Computed]:
        """The computed fields and properties from which rows may be read."""
        if self.fields is None or not is_taggable(self.cls) or issubclass(self.cls, dict):
            return {}
        members = find_computed_members(Model(unwithheld_class(self.cls), lookup=self.shape.lookup), self.fields)
        return {name: member for name, member in members.items() if name not in self.gone}

    @cached_property
    def reader(self) -> RowReader | None:
        """The reader of rows that runs none of their code; None if there is no such way."""
        return None if self.gone or not self.fields else _make_row_reader(self.cls, tuple(self.fields), self.state)

    @cached_property
    def quick(self) -> RowReader | None:
        """The same reader, if all fields were announced as plain values; else None."""
        return None if any(shape.says_what for shape in (self.fields or {}).values()) else self.reader

    def are_plain(self, rows: Collection[Any]) -> bool:
        """Return True if a quick check shows that all rows hold only plain values, in their fields and outside of them.

        Return False if a field was announced as more than a plain value. Computed fields are not looked at.
        """
        if self.quick is None:
            return False
        try:
            return all(LEAVES(set(map(type, values))) for values in self.quick.values(rows))
        except AttributeError:  # A slot was never set.
            return False


class _KeyAndItem(NamedTuple):
    first: object  # Only the type of this descriptor is used.


class RowReader(NamedTuple):
    """Functions that read rows of a class without running code of the class.

    Attributes:
        values: Returns all values of many rows, in a few groups. If a row holds anything beside its fields, a value
            that is not plain comes with them.
        held: Returns the values of one row by name, perhaps with others.
        beside: Returns the values outside of the fields that `held` does not return; None if there can be none.
    """

    values: Callable[[Collection[Any]], Iterable[Iterable[Any]]]
    held: Callable[[Any], Mapping[str, Any]]
    beside: Callable[[Any], Collection[Any]] | None = None


RAW_DICT: Final = "__purposeguard_dict__"
"""The attribute by which an object of a guarded session gives its `__dict__` unchecked."""

_held: Final = operator.attrgetter("__dict__")
_extra: Final = operator.attrgetter("__pydantic_extra__")
_private: Final = operator.attrgetter("__pydantic_private__")
_flatten: Final = itertools.chain.from_iterable


def _iter_dict_values(dicts: Iterable[dict[str, Any]]) -> Iterable[Any]:
    # `gc.get_referents` is quicker, but CPython 3.13.0 does not return values that are stored in the object itself.
    return _flatten(map(dict.values, dicts))


def _make_row_reader(cls: Any, names: tuple[str, ...], state: StateReader | None) -> RowReader | None:
    quick = _quick_fields(cls, names)
    if quick is None or state is None:
        return quick
    if quick.held is _held and state.is_in_dict:
        return quick
    if issubclass(cls, BaseModel) and state.readers == (private_values,):
        fields = quick.values
        return RowReader(
            lambda rows: (*fields(rows), _flatten(map(dict.values, filter(None, map(_private, rows))))),
            quick.held,
            state.values,
        )
    fields, beside = quick.values, state.values
    return RowReader(lambda rows: (*fields(rows), _flatten(map(beside, rows))), quick.held, beside)


def _quick_fields(cls: Any, names: tuple[str, ...]) -> RowReader | None:
    if issubclass(cls, BaseModel):
        return RowReader(lambda rows: (_iter_dict_values(map(_held, rows)), filter(None, map(_extra, rows))), _held)
    if issubclass(cls, dict):
        is_more = itertools.filterfalse
        are_declared = frozenset(names).issuperset
        return RowReader(
            lambda rows: (_flatten(map(dict.values, rows)), is_more(are_declared, map(dict.keys, rows))),
            (lambda row: row) if cls is dict else (lambda row: dict(dict.items(row))),
        )
    members = [inspect.getattr_static(cls, name, None) for name in names]
    member_types = set(map(type, members))
    if is_namedtuple(cls) and member_types == {type(_KeyAndItem.first)}:
        return RowReader(
            lambda rows: (_flatten(map(tuple.__iter__, rows)),),
            lambda row: dict(zip(cls._fields, tuple.__iter__(row), strict=True)),
        )
    if hasattr(cls, "__getattr__") or cls.__getattribute__ is not object.__getattribute__:
        return None
    if LEAVES(map(type, members)) and cls.__dictoffset__:
        return RowReader(lambda rows: (_iter_dict_values(map(_held, rows)),), _held)
    if member_types == {MemberDescriptorType}:
        getters = list(map(operator.attrgetter, names))
        return RowReader(
            lambda rows: (map(getter, rows) for getter in getters),
            lambda row: {name: get(row) for name, get in zip(names, getters, strict=True)},
        )
    return None


def collect_labels_outside_rows(*shapes: Shape) -> tuple[Label, ...]:
    """Return the labels of the data in these shapes, without the data in nested rows that have marks.

    Tags and seals have separate labels: a seal that may not be opened does not forbid the plain data.
    """
    labels: dict[Label, None] = {}
    for shape in shapes:
        for part in shape.iter_outside_rows():
            if part.tags:
                labels[Label(*part.tags)] = None
            if part.seal:
                labels[Label(*part.seal)] = None
    return tuple(labels)


def make_plan(cls: type, shape: Shape, path: str = "") -> ValuePlan:
    """Return the plan for values of class `cls` where `shape` was announced. Plans are cached in the shape.

    Args:
        cls: The class of the values.
        shape: The shape that was announced.
        path: The name of the value in messages.

    Raises:
        UnlabelledData: a sealed value was announced, and this is a plain one; or rows with marks were announced, and
            this has no marks; or the class has annotations with tags that are not read.
    """
    plan: ValuePlan | None = shape.plans.get(cls)
    if plan is None:
        plan = (_make_row_plan if is_taggable(cls) else _make_non_row_plan)(cls, shape, path)
        if is_fully_defined(cls) and not is_copy(cls):  # Classes of copies are discarded with their use.
            if len(shape.plans) >= MOST_CACHED:
                shape.plans.clear()
            shape.plans[cls] = plan
    return plan


def _make_non_row_plan(cls: type, shape: Shape, path: str) -> ValuePlan:
    """Return the plan for a class without fields of its own. A plain dict may be one of the announced rows."""
    if cls is type(None):
        return ValuePlan(cls, shape)
    is_leaf = cls in PLAIN or issubclass(cls, (*WITHOUT_FIELDS, Sealed))
    if not is_leaf and is_lazy_class(cls):
        return ValuePlan(cls, shape, later=True)
    shape.refuse_unread_class(cls)
    rows = tuple(model for model in shape.models if model.is_mapping) if issubclass(cls, dict) else ()
    if rows:
        # If a mapping was announced as well, the dict may be either.
        contents = shape.contents
        fields = _unite_fields(rows, contents)
        return ValuePlan(
            cls, shape, fields, rows, contents or shape.silent, shape.keys or shape.silent, gone=withheld_fields_of(cls)
        )
    if issubclass(cls, Sealed) and shape.sealed:
        return ValuePlan(cls, shape)
    # A record in a numpy array has items, but no `__iter__` method.
    is_record = hasattr(cls, "__array_interface__") and hasattr(cls, "__len__")
    contains = not is_leaf and (issubclass(cls, Collection) or is_record)
    if contains and shape.contents is not None:
        items, keys = _item_and_key_shapes(cls, shape)
        return ValuePlan(cls, shape, items=items, keys=keys, contains=True)
    refusal = None
    if not shape.says_what and is_lazy_iterable(cls):
        refusal = ", and what it gives cannot be seen before: give a list"
    elif any(cls is kind for kind, _ in shape.literals):
        # Some values of this class were announced by a `Literal`. The walk accepts those and refuses all others.
        refusal = _refusal(cls, shape, ())
    whole = _label_of_unannounced(cls, shape, (), path) if refusal is None else None
    return ValuePlan(cls, shape, contains=contains, whole=whole, refusal=refusal)


def _make_row_plan(cls: type, shape: Shape, path: str) -> ValuePlan:
    """Return the plan for a class with fields."""
    models = applicable_models(cls, shape.models, shape.lookup)
    announced = tuple(model for model in models if model in shape.models)
    gone = withheld_fields_of(cls)
    if issubclass(cls, WITHOUT_FIELDS):  # For example, an enumeration's member cannot be copied.
        whole = None if announced else _label_of_unannounced(cls, shape, models, path)
        sources = set() if whole is None else set(whole.sources)
        for model in models:
            sources |= model.shape.sources
        return ValuePlan(cls, shape, models=models, whole=Label(*sources) if sources else None, gone=gone)
    fields = _merge_model_fields(models, announced)
    if gone:
        names = field_names_of(cls)
        fields = {name: field for name, field in fields.items() if name in names}
    refusal = " and has fields beside its items: give one or the other" if issubclass(cls, dict) else None
    if announced:
        return ValuePlan(cls, shape, fields, models, gone=gone, refusal=refusal)
    contents = shape.contents
    if contents is not None and shape.keys is None and is_namedtuple(cls):
        # If the tuple's own class calls a field plain, the field may still be everything that an item may be.
        nothing: frozenset[Any] = frozenset()
        own = {name: dataclasses.replace(field, plain=nothing, literals=nothing) for name, field in fields.items()}
        return ValuePlan(cls, shape, {name: field | contents for name, field in own.items()}, models, gone=gone)
    whole = _label_of_unannounced(cls, shape, models, path)
    return ValuePlan(cls, shape, fields, models, whole=whole, gone=gone, refusal=refusal)


def resolve_stream_label(cls: type, shape: Shape, path: str) -> Label | None:
    """Return the label of all that was announced if a lazily read value is not of the announced kind; else None.

    Raises:
        UnlabelledData: as `make_plan`; or nothing was announced, and the contents of a value of this class cannot be
            seen by iterating.
    """
    shape.refuse_unread_class(cls)
    iterates = issubclass(cls, (Iterator, AsyncIterator, Collection))
    if iterates and shape.contents is not None:
        return None
    if not shape.says_what and is_lazy_iterable(cls):
        raise UnlabelledData(f"{format_value_name(path, cls)}, and what it gives cannot be seen before: give a list")
    return _label_of_unannounced(cls, shape, (), path)


def _item_and_key_shapes(cls: type, shape: Shape) -> tuple[Shape, Shape]:
    """Return the shapes of the items and keys of a container.

    If it is a container of another kind than announced, each may be anything that was announced.
    """
    items = shape.contents or shape.silent
    if shape.keys is None:
        return items, items
    return (items, shape.keys) if issubclass(cls, Mapping) else (shape.iterated or shape.silent, shape.silent)


def applicable_models(cls: type, announced: Iterable[Model], lookup: TagLookup | None) -> tuple[Model, ...]:
    """Return the classes that describe an object: the announced ones that it is an instance of and, last, its own."""
    if not is_taggable(cls):
        return tuple(model for model in announced if model.is_mapping) if issubclass(cls, dict) else ()
    own = unwithheld_class(cls)  # A copy without a field has lost the field's mark as well.
    models = tuple(model for model in announced if _is_instance_class(own, model))
    return models if any(model.cls is own for model in models) else (*models, _own_model(own, models, lookup))


def _is_instance_class(cls: type, model: Model) -> bool:
    """Return True if objects of a class are instances of a model. The arguments of a generic model do not matter."""
    generic: Mapping[str, Any] = getattr(model.cls, "__pydantic_generic_metadata__", {})
    return not model.is_mapping and (generic.get("origin") or model.cls) in cls.__mro__


def _own_model(cls: type, announced: Iterable[Model], lookup: TagLookup | None) -> Model:
    """Return the model of a class itself, with the arguments for its type variables that were announced."""
    bound: dict[Any, Shape] = {}
    for model in announced:
        names = dict(zip(getattr(model.cls, "__parameters__", ()), _bind_type_arguments(cls, model.cls), strict=False))
        for name, shape in model.bindings:
            own = names.get(name)
            if own in getattr(cls, "__parameters__", ()):
                bound[own] = bound[own] | shape if own in bound else shape
    return Model(cls, tuple(bound.items()), lookup)


def _bind_type_arguments(cls: type, generic: type) -> tuple[Any, ...]:
    """Return the arguments that a class gives to the type variables of a base class."""
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if isinstance(origin, type) and generic in origin.__mro__:
            if origin is generic:
                return get_args(base)
            arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(base), strict=False))
            return tuple(arguments.get(variable, variable) for variable in _bind_type_arguments(origin, generic))
    return ()


def _merge_model_fields(models: tuple[Model, ...], announced: tuple[Model, ...]) -> Mapping[str, Shape]:
    """Return the fields of an object: those that were announced, and those that its own class adds."""
    if len(models) == len(announced):
        return _unite_fields(announced)
    own = models[-1].fields()
    if not announced:
        return own
    merged = dict(own)
    for name, shape in _unite_fields(announced).items():
        merged[name] = _combine_shapes(shape, own[name]) if name in own else shape
    return merged


def _unite_fields(models: Iterable[Model], more: Shape | None = None) -> Mapping[str, Shape]:
    """Return field → the union of its shapes in the models, and of `more`."""
    first, *others = models
    if not others and more is None:
        return first.fields()
    merged = dict(first.fields())
    for model in others:
        for name, shape in model.fields().items():
            merged[name] = merged[name] | shape if name in merged else shape
    return merged if more is None else {name: shape | more for name, shape in merged.items()}


def _combine_shapes(announced: Shape, own: Shape) -> Shape:
    """Combine the shapes of a field that an announced class and the object's own class describe.

    If the two disagree about what the field is, the result is everything that either could mean.
    """
    both = announced | own
    decisive = announced if announced.says_what else both
    tags = both.tags
    if (
        announced.says_what
        and own.says_what
        and (
            announced.sealed is not own.sealed
            or (announced.contents is None) is not (own.contents is None)
            or not all(_is_announced(model, announced.models) for model in own.models)
        )
    ):
        tags |= both.sources
    items = both.items
    if announced.items is not None and own.items is not None:
        items = _combine_shapes(announced.items, own.items)
    return dataclasses.replace(both, tags=tags, items=items, plain=decisive.plain, literals=decisive.literals)


def _is_announced(model: Model, announced: tuple[Model, ...]) -> bool:
    """Return True if a class was announced, or derives from an announced one.

    TypedDicts do not know their bases, so they must be the announced class itself.
    """
    if model.is_mapping:
        return any(model.cls is other.cls for other in announced)
    return issubclass(model.cls, tuple(other.cls for other in announced if not other.is_mapping))


def is_lazy_iterable(cls: type, *, announced: bool = False) -> bool:
    """Return True if objects of a class can only be iterated or awaited, like queries. Their contents are unknown then.

    A connection or an open file can be iterated too, but is no container of rows unless it was announced as one.
    """
    if issubclass(cls, (*WITHOUT_FIELDS, Collection, Iterator, Sealed)) or is_taggable(cls):
        return False
    if issubclass(cls, (AsyncIterator, Awaitable)):
        return True
    gives = issubclass(cls, (Iterable, AsyncIterable))
    return gives and (announced or not (issubclass(cls, Container) or hasattr(cls, "read")))


def _label_of_unannounced(cls: type, shape: Shape, models: tuple[Model, ...], path: str) -> Label | None:
    """Return the label of all that was announced if a value is neither that nor an announced plain value; else None.

    Raises:
        UnlabelledData: as `make_plan`.
    """
    if not shape.says_what:
        return None
    if issubclass(cls, tuple(shape.plain)):
        # A text may be an announced row in serialized form.
        return shape.label_of_all() if shape.models and not issubclass(cls, _NEVER_ROWS) else None
    refusal = _refusal(cls, shape, models)
    if refusal is not None:
        raise UnlabelledData(f"{format_value_name(path, cls)}{refusal}")
    return shape.label_of_all()


_NEVER_ROWS: Final = (int, float, complex, Decimal, datetime.date, datetime.time, datetime.timedelta, enum.Enum)
"""Classes of plain values that cannot be a row that was written out."""


def _refusal(cls: type, shape: Shape, models: tuple[Model, ...]) -> str | None:
    """Return why a value of an unannounced kind is refused in any use; None if it is not."""
    if shape.sealed:
        return ", and a sealed value was announced: seal it where it is read"
    required_marks = _collect_marks(shape.iter_models())
    if not required_marks <= _collect_marks(models):
        advice = "make the function itself `async`" if issubclass(cls, Awaitable) else "give a list, or an iterator"
        return (
            ", and not what its annotation says, or nothing in which rows can be looked at one by one; whom it is "
            f"about is unknown: {advice}"
        )
    return None


def _collect_marks(models: Iterable[Model]) -> set[Mark]:
    """Return all marks on the fields of these models."""
    marks: set[Mark] = set()
    for model in models:
        marks.update(model.marks())
    return marks


def format_value_name(path: str, cls: type) -> str:
    """Format the subject of a message about a value of this class: its path, or "what came", and its class."""
    return f"{f'`{path}`' if path else 'what came'} is a {cls.__qualname__}"


def unwithheld_class(cls: type) -> type:
    """Return the class that `cls` is a withholding subclass of; `cls` itself if it is none."""
    return cls.__bases__[-1] if is_copy(cls) else cls


def withheld_fields_of(cls: type) -> Mapping[str, Decision]:
    """Return the fields that were withheld from the copies of this class, with the decisions."""
    record: WithheldRecord | None = vars(cls).get("__purposeguard_withheld__")
    return record.decisions if record is not None else {}


def read_field(value: Any, name: str) -> Any:
    """Read a field without running code of the class, except properties that are fields. MISSING if it is not there."""
    if isinstance(value, dict):
        return dict.get(value, name, MISSING)  # Bypass the methods of its class.
    if isinstance(value, BaseModel):
        return value.__dict__.get(name, MISSING)
    return getattr(value, name, MISSING)


def get_stored_entries(mapping: Mapping[Any, Any]) -> Collection[tuple[Any, Any]]:
    """Return the keys and items of a mapping. For a dict, these are all that it stores, bypassing methods of its class.

    `MultiValueDict` of Django and others store lists, but return only the last item of each.
    """
    if isinstance(mapping, collections.OrderedDict):  # Only its own methods know its order.
        return collections.OrderedDict.items(mapping)
    return dict.items(mapping) if isinstance(mapping, dict) else mapping.items()


def replace_entries(mapping: dict[Any, Any], entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """Copy a dict and replace its entries."""
    kind: Any = collections.OrderedDict if isinstance(mapping, collections.OrderedDict) else dict
    other = copy.copy(mapping)
    kind.clear(other)
    kind.update(other, entries)
    return other


def objects_in_array(value: Any, path: str) -> list[Any]:
    """Return the objects in an array or tensor; nothing if it holds numbers, texts or days, which are never rows.

    Raises:
        UnlabelledData: it holds records with objects in them.
    """
    dtype = getattr(value, "dtype", None)
    if not getattr(dtype, "hasobject", False):
        return []
    if getattr(dtype, "fields", None):
        raise UnlabelledData(
            f"{format_value_name(path, type(value))} of records that hold objects: give a list of rows"
        )
    # Use the methods of the base class: a masked array, for example, hides some of its objects.
    basic: Any = next(cls for cls in reversed(type(value).__mro__) if "tolist" in vars(cls))
    objects: list[Any] = basic.tolist(basic.flatten(value))
    return objects


def find_undeclared_entries(row: Any, fields: Mapping[str, Shape]) -> Collection[tuple[Any, Any]]:
    """Return the keys of a row that its class or annotation does not declare, with their values."""
    entries: Any = row if isinstance(row, dict) else getattr(row, "__pydantic_extra__", None)
    return [(key, value) for key, value in entries.items() if key not in fields] if entries else ()
