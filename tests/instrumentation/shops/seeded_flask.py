"""A shop on Flask, with a worker of Celery, with seeded violations: see `seeded_fastapi`."""

from __future__ import annotations

import contextlib
import pickle
import queue
from collections.abc import Iterator
from typing import Any

import celery
import click
from celery.contrib.testing.worker import start_worker
from flask import Flask, Response, g, jsonify, render_template_string, session, stream_with_context
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from tests.instrumentation.shops import seeded_models as models
from tests.instrumentation.shops.seeded_models import DEVICE, Order, User, prepare

prepare()
app = Flask(__name__)
app.secret_key = "of a test"  # noqa: S105  # no secret
worker = celery.Celery("shop", broker="memory://")
sent: queue.SimpleQueue[str] = queue.SimpleQueue()
"""What left the application otherwise than in an answer."""


@app.before_request
def connect() -> None:
    g.database = models.open_session()


@app.teardown_request
def disconnect(_: object) -> None:
    g.database.close()


@app.route("/template")
def render() -> str:
    orders = g.database.scalars(select(Order)).all()
    return render_template_string("{% for order in orders %}{{ order.user.device }}{% endfor %}", orders=orders)


@app.route("/stream")
def stream() -> Response:
    return Response(stream_with_context(f"{device}\n" for device in g.database.scalars(select(User.device))))


@app.route("/stream-of-own")
def stream_of_own() -> Response:
    def lines() -> Iterator[str]:
        with Session(models.engine) as own:
            yield from own.scalars(select(User.device))

    return Response(lines())


@app.route("/session")
def keep_in_session() -> Response:
    session["user"] = pickle.dumps(g.database.get(User, 1)).hex()
    found: Any = pickle.loads(bytes.fromhex(session["user"]))  # written above
    return jsonify(found.device)


@app.route("/after-request")
def leave_to_hook() -> str:
    return "done"


@app.after_request
def add_device(response: Response) -> Response:
    from flask import request

    if request.path == "/after-request":
        response.headers["X-Device"] = g.database.scalars(select(User.device)).one()
    return response


@app.route("/errorhandler")
def fail() -> Response:
    raise LookupError


@app.errorhandler(LookupError)
def answer(_: LookupError) -> str:
    found: str = g.database.scalars(select(User.device)).one()
    return found


@app.route("/listener")
def load_with_listener() -> str:
    """Read what a listener of the mapper has copied."""
    return str(getattr(g.database.get(User, 1), "copied", ""))


@event.listens_for(User, "load")
def copy_device(user: User, _: object) -> None:
    user.copied = user.__dict__.get("device")  # type: ignore[attr-defined]  # Objects have attributes of their own.


@app.route("/filter-by-text")
def filter_by_text() -> list[str]:
    found = g.database.scalars(select(User.email).where(text("device > ''")))
    return [*found, DEVICE]


@app.route("/control")
def show_email() -> str:
    """Use nothing that the purpose does not permit."""
    return str(g.database.scalars(select(User.email)).one()) + DEVICE


@app.route("/call-on-close")
def read_when_closed() -> Response:
    def read() -> None:
        with models.open_session() as database:
            sent.put(database.scalars(select(User.device)).one())

    response = Response("done")
    response.call_on_close(read)
    return response


@app.cli.command("list-devices")
def list_devices() -> None:
    with models.open_session() as database:
        click.echo(database.scalars(select(User.device)).one())


@worker.task(name="shop.remind")
def remind() -> None:
    with models.open_session() as database:
        sent.put(database.scalars(select(User.device)).one())


@app.route("/celery-task")
def start_task() -> str:
    remind.delay()
    with contextlib.suppress(queue.Empty):
        sent.put(sent.get(timeout=4))
    return "sent"


def main() -> None:
    client = app.test_client()
    with start_worker(worker, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        for rule in app.url_map.iter_rules():
            if rule.endpoint == "static":
                continue
            found = [""]
            with contextlib.suppress(Exception):
                response = client.get(rule.rule)
                found = [response.text, str(response.headers)]
                response.close()
            while not sent.empty():
                found.append(sent.get())
            print(rule.rule, "took place" if DEVICE in "".join(found) else "refused")  # noqa: T201  # The test reads the output.
    output = app.test_cli_runner().invoke(args=["list-devices"]).output
    print("list-devices", "took place" if DEVICE in output else "refused")  # noqa: T201  # The test reads the output.


if __name__ == "__main__":
    main()
