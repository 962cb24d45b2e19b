"""`check` runs the functions of a module, and names the fields that they may not use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purposeguard.testing import RecordUnreadable, Violations, check
from tests.testing.checking import letters
from tests.testing.checking.copies import load_copy, make_filling

TEXT = '    text = f"Dear {customer.name}, your licence ends on {customer.renews}."\n'
LOOP = "    for customer in customers.values():\n        send"
NAME = "customers[].devices[].name"
CRASHES = "customers[].devices[].crashes"


def added(line: str) -> tuple[str, str]:
    """Return the change that adds a line to `remind`."""
    return TEXT, f"{TEXT}    {line}\n"


def find_violations(*changes: tuple[str, str], **options: Any) -> Violations:
    service = load_copy(*changes)
    with pytest.raises(Violations) as raised:
        check(service, arrange=make_filling(service), **options)
    return raised.value


def test_a_service_that_keeps_to_its_purposes_passes() -> None:
    report = check(letters, arrange=make_filling(letters))
    assert report.activities == {
        "count_crashes": ("1.2(2)②",),
        "newsletter": ("AnyProductGuidance",),
        "remind": ("1.2(1)①",),
        "remind_all": ("1.2(1)①",),
        "support": ("1.2(2)①",),
    }
    assert report.unused == []
    assert report.runs > 20
    assert letters.customers == {}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("text += customer.devices[0].name if customer.devices else ''", {NAME}),
        ("logger.info('%d', sum(device.crashes for device in customer.devices))", {CRASHES}),
        ("text += '!' if any(device.crashes > 60 for device in customer.devices) else ''", {CRASHES}),
        ("text += str(hash(repr(customer.devices)))", {NAME, CRASHES}),
        ("text += '!' if any(device.name == 'XJ-9000' for device in customer.devices) else ''", {NAME}),
        ("text += '!' if customer.country == 'JP' and customer.devices[0].crashes > 3 else ''", {CRASHES}),
        ("text += f'{len(customer.devices)}'", {"customers[].devices"}),
        ("text += '!' if customer.devices else ''", {"customers[].devices"}),
        ("text += '!' if len({device.name for device in customer.devices}) < len(customer.devices) else ''", {NAME}),
    ],
)
def test_what_an_activity_may_not_use_is_named(line: str, fields: set[str]) -> None:
    failure = find_violations(added(line), skip=["count_crashes", "newsletter", "remind_all", "support"])
    assert {each.activity for each in failure.found} == {"remind"}
    assert {name for each in failure.found for name in each.fields} == fields
    assert failure.unchecked == {}


def test_an_order_is_a_difference() -> None:
    order = "sorted(customers.values(), key=lambda each: sum(device.crashes for device in each.devices))"
    others = ["count_crashes", "newsletter", "remind", "support"]
    failure = find_violations((LOOP, f"    for customer in {order}:\n        send"), skip=others)
    assert [(each.activity, each.fields) for each in failure.found] == [("remind_all", (CRASHES,))]


@pytest.mark.parametrize(
    "kept", ["summaries.get(customer_id)", "summarize.cache_info().currsize and summarize(customer_id)"]
)
def test_what_another_activity_left_is_found(kept: str) -> None:
    support = '    return f"{find(customer_id).name}: {summarize(customer_id)}"'
    stored = (support, f"    summaries[customer_id] = summarize(customer_id)\n{support}")
    (violation,) = find_violations(added(f"text += str({kept})"), stored).found
    assert (violation.activity, violation.fields, violation.story) == ("remind", (NAME,), "after support")
    assert "remind (after support)" in violation.text


def test_what_is_known_is_not_reported_again() -> None:
    service = load_copy(added("text += customer.devices[0].name if customer.devices else ''"))
    check(service, arrange=make_filling(service), known={"remind": [NAME, "customers[].devices"]})


def test_what_is_known_of_a_value_or_of_another_activity_hides_nothing_else() -> None:
    counted = added("text += f'{len(customer.devices)}'")
    assert [each.fields for each in find_violations(counted, known={"remind": [NAME]}).found] == [
        ("customers[].devices",)
    ]
    kept = added("text += summaries.get(customer_id, '')")
    support = '    return f"{find(customer_id).name}: {summarize(customer_id)}"'
    stored = (support, f"    summaries[customer_id] = summarize(customer_id)\n{support}")
    known = {"remind_all": [NAME, "customers[].devices"]}
    assert [each.activity for each in find_violations(kept, stored, known=known).found] == ["remind"]


def test_the_quick_mode_runs_each_activity_alone() -> None:
    service = load_copy(added("text += str(summarize.cache_info().currsize and summarize(customer_id))"))
    check(service, arrange=make_filling(service), quick=True)
    with pytest.raises(Violations):
        check(service, arrange=make_filling(service))


@pytest.mark.parametrize(
    "change",
    [
        ("def remind_all", "def remind_everybody"),
        (LOOP, "    for customer in sorted(customers.values(), key=lambda each: each.email):\n        send"),
        added("import uuid; logger.info('%s', uuid.uuid4())"),
        added("logger.info('a mail to %s', customer.email)"),
    ],
)
def test_what_is_allowed_is_no_violation(change: tuple[str, str]) -> None:
    service = load_copy(change)
    check(service, arrange=make_filling(service))


def test_an_activity_that_always_fails_is_not_taken_for_checked() -> None:
    failure = find_violations(added("raise ValueError('closed')"))
    assert failure.unchecked == {"remind": "every run fails, ValueError: closed"}
    assert "remind cannot be checked" in str(failure)


def test_rows_that_the_arrangement_refuses_are_no_proof() -> None:
    def fill(customers: list[letters.Customer]) -> None:
        raise KeyError(len(customers))

    with pytest.raises(Violations, match="`arrange` refuses all rows that were drawn, KeyError") as raised:
        check(letters, arrange=fill)
    assert set(raised.value.unchecked) == {"count_crashes", "newsletter", "remind", "remind_all", "support"}


def test_arguments_that_cannot_be_drawn_are_named() -> None:
    failure = find_violations(("def remind(customer_id: int)", "def remind(customer_id: int, mailer: logging.Logger)"))
    assert "pass a value or a strategy, `check(…, mailer=…)`" in failure.unchecked["remind"]


def test_what_has_no_activities_is_refused() -> None:
    with pytest.raises(TypeError, match="has no activities"):
        check(pytest)
    with pytest.raises(TypeError, match="takes a module"):
        check("letters")
    with pytest.raises(TypeError, match="neither `arrange` nor an activity has a parameter `quik`"):
        check(letters, quik=True)
    with pytest.raises(TypeError, match="`skip` names `forget`, but the activities are count_crashes, newsletter"):
        check(letters, skip=["forget"])


def test_a_record_holds_purposes_and_sources(tmp_path: Path) -> None:
    record = tmp_path / "letters.json"
    with pytest.raises(Violations, match=r"of 5 activities are recorded in .*: review and commit it"):
        check(letters, arrange=make_filling(letters), record=record, quick=True)
    check(letters, arrange=make_filling(letters), record=record, quick=True)
    renamed = load_copy(("def remind_all", "def remind_everybody"))
    check(renamed, arrange=make_filling(renamed), record=record, quick=True)
    broader = ("@guard.purpose(tm.RenewalGuidance)\ndef remind(", "@guard.purpose(tm.ProductProvision)\ndef remind(")
    untagged = ("    crashes: Annotated[int, tm.ProductData]", "    crashes: Annotated[int, tm.Registration]")
    first, other = find_violations(broader, untagged, record=record, quick=True).changes
    assert first.startswith("remind runs for 1.2(2)①, and not 1.2(1)①; if that is right, delete ")
    assert other.startswith("customers[].devices[].crashes has the sources 1.1(a), and not 1.1(b); if")
    untagged = ("    crashes: Annotated[int, tm.ProductData]", "    crashes: int")
    undecorated = ("@guard.purpose(tm.RenewalGuidance)\ndef remind_all", "def remind_all")
    gone = find_violations(untagged, undecorated, record=record, quick=True).changes
    assert [change.partition(":")[0] for change in gone] == [
        "remind_all is gone, or runs for nothing",
        "customers[].devices[].crashes is gone, or has the sources nothing",
    ]


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"format": 2, "activities": {}, "fields": {}}'])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    record = tmp_path / "letters.json"
    record.write_text(content)
    with pytest.raises(RecordUnreadable, match="is no record of format 1: delete it"):
        check(letters, arrange=make_filling(letters), quick=True, record=record)


def test_nothing_is_proven_without_rows_or_other_values() -> None:
    with pytest.raises(Violations) as raised:
        check(letters, quick=True)
    assert "nothing that is drawn has tagged fields: pass `arrange`" in raised.value.unchecked["remind_all"]

    def fill(customers: list[letters.Customer]) -> None:
        if filled and customers != filled[0]:
            raise ValueError("full")
        filled.append(customers)

    filled: list[list[letters.Customer]] = []
    with pytest.raises(Violations) as raised:
        check(letters.newsletter, arrange=fill, guard=letters.guard, quick=True)
    assert "no run could be compared in which other values are in customers" in raised.value.unchecked["newsletter"]


CLASS = """

class Office:
    def __init__(self, city: str) -> None:
        self.city = city

    @guard.purpose(tm.RenewalGuidance)
    def call(self) -> str:
        return self.city


def plan() -> str:
    if customers is None:
        with guard.purpose(tm.RenewalGuidance):
            return "never"
    return "nothing"


def make_job() -> object:
    @guard.purpose(tm.RenewalGuidance)
    def job() -> str:
        return "later"

    return job


jobs = {"nightly": make_job()}
"""


def test_what_cannot_be_run_is_named() -> None:
    last = "for customer in customers.values()]\n"
    unchecked = find_violations((last, last + CLASS), quick=True).unchecked
    assert set(unchecked) == {"Office.call", "plan", "make_job", "make_job.<locals>.job"}
    assert "pass one, `check(instance)`" in unchecked["Office.call"]
    assert "no run entered a purpose" in unchecked["plan"]
    assert "no run entered it" in unchecked["make_job.<locals>.job"]
