"""The table of clauses 4 to 11, row by row: what each asks for is enforced, or on record, in a service that runs."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard import Personal
from purposeguard.errors import RequestError
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.governance.support import DAY, Rows


@dataclass
class Customer:
    id: Annotated[int, pg.Subject("customer")]
    name: Annotated[str, tm.Registration]
    email: Personal[str, tm.Registration]
    joined: Annotated[dt.date, pg.Collected] = dt.date(2024, 5, 1)
    left: Annotated[dt.date | None, pg.Ended] = None


class Service:
    """A service that keeps to its notice: what it holds, what it does, and whom it works with."""

    def __init__(self, url: str, notice: pg.Notice | pg.History = tm.NOTICE) -> None:
        self.time = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
        self.governance = Governance(url, notice=notice, clock=lambda: self.time)
        self.guard = guard = pg.Guard(notice, governance=self.governance, clock=lambda: self.time)
        self.customers = {number: Customer(number, f"N{number}", sealed(f"{number}@example.com")) for number in (1, 2)}
        self.handed: list[int] = []

        @guard.access
        def customer(number: int) -> Customer:
            return self.customers[number]

        @guard.access(narrow=True)
        def customers() -> list[Customer]:
            return list(self.customers.values())

        @self.governance.holding("customers", realm="customer")
        def held(subject: str) -> Customer | None:
            return self.customers.get(int(subject))

        self.customer, self.customers_usable = customer, customers

    def usable(self, purpose: Any = tm.RenewalGuidance, channel: str | None = None) -> list[int]:
        with self.guard.purpose(purpose, channel=channel):
            return [one.id for one in self.customers_usable()]

    def kinds(self) -> list[str]:
        """The kinds of entries in the ledger, those of denials with their errors."""
        ledger: Any = self.governance.ledger
        return [entry.body.get("error", entry.kind) for entry in ledger.entries()]


def sealed(text: str) -> Personal[str, tm.Registration]:
    return Personal(text, tm.Registration)


def contractor(number: str = "mail-house", kind: str = "domestic-contractor", country: str = "JP", **more: Any) -> Any:
    contract = Safeguard("contract", "c-1", since=dt.date(2025, 1, 1))
    return Recipient(number, kind, country, safeguards=[contract], supervised_on=dt.date(2026, 1, 10), **more)


@pytest.fixture
def service(store_url: str) -> Iterator[Service]:
    made = Service(store_url)
    yield made
    made.governance.close()


def refused(service: Service, recipient: Recipient, purpose: Any = tm.ProductProvision, **more: Any) -> bool:
    try:
        service.guard.check_recipient(tm.Registration, purpose, recipient, **({"means": "email"} | more))
    except pg.RecipientViolation:
        return True
    return False


def test_clause_4_entrustment(service: Service) -> None:
    for kind, country in (("overseas-affiliate", "TW"), ("overseas-contractor", "US"), ("domestic-contractor", "JP")):
        assert not refused(service, contractor(kind=kind, country=country))
    assert refused(service, contractor(kind="advertiser"))
    # Only for a purpose that the data may serve …
    with pytest.raises(pg.PurposeViolation):
        service.guard.check_recipient(tm.ProductData, tm.RenewalGuidance, contractor(), means="email")
    # … and supervised: that nobody has looked is refused.
    contract = Safeguard("contract", "c-1", since=dt.date(2025, 1, 1))
    assert refused(service, Recipient("x", "domestic-contractor", "JP", safeguards=[contract]))
    # Supervision is on record, with its history.
    register = service.governance.provisions.recipients
    register.register(contractor(), by="procurement")
    register.supervise("mail-house", dt.date(2026, 2, 1), by="privacy office")
    assert register.get("mail-house").supervised_on == dt.date(2026, 2, 1)


def test_clause_5_foreign_recipients(service: Service) -> None:
    listed = ("TW", "PH", "CA", "AU", "US", "IN", "ID", "MY", "SG", "AE")
    equivalent = ("DE", "FR", "IS", "LI", "NO", "GB")
    for country in (*listed, *equivalent):
        assert not refused(service, contractor(kind="overseas-contractor", country=country)), country
    for country in ("BR", "KR", "CH", "RU", "VN"):
        assert refused(service, contractor(kind="overseas-contractor", country=country)), country


def test_clause_5_the_conditions_on_china(service: Service) -> None:
    own: dict[str, Any] = {"own_subsidiary": True, "products": ["Deep Enterprise"]}
    right: dict[str, Any] = {"product": "Deep Enterprise", "task": "maintenance"}
    kind = "overseas-affiliate"
    assert not refused(service, contractor(kind=kind, country="CN", **own), **right)
    assert refused(service, contractor(kind="overseas-contractor", country="CN", products=own["products"]), **right)
    assert refused(service, contractor(kind=kind, country="CN", **own), product="Home", task="maintenance")
    assert refused(service, contractor(kind=kind, country="CN", **own), product="Deep Enterprise", task="marketing")
    assert refused(service, contractor(kind=kind, country="CN", **own), product="Deep Enterprise")
    assert refused(service, contractor(kind=kind, country="CN", **own), task="maintenance")


def test_clause_6_safeguards(service: Service) -> None:
    bare = Recipient("x", "domestic-contractor", "JP", supervised_on=dt.date(2026, 1, 10))
    assert refused(service, bare)
    over = Safeguard("contract", "c-0", since=dt.date(2025, 1, 1), until=dt.date(2026, 2, 1))
    assert refused(service, Recipient("x", "domestic-contractor", "JP", safeguards=[over], supervised_on=over.since))
    for means in ("database-access", "email", "cloud-storage", "storage-media", "other"):
        assert not refused(service, contractor(), means=means)
    assert refused(service, contractor(), means="pigeon")

    @service.guard.entrust(contractor(), means="storage-media")
    def hand_over(customers: list[Customer]) -> int:
        return len(customers)

    with service.guard.purpose(tm.ProductProvision):
        assert hand_over(list(service.customers.values())) == 2
    (record,) = service.governance.provisions.of("customer:1")
    told = record.provision
    assert (told.recipient, told.country, told.means) == ("mail-house", "JP", "storage-media")
    assert "provision" in service.kinds()


def test_clause_7_suspension_of_use_by_the_subject_or_an_agent(service: Service) -> None:
    desk = service.governance.requests
    assert service.usable() == [1, 2]
    mine = desk.open("suspension-of-use", subject="customer:1", purposes=[tm.RenewalGuidance])
    with pytest.raises(RequestError):
        desk.fulfil(mine, by="clerk")  # nobody has seen yet that it is the subject who asks
    desk.verify(mine, how="a reply from the address on file", by="clerk")
    desk.fulfil(mine, by="clerk")
    assert service.usable() == [2]  # on the very next check
    assert service.usable(tm.ProductProvision) == [1, 2]
    theirs = desk.open("erasure", subject="customer:2", requester="agent", authority="power of attorney 12")
    desk.verify(theirs, how="seen", by="clerk")
    desk.fulfil(theirs, by="clerk")
    assert service.usable(tm.ProductProvision) == [1]
    with service.guard.purpose(tm.ProductProvision) as use, pytest.raises(pg.SubjectViolation):
        use.open(service.customers[2].email, subject=service.customers[2])
    assert service.kinds()[-1] == "SubjectViolation"


def test_clause_7_stop_of_provision(service: Service) -> None:
    @service.guard.entrust(contractor(), means="email")
    def hand_over(customer: Customer) -> int:
        service.handed.append(customer.id)
        return customer.id

    service.governance.restrict("customer:1", kind="stop-of-provision")
    with service.guard.purpose(tm.ProductProvision):
        assert hand_over(service.customers[2]) == 2
        with pytest.raises(pg.SubjectViolation):
            hand_over(service.customers[1])
        assert service.customer(1).id == 1  # its use is another matter
    assert service.handed == [2]


@pytest.mark.parametrize("kind", ["notification-of-purposes", "disclosure"])
def test_clause_7_what_discloses_says_everything(service: Service, kind: str) -> None:
    desk = service.governance.requests
    asked = desk.open(kind, subject="customer:1")
    desk.verify(asked, how="in person", by="clerk")
    report = desk.fulfil(asked, by="clerk", values=True).report
    assert report is not None
    told = report.to_json()
    assert '"1.1(a)"' in told
    assert "1@example.com" in told
    assert "2@example.com" not in told


@pytest.mark.parametrize("kind", ["correction", "addition", "deletion"])
def test_clause_7_what_amends_is_recorded(service: Service, kind: str) -> None:
    desk = service.governance.requests
    asked = desk.open(kind, subject="customer:1")
    desk.verify(asked, how="in person", by="clerk")
    desk.fulfil(asked, by="clerk", done="the name was corrected")
    assert desk.get(asked.id).state == "fulfilled"
    assert service.kinds().count("request") == 3


def test_clause_8_retention(store_url: str) -> None:
    tables = tm.NOTICE.dump()
    tables["retention"]["period"] = [
        {"source": "1.1(a)", "days": 30},
        {"source": "1.1(b)", "days": 400, "from": "collection"},
    ]
    for grant in tables["grant"]:
        for row in grant["purpose"]:
            if row["id"] == "1.2(2)①":
                row["basis"] = "law"  # as if it were: what law asks for goes on
    notice = pg.Notice.parse(tables)
    time = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    with Governance(store_url, notice=notice) as governance:
        guard = pg.Guard(notice, governance=governance, clock=lambda: time)
        about = pg.RowContext("customer:1", collected=dt.date(2025, 3, 1), ended=dt.date(2026, 1, 30))
        for days, kept in ((0, True), (1, False), (400, False)):
            time = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) + days * DAY
            assert guard.allows("1.1(a)", "1.2(1)①", subject=about) is kept
            assert guard.allows("1.1(a)", "1.2(2)①", subject=about)
        with pytest.raises(pg.RetentionViolation):
            guard.check("1.1(a)", "1.2(1)①", subject=about)
        time = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)  # set back: what was over stays over
        assert not guard.allows("1.1(a)", "1.2(1)①", subject=about)
        assert not guard.allows(notice.source("1.1(b)"), "1.2(2)②", subject=about)


def test_clause_9_contact(service: Service) -> None:
    report = service.governance.disclose("customer:1", by="privacy office", language="ja")
    page = report.to_html()
    for text in ("privacy@trendmicro.co.jp", "03-5860-7565", "トレンドマイクロ株式会社"):
        assert text in page
        assert text in report.to_json()


def test_clause_10_voluntary(service: Service) -> None:
    @dataclass
    class Lead:
        id: Annotated[int | None, pg.Subject("lead")]
        phone: Annotated[str | None, tm.WebContact]
        email: Personal[str, tm.WebContact] | None

    @service.guard.access(withhold=True)
    def leads() -> list[Lead]:
        return [Lead(1, None, None), Lead(None, None, Personal("a@example.com", tm.WebContact))]

    with service.guard.purpose(tm.WebInquiryResponse):
        assert [(one.phone, one.email is None) for one in leads()] == [(None, True), (None, False)]


def test_clause_11_changes(store_url: str) -> None:
    tables = tm.NOTICE.dump()
    tables["revision"] = "2026-01-01"
    for grant in tables["grant"]:
        if grant["clause"] == "1.2(1)":
            grant["sources"] = ["1.1(a)", "1.1(b)", "1.1(c)"]  # widened to product data, and …
            grant["purpose"] = [row for row in grant["purpose"] if row["id"] != "1.2(1)③"]  # … narrowed
    tables["family"] = [row for row in tables["family"] if row["class"] != "AnyThirdPartyProducts"]
    tables["extension"] = [
        {"purposes": ["1.2(1)①"], "sources": ["1.1(b)"], "basis": "related", "notified": "2025-12-01"},
        {"purposes": ["1.2(1)②"], "sources": ["1.1(b)"], "basis": "consent"},
    ]
    later = pg.Notice.parse(tables)
    service = Service(store_url, pg.History(tm.NOTICE, later))
    try:
        guard = service.guard
        old = {"collected": dt.date(2025, 6, 1)}
        who = "customer:1"
        # Of data collected before, only what was expressly extended to it, on the stated basis.
        assert guard.allows("1.1(b)", "1.2(1)④", subject=pg.RowContext(who, collected=dt.date(2026, 2, 1)))
        with pytest.raises(pg.RevisionViolation):
            guard.check("1.1(b)", "1.2(1)④", subject=pg.RowContext(who, **old))
        assert guard.allows("1.1(b)", "1.2(1)①", subject=pg.RowContext(who, **old))
        with pytest.raises(pg.SubjectViolation):
            guard.check("1.1(b)", "1.2(1)②", subject=pg.RowContext(who, **old))
        service.governance.consent(who, "1.2(1)②")
        assert guard.allows("1.1(b)", "1.2(1)②", subject=pg.RowContext(who, **old))
        # What is gone is gone for all data.
        with pytest.raises(pg.UnknownPurpose):
            guard.allows("1.1(a)", "1.2(1)③")
        # What is tagged with the classes of the earlier revision was collected under it.
        assert not guard.allows(tm.ProductData, "1.2(1)④")
    finally:
        service.governance.close()


def test_uses_that_law_permits_go_through_one_door(service: Service) -> None:
    service.governance.restrict("customer:1", kind="erasure")
    until = service.time + DAY
    stated = {"basis": "law", "reason": "warrant 8/2026", "approver": "chief privacy officer", "until": until}
    with service.guard.exception(subjects=["customer:1"], **stated) as use:  # type: ignore[arg-type]
        assert use.open(service.customers[1].email, subject="customer:1") == "1@example.com"
        with pytest.raises(pg.SubjectViolation):
            use.open(service.customers[2].email, subject="customer:2")
    assert [one for one, _ in itertools.groupby(service.kinds())][-2:] == ["exception", "SubjectViolation"]
    service.time += 2 * DAY
    with pytest.raises(pg.PurposeMissing), service.guard.exception(subjects=["customer:1"], **stated):  # type: ignore[arg-type]
        raise AssertionError("an exception that has ended was entered")


def test_clause_11_a_renumbered_purpose_keeps_what_was_asked_for(store_url: str) -> None:
    """What was the first item of 2.2 becomes the twelfth, and something new takes its number."""
    tables = tm.NOTICE.dump()
    tables["revision"] = "2026-01-01"
    grant = next(one for one in tables["grant"] if one["clause"] == "2.2")
    moved = grant["purpose"][0]
    new = {"id": "2.2①", "class": "WebGames", "title": {"en": "Games", "ja": "ゲーム"}}
    grant["purpose"] = [new, *grant["purpose"][1:], {**moved, "id": "2.2⑫"}]
    for family in tables["family"]:
        family["purposes"] = ["2.2⑫" if one == "2.2①" else one for one in family["purposes"]]
    tables["renamed"] = [{"kind": "purpose", "old": "2.2①", "new": "2.2⑫"}]
    later = pg.Notice.parse(tables)
    with Governance(store_url, notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        governance.restrict(1, tm.WebProductGuidance)
        governance.restrict(2)
        assert not guard.allows("2.1(a)", "2.2①", subject=1)
        guard.replace(later)
        assert guard.allows("2.1(a)", "2.2①", subject=1)  # games were not spoken of
        assert not guard.allows("2.1(a)", "2.2⑫", subject=1)
        assert not guard.allows("2.1(a)", "2.2①", subject=2)
        # By rule 9 data of before serves what it served, under the new number, and not what has the old one.
        assert guard.allows(tm.WebContact, "2.2⑫")
        assert guard.allows(tm.WebContact, tm.WebProductGuidance)
        assert not guard.allows(tm.WebContact, "2.2①")


def swapped(notice: pg.Notice, one: str, other: str) -> pg.Notice:
    """The next revision, in which two purposes of 2.2 have each other's number."""
    tables = notice.dump()
    tables["revision"] = "2026-01-01"
    numbers = {one: other, other: one}
    for grant in tables["grant"]:
        for row in grant["purpose"]:
            row["id"] = numbers.get(row["id"], row["id"])
    for family in tables["family"]:
        family["purposes"] = [numbers.get(given, given) for given in family["purposes"]]
    tables["renamed"] = [{"kind": "purpose", "old": old, "new": new} for old, new in numbers.items()]
    return pg.Notice.parse(tables)


def test_clause_11_what_was_agreed_to_is_not_what_has_its_number_now(store_url: str) -> None:
    tables = tm.NOTICE.dump()
    next(one for one in tables["grant"] if one["clause"] == "2.2")["basis"] = "consent"
    first = pg.Notice.parse(tables)
    with Governance(store_url, notice=first) as governance:
        guard = pg.Guard(first, governance=governance)
        governance.consent(1, "2.2⑨")
        for _ in range(2):
            governance.consent(2, "2.2⑩")
        asked = governance.requests.open("suspension-of-use", subject=3, purposes=["2.2⑨"])
        governance.requests.verify(asked, how="in person", by="clerk")
        governance.consent(3, "2.2⑨")
        guard.replace(swapped(first, "2.2⑨", "2.2⑩"))
        assert guard.allows("2.1(a)", "2.2⑩", subject=1)  # usability of the site, as before
        assert not guard.allows("2.1(a)", "2.2⑨", subject=1)  # nobody asked for their preferences to be kept
        # It is withdrawn by what the purpose is called now.
        assert len(governance.withdraw(2, "2.2⑨")) == 2
        assert governance.withdraw(1, "2.2⑨") == ()
        report = governance.disclose(1, by="clerk")
        title = guard.notice.purpose("2.2⑩").title["en"]
        assert [(one.purpose, one.title) for one in report.consents] == [("2.2⑨", title)]
        # And what a request is about, too.
        restriction = governance.requests.fulfil(asked, by="clerk").restriction
        assert restriction is not None
        assert restriction.purposes == ("2.2⑩",)
        assert not guard.allows("2.1(a)", "2.2⑩", subject=3)
        assert [one.purposes for one in governance.disclose(3, by="clerk").requests] == [("2.2⑩",)]


def test_clause_8_what_is_erased_follows_its_source_to_the_number_that_it_has_now(store_url: str) -> None:
    """What is kept for years is not erased after the month for which what has its number now is kept."""
    tables = tm.NOTICE.dump()
    periods = [{"source": "1.1(a)", "days": 30}, {"source": "1.1(c)", "days": 3000}]
    tables["retention"] |= {"period": [{**one, "from": "collection"} for one in periods]}
    first = pg.Notice.parse(tables)
    later = pg.Notice.parse(renumbered_sources(first, {"1.1(a)": "1.1(c)", "1.1(c)": "1.1(a)"}))

    nothing = Rows({})
    with Governance(store_url, notice=first) as governance:
        guard = pg.Guard(first, governance=governance)
        governance.eraser(first.source("1.1(c)"), counted="collection", name="by class")(nothing)
        governance.eraser("1.1(c)", counted="collection", name="by id")(nothing)

        def kept() -> list[tuple[tuple[str, ...], int | None]]:
            parts = governance.retention.plan().parts
            return [(one.sources, None if one.period is None else one.period.days) for one in parts]

        assert kept() == [(("1.1(c)",), 3000)] * 2
        guard.replace(later)
        governance.eraser("1.1(a)", counted="collection", name="by its id now")(nothing)
        assert kept() == [(("1.1(a)",), 3000)] * 3


def renumbered_sources(notice: pg.Notice, numbers: dict[str, str]) -> dict[str, Any]:
    """The tables of the next revision, in which sources have other numbers."""

    def moved(given: Any) -> Any:
        if isinstance(given, dict):
            return {key: moved(one) for key, one in given.items()}
        if isinstance(given, list):
            return [moved(one) for one in given]
        return numbers.get(given, given) if isinstance(given, str) else given

    rows = [{"kind": "source", "old": old, "new": new} for old, new in numbers.items()]
    return {**moved(notice.dump()), "revision": "2026-01-01", "renamed": rows}


def test_clause_11_a_report_calls_a_renumbered_source_by_its_present_number(store_url: str) -> None:
    swapped = {"1.1(a)": "1.1(b)", "1.1(b)": "1.1(a)"}
    later = pg.Notice.parse(renumbered_sources(tm.NOTICE, swapped))
    with Governance(store_url, notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)

        @governance.holding("customers", realm="customer")
        def held(subject: str) -> Customer:
            return Customer(int(subject), "N", sealed("1@example.com"))

        before = governance.disclose("customer:1", by="privacy office")
        guard.replace(later)
        after = governance.disclose("customer:1", by="privacy office")
    assert [(one.id, one.in_force) for one in before.sources] == [("1.1(a)", True)]
    assert [(one.id, one.in_force) for one in after.sources] == [("1.1(b)", True)]
    assert after.sources[0].title == before.sources[0].title
    assert {one.id for one in after.purposes} == {one.id for one in before.purposes}
