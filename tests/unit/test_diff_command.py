"""`purposeguard diff`: its words as golden files, and what it says of an application by running the application."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.codegen import generate
from tests.comparisons import hold_equal, hold_to_what_is_stated
from tests.golden.changes import CHANGES, after, before
from tests.golden.write import FOLDER, KEPT, said, said_of_changes
from tests.unit.command_line import OVERLAY, TINY, run

UNEXPLAINED = (
    ": say which one it is by `[[renamed]]` or `[[unchanged]]`: earlier data and consents would count for it "
    "[needs consent]"
)
V1, V2, V3 = (pg.Notice.load(FOLDER / f"{name}.toml") for name in ("v1", "v2", "v3"))


@pytest.mark.parametrize("file", KEPT)
def test_it_says_what_it_said_when_it_was_reviewed(file: str) -> None:
    assert said(file) == (FOLDER / file).read_text("utf-8"), "`python -m tests.golden.write` writes it anew"


def test_it_says_of_one_change_each_what_it_said_when_it_was_reviewed() -> None:
    assert said_of_changes() == (FOLDER / "changes.md").read_text("utf-8"), "`python -m tests.golden.write`"


@pytest.mark.parametrize("name", CHANGES)
def test_what_it_says_of_one_change_comes_of_deciding(name: str) -> None:
    hold_equal(before(), after(CHANGES[name]))
    hold_to_what_is_stated(before(), after(CHANGES[name]))


@pytest.mark.parametrize(("old", "new"), [(V1, V2), (V2, V3), (V1, V3)], ids=["v1-v2", "v2-v3", "v1-v3"])
def test_what_it_says_comes_of_deciding_before_and_after(old: pg.Notice, new: pg.Notice) -> None:
    hold_equal(old, new)
    hold_to_what_is_stated(old, new)


def data(*arguments: object) -> dict[str, Any]:
    result = run("diff", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_nothing_differs() -> None:
    result = run("diff", "trendmicro-jp", "trendmicro-jp", "--fail-on", "any")
    assert result.exit_code == 0
    head, _, compared = result.stdout.partition("\n\n")
    assert head == "trendmicro-jp: the revision of 2024-04-01, twice: no difference in what was compared"
    assert compared.startswith("Compared\n- sources (13), purposes (34), families (8), ")
    assert "such as the words of 117 rows without `text`" in compared
    found = data("trendmicro-jp", "trendmicro-jp")
    assert (found["changes"], found["cells"], found["application"]) == ([], [], None)


def test_nothing_differs_but_the_date(tmp_path: Path) -> None:
    later = tmp_path / "later.toml"
    later.write_text((FOLDER / "v1.toml").read_text("utf-8").replace("2024-04-01", "2024-05-01"), "utf-8")
    result = run("diff", FOLDER / "v1.toml", later, "--fail-on", "any", columns=100)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "kumo-books: the revision of 2024-05-01 after that of 2024-04-01: no difference in what was compared but the "
    )


@pytest.mark.parametrize(
    ("old", "new", "failing"),
    [
        ("v1", "v2", {"any", "widening", "material", "consent"}),
        ("v2", "v3", {"any", "widening", "material", "consent"}),
    ],
)
def test_it_can_be_told_what_not_to_let_pass(old: str, new: str, failing: set[str]) -> None:
    files = FOLDER / f"{old}.toml", FOLDER / f"{new}.toml"
    codes = {one: run("diff", *files, "--fail-on", one).exit_code for one in ("any", "widening", "material", "consent")}
    assert {one for one, code in codes.items() if code} == failing
    assert set(codes.values()) <= {0, 1}
    assert run("diff", *files).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("v2", "v1"), "2024-04-01 comes after 2025-04-01"),
        (("v1", "v3", "--between", "v1"), "2024-04-01 comes after 2024-04-01"),
        (("v1", "tiny"), "`tiny` is another notice than `kumo-books`"),
        (("v1", "absent"), "absent.toml: 1 fault cannot be read"),
        (("v1", "v2", "--fail-on", "stops"), "name its guard with `--app MODULE:GUARD`"),
        (("v1", "v2", "--app", "absent:guard"), "there is no module `absent`"),
    ],
)
def test_what_cannot_be_compared(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    folders = {"v1": FOLDER, "v2": FOLDER, "v3": FOLDER, "tiny": tmp_path, "absent": tmp_path}
    result = run("diff", *(folders[one] / f"{one}.toml" if one in folders else one for one in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert told in " ".join(result.stderr.split())


def test_product_overlays_are_compared_too(tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    old.write_text(TINY, "utf-8")
    new.write_text(TINY.replace("2025-01-01", "2026-01-01"), "utf-8")
    one.write_text(OVERLAY, "utf-8")
    other.write_text(OVERLAY.replace('serves = ["2①"]', 'serves = ["2①", "2②"]').replace("Scanner", "Viewer"), "utf-8")
    found = data(old, new, "--old-overlay", one, "--overlay", other)
    assert [(one["kind"], one.get("what"), one["text"]) for one in found["changes"]] == [
        ("granted", None, "mailing (2②) may use viewer-names (scanner-names): only data collected from 2026-01-01 on"),
        ("renamed", "overlay", "product overlay scanner-names: class ScannerNames is ViewerNames now"),
        (
            "class-unexplained",
            "source",
            "source scanner-names is ViewerNames now, and was ScannerNames in the revision of 2025-01-01" + UNEXPLAINED,
        ),
        ("value", "overlay", "product overlay viewer-names (scanner-names): `product` is Viewer, before Scanner"),
        ("members", "overlay", "product overlay viewer-names (scanner-names): `serves` with 2②"),
    ]
    removed = data(old, new, "--old-overlay", one)
    assert [one["text"] for one in removed["changes"]] == [
        "product overlay removed: scanner-names (scanner-names); data collected of it no longer serves answering (2①)"
    ]


LIBRARY = """
import dataclasses
from typing import Annotated

import purposeguard as pg
from rules import NOTICE, Address, AnyNews, Delivery, Events, Improvement, MemberService
from rules import NewBooks, Notes, Purchase, Visit

guard = pg.Guard(NOTICE)


@dataclasses.dataclass
class Member:
    key: int
    address: Annotated[str, Address]
    bought: Annotated[str, Purchase]


MEMBER = Member(1, "a", "b")


@guard.access
def member() -> Member:
    return MEMBER


@guard.access(withhold=True)
def found() -> list[Member]:
    return [MEMBER]


@guard.access(Visit)
def visits() -> int:
    return 1


@guard.access(Notes)
def notes() -> int:
    return 2


@guard.access(pg.NotPersonal)
def prices() -> int:
    return 3

"""
ACTIVITIES = {
    "deliver": "Delivery",
    "serve": "MemberService",
    "news": 'NewBooks, channel="post"',
    "invite": 'Events, channel="email"',
    "host": "Events",
    "tell": 'AnyNews, channel="email"',
    "improve": 'Improvement, mode="observe"',
}
LIBRARY += "".join(f"\n\n@guard.purpose({of})\ndef {name}(fn):\n    return fn()\n" for name, of in ACTIVITIES.items())
ACCESSES = ("member", "found", "visits", "notes", "prices")


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[pg.Notice], ModuleType]]:
    """Writes the application with its vocabulary generated from a revision, and imports it anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "library.py").write_text(LIBRARY, "utf-8")

    def made(notice: pg.Notice) -> ModuleType:
        (tmp_path / "rules.py").write_text(generate(notice), "utf-8")
        forget()
        return importlib.import_module("library")

    def forget() -> None:
        for name in ("library", "rules"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    yield made
    forget()


def outcome(library: ModuleType, activity: str, access: str) -> tuple[str, list[str]]:
    """What happens, by letting it happen."""
    try:
        value = getattr(library, activity)(getattr(library, access))
    except pg.PurposeGuardError:
        return "refused", []
    missing = []
    for row in value if isinstance(value, list) else ():
        for name in ("key", "address", "bought"):
            try:
                getattr(row, name)
            except pg.PurposeViolation:
                missing.append(name)
    return ("withheld" if missing else "allowed"), missing


def forecast(*arguments: object) -> dict[tuple[str, str], dict[str, Any]]:
    """What differs, as the command says it."""
    application = data(*arguments, "--app", "library:guard")["application"]
    assert application["combinations"] == len(ACTIVITIES) * len(ACCESSES)
    return {(one["activity"], one["access"]): one for one in application["changed"]}


def test_what_it_says_of_an_application_is_what_happens(application: Callable[[pg.Notice], ModuleType]) -> None:
    after = application(V2)
    regenerated = {(one, other): outcome(after, one, other) for one in ACTIVITIES for other in ACCESSES}
    library = application(V1)
    told = forecast(FOLDER / "v1.toml", FOLDER / "v2.toml")
    library = sys.modules["library"]
    before = {key: outcome(library, *key) for key in regenerated}
    library.guard.replace(pg.History(V1, V2))
    # What is tagged with the classes of a revision was collected under it.
    earlier = {key: outcome(library, *key) for key in regenerated}
    assert told
    for key, is_ in regenerated.items():
        activity, access = (f"library.{name}" for name in key)
        found = told.get((activity, access))
        if found is None or key[0] == "improve":
            assert key[0] == "improve" or before[key] == is_ == earlier[key], key
            continue
        for name, happened in (("before", before[key]), ("after", is_), ("earlier", earlier[key])):
            assert (found[name]["outcome"], found[name]["withheld"]) == happened, (key, name)
            assert bool(found[name]["reasons"]) is (happened[0] != "allowed")
    assert told["library.news", "library.found"]["after"]["outcome"] == "allowed"
    assert told["library.host", "library.found"]["earlier"]["withheld"] == ["bought"]
    assert told["library.tell", "library.found"]["before"]["outcome"] == "withheld"


def test_an_application_that_is_generated_anew_is_asked_the_same(
    application: Callable[[pg.Notice], ModuleType],
) -> None:
    """Which of the two revisions its vocabulary is of does not matter."""
    files = FOLDER / "v1.toml", FOLDER / "v2.toml"
    application(V1)
    one = forecast(*files)
    application(V2)
    assert forecast(*files) == one
    # Nor does a third one between them, where all terms are there.
    third = pg.Notice.parse({**V1.dump(), "revision": "2024-06-01"})
    application(third)
    renumbered = {("library.serve", f"library.{access}") for access in ACCESSES}
    other = forecast(*files)
    assert {key: value for key, value in other.items() if key not in renumbered} == {
        key: value for key, value in one.items() if key not in renumbered
    }


def test_what_stops_and_starts_is_told(application: Callable[[pg.Notice], ModuleType]) -> None:
    application(V2)
    files = FOLDER / "v2.toml", FOLDER / "v3.toml"
    result = run("diff", *files, "--app", "library:guard", "--fail-on", "stops", columns=120)
    assert result.exit_code == 1
    _, _, stops = result.stdout.partition("Stops in library:guard\n")
    text = " ".join(stops.split())
    assert "- library.news → library.member: refused, before allowed" in text
    assert "- library.news → library.found: without address and bought, before allowed" in text
    assert "- library.invite → library.member: refused as before" not in text
    assert "library.improve → library.visits: refused, before allowed (observed: logged only)" in text
    assert "combinations of an activity and an access function stay as before" in text
    assert "Starts in" not in result.stdout
    application(V1)
    starting = run("diff", FOLDER / "v1.toml", FOLDER / "v2.toml", "--app", "library:guard", columns=200).stdout
    _, _, starts = starting.partition("Starts in library:guard\n")
    assert (
        "library.host → library.found: allowed, before without bought; data collected earlier: without bought" in starts
    )


def test_an_activity_that_must_state_a_channel_now_is_told(application: Callable[[pg.Notice], ModuleType]) -> None:
    application(V2)
    told = forecast(FOLDER / "v2.toml", FOLDER / "v3.toml")
    reasons = told["library.host", "library.found"]["after"]["reasons"]
    assert reasons == ["the revision of 2026-04-01 names the channels of 4(2)②, and the activity states none"]
    assert told["library.improve", "library.visits"]["after"]["reasons"] == [
        "the revision of 2026-04-01 has no source 2"
    ]


ROWS = """
import dataclasses
from typing import Annotated

import purposeguard as pg
from rules import NOTICE, Address, Events, Invoicing, NewBooks, Purchase

guard = pg.Guard(NOTICE)


@dataclasses.dataclass
class Whose:
    key: Annotated[int, pg.Subject]
    address: Annotated[str, Address]


@dataclasses.dataclass
class Sealed:
    address: Annotated[str, Address]
    bought: pg.Personal[str, Purchase]


@guard.access
def rows() -> list[Whose]: ...


@guard.access
def nobodys() -> Annotated[list[str], Address]: ...


@guard.access
def sealed() -> Sealed: ...


@guard.access
def unknown() -> "Nowhere": ...


@guard.purpose(NewBooks, channel="post")
def news(): ...


@guard.purpose(NewBooks, channel="email", activity="news by e-mail")
def mail(): ...


@guard.purpose(Events, channel="push", activity="events in the app")
def push(): ...


@guard.purpose(Invoicing)
def bill(): ...
"""


def test_what_a_subject_may_agree_to_is_asked_of_rows_that_say_whose_they_are(
    application: Callable[[pg.Notice], ModuleType], tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(ROWS, "utf-8")
    application(V2)
    found = data(FOLDER / "v2.toml", FOLDER / "v3.toml", "--app", "library:guard")["application"]
    told = {(one["activity"], one["access"]): one for one in found["changed"]}
    assert ("library.news", "library.rows") not in told  # it rests on consent now, which is asked row by row
    assert told["library.news", "library.nobodys"]["after"]["outcome"] == "refused"
    assert ("library.news", "library.unknown") not in told
    assert found["combinations"] == 16


def test_sealed_values_that_are_not_opened_any_more_are_told(
    application: Callable[[pg.Notice], ModuleType], tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(ROWS, "utf-8")
    application(V2)
    files = FOLDER / "v1.toml", FOLDER / "v2.toml"
    text = " ".join(run("diff", *files, "--app", "library:guard", columns=300).stdout.split())
    assert "library.news → library.sealed: allowed, before allowed, bought not opened" in text
    assert "news by e-mail → library.rows: allowed, before refused; data collected earlier: refused" in text
    told = {
        (one["activity"], one["access"]): one
        for one in data(*files, "--app", "library:guard")["application"]["changed"]
    }
    for activity, why in (
        ("events in the app", "the revision of 2024-04-01 names no channel push"),
        ("library.bill", "the revision of 2024-04-01 has no purpose 4(1)②"),
    ):
        assert told[activity, "library.rows"]["before"]["reasons"] == [why]


def test_an_application_with_a_history_is_asked_by_the_revision_of_each_class(
    application: Callable[[pg.Notice], ModuleType], tmp_path: Path
) -> None:
    """Its labels may be of several revisions."""
    (tmp_path / "library.py").write_text(
        LIBRARY.replace("pg.Guard(NOTICE)", "pg.Guard(pg.History(NOTICE, LATER), clock=lambda: TODAY)").replace(
            "import purposeguard as pg\n",
            "import datetime\nimport purposeguard as pg\n"
            f"LATER = pg.Notice.load({str(FOLDER / 'v2.toml')!r})\n"
            "TODAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)\n",
        ),
        "utf-8",
    )
    application(V1)
    one = forecast(FOLDER / "v1.toml", FOLDER / "v2.toml")
    (tmp_path / "library.py").write_text(LIBRARY, "utf-8")
    application(V1)
    assert forecast(FOLDER / "v1.toml", FOLDER / "v2.toml") == one
