"""What several kinds of tests share: pairs of notices, the reference with a memory, a recording ledger."""

from __future__ import annotations

import collections
import itertools
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from purposeguard import Guard, Label, Notice, Purpose, PurposeGuardError, PurposeMissing, PurposeViolation, Source
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.declarations import Reclassification
from purposeguard.runtime.observer import Fields, Observer, Tick
from purposeguard.runtime.registry import Activity
from tests.generated.notice_tables import WORDS, Tables, bans, copied, some, tables, titled

Revisions = tuple[Notice, Notice]
T = TypeVar("T")

ON_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.processes)
"""The parameter of a fixture that runs its tests on a PostgreSQL server: a server is left to the slow kinds."""


def smallest(strategy: st.SearchStrategy[T], condition: Callable[[T], bool]) -> T:
    """The smallest value that meets a condition: a search so long that no profile and no seed changes what it finds."""
    return find(strategy, condition, settings=settings(max_examples=10_000, derandomize=True, database=None))


def drawn(strategy: st.SearchStrategy[Any], count: int = 120) -> list[Any]:
    """So many of a strategy, the same at each call."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(value=strategy, _=st.integers(0, 2**64))  # so that what there is little of is drawn again as well
    def draw(value: Any, _: int) -> None:
        found.append(value)

    draw()
    return found


@st.composite
def revisions(draw: st.DrawFn) -> Revisions:
    """Two versions of one revision that have the same terms and grant other things."""
    made = draw(tables(overlays=False))
    other = copied(made)
    for grant in other["grant"]:
        grant["sources"] = draw(some([row["id"] for row in made["source"]]))
    other["forbid"] = draw(bans(made, 2))
    return Notice.parse(made), Notice.parse(other)


def crossed() -> Revisions:
    """Two versions of a revision under each of which one of two sources may serve the purpose, and never both."""
    purpose = {"id": "1.2①", "class": "Goal", "title": titled("1.2①")}
    made: Tables = {
        "format": 1,
        "id": "generated",
        "revision": "2024-04-01",
        "controller": titled("it"),
        "title": titled("it"),
        "source": [{"id": f"{number}.1", "class": f"{WORDS[number]}Data", "title": titled("it")} for number in (1, 2)],
        "grant": [{"clause": "1.2", "title": titled("1.2"), "sources": ["1.1"], "purpose": [purpose]}],
    }
    other = copied(made)
    other["grant"][0]["sources"] = ["2.1"]
    return Notice.parse(made), Notice.parse(other)


# ---- Labels, purposes, and the questions that can be asked of a notice --------------------------------------------


def every_label(notice: Notice, most: int) -> Iterator[tuple[type[Source], ...]]:
    """Every set of up to so many sources."""
    for size in range(1, min(most, len(notice.sources)) + 1):
        yield from itertools.combinations(notice.sources, size)


def forms(term: type[Source | Purpose]) -> st.SearchStrategy[Any]:
    """The forms in which code may name a term."""
    return st.sampled_from([term, term.clause, term.slug, term.__name__])


def outcome(act: Callable[[], object]) -> object:
    """What came of it, to be compared: a value (a dataclass: what can be read of each field), or an error's text."""
    try:
        value = act()
    except PurposeGuardError as error:
        return type(error), str(error)
    # What was withheld is no field of the copy any more; it is one of the class that the copy was made from.
    declared = [fields(cls) for cls in type(value).__mro__ if is_dataclass(cls)]
    if not declared:
        return value
    return {field.name: outcome(partial(getattr, value, field.name)) for field in max(declared, key=len)}


# ---- Doubles ------------------------------------------------------------------------------------------------------


class RecordingReads(Observer):
    """An observer that collects the columns that are read, and the statements that could not be analyzed."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, str | None]] = []
        """Each column with the name of the activity that reads it."""
        self.unresolved_events: list[tuple[str, set[str], PurposeGuardError]] = []
        """Each event with the columns that it could have read, and its error."""

    def read(self, fields: Fields, activity: Activity | None) -> None:
        name = activity.name if activity is not None else None
        self.reads.extend((column, name) for column, _ in fields)

    def unresolved(self, fields: Fields, activity: Activity | None, event: str, error: PurposeGuardError) -> None:
        self.unresolved_events.append((event, {column for column, _ in fields}, error))

    @property
    def columns(self) -> set[str]:
        """All columns that were read, without those of statements that could not be analyzed."""
        return {column for column, _ in self.reads}

    @property
    def evidence(self) -> set[str]:
        """All columns that were read, or could have been read."""
        return self.columns.union(*(columns for _, columns, _ in self.unresolved_events))

    def clear(self) -> None:
        self.reads.clear()
        self.unresolved_events.clear()


class RecordingLedger:
    """Keeps denials, uses and reclassifications, from any thread."""

    def __init__(self) -> None:
        self.denials: list[tuple[PurposeViolation | PurposeMissing, bool]] = []
        self.each: list[tuple[str | None, str, Label]] = []
        self.reclassifications: list[tuple[Reclassification, Label]] = []

    @property
    def uses(self) -> list[tuple[str | None, str, Label, int]]:
        """How often each label was used by each activity for each purpose, in the order of the first uses."""
        return [(*use, count) for use, count in collections.Counter(self.each).items()]

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        self.denials.append((error, observed))

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        return partial(self.each.append, (activity, purpose, label))

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        self.reclassifications.append((declared, label))


class RecordingObserver(Observer):
    """Keeps the names of what was read, the errors that were not raised, and what each could have read."""

    def __init__(self) -> None:
        self.read_names: list[str] = []
        self.denials: list[PurposeViolation | PurposeMissing] = []
        self.errors: list[PurposeGuardError] = []
        self.unresolved_names: list[str] = []

    def read(self, fields: Fields, activity: Activity | None) -> None:
        self.read_names += [name for name, _ in fields]

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        if observed:
            self.denials.append(error)

    def unresolved(
        self,
        fields: Fields,
        activity: Activity | None,
        event: str,
        error: PurposeGuardError,
    ) -> None:
        assert "@" not in event
        self.errors.append(error)
        self.unresolved_names += [name for name, _ in fields]


@contextmanager
def switching(interval: float = 1e-6) -> Iterator[None]:
    """Threads take turns as often as the interpreter can manage."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def racing(guard: Guard, notice: Notice, method: str = "resolve_row") -> Any:
    """Replaces the notice right after the next answer of a matrix: the worst moment for whoever asked."""
    plain = getattr(PolicyTable, method)
    fired = threading.Event()

    def racer(self: PolicyTable, *args: Any) -> Any:
        answer = plain(self, *args)
        if not fired.is_set():
            fired.set()
            guard.replace(notice)
        return answer

    return mock.patch.object(PolicyTable, method, racer)


def printed_by(script: str, timeout: int = 300) -> tuple[str, str]:
    """What a script prints in a fresh interpreter: its output, and what it says of errors."""
    program = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=timeout, check=False)
    return done.stdout, done.stderr


@contextmanager
def free_port() -> Iterator[int]:
    """A port of this machine that the system gives to nobody else meanwhile; a server may be started on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # servers set it too, so that both may have the port
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def in_threads(jobs: Iterable[Callable[[], object]]) -> None:
    """Runs each job in a thread of its own, all from one start; raises what the first failing one raised."""
    jobs = list(jobs)
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait()
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
