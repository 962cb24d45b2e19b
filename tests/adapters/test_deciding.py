"""What adapters ask of a guard: columns are decided at once, rows by a rule, and the ledger is told of both."""

from __future__ import annotations

import concurrent.futures
import datetime
import logging
from collections.abc import Iterable
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.row_rule import DaySpan, KeySet, id_meant, spellings
from purposeguard.adapters.tags import Columns, columns_of
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.runtime.protocols import Roster
from tests.oversights import STOPPED, Told
from tests.support import RecordingLedger

NOTICE = tm.NOTICE
SALES = columns_of(
    NOTICE,
    {
        "id": (pg.Subject, pg.NotPersonal),
        "email": tm.Registration,
        "total": tm.Contract,
        "device": tm.ProductData,
        "country": pg.NotPersonal,
    },
)
MIXED = columns_of(
    NOTICE, {"who": pg.Subject, "name": pg.ByRow, "origin": pg.RowSource, "since": pg.Collected, "n": pg.NotPersonal}
)


def kinds(ledger: RecordingLedger) -> list[tuple[type[Exception], bool]]:
    return [(type(error), observed) for error, observed in ledger.denials]


def _demand(decider: Decider, names: Iterable[str], table: str = "sales") -> Demand:
    return decider.demand({table: (SALES, names)})


def test_what_is_granted_may_be_used(guard: pg.Guard) -> None:
    decider = Decider(guard)
    demand = _demand(decider, ["id", "email", "total", "country"])
    assert demand.fields == (("sales.email", pg.Label(tm.Registration)), ("sales.total", pg.Label(tm.Contract)))
    with guard.purpose(tm.RenewalGuidance):
        decider.check_demand(demand)
        decider.check_demand(demand)  # the short way
    with pytest.raises(pg.PurposeMissing, match=r"^read of `sales` in tests\.adapters\.test_deciding\.test_what_is_"):
        decider.check_demand(demand)


def test_what_is_not_granted_is_refused_by_its_name(guard: pg.Guard) -> None:
    decider = Decider(guard)
    demand = _demand(decider, ["email", "device"])
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation) as caught:
        decider.check_demand(demand)
    assert caught.value.field == "sales.device"
    assert "renewal-guidance (1.2(1)①) may not use product-data (1.1(b)), in field `sales.device`" in str(caught.value)


def test_what_is_not_personal_needs_no_purpose() -> None:
    decider = Decider(pg.Guard(NOTICE))
    demand = _demand(decider, ["id", "country"])
    assert not demand.is_personal
    decider.check_demand(demand)
    decider.check_demand(Demand(()))
    assert repr(demand) == "<Demand nothing personal>"


def test_a_column_without_a_tag_is_refused() -> None:
    decider = Decider(pg.Guard(NOTICE))
    with pytest.raises(pg.UnlabelledData, match=r"`sales\.nick` carries no tag"):
        _demand(decider, ["nick"])
    with pytest.raises(pg.UnlabelledData, match="`nick` carries no tag"):
        decider.demand({"": (SALES, ["nick"])})


def test_uses_are_told_to_the_ledger() -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(NOTICE, ledger=ledger)
    decider = Decider(guard)
    with guard.purpose(tm.RenewalGuidance, activity="letters"):
        decider.check_demand(_demand(decider, ["email", "total"]))
        decider.check_demand(_demand(decider, ["email"]))
        with pytest.raises(pg.PurposeViolation):
            decider.check_demand(_demand(decider, ["device"]))
    found = {(activity, label): times for activity, _, label, times in ledger.uses}
    assert found == {("letters", pg.Label(tm.Registration)): 2, ("letters", pg.Label(tm.Contract)): 1}
    assert kinds(ledger) == [(pg.PurposeViolation, False)]


def test_denials_that_are_only_observed_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(NOTICE, mode="observe", ledger=ledger)
    decider = Decider(guard)
    with guard.purpose(tm.RenewalGuidance), caplog.at_level(logging.WARNING, "purposeguard"):
        decider.check_demand(_demand(decider, ["email", "device"]))
    assert kinds(ledger) == [(pg.PurposeViolation, True)]
    assert [label for _, _, label, _ in ledger.uses] == [pg.Label(tm.Registration)]
    with caplog.at_level(logging.WARNING, "purposeguard"):
        decider.check_demand(_demand(decider, ["email"]))  # outside any purpose
    assert kinds(ledger)[1:] == [(pg.PurposeMissing, True)]
    where = f"read of `sales` in {__name__}.test_denials_that_are_only_observed_are_told_once_each (test_deciding.py:"
    assert str(ledger.denials[1][0]).startswith(where)
    assert caplog.messages[-1].startswith(f"observed, not enforced: {where}")


def test_a_missing_purpose_names_the_tables_and_the_caller_of_the_library() -> None:
    decider = Decider(pg.Guard(NOTICE))
    demand = decider.demand({"sales": (SALES, ["email"]), "shop": (SALES, ["email"])}, kind="insert", target="kept")
    library: dict[str, Any] = {"__name__": "sqlalchemy.orm.session"}
    exec("def execute(run, *args):\n    return run(*args)", library)  # noqa: S102  # a frame of a library
    with pytest.raises(pg.PurposeMissing) as caught:
        library["execute"](decider.check_demand, demand)
    line = caught.traceback[0].lineno + 1
    where = (
        f"{__name__}.test_a_missing_purpose_names_the_tables_and_the_caller_of_the_library (test_deciding.py:{line})"
    )
    assert str(caught.value).startswith(f"insert of `kept`, `sales`, `shop` in {where} outside any purpose: decorate")
    assert Demand.together([demand, _demand(decider, ["email"])]).tables == ("kept", "sales", "shop", "sales")


def test_a_thread_of_a_library_has_no_caller_to_name() -> None:
    decider = Decider(pg.Guard(NOTICE))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        missing = pool.submit(decider.check_demand, _demand(decider, ["email"])).exception()
    assert isinstance(missing, pg.PurposeMissing)
    assert str(missing).startswith("read of `sales` outside any purpose: ")


def _refused(decider: Decider, tables: dict[str, tuple[Columns, list[str]]]) -> str:
    with pytest.raises(pg.UnlabelledData) as caught:
        decider.check_demand(decider.demand(tables))
    return " ".join(str(caught.value).split())


def test_a_table_whose_rows_say_their_sources_is_to_be_narrowed(guard: pg.Guard) -> None:
    decider = Decider(guard, rows="do this")
    with guard.purpose(tm.RenewalGuidance):
        said = _refused(decider, {"crm": (MIXED, ["name"])})
        assert said == "`crm.name` was collected under the source that its row names: do this"
        assert decider.demand({"crm": (MIXED, ["n", "origin", "who"])}).is_personal is False
        demand = decider.demand({"crm": (MIXED, ["name"])}, narrowed={"crm"})
        assert demand.is_personal
        assert repr(demand) == "<Demand crm.name>"
        decider.check_demand(demand)


def test_what_may_never_be_used_is_refused_before_rows_are_asked_for() -> None:
    guard = pg.Guard(NOTICE, governance=Told())
    decider = Decider(guard, columns="do that")
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation, match="do that") as caught:
        decider.check_demand(decider.demand({"sales": (SALES, ["email", "device"])}))
    assert caught.value.field == "sales.device"


def test_whose_rows_are_is_asked_where_somebody_keeps_what_subjects_asked_for() -> None:
    guard = pg.Guard(NOTICE)
    with guard.purpose(tm.RenewalGuidance):
        Decider(guard).check_demand(Decider(guard).demand({"sales": (SALES, ["email"])}))
    guard = pg.Guard(NOTICE, governance=Told())
    told = Decider(guard)
    with guard.purpose(tm.RenewalGuidance):
        assert "say whose they are, in `id`" in _refused(told, {"sales": (SALES, ["email"])})
    assert told.demand({"sales": (SALES, ["id", "country"])}).fields == ()


def test_days_are_asked_wherever_rows_say_them(guard: pg.Guard) -> None:
    for mark in (pg.Collected, pg.Ended):
        columns = columns_of(NOTICE, {"email": tm.Registration, "day": mark})
        with guard.purpose(tm.RenewalGuidance):
            said = _refused(Decider(guard), {"": (columns, ["email"])})
        assert "the rows say from when they are, in `day`" in said


def test_columns_by_row_need_the_column_that_says_the_source(guard: pg.Guard) -> None:
    columns = columns_of(NOTICE, {"name": pg.ByRow})
    with (
        guard.purpose(tm.RenewalGuidance) as use,
        pytest.raises(pg.UnlabelledData, match="no column here is marked RowS"),
    ):
        Decider(guard).make_row_rule(use, columns, ["name"])


def test_a_rule_says_which_sources_and_subjects_may_be_used() -> None:
    told = Told(
        {
            "1": STOPPED,
            "2": SubjectPreferences(suspended=frozenset({"1.2(1)①"})),
            "3": SubjectPreferences(suspended=frozenset({"2.2①"})),
        }
    )
    guard = pg.Guard(NOTICE, governance=told)
    columns = columns_of(NOTICE, {"who": pg.Subject, "name": pg.ByRow, "origin": pg.RowSource})
    decider = Decider(guard)
    with guard.purpose(tm.RenewalGuidance) as use:
        rule = decider.make_row_rule(use, columns, ["who", "name"])
        assert rule is not None
        (branch,) = rule.zones[0].branches
        assert branch.sources == frozenset({"1.1(a)", "1.1(c)"})
        assert branch.subjects is not None
        assert not branch.subjects.only
        assert branch.subjects.nobody
        assert sorted(branch.subjects.keys.keys) == ["1", "2"]
        assert rule.columns == ("origin", "who")
        assert rule.permitted == {"1.1(a)", "1.1(c)"}
        assert rule.label_of(pg.Label(pg.NotPersonal)) is pg.Label(tm.Registration, tm.Contract)
        assert decider.make_row_rule(use, columns, ["name", "who"]) is rule
        told.all_preferences["9"] = STOPPED
        later = decider.make_row_rule(use, columns, ["name"])
        assert later is not rule
        assert later is not None
        assert later.zones[0].branches[0].subjects is not None
        assert sorted(later.zones[0].branches[0].subjects.keys.keys) == ["1", "2", "9"]


def test_a_rule_stays_the_same_where_others_asked_for_something_else() -> None:
    told = Told({"1": STOPPED, "2": SubjectPreferences(suspended=frozenset({"2.2①"}))})
    guard = pg.Guard(NOTICE, governance=told)
    decider = Decider(guard)
    with guard.purpose(tm.RenewalGuidance) as use:
        before = _branches(decider, use)
        told.all_preferences["3"] = SubjectPreferences(suspended=frozenset({"2.2①"}))
        assert _branches(decider, use) == before
        told.all_preferences["4"] = STOPPED
        assert _branches(decider, use) != before


def _branches(decider: Decider, use: Any) -> Any:
    rule = decider.make_row_rule(use, SALES, ["email"])
    assert rule is not None
    return rule.zones[0].branches


def test_a_use_of_narrowed_rows_is_told_with_the_sources_that_were_kept() -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(NOTICE, ledger=ledger)
    decider = Decider(guard)
    columns = columns_of(NOTICE, {"name": pg.ByRow, "origin": pg.RowSource})
    demand = decider.demand({"crm": (columns, ["name"])}, narrowed={"crm"})
    with guard.purpose(tm.RenewalGuidance) as use:
        decider.check_demand(demand, rules={"crm": decider.make_row_rule(use, columns, ["name"])})
    assert [label for _, _, label, _ in ledger.uses] == [pg.Label(tm.Registration, tm.Contract)]


def test_what_no_row_may_be_used_for_is_refused_at_once() -> None:
    guard = pg.Guard(NOTICE, governance=Told())
    decider = Decider(guard)
    demand = decider.demand({"sales": (SALES, ["device"])}, narrowed={"sales"})
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.PurposeViolation, match="may not use product-data"):
            decider.check_demand(demand)
        assert list(decider.find_denied_columns(use, SALES, list(SALES))) == ["device"]


def test_a_governance_that_cannot_tell_of_all_subjects_is_refused() -> None:
    class Mute(Told):
        roster = None  # type: ignore[assignment]

    class Wrong(Told):
        def roster(self) -> Roster:
            return None  # type: ignore[return-value]

    for governance, said in ((Mute(), "has no `roster`|gave no Roster|not callable"), (Wrong(), "gave no Roster")):
        guard = pg.Guard(NOTICE, governance=governance)
        with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(TypeError, match=said):
            Decider(guard).make_row_rule(use, SALES, ["email"])


def test_another_revision_is_asked_anew(guard: pg.Guard) -> None:
    decider = Decider(guard)
    columns = columns_of(NOTICE, {"name": pg.ByRow, "origin": pg.RowSource})
    narrower = NOTICE.dump()
    narrower["revision"] = "2025-04-01"
    narrower["grant"][0]["sources"] = ["1.1(a)"]
    with guard.purpose(tm.RenewalGuidance) as use:
        before = decider.make_row_rule(use, columns, ["name"])
        assert before is not None
        assert before.permitted == {"1.1(a)", "1.1(c)"}
        guard.replace(pg.Notice.parse(narrower))
        after = decider.make_row_rule(use, columns, ["name"])
        assert after is not None
        assert after.permitted == {"1.1(a)"}


def test_sources_have_usual_spellings_and_any_other() -> None:
    known = spellings(NOTICE)
    assert {known["1.1(a)"], known["1.1a"], known["Registration"], known["registration"], known["1.1A"]} == {"1.1(a)"}
    assert all(id_meant(NOTICE, text) == clause for text, clause in known.items())
    assert id_meant(NOTICE, "１．１（ａ）") == "1.1(a)"
    with pytest.raises(pg.UnknownSource):
        id_meant(NOTICE, "not-personal")


def test_keys_have_the_forms_in_which_columns_hold_them() -> None:
    keys = KeySet(
        ["7", "007", "-3", "-0", "9" * 30, str(2**63), str(2**63 - 1), "é", "customer:8",
         "customer:6f1f62a0-0000-4000-8000-000000000001", "6f1f62a0-0000-4000-8000-000000000002"]
    )  # fmt: skip
    assert keys.ints == (-3, 7, 2**63 - 1)
    assert "e\N{COMBINING ACUTE ACCENT}" in keys.texts
    assert "007" in keys.texts
    assert keys.uuids == ("6f1f62a0000040008000000000000002",)
    within = keys.restrict_to_realm("customer")
    assert within.keys == ("8", "6f1f62a0-0000-4000-8000-000000000001")
    assert within is keys.restrict_to_realm("customer")
    assert within.uuids == ("6f1f62a0000040008000000000000001",)
    assert keys.restrict_to_realm(None) is keys
    assert len(keys) == 11
    assert repr(keys) == "<KeySet of 11>"


def test_spans_say_what_they_hold() -> None:
    assert DaySpan(None, None, absent=True).is_all
    assert not DaySpan(None, None, absent=False).is_all
    assert not DaySpan(datetime.date(2024, 1, 1), None, absent=True).is_all


def test_columns_of_a_frame_may_be_fewer() -> None:
    fewer = Columns({name: SALES[name] for name in ("email", "total")})
    assert Decider(pg.Guard(NOTICE)).demand({"": (fewer, list(fewer))}).fields[0][0] == "email"
