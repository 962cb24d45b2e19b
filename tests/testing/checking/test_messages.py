"""What `check` says of ten violations. `python -m tests.golden.write` writes it anew, to be read before it is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from purposeguard.testing import Violations, check
from tests.testing.checking.copies import load_copy, make_filling

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "violations.txt"
TEXT: Final = '    text = f"Dear {customer.name}, your licence ends on {customer.renews}."\n'
SUPPORT: Final = '    return f"{find(customer_id).name}: {summarize(customer_id)}"'
LOOP: Final = "    for customer in customers.values():\n        send"
FOUND: Final = 'f"Dear {find(customer_id).name}"'


def added(line: str) -> tuple[str, str]:
    return TEXT, f"{TEXT}    {line}\n"


CHANGES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "letters: a value in a result": (added("text += ', '.join(device.name for device in customer.devices)"),),
    "letters: a bound": (added("text += '!' if any(device.crashes > 60 for device in customer.devices) else ''"),),
    "letters: one constant": (added("text += '!' if any(d.name == 'XJ-9000' for d in customer.devices) else ''"),),
    "letters: a number of rows in a log record": (added("logger.info('%d devices', len(customer.devices))"),),
    "letters: whether there are rows": (added("text += '!' if customer.devices else ''"),),
    "letters: an error": (added("if any(device.crashes > 9 for device in customer.devices): raise ValueError('bad')"),),
    "letters: an order": ((LOOP, LOOP.replace("customers.values()", "sorted(customers.values(), key=by_crashes)")),),
    "letters: what another activity kept": (
        added("text += summaries.get(customer_id, '')"),
        (SUPPORT, f"    summaries[customer_id] = summarize(customer_id)\n{SUPPORT}"),
    ),
    "bulletins: a use without the guard": (("in list_customers()", "in customers.values()"),),
    "bulletins: a value that was kept before the opt-out": (
        (FOUND, f"known.get(customer_id) or known.setdefault(customer_id, {FOUND})"),
    ),
}
HEAD: Final = "@guard.purpose(tm.RenewalGuidance)\ndef remind_all"
BY_CRASHES: Final = """def by_crashes(customer: Customer) -> int:
    return sum(device.crashes for device in customer.devices)


"""


def describe(title: str) -> str:
    """Return what is said of one change."""
    changes = CHANGES[title]
    if title.endswith("an order"):
        changes = (*changes, (HEAD, BY_CRASHES + HEAD))
    service = load_copy(*changes, service=title.partition(":")[0])
    try:
        check(service, arrange=make_filling(service))
    except Violations as found:
        return re.sub(r"(letters|bulletins)_\d+", r"\1", str(found))
    return "nothing"


def written() -> str:
    """Return what is said of all changes."""
    parts = [f"=== {title}\n\n{describe(title)}\n" for title in CHANGES]
    return "\n".join("\n".join(map(str.rstrip, part.splitlines())) + "\n" for part in parts)


def test_the_messages_are_as_they_were_read() -> None:
    assert written() == GOLDEN.read_text("utf-8")
