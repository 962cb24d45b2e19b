"""The Django application that holds requests to the notice."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register
from django.core.management.base import BaseCommand
from django.db import connections
from django.db.backends.signals import connection_created

from purposeguard.integrations.django.stated_views import enter_stated_views
from purposeguard.integrations.django.views import load_guard_from_settings
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site
from purposeguard.integrations.threads import hops
from purposeguard.runtime.entry_point import EntryPoint

_ROWS = "purposeguard.adapters.django"
_MARK: Final = "purposeguard_entry_points"
"""The attribute of the method that runs a command at its entry point."""
_MIDDLEWARE = "purposeguard.integrations.django.PurposeMiddleware"


class RequestsConfig(AppConfig):
    """`"purposeguard.integrations.django"` in `INSTALLED_APPS`."""

    name = "purposeguard.integrations.django"
    label = "purposeguard_requests"
    verbose_name = "purposeguard: requests"

    def ready(self) -> None:
        """Make management commands entry points, and the queries of `async` views run for their purpose.

        Views and commands run for the purposes that the guard's file `purposes.toml` states.

        Raises:
            TypeError: There is no guard.
        """
        load_guard_from_settings()
        hold_requests()
        register(check_installed, "purposeguard")


def hold_requests() -> None:
    """Make management commands entry points, and let the queries of `async` views run for their purpose."""
    _enter_commands()
    enter_stated_views()
    connection_created.connect(_add_wrapper, dispatch_uid="purposeguard-hops", weak=False)
    for connection in connections.all(initialized_only=True):
        _add_wrapper(connection=connection)


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


def _enter_commands() -> None:
    """Make each management command an entry point."""
    execute: Any = BaseCommand.execute
    if getattr(execute, _MARK, False):
        return

    @functools.wraps(execute)
    def execute_at_entry_point(command: BaseCommand, *args: Any, **options: Any) -> Any:
        with EntryPoint.command(type(command).__module__.rpartition(".")[2]) as entry_point:
            block = find_block(load_guard_from_settings(), entry_point.name, [find_activity(command.handle)])
            run = execute if block is None else block.wrap_function(execute, get_site(block))
            return run(command, *args, **options)

    setattr(execute_at_entry_point, _MARK, True)
    commands: Any = BaseCommand
    commands.execute = execute_at_entry_point


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
