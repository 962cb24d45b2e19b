"""Pydantic support: sealed values as fields of models, and copies of models.

A sealed field is validated like the type inside, and written only under a purpose that may use it.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import decimal
import functools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, NoReturn, TypeVar, cast, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticOmit,
    PydanticSerializationUnexpectedValue,
    PydanticUndefined,
    PydanticUseDefault,
    SchemaError,
    SchemaSerializer,
    core_schema,
)

from purposeguard.containers import intersect, omit_keys
from purposeguard.errors import PurposeGuardError, SealedValue, UnlabelledData
from purposeguard.locks import cached_property
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import (
    NotPersonal,
    Source,
    TermMeta,
    clause_sort_key,
    find_nearest,
    is_union,
    list_term_ids,
)
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.annotations import ALIASES, PLAIN
from purposeguard.values.opener import Opener, dump_opener_var, find_opener, is_usable
from purposeguard.values.rows import row_contexts_of
from purposeguard.values.sealed import Sealed, make_failure, redact_error, seal
from purposeguard.values.type_schema import Model, Shape, read_shape
from purposeguard.values.withheld import (
    get_pinned_values,
    original_class,
    visible_fields,
    withheld_names,
    withheld_record,
)


def make_private_attributes(declared: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the private attributes of a new pydantic object, without those computed from the values of fields."""
    attributes: dict[str, Any] = {}
    for name, attribute in declared.items():
        if attribute.default_factory is None:
            attributes[name] = copy.deepcopy(attribute.default)
        elif not getattr(attribute, "default_factory_takes_validated_data", False):
            attributes[name] = attribute.default_factory()
    return {name: value for name, value in attributes.items() if value is not PydanticUndefined} if declared else None


def make_pydantic_filler(cls: Any) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    """Return a function that makes instances of a model from their values and extra state, without validating."""
    fields, private = frozenset(cls.model_fields), cls.__private_attributes__
    allows_extra = cls.model_config.get("extra") == "allow"

    def fill_instance(visible: Mapping[str, Any], beside: Mapping[str, Any]) -> Any:
        instance = object.__new__(cls)
        values = {name: value for name, value in visible.items() if name in fields}
        set_fields(instance, values)
        _set(instance, "__pydantic_fields_set__", values.keys() & beside.get("fields_set", ()))
        _set(instance, "__pydantic_extra__", {} if allows_extra else None)
        _set(instance, "__pydantic_private__", make_private_attributes(private))
        return instance

    return fill_instance


_set: Final = object.__setattr__

_dict: Final[Any] = vars(BaseModel)["__dict__"]

get_fields: Final[Callable[[Any], dict[str, Any]]] = _dict.__get__
"""Return the dict of the attributes of a model, even if its class redefines `__dict__`."""

set_fields: Final[Callable[[Any, dict[str, Any]], None]] = _dict.__set__
"""Replace the dict of the attributes of a model."""


def visible_items(self: Any) -> Iterator[tuple[str, Any]]:
    """Return the fields that are left, which pydantic prints."""
    return iter(visible_fields(self).items())


def _model_dump(self: Any, **options: Any) -> Any:
    return dump_without_withheld(self, original_class(self).model_dump, options)


def _model_dump_json(self: Any, **options: Any) -> Any:
    return dump_without_withheld(self, original_class(self).model_dump_json, options)


def dump_without_withheld(self: Any, dump: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Dump a copy without the fields that were withheld, and without computed fields that need them."""
    dataclasses_in: set[int] = set()
    unreadable = find_unreadable(self, dataclasses_in)
    if not unreadable:
        return dump(self, **options)
    token = withheld_names.set(frozenset(dataclasses_in))
    try:
        return dump(self, **{**options, "exclude": _merge_excludes(options.get("exclude"), unreadable)})
    finally:
        withheld_names.reset(token)


def find_unreadable(value: Any, copies: set[int] | None = None) -> dict[Any, Any]:
    """Return the `exclude` that a dump of `value` needs, in pydantic's form: `{"full_name": True, "orders": {0: {…}}}`.

    `copies` gets the identities of dataclasses from which something was withheld.
    """
    unreadable: dict[Any, Any] = {}
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, (list, tuple)):
        if any(map(_can_have_unreadable_fields, set(map(type, value)))):  # Many rows usually have few classes.
            items = enumerate(value)
    elif hasattr(type(value), "__purposeguard_withheld__"):
        unreadable = dict.fromkeys(_unreadable_fields(value), True)
        items = (*visible_fields(value).items(), *get_pinned_values(value).items())
        if copies is not None and dataclasses.is_dataclass(value):
            copies.add(id(value))
    elif isinstance(value, dict):
        items = value.items()
    for key, item in items:
        below = find_unreadable(item, copies)
        if below:
            unreadable[key] = below
    return unreadable


def _can_have_unreadable_fields(cls: type) -> bool:
    return issubclass(cls, (list, tuple, dict)) or hasattr(cls, "__purposeguard_withheld__")


def _unreadable_fields(copied: Any) -> Iterator[str]:
    """Yield the fields that pydantic would read from a copy but that raise.

    These are the withheld fields of dataclasses, and computed fields of models that need withheld fields.
    """
    if dataclasses.is_dataclass(copied):
        yield from withheld_record(copied).decisions
    elif isinstance(copied, BaseModel):
        for name in type(copied).model_computed_fields:
            try:
                getattr(copied, name)
            except PurposeViolation:
                yield name


def _merge_excludes(requested: Any, required: dict[Any, Any]) -> dict[Any, Any]:
    """Merge the `exclude` option of a caller with the fields that must be excluded."""
    excludes: dict[Any, Any] = (
        dict(requested) if isinstance(requested, Mapping) else dict.fromkeys(requested or (), True)
    )
    exclude_for_all = excludes.get("__all__")
    for key, value in required.items():
        requested_below = excludes.get(key, exclude_for_all)
        if requested_below is True or requested_below is ... or value is True:
            excludes[key] = True
        else:
            excludes[key] = _merge_excludes(requested_below, value)
    return excludes


def _pydantic_setattr(self: Any, name: str, value: Any) -> None:
    _refuse_withheld(self, name)
    original_class(self).__setattr__(self, name, value)


def _pydantic_delattr(self: Any, name: str) -> None:
    _refuse_withheld(self, name)
    original_class(self).__delattr__(self, name)


def _refuse_withheld(instance: Any, name: str) -> None:
    # Pydantic sets its fields without calling the descriptors of the class.
    if name in withheld_record(instance).decisions:
        raise AttributeError(f"`{name}` is withheld here and cannot be set")


def _pydantic_str(self: Any) -> str:
    return " ".join(f"{name}={value!r}" for name, value in visible_fields(self).items())


class OwnSerializer:
    """A descriptor that makes the serialiser of a copy's class when it is first read.

    It is the base's serialiser for instances of the copy's class. With the base's own, pydantic would ask the class of
    the value for a serialiser without end if each object is to be written as what it is (`polymorphic_serialization`).
    """

    __slots__ = ()

    def __get__(self, instance: object, owner: Any) -> SchemaSerializer:
        base = owner.__bases__[-1]
        schema = _retarget_schema(base.__pydantic_core_schema__, owner, ())
        own: SchemaSerializer = base.__pydantic_serializer__ if schema is None else SchemaSerializer(schema)
        type.__setattr__(owner, "__pydantic_serializer__", own)
        return own


def _retarget_schema(
    schema: Mapping[str, Any], cls: type, definitions: Iterable[Mapping[str, Any]]
) -> CoreSchema | None:
    """Return the schema of a model as the schema of a subclass; None if the class has made its own kind of schema."""
    changed: Any = omit_keys(schema, ("ref",))
    if schema["type"] in {"model", "dataclass"}:
        return cast("CoreSchema", {**changed, "cls": cls})
    if schema["type"] == "definition-ref":
        target = next(definition for definition in definitions if definition["ref"] == schema["schema_ref"])
        return _retarget_schema(target, cls, definitions)
    if "schema" not in schema:
        return None
    inner = _retarget_schema(schema["schema"], cls, schema.get("definitions", definitions))
    return None if inner is None else cast("CoreSchema", {**changed, "schema": inner})


METHODS: Final = {
    "__str__": _pydantic_str,
    "__repr_args__": visible_items,
    "__setattr__": _pydantic_setattr,
    "__delattr__": _pydantic_delattr,
    "model_dump": _model_dump,
    "model_dump_json": _model_dump_json,
    "__pydantic_serializer__": OwnSerializer(),
}
"""The methods of a copy's class that are its own."""

PLAIN_TYPES: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "str": (str,),
        "int": (int,),
        "float": (float, int),
        "bool": (bool,),
        "date": (datetime.date,),
        "datetime": (datetime.datetime,),
        "time": (datetime.time,),
        "timedelta": (datetime.timedelta,),
        "decimal": (decimal.Decimal,),
        "uuid": (uuid.UUID,),
    }
)
"""Types of pydantic's schemas that it writes without running other code → the classes of their values."""

WHOLE: Final = frozenset({"python", "json"})
"""Modes of a dump in which nothing is left out, unless its context says so."""

WITHHOLD: Final = "withhold"
"""The mode of a dump that leaves out the fields that may not be used."""

_NOT_LEFT_OUT: Final = (
    "withholding leaves fields out of models that derive from `pg.PersonalModel`; of others dump `use.withhold(model)`"
)

_NOT_WRITTEN: Final = (
    "exclude the field, or write it under a purpose that may use it; models that derive from `pg.PersonalModel` leave "
    'it out by `context={"withhold": True}`'
)

HIDDEN: Final = "<sealed>"
"""The text that validation errors show instead of an input."""


class DumpRefusal(NamedTuple):
    """A refusal of a dump: the error, and the value that was to be opened (None: the whole)."""

    error: Exception
    value: Sealed | None


refusals: ContextVar[list[DumpRefusal] | None] = ContextVar("purposeguard refusals", default=None)
"""The list in which a dump collects its refusals, since pydantic reports them as text only."""


class CurrentRow:
    """The row that is being written. Its row contexts are read when a sealed value in it is opened."""

    __slots__ = ("_around", "_judged", "_row", "_row_contexts")

    def __init__(self, row: object, around: CurrentRow | None, *, judged: bool) -> None:
        """Remember the row.

        Args:
            row: The row.
            around: The row that this one is in.
            judged: True if the fields that may not be used were just withheld from it.
        """
        self._row = row
        self._around = around
        self._judged = judged
        self._row_contexts: tuple[RowContext, ...] | None = None

    @property
    def row_contexts(self) -> tuple[RowContext, ...]:
        """The row contexts of the row, or of the row around it; empty if neither has marks."""
        if self._row_contexts is None:
            around = () if self._around is None else self._around.row_contexts
            try:
                self._row_contexts = row_contexts_of(self._row, (), around) or around
            except UnlabelledData:
                if not self._judged:
                    raise
                self._row_contexts = around  # The marked field was read before it was withheld.
        return self._row_contexts


row_under_way: ContextVar[CurrentRow | None] = ContextVar("purposeguard row", default=None)
"""The row that is being written in the dump under way. While there is one, `dump_opener_var` is None."""

withheld_models: ContextVar[tuple[Opener, frozenset[int]] | None] = ContextVar("purposeguard met", default=None)
"""The use that withheld fields in the dump under way, and the identities of the models that it looked at."""


def was_withheld(model: object, opener: Opener) -> bool:
    """Return True if a use withheld fields from a model when a model around it was written."""
    met = withheld_models.get()
    return met is not None and met[0] is opener and id(model) in met[1]


def report_refusal(error: Exception, value: Sealed | None = None) -> None:
    """Report to the dump under way why it was refused, if it keeps a list for that."""
    dump_refusals = refusals.get()
    if dump_refusals is not None:
        dump_refusals.append(DumpRefusal(error, value))


def is_withholding(info: core_schema.SerializationInfo) -> bool:
    """Return True if a dump must leave out the fields that may not be used.

    Raises:
        TypeError: the mode, or a key of the context, is a misspelling of `withhold`.
    """
    if info.context is None and info.mode in WHOLE:
        return False
    context: Mapping[Any, Any] = info.context if isinstance(info.context, Mapping) else {}
    for option in (info.mode, *context):
        if isinstance(option, str) and _is_misspelled(option):
            raise TypeError(f"a dump leaves out what may not be used by `{WITHHOLD}`, not by `{option}`")
    return info.mode == WITHHOLD or bool(context.get(WITHHOLD))


@functools.lru_cache(maxsize=256)
def _is_misspelled(option: str) -> bool:
    return option != WITHHOLD and bool(find_nearest(option, (WITHHOLD,), 0.75))


class SealedField:
    """A mixin that makes a class of sealed values a pydantic type."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that seals valid input of the inner type, and accepts sealed values of these sources only.

        Raises:
            UnlabelledData: the annotation does not say what is sealed, and under which sources.
        """
        arguments = get_args(source)
        if len(arguments) != 2:
            raise _InvalidSealedField("a sealed field says what is in it and its sources: `Personal[str, Source]`")
        inner_type, terms = arguments
        # Pass the hooks in an annotation of the inner type, which may be a definition that is shared. Pydantic would
        # apply hooks of this class on the JSON Schema of a reference to the shared definition.
        return handler.generate_schema(Annotated[inner_type, SealedFieldSchema(cls, inner_type, _union_terms(terms))])


class _InvalidSealedField(UnlabelledData, PydanticSchemaGenerationError):
    """An annotation that is no sealed field; to pydantic, a type that it has no schema for."""


class SealedFieldSchema:
    """The schema of one annotation `Personal[T, S]`, through the hooks that pydantic calls.

    `T` is read when it is first needed, since models in it may be defined later.
    """

    def __init__(self, cls: Any, inner_type: object, members: tuple[TermMeta, ...]) -> None:
        self._cls = cls
        self._members = members
        self._inner_type = inner_type
        self._seals = bool(members) and all(
            issubclass(member, Source) and "clause" in vars(member) for member in members
        )
        """True if plain input can be sealed: the annotation names sources only."""
        self._kind = _describe_type(inner_type)
        self.plain: Any = None
        """The schema of the plain value, if pydantic alone validates and writes it; None if other code does."""
        self._classes: tuple[type, ...] = ()
        """The classes of the plain value, if `plain` is set."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler(source)
        if inner["type"] == "generator":  # Its items would be validated, and used up, when it is opened.
            raise _InvalidSealedField(
                f"`{self._kind}` is validated as an iterator, which cannot be sealed: say `list[…]`"
            )
        # Put the serialiser in an inner layer: a serialiser of the field replaces the outermost one, and its handler
        # must call the serialiser of the seal.
        layer: Any
        classes = (str,) if _is_email(self._inner_type) else PLAIN_TYPES.get(inner["type"])
        if classes is not None and "serialization" not in inner:  # Pydantic alone writes the opened value.
            self._classes = classes
            if self._seals:
                self.plain = inner
            layer = {
                **inner,
                "serialization": core_schema.plain_serializer_function_ser_schema(
                    self.open_checked, info_arg=True, return_schema=inner
                ),
            }
        else:
            layer = core_schema.no_info_after_validator_function(
                _return_unchanged,
                inner,
                serialization=core_schema.wrap_serializer_function_ser_schema(
                    self.serialize, info_arg=True, schema=inner
                ),
            )
        return core_schema.no_info_wrap_validator_function(self.validate, layer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **self.facts}

    @cached_property
    def label(self) -> Label:
        """The label that plain input is sealed under."""
        own = Label(*cast("tuple[type[Source], ...]", self._members))
        inside = read_shape(self._inner_type).label_of_all()
        return own if inside is None else own | inside  # The inner type keeps its tags.

    @cached_property
    def _takes(self) -> tuple[TermMeta, ...]:
        """The sources or purposes that sealed values may have. If a purpose is named, `NotPersonal` as well.

        Empty if the annotation leaves it open: then any source is accepted.
        """
        if self._seals:  # Values that this field sealed before have the sources of the inner type, too.
            return tuple(dict.fromkeys((*self._members, *self.label)))
        return (*self._members, NotPersonal) if self._members else ()

    @cached_property
    def _names(self) -> frozenset[str]:
        """The names of fields in `T`: the parts of an error's location that come from code, not from the input."""
        return iter_field_names(read_shape(self._inner_type))

    @property
    def facts(self) -> dict[str, Any]:
        """The entries of the JSON Schema that are added to those of the inner type."""
        if self._seals:
            return {"x-collected-under": list_term_ids(self.label)}
        clauses = [member.__dict__["clause"] for member in self._members if "clause" in vars(member)]
        return {"x-may-serve": clauses} if clauses else {}

    def seal(self, value: object) -> Any:
        """Seal a value that was validated as plain."""
        return seal(self._cls, value, self.label)

    def validate(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        """Return a sealed value as it is; validate and seal anything else. Errors do not show the value."""
        if isinstance(value, Sealed):
            if self._takes and not all(issubclass(term, self._takes) for term in value.label.sources):
                may = " or ".join(term.__name__ for term in (self._takes if self._seals else self._members))
                own = ", ".join(list_term_ids(value.label))
                self._refuse("sealed_source", f"is sealed under {own}, and this field takes {may} only")
            return value  # Validating its content would require a use that may open it.
        if not self._seals:
            self._refuse("sealed_needed", "is not sealed, and this field does not say under which source it would be")
        label = self.label
        try:
            plain = handler(value)
            # Any other value may contain tags, or data that cannot be sealed.
            return seal(self._cls, plain, label) if type(plain) in PLAIN else self._cls(plain, label)
        except ValidationError as error:
            hidden: Exception = self._hide_input(error)
        except Exception as error:  # noqa: BLE001  # The error may show the value, so another is raised below.
            hidden = _find_validator_signal(error) or redact_error(f"validation as {self._kind}", error)
        finally:
            value = plain = None  # Keep the value out of the traceback.
        raise hidden

    def open_checked(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """Open a value that pydantic writes without running other code, and check that it is of its type."""
        opener = dump_opener_var.get()
        # During the dump of a model, the application may begin another dump with a use of its own.
        if type(value) is not self._cls or info.context is not None or not is_usable(opener):
            opened = self._open_value(value, info)
        else:
            try:
                opened = opener.open(value)
            except (PurposeGuardError, TypeError) as error:
                self._report_refusal(error, value, info)
                raise
        if isinstance(opened, self._classes):
            return opened
        del opened  # Keep the value out of the traceback.
        # In a union, pydantic tries the next member. Elsewhere it warns with this text and writes the seal itself.
        raise PydanticSerializationUnexpectedValue(f"what is sealed is no {self._kind}")

    def open_or_keep(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """Open a value as `open_checked` does. If it is not of its type, return the seal, of which pydantic warns."""
        try:
            return self.open_checked(value, info)
        except PydanticSerializationUnexpectedValue:
            return value

    def _open_value(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """Open the value by the use that decides here, for the subjects of the row that is being written."""
        try:
            is_withholding(info)  # This raises if the mode or context is misspelt.
            if not isinstance(value, Sealed):
                type_name = type(value).__name__
                raise SealedValue(
                    f"a field of sealed values holds a {type_name}, which was never validated: give it "
                    "`Personal(value, Source)`, or make the model with `model_validate`"
                )
            opener, row = find_opener(value.label, info.context), row_under_way.get()
            row_contexts = () if row is None else row.row_contexts
            return opener._open_in_context(value, row_contexts) if row_contexts else opener.open(value)
        except (PurposeGuardError, TypeError) as error:
            self._report_refusal(error, value, info)
            raise

    def _report_refusal(self, error: Exception, value: Any, info: core_schema.SerializationInfo) -> None:
        if isinstance(error, PurposeViolation):
            error.advice = _NOT_LEFT_OUT if is_withholding(info) else _NOT_WRITTEN
        report_refusal(error, value if isinstance(value, Sealed) else None)

    def serialize(self, value: Any, handler: Callable[[Any], Any], info: core_schema.SerializationInfo) -> Any:
        """Open the value and write it as its type. Raise the refusal if the current use may not open it."""
        opened = [self._open_value(value, info)]
        below: list[DumpRefusal] = []
        token = refusals.set(below)
        try:
            return handler(opened.pop())  # No variable holds the value if the handler fails.
        except PydanticSerializationUnexpectedValue:  # A union tries its next member.
            failed: Exception = PydanticSerializationUnexpectedValue(f"what is sealed is no {self._kind}")
        except Exception as error:  # noqa: BLE001  # The error may show the value, so another is raised below.
            # Pydantic reports the refusal of a nested seal as text, so the refusal itself is raised again.
            failed = below[0].error if below else make_failure(f"writing {self._kind}", error)
        finally:
            refusals.reset(token)
        if not isinstance(failed, PydanticSerializationUnexpectedValue):
            report_refusal(failed, value if below else None)
        raise failed.with_traceback(None)

    def _refuse(self, kind: str, why: str) -> NoReturn:
        # An error of any other class would show its input.
        raise ValidationError.from_exception_data(self._kind, [_make_error_line(kind, why, ())])

    def _hide_input(self, error: ValidationError) -> ValidationError:
        """Copy the error without the input and anything else that might show it."""
        lines: list[InitErrorDetails] = []
        for line in error.errors(include_input=False):
            # Names of fields come from code; all other parts of a location (keys, indices) may come from the input.
            safe_place = tuple(intersect(line["loc"], self._names))
            lines.append(redact_error_line(line, safe_place, self._kind))
        return ValidationError.from_exception_data(self._kind, lines, hide_input=True)


def get_sealed_schema(schema: Mapping[str, Any]) -> SealedFieldSchema | None:
    """Return the sealed field that pydantic's schema was made for; None if it was made for something else.

    The schema of its plain value then has the metadata of the whole.
    """
    if schema["type"] != "function-wrap" or "serialization" in schema:  # The application may write it differently.
        return None
    sealed = getattr(schema["function"].get("function"), "__self__", None)
    if not isinstance(sealed, SealedFieldSchema):
        return None
    if sealed.plain is not None:
        stated: dict[str, Any] = dict(sealed.plain.get("metadata", {}))
        for key, value in schema.get("metadata", {}).items():
            stated[key] = [*stated.get(key, ()), *value] if isinstance(value, list) else value
        sealed.plain = {**sealed.plain, "metadata": stated}
    return sealed


def _is_email(annotation: Any) -> bool:
    """Return True for pydantic's `EmailStr`, whose validator returns a text. Importing it would load a large module."""
    return getattr(annotation, "__module__", "") == "pydantic.networks" and annotation.__qualname__ == "EmailStr"


def _return_unchanged(value: Any) -> Any:
    return value


def _find_validator_signal(error: Exception) -> Exception | None:
    """Return the signal that an inner validator raised for pydantic, which an outer validator sees as another error."""
    signal = str(error).partition(":")[0] if isinstance(error, SchemaError) else ""
    if signal.startswith("Uncaught "):  # "Uncaught Omit error, …", "Uncaught `PydanticUseDefault` exception: …"
        return PydanticUseDefault() if "UseDefault" in signal else PydanticOmit()
    return None


def redact_error_line(line: ErrorDetails, where: tuple[int | str, ...], kind: str) -> InitErrorDetails:
    """Copy a line of a validation error without the input, and without a message that may show it."""
    why = line.get("ctx", {}).get("why")
    if type(why) is _SafeReason:
        return _make_error_line(line["type"], why, where)
    # Only pydantic's own errors have a URL; those listed state the rule and no value. A custom error may have any name.
    if line["type"] in _TOLD and "url" in line:
        return copy_error_line({**line, "loc": where}, HIDDEN)
    return _make_error_line("sealed_value", f"is not a valid {kind}", where)


def copy_error_line(line: ErrorDetails, shown_input: object) -> InitErrorDetails:
    """Copy a line of a validation error so that it can be raised again, with `shown_input` as its input."""
    kind: Any = line["type"]
    # A custom error may have the name of one of pydantic's, but only pydantic's have a URL.
    if kind not in _KNOWN or "url" not in line:
        kind = PydanticCustomError(kind, line["msg"])  # pyright: ignore[reportArgumentType]  # This is no template.
    return {"type": kind, "loc": line["loc"], "input": shown_input, "ctx": line.get("ctx", {})}


class _SafeReason(str):
    """A reason that this module states about a value. It never contains any part of the value."""

    __slots__ = ()


def _make_error_line(kind: Any, why: str, where: tuple[int | str, ...]) -> InitErrorDetails:
    return {"type": PydanticCustomError(kind, "value {why}", {"why": _SafeReason(why)}), "loc": where, "input": HIDDEN}


def _describe_type(annotation: object) -> str:
    """Return the name of a sealed type for an error."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kind = get_origin(annotation) or annotation
    return kind.__name__ if isinstance(kind, type) and not is_union(annotation) else "value"


def _union_terms(terms: object) -> tuple[TermMeta, ...]:
    """Return the sources or purposes of an annotation, sorted by clause.

    Empty if the annotation leaves them open (`Any`, a type variable).
    """
    while isinstance(terms, ALIASES):
        terms = cast("Any", terms).__value__
    members = get_args(terms) if is_union(terms) else (terms,)
    named_terms = tuple(member for member in members if isinstance(member, TermMeta))
    if len(named_terms) != len(members) and not (isinstance(terms, TypeVar) or terms is Any):
        raise UnlabelledData(
            "a sealed field says its sources by their classes: `Personal[str, Registration | Contract]`"
        )
    # `typing` caches one object for `A | B` and `B | A`, in the order that was first used anywhere.
    return tuple(sorted(named_terms, key=clause_sort_key))


def iter_field_names(shape: Shape) -> frozenset[str]:
    """Return the names and aliases of the fields of all models in a shape."""
    models: set[Model] = set()
    for part in shape.iter_reachable("items", "within"):
        models.update(part.models)
    names: set[str] = set()
    for model in models:
        names.update(field_aliases(model.cls), model.fields())
    return frozenset(names)


def field_aliases(cls: type) -> dict[str, set[str]]:
    """Return alias → the fields of a pydantic model that it may mean. Errors call fields by their aliases."""
    fields_by_alias: dict[str, set[str]] = {}
    if not issubclass(cls, BaseModel):
        return fields_by_alias
    for name, field in cls.model_fields.items():
        for alias in (field.alias, field.validation_alias):
            choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
            for choice in choices:
                if choice is not None:
                    first = choice.path[0] if isinstance(choice, AliasPath) else choice
                    fields_by_alias.setdefault(str(first), set()).add(name)
    return fields_by_alias


# fmt: off
_TOLD: Final = frozenset(
    {
        "missing", "extra_forbidden", "none_required", "string_type", "string_too_short", "string_too_long",
        "string_pattern_mismatch", "int_type", "int_parsing", "int_parsing_size", "int_from_float", "float_type",
        "float_parsing", "finite_number", "bool_type", "bool_parsing", "bytes_type", "bytes_too_short",
        "bytes_too_long", "decimal_type", "decimal_parsing", "decimal_max_digits", "decimal_max_places",
        "decimal_whole_digits", "greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of",
        "date_type", "date_past", "date_future", "date_from_datetime_inexact", "datetime_type", "datetime_past",
        "datetime_future", "timezone_naive", "timezone_aware", "time_type", "time_delta_type", "list_type",
        "tuple_type", "set_type", "frozen_set_type", "dict_type", "mapping_type", "model_type",
        "model_attributes_type", "dataclass_type", "is_instance_of", "callable_type", "url_type", "url_scheme",
        "url_too_long", "uuid_type", "uuid_version", "json_invalid", "json_type", "frozen_field", "frozen_instance",
    }
)
# fmt: on
"""Errors of pydantic whose messages state only the rule, never the input."""

_KNOWN: Final = frozenset(get_args(core_schema.ErrorType))
