"""The application of Django that holds its connections to the notice."""

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
    """`"purposeguard.adapters.django"` in `INSTALLED_APPS`; before the applications whose rows it holds.

    `PURPOSEGUARD_GUARD` is the guard, or where it is imported from, `"shop.privacy.guard"`.
    """

    name = "purposeguard.adapters.django"
    label = LABEL
    verbose_name = "purposeguard: rows"
    held: HeldConnections

    def ready(self) -> None:
        """Hold all connections.

        Raises:
            TypeError: there is no guard.
        """
        guard = load_guard(getattr(settings, "PURPOSEGUARD_GUARD", None), "PURPOSEGUARD_GUARD")
        self.held = HeldConnections(
            guard, getattr(settings, "PURPOSEGUARD_FUNCTIONS", ()), getattr(settings, "PURPOSEGUARD_PASSES", ())
        )
        self.held.install()
        register(check_tags, "purposeguard")


def get_held_connections() -> HeldConnections:
    """What holds the connections of this process; raises ImproperlyConfigured where nothing does."""
    if not apps.is_installed(RowsConfig.name):
        raise ImproperlyConfigured(
            f'put "{RowsConfig.name}" into INSTALLED_APPS: nothing holds statements to the notice'
        )
    config = apps.get_app_config(LABEL)
    found: HeldConnections = config.held
    return found
