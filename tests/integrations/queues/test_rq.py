"""RQ with a real broker and a worker process, and jobs that run at once."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Callback, Queue, Retry
from rq.job import Job

import purposeguard as pg
from purposeguard.integrations.passport import HEADER, Passports
from purposeguard.integrations.rq import PurposeQueue, audience, job_class, purpose_job
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from tests.integrations.queues.conftest import PYTHON, running
from tests.support import RecordingObserver

pytestmark = pytest.mark.processes

GUIDANCE, IMPROVEMENT = tm.ProductGuidance.clause, tm.ProductImprovement.clause


@pytest.fixture(scope="module")
def jobs(queue_app: Any) -> Any:
    """The module of jobs, as a caller has it."""
    from tests.integrations.queues import jobs as queue_jobs

    return queue_jobs


@pytest.fixture(scope="module")
def worker(broker: str, jobs: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A worker process, which forks for each job; gives its log."""
    log = tmp_path_factory.mktemp("rq") / "log"
    # What it forks for each job has the module already.
    main = "import tests.integrations.queues.jobs; from rq.cli import main; main()"
    command = (PYTHON, "-c", main, "worker", "jobs", "--with-scheduler", "--url", f"unix://{broker}")
    with running(*command, until="Listening on", log=log):
        yield log


@pytest.fixture
def ran(jobs: Any) -> Any:
    """What ran since the test began, when it is asked."""
    jobs.redis_client.delete("ran")
    return lambda: [json.loads(line) for line in jobs.redis_client.lrange("ran", 0, -1)]


def result(job: Job) -> Any:
    """What a job came to: its value, or the text of its error."""
    # A repeated result is a newer entry of the same stream; `0-0` waits for the first and reads on from it.
    last = job.latest_result(timeout=120)
    while last is not None and last.type == last.Type.RETRIED:
        last = job.latest_result(timeout=120)
    assert last is not None, "no result came"
    return last.return_value if last.type == last.Type.SUCCESSFUL else last.exc_string


def test_a_purpose_crosses_to_the_worker(jobs, worker, ran):
    queue = jobs.queue
    with jobs.guard.purpose(tm.ProductGuidance):
        sent = [
            *(queue.enqueue(one) for one in (jobs.note, jobs.slow_note, jobs.plain, jobs.calls_note)),
            queue.enqueue(jobs.one_person, 7, text="hello"),
            queue.enqueue("tests.integrations.queues.jobs.note", 1, 2),
            queue.enqueue(jobs.calls_others),
        ]
        assert jobs.note() == ["note", GUIDANCE]  # called as a function
    assert [result(job) for job in sent] == [
        ["note", GUIDANCE], ["slow_note", GUIDANCE], ["plain", None], ["note", GUIDANCE], ["one_person", GUIDANCE],
        ["note", GUIDANCE], ["note", IMPROVEMENT],
    ]  # fmt: skip
    assert "tests.integrations.queues.jobs.slow_note" in {one["activity"] for one in ran()}


def test_a_job_is_an_entry_point(jobs, worker):
    with jobs.guard.purpose(tm.ProductGuidance), EntryPoint.route("POST", "/orders"):
        sent = [jobs.queue.enqueue(jobs.where), jobs.queue.enqueue(jobs.where_async)]
        assert jobs.where() == "POST /orders"
    module = "task tests.integrations.queues.jobs"
    assert [result(job) for job in sent] == [f"{module}.where", f"{module}.where_async"]


def test_what_was_not_sent_with_a_passport_is_refused(jobs, worker, ran):
    plain = Queue("jobs", connection=jobs.redis_client)
    with jobs.guard.purpose(tm.ProductGuidance):
        other = jobs.passports.issue(audience=audience("tests.integrations.queues.jobs.above"))
        person = jobs.passports.issue(audience=audience("tests.integrations.queues.jobs.one_person"), subject=7)
    with jobs.guard.purpose(tm.RenewalGuidance):
        not_permitted = jobs.queue.enqueue(jobs.note)
    sent = {
        "missing": plain.enqueue(jobs.note, retry=Retry(max=3)),
        "forged": plain.enqueue(jobs.note, meta={HEADER: "1.2026.e30.AAAA"}),
        "audience": plain.enqueue(jobs.note, meta={HEADER: other}),
        "subject": plain.enqueue(jobs.one_person, 8, meta={HEADER: person}),
        "not-permitted": not_permitted,
    }
    for reason, job in sent.items():
        assert f"passport refused ({reason})" in result(job)
    assert "PurposeMissing" in result(plain.enqueue(jobs.reads))
    assert ran() == []


OBSERVER = RecordingObserver()
WATCHING = Passports(pg.Guard(tm.NOTICE, mode="observe", observers=[OBSERVER]), keys={"a": b"k" * 32})


@purpose_job(WATCHING, permits=[tm.ProductGuidance])
def add_one(number: int) -> int:
    return number + 1


def test_a_guard_that_observes_enqueues_and_runs_every_job(jobs):
    queue = PurposeQueue("observed", is_async=False, connection=jobs.redis_client, passports=WATCHING)
    assert queue.enqueue(add_one, 1).return_value() == 2
    missing, refused = OBSERVER.denials
    assert "add_one was enqueued outside any purpose" in str(missing)
    assert getattr(refused, "reason", None) == "missing"


def test_outside_a_purpose_it_is_not_enqueued(jobs):
    for send in (jobs.queue.enqueue, jobs.queue.enqueue_call):
        with pytest.raises(pg.PurposeMissing, match="note was enqueued outside any purpose"):
            send(jobs.note)
    with pytest.raises(pg.PurposeMissing):
        jobs.queue.enqueue_many([jobs.queue.prepare_data(jobs.note)])


def test_a_refusal_is_not_retried(jobs, worker, ran):
    with jobs.guard.purpose(tm.ProductGuidance):
        job = jobs.queue.enqueue(jobs.guidance, retry=Retry(max=3))
    assert "PurposeViolation" in result(job)
    assert len(ran()) == 1
    assert job.get_status() == "failed"


def test_retries_have_the_purpose_that_the_job_was_sent_for(jobs, worker, ran):
    with jobs.guard.purpose(tm.ProductGuidance):
        flaky, again = jobs.queue.enqueue(jobs.flaky, retry=Retry(max=3)), jobs.queue.enqueue(jobs.again)
    assert (result(flaky), result(again)) == (["flaky", GUIDANCE], ["again", GUIDANCE])
    seen = [one for one in ran() if one["what"] == "flaky"]
    assert [one["purpose"] for one in seen] == [GUIDANCE] * 3
    assert len({one["header"] for one in seen}) == 3  # each with a passport of its own time


def test_a_job_that_is_enqueued_twice_runs_once(jobs, worker, ran):
    with jobs.guard.purpose(tm.ProductGuidance):
        job = jobs.queue.enqueue(jobs.note)
    assert result(job) == ["note", GUIDANCE]
    copy = Queue("jobs", connection=jobs.redis_client).enqueue(jobs.note, meta=dict(job.meta))
    assert "replayed" in result(copy)
    assert len(ran()) == 1


def test_a_job_whose_worker_is_killed_is_run_again_for_its_purpose(jobs, worker, ran):
    with jobs.guard.purpose(tm.ProductGuidance):
        job = jobs.queue.enqueue(jobs.killed, retry=Retry(max=1))
    assert result(job) == ["killed", GUIDANCE]
    assert [one["purpose"] for one in ran()] == [GUIDANCE] * 2


def test_decorators_in_either_order_keep_delay(jobs, worker):
    with jobs.guard.purpose(tm.ProductGuidance):
        sent = [jobs.above.delay(), jobs.below.delay(), jobs.stated.delay(), jobs.queue.enqueue(jobs.nightly)]
    assert [result(job)[1] for job in sent] == [GUIDANCE, GUIDANCE, IMPROVEMENT, IMPROVEMENT]
    for one in (jobs.above, jobs.below):
        with pytest.raises(pg.PurposeMissing):
            one.delay()


def test_what_depends_on_a_job_has_the_purpose_that_it_was_sent_for(jobs, worker):
    with jobs.guard.purpose(tm.ProductGuidance):
        first = jobs.queue.enqueue(jobs.note)
    with jobs.guard.purpose(tm.ProductImprovement):
        then = jobs.queue.enqueue(jobs.note, depends_on=first)
    assert result(then) == ["note", IMPROVEMENT]


def test_a_scheduled_job_has_a_passport_for_then(jobs, worker):
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    with jobs.guard.purpose(tm.ProductGuidance):
        later = [
            jobs.queue.enqueue_in(day, jobs.note),
            jobs.queue.enqueue_at(now + day, jobs.one_person, 7),
            jobs.queue.enqueue_at((now + day).astimezone().replace(tzinfo=None), jobs.note),
        ]
        soon = jobs.queue.enqueue_in(datetime.timedelta(0), jobs.note)
    for job, subject in zip(later, (None, 7, None), strict=True):
        passport = jobs.passports.read(job.meta[HEADER], audience=audience(job.func_name), subject=subject)
        assert round((passport.expires - now.timestamp()) / 3600) == 25
    assert result(soon) == ["note", GUIDANCE]


def test_the_notice_changes_while_jobs_wait(jobs, worker):
    ahead = Passports(pg.Guard(jobs.guard.notice), keys={"2026": b"k" * 32})
    with jobs.guard.purpose(tm.ProductGuidance):
        text = jobs.passports.issue()
    sent = jobs.queue.enqueue(jobs.replaced_and_noted, "2026-06-01", text)
    assert result(sent) == ["replaced", GUIDANCE]
    from tests.integrations.queues.tasks import revised

    ahead.guard.replace(revised("2026-06-01"))
    with ahead.guard.purpose(GUIDANCE):
        job = PurposeQueue("jobs", connection=jobs.redis_client, passports=ahead).enqueue(jobs.note)
    assert "passport refused (revision)" in result(job)


def test_run_at_once_a_job_has_the_purpose_of_its_passport_and_not_that_of_its_caller(jobs, ran):
    queue = PurposeQueue("sync", connection=jobs.redis_client, passports=jobs.passports, is_async=False)
    with jobs.guard.purpose(tm.ProductGuidance):
        assert queue.enqueue(jobs.note).return_value() == ["note", GUIDANCE]
        assert queue.enqueue(jobs.plain).return_value() == ["plain", None]
        queue.enqueue(jobs.plain, on_success=Callback(jobs.called_back))
    assert ran()[-1]["what"] == "called back"
    assert ran()[-1]["purpose"] is None
    with jobs.guard.purpose(tm.RenewalGuidance):
        assert "not-permitted" in result(queue.enqueue(jobs.note))


FILE_GUARDS: list[pg.Guard] = []
"""The guard of the next test, for the functions of its jobs."""


def look() -> tuple[str, str | None]:
    activity = FILE_GUARDS[-1].current.activity
    return f"{activity.purpose_id} as {activity.name}", current_entry_point()


async def look_async() -> tuple[str, str | None]:
    return look()


def test_jobs_of_a_class_run_for_the_purposes_of_the_file(broker, jobs, tmp_path):
    path = tmp_path / "purposes.toml"
    path.write_text(f"""["task {__name__}.look*"]\npurpose = "product-guidance"\n""", "utf-8")
    guard = pg.Guard(tm.NOTICE, purposes=path)
    FILE_GUARDS.append(guard)
    queue = Queue("file", connection=jobs.redis_client, is_async=False, job_class=job_class(guard))
    for fn in (look, look_async):
        name = f"task {__name__}.{fn.__name__}"
        assert queue.enqueue(fn).return_value() == (f"{GUIDANCE} as {name}", name)
    assert (
        queue.enqueue(current_entry_point).return_value()
        == f"task {current_entry_point.__module__}.current_entry_point"
    )
    other = Passports(guard, keys={"a": b"k" * 32})
    purpose_job(other, permits=[tm.ProductGuidance])(look)
    with pytest.raises(ValueError, match="and the code does not permit it"):
        purpose_job(other, permits=[tm.RenewalGuidance])(look)


def test_a_job_that_is_declared_wrongly_is_refused_at_decoration(jobs):
    passports = jobs.passports
    declared = {(one.name.rpartition(".")[2], one.purpose_id) for one in jobs.guard.activities}
    assert {("above", GUIDANCE), ("note", IMPROVEMENT)} <= declared
    for permits in ([], tm.ProductGuidance, ["1.9"], [tm.Contract]):
        with pytest.raises((TypeError, pg.UnknownPurpose)):
            purpose_job(passports, permits=permits)(jobs.plain)
    decorate: Any = purpose_job(passports, permits=[tm.ProductGuidance], subject="customer")
    for wrong in (lambda user: None, 7, dict):
        with pytest.raises(TypeError):
            decorate(wrong)
    with jobs.guard.purpose(tm.ProductGuidance), pytest.raises(TypeError) as caught:
        jobs.queue.enqueue(jobs.one_person, "aiko", "text", "ren")
    assert "aiko" not in str(caught.value)


def test_the_log_of_the_worker_tells_no_passport(jobs, worker):
    with jobs.guard.purpose(tm.ProductGuidance):
        job = jobs.queue.enqueue(jobs.note)
    result(job)
    assert job.meta[HEADER].rsplit(".", 1)[0] not in worker.read_text()
