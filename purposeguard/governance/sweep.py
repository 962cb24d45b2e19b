"""The sweep: erases what may be kept no longer, by the application's erasers (clause 8).

A plan comes first and changes nothing. A run asks each eraser what is due and has it erased in batches. A batch is put
down before it is erased and told as done after it, so a sweep that is killed at any moment is gone on with: the batch
that was under way is erased again, which erasers put up with, and counted once.

One sweep at a time: whoever runs later takes over, and the one before stops at its next step.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.errors import PurposeGuardError, StoreUnavailable, SweepRefused
from purposeguard.governance.erasers import Erasers, Key, Registered, unserved, where_failed
from purposeguard.governance.progress import UNENDED, Run, Told, part
from purposeguard.governance.provisions import Appends
from purposeguard.governance.store import Store
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import day_in
from purposeguard.notice.schema import Period
from purposeguard.runtime.clock import Clock

MAX_SHARE: Final = 0.1
"""How much of what an eraser knows a sweep erases, unless it is told to erase more."""

LAST_DAY: Final = datetime.date(9999, 1, 1)
"""A day before which everything began: what is due by it is all that an eraser knows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """What is due of one eraser: the things that it counts from `before` this day, and how many they are.

    Without a period nothing is. `problem` is why it is not known. `pending` of a batch that was under way when a sweep
    was killed come in addition.
    """

    eraser: str
    sources: tuple[str, ...]
    period: Period | None
    before: datetime.date | None
    count: int = 0
    pending: int = 0
    problem: str | None = None
    known: int = 0
    """How many things the eraser knows in all whose period has begun."""

    @property
    def share(self) -> float:
        """How much of what it knows it would erase, from 0 to 1."""
        return min(1.0, (self.count + self.pending) / max(1, self.known + self.pending))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep would erase today. `unserved`: periods without eraser; `resumes`: the sweep that is gone on with."""

    today: datetime.date
    parts: tuple[Due, ...]
    unserved: tuple[Period, ...]
    resumes: int | None

    @property
    def count(self) -> int:
        """How much is due in all."""
        return sum(one.count + one.pending for one in self.parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Erased:
    """What became of one eraser in a run: how much was erased in this sweep, and why it stopped where it did.

    `left`: something was still due after all that was due had been erased.
    """

    eraser: str
    sources: tuple[str, ...]
    done: int
    left: bool = False
    problem: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """A run of a sweep: its number, what each eraser did, and whether it has come to its end."""

    number: int
    parts: tuple[Erased, ...]
    ended: bool

    @property
    def good(self) -> bool:
        """Whether everything due was erased."""
        return self.ended and not any(one.problem or one.left for one in self.parts)


class Sweep:
    """`plan()` says what is due, `run()` erases it."""

    def __init__(
        self,
        store: Store,
        notice: Notice,
        erasers: Erasers,
        *,
        clock: Clock | None = None,
        ledger: Appends | None = None,
    ) -> None:
        """`notice` is the one in force; `ledger` is told how much each batch erased, in the same transaction."""
        self._store = store
        self._notice = notice
        self._erasers = erasers
        self._clock = clock or Clock()
        self._ledger = ledger

    def plan(self) -> Plan:
        """What is due today, per eraser. Erases nothing.

        Raises:
            StoreUnavailable: the store cannot be read.
            NoticeError: this machine does not know the notice's time zone.
        """
        with self._store.reading() as connection:
            number = connection.execute(UNENDED).scalar_one_or_none()
            rows = connection.execute(sa.select(part).where(part.c.sweep == number)).all() if number else []
        pending = {row.eraser: len(row.pending or ()) for row in rows}
        today = self._today()
        parts = [self._due(one, today, pending.pop(one.name, 0)) for one in self._erasers]
        gone = "there is no eraser of this name any more, and a batch of it was under way"
        parts += [Due(name, (), None, None, 0, count, gone) for name, count in pending.items() if count]
        return Plan(today, tuple(parts), unserved(self._notice, self._erasers), number)

    def _today(self) -> datetime.date:
        """The day by the earliest that it can be: what is not due for sure is not due."""
        return day_in(self._notice.document.timezone, self._clock.earliest())

    def _due(self, eraser: Registered, today: datetime.date, pending: int) -> Due:
        try:
            period, before = self._begin(eraser, today)
            found = Due(eraser.name, eraser.clauses(self._notice), period, before, 0, pending)
        except PurposeGuardError as error:
            return Due(eraser.name, (), None, None, 0, pending, str(error))
        if before is None:
            return found
        try:
            return dataclasses.replace(
                found, count=sum(1 for _ in eraser.due(before)), known=sum(1 for _ in eraser.due(LAST_DAY))
            )
        except Exception as error:  # noqa: BLE001  # of the application's own code; told, and nothing is erased by it
            return dataclasses.replace(found, problem=where_failed(f"{eraser.name}.due", error))

    def _begin(self, eraser: Registered, today: datetime.date) -> tuple[Period | None, datetime.date | None]:
        """The period that an eraser serves, and the day before which things are due today."""
        period = eraser.period(self._notice)
        if period is None or (today - datetime.date.min).days < period.days:  # longer than there are days
            return period, None
        return period, today - datetime.timedelta(days=period.days)

    def run(self, *, batch: int = 500, max_share: float = MAX_SHARE, told: Told | None = None) -> Outcome:
        """Erases what is due, in batches of so many, and goes on with a sweep that did not come to its end.

        Nothing is erased where more than `max_share` of what an eraser knows is due, since a clock or a period may be
        wrong: look at `plan()`, and say a higher share, up to 1.

        An eraser that fails stops there, the others go on. A sweep in which one failed is not at its end: the next run
        goes on with it.

        Raises:
            SweepRefused: more is due than `max_share`, or it is not sure what time it is. Nothing was erased.
            StoreUnavailable: the store cannot be used, or another process has taken the sweep over.
            ValueError: `batch` is no whole number above zero, or `max_share` no number from 0 to 1.
            NoticeError: this machine does not know the notice's time zone.
        """
        if type(batch) is not int or batch < 1:
            raise ValueError("`batch` is a whole number above zero")
        if type(max_share) not in (int, float) or not 0 <= max_share <= 1:
            raise ValueError("`max_share` is a number from 0 to 1")
        plan = self._sure(max_share)
        problems = {one.eraser: one.problem for one in plan.parts if one.before is not None and one.problem}
        run = Run(self._store, self._clock, self._ledger, told)
        pending = run.begin([one.name for one in self._erasers])
        parts = [
            self._erase(run, one, plan.today, batch, pending.pop(one.name, ()), problem=problems.get(one.name))
            for one in self._erasers
        ]
        for name, keys in pending.items():
            gone = "there is no eraser of this name any more, and a batch of it was under way"
            parts.append(Erased(name, (), run.done[name], problem=gone if keys else None))
        ended = not any(one.problem for one in parts)
        if ended:
            run.end()
        return Outcome(run.number, tuple(parts), ended)

    def _sure(self, max_share: float) -> Plan:
        """What is due, where it is sure, and no more than may be erased; raises SweepRefused where not."""
        doubt = self._clock.doubt()
        if doubt is not None:
            raise SweepRefused(
                f"the clock was set, or has jumped, by {doubt} since this process began, so it is not sure what is "
                "due: set it right, and start anew"
            )
        plan = self.plan()
        for one in plan.parts:
            if one.share > max_share:
                due = one.count + one.pending
                raise SweepRefused(
                    f"{due:,} of the {one.known + one.pending:,} things that eraser {one.eraser} knows are due on "
                    f"{plan.today}, more than the share of {max_share:.0%} that may be erased: see that the date and "
                    "the periods are right, and then allow more, up to `max_share=1` (`--max-share 1`)"
                )
        return plan

    def _erase(
        self,
        run: Run,
        eraser: Registered,
        today: datetime.date,
        batch: int,
        pending: Sequence[Key],
        *,
        problem: str | None,
    ) -> Erased:
        """`problem`: why it is not known how much is due, so that nothing new is erased."""
        name = eraser.name
        try:
            sources = eraser.clauses(self._notice)
            _, before = self._begin(eraser, today)
        except PurposeGuardError as error:
            return Erased(name, (), run.done.get(name, 0), problem=str(error))
        left = False
        try:
            if pending:
                eraser.erase(pending)
                run.batch_done(name, sources, len(pending))
            if before is not None and problem is None:
                for keys in _batches(eraser.due(before), batch):
                    run.batch_begins(name, keys)
                    eraser.erase(keys)
                    run.batch_done(name, sources, len(keys))
                left = run.done.get(name, 0) > 0 and next(iter(eraser.due(before)), None) is not None
        except StoreUnavailable:
            raise
        except _NoKey as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  # of the application's own code; told, and the others go on
            problem = where_failed(name, error)
        return Erased(name, sources, run.done.get(name, 0), left, problem)


class _NoKey(TypeError):
    """An eraser said that something is due that no key can stand for."""


def _batches(keys: Iterable[Any], size: int) -> Iterator[tuple[Key, ...]]:
    """The keys in batches, each key of a batch once."""
    remaining = iter(keys)
    while batch := tuple(islice(remaining, size)):
        for key in batch:
            if isinstance(key, bool) or not isinstance(key, (int, str, uuid.UUID)):
                raise _NoKey(f"`due` gives keys, which are int, text or UUID, and gave a {type(key).__name__}")
        yield tuple(dict.fromkeys(batch))
