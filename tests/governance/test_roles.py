"""Roles of PostgreSQL with no more rights than they need, as docs/how-to/deploy.md gives them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance
from purposeguard.governance.ledger import ArchivedRange, SqlLedger, archive
from purposeguard.governance.ledger.opening import joined, opened
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.row_context import subject_key

ROLES = ("shop", "archivist", "checker", "auditor")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "deploy.md"


@pytest.fixture
def urls(server_url: str) -> Iterator[dict[str, str]]:
    """The URLs of a store for its owner, and for the roles of the page."""
    (grants,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    owner = make_url(server_url)
    engine = sa.create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql(grants)
    shown = {"owner": owner, **{role: owner.set(username=role) for role in ROLES}}
    yield {role: url.render_as_string(hide_password=False) for role, url in shown.items()}
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {', '.join(ROLES)}; DROP ROLE {', '.join(ROLES)}")
    engine.dispose()


def refuse(governance: Governance, *statements: str) -> None:
    """Sees that the database refuses each of these statements."""
    for statement in statements:
        with pytest.raises(StoreUnavailable, match="permission denied"), governance.store.writing() as connection:
            connection.exec_driver_sql(statement)


def test_each_role_may_do_what_it_needs_and_no_more(urls: dict[str, str]) -> None:
    with Governance(urls["shop"], notice=tm.NOTICE) as shop:
        guard = pg.Guard(tm.NOTICE, governance=shop)
        shop.restrict(7, "1.2(1)①")
        shop.consent(8, "1.2(1)②")
        request = shop.requests.open("disclosure", subject=9)
        assert guard.allows(tm.Contract, tm.RenewalGuidance, subject=8)
        for subject in (7, 7):  # the second is counted
            with pytest.raises(pg.SubjectViolation):
                guard.check(tm.Contract, tm.RenewalGuidance, subject=subject)
        assert isinstance(shop.ledger, SqlLedger)
        shop.ledger.flush()
        refuse(
            shop,
            "DELETE FROM purposeguard_ledger",
            "UPDATE purposeguard_ledger SET body = '{}'",
            "DELETE FROM purposeguard_declaration",
            "DELETE FROM purposeguard_revocation",
            "UPDATE purposeguard_declaration SET pseudonym = ''",
            "DELETE FROM purposeguard_forgotten",
        )
        shop.restrict(10, reference="by telephone")
        shop.forget(10)
        assert shop.preferences(subject_key(10)).erased
        with Governance(urls["checker"], notice=tm.NOTICE, ledger=False) as checker:
            assert checker.preferences(subject_key(7)).suspended
            assert checker.requests.get(request.id).state == request.state
            refuse(
                checker,
                "DELETE FROM purposeguard_counter",
                "INSERT INTO purposeguard_change VALUES (9, '9')",
                "SELECT * FROM purposeguard_ledger",
            )
            with pytest.raises(StoreUnavailable, match="permission denied"):
                checker.restrict(8)
    with opened(urls["auditor"]) as ledger:
        assert ledger.verify().entries >= 3
        assert {entry.kind for entry in ledger.entries()} >= {"restriction", "consent", "denial"}


def test_an_application_adds_to_the_ledger_and_an_operator_archives(urls: dict[str, str], tmp_path: Path) -> None:
    day = datetime.datetime(2026, 5, 2, tzinfo=datetime.UTC)
    file, later = tmp_path / "old", day + datetime.timedelta(hours=1)
    with Store.open(urls["shop"]) as shop, SqlLedger(shop, clock=lambda: day) as ledger:
        ledger.append("sweep", {})
        with pytest.raises(StoreUnavailable, match="permission denied"):
            archive(shop, file, later)
        assert not file.exists()
        with Store.open(urls["archivist"]) as store:
            assert archive(store, file, later) == ArchivedRange(1, 1, 1)
        ledger.append("sweep", {})
        with pytest.raises(StoreUnavailable, match="permission denied"):
            archive(shop, file, later)
    with joined([str(file), urls["auditor"]]) as reading:
        assert [entry.kind for entry in reading.iter_verified()] == ["sweep", "archive", "sweep"]
