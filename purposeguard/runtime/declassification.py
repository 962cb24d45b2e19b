"""Reclassification: functions that are declared to turn personal data into less restricted data."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterable
from types import FrameType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from purposeguard.errors import PurposeGuardError, SealedValue, TooFewSubjects, on_one_line
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source, is_text, list_term_ids
from purposeguard.runtime.current_use import ReportUnresolved, find_current_use, report_if_observed
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
    """The result of `guard.reclassify(…)`: a decorator for functions, or with `at_least` two aggregate functions.

    The decorated function takes a sealed value as its first argument, and its result is sealed under the declared
    source. `count` and `mean` do the same for at least the declared number of subjects. The ledger records each run
    before a function sees the value, even if the run fails or has too few subjects.
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
        """List the declaration in the inventory. The arguments are those of `Guard.reclassify`.

        Raises:
            ValueError: `why`, `approver` or `name` is blank or not a string, or `at_least` is not an integer above 1.
        """
        if not is_text(why) or not all(text is None or is_text(text) for text in (approver, name)):
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
        if at_least is None:
            register.add_reclassification(self._undecorated)
        else:
            for figure in ("count", "mean"):
                register.add_reclassification(self._declare_figure(figure, at_least))

    @property
    def _name(self) -> str:
        return self._given_name or self._site.dotted.removesuffix(".<module>")

    @property
    def _undecorated(self) -> Reclassification:
        """The entry in the inventory until a function is decorated."""
        return self._declare(self._site, self._name)

    def _declare_figure(self, figure: str, at_least: int) -> Reclassification:
        return self._declare(self._site, f"{self._name}: {figure} over at least {at_least} subjects")

    def __call__(
        self, fn: Callable[Concatenate[T, Q], R], /
    ) -> Callable[Concatenate[Personal[T, S | NotPersonal], Q], Personal[R, To]]:
        """Wrap a function so that it takes a sealed value as its first positional argument.

        Raises:
            TypeError: `fn` is not a function, or it is a coroutine function, a generator or a method. Or `at_least` is
                declared, which cannot be enforced for a function.
        """
        if self._at_least is not None:
            raise TypeError(
                f"{self._name} is declared for figures over at least {self._at_least} subjects, and nothing would hold "
                "a function to that: reclassify the function by a declaration of its own, without `at_least`"
            )
        refuse_method(fn, "decorate a function or a staticmethod that takes the value first")
        method = wrap_method(fn, self._wrap_function)
        return method if method is not None else self._wrap_function(fn)

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
        """Count the values if they are about at least the declared number of subjects.

        A count over many persons reveals nothing about one of them, but two counts over groups that differ by one
        person do. Limit who may ask, and how often.

        Args:
            values: A sealed iterable of values.
            subject: A function that returns the subject of a value.

        Raises:
            TooFewSubjects: The values are about fewer subjects.
            SealedValue: The values have sources that are not reclassified here, or a function failed or is not
                registered with a strict guard.
            TypeError: `at_least` is not declared.
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
        """Compute the mean of a number over the values if they are about at least the declared number of subjects.

        Args:
            values: A sealed iterable of values.
            of: A function that returns the number of a value.
            subject: A function that returns the subject of a value.

        Raises:
            TooFewSubjects, SealedValue, TypeError: As in `count`.
        """
        # The results are converted to numbers, because another object that adds and divides could reveal the values.
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

        def aggregate(box: list[Iterable[Any]]) -> R:
            items = list(box.pop())
            try:
                if len(set(map(subject, items))) < at_least:
                    few = TooFewSubjects(f"{self._name}: {figure}", at_least)
                    if not self._report_if_observed(few, values.label):
                        raise few
                return work(items)
            finally:
                items.clear()

        return self._apply(self._declare_figure(figure, at_least), aggregate, values, subject, *seeing)

    def _declare(self, site: Site, name: str) -> Reclassification:
        return Reclassification(name, self._from, self._to, self._why, self._approver, site)

    def _report_if_observed(self, error: PurposeGuardError, label: Label) -> bool:
        """Report an error if it is only observed, and return True. Otherwise return False."""
        return report_if_observed(self._engine, error, self._name, (("", label),))

    def _apply(
        self,
        declared: Reclassification,
        fn: Callable[[list[Any]], Any],
        value: Personal[Any, Any],
        *seeing: Callable[..., Any],
    ) -> Personal[Any, To]:
        """Call a function with the plain value, and seal its result with the sources after reclassification.

        Sources that the reclassification does not cover stay sources of the result if their refusal is only observed.

        Args:
            declared: The reclassification that observers are notified of.
            fn: The function. It takes the value out of the list that it is called with, so that no frame of this
                library holds the value when it fails.
            value: The sealed value.
            seeing: Further functions that see the plain value. Like the sealed value, they must be registered if the
                guard requires it.

        Raises:
            SealedValue: the value is not sealed, or derives from sources that the reclassification does not cover, or
                a function is not registered.
            Exception: the function failed, with an error that `redact_error` made.
        """
        require_sealed(value, declared.name)
        to = self._reclassify_label(value.label, declared.name)
        with ReportUnresolved(self._engine, declared.name, (("", value.label),)):
            self._engine.require_registered((value,), *seeing)
        # Observers are called before a function sees the value, so that failing runs are recorded as well.
        self._notify_observers(declared, value.label)
        try:
            # The value is passed in a list that is emptied, so that no frame of this library holds it after an error.
            return Personal(fn([compute_plain_value(value)]), to)
        except Exception as error:  # noqa: BLE001  # its text may contain the value, so another error is raised below
            redacted = redact_error(declared.name, error)
        # Raised outside of the handler, so that the original error is not its context.
        raise redacted

    def _reclassify_label(self, label: Label, name: str) -> Label:
        """Return the label of the result of a value with this label.

        Raises:
            SealedValue: the value derives from sources that the reclassification does not cover.
        """
        matrix = self._engine.snapshot.matrix
        # Raises for classes that were written by hand, which may be subclasses of a source.
        matrix.resolve_label(label)
        current = matrix.current_source
        covered_sources = tuple(map(current, self._from.sources))
        uncovered_sources = [
            source for source in label if not issubclass(current(source), (*covered_sources, NotPersonal))
        ]
        if not uncovered_sources:
            return self._to
        error = SealedValue(
            f"{name} reclassifies {_format_clauses(self._from)}, and this value derives from "
            f"{', '.join(list_term_ids(uncovered_sources))} as well"
        )
        if not self._report_if_observed(error, label):
            raise error
        return self._to | Label(*uncovered_sources)

    def _notify_observers(self, declared: Reclassification, label: Label) -> None:
        """Notify observers that a value with this label is reclassified."""
        engine = self._engine
        to_record_label = engine.snapshot.matrix.to_record_label
        # Observers get the labels as records name them, which differ over several notices.
        sources = to_record_label(declared.sources)
        recorded = declared
        if sources is not declared.sources:
            recorded = dataclasses.replace(declared, sources=sources, to=to_record_label(declared.to))
        for reclassified in engine.observers.reclassified:
            use = find_current_use(engine)
            activity = use.activity.name if use is not None else None
            reclassified(recorded, to_record_label(label), activity)


def _call_with(fn: Function, more: list[Any], kwargs: dict[str, Any], box: list[Any]) -> Any:
    return fn(box.pop(), *more, **kwargs)


def _format_clauses(label: Label) -> str:
    return ", ".join(list_term_ids(label))
