"""A bicycle shop under a notice of the GDPR whose names are all hostile: code, terms and records that are markup."""

from __future__ import annotations

from pathlib import Path

from tests.unit.command_line import ROOT

HOSTILE = '<script>alert("1")</script>"><img src=x onerror=alert(2)>&amp;\'{{ 7 * 7 }}'

APPLICATION = """
import datetime
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.policy.transfers import Recipient

HOSTILE = {hostile!r}
tables = tomllib.loads(Path({notice!r}).read_text("utf-8"))
for row in (tables, tables["source"][1], tables["grant"][0], tables["grant"][0]["purpose"][0], tables["family"][0]):
    row["title"] = {{"en": HOSTILE, "ja": HOSTILE}}
tables["controller"] = tables["channel"][0]["title"] = tables["title"]
NOTICE = pg.Notice.parse(tables)
governance = Governance({store!r}, notice=NOTICE)
guard = pg.Guard(NOTICE, governance=governance)


def source(clause):
    return NOTICE.source(clause)


class Account(BaseModel):
    id: Annotated[int, pg.Subject]
    email: Annotated[str, source("2.1(a)")]
    nickname: str


class Rider(BaseModel):
    heart_rate: Annotated[int, source("2.4")]
    account: Account


Account.__qualname__ = HOSTILE


@guard.access
def account(key: int) -> Account: ...


@guard.access
def rider(key: int) -> Rider: ...


@guard.access(source("2.2"))
def rides(key: int) -> list[str]: ...


def block() -> None:
    with guard.purpose("3.3②", activity="block") as use:
        use.check("2.4")


@guard.purpose("3.1①", activity=HOSTILE).with_use
def fulfil(use) -> None:
    use.check("2.1(a)")


@guard.purpose("3.3①", channel="email")
def mail() -> None: ...


@guard.purpose("3.5①", channel="email")
def advertise() -> None: ...


@guard.reclassify(source("2.2"), to=pg.NotPersonal, why=HOSTILE, approver=HOSTILE, name=HOSTILE)
def total(rides: list[str]) -> int:
    return len(rides)


@guard.entrust(Recipient(HOSTILE[:50], "processor", "DE", means="cloud-storage"))
def print_label(account: Account) -> None: ...


@governance.eraser(source("2.3"), counted="collection", name=HOSTILE)
class Visits:
    def due(self, before):
        return iter(range(7 if before < datetime.date(9000, 1, 1) else 40))

    def erase(self, keys): ...


@governance.eraser(source("2.2"), counted="collection", name="broken")
class Rides:
    def due(self, before):
        raise RuntimeError("rider 4711")

    def erase(self, keys): ...
"""


def written(folder: Path, name: str = "lindenrad") -> str:
    """Writes the application as a module into a folder; gives the address of its guard."""
    text = APPLICATION.format(
        hostile=HOSTILE,
        notice=str(ROOT / "examples" / "gdpr" / "notice.toml"),
        store=f"sqlite:///{folder / 'store.db'}",
    )
    (folder / f"{name}.py").write_text(text, "utf-8")
    return f"{name}:guard"
