"""CSV, TSV, JSON and spreadsheet tables of recordings -> utterances.

Row numbers in messages are those that a spreadsheet shows: the header is row 1. JSON has lines, or items of one list.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from asrkit.data import files
from asrkit.data.manifest import Mark, Utterance
from asrkit.data.readers import spreadsheets
from asrkit.errors import DataError, first_line

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", *spreadsheets.SUFFIXES)
AUDIO_COLUMNS = (
    "file_name",
    "path",
    "audio",
    "file",
    "audio_filepath",
    "wav",
    "wav_path",
    "audio_path",
    "filename",
    "audio_id",
    "utt_id",
    "id",
)
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_text")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id", "spk_id")
NO_COLUMN = "-"
"""Chosen for the speaker column if the column recognised by name contains something else."""

_Row = tuple[str, Mapping[str, Any]]
"""("metadata.csv row 7", column -> value)"""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that the fields of an utterance are read from; None for a missing column."""

    audio: str
    text: str
    speaker: str | None = None
    split: str | None = None
    duration_s: str | None = None
    start_s: str | None = None
    end_s: str | None = None
    length_s: str | None = None  # of the part that begins at start_s, as in manifests of NeMo

    @property
    def names(self) -> list[str]:
        """The names of the columns that exist."""
        return [name for name in (getattr(self, field.name) for field in fields(self)) if name]


@dataclass(frozen=True)
class ColumnChoice:
    """Columns, and the sheet of a spreadsheet, chosen by the user.

    A column that is None is recognised by its name. speaker: `NO_COLUMN` if the table has none. sheet: the first one by
    default.
    """

    text: str | None = None
    audio: str | None = None
    speaker: str | None = None
    sheet: str = ""


@dataclass(frozen=True)
class Table:
    """The content of a table.

    column_names: of all columns. columns: the ones that were used. sheet, sheets: the sheet that was read, and all
    sheets, as FILE#SHEET; empty if the table is not a spreadsheet. notes: about the table as a whole.
    """

    utterances: list[Utterance]
    column_names: tuple[str, ...]
    columns: Columns
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Mark, ...] = ()


def read(path: Path, choice: ColumnChoice = ColumnChoice()) -> Table:
    """Read the utterances of a table, in its order; audio paths are relative to the table's folder.

    Raises DataError, naming file, row and field, for a table that cannot be read, lacks a column or has no rows, and
    for a row whose audio file is missing.
    """
    suffix, sheet = path.suffix.lower(), spreadsheets.Sheet("", [], ())
    if suffix in spreadsheets.SUFFIXES:
        sheet = spreadsheets.read(path, choice.sheet)
        rows = _rows_from_records(sheet.rows, path, "")
    else:
        rows = _read_json(path) if suffix in (".jsonl", ".json") else _read_separated(path)
    if not rows:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    column_names = tuple(name for name in dict.fromkeys(name for _, row in rows for name in row) if name)
    columns = choose_columns(column_names, f"{path}{sheet.description}", choice)
    paths = _find_audio(rows, columns, files.AudioFinder(path.parent))
    utterances = [
        make_utterance(row, columns, where, str(file)) for (where, row), file in zip(rows, paths, strict=True)
    ]
    prefix = f"{path}{spreadsheets.SHEET_SEPARATOR}"
    return Table(
        utterances,
        column_names,
        columns,
        sheet=prefix + sheet.name if sheet.name else "",
        sheets=tuple(prefix + name for name in sheet.names if name),
    )


def choose_columns(column_names: Iterable[str], where: str, choice: ColumnChoice = ColumnChoice()) -> Columns:
    """Choose the columns to read the fields of an utterance from.

    Raises DataError, listing the columns found and those wanted, for a missing one.
    """
    by_name = {name.strip().lower(): name for name in column_names}

    def find(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    def require(kind: str, chosen: str | None, usual: tuple[str, ...]) -> str:
        names = (chosen.strip().lower(),) if chosen else usual
        column = find(*names)
        if column is None:
            raise DataError(
                f"{where} has no {kind} column: found {', '.join(map(repr, by_name.values())) or 'none'}; wanted "
                f"{repr(chosen) if chosen else 'one of ' + ', '.join(usual)}. Rename it, or set {kind}_column."
            )
        return column

    if choice.speaker == NO_COLUMN:
        speaker = None
    else:
        speaker = require("speaker", choice.speaker, ()) if choice.speaker else find(*SPEAKER_COLUMNS)
    return Columns(
        audio=require("audio", choice.audio, AUDIO_COLUMNS),
        text=require("text", choice.text, TEXT_COLUMNS),
        speaker=speaker,
        split=find("split"),
        duration_s=find("duration_s"),
        start_s=find("start_s", "offset"),
        end_s=find("end_s"),
        length_s=find("duration") if "offset" in by_name else None,
    )


def make_utterance(row: Mapping[str, Any], columns: Columns, where: str, file: str) -> Utterance:
    """Make an utterance from a row and its audio file. Raises DataError for a field of the wrong type."""
    start_s = _seconds(row, columns.start_s, where) or 0.0
    end_s = _seconds(row, columns.end_s, where)
    length_s = _seconds(row, columns.length_s, where)
    if end_s is None and length_s is not None:
        end_s = start_s + length_s
    if end_s is not None and end_s <= start_s:
        raise DataError(f"{where}: the part ends at {end_s:g} s but starts at {start_s:g} s; correct its times.")
    duration_s = _seconds(row, columns.duration_s, where)
    return Utterance(
        audio=file,
        text=_text(row, columns.text, where),
        duration_s=files.measure_duration(file, start_s, end_s) if duration_s is None else duration_s,
        speaker=_text(row, columns.speaker, where) or None,
        split=_text(row, columns.split, where) or None,
        start_s=start_s,
        end_s=end_s,
        row=where,
    )


def _read_separated(path: Path) -> list[_Row]:
    content = files.read_text(path)
    header_line = content.split("\n", 1)[0]
    # TSV files of Common Voice contain bare quotes; a European spreadsheet separates the fields of a CSV by semicolons.
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(",;\t|", key=header_line.count)
    try:
        # With newline="", lines keep their ends, so that a quoted line break inside a text survives.
        records = list(
            csv.reader(
                io.StringIO(content, newline=""),
                delimiter=delimiter,
                quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
            )
        )
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table ({error}); save it again as CSV.") from error
    return _rows_from_records(records, path, f"; put quotes around text that contains {delimiter!r}")


def _rows_from_records(records: list[list[str]], path: Path, advice: str) -> list[_Row]:
    """Name the fields of each record by the header, the first record that is not empty; leave out empty ones."""
    top = next((index for index, record in enumerate(records) if any(record)), len(records))
    header = [name.strip() for record in records[top : top + 1] for name in record]
    rows: list[_Row] = []
    for number, record in enumerate(records[top + 1 :], top + 2):
        if len(record) > len(header):
            raise DataError(
                f"{path.name} row {number} has {len(record)} fields where the header has {len(header)}{advice} (in "
                f"{path})."
            )
        if any(record):
            rows.append((f"{path.name} row {number}", dict(zip(header, record, strict=False))))
    return rows


def _read_json(path: Path) -> list[_Row]:
    """Read one object per line, as NeMo writes it in .json too, or one list of objects."""
    content = files.read_text(path)
    if path.suffix.lower() == ".json" and content.lstrip().startswith("["):
        items = _parse_json(content, path, path.name)
        numbered = [(f"{path.name} item {number}", item) for number, item in enumerate(items, 1)]
    else:
        lines = [(f"{path.name} line {number}", line) for number, line in enumerate(content.split("\n"), 1)]
        numbered = [(where, _parse_json(line, path, where)) for where, line in lines if line.strip()]
    for where, row in numbered:
        if not isinstance(row, dict):
            raise DataError(f"{where} is not a JSON object; give one object a line (in {path}).")
    return numbered


def _parse_json(content: str, path: Path, where: str) -> Any:
    try:
        return json.loads(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({first_line(error)}); correct it in {path}.") from error


def _find_audio(rows: list[_Row], columns: Columns, finder: files.AudioFinder) -> list[Path]:
    """Find the audio file of each row. The audit reports a few missing ones.

    Raises DataError if most files are missing, because then the paths are wrong.
    """
    paths = []
    for where, row in rows:
        name = _text(row, columns.audio, where)
        if not name:
            raise DataError(f"{where}: {columns.audio} is empty; give the audio file of the row or remove it.")
        paths.append(finder.find(name))
    missing = [(where, file) for (where, _), file in zip(rows, paths, strict=True) if not finder.exists(file)]
    if 2 * len(missing) > len(rows):
        where, file = missing[0]
        raise DataError(
            f"{where}: {columns.audio} names {file}, which does not exist ({len(missing)} of {len(rows)} files are "
            "missing); correct the paths, which are relative to the table, or remove the rows."
        )
    return paths


def _text(row: Mapping[str, Any], column: str | None, where: str) -> str:
    value = row.get(column) if column else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where}: {column} is {value!r:.60}; give text.")
    # JSON can escape a lone surrogate, which UTF-8 cannot encode.
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()


def _seconds(row: Mapping[str, Any], column: str | None, where: str) -> float | None:
    value = row.get(column) if column else None
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(f"{where}: {column} is {value!r:.60}; give seconds as a number that is not negative.")
    return seconds
