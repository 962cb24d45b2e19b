"""Registers as a workbook of spreadsheets (XLSX): a sheet for each, with its gaps below the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from purposeguard.cli.files import CommandProblem, replacing
from purposeguard.cli.report.registers import ReportRegister
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    from rich.cells import cell_len

with Needs(__name__, "report"):
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties
    from openpyxl.worksheet.worksheet import Worksheet

HEADER: Final = 4
"""The row of the headings, below title and note."""
NARROWEST, WIDEST = 12, 38
LONGEST: Final = 32_767
"""Characters that a cell holds."""

TOP: Final = Alignment(vertical="top", wrap_text=True)
LINE: Final = Side(style="thin", color="BFBFBF")
GRID: Final = Border(left=LINE, right=LINE, top=LINE, bottom=LINE)
HEADING: Final = PatternFill("solid", fgColor="1F3A5F")
GAP: Final = PatternFill("solid", fgColor="FFF2CC")


def write(registers: Sequence[ReportRegister], path: Path) -> None:
    """Write registers into a file, atomically. Entries that nobody stated are coloured.

    Raises:
        CommandProblem: a cell has more text than the format takes, or the file cannot be written.
    """
    book = Workbook()
    book.properties.creator = "purposeguard"
    book.remove(book.worksheets[0])
    for register in registers:
        _sheet(book.create_sheet(register.key), register)
    with replacing(path) as file:
        book.save(file)


def _sheet(sheet: Worksheet, register: ReportRegister) -> None:
    """Write a sheet: title, note, table, and below it what is to be filled in."""
    _put(sheet, 1, 1, register.title, font=Font(size=14, bold=True), wrapped=False)
    _put(sheet, 2, 1, register.note, font=Font(italic=True), wrapped=False)
    for column, heading in enumerate(register.columns, 1):
        cell = _put(sheet, HEADER, column, heading, font=Font(bold=True, color="FFFFFF"))
        cell.fill, cell.border = HEADING, GRID
    for number, row in enumerate(register.rows, HEADER + 1):
        for column, text in enumerate(row, 1):
            cell = _put(sheet, number, column, text)
            cell.border = GRID
            if register.absent in text:
                cell.fill = GAP
    last = HEADER + len(register.rows)
    for number, gap in enumerate(register.gaps, last + 2):
        _put(sheet, number, 1, f"{register.absent} {gap}", wrapped=False).fill = GAP
    for column, heading in enumerate(register.columns, 1):
        texts = [heading, *(row[column - 1] for row in register.rows)]
        sheet.column_dimensions[get_column_letter(column)].width = _width(texts)
    _set_up(sheet, f"A{HEADER}:{get_column_letter(len(register.columns))}{last}")


def _set_up(sheet: Worksheet, table: str) -> None:
    """Set what stays in sight, what is filtered, and how the sheet is printed: A3 across, as wide as the table."""
    sheet.freeze_panes = f"B{HEADER + 1}"
    sheet.auto_filter.ref = table
    sheet.print_title_rows = f"{HEADER}:{HEADER}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A3
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    footer: Any = sheet.oddFooter
    footer.center.text = "&P / &N"


def _put(
    sheet: Worksheet, row: int, column: int, text: str, *, font: Font | None = None, wrapped: bool = True
) -> Any:  # a cell
    """Write a text into a cell, so that no spreadsheet takes it for a formula, whatever it begins with."""
    if len(text) > LONGEST:
        raise CommandProblem(
            f"a cell of `{sheet.title}` has {len(text):,} characters, and the format takes {LONGEST:,}"
        )
    cell: Any = sheet.cell(row, column, ILLEGAL_CHARACTERS_RE.sub(" ", text))
    cell.data_type = "s"
    cell.quotePrefix = text.startswith(("=", "+", "-", "@"))
    if font is not None:
        cell.font = font
    if wrapped:
        cell.alignment = TOP
    return cell


def _width(texts: Iterable[str]) -> float:
    """Return the width of a column: that of its longest line, within limits. A Japanese character takes two."""
    lines = chain.from_iterable(map(str.splitlines, texts))
    widest = max(map(cell_len, lines), default=0)
    return min(max(widest + 3, NARROWEST), WIDEST)
