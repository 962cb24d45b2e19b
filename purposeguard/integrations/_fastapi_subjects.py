"""Whose data a request to a route of FastAPI is about, and where a route is declared that says so."""

from __future__ import annotations

import inspect
from typing import Any, Final, Literal

from purposeguard.extras import Needs
from purposeguard.policy.explanation import is_about_the_subject
from purposeguard.policy.row_context import RowContext, subject_key
from purposeguard.runtime.activity import Block
from purposeguard.runtime.use import require_current_use

with Needs(__name__, "fastapi"):
    from fastapi.exceptions import RequestValidationError

_KINDS: Final = ("path", "query", "header")


class MisdeclaredRoute(ValueError):
    """A route says what it is for in a way that cannot be kept to. Names the endpoint with its file and line."""


def format_route_place(endpoint: Any, path: str) -> str:
    """`/users/{id} (shop/routes.py:12, `show`)`."""
    fn = inspect.unwrap(endpoint) if endpoint is not None else None
    code = getattr(fn, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}, " if code is not None else ""
    return f"route {path} ({where}`{getattr(fn, '__qualname__', type(fn).__qualname__)}`)"


class SubjectFrom:
    """Whose data a request is about: `SubjectFrom.path("id")`, for `subject=` of a route.

    Before the endpoint runs, it is refused where the subject stopped this purpose: where there is no source that the
    purpose may use of them. What else a subject asked for is decided row by row, as everywhere. The endpoint takes the
    parameter itself, so that the value is that which it validated; dependencies have run by then.
    """

    __slots__ = ("_kind", "_name", "_realm")

    def __init__(self, kind: Literal["path", "query", "header"], name: str, realm: str | None = None) -> None:
        """`realm` is that of the mark, `Subject("customer")`."""
        self._kind = kind
        self._name = name
        self._realm = realm

    @classmethod
    def path(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """In a parameter of the path."""
        return cls("path", name, realm)

    @classmethod
    def query(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """In a parameter of the query."""
        return cls("query", name, realm)

    @classmethod
    def header(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """In a header."""
        return cls("header", name, realm)

    def find_parameter_name(self, dependant: Any, place: str, *, whatever_kind: bool = False) -> str:
        """The name by which an endpoint takes the parameter.

        `whatever_kind`: of a route that is to be included below a path, what is in that is not known yet.

        Raises:
            MisdeclaredRoute: it takes none of this name and kind.
        """
        for kind in _KINDS if whatever_kind else (self._kind,):
            for field in getattr(dependant, f"{kind}_params"):
                if field.alias.lower() == self._name.lower() if kind == "header" else field.alias == self._name:
                    return str(field.name)
        raise MisdeclaredRoute(
            f"{place} names its subject by the {self._kind} parameter `{self._name}`, which its endpoint does not take"
        )

    def of(self, value: object) -> RowContext:
        """What is known of the data of a request for which the parameter has this value.

        Raises:
            RequestValidationError: it is nobody's id.
        """
        try:
            return RowContext(f"{self._realm}:{subject_key(value)}" if self._realm else subject_key(value))
        except (TypeError, ValueError):
            fault = {"type": "subject_id", "loc": (self._kind, self._name), "msg": "names no subject", "input": None}
        raise RequestValidationError([fault])


def refuse_if_stopped(block: Block[Any], whose: RowContext) -> None:
    """Raises where the subject asked for the purpose to stop: no source is left that it may use of them."""
    engine = block._stated.engine
    use = require_current_use(engine, "a request was to be answered")
    if use is None:  # observed only
        return
    matrix = engine.snapshot.matrix
    stopped = None
    for source in matrix.notice.sources:
        if block._stated.purpose not in matrix.resolve_row(source):
            continue
        decision = use.explain(source, subject=whose)
        if decision:
            return
        if stopped is None and is_about_the_subject(decision):
            stopped = decision
    if stopped is not None:
        engine.refuse(stopped, use)
