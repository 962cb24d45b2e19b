"""The rows, their targets, and how they are printed."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterable, Mapping, Sequence

from benchmarks import decisions, floors, growth, models, peers, processes, row_peers, rows
from benchmarks.timing import Figure, Times, figure, ratio

Runs = Mapping[str, Sequence[Times]]
"""Group of cases → what each process measured."""

PACKAGES = ("pydantic", "cachetools", "typing-extensions")


@dataclasses.dataclass(frozen=True)
class Row:
    """A case of a group, and what it is to reach: so often its floor, or so much (in nanoseconds or bytes)."""

    group: str
    case: str
    floor: str | None = None
    limit: float | None = None
    unit: str = "ns"

    def against(self) -> str:
        if self.floor is None:
            return "" if self.limit is None else f"≤ {amount(self.limit, self.unit)}"
        return f"≤ {self.limit:g} ×"

    def result(self, runs: Runs) -> Figure:
        """Return the figure that is compared with the limit."""
        times = runs[self.group]
        return figure(times, self.case) if self.floor is None else ratio(times, self.case, self.floor)

    def is_measured(self, runs: Runs) -> bool:
        """Return False if a package that the case needs is not installed."""
        return {self.case, self.floor} - {None} <= set(runs[self.group][0])

    def describe_target(self, runs: Runs) -> str:
        if self.limit is None:
            return ""
        return "yes" if self.result(runs).value <= self.limit else "no"


TARGETS = (
    Row("decisions", decisions.USE_ALLOWS, floors.MASK, 1.5),
    Row("decisions", decisions.OPEN, floors.MASK, 1.5),
    Row("decisions", decisions.CLASS_CLASS, floors.SUPERSET_1, 2),
    Row("decisions", decisions.IDS, floors.SUPERSET_2, 5),
    Row("decisions", decisions.ACCESS, floors.WRAPPER, 1.5),
    Row("decisions", decisions.ACTIVITY, floors.WRAPPER, 6),
    Row("decisions", decisions.DENIAL, None, 15_000),
    *(Row("growth", large, small, 1.1) for small, large in growth.PAIRS),
    Row("compile", processes.COMPILE, None, 2e9),
    Row("compile", processes.MEMORY, None, 100e6, "B"),
    Row("import", processes.IMPORT, processes.PYDANTIC, 1.15),
    Row("sealing", processes.MILLION, None, 1e9),
    Row("sealing", processes.SEAL_BYTES, None, 72, "B"),
    Row("counting", processes.COUNT_OPEN, None, 100),
    Row("counting", processes.COUNT_ACCESS, None, 100),
    Row("counting", processes.COUNT_OPEN_ALL, None, 100),
    Row("counting", processes.COUNT_CHECK, None, 100),
    Row("counting", processes.OPEN_OF, None, 1_000),
    Row("counting", processes.ALLOWS_OF, None, 1_000),
)
ROWS = (
    Row("rows", rows.NOTHING_ACCESS, rows.BUILT, 0.05),
    Row("rows", rows.NOTHING_USE, rows.BUILT, 0.05),
    Row("rows", rows.READ_ACCESS, rows.BUILT, 0.05),
    *(Row("rows", rows.WITHHELD[kind], rows.COPIED[kind], 1.2) for kind in rows.KINDS),
    Row("rows", rows.NESTED, rows.NESTED_COPIED, 1.2),
    *(
        Row("models", models.name_case(models.OURS, action), models.name_case(models.PLAIN, action), limit)
        for action, limit in models.ACTIONS.items()
    ),
    Row("rows", rows.NARROWED_WARM, rows.BUILT, 0.3),
    Row("rows", rows.NARROWED_COLD, rows.BY_HAND, 1.5),
    Row("rows", rows.OPEN_TASK, rows.OPEN_THREAD, 1.5),
    Row("rows", rows.ACCESS_TASK, rows.ACCESS_THREAD, 1.5),
    Row("rows", rows.BLOCK, rows.SMALLEST, 3),
    Row("rows", rows.OPEN_ALL, rows.SLOTS, 1.2),
)
FLOORS = tuple(
    Row("decisions", name)
    for name in (
        floors.EMPTY,
        floors.MASK,
        floors.SUPERSET_1,
        floors.SUPERSET_2,
        floors.SUPERSET_3,
        floors.WRAPPER,
        floors.WRAPPER_ONE,
        floors.WRAPPER_ANY,
        floors.CONTEXT_GET,
        floors.CONTEXT_SET,
        floors.THREAD,
        floors.SLOT,
        floors.OPENED,
    )
)
MODELS = tuple(
    Row("models", models.name_case(kind, action), models.name_case(models.PLAIN, action))
    for action in models.ACTIONS
    for kind in (models.SMALLEST, models.SQLMODEL, models.MSGSPEC)
    if kind != models.SMALLEST or action == models.WRITTEN
)
BESIDE = (
    Row("decisions", decisions.OPEN, floors.OPENED),
    Row("decisions", decisions.OPEN_ALL, floors.OPENED),
    Row("decisions", decisions.OPEN_MAPPED, floors.OPENED),
    Row("decisions", decisions.SEAL, floors.EMPTY),
    Row("decisions", decisions.CLASS_DENIED, floors.SUPERSET_1),
    Row("decisions", decisions.CHECK, floors.SUPERSET_1),
    Row("decisions", decisions.ACCESS_1, floors.WRAPPER_ONE),
    Row("decisions", decisions.ACCESS_ANY, floors.WRAPPER_ANY),
    Row("decisions", decisions.ACTIVITY_INSIDE, floors.WRAPPER),
    Row("decisions", decisions.BLOCK, floors.WRAPPER),
    Row("decisions", decisions.UNREAD),
    Row("compile", processes.COMPILE_READ),
    Row("counting", processes.COUNTED_ACTIVITY),
    Row("counting", processes.COUNTED_DENIAL),
)


def chosen(rows: Iterable[Row], only: str | None) -> list[Row]:
    """Return the rows whose case or group the text is part of; all where there is none."""
    return [row for row in rows if only is None or only.casefold() in f"{row.group} {row.case}".casefold()]


def amount(value: float, unit: str = "ns") -> str:
    """Return `812 ns`, `1.24 µs`, `18.3 ms`; `14.1 MB`: three figures."""
    units = ("ns", "µs", "ms", "s") if unit == "ns" else ("B", "kB", "MB", "GB")
    place = 0
    while value >= 999.5 and place < len(units) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {units[place]}"


def spread(found: Figure) -> str:
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def format_comparison(rows: Sequence[Row], runs: Runs) -> str:
    """Return the table of rows against their floors and targets."""
    lines: list[list[str]] = []
    for row in rows:
        if not row.is_measured(runs):
            lines.append([row.case, "not installed", "", "", row.against(), ""])
            continue
        own = figure(runs[row.group], row.case)
        floor, times = "", ""
        if row.floor is not None:
            floor = f"{amount(figure(runs[row.group], row.floor).value)}, {row.floor}"
            times = spread(ratio(runs[row.group], row.case, row.floor))
        lines.append([row.case, amount(own.value, row.unit), floor, times, row.against(), row.describe_target(runs)])
    return markdown(["what", "takes", "floor, in the same run", "ratio (quartiles)", "target", "met"], lines)


def format_untargeted(rows: Sequence[Row], runs: Runs) -> str:
    """Return the table of what has no target."""
    lines = []
    for row in rows:
        if not row.is_measured(runs):
            continue
        times = spread(ratio(runs[row.group], row.case, row.floor)) if row.floor else ""
        lines.append([row.case, amount(figure(runs[row.group], row.case).value, row.unit), times, row.floor or ""])
    return markdown(["what", "takes", "ratio (quartiles)", "to"], lines)


def floor_table(rows: Sequence[Row], runs: Runs) -> str:
    lines = []
    for row in rows:
        found = figure(runs[row.group], row.case)
        lines.append([row.case, amount(found.value), f"{amount(found.low)} - {amount(found.high)}"])
    return markdown(["floor", "takes", "quartiles"], lines)


def peer_table(runs: Runs) -> str:
    """Return the library and its peers on the same two questions."""
    times = runs["peers"]
    ours = [
        ("this library", "a class; a label", "", peers.names(peers.LIBRARY)),
        ("this library", "ids in a set, purpose by id", "", peers.names(peers.BY_ID)),
    ]
    theirs = []
    for peer in peers.PEERS:
        release = peers.version(peer.package) or ""
        theirs.append((peer.package, peer.form, release, peers.names(peer.package)))
    lines = []
    for who, form, release, names in ours + theirs:
        if names[0] not in times[0]:
            lines.append([who, form, "not installed", "", "", ""])
            continue
        one, three = (ratio(times, name, own).value for name, own in zip(names, peers.names(peers.BY_ID), strict=True))
        taken = [amount(figure(times, name).value) for name in names]
        lines.append([who, form, release, *taken, f"{one:.1f} × / {three:.1f} ×"])
    return markdown(["who", "form", "version", "1 source, allowed", "3 sources, mixed", "to ids in a set"], lines)


def row_peer_table(runs: Runs) -> str:
    """Return the library and its peers on the same list: to leave out a field, or to leave out rows."""
    times = runs["rows"]
    ours = {True: rows.NARROWED_WARM, False: rows.WITHHELD[rows.PYDANTIC]}
    lines = [["this library", name, "", amount(figure(times, name).value), ""] for name in ours.values()]
    for name, form, package in row_peers.PEERS:
        release = peers.version(package) or "" if package else ""
        if name not in times[0]:
            lines.append([name, form, "not installed", "", ""])
            continue
        own = ours[package == "sqlalchemy"]
        lines.append([name, form, release, amount(figure(times, name).value), f"{ratio(times, name, own).value:.2f} ×"])
    return markdown(["who", "form", "version", "a row", "to the library"], lines)


def setting(processes_run: int) -> str:
    """Return one line on what was measured where."""
    versions = ", ".join(f"{name} {peers.version(name) or '(not installed)'}" for name in PACKAGES)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python} on {machine}; {versions}; {processes_run} processes a figure."
