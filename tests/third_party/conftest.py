"""The accounts with a client, and ways to set a scene in them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

import pytest
from fastapi.testclient import TestClient
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

import purposeguard as pg
from tests.third_party import service

PASSWORD = "correct horse battery"  # noqa: S105  # of nobody
QUICK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
"""Hashes that take no time: what they are good for is not tested here."""


class Club:
    """The application with a client, and the ways to set a scene in it."""

    def __init__(self, guard: pg.Guard, folder: Any, **settings: Any) -> None:
        self.guard = guard
        self.rs, self.app = service.accounts(guard, folder / "club.db", hasher=QUICK, **settings)
        self.client = TestClient(self.app)

    def __enter__(self) -> Self:
        self.client.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.client.__exit__(*error)

    def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs a coroutine function of regstack where the application runs."""

        async def call() -> Any:
            return await function(*args, **kwargs)

        return self.client.portal.call(call)  # type: ignore[union-attr]  # there while the client is entered

    def fill(self, *users: Any) -> None:
        """Has these users, and nobody else."""

        async def fill() -> None:
            async with self.rs.backend.engine.begin() as connection:
                for table in service.TABLES:
                    await connection.execute(table.delete())
            for user in users:
                await self.rs.users.create(user.model_copy())

        self.run(fill)

    def rows(self, table: Any) -> list[Any]:
        """What a table holds."""

        async def read() -> list[Any]:
            async with self.rs.backend.engine.connect() as connection:
                return list(await connection.execute(table.select()))

        found: list[Any] = self.run(read)
        return found

    def signed_in(self, user: Any) -> dict[str, str]:
        """The headers of a user who signed in a moment ago."""
        return {"Authorization": f"Bearer {self.rs.jwt.encode(user.id)[0]}"}

    def hashed(self) -> str:
        return str(self.rs.password_hasher.hash(PASSWORD))


def user(number: int, **fields: Any) -> dict[str, Any]:
    """What of a user must be so for the application to work, whatever else is drawn."""
    return {
        "id": f"user-{number}",
        "is_active": True,
        "is_verified": True,
        "is_superuser": False,
        "is_mfa_enabled": False,
        "created_at": datetime(2026, 5, 1, tzinfo=UTC),
        "updated_at": datetime(2026, 5, 1, tzinfo=UTC),
        "tokens_invalidated_after": None,
    } | fields


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    """Observed: what would be refused is recorded, and goes on, so that all of it is seen."""
    logger = logging.getLogger("purposeguard")
    before, logger.disabled = logger.disabled, True
    try:
        with Club(pg.Guard(service.NOTICE, mode="observe"), tmp_path_factory.mktemp("club"), statements=True) as made:
            yield made
    finally:
        logger.disabled = before
