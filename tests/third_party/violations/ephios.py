"""Triggers of the violations that are seeded into ephios. Each test passes if its violation takes place."""

import datetime
import io
from contextvars import Context
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

DAY = datetime.date(2031, 5, 6)


@pytest.fixture(autouse=True)
def hours(volunteer: Any) -> None:
    from ephios.core.models import WorkingHours

    volunteer.phone, volunteer.calendar_token = "+81-4711", "token-of-heinrich"
    volunteer.save()
    WorkingHours.objects.create(user=volunteer, hours=4711, reason="night shift", date=DAY)


@pytest.fixture(autouse=True)
def sessions_in_a_cache(settings: Any) -> None:
    # The true tags call the key of a session personal, so no session can be stored in the database.
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


def get_text(path: str, method: str = "GET") -> str:
    """Send a request that does not inherit the purpose of the test, and return the text of its response."""
    return Context().run(read_text, Client(), path, method)


def read_text(client: Client, path: str, method: str = "GET") -> str:
    response = client.generic(method, path)
    assert response.status_code < 400, response.content
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode())


def test_manifest():
    assert "on duty: +81-4711" in get_text("/manifest.json")


def test_response_model():
    assert "token-of-heinrich" in get_text("/newsletter/")


def test_object_from_authentication(volunteer: Any):
    client = Client()
    client.force_login(volunteer)
    # The middlewares inherit the purpose of the test, since the application states none for them.
    assert "hello heinrich@localhost" in read_text(client, "/visitor/")


def test_message(mailoutbox: Any):
    get_text("/offers/", "POST")
    assert [message.body for message in mailoutbox] == ["night shift"]


@pytest.mark.django_db(transaction=True)
def test_background_thread():
    assert str(DAY) in get_text("/digest/", "POST")


@pytest.mark.django_db(transaction=True)
def test_second_connection():
    assert "1990-01-01" in get_text("/mirror/")


def test_export():
    assert "Heinrich Helper" in get_text("/users.csv")


def test_join(volunteer: Any):
    assert f"[{volunteer.pk}]" in get_text("/busy/")


def test_command():
    output = io.StringIO()
    Context().run(call_command, "count_hours", stdout=output)
    assert "4711" in output.getvalue()
