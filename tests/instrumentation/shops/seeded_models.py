"""The tables of the shops with seeded violations. Nothing here knows of the library."""

from __future__ import annotations

import functools
from pathlib import Path

from sqlalchemy import Engine, ForeignKey, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from sqlmodel import Field, SQLModel

DEVICE = "X1-of-Aiko"
"""The device of the only user, which no route may use for its purpose, except the one that makes statistics."""


class Base(DeclarativeBase):
    """The base of the tables."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    device: Mapped[str]
    orders: Mapped[list[Order]] = relationship(back_populates="user")

    @functools.cached_property
    def device_title(self) -> str:
        """The device as it is shown."""
        return f"device {self.device}"


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    product: Mapped[str]
    user: Mapped[User] = relationship(back_populates="orders")


class Letter(Base):
    __tablename__ = "letters"
    id: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str]


class Scan(SQLModel, table=True):
    __tablename__ = "scans"
    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    device: str


def connect(name: str) -> Engine:
    """Make an engine for a database in the working directory."""
    return create_engine(f"sqlite:///{name}.db", connect_args={"check_same_thread": False})


engine = connect("shop")
second_engine = connect("shop")
second_database = connect("archive")
open_session = sessionmaker(engine)


def prepare() -> None:
    """Create the databases with one user, unless they exist."""
    if Path("shop.db").exists():
        return
    for each in (engine, second_database):
        Base.metadata.create_all(each)
        SQLModel.metadata.create_all(each)
        with Session(each) as session:
            user = User(id=1, email="aiko@example.jp", device=DEVICE)
            session.add_all([user, Order(user=user, product="antivirus"), Scan(user_id=1, device=DEVICE)])
            session.commit()
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW user_cards AS SELECT id, device AS card FROM users"))
        connection.execute(
            text(
                "CREATE TRIGGER copy_device AFTER INSERT ON orders "
                "BEGIN INSERT INTO letters (content) SELECT device FROM users WHERE id = new.user_id; END"
            )
        )
