"""A base for pydantic models that hold personal data: errors without the input, dumps that can leave things out."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticSerializationError

from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notice.vocabulary import find_nearest, is_union
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.opener import dump_opener_var, find_opener, get_sole_opener
from purposeguard.values.plain_row import (
    PLAIN_LANE,
    SEALED_LANE,
    SERIALIZER,
    VALIDATOR,
    PlainRowModel,
    keep_fields,
    settle,
)
from purposeguard.values.pydantic import (
    HIDDEN,
    WHOLE,
    CurrentRow,
    DumpRefusal,
    SealedField,
    copy_error_line,
    field_aliases,
    find_unreadable,
    is_withholding,
    iter_field_names,
    redact_error_line,
    refusals,
    report_refusal,
    row_under_way,
    was_withheld,
    withheld_models,
)
from purposeguard.values.sealed import Sealed, make_failure
from purposeguard.values.type_schema import Model, Shape

_MISSPELT: Final = 0.75
"""The least similarity to a field name at which an error shows a key: `nmae` is similar to `name`, `Jane` is not."""

# fmt: off
_CONSTRAINTS: Final = (
    "gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "max_digits", "decimal_places",
    "allow_inf_nan", "strip_whitespace", "to_lower", "to_upper",
)
# fmt: on
"""Constraints that pydantic would check on the seal itself if they were stated for a sealed field."""


class PersonalModel(PlainRowModel):
    """A pydantic model that does three things beyond `BaseModel`, for its tagged and sealed fields.

    - `model_dump(mode="withhold")` leaves out what the purpose under way may not use. For JSON and for type adapters,
      whose modes are pydantic's own, `context={"withhold": True}` does the same.
    - A dump that is refused raises the violation itself; of a plain `BaseModel` it is pydantic's error about it.
    - Errors of validation show neither what was given for such a field nor the whole input.

    Raises:
        TypeError: when a class is made: a constraint is stated outside of a seal, or a model serialiser comes from a
            base that is no `PersonalModel`.
    """

    if TYPE_CHECKING:
        # Have type checkers that know pydantic accept only the types of the fields, not everything that is converted.
        model_config = ConfigDict(strict=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__purposeguard_layout__ = None
        # Each class gets a validator of its own, with another name than those of its bases. Validators of a model wrap
        # each other in the order in which they are declared, and this one must be outside all others.
        validator: Any = classmethod(_validate_model)
        setattr(cls, f"{VALIDATOR}_{len(cls.__mro__)}", model_validator(mode="wrap")(validator))
        # The last serialiser of a model replaces all others, so a serialiser of the application is wrapped.
        for serializer in [member for member in vars(cls).values() if _is_serializer(member)]:
            setattr(cls, f"{SERIALIZER}_{id(cls)}", _wrap_serializer(serializer))

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        *_, last = cls.__pydantic_decorators__.model_serializers.values()
        if not last.cls_var_name.startswith(SERIALIZER):
            raise TypeError(
                f"{cls.__qualname__} gets the model serialiser `{last.cls_var_name}` from a base that is no "
                "PersonalModel, and would write what is to be withheld: define it in a PersonalModel"
            )
        for name, field in cls.model_fields.items():
            constraint = _find_constraint(field.metadata)
            if constraint is not None and _is_sealed(field.annotation):
                raise TypeError(
                    f"field `{name}` of {cls.__qualname__} states `{constraint}` of the seal; it belongs to the type "
                    f"inside: `Personal[Annotated[…, Field({constraint}=…)], …]`"
                )

    # There is no return annotation: pydantic would take it for the schema of the output.
    @model_serializer(mode="wrap")
    def _purposeguard_serialize(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]  # see above
        cls = type(self)
        if info.context is None and getattr(cls, _UNMARKED, None) is cls and info.mode in WHOLE:
            # Nothing is left out, and no row has marks, so one use opens all sealed fields if there is only one.
            opener = get_sole_opener() if row_under_way.get() is None else None
            if opener is not None:
                token = dump_opener_var.set(opener)
                try:
                    return handler(self)
                finally:
                    # It is another one if another use was entered or left in the meantime.
                    if dump_opener_var.get() is opener:
                        dump_opener_var.reset(token)
        return _serialize_model(self, handler, info)

    if not TYPE_CHECKING:  # pragma: no branch  # always so at run time
        # Type checkers see pydantic's own methods, with all their options.

        def model_dump(self, **options: Any) -> dict[str, Any]:
            """Dump the model as pydantic does, but raise the violation itself if the dump is refused."""
            layout = type(self).__purposeguard_layout__
            row = None if options or layout is None else layout.find_writable_row(self)
            if row is not None:
                return layout.serializer.to_python(row)
            with raise_dump_refusal(self):
                return super().model_dump(**options)

        def model_dump_json(self, **options: Any) -> str:
            """Dump the model as pydantic does, but raise the violation itself if the dump is refused."""
            layout = type(self).__purposeguard_layout__
            row = None if options or layout is None else layout.find_writable_row(self)
            if row is not None:
                return layout.serializer.to_json(row).decode()
            with raise_dump_refusal(self):
                return super().model_dump_json(**options)

        @classmethod
        def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
            """Validate JSON as pydantic does, but do not show invalid JSON in the error."""
            errors: list[ValidationError] = []
            try:
                return super().model_validate_json(json_data, **options)
            except ValidationError as error:
                errors.append(error)
            finally:
                del json_data  # Keep the text out of the traceback.
            raise _hide_input(errors, cls)

        @classmethod
        def parse_raw(cls, b: str | bytes, **options: Any) -> Self:
            """Parse text as pydantic's deprecated method does, but do not show invalid text in the error."""
            errors: list[ValidationError] = []
            try:
                return super().parse_raw(b, **options)
            except ValidationError as error:
                errors.append(error)
            finally:
                del b  # Keep the text out of the traceback.
            raise _hide_input(errors, cls)

        def __setattr__(self, name: str, value: object) -> None:
            """Set a field as pydantic does, but do not show the new value in an error."""
            errors: list[ValidationError] = []
            settle(self)
            try:
                super().__setattr__(name, value)
            except ValidationError as error:
                # Only the error about a frozen model or field did not go through the validators.
                if "frozen" not in error.errors()[0]["type"]:
                    raise
                errors.append(error)
            else:
                keep_fields(self)  # The name may be `__dict__`.
                return
            finally:
                del value  # Keep the value out of the traceback.
            raise _hide_input(errors, type(self))


_ROWS: Final = "__purposeguard_rows__"
"""The attribute that is set once the nested rows of a class were checked."""

_UNMARKED: Final = "__purposeguard_unmarked__"
"""The attribute in which a class keeps itself if neither the class nor a nested row has marks."""


def _require_subject_marks(cls: type[BaseModel]) -> None:
    """Raise UnlabelledData if a nested row of another subject would be written as a row of the model's subject.

    Only a PersonalModel tells its dump which row is being written.
    """
    if _ROWS in vars(cls):
        return
    marked = False
    for inner in Model(cls).shape.iter_models():
        marked = marked or bool(inner.marks())
        if not issubclass(inner.cls, PersonalModel) and inner.marks() and inner.shape.holds_seals:
            name = inner.cls.__qualname__
            raise UnlabelledData(
                f"{name} marks whose it is, and a dump of {cls.__qualname__} could not tell: derive {name} from "
                "PersonalModel"
            )
    type.__setattr__(cls, _ROWS, True)
    if not marked:
        type.__setattr__(cls, _UNMARKED, cls)


def _serialize_model(model: PersonalModel, write: Callable[[Any], Any], info: SerializationInfo) -> Any:
    """Write a model for a dump: all of it, or only the fields that may be used."""
    met = withheld_models.get()
    try:
        _require_subject_marks(type(model))
    except UnlabelledData as error:
        report_refusal(error)
        raise
    row = row_under_way.set(CurrentRow(model, row_under_way.get(), judged=met is not None and id(model) in met[1]))
    dump_opener_var.set(None)
    try:
        return _serialize_within_dump(model, write, info)
    finally:
        row_under_way.reset(row)


def _serialize_within_dump(model: PersonalModel, write: Callable[[Any], Any], info: SerializationInfo) -> Any:
    try:
        leaving_out = is_withholding(info)
    except TypeError as error:
        report_refusal(error)
        raise
    if not leaving_out:
        return write(model)
    models: list[Any] = []
    try:
        opener = find_opener(None, info.context)
        if was_withheld(model, opener):
            return write(model)  # The outer model was already withheld from as a whole.
        visible_model = opener._withhold_for_dump(model, models)
    except (PurposeGuardError, TypeError) as error:
        report_refusal(error)
        raise
    token = withheld_models.set((opener, frozenset(map(id, models))))
    try:
        if find_unreadable(visible_model):
            # A computed field needs a withheld field. Only a separate dump can leave it out.
            options = {name: getattr(info, name) for name in _OPTIONS if hasattr(info, name)}
            return visible_model.model_dump(**options)
        return write(visible_model)
    except PurposeViolation as error:  # The output needs a withheld field, such as a root.
        report_refusal(error)
        raise
    finally:
        withheld_models.reset(token)


_OPTIONS: Final = (
    "mode",
    "include",
    "exclude",
    "context",
    "by_alias",
    "exclude_unset",
    "exclude_defaults",
    "exclude_none",
    "exclude_computed_fields",
    "round_trip",
    "serialize_as_any",
    "polymorphic_serialization",
)
"""Options of a dump that a serialiser gets, if the version of pydantic has them."""


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _is_serializer(member: Any) -> bool:
    return getattr(getattr(member, "decorator_info", None), "decorator_repr", None) == "@model_serializer"


def _wrap_serializer(proxy: Any) -> Any:
    """Wrap a model serialiser of the application, so that `_serialize_model` decides which fields it sees."""
    fn, declared = proxy.wrapped, proxy.decorator_info
    wraps = declared.mode == "wrap"
    parameters = [parameter for parameter in inspect.signature(fn).parameters.values() if parameter.kind in _POSITIONAL]
    takes_info = len(parameters) > 1 + wraps

    # The return annotation is copied from the application's serialiser below.
    def serialize(self: PersonalModel, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]  # see above
        if declared.when_used.startswith("json") and not info.mode_is_json():
            return _serialize_model(self, handler, info)
        arguments = ((handler,) if wraps else ()) + ((info,) if takes_info else ())
        return _serialize_model(self, lambda visible_model: fn(visible_model, *arguments), info)

    # Pydantic reads the schema of the output from the return annotation.
    serialize.__module__ = fn.__module__
    if "return" in fn.__annotations__:
        serialize.__annotations__ = {"return": fn.__annotations__["return"]}
    return model_serializer(mode="wrap", return_type=declared.return_type)(serialize)


def _find_constraint(metadata: list[Any]) -> str | None:
    """Return the name of the first constraint in the metadata of a field; None if there is none."""
    for name in _CONSTRAINTS:
        if any(getattr(item, name, None) is not None for item in metadata):
            return name
    return None


def _is_sealed(annotation: Any) -> bool:
    """Return True if an annotation is a sealed type, or a union with one."""
    members = get_args(annotation) if is_union(annotation) else (annotation,)
    kinds = [get_origin(member) or member for member in members]
    return any(isinstance(kind, type) and issubclass(kind, SealedField) for kind in kinds)


def _validate_model(
    cls: type[PersonalModel], value: Any, handler: ModelWrapValidatorHandler[PersonalModel]
) -> PersonalModel:
    try:
        return handler(value)
    except ValidationError as error:
        errors, hidden = [error], None
    except Exception as error:  # noqa: BLE001  # The error is raised below, or replaced by one that shows no value.
        # A built-in error in a validator may show the value. An error class of the application is raised on purpose.
        slip = type(error).__module__.partition(".")[0] in sys.stdlib_module_names
        errors, hidden = [], make_failure(f"a validator of {cls.__qualname__}", error) if slip else error
    finally:
        del value  # Keep the value out of the traceback.
    raise hidden or _hide_input(errors, cls)


@contextmanager
def raise_dump_refusal(model: object) -> Generator[None]:
    """Raise the refusal of a dump instead of pydantic's error, which quotes it as text."""
    reported: list[DumpRefusal] = []
    token = refusals.set(reported)
    failed = False
    try:
        yield
    except PydanticSerializationError:
        if not reported:
            raise
        failed = True
    finally:
        refusals.reset(token)
    # After a refusal in a union, pydantic continues and writes the seal itself, so the refusal is raised here. A
    # refusal that names no sealed value may come from a union member that does not apply.
    refusal = next((entry for entry in reported if entry.value is not None), reported[0] if failed else None)
    if refusal is not None:
        field = (_find_seal_path(model, refusal.value) or "").removeprefix(".")
        if field and isinstance(refusal.error, PurposeViolation):
            refusal.error.field = field
        elif field:
            refusal.error.add_note(f"in field `{field}` of {type(model).__name__}")
        raise refusal.error.with_traceback(None) from None


def _find_seal_path(inside: object, value: Sealed | None, above: frozenset[int] = frozenset()) -> str | None:
    """Return the path of a sealed value in a model, such as `.orders[].address`; None if it is not there."""
    if id(inside) in above:
        return None
    above |= {id(inside)}
    items: Iterable[tuple[str, object]] = ()
    if isinstance(inside, BaseModel):
        items = ((f".{name}", item) for name, item in inside.__dict__.items())
    elif isinstance(inside, Mapping):
        items = (("[]", item) for pair in inside.items() for item in pair)
    elif isinstance(inside, (list, tuple, set, frozenset)):
        items = (("[]", item) for item in inside)
    for name, item in items:
        below = "" if item is value else _find_seal_path(item, value, above)
        if below is not None:
            return f"{name}{below}"
    return None


def _hide_input(errors: list[ValidationError], cls: type[PersonalModel]) -> ValidationError:
    """Return the error without the values of tagged and sealed fields, and without the whole input.

    Args:
        errors: The error, which is taken out: no frame holds it if the class cannot be read. For the same reason this
            is not called while the error is handled.
        cls: The model that was validated.

    Raises:
        UnlabelledData: the tags of the class cannot be read, so nothing of the error may be shown.
    """
    error = errors.pop()
    title, lines = error.title, error.errors()
    if cls.__purposeguard_layout__ is not None:
        lines = _choose_lines(lines)
    del error
    try:
        return ValidationError.from_exception_data(title, list(map(_InputHiding(cls).hide, lines)))
    except PurposeGuardError as unread:
        unreadable = unread
    finally:
        lines.clear()  # Keep the input out of the traceback.
    raise unreadable.with_traceback(None)


def _choose_lines(lines: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the lines of the second of two validations, as if there had been no other."""
    if not lines or lines[0]["loc"][:1] not in {(PLAIN_LANE,), (SEALED_LANE,)}:
        return lines
    chosen: list[ErrorDetails] = []
    for line in lines:
        if line["loc"][0] == SEALED_LANE:
            line["loc"] = line["loc"][1:]
            chosen.append(line)
    lines.clear()  # Keep the input out of the traceback.
    return chosen


class _InputHiding:
    """A filter for the lines of validation errors of one class that hides values that may be personal."""

    def __init__(self, cls: type[BaseModel]) -> None:
        """Read the fields of the class.

        Raises:
            UnlabelledData: the fields cannot be read.
        """
        self._cls = cls
        self._fields = Model(cls).fields()
        self._aliases: dict[Any, set[str]] = field_aliases(cls)
        self._names = iter_field_names(Model(cls).shape)

    def hide(self, line: ErrorDetails) -> InitErrorDetails:
        """Return a line of the error whose location, message and input show nothing that may be personal."""
        place = line["loc"]
        meant = sorted({*self._aliases.get(place[0], ()), *self._fields.keys() & {place[0]}}) if place else []
        kind = meant[0] if len(meant) == 1 else self._cls.__name__
        if line["type"] == "no_such_attribute":
            return copy_error_line(line, HIDDEN)
        if line["type"] == "extra_forbidden" and place:
            return redact_error_line(line, (*self._keep_field_names(place[:-1]), *self._misspelt(place[-1])), kind)
        if not meant or any(self._fields[field].has_tags for field in meant):
            return redact_error_line(line, self._keep_field_names(place), kind)
        safe_place = (place[0], *self._keep_safe_parts(place[1:], meant))
        if place[-1] == _KEY_OF_MAPPING:
            return redact_error_line(line, safe_place, kind)
        may_show_input = isinstance(line["input"], (str, int, float, type(None)))
        return copy_error_line({**line, "loc": safe_place}, line["input"] if may_show_input else HIDDEN)

    def _keep_field_names(self, place: Place) -> Place:
        """Return the parts of a location that are names of fields; all other parts may come from the input."""
        return tuple(part for part in place if part in self._names)

    def _misspelt(self, key: int | str) -> Place:
        """Return a key if it may be a misspelt name of a field, and nothing otherwise."""
        return (key,) if find_nearest(str(key), self._names, _MISSPELT) else ()

    def _keep_safe_parts(self, place: Place, fields: Iterable[str]) -> Place:
        """Return the parts of a location in untagged fields that come from code, and the indices in lists."""
        shapes: list[Shape] = []
        for field in fields:
            shapes += self._fields[field].iter_reachable("items", "keys")
        # If there are mappings, a number may be a key instead of an index.
        has_keys = any(part.keys is not None or part.repeats for part in shapes)
        return tuple(part for part in place if part in self._names or (isinstance(part, int) and not has_keys))


Place = tuple[int | str, ...]
"""The location of an error in the input, as pydantic reports it."""

_KEY_OF_MAPPING: Final = "[key]"
"""The last part of a location if a key is invalid and not the value stored under it."""
