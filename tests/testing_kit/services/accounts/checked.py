"""The test of purposes."""

import os

from regstack.backends.sql import schema
from regstack.models.login_attempt import LoginAttempt
from regstack.models.oauth_identity import OAuthIdentity
from regstack.models.user import BaseUser

from purposeguard.testing import check
from tests.testing_kit.services.accounts.service import ACTING, ADMIN, Scene


def test_purposes() -> None:
    with Scene() as scene:

        def arrange(users: list[BaseUser], identities: list[OAuthIdentity], attempts: list[LoginAttempt]) -> None:
            acting, *others = users or [ADMIN]
            acting = acting.model_copy(update={"id": acting.id or "user-0", **ACTING})
            scene.club.fill(acting, *others)
            scene.club.client.headers.update(scene.club.signed_in(acting))
            scene.add(schema.oauth_identities_table, identities)
            scene.add(schema.login_attempts_table, attempts)

        quick = os.environ["CHECK"] == "quick"
        # Its counts are of everybody, also of those who opted out of statistics.
        known = {"GET /admin/stats": [f"users[].{name}" for name in ("is_active", "is_superuser", "is_verified")]}
        check(scene.club.client, arrange=arrange, guard=scene.club.guard, quick=quick, known=known, skip={"POST /logout"})
