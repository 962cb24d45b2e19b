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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    (tmp_path / "privacy").mkdir()
    return tmp_path


def observe(code: str, project: Path) -> str:
    """Run code under `adopt run` and return what it prints."""
    command = [sys.executable, "-m", "purposeguard", "adopt", "run", "--", sys.executable, "-c", code]
    return subprocess.run(command, cwd=project, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_guards_of_two_notices_in_one_process_are_told_apart(project: Path) -> None:
    observe(TWO_GUARDS, project)
    reads = {(row.key.notice.partition("@")[0], row.key.sources) for row in load(project) if row.key.sources}
    assert reads == {("trendmicro-jp", "1.1(a)"), ("other", "1.1(b)")}


ENFORCING = """
import purposeguard as pg
from purposeguard.integrations.stated_purposes import find_block
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, purposes="purposes.toml")

@guard.access(tm.ProductData)
def read():
    return 1

with guard.purpose(tm.RenewalGuidance, mode="enforce"):
    print(read())
with find_block(guard, "GET /renewals"):
    print(read())
"""


def test_activities_that_the_application_enforces_are_observed(project: Path) -> None:
    (project / "purposes.toml").write_text('["GET /*"]\npurpose = "1.2(1)①"\nmode = "enforce"\n', "utf-8")
    assert observe(ENFORCING, project) == "1\n1\n"
    denials = [(row.key.activity, row.times) for row in load(project) if row.key.outcome == "observed"]
    assert sorted(denials) == [("GET /renewals", 1), ("__main__.<module>", 1)]


POOLS = """
from concurrent.futures import ThreadPoolExecutor
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point

def show(name=None, fn=None):
    return name, fn, current_entry_point()

with ThreadPoolExecutor(1) as pool:
    with EntryPoint.route("GET", "/"):
        print(*pool.submit(show, name="Aiko", fn=1).result(), current_entry_point())
    print(*pool.submit(show).result())
"""


def test_threads_of_a_pool_belong_to_no_entry_point(project: Path) -> None:
    assert observe(POOLS, project) == "Aiko 1 GET / GET /\nNone None None\n"


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
