"""What a Celery worker and an RQ worker of the tests run, in processes of their own, and what their callers send.

The broker is named by the environment. The log of what ran is a list in the broker.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
from typing import Any

import redis
from celery import Celery, shared_task

import purposeguard as pg
from purposeguard.integrations.celery import purpose_task
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.replays import RedisReplays
from purposeguard.notices import trendmicro_jp as tm

SOCKET = os.environ.get("BROKER_SOCKET", "")
REVISION = os.environ.get("NOTICE_REVISION", "")


def revised(day: str) -> pg.Notice:
    """A later revision of the notice, which says the same."""
    return pg.Notice.parse({**tm.NOTICE.dump(), "revision": datetime.date.fromisoformat(day)})


guard = pg.Guard(tm.NOTICE)
if REVISION:
    guard.replace(revised(REVISION))

redis_client = redis.Redis(unix_socket_path=SOCKET) if SOCKET else redis.Redis()
passports = Passports(
    guard, keys={"2026": b"k" * 32, "2025": b"o" * 32}, signs="2026", one_time=RedisReplays(redis_client)
)

app = Celery("tests", task_cls=purpose_task(passports))
app.set_current()
app.conf.update(
    broker_url=f"redis+socket://{SOCKET}",
    result_backend=f"redis+socket://{SOCKET}",
    task_default_retry_delay=0,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 3600},
    task_reject_on_worker_lost=True,
    result_expires=60,
    beat_schedule={"nightly": {"task": "nightly", "schedule": 0.2}, "careless": {"task": "note", "schedule": 0.2}},
)


def told(what: str, **more: Any) -> list[Any]:
    """Says in the broker what ran, and for what."""
    try:
        use = guard.current
        purpose: str | None = use.activity.purpose_id
        activity: str | None = use.activity.name
    except pg.PurposeMissing:
        purpose = activity = None
    redis_client.rpush("ran", json.dumps({"what": what, "purpose": purpose, "activity": activity, **more}))
    return [what, purpose]


@guard.access(tm.ProductData)
def load_device() -> str:
    return "TM-7"


@app.task(name="replace")
def replace(day: str) -> None:
    guard.replace(revised(day))


@app.task(name="note", permits=[tm.ProductGuidance, tm.ProductImprovement])
def note(*args: Any) -> list[Any]:
    return told("note", given=len(args))


@app.task(name="plain")
def plain(*_: Any) -> list[Any]:
    return told("plain")


@app.task(name="reads")
def reads() -> str:
    return load_device()


@app.task(name="guidance", permits=[tm.ProductGuidance], autoretry_for=(Exception,), max_retries=3)
def guidance() -> str:
    told("guidance")
    return load_device()


@app.task(
    name="flaky", bind=True, permits=[tm.ProductGuidance], autoretry_for=(OSError,), retry_kwargs={"countdown": 0}
)
def flaky(self: Any) -> list[Any]:
    seen = told("flaky", retries=self.request.retries)
    if self.request.retries < 2:
        raise OSError("a fault that passes")
    return seen


@app.task(name="again", bind=True, permits=[tm.ProductGuidance])
def again(self: Any) -> list[Any]:
    seen = told("again")
    if self.request.retries < 1:
        with guard.purpose(tm.ProductImprovement):
            raise self.retry(countdown=0)
    return seen


@app.task(name="one_person", permits=[tm.ProductGuidance], subject="customer")
def one_person(customer: int, text: str = "") -> list[Any]:
    return told("one_person")


@app.task(name="killed", bind=True, acks_late=True, permits=[tm.ProductGuidance])
def killed(self: Any) -> list[Any]:
    seen = told("killed", redelivered=bool(self.request.delivery_info.get("redelivered")))
    if redis_client.incr("killed") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return seen


@app.task(name="nightly")
@guard.purpose(tm.ProductImprovement)
def nightly() -> list[Any]:
    return told("nightly")


@guard.purpose(tm.ProductImprovement)
@app.task(name="above")
def above() -> list[Any]:
    return told("above")


@shared_task(name="shared", permits=[tm.ProductGuidance])
def shared() -> list[Any]:
    return told("shared")


@app.task(name="sends", permits=[tm.ProductGuidance])
def sends() -> list[Any]:
    note.delay()
    return told("sends")
