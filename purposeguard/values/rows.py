"""Rows: what a value is, given what was announced of it, and what a row's marked fields say.

Whose it is, when it was collected, when its subject's use ended.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, ClassVar, Final, NamedTuple, Protocol, get_args, get_origin

from pydantic import BaseModel

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext, SubjectId, subject_key
from purposeguard.values.annotations import PLAIN, WITHOUT_FIELDS, is_namedtuple, is_taggable, names_of
from purposeguard.values.markers import Collected, Ended, Mark, SubjectMark
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Model, Shape, refuse_unread, says_nothing
from purposeguard.values.withheld import Withheld


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _NamedTuple(Protocol):
    # Of `_fields` type checkers disagree whether it is the class's or each tuple's.
    def _asdict(self) -> dict[str, Any]: ...


Whose = SubjectId | RowContext | BaseModel | _Dataclass | _Attrs | _NamedTuple | None
"""What `subject=` may be: the id of a subject, a `RowContext`, a row with marked fields; None where nobody is named."""

MISSING: Final = object()
"""In place of a field's value that is not there."""

LONG_AGO: Final = datetime.date.min
"""In place of a day of collection that a row is to say and does not: no period and no revision reaches back to it."""


SILENT: Final = Shape()
"""What an annotation says that says nothing: what comes is known by its own class."""


class Reading(NamedTuple):
    """What values of a class are where something was announced.

    `fields` are those of a row, by all classes that say something of it (`models`): announced ones that it is an
    instance of, and its own. None where it is no row. `items` and `keys` are what is in a container. `whole` is the
    label of all that the announcement could mean, where it is nothing of it: all of that must be usable as well.
    """

    fields: Mapping[str, Shape] | None = None
    models: tuple[Model, ...] = ()
    items: Shape = SILENT
    keys: Shape = SILENT
    contains: bool = False
    whole: Label | None = None


def reading_of(cls: type, shape: Shape, path: str) -> Reading:
    """What a value of class `cls` is, where `shape` was announced; `path` names it in messages.

    Raises:
        UnlabelledData: a sealed value was announced, and this is a plain one; or rows that say whose they are, and this
            does not say it; or it is a row that keeps data where its fields are not; or its class says something of its
            attributes that nobody reads.
    """
    if cls is type(None):
        return Reading()
    models = _models_of(cls, shape.models)
    return (_reading_of_row if is_taggable(cls) else _reading_of_other)(cls, shape, models, path)


def _reading_of_other(cls: type, shape: Shape, rows: tuple[Model, ...], path: str) -> Reading:
    """What a value is whose class has no fields of its own: a plain dict may be one of the `rows` announced."""
    refuse_unread(cls)
    if rows:
        # Where a mapping was announced as well, it may be either.
        fields = _united([model.fields() for model in rows], shape.items)
        return Reading(fields, rows, shape.items or SILENT, shape.keys or SILENT)
    if issubclass(cls, Sealed) and shape.sealed:
        return Reading()
    contains = _contains(cls)
    if contains and shape.items is not None:
        return Reading(None, (), *_contents(cls, shape), contains)
    return Reading(contains=contains, whole=_whole(cls, shape, (), path))


def _reading_of_row(cls: type, shape: Shape, models: tuple[Model, ...], path: str) -> Reading:
    """What an object is whose class has fields."""
    announced = tuple(model for model in models if model in shape.models)
    if issubclass(cls, dict):
        raise UnlabelledData(f"{_named(path, cls)} and has fields beside its items: give one or the other")
    if issubclass(cls, WITHOUT_FIELDS):  # a member of an enumeration, say, of which no copy can be made
        whole = [None if announced else _whole(cls, shape, models, path), *(one.shape.label_of_all() for one in models)]
        labels = [label for label in whole if label is not None]
        return Reading(models=models, whole=Label.join(*labels) if labels else None)
    fields = _fields_of(models, announced)
    if gone_from(cls):
        names = names_of(cls)
        fields = {name: field for name, field in fields.items() if name in names}
    if announced:
        return Reading(fields, models)
    if shape.items is not None and shape.keys is None and is_namedtuple(cls):
        return Reading({name: field | shape.items for name, field in fields.items()}, models)
    return Reading(fields, models, whole=_whole(cls, shape, models, path))


def _contains(cls: type) -> bool:
    """Whether its values are containers, or iterators, of which items can be looked at one by one."""
    return (
        cls not in PLAIN
        and issubclass(cls, (Collection, Iterator, AsyncIterator))
        and not issubclass(cls, (*WITHOUT_FIELDS, Sealed))
    )


def _contents(cls: type, shape: Shape) -> tuple[Shape, Shape]:
    """What the items and keys of a container are; where it is of another kind than announced, what either may be."""
    items = shape.items or SILENT
    if shape.keys is None:
        return items, items
    return (items, shape.keys) if issubclass(cls, Mapping) else (shape.gives or SILENT, SILENT)


def _models_of(cls: type, announced: Iterable[Model]) -> tuple[Model, ...]:
    """The classes that say what an object is: those announced that it is an instance of and, last, its own."""
    if not is_taggable(cls):
        return tuple(model for model in announced if model.is_mapping) if issubclass(cls, dict) else ()
    own = base_of_class(cls)  # a copy without a field has lost its mark as well
    models = tuple(model for model in announced if _is_one(own, model))
    return models if any(model.cls is own for model in models) else (*models, _own(own, models))


def _is_one(cls: type, model: Model) -> bool:
    """Whether objects of a class are what a model says: of a generic one, whatever stands in its brackets."""
    generic: Mapping[str, Any] = getattr(model.cls, "__pydantic_generic_metadata__", {})
    return not model.is_mapping and (generic.get("origin") or model.cls) in cls.__mro__


def _own(cls: type, announced: Iterable[Model]) -> Model:
    """A class as its own objects know it; its type variables stand for what was announced of them."""
    bound: dict[Any, Shape] = {}
    for model in announced:
        names = dict(zip(getattr(model.cls, "__parameters__", ()), _passed_on(cls, model.cls), strict=False))
        for name, shape in model.bindings:
            own = names.get(name)
            if own in getattr(cls, "__parameters__", ()):
                bound[own] = bound[own] | shape if own in bound else shape
    return Model(cls, tuple(bound.items()))


def _passed_on(cls: type, generic: type) -> tuple[Any, ...]:
    """What a class puts in the place of the type variables of one that it derives from."""
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if isinstance(origin, type) and generic in origin.__mro__:
            if origin is generic:
                return get_args(base)
            stated = dict(zip(getattr(origin, "__parameters__", ()), get_args(base), strict=False))
            return tuple(stated.get(one, one) for one in _passed_on(origin, generic))
    return ()


def _fields_of(models: tuple[Model, ...], announced: tuple[Model, ...]) -> Mapping[str, Shape]:
    """The fields of an object: all that is announced of it, and all that its own class adds."""
    if len(models) == len(announced):
        return _united([model.fields() for model in announced])
    own = models[-1].fields()
    if not announced:
        return own
    fields = _united([model.fields() for model in announced])
    stated = {name: _both(fields[name], shape) if name in fields else shape for name, shape in own.items()}
    return stated | {name: shape for name, shape in fields.items() if name not in own}


def _united(several: Iterable[Mapping[str, Shape]], more: Shape | None = None) -> Mapping[str, Shape]:
    """Field → all that it may be."""
    first, *others = several
    if not others and more is None:
        return first
    merged = dict(first)
    for fields in others:
        for name, shape in fields.items():
            merged[name] = merged[name] | shape if name in merged else shape
    return merged if more is None else {name: shape | more for name, shape in merged.items()}


def _both(announced: Shape, own: Shape) -> Shape:
    """What a field is of which two classes of one object speak: what was announced, and whatever its own class adds.

    Where they speak of different things, it is all that either could mean.
    """
    both = announced | own
    plain = announced.plain if announced.says_what else both.plain
    tags = both.tags
    if announced.says_what and own.says_what:
        classes = tuple(model.cls for model in announced.models)
        if (
            announced.sealed is not own.sealed
            or (announced.items is None) is not (own.items is None)
            or not all(issubclass(model.cls, classes) for model in own.models)
        ):
            tags = tags.union(*both.everything(set()))
    items = both.items
    if announced.items is not None and own.items is not None:
        items = _both(announced.items, own.items)
    return dataclasses.replace(both, tags=tags, items=items, plain=plain)


def gives_items_later(cls: type, *, announced: bool = False) -> bool:
    """Whether objects of a class can only be gone through or awaited, like queries: what they give is not known now.

    A connection or an open file can be gone through too, and is no container of rows unless it is announced as one.
    """
    if issubclass(cls, (*WITHOUT_FIELDS, Collection, Iterator, Sealed)) or is_taggable(cls):
        return False
    if issubclass(cls, (AsyncIterator, Awaitable)):
        return True
    gives = issubclass(cls, (Iterable, AsyncIterable))
    return gives and (announced or not (issubclass(cls, Container) or hasattr(cls, "read")))


def _whole(cls: type, shape: Shape, models: tuple[Model, ...], path: str) -> Label | None:
    """The label of all that was announced, where a value is not it, nor the plain value that it may be instead.

    Raises:
        UnlabelledData: as `reading_of`.
    """
    if not shape.says_what:
        if gives_items_later(cls):
            raise UnlabelledData(f"{_named(path, cls)}, and what it gives cannot be seen before: give a list")
        return None
    if issubclass(cls, tuple(shape.plain)):
        return shape.label_of_all() if shape.models else None
    if shape.sealed:
        raise UnlabelledData(f"{_named(path, cls)}, and a sealed value was announced: seal it where it is read")
    to_be_said = {mark for model in shape.every_model() for mark in model.marks()}
    if not to_be_said.issubset(mark for model in models for mark in model.marks()):
        advice = "make the function itself `async`" if issubclass(cls, Awaitable) else "give a list, or an iterator"
        raise UnlabelledData(
            f"{_named(path, cls)}, and not what its annotation says, or nothing in which rows can be looked at one by "
            f"one; whom it is about is unknown: {advice}"
        )
    return shape.label_of_all()


def _named(path: str, cls: type) -> str:
    return f"{f'`{path}`' if path else 'what came'} is a {cls.__qualname__}"


def base_of_class(cls: type) -> type:
    """The class of which objects of `cls` are copies that something was withheld from; itself where they are none."""
    return cls.__bases__[-1] if "__purposeguard_withheld__" in vars(cls) else cls


def gone_from(cls: type) -> Mapping[str, Decision]:
    """The fields that copies of this class lack, which are not to be read."""
    # `hasattr` asks the metaclass of a pydantic model, too.
    record: Withheld | None = vars(cls).get("__purposeguard_withheld__")
    return record.decisions if record is not None else {}


def abouts_of(value: Any, models: Iterable[Model] = (), around: tuple[RowContext, ...] = ()) -> tuple[RowContext, ...]:
    """What the marked fields of a row say, as `said_by`; `models` are what its annotation says that it is."""
    if not models and says_nothing(type(value)):
        return ()
    return said_by(value, _models_of(type(value), tuple(models)), around)


def said_by(value: Any, models: Iterable[Model], around: tuple[RowContext, ...] = ()) -> tuple[RowContext, ...]:
    """What the fields say that the classes of a row mark, once for each subject; nothing where they mark none.

    `around` is what is known of the row that this one is in: whose, or from when, is taken from there where no field of
    this one says it. That a marked field holds None frees nobody: the row is still the outer row's subject's.

    Raises:
        UnlabelledData: a marked field holds what cannot be read as an id or a day, was withheld, or is not there.
    """
    marked: dict[Mark, dict[str, None]] = {}
    for model in models:
        for mark, names in model.marks().items():
            marked.setdefault(mark, {}).update(dict.fromkeys(names))
    if not marked:
        return ()
    what = type(value).__qualname__
    collected = [_said(value, name, what) for name in marked.get(Collected, ())]
    ended = [_said(value, name, what) for name in marked.get(Ended, ())]
    # Of several, which only different classes of one row can mark, the one that says the least good of it.
    begun = min((LONG_AGO if one is None else one for one in collected), key=_order, default=None)
    over = min((one for one in ended if one is not None), key=_order, default=None)
    subjects: Iterable[Any] = (None,)
    if around:
        begun = begun if collected else around[0].collected
        over = around[0].ended if over is None else over
        subjects = [one.subject for one in around]
    try:
        subjects = _subjects(value, marked, what) or subjects
        return tuple(RowContext(one, collected=begun, ended=over) for one in subjects)
    except (TypeError, ValueError) as error:
        why = str(error)
    # Without the error itself, whose frames hold the row.
    raise UnlabelledData(f"{what}: a marked field cannot be read: {why}")


def _subjects(value: Any, marked: Mapping[Mark, Iterable[str]], what: str) -> list[Any]:
    """The ids in the fields that are marked `Subject`, within their realms."""
    return [
        subject_in(mark, one)
        for mark, names in marked.items()
        if isinstance(mark, SubjectMark)
        for name in names
        for one in _ids(_said(value, name, what))
    ]


def subject_in(mark: SubjectMark, given: Any) -> Any:
    """What a subject is called whose id stands where this mark does."""
    return given if mark.realm is None else f"{mark.realm}:{subject_key(given)}"


def given_row_contexts(given: object) -> tuple[RowContext, ...]:
    """What `subject=` means: a `RowContext`, the id of a subject, or a row whose marked fields say it.

    Raises:
        TypeError, ValueError: it is none of them, or a row of a class without marks.
        UnlabelledData: as `abouts_of`.
    """
    if isinstance(given, RowContext):
        return (given,)
    if isinstance(given, (int, str, uuid.UUID)):
        return (RowContext(given),)
    if is_taggable(type(given)):
        found = abouts_of(given)
        if found:
            return found
        raise TypeError(f"{type(given).__qualname__} has no marked field: mark one, `Annotated[int, Subject]`")
    raise TypeError(
        "`subject` is an id (an int, a text or a UUID), a `RowContext`, or a row with marks, "
        f"not {type(given).__name__}"
    )


def read_field(value: Any, name: str) -> Any:
    """A field's value without running code of the class, except properties that are fields (computed ones are not)."""
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, BaseModel):
        return value.__dict__.get(name, MISSING)
    return getattr(value, name, MISSING)


def entries_of(mapping: Mapping[Any, Any]) -> Collection[tuple[Any, Any]]:
    """The keys and items of a mapping; of a dict all that it stores, whatever its class makes of them.

    `MultiValueDict` of Django and others store lists, and give the last item of each.
    """
    if isinstance(mapping, collections.OrderedDict):  # which keeps its order by its own methods only
        return collections.OrderedDict.items(mapping)
    return dict.items(mapping) if isinstance(mapping, dict) else mapping.items()


def refilled(mapping: dict[Any, Any], entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy of a dict that stores these instead."""
    kind: Any = collections.OrderedDict if isinstance(mapping, collections.OrderedDict) else dict
    other = copy.copy(mapping)
    kind.clear(other)
    kind.update(other, entries)
    return other


def beside_fields(row: Any, fields: Mapping[str, Shape]) -> Collection[tuple[Any, Any]]:
    """The keys that a row has beside the fields that its class or annotation declares, with what they hold."""
    held: Any = row if isinstance(row, dict) else getattr(row, "__pydantic_extra__", None)
    return [(key, one) for key, one in held.items() if key not in fields] if held else ()


def _said(value: Any, name: str, what: str) -> Any:
    if name in gone_from(type(value)):
        raise UnlabelledData(f"{what}: `{name}` is marked, and was withheld, so nothing says about whom or when")
    found = read_field(value, name)
    if found is MISSING:
        raise UnlabelledData(f"{what}: `{name}` is marked, and it is not there, so nothing says about whom or when")
    return found


def _ids(value: Any) -> list[Any]:
    """The ids in a field: one, none, or those in a container."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [one for one in value if one is not None]
    return [value]


def _order(day: Any) -> tuple[int, int, int]:
    """Days by their dates; what is no day comes first, and is refused as such."""
    return (day.year, day.month, day.day) if isinstance(day, datetime.date) else (0, 0, 0)
