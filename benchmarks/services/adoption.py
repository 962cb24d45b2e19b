"""Requests to applications that do not know the library: bare, observed with evidence, and enforced by the same files.

Each state has processes of its own, which take turns. They are connected by the hooks of `purposeguard adopt run`.
"""

import asyncio
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from benchmarks.data.measured import TimedRow

PACKAGES = ("fastapi", "sqlalchemy", "django")

APPLICATIONS = {"fastapi": "FastAPI and SQLAlchemy", "django": "Django"}
PATHS = {"/users/7": "one user", "/users": "a list of 50 users"}
PEOPLE = 50

FILES = {
    "pyproject.toml": '[tool.purposeguard]\nnotice = "trendmicro-jp"\n',
    "privacy/tags.toml": """\
["table auth_user"]
id = "not-personal"
password = "not-personal"
last_login = "not-personal"
is_superuser = "not-personal"
username = "1.1(a)"
first_name = "1.1(a)"
last_name = "1.1(a)"
email = "1.1(a)"
is_staff = "not-personal"
is_active = "not-personal"
date_joined = "not-personal"
""",
    "privacy/purposes.toml": """\
["GET /users**"]
purpose = "1.2(1)①"
mode = "enforce"
""",
}


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    turns, rounds = (2, 100) if quick else (5, 200)
    found = []
    with tempfile.TemporaryDirectory(prefix="purposeguard-adoption-") as name:
        folder = Path(name)
        (folder / "privacy").mkdir()
        for path, text in FILES.items():
            (folder / path).write_text(text, "utf-8")
        for application, title in APPLICATIONS.items():
            took: dict[str, list[dict[str, float]]] = {"bare": [], "observed": [], "enforced": []}
            for _ in range(turns):
                for state, times in took.items():
                    times.append(_run_worker(folder, application, state, rounds))
            for path, what in PATHS.items():
                bare = [times[path] for times in took["bare"]]
                for state in ("observed", "enforced"):
                    ours = [times[path] for times in took[state]]
                    ratio = statistics.median(mine / floor for mine, floor in zip(ours, bare, strict=True))
                    takes, floor = statistics.median(ours), statistics.median(bare)
                    found.append(TimedRow(f"{title}, {what}, {state}", takes, "bare", floor, middle=ratio))
    return found


def _run_worker(folder: Path, application: str, state: str, rounds: int) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, str(folder), application, state, str(rounds)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own
    times: dict[str, float] = json.loads(ended.stdout)
    return times


def measure(folder: Path, application: str, state: str, rounds: int) -> dict[str, float]:
    """Return the median time of a request to each path, in nanoseconds. Called in a process of its own."""
    if state != "bare":
        _connect(folder, enforces=state == "enforced")
    ask = {"fastapi": _make_fastapi, "django": _make_django}[application](folder)
    medians = {}
    for path in PATHS:
        took = []
        body = b""
        for number in range(rounds + 20):
            began = time.perf_counter_ns()
            body = ask(path)
            now = time.perf_counter_ns()
            if number >= 20:
                took.append(now - began)
        assert b"user7@example.org" in body
        medians[path] = statistics.median(took)
    if state == "observed":
        _require_evidence(folder)
    return medians


def _connect(folder: Path, *, enforces: bool) -> None:
    from purposeguard import Guard
    from purposeguard.instrumentation.imports import IMPORT_HOOKS
    from purposeguard.instrumentation.libraries import HOOKS
    from purposeguard.instrumentation.startup import start
    from purposeguard.project.directory import read_project

    if not enforces:
        start(folder / "privacy", folder / "evidence.sqlite")
        return
    project = read_project(folder / "privacy")
    guard = Guard(project.notice, tags=project.tags, purposes=project.purposes)
    for module, hook in HOOKS.items():
        IMPORT_HOOKS.add(module, functools.partial(hook, guard))
    IMPORT_HOOKS.install()


def _require_evidence(folder: Path) -> None:
    """Assert that the requests were observed under their purpose."""
    from purposeguard.adoption.evidence import _COLLECTORS
    from purposeguard.adoption.evidence_store import EvidenceFile

    for collector in _COLLECTORS:
        assert collector.flush()
    keys = [row.key for row in EvidenceFile(folder / "evidence.sqlite").load()]
    assert any(key.outcome == "read" and key.purpose == "1.2(1)①" and key.field.endswith("email") for key in keys)


def _make_fastapi(folder: Path) -> Callable[[str], bytes]:
    from fastapi import Depends, FastAPI
    from pydantic import BaseModel, ConfigDict
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    from benchmarks.services.fastapi import request

    _fill(folder)

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "auth_user"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]
        email: Mapped[str]

    class UserOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: int
        username: str
        email: str

    engine = create_engine(f"sqlite:///{folder / 'shop.db'}", connect_args={"check_same_thread": False})
    app = FastAPI()

    def open_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    session_type = Annotated[Session, Depends(open_session)]

    @app.get("/users/{key}", response_model=UserOut)
    def show(key: int, session: session_type) -> Any:
        return session.get_one(User, key)

    @app.get("/users", response_model=list[UserOut])
    def index(session: session_type) -> Any:
        return session.scalars(select(User).order_by(User.id)).all()

    loop = asyncio.new_event_loop()
    return lambda path: loop.run_until_complete(request(app, path))


def _make_django(folder: Path) -> Callable[[str], bytes]:
    import django
    from django.conf import settings
    from django.http import JsonResponse
    from django.urls import path as route

    _fill(folder)
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=(urls := type("Urls", (), {})()),
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "shop.db")}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    )
    django.setup()
    from django.contrib.auth.models import User
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import RequestFactory

    def to_dict(user: User) -> dict[str, object]:
        return {"id": user.pk, "username": user.username, "email": user.email}

    def show(_: Any, key: int) -> JsonResponse:
        return JsonResponse(to_dict(User.objects.get(pk=key)))

    def index(_: Any) -> JsonResponse:
        return JsonResponse(list(map(to_dict, User.objects.order_by("id"))), safe=False)

    urls.urlpatterns = [route("users/<int:key>", show), route("users", index)]
    handler, factory = WSGIHandler(), RequestFactory()

    def ask(path: str) -> bytes:
        response = handler.get_response(factory.get(path))
        assert response.status_code == 200, response.content
        content: bytes = response.content
        return content

    return ask


def _fill(folder: Path) -> None:
    """Create the table of users, unless it is there."""
    import sqlite3

    path = folder / "shop.db"
    if path.exists():
        return
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password TEXT, last_login TEXT, is_superuser BOOL, "
            "username TEXT, first_name TEXT, last_name TEXT, email TEXT, is_staff BOOL, is_active BOOL, "
            "date_joined TEXT)"
        )
        connection.executemany(
            "INSERT INTO auth_user VALUES (?, '', NULL, FALSE, ?, '', '', ?, FALSE, TRUE, '2030-01-01')",
            [(number, f"user{number}", f"user{number}@example.org") for number in range(1, PEOPLE + 1)],
        )
    connection.close()


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))))
