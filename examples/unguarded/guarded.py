"""`python -m examples.unguarded.guarded`: the same requests to the same shop, held to its notice by three lines."""

from __future__ import annotations

import purposeguard as pg
from examples.unguarded import traffic
from examples.unguarded.app import Base, app, engine
from purposeguard.adapters.sqlalchemy import protect
from purposeguard.integrations.fastapi import install
from purposeguard.project.directory import read_project

project = read_project()
guard = pg.Guard(project.notice, mode="observe", tags=project.tags, purposes=project.purposes)
protect(engine, guard, Base)
install(app, guard)

if __name__ == "__main__":
    traffic.main()
