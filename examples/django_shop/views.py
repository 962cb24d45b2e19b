"""Pages, each for one purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.generic import ListView

from examples.django_shop.models import Contract, Customer, Event
from purposeguard.adapters.django import permitted
from purposeguard.integrations.django import PurposeMixin, purpose
from purposeguard.notices import trendmicro_jp as tm


@purpose(tm.RenewalGuidance, channel="email")
def renewals(request: HttpRequest) -> HttpResponse:
    """Return the people to remind of a renewal, each with the product."""
    due = Contract.objects.select_related("customer").only("product", "renews_on", "customer__name", "customer__email")
    found = [{"to": one.customer.email, "product": one.product} for one in due.order_by("renews_on")]
    return JsonResponse({"renewals": found})


@purpose(tm.ProductProvision)
def search(request: HttpRequest) -> HttpResponse:
    """Return the customers whose names contain a text."""
    found = Customer.objects.filter(name__icontains=request.GET.get("q", ""))
    return JsonResponse({"names": list(found.order_by("id").values_list("name", flat=True))})


class Customers(PurposeMixin, ListView):
    """A list that is rendered when the view has long returned."""

    purpose = tm.ProductProvision
    queryset = Customer.objects.prefetch_related("contracts").order_by("id")
    template_name = "django_shop/customers.html"


class Letters(PurposeMixin, ListView):
    """The same for letters about renewals, which know nothing of scans."""

    purpose = tm.RenewalGuidance
    channel = "email"
    template_name = "django_shop/letters.html"

    def get_queryset(self) -> Any:
        return permitted(Customer.objects.order_by("id"))


@purpose(tm.ProductImprovement)
async def crashes(request: HttpRequest) -> HttpResponse:
    """Crashes by product; Django asks for them in a thread."""
    groups = Event.objects.values("product").annotate(crashes=Count("id", filter=Q(kind="crash"))).order_by("product")
    return JsonResponse({one["product"]: one["crashes"] async for one in groups})


@purpose(tm.ProductProvision)
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Send a file whose lines are read from the database while it is sent."""
    return StreamingHttpResponse(_lines(), content_type="text/csv")


def _lines() -> Iterator[str]:
    for one in Customer.objects.order_by("id").iterator():
        yield f"{one.name},{one.last_scan}\r\n"
