"""The application: `uvicorn --factory examples.shop.app:create_app`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from examples.shop import problems, revisions
from examples.shop.database import connect
from examples.shop.privacy import governance, guard
from examples.shop.reports import reading
from examples.shop.routes import collection, mistakes, office, privacy, reports, rights, work
from examples.shop.settings import Settings
from purposeguard.integrations.fastapi import install


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        with ExitStack() as ending:
            ending.callback(connect(settings.database_url).dispose)
            ending.callback(reading.connect(settings.database_url).dispose)
            governance.open(settings.governance_url)
            ending.callback(governance.close)
            revisions.put_in_force(revisions.PUBLISHED)
            yield

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.state.reports_folder = settings.reports_folder
    install(app, guard)
    problems.add_to(app)
    for routes in (collection, work, reports, rights, office, privacy):
        app.include_router(routes.router)
    if settings.desk_token is not None:
        from examples.shop import clerks  # noqa: PLC0415  # needs the extra `web`

        app.mount("/desk", clerks.desk_with(settings.desk_token, settings.desk_secret))
    if settings.mistakes:
        app.include_router(mistakes.router)
    return app
