"""The registers of a notice and an application, and the workbook that holds them."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Annotated, Any

import pytest
from openpyxl import load_workbook

import purposeguard as pg
from purposeguard import Notice
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.report.registers import Language, ReportRegister, registers
from purposeguard.cli.report.workbook import HEADER, LONGEST, write
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.registry import TaggedTable
from tests.exporting.samples import EVERYTHING, GDPR
from tests.oversights import Told

ABSENT: dict[Language, str] = {"en": "[not in the notice]", "ja": "［通知文書に記載なし］"}


def rows(register: ReportRegister) -> dict[str, dict[str, str]]:
    """Id of the row → heading → entry."""
    return {row[0].split(" ")[0]: dict(zip(register.columns, row, strict=True)) for row in register.rows}


def test_each_purpose_is_a_processing_activity() -> None:
    record, _ = registers(pg.Guard(GDPR))
    assert list(rows(record)) == [purpose.clause for purpose in GDPR.purposes]
    letters = {heading[1] for heading in record.columns if heading.startswith("(")}
    assert letters == set("abcdefg")
    assert rows(record)["3.1①"] == {
        "(b) Purpose of the processing": "3.1① Delivering what was ordered",
        "(a) Controller and contact": (
            "Lindenrad GmbH (made up)\nLindenrad GmbH, data protection officer\nprivacy@lindenrad.example"
        ),
        "(a) Joint controllers, representative, data protection officer": ABSENT["en"],
        "(c) Categories of data subjects": ABSENT["en"],
        "(c) Categories of personal data": (
            "2.1(a) Name, e-mail, telephone and address\n2.1(b) Orders, invoices and payments"
        ),
        "(d) Categories of recipients": (
            "Processor in Germany\nProcessor abroad\nCompany certified under the EU-US framework"
        ),
        "(e) Transfers to third countries, and safeguards": (
            "United States (US), limited to: A company certified under the EU-US framework; The app; Hosting\n"
            "European Economic Area: AT, BE, BG, HR, CY, CZ, DK, EE, FI, FR, GR, HU, IS, IE, IT, LV, LI, LT, LU, MT,"
            " NL, NO, PL, PT, RO, SK, SI, ES, SE\n"
            "Countries with an adequacy decision: AD, AR, CA, CH, FO, GB, GG, IL, IM, JE, JP, KR, NZ, UY\n"
            "any other country is refused (clause 4.2)\n"
            "safeguards (clause 4.3): A contract on processing (Article 28), Standard contractual clauses"
        ),
        "(f) Time limits for erasure": "2.1(a): 1095 days from the end of use\n2.1(b): 1095 days from collection",
        "(g) Security measures": ABSENT["en"],
        "Legal basis (Article 6(1))": "contract",
        "Activities in the code": "none",
    }


def test_consent_and_prohibitions_count() -> None:
    record, _ = registers(pg.Guard(GDPR))
    data = {given: row["(c) Categories of personal data"] for given, row in rows(record).items()}
    assert [line.split(" ")[0] for line in data["3.6①"].split("\n")] == ["2.2", "2.4", "3.6/profile"]
    record, _ = registers(pg.Guard(EVERYTHING))
    data = {given: row["(c) Categories of personal data"] for given, row in rows(record).items()}
    assert [line.split(" ")[0] for line in data["4④"].split("\n")] == ["2"]
    guard = pg.Guard(GDPR)
    for given, row in rows(registers(pg.Guard(GDPR))[0]).items():
        told = {line.split(" ")[0] for line in row["(c) Categories of personal data"].split("\n")}
        assert told >= {source.clause for source in GDPR.sources if guard.allows(source, given)} - {"2.1"}


def test_what_may_serve_nothing_says_so() -> None:
    ban = {"sources": ["1.1", "2.1", "2.3", "3.1"], "purposes": ["1.2(1)①"], "reason": {"en": "no", "ja": "不可"}}
    notice = Notice.parse(tm.NOTICE.dump() | {"forbid": [ban]})
    record, _ = registers(pg.Guard(notice))
    row = rows(record)["1.2(1)①"]
    assert row["(c) Categories of personal data"] == "none: no data may serve this purpose"
    assert row["(f) Time limits for erasure"] == "none"


def test_each_kind_of_data_has_a_row() -> None:
    _, register = registers(pg.Guard(GDPR), "ja")
    found = rows(register)
    assert list(found) == ["2.1(a)", "2.1(b)", "2.1(c)", "2.2", "2.3", "2.4", "2.2/commuter/battery", "3.6/profile"]
    assert {given: row["取得方法"] for given, row in found.items() if row["取得方法"] != ABSENT["ja"]} == {
        "2.2": "端末から自動取得",
        "2.3": "端末から自動取得",
        "2.2/commuter/battery": "Commuter：state of the battery（2.2の一部）",
        "3.6/profile": "2.2と2.1(a)、2.4を関連づけて生成",
    }
    assert found["2.1(a)"]["利用の根拠"] == (
        "契約：3.1①、3.1②、3.2①\n正当な利益：3.3①、3.3②\n同意：3.5①、3.5②\n法令：3.8①、3.8②"
    )
    assert found["2.2"]["保存期間"] == "2.2：利用終了日から30日間\n2.2：取得日から365日間"
    assert found["2.2/commuter/battery"]["利用目的（条項）"] == "3.7① 走行履歴の表示"
    assert found["2.1(a)"]["消去、廃棄の方法"] == ABSENT["ja"]


def test_a_notice_without_periods_says_until_when() -> None:
    _, register = registers(pg.Guard(tm.NOTICE), "ja")
    assert rows(register)["1.1(a)"]["保存期間"] == f"{ABSENT['ja']}\n条項8：法令または利用目的に必要な範囲"


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("notice", [tm.NOTICE, EVERYTHING, GDPR], ids=["trendmicro-jp", "everything", "gdpr"])
def test_every_gap_is_told_and_no_other(notice: Notice, language: Language) -> None:
    for register in registers(pg.Guard(notice), language):
        assert register.absent == ABSENT[language]
        columns = zip(register.columns, zip(*register.rows, strict=True), strict=True)
        empty = [heading for heading, cells in columns if any(ABSENT[language] in cell for cell in cells)]
        assert len(register.gaps) == len(empty)
        assert all(gap.startswith(heading) for gap, heading in zip(register.gaps, empty, strict=True))
        assert all(cell for row in register.rows for cell in row)


def test_a_bare_notice_fills_little() -> None:
    record, register = registers(pg.Guard(EVERYTHING))
    letters = [gap[:3] for gap in record.gaps]
    assert letters == ["(a)", "(a)", "(c)", "(d)", "(e)", "(f)", "(g)", "Leg"]
    assert "[[retention.period]]" in record.gaps[5]
    assert len(register.gaps) == 9


def test_japanese_is_in_japanese() -> None:
    for register in registers(pg.Guard(tm.NOTICE), "ja"):
        texts = [register.title, register.note, *register.columns, *(cell for row in register.rows for cell in row)]
        latin = [text for text in texts if text and text.isascii()]
        assert latin == []


@dataclasses.dataclass
class Customer:
    name: Annotated[str, tm.Registration]
    renewal: Annotated[str, tm.Contract]
    device: pg.Personal[str, tm.ProductData]


def guarded() -> pg.Guard:
    guard = pg.Guard(tm.NOTICE, governance=Told())

    @guard.access
    def customer(key: int) -> Customer:
        raise NotImplementedError

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> None: ...

    @guard.purpose(tm.AnyProductGuidance, channel="email")
    def advertise() -> None: ...

    house = Recipient("mail-house", "domestic-contractor", "JP", name="Mail House", means="email")

    @guard.entrust(house, tm.Registration)
    def hand_over(name: str) -> None: ...

    return guard


def test_code_stands_beside_its_clauses() -> None:
    record, register = registers(guarded())
    code = {given: row["Activities in the code"].split(".")[-1] for given, row in rows(record).items()}
    assert {given: name for given, name in code.items() if name != "none"} == {
        "1.2(1)①": "remind",
        **dict.fromkeys(("1.2(1)②", "2.2①", "3.2①"), "advertise"),
    }
    found = rows(register)
    read = {given: row["Functions that read it"].split(".")[-1] for given, row in found.items()}
    assert {given for given, name in read.items() if name == "customer"} == {"1.1(a)", "1.1(b)", "1.1(c)"}
    assert "Mail House (JP): " in found["1.1(a)"]["Contractors and recipients"]
    assert "Mail House" not in found["1.1(c)"]["Contractors and recipients"]


def test_tables_are_named() -> None:
    guard = guarded()
    columns = (("email", pg.Label(tm.Registration)), ("paid", pg.Label(tm.Customer)), ("page", pg.Label(tm.Cookie)))
    guard.inventory.add_table(TaggedTable("customers", columns))
    _, register = registers(guard)
    kept = {given: row["Database, and where it is kept"] for given, row in rows(register).items()}
    assert {given: tables for given, tables in kept.items() if tables != ABSENT["en"]} == {
        "1.1(a)": "customers: email, paid",
        "1.1(b)": "customers: paid",
        "1.1(c)": "customers: paid",
        "2.3": "customers: page",
    }


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_workbook_reads_back(language: Language, tmp_path: Path) -> None:
    written = registers(pg.Guard(GDPR), language)
    write(written, tmp_path / "registers.xlsx")
    book = load_workbook(tmp_path / "registers.xlsx")
    assert book.sheetnames == ["gdpr-30", "jp-register"]
    for register, sheet in zip(written, book.worksheets, strict=True):
        cells: list[tuple[Any, ...]] = list(sheet.iter_rows(values_only=True))
        assert (cells[0][0], cells[1][0]) == (register.title, register.note)
        assert cells[HEADER - 1] == register.columns
        last = HEADER + len(register.rows)
        assert tuple(cells[HEADER:last]) == register.rows
        assert [row[0] for row in cells[last + 1 :]] == [f"{register.absent} {gap}" for gap in register.gaps]
        assert sheet.freeze_panes == f"B{HEADER + 1}"
        assert sheet.auto_filter.ref == f"A{HEADER}:{sheet.cell(last, len(register.columns)).coordinate}"
        assert sheet.print_title_rows == f"${HEADER}:${HEADER}"
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth) == ("landscape", 1)
        assert sheet.page_setup.fitToHeight == 0
        assert sheet.sheet_properties.pageSetUpPr is not None
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        for row in sheet.iter_rows(HEADER + 1, last):
            assert all(cell.alignment.wrap_text for cell in row)
            coloured = [cell.value for cell in row if cell.fill.fill_type == "solid"]
            assert coloured == [cell.value for cell in row if register.absent in str(cell.value)]
        assert all(10 < dimension.width < 50 for dimension in sheet.column_dimensions.values())


TABLE = ReportRegister(
    "table", "=1+1", "note", ("+a", "-b"), (("=HYPERLINK(1)", "@SUM(1)"), ("x\x07y", "")), (), "absent"
)


def test_text_is_never_a_formula(tmp_path: Path) -> None:
    write([TABLE], tmp_path / "table.xlsx")
    (sheet,) = load_workbook(tmp_path / "table.xlsx").worksheets
    cells = [sheet["A1"], *sheet[HEADER], *sheet[HEADER + 1]]
    assert [cell.value for cell in cells] == ["=1+1", "+a", "-b", "=HYPERLINK(1)", "@SUM(1)"]
    assert {cell.data_type for cell in cells} == {"s"}
    assert all(cell.quotePrefix for cell in cells)
    assert not sheet.cell(HEADER + 2, 1).quotePrefix
    assert sheet.cell(HEADER + 2, 1).value == "x y"
    with zipfile.ZipFile(tmp_path / "table.xlsx") as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_too_long_a_text_is_no_shorter_one(tmp_path: Path) -> None:
    long = dataclasses.replace(TABLE, rows=(("x" * (LONGEST + 1), ""),))
    with pytest.raises(CommandProblem, match="a cell of `table` has 32,768 characters, and the format takes 32,767"):
        write([long], tmp_path / "table.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CommandProblem, match="cannot be written"):
        write([TABLE], tmp_path / "missing" / "table.xlsx")
