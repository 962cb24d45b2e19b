"""Purposes of `purposes.toml`: each integration enters them, and notices where the code says something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from flask import Blueprint, Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import purposeguard as pg
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.integrations.celery import install as install_tasks
from purposeguard.integrations.celery import purpose_task
from purposeguard.integrations.fastapi import PurposeRouter, entering, install
from purposeguard.integrations.flask import Purposes
from purposeguard.integrations.flask import purpose as flask_purpose
from purposeguard.integrations.passport import Passports
from purposeguard.notices import trendmicro_jp as tm

FILE = """\
["* /renewals/**"]
purpose = "renewal-guidance"

["GET /renewals/devices/*"]
purpose = "product-guidance"
mode = "observe"

["GET /mail"]
purpose = "1.2(1)①"
channel = "email"

["WEBSOCKET /renewals/ws"]
purpose = "product-guidance"

["GET /sub/{area}/page"]
purpose = "product-guidance"

["task remind*"]
purpose = "renewal-guidance"

["task collect"]
purpose = "product-guidance"
"""


@pytest.fixture
def guard(tmp_path: Path) -> pg.Guard:
    path = tmp_path / "purposes.toml"
    path.write_text(FILE, "utf-8")
    return pg.Guard(tm.NOTICE, purposes=path)


def describe(guard: pg.Guard) -> str:
    """The purpose that is under way, its activity and its mode."""
    try:
        activity = guard.current.activity
    except pg.PurposeMissing:
        return "none"
    return f"{activity.purpose.slug} as {activity.name}{' observing' if activity.observing else ''}"


def test_routes_of_fastapi_run_for_the_purposes_of_the_file(guard: pg.Guard) -> None:
    app = FastAPI()
    seen: list[str] = []
    install(app, guard, routes={"GET /renewals/nothing": None})

    def look() -> str:
        seen.append(describe(guard))
        return seen[-1]

    app.get("/renewals/{key}/x", dependencies=[Depends(look)])(look)
    app.post("/renewals/{key}/x")(look)
    app.get("/renewals/devices/{key}")(look)
    app.get("/renewals/nothing")(look)
    app.get("/mail")(look)
    app.get("/other")(look)
    sub = FastAPI()
    sub.get("/page")(look)
    install(sub, guard)
    app.mount("/sub/{area}", sub)
    with TestClient(app) as client:
        listed = {activity.name for activity in guard.activities}
        assert client.get("/renewals/7/x").json() == "renewal-guidance as GET /renewals/{key}/x"
        assert seen == ["renewal-guidance as GET /renewals/{key}/x"] * 2
        assert client.head("/renewals/7/x").status_code == 405
        assert client.post("/renewals/7/x").json() == "renewal-guidance as POST /renewals/{key}/x"
        observed = "product-guidance as GET /renewals/devices/{key} observing"
        assert client.get("/renewals/devices/7").json() == observed
        assert client.get("/mail").json().endswith(" as GET /mail")
        assert client.get("/sub/eu/page").json() == "product-guidance as GET /sub/{area}/page"
        assert client.get("/renewals/nothing").json() == client.get("/other").json() == "none"
    assert {"GET /renewals/{key}/x", "GET /mail", "GET /sub/{area}/page"} <= listed
    (activity,) = [one for one in guard.activities if one.name == "GET /mail"]
    assert (activity.module, activity.line) == (guard.purposes.path, 8)  # type: ignore[union-attr]  # It has the file.


def declare_by_router(app: FastAPI, guard: pg.Guard, purpose: Any, look: Callable[[], str]) -> None:
    router = PurposeRouter(guard, purpose=purpose)
    router.get("/renewals/a")(look)
    app.include_router(router)


def declare_by_dependency(app: FastAPI, guard: pg.Guard, purpose: Any, look: Callable[[], str]) -> None:
    app.get("/renewals/a", dependencies=[Depends(entering(guard.purpose(purpose)))])(look)


def declare_by_decorator(app: FastAPI, guard: pg.Guard, purpose: Any, look: Callable[[], str]) -> None:
    app.get("/renewals/a")(guard.purpose(purpose)(look))


@pytest.mark.parametrize("declare", [declare_by_router, declare_by_dependency, declare_by_decorator])
def test_code_and_file_may_not_state_different_purposes_of_a_route(guard: pg.Guard, declare: Any) -> None:
    for purpose in (tm.ProductGuidance, tm.RenewalGuidance):
        app = FastAPI()
        install(app, guard)
        declare(app, guard, purpose, lambda: describe(guard))
        if purpose is tm.ProductGuidance:
            with (
                pytest.raises(
                    ValueError,
                    match=r"purposes.toml:1: `\* /renewals/\*\*` states renewal-guidance \(1.2\(1\)①\), in mode "
                    r"enforce for GET /renewals/a, and the code states product-guidance \(1.2\(1\)②\), in mode enforce",
                ),
                TestClient(app),
            ):
                pass
        else:
            with TestClient(app) as client:
                assert client.get("/renewals/a").json().startswith("renewal-guidance as ")


def test_a_table_and_the_file_may_not_state_different_purposes_of_a_route(guard: pg.Guard) -> None:
    app = FastAPI()
    app.get("/renewals/devices/{key}")(lambda: describe(guard))
    install(app, guard, routes={"GET /renewals/devices/{key}": guard.purpose(tm.ProductGuidance)})
    with pytest.raises(ValueError, match=r"in mode observe for .* in mode enforce: leave one"), TestClient(app):
        pass


def test_routes_of_starlette_run_for_the_purposes_of_the_file(guard: pg.Guard) -> None:
    async def look(_: Request) -> PlainTextResponse:
        return PlainTextResponse(describe(guard))

    app = Starlette(routes=[Mount("/renewals", routes=[Route("/{key}", look)]), Route("/other", look)])
    client = TestClient(PurposeRoutes(app, guard=guard))
    assert client.get("/renewals/7").text == "renewal-guidance as GET /renewals/{key}"
    assert client.head("/renewals/7").status_code == 200
    assert client.get("/other").text == "none"
    with pytest.raises(ValueError, match="leave one of them"):
        PurposeRoutes(app, {"GET /renewals/{key}": guard.purpose(tm.ProductGuidance)}, guard=guard)


@pytest.mark.parametrize("first", ["/other/page", "/sub/eu/page"])
def test_an_application_that_is_mounted_twice_runs_for_the_purposes_of_each_path(guard: pg.Guard, first: str) -> None:
    app, sub = FastAPI(), FastAPI()
    sub.get("/page")(lambda: describe(guard))
    for one in (app, sub):
        install(one, guard)
    for path in ("/sub/{area}", "/renewals/{key}", "/other"):
        app.mount(path, sub)
    client = TestClient(app)
    assert client.get(first).status_code == 200
    assert client.get("/sub/eu/page").json() == "product-guidance as GET /sub/{area}/page"
    assert client.get("/renewals/7/page").json() == "renewal-guidance as GET /renewals/{key}/page"
    assert client.get("/other/page").json() == "none"


def test_mounted_purpose_routes_run_for_the_purpose_of_the_whole_path(guard: pg.Guard) -> None:
    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse(describe(guard))

    sub = PurposeRoutes(Starlette(routes=[Route("/mail", page), Route("/devices/{key}", page)]), guard=guard)
    app = PurposeRoutes(Starlette(routes=[Mount("/renewals", sub), Mount("/other", sub)]), guard=guard)
    client = TestClient(app)
    assert client.get("/renewals/mail").text == "renewal-guidance as GET /renewals/mail"
    assert client.get("/renewals/devices/1").text == "product-guidance as GET /renewals/devices/{key} observing"
    assert client.get("/other/mail").text == client.get("/other/devices/1").text == "none"


def test_an_application_that_is_mounted_whole_runs_for_the_purpose_of_the_file(guard: pg.Guard) -> None:
    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(describe(guard))(scope, receive, send)

    client = TestClient(PurposeRoutes(Starlette(routes=[Mount("/renewals", whole)]), guard=guard))
    assert client.put("/renewals/7/x").text == "renewal-guidance as PUT /renewals/{path:path}"


def make_flask(guard: pg.Guard) -> Flask:
    app = Flask(__name__)
    for rule in ("/renewals/<key>", "/renewals/devices/<key>", "/renewals/nothing", "/other"):
        app.add_url_rule(rule, rule, lambda key="": describe(guard))
    return app


def test_routes_of_flask_run_for_the_purposes_of_the_file(guard: pg.Guard) -> None:
    app = make_flask(guard)
    Purposes(app, guard, {"/renewals/nothing": None})
    client = app.test_client()
    assert client.get("/renewals/7").text == "renewal-guidance as GET /renewals/<key>"
    assert client.get("/renewals/devices/7").text == "product-guidance as GET /renewals/devices/<key> observing"
    assert client.get("/renewals/nothing").text == client.get("/other").text == "none"


@pytest.mark.parametrize("way", ["table", "blueprint", "mark", "decorator"])
def test_flask_and_the_file_may_not_state_different_purposes(guard: pg.Guard, way: str) -> None:
    for purpose in (tm.ProductGuidance, tm.RenewalGuidance):
        block = guard.purpose(purpose)
        app, blueprint, table = Flask(__name__), Blueprint("shop", __name__), {}
        view: Any = lambda: describe(guard)  # noqa: E731  # It is decorated below.
        if way == "mark":
            view = flask_purpose(block)(view)
        elif way == "decorator":
            view = block(view)
        else:
            table = {"GET /renewals/a" if way == "table" else "shop.*": block}
        blueprint.add_url_rule("/renewals/a", "a", view)
        app.register_blueprint(blueprint)
        if purpose is tm.ProductGuidance:
            with pytest.raises(ValueError, match="leave one of them"):
                Purposes(app, guard, table)
        else:
            Purposes(app, guard, table)
            assert app.test_client().get("/renewals/a").text.startswith("renewal-guidance as ")


def nothing() -> None: ...


def make_tasks(guard: pg.Guard, *, with_passports: bool) -> Celery:
    passports = Passports(guard, keys={"k": bytes(32)})
    app = Celery("shop", task_cls=purpose_task(passports) if with_passports else None, set_as_current=False)
    app.conf.update(
        broker_url="memory://", task_always_eager=True, task_eager_propagates=True, task_store_eager_result=False
    )
    if not with_passports:
        install_tasks(app, guard)
    return app


@pytest.mark.parametrize("with_passports", [False, True])
def test_tasks_run_for_the_purposes_of_the_file(guard: pg.Guard, with_passports: bool) -> None:
    app = make_tasks(guard, with_passports=with_passports)

    def look(self: Any = None) -> str:
        return describe(guard)

    remind = app.task(name="remind", shared=False)(look)
    bound = app.task(name="remind-again", bind=True, shared=False)(look)
    other = app.task(name="other", shared=False)(look)
    stating = app.task(name="remind-too", shared=False)(guard.purpose(tm.RenewalGuidance, activity="own")(look))
    above = guard.purpose(tm.RenewalGuidance, activity="above")(app.task(name="remind-above", shared=False)(look))
    app.finalize()
    assert above.delay().get() == "renewal-guidance as above"
    assert "task remind" in {activity.name for activity in guard.activities}
    assert remind.delay().get() == "renewal-guidance as task remind"
    assert bound.delay().get() == "renewal-guidance as task remind-again"
    assert stating.delay().get() == "renewal-guidance as own"
    assert other.delay().get() == remind() == "none"


@pytest.mark.parametrize("with_passports", [False, True])
def test_a_task_and_the_file_may_not_state_different_purposes(guard: pg.Guard, with_passports: bool) -> None:
    app = make_tasks(guard, with_passports=with_passports)
    app.task(name="remind", shared=False)(guard.purpose(tm.ProductGuidance)(nothing))
    with pytest.raises(ValueError, match="leave one of them"):
        app.finalize()


def test_a_task_must_permit_the_purpose_of_the_file(guard: pg.Guard) -> None:
    app = make_tasks(guard, with_passports=True)
    app.task(name="collect", shared=False, permits=[tm.ProductGuidance, tm.RenewalGuidance])(nothing)
    app.finalize()
    app = make_tasks(guard, with_passports=True)
    app.task(name="collect", shared=False, permits=[tm.RenewalGuidance])(nothing)
    with pytest.raises(ValueError, match="task collect, and the code does not permit it"):
        app.finalize()


def test_tasks_are_prepared_before_they_are_made(guard: pg.Guard) -> None:
    app = Celery("shop", set_as_current=False)
    with pytest.raises(TypeError, match="given a guard, not str"):
        install_tasks(app, "guard")  # type: ignore[arg-type]  # A mistake.
    app.finalize()
    with pytest.raises(RuntimeError, match="has made tasks already"):
        install_tasks(app, guard)
