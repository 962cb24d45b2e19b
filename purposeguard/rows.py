"""Rows: what a model's marked fields say of it. Whose it is, when it was collected, when its subject's use ended."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel

from purposeguard.about import About, SubjectId, subject_key
from purposeguard.annotations import is_taggable
from purposeguard.errors import UnlabelledData
from purposeguard.marks import Collected, Ended, Mark, SubjectMark
from purposeguard.shapes import Model, says_nothing
from purposeguard.withheld import base_of, record_of


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _NamedTuple(Protocol):
    # Of `_fields` type checkers disagree whether it is the class's or each tuple's.
    def _asdict(self) -> dict[str, Any]: ...


Whose = SubjectId | About | BaseModel | _Dataclass | _Attrs | _NamedTuple | None
"""What `subject=` may be: the id of a subject, an `About`, or a row with marked fields; None where nobody is named."""

MISSING: Final = object()
"""In place of a field's value that is not there."""

LONG_AGO: Final = datetime.date.min
"""In place of a day of collection that a row is to say and does not: no period and no revision reaches back to it."""


def abouts_of(value: Any, models: Iterable[Model] = (), around: tuple[About, ...] = ()) -> tuple[About, ...]:
    """What the marked fields of a row say, once for each subject; nothing where its class has no marks.

    `models` are what its annotation says that it is; a plain dict is known by them alone. `around` is what is known of
    the row that this one is in: whose, or from when, is taken from there where no field of this one is to say it.

    Raises:
        UnlabelledData: a marked field holds what cannot be read as an id or a day, was withheld, or is not there.
    """
    if not models and says_nothing(type(value)):
        return ()
    marked: dict[Mark, dict[str, None]] = {}
    for model in _models_of(value, models):
        for mark, names in model.marks().items():
            marked.setdefault(mark, {}).update(dict.fromkeys(names))
    if not marked:
        return ()
    what = type(value).__qualname__
    collected = [_said(value, name, what) for name in marked.get(Collected, ())]
    ended = [_said(value, name, what) for name in marked.get(Ended, ())]
    # Of several, which only different classes of one row can mark, the one that says the least good of it.
    begun = min((LONG_AGO if one is None else one for one in collected), key=_order, default=None)
    over = min((one for one in ended if one is not None), key=_order, default=None)
    subjects: Iterable[Any] = (None,)
    if around:
        begun = begun if collected else around[0].collected
        over = over if ended else around[0].ended
        subjects = [one.subject for one in around]
    try:
        if any(isinstance(mark, SubjectMark) for mark in marked):
            subjects = _subjects(value, marked, what) or (None,)
        return tuple(About(one, collected=begun, ended=over) for one in subjects)
    except (TypeError, ValueError) as error:
        why = str(error)
    # Without the error itself, whose frames hold the row.
    raise UnlabelledData(f"{what}: a marked field cannot be read: {why}")


def _subjects(value: Any, marked: Mapping[Mark, Iterable[str]], what: str) -> list[Any]:
    """The ids in the fields that are marked `Subject`, within their realms."""
    return [
        subject_in(mark, one)
        for mark, names in marked.items()
        if isinstance(mark, SubjectMark)
        for name in names
        for one in _ids(_said(value, name, what))
    ]


def subject_in(mark: SubjectMark, given: Any) -> Any:
    """What a subject is called whose id stands where this mark does."""
    return given if mark.realm is None else f"{mark.realm}:{subject_key(given)}"


def given_abouts(given: object) -> tuple[About, ...]:
    """What `subject=` means: an `About`, the id of a subject, or a row whose marked fields say it.

    Raises:
        TypeError, ValueError: it is none of them, or a row of a class without marks.
        UnlabelledData: as `abouts_of`.
    """
    if isinstance(given, About):
        return (given,)
    if isinstance(given, (int, str, uuid.UUID)):
        return (About(given),)
    if is_taggable(type(given)):
        found = abouts_of(given)
        if found:
            return found
        raise TypeError(f"{type(given).__qualname__} has no marked field: mark one, `Annotated[int, Subject]`")
    raise TypeError(
        f"`subject` is an id (an int, a text or a UUID), an `About`, or a row with marks, not {type(given).__name__}"
    )


def read_field(value: Any, name: str) -> Any:
    """A field's value without running code of the class, except properties that are fields (computed ones are not)."""
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, BaseModel):
        return value.__dict__.get(name, MISSING)
    return getattr(value, name, MISSING)


def _models_of(value: Any, models: Iterable[Model]) -> list[Model]:
    if isinstance(value, dict):
        return [model for model in models if model.is_mapping]
    announced = [model for model in models if not model.is_mapping and isinstance(value, model.cls)]
    own = base_of(value) if _is_copy(value) else type(value)  # a copy without a field has lost its mark as well
    return announced if any(model.cls is own for model in announced) else [*announced, *_own(own)]


def _own(cls: type) -> tuple[Model, ...]:
    return (Model(cls),) if is_taggable(cls) else ()


def _is_copy(value: Any) -> bool:
    return "__purposeguard_withheld__" in vars(type(value))  # `hasattr` asks the metaclass of a pydantic model, too


def _said(value: Any, name: str, what: str) -> Any:
    if _is_copy(value) and name in record_of(value).decisions:
        raise UnlabelledData(f"{what}: `{name}` is marked, and was withheld, so nothing says about whom or when")
    found = read_field(value, name)
    if found is MISSING:
        raise UnlabelledData(f"{what}: `{name}` is marked, and it is not there, so nothing says about whom or when")
    return found


def _ids(value: Any) -> list[Any]:
    """The ids in a field: one, none, or those in a container."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [one for one in value if one is not None]
    return [value]


def _order(day: Any) -> tuple[int, int, int]:
    """Days by their dates; what is no day comes first, and is refused as such."""
    return (day.year, day.month, day.day) if isinstance(day, datetime.date) else (0, 0, 0)
