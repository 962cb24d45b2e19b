# ruff: noqa: S608  # it is what this is for
"""Queries made at random over three small tables of whole numbers: any of them runs in DuckDB, with one result.

Others leave out what SQLite and PostgreSQL do not have; nearly all run there.

Columns are of two kinds. Those that begin with `k` may be asked for anywhere; where `guarded` is set, those that begin
with `v` are only put into values, so that which rows there are depends on the others alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hypothesis import strategies as st

TABLES: Final = {"a": ("k1", "k2", "v1", "v2"), "b": ("k1", "k3", "v3", "v4"), "c": ("k2", "k4", "v5")}


@dataclass(frozen=True)
class Named:
    """A column in scope: how it is written, and whether it is of the kind that may be asked for anywhere."""

    text: str
    is_key: bool


@dataclass
class Maker:
    """Makes one query; `number` counts the names that it has given."""

    draw: Callable[[int, int], int]
    guarded: bool
    dialect: str = "duckdb"
    number: int = 0
    commons: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)

    # ---- choices ---------------------------------------------------------------------------------------------------

    def pick(self, *choices: str) -> str:
        return choices[self.some(0, len(choices) - 1)]

    def some(self, least: int, most: int) -> int:
        return self.draw(least, most)

    def chance(self) -> bool:
        return bool(self.some(0, 1))

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    # ---- expressions -----------------------------------------------------------------------------------------------

    def column(self, scope: Sequence[Named], *, key: bool) -> str:
        allowed = [one for one in scope if one.is_key or not key]
        if not allowed:
            return str(self.some(0, 3))
        return allowed[self.some(0, len(allowed) - 1)].text

    def value(self, scope: Sequence[Named], depth: int, *, key: bool, window: bool = False) -> str:
        kinds = ["column", "column", "column", "number", "sum", "case", "coalesce"]
        if depth > 0:
            kinds += ["scalar", "exists", "in"]
        if window:
            kinds += ["rank", "running"]
        kind = self.pick(*kinds)
        if kind == "column" or depth < -2:
            return self.column(scope, key=key)
        if kind == "number":
            return str(self.some(0, 3))
        if kind in {"scalar", "exists", "in"}:
            return self.of_a_query(kind, scope, depth - 1, key=key)
        one = self.value(scope, depth - 1, key=key)
        other = self.value(scope, depth - 1, key=key)
        made = {
            "sum": f"({one} {self.pick('+', '-')} {other})",
            "coalesce": f"coalesce({one}, {other})",
            "rank": f"rank() OVER (PARTITION BY {one} ORDER BY {other})",
            "running": f"sum({one}) OVER (ORDER BY {other})",
        }
        return made.get(kind) or f"CASE WHEN {self.condition(scope, depth - 1, key=key)} THEN {one} ELSE {other} END"

    def of_a_query(self, kind: str, scope: Sequence[Named], depth: int, *, key: bool) -> str:
        if kind == "scalar":
            return self.scalar(scope, depth, key=key)
        test = self.exists(scope, depth, key=key) if kind == "exists" else self.within(scope, depth, key=key)
        return f"CASE WHEN {test} THEN {self.value(scope, 0, key=key)} END"

    def condition(self, scope: Sequence[Named], depth: int, *, key: bool) -> str:
        kind = self.pick("compare", "compare", "null", "both", *(("exists", "in") if depth > 0 else ()))
        one = self.value(scope, depth - 2, key=key)
        if kind == "null":
            return f"({one} IS {self.pick('', 'NOT ')}NULL)"
        if kind == "both" and depth > -2:
            left, right = self.condition(scope, depth - 2, key=key), self.condition(scope, depth - 2, key=key)
            return f"({left} {self.pick('AND', 'OR')} {right})"
        if kind == "exists":
            return self.exists(scope, depth - 1, key=key)
        if kind == "in":
            return self.within(scope, depth - 1, key=key)
        return f"({one} {self.pick('=', '<', '<>', '>=')} {self.value(scope, depth - 2, key=key)})"

    def scalar(self, outer: Sequence[Named], depth: int, *, key: bool) -> str:
        sources, scope = self.sources(depth, outer)
        inner = self.value(scope, 0, key=key)
        where = self.condition([*scope, *outer], 0, key=key or self.guarded)
        return f"(SELECT {self.pick('max', 'min', 'count')}({inner}) FROM {sources} WHERE {where})"

    def exists(self, outer: Sequence[Named], depth: int, *, key: bool) -> str:
        sources, scope = self.sources(depth, outer)
        where = self.condition([*scope, *outer], 0, key=key or self.guarded)
        if self.takes_bare and self.chance():
            text, _ = self.chosen(f" FROM {sources} WHERE {where}", scope, outer)
            return f"{self.pick('', 'NOT ')}EXISTS ({text})"
        return f"{self.pick('', 'NOT ')}EXISTS (SELECT {self.pick('1', '*')} FROM {sources} WHERE {where})"

    def within(self, outer: Sequence[Named], depth: int, *, key: bool) -> str:
        sources, scope = self.sources(depth, outer)
        inner = self.column(scope, key=key)
        where = self.condition([*scope, *outer], 0, key=key or self.guarded)
        return f"({self.value(outer, 0, key=key)} IN (SELECT {inner} FROM {sources} WHERE {where}))"

    # ---- FROM ------------------------------------------------------------------------------------------------------

    def source(self, depth: int, outer: Sequence[Named], before: Sequence[Named]) -> tuple[str, str, list[Named]]:
        """The text of a source, its name, and its columns."""
        alias = self.name("t")
        lateral = ("lateral",) if self.dialect != "sqlite" else ()
        kind = self.pick("table", "table", "common", *(("derived", *lateral) if depth > 0 else ()))
        if kind == "common" and self.commons:
            common = self.pick(*self.commons)
            columns = self.commons[common]
            return f"{common} AS {alias}", alias, [Named(f"{alias}.{name}", is_key) for name, is_key in columns]
        if kind == "derived":
            text, given = self.query(depth - 1, ())
            return f"({text}) AS {alias}", alias, [Named(f"{alias}.{name}", is_key) for name, is_key in given]
        if kind == "lateral" and before:
            name, of = self.name("x"), self.value(before, 0, key=self.guarded)
            return f"LATERAL (SELECT {of} AS {name}) AS {alias}", alias, [Named(f"{alias}.{name}", is_key=self.guarded)]
        table = self.pick(*TABLES)
        columns = [(name, name.startswith("k")) for name in TABLES[table]]
        if self.dialect != "sqlite" and self.chance():
            columns = [(self.name("r"), is_key) for _, is_key in columns]
            names = ", ".join(name for name, _ in columns)
            return f"{table} AS {alias} ({names})", alias, [Named(f"{alias}.{name}", one) for name, one in columns]
        return f"{table} AS {alias}", alias, [Named(f"{alias}.{name}", one) for name, one in columns]

    def sources(self, depth: int, outer: Sequence[Named]) -> tuple[str, list[Named]]:
        text, _, scope = self.source(depth, outer, ())
        for _ in range(self.some(0, 1 if depth > 0 else 0)):
            kind = self.pick("cross", "inner", "left", "comma", *(("semi", "anti") if self.dialect == "duckdb" else ()))
            more, _, columns = self.source(depth, outer, scope if kind in {"cross", "comma"} else ())
            if kind in {"cross", "comma"}:
                text = f"{text}, {more}" if kind == "comma" else f"{text} CROSS JOIN {more}"
                scope = [*scope, *columns]
                continue
            on = self.condition([*scope, *columns], -2, key=self.guarded)
            words = {"inner": "JOIN", "left": "LEFT JOIN", "semi": "SEMI JOIN", "anti": "ANTI JOIN"}
            text = f"{text} {words[kind]} {more} ON {on}"
            scope = scope if kind in {"semi", "anti"} else [*scope, *columns]
        return text, scope

    # ---- queries ---------------------------------------------------------------------------------------------------

    def query(self, depth: int, outer: Sequence[Named]) -> tuple[str, list[tuple[str, bool]]]:
        """A query, and its columns: each by its name, and whether it is of the kind that may be asked for anywhere."""
        kinds = ["select", "select", "select", "grouped", "star", *(("set", "limited") if depth > 0 else ())]
        kind = self.pick(*kinds, *(("chosen", "chosen") if self.takes_bare else ()))
        if kind == "set":
            return self.parts(depth, outer)
        if kind == "limited" and not self.guarded:
            text, columns = self.query(depth - 1, outer)
            every = ", ".join(name for name, _ in columns)
            order = "ALL" if self.dialect == "duckdb" and self.chance() else every
            shown = columns if order == "ALL" else self.fewer(columns)
            listed = ", ".join(name for name, _ in shown)
            return f"SELECT {listed} FROM ({text}) AS {self.name('t')} ORDER BY {order} LIMIT {self.some(1, 4)}", shown
        sources, scope = self.sources(depth, outer)
        around = [*scope, *outer]
        where = f" WHERE {self.condition(around, depth - 1, key=self.guarded)}" if self.chance() else ""
        if kind == "star" and len({one.text.partition(".")[2] for one in scope}) == len(scope):
            columns = [(one.text.partition(".")[2], one.is_key) for one in scope]
            return f"SELECT * FROM {sources}{where}", columns
        if kind == "grouped":
            return self.grouped(f" FROM {sources}{where}", scope)
        if kind == "chosen":
            text, columns = self.chosen(f" FROM {sources}{where}", scope, outer)
            shown = self.fewer([columns[0], columns[2]])
            return f"SELECT {', '.join(name for name, _ in shown)} FROM ({text}) AS {self.name('t')}", shown
        items = [(self.name("x"), self.chance()) for _ in range(self.some(1, 3))]
        listed = ", ".join(
            f"{self.value(around, depth - 1, key=is_key, window=not outer and not self.guarded)} AS {name}"
            for name, is_key in items
        )
        distinct = "DISTINCT " if not self.guarded and self.some(0, 4) == 0 else ""
        return f"SELECT {distinct}{listed} FROM {sources}{where}", items

    def grouped(self, rest: str, scope: Sequence[Named]) -> tuple[str, list[tuple[str, bool]]]:
        by = self.value(scope, -1, key=self.guarded)
        key, total = self.name("x"), self.name("x")
        aggregate = f"{self.pick('sum', 'max', 'count')}({self.value(scope, -1, key=False)})"
        if self.chance():
            aggregate += f" FILTER (WHERE {self.condition(scope, -1, key=self.guarded)})"
        having = f" HAVING max({self.value(scope, -2, key=self.guarded)}) > {self.some(0, 2)}" if self.chance() else ""
        group = self.pick(*(("ALL",) if self.dialect == "duckdb" else ()), key, by)
        if group == by and not group.isdecimal() and self.chance():
            return f"SELECT {aggregate} AS {total}{rest} GROUP BY {by}{having}", [(total, False)]
        if group.isdecimal():
            group = key
        return (
            f"SELECT {by} AS {key}, {aggregate} AS {total}{rest} GROUP BY {group}{having}",
            [(key, self.guarded), (total, False)],
        )

    @property
    def takes_bare(self) -> bool:
        """Whether columns may stand outside of aggregates."""
        return self.dialect == "sqlite" and not self.guarded

    def chosen(self, rest: str, scope: Sequence[Named], outer: Sequence[Named]) -> tuple[str, list[tuple[str, bool]]]:
        """A query whose columns outside of aggregates are of the row that has the least or greatest value."""
        around = [*scope, *outer]
        of = f"({self.column(scope, key=False)} + {self.value(scope, -2, key=False)})"
        extreme = f"{self.pick('max', 'min')}({self.pick(self.column(scope, key=False), of)})"
        extreme = self.pick(
            extreme,
            extreme,
            f"({extreme} + {self.column(scope, key=False)})",
            f"(SELECT {extreme})",
            f"EXISTS (SELECT {extreme})",
            f"{extreme} FILTER (WHERE {self.condition(scope, -2, key=False)})",
            f"rank() OVER (PARTITION BY {extreme})",
        )
        bare = self.pick(
            self.value(around, -1, key=False),
            f"sum({self.column(scope, key=False)}) OVER ()",
            f"max({self.column(scope, key=False)}, 1)",
            "count(*)",
        )
        names = [self.name("x") for _ in range(3)]
        items = dict(zip(names, (bare, extreme, self.value(around, -2, key=False)), strict=True))
        column = self.column(scope, key=False)
        by = column if bare.startswith(("sum", "count")) else self.pick(column, "1", names[0])
        group = f" GROUP BY {by}" if self.chance() else ""
        having = f" HAVING {self.condition(scope, -2, key=False)}" if self.chance() else ""
        order = f" ORDER BY {self.column(scope, key=False)} LIMIT 1" if self.chance() else ""
        listed = ", ".join(f"{text} AS {name}" for name, text in items.items())
        return f"SELECT {listed}{rest}{group}{having}{order}", [(name, False) for name in names]

    def fewer(self, columns: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
        """The same, or the first alone."""
        return columns[:1] if self.chance() else columns

    def parts(self, depth: int, outer: Sequence[Named]) -> tuple[str, list[tuple[str, bool]]]:
        words = self.pick("UNION ALL", *(() if self.guarded else ("UNION", "EXCEPT", "INTERSECT")))
        sides: list[str] = []
        kinds: list[list[tuple[str, bool]]] = []
        first, last, whole = self.name("x"), self.name("x"), self.name("t")
        # SQLite takes no names behind an alias.
        named = self.dialect == "sqlite"
        for _ in range(2):
            text, columns = self.query(depth - 1, outer)
            names = (first, last) if named else (columns[0][0], self.name("x"))
            items = f"{columns[0][0]} AS {names[0]}, {columns[-1][0]} AS {names[1]}"
            sides.append(f"SELECT {items} FROM ({text}) AS {self.name('t')}")
            kinds.append([columns[0], columns[-1]])
        columns = [(name, one[1] and other[1]) for name, one, other in zip((first, last), *kinds, strict=True)]
        alias = whole if named else f"{whole} ({first}, {last})"
        shown = self.fewer(columns)
        return f"SELECT {', '.join(name for name, _ in shown)} FROM ({sides[0]} {words} {sides[1]}) AS {alias}", shown

    def statement(self) -> str:
        commons: list[str] = []
        for _ in range(self.some(0, 2)):
            name = self.name("w")
            text, columns = self.query(1, ())
            commons.append(f"{name} AS ({text})")
            self.commons[name] = columns
        text, _ = self.query(2, ())
        return f"WITH {', '.join(commons)} {text}" if commons else text


@st.composite
def statements(draw: st.DrawFn, *, guarded: bool = False, dialect: str = "duckdb") -> str:
    """Queries; see above for `guarded`."""
    return Maker(lambda least, most: draw(st.integers(least, most)), guarded, dialect).statement()


def choosing_statement(seed: int) -> str:
    """A query of SQLite that takes values from the row with a minimum or maximum, and does not use that itself."""
    maker = Maker(random.Random(seed).randint, guarded=False, dialect="sqlite")
    sources, scope = maker.sources(0, ())
    text, columns = maker.chosen(f" FROM {sources}", scope, ())
    if maker.chance():
        return f"SELECT EXISTS ({text}) AS x"
    shown = maker.fewer([columns[0], columns[2]])
    return f"SELECT {', '.join(name for name, _ in shown)} FROM ({text}) AS t"


def statement(seed: int, dialect: str) -> str:
    """The query of a seed: larger and of more kinds than what hypothesis draws first."""
    return Maker(random.Random(seed).randint, guarded=False, dialect=dialect).statement()
