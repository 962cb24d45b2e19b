"""Conditions, several bases for one purpose, and all data: what is decided, and that what is stated goes along."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.cli.commands import decision_data
from purposeguard.cli.diff_words import ChangeWords
from purposeguard.cli.matrix import matrix_report
from purposeguard.cli.words import Language
from purposeguard.notice.bases import collect_bases, describe_bases, summarize_bases
from purposeguard.notice.fields import EVERY
from purposeguard.policy.context import CLEAR, DenialReason, SubjectPreferences
from purposeguard.policy.diff import compare
from tests.unit.conditions import purpose, tables, titled
from tests.unit.oversights import Office
from tests.unit.samples import RETENTION, Tape
from tests.unit.seals import run

NOTICE = pg.Notice.parse(tables())
GUARD = pg.Guard(NOTICE)
BOTH = {"outside-eu", "adult"}


def reason(source: Any, asked: str, conditions: Any = (), guard: pg.Guard = GUARD, **more: Any) -> DenialReason | None:
    return guard.explain(source, asked, conditions=conditions, **more).reason


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), DenialReason.CONDITION), ({"outside-eu"}, DenialReason.CONDITION), ({"adult"}, DenialReason.CONSENT),
        (BOTH, None), (["Adult", "OUTSIDE EU"], None), (("adult", "outside-eu"), None),
    ],
)  # fmt: skip
def test_consent_where_the_law_requires_it(conditions, expected):
    assert reason("1(a)", "newsletter", conditions) is expected
    assert GUARD.allows("1(a)", "newsletter", conditions=conditions) is (expected is None)


def test_who_consented_is_served_wherever_they_live():
    agreed = SubjectPreferences(consents=frozenset({("3①", NOTICE.revision)}))
    guard = pg.Guard(NOTICE, governance=Office({"7": agreed}))
    assert guard.allows("2", "newsletter", subject=7, conditions={"adult"})
    assert not guard.allows("2", "newsletter", subject=8, conditions={"adult"})
    assert guard.allows("2", "newsletter", subject=8, conditions=BOTH)
    assert not guard.allows("2", "newsletter", subject=7), "children are not written to, whatever they agreed to"


def test_a_purpose_that_needs_a_condition():
    assert reason("2", "wine") is DenialReason.CONDITION
    assert reason("2", "wine", {"adult"}) is None
    assert not pg.Guard(NOTICE).allows("P1", "wine", conditions=BOTH), "an overlay only narrows"
    with pytest.raises(pg.ConditionViolation, match="only where `adult` holds"):
        GUARD.check("2", "wine")
    # A family serves where one of its members does.
    assert reason("2", "letters") is DenialReason.CONDITION
    assert reason("2", "letters", {"adult"}) is None


def test_bases_by_source_and_opting_out():
    stopped = SubjectPreferences(suspended=frozenset({"3③"}))
    guard = pg.Guard(NOTICE, governance=Office({"7": stopped}))
    assert guard.allows("1(a)", "research")
    for source in ("1(b)", "2", "P1", "1", ["1(a)", "2"]):
        assert reason(source, "research", guard=guard) is DenialReason.SUBJECT
        assert guard.allows(source, "research", subject=8)
        assert not guard.allows(source, "research", subject=7)
    assert "people may opt out of research" in str(guard.explain("2", "research"))


def test_after_the_period_only_what_rests_on_law_for_these_data():
    made = tables(retention=RETENTION | {"period": [{"source": one, "days": 1} for one in ("1(a)", "1(b)", "2")]})
    moment = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
    guard = pg.Guard(pg.Notice.parse(made), governance=Office({}), clock=lambda: moment)
    over = pg.RowContext(8, ended=datetime.date(2026, 1, 2))
    assert guard.allows("1(a)", "research", subject=over)
    assert guard.explain("1(b)", "research", subject=over).reason is DenialReason.RETENTION
    assert guard.explain("1", "research", subject=over).reason is DenialReason.RETENTION, "it may be either item"


def test_data_of_a_revision_is_held_to_its_conditions():
    made = tables(revision="2026-06-01", forbid=[])
    made["grant"][0]["purpose"][3].pop("when")
    later = pg.Notice.parse(made)
    guard = pg.Guard(pg.History(NOTICE, later))
    now, then = later.source("2"), NOTICE.source("2")
    assert guard.allows(now, "wine")
    decision = guard.explain(then, "wine")
    assert decision.reason is DenialReason.REVISION
    assert '2026-01-01, which grants wine (3④) where `adult` holds, which is stated by `conditions={"adult"}`' in str(
        decision
    )
    assert guard.allows(then, "wine", conditions={"adult"})


def test_what_no_condition_of_the_present_revision_can_lift():
    made = tables(revision="2026-06-01", condition=[], forbid=[])
    made["grant"][0]["purpose"] = [purpose("3④", "Wine")]
    made["family"], made["overlay"] = [], []
    guard = pg.Guard(pg.History(NOTICE, pg.Notice.parse(made)))
    assert "does not grant wine" in str(guard.explain(NOTICE.source("2"), "wine"))


def test_messages_name_what_is_missing_and_how_to_state_it():
    assert str(GUARD.explain("2", "newsletter")).partition("\n")[2] == (
        "  2 is forbidden to serve newsletter (3①): no advertising to children; save where `adult` holds, which is "
        'stated by `conditions={"adult"}`'
    )
    assert str(GUARD.explain("2", "newsletter", conditions={"adult"})).partition("\n")[2] == (
        "  newsletter (3①) rests on consent, and it is not said whose data of 2 this is: name the subject by "
        "`subject=…`, or mark the field that says it with `Subject`, unless "
        '`outside-eu` holds, which is stated by `conditions={"outside-eu"}`'
    )
    guard = pg.Guard(NOTICE, governance=Office({}))
    said = str(guard.explain("2", "newsletter", subject=8, conditions={"adult"}))
    assert "did not give, or took back, unless `outside-eu` holds" in said
    assert 'only where `adult` holds, which is stated by `conditions={"adult"}`' in str(GUARD.explain("2", "letters"))


def test_an_activity_is_told_what_it_would_have_to_state():
    with GUARD.purpose("wine") as use, pytest.raises(pg.ConditionViolation) as told:
        use.check("2")
    assert "state" in str(told.value)
    assert told.value.decision.context.conditions == frozenset()


def test_a_prohibition_that_is_lifted_is_not_what_stands_in_the_way():
    made = tables()
    made["forbid"].append(
        {"sources": ["2"], "purposes": ["Wine"], "reason": titled("not in the EU"), "unless": ["outside-eu"]}
    )
    guard = pg.Guard(pg.Notice.parse(made))
    assert "forbidden to serve wine (3④): not in the EU" in str(guard.explain("2", "wine"))
    assert "2 serves wine (3④) only where `adult` holds" in str(guard.explain("2", "wine", conditions={"outside-eu"}))
    assert guard.allows("2", "wine", conditions=BOTH)


class Row(BaseModel):
    usage: Annotated[str, NOTICE.source("2")] = "u"


@GUARD.access
def read() -> Row:
    return Row()


def test_in_functions_of_any_kind():
    async def coroutine() -> Row:
        await asyncio.sleep(0)
        return read()

    def generator() -> Iterator[Row]:
        yield read()
        yield read()

    async def agenerator() -> AsyncIterator[Row]:
        yield read()
        await asyncio.sleep(0)
        yield read()

    stating: Any = GUARD.purpose("wine", conditions={"adult"})
    assert run(stating(read)) == run(stating(coroutine)) == Row()
    assert run(stating(generator)) == run(stating(agenerator)) == [Row(), Row()]


def test_a_nested_block_states_its_own():
    with GUARD.purpose("wine", conditions={"adult"}) as outer:
        assert outer.conditions == {"adult"}
        with GUARD.purpose("wine") as inner:
            assert inner.conditions == frozenset()
            with pytest.raises(pg.ConditionViolation):
                read()
        assert read() == Row()


def test_carried_to_a_thread_and_narrowed_to_a_member():
    found: list[bool] = []
    with GUARD.purpose("letters", conditions={"adult"}):
        member = GUARD.use("wine")
        assert member.conditions == {"adult"}
        assert member.allows("2")
        carried: Callable[[], None] = GUARD.carry(lambda: found.append(GUARD.current.allows("2")))
        thread = threading.Thread(target=carried)
        thread.start()
        thread.join()
    assert found == [True]


def test_a_cache_serves_no_other_conditions():
    calls: list[int] = []

    @GUARD.cached()
    @GUARD.access
    def load() -> Row:
        calls.append(1)
        return Row()

    with GUARD.purpose("delivery"):
        load()
    with GUARD.purpose("delivery", conditions={"adult"}):
        load()
        load()
    assert len(calls) == 2


def test_blocks_at_one_place_are_told_apart():
    def allowed(conditions: Any) -> bool:
        with GUARD.purpose("wine", conditions=conditions) as use:
            return use.allows("2")

    assert [allowed(one) for one in ((), {"adult"}, (), ["adult"], {"outside-eu"}, None)] == [
        *(False, True, False, True, False, False)
    ]
    listed = {one.conditions for one in GUARD.activities if one.purpose_id == "3④"}
    assert {frozenset(), frozenset({"adult"}), frozenset({"outside-eu"})} <= listed


def test_a_sealed_value_opens_where_the_conditions_hold():
    value = pg.Personal("u", NOTICE.source("2"))
    with GUARD.purpose("wine", conditions={"adult"}) as use:
        assert use.open(value) == "u"
        assert use.open_all([value, value]) == ["u", "u"]
    with GUARD.purpose("wine") as use:
        assert use.try_open(value, None) is None


def test_a_ledger_counts_and_records_what_was_stated():
    tape = Tape()
    guard = pg.Guard(NOTICE, ledger=tape)
    for _ in range(2):
        guard.check("2", "wine", conditions={"adult"})
        with pytest.raises(pg.ConditionViolation):
            guard.check("2", "wine")
        with pytest.raises(pg.ConditionViolation):
            guard.check("2", "wine", conditions={"outside-eu"})
    assert tape.uses == [(None, "3④", pg.Label(NOTICE.source("2")), 2)]
    stated = [error.decision.context.conditions for error, _ in tape.denials if isinstance(error, pg.PurposeViolation)]
    assert stated == [frozenset(), frozenset({"outside-eu"})] * 2


def test_conditions_that_a_later_revision_lacks_are_refused():
    guard = pg.Guard(NOTICE)
    made = tables(revision="2026-06-01", condition=[{"id": "outside-eu", "title": titled("elsewhere")}], forbid=[])
    made["grant"][0]["purpose"][3]["when"] = ["outside-eu"]
    with guard.purpose("wine", conditions={"adult"}) as use:
        assert use.allows("2")
        guard.replace(pg.Notice.parse(made))
        with pytest.raises(pg.UnknownCondition, match="the notice knows outside-eu"):
            use.allows("2")


def test_the_matrix_and_explanations_of_the_command_line():
    report: Any = matrix_report(NOTICE, None, Language.en).data
    cells = {row["id"]: row["sources"] for row in report["purposes"]}
    assert cells["3①"]["2"] == cells["3④"]["1"] == "conditions"
    assert cells["3②"]["2"] is True
    stated: Any = matrix_report(NOTICE, None, Language.en, ["adult"]).data
    assert {row["id"]: row["sources"]["2"] for row in stated["purposes"]} == {
        "3①": "consent",
        "3②": True,
        "3③": "opt-out",
        "3④": True,
    }
    assert decision_data(GUARD.explain("2", "wine", conditions={"adult"}))["conditions"] == ["adult"]


def test_changes_between_revisions_are_told_in_words():
    made = tables(revision="2026-06-01")
    made["grant"][0]["purpose"][3].pop("when")
    made["grant"][0]["purpose"][0]["bases"] = [{"basis": "consent"}]
    made["grant"][0]["purpose"].append(purpose("3⑤", "Maps", when=["outside-eu"], open_end="incidental"))
    made["grant"][0]["purpose"][2]["open_end"] = "incidental"
    made["condition"].append({"id": "pro", "title": titled("pays")})
    made["forbid"][0]["reason"] = titled("no ads to children")
    comparison = compare(NOTICE, pg.Notice.parse(made))
    words = ChangeWords(comparison)
    said = [words.say(change) for change in comparison.changes]
    assert said == [
        "maps (3⑤) may use account (1) and usage (2), only where outside-eu: only data collected from 2026-06-01 on",
        "conditions of wine (3④) for account (1) and usage (2): always, before only where adult [needs notice]",
        "newsletter (3①) rests on consent, before on legitimate-interest where outside-eu or consent",
        "purpose added: maps (3⑤)",
        "purpose research (3③): `open_end` is incidental, before stated-at-collection",
        "condition added: pro (pays)",
        "prohibition any → newsletter (3①) is called “no ads to children”, before “no advertising to children”",
    ]
    directions = {change.kind: change.direction for change in comparison.changes}
    assert directions["conditions"] == "widened"
    assert directions["basis"] == "narrowed"


def test_a_notice_is_read_and_written_alike():
    assert NOTICE.document.grant[0].sources == EVERY
    assert NOTICE.dump()["grant"][0]["sources"] == "any"
    assert pg.Notice.parse(NOTICE.dump()) == NOTICE
    assert NOTICE.conditions == ("outside-eu", "adult")
    assert summarize_bases(NOTICE.document) == {"3①": "several", "3②": "contract", "3③": "several", "3④": "contract"}
    assert [describe_bases(rows) for rows in collect_bases(NOTICE.document).values()] == [
        "legitimate-interest where outside-eu or consent",
        "contract",
        "law for 1(a) or legitimate-interest for 1(b), 2 until the person objects",
        "contract",
    ]
    assert "?" in NOTICE._repr_html_()


def grant_of(change: Callable[[dict[str, Any]], object]) -> list[str]:
    made = tables()
    change(made)
    with pytest.raises(pg.NoticeError) as told:
        pg.Notice.parse(made)
    return [str(fault) for fault in told.value.faults]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t["grant"][0].update(when=["adlut"]), ["grant[0].when[0]: unknown condition `adlut`", "`adult`"]),
        (lambda t: t["grant"][0]["purpose"][1].update(when=["adult", "Adult"]), ["purpose[1].when[1]"]),
        (lambda t: t["grant"][0].update(when=[]), ["grant[0].when"]),
        (lambda t: t["forbid"][0].update(unless=["child"]), ["forbid[0].unless[0]: unknown condition `child`"]),
        (lambda t: t["grant"][0].update(bases=[{"basis": "law"}]), ["grant[0].bases", "stands beside `basis`"]),
        (lambda t: t["grant"][0]["purpose"][0].update(bases=[{}]), ["bases[0]", "`opt_out = true`"]),
        (
            lambda t: t["grant"][0]["purpose"][2].update(bases=[{"basis": "law", "sources": ["1"]}]),
            ["purpose[2].bases", "no row is for `2`, `P1`, which may serve `3③`"],
        ),
        (
            lambda t: t["grant"][0]["purpose"][2].update(
                bases=[{"basis": "law", "sources": ["P1"]}, {"basis": "consent"}]
            ),
            ["purpose[2].bases[0].sources", "name `2`"],
        ),
        (
            lambda t: t["grant"][0]["purpose"][2].update(bases=[{"basis": "law", "sources": ["9"]}]),
            ["purpose[2].bases[0].sources[0]: unknown source `9`"],
        ),
        (lambda t: t["grant"][0].update(sources="all"), ["grant[0].sources: must be a list"]),
        (lambda t: t["condition"][0].update(kind="planet"), ["condition[0].kind"]),
        (lambda t: t["condition"].append(t["condition"][0] | {"id": "Outside-EU"}), ["condition[2].id"]),
        (lambda t: t["condition"].append(t["condition"][0]), ["condition[2].id: duplicate"]),
    ],
)
def test_mistakes_are_told_with_their_place(change, expected):
    told = grant_of(change)
    assert all(part in told[0] for part in expected), told


CONSENT_ROW: dict[str, Any] = {"basis": "consent"}
INTEREST: dict[str, Any] = {"basis": "legitimate-interest"}
ABROAD: dict[str, Any] = {"when": ["outside-eu"]}
LAW: dict[str, Any] = {"basis": "law"}


@pytest.mark.parametrize(
    ("rows", "at_fault", "by"),
    [
        ([CONSENT_ROW | {"when": ["adult"]}, INTEREST], 0, 1),
        ([INTEREST, CONSENT_ROW | {"when": ["adult"]}], 1, 0),
        ([CONSENT_ROW, INTEREST], 0, 1),
        ([CONSENT_ROW | {"sources": ["1"]}, INTEREST], 0, 1),
        ([CONSENT_ROW | {"sources": ["1"]}, INTEREST | {"sources": ["1(b)", "2"]}], 0, 1),
        ([CONSENT_ROW, INTEREST | {"sources": ["1"]}, INTEREST | {"sources": ["2"]}], 0, 1),
        ([CONSENT_ROW | {"when": ["adult"]}, CONSENT_ROW | {"sources": ["2"]}, INTEREST | {"sources": ["1"]}], 0, 1),
        ([INTEREST | {"opt_out": True}, INTEREST], 0, 1),
        ([{"opt_out": True, "when": ["adult"]}, LAW], 0, 1),
        ([CONSENT_ROW, {"opt_out": True}], 0, 1),
        ([INTEREST | ABROAD, {"basis": "contract"}], 0, 1),
        ([INTEREST | {"when": ["adult", "outside-eu"]}, {"basis": "contract"} | ABROAD], 0, 1),
        ([LAW | ABROAD, LAW], 0, 1),
    ],
)
@pytest.mark.parametrize("of_the_grant", [False, True])
def test_a_basis_that_another_one_makes_irrelevant_is_a_fault(
    rows: list[dict[str, Any]], at_fault: int, by: int, of_the_grant: bool
) -> None:
    def change(made: dict[str, Any]) -> None:
        grant = made["grant"][0]
        row = grant if of_the_grant else grant["purpose"][2]
        if of_the_grant:
            del grant["basis"], grant["purpose"][2]["bases"]
        row["bases"] = rows

    (told,) = grant_of(change)
    place = "grant[0]" if of_the_grant else "grant[0].purpose[2]"
    assert told.startswith(f"{place}.bases[{at_fault}]: ")
    assert f"`bases[{by}]` asks for less" in told
    assert "name in `bases" in told


@pytest.mark.parametrize(
    "rows",
    [
        [INTEREST | ABROAD, CONSENT_ROW],
        [CONSENT_ROW, INTEREST | {"sources": ["1"]}],
        [CONSENT_ROW | {"sources": ["1"]}, INTEREST | {"sources": ["2"]}],
        [{"basis": "contract"}, INTEREST],
        [INTEREST, LAW | ABROAD],
        [CONSENT_ROW, {"opt_out": True} | ABROAD],
        [CONSENT_ROW | {"when": ["adult"]}, INTEREST | ABROAD],
    ],
)
def test_a_general_rule_with_exceptions_that_ask_for_less_is_no_fault(rows: list[dict[str, Any]]) -> None:
    made = tables()
    made["grant"][0]["purpose"][2]["bases"] = rows
    assert pg.Notice.parse(made).document.purposes[2].bases


@pytest.mark.parametrize(
    "given",
    ["adult", (one for one in ["adult"]), 7, {"adult": True}, b"of age", iter(["adult"])],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_set_of_ids_is_refused(given):
    for ask in (
        lambda: GUARD.purpose("wine", conditions=given),
        lambda: GUARD.allows("2", "wine", conditions=given),
        lambda: GUARD.check("2", "wine", conditions=given),
        lambda: GUARD.explain("2", "wine", conditions=given),
    ):
        with pytest.raises(TypeError, match="`conditions` are the ids of those that hold, in a set, not"):
            ask()


@pytest.mark.parametrize("given", ["adlut", "", None, 7, NOTICE.source("2")])
def test_an_unknown_condition_is_an_error(given):
    with pytest.raises(pg.UnknownCondition):
        GUARD.purpose("wine", conditions=[given])
    with pytest.raises(pg.UnknownCondition):
        GUARD.allows("2", "delivery", conditions=[given])
    without = pg.Guard(pg.Notice.bundled("trendmicro-jp"))
    with pytest.raises(pg.UnknownCondition, match="the notice has no conditions"):
        without.purpose("product-provision", conditions=["adult"])


def test_a_set_that_changes_later_changes_nothing():
    stated = {"outside-eu"}
    block = GUARD.purpose("wine", conditions=stated)
    stated.add("adult")
    with block as use:
        assert not use.allows("2")


class Changing(set[str]):
    """Gives more each time that it is read."""

    def __iter__(self) -> Iterator[str]:
        self.reads = getattr(self, "reads", 0) + 1
        return iter(["outside-eu", "adult"][: self.reads])

    def __len__(self) -> int:
        return 1


def test_a_set_is_read_once():
    block = GUARD.purpose("wine", conditions=Changing())
    with block as use:
        assert not use.allows("2")


def test_what_was_allowed_under_conditions_is_not_remembered_without_them():
    guard = pg.Guard(NOTICE)
    label = pg.Label(NOTICE.source("2"))
    for _ in range(3):
        assert guard.allows(label, "wine", conditions={"adult"})
        assert not guard.allows(label, "wine")
        assert guard.explain(label, "wine", conditions={"adult"})
        assert not guard.explain(label, "wine")


def test_preferences_are_kept_apart_by_conditions():
    guard = pg.Guard(NOTICE, governance=Office({"8": CLEAR}))
    value = pg.Personal("u", NOTICE.source("2"))
    with guard.purpose("newsletter", conditions=BOTH) as use:
        assert use.open(value, subject=8) == "u"
        assert use.open(value, subject=8) == "u"
    with guard.purpose("newsletter", conditions={"adult"}) as use, pytest.raises(pg.SubjectViolation):
        use.open(value, subject=8)


def test_a_basis_is_not_called_irrelevant_where_its_purpose_is_at_fault() -> None:
    def change(made: dict[str, Any]) -> None:
        made["grant"][0]["purpose"][2]["bases"] = [CONSENT_ROW, INTEREST | {"sources": ["9"]}, INTEREST]

    assert [told for told in grant_of(change) if "asks for less" in told] == []
