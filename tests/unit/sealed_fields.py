"""What the tests of sealed fields share: a guard, ways to open, and everything that an error says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import TEXT, leaks
from tests.unit.models import Registered, guard

M = TypeVar("M", bound=BaseModel)

SECRET = TEXT
"""Stands in every input that no error may show."""


def made(model: type[M], **fields: Any) -> M:
    """A model from plain input, which its constructor takes too, though type checkers want sealed values there."""
    return model(**fields)


def fail(value: Any) -> Any:
    """A validator or serializer that fails, and says on what."""
    raise ValueError(f"bad {value}")


def opened(value: Any, purpose: Any = tm.RenewalGuidance) -> Any:
    """What is in a sealed value, as a purpose that may use it is given it."""
    with guard.purpose(purpose) as use:
        return use.open(value)


def dumped(value: Any, purpose: Any = tm.RenewalGuidance, **options: Any) -> Any:
    """What a model writes, in a purpose."""
    with guard.purpose(purpose):
        return value.model_dump(**options)


def validated(annotation: Any, given: Any) -> Any:
    """What an annotation makes of an input."""
    return TypeAdapter(annotation).validate_python(given)


def refused(act: Callable[..., object], *args: Any, **options: Any) -> ValidationError:
    """The error of a validation that fails, once it is seen that it shows nothing of the input."""
    with pytest.raises(ValidationError) as caught:
        act(*args, **options)
    assert_quiet(caught.value)
    return caught.value


def lines_of(act: Callable[..., object], *args: Any, **options: Any) -> list[tuple[str, tuple[int | str, ...]]]:
    """The type and place of each line of a validation error, once it is seen that it shows nothing of the input."""
    return [(line["type"], line["loc"]) for line in refused(act, *args, **options).errors()]


def not_written(act: Callable[..., object], *args: Any, **options: Any) -> PydanticSerializationError:
    """The error of a dump that is refused."""
    with pytest.raises(PydanticSerializationError) as caught:
        act(*args, **options)
    assert_quiet(caught.value, frames="none")  # of a model, which may hold a plain value that was never validated
    return caught.value


def ways_to_write(value: BaseModel) -> list[Any]:
    """All ways to write a model."""
    kind: Any = type(value)
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    several: TypeAdapter[Any] = TypeAdapter(dict[str, kind])
    return [
        value.model_dump, value.model_dump_json, functools.partial(value.model_dump, mode="json"),
        functools.partial(adapter.dump_python, value), functools.partial(adapter.dump_json, value),
        functools.partial(several.dump_python, {"in": value}),
        functools.partial(TypeAdapter(Any).dump_python, {"in": value}),
    ]  # fmt: skip


def assert_quiet(error: BaseException, frames: str = "purposeguard") -> None:
    """Nothing that an error says, or that it came of, or that lies in the library's frames, holds the secret."""
    assert leaks(error, frames) == []


class Home(PersonalModel):
    street: Registered
    floor: int = 0


class Customer(PersonalModel):
    name: Registered
    device: Personal[str, tm.ProductData] = Field(default_factory=lambda: Personal("d", tm.ProductData))
    age: Annotated[int, tm.Registration] = 7
    visits: Annotated[int, tm.ProductData] = 3
    homes: list[Home] = []
    note: str = "n"
