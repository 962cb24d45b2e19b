"""Mistakes of a colleague in a hurry. Each of these views is wrong, and each is refused."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Avg, Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path
from django.views.generic import ListView

from examples.django_shop.models import Customer, Event, Segment
from examples.django_shop.privacy import guard
from purposeguard import Personal
from purposeguard.integrations.django import purpose
from purposeguard.notices import trendmicro_jp as tm


@purpose(tm.ProductGuidance, channel="email")
def promote_upgrade(request: HttpRequest) -> HttpResponse:
    """Send marketing to customers whose devices report. Products did not report for marketing."""
    slow = Customer.objects.filter(events__kind="crash").values_list("email", flat=True)
    return JsonResponse({"sent": len(list(slow))})


@purpose(tm.AnyInquiryResponse, channel="email")
def answer_anybody(request: HttpRequest) -> HttpResponse:
    """Answer a customer: the notice has this purpose for leads and prospects only."""
    return JsonResponse({"to": Customer.objects.only("email").earliest("id").email})


@purpose(tm.ProductGuidance, channel="email")
def promote_from_summary(request: HttpRequest) -> HttpResponse:
    """Use a count for marketing. A count is still product data."""
    return JsonResponse(Event.objects.aggregate(crashes=Count("id", filter=Q(kind="crash"))))


@purpose(tm.ProductGuidance, channel="email")
def look_for_a_fault(request: HttpRequest) -> HttpResponse:
    """Render a model with all its columns."""
    return render(request, "django_shop/customers.html", {"object_list": Customer.objects.all()})


@purpose(tm.RenewalGuidance, channel="phone")
def whom_to_call_first(request: HttpRequest) -> HttpResponse:
    """Return names only, which may serve renewals, but sorted by what the products report."""
    busy = Customer.objects.values("name").annotate(n=Count("events", filter=Q(events__kind="crash"))).order_by("-n")
    return JsonResponse({"names": [row["name"] for row in busy]})


@purpose(tm.ProductImprovement)
def fill_segments(request: HttpRequest) -> HttpResponse:
    """Write telemetry, which this purpose may read, into a table that is used for letters about renewals."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_shop_segment (customer_id, title) "
            "SELECT customer_id, CASE WHEN avg(seconds) > 5 THEN 'slow' ELSE 'fast' END "
            "FROM django_shop_event GROUP BY customer_id"
        )
    return JsonResponse({})


@purpose(tm.ProductImprovement)
def mark_segments(request: HttpRequest) -> HttpResponse:
    """Write telemetry into that table through the ORM."""
    crashing = Event.objects.filter(kind="crash").values("customer")
    return JsonResponse({"marked": Segment.objects.filter(customer__in=crashing).update(title="slow")})


@purpose(tm.RenewalGuidance, channel="email")
def raw_statement(request: HttpRequest) -> HttpResponse:
    """Run a statement that was written by hand."""
    customers = Customer.objects.raw("SELECT id, name, last_scan AS email FROM django_shop_customer")
    return JsonResponse({"emails": [customer.email for customer in customers]})


@purpose(tm.RenewalGuidance, channel="email")
def read_deferred_field(request: HttpRequest) -> HttpResponse:
    """Read the column later, one row at a time."""
    return JsonResponse({"scans": [customer.last_scan for customer in Customer.objects.only("name")]})


@purpose(tm.RenewalGuidance, channel="email")
def prefetch_events(request: HttpRequest) -> HttpResponse:
    """Prefetch product data along with a permitted column."""
    customers = Customer.objects.only("name").prefetch_related("events")
    kinds: list[str] = []
    for customer in customers:
        kinds += (event.kind for event in customer.events.all())
    return JsonResponse({"kinds": kinds})


@purpose(tm.RenewalGuidance, channel="email")
def guess_value(request: HttpRequest) -> HttpResponse:
    """Guess a value by asking whether a row with it exists."""
    return JsonResponse({"yes": Customer.objects.filter(last_scan="2026-05-02").exists()})


@purpose(tm.ProductGuidance, channel="email")
def averages(request: HttpRequest) -> HttpResponse:
    """Return a mean of product data for each customer."""
    rows = Customer.objects.values("id").annotate(mean=Avg("events__seconds"))
    return JsonResponse({"means": list(rows)})


def read_without_purpose(request: HttpRequest) -> HttpResponse:
    """Read a name outside any purpose."""
    return JsonResponse({"name": Customer.objects.only("name").earliest("id").name})


class WithoutMixin(ListView):
    """A view that enters its purpose itself, but is rendered after it has ended."""

    queryset = Customer.objects.order_by("id")
    template_name = "django_shop/customers.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with guard.purpose(tm.ProductProvision):
            answer: HttpResponse = super().get(request, *args, **kwargs)
        return answer


@purpose(tm.ProductProvision)
def store_a_seal(request: HttpRequest) -> HttpResponse:
    """Save a sealed value in a row."""
    name: Any = Personal("Aiko Mori", tm.Registration)
    return JsonResponse({"id": Customer.objects.create(name=name, email="aiko@example.org").pk})


@purpose(tm.ProductProvision)
def show_a_seal(request: HttpRequest) -> HttpResponse:
    """Render a sealed value on a page."""
    customer = {"name": Personal("Aiko Mori", tm.Registration)}
    return TemplateResponse(request, "django_shop/letters.html", {"object_list": [customer]})


MISTAKES = (
    *(promote_upgrade, answer_anybody, promote_from_summary, look_for_a_fault, whom_to_call_first, fill_segments),
    *(mark_segments, raw_statement, read_deferred_field, prefetch_events, guess_value, averages),
    read_without_purpose,
    *(store_a_seal, show_a_seal),
)

urlpatterns = [path(view.__name__, view) for view in MISTAKES] + [path("without_mixin", WithoutMixin.as_view())]
