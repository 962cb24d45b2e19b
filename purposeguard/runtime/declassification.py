"""Leaving the lattice: functions that are declared to make less restricted data from personal data."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterable
from types import FrameType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from purposeguard.errors import SealedValue, TooFewSubjects, on_one_line
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source, is_text
from purposeguard.runtime.declarations import Reclassification
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.registry import Register
from purposeguard.runtime.site import Site
from purposeguard.runtime.wrapping import Function, refuse_method, require_function, wrap_method
from purposeguard.values.callables import is_plain
from purposeguard.values.personal import Personal, require_sealed
from purposeguard.values.sealed import compute_plain_value, redact_error

T = TypeVar("T")
R = TypeVar("R")
Q = ParamSpec("Q")
S = TypeVar("S", bound=Source | Purpose)
To = TypeVar("To", bound=Source | Purpose)


class Reclassifier(Generic[S, To]):
    """What `guard.reclassify(…)` gives: a decorator for functions of a plain value; with `at_least`, two aggregates.

    The decorated function takes a sealed value in place of its first argument, and gives its result sealed under the
    source that was declared. `count` and `mean` do so for as many subjects as were declared. The ledger is told of each
    run before anything sees the value: of those, too, that fail or are refused for too few subjects.
    """

    __slots__ = (
        "_approver",
        "_at_least",
        "_engine",
        "_from",
        "_given_name",
        "_register",
        "_site",
        "_to",
        "_why",
    )

    def __init__(
        self,
        engine: Engine,
        register: Register,
        *,
        sources: Label,
        to: Label,
        why: str,
        approver: str | None,
        at_least: int | None,
        name: str | None,
        frame: FrameType,
    ) -> None:
        """List what is declared where `frame` stands.

        Raises:
            ValueError: `why`, `approver` or `name` is blank, or no text; `at_least` is no whole number above 1.
        """
        if not is_text(why) or not all(is_text(one) for one in (approver, name) if one is not None):
            raise ValueError(
                "a reclassification says why it is one, and who approved it where somebody did, and may have a name: "
                "`why`, `approver` and `name` are texts, and not blank"
            )
        if at_least is not None and (type(at_least) is not int or at_least < 2):
            raise ValueError("at_least is a whole number, 2 or more: a figure about one person is no aggregate")
        self._engine = engine
        self._register = register
        self._from = sources
        self._to = to
        self._why = why
        self._approver = approver
        self._at_least = at_least
        self._given_name = None if name is None else on_one_line(name)
        self._site = Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)
        bare = (
            [self._undecorated]
            if at_least is None
            else [self._declare_figure(one, at_least) for one in ("count", "mean")]
        )
        for declared in bare:
            register.add_reclassification(declared)

    @property
    def _name(self) -> str:
        return self._given_name or self._site.dotted.removesuffix(".<module>")

    @property
    def _undecorated(self) -> Reclassification:
        """What is listed as long as no function is decorated."""
        return self._declare(self._site, self._name)

    def _declare_figure(self, figure: str, at_least: int) -> Reclassification:
        return self._declare(self._site, f"{self._name}: {figure} over at least {at_least} subjects")

    def __call__(
        self, fn: Callable[Concatenate[T, Q], R], /
    ) -> Callable[Concatenate[Personal[T, S | NotPersonal], Q], Personal[R, To]]:
        """Return `fn` of a sealed value, which it is given first and by position.

        Raises:
            TypeError: `fn` is no function, or one that does not run within its call (a coroutine, a generator), or a
                method, whose first argument is another. Or `at_least` was declared, which nothing would hold `fn` to.
        """
        if self._at_least is not None:
            raise TypeError(
                f"{self._name} is declared for figures over at least {self._at_least} subjects, and nothing would hold "
                "a function to that: reclassify the function by a declaration of its own, without `at_least`"
            )
        refuse_method(fn, "decorate a function or a staticmethod that takes the value first")
        inside = wrap_method(fn, self._wrap_function)
        return inside if inside is not None else self._wrap_function(fn)

    def _wrap_function(self, fn: Function) -> Function:
        require_function(fn)
        site = Site.of(fn)
        if not is_plain(fn):
            raise TypeError(f"{site.dotted} cannot reclassify: it does not run within its call; await first")
        declared = self._declare(site, self._given_name or site.dotted)
        self._register.add_reclassification(declared, instead=self._undecorated)

        @functools.wraps(fn)
        def reclassifying(*args: Any, **kwargs: Any) -> Personal[Any, To]:
            if not args:
                raise TypeError(f"{declared.name} takes a sealed value as its first argument, by position, not by name")
            value, *more = args
            return self._apply(declared, functools.partial(_call_with, fn, more, kwargs), value)

        return reclassifying

    def count(
        self, values: Personal[Iterable[T], S | NotPersonal], /, *, subject: Callable[[T], Hashable]
    ) -> Personal[int, To]:
        """How many values there are, where they are of at least as many subjects as were declared.

        `subject` tells of whom a value is. The number alone says nothing of one person where many are counted; asked
        twice about groups that differ by one person, it does. Whom you let ask how often is yours to decide.

        Raises:
            TooFewSubjects: the values are of fewer subjects.
            SealedValue: they are of sources that are not reclassified here, or a function failed, or is not registered
                with a strict guard.
            TypeError: no `at_least` was declared.
        """
        return self._aggregate("count", values, subject, len)

    def mean(
        self,
        values: Personal[Iterable[T], S | NotPersonal],
        /,
        of: Callable[[T], float],
        *,
        subject: Callable[[T], Hashable],
    ) -> Personal[float, To]:
        """The mean of what `of` gives for each value, where they are of at least as many subjects as were declared.

        Raises:
            TooFewSubjects, SealedValue, TypeError: as `count`.
        """
        # As numbers: what only adds and divides like one could bring the values out.
        return self._aggregate(
            "mean",
            values,
            subject,
            lambda items: math.fsum(map(float, map(of, items))) / len(items),
            of,
        )

    def _aggregate(
        self,
        figure: str,
        values: Personal[Iterable[Any], Any],
        subject: Callable[[Any], Hashable],
        work: Callable[[list[Any]], R],
        *seeing: Callable[..., Any],
    ) -> Personal[R, To]:
        at_least = self._at_least
        if at_least is None:
            raise TypeError(
                f"{self._name} gives no {figure}, since it does not say over how many subjects: state `at_least=` "
                "where it is reclassified"
            )

        def aggregate(given: list[Iterable[Any]]) -> R:
            found = list(given.pop())
            try:
                if len(set(map(subject, found))) < at_least:
                    raise TooFewSubjects(f"{self._name}: {figure}", at_least)
                return work(found)
            finally:
                found.clear()

        return self._apply(self._declare_figure(figure, at_least), aggregate, values, subject, *seeing)

    def _declare(self, site: Site, name: str) -> Reclassification:
        return Reclassification(name, self._from, self._to, self._why, self._approver, site)

    def _apply(
        self,
        declared: Reclassification,
        fn: Callable[[list[Any]], Any],
        value: Personal[Any, Any],
        *seeing: Callable[..., Any],
    ) -> Personal[Any, To]:
        require_sealed(value, declared.name)
        engine = self._engine
        engine.snapshot.matrix.resolve_label(value.label)  # raises: a class made by hand may be a subclass of a source
        current = engine.snapshot.matrix.current_source
        heads = tuple(map(current, self._from.sources))
        others = [source for source in value.label if not issubclass(current(source), (*heads, NotPersonal))]
        if others:
            raise SealedValue(
                f"{declared.name} reclassifies {_format_clauses(self._from)}, and this value derives from "
                f"{', '.join(other.clause for other in others)} as well"
            )
        engine.require_registered((value,), *seeing)
        recorded = engine.snapshot.matrix.to_record_label
        sources = recorded(declared.sources)
        on_record = declared
        if sources is not declared.sources:
            on_record = dataclasses.replace(declared, sources=sources, to=recorded(declared.to))
        for reclassified in engine.observers.reclassified:  # before anything sees the value: also of a run that fails
            use = engine.ambient()
            activity = use.activity.name if use._explain_absence() is None else None
            reclassified(on_record, recorded(value.label), activity)
        try:
            # In a list that is emptied, so that no frame of ours shows the value, whatever ends the run.
            return Personal(fn([compute_plain_value(value)]), self._to)
        except Exception as error:  # noqa: BLE001  # what it says may show the value; raised below, without it
            told = redact_error(declared.name, error)
        raise told


def _call_with(fn: Function, more: list[Any], kwargs: dict[str, Any], given: list[Any]) -> Any:
    return fn(given.pop(), *more, **kwargs)


def _format_clauses(label: Label) -> str:
    return ", ".join(source.clause for source in label)
