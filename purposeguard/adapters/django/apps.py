"""The Django application that holds all connections to the notice."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured

from purposeguard.adapters.django.checks import check_tags
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.guard import load_guard

LABEL = "purposeguard_rows"


class RowsConfig(AppConfig):
    """The application `"purposeguard.adapters.django"`.

    List it in `INSTALLED_APPS` before the applications that it guards. The setting `PURPOSEGUARD_GUARD` is the guard or
    its import path, such as `"shop.privacy.guard"`. With `PURPOSEGUARD_INSTANCES = True`, instances of models check
    each read of a personal field.
    """

    name = "purposeguard.adapters.django"
    label = LABEL
    verbose_name = "purposeguard: rows"
    held: HeldConnections

    def ready(self) -> None:
        """Hold all connections to the notice, and register the check of tags.

        Raises:
            TypeError: `PURPOSEGUARD_GUARD` is not a guard.
        """
        guard = load_guard(getattr(settings, "PURPOSEGUARD_GUARD", None), "PURPOSEGUARD_GUARD")
        self.held = HeldConnections(
            guard, getattr(settings, "PURPOSEGUARD_FUNCTIONS", ()), getattr(settings, "PURPOSEGUARD_PASSES", ())
        )
        self.held.install()
        if getattr(settings, "PURPOSEGUARD_INSTANCES", False):
            self.held.check_instances()
        register(check_tags, "purposeguard")


def get_held_connections() -> HeldConnections:
    """Return the object that holds the connections of this process.

    Raises:
        ImproperlyConfigured: the application is not installed.
    """
    if not apps.is_installed(RowsConfig.name):
        raise ImproperlyConfigured(
            f'put "{RowsConfig.name}" into INSTALLED_APPS: nothing holds statements to the notice'
        )
    config = apps.get_app_config(LABEL)
    held_connections: HeldConnections = config.held
    return held_connections
