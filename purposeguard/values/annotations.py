"""Annotations of classes: classes whose fields can carry tags, and the tags of a field, inside or from outside."""

from __future__ import annotations

import array
import builtins
import contextlib
import dataclasses
import datetime
import enum
import functools
import inspect
import io
import re
import sys
import types
import typing
from collections import UserString, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple, TypeGuard, cast, get_args, get_origin

import typing_extensions
from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import PydanticUndefined

from purposeguard.containers import drop_none_values, omit_keys
from purposeguard.errors import UnlabelledData
from purposeguard.notice.fields import Refers
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Purpose, Source, TermMeta, fold
from purposeguard.values.markers import Mark

# fmt: off
PLAIN: Final[frozenset[type]] = frozenset(
    {
        type(None), bool, int, float, complex, str, bytes, Decimal,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    }
)
# fmt: on
"""Types of values that have no fields and contain no other values."""

WITHOUT_FIELDS: Final = (str, UserString, bytes, bytearray, memoryview, range, array.array, enum.Enum, io.IOBase)
"""Base classes of values without fields. Such values are neither searched nor copied, since they may be very large."""

ALIASES: Final = tuple(
    {typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)}
)

QUALIFIERS: Final = frozenset(
    {
        typing.Required,
        typing_extensions.Required,
        typing.NotRequired,
        typing_extensions.NotRequired,
        typing_extensions.ReadOnly,
        getattr(typing, "ReadOnly", typing_extensions.ReadOnly),
        typing.Final,
    }
)
"""Qualifiers around an annotation that are no types of their own."""

TRANSPARENT: Final = QUALIFIERS | {typing.Unpack, typing_extensions.Unpack, Awaitable, Coroutine}
"""Types around the type of a value that are no containers of it."""

NO_CONTAINERS: Final = frozenset({None, typing.Generic, typing.Protocol, typing_extensions.Protocol})
"""Bases of a class that state nothing about its contents."""

LITERALS: Final = frozenset({typing.Literal, typing_extensions.Literal})

OPAQUE: Final = LITERALS | {type, Callable}
"""Generic types that hold no values of their arguments."""

READABLE: Final = "a pydantic model, dataclass, TypedDict, NamedTuple or attrs class"
"""The classes whose fields can carry tags, in messages."""

_IMMUTABLE: Final = 1 << 8
"""The flag of types that are written in C: they have no annotations."""


def is_taggable(cls: object) -> TypeGuard[type]:
    """Return True if the fields of a class can carry tags."""
    if not isinstance(cls, type) or cls is BaseModel:
        return False
    return (
        issubclass(cls, BaseModel)
        or dataclasses.is_dataclass(cls)
        or typing_extensions.is_typeddict(cls)
        or is_namedtuple(cls)
        or is_attrs(cls)
    )


def is_namedtuple(cls: type) -> bool:
    """Return True if a class is a NamedTuple."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_field_defaults")


def is_attrs(cls: type) -> bool:
    """Return True if a class was made by attrs (which is not imported for it)."""
    return any("__attrs_attrs__" in vars(base) for base in cls.__mro__)


def field_names_of(cls: type) -> tuple[str, ...]:
    """Return the names of the fields of a taggable class, also where their annotations cannot be resolved yet."""
    if issubclass(cls, BaseModel):
        return (*cls.model_fields, *cls.model_computed_fields)
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if is_namedtuple(cls):
        return tuple(cast("Any", cls)._fields)
    if is_attrs(cls):
        return tuple(field.name for field in cast("Any", cls).__attrs_attrs__)
    return tuple(typing_extensions.get_annotations(cls, format=typing_extensions.Format.FORWARDREF))


def describe_kind(annotation: object) -> str:
    """Return the name that a message uses for an object that is not the expected class or annotation.

    The text of a value itself is never shown.
    """
    if isinstance(annotation, type):
        return annotation.__qualname__
    if get_origin(annotation) is not None or type(annotation).__module__ in ("typing", "typing_extensions"):
        return str(annotation)
    return f"a {type(annotation).__qualname__}"


class FunctionAnnotations(NamedTuple):
    """The annotations of a function.

    Attributes:
        annotations: Parameter, or `return`, → annotation.
        names: The global names that the annotations may use.
        around: The names of the enclosing function and of `localns`.
    """

    annotations: Mapping[str, Any]
    names: dict[str, Any]
    around: Mapping[str, Any]


def read_function_annotations(fn: Callable[..., Any], localns: Mapping[str, Any] | None = None) -> FunctionAnnotations:
    """Return the annotations of the function that runs when `fn` is called.

    Partials, wrappers and callable objects are looked through. `around` holds the variables of the enclosing function,
    as far as they have a value by now, and `localns`.
    """
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not hasattr(inner, "__globals__") and not inspect.isroutine(inner):
        inner = type(inner).__call__  # This is an object with `__call__`.
    inner = inspect.unwrap(inner)
    around: dict[str, Any] = {}
    if isinstance(inner, types.FunctionType):
        for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # The variable has no value yet.
                around[name] = cell.cell_contents
    annotations = getattr(inner, "__annotations__", {})
    return FunctionAnnotations(annotations, getattr(inner, "__globals__", {}), {**around, **(localns or {})})


def evaluate_annotation(annotation: object, names: dict[str, Any], localns: Mapping[str, Any] | None = None) -> Any:
    """Resolve the names in one annotation, without looking at the annotations beside it.

    Raises:
        NameError: a name is not defined.
    """

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    return typing_extensions.get_type_hints(probe, names, localns, include_extras=True)["it"]


def alias_value(alias: Any) -> Any:
    """Return the annotation that a type alias stands for. Names in it are resolved as far as they are defined."""
    names = getattr(sys.modules.get(alias.__module__), "__dict__", {})
    parameters = {parameter.__name__: parameter for parameter in alias.__type_params__}
    try:
        return evaluate_annotation(alias.__value__, names, {**parameters, alias.__name__: alias})
    except NameError:
        return alias.__value__


Missing = tuple[tuple[Mapping[str, Any], str], ...]
"""Undefined names, each with the namespace in which it would be defined."""


def can_have_statements(cls: type) -> bool:
    """Return True if a class can have annotations of its own. Classes that are written in C cannot."""
    return not cls.__flags__ & _IMMUTABLE


class Statement(NamedTuple):
    """The annotation of one attribute of a class.

    Attributes:
        owner: The class that states it.
        name: The name of the attribute.
        annotation: The annotation, resolved.
        missing: The names in the annotation that are not defined yet.
    """

    owner: type
    name: str
    annotation: Any
    missing: Missing = ()


def iter_statements(cls: type) -> Iterator[Statement]:
    """Yield the annotations of attributes in a class and its bases, even if the class has no fields."""
    for owner in cls.__mro__:
        if can_have_statements(owner):
            yield from iter_attributes(owner)
            yield from iter_properties(owner)
            yield from iter_init_parameters(owner)


def iter_attributes(owner: type) -> Iterator[Statement]:
    """Yield the annotations that a class body itself gives to attributes."""
    annotations = typing_extensions.get_annotations(owner, format=typing_extensions.Format.FORWARDREF)
    for name, annotation in annotations.items():
        yield _make_statement(owner, name, annotation, module_names(owner))


def iter_properties(owner: type) -> Iterator[Statement]:
    """Yield the return annotations of the properties that a class itself defines."""
    # Iterate over a copy: another thread that reads the same class may store what it has read in the class.
    for name, member in vars(owner).copy().items():
        if isinstance(member, property):
            getter: object = member.fget
        elif isinstance(member, functools.cached_property):
            getter = member.func
        else:
            getter = inspect.getattr_static(member, "fget", None)  # Other kinds of properties have `fget`, too.
        if isinstance(getter, types.FunctionType) and "return" in getter.__annotations__:
            yield _make_statement(owner, name, getter.__annotations__["return"], getter.__globals__)


def iter_init_parameters(owner: type) -> Iterator[Statement]:
    """Yield the annotated parameters of the `__init__` that a class itself defines.

    Objects of the class are made from these values, and so may hold them.
    """
    init = vars(owner).get("__init__")
    if isinstance(init, types.FunctionType):
        for name, annotation in init.__annotations__.items():
            yield _make_statement(owner, f"__init__({name})", annotation, init.__globals__)


def module_names(cls: type) -> dict[str, Any]:
    """Return the names of the module in which a class is defined."""
    names: dict[str, Any] = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    return names


class _Unresolved(type):
    """The class of placeholders for undefined names: an expression with a placeholder is the placeholder."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(list, item)  # The arguments are searched for tags.

    def __call__(cls, *_args: object, **_kwargs: object) -> Any:
        return cls


class Unresolved(metaclass=_Unresolved):
    """Stands for a name that is not defined, and may be there for type checkers alone."""


class _PlaceholderNames(dict[str, Any]):
    """The names in these mappings, in this order, and `Unresolved` for any other."""

    def __init__(self, *namespaces: Mapping[str, Any]) -> None:
        super().__init__()
        self.missing: list[str] = []
        self._namespaces = (*namespaces, vars(builtins))

    def __missing__(self, name: str) -> Any:
        for names in self._namespaces:
            if name in names:
                return names[name]
        self.missing.append(name)
        return Unresolved


def _make_statement(owner: type, name: str, annotation: Any, around: dict[str, Any]) -> Statement:
    names = _PlaceholderNames(around, vars(owner))  # This is the order of `get_type_hints`.
    try:
        resolved = resolve_annotation(annotation, around, names)
    except Exception:  # noqa: BLE001  # A string that is no annotation may raise anything.
        # If the text may contain a tag, treat it as one.
        tagged = isinstance(annotation, str) and ("Annotated" in annotation or "Personal" in annotation)
        return Statement(owner, name, typing.Annotated[object, Unresolved] if tagged else object)
    return Statement(owner, name, resolved, tuple((around, missing) for missing in names.missing))


def resolve_annotation(annotation: Any, names: dict[str, Any], localns: Mapping[str, Any] | None = None) -> Any:
    """Resolve one annotation of a class, where `ClassVar` is allowed. Otherwise like `evaluate_annotation`.

    Raises:
        NameError: a name is not defined.
    """
    probe = type("probe", (), {"__annotations__": {"it": annotation}})
    return typing_extensions.get_type_hints(probe, names, localns, include_extras=True)["it"]


def resolve_annotations(annotations: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Resolve the annotations of a class, and drop those with names that only type checkers know."""
    resolved: dict[str, Any] = {}
    for name, annotation in annotations.items():
        with contextlib.suppress(NameError):
            resolved[name] = resolve_annotation(annotation, names)
    return resolved


_TOLD: Final = "__purposeguard_told__"
"""The attribute in which a class keeps the tags that were added to its fields from outside."""

_READER: Final = "__purposeguard_reader__"
"""The attribute with the name of the first class, itself or a subclass, whose tags were read. Too late to add tags."""

EXTRA_ITEMS: Final = "__extra_items__"
"""The attribute with the type of the values that a TypedDict may hold beside its keys."""

ExternalTags = tuple[type[Source] | Label | Mark, ...]
"""Tags of a field that were added from outside, as they would stand in its annotation."""


def external_tags_of(cls: type) -> Mapping[str, ExternalTags]:
    """Return field → the tags that were added to it from outside, for this class alone."""
    tags: Mapping[str, ExternalTags] = vars(cls).get(_TOLD, types.MappingProxyType({}))
    return tags


def add_external_tags(cls: type, name: str, annotation: Any) -> Any:
    """Add the tags that were set from outside, on the class or its bases, to the annotation of a field."""
    tags: list[type[Source] | Label | Mark] = []
    for base in class_lineage(cls):
        tags += external_tags_of(base).get(name, ())
    return Annotated[(annotation, *tags)] if tags else annotation


def set_external_tags(cls: type, tags: Mapping[str, ExternalTags]) -> None:
    """Store the tags that were set from outside in the class."""
    type.__setattr__(cls, _TOLD, tags)


def find_reader(cls: type) -> str | None:
    """Return the name of the first class whose tags were read: this class, or a subclass. None if none were read."""
    reader: str | None = vars(cls).get(_READER)
    return reader


def read_fields(cls: type, localns: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any], list[Statement]]:
    """Read the annotations of a class: of its fields, of its other attributes, and of fields that it annotated anew.

    Afterwards, no more tags can be added to the class from outside.

    Returns:
        Field → annotation, with all tags; other attribute → annotation; and what base classes stated about fields that
        were annotated anew. The second is empty for pydantic models, which keep private attributes apart.

    Raises:
        UnlabelledData: an annotation cannot be resolved; `localns` gives names it may need.
    """
    fields, others = (
        (_read_pydantic_fields(cls, localns), {}) if issubclass(cls, BaseModel) else _read_plain_fields(cls, localns)
    )
    for base in class_lineage(cls):
        if is_taggable(base) and find_reader(base) is None:
            type.__setattr__(base, _READER, cls.__qualname__)
    _refuse_metadata(cls)
    tagged_fields = {name: add_external_tags(cls, name, hint) for name, hint in fields.items()}
    return tagged_fields, others, find_restatements(cls, fields, localns)


def _refuse_metadata(cls: type) -> None:
    """Raise UnlabelledData if a tag stands in the metadata of a field, where it is not read."""
    metadata_by_field: dict[str, Any] = {}
    if issubclass(cls, BaseModel):
        metadata_by_field = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
    elif dataclasses.is_dataclass(cls) or is_attrs(cls):
        fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else cast("Any", cls).__attrs_attrs__
        metadata_by_field = {field.name: field.metadata for field in fields}
    for name, metadata in metadata_by_field.items():
        if isinstance(metadata, Mapping) and (_KEY in metadata or any(map(is_tag, metadata.values()))):
            raise UnlabelledData(
                f"{cls.__qualname__}.{name}: a tag stands in the metadata of the field, where nobody reads it: put it "
                "into the annotation, `Annotated[str, Source]`"
            )


_KEY: Final = "purposeguard"
"""The key under which the metadata of other libraries holds the tag of a column."""


def _read_pydantic_fields(cls: type[BaseModel], localns: Mapping[str, Any] | None) -> dict[str, Any]:
    if not cls.__pydantic_complete__:
        try:
            cls.model_rebuild(_types_namespace=localns)
        except PydanticUndefinedAnnotation as error:
            raise _make_unresolved_error(cls, error.name) from error
    hints: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        marks = tuple(mark for mark in field.metadata if is_tag(mark) or looks_like_tag(mark))
        hints[name] = Annotated[(field.annotation, *marks)] if marks else field.annotation
    for name, computed in cls.model_computed_fields.items():
        hints[name] = computed.return_type if computed.return_type is not PydanticUndefined else object
    return hints


def _read_plain_fields(cls: type, localns: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        annotations = typing_extensions.get_type_hints(
            cls, localns=dict(localns) if localns else None, include_extras=True
        )
    except NameError as error:
        raise _make_unresolved_error(cls, error.name) from error
    if dataclasses.is_dataclass(cls):
        fields = {field.name: annotations.get(field.name, object) for field in dataclasses.fields(cls)}
    elif is_namedtuple(cls):
        fields = {name: annotations.get(name, object) for name in cast("Any", cls)._fields}
    elif is_attrs(cls):
        fields = {field.name: annotations.get(field.name, field.type) for field in cast("Any", cls).__attrs_attrs__}
    else:
        return annotations, {EXTRA_ITEMS: getattr(cls, EXTRA_ITEMS, None)}
    return fields, omit_keys(annotations, fields)


def _make_unresolved_error(cls: type, name: str | None) -> UnlabelledData:
    return UnlabelledData(
        f"{cls.__qualname__}: the annotation `{name}` cannot be resolved, so the tags behind it are unknown; define it "
        "at module level, or name it in `localns`"
    )


def is_tag(item: object) -> bool:
    """Return True if an item of `Annotated` is a source or purpose of a notice, a label or a mark."""
    return isinstance(item, (TermMeta, Label, Mark))


def looks_like_tag(item: object) -> bool:
    """Return True if an item of `Annotated` is no tag but may be meant as a tag: it names or holds one.

    Objects of other libraries are searched only if they are containers.
    """
    pending = [item]
    seen: list[object] = []
    while pending:
        part = pending.pop()
        if any(part is earlier for earlier in seen):
            continue
        seen.append(part)
        if isinstance(part, str):
            if _looks_like_id(part):
                return True
        elif _is_of_this_library(part) or isinstance(part, Iterator):
            return True
        elif isinstance(part, Mapping):
            pending += (*part.keys(), *part.values())
        elif isinstance(part, (list, tuple, set, frozenset, deque)) or hasattr(type(part), _GROUP):
            pending += cast("Iterable[object]", part)
        else:
            pending += get_args(part)
    return False


_GROUP: Final = "__is_annotated_types_grouped_metadata__"
"""The attribute of an object in `Annotated` that stands for all the objects that it iterates over."""

_CLAUSE: Final = r"[0-9]+(\.([0-9]+|[a-z]))+"
"""The pattern of normalized clause ids."""


def _looks_like_id(text: str) -> bool:
    folded = fold(text)
    return folded is not None and (bool(re.fullmatch(_CLAUSE, folded)) or folded in _collect_term_ids())


def _collect_term_ids() -> set[str | None]:
    """Return the ids, slugs and names of all sources and purposes of the notices that are loaded."""
    terms: set[type] = set()
    pending: list[type] = [Source, Purpose]
    while pending:
        derived: set[type] = set(type.__subclasses__(pending.pop())) - terms
        terms |= derived
        pending += derived
    names: set[str] = set()
    for term in terms:
        names |= {vars(term).get("clause", ""), vars(term).get("slug", ""), term.__name__}
    return set(map(fold, names))


def _is_of_this_library(part: object) -> bool:
    if isinstance(part, (TermMeta, Source, Purpose)):
        return True
    cls = part if isinstance(part, type) else type(part)
    # `Refers` is used in the documents of notices, which are no rows.
    return cls is not Refers and cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def find_restatements(cls: type, names: Iterable[str], localns: Mapping[str, Any] | None) -> list[Statement]:
    """Return the annotations in base classes of fields that a later class annotated anew.

    Raises:
        UnlabelledData: an annotation cannot be resolved.
    """
    restatements: list[Statement] = []
    origins = {getattr(base, GENERIC, {}).get("origin") for base in cls.__mro__}
    for owner in class_lineage(cls)[1:]:
        if issubclass(owner, BaseModel):
            # The fields of a generic origin are those of the parametrized model, so they state nothing else.
            hints = _read_pydantic_fields(owner, localns) if owner is not BaseModel and owner not in origins else {}
            restatements += (Statement(owner, name, hints[name]) for name in names if name in hints)
            continue
        attrs_fields = vars(owner).get("__attrs_attrs__", ())
        attrs_types = drop_none_values({field.name: field.type for field in attrs_fields})
        annotations = attrs_types | typing_extensions.get_annotations(owner, format=typing_extensions.Format.FORWARDREF)
        for name in annotations.keys() & names:
            if owner is not find_annotating_class(cls, name):
                try:
                    hint = resolve_annotation(annotations[name], vars(owner).copy() | module_names(owner), localns)
                except NameError as error:
                    raise _make_unresolved_error(owner, error.name) from error
                restatements.append(Statement(owner, name, hint))
    return restatements


GENERIC: Final = "__pydantic_generic_metadata__"
"""The attribute in which a generic model keeps its origin, arguments and type variables."""


def class_lineage(cls: type) -> Sequence[type]:
    """Return a class and its bases. The bases of a TypedDict are not in its method resolution order."""
    if not typing_extensions.is_typeddict(cls):
        return cls.__mro__
    lineage = [cls]
    for stated_base in vars(cls).get("__orig_bases__", ()):
        base = get_origin(stated_base) or stated_base
        if typing_extensions.is_typeddict(base):
            lineage += class_lineage(base)
    return lineage


def find_annotating_class(cls: type, field: str) -> type:
    """Return the class that annotates a field: this class, or a base of it."""
    if typing_extensions.is_typeddict(cls):  # Each TypedDict repeats the annotations of its bases.
        return [base for base in class_lineage(cls) if base.__annotations__.get(field) == cls.__annotations__[field]][
            -1
        ]
    for base in cls.__mro__:
        if field in typing_extensions.get_annotations(base, format=typing_extensions.Format.FORWARDREF):
            return base
    return cls
