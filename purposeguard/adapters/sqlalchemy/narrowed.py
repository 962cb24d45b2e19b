"""An element of a statement: the test by which the rows of one table that may not be used are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Table, Text
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal

_TRAVERSED: Final[Any] = [
    ("anchor", InternalTraversal.dp_clauseelement),
    ("element", InternalTraversal.dp_clauseelement),
    ("shape", InternalTraversal.dp_string),
]


class Constant(ColumnElement[str]):
    """A text that is the same in every statement: written out, since each parameter costs at every execution."""

    _traverse_internals: Any = [("text", InternalTraversal.dp_string)]  # noqa: RUF012  # as SQLAlchemy has it
    type = Text()

    def __init__(self, text: str) -> None:
        self.text = text

    def _compiler_dispatch(self, visitor: Any, **_: Any) -> str:
        text: str = visitor.render_literal_value(self.text, self.type)
        return text


class Among(ColumnElement[bool]):
    """Whether a value is one of some texts, which are written out as well."""

    _traverse_internals: Any = [  # noqa: RUF012  # as SQLAlchemy has it
        ("value", InternalTraversal.dp_clauseelement),
        ("texts", InternalTraversal.dp_string_list),
    ]
    type = Boolean()

    def __init__(self, value: ColumnElement[str], texts: Sequence[str]) -> None:
        self.value: Any = value
        self.texts = tuple(texts)

    def _compiler_dispatch(self, visitor: Any, **kw: Any) -> str:
        texts = [visitor.render_literal_value(text, Constant.type) for text in self.texts]
        return f"{visitor.process(self.value, **kw)} IN ({', '.join(texts)})"

    @property
    def _from_objects(self) -> Any:
        return self.value._from_objects


class Narrowed(ColumnElement[bool]):
    """A test for rows, which is noted where it is compiled.

    `anchor` is a column of the table whose rows it leaves out, `element` the test, and `shape` what of the rule the
    test's text says (its values are bound).
    """

    _traverse_internals: Any = _TRAVERSED
    type = Boolean()

    def __init__(self, anchor: ColumnElement[Any], element: ColumnElement[bool], shape: str) -> None:
        """The element is grouped, so that it stays one test whatever stands beside it."""
        self.anchor: Any = anchor
        self.element: Any = element.self_group()
        self.shape = shape
        self._bound = tuple(one for one in visitors.iterate(self.element) if isinstance(one, BindParameter))

    def _compiler_dispatch(self, visitor: Any, **kw: Any) -> str:
        # Compilers of other engines write it as well: SQLAlchemy itself makes texts of statements now and then.
        note = getattr(visitor, "visit_purposeguard_narrowed", None)
        text: str = visitor.process(self.element, **kw) if note is None else note(self, **kw)
        return text

    def _gen_cache_key(self, am: Any, bindparams: list[BindParameter[Any]]) -> Any:
        """What tells it from others: the table, and the text, which the shape says. Quicker than to go through it."""
        table = getattr(self.anchor, "table", None)
        if not isinstance(table, Table):  # of an alias: what it is of tells it
            return super()._gen_cache_key(am, bindparams)
        bindparams.extend(self._bound)
        return (Narrowed, self.shape, table)

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002  # as SQLAlchemy calls it
        """As it is: it is grouped, and true or false where it stands."""
        return self

    @property
    def _from_objects(self) -> Any:
        # It reads its table alone. Of what it is made of it is not asked: functions that were put on an alias may still
        # name the table itself, which would then be joined to everything.
        return list(self.anchor._from_objects)
