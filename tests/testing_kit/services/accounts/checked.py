"""The test of purposes."""

import os

from purposeguard.testing import check
from tests.testing_kit.services.accounts.service import PURPOSES, SIGN_IN, Scene, Tables

# Signing in may use everything; the others want a token that a mail brought.
SKIP = [*PURPOSES[SIGN_IN], "POST /verify", "POST /reset-password"]
# Its counts are of everybody, also of those who opted out of statistics.
FLAGS = [f"tables.{who}.is_{flag}" for who in ("admin", "users[]") for flag in ("active", "superuser", "verified")]


def test_purposes() -> None:
    with Scene() as scene:

        def arrange(tables: Tables) -> None:
            scene.seat(tables)

        known, guard, quick = {"GET /admin/stats": FLAGS}, scene.club.guard, os.environ["CHECK"] == "quick"
        check(scene.club.client, arrange=arrange, guard=guard, known=known, skip=SKIP, quick=quick)
