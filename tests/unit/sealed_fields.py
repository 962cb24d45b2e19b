"""What the tests of sealed fields share: a guard, ways to open, and everything that an error says."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import guard

M = TypeVar("M", bound=BaseModel)

SECRET = "s3cr3t"  # noqa: S105  # no password, but what to look for
"""Stands in every input that no error may show."""


def made(model: type[M], **fields: Any) -> M:
    """A model from plain input, which its constructor takes too, though type checkers want sealed values there."""
    return model(**fields)


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
    assert_quiet(caught.value)
    return caught.value


def ways_to_write(value: BaseModel) -> list[Any]:
    """All ways to write a model."""
    kind: Any = type(value)
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    several: TypeAdapter[Any] = TypeAdapter(dict[str, kind])
    return [
        value.model_dump,
        value.model_dump_json,
        functools.partial(value.model_dump, mode="json"),
        functools.partial(adapter.dump_python, value),
        functools.partial(adapter.dump_json, value),
        functools.partial(several.dump_python, {"in": value}),
        functools.partial(TypeAdapter(Any).dump_python, {"in": value}),
    ]


def assert_quiet(error: BaseException) -> None:
    """Nothing that an error says, or that it came of, holds the secret."""
    for text in _said_by(error):
        assert SECRET not in text, text


def _said_by(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        yield repr(error)
        yield repr(error.args)
        yield from getattr(error, "__notes__", ())
        yield "".join(traceback.format_exception_only(error))
        if isinstance(error, ValidationError):
            yield repr(error.errors())
            yield repr(error.errors(include_input=True, include_context=True))
            yield error.json()
        error = error.__cause__ or error.__context__
