"""Changes to files of Python, as they are planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Form = Literal["annotation", "mapped", "info", "privacy"]
"""The place of a tag.

`annotation`: the annotation of the field. `mapped`: the annotation within `Mapped[…]`. `info`: `info=…` of the call
that makes the column. `privacy`: the class `Privacy` within the model.
"""

PRIVACY: Final = "Privacy"
"""The name of the class within a model of Django that tags its fields."""


class FieldEdit(NamedTuple):
    """The tags that a field gets, as expressions."""

    form: Form
    tags: tuple[str, ...]


@dataclass(slots=True)
class ClassEdit:
    """The changes to a class."""

    fields: dict[str, FieldEdit] = field(default_factory=dict)
    privacy_bases: tuple[str, ...] = ()
    """The bases of a new class `Privacy`."""


@dataclass(slots=True)
class FunctionEdit:
    """The changes to a function or method."""

    decorator: str = ""
    """A decorator to add: above the others, or below those that register the function."""
    argument: str = ""
    """The keyword of an argument that decorators get."""
    value: str = ""
    """The value of the argument. If it is a list, its items are put before those that are there."""
    extended: tuple[int, ...] = ()
    """The indexes of the decorators that get the argument."""


class ImportSpec(NamedTuple):
    """An import: `import module`, or `from module import name`, perhaps under another name."""

    module: str
    name: str | None = None
    alias: str | None = None


@dataclass(slots=True)
class FileEdit:
    """The changes to a file."""

    classes: dict[str, ClassEdit] = field(default_factory=dict)
    """Qualified name → the changes to the class."""
    functions: dict[str, FunctionEdit] = field(default_factory=dict)
    """Qualified name → the changes to the function."""
    imports: dict[ImportSpec, None] = field(default_factory=dict)
    """The imports to add, in order."""
    annotated: str = "Annotated"
    """The name of `typing.Annotated` in the file."""
    mapped_column: str = "mapped_column"
    """The name of `sqlalchemy.orm.mapped_column` in the file."""


REGISTERING: Final = frozenset(
    {
        "api_route",
        "delete",
        "get",
        "head",
        "options",
        "patch",
        "post",
        "put",
        "route",
        "shared_task",
        "task",
        "trace",
        "websocket",
    }
)
"""The names of decorators that make a function a route or a task."""

QUALIFIERS: Final = frozenset({"Required", "NotRequired", "ReadOnly", "Final"})
"""The names around an annotation within which the tag is written."""
