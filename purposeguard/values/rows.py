"""Row contexts from marked fields: the subject of a row, its day of collection, and the end of the subject's use."""

from __future__ import annotations

import datetime
import operator
import uuid
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel

from purposeguard.errors import UnlabelledData
from purposeguard.policy.row_context import RowContext, SubjectId, subject_key, subject_keys
from purposeguard.values.annotations import is_taggable
from purposeguard.values.markers import Collected, Ended, SubjectMark
from purposeguard.values.plan import MISSING, ValuePlan, applicable_models, make_plan, read_field, withheld_fields_of
from purposeguard.values.type_schema import SILENT, Model, Shape


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _NamedTuple(Protocol):
    # Type checkers disagree whether `_fields` belongs to the class or to each tuple.
    def _asdict(self) -> dict[str, Any]: ...


Whose = SubjectId | RowContext | BaseModel | _Dataclass | _Attrs | _NamedTuple | None
"""The type of `subject=`: the id of a subject, a `RowContext`, a row with marked fields, or None for no subject."""

LONG_AGO: Final = datetime.date.min
"""The day of collection of a row whose marked field holds None: no period and no revision reaches back to it."""


def row_contexts_of(
    row: Any, models: Iterable[Model] = (), around: tuple[RowContext, ...] = (), *, silent: Shape = SILENT
) -> tuple[RowContext, ...]:
    """Read the marked fields of a row. `models` are the classes that its annotation announces.

    `silent` is the shape of values about which nothing was announced. See `read_row_contexts`.
    """
    cls = type(row)
    if models:
        applicable = applicable_models(cls, models, silent.lookup)
        plan = ValuePlan(cls, silent, models=applicable, gone=withheld_fields_of(cls))
    elif cls in silent.plans or is_taggable(cls):
        plan = make_plan(cls, silent)
    else:
        return ()
    return read_row_contexts(row, plan, {}, around)


def read_row_contexts(
    row: Any, plan: ValuePlan, values_read: dict[str, Any], around: tuple[RowContext, ...] = ()
) -> tuple[RowContext, ...]:
    """Read the marked fields of a row, and return one context for each subject. Empty if its classes have no marks.

    The contexts of the outer row supply a subject or day that no field of this row states. A marked field that holds
    None does not free the row: it still belongs to the subject of the outer row.

    Args:
        row: The row.
        plan: The plan for its class.
        values_read: Filled with the values of the marked fields, so that the caller reads none twice.
        around: The contexts of the row that this one is in.

    Raises:
        UnlabelledData: a marked field holds what cannot be read as an id or a day, was withheld, or is not there.
    """
    marks = plan.marks
    if not marks:
        return ()
    class_name = plan.cls.__qualname__
    for name in dict.fromkeys(chain.from_iterable(marks.values())):
        why = "was withheld" if name in plan.gone else "it is not there"
        values_read[name] = MISSING if name in plan.gone else read_field(row, name)
        if values_read[name] is MISSING:
            raise UnlabelledData(f"{class_name}: `{name}` is marked, and {why}, so nothing says about whom or when")
    collected = [values_read[name] for name in marks.get(Collected, ())]
    ended = [values_read[name] for name in marks.get(Ended, ())]
    # Different classes of one row may mark several days. The earliest is the least favorable.
    collected_day = min((LONG_AGO if day is None else day for day in collected), key=day_sort_key, default=None)
    ended_day = min((day for day in ended if day is not None), key=day_sort_key, default=None)
    subjects: Iterable[Any] = (None,)
    if around:
        collected_day = collected_day if collected else around[0].collected
        ended_day = around[0].ended if ended_day is None else ended_day
        subjects = [context.subject for context in around]
    try:
        own: list[Any] = []
        for mark, names in marks.items():
            if isinstance(mark, SubjectMark):
                for name in names:
                    own += [qualify_subject(mark, subject_id) for subject_id in _read_ids(values_read[name])]
        return tuple(RowContext(subject, collected=collected_day, ended=ended_day) for subject in own or subjects)
    except (TypeError, ValueError) as error:
        why = str(error)
    # Do not chain the error, whose frames hold the row.
    raise UnlabelledData(f"{class_name}: a marked field cannot be read: {why}")


def read_subjects(rows: Collection[Any], plan: ValuePlan) -> list[str] | None:
    """Return the subject of each of many rows of one class, by `subject_key`, if one marked field holds it.

    Return None if a row may have more or fewer subjects; `read_row_contexts` must read it then.
    """
    marked = [(mark, names) for mark, names in plan.marks.items() if isinstance(mark, SubjectMark)]
    if plan.reader is None or len(marked) != 1 or len(marked[0][1]) != 1:
        return None
    [(mark, names)] = marked
    try:
        ids = list(map(operator.itemgetter(names[0]), map(plan.reader.held, rows)))
        return subject_keys(ids if mark.realm is None else [qualify_subject(mark, subject_id) for subject_id in ids])
    except (KeyError, TypeError, ValueError):  # A field may name several subjects, or none.
        return None


def qualify_subject(mark: SubjectMark, subject_id: Any) -> Any:
    """Return the subject's id with the realm of this mark before it, if the mark has a realm."""
    return subject_id if mark.realm is None else f"{mark.realm}:{subject_key(subject_id)}"


def resolve_subject_argument(subject: object, silent: Shape) -> tuple[RowContext, ...]:
    """Return the row contexts for a `subject=` argument: a `RowContext`, the id of a subject, or a row with marks.

    `silent` is the shape with which the guard plans a row.

    Raises:
        TypeError, ValueError: it is none of them, or a row of a class without marks.
        UnlabelledData: as `row_contexts_of`.
    """
    if isinstance(subject, RowContext):
        return (subject,)
    if isinstance(subject, (int, str, uuid.UUID)):
        return (RowContext(subject),)
    if is_taggable(type(subject)):
        row_contexts = row_contexts_of(subject, silent=silent)
        if row_contexts:
            return row_contexts
        raise TypeError(f"{type(subject).__qualname__} has no marked field: mark one, `Annotated[int, Subject]`")
    raise TypeError(
        "`subject` is an id (an int, a text or a UUID), a `RowContext`, or a row with marks, "
        f"not {type(subject).__name__}"
    )


def _read_ids(value: Any) -> list[Any]:
    """Return the ids in a field, which may hold one, none, or a container of them."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [subject_id for subject_id in value if subject_id is not None]
    return [value]


def day_sort_key(day: Any) -> tuple[int, int, int]:
    """Return a sort key for days. Anything else sorts first, and is refused later."""
    return (day.year, day.month, day.day) if isinstance(day, datetime.date) else (0, 0, 0)
