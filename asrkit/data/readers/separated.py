"""Tables of separated fields (CSV, TSV and their kin) -> records.

The csv module reads a text that begins with a quotation mark, but has none at its end, together with all the rows up to
the next quotation mark. Here such a mark is a character like any other, unless the lines that it would join look like
parts of one text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.data import files
from asrkit.errors import DataError

DELIMITERS = ",;\t|"
MAX_TEXT_LINES = 200
"""Lines that a quoted text may have."""
MAX_TEXT_CHARACTERS = 20_000
MIN_LINES_AHEAD, MAX_LINES_AHEAD = 20_000, 10
"""Lines that may be tried without success as parts of a quoted text, and how many more for each line of the table."""
_PROBED_LINES = 200
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """A record of a table.

    last_line: of those that a quoted line break joined, else first_line; from 1. has_open_quote: a field begins with a
    quotation mark that is never closed.
    """

    fields: list[str]
    first_line: int
    last_line: int
    has_open_quote: bool = False


def choose_delimiter(content: str, is_header: Callable[[Sequence[str]], bool]) -> tuple[str, str]:
    """Return (delimiter, content without the line "sep=;" that a spreadsheet may write).

    is_header: whether these are column names; of several delimiters that make some, and of none, the most frequent one.
    """
    first, newline, rest = content.partition("\n")
    if declared := _SEPARATOR_LINE.fullmatch(first):
        return declared[1], newline + rest
    header = next(filter(str.strip, content.split("\n")), "")
    return max(DELIMITERS, key=lambda mark: (is_header(split_line(header, mark)[0]), header.count(mark))), content


def read_records(content: str, delimiter: str) -> Iterator[Record]:
    """Yield every record, the header and empty ones too."""
    lines = [line.rstrip("\n") for line in io.StringIO(content, newline=None)]
    is_row = _make_row_test(lines, delimiter)
    width = len(split_line(next(filter(str.strip, lines), ""), delimiter)[0])
    index, num_ahead, limit = 0, 0, MIN_LINES_AHEAD + MAX_LINES_AHEAD * len(lines)
    while index < len(lines):
        record, tried = _read_record(lines, index, delimiter, width, is_row)
        num_ahead += tried
        if num_ahead > limit:
            raise DataError(
                f"Line {index + 1}: most rows of the table begin quotation marks that they never close; save it again "
                "as CSV, or remove them."
            )
        yield record
        index = record.last_line


def split_line(line: str, delimiter: str) -> tuple[list[str], bool]:
    """Return (fields, whether one begins with a quotation mark that the line does not close)."""
    if '"' not in line:
        return (line.split(delimiter) if line else []), False
    fields: list[str] = []
    position, has_open_quote = 0, False
    while True:
        start = position
        while line.startswith(" ", start) and delimiter != " ":
            start += 1
        end = _find_closing_quote(line, start + 1, delimiter) if line.startswith('"', start) else None
        if end is not None:
            fields.append(line[start + 1 : end].replace('""', '"'))
            position = line.find(delimiter, end)
        else:
            position, start = line.find(delimiter, start), position
            value = line[start:] if position < 0 else line[start:position]
            has_open_quote |= value.lstrip().startswith('"') and line.count('"', start) % 2 == 1
            fields.append(value)
        if position < 0:
            return fields, has_open_quote
        position += 1


def _find_closing_quote(line: str, position: int, delimiter: str) -> int | None:
    """Return the index of the quotation mark before a delimiter or the end; None if one is inside the field."""
    while (position := line.find('"', position)) >= 0:
        if line.startswith('"', position + 1):
            position += 2
            continue
        following = line[position + 1 :].lstrip(" ")
        return position if not following or following.startswith(delimiter) else None
    return None


def _read_record(
    lines: list[str], index: int, delimiter: str, width: int, is_row: Callable[[str], bool]
) -> tuple[Record, int]:
    """Return the record that begins in a line, and how many further lines were tried without success."""
    line = lines[index]
    fields, is_open = split_line(line, delimiter)
    if not is_open:
        return Record(fields, index + 1, index + 1), 0
    end = index
    for end in range(index + 1, min(index + MAX_TEXT_LINES, len(lines))):
        if is_row(lines[end]):
            break
        line += "\n" + lines[end]
        if '"' in lines[end]:
            joined, is_open = split_line(line, delimiter)
            if not is_open and len(joined) == width:
                return Record(joined, index + 1, end + 1), 0
        if len(line) > MAX_TEXT_CHARACTERS:
            break
    return Record(fields, index + 1, index + 1, has_open_quote=True), end - index


def _make_row_test(lines: list[str], delimiter: str) -> Callable[[str], bool]:
    """Return a function that tells whether a line looks like a row of the table, and not like a part of a text.

    Rows name a recording or, where most names have no suffix, have as many fields as the header.
    """

    def names_audio(line: str) -> bool:
        return any(files.is_audio(Path(field.strip(' "'))) for field in line.split(delimiter))

    probed = [line for line in lines[:_PROBED_LINES] if line.strip()]
    if 2 * sum(map(names_audio, probed)) >= len(probed) - 1:
        return names_audio
    width = len(probed[0].split(delimiter))
    return lambda line: width > 1 and len(line.split(delimiter)) == width
