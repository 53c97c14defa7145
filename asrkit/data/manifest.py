"""Utterances, and the manifests that list them.

A manifest is JSONL in UTF-8, one utterance a line, or a table of Arrow columns (`utterance_table`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from asrkit.data.utterance import BAD_ROW, UNREADABLE_S, Mark, MarkCode, Utterance, parse_marks
from asrkit.data.utterance_table import MIN_TABLE_ROWS, TABLE_SUFFIX, Column, JoinedRows, UtteranceTable
from asrkit.errors import DataError
from asrkit.files import write_atomic

__all__ = [
    "BAD_ROW",
    "MIN_TABLE_ROWS",
    "TABLE_SUFFIX",
    "UNREADABLE_S",
    "Column",
    "JoinedRows",
    "Mark",
    "MarkCode",
    "Utterance",
    "UtteranceTable",
    "iter_lines",
    "parse_marks",
    "read",
    "write",
]


def write(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically: of columns if the path ends in `TABLE_SUFFIX`, else of lines.

    UnicodeEncodeError for columns with a lone surrogate, which lines can hold.
    """
    with write_atomic(Path(path)) as file:
        if Path(path).suffix == TABLE_SUFFIX:
            table = utterances if isinstance(utterances, UtteranceTable) else UtteranceTable.build(utterances)
            table.write(file)
        else:
            file.writelines(iter_lines(utterances))


def iter_lines(utterances: Iterable[Utterance]) -> Iterator[bytes]:
    """Yield the lines of a manifest."""
    for utterance in utterances:
        line = json.dumps(_to_json(utterance), ensure_ascii=False) + "\n"
        # A lone surrogate, from a file name that is not UTF-8, is written as JSON's escape for it.
        yield line.encode("utf-8", "backslashreplace")


def read(path: str | Path) -> Sequence[Utterance]:
    """Read a manifest. Raises DataError, naming the line, for anything that `write` does not write."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; a manifest is made when a run is started.")
    if path.suffix == TABLE_SUFFIX:
        return UtteranceTable.read(path)
    with open(path, encoding="utf-8") as file:
        return [_parse_line(line, f"{path} line {number}") for number, line in enumerate(file, 1) if line.strip()]


def _to_json(utterance: Utterance) -> dict[str, Any]:
    left_out = {name for name in ("marks", "dataset") if not getattr(utterance, name)}
    return {name: value for name, value in vars(utterance).items() if name not in left_out}


def _parse_line(line: str, where: str) -> Utterance:
    try:
        row = json.loads(line)
        known = {field.name: row[field.name] for field in fields(Utterance) if field.name in row}
        known["marks"] = parse_marks(known.get("marks", []))
        utterance = Utterance(**known)
        numbers = [utterance.duration_s, utterance.start_s, utterance.end_s or 0.0]
        if not (isinstance(utterance.audio, str) and isinstance(utterance.text, str)):
            raise TypeError("audio and text must be text")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("duration_s, start_s and end_s must be numbers")
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} is not an utterance ({error}); make the manifest again from its data.") from error
    return utterance
