"""The errors of noninterference tests and canaries, and their messages."""

from __future__ import annotations

import collections
import difflib
import functools
import inspect
import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from purposeguard.containers import exclude, intersect
from purposeguard.errors import escape_controls
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, format_term
from purposeguard.testing._places import path_in_code, values_at
from purposeguard.testing._runs import PINS, time_machine
from purposeguard.testing._shown import Lines
from purposeguard.testing.traces import SHORTEST
from purposeguard.values.plan import MISSING
from purposeguard.values.tagging import sources_of

if TYPE_CHECKING:
    from purposeguard.testing._judging import Leak
    from purposeguard.testing._places import FieldPlaces
    from purposeguard.testing._runs import RunOutcome
    from purposeguard.testing.effects import Effect
    from purposeguard.testing.traces import Trace
    from purposeguard.testing.values import CanaryMark

# ---- Differences --------------------------------------------------------------------------------------------------

_SHOWN = 60
"""Characters shown of a text."""

_LEAD = 24
"""The most of them before the first difference."""


@dataclass(frozen=True)
class Difference:
    """One difference: what differs, and its text in either run; None if absent there.

    `withholder` is the access function with `withhold=True` or `narrow=True` that made the difference itself, if any.
    """

    what: str
    before: str | None
    after: str | None
    withholder: str = ""

    def texts(self) -> tuple[str, str]:
        """Return a line for each run, with the texts shortened to where they differ."""
        if self.before is None or self.after is None:
            return (
                f"no {self.what}" if self.before is None else f"{self.what}: {shorten(self.before)}",
                f"no {self.what}" if self.after is None else f"{self.what}: {shorten(self.after)}",
            )
        before, after = excerpts(self.before, self.after)
        return f"{self.what}: {before}", f"{self.what}: {after}"


def shorten(text: str, start: int = 0) -> str:
    """Return an excerpt of a text on one line, from about `start`."""
    text = text.replace("\n", "\\n")
    start = max(0, start - _LEAD)
    if len(text) - start <= _SHOWN:
        start = max(0, len(text) - _SHOWN)
    end = min(len(text), start + _SHOWN)
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def excerpts(first: str, other: str) -> tuple[str, str]:
    """Return excerpts of two texts where they differ."""
    same = 0
    for mine, theirs in zip(first, other, strict=False):
        if mine != theirs:
            break
        same += 1
    return shorten(first, same), shorten(other, same)


def differences(before: RunOutcome, after: RunOutcome, *, ordered: bool) -> list[Difference]:
    """Return all differences: result, error, then effects in their order."""
    all_differences: list[Difference] = []
    if bool(before.error) is bool(after.error):
        all_differences.extend(_compare_lines(before.result, after.result, "result{}".format))
    if before.error != after.error:
        all_differences.append(Difference("error", before.error, after.error))
    all_differences.extend(_compare_effects(before.effects, after.effects, ordered=ordered))
    return all_differences


def _get_place(line: tuple[str, str]) -> str:
    return line[0]


def _compare_lines(before: Lines, after: Lines, named: Callable[[str], str]) -> Iterator[Difference]:
    """Yield the differences between the texts of two runs.

    If texts are at other places in the second run, yield only the first difference, since all that follow differ too.
    """
    if list(map(_get_place, before)) == list(map(_get_place, after)):
        for (name, own), (_, changed) in zip(before, after, strict=True):
            if own != changed:
                yield Difference(named(name), own, changed)
        return
    own_texts, changed_texts = dict(before), dict(after)
    for name in (*own_texts, *changed_texts):
        text, other = own_texts.get(name), changed_texts.get(name)
        if text != other:
            yield Difference(named(name), text, other)
            return
    yield Difference(f"{named('')} (the same, in another order)", _list_places(before), _list_places(after))


def _list_places(lines: Lines) -> str:
    return ", ".join(filter(None, map(_get_place, lines)))


def _compare_effects(before: tuple[Effect, ...], after: tuple[Effect, ...], *, ordered: bool) -> Iterator[Difference]:
    if before == after:
        return
    fewer = collections.Counter(before) - collections.Counter(after)
    more = collections.Counter(after) - collections.Counter(before)
    if not fewer and not more:
        if ordered:
            yield _compare_order(before, after)
        return
    mine = intersect(before, fewer)
    others = intersect(after, more)
    kind_and_name = operator.attrgetter("kind", "name")
    matcher = difflib.SequenceMatcher(
        None, list(map(kind_and_name, mine)), list(map(kind_and_name, others)), autojunk=False
    )
    for what, first, last, start, end in matcher.get_opcodes():
        if what == "equal":
            for effect, other in zip(mine[first:last], others[start:end], strict=True):
                for difference in _compare_lines(effect.parts, other.parts, functools.partial(_part, effect.title)):
                    yield replace(difference, withholder=effect.withholder)
            continue
        for effect in mine[first:last]:
            yield Difference(effect.title, _summary(effect), None, effect.withholder)
        for effect in others[start:end]:
            yield Difference(effect.title, None, _summary(effect), effect.withholder)


def _compare_order(before: tuple[Effect, ...], after: tuple[Effect, ...]) -> Difference:
    """Return the first difference of two runs that have the same effects in another order."""
    for number, (own, changed) in enumerate(zip(before, after, strict=True), 1):
        if own != changed:
            place = f"effect {number} (the same ones, in another order)"
            return Difference(place, f"{own.title}, {_summary(own)}", f"{changed.title}, {_summary(changed)}")
    raise ValueError("the runs have the same effects in the same order")


def _part(title: str, part_name: str) -> str:
    return f"{title}, {part_name}" if part_name else title


def _summary(effect: Effect) -> str:
    """Return the first texts of an effect, on one line."""
    return "; ".join(text for _, text in effect.parts[:3] if text)


# ---- Messages -----------------------------------------------------------------------------------------------------

_REMEMBERED: Final = "keep what {} says out of what is remembered (the key of a cache, a set of those seen)"

_PLACES: Final = 8
"""The most places listed."""

_MOST: Final = 4
"""The most differences listed after the first."""


def join_words(names: Sequence[str], last: str = "and") -> str:
    """Return `a`, `b` and `c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def label_text(label: Label) -> str:
    """Return `product-data (1.1(b))`."""
    return join_words(list(map(format_term, label)))


def quote_names(names: Iterable[str]) -> list[str]:
    """Return each name in backticks."""
    return list(map("`{}`".format, names))


_UNNAMED: Final = "a field that may not be used makes a difference"
"""The message while hypothesis shrinks, which is not shown."""


def _describe_interference(
    error: Interference,
    decision: Decision,
    fields: Sequence[tuple[FieldPlaces, str]],
    values: tuple[Mapping[str, Any], Mapping[str, Any]],
    activity: str,
) -> str:
    names = quote_names(error.fields)
    verb = "make" if len(names) > 1 else "makes"
    head = f"{decision.headline}, but {join_words(names)} {verb} a difference"
    head += " (only together)" if error.together else ""
    first, *others = error.differences
    runs = list(zip(_run_heads(fields, values, error.remembered), first.texts(), strict=True))
    if not error.remembered:
        runs.sort(key=_plainer)
    lines = [f"{head} to {activity}", ""]
    lines += map("  {0[0]}   {0[1]}".format, runs)
    more = list(dict.fromkeys(difference.what for difference in others if difference.what != first.what))
    if more:
        rest = f", and {len(more) - _MOST} more" if len(more) > _MOST else ""
        lines.append(f"  also different: {', '.join(more[:_MOST])}{rest}")
    untagged = quote_names(argument.format_path(path) for argument, path in fields if path not in argument.tagged)
    return escape_controls(
        "\n".join([*lines, "", *_advice(decision, names, first.withholder, untagged, remedy=error.remedy)])
    )


def _plainer(run: tuple[str, str]) -> tuple[int, str]:
    """Sort key: the shorter value first, as the order of drawing means nothing."""
    return len(run[0].rstrip()), run[0]


def _run_heads(
    fields: Sequence[tuple[FieldPlaces, str]], values: tuple[Mapping[str, Any], Mapping[str, Any]], remembered: bool
) -> list[str]:
    """Return the heads of the two runs' lines, padded to one width."""
    if remembered:
        heads = ["with values seen before", "with values never seen"]
    else:
        own, path = fields[0]
        before, after = (values_at(run[own.name], own.model, path) for run in values)
        pair: tuple[Any, Any] = (before, after)
        for value, other in itertools.zip_longest(before, after, fillvalue=MISSING):
            if value is not other and value != other:
                pair = (value, other)
                break
        name = own.format_path(path)
        heads = [f"{name} is absent" if value is MISSING else f"{name} = {shorten(repr(value))}" for value in pair]
    width = max(map(len, heads))
    return [head.ljust(width) for head in heads]


def _advice(
    decision: Decision, fields: Sequence[str], withholder: str, untagged: Sequence[str] = (), *, remedy: str = ""
) -> list[str]:
    """Return what to do about fields that make a difference; a `remedy` has a place for their names."""
    names = join_words(fields)
    if not remedy and not withholder and decision.reason is DenialReason.SUBJECT:
        remedy = "read {} by an access function with `narrow=True`, which leaves out who has opted out; keep no copy"
    if remedy:
        return [f"  {remedy.format(names)}"]
    if withholder:
        what = (
            f"do without {names} in what `{withholder}` does itself: it leaves out of its result what may not be used, "
            "so do this with the result"
        )
    else:
        what = f"do without {names} here: an access function with `withhold=True` leaves out what may not be used"
    if untagged:
        what += f" (tag {join_words(untagged)} as a whole for it: no tag covers whether there is any, or how many)"
    if decision.alternatives:
        pronoun, alternative = "it" if len(fields) == 1 else "them", format_term(decision.alternatives[0])
        what += f"; or do it under a purpose that may use {pronoun}, such as {alternative}"
    return [f"  {what}"]


def _describe_nondeterminism(differences: Sequence[Difference], pins: Collection[str]) -> str:
    head = "two runs with the very same values differ, so it cannot be told what makes a difference"
    if not differences:
        return head
    first, other = differences[0].texts()
    lines = [head, "", f"  one run     {first}", f"  another     {other}", ""]
    lines.append(
        "  either a run leaves something behind that the next one meets (rows, a cache, a counter): put it back with "
        "`with arranging():` at the start of the test; or it is chance: " + _chance(pins)
    )
    return "\n".join(lines)


def _chance(pins: Collection[str]) -> str:
    missing = exclude(PINS, pins)
    if missing:
        return f"pin it, `pin=({', '.join(map(repr, PINS))})` has no {join_words(missing, 'nor')} now"
    if time_machine() is None:
        return "random numbers, uuids and timers are pinned, and the time of day where time-machine is installed"
    return "random numbers, uuids and the time are pinned: pass in what else there is"


def note_expected_error(error: BaseException) -> str:
    """Return the note on an error that every run raised."""
    return f"(every run raised this; where it may be raised: `noninterference(…, raises={type(error).__name__})`)"


def note_other_error(error: BaseException) -> str:
    """Return the note on an Interference of a body that raises an error with other examples."""
    return f"(a second failure: with other examples every run raised {type(error).__name__}: {shorten(str(error))})"


def describe_nothing_to_prove(decide: Callable[[Label], Decision], models: Mapping[str, Any]) -> str:
    """Return the text of a NothingToProve."""
    if not models:
        return escape_controls(
            "no argument is a tagged model, so there is nothing to change: annotate a parameter with one, or draw one"
        )
    purpose = decide(Label(NotPersonal)).purpose
    fields: list[str] = []
    for name, model in models.items():
        for path, label in sources_of(model).items():
            fields.append(f"{path_in_code(name, path)} ({label_text(label)})")
    shown = f"{', '.join(fields[:_MOST])}{', …' if len(fields) > _MOST else ''}"
    return escape_controls(
        f"{format_term(purpose)} may use every field of what is drawn, so nothing could be found: {shown}; draw a "
        "model that has a field that this purpose may not use"
    )


def _describe_leak(escapes: Sequence[Escape], decisions: Sequence[Decision]) -> str:
    fields = quote_names(_list_fields(map(operator.attrgetter("mark"), escapes)))
    decision = decisions[0]
    reasons = "; ".join(dict.fromkeys(map(operator.attrgetter("headline"), decisions)))
    lines = [f"{reasons}, but {join_words(fields)} came out", ""]
    for escape in escapes[:_PLACES]:
        part = "" if escape.part in {"text", escape.effect.title} else f", {escape.part}"
        title = escape.part if escape.effect.kind == "result" else f"{escape.effect.title}{part}"
        lines.append(f"  {title or 'result'}: {escape.place}")
    if len(escapes) > _PLACES:
        lines.append(f"  and in {len(escapes) - _PLACES} more places")
    return escape_controls("\n".join([*lines, "", *_advice(decision, fields, escapes[0].effect.withholder)]))


def describe_nothing_marked(
    decide: Callable[[Label], Decision], forbidden: Sequence[CanaryMark], marks: Sequence[CanaryMark]
) -> str:
    """Return the message if no forbidden mark is recognisable."""
    name = format_term(decide(Label(NotPersonal)).purpose)
    if forbidden:
        return describe_unrecognizable(_list_fields(forbidden))
    if not marks:
        return "nothing was marked, so nothing could come out: make values with `instance` or `mark`"
    fields = join_words(quote_names(_list_fields(marks)))
    return escape_controls(
        f"{name} may use every field that was marked, so nothing could come out: {fields}; mark a model that has a "
        "field that this purpose may not use"
    )


def _list_fields(marks: Iterable[CanaryMark]) -> list[str]:
    """Return the field of each mark, once."""
    return list(dict.fromkeys(map(operator.attrgetter("field"), marks)))


def describe_unrecognizable(fields: Sequence[str]) -> str:
    """Return the message on fields whose values canaries cannot recognise."""
    names = join_words(quote_names(fields))
    listed = ", ".join(map('"{}"'.format, fields))
    return escape_controls(
        f"values of {names} cannot be known again where they come out, as none that the type and its constraints allow "
        f"is long enough ({SHORTEST} characters, and no bool or member of an enumeration): prove in a test "
        "`@noninterference(guard, purpose)` that they make no difference, and say so here, "
        f"`canaries(…, proven=[{listed}])`"
    )


def describe_nothing_drawn(test: Callable[..., Any]) -> str:
    """Return the message if a test draws nothing."""
    parameters = ", ".join(inspect.signature(test).parameters)
    return escape_controls(
        f"{test.__qualname__}({parameters}) draws nothing: annotate a parameter with a tagged model, give strategies "
        "(`noninterference(guard, purpose, customer=customers())`), or use it above `@given`"
    )


class Interference(AssertionError):
    """A field that a purpose may not use makes a difference to what is done for it.

    `fields`: their paths, as code reads them (`customer.device`). Each makes a difference alone or, with `together`,
    only all of them at once. `differences`: `what` differs, `before` and `after`. `remembered`: only values never seen
    before make a difference, so the code keeps what it saw. `remedy`: what to do, if the decision does not tell.
    `decision`: why the fields may not be used.
    """

    def __init__(
        self,
        decide: Callable[[Label], Decision],
        fields: Sequence[tuple[FieldPlaces, str]],
        leak: Leak,
        values: tuple[Mapping[str, Any], Mapping[str, Any]],
        *,
        together: bool,
        ordered: bool,
        activity: str,
        remedy: str = "",
    ) -> None:
        labels = {argument.format_path(path): argument.forbidden[path] for argument, path in fields}
        self.fields = tuple(labels)
        self.together = together
        self.remembered = leak.remembered
        self.remedy = remedy or _REMEMBERED * leak.remembered
        self.differences: tuple[Difference, ...] = tuple(differences(leak.before, leak.after, ordered=ordered))
        self.decision = decide(Label.join(*labels.values())) if labels else None
        text = _UNNAMED
        if self.decision is not None:
            text = _describe_interference(self, self.decision, fields, values, activity)
        super().__init__(text)


class Nondeterministic(AssertionError):
    """Two runs with equal values differ, so the cause of a difference cannot be determined.

    `differences`: what differs between the two.
    """

    def __init__(self, first: RunOutcome, other: RunOutcome, *, ordered: bool, pins: Collection[str]) -> None:
        self.differences: tuple[Difference, ...] = tuple(differences(first, other, ordered=ordered))
        super().__init__(_describe_nondeterminism(self.differences, pins))


class NothingToProve(ValueError):
    """The purpose may use every field of what is drawn or marked, so a test could not fail."""


class Unrecognisable(NothingToProve):
    """A marked field has no recognisable values, such as a bool: prove it with `noninterference`."""


@dataclass(frozen=True)
class Escape:
    """One mark that came out: its effect, the part of the effect, and how it was transformed."""

    mark: CanaryMark
    effect: Effect
    part: str
    trace: Trace
    length: int

    @property
    def place(self) -> str:
        """The place of the mark, with the name of its field for the value, and no other content."""
        how = f", {self.trace.description}" if self.trace.how else ""
        before = "…" if self.trace.start > 0 else ""
        after = "…" if self.trace.end < self.length else ""
        return f"{before}‹{self.mark.field}{how}›{after}"


class Leaked(AssertionError):
    """Marks of fields that a purpose may not use came out.

    `escapes`: each place, with its mark. `fields`: the fields. `decisions`: why they may not be used.
    """

    def __init__(self, escapes: Sequence[Escape], decisions: Sequence[Decision]) -> None:
        self.escapes = tuple(escapes)
        self.decisions = tuple(decisions)
        self.fields = tuple(_list_fields(map(operator.attrgetter("mark"), escapes)))
        super().__init__(_describe_leak(self.escapes, self.decisions))


for _cls in (Interference, Nondeterministic, NothingToProve, Escape, Leaked, Unrecognisable):
    _cls.__module__ = "purposeguard.testing"  # where users find them, and what they are called in a report
