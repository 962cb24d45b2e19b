"""The command `purposeguard adopt run`: run a command in observe mode and collect evidence."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Annotated, NoReturn

from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.cli.adopt.project import EVIDENCE_NAME, DirectoryOption, open_project
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import err
from purposeguard.cli.render import complain
from purposeguard.extras import Needs
from purposeguard.instrumentation.startup import build_environment

with Needs(__name__, "cli"):
    import typer


def run(
    context: typer.Context,
    directory: DirectoryOption = None,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", metavar="FILE", help=f"Else {EVIDENCE_NAME} in the directory of the project."),
    ] = None,
) -> NoReturn:
    """Run a command, such as a server, a worker or tests, in observe mode, and collect evidence.

    Nothing is refused, and no response changes: `purposeguard adopt run -- gunicorn shop.wsgi`,
    `purposeguard adopt run -- pytest`. Processes that the command starts are observed as well.
    """
    if not context.args:
        raise CommandProblem("name the command to observe, such as `purposeguard adopt run -- pytest`")
    project = open_project(directory)
    path = project.directory / EVIDENCE_NAME if evidence is None else evidence
    before = _count_events(path)
    code = _run_and_wait(context.args, build_environment(project.directory, path, os.environ))
    events = _count_events(path) - before
    complain(err(), "evidence", f"{events} events were added to {os.path.relpath(path)}")
    raise typer.Exit(code)


def _run_and_wait(command: list[str], environment: dict[str, str]) -> int:
    """Run a command and return its exit code, or 128 and the number of the signal that ended it, as shells do.

    Signals for this process are passed on, so that the command ends as it does alone.

    Raises:
        CommandProblem: The command cannot be started.
    """
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603  # The user names the command.
    except OSError as error:
        raise CommandProblem(f"`{command[0]}` cannot be started: {error.strerror or error}") from error
    # The terminal sends an interruption to the command itself.
    handlers = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        handlers[number] = signal.signal(number, lambda received, _: process.send_signal(received))
    try:
        code = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _count_events(path: Path) -> int:
    if not path.is_file():
        return 0
    return sum(row.times for row in EvidenceFile(path).load())
