"""A shop on FastAPI with seeded violations: each route reads or uses a device, which its purpose does not permit.

Nothing here knows of the library. The program prints for each route if the violation took place.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import csv
import functools
import io
import logging
import pickle
import queue
import smtplib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import httpx
import pandas
from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Executable, func, insert, inspect, literal_column, select, table, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload

from tests.instrumentation.shops import seeded_models as models
from tests.instrumentation.shops.seeded_models import DEVICE, Letter, Order, Scan, User, prepare

prepare()
async_engine = create_async_engine("sqlite+aiosqlite:///shop.db")
app = FastAPI()
pool = ThreadPoolExecutor(1)
sent: list[str] = []
"""What left the application otherwise than in an answer."""


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    email: str
    device: str


class _Mailbox:
    """A mail server, as `smtplib` would reach it."""

    def sendmail(self, sender: str, recipient: str, message: str) -> None:
        sent.append(message)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        sent.append(record.getMessage())


logger = logging.getLogger("shop")
logger.addHandler(_Lines())
logger.setLevel(logging.INFO)


def _answer_partner(request: httpx.Request) -> httpx.Response:
    sent.append(request.content.decode())
    return httpx.Response(204)


partner = httpx.Client(transport=httpx.MockTransport(_answer_partner))


def use_session() -> Iterator[Session]:
    with models.open_session() as session:
        yield session


Database = Annotated[Session, Depends(use_session)]


def authenticate(session: Database) -> User:
    return session.scalars(select(User).where(User.email == "aiko@example.jp")).one()


Member = Annotated[User, Depends(authenticate)]


USES_OF_MEMBER: dict[str, Callable[[User], object]] = {
    "/object-of-authentication": lambda user: user.device,
    "/cached-property": lambda user: user.device_title,
    "/pickle": lambda user: pickle.loads(pickle.dumps(user)).device,  # written in the same line
    "/inspection": lambda user: str(inspect(user).attrs.device.loaded_value),
    "/copy": lambda user: copy.copy(user).device,
}


def show(use: Callable[[User], object]) -> Callable[[User], object]:
    """A route that answers with what it makes of the member who asks."""

    def route(user: Member) -> object:
        return use(user)

    return route


for path, use in USES_OF_MEMBER.items():
    app.get(path)(show(use))


@app.get("/wide-response-model")
def show_all(user: Member) -> UserOut:
    return UserOut.model_validate(user)


@app.get("/response-model-of-route", response_model=UserOut)
def show_object(user: Member) -> object:
    return user


@app.get("/vars-of-object")
def show_vars(user: Member) -> dict[str, str]:
    return {name: str(value) for name, value in vars(user).items()}


@app.get("/sqlmodel-dump")
def show_scans(session: Database) -> list[dict[str, Any]]:
    return [scan.model_dump() for scan in session.scalars(select(Scan))]


@app.get("/lazy-relation")
def show_buyers(session: Database) -> list[str]:
    return [order.user.device for order in session.scalars(select(Order))]


@app.get("/eager-relation")
def show_buyers_at_once(session: Database) -> list[str]:
    return [order.user.device for order in session.scalars(select(Order).options(joinedload(Order.user)))]


@app.get("/merge")
def merge_member(user: Member) -> str:
    with models.open_session() as other:
        return other.merge(user, load=False).device


@functools.cache
def load_once() -> User:
    with models.open_session() as session:
        return session.scalars(select(User)).one()


@app.get("/object-of-another-request")
def show_first() -> str:
    return load_once().device


@functools.lru_cache
def list_devices() -> list[str]:
    with models.open_session() as session:
        return list(session.scalars(select(User.device)))


@app.get("/statistics")
def make_statistics() -> list[str]:
    load_once()
    return list_devices()


@app.get("/lru-cache")
def show_cached() -> list[str]:
    return list_devices()


def read_plainly() -> list[str]:
    with Session(models.engine) as session:
        return list(session.scalars(select(User.device)))


devices_at_import = read_plainly()


@app.get("/values-of-import")
def show_values_of_import() -> list[str]:
    return devices_at_import


@app.get("/control")
def show_email(session: Database) -> str:
    """Use nothing that the purpose does not permit."""
    return session.scalars(select(User.email)).one() + DEVICE


TITLES = select(User.device.label("title")).cte("titles")
READING: dict[str, Executable] = {
    "/wrong-purpose": select(User.device),
    "/update-returning": (update(User).where(User.id == 1).values(email="aiko@example.jp").returning(User.device)),
    "/cte": select(TITLES.c.title),
    "/union": select(User.email).union_all(select(User.device)),
    "/literal-column": select(literal_column("device")).select_from(table("users")),
    "/text-with-comments": (
        text('/* e-mails */ SELECT u . "device" -- email\n FROM users AS u WHERE u.id = :id').bindparams(id=1)
    ),
    "/view": text("SELECT card FROM user_cards"),
}
"""Statements whose rows are devices."""
DECIDING: dict[str, Executable] = {
    "/join": select(User.email).join(Scan, User.device == Scan.device),
    "/where": select(User.email).where(User.device.startswith("X")),
    "/order-by": select(User.email).order_by(User.device),
    "/having": select(User.email).group_by(User.email).having(func.max(User.device) > "A"),
    "/exists": select(Order.product).where(Order.user.has(User.device != "")),
    "/count-by": select(func.count(User.id)).group_by(User.device),
    "/window": select(func.row_number().over(order_by=User.device)),
}
"""Statements in which devices decide on the rows."""


def execute(statement: Executable, *more: str) -> Callable[[Session], list[str]]:
    """A route that answers with the first column of a statement."""

    def route(session: Database) -> list[str]:
        return [*map(str, session.scalars(statement)), *more]

    return route


for path, statement in READING.items():
    app.get(path)(execute(statement))
for path, statement in DECIDING.items():
    app.get(path)(execute(statement, DEVICE))


@app.get("/insert-from-select")
def copy_devices(session: Database) -> str:
    session.execute(insert(Letter).from_select(["content"], select(User.device)))
    session.commit()
    return DEVICE


@app.get("/subquery-in-insert")
def insert_subquery(session: Database) -> str:
    session.execute(insert(Letter).values(content=select(User.device).scalar_subquery()))
    session.commit()
    return DEVICE


@app.get("/flush")
def store(user: Member, session: Database) -> str:
    session.add(Letter(content=user.device))
    session.commit()
    return DEVICE


@app.get("/driver-sql")
def run_driver_sql() -> str:
    with models.engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT device FROM users").all())


@app.get("/trigger")
def read_copy(session: Database) -> list[str]:
    """Read what a trigger of the database has copied."""
    session.add(Order(user_id=1, product="vpn"))
    session.commit()
    return list(session.scalars(select(Letter.content)))


@app.get("/pandas")
def read_frame() -> str:
    return str(pandas.read_sql("SELECT * FROM users", models.engine).to_csv())


@app.get("/raw-cursor")
def use_cursor() -> str:
    with contextlib.closing(models.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT device FROM users")
        return str(cursor.fetchall())


@app.get("/driver-connection")
def use_driver(session: Database) -> str:
    driver: Any = session.connection().connection.driver_connection
    return str(driver.execute("SELECT device FROM users").fetchall())


@app.get("/own-connection")
def use_own_connection() -> str:
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        return str(connection.execute("SELECT device FROM users").fetchall())


@app.get("/second-engine")
def use_second_engine() -> list[str]:
    with Session(models.second_engine) as session:
        return list(session.scalars(select(User.device)))


@app.get("/second-database")
def use_second_database() -> list[str]:
    with Session(models.second_database) as session:
        return list(session.scalars(select(User.device)))


@app.get("/async-session")
async def use_async_session() -> list[str]:
    async with AsyncSession(async_engine) as session:
        return list(await session.scalars(select(User.device)))


def read_device() -> str:
    with models.open_session() as session:
        return session.scalars(select(User.device)).one()


def send_device() -> None:
    sent.append(read_device())


@app.get("/background-task")
def start_background_task(tasks: BackgroundTasks) -> None:
    tasks.add_task(send_device)


@app.get("/thread")
def use_thread() -> None:
    thread = threading.Thread(target=send_device)
    thread.start()
    thread.join()


@app.get("/timer")
def use_timer() -> None:
    timer = threading.Timer(0, send_device)
    timer.start()
    timer.join()


jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
done = threading.Event()


def work() -> None:
    while (job := jobs.get()) is not None:
        with contextlib.suppress(Exception):
            job()
        done.set()


@app.get("/thread-of-import")
def use_worker() -> None:
    done.clear()
    jobs.put(send_device)
    done.wait(4)


@app.get("/subprocess")
def use_process() -> str:
    """Read in another process, which takes part in observation, and which nobody guards."""
    code = (
        "from sqlalchemy import *; c = create_engine('sqlite:///shop.db').connect(); "
        "print(c.scalars(text('SELECT device FROM users')).first())"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@app.get("/thread-pool")
def use_pool() -> str:
    return pool.submit(read_device).result()


@app.get("/to-thread")
async def use_to_thread() -> str:
    return await asyncio.to_thread(read_device)


@app.get("/asyncio-task")
async def use_task() -> None:
    async def read() -> None:
        async with AsyncSession(async_engine) as session:
            sent.extend(await session.scalars(select(User.device)))

    await asyncio.create_task(read())


def finish(session: Database) -> Iterator[None]:
    yield
    sent.extend(session.scalars(select(User.device)))


@app.get("/generator-dependency", dependencies=[Depends(finish)])
def use_generator() -> None:
    """Leave the work to the dependency."""


@app.get("/streaming-response")
def export() -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        async with AsyncSession(async_engine) as session:
            async for (device,) in await session.stream(select(User.device)):
                yield device

    return StreamingResponse(stream())


@app.get("/csv-export")
def export_table(session: Database) -> Response:
    target = io.StringIO()
    csv.writer(target).writerows(session.execute(select(User.email, User.device)))
    return Response(target.getvalue(), media_type="text/csv")


@app.websocket("/websocket")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await asyncio.to_thread(read_device))
    await socket.close()


@app.middleware("http")
async def look_at_user(request: Request, call_next: Any) -> Any:
    if request.url.path == "/middleware":
        sent.append(await asyncio.to_thread(read_device))
    return await call_next(request)


@app.get("/middleware")
def use_middleware() -> None:
    """Leave the work to the middleware."""


class OutOfStockError(Exception):
    """A product is out of stock."""


@app.exception_handler(OutOfStockError)
def answer(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"of": read_device()})


@app.get("/exception-handler")
def fail() -> None:
    raise OutOfStockError


@app.get("/log-line")
def log(user: Member) -> None:
    logger.info("the device of a member is %s", user.device)


@app.get("/log-of-object")
def log_email(user: Member) -> None:
    """Log an e-mail address: answers to inquiries may not use it."""
    logger.info("asked by %s with %s", user.email, DEVICE)


@app.get("/mail")
def send_mail(user: Member) -> None:
    mailbox: smtplib.SMTP | _Mailbox = _Mailbox()
    mailbox.sendmail("shop@example.jp", user.email, f"your device is {user.device}")


@app.get("/partner")
def tell_partner(user: Member) -> None:
    partner.post("https://partner.example/", json={"device": user.device})


def main() -> None:
    threading.Thread(target=work, daemon=True).start()
    client = TestClient(app, raise_server_exceptions=False)
    client.get("/statistics")
    for route in app.routes:
        path = getattr(route, "path", "")
        if path in ("/statistics", "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
            continue
        sent.clear()
        body = ""
        with contextlib.suppress(Exception):
            if path == "/websocket":
                with client.websocket_connect(path) as socket:
                    body = socket.receive_text()
            else:
                body = client.get(path).text
        print(path, "took place" if DEVICE in "".join((body, *sent)) else "refused")  # noqa: T201  # The test reads the output.


if __name__ == "__main__":
    main()
