"""Every rule on snippets, wrong and right, and on code that is known to be clean."""

import re
import sys
from pathlib import Path

import pytest

from purposeguard.cli.lint import RULES, lint
from tests.linting.corpora import CORPUS, corpus, scores, snippets, table
from tests.unit.command_line import ROOT

SNIPPETS = [
    pytest.param(one, id=f"{path.stem}: {one.title}") for path in sorted(CORPUS.glob("*.txt")) for one in snippets(path)
]
KNOWN = {rule.id for rule in RULES}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_just_what_is_marked_is_found(snippet, tmp_path):
    assert bool(snippet.expected | snippet.beyond) is snippet.wrong
    assert {rule for _, _, rule in snippet.expected | snippet.beyond} <= KNOWN
    outcome, found = snippet.linted(tmp_path)
    assert found == snippet.expected
    assert outcome.unread == ()


def test_precision_and_recall(capsys):
    given = corpus()
    found = scores(given)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(given)} snippets\n{table(found)}\n")
    assert len(given) >= 60
    assert found["all"].precision == 1
    assert found["all"].recall > 0.85
    for rule in RULES[:-2]:
        assert found[rule.id].right + found[rule.id].missed >= 10, rule.id


def test_the_page_has_these_figures():
    page = (ROOT / "docs" / "reference" / "lint.md").read_text("utf-8")
    row = r"^\| `?([\w-]+)`? \| (\d+) \| (\d+) \| (\d+) \| (\d+) % \| (\d+) % \|$"
    told = {name: tuple(map(int, figures)) for name, *figures in re.findall(row, page, re.MULTILINE)}
    assert told == {
        name: (one.right, one.false, one.missed, round(100 * one.precision), round(100 * one.recall))
        for name, one in scores(corpus()).items()
    }


@pytest.mark.parametrize("place", ["examples", pytest.param("purposeguard", marks=pytest.mark.checkers)])
def test_the_example_and_the_library_are_clean(place, monkeypatch):
    monkeypatch.chdir(ROOT)
    outcome = lint([ROOT / place])
    assert outcome.findings == ()
    assert outcome.unread == ()
    assert outcome.files > 30
    assert all(one.allowed for one in outcome.allowed)


MUTATIONS = [
    ("repository", "@guard.access(narrow=True)\ndef customer_contacts", "def customer_contacts", "unguarded-access"),
    ("repository", "@guard.access\ndef events_of", "def events_of", "unguarded-access"),
    ("repository", "@guard.access(narrow=True)\ndef events(", "def events(", "unguarded-access"),
    ("repository", "@guard.access(withhold=True)\ndef inquiry(", "def inquiry(", "unguarded-access"),
    ("repository", "@guard.cached(maxsize=256, ttl=60)\n@guard", "@lru_cache\n@guard", "cached-guarded-function"),
    (
        "activities/telemetry",
        "def summary(",
        "import functools\n@functools.cache\ndef summary(",
        "cached-guarded-function",
    ),
    ("models", "    ip: Annotated[str, tm.Cookie]", "    ip: str", "untagged-personal-field"),
    ("models", "    cookie: Annotated[str, tm.Cookie]", "    cookie: str", "untagged-personal-field"),
    (
        "models",
        "    position: Annotated[str | None, tm.ProspectJob]",
        "    position: str | None",
        "untagged-personal-field",
    ),
    (
        "database",
        "    email: Mapped[Annotated[str, tm.Registration]]",
        "    email: Mapped[str]",
        "untagged-personal-field",
    ),
    ("activities/mail", " = due\n    return", " = due\n    print(name)\n    return", "map-lets-out"),
    ("activities/mail", "    for one in due:\n", "    for one in due:\n        one.email.map(print)\n", "map-lets-out"),
    (
        "routes/work",
        "    return mail.remind_of_renewal(due_before, mailer)",
        (
            "    try:\n        return mail.remind_of_renewal(due_before, mailer)\n"
            "    except Exception:\n        return Sent()"
        ),
        "broad-except",
    ),
    (
        "mailer",
        "        texts = self._use.open_all(",
        (
            "        with contextlib.suppress(Exception):\n            self._use.open_all([])\n"
            "        texts = self._use.open_all("
        ),
        "broad-except",
    ),
]


def test_the_example_made_wrong_in_many_places(tmp_path):
    for path in (ROOT / "examples").rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text("utf-8"), "utf-8")
    for file, old, new, _ in MUTATIONS:
        target = tmp_path / "examples" / "shop" / f"{file}.py"
        text = target.read_text("utf-8")
        assert old in text, old
        changed = text.replace(old, new, 1)
        if "contextlib" in new:
            changed = changed.replace("\nimport ", "\nimport contextlib\nimport ", 1)
        target.write_text(changed, "utf-8")
    shop = tmp_path / "examples" / "shop"
    found = [
        (Path(one.place.path).relative_to(shop).with_suffix("").as_posix(), one.rule)
        for one in lint([tmp_path]).findings
    ]
    assert sorted(found) == sorted((file, rule) for file, _, _, rule in MUTATIONS)
