"""What remembers which passports were used."""

from __future__ import annotations

import datetime
import functools
import threading
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.integrations import replays as module
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.replays import LocalReplays, RedisReplays, Replays
from purposeguard.notices import trendmicro_jp as tm
from tests.support import in_threads

SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=5)  # the run of all tests is shorter


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.processes)])
def replays(request: pytest.FixtureRequest) -> Replays:
    if request.param == "local":
        return LocalReplays()
    client = redis.Redis(unix_socket_path=request.getfixturevalue("broker"))
    client.flushdb()
    return RedisReplays(client)


def test_a_holder_begins_until_it_has_finished_and_nobody_else_does(replays):
    assert replays.begin("a", "task 1", SOON)
    assert replays.begin("a", "task 1", SOON)
    assert not replays.begin("a", "task 2", SOON)
    assert replays.begin("b", "task 2", SOON)
    replays.finish("a", SOON)
    assert not replays.begin("a", "task 1", SOON)
    assert replays.begin("b", "task 2", SOON)


def test_no_holder_is_taken_for_one_that_has_finished(replays):
    replays.finish("a", SOON)
    assert not replays.begin("a", "finished", SOON)


def test_one_of_many_at_once_begins(replays):
    began: list[bool] = []

    def attempt(holder: str) -> None:
        began.append(replays.begin("a", holder, SOON))

    in_threads([functools.partial(attempt, f"task {number}") for number in range(16)])
    assert sorted(began) == [False] * 15 + [True]


def test_what_has_expired_is_forgotten(monkeypatch):
    replays = LocalReplays()
    now = datetime.datetime.now(datetime.UTC)
    assert replays.begin("a", "task 1", now + datetime.timedelta(minutes=1))
    assert replays.begin("b", "task 1", now + datetime.timedelta(minutes=9))
    monkeypatch.setattr(module, "read_system_time", lambda: now + datetime.timedelta(minutes=2))
    assert replays.begin("a", "task 2", SOON)
    assert not replays.begin("b", "task 2", SOON)


@pytest.mark.processes
@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
def test_keys_expire_with_their_passports(broker: str, text: bool):
    client: Any = redis.Redis(unix_socket_path=broker, decode_responses=text)
    client.flushdb()
    replays = RedisReplays(client, prefix="p:")
    assert replays.begin("a", "task 1", SOON)
    assert replays.begin("a", "task 1", SOON)
    assert abs(client.pexpiretime("p:a") / 1000 - SOON.timestamp()) < 1
    replays.finish("a", SOON)
    assert abs(client.pexpiretime("p:a") / 1000 - SOON.timestamp()) < 1


def test_a_store_that_does_not_answer_refuses(tmp_path):
    client = redis.Redis(unix_socket_path=str(tmp_path / "no.sock"), retry=Retry(NoBackoff(), 0))
    replays = RedisReplays(client)
    with pytest.raises(StoreUnavailable):
        replays.begin("a", "task 1", SOON)
    with pytest.raises(StoreUnavailable):
        replays.finish("a", SOON)


def test_a_store_that_fails_after_the_work_is_done_undoes_nothing():
    class Failing(LocalReplays):
        def finish(self, passport: str, until: datetime.datetime) -> None:
            raise StoreUnavailable("gone")

    guard, done = pg.Guard(tm.NOTICE), threading.Event()
    passports = Passports(guard, keys={"a": b"k" * 32}, one_time=Failing())
    with guard.purpose(tm.ProductGuidance):
        text = passports.issue()
    with passports.accept(text, permits=[tm.ProductGuidance], holder="task 1"):
        done.set()
    assert done.is_set()
    with pytest.raises(pg.PurposeMissing), passports.accept(text, permits=[tm.ProductGuidance], holder="task 2"):
        pytest.fail("it was accepted")
