"""A notice file that is begun from a table, or from answers: valid, and saying what was said."""

import itertools
import json
import os
from importlib import resources
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.cli.new import TEMPLATES
from purposeguard.notice.bases import collect_bases
from purposeguard.notice.fields import Basis
from purposeguard.notice.grants import compute_grants
from purposeguard.notice.languages import title_in
from purposeguard.notice.warning import find_warnings
from tests.unit.command_line import process, run

USES = """\
data,purpose,basis
E-mail address,Newsletter,consent
E-mail address,Account,contract
"Usage
data",Product improvement,legitimate interests
利用履歴,Account,Art. 6(1)(b) GDPR
"""


def begun(tmp_path, text, *options):
    (tmp_path / "uses.csv").write_text(text, "utf-8")
    return run("new", tmp_path / "uses.csv", "--revision", "2026-11-01", *options)


def uses(notice):
    """Title of a purpose → titles of the data that may serve it."""
    title = {row.id: title_in(row.title, "en") for row in (*notice.document.source, *notice.document.purposes)}
    found: dict[str, set[str]] = {title[row.id]: set() for row in notice.document.purposes}
    for source, purposes in compute_grants(notice.document).items():
        for purpose in purposes:
            found[title[purpose]].add(title[source])
    return found


def test_a_row_for_each_use(tmp_path):
    result = begun(tmp_path, USES.replace("Usage\ndata", "Usage data"), "--controller", "Corner Shop")
    assert (result.exit_code, result.stderr) == (0, "")
    notice = pg.Notice.loads(result.stdout)
    assert (notice.id, str(notice.revision)) == ("privacy-notice", "2026-11-01")
    assert uses(notice) == {
        "Newsletter": {"E-mail address"},
        "Account": {"E-mail address", "利用履歴"},
        "Product improvement": {"Usage data"},
    }
    assert [row.basis for row in notice.document.purposes] == ["consent", "contract", "legitimate-interest"]
    assert [source.__name__ for source in notice.sources] == ["EMailAddress", "UsageData", "Data3"]
    assert notice.source("利用履歴").__name__ == "Data3"


def test_a_column_for_each_purpose(tmp_path):
    text = "data,Newsletter,Account,Research\nE-mail,consent,contract,no\nLogs,,yes,x\n"
    notice = pg.Notice.loads(begun(tmp_path, text.replace(",yes,", ",contract,")).stdout)
    assert uses(notice) == {"Newsletter": {"E-mail"}, "Account": {"E-mail", "Logs"}, "Research": {"Logs"}}
    assert [row.basis for row in notice.document.purposes] == ["consent", "contract", None]


def test_a_basis_by_the_data(tmp_path):
    text = "data,purpose,basis\nE-mail,Advertising,consent\nOrders,Advertising,legitimate-interest\n"
    notice = pg.Notice.loads(begun(tmp_path, text).stdout)
    guard = pg.Guard(notice)
    assert guard.allows("orders", "advertising")
    assert not guard.allows("e-mail", "advertising")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no rows"),
        ("data,purpose\n", "has no rows"),
        ("what,purpose\na,b\n", ":1: the first column is `data`, not `what`"),
        ("data,purpose,why\na,b,c\n", ":1: the columns are `data`, `purpose` and `basis`"),
        ("data,p,p\na,yes,yes\n", ":1: behind `data` stands a column for each purpose"),
        ("data\na\n", ":1: behind `data` stands a column for each purpose"),
        ("data,purpose,basis\na,b\n", ":2: 2 cells, and the first line has 3"),
        ("data,purpose,basis\n\n,b,consent\n", ":3: `data` or `purpose` is empty"),
        ("data,purpose,basis\na,b,consnet\n", ":2: unknown basis `consnet` (help: did you mean `consent`?)"),
        ("data,purpose,basis\na,b,同意\n", ":2: unknown basis `同意` (help: write consent, contract"),
        ("data,purpose,basis\na,b,consent\na,b,law\n", ":3: a second basis of `a` for `b`"),
        ("data,purpose,basis\na,b,consent\nc,b,\n", "a basis is stated for some data of a purpose, and none for `c`"),
        ("data,p\na,no\n", "no data serves `p`"),
        ('data,purpose\n"a,b\n', "is no CSV"),
    ],
)
def test_what_is_not_understood_is_told_by_its_line(tmp_path, text, told):
    result = begun(tmp_path, text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_no_file_is_overwritten_and_the_next_step_is_told(tmp_path):
    path = tmp_path / "notice.toml"
    result = begun(tmp_path, USES, "-o", path)
    assert result.exit_code == 0
    assert "3 sources, 3 purposes" in result.stdout
    assert run("validate", path).exit_code == 0
    again = begun(tmp_path, USES, "-o", path)
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    assert begun(tmp_path, USES, "--revision", "yesterday").exit_code == 2
    assert run("new", tmp_path / "gone.csv").exit_code == 2


@given(
    data=st.lists(
        st.text(min_size=1, max_size=12).map(str.strip).filter(str.isprintable).filter(bool), unique=True
    ).filter(bool),
    bases=st.lists(st.sampled_from(["consent", "law", "x"]), min_size=1, max_size=4),
    titles=st.sampled_from(["en", "de", "pt-BR"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_data_is_called_the_file_is_valid(tmp_path, data, bases, titles):
    rows = [["data", *(f"purpose {number}" for number, _ in enumerate(bases))], *([kind, *bases] for kind in data)]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    result = begun(tmp_path, text, "--titles", titles)
    assert result.exit_code == 0, result.stderr
    notice = pg.Notice.loads(result.stdout)
    assert len(notice.sources) == len(data)
    assert {len(purposes) for purposes in notice.grants.values()} == {len(bases)}


ANSWERS = """\
Corner Shop

Account
Orders

Delivery
Newsletter

2
contract
7
all
consnet
consent
"""


def test_answers_to_questions(tmp_path):
    path = tmp_path / "notice.toml"
    result = process("new", "-o", path, input=ANSWERS, env={**os.environ, "COLUMNS": "200"})
    assert result.returncode == 0, result.stderr
    for step in ("[1/5]", "[5/5] purpose 1 of 2: Delivery", "numbers from 1 to 2, please", "did you mean `consent`?"):
        assert step in result.stderr  # what is printed may go to a file
    notice = pg.Notice.load(path)
    assert title_in(notice.document.controller, "en") == "Corner Shop"
    assert uses(notice) == {"Delivery": {"Orders"}, "Newsletter": {"Account", "Orders"}}
    assert [row.basis for row in notice.document.purposes] == ["contract", "consent"]


@pytest.mark.parametrize("given", ["Corner Shop\n\n\n", "Corner Shop\n\nAccount\n\n\n"])
def test_nothing_is_written_without_data_or_purposes(tmp_path, given):
    path = tmp_path / "notice.toml"
    assert process("new", "-o", path, input=given, env={**os.environ}).returncode != 0
    assert not path.exists()


def test_the_matrix_shows_what_was_begun(tmp_path):
    path = tmp_path / "notice.toml"
    begun(tmp_path, USES, "-o", path)
    data = json.loads(run("matrix", "--notice", path, "--format", "json").stdout)
    cells = list(itertools.chain.from_iterable(row["sources"].values() for row in data["purposes"]))
    assert cells.count("consent") == 1
    assert cells.count(True) == 3


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_whole_notice(tmp_path, name):
    path = tmp_path / "notice.toml"
    result = run("new", "--template", name, "--revision", "2026-11-01", "--controller", 'The "Shop"', "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    notice = pg.Notice.load(path)
    document = notice.document
    assert find_warnings(document) == []
    assert str(notice.revision) == "2026-11-01"
    assert set(document.controller.model_dump().values()) == {'The "Shop"'}
    assert set(notice.languages) == ({"ja", "en"} if name == "japan" else {"en"})
    # A matrix that makes sense: each source serves something, none everything, and subjects can ask.
    cells = compute_grants(document)
    items = [row for row in document.source if not any(other.parent == row.id for other in document.source)]
    assert all(0 < len(cells[row.id]) < len(document.purposes) for row in items)
    assert document.rights is not None
    assert {request.effect for request in document.rights.request} >= {"discloses", "deletes", "stops-use"}
    assert None not in {document.entrustment, document.transfer, document.safeguards, document.retention}
    assert pg.Notice.parse(notice.dump()) == notice


def test_the_templates_differ_in_law_and_shape():
    documents = [pg.Notice.loads(run("new", "--template", name).stdout).document for name in TEMPLATES]
    stated = {"opt-out", *get_args(Basis)}
    shapes = {
        (
            frozenset(
                "opt-out" if row.opt_out else row.basis for rows in collect_bases(document).values() for row in rows
            )
            & stated,
            len(document.forbid),
            len(document.provision),
        )
        for document in documents
    }
    assert len(shapes) == len(documents)
    assert len({document.transfer and document.transfer.home for document in documents}) == 4  # two are American


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--template", "gdrp"], "no template is called `gdrp` (help: did you mean `gdpr`?)"),
        (["--template", "9"], "there are california, children, gdpr, health, japan"),
        (["--template", "gdpr", "uses.csv"], "name no table and no `--titles` beside it"),
        (["--template", "gdpr", "--titles", "de"], "name no table and no `--titles` beside it"),
    ],
    ids=["misspelled", "unknown", "table", "titles"],
)
def test_a_template_that_is_not_there_is_told(words, told):
    result = run("new", *words, columns=1000)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_the_templates_are_the_files_and_the_help_names_them():
    folder = resources.files("purposeguard.cli") / "templates"
    assert sorted(file.name for file in folder.iterdir()) == [f"{name}.toml" for name in TEMPLATES]
    told = run("new", "--help", columns=1000).stdout
    assert all(name in told for name in TEMPLATES)


def test_the_matrix_tells_consent_from_an_objection(tmp_path):
    path = tmp_path / "notice.toml"
    run("new", "--template", "japan", "-o", path)
    rows = json.loads(run("matrix", "--notice", path, "--format", "json").stdout)["purposes"]
    cells = {row["slug"]: row["sources"]["第1条第1号"] for row in rows}
    assert (cells["new-products"], cells["partner-offers"], cells["delivery"]) == ("opt-out", "consent", True)
    assert "o until the person objects" in run("matrix", "--notice", path, columns=1000).stdout
