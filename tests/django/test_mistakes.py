"""What a colleague in a hurry writes into the Django shop is refused, by both clients, and tells nothing."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import AsyncClient, Client

from purposeguard.integrations.problems import MEDIA_TYPE

pytestmark = pytest.mark.usefixtures("shop")

REFUSED = {
    "promote_upgrade": (403, "purpose", "django_shop_event.kind"),
    "answer_anybody": (403, "purpose", "django_shop_customer.email"),
    "promote_from_summary": (403, "purpose", "django_shop_event.kind"),
    "look_for_a_fault": (403, "purpose", "django_shop_customer.last_scan"),
    "whom_to_call_first": (403, "purpose", "django_shop_event.kind"),
    "fill_segments": (403, "flow", "django_shop_segment.title"),
    "mark_segments": (403, "flow", "django_shop_segment.title"),
    "raw_statement": (403, "purpose", "django_shop_customer.last_scan"),
    "read_deferred_field": (403, "purpose", "django_shop_customer.last_scan"),
    "prefetch_events": (403, "purpose", "django_shop_event.product"),
    "guess_value": (403, "purpose", "django_shop_customer.last_scan"),
    "averages": (403, "purpose", "django_shop_event.seconds"),
    "read_without_purpose": (500, "no-purpose", None),
    "without_mixin": (500, "no-purpose", None),
    "store_a_seal": (500, "sealed", None),
    "show_a_seal": (500, "sealed", None),
}


def test_every_mistake_is_here() -> None:
    from examples.django_shop.mistakes import urlpatterns

    assert {pattern.pattern._route for pattern in urlpatterns} == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_refused(name: str) -> None:
    @async_to_sync
    async def asked() -> Any:
        return await AsyncClient().get(f"/mistakes/{name}")

    for ask in (functools.partial(Client().get, f"/mistakes/{name}"), asked):
        answer: Any = ask()
        transaction.set_rollback(False)  # of the test, which a refused change asks for
        problem = answer.json()
        kind = problem["type"].removeprefix("urn:purposeguard:problem:")
        assert (answer.status_code, kind, problem.get("field")) == REFUSED[name]
        assert ("sources" in problem) == (kind in ("purpose", "flow"))
        assert (problem["status"], answer.headers["Content-Type"]) == (answer.status_code, MEDIA_TYPE)
        for value in ("Aiko", "Ren", "example.org", "2026-05", "crash"):
            assert value not in answer.content.decode()
