"""A base for pydantic models that hold personal data: errors without the input, dumps that can leave things out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    BaseModel,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import InitErrorDetails, PydanticSerializationError

from purposeguard.fields import Model
from purposeguard.openers import opener_for
from purposeguard.pydantic_seals import HIDDEN, quiet_line, refusals, same_line

WITHHOLD = "withhold"
"""The mode of a dump that leaves out what may not be used."""


class PersonalModel(BaseModel):
    """A pydantic model that does three things beyond `BaseModel`, for its tagged and sealed fields.

    - `model_dump(mode="withhold")` leaves out what the purpose under way may not use. For JSON and for type adapters,
      whose modes are pydantic's own, `context={"withhold": True}` does the same.
    - A dump that is refused raises the violation itself; of a plain `BaseModel` it is pydantic's error about it.
    - Errors of validation show neither what was given for such a field nor the whole input.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _validated(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            hidden = _hidden(error, cls)
        value = None
        raise hidden

    # Without an annotation for what it returns: pydantic would take that for the schema of what is written.
    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        if info.mode == WITHHOLD or (isinstance(info.context, Mapping) and info.context.get("withhold")):
            return handler(opener_for(None, info.context).withhold(self))
        return handler(self)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's; raises the violation itself where the dump is refused."""
        with _refusal():
            return super().model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """As pydantic's; raises the violation itself where the dump is refused."""
        with _refusal():
            return super().model_dump_json(**options)

    if not TYPE_CHECKING:
        # Once more from outside: validators of subclasses, and the reading of JSON, lie around `_validated`. Type
        # checkers are to see the signatures that pydantic gives these.

        def __init__(self, /, **data: Any) -> None:
            hidden = None
            try:
                super().__init__(**data)
            except ValidationError as error:
                hidden = _hidden(error, type(self))
            finally:
                del data
            if hidden is not None:
                raise hidden

        __init__.__pydantic_base_init__ = True  # so that pydantic does not take it for the user's own

        @classmethod
        def model_validate(cls, *given: Any, **options: Any) -> Self:
            """As pydantic's, with quiet errors."""
            held = [given]
            del given  # from the traceback: `_quietly` takes it out of the list
            return _quietly(cls, super().model_validate, held, options)

        @classmethod
        def model_validate_json(cls, *given: Any, **options: Any) -> Self:
            """As pydantic's, with quiet errors."""
            held = [given]
            del given  # from the traceback: `_quietly` takes it out of the list
            return _quietly(cls, super().model_validate_json, held, options)

        @classmethod
        def model_validate_strings(cls, *given: Any, **options: Any) -> Self:
            """As pydantic's, with quiet errors."""
            held = [given]
            del given  # from the traceback: `_quietly` takes it out of the list
            return _quietly(cls, super().model_validate_strings, held, options)


def _quietly(
    cls: type[BaseModel], validate: Callable[..., Any], given: list[tuple[Any, ...]], options: dict[str, Any]
) -> Any:
    try:
        return validate(*given.pop(), **options)
    except ValidationError as error:
        hidden = _hidden(error, cls)
    raise hidden


@contextmanager
def _refusal() -> Generator[None]:
    """Raises why a dump was refused in the place of pydantic's error, which tells it as text."""
    told: list[Exception] = []
    token = refusals.set(told)
    refusal: Exception | None = None
    try:
        yield
    except PydanticSerializationError:
        if not told:
            raise
        refusal = told[0]
    finally:
        refusals.reset(token)
    if refusal is not None:
        raise refusal.with_traceback(None)


def _hidden(error: ValidationError, cls: type[BaseModel]) -> ValidationError:
    """The same error, without what was given for tagged and sealed fields, and without the whole input.

    Told as they are: errors about fields that are known to carry nothing personal. Of all others the rule alone.
    """
    shapes = Model(cls).fields()
    plain: set[int | str] = set()
    known: set[int | str] = set()
    for name, field in cls.model_fields.items():
        names = {name, *(alias for alias in (field.alias, field.validation_alias) if isinstance(alias, str))}
        known |= names
        if not shapes[name].has_tags:
            plain |= names
    lines: list[InitErrorDetails] = []
    for one in error.errors(include_url=False):
        where = one["loc"]
        if where and where[0] in plain:
            scalar = isinstance(one["input"], (str, int, float, type(None)))
            lines.append(same_line(one, one["input"] if scalar else HIDDEN))
        else:
            told = where[:1] if where and (where[0] in known or one["type"] == "extra_forbidden") else ()
            lines.append(quiet_line(one, told, str(where[0]) if where and where[0] in known else cls.__name__))
    return ValidationError.from_exception_data(error.title, lines)
