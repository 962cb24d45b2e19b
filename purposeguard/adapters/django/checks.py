"""The check of the models' tags in `manage.py check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connections

from purposeguard.adapters.django.session import DIALECTS, HeldConnections
from purposeguard.adapters.django.tags import TagFault, every_model, faults_of, find_unmatched_entries, unknown_settings


def check_tags(app_configs: Iterable[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """Return errors for missing, unreadable and misplaced tags, and warnings for unsupported databases.

    If the guard observes, the errors are warnings, because an error prevents most commands of `manage.py`.
    """
    held_connections: HeldConnections = apps.get_app_config("purposeguard_rows").held
    return [*_of_models(held_connections, app_configs), *_of_databases()]


def _of_models(held_connections: HeldConnections, app_configs: Iterable[AppConfig] | None) -> Iterator[CheckMessage]:
    labels = None if app_configs is None else {config.label for config in app_configs}
    faults: list[TagFault] = []
    file = held_connections.guard.tags
    if labels is None:
        faults += unknown_settings()
        faults += find_unmatched_entries(file) if file is not None else ()
    for model in every_model():
        if labels is None or model._meta.app_label in labels:
            faults.extend(faults_of(model, held_connections.decider.revisions, file))
    is_observing = held_connections.guard.engine.observing
    for fault in faults:
        level = checks.Warning if is_observing or fault.id.startswith("W") else Error
        yield level(fault.message, hint=fault.hint, obj=fault.model, id=f"purposeguard.{fault.id}")


def _of_databases() -> Iterator[CheckMessage]:
    for alias in connections:
        vendor = connections[alias].vendor
        if vendor not in DIALECTS:
            yield checks.Warning(
                f"the database `{alias}` is of {vendor}, whose statements are not read: all of them are refused",
                hint=f"{', '.join(DIALECTS)} are read",
                id="purposeguard.W001",
            )
