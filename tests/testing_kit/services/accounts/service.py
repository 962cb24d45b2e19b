"""The accounts of a club with purposes that its routes keep to, and states of its database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel
from regstack.backends.sql import schema
from regstack.models.login_attempt import LoginAttempt
from regstack.models.mfa_code import MfaCode
from regstack.models.oauth_identity import OAuthIdentity
from regstack.models.pending_registration import PendingRegistration
from regstack.models.user import BaseUser
from sqlalchemy import event

import purposeguard as pg
from purposeguard.policy.context import SubjectPreferences
from purposeguard.testing import Office
from tests.third_party import service
from tests.third_party.conftest import PASSWORD, Club, user

SIGN_IN: Final = service.SIGN_IN
RECOVERY, ADMINISTRATION = (service.NOTICE.purpose(clause) for clause in ("2(5)①", "2(6)①"))
RESEND: Final = "POST /admin/users/{user_id}/resend-verification"
PURPOSES: Final = {
    service.SIGN_IN: (
        *(route for route in service.ROUTES[service.SIGN_IN] if "password" not in route or "change" in route),
        "DELETE /account",
    ),
    service.OPENING: (*service.ROUTES[service.OPENING], RESEND, "POST /admin/pending/{email}/promote"),
    service.OWN_PAGE: ("GET /me", "PATCH /me"),
    service.STATISTICS: service.ROUTES[service.STATISTICS],
    RECOVERY: ("POST /forgot-password", "POST /reset-password"),
    ADMINISTRATION: (
        "GET /admin/users",
        "GET /admin/users/{user_id}",
        "PATCH /admin/users/{user_id}",
        "DELETE /admin/users/{user_id}",
    ),
}
"""The purposes of routes that use no more than they may."""

ADMIN: Final = BaseUser(**user(0, email="admin@example.com", is_superuser=True))
ACTING: Final = {"is_active": True, "is_superuser": True, "tokens_invalidated_after": None}
"""What lets an administrator in."""
OTHER: Final = {"email": "ben@example.com", "full_name": "Ben", "hashed_password": "m-hash"}
DAY: Final = datetime(2026, 5, 1, tzinfo=UTC)
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "oauth_identities": {"user_id": "user-7", "provider": "google", "email": None, "linked_at": DAY},
    "login_attempts": {"email": "aiko@example.com", "when": datetime.now(UTC), "ip": None},
    "mfa_codes": {
        "user_id": "user-7",
        "kind": "login_mfa",
        "code_hash": "a-hash",
        "expires_at": DAY,
        "created_at": DAY,
        "attempts": 0,
        "max_attempts": 5,
    },
}
"""What rows of other tables hold."""
BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "POST /register": {"email": "new@example.com", "password": PASSWORD},
    "POST /forgot-password": {"email": "aiko@example.com"},
    "PATCH /me": {"full_name": "Aiko T."},
    "PATCH /admin/users/{user_id}": {"full_name": "Aiko T."},
}


class Tables(BaseModel):
    """What the database holds."""

    admin: BaseUser
    users: list[BaseUser]
    pending: list[PendingRegistration]
    identities: list[OAuthIdentity]
    attempts: list[LoginAttempt]
    codes: list[MfaCode]


class Scene:
    """The application, with states of its database, and requests to it."""

    def __init__(self) -> None:
        self.office = Office()
        guard = pg.Guard(service.NOTICE, governance=self.office)
        self.statements: list[str] = []
        self.club = Club(guard, Path(tempfile.mkdtemp()), statements=False, purposes=PURPOSES)
        engine = self.club.rs.backend.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._note)

    def __enter__(self) -> Self:
        self.club.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.club.__exit__(*error)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append(f"{statement} {parameters}")

    def fill(self, state: Mapping[str, Any]) -> None:
        """Put Aiko and another member into the database. A state holds Aiko's fields, and rows of other tables."""
        fields = {name: value for name, value in state.items() if name not in DEFAULTS}
        aiko = BaseUser(**user(7, **{"email": "aiko@example.com", "full_name": "Aiko"} | fields))
        other = BaseUser(**user(8, **OTHER))
        self.club.fill(ADMIN, aiko, other)
        for name, defaults in DEFAULTS.items():
            rows = [defaults | row for row in state.get(name, ())]
            for number, row in enumerate(rows):
                if name == "oauth_identities":
                    row |= {"id": f"identity-{number}", "subject_id": row.get("subject_id", f"subject-{number}")}
                self.club.run(self._insert, schema.metadata.tables[name], row)

    def seat(self, tables: Tables) -> None:
        """Put these rows, and no others, into the database, and sign the administrator in."""
        admin = tables.admin.model_copy(update={"id": f"admin-{tables.admin.id}", **ACTING})
        waiting = [each.model_copy(update={"expires_at": NEVER}) for each in tables.pending]
        rows = {
            "users": [admin, *tables.users],
            "pending_registrations": waiting,
            "oauth_identities": tables.identities,
            "login_attempts": tables.attempts,
            "mfa_codes": tables.codes,
        }
        self.club.run(self._replace_rows, rows)
        self.club.client.headers.update(self.club.signed_in(admin))

    async def _replace_rows(self, rows: Mapping[str, Iterable[BaseModel]]) -> None:
        async with self.club.rs.backend.engine.begin() as connection:
            for table in service.TABLES:
                await connection.execute(table.delete())
            for name, models in rows.items():
                table = schema.metadata.tables[name]
                values = [model.model_dump(include=set(table.c.keys())) for model in models]
                for number, value in enumerate(values, 1):
                    value["id"] = (value["id"] or f"user-{number}") if name == "users" else number
                if values:
                    await connection.execute(table.insert(), values)

    async def _insert(self, table: Any, row: Mapping[str, Any]) -> None:
        async with self.club.rs.backend.engine.begin() as connection:
            await connection.execute(table.insert().values(**row))

    def opt_out(self, purpose: str) -> None:
        """Let Aiko opt out of a purpose."""
        self.office.preferences_by_subject["user-7"] = SubjectPreferences(suspended=frozenset({purpose}))

    def send(self, route: str) -> str:
        """Send a request, and return what came of it: the response, statements and messages."""
        self.statements.clear()
        self.club.rs.email.outbox.clear()
        method, path = route.split()
        own = BaseUser(**user(7, email="aiko@example.com"))
        response = self.club.client.request(
            method,
            path.replace("{user_id}", "user-7"),
            headers=self.club.signed_in(own if path == "/me" else ADMIN),
            json=BODIES.get(route),
        )
        shown = [f"{response.status_code} {dict(response.headers)}", response.text, *self.statements]
        return "\n".join([*shown, *map(str, self.club.rs.email.outbox), *map(str, self.club.rs.sms.outbox)])
