"""Settings from environment variables, such as `SHOP_DATABASE_URL`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str = "sqlite:///shop.sqlite3"
    governance_url: str = "sqlite:///shop-privacy.sqlite3"
    """The store of requests, hand-overs and the ledger: a separate file, or PostgreSQL for many processes."""
    reports_folder: Path = Path("shop-reports")
    """The folder of files for analysts."""
    desk_token: str | None = None
    """The token with which clerks log in at `/desk`. Without a token there is no desk."""
    desk_secret: str = ""
    """The secret that signs the desk's forms: at least 32 bytes, and the same in each process."""
    mistakes: bool = False
    """True to serve `/mistakes/…`, the code of a colleague in a hurry, for the demo and the tests."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        values = {name: environment.get(f"SHOP_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in values.items() if value is not None})
