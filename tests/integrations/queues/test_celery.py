"""Celery, in one process: what a task of an application is sent with, and what it takes over when it is run at once."""

from __future__ import annotations

import datetime
import functools
import json
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group
from celery.exceptions import Ignore

import purposeguard as pg
from purposeguard.errors import PassportRefused
from purposeguard.integrations.celery import PurposeTask, audience, headers_for, purpose_task
from purposeguard.integrations.passport import HEADER, Passports
from purposeguard.integrations.replays import LocalReplays
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from tests.integrations.models import get_purpose
from tests.support import RecordingObserver

guard = pg.Guard(tm.NOTICE)
passports = Passports(guard, keys={"a": b"k" * 32}, one_time=LocalReplays())


def application(**conf: Any) -> Celery:
    app = Celery("shop", task_cls=purpose_task(passports), set_as_current=False)
    app.conf.update(broker_url="memory://", result_backend="cache+memory://", **conf)
    app.task = functools.partial(app.task, shared=False)  # or each later application of this process had its tasks too
    return app


def purpose() -> str | None:
    return get_purpose(guard)


def nothing() -> None: ...


def of_customer(customer: Any, n: int = 1) -> str | None:
    return purpose()


@pytest.fixture
def eager() -> Celery:
    return application(task_always_eager=True, task_eager_propagates=True, task_store_eager_result=False)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> tuple[Celery, list[Any]]:
    """An application whose messages are kept: headers, arguments."""
    app = application()
    messages: list[Any] = []

    def keep(name: str, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        messages.append((name, options))

    monkeypatch.setattr(app, "send_task", keep)
    return app, messages


def test_a_task_is_sent_with_the_purpose_under_way(sent):
    app, messages = sent
    write = app.task(name="write", permits=[tm.ProductGuidance])(nothing)
    with guard.purpose(tm.ProductGuidance, activity="letters"):
        write.delay()
        write.apply_async(headers={"more": 1})
    first, second = (options["headers"] for _, options in messages)
    passport = passports.read(first[HEADER], audience=audience("write"))
    assert (passport.purpose, passport.activity) == ("1.2(1)②", "letters")
    assert second["more"] == 1
    assert first[HEADER] != second[HEADER]


def test_outside_a_purpose_it_is_not_sent(sent):
    app, messages = sent
    write = app.task(name="write", permits=[tm.ProductGuidance])(nothing)
    for send in (write.delay, write.apply_async, write.apply, write.s().apply_async, write.si().delay):
        with pytest.raises(pg.PurposeMissing, match="write was sent outside any purpose"):
            send()
    assert messages == []


def test_a_guard_that_observes_sends_and_runs_every_task():
    observer = RecordingObserver()
    watching = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    app = Celery("shop", task_cls=purpose_task(Passports(watching, keys={"a": b"k" * 32})), set_as_current=False)
    app.conf.update(broker_url="memory://", result_backend="cache+memory://", task_always_eager=True)

    @app.task(name="add", permits=[tm.ProductGuidance], subject="key", shared=False)
    def add(key: int) -> int:
        return key + 1

    assert add.delay(1).get() == 2
    assert headers_for(Passports(watching, keys={"a": b"k" * 32}), "elsewhere") == {}
    with watching.purpose(tm.RenewalGuidance):
        assert add.delay(2).get() == 3
    assert [getattr(error, "reason", str(error).partition(":")[0]) for error in observer.denials] == [
        *["add was sent outside any purpose"] * 2,  # An eager task is sent, and then applied.
        "missing",
        "a passport was asked for outside any purpose",
        "not-permitted",
    ]


def test_a_task_that_declares_nothing_is_sent_as_it_is(sent):
    app, messages = sent
    app.task(name="cleanup")(nothing).delay()
    assert messages[0][1]["headers"] == {}


def test_a_task_that_is_due_later_has_a_passport_for_then(sent):
    app, messages = sent
    write = app.task(name="write", permits=[tm.ProductGuidance])(nothing)
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    with guard.purpose(tm.ProductGuidance):
        write.apply_async(countdown=86_400)
        write.apply_async(eta=now + day)
        write.apply_async(eta=(now + day).replace(tzinfo=None))  # in the time zone of the application, UTC
        write.apply_async(eta=(now + day).isoformat())
        write.apply_async()
    texts = [options["headers"][HEADER] for _, options in messages]
    ages = [passports.read(text, audience=audience("write")).expires - now.timestamp() for text in texts]
    assert [round(age / 3600) for age in ages] == [25, 25, 25, 25, 1]


def test_code_that_has_not_the_task_sends_it_by_name(eager):
    write = eager.task(name="write", permits=[tm.ProductGuidance])(purpose)
    with guard.purpose(tm.ProductGuidance):
        headers = headers_for(passports, "write")
    assert write.apply(headers=headers).get() == "1.2(1)②"
    with pytest.raises(pg.PurposeMissing):
        headers_for(passports, "write")


@pytest.mark.parametrize("way", ["delay", "apply_async", "apply", "signature"])
def test_run_at_once_it_has_the_purpose_of_its_passport_in_an_activity_of_its_own(eager, way):
    @eager.task(name="write", permits=[tm.ProductGuidance])
    def write() -> tuple[str | None, str]:
        return purpose(), guard.current.activity.name

    with guard.purpose(tm.ProductGuidance, activity="caller"):
        send = {"delay": write.delay, "apply_async": write.apply_async, "apply": write.apply, "signature": write.s()}
        assert tuple(send[way]().get() if way != "signature" else write.s().delay().get()) == ("1.2(1)②", "write")
        assert guard.current.activity.name == "caller"


@pytest.mark.parametrize("permits", [[tm.ProductGuidance], None])
def test_a_task_is_an_entry_point_with_and_without_a_purpose(eager, permits):
    task = eager.task(name="write", permits=permits)(current_entry_point)
    with guard.purpose(tm.ProductGuidance), EntryPoint.route("POST", "/orders"):
        assert task.delay().get() == "task write"
        assert task() == current_entry_point() == "POST /orders"


def test_a_refused_message_names_the_task(eager):
    task = eager.task(name="write", permits=[tm.RenewalGuidance])(nothing)
    with guard.purpose(tm.ProductGuidance), pytest.raises(PassportRefused) as caught:
        task.delay()
    assert caught.value.entry_point == "task write"


def test_run_at_once_it_does_not_inherit_the_purpose_of_its_caller(eager):
    plain = eager.task(name="plain")(purpose)
    other = eager.task(name="other", permits=[tm.RenewalGuidance])(purpose)
    with guard.purpose(tm.ProductGuidance):
        assert plain.delay().get() is None
        assert plain.apply().get() is None
        with pytest.raises(PassportRefused) as caught:
            other.delay()
        assert caught.value.reason == "not-permitted"
        assert purpose() == "1.2(1)②"


def test_called_as_a_function_it_has_the_purpose_of_its_caller(eager):
    write = eager.task(name="write", permits=[tm.ProductGuidance])(purpose)
    assert write() is None
    with guard.purpose(tm.ProductImprovement):
        assert write() == tm.ProductImprovement.clause


def test_called_as_a_function_by_a_task_it_has_the_purpose_of_that(eager):
    inner = eager.task(name="inner", permits=[tm.RenewalGuidance])(purpose)

    @eager.task(name="outer", permits=[tm.ProductGuidance], bind=True)
    def outer(self: Any, again: bool) -> list[str | None]:
        return [inner(), *(self(again=False) if again else ())]

    with guard.purpose(tm.ProductGuidance):
        assert outer.delay(again=True).get() == ["1.2(1)②"] * 2


@pytest.mark.parametrize("refusal", ["passport", "use"])
def test_a_refusal_is_not_retried(eager, refusal):
    ran: list[int] = []

    @guard.access(tm.ProductData)
    def load() -> str:
        return "TM-7"

    @eager.task(name="write", permits=[tm.ProductGuidance], autoretry_for=(Exception,), max_retries=3, retry_backoff=0)
    def write() -> str:
        ran.append(1)
        return load()

    under = tm.RenewalGuidance if refusal == "passport" else tm.ProductGuidance
    with guard.purpose(under), pytest.raises((PassportRefused, pg.PurposeViolation)):
        write.delay()
    assert len(ran) == (refusal == "use")


def test_a_refusal_that_a_task_wants_to_retry_is_raised_as_it_is(eager):
    @eager.task(name="write", permits=[tm.ProductGuidance], bind=True)
    def write(self: Any, named: bool) -> None:
        try:
            guard.check("1.1(b)", tm.ProductGuidance)
        except pg.PurposeViolation as error:
            self.retry(**({"exc": error} if named else {}))

    with guard.purpose(tm.ProductGuidance):
        for named in (True, False):
            with pytest.raises(pg.PurposeViolation):
                write.delay(named)


def test_a_retry_has_the_purpose_that_the_task_was_sent_for(eager):
    eager.conf.task_eager_propagates = False  # which raises what asks for a retry
    seen: list[str | None] = []

    @eager.task(name="write", permits=[tm.ProductGuidance], bind=True, max_retries=2)
    def write(self: Any) -> str | None:
        seen.append(purpose())
        with guard.purpose(tm.ProductImprovement):
            if self.request.retries < 2:
                self.retry(countdown=0)
        return purpose()

    with guard.purpose(tm.ProductGuidance):
        assert write.delay().get() == "1.2(1)②"
    assert seen == ["1.2(1)②"] * 3


def test_what_a_task_sends_has_the_purpose_under_way_in_it(eager):
    inner = eager.task(name="inner", permits=[tm.ProductImprovement])(purpose)

    @eager.task(name="outer", permits=[tm.ProductGuidance])
    def outer() -> Any:
        with guard.purpose(tm.ProductImprovement):
            return inner.delay().get(disable_sync_subtasks=False)

    with guard.purpose(tm.ProductGuidance):
        assert outer.delay().get() == tm.ProductImprovement.clause


def test_chains_groups_chords_and_links_go_on_with_the_purpose(eager):
    seen: list[tuple[str, str | None]] = []

    def task(name: str, **options: Any) -> Any:
        def body(*_: Any) -> str:
            seen.append((name, purpose()))
            return name

        return eager.task(name=name, **options)(body)

    first, last = task("first", permits=[tm.ProductGuidance]), task("last", permits=[tm.ProductGuidance])
    between = task("between")
    with guard.purpose(tm.ProductGuidance):
        chain(first.s(), between.s(), last.s())()
        group(first.s(), last.s())()
        chord([first.s(), first.s()], last.s())()
        first.apply_async(link=last.s())
    told = "1.2(1)②"
    assert seen[:3] == [("first", told), ("between", None), ("last", told)]
    assert {purpose for name, purpose in seen if name != "between"} == {told}
    assert len(seen) == 3 + 2 + 3 + 2


def test_a_passport_is_for_the_task_and_the_subject_that_it_was_sent_for(eager):
    write = eager.task(name="write", permits=[tm.ProductGuidance], subject="customer")(of_customer)
    other = eager.task(name="other", permits=[tm.ProductGuidance])(purpose)
    with guard.purpose(tm.ProductGuidance):
        for send in (lambda: write.delay(7), lambda: write.delay(customer="7"), lambda: write.delay(customer=7, n=2)):
            assert send().get() == "1.2(1)②"
        headers = headers_for(passports, "write", subject=7)
    for run, reason in (
        (lambda: write.apply((8,), headers=headers), "subject"),
        (lambda: other.apply(headers=headers), "audience"),
        (lambda: write.apply((7,), headers={HEADER: headers[HEADER] + "A"}), "forged"),
        (lambda: write.apply((7,), headers={"Other": "header"}), None),
    ):
        with pytest.raises(pg.PurposeMissing) as caught:
            run()
        assert getattr(caught.value, "reason", None) == reason
        assert not {"7", "8"} & set(str(caught.value).split())


def test_a_message_that_is_run_twice_is_refused(eager):
    write = eager.task(name="write", permits=[tm.ProductGuidance])(purpose)
    with guard.purpose(tm.ProductGuidance):
        headers = headers_for(passports, "write")
    assert write.apply(headers=headers, task_id="1").get() == "1.2(1)②"
    for task_id in ("1", "2"):
        with pytest.raises(PassportRefused) as caught:
            write.apply(headers=headers, task_id=task_id)
        assert caught.value.reason == "replayed"


def test_a_task_that_asks_to_be_ignored_leaves_no_purpose_behind(eager):
    @eager.task(name="write", permits=[tm.ProductGuidance])
    def write() -> None:
        raise Ignore

    with guard.purpose(tm.ProductGuidance):
        write.delay()
        assert purpose() == "1.2(1)②"
    assert purpose() is None


def test_what_a_task_permits_is_listed_before_it_has_run(eager):
    closed = next(one for one in tm.NOTICE.purposes if guard.engine.snapshot.matrix.must_state_channel(one))

    @eager.task(name="listed", permits=[tm.ProductGuidance, closed])
    def task() -> None: ...

    assert task.name == "listed"
    listed = [one for one in guard.activities if one.name == "listed"]
    assert [(one.purpose_id, one.qualname) for one in listed] == [(tm.ProductGuidance.clause, task.__qualname__)]
    channel = guard.engine.snapshot.matrix.list_admitted_channels(closed)[0]
    with guard.purpose(closed, channel=channel):
        task.delay()
    assert [one.channel for one in guard.activities if one.name == "listed"] == [None, channel]


def test_decorators_in_either_order_keep_delay(eager):
    below = eager.task(name="below")(guard.purpose(tm.ProductImprovement)(purpose))
    above = guard.purpose(tm.ProductImprovement)(eager.task(name="above", autoretry_for=(OSError,))(purpose))
    for task in (below, above):
        assert task.delay().get() == tm.ProductImprovement.clause
        with guard.purpose(tm.ProductGuidance):
            assert task.delay().get() == tm.ProductImprovement.clause


@pytest.mark.parametrize("permits", [tm.ProductGuidance, [], "1.2(1)②", ["1.9"], [tm.Contract]], ids=str)
def test_a_task_that_permits_no_purpose_of_the_notice_is_refused_when_it_is_made(eager, permits):
    task = eager.task(name="write", permits=permits)(purpose)
    with pytest.raises((TypeError, pg.UnknownPurpose)):
        task.name  # noqa: B018  # it is made when it is first looked at, or the application is finalised


def test_a_task_without_the_parameter_that_says_the_subject_is_refused_when_it_is_made(eager):
    task = eager.task(name="write", permits=[tm.ProductGuidance], subject="customer")(nothing)
    with pytest.raises(TypeError, match="write has no parameter `customer`"):
        task.name  # noqa: B018  # likewise


def test_arguments_that_do_not_fit_are_told_without_their_values(eager):
    write = eager.task(name="write", permits=[tm.ProductGuidance], subject="customer", typing=False)(of_customer)
    with guard.purpose(tm.ProductGuidance), pytest.raises(TypeError) as caught:
        write.delay("aiko", 1, "ren")
    assert "aiko" not in str(caught.value)


def test_a_base_of_ones_own_is_kept():
    class Base(PurposeTask):
        abstract = True
        greeting = "hello"

    class Plain(Task):  # type: ignore[misc]  # Celery comes without types
        abstract = True
        greeting = "hello"

    for base in (Base, Plain):
        app = Celery("shop", task_cls=purpose_task(passports, base), set_as_current=False)
        app.conf.update(task_always_eager=True, task_eager_propagates=True)
        write = app.task(name="write", permits=[tm.ProductGuidance], shared=False)(purpose)
        assert write.greeting == "hello"
        with guard.purpose(tm.ProductGuidance):
            assert write.delay().get() == "1.2(1)②"


def test_a_task_without_passports_says_what_to_do(eager):
    task = eager.task(name="write", base=PurposeTask, permits=[tm.ProductGuidance])(purpose)
    with pytest.raises(TypeError, match="purpose_task"):
        task.name  # noqa: B018  # likewise


def test_nothing_of_a_passport_is_of_a_person(sent):
    app, messages = sent
    write = app.task(name="write", permits=[tm.ProductGuidance], subject="customer")(of_customer)
    with guard.purpose(tm.ProductGuidance):
        write.delay("aiko@example.jp")
    assert "aiko" not in json.dumps(messages[0][1]["headers"])
