"""Requests of Flask that run for the purpose of their route beside the same of a bare application, by WSGI alone."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.test import EnvironBuilder

from benchmarks.data.measured import TimedRow, time_pairs
from purposeguard import Guard
from purposeguard.integrations.flask import Purposes
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("flask", "werkzeug")

REQUESTS = 200
"""A run, so that it takes tens of milliseconds."""

guard = Guard(tm.NOTICE)


@guard.access(tm.Registration)
def name() -> str:
    return "Aiko"


def bare_name() -> str:
    return "Aiko"


def application(read: Callable[[], str]) -> Flask:
    app = Flask("bench")

    @app.get("/customers/<int:key>")
    def customer(key: int) -> ResponseReturnValue:
        return {"key": key, "name": read()}

    @app.get("/lines")
    def lines() -> ResponseReturnValue:
        return (f"{number} {read()}\n" for number in range(10))

    return app


def make_requests(app: Flask, path: str) -> Callable[[], None]:
    environ = EnvironBuilder(path).get_environ()

    def start_response(status: str, _headers: object, _error: object = None) -> Callable[[bytes], object]:
        if status != "200 OK":
            raise AssertionError(status)
        return len

    def run() -> None:
        for _ in range(REQUESTS):
            body = app({**environ}, start_response)
            b"".join(body)
            body.close()  # type: ignore[attr-defined]  # werkzeug's always has it

    return run


def rows(quick: bool) -> list[TimedRow]:
    """Measure the cost of a purpose for a request with one read, and for a streaming response with ten reads."""
    bare, guarded = application(bare_name), application(name)
    Purposes(
        guarded, guard, {"customer": guard.purpose(tm.RenewalGuidance), "lines": guard.purpose(tm.RenewalGuidance)}
    )
    found = []
    for what, path in (
        ("a request for JSON, one guarded read", "/customers/7"),
        ("a request for a stream of ten lines, a guarded read each", "/lines"),
    ):
        floor, ours, middle = time_pairs(make_requests(bare, path), make_requests(guarded, path), 10 if quick else 60)
        found.append(TimedRow(what, ours / REQUESTS, "the same application bare", floor / REQUESTS, middle=middle))
    return found
