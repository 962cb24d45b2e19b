"""Whether a value is taken: pydantic is asked, and through it the validators of the application."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import SchemaError

Check = Callable[[Any], bool]
"""Whether a field takes a value."""


@dataclasses.dataclass(frozen=True)
class Within:
    """Whether a field takes an item, asked with a container of it alone."""

    check: Check
    make: Callable[[list[Any]], Any]
    least: int

    def __call__(self, value: Any) -> bool:
        try:
            return self.check(self.make([value] * max(1, self.least)))
        except TypeError:  # no hash
            return True


def adapter_of(base: Any, metadata: Sequence[object]) -> TypeAdapter[Any] | None:
    """What validates an annotation `Annotated[base, *metadata]`; None where pydantic knows nothing of the type."""
    annotation: Any = typing.Annotated[(base, *metadata)] if metadata else base
    try:
        return _adapter(annotation)
    except TypeError:  # metadata without a hash
        return _adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        pass
    except (PydanticUserError, SchemaError, TypeError):
        return None
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, SchemaError, TypeError):
        return None


def check_of(adapter: TypeAdapter[Any] | None) -> Check | None:
    """Whether it takes a value."""
    if adapter is None:
        return None

    def check(value: Any) -> bool:
        return passes(lambda: adapter.validate_python(value))

    return check


def passes(act: Callable[[], object]) -> bool:
    """Whether what validators are asked goes through; they are the application's, and may raise anything."""
    try:
        act()
    except ValidationError:
        return False
    except Exception:  # noqa: BLE001  # a slip of a validator on a value is a refusal of that value
        return False
    return True
