"""Declarations of whose data a request to a FastAPI route is about."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Generator
from typing import Any, Final, Literal

from purposeguard.extras import Needs
from purposeguard.policy.explanation import is_about_the_subject
from purposeguard.policy.row_context import RowContext, subject_key
from purposeguard.runtime.activity import Block
from purposeguard.runtime.current_use import ReportUnresolved, is_observing, require_current_use
from purposeguard.runtime.engine import Engine

with Needs(__name__, "fastapi"):
    from fastapi.exceptions import RequestValidationError

_KINDS: Final = ("path", "query", "header")


class MisdeclaredRoute(ValueError):
    """A route declares its purpose in a way that cannot be kept. The message names the endpoint, its file and line."""


def format_route_place(endpoint: Any, path: str) -> str:
    """Format where a route is declared: `route /users/{id} (shop/routes.py:12, `show`)`."""
    fn = inspect.unwrap(endpoint) if endpoint is not None else None
    code = getattr(fn, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}, " if code is not None else ""
    return f"route {path} ({where}`{getattr(fn, '__qualname__', type(fn).__qualname__)}`)"


class SubjectFrom:
    """The request parameter that names the data subject: `SubjectFrom.path("id")`, for `subject=` of a route.

    Before the endpoint runs, the request is refused if the subject stopped this purpose, so that it may use no source
    about them. Everything else that a subject asked for is decided row by row, as everywhere. The endpoint takes the
    parameter itself, so the validated value is used. Dependencies have run by then.
    """

    __slots__ = ("_kind", "_name", "_realm")

    def __init__(self, kind: Literal["path", "query", "header"], name: str, realm: str | None = None) -> None:
        """Initialize with the kind and the name of the parameter. `realm` is that of the mark `Subject("customer")`."""
        self._kind = kind
        self._name = name
        self._realm = realm

    @classmethod
    def path(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """Return a declaration that the subject is named by a path parameter."""
        return cls("path", name, realm)

    @classmethod
    def query(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """Return a declaration that the subject is named by a query parameter."""
        return cls("query", name, realm)

    @classmethod
    def header(cls, name: str, *, realm: str | None = None) -> SubjectFrom:
        """Return a declaration that the subject is named by a header."""
        return cls("header", name, realm)

    def find_parameter_name(self, dependant: Any, place: str, *, whatever_kind: bool = False) -> str:
        """Return the name by which an endpoint takes the parameter.

        Args:
            dependant: FastAPI's description of what the endpoint takes.
            place: Where the route is declared, for the error message.
            whatever_kind: Accept a parameter of any kind. A route may yet be included below a path that has parameters.

        Raises:
            MisdeclaredRoute: The endpoint takes no parameter of this name and kind.
        """
        kinds = _KINDS if whatever_kind else (self._kind,)
        for kind in kinds:
            for field in getattr(dependant, f"{kind}_params"):
                if field.alias.lower() == self._name.lower() if kind == "header" else field.alias == self._name:
                    return str(field.name)
        raise MisdeclaredRoute(
            f"{place} names its subject by the {self._kind} parameter `{self._name}`, which its endpoint does not take"
        )

    def of(self, value: object) -> RowContext:
        """Return the row context of a request whose parameter has this value.

        Raises:
            RequestValidationError: The value is not an id of a subject.
        """
        try:
            return RowContext(f"{self._realm}:{subject_key(value)}" if self._realm else subject_key(value))
        except (TypeError, ValueError):
            fault = {"type": "subject_id", "loc": (self._kind, self._name), "msg": "names no subject", "input": None}
        raise RequestValidationError([fault])


@contextlib.contextmanager
def decide_about_subject(engine: Engine) -> Generator[None]:
    """Return a context manager for a decision about the subject of a request. In observe mode, refuse nothing."""
    try:
        with ReportUnresolved(engine, "request about a subject"):
            yield
    except RequestValidationError:
        if not is_observing(engine):
            raise


def refuse_if_stopped(block: Block[Any], whose: RowContext) -> None:
    """Raise if the subject stopped the purpose of a block, so that it may use no source about them."""
    engine = block.stated.engine
    use = require_current_use(engine, "a request was to be answered")
    if use is None:  # The missing purpose was only observed.
        return
    permissions = use.handle.get_permissions()
    matrix = permissions.matrix
    stopped = None
    for source in matrix.notice.sources:
        if block.stated.purpose not in matrix.resolve_row(source):
            continue
        decision = use.handle.decide_and_report(matrix.resolve_label(source), (whose,), permissions, used=False)
        if decision is None:
            return
        if stopped is None and is_about_the_subject(decision):
            stopped = decision
    if stopped is not None:
        engine.refuse(stopped, use)
