"""What `purposeguard validate` warns of, in notices that are valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.warning import find_warnings
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import OVERLAY, TINY, run
from tests.unit.mistakes import EDITS, NOTICE
from tests.unit.samples import changed, numbered


def warned_of(change: Callable[[dict[str, Any]], object]) -> list[str]:
    return [fault.place for fault in find_warnings(pg.Notice.parse(changed(change)).document)]


def nothing(tables: dict[str, Any]) -> None: ...


def test_the_bundled_notice_has_none() -> None:
    assert find_warnings(tm.NOTICE.document) == []
    assert run("validate", "trendmicro-jp", "--strict").exit_code == 0


@pytest.mark.parametrize(
    ("change", "place"),
    numbered([
        (lambda t: t["source"].append({**t["source"][0], "id": "9", "class": "Idle", "title": {"en": "i", "ja": "j"}}),
         "source[4].id"),
        (lambda t: t["forbid"].append({"sources": ["1", "2"], "purposes": ["4①"], "reason": {"en": "r", "ja": "s"}}),
         "grant[2].purpose[0].id"),
        (lambda t: t["grant"][0]["purpose"][1].update(basis="consent"), "grant[0].purpose[1].id"),
        (lambda t: t["grant"][0]["purpose"][1].update(bases=[{"basis": "consent"}]),
         "grant[0].purpose[1].id"),
        (lambda t: t["grant"][0]["purpose"][1].update(open_end="incidental"), "grant[0].purpose[1].open_end"),
        (lambda t: t.update(condition=[{"id": "adult", "title": {"en": "Of age"}}]), "condition[0].id"),
        (lambda t: t["source"][2]["title"].update(ja=t["source"][0]["title"]["ja"]), "source[2].title"),
        (lambda t: t["overlay"][0]["title"].update(en=t["source"][0]["title"]["en"]), "overlay[0].title"),
        (lambda t: t["derivation"][0].update(title=t["source"][0]["title"]), "derivation[0].title"),
        (lambda t: t["grant"][1]["purpose"][0].update(title=t["grant"][0]["purpose"][1]["title"]),
         "grant[1].purpose[0].title"),
    ]),
)  # fmt: skip
def test_each_has_its_place_once(change: Callable[[dict[str, Any]], object], place: str) -> None:
    assert place not in warned_of(nothing)
    assert warned_of(change).count(place) == 1


def test_purposes_of_a_family_may_have_one_title() -> None:
    def same(tables: dict[str, Any]) -> None:
        members = tables["family"][0]["purposes"]
        rows = [row for grant in tables["grant"] for row in grant["purpose"] if row["id"] in members]
        assert len(rows) > 1
        for row in rows:
            row["title"] = {"en": "The same", "ja": "同じ"}

    assert warned_of(same) == warned_of(nothing)


def test_a_request_to_stop_takes_consent_back() -> None:
    assert find_warnings(pg.Notice.loads(NOTICE).document) == []


def everything(tables: dict[str, Any]) -> None:
    """All data for all purposes, and nothing else is said."""
    for key in ("overlay", "derivation", "forbid"):
        tables.pop(key, None)
    for grant in tables["grant"]:
        grant["sources"] = "any"
        for key in ("basis", "bases", "when"):
            grant.pop(key, None)
            for purpose in grant["purpose"]:
                purpose.pop(key, None)


@pytest.mark.parametrize(
    "more",
    [
        {"bases": [{"opt_out": True}]},
        {"bases": [{"basis": "contract", "when": ["adult"]}, {"basis": "consent"}]},
        {"when": ["adult"]},
    ],
    ids=["opt-out", "bases", "when"],
)
def test_what_depends_on_something_is_not_allowed_to_all(more: dict[str, Any]) -> None:
    def dependent(tables: dict[str, Any]) -> None:
        everything(tables)
        tables["condition"] = [{"id": "adult", "title": {"en": "is of age"}}]
        tables["grant"][0]["purpose"][0] |= more

    assert "grant" in warned_of(everything)
    assert "grant" not in warned_of(dependent)


def test_what_conditions_lift_is_refused_without_them() -> None:
    def lifted(tables: dict[str, Any]) -> None:
        everything(tables)
        tables["condition"] = [{"id": "adult", "title": {"en": "is of age"}}]
        purpose = tables["grant"][0]["purpose"][0]["id"]
        reason = {"en": "not for children"}
        tables["forbid"] = [{"sources": "any", "purposes": [purpose], "unless": ["adult"], "reason": reason}]

    assert "grant" not in warned_of(lifted)


def test_several_rest_on_consent() -> None:
    def change(tables: dict[str, Any]) -> None:
        for purpose in tables["grant"][0]["purpose"][:2]:
            purpose.update(basis="consent")

    assert [
        f.message for f in find_warnings(pg.Notice.parse(changed(change)).document) if " rest on consent" in f.message
    ]


def test_strict_fails_where_there_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "notice.toml"
    good, bad = EDITS["warning: a source that is granted nowhere"]
    path.write_text(NOTICE.replace(good, bad), "utf-8")
    result = run("validate", path)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"warning: {path}:18:1: source[1].id: ")
    assert run("validate", path, "--strict").exit_code == 1
    told = json.loads(run("validate", path, "--strict", "--format", "json").stdout)
    assert told["valid"] is True
    (warning,) = told["warnings"]
    assert (warning["file"], warning["line"], warning["column"]) == (str(path), 18, 1)
    path.write_text(NOTICE, "utf-8")
    assert run("validate", path, "--strict").exit_code == 0


def test_the_line_of_an_overlay_is_that_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    more = tmp_path / "more.toml"
    more.write_text(OVERLAY.replace("Device names", "What was given"), "utf-8")
    assert (
        f"warning: {more}:4:1: overlay[0].title: "
        in run("validate", tmp_path / "tiny.toml", "--overlay", more, columns=1000).stderr
    )
