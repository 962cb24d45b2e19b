"""Triggers of the violations that are seeded into FlaskBB. Each test passes if its violation takes place."""

import datetime
from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest
from flaskbb import email
from flaskbb.extensions import mail

BIRTHDAY = datetime.datetime(1871, 3, 5)  # noqa: DTZ001  # The column has no time zone.


@pytest.fixture
def request_text(application: Any, user: Any, topic: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that sends a request, which does not inherit the purpose of the test, and returns a text."""
    user.birthday, user.gender, user.location = BIRTHDAY, "other", "Zamość"
    user.signature, user.avatar, user.website = "Spartacus", "https://example.org/face.png", "https://example.org/rosa"
    user.save()
    client = application.test_client()
    user_id = str(user.id)
    monkeypatch.setitem(application.config, "WTF_CSRF_ENABLED", False)

    def open_path(method: str, path: str, *, login: bool = False) -> str:
        if login:
            with client.session_transaction() as session:
                session["_user_id"], session["_fresh"] = user_id, True
        response = client.open(path, method=method)
        text = str(response.get_data(as_text=True))
        assert response.status_code < 400, text
        return text

    return lambda method, path, **options: Context().run(open_path, method, path, **options)


def test_preview(request_text: Any):
    assert "Test Content Normal" in request_text("POST", "/markdown")


def test_object_from_authentication(request_text: Any):
    assert "1871-03-05" in request_text("GET", "/traffic", login=True)


def test_celery_task(request_text: Any):
    assert "https://example.org/rosa" in Context().run(email.send_offers.apply).get()


def test_cached_object(request_text: Any):
    request_text("GET", "/who-is-online")
    assert "Zamo" in request_text("GET", "/who-was-it")


def test_log_line(request_text: Any, caplog: pytest.LogCaptureFixture):
    request_text("GET", "/tips")
    assert "a tip for one who signs as Spartacus" in caplog.messages


def test_export(request_text: Any):
    assert "1,test_normal" in request_text("GET", "/posts.csv")


def test_grouping(request_text: Any):
    assert "[1]" in request_text("GET", "/audience").replace("\n", "")


def test_message(request_text: Any):
    with mail.record_messages() as messages:
        request_text("POST", "/advertise")
    assert [message.body for message in messages] == ["Test Topic Normal"]


def test_raw_statement(request_text: Any):
    assert "face.png" in request_text("GET", "/faces")
