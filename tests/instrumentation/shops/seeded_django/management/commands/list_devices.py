"""A command that lists devices."""

from typing import Any

from django.core.management.base import BaseCommand

from tests.instrumentation.shops.seeded_django.models import Member


class Command(BaseCommand):
    def handle(self, **_: Any) -> None:
        """Write a line for each device."""
        for member in Member.objects.all():
            self.stdout.write(member.device)
