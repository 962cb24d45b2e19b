"""What an RQ worker of the tests runs, in a process of its own. Said and configured as in `tasks`."""

from __future__ import annotations

import os
import signal
from typing import Any

from rq import Retry, get_current_job
from rq.decorators import job

from purposeguard.integrations.rq import PurposeQueue, purpose_job
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import current_entry_point
from tests.integrations.queues.tasks import guard, load_device, passports, redis_client, told

queue = PurposeQueue("jobs", connection=redis_client, passports=passports)


@purpose_job(passports, permits=[tm.ProductGuidance, tm.ProductImprovement])
def note(*args: Any) -> list[Any]:
    return told("note", given=len(args))


@purpose_job(passports, permits=[tm.ProductGuidance])
async def slow_note() -> list[Any]:
    return told("slow_note")


@purpose_job(passports, permits=[tm.ProductGuidance])
def where() -> str | None:
    return current_entry_point()


@purpose_job(passports, permits=[tm.ProductGuidance])
async def where_async() -> str | None:
    return current_entry_point()


def plain() -> list[Any]:
    return told("plain")


def calls_note() -> list[Any]:
    return note()


@purpose_job(passports, permits=[tm.ProductGuidance])
def calls_others() -> list[Any]:
    with guard.purpose(tm.ProductImprovement):
        return note()


def reads() -> str:
    return load_device()


@purpose_job(passports, permits=[tm.ProductGuidance])
def guidance() -> str:
    told("guidance")
    return load_device()


@purpose_job(passports, permits=[tm.ProductGuidance])
def flaky() -> list[Any]:
    current = get_current_job()
    assert current is not None
    seen = told("flaky", header=current.meta["Purpose-Passport"])
    if redis_client.incr("flaky") < 3:
        raise OSError("a fault that passes")
    return seen


@purpose_job(passports, permits=[tm.ProductGuidance])
def again() -> Any:
    seen = told("again")
    return Retry(max=2) if redis_client.incr("again") < 2 else seen


@purpose_job(passports, permits=[tm.ProductGuidance], subject="customer")
def one_person(customer: int, text: str = "") -> list[Any]:
    return told("one_person")


@purpose_job(passports, permits=[tm.ProductGuidance])
def killed() -> list[Any]:
    seen = told("killed")
    if redis_client.incr("killed job") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return seen


@guard.purpose(tm.ProductImprovement)
def nightly() -> list[Any]:
    return told("nightly")


@job(queue, redis_client)
@purpose_job(passports, permits=[tm.ProductGuidance])
def above() -> list[Any]:
    return told("above")


@purpose_job(passports, permits=[tm.ProductGuidance])
@job(queue, redis_client)
def below() -> list[Any]:
    return told("below")


@guard.purpose(tm.ProductImprovement)
@job(queue, redis_client)
def stated() -> list[Any]:
    return told("stated")


def replace(day: str) -> None:
    """Forked for one job each, this worker's notice is that of its parent: nothing stays."""
    from tests.integrations.queues.tasks import revised

    guard.replace(revised(day))


def replaced_and_noted(day: str, text: str) -> list[Any]:
    """A job that a worker with a later revision runs."""
    replace(day)
    with passports.accept(text, permits=[tm.ProductGuidance]):
        return told("replaced")


def called_back(*_: Any) -> None:
    told("called back")
