"""The entry points of Django: requests, by Django's own clients, and management commands."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import BaseCommand, call_command
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSet

import purposeguard as pg
from examples.django_shop.privacy import guard
from purposeguard.integrations.django import PurposeMixin, purpose, purposed
from purposeguard.integrations.django.views import load_guard_from_settings
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.entry_point import current_entry_point

pytestmark = pytest.mark.usefixtures("shop")

SEEN: dict[str, str | None] = {}
ADDRESS = "aiko@example.jp"
"""Part of paths. No entry point may contain it."""


def look(place: str) -> None:
    SEEN[place] = current_entry_point()


@pytest.fixture(autouse=True)
def seen() -> Iterator[None]:
    SEEN.clear()
    yield
    assert current_entry_point() is None


def touch(request: HttpRequest, **_: object) -> HttpResponse:
    look("view")
    return HttpResponse("x")


async def touch_async(request: HttpRequest, **_: object) -> HttpResponse:
    look("view")
    await sync_to_async(look)("thread")
    return HttpResponse("x")


def stream(request: HttpRequest, **_: object) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        look("part")
        yield "x"

    return StreamingHttpResponse(parts())


async def stream_async(request: HttpRequest, **_: object) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        look("part")
        yield "x"

    return StreamingHttpResponse(parts())


class Rendered(SimpleTemplateResponse):
    @property
    def rendered_content(self) -> str:
        look("rendering")
        return "x"


def render(request: HttpRequest, **_: object) -> HttpResponse:
    return Rendered("x")


def fail(request: HttpRequest, **_: object) -> HttpResponse:
    raise ValueError


def deny(request: HttpRequest, **_: object) -> HttpResponse:
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation) as denied:
        guard.check(tm.ProductData, tm.RenewalGuidance)
    SEEN["error"] = denied.value.entry_point
    return HttpResponse("x")


def handle(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    look("handler")
    return HttpResponse("x", status=400)


class People(ViewSet):
    lookup_value_regex = "[^/]+"

    def retrieve(self, request: Any, pk: str) -> Response:
        look("view")
        return Response("x")


def middleware(answer: Any) -> Any:
    def around(request: HttpRequest) -> Any:
        look("before")
        response = answer(request)
        look("after")
        return response

    return around


router = SimpleRouter()
router.register("people", People, basename="person")
inner = [path("<slug:kind>/", touch), re_path(r"^old/(?P<key>[^/]+)$", touch)]
urls = ModuleType("entry_point_urls")
vars(urls).update(
    handler404=handle,
    handler500=handle,
    urlpatterns=[
        path("users/<str:key>/", touch),
        path("async/<str:key>/", touch_async),
        path("stream/<str:key>/", stream),
        path("stream-async/<str:key>/", stream_async),
        path("rendered/<str:key>/", render),
        path("failing/<str:key>/", fail),
        path("denied/<str:key>/", deny),
        path("shops/<str:shop>/", include(inner)),
        re_path(r"^regex/(?P<key>[^/]+)$", touch),
        path("api/", include(router.urls)),
        path("office/", purposed(admin.site.urls, tm.ProductProvision)),
    ],
)
REQUESTS = {
    f"GET /users/{ADDRESS}/": ("GET /users/<str:key>/", {"view"}),
    f"HEAD /users/{ADDRESS}/": ("GET /users/<str:key>/", {"view"}),
    f"DELETE /users/{ADDRESS}/": ("DELETE /users/<str:key>/", {"view"}),
    f"AIKO /users/{ADDRESS}/": ("OTHER /users/<str:key>/", {"view"}),
    f"GET /async/{ADDRESS}/": ("GET /async/<str:key>/", {"view", "thread"}),
    f"GET /stream/{ADDRESS}/": ("GET /stream/<str:key>/", {"part"}),
    f"GET /stream-async/{ADDRESS}/": ("GET /stream-async/<str:key>/", {"part"}),
    f"GET /rendered/{ADDRESS}/": ("GET /rendered/<str:key>/", {"rendering"}),
    f"GET /failing/{ADDRESS}/": ("GET /failing/<str:key>/", {"handler"}),
    f"GET /denied/{ADDRESS}/": ("GET /denied/<str:key>/", {"error"}),
    f"GET /shops/{ADDRESS}/cloud/": ("GET /shops/<str:shop>/<slug:kind>/", {"view"}),
    f"GET /shops/x/old/{ADDRESS}": ("GET /shops/<str:shop>/old/(?P<key>[^/]+)$", {"view"}),
    f"GET /regex/{ADDRESS}": ("GET /regex/(?P<key>[^/]+)$", {"view"}),
    f"GET /api/people/{ADDRESS}/": ("GET /api/people/(?P<pk>[^/]+)/$", {"view"}),
    f"GET /{ADDRESS}": ("GET (no route)", {"handler"}),
}
OWN = override_settings(
    ROOT_URLCONF=urls, MIDDLEWARE=["purposeguard.integrations.django.PurposeMiddleware", f"{__name__}.middleware"]
)


def consume(answer: Any) -> None:
    if answer.streaming:
        b"".join(answer)


async def consume_async(answer: Any) -> None:
    if answer.streaming:
        _ = [part async for part in answer]


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_request_has_one_entry_point_everywhere(request_line: str, is_async: bool) -> None:
    method, url = request_line.split()
    name, places = REQUESTS[request_line]

    @async_to_sync
    async def ask() -> None:
        client = AsyncClient(raise_request_exception=False)
        await consume_async(await client.generic(method, url))

    with OWN, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "StreamingHttpResponse must consume")
        if is_async:
            ask()
        else:
            consume(Client(raise_request_exception=False).generic(method, url))
    assert SEEN.pop("before") == f"{name.split()[0]} (no route)"
    assert dict.fromkeys(places | {"after"}, name) == SEEN


def test_pages_of_the_admin_are_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.django_shop.models import Customer

    office: Any = admin.site._registry[Customer]
    whole = office.get_queryset

    def look_and_query(request: HttpRequest) -> Any:
        look("admin")
        return whole(request)

    monkeypatch.setattr(office, "get_queryset", look_and_query)
    staff = User.objects.create_superuser("staff")
    client = Client()
    client.force_login(staff)
    client.get("/office/django_shop/customer/1/change/")
    assert SEEN == {"admin": "GET /office/django_shop/customer/<path:object_id>/change/"}


class Command(BaseCommand):
    def handle(self, *_: object, **__: object) -> None:
        look("command")


def test_a_command_is_an_entry_point() -> None:
    call_command(Command())
    assert SEEN == {"command": "command test_entry_points"}


FILE = """\
["GET /shops/**"]
purpose = "renewal-guidance"

["POST /shops/**"]
purpose = "product-guidance"

["GET /own/stated/**"]
purpose = "renewal-guidance"

["command test_entry_points"]
purpose = "renewal-guidance"
mode = "observe"
"""


@pytest.fixture
def with_file(tmp_path: Path) -> Iterator[pg.Guard]:
    file = tmp_path / "purposes.toml"
    file.write_text(FILE, "utf-8")
    own = pg.Guard(tm.NOTICE, purposes=file)
    with OWN, override_settings(PURPOSEGUARD_GUARD=own):
        yield own


def describe() -> str:
    try:
        activity = load_guard_from_settings().current.activity
    except pg.PurposeMissing:
        return "none"
    return f"{activity.purpose_id} as {activity.name}{' observing' if activity.observing else ''}"


def tell(request: HttpRequest, **_: object) -> HttpResponse:
    return HttpResponse(describe())


async def tell_async(request: HttpRequest, **_: object) -> HttpResponse:
    return HttpResponse(describe())


def tell_in_stream(request: HttpRequest, **_: object) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([describe()]))


class Telling(View):
    def get(self, request: HttpRequest, **_: object) -> HttpResponse:
        return HttpResponse(describe())

    post = get


class TellingPeople(ViewSet):
    def list(self, request: Any) -> Response:
        return Response(describe())


@contextlib.contextmanager
def routed(prefix: str = "shops", **views: Any) -> Iterator[None]:
    own = ModuleType("own_urls")
    own_router = SimpleRouter()
    own_router.register("people", TellingPeople, basename="person")
    pages = [path(f"{name}/<str:key>/", view) for name, view in views.items()]
    inside = include([*pages, *own_router.urls])
    vars(own)["urlpatterns"] = [path(f"{prefix}/", inside), path("other/", tell)]
    with override_settings(ROOT_URLCONF=own):
        yield


VIEWS = {"plain": tell, "async": tell_async, "stream": tell_in_stream, "class": Telling.as_view()}


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
def test_views_run_for_the_purposes_of_the_file(with_file: pg.Guard, is_async: bool) -> None:
    @async_to_sync
    async def ask_async(method: str, url: str) -> str:
        return str((await AsyncClient().generic(method, url)).content.decode())

    def ask(method: str, url: str) -> str:
        return str(Client().generic(method, url).content.decode())

    send = ask_async if is_async else ask
    with routed(**VIEWS):
        for name in ("plain", "async", "class"):
            assert send("GET", f"/shops/{name}/7/") == f"1.2(1)① as GET /shops/{name}/<str:key>/"
            assert send("POST", f"/shops/{name}/7/") == f"1.2(1)② as POST /shops/{name}/<str:key>/"
        assert send("GET", "/other/") == send("PUT", "/shops/plain/7/") == "none"
        assert send("GET", "/shops/people/") == '"1.2(1)① as GET /shops/people/$"'
        listed = {activity.name for activity in with_file.activities}
        assert {"GET /shops/plain/<str:key>/", "POST /shops/class/<str:key>/", "GET /shops/people/$"} <= listed
        assert "POST /shops/people/$" not in listed


def test_streams_run_for_the_purposes_of_the_file(with_file: pg.Guard) -> None:
    def stream(request: HttpRequest, **_: object) -> StreamingHttpResponse:
        return StreamingHttpResponse(describe() for _ in range(2))

    with routed(stream=stream):
        answer: Any = Client().get("/shops/stream/7/")
        assert list(answer) == [b"1.2(1)\xe2\x91\xa0 as GET /shops/stream/<str:key>/"] * 2


@pytest.mark.parametrize("way", ["view", "class", "method", "guard"])
def test_a_view_and_the_file_may_not_state_different_purposes(with_file: pg.Guard, way: str) -> None:
    def make(stated: Any) -> Any:
        class Stated(Telling): ...

        if way == "class":
            mixed: Any = type("Mixed", (PurposeMixin, Telling), {"purpose": stated})
            return mixed.as_view()
        if way == "method":
            return method_decorator(purpose(stated), name="get")(Stated).as_view()
        return (purpose(stated) if way == "view" else with_file.purpose(stated))(tell)

    with routed("own", stated=make(tm.RenewalGuidance)):
        assert Client().get("/own/stated/7/").content.startswith("1.2(1)①".encode())
    with routed("own", stated=make(tm.IncidentGuidance)), pytest.raises(ValueError, match="leave one of them"):
        Client().get("/own/stated/7/")


def test_a_command_runs_for_the_purpose_of_the_file(with_file: pg.Guard) -> None:
    class Telling(BaseCommand):
        def handle(self, *_: object, **__: object) -> str:
            return describe()

    class Stated(BaseCommand):
        @with_file.purpose(tm.ProductGuidance)
        def handle(self, *_: object, **__: object) -> None: ...

    assert call_command(Telling()) == "1.2(1)① as command test_entry_points observing"
    with pytest.raises(ValueError, match="leave one of them"):
        call_command(Stated())
