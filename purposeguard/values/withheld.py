"""Copies with withheld fields: how reading a withheld field is refused and reported, and which fields are left.

Every process needs this module. `withholding`, which makes the copies, is imported when the first copy is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NoReturn, cast

from pydantic import BaseModel

from purposeguard.errors import UnlabelledData, hide_own_frames
from purposeguard.locks import make_lock
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import PurposeViolation, violation_class

_MISSING = object()


class ClassCache:
    """A bounded, thread-safe cache of the subclasses that were made for copies."""

    def __init__(self, most: int = 1024) -> None:
        import cachetools  # noqa: PLC0415  # by the first guard

        self._classes: cachetools.LRUCache[object, type] = cachetools.LRUCache(most)
        self._lock = make_lock()

    def get(self, key: object, make: Callable[[], type]) -> type:
        """Return the class for this key. Make it if it is not cached."""
        with self._lock:
            cls = self._classes.get(key)
        if cls is None:
            new_class = make()  # This may run code of metaclasses, so the lock is not held. One of two is kept.
            with self._lock:
                cls = self._classes.setdefault(key, new_class)
        return cls


being_inspected: Final[ContextVar[bool]] = ContextVar("purposeguard_being_inspected", default=False)
"""True while the library itself computes a field in order to inspect it, so that refusals are not reported."""


class WithheldRecord:
    """The decisions about the withheld fields of a copy.

    Attributes:
        decisions: Field → the decision that denied it.
        activity: The activity of the use, for messages.
        function: The function of the use, for messages.
        tell: Reports the violation when a withheld field is read; None if it is not reported.
    """

    __slots__ = ("activity", "decisions", "function", "tell")

    def __init__(
        self,
        decisions: Mapping[str, Decision],
        activity: str | None,
        function: str | None,
        tell: Callable[[PurposeViolation], None] | None,
    ) -> None:
        self.decisions = decisions
        self.activity = activity
        self.function = function
        self.tell = tell

    def refuse(self, field: str) -> NoReturn:
        """Report and raise the violation of reading this field."""
        decision = self.decisions[field]
        advice = f"the field `{field}` was withheld: read it under a purpose that may use it, or do without"
        violation = violation_class(decision)(decision, self.activity, self.function, field, advice)
        if self.tell is not None and not being_inspected.get():
            self.tell(violation)
        raise violation

    def __reduce__(self) -> tuple[Any, ...]:
        # The ledger cannot be pickled, so violations are not reported in another process.
        return WithheldRecord, (dict(self.decisions), self.activity, self.function, None)


class _WithheldItem:
    """A placeholder for a withheld value in a tuple."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<withheld>"

    def __reduce__(self) -> str:
        return "GONE"


GONE = _WithheldItem()


withheld_names: Final[ContextVar[frozenset[int]]] = ContextVar("purposeguard_left_out_of", default=frozenset())
"""The identities of the dataclass copies in a dump under way. Pydantic reads even the fields that it excludes."""


class _DumpPlaceholder:
    """A placeholder for a withheld field in a dump, which excludes it. Any other use of it is refused."""

    __slots__ = ("_field", "_record")

    def __init__(self, record: WithheldRecord, field: str) -> None:
        self._record = record
        self._field = field

    def _refuse(self, *_: object) -> NoReturn:
        self._record.refuse(self._field)

    __str__ = __repr__ = __format__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __getitem__ = _refuse
    __add__ = __radd__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __call__ = __getattr__ = _refuse


class RefusingAttribute:
    """A descriptor for a withheld field. Reading it raises the violation."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        if id(instance) in withheld_names.get():
            return _DumpPlaceholder(withheld_record(instance), self.name)
        try:
            return withheld_record(instance).refuse(self.name)
        except PurposeViolation as error:
            hide_own_frames(error)
            raise

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(f"`{self.name}` is withheld here and cannot be set")


class Pinned:
    """A descriptor for a computed field that was decided when the row was inspected.

    Its filtered value is in the `__dict__` of the copy and comes before this descriptor.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        raise UnlabelledData(
            f"{owner.__qualname__}.{self.name} could not be computed when the object was inspected, so what it gives "
            "was not decided: hold it in a field"
        )


PINNED: Final = "__purposeguard_pinned__"
"""The attribute in which the class of copies keeps the names of its pinned attributes."""


def get_pinned_names(cls: type) -> frozenset[str]:
    """Return the names of the computed fields whose values copies of this class keep."""
    names: frozenset[str] = vars(cls).get(PINNED, frozenset())
    return names


def get_pinned_values(instance: Any) -> dict[str, Any]:
    """Return the values of computed fields that a copy keeps."""
    names = get_pinned_names(type(instance))
    return {name: instance.__dict__[name] for name in sorted(names) if name in instance.__dict__} if names else {}


def is_copy(cls: type) -> bool:
    """Return True if a class was made for copies with withheld fields."""
    # `hasattr` would ask the metaclass of a pydantic model, too.
    return "__purposeguard_withheld__" in vars(cls)


def withheld_record(instance: object) -> WithheldRecord:
    """Return the record of the withheld fields of a copy."""
    return cast("WithheldRecord", type(instance).__purposeguard_withheld__)  # type: ignore[attr-defined]  # set by `make_withholding_class`


def original_class(instance: Any) -> Any:
    """Return the class of the object that was copied."""
    return type(instance).__bases__[-1]


def visible_fields(instance: Any) -> dict[str, Any]:
    """Return the fields of a copy that were not withheld, with their values."""
    if isinstance(instance, dict):
        return dict(instance)
    if isinstance(instance, BaseModel):
        pinned = get_pinned_names(type(instance))
        return {name: value for name, value in instance.__dict__.items() if name not in pinned}
    denied = withheld_record(instance).decisions
    values = {name: getattr(instance, name, _MISSING) for name in list_declared_fields(instance) if name not in denied}
    return {name: value for name, value in values.items() if value is not _MISSING}


def list_declared_fields(instance: Any) -> tuple[str, ...]:
    """Return all declared fields of the class of a copy, including the withheld ones."""
    return cast("tuple[str, ...]", type(instance).__purposeguard_fields__)
