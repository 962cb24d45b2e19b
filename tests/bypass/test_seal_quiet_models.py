"""Errors of validation of a `PersonalModel` show nothing of what was given for the whole, wherever it is validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_kinds import Address
from tests.bypass.seal_looking import NUMBER, TEXT, leaks, says, seal

R = tm.Registration


class Base(pg.PersonalModel):
    name: str
    email: pg.Personal[int, R]
    tagged: Annotated[int, R] = 0
    nested: Address | None = None
    keys: dict[pg.Personal[int, R], int] = {}
    tags: Annotated[dict[str, int], R] = {}


class Early(Base):
    @model_validator(mode="before")
    @classmethod
    def refuse(cls, data: Any) -> Any:
        return says(ValueError)(data)


class Late(Base):
    email: pg.Personal[str, R]  # type: ignore[assignment]  # as text here

    @model_validator(mode="after")
    def refuse(self) -> Any:
        return says(ValueError)(self)


class Around(Base):
    @model_validator(mode="wrap")
    @classmethod
    def refuse(cls, data: Any, handler: Any) -> Any:
        return says(AssertionError)(data)


class LateBelow(Late): ...


class Mixed:
    @model_validator(mode="wrap")
    @classmethod
    def refuse(cls, data: Any, handler: Any) -> Any:
        return says()(data)


class WithMixed(Mixed, Base): ...


class Aliased(pg.PersonalModel):
    email: pg.Personal[str, R] = Field(alias="mail")
    other: pg.Personal[str, R] = Field(default=seal(), validation_alias=AliasChoices("another", AliasPath("deep", 0)))
    tagged: Annotated[str, R] = Field(default="", alias="mark")

    @field_validator("email", "other", "tagged", mode="before")
    @classmethod
    def refuse(cls, value: Any) -> Any:
        return says(ValueError)(value)


class Fails(pg.PersonalModel):
    email: pg.Personal[Annotated[str, AfterValidator(says(KeyError))], R]


class Holding(BaseModel):
    """No `PersonalModel` itself; the error of one inside stays quiet."""

    one: Base


QUIET: dict[str, Callable[[], Any]] = {
    "a missing field": lambda: Base.model_validate({"email": TEXT}),
    "a missing field, called": lambda: Base(email=TEXT),  # type: ignore[call-arg, arg-type]  # the error
    "no mapping": lambda: Base.model_validate(TEXT),
    "a field": lambda: Base.model_validate({"name": "n", "email": TEXT}),
    "a tagged field": lambda: Base.model_validate({"name": "n", "email": 1, "tagged": TEXT}),
    "a tagged mapping": lambda: Base.model_validate({"name": "n", "email": 1, "tags": {TEXT: TEXT}}),
    "sealed keys": lambda: Base.model_validate({"name": "n", "email": 1, "keys": {TEXT: 1}}),
    "values of sealed keys": lambda: Base.model_validate({"name": "n", "email": 1, "keys": {NUMBER: "x"}}),
    "another object": lambda: Base.model_validate(Address(street=TEXT, number=1), from_attributes=True),
    "before": lambda: Early.model_validate({"name": "n", "email": TEXT}),
    "after": lambda: Late.model_validate({"name": "n", "email": TEXT}),
    "after, of a base": lambda: LateBelow.model_validate({"name": "n", "email": TEXT}),
    "wrap": lambda: Around.model_validate({"name": "n", "email": TEXT}),
    "wrap, of a mixin": lambda: WithMixed.model_validate({"name": "n", "email": TEXT}),
    "an alias": lambda: Aliased.model_validate({"mail": TEXT, "mark": TEXT}),
    "a choice of aliases": lambda: Aliased.model_validate({"mail": TEXT, "another": TEXT}),
    "a path of aliases": lambda: Aliased.model_validate({"mail": TEXT, "deep": [TEXT]}),
    "an alias that is missing": lambda: Aliased.model_validate({"deep": [TEXT], "mark": TEXT}),
    "another error": lambda: Fails(email=TEXT),  # type: ignore[arg-type]  # plain input
    "json": lambda: Base.model_validate_json(f'{{"name": "n", "email": "{TEXT}"}}'),
    "json that is none": lambda: Base.model_validate_json(f'{{"name": "n", "email": "{TEXT}"'),
    "json of bytes that is none": lambda: Late.model_validate_json(f'{{"email": "{TEXT}"'.encode()),
    "strings": lambda: Base.model_validate_strings({"name": "n", "email": TEXT}),
    "inside another": lambda: Holding.model_validate({"one": {"name": "n", "email": TEXT, "tagged": TEXT}}),
    "inside another, after": lambda: pydantic.create_model("Other", one=(Late, ...)).model_validate(
        {"one": {"name": "n", "email": TEXT}}
    ),
    "in a list": lambda: TypeAdapter(list[Early]).validate_python([{"email": TEXT}]),
    "by an adapter": lambda: TypeAdapter(Late).validate_python({"name": "n", "email": TEXT}),
}


@pytest.mark.parametrize("name", list(QUIET))
def test_the_error_of_a_personal_model_does_not_show_what_was_given(name: str) -> None:
    with pytest.raises((ValidationError, pg.SealedValue)) as caught:
        QUIET[name]()
    assert leaks(caught.value, frames="purposeguard") == []


def test_what_is_not_personal_is_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Base.model_validate({"name": 5, "email": 1})
    assert "input_value=5" in str(caught.value)
