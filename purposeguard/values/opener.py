"""Who can open a sealed value here: the use that is named, or those under way."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.row_context import RowContext


class Opener:
    """What opens sealed values: a use. Found by what it is, in the context in which code runs."""

    __slots__ = ()

    _nothing: ClassVar[bool] = False
    """Whether it only says that nothing is under way."""

    def _explain_absence(self) -> str | None:
        """Why it does not hold here and now; None where it does."""
        raise NotImplementedError

    def _current_use(self) -> Opener:
        """What its guard has under way here; itself where that is nothing."""
        raise NotImplementedError

    def _is_current(self) -> bool:
        """True if it is what its guard has under way, and holds here and now."""
        raise NotImplementedError

    def _knows(self, label: Label) -> bool:
        """Whether the sources of this label are of its notice."""
        raise NotImplementedError

    def open(self, value: Any, /) -> Any:
        """The plain value of a sealed one."""
        raise NotImplementedError

    def _open_in_context(self, value: Any, row_contexts: tuple[RowContext, ...], /) -> Any:
        """The same of one that this is known of."""
        raise NotImplementedError

    def _withhold_for_dump(self, value: Any, met: list[Any]) -> Any:
        """A value without what may not be used; `met` gets all models in it."""
        raise NotImplementedError


get_dump_opener: ContextVar[Opener | None] = ContextVar("purposeguard dump", default=None)
"""Who opens the sealed fields of the model that is being written; None where each field has to ask, as it has once
another use is entered meanwhile."""


def get_sole_opener() -> Opener | None:
    """The use that decides here, whatever the label; None unless it is the only one in the context, and holds here."""
    sole: Opener | None = None
    for value in copy_context().values():
        if isinstance(value, Opener) and not value._nothing and value is not sole:
            if sole is not None:
                return None
            sole = value
    return sole if sole is not None and sole._is_current() else None


def find_opener(label: Label | None, context: object = None) -> Opener:
    """The use that decides here: the one in `context["use"]`, or the one under way.

    Raises:
        PurposeMissing: there is none, or uses of several guards are under way and each could decide.
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
    # Each guard keeps its own in a context variable; the default, where nothing is under way, is in no context.
    # An application may keep uses in variables of its own as well: of each guard the one under way decides.
    every = [one._current_use() for one in copy_context().values() if isinstance(one, Opener) and not one._nothing]
    found = list({id(one): one for one in every}.values())
    here = [one for one in found if one._explain_absence() is None] or found
    if len(here) > 1 and label is not None:
        here = [one for one in here if one._knows(label)] or here
    if not here:
        raise PurposeMissing(
            "a sealed value was to be opened outside any purpose: enter `with guard.purpose(…)`, decorate the function "
            'with `@guard.purpose(…)`, or name a use where there is a context for it, `context={"use": use}`'
        )
    if len(here) > 1:
        raise PurposeMissing(
            "a sealed value was to be opened while uses of several guards are under way, and each could decide: name "
            'one, `context={"use": use}`'
        )
    return here[0]
