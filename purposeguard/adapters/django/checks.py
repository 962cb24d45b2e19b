"""What `manage.py check` says of the tags of models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connections

from purposeguard.adapters.django.session import DIALECTS, HeldConnections
from purposeguard.adapters.django.tags import TagFault, every_model, faults_of, unknown_settings


def check_tags(app_configs: Iterable[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """Fields without a tag, tags of unknown sources, tags of fields that are none, databases whose SQL is not read."""
    held: HeldConnections = apps.get_app_config("purposeguard_rows").held
    return [*_of_models(held, app_configs), *_of_databases()]


def _of_models(held: HeldConnections, app_configs: Iterable[AppConfig] | None) -> Iterator[CheckMessage]:
    asked = None if app_configs is None else {config.label for config in app_configs}
    faults: list[TagFault] = [] if asked is not None else list(unknown_settings())
    for model in every_model():
        if asked is None or model._meta.app_label in asked:
            faults.extend(faults_of(model, held.decider.revisions))
    for fault in faults:
        yield Error(fault.message, hint=fault.hint, obj=fault.model, id=f"purposeguard.{fault.id}")


def _of_databases() -> Iterator[CheckMessage]:
    for alias in connections:
        vendor = connections[alias].vendor
        if vendor not in DIALECTS:
            yield checks.Warning(
                f"the database `{alias}` is of {vendor}, whose statements are not read: all of them are refused",
                hint=f"{', '.join(DIALECTS)} are read",
                id="purposeguard.W001",
            )
