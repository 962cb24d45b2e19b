from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.guard import load_guard
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.registry import TaggedTable
from purposeguard.runtime.use import NO_USE
from tests.unit.marked_rows import reading
from tests.unit.models import guard
from tests.unit.samples import SMALL, Tape, revised

ASKS: list[Any] = [guard.allows, guard.check, guard.explain]  # typed so that wrong arguments may be given
small = pg.Notice.loads(SMALL)


def test_tables_are_listed_by_name_also_those_of_what_knows_them_only_later() -> None:
    mine = pg.Guard(tm.NOTICE)
    orders, people = (TaggedTable(name, (("of", pg.Label(tm.Registration)),)) for name in ("orders", "people"))

    class Holder:
        def list_declared_tables(self) -> list[TaggedTable]:
            return [orders]

    holder = Holder()
    mine.inventory.add_tables_of(holder)
    for _ in range(2):
        mine.inventory.add_table(people)
        assert mine.tables == (orders, people)


def test_a_violation_of_a_bare_check_knows_no_activity() -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        guard.check(["1.1a", "1.1b"], "1.2(1)①")
    error = caught.value
    assert type(error) is pg.PurposeViolation
    assert (error.activity, error.function, error.field) == (None, None, None)
    assert error.decision.label is pg.Label(tm.Registration, tm.ProductData)


def test_a_setting_holds_a_guard_or_names_one() -> None:
    assert load_guard(guard, "GUARD") is load_guard("tests.unit.models.guard", "GUARD") is guard
    for stated in (None, tm.NOTICE, "tests.unit.models"):
        with pytest.raises(TypeError, match=r"^GUARD is a Guard, or where it is imported from, not"):
            load_guard(stated, "GUARD")


def test_where_nothing_is_under_way_nothing_is_known_of_it() -> None:
    with pytest.raises(pg.PurposeMissing, match="outside any purpose"):
        _ = NO_USE.activity


def test_a_set_of_ids_is_answered_alike_once_it_is_known() -> None:
    mine = pg.Guard(tm.NOTICE)
    for _ in range(3):
        assert mine.allows({"1.1a", "1.1c"}, "1.2(1)①") is True
        assert mine.allows({"1.1a", "1.1b"}, "1.2(1)①") is False


def test_iterators_are_read_once() -> None:
    assert guard.allows(iter(["1.1a"]), tm.RenewalGuidance) is True
    assert guard.allows((one for one in ["1.1a", "1.1b"]), tm.RenewalGuidance) is False
    guard.check(iter([tm.Registration]), tm.RenewalGuidance)
    with pytest.raises(pg.PurposeViolation):
        guard.check(iter(["1.1a", "1.1b"]), tm.RenewalGuidance)
    with pytest.raises(pg.UnlabelledData):
        guard.check(iter([]), tm.RenewalGuidance)


@pytest.mark.parametrize("ask", ASKS)
def test_an_empty_label_and_an_unknown_channel_are_no_licence(ask: Any) -> None:
    nothing: Any
    channel: Any
    for nothing in ((), [], set(), frozenset()):
        with pytest.raises(pg.UnlabelledData):
            ask(nothing, tm.RenewalGuidance)
    for channel in ("pigeon", "", 5, b"email", "e" * 1_000_000, ["email"], {}):
        with pytest.raises(pg.UnknownChannel):
            ask(tm.Registration, tm.RenewalGuidance, channel)


def test_purposes_given_as_sources_and_the_reverse_are_unknown() -> None:
    for ask in ASKS:
        wrong: Any
        for wrong in (tm.RenewalGuidance, "1.2(1)①", tm.AnyProductGuidance, pg.Purpose, pg.Source, [tm.WebFeedback]):
            with pytest.raises(pg.UnknownSource):
                ask(wrong, tm.RenewalGuidance)
        for wrong in (tm.Registration, "1.1a", pg.Label(tm.Registration), pg.Source, pg.Purpose, pg.NotPersonal):
            with pytest.raises(pg.UnknownPurpose):
                ask(tm.Registration, wrong)


def test_a_guard_needs_a_notice_and_a_mode() -> None:
    for wrong in ("trendmicro-jp", None, tm, tm.NOTICE.document):
        with pytest.raises(TypeError, match="needs a Notice"):
            pg.Guard(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="enforce"):
        pg.Guard(tm.NOTICE, mode="lenient")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="enforce"):
        guard.purpose(tm.RenewalGuidance, mode="off")  # type: ignore[call-overload]


def test_a_guard_says_what_it_is() -> None:
    tape = Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    assert observing.mode == "observe"
    assert observing.ledger is tape
    assert observing.notice is tm.NOTICE
    assert repr(observing) == f"<Guard observe {tm.NOTICE!r}>"
    assert guard.mode == "enforce"
    assert guard.ledger is None


def test_sources_that_answer_otherwise_when_asked_again_are_read_once_a_check() -> None:
    class Fickle:
        def __init__(self) -> None:
            one, other = tm.ProductData, tm.Registration
            self.answers: list[list[type[pg.Source]]] = [[one], [other]]

        def __iter__(self) -> Iterator[type[pg.Source]]:
            return iter(self.answers.pop(0))

    fickle = Fickle()
    with pytest.raises(pg.PurposeViolation):
        guard.check(fickle, tm.RenewalGuidance)
    guard.check(fickle, tm.RenewalGuidance)


def test_in_observe_mode_a_check_records_and_returns(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    with caplog.at_level(logging.WARNING, logger="purposeguard"):
        observing.check(tm.ProductData, tm.RenewalGuidance)
    ((error, observed),) = tape.denials
    assert isinstance(error, pg.PurposeViolation)
    assert observed
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("purposeguard", "WARNING")
    assert "product-data (1.1(b))" in record.getMessage()
    assert observing.allows(tm.ProductData, tm.RenewalGuidance) is False
    assert len(tape.denials) == 1  # a question is no use


def test_what_is_wrong_is_an_error_in_observe_mode_too() -> None:
    observing = pg.Guard(tm.NOTICE, mode="observe")
    with pytest.raises(pg.UnlabelledData):
        observing.check([], tm.RenewalGuidance)
    with pytest.raises(pg.UnknownPurpose):
        observing.check("1.1a", "nothing")


def widened() -> pg.Notice:
    return revised(tm.NOTICE, lambda t: t["grant"][0]["sources"].append("1.1(b)"))


def test_replacing_puts_the_other_revision_in_force() -> None:
    mine = pg.Guard(tm.NOTICE)
    assert not mine.allows(tm.ProductData, tm.RenewalGuidance)
    later = widened()
    mine.replace(later)
    assert mine.notice is later
    assert mine.allows(tm.ProductData, tm.RenewalGuidance)
    assert mine.allows(later.source("1.1b"), later.purpose("1.2(1)①"))
    assert mine.allows([tm.ProductData, later.source("1.1a")], tm.AnyProductGuidance)
    assert mine.explain(tm.ProductData, tm.RenewalGuidance).grants == {tm.ProductData: "1.2(1)"}
    mine.replace(tm.NOTICE)
    assert not mine.allows(tm.ProductData, tm.RenewalGuidance)
    with pytest.raises(pg.NoticeError, match="small"):  # another notice is no revision of this one
        mine.replace(small)
    assert mine.notice is tm.NOTICE


def test_a_refusal_under_a_later_revision_is_explained_with_the_classes_of_before() -> None:
    mine = pg.Guard(tm.NOTICE)
    mine.replace(widened())
    with pytest.raises(pg.PurposeViolation) as caught:
        mine.check([tm.ProductData, tm.Cookie], tm.RenewalGuidance)
    assert caught.value.decision.denied == (tm.Cookie,)
    assert "2.3 may serve: traffic-analysis" in str(caught.value)


def test_an_access_function_follows_a_replacement() -> None:
    mine = pg.Guard(tm.NOTICE)
    remind = mine.purpose(tm.RenewalGuidance)(reading(mine, str, "x", tm.Registration))
    assert remind() == "x"
    mine.replace(revised(tm.NOTICE, lambda t: t["grant"][0].update(sources=["1.1(c)"])))
    with pytest.raises(pg.PurposeViolation):
        remind()
    mine.replace(tm.NOTICE)
    assert remind() == "x"


def test_an_activity_whose_purpose_is_gone_is_refused() -> None:
    def drop(t: dict[str, Any]) -> None:
        del t["grant"][0]["purpose"][0]

    mine = pg.Guard(tm.NOTICE)

    @mine.purpose(tm.RenewalGuidance)
    def remind() -> None:
        raise AssertionError("must not run")

    block = mine.purpose(tm.RenewalGuidance)
    mine.replace(revised(tm.NOTICE, drop))
    with pytest.raises(pg.UnknownPurpose):
        remind()
    with pytest.raises(pg.UnknownPurpose), block:
        raise AssertionError("must not run")


def test_an_activity_without_a_channel_may_open_nothing_once_its_purpose_is_closed() -> None:
    mine = pg.Guard(tm.NOTICE)
    invite = mine.purpose(tm.ProgramInvitation)(reading(mine, str, "x", tm.Registration))
    assert invite() == "x"
    mine.replace(revised(tm.NOTICE, lambda t: t["grant"][0]["purpose"][3].update(channels={"closed": ["email"]})))
    with pytest.raises(pg.ChannelViolation, match="without a stated channel"):
        invite()


def test_a_family_that_a_later_revision_lacks_is_unknown() -> None:
    mine = pg.Guard(tm.NOTICE)
    mine.replace(revised(tm.NOTICE, lambda t: t["family"].pop(0)))
    for form in (tm.AnyProductGuidance, "AnyProductGuidance", tm.NOTICE.families[0]):
        with pytest.raises(pg.UnknownPurpose):
            mine.allows(tm.Registration, form)
