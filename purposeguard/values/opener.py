"""The search for the use that opens a sealed value: the use that is named, or the one that is under way.

An `Opener` is a use as `purposeguard.values` sees it, which does not import the package of uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.row_context import RowContext


class Opener:
    """A use that opens sealed values. It is found by its class, among the variables of the current context."""

    __slots__ = ()

    _is_placeholder: ClassVar[bool] = False
    """True for the object that stands in for a use while none is under way."""

    if TYPE_CHECKING:
        # A subclass has slots for them.

        _allowed_labels: set[object] | frozenset[object]
        """The labels that may be opened without asking for a decision or counting."""

        _counted: Mapping[object, Any]
        """The same if uses are counted, each with the function that counts a use."""

        _entered_by: object
        """The task, greenlet or thread in which the use is valid."""

        _identify_runner: Any
        """The function that returns the task, greenlet or thread that is running."""

    def explain_absence(self) -> str | None:
        """Return why the use does not hold here and now; None if it does."""
        raise NotImplementedError

    def _current_use(self) -> Opener:
        """Return the use of the same guard that is under way here; this object itself if there is none."""
        raise NotImplementedError

    def _is_current(self) -> bool:
        """Return True if this is the use of its guard that is under way, and if it holds here and now."""
        raise NotImplementedError

    def _knows(self, label: Label) -> bool:
        """Return True if the sources of this label belong to the notice of this use."""
        raise NotImplementedError

    def open(self, value: Any, /) -> Any:
        """Return the plain value of a sealed value."""
        raise NotImplementedError

    def _open_in_context(self, value: Any, row_contexts: tuple[RowContext, ...], /) -> Any:
        """Open a sealed value of which these row contexts are known."""
        raise NotImplementedError

    def _withhold_for_dump(self, value: Any, met: list[Any]) -> Any:
        """Withhold from a value the fields that may not be used. All models in it are added to `met`."""
        raise NotImplementedError


dump_opener_var: ContextVar[Opener | None] = ContextVar("purposeguard dump", default=None)
"""The use that opened the row or field that was written last.

None if each has to find its use itself. Whatever makes another use ambient sets it to None, at the start of a use and
at its end.
"""


def is_usable(opener: Opener | None) -> TypeGuard[Opener]:
    """Return True if a use is valid in the task, greenlet or thread that is running."""
    try:
        return opener is not None and opener._entered_by == opener._identify_runner()
    except (ReferenceError, RuntimeError):  # It belongs to an event loop, and none runs here, or its owner is gone.
        return False


def _iter_uses() -> Iterator[Opener]:
    """Yield the uses in the variables of the current context."""
    for variable, value in copy_context().items():
        if isinstance(value, Opener) and not value._is_placeholder and variable is not dump_opener_var:
            yield value


def get_sole_opener() -> Opener | None:
    """Return the only use in the context, if it holds here; None if there is no use, or several."""
    sole: Opener | None = None
    for value in _iter_uses():
        if value is not sole:
            if sole is not None:
                return None
            sole = value
    return sole if sole is not None and sole._is_current() else None


def find_opener(label: Label | None, context: object = None) -> Opener:
    """Return the use that decides here: the use in `context["use"]`, or else the current use.

    Args:
        label: The label of the value to open. If uses of several guards are under way, the one whose notice has its
            sources decides. None if it is unknown, or if no value is opened.
        context: The context that the caller of a serializer or validator passed, such as pydantic's. Only its key
            `use` matters, and only if it is a mapping.

    Raises:
        PurposeMissing: there is no use; or uses of several guards are under way, and several of their notices have the
            sources of the label, or none has them all.
        TypeError: `context["use"]` is no use.
    """
    if isinstance(context, Mapping) and "use" in context:
        named = context["use"]
        if not isinstance(named, Opener):
            raise TypeError(f'`context={{"use": …}}` names a use, not {type(named).__name__}')
        return named
    sole = get_sole_opener()
    if sole is not None:
        return sole
    # Each guard keeps its current use in a context variable, which is unset until a use is entered. An application may
    # keep uses in variables of its own as well; for each guard, the current use decides.
    current_uses: dict[int, Opener] = {}
    for value in _iter_uses():
        use = value._current_use()
        current_uses[id(use)] = use
    uses = list(current_uses.values())
    # If no use holds here, all stay candidates: if one remains, opening with it says why it does not hold.
    candidates = [use for use in uses if use.explain_absence() is None] or uses
    if len(candidates) > 1 and label is not None:
        candidates = [use for use in candidates if use._knows(label)]
        if not candidates:
            raise PurposeMissing(
                "a sealed value was to be opened while uses of several guards are under way, and none of their notices "
                "has all its sources: enter a purpose of a guard whose notice has them"
            )
    if not candidates:
        raise PurposeMissing(
            "a sealed value was to be opened outside any purpose: enter `with guard.purpose(…)`, decorate the function "
            'with `@guard.purpose(…)`, or name a use where there is a context for it, `context={"use": use}`'
        )
    if len(candidates) > 1:
        raise PurposeMissing(
            "a sealed value was to be opened while uses of several guards are under way, and each could decide: name "
            'one, `context={"use": use}`'
        )
    return candidates[0]
