"""What a colleague in a hurry writes, and what becomes of it. Each of these is wrong, and each is refused."""

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
    """Marketing to those whose devices report. Products did not report that for marketing."""
    slow = Customer.objects.filter(events__kind="crash").values_list("email", flat=True)
    return JsonResponse({"sent": len(list(slow))})


@purpose(tm.AnyInquiryResponse, channel="email")
def answer_anybody(request: HttpRequest) -> HttpResponse:
    """Answers a customer: the notice has this purpose for leads and prospects."""
    return JsonResponse({"to": Customer.objects.only("email").earliest("id").email})


@purpose(tm.ProductGuidance, channel="email")
def promote_from_summary(request: HttpRequest) -> HttpResponse:
    """Counting does not launder: a count is still what products report."""
    return JsonResponse(Event.objects.aggregate(crashes=Count("id", filter=Q(kind="crash"))))


@purpose(tm.ProductGuidance, channel="email")
def look_for_a_fault(request: HttpRequest) -> HttpResponse:
    """Renders a model with all its columns."""
    return render(request, "django_shop/customers.html", {"object_list": Customer.objects.all()})


@purpose(tm.RenewalGuidance, channel="phone")
def whom_to_call_first(request: HttpRequest) -> HttpResponse:
    """Gives names alone, which may serve renewals. But in the order of what their products report."""
    busy = Customer.objects.values("name").annotate(n=Count("events", filter=Q(events__kind="crash"))).order_by("-n")
    return JsonResponse({"names": [one["name"] for one in busy]})


@purpose(tm.ProductImprovement)
def fill_segments(request: HttpRequest) -> HttpResponse:
    """May read telemetry, and puts it where letters about renewals are written by."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_shop_segment (customer_id, title) "
            "SELECT customer_id, CASE WHEN avg(seconds) > 5 THEN 'slow' ELSE 'fast' END "
            "FROM django_shop_event GROUP BY customer_id"
        )
    return JsonResponse({})


@purpose(tm.ProductImprovement)
def mark_segments(request: HttpRequest) -> HttpResponse:
    """The same by the ORM."""
    crashing = Event.objects.filter(kind="crash").values("customer")
    return JsonResponse({"marked": Segment.objects.filter(customer__in=crashing).update(title="slow")})


@purpose(tm.RenewalGuidance, channel="email")
def raw_statement(request: HttpRequest) -> HttpResponse:
    """A statement that somebody wrote by hand."""
    found = Customer.objects.raw("SELECT id, name, last_scan AS email FROM django_shop_customer")
    return JsonResponse({"emails": [one.email for one in found]})


@purpose(tm.RenewalGuidance, channel="email")
def deferred_field(request: HttpRequest) -> HttpResponse:
    """Reads the column later, one row at a time."""
    return JsonResponse({"scans": [one.last_scan for one in Customer.objects.only("name")]})


@purpose(tm.RenewalGuidance, channel="email")
def prefetched(request: HttpRequest) -> HttpResponse:
    """Gets what products report along with what it may have."""
    found = Customer.objects.only("name").prefetch_related("events")
    return JsonResponse({"kinds": [event.kind for one in found for event in one.events.all()]})


@purpose(tm.RenewalGuidance, channel="email")
def guessed(request: HttpRequest) -> HttpResponse:
    """Finds out by asking whether there is one."""
    return JsonResponse({"yes": Customer.objects.filter(last_scan="2026-05-02").exists()})


@purpose(tm.ProductGuidance, channel="email")
def averages(request: HttpRequest) -> HttpResponse:
    """A mean of what products report, by customer."""
    found = Customer.objects.values("id").annotate(mean=Avg("events__seconds"))
    return JsonResponse({"means": list(found)})


def without_purpose(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": Customer.objects.only("name").earliest("id").name})


class WithoutMixin(ListView):
    """States its purpose for the view, and is rendered later."""

    queryset = Customer.objects.order_by("id")
    template_name = "django_shop/customers.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with guard.purpose(tm.ProductProvision):
            answer: HttpResponse = super().get(request, *args, **kwargs)
        return answer


@purpose(tm.ProductProvision)
def store_a_seal(request: HttpRequest) -> HttpResponse:
    """Puts a sealed value into a row."""
    name: Any = Personal("Aiko Mori", tm.Registration)
    return JsonResponse({"id": Customer.objects.create(name=name, email="aiko@example.org").pk})


@purpose(tm.ProductProvision)
def show_a_seal(request: HttpRequest) -> HttpResponse:
    """Puts a sealed value onto a page."""
    one = {"name": Personal("Aiko Mori", tm.Registration)}
    return TemplateResponse(request, "django_shop/letters.html", {"object_list": [one]})


MISTAKES = (
    *(promote_upgrade, answer_anybody, promote_from_summary, look_for_a_fault, whom_to_call_first, fill_segments),
    *(mark_segments, raw_statement, deferred_field, prefetched, guessed, averages, without_purpose),
    *(store_a_seal, show_a_seal),
)

urlpatterns = [path(view.__name__, view) for view in MISTAKES] + [path("without_mixin", WithoutMixin.as_view())]
