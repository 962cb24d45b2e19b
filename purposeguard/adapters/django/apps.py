"""The application of Django that holds its connections to the notice."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from purposeguard.adapters.django.checks import check_tags
from purposeguard.adapters.django.session import Held
from purposeguard.guard import Guard

LABEL = "purposeguard_rows"


class RowsConfig(AppConfig):
    """`"purposeguard.adapters.django"` in `INSTALLED_APPS`; before the applications whose rows it holds.

    `PURPOSEGUARD_GUARD` is the guard, or where it is imported from, `"shop.privacy.guard"`.
    """

    name = "purposeguard.adapters.django"
    label = LABEL
    verbose_name = "purposeguard: rows"
    held: Held

    def ready(self) -> None:
        """Holds all connections.

        Raises:
            ImproperlyConfigured: there is no guard.
        """
        self.held = Held(_guard())
        self.held.install()
        register(check_tags, "purposeguard")


def held() -> Held:
    """What holds the connections of this process; raises ImproperlyConfigured where nothing does."""
    if not apps.is_installed(RowsConfig.name):
        raise ImproperlyConfigured(
            f'put "{RowsConfig.name}" into INSTALLED_APPS: nothing holds statements to the notice'
        )
    config = apps.get_app_config(LABEL)
    found: Held = config.held
    return found


def _guard() -> Guard:
    stated = getattr(settings, "PURPOSEGUARD_GUARD", None)
    found = import_string(stated) if isinstance(stated, str) else stated
    if not isinstance(found, Guard):
        raise ImproperlyConfigured(
            f"PURPOSEGUARD_GUARD is a Guard, or where it is imported from, not {type(found).__name__}: "
            'write `PURPOSEGUARD_GUARD = "shop.privacy.guard"`'
        )
    return found
