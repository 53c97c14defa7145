"""Write minimal spreadsheets (.xlsx and .ods)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PARTS = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns"


def cells(rows: list[list[str | int | float | None]]) -> str:
    """Return the <row> elements. Text that begins with < is inserted as XML."""
    elements = []
    for number, row in enumerate(rows, 1):
        inside = [_cell(f"{chr(65 + column)}{number}", value) for column, value in enumerate(row) if value is not None]
        elements.append(f'<row r="{number}">{"".join(inside)}</row>')
    return "".join(elements)


def _cell(reference: str, value: str | int | float) -> str:
    if not isinstance(value, str):
        return f'<c r="{reference}"><v>{value}</v></c>'
    if value.startswith("<"):
        return value
    return f'<c r="{reference}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def write_xlsx(path: Path, sheets: dict[str, str], merged: str = "", prefix: str = "") -> Path:
    """Write a workbook.

    `sheets` maps names to rows from `cells`; `merged` is a range such as C2:C4, merged in each sheet; `prefix` is
    inserted before the first tag of each sheet.
    """
    sheet_list = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="r{n}" Type="{_LINKS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    merges = f'<mergeCells><mergeCell ref="{merged}"/></mergeCells>' if merged else ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", f'<Types xmlns="{_PARTS}/content-types"/>')
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PARTS}/relationships"><Relationship Id="r1" '
            f'Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>{sheet_list}</sheets></workbook>'
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{_PARTS}/relationships">{links}</Relationships>'
        )
        # Style 1 is a date.
        book.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
        )
        for number, inside in enumerate(sheets.values(), 1):
            book.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'{prefix}<worksheet xmlns="{_MAIN}"><sheetData>{inside}</sheetData>{merges}</worksheet>',
            )
    return path


def write_ods(path: Path, rows: list[list[str]], repeated: int = 1) -> Path:
    """Write one sheet, with each row repeated `repeated` times."""
    inside = "".join(
        f'<table:table-row table:number-rows-repeated="{repeated}">'
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'
            for value in row
        )
        + "</table:table-row>"
        for row in rows
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{_OFFICE}:manifest:1.0"/>')
        book.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{_OFFICE}:office:1.0" '
            f'xmlns:table="{_OFFICE}:table:1.0" xmlns:text="{_OFFICE}:text:1.0"><office:body>'
            f'<office:spreadsheet><table:table table:name="one">{inside}</table:table></office:spreadsheet>'
            "</office:body></office:document-content>",
        )
    return path
