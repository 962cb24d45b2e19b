"""The retention job, which erases what may be kept no longer by the application's erasers (clause 8).

A plan changes nothing. A run asks each eraser for the keys that are due and has them erased in batches. The keys of a
batch are stored before the batch is erased and removed afterwards, so a killed run can be resumed: the current batch is
erased again, which erasers must allow, and counted once.

Only one run is active: a later run takes over, and the earlier one stops at its next step.
"""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.containers import drop_none
from purposeguard.errors import PurposeGuardError, StoreUnavailable, SweepRefused
from purposeguard.governance import forgetting
from purposeguard.governance.changes import counter
from purposeguard.governance.erasers import (
    LONGEST_NAME,
    Erasers,
    Key,
    RegisteredEraser,
    describe_failure,
    find_unserved_periods,
)
from purposeguard.governance.recording import add_ledger_entry
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.schema import LegalPeriod, Period
from purposeguard.runtime.clock import Clock

MAX_SHARE: Final = 0.1
"""The largest share of an eraser's data that a run erases, unless `max_share` differs."""

LAST_DAY: Final = datetime.date(9999, 1, 1)
"""A day by which everything is due, so that an eraser returns all keys."""

GONE: Final = "there is no eraser of this name any more, and a batch of it was under way"

sweep: Final = sa.Table(
    "purposeguard_sweep",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("begun", Moment, nullable=False),
    sa.Column("ended", Moment),
    sa.Column("runner", sa.String(32), nullable=False),
)
"""The runs of the job and those that resume them; `runner` identifies the process that may continue."""

part: Final = sa.Table(
    "purposeguard_sweep_part",
    metadata,
    sa.Column("sweep", sa.ForeignKey(sweep.c.id), primary_key=True),
    sa.Column("eraser", sa.String(LONGEST_NAME), primary_key=True),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("pending", sa.JSON(none_as_null=True)),
)
"""The progress of each eraser in a run; `pending` are the keys of the batch under way."""

UNENDED: Final = sa.select(sweep.c.id).where(sweep.c.ended.is_(None)).order_by(sweep.c.id).limit(1)
"""The number of the run that has not ended."""

Progress = Callable[[str, int], None]
"""A function that is called with an eraser's name and the number of items that it erased in a step."""


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """The data that is due for one eraser. Without a period nothing is due."""

    eraser: str
    sources: tuple[str, ...]
    period: Period | LegalPeriod | None
    before: datetime.date | None
    """The day before which the period of due data began."""
    count: int = 0
    """The number of due items."""
    pending: int = 0
    """The number of further items, of a batch that was under way when a run was killed."""
    problem: str | None = None
    """The reason why it is unknown how much is due."""
    known: int = 0
    """The number of things whose period has begun, due or not."""

    @property
    def share(self) -> float:
        """The share of the eraser's items that a run would erase, from 0 to 1. Meaningless if there is a `problem`."""
        return min(1.0, (self.count + self.pending) / max(1, self.known + self.pending))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A preview of what a run would erase today."""

    today: datetime.date
    parts: tuple[Due, ...]
    unserved: tuple[Period | LegalPeriod, ...]
    """The periods without an eraser."""
    resumes: int | None
    """The number of the unfinished run that would be resumed."""

    @property
    def count(self) -> int:
        """The number of items that are due in all."""
        return sum(part.count + part.pending for part in self.parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Erased:
    """The result of one eraser in a run."""

    eraser: str
    sources: tuple[str, ...]
    done: int
    """The number of items that it erased."""
    left: bool = False
    """True if something was still due after everything due had been erased."""
    problem: str | None = None
    """The reason why it stopped, if it failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class RetentionOutcome:
    """The result of a run: its number, what each eraser did, and whether it has ended."""

    number: int
    parts: tuple[Erased, ...]
    ended: bool

    @property
    def good(self) -> bool:
        """True if everything due was erased."""
        return self.ended and not any(part.problem or part.left for part in self.parts)


class RetentionJob:
    """The job that erases what may be kept no longer: `plan()` shows what is due, `run()` erases it."""

    def __init__(
        self,
        store: Store,
        notice: Notice,
        erasers: Erasers,
        *,
        clock: Clock | None = None,
        ledger: object = None,
    ) -> None:
        """Use the periods of `notice`, the notice in force; `ledger` records how much each batch erased."""
        self._store = store
        self._notice = notice
        self._erasers = erasers
        self._clock = clock or Clock()
        self._ledger = ledger

    def plan(self) -> Plan:
        """Return what is due today, per eraser. Erases nothing.

        Raises:
            StoreUnavailable: the store cannot be read.
            NoticeError: this machine does not know the notice's time zone.
        """
        with self._store.reading() as connection:
            number = connection.execute(UNENDED).scalar_one_or_none()
            rows = connection.execute(sa.select(part).where(part.c.sweep == number)).all() if number else []
        pending = {row.eraser: len(row.pending or ()) for row in rows}
        # The earliest possible time counts: data that is not certainly due is not due.
        now = self._clock.earliest()
        today = min(to_local_day(notice.document.timezone, now) for notice in self._notice.notices)
        parts = [self._find_due(eraser, now, pending.pop(eraser.name, 0)) for eraser in self._erasers]
        for name, count in pending.items():  # Erasers of an earlier run that are no longer registered.
            if count:
                parts.append(Due(name, (), None, None, 0, count, GONE))
        return Plan(today, tuple(parts), find_unserved_periods(self._notice, self._erasers), number)

    def _find_due(self, eraser: RegisteredEraser, now: datetime.datetime, pending: int) -> Due:
        try:
            period, before = self._find_period(eraser, now)
            due = Due(eraser.name, eraser.clauses(self._notice), period, before, 0, pending)
        except PurposeGuardError as error:
            return Due(eraser.name, (), None, None, 0, pending, str(error))
        if before is None:
            return due
        try:
            return dataclasses.replace(
                due, count=sum(1 for _ in eraser.due(before)), known=sum(1 for _ in eraser.due(LAST_DAY))
            )
        except Exception as error:  # noqa: BLE001  # of the application's own code; reported, and nothing is erased by it
            return dataclasses.replace(due, problem=describe_failure(f"{eraser.name}.due", error))

    def _find_period(
        self, eraser: RegisteredEraser, now: datetime.datetime
    ) -> tuple[Period | LegalPeriod | None, datetime.date | None]:
        """Return the period of an eraser that ends first, and its cut-off day: data from before that day is due.

        Data of several notices is due as soon as one notice says so, by the day in that notice's time zone.
        """
        earliest: tuple[Period | LegalPeriod | None, datetime.date | None] = None, None
        for period, periods in eraser.periods(self._notice):
            today = to_local_day(periods.timezone, now)
            # False for a period longer than the calendar.
            is_countable = (today - datetime.date.min).days >= period.days
            before = today - datetime.timedelta(days=period.days) if is_countable else None
            if earliest[0] is None or (before or datetime.date.min) > (earliest[1] or datetime.date.min):
                earliest = period, before
        return earliest

    def run(self, *, batch: int = 500, max_share: float = MAX_SHARE, told: Progress | None = None) -> RetentionOutcome:
        """Erase what is due, in batches of this size, and resume a run that did not end.

        If an eraser fails, the others go on, and the next run resumes this one. Items of persons with an unanswered
        request are kept, as far as the eraser names the subject of an item (`forgets`); the result then says `left`.

        Args:
            batch: The number of items in a batch.
            max_share: The share of an eraser's items that may be due, up to 1. If more is due, nothing is erased, since
                a clock or a period may be wrong: look at `plan()` before you allow a higher share. An eraser with a
                `problem` in the plan has no share: it erases at most the batch that was under way, and the result says
                why.
            told: Called with the name of an eraser and the number of items that it has erased in a step.

        Raises:
            SweepRefused: more is due than `max_share`, or the time is in doubt. Nothing was erased.
            StoreUnavailable: the store cannot be used, or another process has taken over.
            ValueError: `batch` is no whole number above zero, or `max_share` no number from 0 to 1.
            NoticeError: this machine does not know the notice's time zone.
        """
        if type(batch) is not int or batch < 1:
            raise ValueError("`batch` is a whole number above zero")
        if type(max_share) not in (int, float) or not 0 <= max_share <= 1:
            raise ValueError("`max_share` is a number from 0 to 1")
        plan = self._make_certain_plan(max_share)
        dues = {due.eraser: due for due in plan.parts}
        run = _RetentionRun(self._store, self._clock, self._ledger, told)
        erasers = [eraser for eraser in self._erasers if eraser.name in dues]
        pending = run.begin([eraser.name for eraser in erasers])
        parts = [self._erase(run, eraser, dues[eraser.name], batch, pending.pop(eraser.name, ())) for eraser in erasers]
        for name, keys in pending.items():  # Erasers of an earlier run that are no longer registered.
            parts.append(Erased(name, (), run.done[name], problem=GONE if keys else None))
        ended = not any(erased.problem for erased in parts)
        if ended:
            run.end()
        return RetentionOutcome(run.number, tuple(parts), ended)

    def _make_certain_plan(self, max_share: float) -> Plan:
        """Return the plan if the time is certain and no share exceeds the limit; otherwise raise SweepRefused.

        Parts with a `problem` are not compared with the limit: how many items their erasers know is not known.
        """
        doubt = self._clock.doubt()
        if doubt is not None:
            raise SweepRefused(
                f"the clock was set, or has jumped, by {doubt} since this process began, so it is not sure what is "
                "due: set it right, and start anew"
            )
        plan = self.plan()
        for due in plan.parts:
            if due.problem is None and due.share > max_share:
                raise SweepRefused(
                    f"{due.count + due.pending:,} of the {due.known + due.pending:,} things that eraser {due.eraser} "
                    f"knows are due on {plan.today}, more than the share of {max_share:.0%} that may be erased: see "
                    "that the date and the periods are right, then allow more, up to `max_share=1` (`--max-share 1`)"
                )
        return plan

    def _erase(
        self, run: _RetentionRun, eraser: RegisteredEraser, due: Due, batch: int, pending: Sequence[Key]
    ) -> Erased:
        """Erase what an eraser has due, in batches.

        With a `problem` it is unknown how much is due, so only the pending batch is erased.
        """
        name, sources, before, problem = eraser.name, due.sources, due.before, due.problem
        if not sources:  # The sources are unknown.
            return Erased(name, (), run.done.get(name, 0), problem=problem)
        has_more = False
        try:
            if pending:
                eraser.erase(pending)
                self._forget(eraser, pending)
                run.batch_done(name, sources, len(pending))
            if before is not None and problem is None:
                for due_keys in _split_into_batches(eraser.due(before), batch):
                    keys = self._drop_kept_keys(eraser, due_keys)
                    if not keys:
                        continue
                    run.batch_begins(name, keys)
                    eraser.erase(keys)
                    self._forget(eraser, keys)
                    run.batch_done(name, sources, len(keys))
                has_more = next(iter(eraser.due(before)), None) is not None
        except StoreUnavailable:
            raise
        except _InvalidKey as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  # of the application's own code; reported, and the others go on
            problem = describe_failure(name, error)
        return Erased(name, sources, run.done.get(name, 0), has_more, problem)

    def _drop_kept_keys(self, eraser: RegisteredEraser, keys: Sequence[Key]) -> tuple[Key, ...]:
        """Return the keys without those of persons with an unanswered request, which may be about their data."""
        subjects = _subjects_of(eraser, keys)
        waiting = forgetting.find_unanswered(self._store, subjects) if subjects else {}
        return tuple(key for key in keys if eraser.subject(key) not in waiting) if waiting else tuple(keys)

    def _forget(self, eraser: RegisteredEraser, keys: Sequence[Key]) -> None:
        subjects = _subjects_of(eraser, keys)
        if subjects:
            forgetting.forget_subjects(self._store, subjects, self._clock.now(), ledger=self._ledger)


class _RetentionRun:
    """The record of a run, step by step."""

    def __init__(self, store: Store, clock: Clock, ledger: object, told: Progress | None) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._told = told
        self._runner = secrets.token_hex(16)
        self.number = 0
        self.done: dict[str, int] = {}

    def begin(self, erasers: Sequence[str]) -> dict[str, tuple[Key, ...]]:
        """Take over the run that did not end, or begin a run. Return the keys of batches under way, by eraser."""
        with self._store.writing() as connection:
            # If two processes begin at once, one waits for the other and takes over from it.
            connection.execute(sa.select(counter.c.id).with_for_update())
            taken = connection.execute(
                sa.update(sweep).where(sweep.c.ended.is_(None)).values(runner=self._runner).returning(sweep.c.id)
            ).scalar_one_or_none()
            step = "begun" if taken is None else "resumed"
            if taken is None:
                new = sa.insert(sweep).values(begun=self._clock.now(), runner=self._runner).returning(sweep.c.id)
                taken = connection.execute(new).scalar_one()
            self.number = taken
            rows = connection.execute(sa.select(part).where(part.c.sweep == taken)).all()
            self._report(connection, "sweep", {"step": step, "erasers": list(erasers)})
        self.done = {row.eraser: row.done for row in rows}
        return {row.eraser: tuple(map(_deserialize_key, row.pending or ())) for row in rows}

    def batch_begins(self, eraser: str, keys: Sequence[Key]) -> None:
        """Record the keys that are about to be erased."""
        with self._store.writing() as connection:
            self._lock_own_run(connection)
            values = {"pending": list(map(_serialize_key, keys))}
            if not connection.execute(self._update_part(eraser).values(values)).rowcount:
                connection.execute(sa.insert(part).values(sweep=self.number, eraser=eraser, done=0, **values))

    def batch_done(self, eraser: str, sources: Sequence[str], count: int) -> None:
        """Count the batch, and remove its keys."""
        with self._store.writing() as connection:
            self._lock_own_run(connection)
            connection.execute(self._update_part(eraser).values(pending=None, done=part.c.done + count))
            self._report(connection, "erasure", {"eraser": eraser, "sources": list(sources), "count": count})
        self.done[eraser] = self.done.get(eraser, 0) + count
        if self._told is not None:
            self._told(eraser, count)

    def end(self) -> None:
        """Record that everything was done."""
        with self._store.writing() as connection:
            self._lock_own_run(connection)
            connection.execute(sa.update(sweep).where(sweep.c.id == self.number).values(ended=self._clock.now()))
            self._report(connection, "sweep", {"step": "ended", "erased": self.done})

    def _report(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        add_ledger_entry(self._ledger, self._store, connection, kind, {"sweep": self.number, **body})

    def _update_part(self, eraser: str) -> sa.Update:
        return sa.update(part).where((part.c.sweep == self.number) & (part.c.eraser == eraser))

    def _lock_own_run(self, connection: sa.Connection) -> None:
        """Lock the row of the run until the transaction ends; raise StoreUnavailable if the run was taken over."""
        mine = (sweep.c.id == self.number) & (sweep.c.runner == self._runner)
        if not connection.execute(sa.update(sweep).where(mine).values(runner=self._runner)).rowcount:
            raise StoreUnavailable("another process has taken over this sweep")


class _InvalidKey(TypeError):
    """An error: an eraser returned something as due that is not a key."""


def _split_into_batches(keys: Iterable[Any], size: int) -> Iterator[tuple[Key, ...]]:
    """Yield the keys in batches, each key of a batch once."""
    remaining = iter(keys)
    while batch := tuple(islice(remaining, size)):
        for key in batch:
            if isinstance(key, bool) or not isinstance(key, (int, str, uuid.UUID)):
                raise _InvalidKey(f"`due` gives keys, which are int, text or UUID, and gave a {type(key).__name__}")
        yield tuple(dict.fromkeys(batch))


def _serialize_key(key: Key) -> tuple[str, str]:
    """Return a key as JSON."""
    if isinstance(key, uuid.UUID):
        return "uuid", str(key)
    return ("int", str(int(key))) if isinstance(key, int) else ("str", str(key))


def _deserialize_key(written: Sequence[str]) -> Key:
    kind, text = written
    return uuid.UUID(text) if kind == "uuid" else int(text) if kind == "int" else text


def _subjects_of(eraser: RegisteredEraser, keys: Sequence[Key]) -> list[str]:
    """Return the subjects of the items with these keys, as far as they have one."""
    return drop_none(map(eraser.subject, keys))
