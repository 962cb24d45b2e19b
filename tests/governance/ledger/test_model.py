"""Whatever ledgers of one place are told, by whom and with whichever clock: it is read back, all of it and in order."""

from __future__ import annotations

import collections
import datetime
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposeguard.governance.ledger import SqlLedger
from tests.governance.ledger.places import Place, R
from tests.governance.support import Time

WRITERS = 2

texts = st.text(max_size=8)
bodies = st.dictionaries(
    texts, st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2), max_size=3
)
steps = st.lists(
    st.tuples(
        st.integers(0, WRITERS - 1),
        st.one_of(
            st.tuples(st.just("append"), bodies),
            st.tuples(st.just("count"), st.sampled_from(["a", "b", None]), st.integers(1, 5)),
            st.tuples(st.just("flush")),
            st.tuples(st.just("reopen")),
            st.tuples(st.just("clock"), st.integers(-90, 200)),
        ),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which nothing is."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    with Place(f"sqlite:///{path}") as place:
        place.store.pseudonym("7")
    return path


def as_kept(told: Any) -> Any:
    """As JSON in UTF-8 keeps it."""
    if isinstance(told, dict):
        return {as_kept(key): as_kept(value) for key, value in told.items()}
    if isinstance(told, list):
        return [as_kept(one) for one in told]
    return told.encode("utf-8", "backslashreplace").decode() if isinstance(told, str) else told


@given(steps=steps)
def test_what_is_told_is_read_back(template: Path, steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        shutil.copy(template, path)
        with Place(f"sqlite:///{path}") as place:
            run(place, steps)


class Story:
    """Several writers, each with a clock of its own, and what they were told."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clocks = [Time() for _ in range(WRITERS)]
        self.writers = [place.open(clock=clock) for clock in self.clocks]
        self.told: list[dict[str, Any]] = []
        self.counted: collections.Counter[str | None] = collections.Counter()

    def append(self, who: int, body: dict[str, Any]) -> None:
        self.writers[who].append("sweep", body)
        self.told.append(as_kept(body))

    def count(self, who: int, activity: str | None, count: int) -> None:
        self.writers[who]._counters.add(activity, "1.2(1)①", R, count)
        self.counted[activity] += count

    def flush(self, who: int) -> None:
        self.writers[who].flush()

    def reopen(self, who: int) -> None:
        self.writers[who].close()
        self.writers[who] = self.place.open(clock=self.clocks[who])

    def clock(self, who: int, minutes: int) -> None:
        self.clocks[who].now += datetime.timedelta(minutes=minutes)


def by_activity(ledger: SqlLedger) -> collections.Counter[str | None]:
    counted = collections.Counter[str | None]()
    for key, count in ledger.uses().items():
        counted[key.activity] += count
    return counted


def run(place: Place, steps: list[Any]) -> None:
    story = Story(place)
    for who, (step, *given_) in steps:
        getattr(story, step)(who, *given_)
    for writer in story.writers:
        writer.flush()
    reader = place.open()
    entries = list(reader.entries())
    assert [entry.body for entry in entries if entry.kind == "sweep"] == story.told
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert reader.verify().entries == len(entries)
    assert by_activity(reader) == story.counted
    for writer in story.writers:
        writer.close()
    reader.verify()
    # Nothing is left open.
    closed = collections.Counter[str | None]()
    for entry in reader.entries(["use"]):
        closed[entry.body["activity"]] += entry.body["count"]
    assert closed == story.counted
    assert by_activity(reader) == story.counted
