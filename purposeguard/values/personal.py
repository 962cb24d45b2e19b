"""Personal: a sealed value, which type checkers follow by the sources it derives from; and values joined (rule 6)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, final, overload

from purposeguard.errors import (
    PurposeGuardError,
    SealedAttribute,
    SealedValue,
    UnknownSource,
    UnlabelledData,
    hides_own_frames,
)
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source, TermMeta, is_union, list_term_ids
from purposeguard.policy.table import derive_label
from purposeguard.values.annotations import PLAIN, is_taggable
from purposeguard.values.callables import is_plain
from purposeguard.values.pydantic import SealedField
from purposeguard.values.sealed import Sealed, function_name, join_parts, map_pending, seal
from purposeguard.values.walk import add_contained_tags

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
S1 = TypeVar("S1", bound=Source)
S2 = TypeVar("S2", bound=Source)
S3 = TypeVar("S3", bound=Source)
S4 = TypeVar("S4", bound=Source)
S5 = TypeVar("S5", bound=Source)
R1 = TypeVar("R1", bound=Source | Purpose)
R2 = TypeVar("R2", bound=Source | Purpose)
R3 = TypeVar("R3", bound=Source | Purpose)
T_co = TypeVar("T_co", covariant=True)
S_co = TypeVar("S_co", bound=Source | Purpose, covariant=True)


_ADVICE = "open it with `use.open(…)` in a purpose that may use it, or work on the seal with `map`, `zip` and `collect`"
_WRITERS = frozenset({"django", "http", "rest_framework"})
"""Packages that take the text of whatever they are given: to store it, look for it, send it or show it on a page."""
_REFUSED = {
    "a sealed value is neither true nor false (to see whether there is one, compare with `None`)": "bool",
    "a sealed value is no container": "len iter reversed contains getitem setitem delitem",
    "a sealed value is no number": "int float complex index round trunc floor ceil neg pos abs invert",
    "a sealed value is neither bytes nor a path": "bytes fspath",
    "sealed values have no order": "lt le gt ge",
    "a sealed value is no operand": """
        add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or
        radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand rxor ror
        iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ixor ior
    """,
    "a sealed value cannot be pickled": "reduce reduce_ex getstate setstate getnewargs getnewargs_ex",
}
"""The special methods that would use a sealed value as a plain one, by the words for the error."""


def _get_class(sealed: object) -> type:
    """Return the class of a sealed value, for `isinstance`.

    The JSON encoder reads `__class__` for its error message. No other hook reaches it, so it is refused here.
    """
    encoder = sys.modules.get("json.encoder")
    if encoder is not None and sys._getframe(1).f_code is encoder.JSONEncoder.default.__code__:
        raise SealedValue(f"a sealed value is not written as JSON: {_ADVICE}; `default=encode_sealed` opens it")
    return type(sealed)


@hides_own_frames
def _refuse_attribute(_: object, name: str) -> NoReturn:
    raise SealedAttribute(f"a sealed value has no `{name}`: {_ADVICE}")


def _make_refusal(reason: str) -> Callable[..., NoReturn]:
    @hides_own_frames
    def refuse(*_: object) -> NoReturn:
        raise SealedValue(f"{reason}: {_ADVICE}")

    return refuse


def _format_seal(sealed: Personal[Any, Any], asking: FrameType) -> str:
    """Return the text of a seal, for printing and logging.

    Raises:
        SealedValue: the caller is a package that would store, send or show the text. Django's fields store `str(value)`
            and its templates show it, and there is no other hook to refuse that.
    """
    if str(asking.f_globals.get("__name__")).partition(".")[0] in _WRITERS:
        raise SealedValue(f"a sealed value is not stored, looked for, sent or shown on a page: {_ADVICE}")
    return f"<sealed {', '.join(list_term_ids(sealed.label))}>"


@final
class Personal(Sealed, SealedField, Generic[T_co, S_co]):
    """`Personal(value, *sources)`: a value of type `T` that was collected under the sources `S`, sealed.

    It is opened by a use whose purpose all its sources may serve: `use.open(value)`. Nothing else leads to the plain
    value: printing, logging and comparing show or use the seal, and what takes it for a container, a number, an operand
    or a condition, or would write it, raises `SealedValue`.
    Seals are compared and hashed by identity, since comparing values would find them out by guessing.

    Covariant in both: a source is a subtype of each purpose it may serve, so `Personal[str, Registration]` goes where
    `Personal[str, RenewalGuidance]` is asked for. At run time the label says the sources themselves.

    Raises:
        UnlabelledData: no sources were given (rule 4).
        UnknownSource: a source is no source class.
    """

    __slots__ = ()

    @overload
    def __new__(cls, value: T, source: type[S1], /) -> Personal[T, S1]: ...
    @overload
    def __new__(cls, value: T, source: type[S1], other: type[S2], /) -> Personal[T, S1 | S2]: ...
    @overload
    def __new__(cls, value: T, source: type[S1], b: type[S2], c: type[S3], /) -> Personal[T, S1 | S2 | S3]: ...
    @overload
    def __new__(
        cls, value: T, source: type[S1], b: type[S2], c: type[S3], d: type[S4], /
    ) -> Personal[T, S1 | S2 | S3 | S4]: ...
    @overload
    def __new__(
        cls, value: T, source: type[S1], b: type[S2], c: type[S3], d: type[S4], e: type[S5], /, *more: type[S5]
    ) -> Personal[T, S1 | S2 | S3 | S4 | S5]: ...
    @overload
    def __new__(cls, value: T, label: Label, /) -> Personal[T, Any]: ...
    def __new__(cls, value: Any, /, *sources: Any) -> Personal[Any, Any]:
        """Seal `value` under these sources (or one `Label`), and those that its own fields are tagged with."""
        try:
            label = _resolve_label(*sources)
            if type(value) not in PLAIN:
                label = add_contained_tags(value, label)
            return seal(cls, value, label)
        except PurposeGuardError as error:
            error.__traceback__ = None  # Callers easily swap value and sources, and the frames hold both.
            raise
        finally:
            del value, sources  # Keep them out of the traceback.

    def map(self, fn: Callable[[T_co], U], /) -> Personal[U, S_co]:
        """Return the value with `fn` applied, sealed under the same label, since derived data keeps its sources.

        `fn` sees the plain value, so it runs each time the value is opened, inside the purpose that opens it. It should
        depend on its argument alone. If it fails, `SealedValue` is raised without the message of its error.

        Raises:
            TypeError: `fn` cannot be called; or is a coroutine function or a generator, which would run when the
                opening, and perhaps the purpose, is over.
        """
        if not callable(fn):
            raise TypeError(f"`map` takes a function, not {type(fn).__name__}")
        if not is_plain(fn):
            raise TypeError(
                f"`map` takes a function that runs when it is called, and {function_name(fn)} would run later"
            )
        return seal(Personal, map_pending(self, fn), self.label)

    @overload
    def zip(self, a: Personal[A, R1], /) -> Personal[tuple[T_co, A], S_co | R1]: ...
    @overload
    def zip(self, a: Personal[A, R1], b: Personal[B, R2], /) -> Personal[tuple[T_co, A, B], S_co | R1 | R2]: ...
    @overload
    def zip(
        self, a: Personal[A, R1], b: Personal[B, R2], c: Personal[C, R3], /
    ) -> Personal[tuple[T_co, A, B, C], S_co | R1 | R2 | R3]: ...
    @overload
    def zip(
        self, a: Personal[A, R1], b: Personal[A, R1], c: Personal[A, R1], d: Personal[A, R1], /, *more: Personal[A, R1]
    ) -> Personal[tuple[T_co | A, ...], S_co | R1]: ...
    def zip(self, *others: Personal[Any, Any]) -> Personal[Any, Any]:
        """Return the values as a tuple, sealed under the union of the labels (rule 2).

        Raises:
            TypeError: there is no other value, or a value is not sealed.
        """
        if not others:
            raise TypeError("`zip` takes at least one other sealed value")
        return _join_seals((self, *others), ())

    @overload
    @staticmethod
    def collect(values: Iterable[Personal[T, R1]], /) -> Personal[tuple[T, ...], R1]: ...
    @overload
    @staticmethod
    def collect(values: Iterable[Personal[T, R1]], source: type[S1], /) -> Personal[tuple[T, ...], R1 | S1]: ...
    @overload
    @staticmethod
    def collect(
        values: Iterable[Personal[T, R1]], source: type[S1], other: type[S2], /, *more: type[S2]
    ) -> Personal[tuple[T, ...], R1 | S1 | S2]: ...
    @staticmethod
    def collect(values: Iterable[Personal[Any, Any]], /, *sources: Any) -> Personal[Any, Any]:
        """Return the values as one tuple, sealed under the union of their labels and of `sources`.

        The number of values in a list is not sealed; in the collected value it is. Name the sources if there may be no
        values: an empty label is no licence.

        Raises:
            UnlabelledData: there are no values and no sources (rule 4).
            TypeError: a value is not sealed.
        """
        refusal: Exception
        try:
            return _join_seals(tuple(values), sources)
        except PurposeGuardError as error:
            refusal = error.with_traceback(None)
        finally:
            del values, sources
        raise refusal

    def __repr__(self) -> str:
        return _format_seal(self, sys._getframe(1))

    def __format__(self, spec: str, /) -> str:
        if spec:
            # Do not quote the specification: it may be made from a value.
            raise SealedValue(f"a sealed value takes no format specification: {_ADVICE}")
        return _format_seal(self, sys._getframe(1))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("Personal is final: a subclass could not see the value, and would only look as if it did")

    if not TYPE_CHECKING:  # pragma: no branch  # This is always true at run time.
        # Hide these methods from type checkers, which must report that a sealed value is no container, number or text
        # and that none of its attributes can be set.
        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise AttributeError(f"a sealed value cannot be changed: `{name}` cannot be set")

        def __delattr__(self, name: str) -> NoReturn:
            raise AttributeError(f"a sealed value cannot be changed: `{name}` cannot be removed")

        __class__ = property(_get_class)
        __getattr__ = _refuse_attribute
        vars().update(
            {f"__{name}__": _make_refusal(reason) for reason, names in _REFUSED.items() for name in names.split()}
        )


def require_sealed(value: object, who: str) -> None:
    """Raise TypeError if a value is not sealed. `who` is the subject of the message."""
    if type(value) is not Personal:
        if value is None:
            raise TypeError(f"{who} takes sealed values, and was given `None`: compare with `None` first")
        instead = "`Personal(value, Source)` seals one, `Personal(value, NotPersonal)` what is not personal"
        if is_taggable(type(value)):
            instead = "give its fields"
        elif isinstance(value, (list, tuple, set, frozenset, dict)) and "open" in who:
            instead = "`open_all` opens what is in a list"
        raise TypeError(f"{who} takes sealed values, and was given a {type(value).__name__}: {instead}")


def _join_seals(parts: tuple[Personal[Any, Any], ...], sources: tuple[Any, ...]) -> Personal[Any, Any]:
    """Seal all parts together under the union of their labels and these sources."""
    for part in parts:
        require_sealed(part, "a combination")
    labels = {part.label for part in parts}
    if sources:
        labels.add(_resolve_label(*sources))
    if not labels:
        raise UnlabelledData("nothing was collected, and no source named: `Personal.collect(values, Source)` names it")
    return seal(Personal, join_parts(parts), Label.join(*labels))


def _resolve_label(*sources: Any) -> Label:
    """Return the label of these sources.

    Raises:
        UnlabelledData: there are none.
        UnknownSource: a source is no source class.
    """
    try:  # `suppress` would take longer than everything else here.
        return _known_label(*sources)
    except TypeError:
        pass
    return _build_label(*sources)  # An unhashable source is no class, and is refused without a context.


def _build_label(*sources: Any) -> Label:
    if not sources:
        raise UnlabelledData("a value is sealed under the sources that it derives from: `Personal(value, Source)`")
    for source in sources:
        if not isinstance(source, (Label, TermMeta)):
            why = "a value is sealed under source classes, which `notice.source(id)` gives, or one `Label`"
            if is_union(source) or isinstance(source, (list, tuple, set, frozenset)):
                why = "a value is sealed under several sources by naming each, `Personal(value, Source, Other)`"
            raise UnknownSource(type(source), why)  # Do not show the object itself, which may be the value.
    return Label.join(*(source if isinstance(source, Label) else Label(source) for source in sources))


_known_label = functools.lru_cache(maxsize=256)(_build_label)


def derive(notice: Notice, operation: str, first: Personal[Any, Any], second: Personal[Any, Any]) -> Personal[Any, Any]:
    """Return both values as a tuple, sealed under the source that the notice gives their combination (rule 6).

    Generated modules call this in a typed function for each derivation, such as `link_usage(cookie, personal)`.

    Raises:
        UnknownOperation: the notice declares no such operation between the two.
        UnknownSource: a source is of another notice.
        TypeError: a value is not sealed.
    """

    def label_of(left: Label, right: Label) -> Label:
        for source in (*left.sources, *right.sources):
            if source is not NotPersonal:
                notice.source(source)  # This raises for a hand-made subclass of a source.
        return derive_label(notice, operation, left, right)

    return combine_seals(label_of, first, second)


def combine_seals(
    label_of: Callable[[Label, Label], Label], first: Personal[Any, Any], second: Personal[Any, Any]
) -> Personal[Any, Any]:
    """Seal both values as a tuple, under the label that `label_of` makes from their labels."""
    for value in (first, second):
        require_sealed(value, "a derivation")
    sealed: Personal[Any, Any] = seal(Personal, join_parts((first, second)), label_of(first.label, second.label))
    return sealed
