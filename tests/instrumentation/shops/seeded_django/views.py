"""The views, a middleware, a context processor, a signal handler and a page of the admin."""

from __future__ import annotations

import contextlib
import csv
import threading
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core import serializers as serializers_of_core
from django.core.cache import cache
from django.core.mail import send_mail
from django.db import connection, transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Subquery
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.forms import modelform_factory
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import RequestContext, Template
from rest_framework import serializers, viewsets

from tests.instrumentation.shops.seeded_django.models import Member, Order

DEVICE = "X1-of-Aiko"
sent: list[str] = []
"""What left the application otherwise than in an answer."""

Answer = Callable[[HttpRequest], HttpResponse]


def look_at_member(get_response: Answer) -> Answer:
    """Read the device of a member in a middleware."""

    def look(request: HttpRequest) -> HttpResponse:
        if request.path == "/middleware":
            sent.append(request.user.device)
        return get_response(request)

    return look


def use_middleware(_: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


def add_device(request: HttpRequest) -> dict[str, str]:
    """Read the device of a member for each template."""
    return {"device": Member.objects.get(pk=1).device} if request.path == "/context-processor" else {}


@receiver(post_save, sender=Order)
def tell_device(instance: Order, **_: Any) -> None:
    sent.append(instance.member.device)


class MemberAdmin(admin.ModelAdmin):
    list_display = ("username", "device")


admin.site.register(Member, MemberAdmin)


class MemberSerializer(serializers.ModelSerializer):
    class Meta:
        model = Member
        fields = ("username", "device")


class OrderSerializer(serializers.ModelSerializer):
    member = MemberSerializer()

    class Meta:
        model = Order
        fields = ("product", "member")


class Orders(viewsets.ModelViewSet):
    queryset = Order.objects.order_by("id")
    serializer_class = OrderSerializer


def render(request: HttpRequest, source: str, **values: object) -> HttpResponse:
    return HttpResponse(Template(source).render(RequestContext(request, values)))


def show_template(request: HttpRequest) -> HttpResponse:
    return render(request, "{% for order in orders %}{{ order.member.device }}{% endfor %}", orders=Order.objects.all())


def show_context(request: HttpRequest) -> HttpResponse:
    return render(request, "{{ device }}")


ANSWERS: dict[str, Callable[[HttpRequest], object]] = {
    "request-user": lambda request: request.user.device,
    "cached-property": lambda request: request.user.device_title,
    "wrong-purpose": lambda _: list(Member.objects.values_list("device", flat=True)),
    "order-by": lambda _: [*Member.objects.order_by("device").values_list("username"), DEVICE],
    "count-by": lambda _: [*Member.objects.values("device").annotate(n=Count("id")).values_list("n"), DEVICE],
    "aggregate": lambda _: Order.objects.aggregate(last=Max("member__device")),
    "second-database": lambda _: Member.objects.using("archive").get().device,
    "object-of-cache": lambda _: cache.get("member").device,
    "select-related": lambda _: [order.member.device for order in Order.objects.select_related("member")],
    "prefetch-related": lambda _: [order.member.device for order in Order.objects.prefetch_related("member")],
    "raw-queryset": lambda _: [one.device for one in Member.objects.raw("SELECT id, device FROM members")],
    "extra": lambda _: [*Member.objects.extra(where=["device > ''"]).values_list("id"), DEVICE],
    "serializers": lambda _: serializers_of_core.serialize("json", Member.objects.all()),
}


def answer(make: Callable[[HttpRequest], object]) -> Answer:
    """A view that answers with what it makes of a request."""
    return lambda request: JsonResponse({"made": make(request)})


def save_order(_: HttpRequest) -> HttpResponse:
    order = Order.objects.get(pk=1)
    order.product = "vpn"
    order.save()
    return HttpResponse("saved")


def export(_: HttpRequest) -> HttpResponse:
    response = HttpResponse(content_type="text/csv")
    csv.writer(response).writerows(Member.objects.values_list("username", "device"))
    return response


def stream(_: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(member.device for member in Member.objects.iterator())


def exist(_: HttpRequest) -> HttpResponse:
    members = Member.objects.filter(pk=OuterRef("member"), device__startswith="X")
    return JsonResponse({"found": list(Order.objects.filter(Exists(members)).values_list("product")), "by": DEVICE})


def subquery(_: HttpRequest) -> HttpResponse:
    devices = Member.objects.filter(pk=OuterRef("member")).values("device")
    return JsonResponse({"found": list(Order.objects.annotate(of=Subquery(devices)).values_list("of"))})


def copy(_: HttpRequest) -> HttpResponse:
    Member.objects.update(last_name=F("device"))
    return HttpResponse(DEVICE)


def use_cursor(_: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT device FROM members")
        return JsonResponse({"found": cursor.fetchall()})


def use_driver(_: HttpRequest) -> HttpResponse:
    connection.ensure_connection()
    driver: Any = connection.connection
    with contextlib.closing(driver.cursor()) as cursor:
        return JsonResponse({"found": cursor.execute("SELECT device FROM members").fetchall()})


async def use_async(_: HttpRequest) -> HttpResponse:
    return HttpResponse((await Member.objects.aget(pk=1)).device)


def cache_object(_: HttpRequest) -> HttpResponse:
    cache.set("member", Member.objects.get(pk=1))
    return HttpResponse("kept")


def show_form(request: HttpRequest) -> HttpResponse:
    form = modelform_factory(Member, fields=["device"])(instance=request.user)
    return render(request, "{{ form }}", form=form)


def show_vars(request: HttpRequest) -> HttpResponse:
    return HttpResponse(vars(Member.objects.get(pk=1))["device"])


def use_thread(_: HttpRequest) -> HttpResponse:
    thread = threading.Thread(target=lambda: sent.append(Member.objects.get(pk=1).device))
    thread.start()
    thread.join()
    return HttpResponse("done")


def use_commit(_: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        transaction.on_commit(lambda: sent.append(Member.objects.get(pk=1).device))
    return HttpResponse("done")


def fail(_: HttpRequest) -> HttpResponse:
    raise LookupError


def answer_error(_: HttpRequest) -> HttpResponse:
    return HttpResponse(Member.objects.get(pk=1).device, status=500)


def show_control(request: HttpRequest) -> HttpResponse:
    """Use nothing that the purpose does not permit."""
    return HttpResponse(Member.objects.values_list("username", flat=True)[0] + DEVICE)


def mail(request: HttpRequest) -> HttpResponse:
    send_mail("device", f"your device is {request.user.device}", "shop@example.jp", ["aiko@example.jp"])
    return HttpResponse("sent")
