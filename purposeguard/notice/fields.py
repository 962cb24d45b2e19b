"""The fields of a notice file: the types that its tables are made of, and the base of all tables."""

from __future__ import annotations

import dataclasses
import functools
import keyword
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    WrapValidator,
)

from purposeguard.notice.timezones import is_known
from purposeguard.notice.vocabulary import fold

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""Text without line breaks and control characters."""

LINES = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
"""Text that may have several lines, without other control characters."""


class Table(BaseModel):
    """A table of the file: frozen, and a key it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _readable_id(text: str) -> str:
    if fold(text) is None:
        raise ValueError("cannot be read as an id: use numbers, letters and brackets, e.g. `1.2(1)①`")
    return text


def _class_name(text: str) -> str:
    if keyword.iskeyword(text) or text.upper() == text:
        raise ValueError("cannot name a Python class: use words in CamelCase, e.g. `RenewalGuidance`")
    return text


def _time_zone(text: str) -> str:
    if not is_known(text):
        raise ValueError(f"unknown time zone `{text}`")
    return text


EVERY: Final = ("*",)
"""What `sources = "any"` is held as: no id, so that code that does not expand it finds no source."""


def _unless_any(given: object, read: Callable[[object], Any]) -> Any:
    return EVERY if given == "any" else read(given)


def _any_or_ids(held: tuple[str, ...]) -> str | list[str]:
    return "any" if held == EVERY else list(held)


@dataclasses.dataclass(frozen=True, slots=True)
class Refers:
    """What the ids in a field name; of a renaming its `kind` says it."""

    kind: Literal["source", "purpose", "purpose or family", "channel", "condition", "source or purpose"]


Id = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable_id)]
SourceId = Annotated[Id, Refers("source")]
SourceIds = Annotated[tuple[Id, ...], Field(min_length=1), Refers("source")]
SomeSources = Annotated[tuple[Id, ...] | None, Refers("source")]
PurposeIds = Annotated[tuple[Id, ...], Refers("purpose")]
PurposesOrFamilies = Annotated[tuple[Id, ...], Field(min_length=1), Refers("purpose or family")]
AnySourceIds = Annotated[
    tuple[Id, ...],
    Field(min_length=1),
    Refers("source"),
    WrapValidator(_unless_any),
    PlainSerializer(_any_or_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "any"},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 100},
                    "minItems": 1,
                },
            ]
        }
    ),
]
"""Ids of sources, or all data: `"any"`."""
ClassName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=100), AfterValidator(_class_name)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=100)]
ChannelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=50)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code")]
Text = Annotated[
    str,
    Field(min_length=1, pattern=ONE_LINE, description="one line, no control characters"),
]
Days = Annotated[int, Field(gt=0, strict=True, description="a period in days")]
TimeZone = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE), AfterValidator(_time_zone)]
Basis = Literal["consent", "contract", "law", "legitimate-interest", "public-task", "vital-interest"]
"""On what the use of data rests in law, where the notice states it."""
When = Annotated[
    tuple[Slug, ...],
    Field(min_length=1, description="only where all these conditions are stated"),
    Refers("condition"),
]
SomeChannels = Annotated[tuple[ChannelId, ...] | None, Refers("channel")]


@functools.cache
def reference_fields(model: type[Table]) -> Mapping[str, Refers]:
    """Return the fields of a table that refer to other rows, with what they refer to."""
    references: dict[str, Refers] = {}
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Refers):
                references[name] = mark
    return references
