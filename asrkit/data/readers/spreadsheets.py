"""The cells of a spreadsheet (.xlsx, .xls, .xlsb, .ods) as rows of text, read by python-calamine.

A sandbox reads it, with limits on memory and time: a file of 5 kB with a cell in its last row and column would
otherwise take 500 GB and end the app. Formulas are not computed; their results are read as the spreadsheet program
saved them. The text of a merged cell is repeated in each cell that it covers.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.errors import DataError, first_line
from asrkit.sandbox import ResourceLimits, Sandbox, limited
from asrkit.units import format_binary_size

SUFFIXES = (".xlsx", ".xls", ".xlsb", ".ods")
SHEET_SEPARATOR = "#"
"""Between a file and the sheet to read, as in clips.xlsx#Monday."""
LIMITS = ResourceLimits(memory_bytes=1 << 30, cpu_s=60)
MAX_CELLS = 20_000_000  # 100,000 clips with 200 columns
_WITH_SHEET = re.compile(
    rf"(?P<file>.+?({'|'.join(map(re.escape, SUFFIXES))})){SHEET_SEPARATOR}(?P<sheet>.*)", re.IGNORECASE
)


@dataclass(frozen=True)
class Sheet:
    """A sheet: rows, all as long as the longest, and the names of all visible sheets.

    dates: (row, column) of cells with a date or a time, from 0; whoever typed 12:30 into one may have meant a text.
    """

    name: str
    rows: list[list[str]]
    names: tuple[str, ...]
    dates: frozenset[tuple[int, int]] = frozenset()

    @property
    def description(self) -> str:
        """Which of several sheets it is, for a message, after the file's name."""
        others = ", ".join(name for name in self.names if name != self.name)
        return f" (sheet {self.name!r}; others, to be named behind {SHEET_SEPARATOR}: {others})" if others else ""


class _BreakdownError(DataError):
    """The process that reads a spreadsheet has ended, or exceeded its limits."""


def split_sheet_name(path: Path) -> tuple[Path, str]:
    """Split the path of a spreadsheet, with or without `#sheet`, into (file, name of the sheet or "")."""
    match = _WITH_SHEET.fullmatch(path.name)
    return (path.with_name(match["file"]), match["sheet"]) if match and not path.exists() else (path, "")


def read(path: Path, sheet: str = "") -> Sheet:
    """Read the sheet of that name, by default the first visible one.

    Raises DataError for a file that is damaged, protected by a password, or too large, and for a missing sheet.
    """
    try:
        with limited(LIMITS), Sandbox([path]) as confined:
            return confined.call(_read, path, sheet, about=path, error=_BreakdownError)
    except _BreakdownError:
        raise _too_large_error(path) from None


def _too_large_error(path: Path) -> DataError:
    return DataError(
        f"{path} is larger inside than any list of recordings ({format_binary_size(LIMITS.memory_bytes)} of memory or "
        f"{LIMITS.cpu_s} s were not enough); copy the cells that count into a new one, or save it as CSV."
    )


# In the sandbox


def _read(path: Path, sheet: str) -> Sheet:
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum, ZipError

    try:
        book = CalamineWorkbook.from_path(str(path))
        names = [
            sheet_info.name
            for sheet_info in book.sheets_metadata
            if sheet_info.visible == SheetVisibleEnum.Visible and sheet_info.typ == SheetTypeEnum.WorkSheet
        ]
        name = sheet or next(iter(names or book.sheet_names), "")
        if name not in book.sheet_names:
            raise DataError(
                f"{path} has no sheet {sheet!r}, only {', '.join(map(repr, names)) or 'none'}; name one of them behind "
                f"{SHEET_SEPARATOR}."
            )
        content = book.get_sheet_by_name(name)
        if content.total_height * content.total_width > MAX_CELLS:
            raise _too_large_error(path)
        values = content.to_python(skip_empty_area=False)
    except MemoryError:
        raise _too_large_error(path) from None
    except (CalamineError, ZipError, OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a spreadsheet ({first_line(error)[:300]}); open it and save it again, without a "
            "password, or as CSV."
        ) from error
    rows = [[_cell_text(value) for value in row] for row in values]
    dates = [(at, column) for at, row in enumerate(values) for column, value in enumerate(row) if _is_date(value)]
    _fill_merged_cells(rows, content.merged_cell_ranges or [])
    return Sheet(name, rows, tuple(names), frozenset(dates))


def _cell_text(value: Any) -> str:
    """Return the text of a cell: 42 and not 42.0, dates and times in ISO 8601."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _is_date(value: Any) -> bool:
    return isinstance(value, datetime.date | datetime.time | datetime.timedelta)


def _fill_merged_cells(rows: list[list[str]], ranges: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """Copy the text of each merged cell from its first cell into all. ranges: ((top, left), (bottom, right))."""
    for (top, left), (bottom, right) in ranges:
        for row in rows[top : bottom + 1]:
            # Beyond the table, where rows have no cells, both sides are empty.
            row[left : right + 1] = rows[top][left : left + 1] * len(row[left : right + 1])
