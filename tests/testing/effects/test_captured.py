"""What a block does that others can see is captured, from any thread or task, and everything is put back."""

# ruff: noqa: PTH123, SIM115, T201  # by which way a file is opened, and what is printed, is looked at

from __future__ import annotations

import asyncio
import builtins
import http.client
import io
import json
import logging
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from purposeguard.testing import Effects, arranging, captured
from tests.testing.ids import told

logger = logging.getLogger("shop.effects")


def texts(effects: Effects) -> list[tuple[str, str, dict[str, str]]]:
    return [(one.kind, one.name, dict(one.parts)) for one in effects]


def touched() -> list[Any]:
    """All that watching replaces."""
    return [
        logging.Logger.handle,
        logging.Logger.isEnabledFor,
        sys.stdout,
        sys.stderr,
        subprocess.Popen.__init__,
        os.system,
        http.client.HTTPConnection.putrequest,
        http.client.HTTPConnection.send,
        httpx2.Client.send,
        httpx2.AsyncClient.send,
        builtins.open,
        io.open,
        os.mkdir,
        os.open,
        sqlite3.connect,
    ]


def test_log_records_count_whatever_handlers_there_are():
    quiet = logging.getLogger("shop.effects.quiet")
    quiet.setLevel(logging.ERROR)
    with captured() as effects:
        logger.debug("mailing %s", "Aiko", extra={"order": 7})
        quiet.info("a library that is to be quiet")
        try:
            raise LookupError("no such order")
        except LookupError:
            logger.exception("failed")
    assert texts(effects)[0] == ("log", "shop.effects DEBUG", {"message": "mailing Aiko", "extra order": "7"})
    (failed,) = [one for one in effects.of("log") if one.name.endswith("ERROR")]
    assert dict(failed.parts) == {"message": "failed", "exception": "LookupError: no such order"}
    assert not [one for one in effects.of("log") if one.name.startswith("shop.effects.quiet")]


def test_only_what_is_really_enabled_reaches_handlers(caplog: pytest.LogCaptureFixture):
    with captured():
        logger.debug("not for handlers")
        logger.warning("for handlers")
    assert [one.getMessage() for one in caplog.records] == ["for handlers"]


def test_a_record_that_cannot_be_written_is_one_all_the_same(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with captured() as effects:
        logger.warning("%d", "Aiko")
    assert "Aiko" in dict(effects.of("log")[0].parts)["message"]


def test_output_is_captured_by_lines_and_still_comes_out(capsys):
    with captured() as effects:
        sys.stdout.write("one, ")
        sys.stdout.write("two\nthree\n")
        print("four", file=sys.stderr)
        print("five", end="")
    assert texts(effects) == [
        ("stdout", "", {"text": "one, two"}),
        ("stdout", "", {"text": "three"}),
        ("stderr", "", {"text": "four"}),
        ("stdout", "", {"text": "five"}),
    ]
    assert capsys.readouterr().out == "one, two\nthree\nfive"


def test_a_line_that_goes_on_later_is_no_longer_the_block_s(capsys):
    with captured() as first:
        print("one", end="")
    with captured() as second:
        print("two")
    assert texts(first) == [("stdout", "", {"text": "one"})]
    assert texts(second) == [("stdout", "", {"text": "two"})]


def test_http_requests_of_clients():
    client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200)))
    with captured() as effects:
        client.post("https://example.com/send?to=7", json={"about": "device"}, headers={"X-Order": "9"})
    (found,) = effects.of("http")
    parts = dict(found.parts)
    assert (found.name, parts["address"]) == ("POST", "https://example.com/send?to=7")
    assert parts["header x-order"] == "9"
    assert json.loads(parts["body"]) == {"about": "device"}


def test_http_requests_of_async_clients():
    async def main() -> None:
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200))
        async with httpx2.AsyncClient(transport=transport) as client:
            await client.put("https://example.com/", content=b"device")

    with captured() as effects:
        asyncio.run(main())
    assert dict(effects.of("http")[0].parts)["body"] == "device"


def test_http_requests_of_the_standard_library_though_nobody_answers():
    with captured() as effects, pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://127.0.0.1:9/a?b=c", data=b"device", timeout=1)  # no file
    (found,) = effects.of("http")
    assert dict(found.parts)["address"] == "http://127.0.0.1:9/a?b=c"
    assert dict(found.parts)["body"] == "device"


def test_what_is_asked_of_an_application_here_is_no_effect_and_its_answer_is_one():
    app = FastAPI()

    @app.get("/hello")
    def hello(name: str) -> str:
        logger.info("hello")
        return name

    with captured() as effects:
        TestClient(app).get("/hello", params={"name": "Aiko"})
    assert not effects.of("http")
    (answer,) = effects.of("response")
    assert dict(answer.parts)["status"] == "200"
    assert dict(answer.parts)["body"] == '"Aiko"'
    assert [dict(one.parts)["message"] for one in effects.of("log") if one.name == "shop.effects INFO"] == ["hello"]


def test_sql_of_sqlalchemy_and_of_sqlite_are_each_told_once():
    before = sqlite3.connect(":memory:")
    engine = sa.create_engine("sqlite://")
    with captured() as effects:
        before.execute("SELECT ?", ("one",)).fetchall()
        sqlite3.connect(":memory:").execute("SELECT ?", (2,)).fetchall()
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT :word"), {"word": "three"})
    assert [parts for _, _, parts in texts(effects)] == [
        {"statement": "SELECT 'one'"},
        {"statement": "SELECT 2"},
        {"statement": "SELECT ?", "parameter 1": "three"},
    ]
    before.execute("SELECT 4")
    assert len(effects) == 3


def test_sql_of_psycopg_is_told_before_it_is_sent():
    cursor = psycopg.Cursor.__new__(psycopg.Cursor)  # of no server
    with captured() as effects:
        with pytest.raises(AttributeError):
            cursor.execute("SELECT %s", ("device",))
        with pytest.raises(AttributeError):
            cursor.executemany("SELECT %(a)s", [{"a": 1}, {"a": 2}])
    assert [parts for _, _, parts in texts(effects)] == [
        {"statement": "SELECT %s", "parameter 1": "device"},
        {"statement": "SELECT %(a)s", "row 1, parameter a": "1", "row 2, parameter a": "2"},
    ]


def test_rows_that_are_written_together_are_all_told():
    engine = sa.create_engine("sqlite://")
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", sa.String))
    table.metadata.create_all(engine)
    with captured() as effects, engine.begin() as connection:
        connection.execute(table.insert(), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    assert "y" in dict(effects.of("sql")[0].parts).values()


@pytest.mark.parametrize("mode", ["w", "wb", "a", "x", "w+", "ab"])
def test_files_work_as_ever_and_are_told(mode, tmp_path):
    path = tmp_path / "list.csv"
    data: Any = "ä,b\n" * 3
    options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    with captured() as effects:
        with open(path, mode, **options) as file:
            file.write(data.encode() if "b" in mode else data)
            assert file.mode == mode or "b" in mode
        assert path.read_text("utf-8") == data
    (found,) = effects.of("file")
    assert dict(found.parts) == {"name": str(path), "content": data}


def test_a_file_that_is_left_open_is_told_as_far_as_it_was_written(tmp_path):
    with captured() as effects:
        file = (tmp_path / "a.txt").open("w", encoding="utf-8")
        file.write("one")
    file.write("two")
    file.close()
    assert dict(effects[0].parts)["content"] == "one"
    assert (tmp_path / "a.txt").read_text("utf-8") == "onetwo"


@pytest.mark.parametrize("arguments", [("wb", -1, "utf-8"), ("wz",), ("w", 0), ("rw",), ("wbt",)], ids=told)
def test_errors_of_open_are_those_of_open(arguments, tmp_path):
    messages = []
    for block in (captured(), arranging()):
        with block, pytest.raises(ValueError, match=r"mode|argument|I/O") as caught:
            open(tmp_path / "a", *arguments)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_names_of_files_are_told(tmp_path):
    with captured() as effects:
        (tmp_path / "folder").mkdir()
        (tmp_path / "a").touch()
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "b").unlink()
        Path(os.devnull).write_text("nothing", "utf-8")
        (tmp_path / "c").exists()
    assert [one.name for one in effects] == ["folder made", "times changed", "opened", "renamed", "removed"]
    assert dict(effects[3].parts) == {"name": str(tmp_path / "a"), "to": str(tmp_path / "b")}


def test_what_hypothesis_keeps_of_the_code_is_no_effect(tmp_path: Path) -> None:
    with captured() as effects:
        folder = tmp_path / ".hypothesis" / "constants"
        folder.mkdir(parents=True)
        (folder / "008cf80703d1d33c").write_text("{10000, 12345}", "utf-8")
    assert not effects


def test_processes_are_told_with_what_they_are_given():
    with captured() as effects:
        subprocess.run([sys.executable, "-c", ""], check=True, env={**os.environ, "DEVICE": "phone"})
    assert dict(effects[0].parts) == {"command": f"{sys.executable} -c ", "environment DEVICE": "phone"}


def test_threads_and_tasks_count():
    async def main() -> None:
        await asyncio.gather(asyncio.to_thread(logger.info, "thread"), task())

    async def task() -> None:
        logger.info("task")

    with captured() as effects:
        asyncio.run(main())
        thread = threading.Thread(target=print, args=("plain thread",))
        thread.start()
        thread.join()
    said = {text for one in effects for _, text in one.parts}
    assert said == {"thread", "task", "plain thread"}


def test_what_is_arranged_is_no_effect(capsys):
    with captured() as effects:
        with arranging():
            print("arranged")
            thread = threading.Thread(target=print, args=("in a thread",))
            thread.start()
            thread.join()
        print("done")
    assert texts(effects) == [("stdout", "", {"text": "done"})]


def test_everything_is_put_back():
    before = touched()
    with captured():
        assert touched() != before
    assert touched() == before
    with pytest.raises(LookupError), captured():
        raise LookupError
    assert touched() == before
    with captured() as outer, captured() as inner:
        print("twice")
    assert outer == inner
    assert len(outer) == 1
    assert touched() == before


def test_what_others_replace_meanwhile_stays(monkeypatch):
    with captured():
        other = io.StringIO()
        monkeypatch.setattr(sys, "stdout", other)
        print("there")
    assert sys.stdout is other


def test_blocks_in_several_threads_end_in_any_order():
    before = touched()
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        with captured():
            begun.set()
            ended.wait(60)

    thread = threading.Thread(target=work)
    with captured():
        thread.start()
        begun.wait(60)
    ended.set()
    thread.join()
    assert touched() == before


def test_effects_are_compared_without_what_differs_whenever_it_runs_again():
    def run(name: str) -> Effects:
        with captured() as effects:
            logger.info("at %s, %r, %s", time.strftime("%Y-%m-%d %H:%M:%S"), object(), time.time())
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(name)
        return effects

    assert run("a") == run("a")
    assert run("a") != run("b")
    assert str(run("a")).startswith("log record shop.effects INFO\n    message: at ")
    assert repr(run("a")).startswith("<")
    assert random.random() != random.random()


def test_the_store_of_governance_is_no_effect(tmp_path):
    import purposeguard as pg
    from purposeguard.governance import Governance, Store
    from purposeguard.notices import trendmicro_jp as tm

    store = Store.open(f"sqlite:///{tmp_path / 'privacy.db'}")
    governance = Governance(store, notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    with captured() as effects:
        assert not guard.allows(tm.ProductData, tm.RenewalGuidance)
        with pytest.raises(pg.PurposeViolation):
            guard.check(tm.ProductData, tm.RenewalGuidance)
    assert not effects.of("sql")
    governance.close()
