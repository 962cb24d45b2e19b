"""Rows: what the marked fields of a row say: whose it is, when it was collected, when its subject's use ended."""

from __future__ import annotations

import datetime
import operator
import uuid
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel

from purposeguard.errors import UnlabelledData
from purposeguard.policy.row_context import RowContext, SubjectId, subject_key, subject_keys
from purposeguard.values.annotations import is_taggable
from purposeguard.values.markers import Collected, Ended, SubjectMark
from purposeguard.values.plan import MISSING, ValuePlan, applicable_models, make_plan, read_field, withheld_fields_of
from purposeguard.values.type_schema import SILENT, Model


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _NamedTuple(Protocol):
    # Of `_fields` type checkers disagree whether it is the class's or each tuple's.
    def _asdict(self) -> dict[str, Any]: ...


Whose = SubjectId | RowContext | BaseModel | _Dataclass | _Attrs | _NamedTuple | None
"""What `subject=` may be: the id of a subject, a `RowContext`, a row with marked fields; None where nobody is named."""

LONG_AGO: Final = datetime.date.min
"""In place of a day of collection that a row is to say and does not: no period and no revision reaches back to it."""


def row_contexts_of(
    row: Any, models: Iterable[Model] = (), around: tuple[RowContext, ...] = ()
) -> tuple[RowContext, ...]:
    """What the marked fields of a row say, as `read_row_contexts`; `models` are what its annotation says that it is."""
    cls = type(row)
    if models:
        plan = ValuePlan(cls, SILENT, models=applicable_models(cls, models), gone=withheld_fields_of(cls))
    elif cls in SILENT.plans or is_taggable(cls):
        plan = make_plan(cls, SILENT)
    else:
        return ()
    return read_row_contexts(row, plan, {}, around)


def read_row_contexts(
    row: Any, plan: ValuePlan, read: dict[str, Any], around: tuple[RowContext, ...] = ()
) -> tuple[RowContext, ...]:
    """What the marked fields of a row say, once for each subject; nothing where its classes mark none.

    `read` gets the values of the fields that are read for it, so that none has to be read twice. `around` is what is
    known of the row that this one is in: whose, or from when, is taken from there where no field of this one says it.
    That a marked field holds None frees nobody: the row is still the outer row's subject's.

    Raises:
        UnlabelledData: a marked field holds what cannot be read as an id or a day, was withheld, or is not there.
    """
    marks = plan.marks
    if not marks:
        return ()
    what = plan.cls.__qualname__
    for name in dict.fromkeys(name for names in marks.values() for name in names):
        why = "was withheld" if name in plan.gone else "it is not there"
        read[name] = MISSING if name in plan.gone else read_field(row, name)
        if read[name] is MISSING:
            raise UnlabelledData(f"{what}: `{name}` is marked, and {why}, so nothing says about whom or when")
    collected = [read[name] for name in marks.get(Collected, ())]
    ended = [read[name] for name in marks.get(Ended, ())]
    # Of several, which only different classes of one row can mark, the one that says the least good of it.
    begun = min((LONG_AGO if day is None else day for day in collected), key=day_sort_key, default=None)
    over = min((day for day in ended if day is not None), key=day_sort_key, default=None)
    subjects: Iterable[Any] = (None,)
    if around:
        begun = begun if collected else around[0].collected
        over = around[0].ended if over is None else over
        subjects = [context.subject for context in around]
    try:
        own = [
            qualify_subject(mark, subject_id)
            for mark, names in marks.items()
            if isinstance(mark, SubjectMark)
            for name in names
            for subject_id in _read_ids(read[name])
        ]
        return tuple(RowContext(subject, collected=begun, ended=over) for subject in own or subjects)
    except (TypeError, ValueError) as error:
        why = str(error)
    # Without the error itself, whose frames hold the row.
    raise UnlabelledData(f"{what}: a marked field cannot be read: {why}")


def read_subjects(rows: Collection[Any], plan: ValuePlan) -> list[str] | None:
    """Whose each of these rows of one class is, by `subject_key`, where it says this by one id, quickly read.

    None where a row may say more or less; `read_row_contexts` reads it then.
    """
    marked = [(mark, names) for mark, names in plan.marks.items() if isinstance(mark, SubjectMark)]
    if plan.reader is None or len(marked) != 1 or len(marked[0][1]) != 1:
        return None
    [(mark, names)] = marked
    try:
        ids = list(map(operator.itemgetter(names[0]), map(plan.reader.held, rows)))
        if not _IDS.issuperset(map(type, ids)):
            return None
        return subject_keys(ids if mark.realm is None else [qualify_subject(mark, subject_id) for subject_id in ids])
    except (KeyError, ValueError):
        return None


_IDS: Final = frozenset({int, str, uuid.UUID})
"""What names one subject outright."""


def qualify_subject(mark: SubjectMark, subject_id: Any) -> Any:
    """What a subject is called whose id stands where this mark does."""
    return subject_id if mark.realm is None else f"{mark.realm}:{subject_key(subject_id)}"


def resolve_subject_argument(subject: object) -> tuple[RowContext, ...]:
    """What `subject=` means: a `RowContext`, the id of a subject, or a row whose marked fields say it.

    Raises:
        TypeError, ValueError: it is none of them, or a row of a class without marks.
        UnlabelledData: as `row_contexts_of`.
    """
    if isinstance(subject, RowContext):
        return (subject,)
    if isinstance(subject, (int, str, uuid.UUID)):
        return (RowContext(subject),)
    if is_taggable(type(subject)):
        row_contexts = row_contexts_of(subject)
        if row_contexts:
            return row_contexts
        raise TypeError(f"{type(subject).__qualname__} has no marked field: mark one, `Annotated[int, Subject]`")
    raise TypeError(
        "`subject` is an id (an int, a text or a UUID), a `RowContext`, or a row with marks, "
        f"not {type(subject).__name__}"
    )


def _read_ids(value: Any) -> list[Any]:
    """The ids in a field: one, none, or those in a container."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [subject_id for subject_id in value if subject_id is not None]
    return [value]


def day_sort_key(day: Any) -> tuple[int, int, int]:
    """Sorts days by their dates; what is no day comes first, and is refused as such."""
    return (day.year, day.month, day.day) if isinstance(day, datetime.date) else (0, 0, 0)
