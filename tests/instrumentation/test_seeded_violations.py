"""Violations that are seeded into shops that do not know the library: are they in the evidence, and are they refused?

Each shop prints for each of its violations if it took place. It runs as it is, under `purposeguard adopt run`, and with
a guard that enforces the same files. With a purpose that may use everything, the guard lets the violations take place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

import purposeguard as pg
from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.adoption.summary import Judgment, summarize
from purposeguard.project.directory import read_project

ROOT = Path(__file__).parents[2]
SHOPS = "tests.instrumentation.shops"
LIMITS = ROOT / "docs" / "explanation" / "limits.md"

KINDS = ("* /**", "task **", "command **")


def stated(kinds: Iterable[str], purpose: str, *more: str) -> str:
    """Entries of `purposes.toml`."""
    return "".join("\n".join((f'["{kind}"]', f'purpose = "{purpose}"', *more, "")) for kind in kinds)


def tagged(table: str, **columns: str) -> str:
    """An entry of `tags.toml`: columns that are not personal are named in `none`."""
    plain = dict.fromkeys(columns.pop("none").split(), "not-personal")
    return f'["table {table}"]\n' + "".join(f'{name} = "{source}"\n' for name, source in (plain | columns).items())


PURPOSES = (
    stated(KINDS, "1.2(1)①", 'channel = "email"')
    + stated(["GET /statistics"], "1.2(2)②")
    + stated(["GET /log-of-object"], "any-inquiry-response")
)
"""The purposes: only `GET /statistics` may use a device, and `GET /log-of-object` may use nothing."""
PERMITTING = stated(KINDS, "1.2(2)②")
"""A purpose that may use everything, at each entry point."""
TABLES = (
    tagged("users", none="id", email="1.1(a)", device="1.1(b)")
    + tagged("letters", none="id", content="1.1(c)")
    + tagged("scans", none="id user_id", device="1.1(b)")
    + tagged("orders", none="id user_id", product="1.1(c)")
)
NAMES = dict.fromkeys(("username", "first_name", "last_name", "email"), "1.1(a)")
FLAGS = "id password last_login is_superuser is_staff is_active date_joined"
DJANGO_TABLES = (
    tagged("members", none=FLAGS, device="1.1(b)", **NAMES)
    + tagged("orders", none="id member_id", product="1.1(c)")
    + tagged("django_session", none="session_key session_data expire_date")
)
CONTROL = "/control"
"""A route of each shop that uses nothing that its purpose does not permit."""


class Shop(NamedTuple):
    """What is known about the violations of a shop.

    The evidence names the column at the entry point `GET <path>`, unless stated otherwise. The guard refuses all
    violations but those that it allows.
    """

    name: str
    tags: str
    violations: int
    column: str
    columns: dict[str, str]
    entry_points: dict[str, str]
    unseen: dict[str, str]
    """Violations that are not in the evidence at their entry point, with the words by which `limits.md` names them."""
    allowed: dict[str, str]
    """Violations that a guard does not refuse, with the words by which `limits.md` names them."""
    refused_anyway: frozenset[str]
    """What a guard refuses also for a purpose that may use everything."""


ANOTHER_WAY = "It does not see a second engine either"
OLD_VALUES = "evidence names the entry point that read it from the database"
NO_ENTRY_POINT = "Reads are recorded without an entry point"

FASTAPI = Shop(
    "seeded_fastapi",
    TABLES,
    violations=59,
    column="users.device",
    columns={"/log-of-object": "users.email", "/sqlmodel-dump": "scans.device"},
    entry_points={"/websocket": "WEBSOCKET /websocket", "/middleware": "GET (no route)"},
    unseen={
        "/lru-cache": OLD_VALUES,
        "/values-of-import": OLD_VALUES,
        "/own-connection": "Connections that are made without SQLAlchemy and Django",
        "/subprocess": NO_ENTRY_POINT,
        "/thread-of-import": NO_ENTRY_POINT,
        "/trigger": "What a trigger of the database copies",
    },
    allowed={
        "/lru-cache": "A cache above the guard",
        "/values-of-import": "Values are plain after the read",
        "/own-connection": ANOTHER_WAY,
        "/second-engine": ANOTHER_WAY,
        "/second-database": ANOTHER_WAY,
        "/subprocess": ANOTHER_WAY,
        "/trigger": "The library does not look into views, triggers",
    },
    refused_anyway=frozenset(
        {
            *("/asyncio-task", "/driver-connection", "/exception-handler", "/insert-from-select", "/middleware"),
            *("/raw-cursor", "/subquery-in-insert", "/thread", "/thread-of-import", "/thread-pool", "/timer"),
            *("/to-thread", "/view", "/websocket"),
        }
    ),
)

FLASK = Shop(
    "seeded_flask",
    TABLES,
    violations=11,
    column="users.device",
    columns={},
    entry_points={"/celery-task": "task shop.remind"},
    unseen={"list-devices": NO_ENTRY_POINT},
    allowed={},
    refused_anyway=frozenset({"list-devices"}),
)

DJANGO = Shop(
    "seeded_django",
    DJANGO_TABLES,
    violations=35,
    column="members.device",
    columns={},
    entry_points={
        "/middleware": "GET (no route)",
        "/api/orders/": "GET /api/orders/$",
        "list_devices": "command list_devices",
        "dumpdata": "command dumpdata",
    },
    unseen={"/driver-connection": "`connection.connection` of Django", "/vars-of-instance": "read by `vars(instance)`"},
    allowed={"/driver-connection": "`connection.connection` of Django"},
    refused_anyway=frozenset({"/error-handler", "/middleware", "/thread", "/update-from-column"}),
)


def run(command: list[str], folder: Path) -> dict[str, bool]:
    """Run a shop, and return for each violation if it took place."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    return {
        name: answer == "took place" for name, _, answer in (line.partition(" ") for line in ended.stdout.splitlines())
    }


def find_seen(folder: Path) -> set[tuple[str, str]]:
    """Return the entry points that read what their purpose does not permit, with the columns."""
    project = read_project(folder / "privacy")
    guard = pg.Guard(project.notice, tags=project.tags, purposes=project.purposes, mode="observe")
    bad = (Judgment.NOT_PERMITTED, Judgment.NO_PURPOSE, Judgment.UNRESOLVED)
    summary = summarize(EvidenceFile(folder / "privacy" / "evidence.sqlite").load(), guard)
    uses = [use for use in summary.uses if use.times and use.judgment in bad]
    return {(use.key.entry_point, column) for use in uses for column in use.fields}


@pytest.mark.parametrize("shop", [FASTAPI, FLASK, DJANGO], ids=lambda shop: shop.name)
def test_violations_are_in_the_evidence_and_refused(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    privacy = tmp_path / "privacy"
    privacy.mkdir()
    (privacy / "tags.toml").write_text(shop.tags, "utf-8")
    (privacy / "purposes.toml").write_text(PURPOSES, "utf-8")

    plain = run(["-m", f"{SHOPS}.{shop.name}"], tmp_path)
    assert all(plain.values()), plain
    violations = set(plain) - {CONTROL}
    assert len(violations) == shop.violations

    observe = ["-m", "purposeguard", "adopt", "run", "--", sys.executable, "-m", f"{SHOPS}.{shop.name}"]
    assert run(observe, tmp_path) == plain
    places = {name: (shop.entry_points.get(name, f"GET {name}"), shop.columns.get(name, shop.column)) for name in plain}
    seen = find_seen(tmp_path)
    assert {name for name in violations if places[name] not in seen} == set(shop.unseen)
    assert places[CONTROL] not in seen

    enforce = ["-m", f"{SHOPS}.guard_seeded", shop.name]
    guarded = run(enforce, tmp_path)
    assert {name for name, took_place in guarded.items() if took_place} == {*shop.allowed, CONTROL}
    assert set(guarded) == set(plain)
    (privacy / "purposes.toml").write_text(PERMITTING, "utf-8")
    assert {name for name, took_place in run(enforce, tmp_path).items() if not took_place} == shop.refused_anyway

    visible = len(violations) - len(shop.unseen)
    refused = len(violations) - len(shop.allowed)
    print(f"{shop.name}: {len(violations)} violations, {visible} visible, {refused} refused")  # noqa: T201  # pytest shows the summary with `-s`.


def test_nine_of_ten_are_visible_and_the_others_are_named() -> None:
    shops = (FASTAPI, FLASK, DJANGO)
    violations = sum(shop.violations for shop in shops)
    assert sum(len(shop.unseen) for shop in shops) <= violations / 10
    text = " ".join(LIMITS.read_text("utf-8").split())
    for shop in shops:
        for name, words in (*shop.unseen.items(), *shop.allowed.items()):
            assert words in text, (shop.name, name)
    assert "some reads are refused whatever the purpose is" in text
