import json
import re

import pytest
from rich.cells import cell_len

import purposeguard as pg
from purposeguard.notice.grants import bases
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import OVERLAY, TINY, run

CHANNELS = (None, *tm.NOTICE.channels)
GUARD = pg.Guard(tm.NOTICE)


def expected(channel):
    """(purpose or family) → clause → whether the guard allows it."""
    asked = [(one.clause, one) for one in tm.NOTICE.purposes] + [(one.name, one) for one in tm.NOTICE.families]
    return {
        name: {source.clause: GUARD.allows(source, term, channel) for source in tm.NOTICE.sources}
        for name, term in asked
    }


def options(channel):
    return ("--channel", channel) if channel else ()


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_matrix_as_json_says_what_the_guard_says(channel):
    result = run("matrix", "--format", "json", *options(channel))
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert (data["notice"], data["revision"], data["channel"]) == ("trendmicro-jp", "2024-04-01", channel)
    assert [one["id"] for one in data["sources"]] == [one.clause for one in tm.NOTICE.sources]
    found = {one["id"]: one["sources"] for one in data["purposes"]}
    found |= {one["name"]: one["sources"] for one in data["families"]}
    assert found == expected(channel)
    assert list(found) == list(expected(channel))


def test_matrix_as_json_says_which_channels_a_purpose_names():
    data = json.loads(run("matrix", "--format", "json").stdout)
    named = {one["id"]: one["channels"] for one in data["purposes"]}
    assert named["2.2③"] == {"closed": ["email"]}
    assert named["1.2(1)④"] == {"open": ["email", "phone"]}
    assert named["1.2(1)①"] is None
    members = {one["name"]: one["purposes"] for one in data["families"]}
    assert members["AnyInquiryResponse"] == ["2.2⑥", "3.2⑦"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_matrix_in_a_terminal_fits_and_says_what_the_guard_says(width, language):
    text = run("matrix", "--language", language, columns=width).stdout
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in text
    cells = expected(None)
    found: dict[str, list[bool]] = {one.clause: [] for one in tm.NOTICE.purposes}
    for line in lines:
        head = line.partition(" ")[0]
        if head in found and (marks := re.search(r"(?: +[✓·])+ *$", line)):
            found[head] += [mark == "✓" for mark in marks[0].split()]
    assert found == {name: list(cells[name].values()) for name in found}


def test_matrix_is_cut_into_several_tables_only_where_the_clauses_do_not_fit():
    assert "(1 of " not in run("matrix", columns=200).stdout
    assert "(1 of " in run("matrix", columns=80).stdout


def test_matrix_titles_in_either_language():
    english, japanese = run("matrix").stdout, run("matrix", "--language", "ja").stdout
    assert tm.RenewalGuidance.title["en"] in english
    assert tm.RenewalGuidance.title["ja"] in japanese
    assert tm.RenewalGuidance.title["en"] not in japanese


def test_colour_only_where_it_is_wanted():
    assert "\x1b[" not in run("matrix").stdout
    assert "\x1b[" in run("matrix", FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[" not in run("matrix", "--format", "json", FORCE_COLOR="1").stdout


def test_matrix_of_a_file_with_an_overlay(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    (tmp_path / "scanner.toml").write_text(OVERLAY, "utf-8")
    given = ("--notice", tmp_path / "tiny.toml", "--overlay", tmp_path / "scanner.toml")
    data = json.loads(run("matrix", *given, "--format", "json").stdout)
    assert [one["sources"] for one in data["purposes"]] == [
        {"1": True, "scanner-names": True},
        {"1": True, "scanner-names": False},
    ]


def test_overlay_on_a_bundled_notice(tmp_path):
    (tmp_path / "one.toml").write_text(
        OVERLAY.replace('source = "1"', 'source = "1.1b"').replace("2①", "1.2(2)①"), "utf-8"
    )
    result = run("explain", "scanner-names", "product-provision", "--overlay", tmp_path / "one.toml")
    assert result.exit_code == 0
    result = run("explain", "scanner-names", "product-improvement", "--overlay", tmp_path / "one.toml")
    assert result.exit_code == 1
    assert run("explain", "scanner-names", "product-improvement").exit_code == 2


def test_a_purpose_that_rests_on_consent_is_shown_as_granted_on_consent(tmp_path):
    path = "examples/gdpr/notice.toml"
    notice = pg.Notice.load(path)
    guard = pg.Guard(notice)
    data = json.loads(run("matrix", "--notice", path, "--format", "json").stdout)
    cells = {one["id"]: one["sources"] for one in data["purposes"]}
    rests = {clause for clause, basis in bases(notice.document).items() if basis == "consent"}
    seen = set()
    for purpose in notice.purposes:
        for source in notice.sources:
            granted = purpose in notice.grants[source]
            cell = cells[purpose.clause][source.clause]
            assert cell == ("consent" if granted and purpose.clause in rests else granted)
            assert (cell is True) == guard.allows(source, purpose)
            seen.add(cell)
    assert seen == {True, False, "consent"}
    shown = run("matrix", "--notice", path).stdout
    assert "c: of subjects who consent" in " ".join(shown.split())
    assert "of subjects who consent" not in run("matrix").stdout
