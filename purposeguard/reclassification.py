"""Leaving the lattice: functions that are declared to make less restricted data from personal data."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterable
from types import FrameType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from purposeguard.engine import Engine
from purposeguard.errors import SealedValue, TooFewSubjects
from purposeguard.inventory import Reclassification, Register, Site
from purposeguard.label import Label
from purposeguard.personal import Personal, must_be_sealed
from purposeguard.sealing import plain, quiet
from purposeguard.terms import NotPersonal, Purpose, Source
from purposeguard.wrapping import Function, is_plain, must_be_function, unwrapped_method

T = TypeVar("T")
R = TypeVar("R")
Q = ParamSpec("Q")
S = TypeVar("S", bound=Source | Purpose)
To = TypeVar("To", bound=Source | Purpose)


class Reclassifier(Generic[S, To]):
    """What `guard.reclassify(…)` gives: a decorator for functions of a plain value, and two safe aggregates.

    The decorated function takes a sealed value in place of its first argument, and gives its result sealed under the
    source that was declared. Each run is told to the ledger.
    """

    __slots__ = ("_approver", "_bare", "_engine", "_from", "_name", "_register", "_site", "_to", "_why")

    def __init__(
        self,
        engine: Engine,
        register: Register,
        *,
        sources: Label,
        to: Label,
        why: str,
        approver: str | None,
        frame: FrameType,
    ) -> None:
        self._engine = engine
        self._register = register
        self._from = sources
        self._to = to
        self._why = why
        self._approver = approver
        module = frame.f_globals.get("__name__", "?")
        self._site = Site(module, frame.f_code.co_qualname, frame.f_lineno)
        self._name = self._site.dotted.removesuffix(".<module>")
        self._bare = self._declared(self._site, self._name)
        self._register.add_reclassification(self._bare)

    def __call__(
        self, fn: Callable[Concatenate[T, Q], R], /
    ) -> Callable[Concatenate[Personal[T, S | NotPersonal], Q], Personal[R, To]]:
        """`fn` of a sealed value.

        Raises:
            TypeError: `fn` is no function, or one that does not run within its call (a coroutine, a generator).
        """
        inside = unwrapped_method(fn, self._reclassifying)
        return inside if inside is not None else self._reclassifying(fn)

    def _reclassifying(self, fn: Function) -> Function:
        must_be_function(fn)
        site = Site.of(fn)
        if not is_plain(fn):
            raise TypeError(f"{site.dotted} cannot reclassify: it does not run within its call; await first")
        declared = self._declared(site, site.dotted)
        self._register.add_reclassification(declared, instead=self._bare)

        @functools.wraps(fn)
        def reclassifying(value: Personal[Any, Any], /, *args: Any, **kwargs: Any) -> Personal[Any, To]:
            return self._result(declared, lambda inside: fn(inside, *args, **kwargs), value)

        return reclassifying

    def count(
        self, values: Personal[Iterable[T], S | NotPersonal], /, *, subject: Callable[[T], Hashable], at_least: int
    ) -> Personal[int, To]:
        """How many values there are, where they are of at least so many subjects.

        `subject` tells of whom a value is. The number alone says nothing of one person where many are counted; asked
        twice about groups that differ by one person, it does. Whom you let ask how often is yours to decide.

        Raises:
            TooFewSubjects: the values are of fewer subjects.
            SealedValue: they are of sources that are not reclassified here, or a function failed, or is not registered
                with a strict guard.
            ValueError: `at_least` is no whole number above 1.
        """
        return self._aggregate("count", values, subject, at_least, len)

    def mean(
        self,
        values: Personal[Iterable[T], S | NotPersonal],
        /,
        of: Callable[[T], float],
        *,
        subject: Callable[[T], Hashable],
        at_least: int,
    ) -> Personal[float, To]:
        """The mean of what `of` gives for each value, where they are of at least so many subjects.

        Raises:
            TooFewSubjects, SealedValue, ValueError: as `count`.
        """
        # As numbers: what only adds and divides like one could bring the values out.
        return self._aggregate(
            "mean",
            values,
            subject,
            at_least,
            lambda items: math.fsum(float(of(item)) for item in items) / len(items),
            of,
        )

    def _aggregate(
        self,
        name: str,
        values: Personal[Iterable[Any], Any],
        subject: Callable[[Any], Hashable],
        at_least: int,
        work: Callable[[list[Any]], R],
        *seeing: Callable[..., Any],
    ) -> Personal[R, To]:
        if type(at_least) is not int or at_least < 2:
            raise ValueError("at_least is a whole number, 2 or more: a figure about one person is no aggregate")
        what = f"{name} over at least {at_least} subjects"
        declared = self._declared(self._site, f"{self._name}: {what}")
        self._register.add_reclassification(declared)

        def aggregated(items: Iterable[Any]) -> R:
            found = list(items)
            if len({subject(item) for item in found}) < at_least:
                raise TooFewSubjects(f"{self._name}: {name}", at_least)
            return work(found)

        return self._result(declared, aggregated, values, subject, *seeing)

    def _declared(self, site: Site, name: str) -> Reclassification:
        return Reclassification(name, self._from, self._to, self._why, self._approver, site)

    def _result(
        self,
        declared: Reclassification,
        fn: Callable[[Any], Any],
        value: Personal[Any, Any],
        *seeing: Callable[..., Any],
    ) -> Personal[Any, To]:
        must_be_sealed(value, declared.name)
        engine = self._engine
        engine.state.matrix.label(value.label)  # raises: a class made by hand may be a subclass of a source
        current = engine.state.matrix.current
        heads = tuple(map(current, self._from.sources))
        others = [one for one in value.label if not issubclass(current(one), (*heads, NotPersonal))]
        if others:
            raise SealedValue(
                f"{declared.name} reclassifies {_clauses(self._from)}, and this value derives from "
                f"{', '.join(one.clause for one in others)} as well"
            )
        engine.must_be_registered((value,), *seeing)
        try:
            made = Personal(fn(plain(value)), self._to)
        except Exception as error:  # noqa: BLE001  # what it says may show the value; raised below, without it
            told = quiet(declared.name, error)
        else:
            if engine.ledger is not None:
                use = engine.ambient()
                activity = use.activity.name if use.absence() is None else None
                engine.ledger.reclassified(declared, value.label, activity)
            return made
        raise told


def _clauses(label: Label) -> str:
    return ", ".join(source.clause for source in label)
