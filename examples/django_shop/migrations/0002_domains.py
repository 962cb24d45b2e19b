"""Puts the domains of addresses into small letters: migrations run for no purpose."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def small(apps: Any, schema_editor: Any) -> None:
    for one in apps.get_model("django_shop", "Customer").objects.all():
        local, _, domain = one.email.rpartition("@")
        one.email = f"{local}@{domain.lower()}"
        one.save()


class Migration(migrations.Migration):
    dependencies = (("django_shop", "0001_initial"),)
    operations = (migrations.RunPython(small, migrations.RunPython.noop),)
