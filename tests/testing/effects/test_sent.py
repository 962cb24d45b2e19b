"""What is sent by sockets, mails, clients, databases and pipes is captured: with real servers, where there are any."""

# what is printed past `sys.stdout` is looked at

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import os
import shutil
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace

import duckdb
import httpx2
import psycopg
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from examples.postgresql import run_server
from purposeguard.testing import Effects, captured

logger = logging.getLogger("shop.sent")
kept = sys.stdout


def parts(effects: Effects, kind: str) -> dict[str, str]:
    """What the only effect of a kind consists of."""
    (found,) = effects.of(kind)
    return dict(found.parts)


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """A server that takes what it gets, and answers as one of mails would."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 here\r\n")
                body = False
                for line in lines:
                    if body and line != b".\r\n":
                        continue
                    body = line.lower().startswith(b"data")
                    code = b"354" if body else b"221" if line.lower().startswith(b"quit") else b"250"
                    connection.sendall(code + b" thanks\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()
        thread.join(60)


def test_connections_are_one_effect_each(listener):
    with captured() as effects:
        with socket.create_connection(listener) as connection:
            connection.sendall(b"dev")
            connection.send(b"ice")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(b"phone", ("127.0.0.1", 9))
    assert [(one.name, dict(one.parts)) for one in effects.of("socket")] == [
        ("TCP", {"address": "127.0.0.1:…", "content": "device"}),
        ("UDP", {"address": "127.0.0.1:9", "content": "phone"}),
    ]


def test_connections_of_tasks(listener):
    async def main() -> None:
        _, writer = await asyncio.open_connection(*listener)
        writer.write("électrique".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    with captured() as effects:
        asyncio.run(main())
    assert parts(effects, "socket")["content"] == "électrique"


def test_what_goes_by_tls_is_told_before_it_is_enciphered():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.com")
    ours, theirs = socket.socketpair()
    with captured() as effects, ours, theirs:
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sent:
            sent.sendall(hello)
        ours.sendall(b"to this process itself")
    assert [dict(one.parts).get("content") for one in effects.of("socket")] == [None]


def test_mails_are_told_by_their_parts(listener):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "aiko@example.com", "device"
    mail.set_content("phone")
    with captured() as effects, smtplib.SMTP(*listener) as server:
        server.send_message(mail)
    found = parts(effects, "mail")
    assert (found["from"], found["to"]) == ("shop@example.com", "aiko@example.com")
    assert "Subject: device" in found["message"]
    assert "phone" in found["message"]
    assert "phone" not in parts(effects, "socket")["content"]


def test_answers_that_are_streams_are_told_once_they_are_read():
    app = FastAPI()

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["dev", "ice"]), headers={"server": "mine"})

    @app.head("/stream")
    def length() -> Response:
        return Response(headers={"content-length": "7"})

    client = TestClient(app)
    with captured() as effects:
        assert client.get("/stream").text == "device"
    assert (parts(effects, "response")["body"], parts(effects, "response")["header server"]) == ("device", "mine")
    with captured() as effects:
        client.head("/stream")
    assert parts(effects, "response")["header content-length"] == "7"


def test_bodies_that_are_packed_are_told_as_they_are_read():
    client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200)))
    with captured() as effects:
        client.post("https://example.com/", content=gzip.compress(b"device"))
    assert parts(effects, "http")["body"] == "device"


def test_statements_of_psycopg_on_a_real_server():
    with run_server() as server, psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE TABLE devices (name text)")
        with captured() as effects, connection.cursor() as cursor:
            connection.execute("SELECT %s::text", ("one",))
            cursor.executemany("INSERT INTO devices VALUES (%s)", params_seq=iter([("two",), ("three",)]))
            assert len(list(cursor.stream("SELECT name FROM devices WHERE name <> %s", ("four",)))) == 2
            with cursor.copy("COPY devices FROM STDIN") as copying:
                copying.write_row(("five",))
                copying.write("six\n")
        assert connection.execute("SELECT count(*) FROM devices").fetchone() == (4,)
    said = [text for one in effects.of("sql") for what, text in one.parts if what != "statement"]
    assert said == ["one", "two", "three", "four", "five", "six\n"]


def test_statements_of_duckdb():
    with captured() as effects, duckdb.connect() as connection:
        connection.execute("SELECT ?", ["one"])
        connection.sql("SELECT 'two'")
        duckdb.sql("SELECT 'three'")
    said = [dict(one.parts) for one in effects.of("sql")]
    assert {"statement": "SELECT ?", "parameter 1": "one"} in said
    assert {"statement": "SELECT 'two'"} in said
    assert {"statement": "SELECT 'three'"} in said


def test_connections_of_sqlite_by_an_imported_name(monkeypatch):
    here = SimpleNamespace(connect=sqlite3.connect)
    monkeypatch.setitem(sys.modules, "shop_that_imports_it", here)
    with captured() as effects:
        here.connect(":memory:").execute("SELECT ?", ("device",)).close()
    assert parts(effects, "sql") == {"statement": "SELECT 'device'"}


def test_what_is_written_to_processes():
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-3)
        await process.communicate(b"task")

    with captured() as effects:
        subprocess.run(["cat"], input="text", text=True, stdout=subprocess.DEVNULL, check=True)
        asyncio.run(main())
        subprocess.run(["true"], check=True, cwd="/")
    found = [dict(one.parts) for one in effects.of("process")]
    assert [one["input"] for one in found if "input" in one] == ["text", "task"]
    assert found[-1]["folder"] == "/"


def test_an_environment_that_is_inherited(monkeypatch):
    with captured() as effects:
        monkeypatch.setenv("DEVICE", "phone")
        subprocess.run(["true"], check=True)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
    assert [dict(one.parts)["environment DEVICE"] for one in effects.of("process")] == ["phone", "phone"]


def test_files_by_descriptors_and_by_copies(tmp_path):
    (tmp_path / "from").write_bytes("ä".encode() * 9000)
    with captured() as effects:
        descriptor = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"one")
        os.close(descriptor)
        descriptor, name = tempfile.mkstemp(dir=tmp_path)
        with os.fdopen(descriptor, "w") as file:
            file.write("two")
        shutil.copyfile(tmp_path / "from", tmp_path / "to")
        Path(name).chmod(0o600)
        os.truncate(name, 1)
    found = [dict(one.parts) for one in effects.of("file")]
    assert [one.get("content") for one in found] == ["one", "two", "ä" * 9000, None, None]
    assert (found[3]["mode"], found[4]["length"]) == ("384", "1")


def test_output_past_the_streams_that_are_there_now():
    with captured() as effects:
        print("one", file=kept)
        print("two", file=sys.__stdout__)
    assert [dict(one.parts)["text"] for one in effects.of("stdout")] == ["one", "two"]


def test_warnings_are_told_whether_they_are_shown_or_not():
    with captured() as effects, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            warnings.warn("odd device", stacklevel=1)
    assert [(one.name, dict(one.parts)) for one in effects.of("warning")] == [
        ("UserWarning", {"message": "odd device"})
    ] * 2
    with captured() as effects, pytest.warns(DeprecationWarning, match="old") as caught:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert caught[0].filename == __file__
    assert not effects.of("stderr")


class Bearing:
    def __init__(self) -> None:
        self.device = "phone"


def test_what_records_bear_beside_their_message():
    def add(record: logging.LogRecord) -> bool:
        record.added = "by a filter"
        return True

    mine = logging.getLogger("shop.sent.filtered")
    mine.setLevel(logging.INFO)
    mine.addFilter(add)
    with captured() as effects:
        mine.info("sent", {"about": "device"}, extra={"whole": Bearing()})
        try:
            raise ExceptionGroup("several", [LookupError("inside")])
        except ExceptionGroup:
            mine.exception("failed")
    mine.removeFilter(add)
    first, second = (dict(one.parts) for one in effects.of("log"))
    assert first["argument about"] == "device"
    assert "'device': 'phone'" in first["extra whole"]
    assert first["extra added"] == "by a filter"
    assert "inside" in second["exception"]


def test_descriptors_that_are_others_by_now_tell_nothing(tmp_path):
    with captured() as effects:
        os.close(os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT))
        ours, theirs = os.pipe()
        os.write(theirs, b"device")
        os.close(ours)
        os.close(theirs)
    assert [dict(one.parts) for one in effects.of("file")] == [{"name": str(tmp_path / "a")}]
