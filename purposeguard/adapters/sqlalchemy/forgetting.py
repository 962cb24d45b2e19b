"""Forgetting of the values of loaded objects that may not be used for the purpose under way."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column
from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty, Session
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.sqlalchemy.decisions import may_read
from purposeguard.adapters.sqlalchemy.keepers import KEEPER, Keeper, Watch
from purposeguard.runtime.use import Use

_FORGOTTEN: Final = "purposeguard_forgotten"
"""The attribute of an object's state that holds the names that its session forgot under another purpose."""

_NO_NAMES: Final[frozenset[str]] = frozenset()


def forget_other_purposes(session: Session) -> None:
    """Forget the values of a guarded session's objects that may not be used for the purpose under way.

    In observe mode nothing is forgotten. Then values are checked when they are read.
    """
    keeper: Keeper = getattr(session, KEEPER)
    if not keeper.take_over_uses():
        return
    names_by_mapper: dict[Mapper[Any], set[str]] = {}
    for state in session.identity_map.all_states():
        mapper = state.mapper
        names = names_by_mapper.get(mapper)
        if names is None:
            names = names_by_mapper[mapper] = set()
            for entry in keeper.entries_about(mapper):
                if entry.keeps_other_values:
                    continue
                names |= find_values_to_forget(entry.watch, mapper, entry.current_use())
        forget(state, names)


def forget(state: Any, names: set[str]) -> None:
    """Expire attributes of an object, except values that the application set."""
    loaded = names.intersection(state.dict) - set(state.committed_state)
    if loaded:
        state._expire_attributes(state.dict, loaded)  # `Session.expire` would also expire what the application set.
        state.purposeguard_forgotten = frozenset(loaded).union(list_forgotten(state))


def list_forgotten(state: Any) -> list[str]:
    """Return the attributes that were forgotten under another purpose and not loaded since."""
    forgotten: frozenset[str] = getattr(state, _FORGOTTEN, _NO_NAMES)
    return sorted(forgotten.intersection(state.expired_attributes))


def find_values_to_forget(watch: Watch, mapper: Mapper[Any], use: Use[Any] | None) -> set[str]:
    """Return the attributes of loaded objects that a use may not read, and those that are computed."""
    names: set[str] = set()
    for prop in mapper.iterate_properties:
        if isinstance(prop, (RelationshipProperty, ColumnProperty)):
            is_forgotten = _is_computed(prop) or not may_read(watch, mapper, prop.key, use, loaded=True)
            if is_forgotten:
                names.add(prop.key)
    return names


def _is_computed(prop: Any) -> bool:
    """Return True if an attribute is computed, and not a column of a table itself."""
    if not isinstance(prop, ColumnProperty):
        return False
    column = prop.columns[0]
    return not isinstance(column, Column) or not isinstance(getattr(column, "table", None), TableClause)
