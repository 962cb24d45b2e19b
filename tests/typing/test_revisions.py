"""A narrower revision of the notice makes lines of an application type errors: just those that use what it withdrew."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notice.codegen import generate
from tests.typing.corpus import APPLICATION, Findings, marked
from tests.typing.revisions.drafts import DRAFTS, NARROWER, revision

TEXT = APPLICATION.read_text("utf-8")


def test_the_published_revision_and_a_wider_one_accept_the_application(findings: Findings) -> None:
    for name in ("published", "wider"):
        assert {file: found for file, found in findings.found.items() if file.startswith(f"{name}/")} == {}, name


def test_a_narrower_revision_refuses_just_the_lines_that_use_what_it_withdrew(findings: Findings) -> None:
    for name in NARROWER:
        assert set(findings.found[f"{name}/application.py"]) == marked(TEXT, name) != set(), name
        assert findings.found.get(f"{name}/my_notice.py", {}) == {}, name


def test_each_mark_names_a_revision() -> None:
    named = {name for names in re.findall(r"# error: (.*)$", TEXT, re.MULTILINE) for name in names.split(", ")}
    assert named == set(NARROWER)


@pytest.mark.parametrize("name", ["published", *DRAFTS])
def test_the_generated_module_states_its_revision(name: str) -> None:
    notice = revision(name)
    text = generate(notice)
    assert notice.revision == (date(2024, 4, 1) if name == "published" else date(2026, 4, 1))
    assert f"revision of {notice.revision}" in text.partition('"""')[2].partition('"""')[0]
    assert f'\nREVISION: Final = "{notice.revision}"\n' in text


# What the type checkers refuse is refused when it runs.

Imported = Callable[[str], ModuleType]


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Imported]:
    """Imports the application over a revision."""

    def imported(name: str) -> ModuleType:
        package = tmp_path / f"under_{name}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "my_notice.py").write_text(generate(revision(name)), "utf-8")
        (package / "application.py").write_text(TEXT, "utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(f"{package.name}.application")

    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield imported
    for name in set(sys.modules) - before:
        if name.startswith("under_"):
            del sys.modules[name]


def customer_of(module: Any) -> Any:
    notice = module.notice
    return module.Customer(
        email=Personal("mail@example.org", notice.Registration),
        renews=Personal("2026", notice.Contract),
        device=Personal("laptop", notice.ProductData),
        visits=Personal(3, notice.Cookie),
    )


def use_links(module: Any) -> None:
    module.usage(customer_of(module))


def test_the_application_runs_under_the_published_revision(application: Imported) -> None:
    module: Any = application("published")
    customer = customer_of(module)
    assert module.notice.REVISION == str(module.guard.notice.revision) == "2024-04-01"
    assert module.renewals(customer) == "mail@example.org"
    assert module.campaign(customer, [customer]) == ["2026"]
    assert module.campaign_for_all(customer) == "2026"
    assert module.improvement(customer) is None
    assert module.first_of([customer.device]) is customer.device
    assert module.invitation(customer) == "mail@example.org"
    assert module.usage(customer).label == pg.Label(module.notice.LinkedUsage)


@pytest.mark.parametrize("name", ["third_parties", "telemetry"])
def test_what_a_revision_withdrew_is_refused_when_it_runs(name: str, application: Imported) -> None:
    module: Any = application(name)
    customer = customer_of(module)
    assert module.renewals(customer) == "mail@example.org"
    with pytest.raises(pg.PurposeViolation, match=r"may not use (contract|product-data)"):
        module.campaign(customer, [customer]) if name == "third_parties" else module.improvement(customer)


@pytest.mark.parametrize(("name", "missing"), [("no_events", "EventInvitation"), ("unlinked", "link_usage")])
def test_what_a_revision_no_longer_has_is_missing_when_it_runs(name: str, missing: str, application: Imported) -> None:
    with pytest.raises(AttributeError, match=missing):
        use_links(application(name))
