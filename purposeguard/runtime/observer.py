"""Observers: objects that learn of what a guard decides, of what is used, and of what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.registry import Access, Activity

if TYPE_CHECKING:
    from purposeguard.policy.transfers import Provision
    from purposeguard.runtime.declarations import LegalException, Reclassification

Tick = Callable[[], object]
"""Counts one use, in one step: it is called from any thread, and from signal handlers and finalisers."""

NO_COUNTS: Final[Mapping[object, Tick]] = MappingProxyType({})


class Ledger(Protocol):
    """The observer that must record: a guard refuses a ledger without one of these methods.

    It may have `excepted` and `provided` too; an exception, or a hand-over without governance, needs them.
    """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """As `Observer.denied`."""

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:
        """As `Observer.counter`."""
        ...

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """As `Observer.reclassified`."""


class Observer:
    """Base class of observers. A subclass overrides the methods of the events that it wants; the others cost nothing.

    All are called synchronously, from any thread. What they raise is not caught: a use that cannot be recorded does not
    happen. No argument holds a personal value.

    A guard with an observer that overrides `decided`, `entered` or `called` remembers no decision: each is made anew,
    and reported. That is for tests: production counts uses by `counter`.
    """

    __slots__ = ()

    def decided(
        self, verdict: Verdict, *, used: bool, activity: Activity | None, access: Access | None, field: str | None
    ) -> None:
        """A decision that somebody asked for: `used`, data is about to be used if it is allowed, or it is a question.

        `activity` is None where a guard was asked and no use. `access` is the access function that reads the data,
        `field` a field or column that it lies in; None where there is none, or none is known. What the guard asks by
        itself (the alternatives in a message, which of a million rows to keep) is not reported.
        """

    def entered(self, activity: Activity) -> None:
        """An activity runs, or goes on."""

    def called(self, access: Access) -> None:
        """An access function was called; whether it may run is decided next."""

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:  # type: ignore[empty-body]  # never called: a guard asks those that override it
        """Return a function to be called at each use of data of this label by an activity (None: by bare checks).

        Asked for at the first such use, and perhaps again; kept, and called, for as long as the activity is declared,
        also in processes forked meanwhile. `purpose` is the canonical id of a purpose or the name of a family.
        """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use is refused, or would be (`observed`) if the guard or the activity were enforcing."""

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label, and to give a result that leaves it.

        Also of a run that then fails, or gives no figure since the subjects are too few. `activity` is what is under
        way, None where nothing is: a reclassification needs no purpose.
        """

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Data of this label is about to be used under an exception; a ledger has it on record when it returns.

        `subject` is the `subject_key` of whose it is, None where the use does not say.
        """

    def provided(self, provision: Provision, /) -> None:
        """A hand-over is about to take place; a ledger has it on record, durably, when it returns."""

    def replaced(self) -> None:
        """Another revision is in force."""


class Observers:
    """The observers of one guard, in order; for each event the methods to call."""

    __slots__ = (
        "_all",
        "called",
        "counters",
        "decided",
        "denied",
        "entered",
        "excepted",
        "reclassified",
        "replaced",
        "want_each",
    )

    def __init__(self, *observers: object) -> None:
        self._all = observers
        self.decided = self.get_methods("decided")
        self.entered = self.get_methods("entered")
        self.called = self.get_methods("called")
        self.counters = self.get_methods("counter")
        self.denied = self.get_methods("denied")
        self.reclassified = self.get_methods("reclassified")
        self.excepted = self.get_methods("excepted")
        self.replaced = self.get_methods("replaced")
        self.want_each = bool(self.decided or self.entered or self.called)

    def get_methods(self, event: str, *, but: object = None) -> tuple[Callable[..., Any], ...]:
        """Return the methods of all that have one for this event, but of one observer."""
        methods = (find_method(observer, event) for observer in self._all if observer is not but)
        return tuple(method for method in methods if method is not None)

    def make_counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """Return a function that counts one use with each observer that counts."""
        ticks = [counter(activity, purpose, label) for counter in self.counters]
        return ticks[0] if len(ticks) == 1 else functools.partial(_call_each, ticks)

    def __iter__(self) -> Iterator[object]:
        return iter(self._all)


def find_method(observer: object, event: str) -> Callable[..., Any] | None:
    """Return the method of an observer for an event; None if it has none, or only that of the base class."""
    method = getattr(observer, event, None)
    return None if getattr(method, "__func__", None) is getattr(Observer, event) else method


def _call_each(ticks: list[Tick]) -> None:
    for tick in ticks:
        tick()


class ObservedLog(Observer):
    """Logs what would have been refused, were it enforced."""

    __slots__ = ()

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Log a denial that is only observed."""
        if observed:
            log_observed(error)


def load_logging() -> None:
    """Load what `log_observed` needs, where something is made that observes.

    A process that forks while another thread imports a module leaves the lock of this import to the child, where
    nobody releases it. So the first denial must not be what imports it.
    """
    import logging  # noqa: F401, PLC0415  # a guard that enforces never needs it, and it is slow to load


def log_observed(error: Exception) -> None:
    """Log what would have been raised, were it enforced."""
    import logging  # noqa: PLC0415  # loaded by now, by what observes

    logging.getLogger("purposeguard").warning("observed, not enforced: %s", error)
