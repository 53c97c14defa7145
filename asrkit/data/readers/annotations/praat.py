"""Praat's TextGrids, long or short, in UTF-8 or UTF-16.

Praat reads such a file as a sequence of values: quoted texts, and numbers and <flags> that stand alone; all else is for
people. The long and the short form are then the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from asrkit.data import files
from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier, check_num_tiers, tidy
from asrkit.errors import DataError

VALUES = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d[\d.eE+-]*|<\w+>)(?!\S)')
"""Group 1: a text, with its quotation marks doubled. Group 2: a number or a flag."""
_BINARY = b"ooBinaryFile"


class _Values:
    """The values of a TextGrid, in order."""

    def __init__(self, path: Path, content: str) -> None:
        self.path = path
        self._matches: Iterator[re.Match[str]] = VALUES.finditer(content)

    def text(self) -> str:
        match = self._next()
        if match[1] is None:
            raise self._error(match)
        return match[1].replace('""', '"')

    def number(self) -> float:
        match = self._next()
        try:
            return float(match[2] or "")
        except ValueError:
            raise self._error(match) from None

    def flag(self) -> str:
        return self._next()[2] or ""

    def count(self, what: str) -> int:
        number = self.number()
        if number < 0 or not number.is_integer():
            raise DataError(f"{self.path} has {number:g} {what}; open it in Praat and save it again.")
        return int(number)

    def _next(self) -> re.Match[str]:
        match = next(self._matches, None)
        if match is None:
            raise DataError(f"{self.path} ends in the middle of a tier; copy the whole file again.")
        return match

    def _error(self, match: re.Match[str]) -> DataError:
        return DataError(
            f"{self.path} has {match[0]!r:.60} after {match.start():,} characters, where Praat writes another kind of "
            "value; open it in Praat and save it again."
        )


def read(path: Path) -> list[AnnotatedRecording]:
    """Read a TextGrid; points have no length and are left out. Raises DataError for a file that is damaged or none."""
    xml_files.check_bytes(path)
    with open(path, "rb") as file:
        if file.read(len(_BINARY)) == _BINARY:
            raise DataError(f"{path} is in Praat's binary form; open it in Praat and save it as a text file.")
    values = _Values(path, files.read_text(path))
    if values.text() != "ooTextFile" or values.text() != "TextGrid":
        raise DataError(f"{path} is not a TextGrid; save the annotation in Praat as a text file.")
    values.number(), values.number()
    if values.flag() != "<exists>":
        return [AnnotatedRecording(())]
    num_tiers = values.count("tiers")
    check_num_tiers(path, num_tiers)
    return [AnnotatedRecording(tuple(tier for tier in (_read_tier(values) for _ in range(num_tiers)) if tier))]


def _read_tier(values: _Values) -> Tier | None:
    """Return a tier of intervals; None for one of points."""
    kind, name = values.text(), values.text()
    values.number(), values.number()
    count = values.count("intervals")
    if kind == "IntervalTier":
        spans = tuple(Span(values.number(), values.number(), tidy(values.text())) for _ in range(count))
        return Tier(tidy(name), spans, marks_silence=True)
    for _ in range(count):
        values.number(), values.text()
    return None
