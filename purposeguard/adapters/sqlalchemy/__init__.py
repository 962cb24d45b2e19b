"""SQLAlchemy held to a notice: tagged and sealed columns, guarded engines, and sessions that narrow what they load.

::

    class Customer(Base):
        __tablename__ = "customers"
        id: Mapped[Annotated[int, pg.Subject]] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]
        phone: Mapped[Personal[str, tm.Registration]]

    engine = protect(create_engine(url), guard, Base)
    Session = sessionmaker(engine, class_=GuardedSession)

Each statement is decided before the driver gets it: those of the ORM and of Core by their own structure, once for each
shape; text by the SQL adapter.
"""

from purposeguard.adapters.extras import Needs

with Needs("sqlalchemy", "sqlalchemy", "sqlglot"):
    from purposeguard.adapters.sqlalchemy.checks import UntaggedKey
    from purposeguard.adapters.sqlalchemy.seals import SealedColumns, SealedType
    from purposeguard.adapters.sqlalchemy.session import AsyncGuardedSession, GuardedSession, permitted, protect

__all__ = [
    "AsyncGuardedSession",
    "GuardedSession",
    "SealedColumns",
    "SealedType",
    "UntaggedKey",
    "permitted",
    "protect",
]
