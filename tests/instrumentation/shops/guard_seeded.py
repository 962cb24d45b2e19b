"""Hold a shop with seeded violations to its notice, and run it: `guard_seeded.py seeded_flask`."""

from __future__ import annotations

import importlib
import sys

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import sessionmaker
from sqlmodel import SQLModel

import purposeguard as pg
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.project.directory import read_project
from tests.instrumentation.shops import seeded_models

project = read_project()
guard = pg.Guard(project.notice, tags=project.tags, purposes=project.purposes)


def guard_engines(*others: AsyncEngine) -> None:
    """Guard the engine of the shop, and let its sessions load what the purpose permits."""
    seeded_models.prepare()
    protect(seeded_models.engine, guard, seeded_models.Base, SQLModel.metadata)
    for engine in others:
        protect(engine, guard, seeded_models.Base, SQLModel.metadata)
    seeded_models.open_session = sessionmaker(seeded_models.engine, class_=GuardedSession, defer_denied=True)


def guard_fastapi() -> None:
    from purposeguard.integrations.fastapi import install
    from tests.instrumentation.shops import seeded_fastapi

    guard_engines(seeded_fastapi.async_engine)
    install(seeded_fastapi.app, guard)


def guard_flask() -> None:
    from purposeguard.integrations import celery
    from purposeguard.integrations.flask import Purposes
    from tests.instrumentation.shops import seeded_flask

    guard_engines()
    Purposes(seeded_flask.app, guard)
    celery.install(seeded_flask.worker, guard)


def guard_django() -> None:
    from tests.instrumentation.shops.seeded_django.configuration import SETTINGS

    SETTINGS["INSTALLED_APPS"] = [
        "purposeguard.adapters.django",
        "purposeguard.integrations.django",
        *SETTINGS["INSTALLED_APPS"],
    ]
    SETTINGS["MIDDLEWARE"] = ["purposeguard.integrations.django.PurposeMiddleware", *SETTINGS["MIDDLEWARE"]]
    SETTINGS["PURPOSEGUARD_GUARD"] = guard
    SETTINGS["PURPOSEGUARD_INSTANCES"] = True
    SETTINGS["PURPOSEGUARD_TAGS"] = dict.fromkeys(("admin", "auth", "contenttypes", "sessions"), pg.NotPersonal)


if __name__ == "__main__":
    shop = sys.argv[1]
    {"seeded_fastapi": guard_fastapi, "seeded_flask": guard_flask, "seeded_django": guard_django}[shop]()
    name = f"{shop}.__main__" if shop == "seeded_django" else shop
    importlib.import_module(f"tests.instrumentation.shops.{name}").main()
