"""Cases on frames: the columns that are used are checked, rows narrowed, and then the library does what is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import dask
import duckdb
import narwhals as nw
import polars
import pyarrow as pa
import pyarrow.parquet as pq

from purposeguard import Guard, NotPersonal
from purposeguard.adapters import arrow
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.tags import KEY
from tests.adapters.conformance import frame_kinds
from tests.adapters.conformance.as_frames import applied
from tests.adapters.conformance.cases import Case, Table
from tests.adapters.conformance.engines import Answer, Engine, declared, under
from tests.adapters.conformance.evaluator import evaluated

ERRORS: dict[str, tuple[type[Exception], ...]] = {
    "polars-lazy": (polars.exceptions.PolarsError,),
    "polars-file": (polars.exceptions.PolarsError,),
    "duckdb-relation": (duckdb.Error,),
}


def used_in(case: Case, table: str) -> list[str]:
    """The columns of a table that operations use, in its order."""
    used = {name for of, name in evaluated(case).used if of == table}
    return [name for name in case.table(table).names if name in used]


def needed_in(case: Case, table: str) -> list[str]:
    """The same, and those that say something of its rows."""
    tags = case.tags(table)
    marked = {name for name, tag in tags.items() if tag.mark is not None and tag.label.sources == {NotPersonal}}
    return [name for name in case.table(table).names if name in marked or name in used_in(case, table)]


class FramesOf(Engine):
    """Frames of one library; their tags are given."""

    tables_have_names: ClassVar[bool] = False

    def __init__(self, name: str, make: Callable[[Table], Any]) -> None:
        self.name = name  # type: ignore[misc]  # one class, several engines
        family = name.partition("-")[0]
        self.names = frozenset({"frames", family})  # type: ignore[misc]
        self.own_errors = ERRORS.get(name, ())  # type: ignore[misc]
        self._make = make

    def lacks(self, case: Case) -> str | None:
        return None if case.frame is not None else "has a text alone"

    def answer(self, case: Case, guard: Guard) -> Answer:
        frames = Frames(guard)
        with under(case, guard), dask.config.set(scheduler="synchronous"):
            return self._answer(case, frames, {table.name: self._given(case, table) for table in case.tables})

    def _given(self, case: Case, table: Table) -> tuple[Any, Any]:
        """A frame, and its tags where they are given."""
        return self._make(table), declared(case, table)

    def _answer(self, case: Case, frames: Frames, given: dict[str, tuple[Any, Any]]) -> Answer:
        assert case.frame is not None
        if case.op in ("withhold", "permitted-withhold"):
            ((frame, tags),) = given.values()
            if case.op == "withhold":
                return Answer(*frame_kinds.content(frames.withhold(frame, tags)))
            return Answer(*frame_kinds.content(frames.permitted(frame, tags, withhold=True)))
        held: dict[str, Any] = {}
        for name, (frame, tags) in given.items():
            if case.op == "permitted":
                narrow = nw.from_native(frame).select(*needed_in(case, name)).to_native()
                held[name] = frames.permitted(narrow, _some(tags, needed_in(case, name)))
            else:
                frames.check(frame, tags, used_in(case, name))
                held[name] = frame
        made = applied(case.frame, {name: nw.from_native(frame) for name, frame in held.items()})
        return Answer(*frame_kinds.content(made.to_native()))


def _some(tags: Any, names: list[str]) -> Any:
    return None if tags is None else {name: one for name, one in tags.items() if name in names}


class ArrowItself(FramesOf):
    """Tables of Arrow that bear their tags themselves, written to a file and read again."""

    reads_metadata = True

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, frame_kinds.arrow)
        self.names = frozenset({"frames", "pyarrow"})  # type: ignore[misc]
        self._folder = folder

    def lacks(self, case: Case) -> str | None:
        if case.theme == "bad" and not any(table.has_metadata for table in case.tables):
            return "a tag that is none cannot be written"
        return super().lacks(case)

    def _given(self, case: Case, table: Table) -> tuple[Any, Any]:
        held = frame_kinds.arrow(table)
        known = case.tags(table.name)
        bearing = arrow.tagged(held.select(list(known)).schema, known, case.history)
        tags = {field.name: field.metadata[KEY.encode()].decode() for field in bearing}
        tags |= {one.name: one.metadata for one in table.columns if one.metadata is not None}
        fields = [field.with_metadata({KEY: tags[field.name]} if field.name in tags else None) for field in held.schema]
        path = self._folder / "table.parquet"
        pq.write_table(held.cast(pa.schema(fields)), path)
        return pq.read_table(path), None
