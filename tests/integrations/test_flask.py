"""Flask: where the purpose of a route holds, how routes are named, and how the library's errors are answered."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, request_started, send_file, stream_with_context
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wsgi import FileWrapper

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.integrations.flask import Purposes, purpose
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.models import get_purpose, make_loader
from tests.support import RecordingObserver

guard = pg.Guard(tm.NOTICE)
load = make_loader(guard)
Answer = Any


def names() -> list[str]:
    return sorted(load().model_dump())


def held() -> str:
    """The purpose under way here, or `none`."""
    return get_purpose(guard) or "none"


def application() -> Flask:
    app = Flask(__name__)
    app.testing = True

    @app.get("/customers/<int:key>")
    def customer(key: int) -> Answer:
        return [key, *names()]

    @app.post("/customers/<int:key>")
    def change(key: int) -> Answer:
        return [held()]

    @app.get("/health")
    def health() -> Answer:
        return [held()]

    @app.get("/nothing")
    def nothing() -> Answer:
        return names()

    return app


def client(app: Flask, routes: Any, **options: Any) -> FlaskClient:
    Purposes(app, guard, routes, **options)
    return app.test_client()


RENEWAL, PRODUCT = "1.2(1)①", "1.2(1)②"


def test_a_request_runs_for_the_purpose_of_its_route() -> None:
    routes = {"GET /customers/<int:key>": guard.purpose(tm.RenewalGuidance), "health": None}
    found = client(application(), routes)
    assert found.get("/customers/7").json == [7, "name"]
    assert found.head("/customers/7").status_code == 200
    assert found.post("/customers/7").json == ["none"]
    assert found.get("/health").json == ["none"]
    assert found.get("/nothing").status_code == 500  # nobody said what it is for
    assert found.get("/nowhere").status_code == 404
    assert found.options("/customers/7").status_code == 200
    assert held() == "none"


def test_an_endpoint_is_named_for_all_its_methods() -> None:
    app = application()
    app.add_url_rule("/change", "change", methods=["GET", "PUT"])
    app.view_functions["change"] = lambda key=0: [held()]
    found = client(app, {"change": guard.purpose(tm.RenewalGuidance)})
    assert [found.get("/change").json, found.put("/change").json, found.post("/customers/1").json] == [[RENEWAL]] * 3


def test_a_blueprint_is_named_for_what_nothing_else_names() -> None:
    inner, outer = Blueprint("inner", __name__), Blueprint("outer", __name__)
    for blueprint in (inner, outer):
        for path in ("a", "b", "c"):
            blueprint.add_url_rule(f"/{blueprint.name}/{path}", path, lambda: [held()])
    outer.register_blueprint(inner)
    app = application()
    app.register_blueprint(outer)
    routes = {"outer.*": guard.purpose(tm.RenewalGuidance), "outer.b": guard.purpose(tm.ProductGuidance)}
    found = client(app, {**routes, "outer.inner.c": None, "health": None})
    assert [found.get(f"/outer/{path}").json for path in "abc"] == [[RENEWAL], [PRODUCT], [RENEWAL]]
    assert [found.get(f"/inner/{path}").json for path in "abc"] == [[RENEWAL], [RENEWAL], ["none"]]
    assert found.get("/health").json == ["none"]


def test_a_view_says_its_purpose_itself_also_after_the_start() -> None:
    app = application()
    purposes = Purposes(guard=guard)
    purposes.init_app(app)

    @app.get("/later")
    @purpose(guard.purpose(tm.RenewalGuidance))
    def later() -> Answer:
        return [held()]

    assert app.test_client().get("/later").json == [RENEWAL]
    assert app.test_client().head("/later").status_code == 200


def test_classes_of_views_and_their_methods_do() -> None:
    @purpose(guard.purpose(tm.RenewalGuidance))
    class Letters(MethodView):
        def get(self) -> Answer:
            return [held()]

        @purpose(guard.purpose(tm.ProductGuidance))
        def post(self) -> Answer:
            return [held()]

    app = application()
    app.add_url_rule("/letters", view_func=Letters.as_view("letters"))
    app.add_url_rule("/others", view_func=Letters.as_view("others"))
    Purposes(app, guard)
    found = app.test_client()
    assert (found.get("/letters").json, found.post("/letters").json) == ([RENEWAL], [PRODUCT])
    assert found.head("/letters").status_code == 200
    assert found.get("/others").json == [RENEWAL]
    assert {one.qualname.rpartition(".")[2] for one in guard.activities} >= {"Letters", "post"}


def test_each_route_is_an_activity_where_it_is_given_its_purpose() -> None:
    own = pg.Guard(tm.NOTICE)
    routes = {
        "GET /customers/<int:key>": own.purpose(tm.RenewalGuidance),
        "change": own.purpose(tm.RenewalGuidance, activity="change"),
    }
    app = application()
    Purposes(app, own, routes)
    assert {(one.name, one.module, one.line > 0) for one in own.activities} == {
        (f"{__name__}.GET /customers/<int:key>", __name__, True),
        ("change", __name__, True),
    }


def test_it_holds_from_the_first_hook_to_the_last() -> None:
    app = application()
    seen: list[tuple[str, str]] = []

    def hook(name: str) -> Callable[..., Any]:
        def run(value: Any = None, *_: Any) -> Any:
            seen.append((name, held()))
            return value if name == "after" else None

        return run

    app.before_request(hook("before"))
    app.url_value_preprocessor(hook("values"))
    app.after_request(hook("after"))
    app.teardown_request(hook("teardown"))

    @app.get("/fails")
    def fails() -> Answer:
        raise LookupError

    @app.errorhandler(LookupError)
    def handle(_: LookupError) -> Answer:
        return names()

    found = client(app, {"fails": guard.purpose(tm.RenewalGuidance)})
    assert found.get("/fails").json == ["name"]
    assert dict(seen) == dict.fromkeys(("values", "before", "after", "teardown"), RENEWAL)
    seen.clear()
    found.get("/health")
    assert {purpose_id for _, purpose_id in seen} == {"none"}


@pytest.mark.parametrize("keeps", [stream_with_context, iter])
def test_it_holds_in_each_step_of_a_stream_and_not_between_them(keeps: Callable[[Any], Any]) -> None:
    app = application()
    closed: list[str] = []

    @app.get("/stream")
    def stream() -> Answer:
        def steps() -> Iterator[str]:
            try:
                for _ in range(3):
                    yield held()
            finally:
                closed.append(held())

        return Response(keeps(steps()))

    app.teardown_request(lambda _: closed.append(f"teardown {held()}"))
    Purposes(app, guard, {"stream": guard.purpose(tm.RenewalGuidance)})
    body, status, _ = run_wsgi_app(app, EnvironBuilder("/stream").get_environ())
    assert status == "200 OK"
    steps = iter(body)
    for _ in range(2):
        assert next(steps).decode() == RENEWAL
        assert held() == "none"
    body.close()  # type: ignore[attr-defined]  # the client went away
    assert set(closed) == {RENEWAL, f"teardown {RENEWAL}"}
    assert held() == "none"
    closed.clear()
    app.test_client().head("/stream")  # closed before it began
    assert set(closed) <= {f"teardown {RENEWAL}"}


def test_a_refusal_in_the_middle_of_a_stream_ends_it() -> None:
    app = application()

    @app.get("/stream")
    def stream() -> Answer:
        def steps() -> Iterator[str]:
            yield load().name
            yield load().device

        return Response(steps())

    Purposes(app, guard, {"stream": guard.purpose(tm.RenewalGuidance)})
    with pytest.raises(pg.PurposeViolation):
        app.test_client().get("/stream", buffered=True)
    assert held() == "none"


def test_files_are_left_to_the_server(tmp_path: Any) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Aiko")
    app = application()
    app.add_url_rule("/file", "file", lambda: send_file(path))
    Purposes(app, guard, {"file": guard.purpose(tm.RenewalGuidance)})
    environ = EnvironBuilder("/file").get_environ()
    environ["wsgi.file_wrapper"] = FileWrapper
    answered: Any = print
    body: Any = app(environ, answered)
    assert isinstance(body, FileWrapper)
    body.close()
    with app.test_client().get("/file") as answer:
        assert answer.data == b"Dear Aiko"


def test_asynchronous_views_and_hooks_have_it_and_their_other_tasks_do_not() -> None:
    app = application()
    seen: list[str] = []

    @app.before_request
    async def before() -> None:
        await asyncio.sleep(0)
        seen.append(held())

    @app.get("/async")
    async def view() -> Answer:
        async def beside() -> str:
            return held()

        await asyncio.sleep(0)
        return [held(), *await asyncio.gather(beside(), asyncio.to_thread(held)), *names()]

    @app.get("/bare")
    async def bare() -> Answer:
        return [held()]

    found = client(app, {"view": guard.purpose(tm.RenewalGuidance)})
    assert found.get("/async").json == [RENEWAL, "none", "none", "name"]
    assert found.get("/bare").json == ["none"]
    assert seen == [RENEWAL, "none"]

    async def outside() -> str:
        return held()

    assert app.ensure_sync(outside)() == "none"
    with app.test_request_context("/async"):
        assert app.ensure_sync(outside)() == "none"
        with guard.purpose(tm.ProductGuidance):
            assert app.ensure_sync(outside)() == "none"


def test_threads_that_a_view_starts_have_none_unless_it_is_carried() -> None:
    app = application()

    @app.get("/threads")
    def view() -> Answer:
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(held).result(), pool.submit(guard.carry(held)).result()]

    assert client(app, {"view": guard.purpose(tm.RenewalGuidance)}).get("/threads").json == ["none", RENEWAL]


def test_requests_at_once_each_have_their_own() -> None:
    app = application()
    meeting = threading.Barrier(8)

    def view() -> Answer:
        meeting.wait(120)
        first = held()
        meeting.wait(120)
        return [first, held()]

    for path in "abcd":
        app.add_url_rule(f"/{path}", path, view)
    purposes = {"a": tm.RenewalGuidance, "b": tm.ProductGuidance, "c": tm.ProductProvision}
    Purposes(app, guard, {path: guard.purpose(one) for path, one in purposes.items()})
    asked = "abcdabcd"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: app.test_client().get(f"/{path}").json, asked))
    clauses = {"a": RENEWAL, "b": PRODUCT, "c": tm.ProductProvision.clause, "d": "none"}
    assert found == [[clauses[path]] * 2 for path in asked]


def test_an_application_inside_a_view_has_its_own() -> None:
    inner, outer = application(), application()
    inner_client = client(inner, {"health": guard.purpose(tm.ProductGuidance)})

    @outer.get("/outer")
    def view() -> Answer:
        return [held(), *(inner_client.get("/health").json or ()), held()]

    assert client(outer, {"view": guard.purpose(tm.RenewalGuidance)}).get("/outer").json == [RENEWAL, PRODUCT, RENEWAL]


def test_a_request_begins_once_and_with_its_own_application() -> None:
    inner, outer = application(), application()
    Purposes(inner, guard, {"health": guard.purpose(tm.ProductGuidance)})

    @outer.get("/outer")
    def view() -> Answer:
        use = guard.current
        for app in (outer, inner):
            request_started.send(app)
        return [held(), use is guard.current]

    assert client(outer, {"view": guard.purpose(tm.RenewalGuidance)}).get("/outer").json == [RENEWAL, True]
    assert held() == "none"


def test_where_its_middleware_is_taken_away_there_is_no_purpose() -> None:
    app = application()
    plain: Any = app.wsgi_app
    found = client(app, {"customer": guard.purpose(tm.RenewalGuidance)})
    app.wsgi_app = plain  # type: ignore[method-assign]  # as somebody might
    assert found.get("/customers/7").status_code == 500
    assert held() == "none"


def problems(app: Flask) -> None:
    app.add_url_rule("/device", "device", lambda: load().device)

    @app.get("/store")
    def store() -> Answer:
        raise StoreUnavailable("the store cannot be reached")


def test_errors_are_answered_with_problem_details(caplog: pytest.LogCaptureFixture) -> None:
    app = application()
    problems(app)
    found = client(app, {name: guard.purpose(tm.RenewalGuidance) for name in ("device", "store")})
    with caplog.at_level(logging.ERROR):
        answers = {path: found.get(f"/{path}") for path in ("device", "nothing", "store")}
    assert {path: one.status_code for path, one in answers.items()} == {"device": 403, "nothing": 500, "store": 503}
    assert {one.mimetype for one in answers.values()} == {"application/problem+json"}
    refused = answers["device"].json
    assert refused is not None
    assert refused["type"] == "urn:purposeguard:problem:purpose"
    assert refused["clauses"] == [RENEWAL]
    assert answers["store"].headers["Retry-After"] == "1"
    told = "".join(one.get_data(as_text=True) for one in answers.values()) + caplog.text
    assert "aiko" not in told.lower()
    assert "nothing: " in caplog.text


def test_without_details_a_problem_has_its_title_alone() -> None:
    app = application()
    problems(app)
    found = client(app, {"device": guard.purpose(tm.RenewalGuidance)}, details=False).get("/device").json
    assert found is not None
    assert set(found) == {"type", "title", "status", "detail"}


def test_a_handler_of_the_application_comes_first() -> None:
    app = application()
    problems(app)

    @app.errorhandler(pg.PurposeViolation)
    def refused(_: pg.PurposeViolation) -> Answer:
        return names(), 451

    found = client(app, {"device": guard.purpose(tm.RenewalGuidance)}).get("/device")
    assert (found.status_code, found.json) == (451, ["name"])


def wrong(app: Flask, routes: Any) -> str:
    with pytest.raises((ValueError, TypeError)) as caught:
        Purposes(app, guard, routes)
    return str(caught.value)


def test_a_route_that_the_application_has_not_is_an_error_where_it_is_written() -> None:
    for name, near in (
        ("GET /customer/<int:key>", "`GET /customers/<int:key>`"),
        ("PUT /customers/<int:key>", "`POST /customers/<int:key>`"),
        ("customers", "`customer`"),
        ("shop.*", "write it"),
    ):
        said = wrong(application(), {name: guard.purpose(tm.RenewalGuidance)})
        assert said.startswith(f"{__file__}:")
        assert f"no route `{name}`" in said
        assert near in said
    assert wrong(application(), {"nowhere": None}).startswith("the application has no route")


def test_a_route_that_is_named_twice_is_an_error() -> None:
    block = guard.purpose(tm.RenewalGuidance)
    said = wrong(application(), {"GET /health": block, "health": None})
    assert said.startswith(f"{__file__}:")
    assert "named twice, by `GET /health` and `health`" in said
    app = application()
    app.add_url_rule("/marked", "marked", purpose(block)(lambda: [held()]))
    assert "by `marked` and `@purpose`" in wrong(app, {"marked": block})


def test_what_is_no_block_or_another_guard_s_is_an_error() -> None:
    other: Any = pg.Guard(tm.NOTICE)
    unblocked: Any = tm.RenewalGuidance
    assert "say what it is for" in wrong(application(), {"health": unblocked})
    assert "of another guard" in wrong(application(), {"health": other.purpose(tm.RenewalGuidance)})
    app = application()
    app.add_url_rule("/marked", "marked", purpose(other.purpose(tm.RenewalGuidance))(lambda: [held()]))
    assert "of another guard" in wrong(app, {})
    with pytest.raises(TypeError, match="`@purpose` is given"):
        purpose(unblocked)


def test_an_application_is_given_its_purposes_once_and_before_its_first_request() -> None:
    app = application()
    Purposes(app, guard)
    with pytest.raises(RuntimeError, match="has purposes already"):
        Purposes(guard=guard).init_app(app)
    with pytest.raises(TypeError, match="name the guard"):
        Purposes(application())
    with pytest.raises(TypeError, match="init_app"):
        Purposes(guard=guard, routes={"health": None})
    late = application()
    late.test_client().get("/health")
    with pytest.raises(AssertionError, match="first request"):
        Purposes(late, guard)
    assert late.test_client().get("/health").json == ["none"]


def test_a_purpose_that_is_gone_refuses() -> None:
    own = pg.Guard(tm.NOTICE)
    app = application()
    Purposes(app, own, {"health": own.purpose(tm.RenewalGuidance)})
    made = tm.NOTICE.dump()
    for grant in made["grant"]:
        grant["purpose"] = [one for one in grant["purpose"] if one["id"] != RENEWAL]
    own.replace(pg.Notice.parse(made))
    assert app.test_client().get("/health").status_code == 500


def test_an_application_that_is_dropped_is_gone() -> None:
    app = application()
    Purposes(app, guard, {"health": guard.purpose(tm.RenewalGuidance)})
    assert app.test_client().get("/health").json == [RENEWAL]
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def observed_shop(watching: pg.Guard, *, purposes: bool) -> Flask:
    """An application whose routes read what their purposes, if they have any, do not permit."""
    app = Flask(__name__)
    read = make_loader(watching)
    if not purposes:
        read = inspect.unwrap(read)

    @app.get("/customers")
    def customers() -> Answer:
        return read().model_dump()

    @app.get("/customers/stream")
    def stream() -> Answer:
        return Response(str(read().model_dump()) for _ in range(2))

    @app.get("/fails")
    def fails() -> Answer:
        raise ValueError("as without the library")

    if purposes:
        Purposes(app, watching, {"GET /customers/stream": watching.purpose(tm.RenewalGuidance)})
    return app


def test_a_guard_that_observes_changes_no_answer() -> None:
    observer = RecordingObserver()
    watching = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    bare, seen = (observed_shop(watching, purposes=purposes).test_client() for purposes in (False, True))
    for path in ("/customers", "/customers/stream", "/fails", "/none"):
        expected, found = bare.get(path), seen.get(path)
        assert (found.status, found.data, list(found.headers)) == (
            expected.status,
            expected.data,
            list(expected.headers),
        )
    assert pg.PurposeMissing in map(type, observer.denials)
    assert observer.read_names
