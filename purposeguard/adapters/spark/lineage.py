"""Lineage in Spark: the columns of relations that a plan's outputs come from, and those that decide its rows.

Attributes are followed by their ids, within each operator, down to the relations. An unknown operator is taken to use
all its inputs, and to let them flow into all its outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from purposeguard.adapters.spark.plan import (
    Key,
    Listing,
    PlanNode,
    is_plan,
    iter_inner_trees,
    key_of,
    short,
    tree_of,
    words,
)
from purposeguard.errors import UnresolvedStatement


class Atom(NamedTuple):
    """A column of a relation, by number. `kept`: the token of the row rule that its rows met, empty for none.

    `mixed`: it is of other rows than the one that it stands in: an aggregate, a window, an opaque function.
    """

    relation: int
    column: int
    kept: str = ""
    mixed: bool = False


Atoms = frozenset[Atom]
NONE: Final[Atoms] = frozenset()


class SparkFlow(NamedTuple):
    """What a column of a plan comes from; `same`: the column of a relation whose values it holds unchanged."""

    atoms: Atoms
    same: Atom | None = None


class Out(NamedTuple):
    """The output of an operator: its columns in order (None if unknown), and what each comes from.

    `rest` is what any other column comes from; None if there is none.
    """

    order: Sequence[Key] | None
    flows: Mapping[Key, SparkFlow]
    rest: Atoms | None = None

    def all(self) -> Atoms:
        """What any of its columns comes from."""
        return unite_atoms((*(flow.atoms for flow in self.flows.values()), self.rest or NONE))

    def at(self) -> list[SparkFlow] | None:
        """Return its columns by their places; None where their order is not known."""
        return None if self.order is None else [self.flows[key] for key in self.order]


EMPTY: Final = Out((), {})


class SparkRelation:
    """A relation that a plan reads: its name, if it has one, the names of its columns, and their tags.

    `bears`: for each column its tag, or the text of it in its metadata; None if it has none.
    """

    __slots__ = ("bears", "name", "names")

    def __init__(self, name: str, names: Sequence[str], bears: Sequence[object]) -> None:
        self.name = name
        self.names = tuple(_distinct(names))
        self.bears = tuple(bears)

    @property
    def shape(self) -> tuple[object, ...]:
        """What two reads of one relation have in common."""
        return self.names, self.bears


def _distinct(names: Sequence[str]) -> Iterable[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def unite_atoms(parts: Iterable[Atoms]) -> Atoms:
    """Return the union; the same object if only one set has atoms."""
    sets = [atoms for atoms in dict.fromkeys(parts) if atoms]
    return sets[0] if len(sets) == 1 else NONE.union(*sets)


def mark_mixed(atoms: Atoms) -> Atoms:
    """Return the same atoms, of any rows."""
    return frozenset(atom._replace(mixed=True) for atom in atoms)


class SparkScope(NamedTuple):
    """What an expression may refer to: the inputs of its operator, and the scopes around its query."""

    inputs: Sequence[Out]
    outer: Sequence[Out] = ()

    def flow(self, fields: Mapping[str, Any], *, outer_only: bool = False) -> SparkFlow:
        """What an attribute comes from.

        Raises:
            UnresolvedStatement: nothing defines it.
        """
        key = key_of(fields)
        outs = (*(() if outer_only else self.inputs), *self.outer)
        for out in outs:
            flow = out.flows.get(key)
            if flow is not None:
                return flow
        rest = [out.rest for out in outs if out.rest is not None]
        if rest:
            return SparkFlow(unite_atoms(rest))
        raise UnresolvedStatement(f"nothing in the plan says where `{fields.get('name', key[0])}` comes from")


WHOLE: Final = frozenset(
    {"BoundReference", "GetColumnByOrdinal", "UnresolvedDeserializer", "UnresolvedAttribute", "UnresolvedStar"}
)
"""Expressions that may read anything that they are given."""

OF_FILES: Final = words("InputFileName InputFileBlockStart InputFileBlockLength")
"""Expressions that tell of the file that a row is from. Any column may say which it is in, and be in its name."""

OUTSIDE: Final = frozenset({"VariableReference"})
"""Expressions that read something outside of the plan."""


BATCHED: Final = words("PythonUDF PythonUDTF PythonUDAF")
"""Functions of Python: they get many rows at a time, and may mix them."""


class ExpressionReader:
    """Reads expressions: what flows into them, and (into `decides`) what decides of rows in the queries within."""

    def __init__(self) -> None:
        self.decides: set[Atom] = set()

    def trace(self, root: PlanNode, outer: Sequence[Out] = ()) -> Out:
        """Return the outputs of a plan, such as that of a subquery. The class that reads plans implements it."""
        raise NotImplementedError

    def everything(self) -> Atoms:
        """Every column of the relations that were read so far, those that are gone from the plan since as well."""
        raise NotImplementedError

    def read(self, listings: Iterable[Listing], scope: SparkScope) -> Atoms:
        """What flows into expressions."""
        reads: list[Atoms] = []
        for listing in listings:
            if len(listing) == 1 and short(listing[0]) == "AttributeReference":
                reads.append(scope.flow(listing[0]).atoms)
            else:
                own: list[Atoms] = []
                self._read(listing, scope, own)
                batched = any(short(expression) in BATCHED for expression in listing)
                reads.append(mark_mixed(unite_atoms(own)) if batched else unite_atoms(own))
        return unite_atoms(reads)

    def _read(self, listing: Listing, scope: SparkScope, reads: list[Atoms]) -> None:
        place = 0
        while place < len(listing):
            fields = listing[place]
            name = short(fields)
            place += 1
            if name == "AttributeReference":
                reads.append(scope.flow(fields).atoms)
            elif name == "Literal":
                continue
            elif name == "OuterReference":
                reads += (scope.flow(part[0], outer_only=True).atoms for part in iter_inner_trees(fields))
            elif name in OF_FILES:
                reads.append(self.everything())
            elif name in OUTSIDE:
                raise UnresolvedStatement("the frame reads a variable of the session, and nothing says what is in it")
            elif name in WHOLE:
                reads += (out.all() for out in scope.inputs)
            else:
                queries = [part for part in iter_inner_trees(fields) if is_plan(part)]
                if queries:
                    # Its children tie it to the outer query: like a condition, they decide its result.
                    end = _end(listing, place - 1)
                    self.decides |= self.read((listing[place:end],), scope)
                    place = end
                    outer = (*scope.inputs, *scope.outer)
                    reads += (self._of_query(name, self.trace(tree_of(part), outer)) for part in queries)
                reads += (self.read((part,), scope) for part in iter_inner_trees(fields) if not is_plan(part))

    def _of_query(self, name: str, out: Out) -> Atoms:
        """What flows from a query within an expression into it."""
        if name == "Exists":
            return NONE
        if name == "ScalarSubquery" and out.order:
            return mark_mixed(out.flows[out.order[0]].atoms)
        return mark_mixed(out.all())


def _end(listing: Listing, place: int) -> int:
    """Where the tree that begins at a place ends."""
    missing = 1
    while missing and place < len(listing):
        missing += int(listing[place]["num-children"]) - 1
        place += 1
    return place
