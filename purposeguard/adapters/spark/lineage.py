"""Lineage in Spark: the columns of relations that a plan's outputs come from, and those that decide its rows.

Attributes are followed by their ids through each operator down to the relations. An unknown operator is assumed to use
all its inputs, and to let them flow into all its outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
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
    """A column of a relation, as a source of data flow."""

    relation: int
    """The number of the relation."""
    column: int
    """The position of the column."""
    kept: str = ""
    """The token of the row rule that its rows passed, or an empty string."""
    mixed: bool = False
    """True if the value may come from other rows, through an aggregate, a window or an opaque function."""

    def as_mixed(self) -> Atom:
        """Return the atom marked as mixed."""
        return self._replace(mixed=True)

    def in_relation(self, number: int) -> Atom:
        """Return the atom of the same column in another read of the relation."""
        return self._replace(relation=number)

    def after_rule(self, token: str) -> Atom:
        """Return the atom of the column after its rows passed a row rule."""
        return self._replace(kept=token)


Atoms = frozenset[Atom]
NONE: Final[Atoms] = frozenset()


class SparkFlow(NamedTuple):
    """The columns of relations that a column of a plan comes from."""

    atoms: Atoms
    same: Atom | None = None
    """The column whose values it holds unchanged, or None."""


_ATOMS_OF: Final = attrgetter("atoms")


class Out(NamedTuple):
    """The output of an operator."""

    order: Sequence[Key] | None
    """The columns in order, or None if the order is unknown."""
    flows: Mapping[Key, SparkFlow]
    """The flow into each column."""
    rest: Atoms | None = None
    """The atoms that any other column comes from, or None if there are no other columns."""

    def all(self) -> Atoms:
        """Return the atoms of all columns together."""
        return unite_atoms((*map(_ATOMS_OF, self.flows.values()), self.rest or NONE))

    def at(self) -> list[SparkFlow] | None:
        """Return the flows of the columns in order, or None if the order is unknown."""
        return None if self.order is None else list(map(self.flows.__getitem__, self.order))


EMPTY: Final = Out((), {})


class SparkRelation:
    """A relation that a plan reads: its name, which may be empty, the names of its columns, and their tags.

    `tags` holds the tag of each column, its encoded text, or None if it has none.
    """

    __slots__ = ("name", "names", "tags")

    def __init__(self, name: str, names: Sequence[str], tags: Sequence[object]) -> None:
        self.name = name
        self.names = tuple(_distinct(names))
        self.tags = tuple(tags)

    @property
    def shape(self) -> tuple[object, ...]:
        """The names and tags of the columns, which two reads of a relation share."""
        return self.names, self.tags


def _distinct(names: Sequence[str]) -> Iterable[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def unite_atoms(parts: Iterable[Atoms]) -> Atoms:
    """Return the union of sets of atoms. If only one set has atoms, return that same object."""
    sets = list(filter(None, dict.fromkeys(parts)))
    return sets[0] if len(sets) == 1 else NONE.union(*sets)


def mark_mixed(atoms: Atoms) -> Atoms:
    """Return the atoms marked as mixed, because their values may come from any row."""
    return frozenset(map(Atom.as_mixed, atoms))


class SparkScope(NamedTuple):
    """The outputs that an expression may refer to: the inputs of its operator, and those of the queries around it."""

    inputs: Sequence[Out]
    outer: Sequence[Out] = ()

    def flow(self, fields: Mapping[str, Any], *, outer_only: bool = False) -> SparkFlow:
        """Return the flow of the attribute that an expression refers to.

        Raises:
            UnresolvedStatement: nothing defines the attribute.
        """
        key = key_of(fields)
        outs = self.outer if outer_only else (*self.inputs, *self.outer)
        rest: list[Atoms] = []
        for out in outs:
            flow = out.flows.get(key)
            if flow is not None:
                return flow
            if out.rest is not None:
                rest.append(out.rest)
        if rest:
            return SparkFlow(unite_atoms(rest))
        raise UnresolvedStatement(f"nothing in the plan says where `{fields.get('name', key[0])}` comes from")


WHOLE: Final = frozenset(
    {"BoundReference", "GetColumnByOrdinal", "UnresolvedDeserializer", "UnresolvedAttribute", "UnresolvedStar"}
)
"""Expressions that may read all inputs."""

OF_FILES: Final = words("InputFileName InputFileBlockStart InputFileBlockLength")
"""Expressions that reveal the file of a row. The name of a file may reveal the value of any column."""

OUTSIDE: Final = frozenset({"VariableReference"})
"""Expressions that read something outside the plan."""

BATCHED: Final = words("PythonUDF PythonUDTF PythonUDAF")
"""Python functions, which get many rows at a time and may mix them."""


class ExpressionReader:
    """A reader of the data flow into expressions.

    It collects in `decides` the atoms that decide about the rows of queries inside expressions.
    """

    def __init__(self) -> None:
        self.decides: set[Atom] = set()

    def trace(self, root: PlanNode, outer: Sequence[Out] = ()) -> Out:
        """Return the output of a plan, such as that of a subquery. Subclasses implement this."""
        raise NotImplementedError

    def everything(self) -> Atoms:
        """Return every column of the relations read so far, even those that the plan has dropped since."""
        raise NotImplementedError

    def read(self, listings: Iterable[Listing], scope: SparkScope) -> Atoms:
        """Return the atoms that flow into expressions."""
        reads: list[Atoms] = []
        for listing in listings:
            if len(listing) == 1 and short(listing[0]) == "AttributeReference":
                reads.append(scope.flow(listing[0]).atoms)
            else:
                own: list[Atoms] = []
                self._read(listing, scope, own)
                atoms = unite_atoms(own)
                batched = not BATCHED.isdisjoint(map(short, listing))
                reads.append(mark_mixed(atoms) if batched else atoms)
        return unite_atoms(reads)

    def _read(self, listing: Listing, scope: SparkScope, reads: list[Atoms]) -> None:
        """Add to `reads` the atoms that flow into an expression."""
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
                reads += (scope.flow(tree[0], outer_only=True).atoms for tree in iter_inner_trees(fields))
            elif name in OF_FILES:
                reads.append(self.everything())
            elif name in OUTSIDE:
                raise UnresolvedStatement("the frame reads a variable of the session, and nothing says what is in it")
            elif name in WHOLE:
                reads += (out.all() for out in scope.inputs)
            else:
                place = self._read_inner_trees(listing, place, scope, reads)

    def _read_inner_trees(self, listing: Listing, place: int, scope: SparkScope, reads: list[Atoms]) -> int:
        """Add to `reads` the atoms that flow from the fields of the expression before a position.

        Returns:
            The position to continue at. The children of an expression with queries are skipped.
        """
        fields = listing[place - 1]
        queries: list[Listing] = []
        expressions: list[Listing] = []
        for tree in iter_inner_trees(fields):
            (queries if is_plan(tree) else expressions).append(tree)
        if queries:
            # The children correlate the query with the outer one. Like a condition, they decide its result.
            end = _find_tree_end(listing, place - 1)
            self.decides |= self.read((listing[place:end],), scope)
            place = end
            outer = (*scope.inputs, *scope.outer)
            for query in queries:
                out = self.trace(tree_of(query), outer)
                reads.append(self._read_subquery(short(fields), out))
        reads.append(self.read(expressions, scope))
        return place

    def _read_subquery(self, name: str, out: Out) -> Atoms:
        """Return the atoms that flow from a subquery with this output into the expression around it."""
        if name == "Exists":
            return NONE
        if name == "ScalarSubquery" and out.order:
            return mark_mixed(out.flows[out.order[0]].atoms)
        return mark_mixed(out.all())


def _find_tree_end(listing: Listing, place: int) -> int:
    """Return the position after the tree that begins at a position of a listing."""
    missing = 1
    while missing and place < len(listing):
        missing += int(listing[place]["num-children"]) - 1
        place += 1
    return place
