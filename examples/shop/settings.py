"""Settings, from the environment: `SHOP_DATABASE_URL` and so on, each by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str = "sqlite:///shop.sqlite3"
    governance_url: str = "sqlite:///shop-privacy.sqlite3"
    """Where requests, hand-overs and the ledger are kept: a file of its own, or PostgreSQL for many processes."""
    reports_folder: Path = Path("shop-reports")
    """Where files for analysts go."""
    desk_token: str | None = None
    """What clerks of the request desk log in with, under `/desk`; without it there is no desk."""
    desk_secret: str = ""
    """Signs the desk's forms: 32 bytes at least, and the same in each process."""
    mistakes: bool = False
    """Whether to serve `/mistakes/…`, the code of a colleague in a hurry, for the demo and the tests."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        given = {name: environment.get(f"SHOP_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in given.items() if value is not None})
