"""Observe mode: a Django application behaves as without the library, and what it reads is reported."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import Error, connection, connections, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Length
from django.test import Client, override_settings
from django.urls import path

import purposeguard as pg
from examples.django_shop.privacy import guard
from purposeguard.adapters.django import permitted
from purposeguard.adapters.django.apps import LABEL
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.errors import PurposeGuardError, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.django.test_statements import REFUSED, RENEWALS, models
from tests.support import RecordingReads

SHARED = pytest.mark.usefixtures("shop")
Attempt = Callable[[Any], Any]

NAME, SCAN = "django_shop_customer.name", "django_shop_customer.last_scan"
PRODUCT, KIND, SECONDS = "django_shop_contract.product", "django_shop_event.kind", "django_shop_event.seconds"


def _execute(text: str, params: Any = None) -> Attempt:
    def attempt(_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(text, params)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    return attempt


def _on_cursor(act: Callable[[Any], Any]) -> Attempt:
    def attempt(_: Any) -> Any:
        with connection.cursor() as cursor:
            return act(cursor)

    return attempt


def _saved(m: Any) -> Any:
    customer = m.Customer.objects.order_by("id").first()
    customer.name = "Aiko"
    customer.save()
    customer.save(update_fields=["last_scan"])
    customer.contracts.create(product="new", renews_on=date(2026, 1, 1))
    customer.refresh_from_db()
    return customer.name, customer.contracts.count()


def _dumped(_: Any) -> str:
    out = io.StringIO()
    call_command("dumpdata", "django_shop", stdout=out)
    return out.getvalue()


RUN: dict[str, tuple[Attempt, str | None]] = {
    **{f"allowed: {name}": (attempt, None) for name, attempt in RENEWALS.items()},
    **{f"refused: {name}": (attempt, None) for name, attempt in REFUSED.items()},
    "objects": (lambda m: list(m.Customer.objects.order_by("id")), SCAN),
    "a deferred field": (REFUSED["a deferred field"], SCAN),
    "a mean": (REFUSED["a mean"], SECONDS),
    "a deletion": (REFUSED["delete by it"], KIND),
    "a saved object": (_saved, NAME),
    "a key made of a column": (lambda m: m.Event.objects.update(customer_id=Length("kind")), KIND),
    "a column of another source": (lambda m: m.Customer.objects.update(email=F("last_scan")), SCAN),
    "permitted rows": (lambda m: permitted(m.Customer.objects.order_by("id")).first().get_deferred_fields(), SCAN),
    "a plan": (lambda m: len(m.Customer.objects.filter(name="Aiko Mori").explain()) > 0, NAME),
    "a plan in text": (_execute("EXPLAIN QUERY PLAN SELECT name FROM django_shop_customer"), NAME),
    "several statements": (_execute("SELECT 1; SELECT name FROM django_shop_customer"), NAME),
    "a dropped table": (_execute("DROP TABLE django_shop_segment"), None),
    "an index": (_execute("CREATE INDEX i ON django_shop_customer (name)"), NAME),
    "a pragma": (_execute("PRAGMA table_info(django_shop_customer)"), NAME),
    "a vacuum": (_execute("VACUUM"), NAME),
    "no statement": (_execute("Aiko Mori, django_shop_customer"), NAME),
    "a table that no model has": (_execute("SELECT name FROM elsewhere"), NAME),
    "a function of the database": (_execute("SELECT hex(name) FROM django_shop_customer ORDER BY id"), NAME),
    "a parameter of an odd name": (
        _execute("SELECT name FROM django_shop_customer WHERE name = %(the name)s", {"the name": "Ren Ito"}),
        NAME,
    ),
    "a percent sign": (_execute("SELECT name FROM django_shop_customer WHERE name LIKE 'Ren%' -- 100 %"), NAME),
    "a statement that is no text": (_execute(b"SELECT name FROM django_shop_customer"), NAME),  # type: ignore[arg-type]  # A mistake.
    "a procedure": (_on_cursor(lambda cursor: cursor.callproc("lower", ["A"])), NAME),
    "another method of the driver": (_on_cursor(lambda cursor: hasattr(cursor, "copy")), NAME),
    "dumped data": (_dumped, SECONDS),
    "names of tables": (lambda _: sorted(connection.introspection.table_names()), None),
}
"""Uses that are refused where they are enforced, or unusual, each with a column that the evidence must contain."""


def _plain(value: Any) -> Any:
    """Return objects with all their loaded values, so that those of two runs can be compared."""
    if isinstance(value, (list, QuerySet)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name != "_state"}
    return _plain(vars(value)) if hasattr(value, "_meta") else value


def _outcome(attempt: Attempt) -> object:
    """Return what an attempt returns, or the error of the database, and undo its changes."""
    try:
        with transaction.atomic():
            value = _plain(attempt(models()))
            transaction.set_rollback(True)
    except (Error, TypeError, AttributeError, KeyError) as error:
        return type(error), str(error).partition("0x")[0]
    return value


@contextmanager
def _bare() -> Iterator[None]:
    """Let the present connection be as Django made it."""
    wrapper: Any = connections["default"]
    wrappers = list(wrapper.execute_wrappers)
    wrapper.execute_wrappers[:] = [
        each for each in wrappers if not isinstance(getattr(each, "__self__", None), HeldConnections)
    ]
    makers = {name: vars(wrapper).pop(name) for name in ("make_cursor", "make_debug_cursor")}
    try:
        yield
    finally:
        wrapper.execute_wrappers[:] = wrappers
        vars(wrapper).update(makers)


@SHARED
@pytest.mark.parametrize("name", RUN)
def test_it_runs_as_without_the_library(name: str, reads: RecordingReads) -> None:
    attempt, column = RUN[name]
    with _bare():
        bare = _outcome(attempt)
        assert not reads.evidence
    for purpose in (None, tm.TrafficAnalysis):
        reads.clear()
        if purpose is None:
            assert _outcome(attempt) == bare
        else:
            with guard.purpose(purpose, activity="look", mode="observe"):
                assert _outcome(attempt) == bare
        assert column is None or column in reads.evidence


@SHARED
@pytest.mark.parametrize("name", ["a plan in text", "several statements", "a column of another source", "a procedure"])
def test_an_activity_that_enforces_refuses_in_an_observing_guard(name: str, reads: RecordingReads) -> None:
    with guard.purpose(tm.TrafficAnalysis, mode="enforce"), pytest.raises(PurposeGuardError):
        RUN[name][0](models())
    assert not reads.unresolved_events


TAGS = {
    "auth.User": {
        "email": tm.Registration,
        "username": tm.Registration,
        "password": tm.Registration,
        "last_login": tm.Cookie,
        "id": (pg.Subject("staff"), tm.Registration),
    },
    "sessions": {"session_key": tm.Cookie, "session_data": tm.Cookie, "expire_date": tm.Cookie},
    "admin.LogEntry": tm.Registration,
}
"""Tags of authentication and sessions, whose keys are personal and some of whose columns have none."""


@pytest.fixture
def tagged(reads: RecordingReads, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingReads]:
    held_connections: Any = apps.get_app_config(LABEL)
    monkeypatch.setattr(held_connections.held, "_statements", {})
    monkeypatch.setattr(held_connections.held, "_tables", {})
    vars(held_connections.held).pop("_reachable", None)
    with override_settings(PURPOSEGUARD_TAGS=TAGS, ROOT_URLCONF=Urls):
        yield reads
    vars(held_connections.held).pop("_reachable", None)


class Urls:
    """The admin site without a purpose."""

    urlpatterns = (path("office/", admin.site.urls),)


def _browse(_: Any) -> list[tuple[int, str]]:
    """Create a user, log in, change a customer on the admin site, and log out."""
    from django.contrib.auth.models import User

    user = User.objects.create_superuser("rin", "rin@example.org", "secret")
    user.first_name = "Rin"
    user.save()
    client = Client()
    answers = [client.post("/office/login/?next=/office/", {"username": "rin", "password": "secret"})]
    customers = "/office/django_shop/customer/"
    key = models().Customer.objects.order_by("id").first().pk
    change = {"name": "Aiko Sato", "email": "sato@example.org", "last_scan": ""}
    answers += [
        client.get("/office/"),
        client.get(customers, {"q": "Aiko", "o": "2"}),
        client.post(f"{customers}{key}/change/", change),
        client.get(f"{customers}{key}/history/"),
        client.get(f"{customers}{key}/delete/"),
        client.post(f"{customers}{key}/delete/", {"post": "yes"}),
        client.get("/office/password_change/"),
        client.post("/office/logout/"),
        client.get("/office/"),
    ]
    changing = re.compile(r'(?:csrfmiddlewaretoken" value="|<time |data-user-utc-offset)[^>]*>[^<]*|\d\d?:\d\d')
    return [(answer.status_code, changing.sub("", answer.content.decode())) for answer in answers]


@SHARED
def test_staff_log_in_change_data_and_log_out(tagged: RecordingReads) -> None:
    with _bare():
        bare = _outcome(_browse)
    assert [status for status, _ in bare] == [302, 200, 200, 302, 200, 200, 302, 200, 200, 302]  # type: ignore[attr-defined]  # The outcome of the pages is a list.
    assert _outcome(_browse) == bare
    assert {"auth_user.username", "django_session.session_key", NAME} <= tagged.evidence


@pytest.mark.usefixtures("own_shop")
def test_commands_run_as_without_the_library(reads: RecordingReads) -> None:
    for name, arguments in (
        ("migrate", ("django_shop", "0001")),
        ("migrate", ()),
        ("check", ()),
        ("clearsessions", ()),
        ("inspectdb", ()),
        ("sqlflush", ()),
        ("dumpdata", ("django_shop",)),
        ("flush", ("--no-input",)),
    ):
        call_command(name, *arguments, verbosity=0, **({} if name == "sqlflush" else {"stdout": io.StringIO()}))
    assert not models().Customer.objects.exists()


@SHARED
def test_fields_without_tags_do_not_prevent_commands(tagged: RecordingReads, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    call_command("check", stdout=io.StringIO(), stderr=err)
    assert "purposeguard.E001" in err.getvalue()
    monkeypatch.setattr(guard.engine, "observing", False)
    with pytest.raises(SystemCheckError, match=r"purposeguard\.E001"):
        call_command("check", stdout=io.StringIO(), stderr=err)


@SHARED
def test_a_field_whose_tag_cannot_be_read_hinders_no_statement(tagged: RecordingReads) -> None:
    tags = {**TAGS, "auth.User": {"email": tm.Registration, "username": "no-such-source"}}
    with override_settings(PURPOSEGUARD_TAGS=tags):
        _execute("SELECT username, email FROM auth_user")(None)
        assert "auth_user.email" in tagged.columns
        ((_, _, error),) = tagged.unresolved_events
        assert isinstance(error, pg.UnlabelledData)
        with guard.purpose(tm.ProductProvision, mode="enforce"), pytest.raises(pg.UnknownSource):
            _execute("SELECT email FROM auth_user")(None)


def test_statements_of_other_databases_run_and_touch_all_columns(reads: RecordingReads) -> None:
    held_connections = HeldConnections(guard)

    class Oracle:
        vendor = "oracle"

    executed: list[str] = []

    def execute() -> None:
        context = {"connection": Oracle()}
        held_connections._execute(lambda sql, *_: executed.append(sql), "SELECT 1", None, many=False, context=context)

    execute()
    assert executed == ["SELECT 1"]
    assert {NAME, SCAN} < reads.evidence
    with guard.purpose(tm.ProductProvision, mode="enforce"), pytest.raises(UnresolvedStatement, match="oracle"):
        execute()
