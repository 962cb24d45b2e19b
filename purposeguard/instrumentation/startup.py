"""The start of observation in a process: the guard that observes, and the hooks that connect it to libraries."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from purposeguard.adoption.evidence import Evidence
from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.instrumentation.imports import IMPORT_HOOKS
from purposeguard.instrumentation.libraries import HOOKS, skip_if_unavailable
from purposeguard.project.directory import read_project
from purposeguard.runtime.activity import StatedPurpose
from purposeguard.runtime.observer import OBSERVED_MESSAGE

OBSERVE_VARIABLE: Final = "PURPOSEGUARD_OBSERVE"
"""The environment variable that holds the privacy directory of the project that is observed."""

EVIDENCE_VARIABLE: Final = "PURPOSEGUARD_EVIDENCE"
"""The environment variable that holds the file of the evidence."""

EVIDENCE_NAME: Final = "evidence.sqlite"
"""The name of the file of the evidence in the privacy directory, unless another one is named."""


def build_environment(directory: Path, evidence: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command that is observed.

    Args:
        directory: The privacy directory.
        evidence: The file of the evidence.
        environment: The present environment.
    """
    bootstrap = str(Path(__file__).with_name("bootstrap"))
    entries = [bootstrap, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(entries)),
        OBSERVE_VARIABLE: str(directory.absolute()),
        EVIDENCE_VARIABLE: str(evidence.absolute()),
    }


def start_from_environment() -> None:
    """Observe this process as the environment variables say. A fault is written to standard error."""
    directory = Path(os.environ[OBSERVE_VARIABLE])
    evidence = Path(os.environ.get(EVIDENCE_VARIABLE, directory / EVIDENCE_NAME))
    try:
        start(directory, evidence)
    except (PurposeGuardError, OSError) as error:
        sys.stderr.write(f"purposeguard: this process is not observed: {error}\n")


def start(directory: Path, evidence: Path) -> Guard:
    """Observe this process: its engines, requests, tasks and commands, and the guards that it makes itself.

    Args:
        directory: The privacy directory of the project.
        evidence: The file of the evidence.

    Returns:
        The guard that observes what the application does not guard itself.

    Raises:
        PurposeGuardError: A file of the project is wrong.
    """
    project = read_project(directory)
    purposes = None if project.purposes is None else project.purposes.observe_all()
    store = EvidenceFile(evidence)
    guard = Guard(project.notice, mode="observe", observers=[Evidence(store)], tags=project.tags, purposes=purposes)
    _observe_other_guards(store)
    _observe_activities()
    logging.getLogger("purposeguard").addFilter(_is_no_violation)  # The evidence contains the violations.
    observe_libraries(guard)
    return guard


def observe_libraries(guard: Guard) -> None:
    """Connect a guard to each library once it is imported. A library for which an extra is missing is left alone."""
    for module, hook in HOOKS.items():
        IMPORT_HOOKS.add(module, functools.partial(_observe_library, hook, guard))
    IMPORT_HOOKS.install()


def _observe_library(hook: Callable[[Guard, ModuleType], None], guard: Guard, module: ModuleType) -> None:
    with skip_if_unavailable(module.__name__):
        hook(guard, module)


def _is_no_violation(record: logging.LogRecord) -> bool:
    return not record.msg.startswith(OBSERVED_MESSAGE)


def _observe_other_guards(store: EvidenceFile) -> None:
    """Let guards that the application makes from now on observe, each with a collector, since notices may differ."""
    make: Callable[..., None] = Guard.__init__

    @functools.wraps(make)
    def initialize(self: Guard, notice: Any, *, observers: Any = (), **options: Any) -> None:
        make(self, notice, **{**options, "mode": "observe", "observers": [*observers, Evidence(store)]})

    setattr(Guard, "__init__", initialize)  # noqa: B010  # mypy refuses an assignment to a method


def _observe_activities() -> None:
    """Let activities that are stated from now on observe, also those that the code or `purposes.toml` enforces."""
    state: Callable[..., None] = StatedPurpose.__init__

    @functools.wraps(state)
    def initialize(self: StatedPurpose, *arguments: Any, **options: Any) -> None:
        state(self, *arguments, **{**options, "observing": True})

    setattr(StatedPurpose, "__init__", initialize)  # noqa: B010  # mypy refuses an assignment to a method
