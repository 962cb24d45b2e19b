"""A pytest plugin that records the outcome of each test, and each response that a test client receives.

`adoption.py` loads it into the tests of applications that do not know it. The file `ADOPT_RECORD` gets one line of JSON
for each test and for each response, while the tests run. If `ADOPT_SEED` is set, each test gets the random bytes and
numbers that belong to its name, so that most tokens and salts are equal in all runs.
"""

from __future__ import annotations

import base64
import functools
import importlib
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

_records: Final = Path(os.environ["ADOPT_RECORD"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115  # until the end
_running: Final = {"test": ""}
_generator: Final = random.Random()


def _write(**record: object) -> None:
    _records.write(json.dumps({"test": _running["test"], **record}) + "\n")


def _record(method: str, status: object, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    listed = sorted(f"{name.lower()}: {value}" for name, value in headers)
    _write(method=method, status=str(status), headers=listed, body=base64.b64encode(body).decode())


def _record_werkzeug() -> None:
    from werkzeug import test  # only where it is installed

    open_plainly = test.Client.open

    @functools.wraps(open_plainly)
    def open_and_record(self: Any, *args: Any, **kwargs: Any) -> Any:
        response = open_plainly(self, *args, **kwargs)
        if not response.is_streamed or response.direct_passthrough:
            response.make_sequence()
        _record(response.request.method, response.status_code, response.headers.items(), response.get_data())
        return response

    test.Client.open = open_and_record  # type: ignore[method-assign]  # The wrapper records.


def _record_httpx() -> None:
    import httpx  # only where it is installed

    send_plainly, send_async_plainly = httpx.Client.send, httpx.AsyncClient.send

    @functools.wraps(send_plainly)
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        response = send_plainly(self, request, **kwargs)
        if response.is_closed:
            _record(request.method, response.status_code, response.headers.multi_items(), response.content)
        return response

    @functools.wraps(send_async_plainly)
    async def send_async(self: Any, request: Any, **kwargs: Any) -> Any:
        response = await send_async_plainly(self, request, **kwargs)
        if response.is_closed:
            _record(request.method, response.status_code, response.headers.multi_items(), response.content)
        return response

    httpx.Client.send = send  # type: ignore[method-assign]  # The wrapper records.
    httpx.AsyncClient.send = send_async  # type: ignore[method-assign]  # The wrapper records.


def _record_django() -> None:
    from django.test import client  # only where it is installed

    request_plainly = client.Client.request

    @functools.wraps(request_plainly)
    def request(self: Any, **kwargs: Any) -> Any:
        response = request_plainly(self, **kwargs)
        body = b"" if response.streaming else response.content
        _record(kwargs.get("REQUEST_METHOD", "GET"), response.status_code, response.items(), body)
        return response

    client.Client.request = request


def _record_webtest() -> None:
    client: Any = importlib.import_module("webtest").TestApp  # no dependency of the project
    do_request_plainly = client.do_request

    @functools.wraps(do_request_plainly)
    def do_request(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        response = do_request_plainly(self, req, *args, **kwargs)
        _record(req.method, response.status_int, response.headers.items(), response.body)
        return response

    client.do_request = do_request


def pytest_configure() -> None:
    """Record from now on what clients receive."""
    if "ADOPT_SEED" in os.environ:
        os.urandom = _generator.randbytes
        setattr(random, "_urandom", _generator.randbytes)  # noqa: B010  # `secrets` reads it.
    recorders: tuple[Callable[[], None], ...] = (_record_werkzeug, _record_httpx, _record_django, _record_webtest)
    for recorder in recorders:
        try:
            recorder()
        except ModuleNotFoundError:  # The application's tests do not use this client.
            continue


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note which test runs, and begin its random values if they are to be the same in each run."""
    _running["test"] = nodeid
    if "ADOPT_SEED" in os.environ:
        random.seed(nodeid)
        _generator.seed(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the outcome of a phase of a test."""
    if report.when == "call" or not report.passed:
        reason = "" if report.passed or report.skipped else str(report.longrepr)[-3000:]
        _write(when=report.when, outcome=report.outcome, reason=reason)
