"""Sealed values: the slot that holds the plain value, and the one way to read it.

`Sealed` is the base of `Personal`. The plain value lies in a slot that no attribute leads to: the slot's descriptor is
taken off the class once the class is made, and this module alone keeps it. Functions given to `map` wait until a use
opens the value, so they run inside a purpose that may use it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from purposeguard.errors import SealedValue, on_one_line
from purposeguard.notice.label import Label
from purposeguard.policy.violations import REFUSALS

_object_new: Final = object.__new__


class SealedMeta(type):
    """The metaclass of sealed values. It keeps the attributes of their classes from being changed.

    A patched `label` or `map` would be a way round the seal.
    """

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        type.__setattr__(cls, "_made", True)

    def __setattr__(cls, name: str, value: object) -> None:
        if "_made" in cls.__dict__:
            raise AttributeError(f"{cls.__name__} is sealed: `{name}` cannot be changed")
        super().__setattr__(name, value)  # `typing` sets attributes while it makes a generic class.

    def __delattr__(cls, name: str) -> None:
        raise AttributeError(f"{cls.__name__} is sealed: `{name}` cannot be removed")


class Sealed(metaclass=SealedMeta):
    """A value with its label, and nothing else.

    `_sealed_label` holds the label again if no function has to be applied before the value is opened; otherwise it is
    unset. A use that has cleared that label may open the value at once.
    """

    if TYPE_CHECKING:
        # Show type checkers a read-only label, and no slot with the value.
        _sealed_label: Label

        @property
        def label(self) -> Label:
            """The sources that the value derives from."""
            raise NotImplementedError

    else:
        __slots__ = ("_plain", "_sealed_label", "label")


C = TypeVar("C", bound=Sealed)

_slot: Final[Any] = vars(Sealed)["_plain"]
_label_slot: Final[Any] = vars(Sealed)["label"]
_sealed_label_slot: Final[Any] = vars(Sealed)["_sealed_label"]
type.__delattr__(Sealed, "_plain")
type.__setattr__(Sealed, "__slots__", ("label",))

content: Final[Callable[[Sealed], Any]] = _slot.__get__
"""Return the content of the slot: the plain value, or a `PendingValue`. Only the use that opens it calls this."""

_set_content: Final[Callable[[Sealed, object], None]] = _slot.__set__
_set_label: Final[Callable[[Sealed, Label], None]] = _label_slot.__set__
_set_sealed_label: Final[Callable[[Sealed, Label], None]] = _sealed_label_slot.__set__


def seal(cls: type[C], value: object, label: Label) -> C:
    """Seal a value under a label, as an instance of `cls`."""
    sealed = _object_new(cls)
    _set_content(sealed, value)
    _set_label(sealed, label)
    if type(value) is not PendingValue:
        _set_sealed_label(sealed, label)
    return sealed


class PendingValue:
    """A value that is computed when it is opened: `fn` of one part, or a tuple of all parts if there is no `fn`."""

    __slots__ = ("fn", "parts")

    def __init__(self, fn: Callable[[Any], Any] | None, parts: tuple[Sealed, ...]) -> None:
        self.fn = fn
        self.parts = parts


def map_pending(sealed: Sealed, fn: Callable[[Any], Any]) -> PendingValue:
    """Return a pending value: `fn` applied to a sealed value."""
    return PendingValue(fn, (sealed,))


def join_parts(parts: tuple[Sealed, ...]) -> object:
    """Return the values of all parts in a tuple. It is pending if a function has to be applied first."""
    values = tuple(map(content, parts))
    return PendingValue(None, parts) if any(type(value) is PendingValue for value in values) else values


def iter_functions(sealed: Sealed) -> Iterator[Callable[[Any], Any]]:
    """Return the functions that are applied when a sealed value is opened."""
    return (node.fn for node in _order_pending(content(sealed)) if node.fn is not None)


def compute_plain_value(sealed: Sealed) -> Any:
    """Return the plain value, with all functions applied. Only for a use that may open it, or a declared reclassifier.

    Raises:
        SealedValue: a function failed. The message of its error is not shown, since it may contain the value.
    """
    top = content(sealed)
    if type(top) is not PendingValue:
        return top
    # Compute the parts before the whole, each once: chains may be long, and one value may be part of several.
    results: dict[int, Any] = {}
    try:
        for node in reversed(_order_pending(top)):
            parts = [results[id(inner)] if type(inner) is PendingValue else inner for inner in map(content, node.parts)]
            results[id(node)] = tuple(parts) if node.fn is None else _apply_function(node.fn, parts)
            parts.clear()
        return results.pop(id(top))
    finally:
        results.clear()  # Keep the values out of the frame if a function fails.


def _order_pending(top: object) -> list[PendingValue]:
    """Return `top` and the pending values below it, each before the values that it is made from."""
    ordered: list[PendingValue] = []
    done: set[int] = set()
    stack: list[tuple[Any, bool]] = [(top, False)]
    while stack:
        node, below_done = stack.pop()
        if below_done:
            ordered.append(node)
        elif type(node) is PendingValue and id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((content(part), False) for part in node.parts)
    ordered.reverse()
    return ordered


def _apply_function(fn: Callable[[Any], Any], parts: list[Any]) -> Any:
    try:
        return fn(parts.pop())
    except Exception as error:  # noqa: BLE001  # The error may show the value, so another is raised below.
        redacted = redact_error(f"{function_name(fn)}, given to `map`,", error)
    raise redacted


def redact_error(action: str, error: Exception) -> Exception:
    """Return an error to raise instead of an error of code that saw a plain value. It shows nothing of the value.

    Refusals of this library are safe and are kept; any other error is replaced. Frames, notes and causes are removed.
    """
    if type(error) not in REFUSALS:
        return make_failure(action, error)
    error.__cause__ = error.__context__ = None
    vars(error).pop("__notes__", None)
    return error.with_traceback(None)


def make_failure(action: str, error: Exception) -> SealedValue:
    """Return an error that says what failed, how and where, without the message of the original error."""
    trace = error.__traceback__
    last = None
    while trace is not None:
        last, trace = trace, trace.tb_next
    where = ""
    if last is not None and not str(last.tb_frame.f_globals.get("__name__")).startswith("purposeguard."):
        where = f" in line {last.tb_lineno} of {last.tb_frame.f_globals.get('__name__')}"
    kind = type(error).__name__
    return SealedValue(f"{action} failed with {kind}{where}; what it said is not told, since it may show the value")


def function_name(fn: object) -> str:
    """Return the name of a function for a message."""
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None)
    return f"`{on_one_line(name)}`" if isinstance(name, str) else f"a {type(fn).__name__}"
