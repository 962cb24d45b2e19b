"""Metrics and spans of what a guard allows and refuses: purposes, clauses and activities, but no personal data.

::

    guard = Guard(NOTICE, observers=[Telemetry()])

`observe_store(governance)` reports on the store of governance, for its operators.
"""

from __future__ import annotations

import functools
import itertools
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from purposeguard.errors import PurposeMissing
from purposeguard.extras import Needs, must_be_tested
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, list_term_ids
from purposeguard.policy.violations import PurposeViolation
from purposeguard.processes import LiveObjects
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.observer import Observer, Tick

with Needs(__name__, "opentelemetry"):
    from opentelemetry import metrics, trace

    must_be_tested("opentelemetry-api", "1.38", "1.45")

if TYPE_CHECKING:
    from purposeguard.policy.transfers import Provision


PURPOSE: Final = "purposeguard.purpose"
SOURCES: Final = "purposeguard.sources"
ACTIVITY: Final = "purposeguard.activity"
ENTRY_POINT: Final = "purposeguard.entry_point"
VERDICT: Final = "purposeguard.verdict"
REASON: Final = "purposeguard.reason"
FIELD: Final = "purposeguard.field"
FUNCTION: Final = "purposeguard.function"
RECIPIENT: Final = "purposeguard.recipient"
BASIS: Final = "purposeguard.legal_basis"
ERROR: Final = "error.type"
OUTCOME: Final = "purposeguard.outcome"
CAUSE: Final = "purposeguard.cause"
OVERFLOW: Final = "otel.metric.overflow"

MOST: Final = 2_000
"""The default number of attribute sets of a metric. All others are counted as one, with `otel.metric.overflow`."""

Attributes = dict[str, str | bool]


class _UseCounter:
    """A counter of uses with one set of attributes. A use costs one step."""

    __slots__ = ("_count", "_reads", "attributes", "tick")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self._count = itertools.count()
        self._reads = 0
        self.tick: Tick = self._count.__next__

    def total(self) -> int:
        """Return the number of uses so far in this process. Only one thread may read at a time.

        Reading is itself a step of the counter, so the number of reads is subtracted.
        """
        total = next(self._count) - self._reads
        self._reads += 1
        return total

    def reset(self) -> None:
        """Forget earlier uses after a fork. The parent process reports them."""
        self._reads = next(self._count) + 1


class Telemetry(Observer):
    """An observer that reports uses, denials, hand-overs, reclassifications and exceptions to OpenTelemetry.

    A use costs one step of a counter, which is read when metrics are exported. A denial, a hand-over, a
    reclassification and a use under an exception also add an event to the current span. `most` limits the number of
    attribute sets of each metric.
    """

    def __init__(self, meter: metrics.Meter | None = None, *, most: int = MOST) -> None:
        """Create the metrics. By default `meter` comes from the global provider, which may be set later."""
        if most < 1:
            raise ValueError(f"a metric has at least one set of attributes: most={most}")
        meter = meter or metrics.get_meter("purposeguard")
        self._most = most
        self._reading = make_lock()
        self._uses: dict[tuple[object, ...], _UseCounter] = {}
        self._seen: dict[str, set[tuple[object, ...]]] = {}
        self._observed = meter.create_observable_counter(
            "purposeguard.uses",
            [_make_callback(self, Telemetry.observations)],
            "{use}",
            "Uses of personal data that were allowed",
        )
        self._counters: dict[str, metrics.Counter] = {}
        for name, (_, unit, text) in _COUNTERS.items():
            self._counters[name] = meter.create_counter(f"purposeguard.{name}", unit, text)
        _TELEMETRY.add(self)

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:
        """Return a function that counts one use of a label by an activity."""
        key: tuple[object, ...] = (activity, purpose, label)
        use = self._uses.get(key)
        if use is None and len(self._uses) >= self._most:
            key = ()
            use = self._uses.get(key)
        if use is None:
            attributes: Attributes = {OVERFLOW: True}
            if key:
                attributes = _attributes({ACTIVITY: activity, PURPOSE: purpose, SOURCES: _format_clauses(label)})
            # Two threads may make a counter at once. Only one of them is used.
            use = self._uses.setdefault(key, _UseCounter({**attributes, VERDICT: "allowed"}))
        return use.tick

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Count a denial by its reason, and add it to the current span."""
        stated: dict[str, str | None] = {VERDICT: "observed" if observed else "denied", ERROR: type(error).__name__}
        where: dict[str, str | None] = {}
        if isinstance(error, PurposeViolation):
            decision = error.decision
            purpose = decision.purpose
            stated[REASON] = decision.reason.name.lower() if decision.reason is not None else None
            stated[ACTIVITY] = error.activity
            stated[PURPOSE] = purpose.name if isinstance(purpose, Family) else purpose.clause
            stated[SOURCES] = " ".join(list_term_ids(decision.denied))
            where = {FUNCTION: error.function, FIELD: error.field}
        else:
            stated[REASON] = "no_purpose"
        self._report("denials", stated, where)

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """Count a run of a declared reclassification."""
        self._report(
            "reclassifications", {FUNCTION: declared.name, SOURCES: _format_clauses(label), ACTIVITY: activity}
        )

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:  # noqa: ARG002  # The subject goes into the ledger alone.
        """Count uses under an exception."""
        stated = {ACTIVITY: exception.name, BASIS: exception.basis, SOURCES: _format_clauses(label)}
        self._report("exceptions", stated, count=count)

    def provided(self, provision: Provision, /) -> None:
        """Count a hand-over."""
        stated = {
            RECIPIENT: provision.recipient,
            PURPOSE: provision.purpose,
            ACTIVITY: provision.activity,
            SOURCES: " ".join(provision.sources),
        }
        self._report("handovers", stated)

    def _report(
        self,
        name: str,
        stated: Mapping[str, str | None],
        where: Mapping[str, str | None] | None = None,
        *,
        count: int = 1,
    ) -> None:
        attributes = _attributes({**stated, ENTRY_POINT: current_entry_point()})
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(f"purposeguard.{_COUNTERS[name][0]}", {**attributes, **_attributes(where or {})})
        seen = self._seen.setdefault(name, set())
        key = tuple(attributes.items())
        if key not in seen and len(seen) >= self._most:
            attributes = {OVERFLOW: True}
        else:
            seen.add(key)
        self._counters[name].add(count, attributes)

    def observations(self) -> list[metrics.Observation]:
        """Return the number of uses so far in this process, by attributes."""
        with self._reading:
            return [metrics.Observation(use.total(), use.attributes) for use in tuple(self._uses.values())]

    def begin_again(self) -> None:
        """Forget earlier uses in a process that was forked."""
        for use in self._uses.values():
            use.reset()


class _FiguresSource(Protocol):
    """Governance, or another object with the same figures."""

    def figures(self) -> Any:
        """Return the current figures, as `Governance` does."""
        ...


def observe_store(governance: _FiguresSource, meter: metrics.Meter | None = None) -> None:
    """Report how this process gets on with the store of governance whenever metrics are exported.

    The store itself is not asked. By default `meter` comes from the global provider. The metrics do not keep governance
    alive.
    """
    meter = meter or metrics.get_meter("purposeguard")

    def add_gauge(name: str, unit: str, text: str, figure: str) -> None:
        read = _make_callback(governance, functools.partial(_observe_figure, figure))
        meter.create_observable_gauge(f"purposeguard.store.{name}", [read], unit, text)

    def add_counter(name: str, unit: str, text: str, counts: _Observe) -> None:
        meter.create_observable_counter(f"purposeguard.store.{name}", [_make_callback(governance, counts)], unit, text)

    add_counter("looks", "{look}", "Looks at the store of governance", _observe_polls)
    add_counter("refusals", "{refusal}", "Questions that the store did not answer", _observe_refusals)
    add_gauge("staleness", "s", "Time since the look that is relied on", "staleness")
    add_gauge("subjects", "{subject}", "Subjects whose preferences are cached", "subjects")
    add_gauge("counts", "{count}", "Counts of uses that are not written yet", "waiting")


def _observe_polls(governance: _FiguresSource) -> Iterable[metrics.Observation]:
    figures = governance.figures()
    yield metrics.Observation(figures.looks - figures.failed_looks, {OUTCOME: "answered"})
    yield metrics.Observation(figures.failed_looks, {OUTCOME: "failed"})


def _observe_refusals(governance: _FiguresSource) -> Iterable[metrics.Observation]:
    return [metrics.Observation(count, {CAUSE: cause}) for cause, count in governance.figures().refusals.items()]


def _observe_figure(figure: str, governance: _FiguresSource) -> Iterable[metrics.Observation]:
    """Return one figure, or nothing if it is infinite, as before the first look at the store."""
    value = getattr(governance.figures(), figure)
    return [] if math.isinf(value) else [metrics.Observation(value)]


_COUNTERS: Final = {
    "denials": ("denied", "{denial}", "Uses of personal data that were refused, or would be"),
    "handovers": ("provided", "{handover}", "Hand-overs of personal data to recipients"),
    "reclassifications": ("reclassified", "{run}", "Runs of declared reclassifications"),
    "exceptions": ("excepted", "{use}", "Uses of personal data under a legal exception"),
}
"""The name of a counter → the name of the span event, the unit, and the description."""


_Observe = Callable[[Any], Iterable[metrics.Observation]]


def _make_callback(
    whom: object, observe: _Observe
) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
    """Return a callback by which a meter observes an object without keeping it alive."""
    reference = weakref.ref(whom)

    def read(_options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        target = reference()
        return () if target is None else observe(target)

    return read


def _format_clauses(label: Label) -> str:
    return " ".join(list_term_ids(label))


def _attributes(stated: Mapping[str, str | None]) -> Attributes:
    return {name: value for name, value in stated.items() if value}


_TELEMETRY: Final = LiveObjects(in_child=Telemetry.begin_again)
