"""CSV, TSV and JSONL tables of recordings -> utterances.

Row numbers in messages are those a spreadsheet shows: the header is row 1. JSONL has lines.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from asrkit.errors import AudioError, DataError
from asrkit.speech import audio
from asrkit.speech.manifest import UNREADABLE_S, Utterance

SUFFIXES = (".csv", ".tsv", ".jsonl")
AUDIO_COLUMNS = ("file_name", "path", "audio", "file", "audio_filepath", "wav")
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")

_Row = tuple[str, Mapping[str, Any]]  # ("metadata.csv row 7", column -> value)


@dataclass(frozen=True)
class Columns:
    """The names that a table gives to what an utterance needs; None where it has no such column."""

    audio: str
    text: str
    speaker: str | None = None
    split: str | None = None
    duration_s: str | None = None
    start_s: str | None = None
    end_s: str | None = None
    length_s: str | None = None  # of the part that begins at start_s, as NeMo's manifests have it

    @property
    def used(self) -> list[str]:
        return [name for name in (getattr(self, field.name) for field in fields(self)) if name]


def read(path: Path, *, text_column: str | None = None, audio_column: str | None = None) -> list[Utterance]:
    """The utterances of a table, in its order; audio paths are relative to the table's folder.

    Raises DataError, naming file, row and field, for a table that cannot be read, lacks a column or has no rows, and
    for a row whose audio file is missing.
    """
    rows = _read_jsonl(path) if path.suffix.lower() == ".jsonl" else _read_separated(path)
    if not rows:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    found = list(dict.fromkeys(name for _, row in rows for name in row))
    columns = choose_columns(found, str(path), text_column=text_column, audio_column=audio_column)
    files = _locate(rows, columns, path.parent)
    return [utterance(row, columns, where, str(file)) for (where, row), file in zip(rows, files, strict=True)]


def choose_columns(
    found: Iterable[str], where: str, *, text_column: str | None = None, audio_column: str | None = None
) -> Columns:
    """Which of the columns `found` means what. Raises DataError, listing those found and those wanted."""
    by_name = {name.strip().lower(): name for name in found}

    def choose(*wanted: str) -> str | None:
        return next((by_name[name] for name in wanted if name in by_name), None)

    def require(what: str, chosen: str | None, wanted: tuple[str, ...]) -> str:
        names = (chosen.strip().lower(),) if chosen else wanted
        column = choose(*names)
        if column is None:
            raise DataError(
                f"{where} has no {what} column: found {', '.join(map(repr, by_name.values())) or 'none'}; wanted "
                f"{repr(chosen) if chosen else 'one of ' + ', '.join(wanted)}. Rename it, or set {what}_column."
            )
        return column

    return Columns(
        audio=require("audio", audio_column, AUDIO_COLUMNS),
        text=require("text", text_column, TEXT_COLUMNS),
        speaker=choose(*SPEAKER_COLUMNS),
        split=choose("split"),
        duration_s=choose("duration_s"),
        start_s=choose("start_s", "offset"),
        end_s=choose("end_s"),
        length_s=choose("duration") if "offset" in by_name else None,
    )


def utterance(row: Mapping[str, Any], columns: Columns, where: str, file: str) -> Utterance:
    """One row as an utterance of the audio in `file`. Raises DataError for a field of the wrong kind."""
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
        duration_s=measure(file, start_s, end_s) if duration_s is None else duration_s,
        speaker=_text(row, columns.speaker, where) or None,
        split=_text(row, columns.split, where) or None,
        start_s=start_s,
        end_s=end_s,
        row=where,
    )


def measure(file: str, start_s: float = 0.0, end_s: float | None = None) -> float:
    """Seconds from start_s to end_s by the header; UNREADABLE_S for what is not audio, which the audit reports."""
    try:
        whole_s = audio.duration_s(file)
    except AudioError:
        return UNREADABLE_S
    return max(0.0, (whole_s if end_s is None else min(end_s, whole_s)) - start_s)


def read_text(path: Path) -> str:
    """A file's text, in UTF-8 with or without a byte order mark. Raises DataError for another encoding."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it again as UTF-8.") from error


def _read_separated(path: Path) -> list[_Row]:
    content = read_text(path)
    header_line = content.split("\n", 1)[0]
    # Common Voice's TSV files hold bare quotes; a CSV from a European spreadsheet is parted by semicolons.
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(",;\t", key=header_line.count)
    quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    try:
        # Lines keep their ends, so that a quoted line break inside a text survives.
        records = list(csv.reader(content.splitlines(True), delimiter=delimiter, quoting=quoting))
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table ({error}); save it again as CSV.") from error
    if not records:
        return []
    header = [name.strip() for name in records[0]]
    rows = []
    for number, record in enumerate(records[1:], 2):
        if len(record) > len(header):
            raise DataError(
                f"{path.name} row {number} has {len(record)} fields where the header has {len(header)}; put quotes "
                f"around text that contains {delimiter!r} (in {path})."
            )
        if any(record):
            rows.append((f"{path.name} row {number}", dict(zip(header, record, strict=False))))
    return rows


def _read_jsonl(path: Path) -> list[_Row]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path.name} line {number} is not JSON ({error}); correct it in {path}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path.name} line {number} is not a JSON object; give one object a line (in {path}).")
        rows.append((f"{path.name} line {number}", row))
    return rows


def _locate(rows: list[_Row], columns: Columns, folder: Path) -> list[Path]:
    """Each row's audio file. Raises DataError for the first that is missing, with the number of them."""
    files = [_find(_text(row, columns.audio, where), where, columns.audio, folder) for where, row in rows]
    missing = [(where, file) for (where, _), file in zip(rows, files, strict=True) if not file.is_file()]
    if missing:
        where, file = missing[0]
        raise DataError(
            f"{where}: {columns.audio} names {file}, which does not exist ({len(missing)} of {len(rows)} files are "
            "missing); correct the paths, which are relative to the table, or remove the rows."
        )
    return files


def _find(name: str, where: str, column: str, folder: Path) -> Path:
    if not name:
        raise DataError(f"{where}: {column} is empty; give the audio file of the row or remove it.")
    beside = folder / name
    # Common Voice names the files of its folder clips/ without the folder.
    return beside if beside.is_file() or not (folder / "clips" / name).is_file() else folder / "clips" / name


def _text(row: Mapping[str, Any], column: str | None, where: str) -> str:
    value = row.get(column) if column else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where}: {column} is {value!r:.60}; give text.")
    # JSON can spell half a surrogate pair, which no file can hold.
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
