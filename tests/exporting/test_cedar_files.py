"""What is written for Cedar: valid by its own validator, readable, and the same every time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings

from purposeguard import Notice
from purposeguard.notice.export.cedar import ENTITIES, POLICIES, SCHEMA, export
from purposeguard.notice.export.notation import format_comment, quote_text, wrap_set
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.strategies import name_of
from tests import generated
from tests.exporting.samples import EVERYTHING, GOLDEN
from tests.unit.command_line import ROOT

KEPT = {"trendmicro-jp": tm.NOTICE, "everything": EVERYTHING}


@pytest.mark.parametrize("name", KEPT)
def test_files_that_somebody_read(name: str) -> None:
    """Written by `purposeguard export cedar NOTICE -o tests/golden/cedar/NAME`."""
    for file, told in export(KEPT[name].document).items():
        assert told == (GOLDEN / name / file).read_text("utf-8"), file


def test_another_language_has_other_titles_and_the_same_rules() -> None:
    def rules(language: Any) -> str:
        text = cedarpy.policies_to_json_str(export(tm.NOTICE.document, language)[POLICIES])
        return re.sub(r'"title":"[^"]*"', "", text)

    assert tm.RenewalGuidance.title["ja"] in str(export(tm.NOTICE.document, "ja"))
    assert rules("ja") == rules("en")


def assert_valid(files: dict[str, str]) -> None:
    """Cedar's own validator has nothing against them."""
    result = cedarpy.validate_policies(files[POLICIES], files[SCHEMA])
    assert result.validation_passed, [str(one) for one in result.errors]
    schema = cedarpy.Schema.from_str(files[SCHEMA])
    entities = json.loads(files[ENTITIES])
    assert len(cedarpy.Entities.from_json_str(files[ENTITIES], schema)) == len(entities)


@pytest.mark.parametrize("notice", [tm.NOTICE, EVERYTHING], ids=["trendmicro-jp", "everything"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_schema_validates_policies_and_entities(notice: Notice, language: Any) -> None:
    assert_valid(export(notice.document, language))


@settings(max_examples=25)
@given(notice=generated.notices(facts=True, opened=True))
def test_generated_notices_are_exported_validly(notice: Notice) -> None:
    """Titles that are hard to quote among them."""
    assert_valid(export(notice.document))


def test_the_validator_would_notice() -> None:
    files = export(tm.NOTICE.document)
    for right, wrong in (('Action::"2.2③"', 'Action::"2.2⑫"'), ("resource.sources", "resource.source")):
        changed = files[POLICIES].replace(right, wrong)
        assert not cedarpy.validate_policies(changed, files[SCHEMA]).validation_passed


def annotated(policies: str) -> dict[str, tuple[str, str]]:
    """`@id` → effect and `@title` of every policy."""
    rows = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"].values()
    return {row["annotations"]["id"]: (row["effect"], row["annotations"]["title"]) for row in rows}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_policy_for_each_clause_and_family_and_prohibition(language: Any) -> None:
    document = EVERYTHING.document
    told = annotated(export(document, language)[POLICIES])
    for grant in document.grant:
        assert told.pop(grant.clause) == ("permit", grant.title[language])
    for number, rule in enumerate(document.forbid, 1):
        assert told.pop(f"prohibition {number}") == ("forbid", rule.reason[language])
    for family in document.family:
        assert told.pop(f"family {family.class_}") == ("permit", family.title[language])
    for row in (*document.overlay[:2], *document.derivation):
        assert told.pop(row.id) == ("forbid", row.title[language])
    assert set(told) == {"unlabelled"}


def test_actions_are_the_purposes_and_families_under_their_clauses() -> None:
    files = export(tm.NOTICE.document)
    rows = json.loads(files[ENTITIES])
    actions = {
        row["uid"]["id"]: [one["id"] for one in row["parents"]] for row in rows if row["uid"]["type"] == "Action"
    }
    for grant in tm.NOTICE.document.grant:
        assert actions.pop(f"clause {grant.clause}") == []
        assert all(actions.pop(row.id) == [f"clause {grant.clause}"] for row in grant.purpose)
    assert actions == {name_of(one): [] for one in tm.NOTICE.families}


def test_lines_are_of_ordinary_length() -> None:
    everything = [one.clause for one in tm.NOTICE.purposes]
    ban = {"sources": ["1.1"], "purposes": everything, "reason": TITLE}
    notice = Notice.parse(tm.NOTICE.dump() | {"forbid": [ban]})
    assert_valid(export(notice.document))
    for name, told in export(notice.document).items():
        if name != ENTITIES:
            assert max(map(len, told.splitlines())) <= 120
        assert told.endswith("\n")
        assert not told.endswith("\n\n")


def test_the_order_of_hashes_does_not_matter() -> None:
    code = (
        "import sys, hashlib; from purposeguard import Notice; from purposeguard.notice.export.cedar import export; "
        f"print(hashlib.sha256(repr(export(Notice.load({str(GOLDEN / 'everything' / 'notice.toml')!r}).document))"
        ".encode()).hexdigest())"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**env, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout


def test_ids_that_two_kinds_share_stay_apart() -> None:
    """A purpose may have the id that a clause's group would have."""
    notice = Notice.parse(
        {
            "format": 1,
            "id": "tiny",
            "revision": "2025-01-01",
            "controller": TITLE,
            "title": TITLE,
            "source": [{"id": "1", "class": "Given", "title": TITLE}],
            "grant": [
                {
                    "clause": "2",
                    "title": TITLE,
                    "sources": ["1"],
                    "purpose": [
                        {"id": "2", "class": "Answering", "title": TITLE},
                        {"id": "clause 2", "class": "Mailing", "title": TITLE},
                    ],
                }
            ],
            "family": [{"class": "AnyGoal", "purposes": ["2", "clause 2"], "title": TITLE}],
        }
    )
    files = export(notice.document)
    assert_valid(files)
    actions = [row["uid"]["id"] for row in json.loads(files[ENTITIES]) if row["uid"]["type"] == "Action"]
    assert actions == ["clause 2, 2", "2", "clause 2", "AnyGoal"]


TITLE = {"en": "it", "ja": "それ"}


def test_a_notice_without_channels_has_none_in_its_schema() -> None:
    notice = Notice.parse(
        {key: rows for key, rows in tm.NOTICE.dump().items() if key not in {"channel", "grant"}} | FEW
    )
    files = export(notice.document)
    assert_valid(files)
    assert "hannel" not in files[SCHEMA] + files[POLICIES]


FEW: dict[str, Any] = {
    "family": [],
    "derivation": [],
    "changes": None,
    "grant": [
        {
            "clause": "2",
            "title": TITLE,
            "sources": ["1.1"],
            "purpose": [{"id": "2①", "class": "Answering", "title": TITLE}],
        }
    ],
}


@pytest.mark.parametrize(
    "given",
    ['"', "\\", '\\"', "\\n", "\n", "\r\n", "\0", "\u2028", "\u202e", "\ufeff", "①", "\U0001f512", "*/", "//", "${x}"],
)
def test_a_text_comes_back_as_it_was(given: str) -> None:
    policies = f"{format_comment(given)}\n@title({quote_text(given)})\npermit (principal, action, resource);"
    (row,) = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"].values()
    assert row["annotations"]["title"] == given


def test_a_long_set_fills_lines() -> None:
    told = wrap_set("", [f'Source::"{number}"' for number in range(40)], ".containsAll(resource.sources)", 2)
    lines = told.splitlines()
    assert (lines[0], lines[-1]) == ("[", "  ].containsAll(resource.sources)")
    assert all(90 < len(line) <= 120 for line in lines[1:-2])
    assert not any(line.endswith(" ") for line in lines)
    assert re.findall(r'"(\d+)"', told) == [str(number) for number in range(40)]
