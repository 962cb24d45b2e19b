"""The accounts of a club: regstack as it comes from the package index, tagged, guarded and given purposes from outside.

Nothing of regstack is changed. What a club would write is all in this file, and in the notice beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pwdlib import PasswordHash
from pydantic import SecretStr
from regstack import RegStack, RegStackConfig
from regstack.auth.clock import FrozenClock
from regstack.auth.dependencies import AuthDependencies
from regstack.backends.factory import build_backend
from regstack.backends.sql import schema
from regstack.backends.sql.repositories.user_repo import SqlUserRepo
from regstack.models.login_attempt import LoginAttempt
from regstack.models.mfa_code import MfaCode
from regstack.models.oauth_identity import OAuthIdentity
from regstack.models.pending_registration import PendingRegistration
from regstack.models.user import BaseUser, UserPublic

import purposeguard as pg
from purposeguard.adapters.sqlalchemy import protect
from purposeguard.integrations.fastapi import install

NOTICE: Final = pg.Notice.load(Path(__file__).with_name("notice.toml"))
ACCOUNT, CREDENTIAL, PHONE, TRACE, LINK = (NOTICE.source(f"1({letter})") for letter in "abcde")
SIGN_IN, OPENING, OWN_PAGE, SUPPORT, STATISTICS = (
    NOTICE.purpose(one) for one in ("2(1)①", "2(2)①", "2(3)①", "2(4)①", "2(4)②")
)

USER: Final[dict[str, Any]] = {
    "id": pg.Subject,
    **dict.fromkeys(
        ("email", "full_name", "is_active", "is_verified", "is_superuser", "created_at", "updated_at"), ACCOUNT
    ),
    **dict.fromkeys(("phone_number", "is_mfa_enabled"), PHONE),
    **dict.fromkeys(("last_login", "tokens_invalidated_after"), TRACE),
}
pg.tag(BaseUser, **USER, hashed_password=CREDENTIAL)
pg.tag(UserPublic, **USER)
pg.tag(
    PendingRegistration,
    **dict.fromkeys(("email", "full_name", "created_at", "expires_at"), ACCOUNT),
    **dict.fromkeys(("hashed_password", "token_hash"), CREDENTIAL),
)
pg.tag(LoginAttempt, **dict.fromkeys(LoginAttempt.model_fields, TRACE))
pg.tag(MfaCode, **dict.fromkeys(MfaCode.model_fields, CREDENTIAL) | {"user_id": pg.Subject})
pg.tag(OAuthIdentity, **dict.fromkeys(OAuthIdentity.model_fields, LINK) | {"user_id": pg.Subject})

TABLES: Final = {
    schema.users_table: BaseUser,
    schema.pending_table: PendingRegistration,
    schema.login_attempts_table: LoginAttempt,
    schema.mfa_codes_table: MfaCode,
    schema.oauth_identities_table: OAuthIdentity,
    schema.oauth_states_table: dict.fromkeys(schema.oauth_states_table.columns.keys(), LINK),
    schema.blacklist_table: dict.fromkeys(schema.blacklist_table.columns.keys(), TRACE),
}

ROUTES: Final = {
    OPENING: ("POST /register", "POST /verify", "POST /resend-verification"),
    SIGN_IN: (
        "POST /login",
        "POST /login/mfa-confirm",
        "POST /logout",
        "POST /change-password",
        "POST /change-email",
        "POST /confirm-email-change",
        "POST /forgot-password",
        "POST /reset-password",
        "POST /phone/start",
        "POST /phone/confirm",
        "DELETE /phone",
    ),
    OWN_PAGE: ("GET /me", "PATCH /me", "DELETE /account"),
    STATISTICS: ("GET /admin/stats",),
    SUPPORT: (
        "GET /admin/users",
        "GET /admin/users/{user_id}",
        "PATCH /admin/users/{user_id}",
        "DELETE /admin/users/{user_id}",
        "POST /admin/users/{user_id}/resend-verification",
        "POST /admin/pending/{email}/promote",
    ),
}


class Authenticating(AuthDependencies):  # type: ignore[misc]  # it comes without types
    """To find out who asks is a purpose of its own, whatever is asked for."""

    def __init__(self, guard: pg.Guard, **parts: Any) -> None:
        super().__init__(**parts)
        self.guard = guard

    def current_user(self) -> Any:
        return self.guard.purpose(SIGN_IN, activity="who asks")(super().current_user())

    def current_admin(self) -> Any:
        return self.guard.purpose(SIGN_IN, activity="who asks, as an administrator")(super().current_admin())


def users_of(guard: pg.Guard) -> type[SqlUserRepo]:
    """The repository of users, whose objects come without what the purpose under way may not use."""
    withheld = guard.access(withhold=True)

    class Users(SqlUserRepo):  # type: ignore[misc]  # it comes without types
        get_by_email = withheld(SqlUserRepo.get_by_email)
        get_by_id = withheld(SqlUserRepo.get_by_id)
        list_paged = guard.access(withhold=True, narrow=True)(SqlUserRepo.list_paged)

    return Users


def accounts(
    guard: pg.Guard,
    database: Path,
    *,
    statements: bool,
    hasher: PasswordHash | None = None,
    purposes: Mapping[Any, Sequence[str]] = ROUTES,
    **settings: Any,
) -> tuple[RegStack, FastAPI]:
    """The parts of regstack, and the application of FastAPI as its documentation makes it, under purposes.

    `statements`: each is checked before the database gets it. Otherwise what comes out of the repository is withheld.
    """
    config = RegStackConfig(
        app_name="A club",
        database_url=SecretStr(f"sqlite+aiosqlite:///{database}"),
        jwt_secret=SecretStr("of no use to anybody, since this is a test"),
        enable_admin_router=True,
        enable_sms_2fa=True,
        **settings,
    )
    clock = FrozenClock()
    backend = build_backend(config, clock=clock)
    if statements:
        protect(backend.engine, guard, schema.metadata, tags=TABLES)
    else:
        backend.users = users_of(guard)(backend.engine, clock=clock)
    rs = RegStack(config=config, backend=backend, clock=clock)
    rs.deps = Authenticating(guard, jwt=rs.jwt, users=rs.users, blacklist=rs.blacklist)
    if hasher is not None:
        rs.password_hasher._hasher = hasher

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await rs.install_schema()
        yield
        await rs.aclose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(rs.router)

    install(app, guard, routes={path: guard.purpose(purpose) for purpose, paths in purposes.items() for path in paths})
    return rs, app
