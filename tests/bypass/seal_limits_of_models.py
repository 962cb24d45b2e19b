"""What a seal does not block where pydantic is in between: the rest of `seal_limits.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, PlainSerializer, TypeAdapter, ValidationError, ValidationInfo, field_validator

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_kinds import SealedModel
from tests.bypass.seal_limits import LIMITS, limit, report_of
from tests.bypass.seal_looking import TEXT, guard, seal

EVERY: Final = LIMITS
"""Those, and the ones of this module, which adds them."""


class Plain(BaseModel):
    """A model that is no `PersonalModel`."""

    email: pg.Personal[str, tm.Registration]
    name: str


careful = pg.Guard(tm.NOTICE, strict=True)


@limit("Functions in the type of a field")
def a_serialiser_that_keeps_it() -> object:
    kept: list[str] = []

    class Kept(BaseModel):
        email: pg.Personal[Annotated[str, PlainSerializer(kept.append)], tm.Registration]

    with careful.purpose(tm.RenewalGuidance):
        Kept(email=seal()).model_dump()
    return kept


@limit("Errors of models that are no `PersonalModel`")
def another_field_is_missing() -> object:
    return _error_of(lambda: Plain.model_validate({"email": TEXT}))


@limit("Errors of models that are no `PersonalModel`")
def a_validator_before_the_seal() -> object:
    class Early(BaseModel):
        email: pg.Personal[str, tm.Registration]

        @field_validator("email", mode="before")
        @classmethod
        def refuse(cls, value: str) -> str:
            raise ValueError(f"{value} is not known")

    return _error_of(lambda: Early.model_validate({"email": TEXT}))


class Quiet(pg.PersonalModel):
    """A model that is one."""

    email: pg.Personal[str, tm.Registration]


@limit("Errors around a `PersonalModel`")
def json_that_is_none_for_an_adapter() -> object:
    return _error_of(lambda: TypeAdapter(Quiet).validate_json(f'{{"email": "{TEXT}"'))


@limit("Errors around a `PersonalModel`")
def one_model_where_a_list_is_asked_for() -> object:
    return _error_of(lambda: TypeAdapter(list[Quiet]).validate_python({"email": TEXT}))


@limit("What validators say")
def a_validator_that_quotes_another_field() -> object:
    class Plan(pg.PersonalModel):
        email: Annotated[str, tm.Registration]
        count: int

        @field_validator("count")
        @classmethod
        def quote(cls, value: int, info: ValidationInfo) -> int:
            raise ValueError(f"{value} is too many for {info.data['email']}")

    return _error_of(lambda: Plan.model_validate({"email": TEXT, "count": 1}))


class NotKnownError(LookupError):
    """An application's own."""


@limit("What validators say")
def a_validator_that_fails_in_another_way() -> object:
    class Plan(pg.PersonalModel):
        email: pg.Personal[str, tm.Registration]

        @field_validator("email", mode="before")
        @classmethod
        def look_up(cls, value: str) -> str:
            raise NotKnownError(value)

    try:
        return Plan.model_validate({"email": TEXT})
    except NotKnownError as error:
        return repr(error)


@limit("A validator in the place of the seal")
def a_plain_validator() -> object:
    class Plan(pg.PersonalModel):
        email: pg.Personal[str, tm.Registration]

        @field_validator("email", mode="plain")
        @classmethod
        def instead(cls, value: str) -> str:
            return value

    return Plan.model_validate({"email": TEXT})


@limit("Frames of pydantic")
def what_a_constructor_was_called_with() -> object:
    class Number(BaseModel):
        number: pg.Personal[int, tm.Registration]

    return report_of(lambda: Number.model_validate({"number": TEXT}))


@limit("Values that were never validated")
def a_model_that_was_constructed() -> object:
    return SealedModel.model_construct(device=TEXT)


@limit("Warnings about a type that is another")
def written_as_what_it_is_not() -> object:
    class Counts(BaseModel):
        counts: pg.Personal[list[int], tm.Registration]

    model = Counts(counts=seal())
    with warnings.catch_warnings(record=True) as caught, guard.purpose(tm.RenewalGuidance):
        warnings.simplefilter("always")
        model.model_dump_json()
    return [str(one.message) for one in caught]


def _error_of(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except ValidationError as error:
        return str(error)
