"""The search for the use that opens a sealed value: the use that is named, or the one that is under way.

An `Opener` is a use as `purposeguard.values` sees it, which does not import the package of uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.row_context import RowContext


class Opener:
    """A use that opens sealed values. It is found by its class, among the variables of the current context."""

    __slots__ = ()

    _is_placeholder: ClassVar[bool] = False
    """True for the object that stands in for a use while none is under way."""

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
"""The use that opens the sealed fields of the model that is being written.

None if each field has to find its use itself, as after another use was entered meanwhile.
"""


def get_sole_opener() -> Opener | None:
    """Return the only use in the context, if it holds here; None if there is no use, or several."""
    sole: Opener | None = None
    for value in copy_context().values():
        if isinstance(value, Opener) and not value._is_placeholder and value is not sole:
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
    for value in copy_context().values():
        if isinstance(value, Opener) and not value._is_placeholder:
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
