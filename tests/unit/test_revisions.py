"""Rule 9: data keeps the revision that it was collected under (clause 11)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.cli.revision_effects import effects
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.diff import compare
from purposeguard.policy.violations import violation_class
from tests.unit.models import UTC
from tests.unit.oversights import Office
from tests.unit.samples import RETENTION, revised, tables
from tests.unit.seals import words

THEN, NOW = datetime.date(2024, 6, 1), datetime.date(2025, 6, 1)
STATISTICS, ADVICE, OFFERS, RENEWAL = "4①", "4②", "3(1)②", "3(1)①"

Change = Callable[[dict[str, Any]], object]


def wide(t: dict[str, Any]) -> None:
    """Accounts may serve statistics as well."""
    t["grant"][2]["sources"] = ["1(a)", "2"]


def extending(basis: str, **row: Any) -> Change:
    def change(t: dict[str, Any]) -> None:
        wide(t)
        notified = {"notified": "2025-01-01"} if basis == "related" else {}
        t["extension"] = [{"purposes": [STATISTICS], "basis": basis, **notified, **row}]

    return change


def narrow(t: dict[str, Any]) -> None:
    """Accounts may serve offers no more."""
    t["grant"][0]["purpose"] = t["grant"][0]["purpose"][:1]


FIRST = pg.Notice.parse(tables())
WIDE = revised(FIRST, wide, "2025-01-01")
RELATED = revised(FIRST, extending("related"), "2025-01-01")
CONSENTED = revised(FIRST, extending("consent"), "2025-01-01")
NARROW = revised(FIRST, narrow, "2025-01-01")


def answers(guard: pg.Guard, source: Any, purpose: str, about: pg.RowContext | None = None) -> bool:
    """What a guard answers in every way that there is, which is the same."""
    label = guard.notice.source(source) if isinstance(source, str) else source
    sealed: pg.Personal[str, Any] = pg.Personal("v", label)
    found = {guard.allows(label, purpose, subject=about), bool(guard.explain(label, purpose, subject=about))}
    with guard.purpose(purpose, channel="phone" if purpose == ADVICE else None) as use:
        found |= {use.allows(label, subject=about), bool(use.explain(label, subject=about))}
        found.add(use.try_open(sealed, "else", subject=about) == "v")
        try:
            found.add(use.open(sealed, subject=about) == "v")
            guard.check(label, purpose, subject=about)
        except pg.PurposeViolation as error:
            if type(error) is pg.PurposeViolation:
                raise  # it is about the revision, or the subject
            found.add(False)
    (answer,) = found
    return answer


def refused(
    guard: pg.Guard, source: Any, purpose: str, about: pg.RowContext | None = None, channel: str | None = None
) -> pg.PurposeViolation:
    with pytest.raises(pg.PurposeViolation) as caught:
        guard.check(source, purpose, channel, subject=about)
    return caught.value


def test_earlier_data_serves_what_both_revisions_grant() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE))
    for purpose in (OFFERS, "3(2)①"):
        assert answers(guard, "1(a)", purpose, pg.RowContext(collected=THEN))
        assert answers(guard, "1(a)", purpose, pg.RowContext(collected=NOW))
    assert answers(guard, "1(a)", STATISTICS, pg.RowContext(collected=NOW))
    assert answers(guard, "1(a)", STATISTICS)
    assert not answers(guard, "1(a)", STATISTICS, pg.RowContext(collected=THEN))


def test_a_violation_says_under_which_revision_it_was_collected() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE))
    error = refused(guard, "1(a)", STATISTICS, pg.RowContext(collected=THEN))
    assert type(error) is pg.RevisionViolation
    (reason,) = error.decision.reasons
    assert reason == (
        "1(a) was collected under the revision of 2024-01-01, which does not grant statistics (4①), and that of "
        "2025-01-01 does not extend it to such data (rule 9)"
    )
    assert error.decision.denied == (WIDE.source("1(a)"),)
    assert [one.clause for one in error.decision.alternatives] == [RENEWAL, OFFERS, "3(2)①", "3(2)②"]


def test_a_narrower_revision_binds_earlier_data_too() -> None:
    guard = pg.Guard(pg.History(FIRST, NARROW))
    with pytest.raises(pg.UnknownPurpose):
        guard.allows("1(a)", OFFERS, subject=pg.RowContext(collected=THEN))

    def less(t: dict[str, Any]) -> None:
        t["grant"][1]["sources"] = ["1(b)"]

    guard = pg.Guard(pg.History(FIRST, revised(FIRST, less, "2025-01-01")))
    error = refused(guard, "1(a)", "3(2)①", pg.RowContext(collected=THEN))
    assert type(error) is pg.PurposeViolation


def test_data_from_before_the_first_revision_serves_nothing() -> None:
    for guard in (pg.Guard(pg.History(FIRST, WIDE)), pg.Guard(WIDE)):
        for purpose in (OFFERS, STATISTICS):
            assert not answers(guard, "1(a)", purpose, pg.RowContext(collected=datetime.date(2023, 12, 31)))
    error = refused(pg.Guard(WIDE), "1(a)", OFFERS, pg.RowContext(collected=THEN))
    assert type(error) is pg.RevisionViolation
    assert "collected before 2025-01-01, the earliest revision in the guard's history" in error.decision.reasons[0]


def test_the_days_are_those_of_the_notice() -> None:
    later = revised(WIDE, lambda t: t.update(timezone="Asia/Tokyo"))
    guard = pg.Guard(pg.History(FIRST, later))
    eve = datetime.datetime(2024, 12, 31, 15, 0, tzinfo=UTC)
    assert answers(guard, "1(a)", STATISTICS, pg.RowContext(collected=eve))
    assert not answers(guard, "1(a)", STATISTICS, pg.RowContext(collected=eve - datetime.timedelta(seconds=1)))


def test_the_channels_of_both_revisions_count() -> None:
    def closed(t: dict[str, Any]) -> None:
        t["grant"][0]["purpose"][1]["channels"] = {"closed": ["phone"]}

    guard = pg.Guard(pg.History(revised(FIRST, closed), WIDE))
    about = pg.RowContext(collected=THEN)
    assert guard.allows("1(a)", OFFERS, "phone", subject=about)
    assert not guard.allows("1(a)", OFFERS, "email", subject=about)
    assert type(refused(guard, "1(a)", OFFERS, about, "email")) is pg.RevisionViolation
    guard = pg.Guard(pg.History(FIRST, revised(WIDE, closed)))
    assert type(refused(guard, "1(a)", OFFERS, about, "email")) is pg.ChannelViolation


def test_an_activity_that_states_no_channel_uses_nothing_that_was_collected_for_some() -> None:
    """The revision in force lets renewals reach people by any channel, the one before by e-mail alone."""
    second = revised(FIRST, lambda t: t["grant"][0]["purpose"][0].pop("channels"), "2025-01-01")
    guard = pg.Guard(pg.History(FIRST, second))
    then, now = pg.RowContext(collected=THEN), pg.RowContext(collected=NOW)
    old, new = FIRST.source("1(a)"), second.source("1(a)")
    assert guard.allows("1(a)", RENEWAL, subject=then)  # reading needs no channel (rule 7)
    for purpose in (RENEWAL, "AnyAdvice"):
        with guard.purpose(purpose, channel="email") as use:
            assert use.allows("1(a)", subject=then)
            assert use.allows(old)
    with guard.purpose(RENEWAL) as use:
        for asked, about in (("1(a)", then), (old, None), ([old, new], now)):
            assert not use.allows(asked, subject=about)
            assert not use.allows(asked, subject=about)
            decision = use.explain(asked, subject=about)
            assert violation_class(decision) is pg.RevisionViolation
            assert "names its channels and closes the list" in decision.reasons[0]
            with pytest.raises(pg.RevisionViolation):
                use.check(asked, subject=about)
        assert use.allows("1(a)", subject=now)
        assert use.allows(new)
        assert use.open(pg.Personal("v", new)) == "v"


def test_an_extension_reaches_earlier_data_by_any_channel() -> None:
    def extended(t: dict[str, Any]) -> None:
        t["grant"][0]["purpose"][0].pop("channels")
        t["extension"] = [{"purposes": [RENEWAL], "basis": "related", "notified": "2025-01-01"}]

    guard = pg.Guard(pg.History(FIRST, revised(FIRST, extended, "2025-01-01")))
    with guard.purpose(RENEWAL) as use:
        assert use.allows("1(a)", subject=pg.RowContext(collected=THEN))


def test_earlier_data_that_was_for_some_channels_stops_where_none_is_stated() -> None:
    """The later revision lets renewals reach people by any channel, so the activity need state none any more."""
    second = revised(FIRST, lambda t: t["grant"][0]["purpose"][0].pop("channels"), "2025-01-01")
    guard = pg.Guard(second)

    @guard.access(second.source("1(a)"))
    def accounts() -> str:
        return "a"

    @guard.purpose("3(1)①")
    def renew() -> str:
        return accounts()

    (effect,) = effects(guard, compare(FIRST, second))
    assert renew() == "a"
    assert (effect.after.verdict, effect.earlier.verdict) == ("allowed", "refused")
    guard.replace(pg.History(FIRST, second))
    with guard.purpose("3(1)①") as use:
        assert use.allows(second.source("1(a)"))
        assert not use.allows(FIRST.source("1(a)"))


def test_parents_overlays_and_derivations_keep_their_revision() -> None:
    guard = pg.Guard(pg.History(FIRST, revised(FIRST, wide, "2025-01-01")))
    about = pg.RowContext(collected=THEN)
    kept = (("1", "3(2)①"), ("1(b) router", "3(2)①"), ("5", STATISTICS))
    assert [answers(guard, source, purpose, about) for source, purpose in kept] == [True, True, True]
    without = revised(FIRST, lambda t: [t.pop(gone) for gone in ("overlay", "derivation")])
    guard = pg.Guard(pg.History(without, WIDE))
    assert [answers(guard, source, purpose, about) for source, purpose in kept] == [True, False, False]


def test_of_a_family_each_source_may_serve_another_member() -> None:
    def more(t: dict[str, Any]) -> None:
        t["grant"][2]["sources"] = ["1(a)", "2"]
        t["grant"][0]["sources"] = ["1(a)", "2"]

    guard = pg.Guard(pg.History(FIRST, revised(FIRST, more, "2025-01-01")))
    about = pg.RowContext(collected=THEN)
    label = pg.Label(guard.notice.source("1(a)"), guard.notice.source("2"))
    decision = guard.explain(label, "AnyAdvice", subject=about)
    assert decision
    assert decision.grants == {guard.notice.source("1(a)"): "3(1)", guard.notice.source("2"): "4"}
    assert not guard.allows(label, RENEWAL, subject=about)
    assert not guard.allows(label, ADVICE, subject=about)
    assert guard.explain(label, ADVICE, subject=about).denied == (guard.notice.source("1(a)"),)
    assert (
        violation_class(guard.explain(guard.notice.source("1(b)"), "AnyAdvice", subject=about)) is pg.PurposeViolation
    )


def test_what_is_related_reaches_earlier_data() -> None:
    guard = pg.Guard(pg.History(FIRST, RELATED))
    assert answers(guard, "1(a)", STATISTICS, pg.RowContext(collected=THEN))
    some = revised(FIRST, extending("related", sources=["2"]), "2025-01-01")
    assert not answers(pg.Guard(pg.History(FIRST, some)), "1(a)", STATISTICS, pg.RowContext(collected=THEN))


def test_what_rests_on_consent_reaches_the_data_of_those_who_gave_it_since() -> None:
    at = CONSENTED.revision
    office = Office(
        {
            "1": SubjectPreferences(consents=frozenset({(STATISTICS, at)})),
            "2": SubjectPreferences(consents=frozenset({(STATISTICS, FIRST.revision)})),
            "3": SubjectPreferences(consents=frozenset({(OFFERS, at)})),
        }
    )
    guard = pg.Guard(pg.History(FIRST, CONSENTED), governance=office)
    assert answers(guard, "1(a)", STATISTICS, pg.RowContext(1, collected=THEN))
    for subject in (2, 3, 4):
        assert not answers(guard, "1(a)", STATISTICS, pg.RowContext(subject, collected=THEN))
        assert answers(guard, "1(a)", STATISTICS, pg.RowContext(subject, collected=NOW))
    error = refused(guard, "1(a)", STATISTICS, pg.RowContext(4, collected=THEN))
    assert type(error) is pg.SubjectViolation
    assert error.decision.reasons == (
        "statistics (4①) rests on consent here, which the subject did not give, or took back",
    )
    unnamed = refused(guard, "1(a)", STATISTICS, pg.RowContext(collected=THEN))
    assert type(unnamed) is pg.SubjectViolation
    assert "rests on consent, and it is not said whose data of 1(a) this is" in unnamed.decision.reasons[0]


def test_who_stopped_the_use_is_not_reached_by_what_is_related() -> None:
    office = Office({"1": SubjectPreferences(suspended=frozenset({STATISTICS}))})
    guard = pg.Guard(pg.History(FIRST, RELATED), governance=office)
    assert not answers(guard, "1(a)", STATISTICS, pg.RowContext(1, collected=THEN))
    assert type(refused(guard, "1(a)", STATISTICS, pg.RowContext(1, collected=THEN))) is pg.SubjectViolation
    assert answers(guard, "1(a)", STATISTICS, pg.RowContext(2, collected=THEN))


def test_classes_of_a_revision_say_that_data_was_collected_under_it() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE))
    old, new = FIRST.source("1(a)"), WIDE.source("1(a)")
    assert answers(guard, old, OFFERS)
    assert answers(guard, new, STATISTICS)
    assert not answers(guard, old, STATISTICS)
    assert not guard.allows([old, new], STATISTICS)
    assert guard.explain([old, new], STATISTICS).denied == (old,)
    assert violation_class(guard.explain(old, STATISTICS)) is pg.RevisionViolation
    assert "under the revision of 2024-01-01" in guard.explain(old, STATISTICS).reasons[0]


def test_what_a_row_says_of_itself_counts_for_classes_in_force() -> None:
    """A class of an earlier revision says it of all that it tags; it does not become later by a date."""
    guard = pg.Guard(pg.History(FIRST, WIDE))
    old, new = FIRST.source("1(a)"), WIDE.source("1(a)")
    assert not guard.allows(old, STATISTICS, subject=pg.RowContext(collected=NOW))
    assert not guard.allows(new, STATISTICS, subject=pg.RowContext(collected=THEN))
    assert guard.allows(new, STATISTICS, subject=pg.RowContext(collected=NOW))


def test_a_row_from_before_the_revision_of_its_class_keeps_its_own() -> None:
    """A class that stays in the code when the notice is replaced makes no row later than it was."""
    third = revised(WIDE, lambda t: None, "2026-01-01")
    guard = pg.Guard(pg.History(FIRST, WIDE))
    label = WIDE.source("1(a)")
    assert not answers(guard, label, STATISTICS, pg.RowContext(collected=THEN))
    guard.replace(third)
    assert answers(guard, label, STATISTICS, pg.RowContext(collected=NOW))
    assert not answers(guard, label, STATISTICS, pg.RowContext(collected=THEN))
    assert not answers(guard, label, OFFERS, pg.RowContext(collected=datetime.date(2020, 1, 1)))
    assert "under the revision of 2024-01-01" in str(refused(guard, label, STATISTICS, pg.RowContext(collected=THEN)))


def test_combining_data_of_two_revisions_widens_nothing() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE))
    old: pg.Personal[str, Any] = pg.Personal("old", FIRST.source("1(a)"))
    new: pg.Personal[str, Any] = pg.Personal("new", WIDE.source("1(a)"))
    with guard.purpose(STATISTICS) as use:
        assert use.open(new) == "new"
        for sealed in (old, old.zip(new), new.zip(old), pg.Personal.collect([new, old])):
            with pytest.raises(pg.RevisionViolation):
                use.open(sealed)
        with pytest.raises(pg.RevisionViolation):
            use.open_all([new, old])
    with guard.purpose(OFFERS) as use:
        assert use.open(old.zip(new)) == ("old", "new")


def test_what_is_derived_was_collected_under_all_that_went_into_it() -> None:
    def serving(t: dict[str, Any]) -> None:
        t["derivation"][0]["serves"] = ["4①", "3(2)①"]

    later = revised(FIRST, serving, "2025-01-01")
    guard = pg.Guard(pg.History(FIRST, later))
    (old_visit, new_visit), (old_account, new_account) = (
        (FIRST.source(one), later.source(one)) for one in ("2", "1(a)")
    )
    assert guard.derive("link", new_visit, new_account) is pg.Label(later.source("5"))
    assert guard.derive("link", old_visit, old_account) is pg.Label(FIRST.source("5"))
    mixed = guard.derive("link", old_visit, new_account)
    assert mixed is pg.Label(FIRST.source("5"), later.source("5"))
    assert guard.allows(guard.derive("link", new_visit, new_account), "3(2)①")
    for label in (mixed, guard.derive("link", old_visit, old_account)):
        assert guard.allows(label, "4①")
        assert violation_class(guard.explain(label, "3(2)①")) is pg.RevisionViolation


class Made:
    """A guard over two revisions, and rows tagged with the classes of the one in force."""

    def __init__(self, *notices: pg.Notice, **options: Any) -> None:
        self.guard = pg.Guard(pg.History(*notices), **options)
        account = notices[-1].source("1(a)")

        class Row(BaseModel):
            since: Annotated[datetime.date, pg.Collected]
            name: Annotated[str, account] = "n"
            note: str = "untagged"

        self.row = Row
        self.rows = [Row(since=THEN), Row(since=NOW)]

        @self.guard.access
        def load() -> list[Row]:
            return self.rows

        @self.guard.access(narrow=True)
        def narrowed() -> list[Row]:
            return self.rows

        @self.guard.access(withhold=True)
        def withheld() -> Iterator[Row]:
            yield from self.rows

        self.load, self.narrowed, self.withheld = load, narrowed, withheld


def test_what_is_derived_is_what_that_revision_calls_it() -> None:
    """The derivation and what goes into it have each other's number since."""

    def swapped(t: dict[str, Any]) -> None:
        numbers = {"2": "5", "5": "2"}
        visits, derivation = t["source"][3], t["derivation"][0]
        visits["id"], derivation["id"], derivation["from"] = "5", "2", ["5"]
        t["grant"][2]["sources"] = ["5"]
        t["renamed"] = [{"kind": "source", "old": old, "new": new} for old, new in numbers.items()]

    guard = pg.Guard(pg.History(FIRST, revised(FIRST, swapped, "2025-01-01")))
    made = guard.derive("link", FIRST.source("2"), FIRST.source("1(a)"))
    assert list(made) == [FIRST.source("LinkedVisit")]


def test_rows_are_read_by_when_they_were_collected() -> None:
    made = Made(FIRST, WIDE)
    with made.guard.purpose(OFFERS):
        assert made.load() is made.rows
    with made.guard.purpose(STATISTICS):
        assert made.narrowed() == [made.rows[1]]
        assert [row.model_dump(exclude={"since"}) for row in made.withheld()] == [
            {"note": "untagged"},
            {"note": "untagged", "name": "n"},
        ]
        with pytest.raises(pg.RevisionViolation) as caught:
            made.load()
    assert "or withhold what may not be used" in words(caught)
    related = Made(FIRST, RELATED)
    with related.guard.purpose(STATISTICS):
        assert related.load() is related.rows


def test_replacing_leaves_earlier_data_what_it_was() -> None:
    guard = pg.Guard(FIRST)
    old: pg.Personal[str, Any] = pg.Personal("old", FIRST.source("1(a)"))
    with guard.purpose(STATISTICS) as use:
        with pytest.raises(pg.PurposeViolation):
            use.open(old)
        guard.replace(WIDE)
        with pytest.raises(pg.RevisionViolation):
            use.open(old)
        assert use.open(pg.Personal("new", WIDE.source("1(a)"))) == "new"
        assert use.allows(WIDE.source("1(a)"), subject=pg.RowContext(collected=NOW))
        assert not use.allows(WIDE.source("1(a)"), subject=pg.RowContext(collected=THEN))
        guard.replace(RELATED)
        assert use.open(old) == "old"
    with guard.purpose(OFFERS) as use:
        assert use.open(old) == "old"


def test_a_revision_that_is_put_back_grants_later_data_no_more_than_both() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE))
    new = WIDE.source("1(a)")
    assert guard.allows(new, STATISTICS)
    guard.replace(FIRST)
    assert guard.notice is FIRST
    assert not guard.allows(new, STATISTICS)
    assert guard.allows(new, OFFERS)
    assert guard.allows(FIRST.source("1(a)"), OFFERS, subject=pg.RowContext(collected=NOW))

    # An earlier revision extends nothing to data that was collected later.
    first = revised(FIRST, extending("related", notified="2023-12-01"))
    guard = pg.Guard(pg.History(first, revised(FIRST, lambda t: None, "2025-01-01")))
    guard.replace(first)
    about = pg.RowContext(collected=NOW)
    assert guard.allows("1(a)", STATISTICS)
    assert not guard.allows("1(a)", STATISTICS, subject=about)
    assert violation_class(guard.explain("1(a)", STATISTICS, subject=about)) is pg.RevisionViolation


def test_the_revision_put_right_decides_in_its_place() -> None:
    guard = pg.Guard(FIRST)
    old = FIRST.source("1(a)")
    mended = revised(FIRST, wide)
    assert not guard.allows(old, STATISTICS)
    guard.replace(mended)
    assert guard.allows(old, STATISTICS)
    assert guard.allows(mended.source("1(a)"), STATISTICS, subject=pg.RowContext(collected=THEN))
    assert guard.allows(old, STATISTICS, subject=pg.RowContext(collected=THEN))


def test_a_third_revision_asks_the_first_too() -> None:
    third = revised(WIDE, lambda t: None, "2026-01-01")
    guard = pg.Guard(pg.History(FIRST, WIDE, third))
    assert not guard.allows("1(a)", STATISTICS, subject=pg.RowContext(collected=THEN))
    assert guard.allows("1(a)", STATISTICS, subject=pg.RowContext(collected=NOW))
    assert not guard.allows(FIRST.source("1(a)"), STATISTICS)
    assert guard.allows(WIDE.source("1(a)"), STATISTICS)


def test_a_clause_that_is_gone_is_unknown_under_every_circumstance() -> None:
    def drop(t: dict[str, Any]) -> None:
        t["source"] = [row for row in t["source"] if row["id"] != "2"]
        t["grant"] = t["grant"][:2]
        for gone in ("family", "derivation"):
            del t[gone]

    guard = pg.Guard(FIRST, governance=Office())
    visit: pg.Personal[str, Any] = pg.Personal("v", FIRST.source("2"))
    with guard.purpose("3(2)①") as use:
        guard.replace(revised(FIRST, drop, "2025-01-01"))
        for about in (None, 8, pg.RowContext(8), pg.RowContext(8, collected=THEN), pg.RowContext(collected=THEN)):
            for way in (
                lambda: use.open(visit, subject=about),  # noqa: B023  # called at once
                lambda: use.try_open(visit, 0, subject=about),  # noqa: B023
                lambda: use.allows(visit.label, subject=about),  # noqa: B023
                lambda: use.explain(visit.label, subject=about),  # noqa: B023
                lambda: use.check(visit.label, subject=about),  # noqa: B023
                lambda: guard.allows(visit.label, "3(2)①", subject=about),  # noqa: B023
            ):
                with pytest.raises(pg.UnknownSource):
                    way()


def test_a_family_that_is_gone_opens_nothing_of_anybody() -> None:
    """A member's use was quick to open what its column remembered; the family may be gone meanwhile."""
    office = Office({})
    guard = pg.Guard(FIRST, governance=office)
    sealed: pg.Personal[str, Any] = pg.Personal("v", FIRST.source("1(a)"))
    with guard.purpose("AnyAdvice", channel="email"):
        member = guard.use(RENEWAL)
        assert member.open(sealed, subject=8) == member.open(sealed, subject=8) == "v"
        guard.replace(revised(FIRST, lambda t: t.pop("family"), "2025-01-01"))
        with guard.purpose(RENEWAL, channel="email") as other:
            assert other.open(sealed, subject=8) == other.open(sealed, subject=8) == "v"
        for subject in (8, None):
            with pytest.raises(pg.UnknownPurpose):
                member.open(sealed, subject=subject)


def test_a_notice_that_is_replaced_during_a_check_is_decided_by_whole() -> None:
    """A period is counted, and the purpose decided, by one revision, though the two call the source differently."""

    def kept_for_a_month(t: dict[str, Any]) -> None:
        t["retention"] = {**RETENTION, "period": [{"source": "1(a)", "days": 30, "from": "collection"}]}

    def renumbered(t: dict[str, Any]) -> None:
        next(row for row in t["source"] if row["id"] == "1(a)")["id"] = "1(c)"
        t["grant"][0]["sources"] = ["1(c)"]
        t["retention"]["period"][0]["source"] = "1(c)"
        t["renamed"] = [{"kind": "source", "old": "1(a)", "new": "1(c)"}]

    monthly = revised(FIRST, kept_for_a_month, "2025-01-01")
    later = revised(monthly, renumbered, "2026-01-01")
    guard = pg.Guard(monthly, clock=lambda: datetime.datetime(2025, 7, 15, tzinfo=UTC))
    about = pg.RowContext(collected=NOW)

    def while_it_is_replaced() -> Iterator[Any]:
        guard.replace(later)
        yield monthly.source("1(a)")

    with guard.purpose(OFFERS) as use:
        assert not use.allows(monthly.source("1(a)"), subject=about)
        assert not use.allows(while_it_is_replaced(), subject=about)
        assert guard.notice is later
        assert not use.allows(monthly.source("1(a)"), subject=about)


def test_no_more_is_remembered_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.policy.table.MOST_REMEMBERED", 1)
    guard = pg.Guard(pg.History(FIRST, WIDE))
    for _ in range(2):
        assert not guard.allows("1(a)", STATISTICS, subject=pg.RowContext(collected=THEN))
        assert guard.allows("1(a)", OFFERS, subject=pg.RowContext(collected=THEN))
        assert guard.allows("2", STATISTICS, subject=pg.RowContext(collected=THEN))
    assert len(guard.engine.snapshot.matrix._in_context) == 1


def test_the_end_of_use_alone_says_nothing_of_the_revision() -> None:
    guard = pg.Guard(pg.History(FIRST, WIDE), clock=lambda: datetime.datetime(2025, 7, 15, tzinfo=UTC))
    assert guard.allows("1(a)", OFFERS, subject=pg.RowContext(ended=NOW))
