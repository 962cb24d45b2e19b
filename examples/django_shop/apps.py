"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from examples.django_shop.privacy import governance


class ShopConfig(AppConfig):
    name = "examples.django_shop"
    label = "django_shop"

    def ready(self) -> None:
        governance.open(settings.GOVERNANCE_URL)
