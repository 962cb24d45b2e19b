"""Loading of objects without the attributes that the purpose under way may not use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.base import LoaderCallableStatus, PassiveFlag
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError

from purposeguard.adapters.sqlalchemy.decisions import may_read
from purposeguard.adapters.sqlalchemy.keepers import KEEPER, Keeper
from purposeguard.errors import PurposeGuardError, RowRefused


def find_deferred(session: Any, mapper: Mapper[Any]) -> frozenset[str]:
    """Return the attributes of a class that the use under way may not read, except the key, which objects need."""
    keeper: Keeper = getattr(session, KEEPER)
    names: set[str] = set()
    for entry in keeper.entries_about(mapper):
        use = entry.current_use()
        if entry.watch.observes(use):
            continue
        keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        for prop in mapper.column_attrs:
            if prop.key not in keys and not may_read(entry.watch, mapper, prop.key, use, loaded=False):
                names.add(prop.key)
    return frozenset(names)


class ExpiredLoader:
    """Loader of all expired attributes of an object together, except those that the purpose may not use."""

    def __init__(self, load: Callable[[Any, set[str], Any], None]) -> None:
        self._load: Final = load

    def __call__(self, state: Any, names: set[str], passive: Any) -> None:
        """Load the attributes, as SQLAlchemy asks for it. Raise RowLeftOut if the row exists and is left out."""
        session = state.session
        denied: frozenset[str] = frozenset()
        if getattr(session, "defer_denied", False):
            denied = find_deferred(session, state.mapper)
        try:
            self._load(state, names - denied, passive)
        except ObjectDeletedError:
            refuse_if_left_out(session, state)
            raise
        left_out = denied.intersection(names)
        if left_out:
            state.callables = {**state.callables, **{name: SingleLoader(name) for name in left_out}}


class SingleLoader:
    """Loader of an attribute of an object that was left out when the others were loaded."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, state: Any, passive: Any = PassiveFlag.PASSIVE_OFF) -> Any:
        """Load the attribute, as SQLAlchemy asks for it."""
        if not passive & PassiveFlag.SQL_OK:
            return LoaderCallableStatus.PASSIVE_NO_RESULT
        if state.session is None:
            raise DetachedInstanceError(f"`{self.key}` was left out when the object was loaded, and it has no session")
        state.session.refresh(state.obj(), [self.key])
        return LoaderCallableStatus.ATTR_WAS_SET


class LoadsOneByOne:
    """A mixin for the implementation of a column attribute.

    All expired attributes are loaded together, except those that the purpose may not use. If such an attribute is read,
    it is loaded by a statement of its own, which is refused with its own error.
    """

    __slots__ = ()

    def _fire_loader_callables(self, state: Any, key: str, passive: Any) -> Any:  # as SQLAlchemy calls it
        above: Any = super()
        value = above._fire_loader_callables(state, key, passive)
        if value is LoaderCallableStatus.ATTR_WAS_SET and key not in state.dict:
            load = state.callables.get(key)
            if isinstance(load, SingleLoader):
                return load(state, passive)
        return value


class RowLeftOut(ObjectDeletedError, RowRefused):
    """The row of an object exists, and the purpose under way may not use it."""


def refuse_if_left_out(session: Any, state: Any) -> None:
    """Raise RowLeftOut if the row of an object was not found because it is left out."""
    keeper: Keeper | None = getattr(session, KEEPER, None)
    if keeper is None or state.key is None:
        return
    mapper = state.mapper
    if all(entry.observes() for entry in keeper.entries_about(mapper)):
        return  # In observe mode no row is left out.
    has_key = [column == value for column, value in zip(mapper.primary_key, state.key[1], strict=True)]
    count = select(func.count()).select_from(mapper.primary_key[0].table).where(*has_key)
    exists = False
    with suppress(PurposeGuardError):  # The key may be personal itself.
        exists = bool(session.execute(count, bind_arguments={"mapper": mapper}).scalar())
    if exists:
        raise RowLeftOut(
            state,
            f"the row of this `{mapper.class_.__name__}` is there, and may not be used for this purpose: its subject "
            "stopped it, or its source or its days do not allow it",
        )
