"""A base for pydantic models that hold personal data: errors without the input, dumps that can leave things out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

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
from pydantic_core import InitErrorDetails, PydanticSerializationError

from purposeguard.errors import PurposeGuardError, PurposeViolation
from purposeguard.fields import Model
from purposeguard.openers import opener_for
from purposeguard.pydantic_seals import (
    HIDDEN,
    Refusal,
    aliases_of,
    field_names,
    is_withholding,
    quiet_line,
    refusals,
    same_line,
)
from purposeguard.sealing import Sealed


class PersonalModel(BaseModel):
    """A pydantic model that does three things beyond `BaseModel`, for its tagged and sealed fields.

    - `model_dump(mode="withhold")` leaves out what the purpose under way may not use. For JSON and for type adapters,
      whose modes are pydantic's own, `context={"withhold": True}` does the same.
    - A dump that is refused raises the violation itself; of a plain `BaseModel` it is pydantic's error about it.
    - Errors of validation show neither what was given for such a field nor the whole input.
    """

    if TYPE_CHECKING:
        # To type checkers that know pydantic, a constructor takes what its fields are, not all that would be converted.
        model_config = ConfigDict(strict=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Of each class its own, by another name than those of its bases: validators of a model stand around each other
        # in the order in which they are declared, and this one is to be outside all of them, wherever the model is.
        validator: Any = classmethod(_validated)
        setattr(cls, f"_validated_{len(cls.__mro__)}", model_validator(mode="wrap")(validator))

    # Without an annotation for what it returns: pydantic would take that for the schema of what is written.
    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        if is_withholding(info):
            try:
                shown = opener_for(None, info.context).withhold(self)
            except (PurposeGuardError, TypeError) as error:
                told = refusals.get()
                if told is not None:
                    told.append(Refusal(error, None))
                raise
            return handler(shown)
        return handler(self)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's; raises the violation itself where the dump is refused."""
        with _refusal(self):
            return super().model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """As pydantic's; raises the violation itself where the dump is refused."""
        with _refusal(self):
            return super().model_dump_json(**options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's; does not show text that is no JSON."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            hidden = _hidden(error, cls)
        finally:
            del json_data  # from the traceback
        raise hidden


def _validated(
    cls: type[PersonalModel], value: Any, handler: ModelWrapValidatorHandler[PersonalModel]
) -> PersonalModel:
    try:
        return handler(value)
    except ValidationError as error:
        hidden = _hidden(error, cls)
    finally:
        del value  # from the traceback
    raise hidden


@contextmanager
def _refusal(model: BaseModel) -> Generator[None]:
    """Raises why a dump was refused in the place of pydantic's error, which tells it as text."""
    told: list[Refusal] = []
    token = refusals.set(told)
    failed = False
    try:
        yield
    except PydanticSerializationError:
        if not told:
            raise
        failed = True
    finally:
        refusals.reset(token)
    # After a refusal in a union pydantic goes on, and gives the seal. One that was about no sealed value may have been
    # a member that the value is not of.
    refusal = next((one for one in told if one.value is not None), told[0] if failed else None)
    if refusal is not None:
        field = (_place(model, refusal.value) or "").removeprefix(".")
        if field and isinstance(refusal.error, PurposeViolation):
            refusal.error.field = field
        elif field:
            refusal.error.add_note(f"in field `{field}` of {type(model).__name__}")
        raise refusal.error.with_traceback(None) from None


def _place(inside: object, value: Sealed | None) -> str | None:
    """Where in a model, or what it holds, a sealed value is: `orders[].address`."""
    items: Iterable[tuple[str, object]] = ()
    if isinstance(inside, BaseModel):
        items = ((f".{name}", item) for name, item in inside.__dict__.items())
    elif isinstance(inside, Mapping):
        items = (("[]", item) for pair in inside.items() for item in pair)
    elif isinstance(inside, (list, tuple, set, frozenset)):
        items = (("[]", item) for item in inside)
    for name, item in items:
        below = "" if item is value else _place(item, value)
        if below is not None:
            return f"{name}{below}"
    return None


def _hidden(error: ValidationError, cls: type[BaseModel]) -> ValidationError:
    """The same error, without what was given for tagged and sealed fields, and without the whole input."""
    fields = Model(cls).fields()
    aliases: dict[Any, str] = aliases_of(cls)
    names = frozenset(field_names(Model(cls).shape))
    lines: list[InitErrorDetails] = []
    for one in error.errors():
        where = one["loc"]
        field = aliases.get(where[0], str(where[0])) if where else None
        shape = fields.get(field) if field is not None else None
        if field is None or (shape is not None and shape.has_tags):
            told = tuple(part for part in where if part in names)
            lines.append(quiet_line(one, told, field or cls.__name__))
        else:
            shown = shape is not None and isinstance(one["input"], (str, int, float, type(None)))
            lines.append(same_line(one, one["input"] if shown else HIDDEN))
    return ValidationError.from_exception_data(error.title, lines)
