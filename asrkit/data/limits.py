"""How much one reading of a table may hold in memory: text, values and rows.

A file of some kB may unfold to gigabytes: Parquet stores a value that repeats once, JSON an empty list in three bytes
that takes seventy. Whoever runs the app may fill their own memory with a corpus of any size up to `FileLimits()`; for
visitors, who share it, the bounds are those of a dataset that is uploaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.data import access
from asrkit.errors import DataError
from asrkit.units import format_binary_size

SEPARATORS = "\n\r,;\t|[{"
"""Between the values of tables and JSON: there are at most as many values as these."""


@dataclass(frozen=True)
class FileLimits:
    """Of one file."""

    text_bytes: int = 2 << 30
    values: int = 2 << 30
    rows: int = 5_000_000
    characters: int = 4 << 30
    clip_bytes: int = 1 << 40


VISITORS = FileLimits(text_bytes=32 << 20, values=4_000_000, rows=200_000, characters=128 << 20, clip_bytes=2 << 30)
VALUE_CHARACTERS = 16
"""What a value that is no text counts as."""


def current() -> FileLimits:
    """Return the limits of who is acting."""
    return VISITORS if access.is_visitor() else FileLimits()


def check_rows(num_rows: int, path: Path) -> None:
    """Raise DataError for more rows than a table may have."""
    if num_rows > (limit := current().rows):
        raise DataError(f"{path} holds {num_rows:,} rows; a table may have {limit:,} here. Split it up.")


def check_text(text: str, path: Path) -> None:
    """Raise DataError for a text that unfolds to more values than a table may have."""
    limit = current().values
    if len(text) > limit and (sum(map(text.count, SEPARATORS)) > limit or text.count(" ") > 2 * limit):
        raise DataError(f"{path} holds more than {limit:,} values, too many for a table here; split it up.")


class CharacterBudget:
    """Counts the text of the rows of one table."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, current().characters

    def count(self, value: Any) -> None:
        """Count a value with all that is in it. Raises DataError for more text than a table may have."""
        self._left -= _size(value)
        if self._left < 0:
            raise DataError(
                f"{self._path} holds more than {format_binary_size(current().characters)} of text; remove columns "
                "that are no transcripts, or split it up."
            )


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return VALUE_CHARACTERS + sum(map(_size, value.values()))
    if isinstance(value, list):
        return VALUE_CHARACTERS + sum(map(_size, value))
    return VALUE_CHARACTERS
