"""Observers, which receive the decisions, uses and denials of a guard."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from purposeguard.containers import drop_none
from purposeguard.errors import PurposeGuardError, PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.registry import Access, Activity

if TYPE_CHECKING:
    from purposeguard.policy.transfers import Provision
    from purposeguard.runtime.declarations import LegalException, Reclassification

Tick = Callable[[], object]
"""A function that counts one use. It is called from any thread, signal handler or finalizer, so it must be atomic."""

Fields = tuple[tuple[str, Label], ...]
"""Names of fields or columns, each with the label of its data."""

NO_COUNTS: Final[Mapping[object, Tick]] = MappingProxyType({})


class Ledger(Protocol):
    """An observer that records. A guard refuses a ledger that lacks one of these methods.

    A ledger may also have the methods `excepted` and `provided` of `Observer`. They are required for exceptions, and
    for hand-overs without governance.
    """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Record a denial, as in `Observer.denied`."""

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:
        """Return a function that counts uses, as in `Observer.counter`."""
        ...

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """Record a reclassification, as in `Observer.reclassified`."""


class Observer:
    """The base class of observers. A subclass overrides the methods of the events that it needs.

    All methods are called synchronously, from any thread. Their errors are not caught, so a use that cannot be recorded
    does not take place. Methods that are not overridden cost nothing.

    No argument contains a personal value, except ids of subjects (`subject_key`): `excepted` gets `subject` and
    `exception.subjects`, and `provided` gets `provision.subjects`.

    A guard with an observer that overrides `decided`, `entered` or `called` caches no decisions, so that each of them
    is reported. Use these methods in tests, and `counter` in production.
    """

    __slots__ = ()

    def attach(self, guard: Any) -> None:
        """Learn the guard that this observer belongs to. Called when the guard is created and when its notice changes.

        Args:
            guard: The `Guard`.
        """

    def decided(
        self, verdict: Verdict, *, used: bool, activity: Activity | None, access: Access | None, field: str | None
    ) -> None:
        """Handle a decision.

        Decisions that the guard makes for itself are not reported, such as the alternatives in a message or the rows to
        keep of a query.

        Args:
            verdict: The decision.
            used: True if data is about to be used when it is allowed, False for a question such as `allows`.
            activity: The activity that asked. None if the guard was asked directly.
            access: The access function that reads the data, if any.
            field: The field or column that contains the data, if it is known.
        """

    def entered(self, activity: Activity) -> None:
        """Handle an activity whose body starts or continues, such as a generator at its next step."""

    def called(self, access: Access) -> None:
        """Handle the call of an access function, before it is decided."""

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:  # type: ignore[empty-body]  # never called: a guard asks those that override it
        """Return a function that is called at each use of data with this label by this activity.

        The guard asks for the function at the first use, and may ask again. It calls the function as long as the
        activity is declared, also in forked processes.

        Args:
            activity: The name of the activity. None for checks outside any activity.
            purpose: The canonical id of a purpose, or the name of a family.
            label: The label of the data.
        """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Handle a denial.

        Args:
            error: The violation.
            observed: True if the violation is only observed, False if it is raised.
        """

    def read(self, fields: Fields, activity: Activity | None) -> None:
        """Handle a read of personal data that is about to take place, unless it is denied.

        It is reported for the columns of statements, plans and frames, the fields of access functions, and the
        attributes of objects of an ORM. A guard with an observer that overrides this method calls access functions
        without shortcuts.

        Args:
            fields: The fields or columns that are read, each with its label.
            activity: The activity that reads. None if there is none.
        """

    def unresolved(self, fields: Fields, activity: Activity | None, event: str, error: PurposeGuardError) -> None:
        """Handle a statement or a data flow that could not be analyzed, and that was not refused in observe mode.

        Args:
            fields: The fields or columns that it could have read, each with its label.
            activity: The activity that reads. None if there is none.
            event: A description that contains neither values nor the text of a statement.
            error: The error that would have been raised in enforce mode.
        """

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """Handle the start of a reclassification, before the function sees the value.

        Runs that fail later, or have too few subjects, are reported as well.

        Args:
            declared: The declaration.
            label: The label of the value.
            activity: The name of the active activity. None if there is none, since a reclassification needs no purpose.
        """

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Handle a use under a legal exception, before it takes place. A ledger must record it before it returns.

        Args:
            exception: The exception.
            label: The label of the data.
            subject: The `subject_key` of the data's subject, if the use names it.
            count: The number of values.
        """

    def provided(self, provision: Provision, /) -> None:
        """Handle a hand-over, before it takes place. A ledger must record it durably before it returns."""

    def replaced(self) -> None:
        """Handle a change of the revision in force."""


class Observers:
    """The observers of one guard in order, and the methods to call for each event but `provided`.

    Hand-overs look these up by `get_methods`, since they skip the ledger of governance, which records them by itself.
    """

    __slots__ = (
        "_all",
        "called",
        "counters",
        "decided",
        "denied",
        "entered",
        "excepted",
        "read",
        "reclassified",
        "replaced",
        "unresolved",
        "want_each",
    )

    def __init__(self, *observers: object) -> None:
        self._all = observers
        self.decided = self.get_methods("decided")
        self.entered = self.get_methods("entered")
        self.called = self.get_methods("called")
        self.counters = self.get_methods("counter")
        self.denied = self.get_methods("denied")
        self.read = self.get_methods("read")
        self.unresolved = self.get_methods("unresolved")
        self.reclassified = self.get_methods("reclassified")
        self.excepted = self.get_methods("excepted")
        self.replaced = self.get_methods("replaced")
        self.want_each = bool(self.decided or self.entered or self.called)

    def get_methods(self, event: str, *, but: object = None) -> tuple[Callable[..., Any], ...]:
        """Return the methods for an event.

        Args:
            event: The name of the method.
            but: An observer to skip.
        """
        methods = (find_method(observer, event) for observer in self._all if observer is not but)
        return tuple(drop_none(methods))

    def make_counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """Return a function that counts one use with each observer that counts."""
        ticks = [counter(activity, purpose, label) for counter in self.counters]
        return ticks[0] if len(ticks) == 1 else functools.partial(_call_each, ticks)

    def __iter__(self) -> Iterator[object]:
        return iter(self._all)


def find_method(observer: object, event: str) -> Callable[..., Any] | None:
    """Return the method of an observer for an event. None if it has none, or only that of the base class."""
    method = getattr(observer, event, None)
    return None if getattr(method, "__func__", None) is getattr(Observer, event) else method


def _call_each(ticks: list[Tick]) -> None:
    for tick in ticks:
        tick()


_MAX_LOGGED_KINDS: Final = 10_000
"""The number of kinds of violations that one observer logs. Further kinds are not logged."""


class ObservedLog(Observer):
    """An observer that logs the first of each kind of violation that is only observed.

    Two denials are of one kind if the entry point, the activity, the function, the field and the denied sources are the
    same. Others are of one kind if their messages are the same.
    """

    __slots__ = ("_logged",)

    def __init__(self) -> None:
        self._logged: set[object] = set()

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Log a denial if it is only observed, and the first of its kind."""
        if not observed:
            return
        decision = getattr(error, "decision", None)  # An error that was made anew from its text has none.
        if isinstance(error, PurposeViolation) and decision is not None:
            place = (error.entry_point, error.activity, error.function, error.field)
            self._log_first(error, *place, type(error), *decision.denied)
        else:
            self._log_first(error, error.entry_point, str(error))

    def unresolved(self, fields: Fields, activity: Activity | None, event: str, error: PurposeGuardError) -> None:  # noqa: ARG002  # The signature of `Observer`.
        """Log a statement or data flow that could not be analyzed, if it is the first of its kind."""
        name = activity.name if activity is not None else None
        self._log_first(error, current_entry_point(), name, event, str(error))

    def _log_first(self, error: PurposeGuardError, *kind: object) -> None:
        if kind not in self._logged and len(self._logged) < _MAX_LOGGED_KINDS:
            self._logged.add(kind)
            log_observed(error)


def load_logging() -> None:
    """Import the logging module before the first denial. Called when an observing guard or activity is created.

    If a process forks while another thread imports a module, the child inherits a locked import lock. An import at the
    first denial could therefore block the child forever.
    """
    import_module("logging")  # A guard that enforces never needs it, and it is slow to load.


OBSERVED_MESSAGE: Final = "observed, not enforced"
"""The beginning of the log records of violations that are only observed."""


def log_observed(error: Exception) -> None:
    """Log an error that is observed instead of raised."""
    import logging  # noqa: PLC0415  # loaded by now, by what observes

    logging.getLogger("purposeguard").warning(f"{OBSERVED_MESSAGE}: %s", error)  # noqa: G004  # The prefix is constant.
