"""Querysets without the columns that a purpose may not use.

Rows are left out later, when the statement runs (`session`).
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db.models import QuerySet

from purposeguard.adapters.django.tags import Model

Q = TypeVar("Q", bound="QuerySet[Any]")


def permitted(queryset: Q) -> Q:
    """Return the queryset with the fields deferred that the purpose under way may not use.

    Reading a deferred field is refused. Columns in conditions and orders of `queryset` are checked as usual.

    Raises:
        PurposeMissing: no purpose is under way.
        UnlabelledData: a field has no tag.
        django.core.exceptions.ImproperlyConfigured: the adapter is not installed.
    """
    rows: Any = queryset
    denied = find_denied_fields(rows.model)
    return cast("Q", rows.defer(*sorted(denied))) if denied else queryset


def find_denied_fields(model: Model) -> frozenset[str]:
    """Return the fields of a model that the purpose under way may not use in any row.

    Raises:
        PurposeMissing, UnlabelledData, django.core.exceptions.ImproperlyConfigured: as `permitted`.
    """
    from purposeguard.adapters.django.apps import get_held_connections  # noqa: PLC0415  # applications must be loaded first

    holds = get_held_connections()
    decider = holds.decider
    if decider.is_observing():  # Statements run unchanged, and report what they read.
        return frozenset()
    use = decider.current_use("select", (model._meta.db_table,))
    if use is None:  # a missing purpose is only observed
        return frozenset()
    columns = holds.columns(model)
    names = [field.name for field in model._meta.concrete_fields]
    return frozenset(decider.find_denied_columns(use, columns, names, model._meta.db_table))
