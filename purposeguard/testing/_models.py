"""Models of every kind: their fields and annotations, instances from values, and copies with other values."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple, NewType, Self, TypeVar, cast, get_args, get_origin

import annotated_types as at
import typing_extensions
from pydantic import AliasChoices, AliasPath, BaseModel, RootModel, StringConstraints, TypeAdapter, ValidationError

from purposeguard.containers import omit_keys
from purposeguard.extras import Needs
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, TermMeta, is_union
from purposeguard.testing._leaves import Check, list_fixed_values, passes
from purposeguard.values.annotations import (
    ALIASES,
    TRANSPARENT,
    add_external_tags,
    alias_value,
    class_lineage,
    find_annotating_class,
    is_attrs,
    is_namedtuple,
    is_taggable,
)
from purposeguard.values.markers import Collected, Ended, Mark, SubjectMark
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import read_argument_shape, read_shape, resolve_hints

with Needs(__name__, "hypothesis"):
    from hypothesis.strategies import SearchStrategy

Names = Mapping[Any, Any]
"""The bindings of type variables."""

# ---- Fields and instances -----------------------------------------------------------------------------------------


class ModelField(NamedTuple):
    """A field that is passed when an instance is made.

    `needed`: it has no default. `check`: whether the model accepts a value. `validates`: the model converts the value,
    and seals it if the field is sealed.
    """

    name: str
    annotation: Any
    needed: bool
    check: Check | None = None
    validates: bool = False


def fields_of(cls: type) -> tuple[ModelField, ...]:
    """Return the fields that are passed when an instance is made, in the class's order; cached on the class."""
    fields: tuple[ModelField, ...] | None = vars(cls).get(_FIELDS)
    if fields is None:
        fields = _fields_of(cls)
        type.__setattr__(cls, _FIELDS, fields)
    return fields


_FIELDS: Final = "__purposeguard_testing_fields__"


def _fields_of(cls: type) -> tuple[ModelField, ...]:
    stated = resolve_hints(cls)
    if issubclass(cls, BaseModel):
        return tuple(map(functools.partial(_of_pydantic, cls), cls.model_fields))
    if dataclasses.is_dataclass(cls):
        return tuple(_of_dataclass(cls, stated))
    if typing_extensions.is_typeddict(cls) or is_namedtuple(cls):
        return _of_named_items(cls, stated)
    attributes = [attribute for attribute in cast("Any", cls).__attrs_attrs__ if attribute.init]
    return tuple(_of_attrs(attribute, stated[attribute.name]) for attribute in attributes)


def _of_named_items(cls: Any, stated: Mapping[str, Any]) -> tuple[ModelField, ...]:
    """Return the fields of a TypedDict or NamedTuple."""
    if is_namedtuple(cls):
        required = stated.keys() - cls._field_defaults.keys()  # Documented by Python, in spite of its underscore.
    else:
        required = getattr(cls, "__required_keys__", stated.keys())
    return tuple(ModelField(name, hint, name in required) for name, hint in stated.items())


def _of_pydantic(cls: type[BaseModel], name: str) -> ModelField:
    field = cls.model_fields[name]
    annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return ModelField(
        name, add_external_tags(cls, name, annotation), field.is_required(), _ModelCheck(cls, name), validates=True
    )


@dataclasses.dataclass(frozen=True)
class _ModelCheck:
    """Asks the model to validate this field alone; errors of other fields and of the whole model do not count."""

    cls: type
    name: str

    def __call__(self, value: Any) -> bool:
        cls, names = self.cls, {self.name}
        try:
            if not issubclass(cls, BaseModel):
                TypeAdapter(cls).validate_python({self.name: value})
            elif issubclass(cls, RootModel):
                cls.model_validate(value)
                names = set()
            else:
                key = _key(cls, self.name)
                names.add(key if isinstance(key, str) else str(key.path[0]))
                cls.model_validate(_input_of(cls, {self.name: value}))
        except ValidationError as error:
            return bool(names) and all(not error["loc"] or error["loc"][0] not in names for error in error.errors())
        except Exception:  # noqa: BLE001  # a validator that needs the missing fields
            return True
        return True


def _key(cls: type[BaseModel], name: str) -> str | AliasPath:
    """Return the name or path by which a field is passed."""
    alias: Any = cls.model_fields[name].validation_alias
    if alias is None:
        return name
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return cast("str | AliasPath", alias)


def _input_of(cls: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dict that a model is validated from."""
    data: dict[str, Any] = {}
    for name, value in values.items():
        key = _key(cls, name)
        if isinstance(key, str):
            data[key] = value
        else:
            _put(data, list(key.path), value)
    return data


def _put(into: Any, path: list[Any], value: Any) -> None:
    first, *rest = path
    if isinstance(into, list):
        into.extend([None] * (first + 1 - len(into)))
    if not rest:
        into[first] = value
        return
    inner = into[first] if isinstance(into, list) else into.get(first)
    if inner is None:
        inner = into[first] = [] if isinstance(rest[0], int) else {}
    _put(inner, rest, value)


def _of_dataclass(cls: type, stated: Mapping[str, Any]) -> list[ModelField]:
    of_pydantic = getattr(cls, "__pydantic_fields__", {})
    fields: list[ModelField] = []
    hints = typing_extensions.get_type_hints(cls, include_extras=True)
    for attribute in cast("Any", cls).__dataclass_fields__.values():
        kind = getattr(attribute, "_field_type", None)
        if not attribute.init or getattr(kind, "name", "") == "_FIELD_CLASSVAR":
            continue
        needed = attribute.default is dataclasses.MISSING and attribute.default_factory is dataclasses.MISSING
        hint = stated.get(attribute.name, hints.get(attribute.name, object))
        if isinstance(hint, dataclasses.InitVar):
            hint = hint.type
        if attribute.name in of_pydantic:
            field = of_pydantic[attribute.name]
            needed = field.is_required()
            hint = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            hint = add_external_tags(cls, attribute.name, hint)
            fields.append(ModelField(attribute.name, hint, needed, _ModelCheck(cls, attribute.name), validates=True))
        else:
            fields.append(ModelField(attribute.name, hint, needed))
    return fields


def _of_attrs(attribute: Any, hint: Any) -> ModelField:
    needed = type(attribute.default).__name__ == "_Nothing"
    # With a converter, validators see its result and not the value that is passed.
    plain = attribute.validator is not None and attribute.converter is None
    return ModelField(attribute.name, hint, needed, _AttrsCheck(attribute) if plain else None)


@dataclasses.dataclass(frozen=True)
class _AttrsCheck:
    attribute: Any

    def __call__(self, value: Any) -> bool:
        return passes(lambda: self.attribute.validator(None, self.attribute, value))


def instantiate(cls: type, values: Mapping[str, Any]) -> Any:
    """Return an instance with these values; raises what the validators raise."""
    if issubclass(cls, RootModel):
        return cls.model_validate(values["root"])
    if issubclass(cls, BaseModel):
        return cls.model_validate(_input_of(cls, values))
    if typing_extensions.is_typeddict(cls):
        return dict(values)
    if is_attrs(cls) and not dataclasses.is_dataclass(cls):
        aliases = {attribute.name: attribute.alias for attribute in cast("Any", cls).__attrs_attrs__}
        return cls(**{aliases[name]: value for name, value in values.items()})
    return cls(**values)


def field_values(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of a model's fields, read without running code of the class."""
    values: dict[str, Any] = {}
    for name in names:
        content = read_field(value, name)
        if content is not MISSING:
            values[name] = content
    return values


def has_field(value: Any, name: str) -> bool:
    """Return True if a key of a dict is present, or a field of a pydantic model was set."""
    return name in (value.model_fields_set if isinstance(value, BaseModel) else value)


def with_fields(value: Any, changes: Mapping[str, Any], absent: Collection[str] = ()) -> Any:
    """Return a copy with other values in some fields and the same objects in the others; nothing is validated.

    Keys of a dict that are `absent` are dropped; fields of a pydantic model that are count as not set. Values of
    `cached_property` are not copied.
    """
    if isinstance(value, dict):
        return omit_keys({**value, **changes}, absent)
    if is_namedtuple(type(value)):
        return value._replace(**changes)
    if isinstance(value, BaseModel):
        twin = value.model_copy()
        attributes: dict[str, Any] = vars(twin)
        attributes.update(changes)
        twin.model_fields_set.update(changes)  # dumps with `exclude_unset` show them
        twin.model_fields_set.difference_update(absent)
    else:
        twin = copy.copy(value)
        for name, content in changes.items():
            object.__setattr__(twin, name, content)
    for name in _list_kept_names(type(value)):
        vars(twin).pop(name, None)
    return twin


def _list_kept_names(cls: type) -> tuple[str, ...]:
    names: list[str] = []
    for base in cls.__mro__:
        members = vars(base).copy()
        names += [name for name, member in members.items() if isinstance(member, functools.cached_property)]
    return tuple(names)


def bindings_of(annotation: Any, names: Names) -> tuple[type, tuple[tuple[Any, Any], ...]]:
    """Return the class of a model's annotation, and the bindings of its type variables."""
    origin = get_origin(annotation)
    if origin is None:
        return annotation, ()
    arguments = _resolve_arguments(annotation, names)
    return origin, tuple(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))


def _resolve_arguments(annotation: Any, names: Names) -> tuple[Any, ...]:
    """Return the arguments of an annotation, with what their type variables are bound to."""
    return tuple(resolve_variable(argument, names) for argument in get_args(annotation))


def scope_of(cls: type, bindings: tuple[tuple[Any, Any], ...]) -> Callable[[str], Names]:
    """Return a function from a field's name to the bindings of the type variables in its annotation."""
    scopes: dict[type, dict[Any, Any]] = {cls: dict(bindings)}
    for owner in class_lineage(cls):
        for base in owner.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type):
                arguments = _resolve_arguments(base, scopes.get(owner, {}))
                scopes.setdefault(origin, dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False)))

    def scope(name: str) -> Names:
        return scopes.get(find_annotating_class(cls, name), {})

    return scope


def resolve_variable(annotation: Any, names: Names) -> Any:
    """Return the binding of a type variable; any other annotation itself."""
    try:
        return names.get(annotation, annotation)
    except TypeError:  # no hash
        return annotation


# ---- Annotations --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Spot:
    """A place in a model, and what is known of the value there.

    `path`: as `pg.sources_of` prints it. `names`: the bindings of type variables. `metadata`: the constraints in
    `Annotated`. `check`: whether the field accepts a value. `strategy`: the one that the annotation brings. `marks`:
    the value names a subject or a day. `validates`: the model converts the value; `seals`: it also seals it.
    """

    path: str = ""
    personal: bool = False
    names: Names = dataclasses.field(default_factory=dict)
    metadata: tuple[object, ...] = ()
    check: Check | None = None
    strategy: SearchStrategy[Any] | None = None
    marks: tuple[Mark, ...] = ()
    validates: bool = False
    seals: bool = False

    def but(self, **changes: Any) -> Self:
        """Return a copy with these attributes changed."""
        return dataclasses.replace(self, **changes)

    def below(self, name: str) -> str:
        """Return the path of a field of the model at this place."""
        return f"{self.path}.{name}" if self.path else name

    def field(self, field: ModelField, names: Names) -> Spot:
        """Return the place of a field of the model at this place."""
        path, does = self.below(field.name), field.validates
        return Spot(path, self.personal, names, check=field.check, validates=does, seals=does)

    def item(self, check: Check | None = None) -> Spot:
        """Return the place of the items of the container at this place."""
        return Spot(
            f"{self.path}[]",
            self.personal,
            self.names,
            check=check,
            marks=self.marks,
            validates=self.validates,
            seals=self.seals,
        )


def unwrap_annotation(annotation: Any, spot: Spot) -> tuple[Any, Spot]:
    """Return the annotation without `Annotated`, aliases and type variables, and the place with what these say."""
    while True:
        annotation = resolve_variable(annotation, spot.names)
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *marks = get_args(annotation)
            spot = _with_metadata(spot, marks)
        elif isinstance(annotation, TypeVar):
            annotation = _of_variable(annotation)
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, dataclasses.InitVar):
            annotation = annotation.type
        elif isinstance(annotation, ALIASES):
            annotation = alias_value(annotation)
        elif isinstance(origin, ALIASES):
            arguments = _resolve_arguments(annotation, spot.names)
            spot = spot.but(names={**spot.names, **dict(zip(origin.__type_params__, arguments, strict=False))})
            annotation = alias_value(origin)
        elif origin in TRANSPARENT:
            annotation = get_args(annotation)[0]
        else:
            return annotation, spot


def _with_metadata(spot: Spot, marks: Iterable[object]) -> Spot:
    personal = spot.personal
    strategy: SearchStrategy[Any] | None = None
    metadata: list[object] = []
    own_marks: list[Mark] = []
    for mark in marks:
        if isinstance(mark, (TermMeta, Label)):
            personal = personal or mark not in _NO_TAGS
        elif isinstance(mark, Mark):
            own_marks.append(mark)
        elif isinstance(mark, SearchStrategy):
            strategy = mark
        else:
            metadata.append(mark)
    return spot.but(
        personal=personal,
        metadata=(*metadata, *spot.metadata),
        strategy=spot.strategy or strategy,
        marks=(*spot.marks, *own_marks),
    )


def _of_variable(variable: Any) -> Any:
    default = getattr(variable, "__default__", typing_extensions.NoDefault)
    if default is not typing_extensions.NoDefault:
        return default
    if variable.__bound__ is not None:
        return variable.__bound__
    return typing.Union[variable.__constraints__] if variable.__constraints__ else object  # noqa: UP007  # known now


def constraints_of_marks(spot: Spot, base: object) -> tuple[object, ...]:
    """Return the constraints that marks add: a subject's id must be a valid one, a day needs a time zone."""
    if base is str and any(isinstance(mark, SubjectMark) for mark in spot.marks):
        return (_SUBJECT,)
    if base is datetime.datetime and any(mark in (Collected, Ended) for mark in spot.marks):
        return (at.Timezone(...),)
    return ()


_NO_TAGS: Final = (NotPersonal, Label(NotPersonal))
_SUBJECT: Final = StringConstraints(pattern=r"^[0-9A-Za-z]([0-9A-Za-z @._-]{0,30}[0-9A-Za-z])?$")


def models_in(annotations: Iterable[Any]) -> Iterator[Any]:
    """Yield the model classes and the type aliases in annotations: what may hold itself."""
    for annotation in annotations:
        cls = get_origin(annotation) or annotation
        if is_taggable(cls) or isinstance(cls, ALIASES):
            yield cls
        elif get_origin(annotation) is not None:
            yield from models_in(get_args(annotation))


def may_hold_itself(cls: Any) -> bool:
    """Return True if a value of a model class or a type alias may contain another one of it."""
    seen: set[Any] = set()
    pending = [*_iter_mentioned_models(cls)]
    while pending:
        held = pending.pop()
        if held is cls:
            return True
        if held not in seen:
            seen.add(held)
            pending += _iter_mentioned_models(held)
    return False


def _iter_mentioned_models(cls: Any) -> Iterator[Any]:
    """Yield the model classes and the type aliases that a model class or a type alias mentions."""
    if isinstance(cls, ALIASES):
        return models_in([alias_value(cls)])
    return models_in(field.annotation for field in fields_of(cls))


def holds_personal(annotation: Any, spot: Spot) -> bool:
    """Return True if an annotation contains a tag or a seal."""
    bindings: dict[str, Any] = {}
    for name, value in spot.names.items():
        if not isinstance(value, TypeVar):
            bindings[name] = read_argument_shape(value, {})
    return read_shape(annotation, bindings).has_tags


def may_be_none(annotation: Any, spot: Spot) -> bool:
    """Return True if the annotation allows None."""
    annotation, _ = unwrap_annotation(annotation, spot)
    return is_union(annotation) and type(None) in get_args(annotation)


def few_valued(model: Any) -> frozenset[str]:
    """Return the tagged paths whose type has few values (bool, Literal, Enum): they occur elsewhere by chance."""
    few_at: dict[str, bool] = {}
    for path, leaf in _leaves_of(model, Spot(), (), frozenset(sources_of(model))):
        few_at[path] = few_at.get(path, True) and list_fixed_values(leaf) is not None
    return frozenset(path for path, few in few_at.items() if few)


def _leaves_of(
    annotation: Any, spot: Spot, inside: tuple[Any, ...], tagged: Collection[str]
) -> Iterator[tuple[str, Any]]:
    # Classes and aliases may hold each other without end; the tagged paths end.
    if spot.path and not any(path.startswith(spot.path) for path in tagged):
        return
    annotation, spot = unwrap_annotation(annotation, spot)
    origin, args = get_origin(annotation), get_args(annotation)
    cls = origin or annotation
    if is_union(annotation):
        for argument in _remove_none(args):
            yield from _leaves_of(argument, spot, inside, tagged)
    elif isinstance(cls, type) and issubclass(cls, Sealed):
        yield from _leaves_of(args[0] if args else object, spot, inside, tagged)
    elif is_taggable(cls):
        if annotation not in inside:
            bound, bindings = bindings_of(annotation, spot.names)
            scope = scope_of(bound, bindings)
            for field in fields_of(bound):
                below = spot.field(field, scope(field.name))
                yield from _leaves_of(field.annotation, below, (*inside, annotation), tagged)
    elif origin is not None and list_fixed_values(annotation) is None:
        yield spot.path, object
        for argument in args[-1:] if isinstance(cls, type) and issubclass(cls, Mapping) else args:
            yield from _leaves_of(argument, spot.item(), inside, tagged)
    else:
        yield spot.path, annotation


def _remove_none(members: Iterable[Any]) -> Iterator[Any]:
    """Yield the members of a union but None: beside a model, it does not make the texts of the model common."""
    return (member for member in members if member is not type(None))
