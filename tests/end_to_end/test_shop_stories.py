"""The shop while people change their minds and the notice is revised, in any order: each activity keeps to both."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis.stateful import rule, run_state_machine_as_test

import purposeguard as pg
from examples.shop import database, revisions
from examples.shop.activities import laboratory, mail, newsletter, support, telemetry, visits
from examples.shop.activities.newsletter import Issue
from examples.shop.mailer import MemoryMailer
from examples.shop.models import NewRecipient, NewRequest
from examples.shop.privacy import governance, guard
from examples.shop.reports import campaign, figures, files, reading, warehouse
from examples.shop.repository import add_events
from examples.shop.routes import office, rights, work
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.observer import Observer
from purposeguard.runtime.registry import Activity
from purposeguard.testing.stateful import PurposeMachine, WrittenDown
from tests.end_to_end.conftest import LABORATORY

CUSTOMER, LEAD, PROSPECT = "customer:1", "lead:1", "prospect:1"
COLLECTED = date(2024, 5, 1)
ISSUE = Issue(subject="News", body="Please update.")


class Told(Observer):
    """Tells a machine's ledger what the shop's is told."""

    def __init__(self, ledger: WrittenDown) -> None:
        self._ledger = ledger

    def decided(self, verdict: Verdict, *, used: bool, activity: Activity | None, **_beside: object) -> None:
        if used and verdict.allowed and activity is not None:
            self._ledger.counter(activity.name, activity.purpose_id, verdict.label)()

    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None:
        self._ledger.denied(error, observed=observed)


class ShopMachine(PurposeMachine):
    """What people ask for goes to the desk, and is fulfilled at once."""

    history = pg.History(*revisions.REVISIONS.values())
    subjects = (CUSTOMER, LEAD, PROSPECT)
    kept: Path
    """The folder with databases to begin with."""

    def make_guard(self) -> pg.Guard:
        self.ending = ExitStack()
        self.folder = Path(self.ending.enter_context(tempfile.TemporaryDirectory()))
        shutil.copy(self.kept / "people.db", self.folder)
        shutil.copy(self.kept / "privacy.db", self.folder)
        url = f"sqlite:///{self.folder / 'people.db'}"
        self.ending.callback(database.connect(url).dispose)
        self.ending.callback(reading.connect(url).dispose)
        with database.Session.begin() as session:
            for table in (database.CustomerRow, database.LeadRow, database.ProspectRow):
                session.execute(sa.update(table).values(registered_on=COLLECTED))
        add_events(())  # what was counted before is counted anew
        governance.open(f"sqlite:///{self.folder / 'privacy.db'}")
        self.ending.callback(governance.close)
        revisions.put_in_force(revisions.PUBLISHED)
        self.ending.callback(revisions.put_in_force, revisions.PUBLISHED)
        told = Told(self.ledger)
        guard.engine.add_observer(told)
        self.ending.callback(guard.engine.remove_observer, told)
        office.register("crash-lab", NewRecipient.model_validate(LABORATORY))
        return guard

    def start(self) -> None:
        self.mailer = MemoryMailer()

    def teardown(self) -> None:
        super().teardown()
        self.ending.close()

    def asked(self, kind: str, subject: object, purposes: list[str] | None = None) -> None:
        number = rights.receive(NewRequest(kind=kind, subject=str(subject), purposes=purposes)).id
        rights.verify(number, how="called back", by="clerk")
        assert rights.fulfil(number, by="clerk").request.state == "fulfilled"

    def stopped(self, subject: object, purpose: str | None) -> None:
        self.asked("suspension-of-use", subject, None if purpose is None else [purpose])

    def erased(self, subject: object) -> None:
        self.asked("erasure", subject)

    def permitted(self, subject: object) -> None:
        for one in governance.subjects.of(str(subject)).restrictions:
            if one.kind == "suspension-of-use" and one.lifted is None:
                governance.lift(one)

    def consented(self, subject: object, purpose: str) -> None:
        governance.consent(str(subject), purpose)

    def withdrew(self, subject: object) -> None:
        governance.withdraw(str(subject))

    def revised(self, history: pg.History) -> None:
        revisions.put_in_force(self.notice.revision)

    def may(self, sources: Any, purpose: Any, **about: Any) -> bool:
        """The shop names terms of the published revision, whichever is in force."""
        asked = tm.NOTICE.purpose_or_family(purpose)
        named = sources if isinstance(sources, pg.Label) else pg.Label(sources)
        label = pg.Label(*(self.notice.source(one.clause) for one in named))
        return super().may(label, asked.name if isinstance(asked, pg.Family) else asked.clause, **about)

    def serves(self, subject: str, purpose: Any, *sources: Any, channel: str | None = None) -> int:
        """How many of one: whether what the shop has of them may be used now."""
        collected = None if tm.ProductData in sources or tm.Cookie in sources else COLLECTED
        label = pg.Label(*sources)
        return int(self.may(label, purpose, channel=channel, subject=subject, collected=collected))

    @rule()
    def remind(self) -> None:
        sent = mail.remind_of_renewal(date(2031, 1, 1), self.mailer)
        assert sent.customers == self.serves(
            CUSTOMER, tm.RenewalGuidance, tm.Registration, tm.Contract, channel="email"
        )

    @rule()
    def look_at_a_card(self) -> None:
        with guard.purpose(tm.RenewalGuidance):
            card = work.renewal_card(1).model_dump()
        assert ("name" in card) == bool(self.serves(CUSTOMER, tm.RenewalGuidance, tm.Registration))
        assert "devices" not in card

    @rule()
    def send_security_news(self) -> None:
        sent = asyncio.run(newsletter.send_security_newsletter(ISSUE, self.mailer))
        family = tm.AnySecurityInformation
        assert sent.customers == self.serves(CUSTOMER, family, tm.Registration, channel="email")
        assert sent.leads == self.serves(LEAD, family, tm.WebContact, channel="email")
        assert sent.prospects == self.serves(PROSPECT, family, tm.ProspectContact, channel="email")

    @rule()
    def send_product_news(self) -> None:
        family = tm.AnyProductGuidance
        granted = self.may(tm.WebContact, family, channel="email", collected=COLLECTED)
        try:
            sent = newsletter.send_product_newsletter(ISSUE, self.mailer)
        except pg.PurposeViolation:
            assert not granted
            return
        assert granted
        assert sent.customers == self.serves(CUSTOMER, family, tm.Registration, channel="email")
        assert sent.leads == self.serves(LEAD, family, tm.WebContact, channel="email")
        assert sent.prospects == self.serves(PROSPECT, family, tm.ProspectContact, channel="email")

    @rule()
    def warn(self) -> None:
        with self.expecting(tm.WebContact, tm.WebSecurityMail, channel="email", subject=LEAD, collected=COLLECTED):
            newsletter.warn_lead(1, "email", ISSUE, self.mailer)

    @rule()
    def help(self) -> None:
        with self.expecting(
            tm.Registration, tm.ProductProvision, channel="email", subject=CUSTOMER, collected=COLLECTED
        ):
            support.help_customer(1, "Sorry.", self.mailer)

    @rule()
    def answer(self) -> None:
        with self.expecting(tm.WebContact, tm.AnyInquiryResponse, channel="email", subject=LEAD, collected=COLLECTED):
            support.answer_inquiry(1, "Yes.", self.mailer)

    @rule()
    def read_inquiries(self) -> None:
        family = tm.AnyInquiryResponse
        with guard.purpose(tm.AnyInquiryResponse):
            inquiries = [one.model_dump(exclude_none=True) for one in work.inquiries()]
        assert bool(inquiries[0]["lead"]) == bool(self.serves(LEAD, family, tm.WebContact))
        assert bool(inquiries[1]["prospect"]) == bool(self.serves(PROSPECT, family, tm.ProspectContact))
        assert inquiries[2]["customer"] == {}

    @rule()
    def show_devices(self) -> None:
        with self.expecting(tm.ProductData, tm.ProductProvision, channel="in_product", subject=CUSTOMER):
            assert telemetry.devices_in_use(1) == ["laptop-a", "phone-b"]

    @rule()
    def hand_over(self) -> None:
        with self.expecting(tm.ProductData, tm.ProductImprovement, subject=CUSTOMER):
            assert laboratory.hand_over_crashes(1) == 1

    @rule()
    def count_crashes(self) -> None:
        reports = 2 * self.serves(CUSTOMER, tm.ProductImprovement, tm.ProductData)
        assert telemetry.crashes("Shield").events == reports
        assert telemetry.compare_products(["Shield"])[0].events == reports
        assert len(list(telemetry.export_slow_events("Shield", 0.0))) == reports
        assert sum(one.runs for one in figures.crashes_before_renewal()) == reports

    @rule()
    def count_visits(self) -> None:
        (traffic,) = visits.traffic()
        assert traffic.visits == 1 + self.serves(CUSTOMER, tm.TrafficAnalysis, tm.Cookie)

    @rule()
    def count_renewals(self) -> None:
        assert len(figures.renewals_due()) == 2 * self.serves(CUSTOMER, tm.RenewalGuidance, tm.Contract)

    @rule()
    def export(self) -> None:
        files.export_contacts(self.folder)
        files.export_events(self.folder)

    @rule()
    def invite(self) -> None:
        if not (self.folder / files.CONTACTS).exists():
            self.export()
        family = tm.AnyEventInvitation
        listed = {row["person"] for row in _rows(self.folder / files.CONTACTS)}
        may = {
            CUSTOMER: self.serves(CUSTOMER, family, tm.Registration, channel="email"),
            LEAD: self.serves(LEAD, family, tm.WebContact, channel="email"),
            PROSPECT: self.serves(PROSPECT, family, tm.ProspectContact, channel="email"),
        }
        assert campaign.invite(ISSUE, self.folder, self.mailer).written_to == sum(may[one] for one in listed)
        speed = warehouse.fill(self.folder)
        listed = {row["person"] for row in _rows(self.folder / files.EVENTS)}
        may = {CUSTOMER: self.serves(CUSTOMER, tm.ProductImprovement, tm.ProductData)}
        assert len(speed) == sum(may[one] for one in listed)


def _rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_whatever_happens_in_whatever_order(kept: Path) -> None:
    class Machine(ShopMachine):
        pass

    Machine.kept = kept
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=5,
            stateful_step_count=20,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
        ),
    )
