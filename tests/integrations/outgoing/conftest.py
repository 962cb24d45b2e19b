"""A guard with a store of its own, and servers on loopback."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.integrations.outgoing.loopback import Proxy, Server, serving

CONTRACT = Safeguard("contract", "2026-117", since=datetime.date(2024, 4, 1))
SUPERVISED = datetime.date(2024, 5, 1)


@pytest.fixture(scope="session")
def store_of_recipients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outgoing") / "store.db"
    with Governance(f"sqlite:///{path}", notice=tm.NOTICE) as governance:
        register = governance.provisions.recipients
        for name, kind, country in (
            ("mail-house", "domestic-contractor", "JP"),
            ("call-centre", "overseas-contractor", "PH"),
            ("elsewhere", "overseas-contractor", "XX"),
        ):
            register.register(Recipient(name, kind, country, safeguards=[CONTRACT], supervised_on=SUPERVISED))
    return path


@pytest.fixture
def store_file(store_of_recipients: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(store_of_recipients, tmp_path / "store.db"))


@pytest.fixture
def governance(store_file: Path) -> Iterator[Governance]:
    with Governance(f"sqlite:///{store_file}", notice=tm.NOTICE) as made:
        yield made


@pytest.fixture
def guard(governance: Governance) -> pg.Guard:
    return pg.Guard(tm.NOTICE, governance=governance)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as started:
        yield started


@pytest.fixture
def other() -> Iterator[Server]:
    with serving(Server()) as started:
        yield started


@pytest.fixture
def proxy() -> Iterator[Server]:
    with serving(Proxy()) as started:
        yield started
