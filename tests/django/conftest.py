"""The Django shop, in this process, on a file of SQLite and on a PostgreSQL server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction

from examples.django_shop import settings as stated
from tests.governance.conftest import Databases, postgresql
from tests.support import ON_POSTGRESQL, RecordingReads

__all__ = ["postgresql"]

FOLDER = Path(tempfile.mkdtemp(prefix="django-"))

if not settings.configured:  # once a process; not by the environment, which other tests hand on to processes
    own = {name: getattr(stated, name) for name in dir(stated) if name.isupper()}
    own["GOVERNANCE_URL"] = f"sqlite:///{FOLDER / 'privacy.db'}"
    settings.configure(**own)
    django.setup()


def sqlite(path: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}


def postgres(databases: Databases, name: str) -> dict[str, Any]:
    url = urlsplit(databases.server.get_uri(name))
    host = url.hostname or parse_qs(url.query)["host"][0]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": host,
        "PORT": url.port or "",
    }


def use(database: dict[str, Any]) -> None:
    """From now on the connection of this thread is to this database."""
    connections.close_all()
    if getattr(connections._connections, "default", None) is not None:
        del connections["default"]
    handler: Any = connections
    handler.settings["default"] = handler.configure_settings({"default": database})["default"]


def fill() -> None:
    """Two customers. To write what people tell needs no purpose."""
    from examples.django_shop.models import Contract, Customer, Event

    aiko = Customer.objects.create(name="Aiko Mori", email="aiko@example.org", last_scan="2026-05-02")
    ren = Customer.objects.create(name="Ren Ito", email="ren@example.org", last_scan="2026-05-03")
    Contract.objects.create(customer=aiko, product="shield", renews_on=date(2026, 6, 1))
    Contract.objects.create(customer=ren, product="cloud", renews_on=date(2026, 7, 1))
    Event.objects.bulk_create(
        [
            Event(customer=aiko, product="shield", kind="crash", seconds=9),
            Event(customer=aiko, product="shield", kind="scan", seconds=3),
            Event(customer=ren, product="cloud", kind="crash", seconds=1),
        ]
    )


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[dict[str, Any]]:
    database = sqlite(FOLDER / "template.db")
    use(database)
    call_command("migrate", verbosity=0)
    fill()
    yield database
    connections.close_all()
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql: Databases) -> dict[str, Any]:
    database = postgres(postgresql, postgresql.create())
    use(database)
    call_command("migrate", verbosity=0)
    fill()
    return database


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(vendor: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """The shop with two customers; what a test changes is rolled back."""
    template: dict[str, Any] = request.getfixturevalue(f"{vendor}_template")
    if connections["default"].settings_dict["NAME"] != template["NAME"]:
        use(template)
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def own_shop(vendor: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """The same in a database of its own, for what other connections are to see, and what ends transactions."""
    template: dict[str, Any] = request.getfixturevalue(f"{vendor}_template")
    connections.close_all()
    if vendor == "sqlite":
        shutil.copy(template["NAME"], tmp_path / "shop.db")
        use(sqlite(tmp_path / "shop.db"))
        yield
        connections.close_all()
        return
    databases: Databases = request.getfixturevalue("postgresql")
    name = databases.create(template["NAME"])
    use(postgres(databases, name))
    yield
    connections.close_all()
    databases.drop(name)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingReads]:
    """The guard of the shop observes, and this is what it reports."""
    from examples.django_shop.privacy import guard

    observer = RecordingReads()
    monkeypatch.setattr(guard.engine, "observing", True)
    guard.engine.add_observer(observer)
    yield observer
    guard.engine.remove_observer(observer)
