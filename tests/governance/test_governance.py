"""Governance as a whole, asked by a guard: what is asked for at the desk decides, and what is held is disclosed."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import RequestError, StoreUnavailable, UnknownRecipient
from purposeguard.governance import Governance, Store
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.subjects import Subjects
from purposeguard.notice.history import History
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.observer import Tick
from purposeguard.values.markers import Subject
from tests.governance.disclosures import NOTICE, NOW
from tests.governance.ledger.places import PROVISION
from tests.governance.support import DAY, Time, entries, refusing

ROOT = Path(__file__).resolve().parents[2]


def opened(store: Store | str, **options: Any) -> Governance:
    return Governance(store, **{"notice": NOTICE, "clock": Time(NOW), **options})


def guarded(governance: Governance, clock: Time | None = None) -> pg.Guard:
    return pg.Guard(NOTICE, governance=governance, clock=clock or Time(NOW))


class Customer(BaseModel):
    id: Annotated[int, Subject]
    email: Annotated[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData]


def test_what_is_asked_for_without_a_desk(store: Store) -> None:
    with opened(store) as governance:
        made = governance.restrict(7, kind="stop-of-provision")
        governance.consent(7, "1.2(1)②")
        assert governance.preferences("7") == SubjectPreferences(
            provision_stopped=True, consents=frozenset({("1.2(1)②", NOTICE.revision)})
        )
        governance.lift(made)
        governance.withdraw(7)
        assert governance.preferences("7") == SubjectPreferences()


def test_it_is_an_oversight(store: Store) -> None:
    with opened(store, requires_subject=True) as governance:
        assert governance.requires_subject
        guard = guarded(governance)
        assert guard.governance is governance
        assert guard.ledger is governance.ledger
        with pytest.raises(UnknownRecipient):
            governance.recipient("mail-house")
        assert repr(governance) == f"<Governance of trendmicro-jp in {store.where}>"
    with opened(store) as governance:
        assert not governance.requires_subject


def provision() -> Provision:
    terms: dict[str, Any] = {"kind": "overseas-contractor", "country": "US", "purpose": "1.2(1)②", "means": "email"}
    return dataclasses.replace(PROVISION, **terms, at=NOW, name='"><img src=x>Mail House')


def test_clause_5_a_hand_over_is_on_record_and_in_the_report(store: Store) -> None:
    with opened(store) as governance:
        governance.provided(provision())
        assert [entry.kind for entry in entries(governance)] == ["provision"]
        (told,) = governance.disclose(7, by="clerk").provisions
        assert (told.recipient, told.kind) == ('"><img src=x>Mail House', "Contractor abroad")
        assert (told.country, told.country_title) == ("US", "United States")
        assert (told.means, told.purpose_title) == ("E-mail", "Guidance on products")
        assert told.at.isoformat() == "2026-05-03T07:30:00+09:00"
        (said,) = governance.disclose(8, by="clerk", language="ja").provisions
        assert (said.kind, said.country_title, said.means) == ("海外委託先", "米国", "電子メール")
        assert governance.disclose(9, by="clerk").provisions == ()


def test_a_ledger_elsewhere_is_told_of_everything(store: Store, tmp_path: Path) -> None:
    elsewhere = Store.open(f"sqlite:///{tmp_path}/ledger.db")
    with elsewhere, SqlLedger(elsewhere) as ledger, opened(store, ledger=ledger) as governance:
        governance.provided(provision())
        governance.requests.open("erasure", subject=7)
        governance.restrict(7)
        assert governance.ledger is ledger
        assert [entry.kind for entry in ledger.entries()] == ["provision", "request", "restriction"]


class Uses:
    """The least that is a ledger: it is told of uses and denials."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def denied(self, error: Any, *, observed: bool) -> None:
        self.told.append("denied")

    def counter(self, activity: Any, purpose: str, label: pg.Label) -> Tick:
        return functools.partial(self.told.append, "allowed")

    def reclassified(self, declared: Any, label: pg.Label, activity: Any) -> None:
        self.told.append("reclassified")


def test_a_ledger_that_knows_only_of_uses_will_do_and_so_will_none(store: Store) -> None:
    for ledger in (Uses(), False):
        with opened(store, ledger=ledger) as governance:
            governance.provided(provision())
            asked = governance.requests.open("erasure", subject=7)
            governance.requests.refuse(asked, reason="x", by="clerk")
            governance.restrict(8)
            assert governance.ledger is (ledger or None)
            guard = guarded(governance)
            guard.check(tm.Registration, "1.2(2)①")
            assert not isinstance(ledger, Uses) or ledger.told == ["allowed"]


def revised() -> pg.Notice:
    tables = copy.deepcopy(NOTICE.dump())
    tables["revision"] = "2026-05-01"
    tables["timezone"] = "UTC"
    tables["rights"]["days"] = 30
    tables["grant"][0]["purpose"].append(
        {"id": "1.2(1)⑥", "class": "Raffle", "title": {"en": "Raffles", "ja": "抽選"}, "basis": "consent"}
    )
    return pg.Notice.parse(tables)


def test_the_notice_is_the_guard_s_whenever_that_is_replaced(store: Store) -> None:
    with opened(store) as governance:
        guard = guarded(governance)
        with pytest.raises(pg.UnknownPurpose):
            governance.consent(7, "1.2(1)⑥")
        assert governance.requests.open("erasure").due_on == datetime.date(2026, 5, 17)
        guard.replace(revised())
        assert governance.notice is guard.notice
        governance.consent(7, "1.2(1)⑥")
        assert governance.preferences("7").consents == {("1.2(1)⑥", datetime.date(2026, 5, 1))}
        assert governance.requests.open("erasure").due_on == datetime.date(2026, 6, 1)
        assert governance.retention.plan().today == datetime.date(2026, 5, 2)
        assert governance.disclose(7, by="clerk").notice.revision == datetime.date(2026, 5, 1)


def test_without_a_guard_the_notice_is_set(store: Store) -> None:
    with opened(store, notice=History(NOTICE, revised())) as governance:
        assert governance.notice.revision == datetime.date(2026, 5, 1)
        governance.notice = NOTICE
        assert governance.requests.days == 14
        other = pg.Notice.parse(NOTICE.dump() | {"id": "another"})
        with pytest.raises(pg.NoticeError, match="is another notice than `trendmicro-jp`"):
            governance.notice = other
        with pytest.raises(pg.NoticeError, match="is another notice"):
            governance.attach(pg.Guard(other))
    future = pg.Notice.parse(NOTICE.dump() | {"revision": "2030-01-01"})
    with pytest.raises(pg.NoticeError, match="none is in force yet: the first is of 2030-01-01"):
        opened(store, notice=History(future))
    with pytest.raises(TypeError, match="needs a Notice, a History or Notices, not str"):
        opened(store, notice="trendmicro-jp")


def test_a_report_is_made_under_an_exception_that_is_on_record(store: Store) -> None:
    with opened(store) as governance:
        guard = guarded(governance)

        @governance.holding("customers")
        @guard.access
        def customers(key: str) -> Customer:
            return Customer(id=int(key), email="a@example.org", device=pg.Personal("TM-99", tm.ProductData))

        asked = governance.requests.open("disclosure", subject=7)
        governance.requests.verify(asked, how="log-in", by="clerk")
        answer = governance.requests.fulfil(asked, by="clerk 3", language="ja", values=True)
        assert answer.report is not None
        (record,) = answer.report.holdings[0].records
        assert [(one.path, one.value) for one in record.items] == [("email", "a@example.org"), ("device", "TM-99")]
        assert (answer.report.request, answer.report.language) == (asked.id, "ja")
        assert [(one.id, one.state) for one in answer.report.requests] == [(asked.id, "verified")]
        told = [entry.body for entry in entries(governance, "exception")]
        he = store.pseudonym("7")
        assert {(one["subject"], *one["sources"]) for one in told} == {(he, "1.1(a)"), (he, "1.1(b)")}
        why = f"the subject's report (clause 7), request {asked.id}"
        assert {(one["approver"], one["reason"]) for one in told} == {("clerk 3", why)}
        assert "a@example.org" not in str([entry.body for entry in entries(governance)])


def test_a_report_without_values_opens_nothing(store: Store) -> None:
    with opened(store) as governance:
        governance.holding("customers")(
            lambda key: Customer(id=int(key), email="a@example.org", device=pg.Personal("TM-99", tm.ProductData))
        )
        assert "TM-99" not in governance.disclose(7, by="clerk").to_json()
        with refusing("under a guard's exception"):
            governance.disclose(7, by="clerk", values=True)
        guarded(governance)
        assert "TM-99" in governance.disclose(7, by="clerk", values=True).to_json()


def test_a_guarded_holding_is_not_read_where_nobody_could_record_it(store: Store) -> None:
    with opened(store, ledger=False) as governance:
        guard = guarded(governance)

        @governance.holding("customers")
        @guard.access
        def customers(key: str) -> Customer:
            raise AssertionError("it was read")

        with pytest.raises(pg.PurposeMissing):
            governance.disclose(7, by="clerk")


def test_a_report_tells_what_was_asked_for_and_agreed_to(store: Store) -> None:
    time = Time(NOW)
    with opened(store, clock=time) as governance:
        desk = governance.requests
        agent: Any = {"requester": "agent", "authority": "x"}
        asked = desk.open("suspension-of-use", subject=7, purposes=["1.2(1)①"], **agent)
        desk.verify(asked, how="x", by="clerk")
        made = desk.fulfil(asked, by="clerk").restriction
        desk.refuse(desk.open("erasure", subject=7), reason="invoices are kept", by="clerk")
        governance.consent(7, "1.2(1)②", until=NOW + 300 * DAY)
        time.passes(days=1)
        assert made is not None
        governance.lift(made)
        report = governance.disclose(7, by="clerk")
        (restriction,) = report.restrictions
        assert (restriction.title, restriction.purposes) == ("Suspension of use", ("1.2(1)①",))
        assert (restriction.requester, restriction.lifted_at) == ("agent", NOW + DAY)
        assert [(one.title, one.state, one.reason) for one in report.requests] == [
            ("Suspension of use", "fulfilled", None),
            ("Erasure", "refused", "invoices are kept"),
        ]
        assert report.requests[0].received_on == datetime.date(2026, 5, 3)
        (consent,) = report.consents
        assert (consent.title, consent.withdrawn_at) == ("Guidance on products", None)
        assert governance.disclose("nobody", by="clerk").requests == ()


def test_what_a_later_notice_has_no_word_for_is_told_by_its_id(store: Store) -> None:
    with opened(store) as governance:
        governance.provided(provision())
        governance.restrict(7)
        governance.consent(7, "1.2(1)②")
        governance.requests.open("erasure", subject=7)
        without = {"rights", "transfer", "entrustment", "safeguards", "family"}
        tables = {key: value for key, value in copy.deepcopy(NOTICE.dump()).items() if key not in without}
        tables["grant"][0]["purpose"] = tables["grant"][0]["purpose"][:1]
        governance.notice = pg.Notice.parse(tables)
        report = governance.disclose(7, by="clerk")
        assert [one.title for one in report.restrictions] == ["suspension-of-use"]
        assert [one.title for one in report.consents] == ["1.2(1)②"]
        assert [one.title for one in report.requests] == ["erasure"]
        (told,) = report.provisions
        assert (told.kind, told.country_title, told.means) == ("overseas-contractor", "US", "email")
        assert told.purpose_title == "1.2(1)②"
        assert "US" in report.to_html()


def test_holdings_of_a_realm_are_asked_for_its_ids(store: Store) -> None:
    class Lead(BaseModel):
        id: Annotated[int, Subject("lead")]
        email: Annotated[str, tm.WebContact]

    asked: list[str] = []

    def leads(key: str) -> Lead:
        asked.append(key)
        return Lead(id=int(key), email="a@example.org")

    with opened(store) as governance:
        governance.holding("leads", realm="lead")(leads)
        assert len(governance.disclose("lead:7", by="clerk").holdings[0].records) == 1
        assert governance.disclose("customer:7", by="clerk").holdings[0].records == ()
        assert governance.disclose("7", by="clerk").holdings[0].records == ()
    assert asked == ["7"]


def test_what_it_opened_it_closes_and_what_it_was_given_stays(store_url: str, store: Store) -> None:
    with opened(store):
        pass
    with store.reading():
        pass
    governance = opened(store_url)
    governance.restrict(7)
    governance.close()
    governance.close()
    with pytest.raises(StoreUnavailable):
        governance.preferences("7")
    with opened(store_url) as again:
        assert again.preferences("7").all_suspended


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        opened(f"sqlite:///{tmp_path}/missing/store.db")
    with pytest.raises(ValueError, match="a store's URL"):
        opened("mysql://there")
    with pytest.raises(ValueError, match="poll"):
        opened(f"sqlite:///{tmp_path}/store.db", staleness=0)
    with opened(f"sqlite:///{tmp_path}/store.db", days=7) as governance:
        assert governance.requests.days == 7


WITHOUT = """
import sys
import textwrap

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import purposeguard
assert "sqlalchemy" not in sys.modules
try:
    import purposeguard.governance
except ModuleNotFoundError as error:
    print(error.name, error)
"""


@pytest.mark.parametrize("name", ["sqlalchemy", "alembic"])
def test_what_is_to_be_installed_is_said(name: str) -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT, name], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == (
        f"{name} purposeguard.governance needs {name}, which is not installed: pip install 'purposeguard[governance]'\n"
    )


def test_a_report_answers_a_request_of_its_subject(store: Store) -> None:
    with Governance(store, notice=tm.NOTICE) as governance:
        mine = governance.requests.open("disclosure", subject="customer:1")
        theirs = governance.requests.open("disclosure", subject="customer:2")
        assert governance.disclose("customer:1", by="office", request=mine.id).request == mine.id
        for number in (theirs.id, theirs.id + 1, -1, 10**23):
            with pytest.raises(RequestError, match="no request"):
                governance.disclose("customer:1", by="office", request=number)


def test_nothing_is_known_of_a_store_that_is_opened_in_another_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreferenceCache, "_get_watcher", lambda _: None)
    store = Store.open(f"sqlite:///{tmp_path}/one.db")
    subjects = Subjects(store, tm.NOTICE)
    all_preferences = PreferenceCache(subjects, staleness=60, poll=30)  # nobody looks meanwhile
    try:
        subjects.restrict(7)
        assert all_preferences.preferences("7").all_suspended
        store.close()
        store.connect(f"sqlite:///{tmp_path}/two.db")
        assert not all_preferences.preferences("7").all_suspended
    finally:
        all_preferences.close()
        store.close()


def test_what_is_counted_after_the_end_is_not_lost_in_silence(tmp_path: Path) -> None:
    """An activity that names no subject goes on when governance is closed, and counts what it uses."""
    program = """
        import sys
        import purposeguard as pg
        from purposeguard.governance import Governance
        from purposeguard.notices import trendmicro_jp as tm

        governance = Governance(sys.argv[1], notice=tm.NOTICE)
        guard = pg.Guard(tm.NOTICE, governance=governance)
        value = pg.Personal("x", tm.Registration)
        with guard.purpose(tm.RenewalGuidance, activity="late") as use:
            use.open(value)
            governance.close()
            for _ in range(3):
                use.open(value)
    """
    url = f"sqlite:///{tmp_path}/store.db"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), url], capture_output=True, text=True, check=True
    )
    assert "3 counted uses are lost" in run.stderr
    assert "3 by late for 1.2(1)① of 1.1(a)" in run.stderr
