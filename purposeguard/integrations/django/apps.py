"""The Django application that holds requests to the notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register
from django.db import connections
from django.db.backends.signals import connection_created

from purposeguard.integrations.django.views import load_guard_from_settings
from purposeguard.integrations.threads import hops

_ROWS = "purposeguard.adapters.django"
_MIDDLEWARE = "purposeguard.integrations.django.PurposeMiddleware"


class RequestsConfig(AppConfig):
    """`"purposeguard.integrations.django"` in `INSTALLED_APPS`."""

    name = "purposeguard.integrations.django"
    label = "purposeguard_requests"
    verbose_name = "purposeguard: requests"

    def ready(self) -> None:
        """Make the queries of `async` views run for their purpose, in the threads that Django hops to.

        Raises:
            TypeError: There is no guard.
        """
        load_guard_from_settings()
        connection_created.connect(_add_wrapper, dispatch_uid="purposeguard-hops", weak=False)
        for connection in connections.all(initialized_only=True):
            _add_wrapper(connection=connection)
        register(check_installed, "purposeguard")


def check_installed(**_: Any) -> list[CheckMessage]:
    """Return the messages of `manage.py check` about the settings."""
    messages: list[CheckMessage] = []
    if not apps.is_installed(_ROWS):
        hint = f'put "{_ROWS}" into INSTALLED_APPS, or check by yourself what views read'
        messages.append(checks.Warning("statements are not held to the notice", hint=hint, id="purposeguard.W002"))
    if _MIDDLEWARE not in settings.MIDDLEWARE:
        hint = f'put "{_MIDDLEWARE}" into MIDDLEWARE'
        messages.append(
            checks.Warning("refusals are answered as errors of the server", hint=hint, id="purposeguard.W003")
        )
    return messages


@hops
def _run(execute: Callable[..., Any], /, *args: Any) -> Any:
    return execute(*args)


def _hop(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    return _run(execute, sql, params, many, context)


_hop.purposeguard_hops = True  # type: ignore[attr-defined]  # Other wrappers recognize it and stay behind it.


def _add_wrapper(*, connection: Any, **_: object) -> None:
    wrappers: list[Any] = connection.execute_wrappers
    if _hop not in wrappers:
        wrappers.insert(0, _hop)  # A block of `connection.execute_wrapper` would remove it from the end.
