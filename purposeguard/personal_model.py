"""A base for pydantic models that hold personal data: errors without the input, dumps that can leave things out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Self

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
    """The same error, without what was given for tagged and sealed fields, and without the whole input."""
    fields = Model(cls).fields()
    plain = {name for name, shape in fields.items() if not shape.has_tags}
    lines: list[InitErrorDetails] = []
    for one in error.errors(include_url=False):
        where = one["loc"]
        if where and where[0] in fields and where[0] not in plain:
            lines.append(quiet_line(one, where[:1], str(where[0])))
        else:
            shown = where and where[0] in plain and isinstance(one["input"], (str, int, float, type(None)))
            lines.append(same_line(one, one["input"] if shown else HIDDEN))
    return ValidationError.from_exception_data(error.title, lines)
