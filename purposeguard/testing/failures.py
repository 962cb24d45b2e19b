"""What tests of noninterference and canaries fail with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from purposeguard.notice.label import Label
from purposeguard.testing import _telling
from purposeguard.testing._differences import Difference, differences

if TYPE_CHECKING:
    from purposeguard.policy.explanation import Decision
    from purposeguard.testing._forbidden import Fields
    from purposeguard.testing._judging import Leak
    from purposeguard.testing._runs import Outcome
    from purposeguard.testing.effects import Effect
    from purposeguard.testing.traces import Trace
    from purposeguard.testing.values import Mark


class Interference(AssertionError):
    """A field that a purpose may not use makes a difference to what is done for it.

    `fields` are those that do, as code reads them (`customer.device`): each alone, or where it says `together` only all
    of them at once. `differences` are what differs: `what` it is, `before` and `after`. `remembered`: the difference is
    seen where a value is new, and not again, so something keeps what it saw. `decision` says why it may not be used.
    """

    def __init__(
        self,
        decide: Callable[[Label], Decision],
        fields: Sequence[tuple[Fields, str]],
        leak: Leak,
        values: tuple[Mapping[str, Any], Mapping[str, Any]],
        *,
        together: bool,
        ordered: bool,
        activity: str,
    ) -> None:
        labels = {one.shown(path): one.forbidden[path] for one, path in fields}
        self.fields = tuple(labels)
        self.together = together
        self.remembered = leak.remembered
        self.differences: tuple[Difference, ...] = tuple(differences(leak.before, leak.after, ordered=ordered))
        self.decision = decide(Label.join(*labels.values())) if labels else None
        if self.decision is None:
            super().__init__(_telling.UNNAMED)
            return
        super().__init__(
            _telling.interference(
                self.decision,
                fields,
                self.differences,
                values,
                together=together,
                remembered=leak.remembered,
                activity=activity,
            )
        )


class Nondeterministic(AssertionError):
    """Two runs with the very same values differ, so it cannot be said what makes a difference.

    `differences` are what differs between the two.
    """

    def __init__(self, one: Outcome, other: Outcome, *, ordered: bool, pins: Collection[str]) -> None:
        self.differences: tuple[Difference, ...] = tuple(differences(one, other, ordered=ordered))
        super().__init__(_telling.nondeterministic(self.differences, pins))


class NothingToProve(ValueError):
    """The purpose may use every field of what is drawn or marked, so a test could not fail."""


@dataclass(frozen=True)
class Escape:
    """One mark that came out: by which effect, in which part of it (None: in several), and how it was transformed."""

    mark: Mark
    effect: Effect
    part: str | None
    trace: Trace
    length: int

    @property
    def place(self) -> str:
        """Where it came out, with the mark named in the place of its value, and nothing beside it."""
        how = f", {self.trace.told}" if self.trace.how else ""
        before = "…" if self.trace.start > 0 else ""
        after = "…" if self.trace.end < self.length else ""
        return f"{before}‹{self.mark.field}{how}›{after}"


class Leaked(AssertionError):
    """Marks of fields that a purpose may not use came out.

    `escapes` says of each place which it was, where and how; `fields` are the fields, `decisions` say why they may not
    be used.
    """

    def __init__(self, escapes: Sequence[Escape], decisions: Sequence[Decision]) -> None:
        self.escapes = tuple(escapes)
        self.decisions = tuple(decisions)
        self.fields = tuple(dict.fromkeys(one.mark.field for one in escapes))
        super().__init__(_telling.leaked(self.escapes, self.decisions))


class Unrecognisable(UserWarning):
    """A field was marked whose values cannot be known again, such as a bool: noninterference tests it."""


for _cls in (Interference, Nondeterministic, NothingToProve, Escape, Leaked, Unrecognisable):
    _cls.__module__ = "purposeguard.testing"  # where users find them, and what they are called in a report
