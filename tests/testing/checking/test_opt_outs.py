"""`check` finds data of a person who has opted out in what is done for the purpose."""

from __future__ import annotations

import pytest

from purposeguard.testing import Violations, check
from tests.testing.checking.copies import load_copy, make_filling

LISTED = "for customer in list_customers()"
FOUND = 'f"Dear {find(customer_id).name}"'


def find_violations(*changes: tuple[str, str]) -> Violations:
    service = load_copy(*changes, service="bulletins")
    with pytest.raises(Violations) as raised:
        check(service, arrange=make_filling(service))
    assert raised.value.unchecked == {}
    return raised.value


def test_a_service_that_respects_opt_outs_passes() -> None:
    service = load_copy(service="bulletins")
    report = check(service, arrange=make_filling(service))
    assert report.activities == {"announce": ("AnyProductGuidance",), "remind": ("1.2(1)①",)}
    assert service.guard.governance.preferences_by_subject == {}


def test_a_use_without_the_guard_is_found() -> None:
    (violation,) = find_violations((LISTED, "for customer in customers.values()")).found
    assert violation.activity == "announce"
    assert violation.fields == ("customers[].email",)
    assert violation.story == "after the person opted out"
    assert "announce (after the person opted out)" in violation.text
    assert "of this subject" in violation.text
    assert "leaves out who has opted out" in violation.text


def test_a_value_that_was_kept_before_the_opt_out_is_found() -> None:
    kept = f"known.get(customer_id) or known.setdefault(customer_id, {FOUND})"
    (violation,) = find_violations((FOUND, kept)).found
    assert (violation.activity, violation.fields) == ("remind", ("customers[].name",))
    assert violation.story == "after announce, remind, after the person opted out"
