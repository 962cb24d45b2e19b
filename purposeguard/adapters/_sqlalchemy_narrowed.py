"""An element of a statement: the test by which the rows of one table that may not be used are left out."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Boolean
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal


class Narrowed(ColumnElement[bool]):
    """A test for rows, which is noted where it is compiled.

    `anchor` is a column of the table whose rows it leaves out, `element` the test, and `shape` what of the rule the
    test's text says (its values are bound).
    """

    __visit_name__ = "purposeguard_narrowed"
    _traverse_internals: ClassVar[Any] = [
        ("anchor", InternalTraversal.dp_clauseelement),
        ("element", InternalTraversal.dp_clauseelement),
        ("shape", InternalTraversal.dp_string),
    ]
    type = Boolean()

    def __init__(self, anchor: ColumnElement[Any], element: ColumnElement[bool], shape: str) -> None:
        """The element is grouped, so that it stays one test whatever stands beside it."""
        self.anchor: Any = anchor
        self.element: Any = element.self_group()
        self.shape = shape

    @property
    def _from_objects(self) -> Any:
        return [*self.anchor._from_objects, *self.element._from_objects]
