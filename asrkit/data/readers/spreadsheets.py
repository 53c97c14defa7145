"""The cells of a spreadsheet (.xlsx, .xls, .xlsb, .ods) as rows of text, read by python-calamine.

A child process reads it, with limits on memory and time: a file of 5 kB with a cell in its last row and column would
otherwise take 500 GB and end the app. Formulas are not computed; their results are read as the spreadsheet program
saved them. The text of a merged cell is repeated in each cell that it covers.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit import child
from asrkit.errors import DataError
from asrkit.units import format_binary_size

SUFFIXES = (".xlsx", ".xls", ".xlsb", ".ods")
SHEET_SEPARATOR = "#"
"""Between a file and the sheet to read, as in clips.xlsx#Monday."""
MAX_MEMORY_BYTES = 1 << 30
MAX_SECONDS = 60
MAX_CELLS = 20_000_000  # 100,000 clips with 200 columns
_WITH_SHEET = re.compile(
    rf"(?P<file>.+?({'|'.join(map(re.escape, SUFFIXES))})){SHEET_SEPARATOR}(?P<sheet>.*)", re.IGNORECASE
)
_DAMAGED, _NO_SHEET, _TOO_LARGE = 3, 4, 5  # exit codes of the child process


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


def split_sheet_name(path: Path) -> tuple[Path, str]:
    """Split the path of a spreadsheet, with or without `#sheet`, into (file, name of the sheet or "")."""
    match = _WITH_SHEET.fullmatch(path.name)
    return (path.with_name(match["file"]), match["sheet"]) if match and not path.exists() else (path, "")


def read(path: Path, sheet: str = "") -> Sheet:
    """Read the sheet of that name, by default the first visible one.

    Raises DataError for a file that is damaged, protected by a password, or too large, and for a missing sheet.
    """
    try:
        process = subprocess.run(
            [
                *child.module_command(__spec__.name),
                str(path.absolute()),
                sheet,
                str(MAX_MEMORY_BYTES),
                str(MAX_SECONDS),
            ],
            capture_output=True,
            env=child.bare_environment(),
            timeout=2 * MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _too_large_error(path) from None
    if process.returncode == _DAMAGED:
        raise DataError(
            f"{path} cannot be read as a spreadsheet ({_last_line(process.stderr)}); open it and save it "
            "again, without a password, or as CSV."
        )
    if process.returncode == _NO_SHEET:
        raise DataError(
            f"{path} has no sheet {sheet!r}, only {_last_line(process.stderr)}; name one of them behind "
            f"{SHEET_SEPARATOR}."
        )
    if process.returncode:
        raise _too_large_error(path)
    content = json.loads(process.stdout)
    dates = frozenset((row, column) for row, column in content["dates"])
    return Sheet(content["name"], content["rows"], tuple(content["names"]), dates)


def _too_large_error(path: Path) -> DataError:
    return DataError(
        f"{path} is larger inside than any list of recordings ({format_binary_size(MAX_MEMORY_BYTES)} of memory or "
        f"{MAX_SECONDS} s were not enough); copy the cells that count into a new one, or save it as CSV."
    )


def _last_line(stderr: bytes) -> str:
    return (stderr.decode("utf-8", "replace").strip().splitlines() or ["it is damaged"])[-1][:300]


def _main(path: str, sheet: str, max_memory_bytes: int, max_seconds: int) -> int:
    """Print the sheet as JSON. The child process runs this."""
    with contextlib.suppress(ValueError, OSError):  # the system has no such limits, or lower ones
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (max_seconds, max_seconds))
        resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum, ZipError

    try:
        book = CalamineWorkbook.from_path(path)
        names = [
            sheet_info.name
            for sheet_info in book.sheets_metadata
            if sheet_info.visible == SheetVisibleEnum.Visible and sheet_info.typ == SheetTypeEnum.WorkSheet
        ]
        name = sheet or next(iter(names or book.sheet_names), "")
        if name not in book.sheet_names:
            print(", ".join(map(repr, names)) or "none", file=sys.stderr)
            return _NO_SHEET
        content = book.get_sheet_by_name(name)
        if content.total_height * content.total_width > MAX_CELLS:
            return _TOO_LARGE
        values = content.to_python(skip_empty_area=False)
        rows = [[_cell_text(value) for value in row] for row in values]
        dates = [(at, column) for at, row in enumerate(values) for column, value in enumerate(row) if _is_date(value)]
    except MemoryError:
        return _TOO_LARGE
    except (CalamineError, ZipError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return _DAMAGED
    _fill_merged_cells(rows, content.merged_cell_ranges or [])
    json.dump({"name": name, "rows": rows, "names": names, "dates": dates}, sys.stdout)
    return 0


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


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
