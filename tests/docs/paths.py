"""The path of one value through the library: which files it passes, and how often it goes from one to another.

`python -m tests.docs.paths` prints the table that docs/explanation/architecture.md has. Calls are followed with
`sys.setprofile`, of a warm guard; a switch is a call or a return that leads from one file of the package to another.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import purposeguard as pg
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.notices import trendmicro_jp as tm

PACKAGE = str(Path(pg.__file__).parent) + "/"

guard = pg.Guard(tm.NOTICE)


class Walk(NamedTuple):
    """The files that were passed, in order of first entry, and the switches between them."""

    files: tuple[str, ...]
    switches: int


def walk(call: Callable[[], object]) -> Walk:
    """What `call` passes of the package."""
    files: dict[str, None] = {}
    switches = 0
    last: str | None = None

    def follow(frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal switches, last
        name = frame.f_code.co_filename
        if event == "return":
            caller = frame.f_back
            name = "" if caller is None else caller.f_code.co_filename
        elif event != "call":
            return
        if name.startswith(PACKAGE):
            here = name.removeprefix(PACKAGE)
            files[here] = None
            if last is not None and here != last:
                switches += 1
            last = here

    sys.setprofile(follow)
    try:
        with contextlib.suppress(pg.PurposeViolation):
            call()
    finally:
        sys.setprofile(None)
    return Walk(tuple(files), switches)


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "customer"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]


@guard.access
def load_customer() -> Customer:
    return Customer(email="a@example.com", device="d")


@guard.access
def load_email() -> Annotated[str, tm.Registration]:
    return "a@example.com"


@guard.access(withhold=True)
def load_withheld() -> Customer:
    return Customer(email="a@example.com", device="d")


SEAL: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)


def measure_paths() -> dict[str, Walk]:
    """Measure each path; in a function and not in a generator, whose frame would be looked for at each step."""
    measured: dict[str, Walk] = {}
    with guard.purpose(tm.RenewalGuidance) as use:
        for _ in range(2):
            load_email()
            load_withheld()
            use.open(SEAL)
        measured["an access function, allowed"] = walk(load_email)
        measured["an access function, denied, and its message"] = walk(lambda: _told(load_customer))
        measured["a sealed value, opened"] = walk(lambda: use.open(SEAL))
        measured["a row, one field withheld"] = walk(load_withheld)
        engine = sa.create_engine("sqlite://")
        Base.metadata.create_all(engine)
        protect(engine, guard, Base)
        with GuardedSession(engine) as session:
            select = sa.select(Row.email)
            measured["an ORM select, the first"] = walk(lambda: session.execute(select).all())
            measured["an ORM select, again"] = walk(lambda: session.execute(select).all())
    return measured


def _told(call: Callable[[], object]) -> None:
    try:
        call()
    except pg.PurposeViolation as error:
        str(error)


if __name__ == "__main__":
    found = list(measure_paths().items())
    lines = ["| path | files | switches |", "| --- | --- | --- |"]
    lines += [f"| {name} | {len(walk.files)} | {walk.switches} |" for name, walk in found]
    lines += ["", *(f"{name}: {' '.join(walk.files)}" for name, walk in found)]
    print("\n".join(lines))  # noqa: T201  # what it is run for
