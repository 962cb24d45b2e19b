"""Applications of Django itself, whose tags are all in a file. Run as a process, with the path of the file."""

import sys

import django
from django.conf import settings
from django.core.management import call_command

from purposeguard import Guard
from purposeguard.notices import trendmicro_jp as tm

guard = Guard(tm.NOTICE, tags=sys.argv[1])

settings.configure(
    SECRET_KEY="of a test",  # noqa: S106  # no secret
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "purposeguard.adapters.django",
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
    ],
    PURPOSEGUARD_GUARD=guard,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402  # after the set-up
from django.core.checks import run_checks  # noqa: E402  # after the set-up

from purposeguard.errors import PurposeGuardError  # noqa: E402  # after the set-up

if __name__ == "__main__":
    for message in run_checks(tags=["purposeguard"]):
        print(message.id, message.msg)  # noqa: T201  # The test reads the output.
    call_command("migrate", verbosity=0)
    with guard.purpose(tm.RenewalGuidance):
        for name in ("email", "last_login", "first_name"):
            try:
                print(name, list(User.objects.values_list(name, flat=True)))  # noqa: T201  # The test reads the output.
            except PurposeGuardError as error:
                print(name, type(error).__name__)  # noqa: T201  # The test reads the output.
