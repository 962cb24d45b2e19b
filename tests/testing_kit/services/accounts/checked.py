"""The test of purposes."""

import os

from regstack.backends.sql import schema
from regstack.models.login_attempt import LoginAttempt
from regstack.models.oauth_identity import OAuthIdentity
from regstack.models.user import BaseUser

from purposeguard.testing import check
from tests.testing_kit.services.accounts.service import PURPOSES, SIGN_IN, Scene


def test_purposes() -> None:
    with Scene() as scene:

        def arrange(users: list[BaseUser], identities: list[OAuthIdentity], attempts: list[LoginAttempt]) -> None:
            scene.seat(users)
            scene.add(schema.oauth_identities_table, identities)
            scene.add(schema.login_attempts_table, attempts)

        quick, guard = os.environ["CHECK"] == "quick", scene.club.guard
        # Its counts are of everybody, also of those who opted out of statistics.
        known = {"GET /admin/stats": [f"users[].{name}" for name in ("is_active", "is_superuser", "is_verified")]}
        skip = PURPOSES[SIGN_IN]  # It may use everything.
        check(scene.club.client, arrange=arrange, guard=guard, known=known, skip=skip, quick=quick)
