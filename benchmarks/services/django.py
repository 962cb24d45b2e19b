"""Requests of Django: a list view, and a view of the REST framework, guarded and bare."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from benchmarks.data.measured import TimedRow, time_pairs
from examples.django_shop import settings as stated
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("django", "djangorestframework")

PEOPLE = 20
"""Rows on a page."""


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        _set_up(Path(folder))
        from django.db import connection
        from django.test import RequestFactory

        from examples.django_shop.privacy import governance

        request = RequestFactory().get("/")
        found = []
        for what, guarded, bare in _views():

            def ours(view: Any = guarded) -> None:
                assert view(request).render().status_code == 200

            def floor(view: Any = bare) -> None:
                held, connection.execute_wrappers = connection.execute_wrappers, []
                try:
                    assert view(request).render().status_code == 200
                finally:
                    connection.execute_wrappers = held

            takes, against, ratio = time_pairs(floor, ours, 20 if quick else 300)
            found.append(TimedRow(what, against, "the same view without a guard", takes, middle=ratio))
        connection.close()
        governance.close()
    return found


def _set_up(folder: Path) -> None:
    own = {name: getattr(stated, name) for name in dir(stated) if name.isupper()}
    own["DATABASES"] = {"default": {**stated.DATABASES["default"], "NAME": str(folder / "shop.db")}}
    own["GOVERNANCE_URL"] = f"sqlite:///{folder / 'privacy.db'}"
    settings.configure(**own)
    django.setup()
    from django.core.management import call_command

    from examples.django_shop.models import Customer

    call_command("migrate", verbosity=0)
    Customer.objects.bulk_create([Customer(name=f"C{n}", email=f"c{n}@example.org") for n in range(PEOPLE)])


def _views() -> list[tuple[str, Any, Any]]:
    from django.views.generic import ListView
    from rest_framework import serializers, viewsets

    from examples.django_shop.models import Customer
    from purposeguard.adapters.django import permitted
    from purposeguard.adapters.django.serializers import Withholding
    from purposeguard.integrations.django import PurposeMixin

    class Bare(ListView):
        queryset = Customer.objects.order_by("id")
        template_name = "django_shop/letters.html"

    class Guarded(PurposeMixin, Bare):
        purpose = tm.ProductProvision

    class Serializer(serializers.ModelSerializer):
        class Meta:
            model = Customer
            fields = ("id", "name", "email", "last_scan")

    class GuardedSerializer(Withholding, Serializer):
        pass

    class BareSet(viewsets.ModelViewSet):
        serializer_class = Serializer
        queryset = Customer.objects.order_by("id")

    class GuardedSet(PurposeMixin, BareSet):
        purpose = tm.ProductProvision
        serializer_class = GuardedSerializer

        def get_queryset(self) -> Any:
            return permitted(Customer.objects.order_by("id"))

    return [
        (f"a list view of {PEOPLE} rows", Guarded.as_view(), Bare.as_view()),
        (f"a viewset of {PEOPLE} rows", GuardedSet.as_view({"get": "list"}), BareSet.as_view({"get": "list"})),
    ]
