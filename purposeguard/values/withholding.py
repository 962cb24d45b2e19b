"""Withholding: copies of values without the fields that a use may not open.

Withholding walks a value along the shape of its annotation. A value that the annotation does not describe may be
anything that the annotation allows, so it is refused if any of that is denied. A copy without some fields is an
instance of a subclass made for it, so `isinstance` holds and methods work. The copy does not hold the withheld values
in any form: reading one raises. Other data of the object (cached properties, private attributes, extra keys) is left
behind too, since it may have been made from withheld fields. The object itself is returned only if nothing that can be
read from it, stored or computed, must be left out.
"""

from __future__ import annotations

import abc
import collections
import copy
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel
from typing_extensions import override

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values import pydantic
from purposeguard.values.annotations import can_have_statements, is_attrs, is_namedtuple, is_taggable
from purposeguard.values.columns import ColumnarRows, to_columnar_rows
from purposeguard.values.copying import Copies, compile_row_copier
from purposeguard.values.plan import ValuePlan, format_value_name, make_plan, undeclared_entries
from purposeguard.values.rows import read_row_contexts
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import SILENT, Shape
from purposeguard.values.undeclared import FAILED, Computed, compute
from purposeguard.values.walk import MAX_COMPUTED_DEPTH, REFUSED, RowContexts, ValueWalk, can_rebuild
from purposeguard.values.withheld import (
    GONE,
    PINNED,
    ClassCache,
    Pinned,
    RefusingAttribute,
    WithheldRecord,
    declared_fields,
    is_copy,
    original_class,
    pinned_names,
    pinned_values,
    visible_fields,
    withheld_record,
)

_HEAP_TYPE: Final = 1 << 9
"""The flag of classes that are written in Python."""

_INIT_VAR: Final = dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]  # There is no public way to recognize an `InitVar`.


NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class _AttrsFields(tuple[Any, ...]):
    """The attributes of an attrs class, by position and by name, as `attrs.fields` gives them."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        for attribute in self:
            if attribute.name == name:
                return attribute
        raise AttributeError(name)


def make_withholding_class(
    cls: Any, fields: tuple[str, ...], record: WithheldRecord, pinned: Collection[str] = frozenset()
) -> type:
    """Make a subclass of `cls` for copies without the fields that `record` denies.

    Args:
        cls: The class of the object that is copied.
        fields: All declared fields of the class.
        record: The decisions about the withheld fields. Reading one of them raises.
        pinned: Computed fields whose values the copies keep as they were when the object was inspected.

    Raises:
        UnlabelledData: instances of `cls` may hold data where it cannot be withheld.
    """
    denied = frozenset(record.decisions)
    names = tuple(name for name in fields if name not in denied)
    namespace: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__purposeguard_withheld__": record,
        "__purposeguard_fields__": fields,
        "__eq__": _is_equal,
        "__ne__": _is_unequal,
        "__hash__": _hash if cls.__hash__ is not None else None,
        "__copy__": _copy,
        "__deepcopy__": _deepcopy,
        "__reduce_ex__": _reduce,
    }
    if (not cls.__dictoffset__ and not pinned) or issubclass(cls, BaseModel):
        namespace["__slots__"] = ()
    if pinned:
        namespace |= {name: Pinned(name) for name in pinned} | {PINNED: frozenset(pinned)}
    if issubclass(cls, dict):
        return cast("type", type(cls)(cls.__name__, (_InitSubclassShield, cls), namespace | _DICT_METHODS))
    foreign = [base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE and base is not object]
    if foreign and not is_namedtuple(cls):
        raise UnlabelledData(
            f"{cls.__qualname__} is a {foreign[0].__name__} and may hold its data there, where it cannot be withheld"
        )
    namespace |= {name: RefusingAttribute(name) for name in denied}
    namespace |= {"__repr__": _repr, "__str__": _repr, "__format__": _format}
    if issubclass(cls, BaseModel):
        # Pydantic's metaclass would build a new schema, but the parent's is enough.
        namespace |= pydantic.METHODS
        return cast("type", abc.ABCMeta.__new__(type(cls), cls.__name__, (_InitSubclassShield, cls), namespace))
    namespace["__match_args__"] = tuple(name for name in getattr(cls, "__match_args__", ()) if name not in denied)
    if is_namedtuple(cls):
        return cast(
            "type", type(cls)(cls.__name__, (_InitSubclassShield, cls), namespace | _TUPLE_METHODS | {"_fields": names})
        )
    namespace["__init__"] = _init
    if hasattr(cls, "__dataclass_fields__"):
        remaining = {name: field for name, field in cls.__dataclass_fields__.items() if name not in denied}
        namespace["__dataclass_fields__"] = remaining
    if hasattr(cls, "__pydantic_serializer__"):  # This is a pydantic dataclass.
        namespace["__pydantic_serializer__"] = pydantic.OwnSerializer()
    if is_attrs(cls):
        namespace["__attrs_attrs__"] = _AttrsFields(
            attribute for attribute in cls.__attrs_attrs__ if attribute.name not in denied
        )
    return cast("type", type(cls)(cls.__name__, (_InitSubclassShield, cls), namespace))


class _InitSubclassShield:
    """A base before the copied class that keeps its `__init_subclass__` from running for the copy's class."""

    __slots__ = ()

    def __init_subclass__(cls, **_kwargs: object) -> None: ...


def extra_state(value: Any) -> dict[str, Any]:
    """Return the state that an object keeps besides its values: the fields that were set, or its default factory."""
    if isinstance(value, BaseModel):
        return {"fields_set": set(value.__pydantic_fields_set__)}
    if isinstance(value, collections.defaultdict):
        return {"default_factory": value.default_factory}
    return {}


def fill(cls: type, visible: Mapping[str, Any], beside: Mapping[str, Any], pinned: Mapping[str, Any] = NOTHING) -> Any:
    """Make an instance of a class, perhaps from `make_withholding_class`, with these values and no others."""
    instance = get_filler(cls)(visible, beside)
    if pinned:
        instance.__dict__.update(pinned)
    return instance


Filler = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

_FILLER: Final = "__purposeguard_filler__"
"""The attribute in which a class keeps the function that makes instances of it."""


def get_filler(cls: type) -> Filler:
    """Return a function that makes instances of a class from their values and extra state. Cached in the class."""
    filler: Filler | None = vars(cls).get(_FILLER)
    if filler is None:
        filler = _make_filler(cls)
        if can_have_statements(cls):  # Classes that are written in C have no attributes of their own.
            type.__setattr__(cls, _FILLER, filler)
    return filler


def _make_filler(cls: type) -> Filler:
    model: Any = cls
    if issubclass(cls, dict):
        return functools.partial(_fill_dict, cls)
    if issubclass(cls, tuple):
        names = model.__purposeguard_fields__
        return lambda visible, _: tuple.__new__(cls, [visible.get(name, GONE) for name in names])
    if issubclass(cls, BaseModel):
        return pydantic.make_pydantic_filler(cls)
    # Iterate over a copy: another thread may store an attribute in the class meanwhile.
    by_methods: set[str] = set()
    for base in cls.__mro__:
        by_methods.update(name for name, member in vars(base).copy().items() if hasattr(type(member), "__set__"))
    if hasattr(cls, "_sa_class_manager"):  # SQLAlchemy reads its attributes from `__dict__`.
        by_methods.clear()

    def fill_instance(visible: Mapping[str, Any], _beside: Mapping[str, Any]) -> Any:
        instance: Any = object.__new__(cls)
        if cls.__dictoffset__ and by_methods.isdisjoint(visible):
            instance.__dict__.update(visible)
        else:
            for name, value in visible.items():
                object.__setattr__(instance, name, value)
        return instance

    return fill_instance


def _fill_dict(cls: Any, visible: Mapping[str, Any], beside: Mapping[str, Any]) -> Any:
    # Only the methods of OrderedDict keep its order.
    kind: Any = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    instance = kind.__new__(cls)
    kind.update(instance, visible)
    if "default_factory" in beside:
        instance.default_factory = beside["default_factory"]
    return instance


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in visible_fields(self).items())
    return f"{original_class(self).__qualname__}({fields})"


def _format(self: Any, spec: str) -> str:
    return format(str(self), spec)


def _comparison_key(instance: Any) -> tuple[object, ...]:
    return original_class(instance), frozenset(withheld_record(instance).decisions), visible_fields(instance)


def _is_equal(self: Any, other: Any) -> bool:
    # A copy equals no object that has the field: otherwise comparisons would reveal the value.
    return hasattr(type(other), "__purposeguard_withheld__") and _comparison_key(self) == _comparison_key(other)


def _is_unequal(self: Any, other: Any) -> bool:
    return not _is_equal(self, other)


def _hash(self: Any) -> int:
    base, denied, visible = _comparison_key(self)
    return hash((base, denied, tuple(cast("dict[str, Any]", visible).items())))


def _copy(self: Any) -> Any:
    return fill(type(self), visible_fields(self), extra_state(self), pinned_values(self))


def _deepcopy(self: Any, memo: dict[int, Any] | None = None) -> Any:
    visible, pinned = copy.deepcopy((visible_fields(self), pinned_values(self)), memo)
    return fill(type(self), visible, extra_state(self), pinned)


class _State(NamedTuple):
    """The state of a pickled copy.

    Attributes:
        visible: Field → value.
        beside: The extra state, as `extra_state` returns it.
        pinned_names: The names of the computed fields whose values copies of this class keep.
        pinned: Computed field → value.
    """

    visible: dict[str, Any]
    beside: dict[str, Any]
    pinned_names: tuple[str, ...]
    pinned: dict[str, Any]


def _reduce(self: Any, _protocol: int) -> tuple[Any, ...]:
    names = tuple(sorted(pinned_names(type(self))))
    state = _State(visible_fields(self), extra_state(self), names, pinned_values(self))
    return _restore_copy, (original_class(self), declared_fields(self), withheld_record(self), state)


_known = ClassCache()


def _restore_copy(cls: type, fields: tuple[str, ...], record: WithheldRecord, state: _State) -> Any:
    """Restore a copy that was pickled. Reading a withheld field raises as before, but is not recorded in the ledger."""
    why = tuple((name, decision.headline) for name, decision in record.decisions.items())
    key = (cls, fields, why, record.activity, record.function, state.pinned_names)
    copy_class = _known.get(key, lambda: make_withholding_class(cls, fields, record, state.pinned_names))
    return fill(copy_class, state.visible, state.beside, state.pinned)


def _init(self: Any, **changes: Any) -> None:
    """Set the fields that are left by name, as the `__init__` that `dataclasses.replace` and `attrs.evolve` call."""
    denied = withheld_record(self).decisions
    declared: dict[str, Any] = getattr(type(self), "__dataclass_fields__", {})
    aliases = {attribute.alias: attribute.name for attribute in getattr(type(self), "__attrs_attrs__", ())}
    for name, value in changes.items():
        field = aliases.get(name, name)
        if name in declared and declared[name]._field_type is _INIT_VAR:
            continue  # An `InitVar` is only an argument of the original `__init__`, which does not run.
        if field in denied or field not in declared_fields(self):
            raise TypeError(
                f"{original_class(self).__qualname__}: `{field}` is withheld or no field and cannot be given"
            )
        object.__setattr__(self, field, value)
    for name, spec in declared.items():
        if not spec.init and name not in changes:
            if spec.default is not dataclasses.MISSING:
                object.__setattr__(self, name, spec.default)
            elif spec.default_factory is not dataclasses.MISSING:
                object.__setattr__(self, name, spec.default_factory())


def _dict_missing(self: Any, key: Any) -> Any:
    if key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    inherited = getattr(super(type(self), self), "__missing__", None)
    if inherited is None:
        raise KeyError(key)
    return inherited(key)


def _dict_get(self: Any, key: Any, default: Any = None) -> Any:
    return self[key] if key in self or key in withheld_record(self).decisions else default


def _dict_pop(self: Any, key: Any, *default: Any) -> Any:
    if key not in self and key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    return dict.pop(self, key, *default)


def _dict_setdefault(self: Any, key: Any, default: Any = None) -> Any:
    if key not in self and key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    return dict.setdefault(self, key, default)


_DICT_METHODS: Final = {
    "__missing__": _dict_missing,
    "get": _dict_get,
    "pop": _dict_pop,
    "setdefault": _dict_setdefault,
    "copy": _copy,
}


def _tuple_iter(self: Any) -> Iterator[Any]:
    return (item for item in tuple.__iter__(self) if item is not GONE)


def _tuple_len(self: Any) -> int:
    return sum(1 for _ in _tuple_iter(self))


def _tuple_getitem(self: Any, index: Any) -> Any:
    item = tuple.__getitem__(self, index)
    if item is GONE:
        withheld_record(self).refuse(declared_fields(self)[index])
    return tuple(part for part in item if part is not GONE) if isinstance(index, slice) else item


def _tuple_replace(self: Any, /, **changes: Any) -> Any:
    visible = visible_fields(self)
    unknown = sorted(changes.keys() - visible.keys())
    if unknown:
        raise TypeError(
            f"{original_class(self).__qualname__}: {', '.join(unknown)} withheld or no fields and cannot be given"
        )
    return fill(type(self), visible | changes, {}, pinned_values(self))


_TUPLE_METHODS: Final = {
    "__iter__": _tuple_iter,
    "__len__": _tuple_len,
    "__getitem__": _tuple_getitem,
    "_replace": _tuple_replace,
    "__replace__": _tuple_replace,
}

Stream = Callable[[Any, Shape, str, RowContexts], Any]


Denies = Callable[[Label, RowContexts, str], Decision | None]
"""A function that returns the denial of a label, for these row contexts and the field at a path; None if allowed."""


class FieldWithholder(ValueWalk):
    """A walk that withholds the fields that a use may not open.

    Args:
        denies: Returns the decision if a label may not be used with these row contexts, and None if it may.
        denies_seal: Decides likewise about a sealed value, without opening it.
        refuse: Raises the decision, or lets it pass if denials are only observed.
        record: Makes the record for the copies from which these fields are withheld.
        key: Tells uses apart that decide or report differently.
        classes: The cache of the classes of copies.
        met: Gets all models that are returned, themselves or as copies.
        stream: Wraps an iterator or a coroutine of this shape, at this path, with these contexts. The wrapper checks
            each step.
        row_contexts: The contexts of all data in the value that states no other.
        used: Is called with each label that is allowed, and the number of rows.
        is_told: Whether denials are recorded and let pass, so that each row is asked about anew.
        ask_ahead: Is called with the subjects of many rows before the rows are looked at.
        observing: Whether denials are only recorded, so that data outside of the fields of a row stays there even if it
            cannot be understood.
    """

    def __init__(
        self,
        *,
        denies: Denies,
        denies_seal: Denies,
        refuse: Callable[[Decision, str | None], None],
        record: Callable[[Mapping[str, Decision]], WithheldRecord],
        key: tuple[object, ...],
        classes: ClassCache,
        met: list[Any],
        stream: Stream,
        row_contexts: RowContexts = (),
        used: Callable[[Label, RowContexts, int], None] | None = None,
        is_told: bool = False,
        ask_ahead: Callable[[list[str]], object] | None = None,
        observing: bool = False,
    ) -> None:
        super().__init__(ask_ahead)
        self._denies = denies
        self._denies_seal = denies_seal
        self._refuse = refuse
        self._record = record
        self._key = key
        self._classes = classes
        self._met = met
        self._stream = stream
        self._row_contexts = row_contexts
        self._used = used
        self._is_told = is_told
        self._denials: dict[tuple[ValuePlan, RowContexts], dict[str, Decision]] = {}
        self._copies: dict[tuple[ValuePlan, RowContexts, frozenset[str]], type] = {}
        self._computed: dict[tuple[ValuePlan, RowContexts], Mapping[str, Computed]] = {}
        self._observing = observing
        self._changing: set[int] = set()
        self._held_below: dict[int, Any] = {}

    def apply(self, value: Any, shape: Shape, path: str = "") -> Any:
        """Return `value` itself, or a copy without the data that may not be used.

        Raises:
            PurposeViolation: the value itself may not be used, or is not what its annotation says and may hold
                what may not be used.
            UnlabelledData: the value is of a class that nothing can be withheld from.
        """
        if value is None:
            return value
        self._require_allowed(shape.own_label, path, self._row_contexts)
        try:
            return self.visit(value, shape, path, self._row_contexts)
        except _SealDenied as denied:  # A seal that is in no field is refused with the whole value.
            decision = denied.decision
        self._refuse(decision, path or None)
        return value  # pragma: no cover  # A use that only observes denies no seal.

    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Check whether a seal may be opened, and the label of a value of an unannounced kind."""
        if plan.later:
            return self._stream(value, plan.shape, path, around)
        self._require_allowed(plan.whole, path, around)
        if isinstance(value, Sealed):
            decision = self._denies_seal(value.label, around, path)
            if decision is not None:
                raise _SealDenied(decision)
        return value

    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Withhold from each item. Refuse a container that cannot be rebuilt if any data that it may hold is denied."""
        self._require_allowed(plan.whole if can_rebuild(value) else plan.shape.label_of_all(), path, around)
        result = super().visit_container(value, plan, path, around)
        if result is not value:
            self._must_not_be_held_below(value, plan, path)
        return result

    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Return the row itself, or a copy without the fields that may not be used."""
        read: dict[str, Any] = {}
        # A row without marks belongs to the subjects of the row around it.
        if plan.marks:
            around = read_row_contexts(row, plan, read, around) or around
        self._require_allowed(plan.whole, path, around)
        denied = self._find_denied_fields(plan, around, 1, path)
        is_plain = plan.are_plain((row,))
        if is_plain and not denied and not plan.computed:
            self._met.append(row)
            return row
        sealed: dict[str, Decision] = {}
        visible: dict[str, Any] = {}
        changed = bool(denied)
        if changed:
            self._changing.add(id(row))
        for name, shape, value in plan.iter_values(row, read, denied):
            try:
                visible[name] = (
                    value if is_plain else self.visit(value, shape, f"{path}.{name}" if path else name, around)
                )
            except _SealDenied as refused:
                sealed[name] = refused.decision
            else:
                changed = changed or visible[name] is not value
        changed = changed or bool(sealed or undeclared_entries(row, plan.fields or {}))
        changed = changed or not (is_plain or self._may_keep_state(row, plan, path, around))
        if changed or (plan.computed and not self._may_keep_computed(row, plan, path, around)):
            self._must_not_be_held_below(row, plan, path)
            row = self._copy(row, plan, path, around, visible=visible, denied=denied, sealed=sealed)
        self._met.append(row)
        return row

    @override
    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Accept an attribute that leads back to a value under way, as long as nothing is left out of that value."""
        if not self._in_state or id(value) in self._changing:
            super().handle_cycle(value, plan, path)
        self._held_below[id(value)] = value

    def _must_not_be_held_below(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Raise UnlabelledData if a value is to be replaced by a copy, although an attribute below leads back to it."""
        if id(value) in self._held_below:
            raise UnlabelledData(
                f"{format_value_name(path, plan.cls)} that an attribute of what is in it leads back to: nothing can be "
                "left out"
            )

    def _may_keep_state(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if nothing outside of the fields of a row must be left out.

        Data there that cannot be understood is left behind with the rest, unless denials are only observed.
        """
        try:
            return self.leaves_state(row, plan, path, around) or self._observing
        except (_SealDenied, UnlabelledData, PurposeViolation):
            return self._observing

    def _may_keep_computed(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if nothing must be left out of the values of the computed fields of a row."""
        for name, member in self._undecided(plan, around, path).items():
            where = f"{path}.{name}" if path else name
            value = self.compute(row, name)
            if value is REFUSED:
                continue
            if value is FAILED:
                if self._denial_of(member, around, where) is not None or member.may_give_anything:
                    return self._observing
                continue
            try:
                filtered = self.inside_computed(value, member.shape, where, around)
            except (_SealDenied, UnlabelledData, PurposeViolation):
                return self._observing
            if filtered is not value and not self._observing:
                return False
        return True

    def _undecided(self, plan: ValuePlan, around: RowContexts, path: str) -> Mapping[str, Computed]:
        """Return the computed fields that are not decided by their labels alone."""
        undecided = self._computed.get((plan, around))
        if undecided is None:
            undecided = {}
            for name, member in plan.computed.items():
                where = f"{path}.{name}" if path else name
                if not member.is_decided_by_label or self._denial_of(member, around, where) is not None:
                    undecided[name] = member
            if not (self._is_told or plan.marks):
                self._computed[plan, around] = undecided
        return undecided

    def _denial_of(self, member: Computed, around: RowContexts, path: str) -> Decision | None:
        """Return the decision that denies what a computed field may return; None if it is allowed or has no label."""
        return None if member.label is None else self._denies(member.label, around, path)

    def _copy(
        self,
        row: Any,
        plan: ValuePlan,
        path: str,
        around: RowContexts,
        *,
        visible: Mapping[str, Any],
        denied: Mapping[str, Decision],
        sealed: Mapping[str, Decision],
    ) -> Any:
        """Copy a row with its visible fields, and with the parts of its computed fields that may be used."""
        undecided = self._undecided(plan, around, path) if plan.computed else {}
        undecided = {name: member for name, member in undecided.items() if name not in denied}
        cls = self._get_copy_class(row, plan, around, denied, sealed, frozenset(undecided))
        copied = fill(cls, visible, extra_state(row))
        if not undecided:
            return copied
        denied_computed: dict[str, Decision] = {}
        unpinned: set[str] = set()
        for name, member in undecided.items():
            where = f"{path}.{name}" if path else name
            outcome = self._pin(copied, (name, member), self._computer(copied, row, plan, name), where, around)
            if isinstance(outcome, Decision):
                denied_computed[name] = outcome
            elif outcome is NOT_PINNED:
                unpinned.add(name)
        if not (denied_computed or unpinned):
            return copied
        pinned = frozenset(undecided.keys() - denied_computed.keys() - unpinned)
        cls = self._get_copy_class(row, plan, around, denied, {**sealed, **denied_computed}, pinned)
        return fill(cls, visible, extra_state(row), pinned_values(copied))

    def _pin(
        self, copied: Any, computed: tuple[str, Computed], compute: Callable[[], Any], path: str, around: RowContexts
    ) -> object:
        """Store in a copy the part of a computed field that may be used.

        Returns:
            The decision that denies it; NOT_PINNED if the field's own code decides; else None.
        """
        name, member = computed
        denial: Decision | None = None
        try:
            value = compute()
            if value is REFUSED:
                return NOT_PINNED
            if value is not FAILED:
                copied.__dict__[name] = self.inside_computed(value, member.shape, path, around)
                return None
        except _SealDenied as denied:
            denial = denied.decision
        except PurposeViolation as violation:
            denial = violation.decision
        except UnlabelledData:
            pass  # A value that cannot be understood is not stored.
        copied.__dict__.pop(name, None)  # A cached property may have stored it.
        if denial is None:
            denial = self._denial_of(member, around, path)
        return denial if denial is not None or member.may_give_anything else NOT_PINNED

    def _computer(self, copied: Any, row: Any, plan: ValuePlan, name: str) -> Callable[[], Any]:
        """Return a function that computes a field from the visible fields of a copy.

        It raises PurposeViolation if a withheld field is needed.
        """
        if is_copy(plan.cls):  # The field of a copy was decided before.
            return lambda: self.compute(row, name)
        if self._computing >= MAX_COMPUTED_DEPTH:
            return lambda: FAILED
        return lambda: compute(copied, name, plan.cls)

    @override
    def visit_rows(self, items: list[Any], shape: Shape, path: str, around: RowContexts) -> list[Any] | None:
        """Withhold from many rows of one class at once. Return None if they must be looked at one by one."""
        if self._is_told:
            return None
        rows = to_columnar_rows(items, shape, path, frozenset(self._under_way))
        return None if rows is None else self._withhold_from_rows(rows, path, around)

    def _withhold_from_rows(self, rows: ColumnarRows, path: str, around: RowContexts) -> list[Any]:
        items, plan = rows.items, rows.plan
        denied = self._find_denied_fields(plan, around, len(items), path)
        changed: dict[str, list[Any]] = {}
        for name, column in rows.columns.items():
            inner = column.rows
            if inner is not None and name not in denied:
                inner_copies = self._withhold_from_rows(
                    inner, f"{path}.{name}[]" if column.lists else f"{path}.{name}", around
                )
                if inner_copies is not inner.items:
                    changed[name] = column.replace_rows(inner_copies)
        if denied or changed:
            cls = self._get_copy_class(items[0], plan, around, denied, {})
            names = tuple(name for name in plan.fields or {} if name not in denied)
            items = _copy_rows(rows, cls, names, changed)
        self._met += items
        return items

    def _find_denied_fields(self, plan: ValuePlan, around: RowContexts, rows: int, path: str) -> Mapping[str, Decision]:
        """Return field → the decision that denies it. The allowed fields are counted as used by so many rows."""
        denied = self._denials.get((plan, around))
        if denied is None:
            decisions = {
                name: self._denies(label, around, f"{path}.{name}" if path else name)
                for name, label in plan.labels.items()
            }
            denied = {name: decision for name, decision in decisions.items() if decision is not None}
            if not (self._is_told or plan.marks):
                self._denials[plan, around] = denied
        if self._used is not None:
            for name, label in plan.labels.items():
                if name not in denied:
                    self._used(label, around, rows)
        return denied

    def _get_copy_class(  # noqa: PLR0917  # The parameters are the key of a class and the row.
        self,
        row: Any,
        plan: ValuePlan,
        around: RowContexts,
        denied: Mapping[str, Decision],
        sealed: Mapping[str, Decision],
        pinned: frozenset[str] = frozenset(),
    ) -> type:
        """Return the class of the row's copy, without the denied fields and the seals that may not be opened."""
        cls = self._copies.get((plan, around, pinned)) if not sealed else None
        if cls is None:
            withheld = {**plan.gone, **denied, **sealed}
            base, names = _base_and_fields(row, plan)
            why = frozenset((name, decision.label, decision.context) for name, decision in withheld.items())
            key = (base, names, why, pinned, *self._key)
            cls = self._classes.get(key, lambda: make_withholding_class(base, names, self._record(withheld), pinned))
            if not (sealed or plan.marks):
                self._copies[plan, around, pinned] = cls
        return cls

    def _require_allowed(self, label: Label | None, path: str, around: RowContexts) -> None:
        """Refuse a value that may hold all that this label covers, if the label may not be used."""
        if label is None:
            return
        decision = self._denies(label, around, path)
        if decision is not None:
            self._refuse(decision, path or None)
        elif self._used is not None:
            self._used(label, around, 1)


NOT_PINNED: Final = object()
"""A result instead of a denial: the computed field is computed anew when it is read, and its own code decides."""

_PINNING: Final = "__purposeguard_pinning__"
"""The attribute in which a class keeps the classes of copies from which nothing was withheld."""


def _base_and_fields(row: Any, plan: ValuePlan) -> tuple[type, tuple[str, ...]]:
    """Return the class of a row, or of the row that was copied, and its declared fields."""
    return (original_class(row), declared_fields(row)) if is_copy(plan.cls) else (plan.cls, tuple(plan.fields or {}))


def class_with_pinned(row: Any, plan: ValuePlan, names: frozenset[str]) -> type:
    """Return a subclass of the class of a row whose objects keep the values of these computed fields."""
    classes: dict[frozenset[str], type] | None = vars(plan.cls).get(_PINNING)
    if classes is None:
        classes = {}
        type.__setattr__(plan.cls, _PINNING, classes)
    if names not in classes:
        base, fields = _base_and_fields(row, plan)
        record = withheld_record(row) if is_copy(plan.cls) else WithheldRecord({}, None, None, None)
        classes[names] = make_withholding_class(base, fields, record, names)
    return classes[names]


_COPIES: Final = "__purposeguard_copies__"
"""The attribute in which the class of copies keeps the functions that copy many rows."""


def _copy_rows(rows: ColumnarRows, cls: type, names: tuple[str, ...], changed: Mapping[str, list[Any]]) -> list[Any]:
    """Copy rows as instances of `cls` with these fields. `changed` holds new values for some of them."""
    copiers: dict[object, Copies | None] | None = vars(cls).get(_COPIES)
    if copiers is None:
        copiers = {}
        type.__setattr__(cls, _COPIES, copiers)
    which = tuple(changed)
    if which not in copiers:
        copiers[which] = compile_row_copier(rows.plan.cls, cls, rows.reader, names, which)
    copies = copiers[which]
    if copies is not None:
        try:
            return copies(rows.items, *changed.values())
        except (AttributeError, KeyError):
            pass  # A field of some row was never set.
    filled, copied = get_filler(cls), []
    for number, row in enumerate(rows.items):
        row_values = rows.reader.held(row)
        values = {name: row_values[name] for name in names if name in row_values}
        values |= {name: column[number] for name, column in changed.items()}
        copied.append(filled(values, extra_state(row)))
    return copied


class _SealDenied(Exception):
    """A sealed value that may not be opened was met, so the field that holds it must be withheld."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


def describes_itself(value: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Return True if the value consists of objects whose own classes have tags, also inside containers."""
    if is_taggable(type(value)):
        return make_plan(type(value), SILENT).has_tags
    if id(value) in seen or value is None or isinstance(value, Sealed):
        return True
    items: Collection[Any] | None = None
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        classes = set(map(type, value))
        if classes and all(map(is_taggable, classes)):
            return all(make_plan(cls, SILENT).has_tags for cls in classes)
        items = value
    elif isinstance(value, dict):
        items = dict.values(value)
    # An empty container holds no data that would need tags.
    return items is not None and all(describes_itself(item, seen | {id(value)}) for item in items)
