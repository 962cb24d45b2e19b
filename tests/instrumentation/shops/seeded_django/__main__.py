"""Prints for each route if the violation took place."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import django
from django.conf import settings
from django.core import mail
from django.core.management import ManagementUtility, call_command

from tests.instrumentation.shops.seeded_django.configuration import SETTINGS

COOKIE = Path("cookie.txt")


def prepare() -> None:
    """Create the databases with one member, who is logged in, unless they exist."""
    from django.test import Client

    from tests.instrumentation.shops.seeded_django.models import Member, Order

    if COOKIE.exists():
        return
    for database in ("default", "archive"):
        call_command("migrate", database=database, run_syncdb=True, verbosity=0)
        member = Member(pk=1, username="aiko", device="X1-of-Aiko", is_staff=True, is_superuser=True)
        member.save(using=database)
        Order(pk=1, member=member, product="antivirus").save(using=database)
    client = Client()
    client.force_login(Member.objects.get())
    COOKIE.write_text(client.cookies["sessionid"].value, "utf-8")


def main() -> None:
    settings.configure(**SETTINGS)
    django.setup()
    from django.test import Client

    from tests.instrumentation.shops.seeded_django.urls import urlpatterns
    from tests.instrumentation.shops.seeded_django.views import DEVICE, sent

    prepare()
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = COOKIE.read_text("utf-8")
    client.get("/statistics")
    paths = [str(each.pattern) for each in urlpatterns]
    for path in (*paths[1:-2], "api/orders/", "admin/seeded_django/member/"):
        sent.clear()
        mail.outbox = []
        body = ""
        with contextlib.suppress(Exception):
            response = client.get(f"/{path}")
            body = (b"".join(response) if response.streaming else response.content).decode()
        written = [*sent, *(message.body for message in mail.outbox)]
        print(f"/{path}", "took place" if DEVICE in "".join((body, *written)) else "refused")  # noqa: T201  # The test reads the output.
    for command in (["list_devices"], ["dumpdata", "seeded_django"]):
        output = io.StringIO()
        with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(output):
            ManagementUtility(["manage.py", *command]).execute()
        print(command[0], "took place" if DEVICE in output.getvalue() else "refused")  # noqa: T201  # The test reads the output.


if __name__ == "__main__":
    main()
