"""A shop that has been at work for a while, and its report: for the tests of the report, and for its pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tomli_w
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.privacy import governance, guard
from examples.shop.revisions import REVISIONS
from examples.shop.settings import Settings
from purposeguard.adoption.evidence import format_revision
from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey
from tests import lindenrad
from tests.end_to_end.conftest import LABORATORY, MORE, PEOPLE
from tests.unit.command_line import process, run

SUBJECTS = ("customer:77340191", "lead:88451202", "prospect:99562313")
"""People of whom the store knows. None of them may be found in a report."""

WORDS_OF_CLERKS = (
    "Hildegard-of-the-desk",
    "called-back-under-number-4711",
    "authority-on-file-0815",
    "warrant-2031-77",
)
"""What clerks wrote down, which is none of a report's business either."""

ISSUE = {"subject": "News", "body": "There is news."}


def lived(folder: Path) -> Path:
    """Runs the shop in a folder, with customers, mistakes, requests and hand-overs; gives the file of its store."""
    settings = Settings(
        database_url=f"sqlite:///{folder / 'shop.db'}",
        governance_url=f"sqlite:///{folder / 'privacy.db'}",
        reports_folder=folder / "reports",
        mistakes=True,
    )
    with TestClient(create_app(settings)) as shop:
        for path, body in (*PEOPLE, *MORE):
            assert shop.post(path, json=body).is_success
        assert shop.put("/privacy/recipients/crash-lab", json=LABORATORY).is_success
        for _ in range(3):
            shop.post("/renewals/reminders", json={"due_before": "2030-02-01"})
            shop.get("/renewals/customers/1")
        for kind in ("security", "products"):
            assert shop.post(f"/newsletters/{kind}", json=ISSUE).is_success
        for path in ("telemetry/Shield/crashes", "telemetry/Shield/figures", "visits/traffic", "support/inquiries"):
            assert shop.get(f"/{path}").is_success
        for path in ("promote-from-summary?product=Shield", "without-purpose/1", "call-list", "look-for-a-fault/1"):
            shop.get(f"/mistakes/{path}")
        shop.post("/mistakes/promote-upgrade?product=Shield")
        shop.post("/customers/1/crashes/hand-over")
        shop.post("/privacy/warrants", json={"customer_id": 1, "number": WORDS_OF_CLERKS[3], "approver": "the head"})
        _asked(shop)
        governance.consent(SUBJECTS[0], "1.2(1)④")
    return folder / "privacy.db"


def _asked(shop: TestClient) -> None:
    customer, lead, prospect = SUBJECTS
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("suspension-of-use", customer, {"purposes": ["1.2(1)①", "1.2(1)②"]}),
        ("suspension-of-use", lead, {"purposes": ["2.2①"]}),
        ("stop-of-provision", lead, {}),
        ("erasure", prospect, {"requester": "agent", "authority": WORDS_OF_CLERKS[2]}),
        ("disclosure", customer, {}),
        ("disclosure", prospect, {}),
    ]
    for number, (kind, subject, more) in enumerate(wanted, 1):
        answer = shop.post("/privacy/requests", json={"kind": kind, "subject": subject, **more})
        assert answer.is_success, answer.text
        if number <= 4:
            said = {"how": WORDS_OF_CLERKS[1], "by": WORDS_OF_CLERKS[0]}
            assert shop.post(f"/privacy/requests/{number}/verify", json=said).is_success
        if number <= 3:
            assert shop.post(f"/privacy/requests/{number}/fulfil", json={"by": WORDS_OF_CLERKS[0]}).is_success


def observed(folder: Path) -> Path:
    """What was observed of the shop, some of it not permitted, as a file of evidence."""
    revision = format_revision(guard)
    counts: dict[EvidenceKey, int] = {}
    for entry_point, source, purpose in (
        ("GET /renewals/customers/{customer_id}", "1.1(a)", "1.2(1)①"),
        ("GET /renewals/customers/{customer_id}", "1.1(b)", "1.2(1)①"),
        ("GET /mistakes/call-list", "1.1(a)", "1.2(1)③"),
        ("GET /mistakes/call-list", "3.1", ""),
        ("examples.shop.jobs.send_all_reminders_that_are_due_before_the_end_of_the_month", "1.1(a)", "1.2(1)①"),
    ):
        fields = (f"examples.shop.models.customers_and_their_devices.column_{number}" for number in range(20))
        for field in fields:
            key = EvidenceKey(
                revision, entry_point, purpose=purpose, field=field, sources=source, outcome="read", activity="a"
            )
            counts[key] = 1_234
        counts[EvidenceKey(revision, entry_point, outcome="unresolved", detail="statement: UnreadableStatement")] = 3
    path = folder / "evidence.sqlite"
    EvidenceFile(path).add(counts)
    return path


def next_revision(folder: Path) -> Path:
    """The shop's next revision, as a file."""
    path = folder / "next.toml"
    path.write_text(tomli_w.dumps(REVISIONS[max(REVISIONS)].dump()), "utf-8")
    return path


def command(folder: Path, language: str) -> tuple[str, ...]:
    """The command line that writes the report of the shop, `report-en.html` or `report-ja.html`."""
    imports = ("--import", "examples.shop.revisions")
    others = ("--store", str(folder / "privacy.db"), "--revision", str(next_revision(folder)))
    evidence = ("--evidence", str(observed(folder)))
    page = ("--language", language, "-o", str(folder / f"report-{language}.html"))
    workbook = ("--xlsx", str(folder / f"registers-{language}.xlsx"))
    return ("report", "examples.shop.app:guard", *imports, *others, *evidence, *page, *workbook)


def main(folder: Path) -> None:
    """Takes the inventory, lives, and reports in both languages; another shop reports too."""
    # Before anything has run, as a process of its own would tell it.
    inventory = run("inventory", "examples.shop.app:guard", "--import", "examples.shop.revisions", "--format", "json")
    (folder / "inventory.json").write_text(inventory.stdout, "utf-8")
    lived(folder)
    done = process(*command(folder, "en"))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    result = run(*command(folder, "ja"))  # in this process, which costs no imports
    assert (result.exit_code, result.output) == (0, ""), result.output
    sys.path.insert(0, str(folder))
    target = lindenrad.written(folder)
    for language in ("en", "ja"):
        result = run("report", target, "--language", language, "-o", folder / f"lindenrad-{language}.html")
        assert result.exit_code == 0, result.output


if __name__ == "__main__":
    main(Path(sys.argv[1]))
