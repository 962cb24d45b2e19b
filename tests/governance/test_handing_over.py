"""Clauses 4 to 7 together: hand-overs by a guard with a governance, on both databases."""

import datetime
from dataclasses import dataclass
from datetime import UTC, date
from typing import Annotated

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, UnknownRecipient
from purposeguard.governance.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from purposeguard.values.markers import Subject

NOW = datetime.datetime(2026, 6, 15, 3, 0, tzinfo=UTC)
CONTRACT = Safeguard("contract", "2026-117", since=date(2026, 4, 1))


@dataclass
class Customer:
    id: Annotated[int, Subject]
    email: Annotated[str, tm.Registration]


@pytest.fixture
def governance(store_url):
    with Governance(store_url, notice=tm.NOTICE, clock=lambda: NOW) as made:
        yield made


@pytest.fixture
def guard(governance):
    return pg.Guard(tm.NOTICE, governance=governance, clock=lambda: NOW)


@pytest.fixture
def letters(guard):
    """What prints letters at a mail house, and those who got one."""
    printed: list[int] = []

    @guard.purpose(tm.RenewalGuidance, activity="reminders")
    @guard.entrust("mail-house", means="storage-media")
    def letters(customers: list[Customer]) -> list[int]:
        printed.extend(one.id for one in customers)
        return printed

    return letters


def kinds(governance):
    return [entry.kind for entry in governance.ledger.entries()]


def test_from_the_register_to_the_disclosure(governance, letters):
    register = governance.provisions.recipients
    customers = [Customer(7, "hanako@example.jp"), Customer(8, "taro@example.jp")]
    with pytest.raises(UnknownRecipient):
        letters(customers)
    register.register(Recipient("mail-house", "domestic-contractor", "JP", name="Mail House"), by="procurement")
    with pytest.raises(pg.RecipientViolation, match="no supervision"):
        letters(customers)
    register.supervise("mail-house", date(2026, 5, 1), by="DPO")
    with pytest.raises(pg.RecipientViolation, match="no safeguard"):
        letters(customers)
    register.add_safeguard("mail-house", CONTRACT, by="legal")
    assert letters(customers) == [7, 8]

    governance.subjects.restrict(7, kind="stop-of-provision")
    with pytest.raises(pg.SubjectViolation):
        letters(customers)
    assert letters(customers[1:]) == [7, 8, 8]
    assert [len(governance.provisions.of(key)) for key in (7, 8, 9)] == [1, 2, 0]

    governance.ledger.flush()
    found = [kind for kind in kinds(governance) if kind != "use"]
    # The second refusal reads as the first one, within a minute: it is counted.
    assert found == ["denial", "provision", "restriction", "denial", "provision"]
    with governance.ledger.reading() as reading:
        assert list(reading.head.repeated.values()) == [1]
    (told,) = governance.disclose(7, by="DPO").provisions
    assert (told.recipient, told.country, told.means, told.sources) == (
        "Mail House",
        "JP",
        "Storage media",
        ("1.1(a)",),
    )


def test_what_cannot_be_recorded_is_not_handed_over(governance, letters):
    governance.provisions.recipients.register(
        Recipient("mail-house", "domestic-contractor", "JP", safeguards=[CONTRACT], supervised_on=date(2026, 5, 1))
    )
    assert letters([Customer(7, "hanako@example.jp")]) == [7]
    with governance.store.writing() as connection:
        connection.execute(sa.text("DROP TABLE purposeguard_provided_subject"))
    with pytest.raises(StoreUnavailable):
        letters([Customer(8, "taro@example.jp")])
    assert len(governance.provisions.since(NOW)) == 1
    assert kinds(governance).count("provision") == 1
