"""A command that writes reminders. `cron` starts it every morning."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from examples.django_shop.models import Contract
from examples.django_shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


class Command(BaseCommand):
    help = "Writes to those whose contracts end."

    @guard.purpose(tm.RenewalGuidance, channel="email")
    def handle(self, *args: Any, **options: Any) -> None:
        for email, product in Contract.objects.order_by("id").values_list("customer__email", "product"):
            self.stdout.write(f"{email}: {product}")
