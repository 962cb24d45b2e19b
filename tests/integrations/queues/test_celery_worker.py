"""Celery with a real broker and a worker process: what arrives there, in whichever way it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

import purposeguard as pg
from purposeguard.errors import PassportRefused
from purposeguard.integrations.celery import audience, headers_for
from purposeguard.integrations.passport import HEADER, Passports
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.queues.conftest import PYTHON, running

pytestmark = pytest.mark.processes

CELERY = (PYTHON, "-m", "celery", "-A", "tests.integrations.queues.tasks", "worker", "-l", "INFO", "-c", "1")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
GUIDANCE, IMPROVEMENT = tm.ProductGuidance.clause, tm.ProductImprovement.clause


@pytest.fixture(scope="module")
def worker(queue_app: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A worker process; gives its log."""
    log = tmp_path_factory.mktemp("celery") / "log"
    with running(*CELERY, *QUIET, until=" ready.", log=log):
        yield log


@pytest.fixture
def ran(queue_app: Any) -> Any:
    """What ran since the test began, when it is asked."""
    queue_app.redis_client.delete("ran")
    return lambda: [json.loads(line) for line in queue_app.redis_client.lrange("ran", 0, -1)]


def refused(result: Any) -> str:
    with pytest.raises(PassportRefused) as caught:
        result.get(timeout=120)
    reason: str = caught.value.reason
    return reason


def test_a_purpose_crosses_to_the_worker(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance, activity="caller"):
        assert queue_app.note.delay().get(timeout=120) == ["note", GUIDANCE]
        assert queue_app.plain.delay().get(timeout=120) == ["plain", None]
        assert queue_app.shared.delay().get(timeout=120) == ["shared", GUIDANCE]
        assert queue_app.one_person.delay(7, text="hello").get(timeout=120) == ["one_person", GUIDANCE]
    assert [(one["what"], one["activity"]) for one in ran()][:2] == [("note", "note"), ("plain", None)]


def test_what_was_not_sent_with_a_passport_is_refused(queue_app, worker, ran):
    send = queue_app.app.send_task
    assert refused(send("note")) == "missing"
    assert refused(send("note", headers={HEADER: "1.2026.e30.AAAA"})) == "forged"
    with pytest.raises(pg.PurposeMissing):
        queue_app.reads.delay().get(timeout=120)
    with queue_app.guard.purpose(tm.RenewalGuidance):
        assert refused(queue_app.note.delay()) == "not-permitted"
        assert refused(send("note", headers=headers_for(queue_app.passports, "shared"))) == "audience"
    with queue_app.guard.purpose(tm.ProductGuidance):
        headers = headers_for(queue_app.passports, "one_person", subject=7)
        assert refused(send("one_person", args=(8,), headers=headers)) == "subject"
    assert ran() == []


def test_a_message_that_is_sent_twice_runs_once(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance):
        headers = headers_for(queue_app.passports, "note")
    assert queue_app.app.send_task("note", headers=headers).get(timeout=120) == ["note", GUIDANCE]
    assert refused(queue_app.app.send_task("note", headers=headers)) == "replayed"
    assert len(ran()) == 1


def test_a_refusal_is_not_retried(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance), pytest.raises(pg.PurposeViolation):
        queue_app.guidance.delay().get(timeout=120)
    assert len(ran()) == 1


def test_retries_have_the_purpose_that_the_task_was_sent_for(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance):
        assert queue_app.flaky.delay().get(timeout=120) == ["flaky", GUIDANCE]
        assert queue_app.again.delay().get(timeout=120) == ["again", GUIDANCE]
    assert [(one["what"], one["purpose"]) for one in ran()] == [("flaky", GUIDANCE)] * 3 + [("again", GUIDANCE)] * 2


def test_chains_groups_chords_and_links_go_on_with_the_purpose(queue_app, worker, ran):
    note, plain = queue_app.note, queue_app.plain
    with queue_app.guard.purpose(tm.ProductImprovement):
        results = [
            chain(note.s(), plain.s(), note.s())(),
            group(note.s(), note.s())(),
            chord([note.s(), plain.s()], note.s())(),
            chain(group(note.s(), note.s()), note.s())(),
        ]
        linked = note.apply_async(link=note.s())
    for result in results:
        result.get(timeout=120)
    linked.get(timeout=120)
    queue_app.plain.delay().get(timeout=120)  # behind what was linked
    purposes = [(one["what"], one["purpose"]) for one in ran()]
    assert purposes.count(("note", IMPROVEMENT)) == 2 + 2 + 2 + 3 + 2
    assert {one for one in purposes if one[0] == "note"} == {("note", IMPROVEMENT)}


def test_an_error_callback_that_celery_calls_in_place_has_no_purpose(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance), pytest.raises(pg.PurposeViolation):
        queue_app.guidance.apply_async(link_error=queue_app.note.s()).get(timeout=120)
    queue_app.plain.delay().get(timeout=120)
    assert [(one["what"], one["purpose"]) for one in ran()][:2] == [("guidance", GUIDANCE), ("note", None)]


def test_a_task_sends_others_for_its_own_purpose(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance):
        queue_app.sends.delay().get(timeout=120)
    queue_app.plain.delay().get(timeout=120)
    assert [(one["what"], one["purpose"]) for one in ran()][:2] == [("sends", GUIDANCE), ("note", GUIDANCE)]


def test_decorators_in_either_order_state_the_purpose(queue_app, worker):
    assert queue_app.nightly.delay().get(timeout=120) == ["nightly", IMPROVEMENT]
    assert queue_app.above.delay().get(timeout=120) == ["above", IMPROVEMENT]


def test_a_task_whose_worker_is_killed_is_run_again_for_its_purpose(queue_app, worker, ran):
    with queue_app.guard.purpose(tm.ProductGuidance):
        assert queue_app.killed.delay().get(timeout=120) == ["killed", GUIDANCE]
    assert [(one["purpose"], one["redelivered"]) for one in ran()] == [(GUIDANCE, False), (GUIDANCE, True)]


def test_keys_change_while_messages_wait(queue_app, worker):
    earlier = Passports(queue_app.guard, keys={"2025": b"o" * 32})
    gone = Passports(queue_app.guard, keys={"2024": b"p" * 32})
    with queue_app.guard.purpose(tm.ProductGuidance):
        assert queue_app.app.send_task("note", headers=headers_for(earlier, "note")).get(timeout=120)[1] == GUIDANCE
        assert refused(queue_app.app.send_task("note", headers=headers_for(gone, "note"))) == "unknown-key"


def test_the_notice_changes_while_messages_wait(queue_app, worker):
    later = pg.Guard(queue_app.revised("2026-06-01"))
    ahead = Passports(later, keys={"2026": b"k" * 32})
    with later.purpose(GUIDANCE):
        headers = [{HEADER: ahead.issue(audience=audience("note"))} for _ in range(2)]
    assert refused(queue_app.app.send_task("note", headers=headers[0])) == "revision"
    with queue_app.guard.purpose(tm.ProductGuidance):  # an earlier revision, still known when the message arrives
        queue_app.replace.delay("2026-06-01")
        assert queue_app.note.delay().get(timeout=120) == ["note", GUIDANCE]
    assert queue_app.app.send_task("note", headers=headers[1]).get(timeout=120) == ["note", GUIDANCE]


def test_the_log_of_the_worker_tells_no_passport(queue_app, worker):
    with queue_app.guard.purpose(tm.ProductGuidance):
        text = queue_app.passports.issue(audience=audience("note"))
        queue_app.app.send_task("note", headers={HEADER: text[:-1]})
        queue_app.plain.delay().get(timeout=120)
    assert text.rsplit(".", 1)[0] not in worker.read_text()


def test_tasks_in_threads_of_one_process_keep_their_purposes(queue_app, broker, ran, tmp_path):
    threads = (*CELERY[:-1], "8", *QUIET, "-P", "threads", "-Q", "threads")
    sent = []
    with running(*threads, until=" ready.", log=tmp_path / "log"):
        for number in range(80):
            with queue_app.guard.purpose((tm.ProductGuidance, tm.ProductImprovement)[number % 2]):
                sent.append(queue_app.note.apply_async(queue="threads"))
        purposes = [result.get(timeout=120)[1] for result in sent]
    assert purposes == [GUIDANCE, IMPROVEMENT] * 40


def test_beat_has_no_purpose_and_periodic_tasks_state_theirs(queue_app, ran, tmp_path):
    log = tmp_path / "log"
    beat = ("-B", "-s", str(tmp_path / "schedule"))
    with running(*CELERY, *QUIET, *beat, until="outside any purpose", log=log):
        # Beat has tried to send what needs a caller, and does not; what states its purpose itself arrives.
        _, line = queue_app.redis_client.blpop("ran", timeout=120)
        first = json.loads(line)
    assert (first["what"], first["purpose"]) == ("nightly", IMPROVEMENT)
    assert {one["what"] for one in ran()} <= {"nightly"}
    queue_app.app.control.purge()
