"""Draws what a service is checked with: the rows that it holds, and the arguments of its activities."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, get_origin

from purposeguard.containers import exclude, intersect
from purposeguard.extras import Needs
from purposeguard.testing._constants import Constants
from purposeguard.testing._drawing import NOWHERE, Drawing, Redrawing
from purposeguard.testing._leaves import Unsolvable, draw_from, make_source
from purposeguard.testing._models import unwrap_annotation
from purposeguard.testing._places import FieldPlace, FieldPlaces, is_tagged, places, replace_places, with_values_of
from purposeguard.testing._subjects import redraw_subject
from purposeguard.testing.values import simplest
from purposeguard.values.annotations import describe_kind, is_taggable
from purposeguard.values.tagging import sources_of

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.errors import InvalidArgument, StopTest, Unsatisfiable, UnsatisfiedAssumption

_TRIES: Final = 8
FIRST_CONSTANT: Final = 1_000
"""The number of the first rows that are made of constants."""
_KEYS: Final = (int, str)
"""The types of keys that are made distinct, and that arguments refer to."""


@dataclass
class Rows:
    """The parameters of an arrangement, and the values that were drawn for them.

    Attributes:
        annotations: Parameter → its annotation.
        given: Fixed values, and strategies, by parameter.
        constants: The constants of the code, which values are taken from.
    """

    annotations: Mapping[str, Any]
    given: Mapping[str, Any]
    constants: Constants
    end: int = sys.maxsize
    """The number of the first rows for which there are no more constants, once these were drawn."""
    _drawn: dict[int, dict[str, Any] | None] = field(default_factory=dict[int, "dict[str, Any] | None"])
    _twins: dict[object, dict[str, Any] | None] = field(default_factory=dict[object, "dict[str, Any] | None"])

    _constant_twins: dict[object, dict[str, Any] | None] = field(default_factory=dict[object, "dict[str, Any] | None"])

    def draw(self, nth: int) -> dict[str, Any] | None:
        """Return the n-th rows; always the same. None if validators refuse all that is tried.

        The first ones have an item in each container, and recognizable values in tagged fields. From `FIRST_CONSTANT`
        on, each value is the next constant of the code, until there are no more.

        Raises:
            Unsolvable: No strategy is known for a parameter.
        """
        if nth not in self._drawn:

            def draw_all(draw: st.DrawFn) -> dict[str, Any]:
                return self._draw_all(draw, nth)

            self._drawn[nth] = _draw_by_number(draw_all, nth) if nth else simplest(st.composite(draw_all)())
        return self._drawn[nth]

    def _draw_all(self, draw: st.DrawFn, nth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        drawing = _make_drawing(draw, nth, "rows", self.constants)
        if nth < FIRST_CONSTANT:
            for name, annotation in self.annotations.items():
                values[name] = _draw_value(drawing, name, annotation, self.given)
            return _link(values, self.annotations)
        for name, value in (self.draw(0) or {}).items():
            model = self.annotations[name]
            values[name] = Redrawing(drawing, sources_of(model)).value(value, model) if is_tagged(model) else value
        if not drawing.taken:
            self.end = min(self.end, nth)
        return values

    def draw_twin(
        self, values: Mapping[str, Any], fields: Collection[FieldPlaces], nth: int, number: int
    ) -> dict[str, Any] | None:
        """Return the values that another run has in fields that may not be used. `number` counts the runs."""
        own = [argument for argument in fields if argument.name in self.annotations]
        others = [argument for argument in fields if argument.name not in self.annotations]
        key = nth, number, tuple((argument.name, frozenset(argument.forbidden)) for argument in own)
        if key not in self._twins:
            twin = _draw_twins(values, own, number)
            self._twins[key] = None if twin is None else _link(twin, self.annotations, values)
        twin = self._twins[key]
        changed = _draw_twins(values, others, number)
        return None if twin is None or changed is None else {**twin, **changed}

    def simplify(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return values with the simplest content of all tagged fields of rows; None if validators refuse it."""

        def draw_all(draw: st.DrawFn) -> dict[str, Any]:
            changed = dict(values)
            for name, model in self.annotations.items():
                if is_tagged(model):
                    changed[name] = Redrawing(Drawing(draw), sources_of(model)).value(values[name], model)
            return changed

        with contextlib.suppress(Unsatisfiable):
            return simplest(st.composite(draw_all)())
        return None

    def draw_structure(
        self, values: Mapping[str, Any], argument: FieldPlaces, path: str, turn: int
    ) -> dict[str, Any] | None:
        """Return values with other items, or with None, at one path; each turn changes something else."""

        def draw_all(draw: st.DrawFn) -> dict[str, Any]:
            redrawing = Redrawing(Drawing(draw, turn=turn, marking=True, salt=f"item {turn}"), (), (path,))
            return {argument.name: redrawing.value(values[argument.name], argument.model)}

        changed = _draw_by_number(draw_all, turn)
        if changed is None or changed[argument.name] is values[argument.name]:
            return None
        return _link(changed, self.annotations, values)

    def draw_constants(
        self, values: Mapping[str, Any], fields: Collection[FieldPlaces], nth: int
    ) -> dict[str, Any] | None:
        """Return the first values with the n-th constant in each forbidden field; None if no field has so many."""
        key = nth, tuple((argument.name, frozenset(argument.forbidden)) for argument in fields)
        if all(argument.name in self.annotations for argument in fields) and key in self._constant_twins:
            return self._constant_twins[key]
        taken: set[str] = set()

        def draw_all(draw: st.DrawFn) -> dict[str, Any]:
            changed: dict[str, Any] = {}
            for argument in fields:
                drawing = Drawing(draw, constants=self.constants, nth=nth)
                redrawing = Redrawing(drawing, intersect(argument.forbidden, argument.tagged))
                changed[argument.name] = redrawing.value(values[argument.name], argument.model)
                taken.update(drawing.taken)
            return changed

        changed = _draw_by_number(draw_all, nth)
        self._constant_twins[key] = changed if taken else None
        return self._constant_twins[key]

    def draw_other_subject(
        self, values: Mapping[str, Any], fields: Collection[FieldPlaces], subject: str, number: int
    ) -> dict[str, Any] | None:
        """Return the values that another run has in these fields of one subject."""

        def draw_all(draw: st.DrawFn) -> dict[str, Any]:
            drawing = _make_drawing(draw, number, f"subject {number}")
            changed: dict[str, Any] = {}
            for argument in fields:
                own = values[argument.name]
                other = redraw_subject(drawing, own, argument.model, subject)
                changed[argument.name] = with_values_of(own, other, argument.model, argument.forbidden)
            return changed

        return _draw_by_number(draw_all, number)

    def list_keys(self, name: str, annotation: Any, rows: Mapping[str, Any], folder: str = "") -> list[Any]:
        """Return the values of rows that an argument may refer to, by its name or else by its type.

        `folder` is the segment before a parameter of a path: `/pending/{email}` refers to rows of `pending`,
        if they have such a field.
        """
        annotation, _ = unwrap_annotation(annotation, NOWHERE)
        if annotation not in _KEYS:
            return []
        nearest: list[Any] = []
        named: list[Any] = []
        ids: list[Any] = []
        for argument, model in self.annotations.items():
            for place in places(rows[argument], model) if is_tagged(model) else ():
                if type(place.content) is not annotation:
                    continue
                owner, last = _names_of(argument, place.path)
                if name in (last, f"{owner}_{last}") or (name == owner and last == "id"):
                    (nearest if owner == _singular(folder) else named).append(place.content)
                elif last == "id":
                    ids.append(place.content)
        return list(dict.fromkeys(nearest or named or ids))


@dataclass(frozen=True)
class Arguments:
    """The parameters of an activity.

    Attributes:
        annotations: Parameter → its annotation.
        optional: The parameters that have a default, which is used if nothing can be drawn.
        given: Fixed values, and strategies, by parameter.
        folders: Parameter of a path → the segment before it.
    """

    annotations: Mapping[str, Any]
    optional: Collection[str] = ()
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    folders: Mapping[str, str] = field(default_factory=dict[str, str])

    def draw(self, rows: Rows, values: Mapping[str, Any], nth: int) -> dict[str, Any] | None:
        """Return the n-th arguments for these rows; None if validators refuse all that is tried.

        Raises:
            Unsolvable: No strategy is known for a parameter.
        """
        return _draw_by_number(lambda draw: _draw_arguments(draw, self, rows, values, nth), nth)


def _draw_by_number(function: Callable[[st.DrawFn], dict[str, Any]], nth: int) -> dict[str, Any] | None:
    """Return what a function draws from a seed; None if nothing that is tried is valid."""
    strategy = st.composite(function)()  # Its arguments would be shown in errors.
    for attempt in range(_TRIES):
        with contextlib.suppress(StopTest, InvalidArgument, UnsatisfiedAssumption):
            return draw_from(make_source(nth * _TRIES + attempt), strategy)
    return None


def _make_drawing(draw: st.DrawFn, nth: int, salt: str, constants: Constants | None = None) -> Drawing:
    if nth >= FIRST_CONSTANT:
        return Drawing(draw, constants=constants, nth=nth - FIRST_CONSTANT)
    return Drawing(draw, marking=nth == 0, salt=salt, constants=constants)


def _draw_arguments(
    draw: st.DrawFn, arguments: Arguments, rows: Rows, values: Mapping[str, Any], nth: int
) -> dict[str, Any]:
    drawing = _make_drawing(draw, nth, "arguments", rows.constants)
    drawn: dict[str, Any] = {}
    for name, annotation in arguments.annotations.items():
        if name not in arguments.given and not is_tagged(annotation):
            keys = rows.list_keys(name, annotation, values, arguments.folders.get(name, ""))
            chosen = draw(st.integers(0, len(keys))) if 0 < nth < FIRST_CONSTANT else 0
            if chosen < len(keys):
                drawn[name] = keys[chosen]
                continue
        try:
            drawn[name] = _draw_value(drawing, name, annotation, arguments.given)
        except Unsolvable:
            if name not in arguments.optional:
                raise
    return drawn


def _draw_value(drawing: Drawing, name: str, annotation: Any, given: Mapping[str, Any]) -> Any:
    if name in given:
        return drawing.draw(given[name]) if isinstance(given[name], st.SearchStrategy) else given[name]
    try:
        _refuse_resource(annotation)
        return drawing.instance(annotation)
    except Unsolvable as error:
        raise Unsolvable(f"parameter `{name}`: {error}; pass a value or a strategy, `check(…, {name}=…)`") from error


def _refuse_resource(annotation: Any) -> None:
    """Raise Unsolvable for a class that is no data: a client, a session, a parameter without annotation."""
    plain, _ = unwrap_annotation(annotation, NOWHERE)
    if isinstance(plain, type) and get_origin(plain) is None and not (is_taggable(plain) or issubclass(plain, Enum)):
        package = plain.__module__.partition(".")[0]
        if package not in _DATA_PACKAGES:
            raise Unsolvable(f"no values are drawn for {describe_kind(plain)}")


_DATA_PACKAGES: Final = (
    *("builtins", "collections", "datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"),
    *("pydantic", "pydantic_core", "pydantic_extra_types", "annotated_types", "purposeguard"),
)
"""Packages whose classes are values."""


def _draw_twins(values: Mapping[str, Any], fields: Collection[FieldPlaces], nth: int) -> dict[str, Any] | None:
    """Return other values of arguments. The first ones are recognizable, the second ones the simplest."""

    def draw_all(draw: st.DrawFn) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for argument in fields:
            tagged = argument.tagged
            structures = exclude(argument.forbidden, tagged) if nth > 1 else ()
            redrawing = Redrawing(
                _make_drawing(draw, nth, f"twin {nth}"), intersect(argument.forbidden, tagged), structures
            )
            changed[argument.name] = redrawing.value(values[argument.name], argument.model)
        return changed

    if nth != 1:
        return _draw_by_number(draw_all, nth)
    with contextlib.suppress(Unsatisfiable):
        return simplest(st.composite(draw_all)())
    return None


# ---- Keys ---------------------------------------------------------------------------------------------------------


def _link(values: dict[str, Any], models: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values with distinct keys, and with references to rows that exist, as in a database.

    `id` is the key of its model, and `customer_id` refers to the ids of customers. With `before`, the values of the
    first run, keys and references stay where they can.
    """
    known = _Keys(before, models)
    linked: dict[str, Any] = {}
    for name, value in values.items():
        linked[name] = _replace_untagged(name, value, models.get(name), known.take)
    pool = _Keys({**(before or {}), **linked}, models)
    return {name: _replace_untagged(name, value, models.get(name), pool.refer) for name, value in linked.items()}


class _Keys:
    """The keys of rows, by the names of the rows."""

    def __init__(self, values: Mapping[str, Any] | None, models: Mapping[str, Any]) -> None:
        self._keeps = values is not None
        self._known: defaultdict[str, list[Any]] = defaultdict(list)
        self._taken: defaultdict[str, set[Any]] = defaultdict(set)
        self._referred: Counter[str] = Counter()
        for name, value in (values or {}).items():
            _replace_untagged(name, value, models.get(name), self._collect)

    def _collect(self, owner: str, last: str, old: Any) -> Any:
        if last == "id":
            self._known[owner].append(old)
        return old

    def take(self, owner: str, last: str, old: Any) -> Any:
        """Return the key of a row: the next number, or what it was if that is to stay and is not taken."""
        if last != "id":
            return old
        taken, known = self._taken[owner], self._known[owner]
        new = old
        if type(old) is int and (old in taken or not self._keeps):
            new = max([0, *filter(_is_integer, known), *filter(_is_integer, taken)]) + 1
        elif old in taken:
            new = f"{old}{len(taken) + 1}"
        taken.add(new)
        return new

    def refer(self, _owner: str, last: str, old: Any) -> Any:
        """Return a reference to a row that exists; the reference itself if it is not one, or refers to one."""
        keys = self._known.get(last.removesuffix("_id"), ()) if last.endswith("_id") else ()
        if not keys or type(keys[0]) is not type(old) or (self._keeps and old in keys):
            return old
        self._referred[last] += 1
        return keys[(self._referred[last] - 1) % len(keys)]


def _is_integer(key: object) -> bool:
    return type(key) is int


def _replace_untagged(argument: str, value: Any, model: Any, change: Callable[[str, str, Any], Any]) -> Any:
    """Return a copy of a value with other keys in places without a tag.

    `change` takes the name of the row, the name of the field, and the value.
    """
    if model is None or not is_tagged(model):
        return value
    tagged = sources_of(model)

    def choose(place: FieldPlace) -> Any:
        if type(place.value) not in _KEYS or place.path in tagged:
            return None
        return change(*_names_of(argument, place.path), place.value)

    return replace_places(value, model, choose)


def _names_of(argument: str, path: str) -> tuple[str, str]:
    """Return the name of the row that holds a place, in the singular, and that of the field."""
    *above, last = [argument, *filter(None, re.split(r"[.\[\]]+", path))]
    return _singular(above[-1] if above else argument), last


def _singular(name: str) -> str:
    for plural, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(plural) and not name.endswith("ss"):
            return name.removesuffix(plural) + singular
    return name
