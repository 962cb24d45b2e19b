"""Instances of models that check each read of a personal field, also under another purpose than that of their loading.

Only values that were loaded from the database are checked. Values that the application sets are its own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

from django.apps import apps
from django.db import models
from django.db.models.base import ModelState
from django.db.models.query import ModelIterable, RawModelIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import class_prepared
from django.db.models.sql.compiler import SQLCompiler

from purposeguard.adapters.django.tags import Model
from purposeguard.adapters.enforcement import Decider, Demand, require_tag
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.tags import TAG_ERRORS, Columns, Tag
from purposeguard.errors import UnlabelledData
from purposeguard.notice.immutable import Immutable
from purposeguard.policy.row_context import RowContext
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.use import Use, is_ambient_here, is_owner_running
from purposeguard.values.markers import Collected, Ended
from purposeguard.values.rows import LONG_AGO, qualify_subject

ModelState.purposeguard_loaded = None  # pyright: ignore[reportAttributeAccessIssue]  # An attribute of ours.
"""The `LoadedValues` of an instance that was loaded from the database."""

_UNKNOWN: Final = object()
"""In place of the use for which values were loaded: it is unknown, or differs between the values."""

_REFRESH: Final = models.Model.refresh_from_db.__code__

_COMPILER: Final = SQLCompiler.execute_sql.__code__
_LOADS_INSTANCES: Final = ModelIterable.__iter__.__code__

_MAX_FRAMES_TO_COMPILER: Final = 12
"""The most frames between Django's compiler of a statement and the check of the statement."""

_ACCESSORS: Final = frozenset(
    {"value_from_object", "serializable_value", "_get_pk_val", "_get_FIELD_display", "in_bulk", "<dictcomp>"}
)
"""Functions of Django that return a value to their caller, who is the reader."""


class LoadedValues(Immutable):
    """The use for which the values of an instance were loaded, and the values that the application has set since."""

    __slots__ = ("changed", "reported", "use")

    use: object
    """The use; None if there was none, which was only observed."""
    changed: frozenset[str]
    """The attributes that the application has set."""
    reported: set[tuple[_CheckedRead, str | None]]
    """The reads under this use that observers know of, each with its entry point."""

    def __init__(self, use: object = _UNKNOWN, changed: frozenset[str] = frozenset()) -> None:
        self._fill(use=use, changed=changed, reported=set())

    def __reduce__(self) -> tuple[Any, ...]:
        return LoadedValues, (_UNKNOWN, self.changed)  # In another process, each read is checked.

    def __deepcopy__(self, _: object) -> LoadedValues:
        return self


class _CheckedRead:
    """A mixin for the descriptor of a field that checks each read of a loaded value."""

    field: Any
    checks: InstanceChecks
    demand: Demand | None
    """The demand of a read, which is empty for a field that is not personal. None until the tag was read."""
    converts_reads: bool
    """True if the descriptor gives another object than the loaded value, such as a file."""
    converts_writes: bool

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        above: Any = super()
        if instance is None:
            return above.__get__(instance, owner)
        values = instance.__dict__
        name = self.field.attname
        if name not in values:
            return above.__get__(instance, owner)  # The statement that loads the value is checked.
        if "_state" in values:
            loaded = values["_state"].purposeguard_loaded
            if loaded is not None:
                self.checks.check_read(self, instance, loaded)
        return above.__get__(instance, owner) if self.converts_reads else values[name]

    def __set__(self, instance: Any, value: object) -> None:
        values = instance.__dict__
        if "_state" in values:
            state = values["_state"]
            loaded, frame = state.purposeguard_loaded, sys._getframe(1)
            if loaded is not None or frame.f_code is _REFRESH:
                if loaded is None:  # The application made the instance.
                    loaded = self.checks.note_own_values(values)
                state.purposeguard_loaded = self.checks.note_change(loaded, self.field.attname, frame)
        if self.converts_writes:
            above: Any = super()
            above.__set__(instance, value)
        else:
            values[self.field.attname] = value

    def __delete__(self, instance: Any) -> None:
        """Delete the value, which is loaded again when it is read."""
        try:
            del instance.__dict__[self.field.attname]
        except KeyError:
            raise AttributeError(self.field.attname) from None


@functools.cache
def _make_checked_class(kind: type) -> type:
    converts = {
        "converts_reads": getattr(kind, "__get__", None) is not DeferredAttribute.__get__,
        "converts_writes": hasattr(kind, "__set__"),
    }
    return type(f"Checked{kind.__name__}", (_CheckedRead, kind), converts)


class InstanceChecks:
    """The checks of all instances of models of this process."""

    def __init__(self, decider: Decider, read_tables: Callable[[], Tables]) -> None:
        """Create the checks.

        Args:
            decider: The decisions of the guard.
            read_tables: A function that returns the tables of all models with their tags.
        """
        self._decider = decider
        self._innermost: Callable[[], Any] = decider.engine.innermost
        self._read_tables = read_tables
        self._last = LoadedValues()

    def install(self) -> None:
        """Check the instances of all models of this process, also of those that are defined later."""
        for model in apps.get_models(include_auto_created=True):
            self._check_model(model)
        for iterable in (ModelIterable, RawModelIterable):
            self._check_iterable(iterable)
        class_prepared.connect(self._check_new_model, dispatch_uid="purposeguard_instances", weak=False)

    def _check_new_model(self, sender: Model, **_: object) -> None:
        self._check_model(sender)

    def _check_model(self, model: Model) -> None:
        for field in model._meta.local_concrete_fields:
            attribute = vars(model).get(field.attname)
            if isinstance(attribute, DeferredAttribute) and not self._is_known_impersonal(field):
                descriptor: Any = attribute
                if not isinstance(descriptor, _CheckedRead):
                    kind: Any = type(descriptor)
                    descriptor.__class__ = _make_checked_class(kind)
                descriptor.checks, descriptor.demand = self, None
        for cls in model.__mro__:
            from_db = vars(cls).get("from_db")
            if isinstance(from_db, classmethod):
                _LoadingMethod.wrap(cls, from_db.__func__).checks = self

    def _check_iterable(self, iterable: Any) -> None:
        """Compare the use of each instance that a queryset yields with that of its statement.

        An iterator of the application may make instances later than it executes the statement, for another use.
        """
        iterate = getattr(iterable.__iter__, "purposeguard_original", iterable.__iter__)

        def iterate_checked(queryset: Any) -> Iterator[Any]:
            use = self._find_use()
            for instance in iterate(queryset):
                loaded = instance._state.purposeguard_loaded
                if loaded is not None and loaded.use is not use:
                    _forget_use(instance, loaded.use)
                yield instance

        iterate_checked.purposeguard_original = iterate  # type: ignore[attr-defined]  # Functions have attributes.
        iterable.__iter__ = iterate_checked

    def _is_known_impersonal(self, field: Any) -> bool:
        try:
            return not self._find_tag(field)[1].is_personal
        except (TypeError, *TAG_ERRORS):
            return False

    def _find_tag(self, field: Any) -> tuple[Columns, Tag]:
        """Return the tags of the table of a field, and its own tag.

        Raises:
            TypeError, UnknownSource, UnlabelledData, NoticeError: a tag cannot be read, or there is none.
        """
        table = field.model._meta.db_table
        columns = self._read_tables().get(table)
        if columns is None:
            raise UnlabelledData(f"`{table}` is the table of no installed model, so its tags are unknown")
        return columns, require_tag(columns, field.column, table)

    def make_loaded(self) -> LoadedValues:
        """Return the record of values that are loaded now. Instances share it."""
        last = self._last
        use: Any = last.use
        if self._innermost() is use and is_ambient_here(use):
            return last
        self._last = last = LoadedValues(self._find_use())
        return last

    def _find_use(self) -> Use[Any] | None:
        use: Use[Any] = self._decider.engine.ambient()
        return use if is_owner_running(use) else None

    def note_own_values(self, values: Mapping[str, object]) -> LoadedValues:
        """Return the record of an instance that the application made, before other values are loaded into it."""
        return LoadedValues(self._find_use(), frozenset(values))

    def note_change(self, loaded: LoadedValues, name: str, frame: FrameType) -> LoadedValues:
        """Return the record after a value was set, by the application or by loading it again.

        Args:
            loaded: The record before.
            name: The attribute.
            frame: The frame that sets it.
        """
        if frame.f_code is not _REFRESH:
            return loaded if name in loaded.changed else LoadedValues(loaded.use, loaded.changed | {name})
        use = loaded.use if self._find_use() is loaded.use else _UNKNOWN
        return LoadedValues(use, loaded.changed - {name})

    def check_read(self, descriptor: _CheckedRead, instance: Any, loaded: LoadedValues) -> None:
        """Check that a loaded value may be read now, and report the read.

        Raises:
            PurposeMissing, PurposeViolation: the purpose under way may not use the value.
            UnlabelledData: the field has no tag, or its row must be loaded again.
        """
        use: Any = loaded.use
        engine = self._decider.engine
        # Most reads need only a quick check. It misses a use around one whose generator is suspended, and values that
        # were loaded outside any purpose.
        passes_quick_check = self._innermost() is use and is_ambient_here(use)
        if passes_quick_check and (not engine.observers.read or (descriptor, current_entry_point()) in loaded.reported):
            return
        field = descriptor.field
        # Frame 1 is `_CheckedRead.__get__`, so frame 2 reads the value.
        if field.attname in loaded.changed or _is_internal(sys._getframe(2)):
            return
        is_same_use = passes_quick_check or self._passes_full_check(use)
        demand = descriptor.demand
        if is_same_use and demand is not None:  # The statement was decided for this use.
            self._report_read(descriptor, demand, loaded)
            return
        try:
            columns, tag = self._find_tag(field)
        except TAG_ERRORS:
            if self._decider.is_observing():
                return  # The statement that loaded the value was reported.
            raise
        demand = descriptor.demand = _make_demand(field, tag)
        if is_same_use:
            self._report_read(descriptor, demand, loaded)
        elif demand.is_personal:
            try:
                self._check_value(field, instance, columns, tag, demand)
            except UnlabelledData as error:
                self._decider.refuse_unresolved(error, f"read of {field.model._meta.label}.{field.name}")

    def _report_read(self, descriptor: _CheckedRead, demand: Demand, loaded: LoadedValues) -> None:
        """Report a read under the use for which the value was loaded, once for all objects of a use and entry point."""
        use: Any = loaded.use
        if demand.columns:
            self._decider.engine.report_read(demand.columns, None if use is None else use.activity)
        if use is not None:
            loaded.reported.add((descriptor, current_entry_point()))

    def _passes_full_check(self, use: object) -> bool:
        """Return True if the use under way, or None if there is none, is the one for which a value was loaded.

        What was loaded outside any purpose in observe mode is checked where an activity that enforces is not valid.
        """
        if self._find_use() is not use:
            return False
        return use is not None or self._decider.is_observing() is self._decider.engine.observing

    def _check_value(self, field: Any, instance: Any, columns: Columns, tag: Tag, demand: Demand) -> None:
        decider = self._decider
        if not decider.must_decide_rows(columns, {field.column: tag}):
            decider.check_demand(demand)
        elif tag.by_row:
            raise UnlabelledData(
                f"`{field.model._meta.db_table}.{field.column}` was loaded for another purpose, and its row names its "
                "source: load the object again, for this purpose"
            )
        else:
            decider.report_read(demand.columns)
            use = decider.current_use(demand.kind, demand.tables)
            if use is not None:
                self._check_row(field, tag, use, _make_row_contexts(field.model, instance, columns))

    def _check_row(self, field: Any, tag: Tag, use: Use[Any], contexts: tuple[RowContext, ...]) -> None:
        name = f"{field.model._meta.db_table}.{field.column}"
        permissions = use.handle.get_permissions()
        decision = use.handle.decide_and_report(tag.label, contexts, permissions, used=True, field=name)
        if decision is None:
            use.handle.count_use(tag.label, contexts, permissions, 1)
        else:
            self._decider.engine.refuse(decision, use, field=name)


class _LoadingMethod:
    """The `from_db` of a model, which notes for which use an instance is loaded."""

    def __init__(self, load: Callable[..., Any]) -> None:
        self._load = load
        self.checks: InstanceChecks | None = None

    @classmethod
    def wrap(cls, owner: Model, load: Any) -> _LoadingMethod:
        """Return the wrapper of a method, which is made once."""
        wrapper: _LoadingMethod | None = getattr(load, "purposeguard_wrapper", None)
        if wrapper is None:
            wrapper = cls(load)

            def from_db(model: Model, /, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
                return wrapper.call(model, db, field_names, values, **options)

            from_db.purposeguard_wrapper = wrapper  # type: ignore[attr-defined]  # Functions have attributes.
            owner.from_db = classmethod(from_db)
        return wrapper

    def call(self, model: Model, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
        """Load an instance. Later versions of Django pass options."""
        instance = self._load(model, db, field_names, values, **options)
        if self.checks is not None:
            instance._state.purposeguard_loaded = self.checks.make_loaded()
        return instance


def _forget_use(instance: Any, use: object) -> None:
    """Check each read of an instance, and of related ones that were made with it, which seem loaded for this use."""
    loaded = instance._state.purposeguard_loaded
    if loaded is None or loaded.use is not use:
        return
    instance._state.purposeguard_loaded = LoadedValues(changed=loaded.changed)
    for related in instance._state.fields_cache.values():
        if isinstance(related, models.Model):
            _forget_use(related, use)


def _make_demand(field: Any, tag: Tag) -> Demand:
    table = field.model._meta.db_table
    fields = [(f"{table}.{field.column}", tag.label)] if tag.is_personal else []
    return Demand(fields, kind="read of an object", tables=(table,))


def find_loaded_outputs(frame: FrameType | None) -> frozenset[int]:
    """Return the numbers of the outputs of a statement that become checked attributes of instances.

    Args:
        frame: The frame in which the statement is executed. Django's compiler is in one of the frames above.
    """
    for _ in range(_MAX_FRAMES_TO_COMPILER):
        if frame is None or frame.f_code is _COMPILER:
            break
        frame = frame.f_back
    if frame is None or frame.f_code is not _COMPILER or frame.f_back is None:
        return frozenset()
    if frame.f_back.f_code is not _LOADS_INSTANCES:
        return frozenset()
    compiler = frame.f_locals["self"]
    loaded: set[int] = set()
    for number in _iter_selected(compiler.klass_info or {}):
        field = compiler.select[number][0].target
        if isinstance(vars(field.model).get(field.attname), _CheckedRead):
            loaded.add(number)
    return frozenset(loaded)


def _iter_selected(klass_info: Mapping[str, Any]) -> Iterator[int]:
    """Yield the numbers of the outputs that Django makes instances of, and of related instances."""
    yield from klass_info.get("select_fields", ())
    for related in klass_info.get("related_klass_infos", ()):
        yield from _iter_selected(related)


def _is_internal(frame: FrameType | None) -> bool:
    """Return True if Django itself reads a value, to save it, to compare keys or to find related objects."""
    while frame is not None and _is_module_of_models(frame) and frame.f_code.co_name in _ACCESSORS:
        frame = frame.f_back
    return frame is not None and _is_module_of_models(frame)


def _is_module_of_models(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.startswith("django.db.models.")


def _make_row_contexts(model: Model, instance: Any, columns: Columns) -> tuple[RowContext, ...]:
    """Return the subjects and days of the row of an instance, one for each subject.

    Raises:
        UnlabelledData: a marked field was not loaded, or holds what cannot be read as an id or a day.
    """
    fields = model._meta.local_concrete_fields
    values = {field.column: instance.__dict__.get(field.attname, _UNKNOWN) for field in fields}
    collected, ended = columns.columns_with_mark(Collected), columns.columns_with_mark(Ended)
    for name in filter(None, (*(name for name, _ in columns.subjects()), collected, ended)):
        if values[name] is _UNKNOWN:
            raise UnlabelledData(
                f"`{model._meta.db_table}.{name}` is marked and was not loaded, so nothing says about whom or when"
            )
    collected_day = None if collected is None else (values[collected] or LONG_AGO)
    ended_day = None if ended is None else values[ended]
    try:
        return tuple(_iter_contexts(values, columns, collected_day, ended_day))
    except (TypeError, ValueError) as error:
        why = str(error)
    # Do not chain the error, whose frames hold the row.
    raise UnlabelledData(f"{model._meta.label}: a marked field cannot be read: {why}")


def _iter_contexts(values: dict[str, Any], columns: Columns, collected: Any, ended: Any) -> Iterator[RowContext]:
    for name, mark in columns.subjects():
        subject = None if values[name] is None else qualify_subject(mark, values[name])
        yield RowContext(subject, collected=collected, ended=ended)
    if not columns.subjects():
        yield RowContext(collected=collected, ended=ended)
