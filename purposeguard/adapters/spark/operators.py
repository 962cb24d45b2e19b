"""Tracing a plan of Spark, operator by operator, from its relations up to what it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pyspark.sql import DataFrame

from purposeguard.adapters.spark.lineage import (
    EMPTY,
    NONE,
    Atom,
    Atoms,
    ExpressionReader,
    Out,
    SparkFlow,
    SparkRelation,
    SparkScope,
    mark_mixed,
    unite_atoms,
)
from purposeguard.adapters.spark.memory import NOT_PERSONAL, TAGGING, SparkMemory
from purposeguard.adapters.spark.plan import (
    Key,
    Listing,
    PlanNode,
    borne,
    is_checkpoint,
    is_plan,
    key_of,
    outputs_of,
    read_plan,
    short,
    tree_of,
    words,
)
from purposeguard.errors import UnresolvedStatement


@dataclasses.dataclass(frozen=True, slots=True)
class TracedPlan:
    """What a frame reads: its columns with what each comes from, what decides of its rows, and the relations below."""

    outputs: tuple[tuple[str, SparkFlow], ...]
    decides: frozenset[Atom]
    relations: tuple[SparkRelation, ...]

    @property
    def used(self) -> frozenset[Atom]:
        """Every column that can make a difference to what the frame gives."""
        return self.decides.union(*{flow.atoms for _, flow in self.outputs})

    def name_of(self, atom: Atom) -> str:
        """Return the name of a relation's column."""
        return self.relations[atom.relation].names[atom.column]


def trace_frame(frame: DataFrame, memory: SparkMemory) -> TracedPlan:
    """What a frame reads, by its analysed plan. Nothing is run.

    Raises:
        UnresolvedStatement: the plan does not tell.
    """
    java: Any = frame._jdf
    plan = java.queryExecution().analyzed()
    tracer = PlanTracer(memory, plan)
    out = tracer.trace(read_plan(str(plan.toJSON())))
    names = frame.columns
    flows = out.at()
    if flows is None or len(flows) != len(names):
        flows = [SparkFlow(out.all())] * len(names)
    return TracedPlan(tuple(zip(names, flows, strict=True)), frozenset(tracer.decides), tuple(tracer.relations))


class PlanTracer(ExpressionReader):
    """Traces one plan. `relations`: those that it reads, by number. `decides`: the columns that decide its rows."""

    def __init__(self, memory: SparkMemory, plan: Any) -> None:
        """`plan` is asked once for the tags of its relations, if the memory does not know one of them."""
        super().__init__()
        self.relations: list[SparkRelation] = []
        self._memory = memory
        self._plan = plan
        self._asked = False
        self._ctes: dict[int, Out] = {}
        self._loops: dict[int, Atoms] = {}
        self._called: dict[tuple[int, str], int] = {}
        self._narrowed: dict[int, str] = {}
        self._tagged_above: set[tuple[int, int]] = set()  # columns of relations that are tagged further up

    def trace(self, root: PlanNode, outer: Sequence[Out] = ()) -> Out:
        """Return the output of a plan.

        Raises:
            UnresolvedStatement: it refers to an undefined attribute or query.
        """
        traced_nodes: dict[int, Out] = {}
        pending: list[tuple[PlanNode, bool]] = [(root, False)]
        while pending:
            node, ready = pending.pop()
            if node.name == "UnionLoop":
                traced_nodes[id(node)] = self._loop(node, outer)
            elif ready or not node.children:
                outs = [traced_nodes.pop(id(child)) for child in node.children]
                traced_nodes[id(node)] = _OPERATORS.get(node.name, PlanTracer._unknown)(
                    self, node, SparkScope(outs, outer)
                )
            else:
                pending.append((node, True))
                pending += ((child, False) for child in reversed(node.children))
        return traced_nodes[id(root)]

    def everything(self) -> Atoms:
        """Return every column of the relations read so far, also of those that the plan has dropped since."""
        return frozenset(
            Atom(number, place, self._narrowed.get(number, ""))
            for number, relation in enumerate(self.relations)
            for place in range(len(relation.names))
            if (number, place) not in self._tagged_above
        )

    # ---- relations ---------------------------------------------------------------------------------------------------

    def relation(self, name: str, names: Sequence[str], bears: Sequence[object]) -> int:
        """Add a relation; return its number."""
        self.relations.append(SparkRelation(name, names, bears))
        return len(self.relations) - 1

    def _leaf(self, node: PlanNode, _scope: SparkScope) -> Out:
        columns = outputs_of(node)
        if columns is None:
            number = self.relation(node.alias, ("?",), (None,))
            return Out(None, {}, frozenset({Atom(number, 0)}))
        number = self.relation(node.alias, [name for _, name in columns], [self._tag(key, node) for key, _ in columns])
        atoms = [Atom(number, place) for place in range(len(columns))]
        flows = {key: SparkFlow(frozenset({atom}), atom) for (key, _), atom in zip(columns, atoms, strict=True)}
        return Out([key for key, _ in columns], flows)

    def _tag(self, key: Key, node: PlanNode) -> object:
        """Return the tag of a relation's column, or its text; None if it has none."""
        if node.name == "Range":
            return NOT_PERSONAL
        if is_checkpoint(node):
            return None
        if not self._asked and not self._memory.knows(key):
            self._asked = True
            self._memory.learn(borne(self._plan))
        return self._memory.bears(key)

    def _nothing(self, _node: PlanNode, _scope: SparkScope) -> Out:
        return EMPTY

    def _cte(self, node: PlanNode, scope: SparkScope) -> Out:
        self._ctes[int(node.fields["id"])] = scope.inputs[0]
        return scope.inputs[0]

    def _with_ctes(self, node: PlanNode, scope: SparkScope) -> Out:
        return scope.inputs[int(node.fields["plan"])]

    def _cte_read(self, node: PlanNode, _scope: SparkScope) -> Out:
        out, columns = self._ctes.get(int(node.fields["cteId"])), outputs_of(node)
        if out is None or columns is None:
            raise UnresolvedStatement(f"nothing in the plan says what the query `{node.alias}` reads")
        return self._anew(out, [key for key, _ in columns])

    def _anew(self, out: Out, keys: Sequence[Key]) -> Out:
        """Return a second read of the same query, with relations of its own: its rows are not those of the first."""
        numbers: dict[int, int] = {}

        def other(atom: Atom) -> Atom:
            number = numbers.get(atom.relation)
            if number is None:
                self.relations.append(self.relations[atom.relation])
                number = numbers[atom.relation] = len(self.relations) - 1
                if atom.relation in self._narrowed:
                    self._narrowed[number] = self._narrowed[atom.relation]
                self._tagged_above |= {
                    (number, place) for relation, place in self._tagged_above if relation == atom.relation
                }
            return atom._replace(relation=number)

        flows = out.at()
        if flows is None or len(flows) != len(keys):
            return Out(keys, dict.fromkeys(keys, SparkFlow(frozenset(map(other, out.all())))))
        made = [
            SparkFlow(frozenset(map(other, flow.atoms)), None if flow.same is None else other(flow.same))
            for flow in flows
        ]
        return Out(keys, dict(zip(keys, made, strict=True)))

    def _loop(self, node: PlanNode, outer: Sequence[Out]) -> Out:
        """Return a recursive query: its start and its step flow into each of its columns."""
        number = int(node.fields["id"])
        # Its step reads its own output, which adds nothing beyond what is read here.
        self._loops[number] = NONE
        outs = [self.trace(child, outer) for child in node.children]
        whole = mark_mixed(unite_atoms(out.all() for out in outs))
        self.decides |= whole
        keys = outs[0].order
        return Out(keys, {} if keys is None else dict.fromkeys(keys, SparkFlow(whole)), whole)

    def _loop_read(self, node: PlanNode, _scope: SparkScope) -> Out:
        whole = self._loops.get(int(node.fields["loopId"]))
        if whole is None:
            raise UnresolvedStatement(f"nothing in the plan says what the query `{node.alias}` reads")
        columns = outputs_of(node) or []
        return Out([key for key, _ in columns], {key: SparkFlow(whole) for key, _ in columns}, whole)

    # ---- rows of one -------------------------------------------------------------------------------------------------

    def _through(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return an operator that passes its columns on; its expressions decide its rows."""
        for field, value in node.fields.items():
            if isinstance(value, list):
                listings = node.expressions(field)
                if value and listings is not None:
                    self.decides |= self.read(listings, scope)
            elif value is None and field in _REQUIRED:
                return self._unknown(node, scope)
        return scope.inputs[0]

    def _view(self, _node: PlanNode, scope: SparkScope) -> Out:
        return scope.inputs[0]

    def _filter(self, node: PlanNode, scope: SparkScope) -> Out:
        listings = node.expressions("condition")
        if not listings:
            return self._unknown(node, scope)
        narrowing = self._memory.match_kept_rule(listings[0], scope, self.relations)
        if narrowing is None:
            self.decides |= self.read(listings, scope)
            return scope.inputs[0]
        rule, relation = narrowing
        self._narrowed[relation] = rule
        return _apply_row_rule(scope.inputs[0], rule, relation)

    def _distinct(self, _node: PlanNode, scope: SparkScope) -> Out:
        self.decides |= scope.inputs[0].all()
        return scope.inputs[0]

    def _project(self, node: PlanNode, scope: SparkScope) -> Out:
        items = node.expressions("projectList")
        if items is None:
            return self._unknown(node, scope)
        return self._items(node, items, scope, across=False)

    def _items(self, node: PlanNode, items: Sequence[Listing], scope: SparkScope, *, across: bool) -> Out:
        """Return columns given one by one. `across`: each is made of many rows, unless it is a plain column."""
        order: list[Key] = []
        flows: dict[Key, SparkFlow] = {}
        for place, item in enumerate(items):
            head = item[0]
            name = short(head)
            if name == "OuterReference" and isinstance(head.get("e"), list):
                key, flow = key_of(head["e"][0]), scope.flow(head["e"][0], outer_only=True)
            elif "exprId" not in head:
                return self._unknown(node, scope)
            elif name == "AttributeReference":
                key, flow = key_of(head), scope.flow(head)
            else:
                key, flow = key_of(head), self._item(node, item, place, scope, across=across)
            order.append(key)
            flows[key] = flow
        return Out(order, flows)

    def _item(self, node: PlanNode, item: Listing, place: int, scope: SparkScope, *, across: bool) -> SparkFlow:
        inner = item[1:] if short(item[0]) == "Alias" else item
        if len(inner) == 1 and short(inner[0]) == "AttributeReference":
            return scope.flow(inner[0])
        atoms = self.read((inner,), scope)
        tagging = None if across else self._memory.tagging(inner)
        if tagging is None:
            return SparkFlow(mark_mixed(atoms) if across else atoms)
        call, tag = tagging
        number = self._called.get((id(node), call))
        if number is None:
            number = self._called[id(node), call] = self.relation(node.alias, (), ())
        relation = self.relations[number]
        names = (*relation.names, str(item[0].get("name", place)))
        self.relations[number] = SparkRelation(relation.name, names, (*relation.bears, tag))
        own = Atom(number, len(names) - 1)
        same = scope.flow(inner[-1]).same if len(inner) == TAGGING + 1 else None
        if same is not None and self._bears(same) is None:
            self._tagged_above.add((same.relation, same.column))
        # Columns without a tag get this one; columns with a tag keep theirs beside it.
        return SparkFlow(frozenset({own, *(atom for atom in atoms if self._bears(atom) is not None)}), own)

    def _bears(self, atom: Atom) -> object:
        return self.relations[atom.relation].bears[atom.column]

    def _aggregate(self, node: PlanNode, scope: SparkScope) -> Out:
        groups, items = node.expressions("groupingExpressions"), node.expressions("aggregateExpressions")
        if groups is None or items is None:
            return self._unknown(node, scope)
        self.decides |= self.read(groups, scope)
        return self._items(node, items, scope, across=True)

    def _window(self, node: PlanNode, scope: SparkScope) -> Out:
        items = node.expressions("windowExpressions")
        first = scope.inputs[0]
        parts, sorts = node.expressions("partitionSpec"), node.expressions("orderSpec")
        if not items or first.order is None or parts is None or sorts is None:
            return self._unknown(node, scope)
        self.decides |= self.read((*parts, *sorts), scope)  # rows lie in this order from here on
        made = self._items(node, items, scope, across=True)
        order = None if made.order is None else (*first.order, *made.order)
        return Out(order, {**first.flows, **made.flows}, made.rest)

    def _generate(self, node: PlanNode, scope: SparkScope) -> Out:
        generator, made = node.expressions("generator"), node.expressions("generatorOutput")
        order = scope.inputs[0].order
        if not generator or made is None or order is None or node.fields.get("unrequiredChildIndex") != []:
            return self._unknown(node, scope)
        atoms = self.read(generator, scope)
        self.decides |= atoms  # how many rows there are
        keys = [key_of(column[0]) for column in made]
        return Out((*order, *keys), {**scope.inputs[0].flows, **dict.fromkeys(keys, SparkFlow(atoms))})

    def _expand(self, node: PlanNode, scope: SparkScope) -> Out:
        cells, columns = node.expressions("projections"), outputs_of(node)
        if not cells or not columns or len(cells) % len(columns):
            return self._unknown(node, scope)
        flows: dict[Key, SparkFlow] = {}
        for place, (key, _) in enumerate(columns):
            parts = [self._item_flow(cell, scope) for cell in cells[place :: len(columns)]]
            same = parts[0].same if len(set(parts)) == 1 else None
            flows[key] = SparkFlow(unite_atoms(flow.atoms for flow in parts), same)
        return Out([key for key, _ in columns], flows)

    def _item_flow(self, listing: Listing, scope: SparkScope) -> SparkFlow:
        if len(listing) == 1 and short(listing[0]) == "AttributeReference":
            return scope.flow(listing[0])
        return SparkFlow(self.read((listing,), scope))

    # ---- rows of several ---------------------------------------------------------------------------------------------

    def _join(self, node: PlanNode, scope: SparkScope) -> Out:
        condition = node.expressions("condition")
        kind = str(node.fields.get("joinType"))
        left, right = scope.inputs
        if condition is None or left.order is None or right.order is None or not any(word in kind for word in _JOINS):
            return self._unknown(node, scope)
        self.decides |= self.read(condition, scope)
        if any(word in kind for word in _LEFT_ALONE):
            return left
        return _join_outputs(left, right)

    def _lateral(self, node: PlanNode, scope: SparkScope) -> Out:
        query, condition = node.expressions("right"), node.expressions("condition")
        plan = query[0][0].get("plan") if query else None
        if condition is None or not isinstance(plan, list):
            return self._unknown(node, scope)
        right = self.trace(tree_of(plan), (scope.inputs[0], *scope.outer))
        self.decides |= self.read([query[0][1:]] if query else [], scope)
        self.decides |= self.read(condition, SparkScope((scope.inputs[0], right), scope.outer))
        return _join_outputs(scope.inputs[0], right)

    def _trace_set_operation(self, node: PlanNode, scope: SparkScope) -> Out:
        """Columns stacked by position; they have the ids of the first input. Of EXCEPT only the first flows on."""
        outs = scope.inputs
        if node.name != "Union":
            self.decides |= unite_atoms(out.all() for out in outs)
        columns = [out.at() for out in (outs[:1] if node.name == "Except" else outs)]
        order = outs[0].order
        if order is None or any(column_flows is None or len(column_flows) != len(order) for column_flows in columns):
            return self._unknown(node, scope)
        flows: dict[Key, SparkFlow] = {}
        for key, parts in zip(order, zip(*(column_flows or [] for column_flows in columns), strict=True), strict=True):
            flows[key] = parts[0] if len(parts) == 1 else SparkFlow(unite_atoms(flow.atoms for flow in parts))
        return Out(order, flows)

    # ---- whatever else there is --------------------------------------------------------------------------------------

    def _unknown(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return an unknown or opaque operator: it uses all its inputs, and they flow into all its outputs."""
        if not node.children:
            return self._leaf(node, scope)
        reads = [out.all() for out in scope.inputs]
        made_of_these = Out(None, {}, unite_atoms(reads))  # its own attributes
        scope = SparkScope((*scope.inputs, made_of_these), scope.outer)
        for field in node.fields:
            for listing in node.expressions(field) or ():
                if is_plan(listing):
                    reads.append(self.trace(tree_of(listing), scope.inputs).all())
                else:
                    reads.append(self.read((listing,), scope))
        whole = mark_mixed(unite_atoms(reads))
        self.decides |= whole
        columns = outputs_of(node)
        if columns is None:
            return Out(None, {}, whole)
        return Out([key for key, _ in columns], {key: SparkFlow(whole) for key, _ in columns}, whole)


def _join_outputs(left: Out, right: Out) -> Out:
    rest = None if left.rest is None and right.rest is None else unite_atoms((left.rest or NONE, right.rest or NONE))
    order = None if left.order is None or right.order is None else (*left.order, *right.order)
    flows = {**left.flows, **right.flows}
    for key in left.flows.keys() & right.flows.keys():
        flows[key] = SparkFlow(left.flows[key].atoms | right.flows[key].atoms)
    return Out(order, flows, rest)


def _apply_row_rule(out: Out, rule: str, relation: int) -> Out:
    """Return the output after a row rule: atoms of the relation note the rule."""

    def mark_kept(atom: Atom) -> Atom:
        return atom._replace(kept=rule) if atom.relation == relation and not atom.mixed else atom

    known: dict[Atoms, Atoms] = {}
    flows: dict[Key, SparkFlow] = {}
    for key, flow in out.flows.items():
        atoms = known.get(flow.atoms)
        if atoms is None:
            atoms = known[flow.atoms] = frozenset(map(mark_kept, flow.atoms))
        flows[key] = SparkFlow(atoms, None if flow.same is None else mark_kept(flow.same))
    return Out(out.order, flows, out.rest)


_REQUIRED: Final = frozenset(
    {"order", "keys", "metrics", "partitionExpressions", "limitExpr", "offsetExpr", "eventTime"}
)
"""Fields in which these operators decide rows: null, where Spark cannot write one, means anything."""

_LEFT_ALONE: Final = ("LeftSemi", "LeftAnti")
_JOINS: Final = (*_LEFT_ALONE, "Inner", "Cross", "LeftOuter", "RightOuter", "FullOuter")

_Operator = Callable[[PlanTracer, PlanNode, SparkScope], Out]

_THROUGH: Final = words(
    "SubqueryAlias Subquery Sort LocalLimit GlobalLimit Tail Offset Sample Repartition RepartitionByExpression "
    "RebalancePartitions ResolvedHint UnresolvedHint PipeOperator WithWindowDefinition EventTimeWatermark "
    "CollectMetrics Deduplicate DeduplicateWithinWatermark"
)

_OPERATORS: Final[Mapping[str, _Operator]] = {
    **dict.fromkeys(_THROUGH, PlanTracer._through),
    "View": PlanTracer._view,
    "OneRowRelation": PlanTracer._nothing,
    "CTERelationDef": PlanTracer._cte,
    "CTERelationRef": PlanTracer._cte_read,
    "UnionLoopRef": PlanTracer._loop_read,
    "WithCTE": PlanTracer._with_ctes,
    "Filter": PlanTracer._filter,
    "Distinct": PlanTracer._distinct,
    "Project": PlanTracer._project,
    "Aggregate": PlanTracer._aggregate,
    "Window": PlanTracer._window,
    "Generate": PlanTracer._generate,
    "Expand": PlanTracer._expand,
    "Join": PlanTracer._join,
    "LateralJoin": PlanTracer._lateral,
    "Union": PlanTracer._trace_set_operation,
    "Intersect": PlanTracer._trace_set_operation,
    "Except": PlanTracer._trace_set_operation,
}
