"""The exported manifests, read by fideslang: whole, and of the notice's own decisions."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings

import purposeguard as pg
from purposeguard import Notice
from purposeguard.cli.export import collect_tagged_fields
from purposeguard.cli.files import CommandProblem
from purposeguard.notice.export.fides import DATASET, NOTICE, Tables, export
from purposeguard.notice.languages import title_in
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.runtime.registry import TaggedTable
from tests import generated
from tests.adapters.dbt.project import DBT
from tests.exporting.samples import EVERYTHING, GDPR

READ = Path(__file__).with_name("reading_fides.py")


def written(folder: Path, notice: Notice, tables: Tables | None = None) -> Path:
    folder.mkdir()
    for name, text in export(notice.document, "en", tables).items():
        (folder / name).write_text(text, "utf-8")
    return folder


def read(*folders: Path) -> list[dict[str, Any]]:
    """What fideslang, in its own environment, makes of them."""
    assert DBT.exists(), f"there is no {DBT}: `make dbt-env`"
    run = subprocess.run([DBT, READ, *folders], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


def assert_same(notice: Notice, answer: dict[str, Any]) -> None:
    """Declarations and policy let each source serve each purpose as the notice does, if the subject agreed."""
    document = notice.document
    sources = {
        f"{row.id} {title_in(row.title, 'en')}": row.id
        for row in (*document.source, *document.overlay, *document.derivation)
    }
    purposes = {f"{row.id} {title_in(row.title, 'en')}": row.id for row in document.purposes}
    consents = [(one, notice.revision) for one in purposes.values()]
    allowed = {
        (source, purpose)
        for source, purpose in product(sources, purposes)
        if spec.is_allowed([document], (sources[source],), purposes[purpose], consents=consents)
    }
    asked = {(category, use) for category, use in answer["asked"]}
    assert set(product(sources, purposes)) < asked
    assert {(category, use) for category, use in answer["declared"]} == allowed
    refused = {(category, use) for category, use in answer["refused"]}
    assert asked - refused == allowed
    # By uses of the default taxonomy, too.
    assert len(refused) > len(asked - allowed)
    assert (answer["missing"], answer["violations"]) == ([], [])


@pytest.mark.processes
def test_fideslang_reads_the_notices_decisions(tmp_path: Path) -> None:
    notices = {"trendmicro-jp": tm.NOTICE, "everything": EVERYTHING, "gdpr": GDPR}

    @settings(max_examples=12)
    @given(notice=generated.notices(facts=True, opened=True))
    def draw(notice: Notice) -> None:
        notices[f"generated-{len(notices)}"] = notice

    draw()
    answers = read(*(written(tmp_path / name, notice) for name, notice in notices.items()))
    for notice, answer in zip(notices.values(), answers, strict=True):
        assert_same(notice, answer)
    bases = {name.split()[0]: basis for name, basis in answers[2]["bases"].items()}
    assert (bases["3.1①"], bases["3.4①"], bases["3.4②"]) == ("Contract", "Legitimate interests", "Consent")
    assert set(answers[0]["bases"].values()) == {None}
    assert answers[2]["rights"] == ["Access", "Rectification", "Restrict Processing", "Erasure"]


class Customer(pg.PersonalModel):
    key: int
    email: pg.Personal[str, tm.Registration]
    segment: Annotated[str, tm.Registration, tm.Contract]


def guarded() -> pg.Guard:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def customer(key: int) -> Customer:
        raise NotImplementedError

    return guard


@pytest.mark.processes
def test_fideslang_reads_what_is_tagged(tmp_path: Path) -> None:
    tables = collect_tagged_fields(guarded(), tm.NOTICE)
    (answer,) = read(written(tmp_path / "shop", tm.NOTICE, tables))
    assert_same(tm.NOTICE, answer)
    fields = {name.rpartition(".")[2]: keys for name, keys in answer["fields"].items()}
    below = "notice-trendmicro-jp.customer"
    assert fields == {"email": [f"{below}.registration"], "segment": [f"{below}.registration", f"{below}.contract"]}
    assert answer["datasets"] == ["notice-trendmicro-jp"]


def test_a_source_that_is_not_exported_is_refused() -> None:
    guard = pg.Guard(GDPR)
    battery = pg.Label(GDPR.source("2.2/commuter/battery"))
    guard.inventory.add_table(TaggedTable("rides", (("battery", battery),)))
    assert collect_tagged_fields(guard, GDPR) == {"rides": {"battery": ["2.2/commuter/battery"]}}
    without = Notice.parse(GDPR.dump() | {"overlay": []})
    with pytest.raises(CommandProblem, match=r"rides\.battery: the notice has no source `2\.2/commuter/battery`"):
        collect_tagged_fields(guard, without)


def test_annotations_that_cannot_be_read_are_refused() -> None:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def missing(key: int) -> NotDefined:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    with pytest.raises(CommandProblem, match="missing: its sources are not known"):
        collect_tagged_fields(guard, tm.NOTICE)


def test_a_period_of_law_is_told_of_the_purposes_that_rest_on_law() -> None:
    tables = tm.NOTICE.dump()
    tables["retention"]["law"] = [{"source": "1.1(a)", "days": 4321}, {"source": "2.3", "days": 1234}]
    tables["grant"][0]["purpose"][0]["basis"] = "law"
    text = export(Notice.parse(tables).document)[NOTICE]
    assert re.findall(r"retention_period\W+(.*?)\W*$", text, re.MULTILINE) == [
        "1.1(a): 4321 days from the end of use, as long as law needs it"
    ]


def test_the_head_says_what_fides_is_not_told() -> None:
    files = export(GDPR.document, "ja", {})
    assert set(files) == {NOTICE, DATASET}
    for text in files.values():
        head = [line for line in text.splitlines() if line.startswith("#")]
        assert "revision of 2026-01-01" in head[0]
        assert all(
            word in " ".join(head) for word in ("channel", "families", "agreed", "countries", "notice-lindenrad")
        )
        json.loads(re.sub(r"^#.*$", "", text, flags=re.MULTILINE))
    assert GDPR.document.purposes[0].title["ja"] in files[NOTICE]
