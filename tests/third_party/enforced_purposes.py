"""A pytest plugin that enforces the files of a privacy directory in an application that does not know the library.

`adoption.py` loads it. `ADOPT_PRIVACY` names the directory. Tests use the database themselves, so the library's plugin
runs each test for the purpose that `purposes.toml` states for `test …`. Each migration runs for that of `command
upgrade`, and each task of Celery for its own. These are the changes to the configuration of the tests.
`ADOPT_REFUSALS` gets the number of refusals by entry point and reason.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from purposeguard.errors import PurposeMissing
from purposeguard.guard import Guard
from purposeguard.instrumentation.imports import IMPORT_HOOKS
from purposeguard.instrumentation.startup import observe_libraries
from purposeguard.integrations.stated_purposes import find_block
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.policy.violations import PurposeViolation
from purposeguard.project.directory import read_project
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from purposeguard.runtime.observer import Observer

refusals: Final[Counter[str]] = Counter()


class Refusals(Observer):
    """An observer that counts denials."""

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Count a denial with its entry point and reason."""
        reason = "no purpose"
        if isinstance(error, PurposeViolation):
            decision = error.decision
            reason = f"{error.field}: {' '.join(list_term_ids(decision.label))} for {decision.purpose}"
        refusals[f"{current_entry_point()}: {reason}"] += 1


_project: Final = read_project(Path(os.environ["ADOPT_PRIVACY"]))
_guard: Final = Guard(_project.notice, tags=_project.tags, purposes=_project.purposes, observers=[Refusals()])


def _observe_migrations(command: ModuleType) -> None:
    """Let Alembic run under the entry point `command upgrade`. It alters tables, which an enforcing guard refuses."""
    upgrade = command.upgrade

    def upgrade_at_entry_point(*args: Any, **options: Any) -> Any:
        entry_point = EntryPoint.command("upgrade")
        with entry_point, find_block(_guard, entry_point.name) or contextlib.nullcontext():
            return upgrade(*args, **options)

    vars(command)["upgrade"] = upgrade_at_entry_point


def _hold_tasks(base: ModuleType) -> None:
    """Let tasks of Celery run for the purposes that `purposes.toml` states for them."""
    make = base.Celery.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **options: Any) -> None:
        from purposeguard.integrations.celery import install  # only where Celery is installed

        make(self, *args, **options)
        install(self, _guard)

    base.Celery.__init__ = init


def _guard_sessions(session: ModuleType) -> None:
    """Let the sessions of Flask-SQLAlchemy check each read of an object, as the how-to on sessions recommends."""
    from purposeguard.adapters.sqlalchemy.session import GuardedSession, watch_of  # only where SQLAlchemy is installed

    class Session(session.Session, GuardedSession):  # type: ignore[misc, name-defined]  # Its base has no types.
        def get_bind(self, *args: Any, **options: Any) -> Any:
            bind: Any = super().get_bind(*args, **options)
            if watch_of(bind) is None:
                bind.connect().close()  # An engine is guarded when it connects for the first time.
            return bind

    vars(session)["Session"] = Session


IMPORT_HOOKS.add("alembic.command", _observe_migrations)
IMPORT_HOOKS.add("flask_sqlalchemy.session", _guard_sessions)
IMPORT_HOOKS.add("celery.app.base", _hold_tasks)
observe_libraries(_guard)


def pytest_sessionfinish() -> None:
    """Write what was refused."""
    Path(os.environ["ADOPT_REFUSALS"]).write_text(json.dumps(refusals.most_common()), "utf-8")
