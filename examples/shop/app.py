"""The application: `uvicorn --factory examples.shop.app:create_app`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from examples.shop import problems
from examples.shop.database import connect
from examples.shop.privacy import ledger
from examples.shop.routes import collection, mistakes, privacy, work
from examples.shop.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        engine = connect(settings.database_url)
        try:
            yield
        finally:
            ledger.flush()
            engine.dispose()

    app = FastAPI(title="Shop", lifespan=lifespan)
    problems.install(app)
    for routes in (collection, work, privacy):
        app.include_router(routes.router)
    if settings.mistakes:
        app.include_router(mistakes.router)
    return app
