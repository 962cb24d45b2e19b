"""Plain rows: what a personal model holds until one of its fields is asked for.

pydantic-core validates the sealed fields of a model as their inner types, and leaves the values of all fields in one
dict, the row. It lies in a slot that no attribute leads to. The first access to a field, or to `__dict__`, settles the
model: the values are sealed and moved to its `__dict__`, and the row is gone. A dump of a model that was not settled
passes the row itself to pydantic-core, if the use under way may open all labels of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self, cast

from pydantic import BaseModel, GetCoreSchemaHandler, SerializationInfo
from pydantic_core import CoreSchema, PydanticSerializationUnexpectedValue, SchemaSerializer, core_schema

from purposeguard.containers import omit_keys
from purposeguard.errors import PurposeGuardError
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.values.opener import Opener, dump_opener_var, find_opener, get_sole_opener, is_usable
from purposeguard.values.pydantic import (
    PLAIN_TYPES,
    WHOLE,
    CurrentRow,
    SealedFieldSchema,
    get_fields,
    get_sealed_schema,
    is_withholding,
    report_refusal,
    row_under_way,
    set_fields,
    was_withheld,
)
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Model
from purposeguard.values.withheld import visible_fields

LAYOUT: Final = "__purposeguard_layout__"
"""The attribute in which a class keeps its `RowLayout`; None if its instances hold no plain rows."""

_settling: Final = make_lock()


def find_row(model: Any) -> dict[str, Any] | None:
    """Return the row of a model; None if it is settled, or never had one."""
    try:
        return _get_row(model)
    except AttributeError:
        return None


def settle(model: Any, sealed: dict[str, Any] | None = None) -> dict[str, Any]:
    """Seal the values of a row and make them the attributes of its model.

    Args:
        model: The model. Nothing happens if it has no row.
        sealed: What `RowLayout.seal_values` returned for the row, if it was called before.

    Returns:
        The dict of the attributes.
    """
    if find_row(model) is not None:
        with _settling:
            row = _get_row(model)
            if row is not None:  # No other thread has settled the model meanwhile.
                layout = type(model).__purposeguard_layout__
                _put_fields(model, row if layout is None else sealed or layout.seal_values(row))
                _set_row(model, None)
    return get_fields(model)


def _put_fields(model: Any, fields: dict[str, Any]) -> None:
    """Make fields the attributes of a model. Attributes that `object.__setattr__` has set during validation stay."""
    set_fields(model, {**fields, **get_fields(model)})


def keep_fields(model: Any) -> Any:
    """Make the fields that were set for a model its attributes as they are, and return the model."""
    fields = find_row(model)
    if fields is not None:
        set_fields(model, fields)
        _set_row(model, None)
    return model


def _keep_validated_fields(model: Any) -> Any:
    """Make the fields that were validated the attributes of a model, and return the model."""
    fields = find_row(model)
    if fields is None or (fields.keys() <= get_fields(model).keys() and model.model_config.get("validate_assignment")):
        return keep_fields(model)  # An attribute was assigned.
    _put_fields(model, fields)
    _set_row(model, None)
    return model


class RowField(NamedTuple):
    """A field of a class whose instances hold rows.

    Attributes:
        stated: The schema of the field, as pydantic made it.
        plain: The schema of its value in a row.
        sealed: The schema of its annotation, if it is sealed.
        optional: True if it may hold None in place of a sealed value.
    """

    stated: Mapping[str, Any]
    plain: Mapping[str, Any]
    sealed: SealedFieldSchema | None
    optional: bool

    def make_row_field(self) -> Any:
        """Return the schema by which the field of a row is written."""
        kept = omit_keys(self.stated, ("frozen", "validation_alias"))
        return {**kept, "type": "typed-dict-field", "schema": self.plain, "required": False}


class RowLayout:
    """The layout of the rows of one class: which fields are sealed, and how rows are written.

    Attributes:
        cls: The class.
        names: The names of the fields that are written.
        sealed: The name of each sealed field → the schema of its annotation.
        optional: The sealed fields that may hold None in place of a sealed value.
        labels: The labels of the sealed fields that are written. None until the first row is opened, since classes in
            annotations may be defined after the class.
        serializer: Writes rows without checking anything.
    """

    __slots__ = (
        "_config",
        "_holder",
        "_is_marked",
        "_schema",
        "_seals",
        "cls",
        "labels",
        "names",
        "optional",
        "sealed",
        "serializer",
    )

    def __init__(self, cls: type[BaseModel], fields: Mapping[str, RowField], config: Any) -> None:
        """Describe the rows of a class.

        Args:
            cls: The class.
            fields: Its fields by their names.
            config: The configuration of the class, as pydantic-core reads it.
        """
        self.cls = cls
        row_fields: dict[str, Any] = {}
        sealed: dict[str, SealedFieldSchema] = {}
        optional: set[str] = set()
        written: set[str] = set()
        for name, field in fields.items():
            row_fields[name] = field.make_row_field()
            if field.sealed is not None:
                sealed[name] = field.sealed
            if field.optional:
                optional.add(name)
            if not field.stated.get("serialization_exclude"):
                written.add(name)
        self.names = frozenset(written)
        self.sealed = sealed
        # A class can be built anew while its instances hold rows, whose values stay sealed.
        before = vars(cls).get(LAYOUT)
        self._seals = sealed if before is None else {**before._seals, **sealed}
        self.optional = frozenset(optional)
        self.labels: frozenset[Label] | None = None
        self._schema: Any = core_schema.typed_dict_schema(row_fields)
        self._config = config
        self.serializer = SchemaSerializer(self._schema, config)
        self._holder = _RowHolder if _depends_on_config(row_fields) else None
        self._is_marked: bool | None = None

    def make_written_schema(self, described: Any) -> Any:
        """Return the schema of what `write` returns.

        Args:
            described: The schema that JSON Schema is made of. It is around that of the model, whose own changes to its
                JSON Schema some versions of pydantic apply only inside of another schema.
        """
        metadata = {"pydantic_js_functions": [lambda _, handler: handler(described)]}
        if self._holder is None:
            return {**self._schema, "metadata": metadata}
        return core_schema.model_schema(
            self._holder, self._schema, root_model=True, config=self._config, metadata=metadata
        )

    def seal_values(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a row, with those of sealed fields sealed."""
        fields = dict(row)
        for name, schema in self._seals.items():
            value = fields.get(name)
            if name not in fields or (value is None and name in self.optional):
                continue
            if not isinstance(value, Sealed):  # It is sealed if the input was, or if code of Python set the fields.
                fields[name] = schema.seal(value)
        return fields

    def write(self, model: Any, info: SerializationInfo) -> dict[str, Any] | _RowHolder:
        """Return the values of a model for a dump: its row, or the fields that the use under way may open.

        pydantic-core calls this for each model in a dump, and writes the result as a dict of plain values.

        Raises:
            PurposeGuardError: the use under way may not open a field.
            PydanticSerializationUnexpectedValue: the value is no instance of the class.
        """
        opener = dump_opener_var.get()
        try:
            if (
                opener is not None
                and type(model) is self.cls
                and opener._entered_by == opener._identify_runner()
                and info.context is None
                and info.mode in WHOLE
                and not info.exclude_unset
                and info.include is None
                and info.exclude is None
                and not info.serialize_as_any
            ):
                row = _get_row(model)
                if type(row) is dict and (self.labels <= opener._allowed_labels or self._count(opener, row)):  # type: ignore[operator]  # None raises a TypeError.
                    return row if self._holder is None else self._holder(row)
        except (AttributeError, ReferenceError, RuntimeError, TypeError):
            pass  # As in `Use.open`; or the model never held a row.
        if not isinstance(model, self.cls):  # In a union, pydantic tries the next member.
            raise PydanticSerializationUnexpectedValue(f"this is no {self.cls.__name__}")
        try:
            opened = self._open_fields(model, info)
        except (PurposeGuardError, TypeError) as error:
            report_refusal(error)
            raise
        if info.serialize_as_any:  # Then pydantic-core ignores the schema of what this method returns.
            options: Any = {name: getattr(info, name) for name in _WRITING_OPTIONS}
            written: dict[str, Any] = self.serializer.to_python(opened, **options)
            return written
        return opened if self._holder is None else self._holder(opened)

    def find_writable_row(self, model: Any) -> dict[str, Any] | None:
        """Return the row of a model if it may be written as it is by `serializer`, and count its use.

        Return None if the model has no row, or if its fields have to be opened one by one.
        """
        opener = dump_opener_var.get()
        try:
            if opener is not None and type(model) is self.cls and opener._entered_by == opener._identify_runner():
                row = _get_row(model)
                if type(row) is dict and (self.labels <= opener._allowed_labels or self._count(opener, row)):  # type: ignore[operator]  # As above.
                    return row
        except (AttributeError, ReferenceError, RuntimeError, TypeError):
            pass  # As in `write`.
        return None

    def _count(self, opener: Opener, row: Mapping[str, Any]) -> bool:
        """Count the use of each sealed value in a row, if uses are counted and all labels are cached as allowed."""
        ticks: list[Callable[[], None]] = []
        for name in self.names & self.sealed.keys():
            if row[name] is not None or name not in self.optional:
                tick = opener._counted.get(self.sealed[name].label)
                if tick is None:
                    return False
                ticks.append(tick)
        for tick in ticks:
            tick()
        return True

    def _open_fields(self, model: Any, info: SerializationInfo) -> dict[str, Any]:
        """Open the sealed fields of a model one by one, and leave out what is to be withheld."""
        withholding = is_withholding(info)
        if withholding:
            opener = find_opener(None, info.context)
            if not was_withheld(model, opener):
                model = opener._withhold_for_dump(model, [])
        if self._is_marked is None:
            self._is_marked = bool(Model(self.cls).marks())
        if type(model) is self.cls and not self._is_marked:
            opened = self._open_each(model, info)
            self._allow_shortcut()
            return opened
        settle(model)  # A subclass may seal other fields. Reading marks settles it as well.
        row = row_under_way.set(CurrentRow(model, row_under_way.get(), judged=withholding))
        dump_opener_var.set(None)
        try:
            return self._open_each(model, info)
        finally:
            row_under_way.reset(row)

    def _get_sealed_values(self, model: Any) -> dict[str, Any]:
        """Return the fields of a model. It keeps its row, so that it can be written as it is under another use."""
        row = find_row(model)
        return visible_fields(model) if row is None else self.seal_values(row)

    def _open_each(self, model: Any, info: SerializationInfo) -> dict[str, Any]:
        values = self._get_sealed_values(model)
        names = self.names & model.__pydantic_fields_set__ if info.exclude_unset else self.names
        chosen = values
        if info.include is not None or info.exclude is not None:
            # Pydantic leaves these options to the function that it calls. It would look into sealed values.
            shown = {**values, **dict.fromkeys(self.sealed)}
            include, exclude = cast("Any", info.include), cast("Any", info.exclude)
            chosen = _CHOOSER.to_python(shown, include=include, exclude=exclude)
            names &= chosen.keys()
        fields: dict[str, Any] = {}
        try:
            for name, value in values.items():
                if name not in names:
                    continue
                schema = self.sealed.get(name)
                if schema is None or (value is None and name in self.optional):
                    fields[name] = chosen[name]
                else:
                    fields[name] = schema.open_or_keep(value, info)
        except BaseException:
            fields.clear()  # Keep the values out of the traceback.
            settle(model, values)  # The error names the field that has the refused value.
            raise
        return fields

    def _allow_shortcut(self) -> None:
        """Let the next rows be written as they are, if there is only one use that could open them."""
        if self.labels is None:
            labels: set[Label] = set()
            for name in self.names & self.sealed.keys():
                labels.add(self.sealed[name].label)
            self.labels = frozenset(labels)
        if row_under_way.get() is None and not is_usable(dump_opener_var.get()):
            dump_opener_var.set(get_sole_opener())


class _RowHolder:
    """A row on its way to pydantic-core, which writes it as the root of a model.

    Only models are written by their own configuration. The rest of a schema is written by that of the model around it.
    """

    __slots__ = ("root",)

    def __init__(self, row: dict[str, Any]) -> None:
        self.root = row


def _depends_on_config(row_fields: Mapping[str, Any]) -> bool:
    """Return True if the configuration of a class can change how a row is written."""
    return any("serialization_alias" in field or not _is_neutral(field["schema"]) for field in row_fields.values())


def _is_neutral(schema: Any) -> bool:
    while schema["type"] in {"default", "nullable"}:
        schema = schema["schema"]
    return schema["type"] in _NEUTRAL


_NEUTRAL: Final = frozenset({"str", "int", "bool", "decimal", "uuid", "literal", "enum"})
"""The types of schemas whose values are written in the same way whatever the configuration of a class."""

_WRITING_OPTIONS: Final = ("mode", "by_alias", "exclude_defaults", "exclude_none", "round_trip")
"""Options of a dump that say how chosen fields are written."""

_CHOOSER: Final = SchemaSerializer(core_schema.dict_schema())
"""Applies `include` and `exclude` to the fields of a model."""

PLAIN_LANE: Final = "[plain]"
"""The part of an error's location that says that values were validated as a row."""

SEALED_LANE: Final = "[sealed]"
"""The part of an error's location that says that values were validated as sealed ones."""


class _SealedValues(dict[str, Any]):
    """The fields of a model that was validated with sealed values. They cannot be written as they are."""

    __slots__ = ()


def _add_row_schema(cls: type[BaseModel], schema: CoreSchema) -> CoreSchema:
    """Add to the schema of a class that its rows are validated and written as plain values, if they can be.

    Plain values are validated without running code of this library. If that fails, the fields are validated once more,
    as those of classes without rows are: an input may be sealed, and errors must not show it.
    """
    outer: Any = schema
    # It is another one for a base of all personal models. Pydantic asks again for the schema of a complete class.
    if (
        outer["type"] != "function-wrap"
        or not _is_own_validator(outer["function"]["function"])
        or _has_row_schema(outer)
    ):
        return schema
    model = _find_model(outer)
    stated = _find_fields(model["schema"])
    fields = None
    if stated is not None and not stated.get("computed_fields") and _can_hold_rows(cls, model):
        fields = _read_fields(stated["fields"])
    if stated is None or fields is None or not any(field.sealed for field in fields.values()):
        # Validators of the application run after this, and see the attributes.
        settled = core_schema.no_info_after_validator_function(_keep_validated_fields, model)
        return cast("CoreSchema", _replace_inside(outer, model, settled))
    layout = RowLayout(cls, fields, model["config"])
    type.__setattr__(cls, LAYOUT, layout)
    plain_fields: dict[str, Any] = {}
    for name, field in fields.items():
        plain_fields[name] = {**field.stated, "schema": _refuse_iterators(field.plain)}
    plain: Any = {**stated, "fields": plain_fields}
    kept = core_schema.no_info_after_validator_function(keep_fields, model)
    part, sealed = model, kept
    if model["schema"] is stated:
        plain = {**model, "schema": plain}
    else:  # Validators of the input run once, before either way is tried.
        part, sealed = stated, core_schema.no_info_after_validator_function(_keep_apart, stated)
    either = core_schema.union_schema(
        [(plain, PLAIN_LANE), (sealed, SEALED_LANE)],
        mode="left_to_right",
        metadata={"pydantic_js_functions": [lambda _, handler: handler(sealed)]},
    )
    write = core_schema.plain_serializer_function_ser_schema(
        layout.write, info_arg=True, return_schema=layout.make_written_schema(kept)
    )
    return cast("CoreSchema", {**_replace_inside(outer, part, either), "serialization": write})


def _keep_apart(result: tuple[dict[str, Any], Any, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Mark the fields of a model as sealed where pydantic-core hands them to the model."""
    fields, extra, fields_set = result
    return _SealedValues(fields), extra, fields_set


def _can_hold_rows(cls: type[BaseModel], model: Mapping[str, Any]) -> bool:
    """Return True if nothing that a class states depends on how its values are stored."""
    config, decorators = cls.model_config, cls.__pydantic_decorators__
    if model["root_model"] or model["custom_init"] or model.get("post_init"):
        return False
    if config.get("validate_assignment") or config.get("extra") == "allow":
        return False
    if config.get("revalidate_instances", "never") != "never" or type(cls) is not type(BaseModel):
        return False
    if next(reversed(decorators.model_serializers.values())).cls_var_name != SERIALIZER:
        return False
    # These could see the errors of both ways to validate, or read the fields at once.
    for name, validator in decorators.model_validators.items():
        if validator.info.mode != "before" and not name.startswith(VALIDATOR):
            return False
    own = cls.__mro__[: cls.__mro__.index(PlainRowModel)]
    if any(vars(base).keys() & _ACCESS for base in own if base.__module__ != PERSONAL_MODEL):
        return False
    return not any(vars(base).keys() & cls.model_fields.keys() for base in cls.__mro__)


SERIALIZER: Final = "_purposeguard_serialize"
"""The name of the serializer of personal models. Those of the application that it wraps have longer names."""

VALIDATOR: Final = "_purposeguard_validated"
"""The beginning of the names of the validators of personal models."""

PERSONAL_MODEL: Final = "purposeguard.values.personal_model"

_ACCESS: Final = frozenset({"__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__dict__", "__new__"})
"""The methods through which attributes are read and set."""


def _find_model(schema: Any) -> Any:
    """Return the schema of the model in the validators around it."""
    while schema["type"] != "model":
        schema = schema["schema"]
    return schema


def _find_fields(schema: Any) -> Any:
    """Return the schema of the fields in the validators of the input around them; None if there is none."""
    while schema["type"] != "model-fields":
        if "schema" not in schema:
            return None
        schema = schema["schema"]
    return schema


def _has_row_schema(schema: Any) -> bool:
    """Return True if `_add_row_schema` has changed a schema."""
    while "schema" in schema and not _keeps_fields(schema):
        schema = schema["schema"]
    choices: Any = schema.get("choices", [None])
    return _keeps_fields(schema) or (isinstance(choices[0], tuple) and choices[0][1] == PLAIN_LANE)


def _keeps_fields(schema: Any) -> bool:
    return schema.get("function", {}).get("function") is _keep_validated_fields


def _replace_inside(schema: Any, part: Any, replacement: Any) -> Any:
    """Return a copy of a chain of schemas with another innermost one."""
    if schema is part:
        return replacement
    return {**schema, "schema": _replace_inside(schema["schema"], part, replacement)}


def _read_fields(stated_fields: Mapping[str, Any]) -> dict[str, RowField] | None:
    """Return the fields of a class; None if a field is neither plain nor a sealed plain value."""
    fields: dict[str, RowField] = {}
    for name, stated in stated_fields.items():
        # `exclude_if` is a function of the application that is given the value.
        field = None if "serialization_exclude_if" in stated else _read_field(stated)
        if field is None:
            return None
        fields[name] = field
    return fields


def _read_field(stated: Any) -> RowField | None:
    """Return how a field is held in a row; None if it cannot be held there."""
    schema = stated["schema"]
    if _is_plain(schema):
        return RowField(stated, schema, None, optional=False)
    wrappers: list[Any] = []
    while schema["type"] in {"default", "nullable"}:
        # A default is not validated, so it might be anything.
        if schema["type"] == "default" and schema.get("default", _MISSING) is not None:
            return None
        wrappers.append(schema)
        schema = schema["schema"]
    kinds = [wrapper["type"] for wrapper in wrappers]
    sealed = get_sealed_schema(schema)
    if sealed is None or sealed.plain is None or kinds not in ([], ["nullable"], ["default", "nullable"]):
        return None
    plain = sealed.plain
    for wrapper in reversed(wrappers):
        plain = {**wrapper, "schema": plain}
    return RowField(stated, plain, sealed, optional=bool(kinds))


def _is_plain(schema: Any) -> bool:
    """Return True if the values of a schema hold no models, and are written without running other code."""
    if schema.get("serialization", {}).get("type", "") not in _PLAIN_WRITING:
        return False
    if schema["type"] in _PLAIN_VALUES:
        return True
    if schema.get("default_factory_takes_data") or schema.get("function", {}).get("type") == "with-info":
        return False  # The function would see the values of other fields.
    return schema["type"] in _PLAIN_CONTAINERS and all(map(_is_plain, _list_inner(schema)))


def _refuse_iterators(schema: Any) -> Any:
    """Return the schema of a plain value, whose containers do not use up an iterator that may be validated again."""
    changed = dict(schema)
    if schema["type"] in {"list", "set", "frozenset", "tuple", "dict"}:
        changed["strict"] = True
    for key in _INNER_KEYS:
        inner = schema.get(key)
        if isinstance(inner, list):
            changed[key] = [
                (_refuse_iterators(part[0]), part[1]) if isinstance(part, tuple) else _refuse_iterators(part)
                for part in inner
            ]
        elif inner is not None:
            changed[key] = _refuse_iterators(inner)
    return changed


def _list_inner(schema: Any) -> list[Any]:
    """Return the schemas of the values inside of those of a schema. It is one for anything if none is stated."""
    parts: list[Any] = []
    for key in _INNER_KEYS:
        inner = schema.get(key, [])
        parts += inner if isinstance(inner, list) else [inner]
    schemas = [part[0] if isinstance(part, tuple) else part for part in parts]
    return schemas or [core_schema.any_schema()]


_INNER_KEYS: Final = ("schema", "items_schema", "keys_schema", "values_schema", "choices")
"""The keys of a schema that lead to the schemas of the values inside."""

_PLAIN_VALUES: Final = PLAIN_TYPES.keys() | {"none", "bytes", "literal", "enum", "url", "multi-host-url", "complex"}
"""The types of schemas of plain values."""

_PLAIN_CONTAINERS: Final = frozenset(
    {"default", "nullable", "union", "list", "set", "frozenset", "tuple", "dict", "function-before", "function-after"}
)
"""The types of schemas of values that are plain if those inside are."""

_PLAIN_WRITING: Final = frozenset({"", "format", "to-string"})
"""The types of serializers that run no code of the application; empty if there is none."""

_MISSING: Final = object()


def _is_own_validator(function: Any) -> bool:
    """Return True if a validator around a model is the one of personal models."""
    return getattr(function, "__module__", None) == PERSONAL_MODEL


class _RowSlot(BaseModel):
    """The base of `PlainRowModel`, which has the slot of rows."""

    if not TYPE_CHECKING:  # pragma: no branch  # always so at run time
        __slots__ = ("_row",)


_slot: Final[Any] = vars(_RowSlot)["_row"]
type.__delattr__(_RowSlot, "_row")

_get_row: Final[Callable[[Any], dict[str, Any] | None]] = _slot.__get__
"""Return the row of a model; None once it is settled. Raises AttributeError if there never was one."""

_set_row: Final[Callable[[Any, dict[str, Any] | None], None]] = _slot.__set__


class PlainRowModel(_RowSlot):
    """A pydantic model that may hold a plain row. It is the base of `PersonalModel`, and of nothing else."""

    __purposeguard_layout__: ClassVar[Any] = None

    if not TYPE_CHECKING:  # pragma: no branch  # always so at run time
        # Type checkers see the attributes of pydantic's models. The methods below do what pydantic's own do.

        # pydantic-core sets it to what it has validated, which is stored as the row by a function of C. Reading it
        # settles the model.
        __dict__ = property(settle, _set_row)

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            return _add_row_schema(cls, handler(source))

        def __getattr__(self, name: str) -> Any:
            row = find_row(self)
            if row is None or name in row:
                fields = settle(self)
                if name in fields:  # Another thread may have settled the model meanwhile.
                    return fields[name]
            return super().__getattr__(name)

        def __delattr__(self, name: str) -> None:
            settle(self)
            super().__delattr__(name)

        @classmethod
        def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
            """Create a model without validating its values, as pydantic does."""
            return keep_fields(super().model_construct(_fields_set, **values))

        def copy(self, **options: Any) -> Self:
            """Copy the model by pydantic's deprecated method."""
            return keep_fields(super().copy(**options))

        def __copy__(self) -> Self:
            return keep_fields(super().__copy__())

        def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
            return keep_fields(super().__deepcopy__(memo))

        def __setstate__(self, state: dict[Any, Any]) -> None:
            super().__setstate__(state)
            keep_fields(self)
