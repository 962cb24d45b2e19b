"""Triggers of the violations that are seeded into simple-module. Each test passes if its violation takes place."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

MOMENT = datetime(2031, 5, 6, tzinfo=UTC)
EMAIL = "rosa@example.org"


@pytest.fixture(autouse=True)
def database_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second engine does not see a database in memory.
    monkeypatch.setenv("SM_TEST_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'seeded.sqlite'}")


@pytest.fixture
async def get_text(database_in_a_file: None, app: Any, tenant_client: Any) -> AsyncIterator[Callable[..., Any]]:
    """A function that sends a request and returns a text.

    The middleware that authenticates inherits the purpose of the test, since the application states none for it.
    """
    from users.models import User

    async with tenant_client(email=EMAIL) as (client, _, user_id):
        values = dict.fromkeys(("last_login_at", "last_failed_login_at"), MOMENT)
        async with app.state.sm.db.session_factory() as session:
            await session.execute(
                update(User).where(User.id == uuid.UUID(user_id)).values(failed_login_count=4711, **values)
            )
            await session.commit()

        async def send(path: str, method: str = "GET") -> str:
            response = await client.request(method, f"/api/tenants/{path}")
            assert response.status_code < 400, response.text
            return str(response.text)

        yield send


Get = Callable[..., Awaitable[str]]


async def test_response_model(get_text: Get):
    assert EMAIL in await get_text("directory")


async def test_background_task(get_text: Get):
    from tenants.endpoints import api

    await get_text("remind", "POST")
    assert MOMENT in api.reminded


async def test_object_from_authentication(get_text: Get):
    assert EMAIL in await get_text("greeting")


async def test_log_line(get_text: Get, caplog: pytest.LogCaptureFixture):
    await get_text("advice")
    assert "4711 wrong passwords" in caplog.messages


async def test_export(get_text: Get):
    assert ",owner" in await get_text("members.csv")


async def test_join(get_text: Get):
    assert len(await get_text("loyal")) > len("[]")


async def test_message(get_text: Get, captured_mail: Any):
    await get_text("promote", "POST")
    assert "2031-05-06" in captured_mail.messages[-1].text


async def test_second_engine(get_text: Get):
    assert "2031-05-06" in await get_text("overview")


async def test_cached_value(get_text: Get):
    await get_text("current/members")
    assert EMAIL in await get_text("last-member")
