"""Who is let in to the shop's request desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.settings import Settings

TOKEN = "of-the-tests-alone"  # noqa: S105  # it protects nothing


def test_only_the_shops_clerks_are_let_in(tmp_path: Path) -> None:
    names: Any = {"database_url": f"sqlite:///{tmp_path}/shop.db", "governance_url": f"sqlite:///{tmp_path}/privacy.db"}
    settings = Settings(**names, desk_token=TOKEN, desk_secret="x" * 32)
    with TestClient(create_app(settings)) as shop:
        for wrong in (None, ("Aiko", "guessed"), ("", TOKEN), ("a\nb", TOKEN)):
            refused = shop.get("/desk/", auth=wrong)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic ")
        assert shop.get("/desk/", headers={"authorization": "Basic ?"}).status_code == 401
        assert shop.get("/desk/", auth=("森", TOKEN)).status_code == 200
        number = shop.post("/privacy/requests", json={"kind": "erasure", "subject": "customer:1"}).json()["id"]
        assert "Refuse" in shop.get(f"/desk/requests/{number}", auth=("Aiko", TOKEN)).text
        assert "Refuse" not in shop.get(f"/desk/requests/{number}", auth=("trainee Ben", TOKEN)).text
    with TestClient(create_app(Settings(**names))) as shop:
        assert shop.get("/desk/").status_code == 404
    with pytest.raises(ValueError, match="32 bytes"):
        create_app(settings.model_copy(update={"desk_secret": ""}))
