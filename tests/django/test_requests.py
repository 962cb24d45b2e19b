"""Views, sync and async, by Django's own clients: the purpose holds from the view to the last byte."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from django.utils.decorators import method_decorator
from django.views import View
from django.views.debug import technical_500_response
from django.views.decorators.cache import cache_page

import purposeguard as pg
from examples.django_shop.privacy import guard
from purposeguard.errors import PurposeMissing, UnknownPurpose
from purposeguard.integrations.django import PurposeMixin, purpose, purposed
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation

pytestmark = pytest.mark.usefixtures("shop")


def customers() -> Any:
    from examples.django_shop.models import Customer

    return Customer.objects


PAGES = {
    "/renewals": (
        '{"renewals": [{"to": "aiko@example.org", "product": "shield"}, {"to": "ren@example.org", "product": "cloud"}]}'
    ),
    "/search?q=IKO": '{"names": ["Aiko Mori"]}',
    "/customers": "Aiko Mori 2026-05-02 shield\nRen Ito 2026-05-03 cloud\n\n",
    "/letters": "Dear Aiko Mori,\nDear Ren Ito,\n\n",
    "/crashes": '{"cloud": 1, "shield": 1}',
    "/export": "Aiko Mori,2026-05-02\r\nRen Ito,2026-05-03\r\n",
}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_for_its_purpose(path: str) -> None:
    answer: Any = Client().get(path)
    assert answer.status_code == 200
    assert b"".join(answer).decode() == PAGES[path]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
@pytest.mark.parametrize("path", PAGES)
def test_a_page_for_its_purpose_under_asgi(path: str) -> None:
    @async_to_sync
    async def asked() -> bytes:
        answer: Any = await AsyncClient().get(path)
        assert answer.status_code == 200
        if answer.streaming:
            return b"".join([part async for part in answer])
        return bytes(answer.content)

    assert asked().decode() == PAGES[path]


def test_answers_of_the_rest_framework_leave_fields_out() -> None:
    contracts = [{"product": "shield", "renews_on": "2026-06-01"}]
    whole = {"id": 1, "name": "Aiko Mori", "email": "aiko@example.org", "last_scan": "2026-05-02"}
    assert Client().get("/api/customers/1/").json() == {**whole, "contracts": contracts}
    del whole["last_scan"]
    assert Client().get("/api/renewals/1/").json() == {**whole, "contracts": contracts}
    assert [set(one) for one in Client().get("/api/renewals/").json()] == [{*whole, "contracts"}] * 2


def test_what_is_not_answered_is_written_all_the_same() -> None:
    written = {"name": "C", "email": "c@example.org", "last_scan": "today"}
    answer = Client().post("/api/renewals/", json.dumps(written), content_type="application/json")
    assert (answer.status_code, "last_scan" in answer.json()) == (201, False)
    with guard.purpose(tm.ProductProvision, activity="support"):
        assert customers().get(name="C").last_scan == "today"


def test_the_office_works_for_its_purpose() -> None:
    from django.contrib.auth.models import User

    staff = User.objects.create_superuser("staff")
    client = Client()
    assert client.get("/office/django_shop/customer/").status_code == 302
    client.force_login(staff)
    page = client.get("/office/django_shop/customer/?q=IKO")
    assert (page.status_code, b"aiko@example.org" in page.content, b"ren@" in page.content) == (200, True, False)
    changed = {"name": "Aiko Abe", "email": "aiko@example.org", "last_scan": ""}
    assert client.post("/office/django_shop/customer/1/change/", changed).status_code == 302
    assert b"Aiko Abe" in client.get("/office/").content


def test_without_details_a_refusal_names_no_source() -> None:
    with override_settings(PURPOSEGUARD_DETAILS=False):
        assert "sources" not in json.loads(Client().get("/mistakes/promote_upgrade").content)


get = RequestFactory().get("/")
aget = AsyncRequestFactory().get("/")


def names(*_: object) -> HttpResponse:
    return HttpResponse(", ".join(customers().order_by("id").values_list("name", flat=True)))


def scans(*_: object) -> HttpResponse:
    return HttpResponse(", ".join(customers().order_by("id").values_list("last_scan", flat=True)))


def test_nothing_is_left_of_a_purpose_behind_a_view() -> None:
    assert purpose(tm.RenewalGuidance)(names)(get).content == b"Aiko Mori, Ren Ito"
    for view, error in ((names, PurposeMissing), (purpose(tm.RenewalGuidance)(scans), PurposeViolation)):
        with pytest.raises(error):
            view(get)
    with pytest.raises(PurposeMissing):
        names()


def test_an_activity_is_called_as_its_view() -> None:
    purpose(tm.RenewalGuidance)(names)
    purpose(tm.RenewalGuidance, activity="mailing")(names)
    listed = [one.name for one in guard.activities]
    assert listed.count(f"{__name__}.names") == 1
    assert "examples.django_shop.views.Customers" in listed


class Names(PurposeMixin, View):
    purpose = tm.RenewalGuidance

    def get(self, request: object) -> HttpResponse:
        return names()


class AsyncNames(PurposeMixin, View):
    purpose = tm.RenewalGuidance

    async def get(self, request: object) -> HttpResponse:
        return HttpResponse(", ".join([one.name async for one in customers().only("name").order_by("id")]))


class Decorated(View):
    @purpose(tm.RenewalGuidance)
    def get(self, request: object) -> HttpResponse:
        return names()


@method_decorator(purpose(tm.RenewalGuidance), name="dispatch")
class Dispatched(View):
    def get(self, request: object) -> HttpResponse:
        return names()


@pytest.mark.parametrize("view", [Names, Decorated, Dispatched])
def test_classes_state_a_purpose(view: Any) -> None:
    assert view.as_view()(get).content == b"Aiko Mori, Ren Ito"
    assert view.as_view()(get).content == b"Aiko Mori, Ren Ito"


def test_a_purpose_is_stated_where_a_class_is_routed() -> None:
    assert Names.as_view()(get).content == b"Aiko Mori, Ren Ito"
    with pytest.raises(PurposeViolation):
        Names.as_view(purpose=tm.AnyInquiryResponse, channel="email")(get)


def test_a_page_about_an_error_shows_seals_as_seals() -> None:
    def view(request: object) -> HttpResponse:
        held = pg.Personal("Aiko Sakura", tm.Registration)
        raise LookupError(type(held).__name__)

    with pytest.raises(LookupError) as raised:
        view(get)
    page = technical_500_response(get, raised.type, raised.value, raised.tb).content.decode()
    assert "&lt;sealed 1.1(a)&gt;" in page
    assert "held" in page


def test_an_async_class_states_a_purpose() -> None:
    assert async_to_sync(AsyncNames.as_view())(aget).content == b"Aiko Mori, Ren Ito"


def test_a_class_without_a_purpose_is_refused_when_it_is_routed() -> None:
    class Silent(PurposeMixin, View): ...

    with pytest.raises(ImproperlyConfigured, match="Silent states no purpose"):
        Silent.as_view()
    with pytest.raises(UnknownPurpose):
        purpose("renewl-guidance")
    with pytest.raises(TypeError, match="Silent is a class"):
        purpose(tm.RenewalGuidance)(Silent)
    with override_settings(PURPOSEGUARD_GUARD=None), pytest.raises(TypeError, match="PURPOSEGUARD_GUARD"):
        purpose(tm.RenewalGuidance)


def test_a_template_is_rendered_for_the_purpose_once_and_pickled_then() -> None:
    @purpose(tm.RenewalGuidance)
    def view(request: Any) -> TemplateResponse:
        return TemplateResponse(request, "django_shop/letters.html", {"object_list": customers().only("name")})

    answer = view(get)
    assert not answer.is_rendered
    assert b"Dear Aiko Mori" in answer.render().content
    with pytest.raises(PurposeMissing):
        names()
    cached = cache_page(60)(view)
    cache.clear()
    assert [b"Ren Ito" in cached(get).render().content for _ in range(2)] == [True, True]


def test_the_innermost_purpose_renders() -> None:
    @purpose(tm.RenewalGuidance)
    def view(request: Any) -> SimpleTemplateResponse:
        return TemplateResponse(request, "django_shop/customers.html", {"object_list": customers().all()})

    with pytest.raises(PurposeViolation):
        purpose(tm.ProductProvision)(view)(get).render()


def test_a_stream_is_sent_for_the_purpose_part_by_part() -> None:
    @purpose(tm.RenewalGuidance)
    def view(request: object) -> StreamingHttpResponse:
        return StreamingHttpResponse(one.name for one in customers().only("name").order_by("id").iterator())

    answer = view(get)
    parts = iter(answer)
    assert next(parts) == b"Aiko Mori"
    with pytest.raises(PurposeMissing):
        names()
    assert list(parts) == [b"Ren Ito"]


def test_an_async_stream_is_sent_for_the_purpose() -> None:
    @purpose(tm.RenewalGuidance)
    async def view(request: object) -> StreamingHttpResponse:
        return StreamingHttpResponse(lines())

    async def lines() -> Any:
        async for one in customers().only("name").order_by("id"):
            yield one.name

    @async_to_sync
    async def asked() -> list[bytes]:
        answer = await view(aget)
        parts = [part async for part in answer]
        with pytest.raises(PurposeMissing):
            await customers().afirst()
        return parts

    assert asked() == [b"Aiko Mori", b"Ren Ito"]


def test_an_async_view_asks_in_threads_for_its_purpose_alone() -> None:
    @purpose(tm.RenewalGuidance)
    async def view(request: object) -> HttpResponse:
        assert await customers().filter(name__icontains="IKO").acount() == 1
        assert (await customers().only("name").aget(pk=1)).name == "Aiko Mori"
        assert (await sync_to_async(names)()).content == b"Aiko Mori, Ren Ito"
        with pytest.raises(PurposeViolation):
            await customers().aget(pk=1)
        return HttpResponse(str(await customers().filter(email="ren@example.org").aexists()))

    assert async_to_sync(view)(aget).content == b"True"


def test_an_error_within_a_view_ends_its_purpose() -> None:
    @purpose(tm.RenewalGuidance)
    async def failing(request: object) -> HttpResponse:
        await customers().values("name").afirst()
        raise ValueError("halfway")

    @async_to_sync
    async def asked() -> None:
        with pytest.raises(ValueError, match="halfway"):
            await failing(aget)
        with pytest.raises(PurposeMissing):
            await customers().afirst()

    asked()


def test_a_cancelled_request_ends_its_purpose() -> None:
    @async_to_sync
    async def asked() -> None:
        waits, left = asyncio.Event(), asyncio.Event()

        @purpose(tm.RenewalGuidance)
        async def view(request: object) -> HttpResponse:
            try:
                waits.set()
                await asyncio.Event().wait()
            finally:
                left.set()
            return HttpResponse()

        task = asyncio.create_task(view(aget))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()
        with pytest.raises(PurposeMissing):
            await customers().afirst()

    asked()


def test_urls_of_somebody_else_get_a_purpose() -> None:
    from django.urls import include, path

    inner = [path("scans", scans, name="scans"), path("more/", include([path("names", names)]))]
    patterns, app_name, namespace = purposed(inner, tm.RenewalGuidance)
    assert (app_name, namespace) == (None, None)
    with pytest.raises(PurposeViolation):
        patterns[0].callback(get)
    assert patterns[1].url_patterns[0].callback(get).content == b"Aiko Mori, Ren Ito"
    assert (patterns[0].name, inner[0].callback) == ("scans", scans)
    with pytest.raises(TypeError, match="what `path"):
        purposed([functools.partial(names)], tm.RenewalGuidance)
