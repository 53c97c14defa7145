"""The cells of a spreadsheet (.xlsx, .xls, .xlsb, .ods) as rows of text, through python-calamine.

It is read in a process of its own, with a limit on memory and time: a file of 5 kB with one cell in its last corner
would otherwise take 500 GB, and end the app. Formulas are not computed: what is read is what the spreadsheet program
saved as their results. A merged cell's text counts for each of the cells that it covers.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit import child
from asrkit.errors import DataError

SUFFIXES = (".xlsx", ".xls", ".xlsb", ".ods")
SHEET = "#"  # parts a file from the sheet to read, as in clips.xlsx#Monday
MOST_MEMORY = 1 << 30
MOST_SECONDS = 60
MOST_CELLS = 20_000_000  # 100,000 clips with as many columns as anybody has
_WITH_SHEET = re.compile(rf"(?P<file>.+?({'|'.join(map(re.escape, SUFFIXES))})){SHEET}(?P<sheet>.*)", re.IGNORECASE)
_DAMAGED, _NO_SHEET, _TOO_LARGE = 3, 4, 5  # how the process ends


@dataclass(frozen=True)
class Sheet:
    """One sheet: rows as wide as the widest, and the names of all sheets that can be seen."""

    name: str
    rows: list[list[str]]
    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """For a message, behind the file: which one of several it is."""
        others = ", ".join(name for name in self.names if name != self.name)
        return f" (sheet {self.name!r}; others, to be named behind {SHEET}: {others})" if others else ""


def parted(path: Path) -> tuple[Path, str]:
    """-> (the file, the name of the sheet or ""), for the path of a spreadsheet with or without `#sheet`."""
    told = _WITH_SHEET.fullmatch(path.name)
    return (path.with_name(told["file"]), told["sheet"]) if told and not path.exists() else (path, "")


def read(path: Path, sheet: str = "") -> Sheet:
    """The sheet of that name, else the first one that can be seen.

    Raises DataError for a file that is damaged, locked with a password, or larger than any list of recordings, and for
    a sheet that is not there.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "RUST_BACKTRACE"}
    try:
        done = subprocess.run(
            [*child.module(__spec__.name), str(path.absolute()), sheet],
            capture_output=True,
            env=child.environment(inherited),
            timeout=2 * MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _too_large(path) from None
    if done.returncode == _DAMAGED:
        raise DataError(
            f"{path} cannot be read as a spreadsheet ({_last_line(done.stderr)}); open it and save it "
            "again, without a password, or as CSV."
        )
    if done.returncode == _NO_SHEET:
        raise DataError(
            f"{path} has no sheet {sheet!r}, only {_last_line(done.stderr)}; name one of them behind {SHEET}."
        )
    if done.returncode:
        raise _too_large(path)
    told = json.loads(done.stdout)
    return Sheet(told["name"], told["rows"], tuple(told["names"]))


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path} is larger inside than any list of recordings ({MOST_MEMORY >> 30} GB of memory or "
        f"{MOST_SECONDS} s were not enough); copy the cells that count into a new one, or save it as CSV."
    )


def _last_line(told: bytes) -> str:
    return (told.decode("utf-8", "replace").strip().splitlines() or ["it is damaged"])[-1][:300]


def _main(path: str, sheet: str) -> int:
    """The process: prints the sheet as JSON."""
    with contextlib.suppress(ValueError, OSError):  # a system without such limits, or with lower ones
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum, ZipError

    try:
        book = CalamineWorkbook.from_path(path)
        names = [
            each.name
            for each in book.sheets_metadata
            if each.visible == SheetVisibleEnum.Visible and each.typ == SheetTypeEnum.WorkSheet
        ]
        wanted = sheet or next(iter(names or book.sheet_names), "")
        if wanted not in book.sheet_names:
            print(", ".join(map(repr, names)) or "none", file=sys.stderr)
            return _NO_SHEET
        found = book.get_sheet_by_name(wanted)
        if found.total_height * found.total_width > MOST_CELLS:
            return _TOO_LARGE
        rows = [[_text(value) for value in row] for row in found.to_python(skip_empty_area=False)]
    except MemoryError:
        return _TOO_LARGE
    except (CalamineError, ZipError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return _DAMAGED
    _spread_merged(rows, found.merged_cell_ranges or [])
    json.dump({"name": wanted, "rows": rows, "names": names}, sys.stdout)
    return 0


def _text(value: Any) -> str:
    """What stands in a cell: 42 and not 42.0, dates and times as ISO 8601 writes them."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _spread_merged(rows: list[list[str]], ranges: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """The text of a merged cell, which its first one holds, in all of them. ranges: ((top, left), (bottom, right))."""
    for (top, left), (bottom, right) in ranges:
        for row in rows[top : bottom + 1]:
            # Beside the table, where no row has cells, both are empty.
            row[left : right + 1] = rows[top][left : left + 1] * len(row[left : right + 1])


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
