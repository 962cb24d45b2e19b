"""`purposeguard sql`: queries over real files, held to a purpose."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import TINY, process, run

TAGS = {"id": pg.NotPersonal, "email": tm.Registration, "device": tm.ProductData, "氏名": tm.Registration}
ROWS = {"id": [1, 2, 3], "email": ["a@x", "b@x", None], "device": ["d1", "d2", "d3"], "氏名": ["太郎", "花子", "次郎"]}
NOTICE = ("--notice", "trendmicro-jp")
FOR = (*NOTICE, "--purpose", "renewal-guidance")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(arrow.tagged(pa.table(ROWS), TAGS, tm.NOTICE), "customer.parquet")
    (tmp_path / "orders.csv").write_text("customer,total\n1,10.5\n2,20\n", "utf-8")
    (tmp_path / "tags.toml").write_text(
        '[orders]\ncustomer = ["not-personal", "subject"]\ntotal = "contract"\n', "utf-8"
    )
    return tmp_path


def sql(statement, *arguments, **options):
    return run("sql", statement, *arguments, **options)


def rows(result):
    return json.loads(result.stdout)["rows"]


def test_rows_are_printed_as_a_table(folder):
    result = sql("SELECT 氏名, email FROM customer ORDER BY id", "customer.parquet", *FOR)
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines() if line.strip()] == [
        "氏名 email", "太郎 a@x", "花子 b@x", "次郎 NULL", "3 rows",
    ]  # fmt: skip
    assert result.stderr == ""


def test_rows_are_printed_as_json(folder):
    statement = (
        "SELECT 氏名, id, NULL AS n, 1.50::DECIMAL(4,2) AS d, DATE '2025-06-01' AS day, [1] AS l, {'a': 'x'} AS s, "
        "'nan'::DOUBLE AS f, 'x'::BLOB AS b FROM customer WHERE id = 1"
    )
    data = json.loads(sql(statement, "customer.parquet", *FOR, "--format", "json").stdout)
    assert data["columns"][:2] == [{"name": "氏名", "sources": ["1.1(a)"]}, {"name": "id", "sources": ["not-personal"]}]
    assert data["rows"] == [["太郎", 1, None, "1.50", "2025-06-01", [1], {"a": "x"}, "NaN", "eA=="]]


def test_a_refusal_says_which_column_and_what_it_may_serve(folder):
    for form in ("table", "json"):
        result = sql("SELECT device FROM customer", "customer.parquet", *FOR, "--format", form)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("refused: renewal-guidance (1.2(1)①) may not use product-data (1.1(b))")
        assert "`customer.device`" in result.stderr
        assert "1.1(b) may serve: product-provision" in result.stderr


def test_a_purpose_with_closed_channels_needs_one(folder):
    text, path = "SELECT mail FROM w", folder / "w.parquet"
    pq.write_table(arrow.tagged(pa.table({"mail": ["m"]}), {"mail": tm.WebContact}, tm.NOTICE), path)
    arguments = (path, *NOTICE, "--purpose", "2.2③")
    assert sql(text, *arguments).exit_code == 1
    assert sql(text, *arguments, "--channel", "phone").exit_code == 1
    result = sql(text, *arguments, "--channel", "email", "--format", "json")
    assert (result.exit_code, rows(result)) == (0, [["m"]])


def test_files_are_called_as_they_are_or_as_told(folder):
    statement = "SELECT c.氏名, sum(total) AS t FROM c JOIN orders AS o ON c.id = o.customer GROUP BY ALL ORDER BY 1"
    result = sql(statement, "c=customer.parquet", "orders.csv", *FOR, "--tags", "tags.toml", "--format", "json")
    assert rows(result) == [["太郎", 10.5], ["花子", 20.0]]
    compressed = folder / "more.csv.gz"
    compressed.write_bytes(gzip.compress(b"x\n1\n"))
    result = sql("SELECT count(*) AS n FROM more", compressed, *FOR, "--format", "json")
    assert rows(result) == [[1]]


def test_names_of_files_beyond_ascii(folder):
    (folder / "customer.parquet").rename(folder / "顧客.parquet")
    result = sql("SELECT 氏名 FROM 顧客 WHERE id = 1", "顧客.parquet", *FOR, "--format", "json")
    assert rows(result) == [["太郎"]]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["customer.parquet", "./customer.parquet"], "would both be called `customer`"),
        (["customer.parquet", "Customer=orders.csv"], "would both be called `customer`"),
        (["a.b=customer.parquet"], "is no name for a table"),
        (["=customer.parquet"], "names no table, or no file"),
        (["c="], "names no table, or no file"),
        (["no.parquet"], "there is no file no.parquet"),
        (["."], "is no name for a table"),
        (["folder.parquet"], "is a folder"),
        (["empty.parquet"], "is empty"),
        (["broken.parquet"], "cannot be read as Parquet"),
        (["foreign.parquet"], "of another notice"),
        (["notes.xlsx"], "of no kind that is known here"),
    ],
)
def test_files_that_are_none(folder, files, told):
    (folder / "folder.parquet").mkdir()
    (folder / "empty.parquet").touch()
    (folder / "broken.parquet").write_bytes(b"PAR1 but no more")
    (folder / "notes.xlsx").write_bytes(b"x")
    tag = '{"notice":"other","revision":"2024-04-01","sources":["1"],"version":1}'
    schema = pa.schema([pa.field("x", pa.string(), metadata={"purposeguard": tag})])
    pq.write_table(pa.table({"x": ["a"]}, schema=schema), "foreign.parquet")
    result = sql("SELECT 1 AS one", *files, *FOR)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT total FROM orders", "`orders.total` carries no tag"),
        ("SELECT total FROM orders", "`--tags FILE` states the tags of columns that have none"),
        ("SELECT * FROM orders", "carries no tag"),
        ("SELECT nobody FROM customer", "`nobody` is no column"),
        ("SELECT 1 FROM elsewhere", "`elsewhere` is no table that is known here: tell"),
        ("SELECT 1 FROM elsewhere", "tables here: `customer`, `orders`"),
        ("SELECT 1 FROM custmer", "(did you mean `customer`?)"),
        ("SELEC 1", "only queries"),
        ("DESCRIBE orders", '`--explain "SELECT * FROM …"` lists the columns of a table'),
        (" show tables", "--explain"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("COPY customer TO 'x.csv'", "only queries"),
        ("CREATE TABLE t AS SELECT 1 AS one", "only a query"),
        ("DELETE FROM customer", "only a query"),
        ("SELECT * FROM read_csv('orders.csv')", "ReadCSV"),
        ("SELECT date_part('year', id) AS y FROM customer", "date_part"),
        ("", "no statement"),
    ],
)
def test_statements_that_are_not_run(folder, statement, told):
    result = sql(statement, "customer.parquet", "orders.csv", *FOR)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["SELECT 1 AS one", "customer.parquet", *NOTICE], 2),
        (["SELECT 1 AS one", "customer.parquet", "--purpose", "renewal-guidance"], 2),
        (["SELECT 1 AS one", *FOR], 2),
        (["SELECT 1 AS one", "customer.parquet", *NOTICE, "--purpose", "nope"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--channel", "telegraph"], 2),
        (["SELECT 1 AS one", "customer.parquet", "--purpose", "renewal-guidance", "--notice", "acme"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--limit", "0"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--format", "xml"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--tags", "no.toml"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--store", "no.db"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR, "--store", "mysql://x"], 2),
        (["SELECT 1 AS one", "customer.parquet", *FOR], 0),
        (["SELECT count(*) AS n FROM customer", "customer.parquet", *NOTICE, "--purpose", "AnyCommunityOperation"], 0),
        (["SELECT id FROM customer", "customer.parquet", *NOTICE, "--purpose", "traffic-analysis"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(folder, arguments, code):
    result = run("sql", *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_every_fault_of_a_file_of_tags_is_told_at_once(folder):
    (folder / "bad.toml").write_text(
        '[order]\ntotal = "1.1(a)"\n'
        '[orders]\ncustomer = ["not-personal", "subjet"]\ntotal = 3\nnone = []\nid = "subject:A B"\n'
        'x = ["source", "1.1(a)"]\n'
        'y = [["1.1(a)"]]\n',
        "utf-8",
    )
    result = sql("SELECT 1 AS one", "customer.parquet", "orders.csv", *FOR, "--tags", "bad.toml")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert told.startswith("error: bad.toml: 7 faults")
    for part in (
        "order: no file is called so (help: did you mean orders?)",
        "orders.customer: unknown source `<a text of 6 characters>`",
        "marks are subject, collected, ended, source, by-row",
        "orders.total: must be an id of a source",
        "orders.none: must be",
        "orders.id: a realm is a word",
        "orders.x: ",
        "orders.y: must be",
    ):
        assert part in told


@pytest.mark.parametrize("text", ["", "x", "orders = 1", "[[orders]]\nx = 1"])
def test_a_file_of_tags_that_is_none(folder, text):
    (folder / "bad.toml").write_text(text, "utf-8")
    result = sql("SELECT 1 AS one", "orders.csv", *FOR, "--tags", "bad.toml")
    assert result.exit_code == 2
    assert "bad.toml" in result.stderr
    assert "purposeguard schema" not in result.stderr


def test_marks_are_read_from_a_file_of_tags(folder):
    (folder / "crm.csv").write_text(
        "id,source,email,since,until\n1,1.1(a),a,2025-01-01,\n2,2.1(a),b,2025-01-01,\n", "utf-8"
    )
    (folder / "crm.toml").write_text(
        '[crm]\nid = ["not-personal", "subject:customer"]\nsource = "source"\nemail = "by-row"\n'
        'since = ["not-personal", "collected"]\nuntil = "ended"\n',
        "utf-8",
    )
    result = sql("SELECT id, email FROM crm", "crm.csv", *FOR, "--tags", "crm.toml", "--format", "json")
    assert (rows(result), result.stderr) == ([[1, "a"]], "")


def test_tags_of_a_column_that_is_not_there(folder):
    (folder / "more.toml").write_text('[orders]\nmail = "1.1(a)"\n', "utf-8")
    result = sql("SELECT 1 AS one", "orders.csv", *FOR, "--tags", "more.toml")
    assert result.exit_code == 2
    assert "`mail` is tagged" in result.stderr


def test_explain_says_what_is_used_and_runs_nothing(folder):
    statement = "SELECT email, upper(device) AS d, error(email) AS e FROM customer"
    result = sql(statement, "customer.parquet", *FOR, "--explain", "--format", "json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["allowed"] is False
    assert [(one["column"], one["sources"], one["allowed"]) for one in data["used"]] == [
        ("email", ["1.1(a)"], True),
        ("device", ["1.1(b)"], False),
    ]
    assert data["used"][1]["reasons"]
    assert {one["column"]: one["sources"] for one in data["outputs"]}["d"] == ["1.1(b)"]
    result = sql(statement, "customer.parquet", *FOR, "--explain")
    assert "denied" in result.stdout
    assert result.exit_code == 1
    assert sql("SELECT email FROM customer", "customer.parquet", *FOR, "--explain").exit_code == 0


def test_explain_tells_of_columns_without_a_tag(folder):
    result = sql("SELECT total FROM orders", "orders.csv", *FOR, "--explain")
    assert result.exit_code == 1
    assert "no tag" in result.stdout


def test_of_many_rows_the_first_are_printed(folder):
    statement = "SELECT i FROM range(250) AS t(i)"
    result = sql(statement, "customer.parquet", *FOR)
    assert len(result.stdout.splitlines()) == 103
    assert "the first 100 of 250 rows are printed" in result.stderr
    assert len(rows(sql(statement, "customer.parquet", *FOR, "--format", "json"))) == 250
    result = sql(statement, "customer.parquet", *FOR, "--format", "json", "--limit", "2")
    assert rows(result) == [[0], [1]]
    assert "the first 2 of 250 rows" in result.stderr


def test_of_many_columns_the_first_are_printed(folder):
    statement = "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(60))
    result = sql(statement, "customer.parquet", *FOR, columns=400)
    assert "c39" in result.stdout
    assert "c40" not in result.stdout
    assert "the first 40 of 60 columns" in result.stderr
    assert "c59" in sql(statement, "customer.parquet", *FOR, "--format", "json").stdout


def test_what_is_read_does_not_speak_to_the_terminal(folder):
    statement = "SELECT chr(27) || '[31mred' || chr(7) AS x, '[bold]b[/bold]' AS y"
    result = sql(statement, "customer.parquet", *FOR)
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "[bold]b[/bold]" in result.stdout


def test_a_table_without_rows(folder):
    result = sql("SELECT email FROM customer WHERE id > 9", "customer.parquet", *FOR)
    assert result.exit_code == 0
    assert "0 rows" in result.stdout


def test_who_opted_out_is_left_out_and_the_use_is_recorded(folder):
    from purposeguard.governance import Governance

    with Governance("sqlite:///store.db", notice=tm.NOTICE) as governance:
        governance.restrict(2)
    arguments = ("orders.csv", *FOR, "--tags", "tags.toml", "--format", "json")
    assert rows(sql("SELECT customer, total FROM orders ORDER BY 1", *arguments)) == [[1, 10.5], [2, 20.0]]
    for store in ("store.db", "sqlite:///store.db"):
        result = sql("SELECT customer, total FROM orders", *arguments, "--store", store)
        assert (rows(result), result.stderr) == ([[1, 10.5]], "")
    shown = json.loads(run("ledger", "show", "store.db", "--activity", "purposeguard sql", "--format", "json").stdout)
    assert "purposeguard sql" in json.dumps(shown)


def test_a_notice_of_ones_own(folder):
    (folder / "tiny.toml").write_text(TINY, "utf-8")
    (folder / "own.toml").write_text('[orders]\ncustomer = "not-personal"\ntotal = "1"\n', "utf-8")
    arguments = ("orders.csv", "--notice", "tiny.toml", "--tags", "own.toml", "--format", "json")
    result = sql("SELECT sum(total) AS t FROM orders", *arguments, "--purpose", "mailing")
    assert rows(result) == [[30.5]]


def test_what_is_not_installed_is_said(folder):
    code = (
        "import sys; sys.modules['duckdb'] = None; from purposeguard.cli.main import main; "
        f"sys.argv = {['purposeguard', 'sql', 'SELECT 1', 'customer.parquet', *FOR]}; main()"
    )
    result = process(code=code, cwd=folder)
    assert result.returncode == 2
    assert result.stderr == "error: `sql` needs duckdb, which is not installed: pip install 'purposeguard[duckdb]'\n"


def test_the_other_commands_load_no_duckdb():
    code = (
        "import sys; from purposeguard.cli.commands import app; "
        "print(sorted({'duckdb', 'pyarrow', 'sqlglot'} & set(sys.modules)))"
    )
    assert process(code=code).stdout == "[]\n"
