"""Lineage in Spark: which columns of which relations a plan's outputs come from, and what else decides of its rows.

Attributes are followed by their ids, within each operator, down to the relations. Operators that are not known here are
taken to use all that they are given, and to let it flow into all that they give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from purposeguard.adapters.spark.plan import (
    Key,
    Listing,
    Node,
    is_plan,
    key_of,
    output_of,
    short,
    tree_of,
    within,
    words,
)
from purposeguard.errors import UnresolvedStatement


class Atom(NamedTuple):
    """A column of a relation, by number. `kept`: the row rule that its rows met, 0 for none.

    `mixed`: it is of other rows than the one that it stands in: an aggregate, a window, an opaque function.
    """

    relation: int
    column: int
    kept: int = 0
    mixed: bool = False


Atoms = frozenset[Atom]
NONE: Final[Atoms] = frozenset()


class Flow(NamedTuple):
    """What a column of a plan comes from; `same` is the column of a relation whose values it holds unchanged."""

    atoms: Atoms
    same: Atom | None = None


class Out:
    """What an operator gives: its columns in order (None where that is not known), and what each comes from.

    `rest` is what a column comes from that is not among them; None where there is none.
    """

    __slots__ = ("flows", "order", "rest")

    def __init__(self, order: Sequence[Key] | None, flows: Mapping[Key, Flow], rest: Atoms | None = None) -> None:
        self.order = order
        self.flows = flows
        self.rest = rest

    def all(self) -> Atoms:
        """What any of its columns comes from."""
        return united((*(flow.atoms for flow in self.flows.values()), self.rest or NONE))

    def at(self) -> list[Flow] | None:
        """Its columns by their places; None where their order is not known."""
        return None if self.order is None else [self.flows[key] for key in self.order]


EMPTY: Final = Out((), {})


class Relation:
    """A relation that a plan reads: its name where it has one, the names of its columns, and what they bear.

    `bears` is what says a column's tag, None where nothing does: the text of its metadata, or the tag itself.
    """

    __slots__ = ("bears", "name", "names")

    def __init__(self, name: str, names: Sequence[str], bears: Sequence[object]) -> None:
        self.name = name
        self.names = tuple(_told_apart(names))
        self.bears = tuple(bears)

    @property
    def shape(self) -> tuple[object, ...]:
        """What two reads of one relation have in common."""
        return self.names, self.bears


def _told_apart(names: Sequence[str]) -> Iterable[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def united(parts: Iterable[Atoms]) -> Atoms:
    """The atoms of all; the very set where only one has any."""
    sets = [atoms for atoms in dict.fromkeys(parts) if atoms]
    return sets[0] if len(sets) == 1 else NONE.union(*sets)


def mixed(atoms: Atoms) -> Atoms:
    """The same, of whatever rows."""
    return frozenset(atom._replace(mixed=True) for atom in atoms)


class Scope(NamedTuple):
    """What an expression may refer to: what the operator is given, and what is outside of the query that it is in."""

    given: Sequence[Out]
    outer: Sequence[Out] = ()

    def flow(self, fields: Mapping[str, Any], *, outer_only: bool = False) -> Flow:
        """What an attribute comes from.

        Raises:
            UnresolvedStatement: nothing defines it.
        """
        key = key_of(fields)
        outs = (*(() if outer_only else self.given), *self.outer)
        for out in outs:
            flow = out.flows.get(key)
            if flow is not None:
                return flow
        rest = [out.rest for out in outs if out.rest is not None]
        if rest:
            return Flow(united(rest))
        raise UnresolvedStatement(f"nothing in the plan says where `{fields.get('name', key[0])}` comes from")


WHOLE: Final = frozenset(
    {"BoundReference", "GetColumnByOrdinal", "UnresolvedDeserializer", "UnresolvedAttribute", "UnresolvedStar"}
)
"""Expressions that may read anything that they are given."""

OF_FILES: Final = words("InputFileName InputFileBlockStart InputFileBlockLength")
"""Expressions that tell of the file that a row is from. Any column may say which it is in, and be in its name."""

OUTSIDE: Final = frozenset({"VariableReference"})
"""Expressions that read what is no part of the plan."""


BATCHED: Final = words("PythonUDF PythonUDTF PythonUDAF")
"""Functions of Python: they are given many rows at a time, and may give of one what they were given of another."""


class Reader:
    """Reads expressions: what flows into them, and (into `decides`) what decides of rows in the queries within."""

    def __init__(self) -> None:
        self.decides: set[Atom] = set()

    def query(self, plan: Node, outer: Sequence[Out]) -> Out:
        """What a query within an expression gives; done by whoever reads plans."""
        raise NotImplementedError

    def everything(self) -> Atoms:
        """Every column of the relations that were read so far, those that are gone from the plan since as well."""
        raise NotImplementedError

    def read(self, listings: Iterable[Listing], scope: Scope) -> Atoms:
        """What flows into expressions."""
        reads: list[Atoms] = []
        for listing in listings:
            if len(listing) == 1 and short(listing[0]) == "AttributeReference":
                reads.append(scope.flow(listing[0]).atoms)
            else:
                own: list[Atoms] = []
                self._read(listing, scope, own)
                batched = any(short(one) in BATCHED for one in listing)
                reads.append(mixed(united(own)) if batched else united(own))
        return united(reads)

    def _read(self, listing: Listing, scope: Scope, reads: list[Atoms]) -> None:
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
                reads += (scope.flow(one[0], outer_only=True).atoms for _, one in within(fields))
            elif name in OF_FILES:
                reads.append(self.everything())
            elif name in OUTSIDE:
                raise UnresolvedStatement("the frame reads a variable of the session, and nothing says what is in it")
            elif name in WHOLE:
                reads += (out.all() for out in scope.given)
            else:
                queries = [one for _, one in within(fields) if is_plan(one)]
                if queries:
                    # Its children tie it to the query outside: that decides what it gives, as a condition does.
                    end = _end(listing, place - 1)
                    self.decides |= self.read((listing[place:end],), scope)
                    place = end
                    reads += (self._of_query(name, self.query(tree_of(one), _outer(scope))) for one in queries)
                reads += (self.read((one,), scope) for _, one in within(fields) if not is_plan(one))

    def _of_query(self, name: str, out: Out) -> Atoms:
        """What flows from a query within an expression into it."""
        if name == "Exists":
            return NONE
        if name == "ScalarSubquery" and out.order:
            return mixed(out.flows[out.order[0]].atoms)
        return mixed(out.all())


def _outer(scope: Scope) -> tuple[Out, ...]:
    return (*scope.given, *scope.outer)


def _end(listing: Listing, place: int) -> int:
    """Where the tree that begins at a place ends."""
    missing = 1
    while missing and place < len(listing):
        missing += int(listing[place]["num-children"]) - 1
        place += 1
    return place


def outputs_of(node: Node) -> list[tuple[Key, str]] | None:
    """The attributes, with their names, that a node says it gives; None where it does not say it."""
    columns = output_of(node)
    return None if columns is None else [(key_of(column), str(column.get("name", ""))) for column in columns]
