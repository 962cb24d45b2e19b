"""What becomes of a copy of the Django shop: whether it starts, what it says, answers, declares, logs and leaves.

Run as a process that has imported everything but the example. It forks for each copy that a line of its input names,
so that one costs what it does itself, and writes what it saw into `facts.json` beside the copy.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.test import Client

import purposeguard as pg
from purposeguard import errors
from purposeguard.adapters.django import columns_of_model
from purposeguard.guard import LIVE_GUARDS
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.traces import Haystack

BEFORE = (
    "django.contrib.admin.sites",
    "django.contrib.sessions.backends.db",
    "django.core.management.commands.migrate",
    "django.db.backends.sqlite3.base",
    "purposeguard.governance",
    "purposeguard.integrations.django.apps",
    "requests",  # which the REST framework looks for
)
"""What the shop needs, and can be imported before it."""

PEOPLE = {
    1: ("Aikoharu Morishita", "aikoharu.morishita@people.example", "scan1zebra"),
    2: ("Rentaro Itogawa", "rentaro.itogawa@people.example", "scan2tapir"),
    3: ("Yukiyoshi Hanabata", "yukiyoshi.hanabata@people.example", "scan3okapi"),
}
NEW = {"name": "Newmanzo Newellini", "email": "newmanzo.newellini@people.example", "last_scan": ""}
STOPPED = 3
"""Who has asked that no guidance is written to them."""

PAGES = (
    "/export",
    "/search?q=aiko",
    "/search?q=nobody",
    "/customers",
    "/letters",
    "/crashes",
    "/renewals",
    "/api/customers/",
    "/api/customers/1/",
    "/api/renewals/",
    "/api/renewals/2/",
    "/office/",
    "/office/django_shop/customer/",
    "/letters",  # again, when all others were asked
)

LIBRARY = Path(pg.__file__).parent

Facts = dict[str, Any]


def facts(copy: Path, folder: Path, template: Path) -> Facts:
    """What is seen of a copy. `template` is a database that is filled already, or is made here."""
    sys.path.insert(0, str(copy))
    errors.ALL_FRAMES = True  # what the library raises is told by its frames
    os.environ.update(SHOP_FOLDER=str(folder), DJANGO_SETTINGS_MODULE="examples.django_shop.settings")
    os.chdir(folder)
    try:
        django.setup()
        importlib.import_module("examples.django_shop.urls")
    except Exception as error:
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if not Path(last.f_code.co_filename).is_relative_to(LIBRARY):
            raise  # the copy is broken, which nobody has to find
        return {"start": f"{type(error).__name__}: {error}"}
    failed: set[str] = set()

    def note(**_: object) -> None:
        failed.add(str(sys.exc_info()[0]))

    got_request_exception.connect(note)
    records = io.StringIO()
    logging.basicConfig(level=logging.DEBUG, stream=records, force=True)
    logging.getLogger("purposeguard").addHandler(logging.StreamHandler(records))
    checks = _output("check", fail_level="WARNING")
    if template.exists():
        shutil.copy(template, folder / "shop.db")
    else:
        _fill()
        shutil.copy(folder / "shop.db", template)
    privacy: Any = importlib.import_module("examples.django_shop.privacy")
    privacy.governance.restrict(STOPPED, tm.AnyProductGuidance)
    privacy.governance.restrict(STOPPED, tm.RenewalGuidance)
    answers = dict(_answers(Client(raise_request_exception=False)))
    answers["remind"] = _output("remind")
    found = {
        "broken": [name for name in failed if re.search("NameError|ImportError|AttributeError|TypeError", name)],
        "check": checks,
        "answers": answers,
        "mistakes": dict(_mistakes(Client(raise_request_exception=False))),
        "inventory": [*_inventory(privacy.guard), *_noted(privacy.governance)],
    }
    sys.stdout.flush()
    shown = records.getvalue() + (folder / "stdout").read_text("utf-8", "replace")
    return {**found, "log": _people_in(shown), "left": _people_in("\n".join(_left(folder)))}


def _fill() -> None:
    call_command("migrate", verbosity=0)
    models: Any = importlib.import_module("examples.django_shop.models")
    for key, (name, email, scan) in PEOPLE.items():
        who = models.Customer.objects.create(id=key, name=name, email=email, last_scan=scan)
        models.Contract.objects.create(customer=who, product=f"shield {key}", renews_on=date(2026, 6, key))
        for number in range(4 - key):
            models.Event.objects.create(customer=who, product="shield", kind="crash", seconds=number)
    from django.contrib.auth.models import User

    User.objects.create_superuser("staff")


def _output(command: str, **options: Any) -> str:
    """What a command of Django writes, or fails with."""
    out = io.StringIO()
    try:
        call_command(command, stdout=out, stderr=out, **options)
    except (Exception, SystemExit) as error:
        return f"{out.getvalue()}{type(error).__name__}: {error}"
    return out.getvalue()


def _answers(client: Any) -> Iterator[tuple[str, Any]]:
    from django.contrib.auth.models import User

    client.force_login(User.objects.get(username="staff"))
    for number, path in enumerate(PAGES):
        yield f"{number} {path}", _asked(client.get, path)
    for path in ("/api/customers/", "/api/renewals/"):
        yield f"POST {path}", _asked(client.post, path, NEW, content_type="application/json")
    wrong = {**NEW, "email": "no address"}
    yield "POST, not valid", _asked(client.post, "/api/customers/", wrong, content_type="application/json")


def _mistakes(client: Any) -> Iterator[tuple[str, Any]]:
    from examples.django_shop.mistakes import urlpatterns

    for pattern in urlpatterns:
        route = pattern.pattern._route
        yield route, _asked(client.get, f"/mistakes/{route}")


def _asked(ask: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    """The status, headers of interest and body of an answer; of a problem, what it is."""
    try:
        answer = ask(*args, **kwargs)
        body = b"".join(answer).decode()
    except Exception as error:
        return [500, {}, type(error).__name__]
    if answer.headers.get("Content-Type") == "application/problem+json":
        return [answer.status_code, {}, json.loads(body)["type"]]
    if "csrf" in body or answer.status_code >= 500:  # a page of the office, with values that are drawn anew
        body = str(_people_in(body))
    kept = {name: value for name, value in answer.headers.items() if name not in ("Content-Length", "Expires")}
    return [
        answer.status_code,
        {**kept, **{name: str(each.value) for name, each in answer.cookies.items() if name != "csrftoken"}},
        body,
    ]


def _inventory(guard: Any) -> list[str]:
    """What the shop declares, and how many guards decide in it."""
    declared = [
        f"{each.name} for {each.purpose_id} by {each.channel}{', observed only' * each.observing}"
        for each in guard.activities
    ]
    tags = {
        f"{model._meta.label}.{field}: {tag}"
        for model in apps.get_models()
        if model._meta.app_label == "django_shop"
        for field, tag in _tags(model).items()
    }
    return sorted({*declared, *tags, f"{len(LIVE_GUARDS)} guards"})


def _noted(governance: Any) -> list[str]:
    """Which kinds of entries the ledger has, and whether it is on a disk."""
    governance.ledger.flush()
    return sorted({f"noted: {entry.kind}" for entry in governance.ledger.entries()})


def _tags(model: Any) -> dict[str, str]:
    from purposeguard.adapters.django.apps import get_held_connections

    try:
        columns = columns_of_model(model, get_held_connections().decider.revisions)
        return {name: f"{tag.label} {tag.mark}" for name, tag in columns.items()}
    except Exception as error:
        return {"": type(error).__name__}


def _left(folder: Path) -> Iterator[str]:
    """What is kept in sessions, in the cache and in files, where no personal data belongs."""
    from django.contrib.sessions.models import Session

    with contextlib.suppress(Exception):
        yield from (str(session.get_decoded()) for session in Session.objects.all())
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if (
            path.is_file()
            and inside.parts[0] != "copy"
            and path.name.partition(".")[0] not in ("privacy", "shop", "stdout")
        ):
            yield f"{inside}\n{path.read_bytes().decode('utf-8', 'replace')}"


def _people_in(text: str) -> list[str]:
    """The values of people that a text holds, plain or encoded."""
    hay = Haystack(text)
    known = [value for values in (*PEOPLE.values(), NEW.values()) for value in values if value]
    return [value for value in known if hay.trace((value,)) is not None]


def main(template: Path) -> None:
    """Forks for each folder that is named."""
    for name in BEFORE:
        importlib.import_module(name)
    for line in sys.stdin:
        folder = Path(line.strip())
        pid = os.fork()
        if not pid:
            with (folder / "stdout").open("wb") as out:
                os.dup2(out.fileno(), 1)
            try:
                (folder / "facts.json").write_text(json.dumps(facts(folder / "copy", folder, template)))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        sys.stdout.write(f"{folder}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    assert not settings.configured
    main(Path(sys.argv[1]))
