"""Models and leaks that the tests of noninterference share, and what a test that is run by hand came to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

from hypothesis import Phase, settings
from pydantic import BaseModel, EmailStr

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.failures import Interference

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    number: int
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    device: Annotated[str, tm.ProductData]
    age: Annotated[int, tm.ProductData]


@dataclasses.dataclass
class Visitor:
    name: Annotated[str, tm.Registration]
    page: Annotated[str | None, tm.Cookie]


class Sealed(pg.PersonalModel):
    name: pg.Personal[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData]


Code = Callable[[Customer], object]


def returning(make: Code) -> Code:
    """Annotate an expression about a customer, so that its argument can be drawn."""

    def code(customer: Customer) -> object:
        return make(customer)

    return code


# Quick: what explains a failure is hypothesis' own, and traces every line to do so.
quickly = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


at_once = settings(quickly, phases=[Phase.explicit, Phase.generate])
"""As `quickly`, and what fails is not made smaller."""


def failure_of(test: Callable[..., Any], *args: Any, by: settings = at_once, **kwargs: Any) -> BaseException:
    """What a test fails with."""
    try:
        by(test)(*args, **kwargs)
    except BaseException as error:
        return error
    raise AssertionError("the test passed")


def leak_of(test: Callable[..., Any], *fields: str, by: settings = at_once) -> Interference:
    """What a test fails with, which must name exactly these fields."""
    error = failure_of(test, by=by)
    assert isinstance(error, Interference), error
    assert error.fields == fields
    return error


def told(error: BaseException) -> str:
    """The example that hypothesis shows beside an error."""
    return "\n".join(getattr(error, "__notes__", ()))
