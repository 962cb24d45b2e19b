"""SQLAlchemy held to a notice: tagged and sealed columns, guarded engines, and sessions that keep purposes apart.

::

    class Customer(Base):
        __tablename__ = "customers"
        id: Mapped[Annotated[int, pg.Subject]] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]
        phone: Mapped[Personal[str, tm.Registration]]

    engine = protect(create_engine(url), guard, Base)
    Session = sessionmaker(engine, class_=GuardedSession)

Each statement is read by the SQL adapter, decided, and narrowed to the rows that may be used; then the driver gets it.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "sqlalchemy"):
    from purposeguard.adapters.sqlalchemy.checks import UntaggedKey
    from purposeguard.adapters.sqlalchemy.loading import RowLeftOut
    from purposeguard.adapters.sqlalchemy.seals import SealedColumns, SealedType
    from purposeguard.adapters.sqlalchemy.session import AsyncGuardedSession, GuardedSession, permitted, protect

    must_be_tested("sqlalchemy", "2.0", "2.1")

__all__ = [
    "AsyncGuardedSession",
    "GuardedSession",
    "RowLeftOut",
    "SealedColumns",
    "SealedType",
    "UntaggedKey",
    "permitted",
    "protect",
]
