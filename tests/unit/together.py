"""Two small notices that use the same ids for other things, and what tests hold to both at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import purposeguard as pg
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.unit.samples import changed

TRANSFERS: dict[str, Any] = {
    "entrustment": {
        "clause": "6",
        "recipients": [{"id": "mail-house", "title": {"en": "A mail house", "ja": "発送業者"}}],
        "scope": "granted-purposes",
        "supervision": "recorded",
    },
    "safeguards": {
        "clause": "8",
        "before_transfer": "required",
        "measures": [{"id": "agreed-contract", "title": {"en": "A contract", "ja": "契約"}}],
        "means": [{"id": "cloud-storage", "title": {"en": "Cloud", "ja": "クラウド"}}],
    },
}


def transfer(home: str, *countries: str) -> dict[str, Any]:
    """Clause 7: data stays at home, or goes to these countries."""
    listed = [{"code": code, "title": {"en": code, "ja": code}} for code in countries]
    rule = {"scope": "entrustment-only", "country": listed, "equivalent": [], "otherwise": "refuse"}
    return {"transfer": {"clause": "7", "home": home} | rule}


def one(id_: str, change: Callable[[dict[str, Any]], object] = lambda t: None, date: str = "2024-01-01") -> pg.Notice:
    """The small notice under another id, changed."""
    made = changed(change)
    return pg.Notice.parse(made | {"id": id_, "revision": date})


def _elsewhere(t: dict[str, Any]) -> None:
    t["grant"][0]["purpose"][0].pop("channels")  # renewals by any channel, and for usage too
    t["grant"][0].update(sources=["1(a)", "1(b)"])
    t["grant"][2]["purpose"][0]["basis"] = "consent"
    t.update(TRANSFERS | transfer("FR", "JP"))


JP = one("shop-jp", lambda t: t.update(TRANSFERS | transfer("JP", "US")))
EU = one("shop-eu", _elsewhere)


def term(notice: pg.Notice, given: str) -> Any:
    """A source, or else a purpose, by its class."""
    return {each.__name__: each for each in (*notice.sources, *notice.purposes)}[given]


def both(jp: Any = JP, eu: Any = EU) -> pg.Notices:
    """The two, with a family over them."""
    first, second = (given.latest if isinstance(given, pg.History) else given for given in (jp, eu))
    families = {"AnyRenewal": term(first, "Renewal") | term(second, "Renewal")}
    return pg.Notices(jp, eu, families=families)


def day(text: str) -> datetime.datetime:
    """Noon of a day, in UTC."""
    return datetime.datetime.fromisoformat(f"{text}T12:00:00+00:00")


def recipient(country: str) -> Recipient:
    """A mail house in a country, by a contract."""
    contract = Safeguard("agreed-contract", "17", datetime.date(2020, 1, 1))
    return Recipient("mailer", "mail-house", country, safeguards=[contract], means="cloud-storage")
