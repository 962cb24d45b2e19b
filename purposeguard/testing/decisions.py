"""Captures the decisions of code under test, and asserts what is denied and what is read."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar, overload

from purposeguard.errors import PurposeMissing, escape_controls
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose, Source, fold, is_union, list_term_ids, union_members
from purposeguard.policy.explanation import Decision, format_term
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.site import Site
from purposeguard.testing._blocks import judging
from purposeguard.testing.watching import CellQuestion, Watcher, watching

R = TypeVar("R")

_SHOWN: Final = 12
"""The most decisions that a failed assertion lists."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decided:
    """One decision that a guard made."""

    sources: Label
    """The sources of the data."""
    purpose: type[Purpose] | Family
    """The purpose or family."""
    channel: str | None
    """The channel, if one was stated."""
    allowed: bool
    """True if the use was allowed."""
    denied: tuple[type[Source], ...]
    """The sources that may not serve the purpose."""
    activity: str | None
    """The name of the activity; None if the guard itself was asked."""
    used: bool
    """True if data was to be used; False for a question, such as `allows`, `explain` or a seal that a copy keeps."""
    function: str | None = None
    """The access function that read the data, if it is known."""
    field: str | None = None
    """The field of the data, if it is known."""

    def __str__(self) -> str:
        verdict = "may use" if self.allowed else "may not use"
        text = f"{format_term(self.purpose)} {verdict} {', '.join(list_term_ids(self.sources))}"
        if self.channel is not None:
            text += f" by {self.channel}"
        where = [] if self.activity is None else [f"in {self.activity}"]
        where += [] if self.function is None else [f"read by {self.function}"]
        where += [] if self.field is None else [f"field `{self.field}`"]
        where += [] if self.used else ["asked only"]
        return f"{text} ({', '.join(where)})" if where else text


class _Capture(Watcher):
    def __init__(self) -> None:
        self.decisions: list[Decided] = []
        self.asked: list[CellQuestion] = []
        self.refusals: list[Decision] = []

    def decided(self, question: CellQuestion) -> None:
        self.asked.append(question)
        self.decisions.append(
            Decided(
                sources=question.label,
                purpose=question.purpose,
                channel=question.channel,
                allowed=question.allowed,
                denied=question.denied,
                activity=None if question.activity is None else question.activity.name,
                used=question.used,
                function=question.function,
                field=question.field,
            )
        )

    def refused(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:  # noqa: ARG002  # as Watcher has it
        if isinstance(error, PurposeViolation):
            self.refusals.append(error.decision)  # not the error, which keeps its frames alive


@contextmanager
def capture_decisions(guard: Guard | None = None) -> Generator[list[Decided], None, None]:
    """Return a context manager that collects the decisions of a guard, or of all guards, in order.

    Decisions in any thread count while the block runs.

    Each check, opened value, call of an access function, field considered for withholding, and row is one decision.
    Uses under a legal override are not decided by a notice, and not listed.
    """
    capture = _Capture()
    with watching(capture, guard):
        yield capture.decisions


def _run(block: AbstractContextManager[list[Decided]], call: Callable[[], R]) -> R | None:
    """Call a function within a block. Return its result, or None if it raised what was expected."""
    __tracebackhide__ = True
    result: R | None = None
    with block:
        result = call()
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()  # no warning that it was never awaited
            raise TypeError("what was called gave something to await: await it in a `with` block")
    return result


def _decisions_text(decisions: list[Decided]) -> str:
    if not decisions:
        return "no guard decided anything here"
    counted = Counter(map(str, decisions))
    lines: list[str] = []
    for text, times in itertools.islice(counted.items(), _SHOWN):
        lines.append(f"  {text}" if times == 1 else f"  {text}, {times} times")
    if len(counted) > _SHOWN:
        lines.append(f"  … and {len(counted) - _SHOWN} other decisions")
    return escape_controls("\n".join(["what was decided here:", *lines]))


@judging
def _expect_denial(wanted: dict[str, str] | None, purpose: str | None, guard: Guard | None) -> Generator[list[Decided]]:
    __tracebackhide__ = True
    capture = _Capture()
    error: BaseException | None = None
    violations: list[PurposeViolation] = []
    with watching(capture, guard):
        try:
            yield capture.decisions
        except (PurposeViolation, BaseExceptionGroup) as raised:
            of_error = _violations(raised)
            if of_error is None:
                raise
            error, violations = raised, of_error
    refusals = list(capture.refusals)
    if guard is None:  # count also a violation not captured here, as from another process
        refusals += map(operator.attrgetter("decision"), violations)
    for refusal in refusals:
        if _is_meant(wanted, purpose, refusal.label, refusal.denied, refusal.purpose):
            return
    for decided in capture.decisions:
        if not decided.allowed and _is_meant(wanted, purpose, decided.sources, decided.denied, decided.purpose):
            return
    if error is not None:
        raise error  # an unexpected violation says more
    subject = "nothing was denied" if wanted is None else f"{', '.join(wanted)} was not denied"
    aim = f" for {purpose}" if purpose is not None else ""
    raise AssertionError(f"{subject}{aim}\n{_decisions_text(capture.decisions)}")


def _is_meant(
    wanted: dict[str, str] | None,
    purpose: str | None,
    label: Label,
    denied: tuple[type[Source], ...],
    asked: type[Purpose] | Family,
) -> bool:
    if purpose is not None and _fold_id(purpose) not in _names(asked):
        return False
    if wanted is None:
        return True
    sources = set(wanted.values())
    combined = frozenset().union(*map(_names, label))
    # Several sources: their combination was denied because of one of them. A refusal for another reason than the
    # table (the recipient, say) concerns all of them.
    return sources <= combined and any(not sources.isdisjoint(_names(source)) for source in denied or label)


@judging
def _expect_reads(wanted: dict[str, str], activity: str | None, guard: Guard | None) -> Generator[list[Decided]]:
    __tracebackhide__ = True
    capture = _Capture()
    with watching(capture, guard):
        yield capture.decisions
    used: dict[str, frozenset[str]] = {}
    for question in capture.asked:
        names = () if question.activity is None else (question.activity.name, question.activity.site.dotted)
        if question.used and question.allowed and (activity is None or activity in names):
            for source in question.label:
                used[source.clause] = _names(source)
    used_names = frozenset().union(*used.values())
    missing = [text for text, name in wanted.items() if name not in used_names]
    unexpected = [clause for clause, names in used.items() if names.isdisjoint(wanted.values())]
    complaints: list[str] = []
    if unexpected:
        complaints.append(f"was read and is not expected: {', '.join(sorted(unexpected))}")
    if missing:
        complaints.append(f"was not read: {', '.join(sorted(missing))}")
    if complaints:
        where = f"activity {activity}: " if activity is not None else ""
        raise AssertionError(f"{where}{'; '.join(complaints)}\n{_decisions_text(capture.decisions)}")


@overload
def assert_denied(
    call: Callable[[], object], /, *, sources: object = None, purpose: object = None, guard: Guard | None = None
) -> None: ...
@overload
def assert_denied(
    *, sources: object = None, purpose: object = None, guard: Guard | None = None
) -> AbstractContextManager[list[Decided]]: ...
def assert_denied(
    call: Callable[[], object] | None = None,
    /,
    *,
    sources: object = None,
    purpose: object = None,
    guard: Guard | None = None,
) -> AbstractContextManager[list[Decided]] | None:
    """Assert that data from these sources is denied to this purpose by a call, or in a `with` block.

    Denials are violations, also those that the code handles (a response with status 403) or that are only observed;
    withheld fields; and questions answered no. A violation that leaves the block, or a group of violations alone, is
    caught; any other error is not. Without `sources` or `purpose`, any matches.

    Raises:
        AssertionError: nothing was denied; the message lists the decisions.
        PurposeViolation: something else was denied.
        TypeError: the call returned a coroutine: await it in a `with` block.
    """
    __tracebackhide__ = True
    block = _expect_denial(_ids(sources), _purpose_id(purpose), guard)
    if call is None:
        return block
    _run(block, call)
    return None


@overload
def assert_reads(
    call: Callable[[], R], sources: object, /, *, activity: object = None, guard: Guard | None = None
) -> R: ...
@overload
def assert_reads(
    sources: object, /, *, activity: object = None, guard: Guard | None = None
) -> AbstractContextManager[list[Decided]]: ...
def assert_reads(*expected: Any, activity: object = None, guard: Guard | None = None) -> Any:
    """Assert that a call, or a `with` block, uses data from exactly these sources.

    Returns the call's result.

    `activity`: a function decorated with `@guard.purpose`, or a name; only its uses count. Questions and denials are
    no uses.

    Raises:
        AssertionError: other sources were used; the message names them, and lists the decisions.
        TypeError: the call returned a coroutine: await it in a `with` block; or there are no sources.
    """
    if not 1 <= len(expected) <= 2:
        raise TypeError(f"takes a call and the sources, or the sources alone, and was given {len(expected)} arguments")
    __tracebackhide__ = True
    *call, sources = expected
    block = _expect_reads(_ids(sources) or {}, _activity_name(activity), guard)
    return _run(block, call[0]) if call else block


def _violations(error: BaseException) -> list[PurposeViolation] | None:
    """Return the violation or group of violations that an error is; None if it is, or contains, any other error."""
    if isinstance(error, BaseExceptionGroup):
        parts = list(map(_violations, error.exceptions))
        return None if None in parts else list(itertools.chain.from_iterable(filter(None, parts)))
    return [error] if isinstance(error, PurposeViolation) else None


def _ids(sources: object) -> dict[str, str] | None:
    """Return source as passed → the id to compare."""
    if sources is None:
        return None
    if isinstance(sources, (str, type)):
        sources = (sources,)
    if not isinstance(sources, Iterable):
        raise TypeError(f"sources are classes, ids or a Label, not {type(sources).__name__}")
    texts = map(_id_text, sources)
    return {text: _fold_id(text) for text in texts}


def _id_text(term: object) -> str:
    if isinstance(term, str):
        return term
    clause = getattr(term, "clause", None)
    if isinstance(clause, str):
        return clause
    raise TypeError(f"a source is a class of a notice or an id, not {type(term).__name__}")


def _purpose_id(purpose: object) -> str | None:
    if purpose is None or isinstance(purpose, str):
        return purpose
    if isinstance(purpose, Family):
        return purpose.name
    if is_union(purpose):
        return " ".join(sorted(map(_id_text, union_members(purpose))))
    return _id_text(purpose)


def _names(term: type[Source | Purpose] | Family) -> frozenset[str]:
    """Return the names of a term, for comparison."""
    if isinstance(term, Family):
        members = " ".join(sorted(list_term_ids(term.members)))
        return frozenset(map(_fold_id, (term.name, term.slug, members)))
    return frozenset(map(_fold_id, (term.clause, term.slug, term.__name__)))


def _fold_id(text: str) -> str:
    return fold(text) or text


def _activity_name(activity: object) -> str | None:
    return activity if activity is None or isinstance(activity, str) else Site.of(activity).dotted
