"""A shop in an environment where the library's extras are not installed."""

import sys

import django
from django.conf import settings
from flask import Flask

for name in ("sqlglot", "purposeguard.integrations.flask"):
    sys.modules[name] = None  # type: ignore[assignment]  # The import of a module that is None fails.

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
app = Flask("shop")


@app.get("/customers")
def list_customers() -> str:
    """Read from both databases."""
    from django.db import connection  # once it is configured
    from sqlalchemy import create_engine, text  # once the extra is hidden

    with create_engine("sqlite://").connect() as opened, connection.cursor() as cursor:
        return f"{opened.scalar(text('SELECT 1'))} {cursor.execute('SELECT 2').fetchone()}"


for _ in range(2):
    sys.stdout.write(f"{app.test_client().get('/customers').text}\n")
