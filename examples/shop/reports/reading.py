"""A guarded engine over the shop's tables, for reports only.

The shop's own engine stays unguarded. Code that collects data writes without a purpose, and `repository` reads columns
that a purpose may not use, in order to withhold or seal them. A guarded engine would refuse both. There the guard
checks the results. Here it checks each statement before the database runs it: its columns, even those that it only
sorts by, and their tags. The database leaves out rows of people who stopped the use.

The outbox and the uploads hold results from data of all kinds. They have no tags, and no report reads them.
"""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import sessionmaker

from examples.shop.database import Base
from examples.shop.privacy import guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect

Reading = sessionmaker(class_=GuardedSession)
"""A factory of sessions for the database of the last call of `connect`."""


def connect(url: str) -> Engine:
    engine = protect(create_engine(url), guard, Base)
    Reading.configure(bind=engine)
    return engine
