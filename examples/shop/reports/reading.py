"""A guarded engine over the shop's tables, for reports alone.

The shop's own engine stays as it was. Whoever collects writes and asks for no purpose; and `repository` reads columns
that a purpose may not use, to withhold or seal them, which an engine that refuses the statement would not let it do.
There the guard looks at what comes out. Here it looks at the statement, before the database gets it: which columns it
uses, be it to sort by them, under which tags. Rows of people who stopped the use are left out by the database.

The outbox and the uploads, which hold what was made of data of all kinds, carry no tags: no report reads them.
"""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import sessionmaker

from examples.shop.database import Base
from examples.shop.privacy import guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect

Reading = sessionmaker(class_=GuardedSession)
"""Makes sessions of the database that `connect` was called with last."""


def connect(url: str) -> Engine:
    engine = protect(create_engine(url), guard, Base)
    Reading.configure(bind=engine)
    return engine
