"""Applications that do not know the library, run as they are and under `purposeguard adopt run`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceRow

SHOPS = Path(__file__).parent / "shops"


def run_shop(name: str, folder: Path, *, observed: bool) -> subprocess.CompletedProcess[str]:
    """Run a shop and return what it prints."""
    (folder / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    (folder / "privacy").mkdir(exist_ok=True)
    command = [sys.executable, str(SHOPS / f"{name}.py")]
    if observed:
        command = [sys.executable, "-m", "purposeguard", "adopt", "run", "--", *command]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended


def load(folder: Path) -> list[EvidenceRow]:
    return EvidenceFile(folder / "privacy" / "evidence.sqlite").load()


ENTRY_POINTS = {
    "fastapi_shop": {"POST /users", "GET /users/{key}", "GET /threads", "GET /odd", "GET /broken"},
    "flask_shop": {"GET /customers", "GET /customers/<int:key>", "GET /export"},
    "django_shop": {"GET /enter", "GET /users/<str:name>", "GET /odd", "GET /leave"},
}


@pytest.mark.parametrize("shop", ENTRY_POINTS)
def test_answers_are_the_same_and_entry_points_are_recorded(shop: str, tmp_path: Path) -> None:
    plain = run_shop(shop, tmp_path, observed=False).stdout
    assert plain.count("\n") > 4
    assert run_shop(shop, tmp_path, observed=True).stdout == plain
    recorded = {row.key.entry_point for row in load(tmp_path)}
    assert recorded >= ENTRY_POINTS[shop]
    content = (tmp_path / "privacy" / "evidence.sqlite").read_bytes()
    assert b"aiko" not in content.lower()


TWO_GUARDS = """
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

other = pg.Notice.parse({**tm.NOTICE.dump(), "id": "other"})
for guard, source in ((pg.Guard(tm.NOTICE), tm.Registration), (pg.Guard(other), other.source("1.1(b)"))):

    @guard.access(source)
    def read():
        return 1

    read()
"""


def test_guards_of_two_notices_in_one_process_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    (tmp_path / "privacy").mkdir()
    command = [sys.executable, "-m", "purposeguard", "adopt", "run", "--", sys.executable, "-c", TWO_GUARDS]
    subprocess.run(command, cwd=tmp_path, check=True)
    reads = {(row.key.notice.partition("@")[0], row.key.sources) for row in load(tmp_path) if row.key.sources}
    assert reads == {("trendmicro-jp", "1.1(a)"), ("other", "1.1(b)")}


def test_libraries_whose_extras_are_missing_are_left_alone(tmp_path: Path) -> None:
    observed = run_shop("bare_shop", tmp_path, observed=True)
    assert observed.stdout == "1 (2,)\n" * 2 == run_shop("bare_shop", tmp_path, observed=False).stdout
    for library, extra in (("sqlalchemy", "sqlalchemy"), ("django.apps.registry", "django")):
        (line,) = [line for line in observed.stderr.splitlines() if line.startswith(f"{library} is not observed: ")]
        assert f"purposeguard[{extra}]" in line
    assert observed.stderr.count("flask.app is not observed: ") == 1


USER = "id password is_superuser is_staff is_active date_joined last_login username last_name"
TAGS = '["table auth_user"]\nemail = "1.1(a)"\nfirst_name = "1.1(c)"\n' + "".join(
    f'{name} = "not-personal"\n' for name in USER.split()
)


def test_fields_of_objects_count_where_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "privacy").mkdir()
    (tmp_path / "privacy" / "tags.toml").write_text(TAGS, "utf-8")
    run_shop("django_shop", tmp_path, observed=True)
    reads: dict[str, set[str]] = {}
    for row in load(tmp_path):
        if row.key.outcome == "read":
            reads.setdefault(row.key.entry_point, set()).add(row.key.field)
    # The view loads whole users, sets a name, saves them, and reads an address.
    assert reads["GET /users/<str:name>"] == {"auth_user.email"}
