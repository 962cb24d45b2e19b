"""The notice under the GDPR in `examples/gdpr`: what rests on which basis, and what that decides."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notice.bases import summarize_bases
from purposeguard.notice.codegen import generate
from purposeguard.policy.transfers import Recipient, Safeguard, list_objections
from tests.governance.support import Time

TOML = Path(__file__).resolve().parents[2] / "examples" / "gdpr" / "notice.toml"
NOTICE = pg.Notice.load(TOML)
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def earlier() -> pg.Notice:
    """The revision before: no coaching, and support cases were used to answer alone."""
    tables = NOTICE.dump()
    tables["revision"] = "2018-05-25"
    del tables["extension"]
    tables["grant"][3]["sources"] = ["2.3"]
    tables["grant"][5]["sources"] = ["2.4"]
    tables["derivation"] = []
    return pg.Notice.parse(tables)


HISTORY = pg.History(earlier(), NOTICE)


class Company:
    """A guard that holds to the notice, and a governance that keeps what riders asked for."""

    def __init__(self, folder: Path) -> None:
        self.time = Time(NOON)
        url = f"sqlite:///{folder / 'privacy.db'}"
        self.governance = Governance(url, notice=HISTORY, ledger=False, clock=lambda: self.time.now)
        self.guard = pg.Guard(HISTORY, governance=self.governance, clock=lambda: self.time.now)

    def allows(self, sources: object, purpose: str, channel: str | None = None, *, subject: object) -> bool:
        return self.guard.allows(sources, purpose, channel, subject=subject)  # type: ignore[arg-type]  # as callers give it


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    found = Company(tmp_path)
    with found.governance:
        yield found


def test_every_purpose_states_its_basis() -> None:
    stated: dict[str, set[str]] = {}
    for purpose, basis in summarize_bases(NOTICE.document).items():
        stated.setdefault(str(basis), set()).add(NOTICE.purpose(purpose).slug)
    assert stated == {
        "contract": {"order-fulfilment", "warranty", "customer-service", "ride-history"},
        "legitimate-interest": {"similar-products", "fraud-prevention", "service-improvement"},
        "consent": {"audience-measurement", "newsletter", "offers-by-phone", "coaching"},
        "vital-interest": {"crash-assistance"},
        "law": {"tax-records", "product-recall"},
    }


def test_its_vocabulary_is_a_module_like_any_other() -> None:
    module: dict[str, object] = {"__name__": "lindenrad"}
    exec(compile(generate(NOTICE), "lindenrad.py", "exec"), module)  # noqa: S102  # generated in the line before
    assert module["NOTICE"] == NOTICE
    assert NOTICE.source("account").title["ja"] == "氏名・メール・電話・住所"


def test_what_rests_on_consent_serves_those_who_gave_it_until_they_take_it_back(company: Company) -> None:
    assert not company.guard.allows("account", "newsletter", "email")
    assert not company.allows("account", "newsletter", "email", subject=7)
    company.governance.consent(7, "newsletter", by="subject")
    assert company.allows("account", "newsletter", "email", subject=7)
    assert not company.allows("account", "newsletter", "phone", subject=7)
    assert not company.allows("account", "newsletter", "email", subject=8)
    assert not company.allows("account", "offers-by-phone", "phone", subject=7)
    company.governance.withdraw(7, "newsletter", by="subject")
    with pytest.raises(pg.SubjectViolation, match="rests on consent"):
        company.guard.check("account", "newsletter", "email", subject=7)


def test_a_family_serves_by_whichever_basis_there_is(company: Company) -> None:
    # News of similar products go by e-mail in the interest of the company; by telephone only with consent.
    assert company.allows("account", "AnyOffer", "email", subject=7)
    assert not company.allows("account", "AnyOffer", "phone", subject=7)
    company.governance.consent(7, "offers-by-phone", by="subject")
    assert company.allows("account", "AnyOffer", "phone", subject=7)


def test_an_objection_stops_what_rests_on_an_interest_and_not_the_contract(company: Company) -> None:
    assert company.allows("account", "similar-products", "email", subject=7)
    company.governance.restrict(7, "similar-products", by="subject")
    assert not company.allows("account", "similar-products", "email", subject=7)
    assert company.allows("account", "order-fulfilment", subject=7)
    assert company.allows("account", "similar-products", "email", subject=8)


def test_a_contract_and_vital_interests_ask_for_no_consent(company: Company) -> None:
    assert company.allows(["account", "order"], "warranty", subject=7)
    assert company.allows("ride", "crash-assistance", subject=7)
    assert not company.allows("ride", "coaching", subject=7)
    company.governance.consent(7, "coaching", by="subject")
    assert company.allows(["ride", "fitness"], "coaching", subject=7)
    profile = company.guard.derive("link", "ride", "fitness")
    assert company.allows(profile, "coaching", subject=7)
    assert not company.allows(profile, "ride-history", subject=7)


def test_data_about_health_makes_no_offers_whatever_was_agreed(company: Company) -> None:
    for purpose in ("newsletter", "offers-by-phone", "audience-measurement"):
        company.governance.consent(7, purpose, by="subject")
        assert not company.allows("fitness", purpose, subject=7)


@pytest.mark.parametrize(
    ("source", "days", "start"),
    [("account", 1095, "ended"), ("order", 1095, "collected"), ("ride", 365, "collected"), ("ride", 30, "ended")],
)
def test_past_its_period_data_serves_what_law_demands(company: Company, source: str, days: int, start: str) -> None:
    purpose = {"account": "warranty", "order": "warranty", "ride": "ride-history"}[source]
    # What was collected so long ago was collected under the revision before, which granted it too.
    last, over = (pg.RowContext(7, **{start: NOON.date() - age * DAY}) for age in (days, days + 1))
    assert company.allows(source, purpose, subject=last)
    assert not company.allows(source, purpose, subject=over)
    if source == "ride":  # no law demands rides, and vital interests go no further than the period
        assert not company.allows(source, "crash-assistance", subject=over)
    else:
        assert company.allows(source, "tax-records", subject=over)


def test_days_are_those_of_berlin(company: Company) -> None:
    midnight = datetime.datetime(2025, 12, 31, 23, tzinfo=datetime.UTC)
    new, old = (
        pg.RowContext(7, collected=midnight),
        pg.RowContext(7, collected=midnight - datetime.timedelta(seconds=1)),
    )
    company.governance.consent(7, "coaching", by="subject", at=NOON)
    assert HISTORY.on(midnight) is NOTICE
    # The revision before did not use visits of customers' cases; since it was announced, it reaches them.
    assert company.allows("support-case", "service-improvement", subject=new)
    assert company.allows("support-case", "service-improvement", subject=old)
    assert company.allows("ride", "coaching", subject=old)


def test_earlier_data_serves_new_purposes_where_they_are_related_or_with_consent(company: Company) -> None:
    before = pg.RowContext(7, collected=datetime.date(2025, 6, 1))
    assert company.allows("support-case", "service-improvement", subject=before)
    assert not company.allows("ride", "coaching", subject=before)
    company.governance.consent(7, "coaching", by="subject")
    assert company.allows("ride", "coaching", subject=before)
    assert company.allows("fitness", "coaching", subject=before)


CONTRACT = Safeguard("processing-contract", "A-17", since=datetime.date(2025, 1, 1))


@pytest.mark.parametrize(
    ("kind", "country", "task", "expected"),
    [
        ("processor", "DE", None, True),
        ("processor", "FR", None, False),
        ("processor-abroad", "FR", None, True),
        ("processor-abroad", "IS", None, True),
        ("processor-abroad", "JP", None, True),
        ("processor-abroad", "CH", None, True),
        ("processor-abroad", "IN", None, False),
        ("processor-abroad", "US", "hosting", False),
        ("certified-company", "US", "hosting", True),
        ("certified-company", "US", "marketing", False),
    ],
)
def test_data_goes_where_protection_is_equivalent(kind: str, country: str, task: str | None, expected: bool) -> None:
    recipient = Recipient(
        "it", kind, country, safeguards=[CONTRACT], supervised_on=datetime.date(2025, 6, 1), products=["the app"]
    )
    product = "the app" if task else None
    found = list_objections(NOTICE.document, recipient, product=product, task=task, today=NOON.date())
    assert (not found) is expected, found


def test_a_request_is_to_be_answered_within_a_month(company: Company) -> None:
    request = company.governance.requests.open("access", by="subject", subject=7)
    assert request.due_on == NOON.date() + 30 * DAY
