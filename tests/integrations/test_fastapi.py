"""FastAPI: how routes state purposes and subjects, what is answered, and what is noticed at the start."""

import asyncio
import copy
import inspect
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Request, WebSocket, routing
from fastapi.dependencies.utils import get_dependant
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, computed_field
from starlette import responses
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.websockets import WebSocketDisconnect

import purposeguard as pg
from purposeguard import Personal
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance
from purposeguard.integrations.fastapi import (
    HooksMissing,
    MisdeclaredRoute,
    PurposeRoute,
    PurposeRouter,
    SubjectFrom,
    entering,
    install,
)
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.models import get_purpose
from tests.support import RecordingObserver

NAME, EMAIL, DEVICE = "Aiko Mori", "aiko@example.jp", "laptop-of-aiko"


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(tm.NOTICE)


class Customer(pg.PersonalModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: Personal[str, tm.Registration]
    device: Annotated[str, tm.ProductData]

    @computed_field  # type: ignore[prop-decorator]  # as pydantic has it
    @property
    def shown(self) -> str:
        return self.device.upper()


class Sealed(BaseModel):
    name: Personal[str, tm.Registration]
    device: Personal[str, tm.ProductData]


def customer() -> Customer:
    return Customer.model_validate({"id": 7, "name": NAME, "device": DEVICE})


def made(guard: pg.Guard, *routers: APIRouter, **options: Any) -> FastAPI:
    app = FastAPI()
    install(app, guard, **options)
    for router in routers:
        app.include_router(router)
    return app


def client_of(app: Any) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def started(app: FastAPI) -> None:
    with TestClient(app):
        pass


@pytest.mark.parametrize("in_thread", [False, True])
def test_sealed_and_withheld_answers_are_written_by_the_ordinary_response_model(guard: pg.Guard, in_thread: bool):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    read = guard.access(withhold=True)(customer)

    async def one() -> Customer:
        return read()

    endpoint = read if in_thread else one
    router.get("/model")(endpoint)
    router.get("/list", response_model=list[Customer])(lambda: [read(), read()])
    router.get("/none", response_model=None)(endpoint)
    router.get("/all", purpose="1.2(2)①")(endpoint)
    client = client_of(made(guard, router))
    withheld = {"id": 7, "name": NAME}
    assert client.get("/model").json() == withheld
    assert client.get("/list").json() == [withheld, withheld]
    assert client.get("/none").json() == withheld
    assert client.get("/all").json() == withheld | {"device": DEVICE, "shown": DEVICE.upper()}


def test_what_may_not_be_written_is_refused_by_its_clause(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    def one() -> Sealed:
        return Sealed.model_validate({"name": NAME, "device": DEVICE})

    answer = client_of(made(guard, router)).get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["sources"] == ["1.1(b)"]
    assert answer.json()["field"] == "device"


def test_rows_that_load_more_when_they_are_validated_still_have_the_purpose(guard: pg.Guard):
    class Row:
        """As a row of an ORM: what it holds is read when it is asked for, in whichever thread."""

        id = 7
        name = NAME

        @property
        def device(self) -> str:
            guard.use(tm.ProductProvision)
            return DEVICE

    router = PurposeRouter(guard, purpose=tm.ProductProvision)

    @router.get("/", response_model=Customer)
    def one() -> Any:
        return Row()

    assert client_of(made(guard, router)).get("/").json()["device"] == DEVICE


def test_the_schema_is_plain_and_names_purpose_and_clause(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/", openapi_extra={"x-other": 1})
    def one() -> Customer:
        return customer()

    @router.post("/", purpose=guard.purpose(tm.AnySecurityInformation, channel="email"))
    def send() -> None:
        pass

    schema = made(guard, router).openapi()
    operation = schema["paths"]["/"]["get"]
    assert (operation["x-purpose"], operation["x-purpose-clauses"]) == ("renewal-guidance", ["1.2(1)①"])
    assert operation["x-other"] == 1
    assert len(schema["paths"]["/"]["post"]["x-purpose-clauses"]) == 3
    name = schema["components"]["schemas"]["Customer"]["properties"]["name"]
    assert (name["type"], name["x-collected-under"]) == ("string", ["1.1(a)"])


@pytest.fixture
def faulty(guard: pg.Guard) -> FastAPI:  # noqa: C901  # one function for each fault
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/refused")
    async def refused() -> str:
        return guard.current.open(Personal(DEVICE, tm.ProductData))

    @router.get("/sealed")
    async def sealed() -> str:
        return str(Personal(NAME, tm.Registration) + "!")  # type: ignore[operator]  # on purpose

    @router.get("/unavailable")
    def unavailable() -> None:
        raise StoreUnavailable("no answer")

    @router.get("/unlike", response_model=Customer)
    def unlike() -> Any:
        return {"id": NAME}

    class New(BaseModel):
        model_config = ConfigDict(extra="forbid")
        name: Annotated[str, tm.Registration]
        numbers: dict[str, int] = {}

    @router.post("/new")
    def new(new: Annotated[list[New], Body()]) -> None:
        pass

    @router.websocket("/socket")
    async def socket(socket: WebSocket, early: bool = False) -> None:
        if not early:
            await socket.accept()
        guard.current.open(Personal(DEVICE, tm.ProductData))

    @router.websocket("/socket/fault")
    async def fault(socket: WebSocket) -> None:
        await socket.accept()
        guard.use(tm.ProductProvision)

    app = made(guard, router)

    @app.get("/no-purpose")
    async def no_purpose() -> Customer:
        return customer()

    @app.get("/not-written", response_model=None)
    async def not_written() -> Any:
        return Sealed.model_validate({"name": NAME, "device": DEVICE})

    return app


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/refused", 403, "not for this purpose"),
        ("/sealed", 500, "sealed"),
        ("/unavailable", 503, "not known now"),
        ("/unlike", 500, "not as declared"),
        ("/no-purpose", 500, "no purpose"),
        ("/not-written", 500, "sealed"),
    ],
)
def test_errors_are_problem_details(faulty: FastAPI, caplog: pytest.LogCaptureFixture, path, status, title):
    answer = client_of(faulty).get(path)
    assert (answer.status_code, answer.json()["status"], answer.json()["title"]) == (status, status, title)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status == 503)
    assert bool(caplog.records) == (status >= 500)
    for text in (answer.text, caplog.text):
        assert all(one not in text for one in (NAME, EMAIL, DEVICE))


def test_an_invalid_request_is_told_field_and_rule_and_nothing_of_the_input(faulty: FastAPI):
    client = client_of(faulty)
    answer = client.post("/new", json=[{"numbers": {EMAIL: NAME}, NAME: 1}])
    assert answer.status_code == 422
    assert answer.json()["faults"] == [
        {"where": "body.0.name", "fault": "missing"},
        {"where": "body.0.numbers.*", "fault": "int_parsing"},
        {"where": "body.0.*", "fault": "extra_forbidden"},
    ]
    assert NAME not in answer.text
    assert client.post("/new", content=f'[{{"{EMAIL}', headers={"content-type": "application/json"}).json()["faults"]


def test_without_details_a_refusal_names_no_clause(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    def refused() -> str:
        return guard.current.open(Personal(DEVICE, tm.ProductData))

    body = client_of(made(guard, router, details=False)).get("/").json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert "1.1" not in str(body)


@pytest.mark.parametrize(("path", "code"), [("/socket", 1008), ("/socket?early=true", 1008), ("/socket/fault", 1011)])
def test_a_websocket_is_closed_and_told_no_value(faulty: FastAPI, path: str, code: int):
    with pytest.raises(WebSocketDisconnect) as closed, client_of(faulty).websocket_connect(path) as socket:
        socket.receive_text()
    assert closed.value.code == code
    assert closed.value.reason in ("not for this purpose", "no purpose")


def test_an_invalid_websocket_request_is_told_nothing_of_the_input(guard: pg.Guard):
    router = PurposeRouter(guard)

    @router.websocket("/")
    async def socket(socket: WebSocket, key: int) -> None:
        """Not reached."""

    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client_of(made(guard, router)).websocket_connect(f"/?key={EMAIL}"),
    ):
        pass
    assert (closed.value.code, closed.value.reason) == (1008, "not valid")


def test_handlers_of_the_application_s_own_stay(guard: pg.Guard):
    app = FastAPI()

    @app.exception_handler(pg.PurposeViolation)
    async def mine(_request: Any, _error: Any) -> Any:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("mine", 418)

    install(app, guard)

    @app.get("/")
    async def refused() -> None:
        guard.check(tm.ProductData, tm.RenewalGuidance)

    assert client_of(app).get("/").status_code == 418


def under(guard: pg.Guard) -> str:
    return get_purpose(guard) or "none"


def test_a_route_states_its_purpose_or_has_that_of_its_router(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.ProductProvision, prefix="/customers")
    stated: dict[str, dict[str, Any]] = {
        "/router": {},
        "/class": {"purpose": tm.RenewalGuidance},
        "/id": {"purpose": "1.2(2)②"},
        "/block": {"purpose": guard.purpose(tm.AnySecurityInformation, channel="email")},
        "/none": {"purpose": None},
    }
    for path, options in stated.items():
        router.get(path, **options)(lambda: under(guard))
    client = client_of(made(guard, router))
    found = [client.get(f"/customers/{name}").json() for name in ("router", "class", "id", "block", "none")]
    assert found == ["1.2(2)①", "1.2(1)①", "1.2(2)②", "AnySecurityInformation", "none"]


@pytest.mark.parametrize("method", ["get", "put", "post", "delete", "options", "head", "patch", "trace"])
def test_every_method_takes_a_purpose(guard: pg.Guard, method: str):
    ran: list[str] = []
    router = PurposeRouter(guard)
    getattr(router, method)("/", purpose=tm.RenewalGuidance)(lambda: ran.append(under(guard)))
    assert client_of(made(guard, router)).request(method.upper(), "/").status_code == 200
    assert ran == ["1.2(1)①"]


def test_routes_are_activities_named_after_their_endpoints(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    def endpoint() -> None:
        pass

    @router.websocket("/live")
    async def live(socket: WebSocket) -> None:
        """Not reached."""

    prefix = f"{__name__}.test_routes_are_activities_named_after_their_endpoints.<locals>"
    assert {one.name for one in guard.activities} == {f"{prefix}.endpoint", f"{prefix}.live"}
    assert all(one.line > 0 for one in guard.activities)


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_dependency_enters_a_purpose_and_gives_its_use(guard: pg.Guard, in_thread: bool):
    app = made(guard)
    block = guard.purpose(tm.RenewalGuidance)

    async def one(use: Annotated[pg.Use[tm.RenewalGuidance], Depends(entering(block))]) -> str:
        return use.open(Personal(NAME, tm.Registration))

    def one_in_a_thread(_use: Annotated[pg.Use[tm.RenewalGuidance], Depends(entering(block))]) -> str:
        return guard.use(tm.RenewalGuidance).open(Personal(NAME, tm.Registration))

    app.get("/")(one_in_a_thread if in_thread else one)
    app.get("/list", dependencies=[Depends(entering(block))])(lambda: under(guard))
    client = client_of(app)
    assert client.get("/").json() == NAME
    assert client.get("/list").json() == "1.2(1)①"
    assert under(guard) == "none"


def test_a_class_of_routes_states_the_purpose_of_a_plain_router(guard: pg.Guard):
    router = APIRouter(route_class=PurposeRoute.under(guard.purpose(tm.RenewalGuidance)))
    router.get("/")(lambda: under(guard))
    assert client_of(made(guard, router)).get("/").json() == "1.2(1)①"


def test_one_table_gives_routes_their_purposes_also_in_threads(guard: pg.Guard):
    router = APIRouter(prefix="/customers")
    router.get("/{key}")(lambda: under(guard))
    app = made(guard, router, routes={"GET /customers/{key}": guard.purpose(tm.RenewalGuidance), "GET /health": None})
    app.get("/health")(lambda: under(guard))
    client = client_of(app)
    assert client.get("/customers/7").json() == "1.2(1)①"
    assert client.get("/health").json() == "none"


def test_an_override_of_a_dependency_is_found(guard: pg.Guard):
    def who() -> str:
        return "who"

    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    def one(name: Annotated[str, Depends(who)], again: Annotated[str, Depends(who)]) -> list[str]:
        return [name, again]

    app = made(guard, router)
    client = client_of(app)
    assert client.get("/").json() == ["who", "who"]
    app.dependency_overrides[who] = lambda: "another"
    assert client.get("/").json() == ["another", "another"]


def test_marks_of_dependencies_are_found_in_routes(guard: pg.Guard):
    def admit() -> None:
        return None

    vars(admit)["admits"] = "tokens"

    def check_route(request: Request) -> list[str | None]:
        dependant = request.scope["route"].dependant
        return [getattr(copy.copy(each.call), "admits", None) for each in dependant.dependencies]

    app = FastAPI()
    app.get("/", dependencies=[Depends(admit)])(check_route)
    plain = TestClient(app).get("/").json()
    app.middleware_stack = None  # As before the first request.
    install(app, guard)
    assert TestClient(app).get("/").json() == plain == ["tokens"]


def test_a_dependency_runs_once_for_a_request(guard: pg.Guard):
    runs: list[str] = []

    def count() -> int:
        runs.append(under(guard))
        return len(runs)

    def other(number: Annotated[int, Depends(count)]) -> int:
        return number

    router = PurposeRouter(guard, purpose=tm.RenewalGuidance, dependencies=[Depends(count)])

    @router.get("/")
    def one(first: Annotated[int, Depends(count)], second: Annotated[int, Depends(other)]) -> list[int]:
        return [first, second]

    assert client_of(made(guard, router)).get("/").json() == [1, 1]
    assert runs == ["1.2(1)①"]


def test_applications_that_are_mounted_are_held_as_well(guard: pg.Guard):
    inner, deeper = FastAPI(), FastAPI()
    for app in (inner, deeper):
        router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
        router.get("/purpose")(lambda: under(guard))
        router.get("/refused")(lambda: guard.current.open(Personal(DEVICE, tm.ProductData)))
        app.include_router(router)
    inner.mount("/deeper", deeper)
    outer = made(guard)
    outer.mount("/inner", inner)
    outer.mount("/behind-a-middleware", GZipMiddleware(deeper))
    client = client_of(outer)
    for path in ("/inner", "/inner/deeper", "/behind-a-middleware"):
        assert client.get(f"{path}/purpose").json() == "1.2(1)①"
        assert client.get(f"{path}/refused").status_code == 403


def test_a_request_that_is_served_within_another_takes_nothing_over(guard: pg.Guard):
    """As of a server that an endpoint begins in a thread, with a copy of its context."""
    other = made(guard)
    other.get("/")(lambda: under(guard))
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    async def begins() -> list[str]:
        client = client_of(other)
        within = await asyncio.to_thread(lambda: str(client.get("/").json()))
        return [under(guard), within]

    assert client_of(made(guard, router)).get("/").json() == ["1.2(1)①", "none"]


@pytest.mark.parametrize("before", [True, False])
def test_middlewares_may_stand_around_or_inside(guard: pg.Guard, before: bool):
    seen: list[str] = []

    async def watch(request: Any, call_next: Any) -> Any:
        seen.append(under(guard))
        return await call_next(request)

    app = FastAPI()
    if before:
        app.add_middleware(BaseHTTPMiddleware, dispatch=watch)
    install(app, guard, routes={"GET /table": guard.purpose(tm.RenewalGuidance)})
    if not before:
        app.add_middleware(BaseHTTPMiddleware, dispatch=watch)
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    router.get("/")(lambda: under(guard))
    app.get("/table")(lambda: under(guard))
    app.include_router(router)
    client = client_of(app)
    assert client.get("/").json() == client.get("/table").json() == "1.2(1)①"
    assert seen == ["none", "none"]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store.db"
    Governance(f"sqlite:///{path}", notice=tm.NOTICE).close()
    return path


@pytest.fixture
def governance(empty_store: Path, tmp_path: Path) -> Iterator[Governance]:
    shutil.copy(empty_store, tmp_path / "store.db")
    with Governance(f"sqlite:///{tmp_path}/store.db", notice=tm.NOTICE) as made:
        yield made


@pytest.fixture
def overseen(governance: Governance) -> pg.Guard:
    """A guard that asks a governance."""
    return pg.Guard(tm.NOTICE, governance=governance)


@pytest.mark.parametrize("kind", ["path", "query", "header"])
@pytest.mark.parametrize("in_thread", [False, True])
def test_who_stopped_the_purpose_is_refused_before_the_endpoint_runs(
    governance: Governance, overseen: pg.Guard, kind: str, in_thread: bool
):
    ran: list[int] = []
    whose = getattr(SubjectFrom, kind)("X-Customer" if kind == "header" else "key", realm="customer")
    key: Any = {"path": int, "query": int, "header": Annotated[int, Header(alias="X-Customer")]}[kind]
    router = PurposeRouter(overseen, purpose=tm.ProductGuidance)

    async def one(key: int) -> None:
        ran.append(key)

    def one_in_a_thread(key: int) -> None:
        ran.append(key)

    endpoint = one_in_a_thread if in_thread else one
    endpoint.__annotations__["key"] = key
    router.get("/of/{key}" if kind == "path" else "/of", subject=whose)(endpoint)
    client = client_of(made(overseen, router))
    governance.restrict("customer:8", tm.ProductGuidance)

    def ask(spelt: str) -> Any:
        if kind == "path":
            return client.get(f"/of/{spelt}")
        query, headers = ({"key": spelt}, {}) if kind == "query" else ({}, {"X-Customer": spelt})
        return client.get("/of", params=query, headers=headers)

    assert ask("7").status_code == 200
    for spelt in ("8", "08", "+8", "8.0"):  # whatever the endpoint takes for 8
        answer = ask(spelt)
        assert (answer.status_code, answer.json()["title"]) == (403, "the person asked for it to stop, or never agreed")
        assert "customer" not in answer.text
    assert ran == [7]
    governance.restrict("customer:7", tm.RenewalGuidance)  # another purpose
    assert ask("7").status_code == 200


@pytest.mark.parametrize("alias", ["X-Customer", "x-customer", "X-CUSTOMER", None])
@pytest.mark.parametrize("stated", ["X-Customer", "x-customer", "X-CUSTOMER"])
@pytest.mark.parametrize("sent", ["X-Customer", "x-customer", "x-CUSTOMER"])
def test_names_of_headers_are_the_same_in_either_case(
    governance: Governance, overseen: pg.Guard, alias: str | None, stated: str, sent: str
) -> None:
    router = PurposeRouter(overseen, purpose=tm.ProductGuidance)

    def show(x_customer: int) -> int:
        return x_customer

    show.__annotations__["x_customer"] = Annotated[int, Header(alias=alias)]
    router.get("/", subject=SubjectFrom.header(stated, realm="customer"))(show)
    client = client_of(made(overseen, router))
    governance.restrict("customer:8", tm.ProductGuidance)
    assert client.get("/", headers={sent: "7"}).json() == 7
    assert client.get("/", headers={sent: "8"}).status_code == 403


@pytest.mark.parametrize("kind", ["path", "query"])
def test_names_of_other_parameters_differ_by_case(overseen: pg.Guard, kind: str) -> None:
    router = PurposeRouter(overseen, purpose=tm.ProductGuidance)
    with pytest.raises(MisdeclaredRoute, match=f"{kind} parameter `Key`"):

        @router.get("/{key}" if kind == "path" else "/", subject=getattr(SubjectFrom, kind)("Key"))
        def show(key: int) -> None:
            """Not reached."""


def test_what_is_nobody_s_id_is_an_invalid_request(overseen: pg.Guard):
    router = PurposeRouter(overseen, purpose=tm.ProductGuidance)

    @router.get("/", subject=SubjectFrom.query("key"))
    def one(key: str | None = None) -> None:
        """Not reached."""

    client = client_of(made(overseen, router))
    for query in ("", "?key=", "?key=%20a"):
        answer = client.get(f"/{query}")
        assert (answer.status_code, answer.json()["faults"]) == (422, [{"where": "query.key", "fault": "subject_id"}])


def test_a_parameter_of_the_path_below_which_a_router_is_included_may_name_the_subject(
    governance: Governance, overseen: pg.Guard
):
    router = PurposeRouter(overseen, purpose=tm.ProductGuidance)

    @router.get("/card", subject=SubjectFrom.path("key"))
    def card(key: int) -> int:
        return key

    app = FastAPI()
    install(app, overseen)
    app.include_router(router, prefix="/customers/{key}")
    governance.restrict(8, tm.ProductGuidance)
    client = client_of(app)
    assert [client.get(f"/customers/{key}/card").status_code for key in (7, 8)] == [200, 403]


def place_of(fn: Any) -> str:
    return f"{__file__}:{fn.__code__.co_firstlineno}"


def endpoint(key: int) -> None:
    """What is misdeclared below."""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"purpose": "no-such"}, "unknown purpose"),
        ({"purpose": tm.Registration}, "cannot be for this purpose"),
        ({"purpose": tm.WebSecurityMail}, "channel"),
        ({"purpose": tm.RenewalGuidance, "subject": SubjectFrom.path("other")}, "`other`"),
        ({"subject": SubjectFrom.path("key")}, "no purpose"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_a_misdeclared_route_names_file_and_line(overseen: pg.Guard, options: dict[str, Any], why: str):
    router = PurposeRouter(overseen)
    with pytest.raises(MisdeclaredRoute) as raised:
        router.get("/{key}", **options)(endpoint)
    assert place_of(endpoint) in str(raised.value)
    assert why in str(raised.value)


def test_a_subject_needs_somebody_who_knows_what_was_asked_for(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    with pytest.raises(MisdeclaredRoute, match="governance"):
        router.get("/{key}", subject=SubjectFrom.path("key"))(endpoint)


def test_an_endpoint_that_yields_cannot_ask_before_its_answer_begins(overseen: pg.Guard):
    router = PurposeRouter(overseen, purpose=tm.RenewalGuidance)

    def items(key: int) -> Iterator[int]:
        yield key

    with pytest.raises(MisdeclaredRoute, match="yields") as raised:
        router.get("/{key}", subject=SubjectFrom.path("key"))(items)
    assert place_of(items) in str(raised.value)


def test_a_subject_in_another_kind_of_parameter_is_noticed(overseen: pg.Guard):
    router = PurposeRouter(overseen, purpose=tm.RenewalGuidance)
    router.get("/", subject=SubjectFrom.path("key"))(endpoint)  # FastAPI takes it from the query
    with pytest.raises(MisdeclaredRoute) as raised:
        started(made(overseen, router))
    assert place_of(endpoint) in str(raised.value)


def test_several_purposes_of_one_route_are_noticed(guard: pg.Guard):
    entered = Depends(entering(guard.purpose(tm.ProductProvision)))
    stated = PurposeRouter(guard, purpose=tm.RenewalGuidance, dependencies=[entered])
    stated.get("/{key}")(endpoint)
    plain = APIRouter()
    plain.get("/{key}", dependencies=[entered, Depends(entering(guard.purpose(tm.RenewalGuidance)))])(endpoint)
    tabled = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    tabled.get("/{key}")(endpoint)
    for app in (
        made(guard, stated),
        made(guard, plain),
        made(guard, tabled, routes={"GET /{key}": guard.purpose(tm.ProductProvision)}),
    ):
        with pytest.raises(MisdeclaredRoute) as raised:
            started(app)
        assert place_of(endpoint) in str(raised.value)


def test_routers_included_in_one_with_a_purpose_state_their_own(guard: pg.Guard):
    def outer() -> PurposeRouter:
        return PurposeRouter(guard, purpose=tm.RenewalGuidance)

    for inner in (APIRouter(), PurposeRouter(guard), PurposeRouter(guard, purpose=tm.ProductProvision)):
        inner.get("/{key}")(endpoint)
        with pytest.raises(MisdeclaredRoute, match="state its own"):
            outer().include_router(inner)
    own = PurposeRouter(guard)
    own.get("/{key}", purpose=tm.ProductProvision)(endpoint)
    outer().include_router(own)
    same = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    same.get("/{key}")(endpoint)
    outer().include_router(same)


def test_a_purpose_of_another_guard_is_noticed_but_in_what_is_mounted(guard: pg.Guard):
    router = PurposeRouter(pg.Guard(tm.NOTICE), purpose=tm.RenewalGuidance)
    router.get("/{key}")(endpoint)
    with pytest.raises(MisdeclaredRoute, match="another guard") as raised:
        started(made(guard, router))
    assert place_of(endpoint) in str(raised.value)
    outer, inner = made(guard), FastAPI()
    inner.include_router(router)
    outer.mount("/inner", inner)
    started(outer)


def test_a_class_of_routes_that_is_no_purpose_route_is_noticed(guard: pg.Guard):
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance, route_class=routing.APIRoute)
    with pytest.raises(MisdeclaredRoute, match="PurposeRoute"):
        router.get("/{key}")(endpoint)


def test_a_table_that_names_no_route_is_noticed(guard: pg.Guard):
    with pytest.raises(ValueError, match="no route"):
        started(made(guard, routes={"GET /nowhere": guard.purpose(tm.RenewalGuidance)}))


def test_a_failing_start_is_told_to_the_server_and_every_request_after_it(guard: pg.Guard):
    app = made(guard, routes={"GET /nowhere": None})
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ValueError, match="no route"):
        asyncio.run(app({"type": "lifespan", "state": {}}, receive, send))
    assert [one["type"] for one in sent] == ["lifespan.startup.failed"]
    assert "no route" in sent[0]["message"]
    assert client_of(app).get("/").status_code == 500


@pytest.mark.parametrize("prepared", ["route", "dependency"])
def test_an_application_that_was_not_prepared_refuses(guard: pg.Guard, prepared: str):
    app = FastAPI()
    if prepared == "route":
        router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
        router.get("/")(lambda: under(guard))
        app.include_router(router)
    else:
        app.get("/", dependencies=[Depends(entering(guard.purpose(tm.RenewalGuidance)))])(lambda: under(guard))
    with pytest.raises(pg.PurposeGuardError, match="install"):
        TestClient(app).get("/")


def test_a_route_that_is_added_later_is_as_any_other(governance: Governance, overseen: pg.Guard):
    governance.restrict(8, tm.ProductProvision)
    router = PurposeRouter(overseen, purpose=tm.ProductProvision)
    router.get("/early")(lambda: under(overseen))
    app = made(overseen, router)
    client = client_of(app)
    assert client.get("/early").json() == "1.2(2)①"

    @router.get("/late/{key}", subject=SubjectFrom.path("key"))
    def late(key: int) -> str:
        return under(overseen)

    app.get("/later", dependencies=[Depends(entering(overseen.purpose(tm.RenewalGuidance)))])(lambda: under(overseen))
    assert client.get("/late/7").json() == client.get("/early").json() == "1.2(2)①"
    assert client.get("/late/8").status_code == 403
    assert client.get("/later").json() == "1.2(1)①"


def test_a_table_of_purposes_holds_after_routes_were_added(guard: pg.Guard):
    app = made(guard, routes={"GET /named": guard.purpose(tm.RenewalGuidance)})
    app.get("/named")(lambda: under(guard))
    client = client_of(app)
    for number in range(3):
        assert client.get("/named").json() == "1.2(1)①"
        app.get(f"/later/{number}")(lambda: under(guard))
        assert client.get(f"/later/{number}").json() == "none"


def test_threads_of_a_plain_router_that_is_added_to_later_are_refused(guard: pg.Guard):
    router = APIRouter(dependencies=[Depends(entering(guard.purpose(tm.RenewalGuidance)))])
    router.get("/early")(lambda: under(guard))
    client = client_of(made(guard, router))
    assert client.get("/early").json() == "1.2(1)①"
    router.get("/late")(lambda: under(guard))
    assert client.get("/late").json() == client.get("/early").json() == "none"


def overtaking_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle_selected(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self._match(scope)[3].app(scope, receive, send)

    monkeypatch.setattr(routing._IncludedRouter, "_handle_selected", handle_selected)


def keeping_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    made = routing.get_request_handler

    def handler(dependant: Any, **options: Any) -> Any:
        return made(get_dependant(path=dependant.path, call=dependant.call), **options)

    monkeypatch.setattr(routing, "get_request_handler", handler)


def keeping_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    made = routing.get_request_handler

    def handler(response_field: Any, **options: Any) -> Any:
        return made(response_field=copy.copy(response_field), **options)

    monkeypatch.setattr(routing, "get_request_handler", handler)


def stepping_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    async def iterate(steps: Any) -> AsyncIterator[Any]:
        for step in steps:
            yield step

    monkeypatch.setattr(responses, "iterate_in_threadpool", iterate)


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        (overtaking_handle, "handle"),
        (keeping_calls, "_dependency, _endpoint"),
        (keeping_fields, "serialize, validate"),
        (stepping_otherwise, "stream"),
    ],
)
def test_hooks_that_fastapi_no_longer_calls_are_noticed(
    guard: pg.Guard, monkeypatch: pytest.MonkeyPatch, change: Any, gone: str
):
    change(monkeypatch)
    with pytest.raises(HooksMissing, match=f"does not call {gone} of"):
        started(made(guard))


def test_what_is_installed_is_given_a_guard():
    wrong: Any = tm.NOTICE
    with pytest.raises(TypeError, match="guard"):
        install(FastAPI(), wrong)


def test_nothing_is_logged_of_a_refusal(guard: pg.Guard, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)
    router.get("/")(lambda: guard.current.open(Personal(DEVICE, tm.ProductData)))
    assert client_of(made(guard, router)).get("/").status_code == 403
    assert not [one for one in caplog.records if one.name.startswith("purposeguard")]


def test_an_endpoint_is_still_what_it_was(guard: pg.Guard):
    """The decorator gives back the function: it is called elsewhere, in tests for example, and runs as it is there."""
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/")
    async def one() -> AsyncIterator[str]:
        yield under(guard)

    assert inspect.isasyncgenfunction(one)


def shop(guard: pg.Guard | None) -> FastAPI:
    """An application that states no purposes, with routes that fail in different ways."""
    app = FastAPI()
    if guard is not None:
        install(app, guard)

    @app.get("/customers/{key}")
    def one(key: int, limit: Annotated[int, Query(le=9)] = 1) -> dict[str, int]:
        return {"key": key, "limit": limit}

    @app.post("/customers")
    async def add(body: Customer) -> int:
        return body.id

    @app.get("/undeclared")
    def undeclared() -> Customer:
        return {"id": "a"}  # type: ignore[return-value]  # FastAPI validates it.

    @app.get("/unwritable", response_model=None)
    def unwritable() -> Any:
        return JSONResponse(object())

    @app.websocket("/live")
    async def live(websocket: WebSocket, key: int) -> None:
        await websocket.accept()
        await websocket.send_json(key)

    return app


def test_a_guard_that_observes_changes_no_answer():
    bare, seen = client_of(shop(None)), client_of(shop(pg.Guard(tm.NOTICE, mode="observe")))
    answers: list[tuple[int, bytes, dict[str, str]]] = []
    for client in (bare, seen):
        for path in ("/customers/7", "/customers/x", "/customers/7?limit=10", "/undeclared", "/unwritable", "/none"):
            answer = client.get(path)
            answers.append((answer.status_code, answer.content, dict(answer.headers)))
        answer = client.post("/customers", json={"id": 7, "name": [NAME]})
        answers.append((answer.status_code, answer.content, dict(answer.headers)))
        answer = client.get("/openapi.json")
        answers.append((answer.status_code, answer.content, dict(answer.headers)))
        with client.websocket_connect("/live?key=7") as socket:
            assert socket.receive_json() == 7
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/live?key=x"):
            """Not reached."""
        answers.append((closed.value.code, repr(closed.value.reason).encode(), {}))
    half = len(answers) // 2
    assert answers[:half] == answers[half:]
    assert {status for status, _, _ in answers} == {200, 404, 422, 500, 1008}


class Unreachable:
    """A governance whose store does not answer."""

    requires_subject = False
    ledger = None

    def preferences(self, subject: str) -> Any:
        raise StoreUnavailable("the store does not answer")

    async def ready(self, subjects: Any) -> None:
        raise StoreUnavailable("the store does not answer")


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_subject_that_cannot_be_asked_about_stops_no_request_that_is_only_observed(in_thread: bool):
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", governance=Unreachable(), observers=[observer])  # type: ignore[arg-type]  # It has only the methods that are called.
    router = PurposeRouter(guard, purpose=tm.ProductGuidance)

    async def one(key: str | None = None) -> str | None:
        return key

    def one_in_a_thread(key: str | None = None) -> str | None:
        return key

    endpoint = one_in_a_thread if in_thread else one
    router.get("/", subject=SubjectFrom.query("key"))(endpoint)
    enforced = guard.purpose(tm.ProductGuidance, mode="enforce")
    router.get("/enforced", purpose=enforced, subject=SubjectFrom.query("key"))(endpoint)
    client = client_of(made(guard, router))
    assert [client.get(f"/{query}").json() for query in ("?key=7", "", "?key=%20a")] == ["7", None, " a"]
    assert [type(error) for error in observer.errors] == [StoreUnavailable]
    assert [client.get(f"/enforced{query}").status_code for query in ("?key=7", "")] == [503, 422]
