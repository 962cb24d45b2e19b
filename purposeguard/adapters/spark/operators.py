"""Tracing the data flow in a Spark plan, operator by operator, from its relations up to its outputs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

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
from purposeguard.adapters.spark.memory import TAGGING, SparkMemory
from purposeguard.adapters.spark.plan import (
    Key,
    Listing,
    PlanNode,
    is_checkpoint,
    is_plan,
    iter_column_tags,
    key_of,
    outputs_of,
    read_plan,
    short,
    tree_of,
    words,
)
from purposeguard.adapters.tags import NOT_PERSONAL_TAG
from purposeguard.errors import UnresolvedStatement

_REQUIRED: Final = frozenset(
    {"order", "keys", "metrics", "partitionExpressions", "limitExpr", "offsetExpr", "eventTime"}
)
"""Fields by which operators decide rows. A null, for a field that Spark could not write, may mean anything."""

_LEFT_JOINS: Final = ("LeftSemi", "LeftAnti")
"""Joins whose output has only the columns of the first input."""

_JOINS: Final = (*_LEFT_JOINS, "Inner", "Cross", "LeftOuter", "RightOuter", "FullOuter")

_PASSING_OPERATORS: Final = words(
    "SubqueryAlias Subquery Sort LocalLimit GlobalLimit Tail Offset Sample Repartition RepartitionByExpression "
    "RebalancePartitions ResolvedHint UnresolvedHint PipeOperator WithWindowDefinition EventTimeWatermark "
    "CollectMetrics Deduplicate DeduplicateWithinWatermark"
)
"""Operators that pass on the columns of their input. Their expressions decide which rows remain."""


@dataclasses.dataclass(frozen=True, slots=True)
class TracedPlan:
    """The data flow of a frame."""

    outputs: tuple[tuple[str, SparkFlow], ...]
    """The names and flows of the columns, in order."""
    decides: frozenset[Atom]
    """The columns of relations that decide which rows the frame has."""
    relations: tuple[SparkRelation, ...]
    """The relations that the frame reads, by number."""

    @property
    def flowing(self) -> frozenset[Atom]:
        """The columns of relations that flow into the frame's columns."""
        return frozenset[Atom]().union(*{flow.atoms for _, flow in self.outputs})

    @property
    def used(self) -> frozenset[Atom]:
        """All columns of relations that can influence the result of the frame."""
        return self.decides | self.flowing

    def name_of(self, atom: Atom) -> str:
        """Return the name of the column that an atom stands for."""
        return self.relations[atom.relation].names[atom.column]

    def is_tagged(self, atom: Atom) -> bool:
        """Return True if the column that an atom stands for has a tag."""
        return self.relations[atom.relation].tags[atom.column] is not None


def trace_frame(frame: DataFrame, memory: SparkMemory) -> TracedPlan:
    """Trace the analysed plan of a frame. Nothing is run.

    Raises:
        UnresolvedStatement: the plan does not show what the frame reads.
    """
    java: Any = frame._jdf  # PySpark has no public way to the analysed plan.
    plan = java.queryExecution().analyzed()
    tracer = PlanTracer(memory, plan)
    out = tracer.trace(read_plan(str(plan.toJSON())))
    names = frame.columns
    flows = out.at()
    if flows is None or len(flows) != len(names):
        # The columns cannot be matched with the plan's, so each may come from all of them.
        flows = [SparkFlow(out.all())] * len(names)
    return TracedPlan(tuple(zip(names, flows, strict=True)), frozenset(tracer.decides), tuple(tracer.relations))


class PlanTracer(ExpressionReader):
    """A tracer of one plan.

    It collects in `relations` the relations that the plan reads, and in `decides` the columns that decide its rows.
    """

    def __init__(self, memory: SparkMemory, plan: Any) -> None:
        """Create a tracer.

        Args:
            memory: The cached tags and row rules.
            plan: The JVM object of the plan, asked for the tags of its relations once the memory lacks one.
        """
        super().__init__()
        self.relations: list[SparkRelation] = []
        self._memory = memory
        self._plan = plan
        self._asked = False
        self._ctes: dict[int, Out] = {}
        self._loops: dict[int, Atoms] = {}
        self._called: dict[tuple[int, str], int] = {}
        self._narrowed: dict[int, str] = {}
        self._tagged_above: set[tuple[int, int]] = set()  # columns of relations with a tag further up in the plan

    def trace(self, root: PlanNode, outer: Sequence[Out] = ()) -> Out:
        """Return the output of a plan.

        Raises:
            UnresolvedStatement: the plan refers to an undefined attribute or query.
        """
        traced_nodes: dict[int, Out] = {}
        pending: list[tuple[PlanNode, bool]] = [(root, False)]
        while pending:
            node, ready = pending.pop()
            if node.name == "UnionLoop":
                traced_nodes[id(node)] = self._trace_loop(node, outer)
            elif ready or not node.children:
                outs = [traced_nodes.pop(id(child)) for child in node.children]
                traced_nodes[id(node)] = self._trace_operator(node, SparkScope(outs, outer))
            else:
                pending.append((node, True))
                pending += ((child, False) for child in reversed(node.children))
        return traced_nodes[id(root)]

    def _trace_operator(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return the output of an operator from the outputs of its inputs."""
        trace_known = self._OPERATORS.get(node.name)
        if trace_known is None:
            return self._trace_unknown(node, scope)
        return trace_known(self, node, scope)

    def everything(self) -> Atoms:
        """Return every column of the relations read so far, even those that the plan has dropped since."""
        atoms: set[Atom] = set()
        for number, relation in enumerate(self.relations):
            rule = self._narrowed.get(number, "")
            for place in range(len(relation.names)):
                if (number, place) not in self._tagged_above:
                    atoms.add(Atom(number, place, rule))
        return frozenset(atoms)

    # ---- relations ---------------------------------------------------------------------------------------------------

    def _add_relation(self, name: str, names: Sequence[str], tags: Sequence[object]) -> int:
        """Add a relation, and return its number."""
        self.relations.append(SparkRelation(name, names, tags))
        return len(self.relations) - 1

    def _trace_relation(self, node: PlanNode) -> Out:
        """Return the output of a relation. Each of its columns comes from itself."""
        columns = outputs_of(node)
        if columns is None:
            number = self._add_relation(node.alias, ("?",), (None,))
            return Out(None, {}, frozenset({Atom(number, 0)}))
        number = len(self.relations)
        order: list[Key] = []
        names: list[str] = []
        tags: list[object] = []
        flows: dict[Key, SparkFlow] = {}
        for place, (key, name) in enumerate(columns):
            atom = Atom(number, place)
            order.append(key)
            names.append(name)
            tags.append(self._find_relation_tag(key, node))
            flows[key] = SparkFlow(frozenset({atom}), atom)
        self._add_relation(node.alias, names, tags)
        return Out(order, flows)

    def _find_relation_tag(self, key: Key, node: PlanNode) -> object:
        """Return the tag of a relation's column or its encoded text, or None if it has none."""
        if node.name == "Range":
            return NOT_PERSONAL_TAG
        if is_checkpoint(node):
            return None
        if not self._asked and not self._memory.knows(key):
            self._asked = True
            self._memory.learn(iter_column_tags(self._plan))
        return self._memory.get_tag(key)

    def _trace_no_relation(self, _node: PlanNode, _scope: SparkScope) -> Out:
        return EMPTY

    def _trace_cte(self, node: PlanNode, scope: SparkScope) -> Out:
        self._ctes[int(node.fields["id"])] = scope.inputs[0]
        return scope.inputs[0]

    def _trace_main_query(self, node: PlanNode, scope: SparkScope) -> Out:
        return scope.inputs[int(node.fields["plan"])]

    def _trace_cte_read(self, node: PlanNode, _scope: SparkScope) -> Out:
        out = self._ctes.get(int(node.fields["cteId"]))
        columns = outputs_of(node)
        if out is None or columns is None:
            raise UnresolvedStatement(f"nothing in the plan says what the query `{node.alias}` reads")
        return self._read_again(out, [key for key, _ in columns])

    def _read_again(self, out: Out, keys: Sequence[Key]) -> Out:
        """Return the output for a second read of a query.

        It has relations of its own, because its rows are not those of the first read.
        """
        renumber = functools.partial(self._renumber, {})
        flows = out.at()
        if flows is None or len(flows) != len(keys):
            return Out(keys, dict.fromkeys(keys, SparkFlow(frozenset(map(renumber, out.all())))))
        new_flows: dict[Key, SparkFlow] = {}
        for key, flow in zip(keys, flows, strict=True):
            atoms = frozenset(map(renumber, flow.atoms))
            new_flows[key] = SparkFlow(atoms, None if flow.same is None else renumber(flow.same))
        return Out(keys, new_flows)

    def _renumber(self, numbers: dict[int, int], atom: Atom) -> Atom:
        """Return the atom of the second read of a query.

        Args:
            numbers: The new number of each relation that was added for the second read. More are added here.
            atom: The atom of the first read.
        """
        if atom.relation not in numbers:
            numbers[atom.relation] = self._repeat_relation(atom.relation)
        return atom.in_relation(numbers[atom.relation])

    def _repeat_relation(self, number: int) -> int:
        """Add a relation once more, for another read of it. Return its new number."""
        new_number = len(self.relations)
        self.relations.append(self.relations[number])
        if number in self._narrowed:
            self._narrowed[new_number] = self._narrowed[number]
        for place in range(len(self.relations[number].names)):
            if (number, place) in self._tagged_above:
                self._tagged_above.add((new_number, place))
        return new_number

    def _trace_loop(self, node: PlanNode, outer: Sequence[Out]) -> Out:
        """Return the output of a recursive query. Its start and its step flow into all columns."""
        number = int(node.fields["id"])
        # The step reads the output of the query itself, which adds nothing to what is traced here.
        self._loops[number] = NONE
        outs = [self.trace(child, outer) for child in node.children]
        whole = mark_mixed(_unite_outputs(outs))
        self.decides |= whole
        keys = outs[0].order
        return Out(keys, {} if keys is None else dict.fromkeys(keys, SparkFlow(whole)), whole)

    def _trace_loop_read(self, node: PlanNode, _scope: SparkScope) -> Out:
        whole = self._loops.get(int(node.fields["loopId"]))
        if whole is None:
            raise UnresolvedStatement(f"nothing in the plan says what the query `{node.alias}` reads")
        return _let_flow_into_all(whole, outputs_of(node) or ())

    # ---- unary operators ---------------------------------------------------------------------------------------------

    def _trace_passing(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return the output of an operator that passes its columns on. Its expressions decide its rows."""
        for field, value in node.fields.items():
            if isinstance(value, list):
                listings = node.expressions(field)
                if value and listings is not None:
                    self.decides |= self.read(listings, scope)
            elif value is None and field in _REQUIRED:
                return self._trace_unknown(node, scope)
        return scope.inputs[0]

    def _trace_view(self, _node: PlanNode, scope: SparkScope) -> Out:
        return scope.inputs[0]

    def _trace_filter(self, node: PlanNode, scope: SparkScope) -> Out:
        listings = node.expressions("condition")
        if not listings:
            return self._trace_unknown(node, scope)
        narrowing = self._memory.match_kept_rule(listings[0], scope, self.relations)
        if narrowing is None:
            self.decides |= self.read(listings, scope)
            return scope.inputs[0]
        rule, relation = narrowing
        self._narrowed[relation] = rule
        return _apply_row_rule(scope.inputs[0], rule, relation)

    def _trace_distinct(self, _node: PlanNode, scope: SparkScope) -> Out:
        self.decides |= scope.inputs[0].all()
        return scope.inputs[0]

    def _trace_project(self, node: PlanNode, scope: SparkScope) -> Out:
        items = node.expressions("projectList")
        if items is None:
            return self._trace_unknown(node, scope)
        return self._trace_items(node, items, scope, across=False)

    def _trace_items(self, node: PlanNode, items: Sequence[Listing], scope: SparkScope, *, across: bool) -> Out:
        """Return the output of an operator that lists its columns one by one.

        Args:
            node: The operator.
            items: The expressions of the columns.
            scope: The outputs that the expressions may refer to.
            across: True if the expressions combine many rows, except for plain columns.
        """
        order: list[Key] = []
        flows: dict[Key, SparkFlow] = {}
        for place, item in enumerate(items):
            head = item[0]
            name = short(head)
            if name == "OuterReference" and isinstance(head.get("e"), list):
                key, flow = key_of(head["e"][0]), scope.flow(head["e"][0], outer_only=True)
            elif "exprId" not in head:
                return self._trace_unknown(node, scope)
            elif name == "AttributeReference":
                key, flow = key_of(head), scope.flow(head)
            else:
                key, flow = key_of(head), self._trace_item(node, item, place, scope, across=across)
            order.append(key)
            flows[key] = flow
        return Out(order, flows)

    def _trace_item(self, node: PlanNode, item: Listing, place: int, scope: SparkScope, *, across: bool) -> SparkFlow:
        """Return the flow of one column that an operator lists. See `_trace_items` for `across`."""
        inner = item[1:] if short(item[0]) == "Alias" else item
        if len(inner) == 1 and short(inner[0]) == "AttributeReference":
            return scope.flow(inner[0])
        atoms = self.read((inner,), scope)
        tagging = None if across else self._memory.tagging(inner)
        if tagging is None:
            return SparkFlow(mark_mixed(atoms) if across else atoms)
        call, tag = tagging
        own = self._add_tagged_column(node, call, str(item[0].get("name", place)), tag)
        same = scope.flow(inner[-1]).same if len(inner) == TAGGING + 1 else None
        if same is not None and not self._is_tagged(same):
            self._tagged_above.add((same.relation, same.column))
        # Columns without a tag get this tag. Columns with a tag keep theirs as well.
        return SparkFlow(frozenset({own, *filter(self._is_tagged, atoms)}), own)

    def _add_tagged_column(self, node: PlanNode, call: str, name: str, tag: object) -> Atom:
        """Add a column with the tag of a tagging expression. Return its atom.

        The columns that one call of `Spark.tagged` tagged in an operator form a relation of their own.
        """
        number = self._called.get((id(node), call))
        if number is None:
            number = self._called[id(node), call] = self._add_relation(node.alias, (), ())
        relation = self.relations[number]
        names = (*relation.names, name)
        self.relations[number] = SparkRelation(relation.name, names, (*relation.tags, tag))
        return Atom(number, len(names) - 1)

    def _is_tagged(self, atom: Atom) -> bool:
        return self.relations[atom.relation].tags[atom.column] is not None

    def _trace_aggregate(self, node: PlanNode, scope: SparkScope) -> Out:
        groups, items = node.expressions("groupingExpressions"), node.expressions("aggregateExpressions")
        if groups is None or items is None:
            return self._trace_unknown(node, scope)
        self.decides |= self.read(groups, scope)
        return self._trace_items(node, items, scope, across=True)

    def _trace_window(self, node: PlanNode, scope: SparkScope) -> Out:
        items = node.expressions("windowExpressions")
        first = scope.inputs[0]
        parts, sorts = node.expressions("partitionSpec"), node.expressions("orderSpec")
        if not items or first.order is None or parts is None or sorts is None:
            return self._trace_unknown(node, scope)
        self.decides |= self.read((*parts, *sorts), scope)  # the order of the rows reveals these columns
        window_out = self._trace_items(node, items, scope, across=True)
        order = None if window_out.order is None else (*first.order, *window_out.order)
        return Out(order, {**first.flows, **window_out.flows}, window_out.rest)

    def _trace_generate(self, node: PlanNode, scope: SparkScope) -> Out:
        generator, generated = node.expressions("generator"), node.expressions("generatorOutput")
        order = scope.inputs[0].order
        if not generator or generated is None or order is None or node.fields.get("unrequiredChildIndex") != []:
            return self._trace_unknown(node, scope)
        atoms = self.read(generator, scope)
        self.decides |= atoms  # the number of rows reveals these columns
        keys = [key_of(column[0]) for column in generated]
        return Out((*order, *keys), {**scope.inputs[0].flows, **dict.fromkeys(keys, SparkFlow(atoms))})

    def _trace_expand(self, node: PlanNode, scope: SparkScope) -> Out:
        cells, columns = node.expressions("projections"), outputs_of(node)
        if not cells or not columns or len(cells) % len(columns):
            return self._trace_unknown(node, scope)
        flows: dict[Key, SparkFlow] = {}
        for place, (key, _) in enumerate(columns):
            cell_flows = [self._trace_cell(cell, scope) for cell in cells[place :: len(columns)]]
            same = cell_flows[0].same if len(set(cell_flows)) == 1 else None
            flows[key] = SparkFlow(_unite_flows(cell_flows), same)
        return Out(list(flows), flows)

    def _trace_cell(self, listing: Listing, scope: SparkScope) -> SparkFlow:
        if len(listing) == 1 and short(listing[0]) == "AttributeReference":
            return scope.flow(listing[0])
        return SparkFlow(self.read((listing,), scope))

    # ---- several inputs -------------------------------------------------------------------------------------------

    def _trace_join(self, node: PlanNode, scope: SparkScope) -> Out:
        condition = node.expressions("condition")
        join_type = str(node.fields.get("joinType"))
        left, right = scope.inputs
        known = any(word in join_type for word in _JOINS)
        if condition is None or left.order is None or right.order is None or not known:
            return self._trace_unknown(node, scope)
        self.decides |= self.read(condition, scope)
        if any(word in join_type for word in _LEFT_JOINS):
            return left
        return _join_outputs(left, right)

    def _trace_lateral_join(self, node: PlanNode, scope: SparkScope) -> Out:
        query, condition = node.expressions("right"), node.expressions("condition")
        plan = query[0][0].get("plan") if query else None
        if condition is None or not isinstance(plan, list):
            return self._trace_unknown(node, scope)
        right = self.trace(tree_of(plan), (scope.inputs[0], *scope.outer))
        self.decides |= self.read([query[0][1:]] if query else [], scope)
        self.decides |= self.read(condition, SparkScope((scope.inputs[0], right), scope.outer))
        return _join_outputs(scope.inputs[0], right)

    def _trace_set_operation(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return the output of a set operation, whose columns have the ids of the first input.

        The inputs are combined by position. Of EXCEPT only the first input flows into the output.
        """
        outs = scope.inputs
        if node.name != "Union":
            self.decides |= _unite_outputs(outs)
        order = outs[0].order
        flows_by_input: list[Sequence[SparkFlow]] = []
        for out in outs[:1] if node.name == "Except" else outs:
            flows = out.at()
            if order is None or flows is None or len(flows) != len(order):
                return self._trace_unknown(node, scope)
            flows_by_input.append(flows)
        united_flows: dict[Key, SparkFlow] = {}
        for key, *flows in zip(order or (), *flows_by_input, strict=True):
            united_flows[key] = flows[0] if len(flows) == 1 else SparkFlow(_unite_flows(flows))
        return Out(order, united_flows)

    # ---- unknown operators -------------------------------------------------------------------------------------------

    def _trace_unknown(self, node: PlanNode, scope: SparkScope) -> Out:
        """Return the output of an unknown operator. It is assumed that all inputs flow into all outputs."""
        if not node.children:
            return self._trace_relation(node)
        reads = [out.all() for out in scope.inputs]
        made_of_these = Out(None, {}, unite_atoms(reads))  # the operator's own attributes
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
        return Out(None, {}, whole) if columns is None else _let_flow_into_all(whole, columns)

    _OPERATORS: ClassVar[Mapping[str, Callable[[Any, PlanNode, SparkScope], Out]]] = {
        **dict.fromkeys(_PASSING_OPERATORS, _trace_passing),
        "View": _trace_view,
        "OneRowRelation": _trace_no_relation,
        "CTERelationDef": _trace_cte,
        "CTERelationRef": _trace_cte_read,
        "UnionLoopRef": _trace_loop_read,
        "WithCTE": _trace_main_query,
        "Filter": _trace_filter,
        "Distinct": _trace_distinct,
        "Project": _trace_project,
        "Aggregate": _trace_aggregate,
        "Window": _trace_window,
        "Generate": _trace_generate,
        "Expand": _trace_expand,
        "Join": _trace_join,
        "LateralJoin": _trace_lateral_join,
        "Union": _trace_set_operation,
        "Intersect": _trace_set_operation,
        "Except": _trace_set_operation,
    }
    """The methods that trace the known operators, by the name of the operator."""


def _unite_outputs(outs: Iterable[Out]) -> Atoms:
    """Return the atoms of all columns of some outputs."""
    return unite_atoms(map(Out.all, outs))


def _unite_flows(flows: Iterable[SparkFlow]) -> Atoms:
    """Return the atoms of some flows together."""
    return unite_atoms(flow.atoms for flow in flows)


def _let_flow_into_all(atoms: Atoms, columns: Iterable[tuple[Key, str]]) -> Out:
    """Return the output in which the same atoms flow into each of these columns, and into any other."""
    order = [key for key, _ in columns]
    return Out(order, dict.fromkeys(order, SparkFlow(atoms)), atoms)


def _join_outputs(left: Out, right: Out) -> Out:
    """Return the output with the columns of both inputs of a join."""
    rest = None if left.rest is None and right.rest is None else unite_atoms((left.rest or NONE, right.rest or NONE))
    order = None if left.order is None or right.order is None else (*left.order, *right.order)
    flows = {**left.flows, **right.flows}
    for key in left.flows.keys() & right.flows.keys():
        flows[key] = SparkFlow(left.flows[key].atoms | right.flows[key].atoms)
    return Out(order, flows, rest)


def _apply_row_rule(out: Out, rule: str, relation: int) -> Out:
    """Return the output after a row rule, with the rule in the atoms of the relation."""

    def mark_kept(atom: Atom) -> Atom:
        return atom.after_rule(rule) if atom.relation == relation and not atom.mixed else atom

    marked_atoms: dict[Atoms, Atoms] = {}
    flows: dict[Key, SparkFlow] = {}
    for key, flow in out.flows.items():
        atoms = marked_atoms.get(flow.atoms)
        if atoms is None:
            atoms = marked_atoms[flow.atoms] = frozenset(map(mark_kept, flow.atoms))
        flows[key] = SparkFlow(atoms, None if flow.same is None else mark_kept(flow.same))
    return Out(out.order, flows, out.rest)
