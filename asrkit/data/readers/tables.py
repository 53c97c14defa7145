"""CSV, TSV, JSON and spreadsheet tables of recordings -> utterances.

Row numbers in messages are those that a spreadsheet shows: the header is row 1. JSON has lines, or items of one list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asrkit.data import files, limits, manifest
from asrkit.data.audio_finder import AudioFinder, FoundAudio
from asrkit.data.manifest import BAD_ROW, Mark, Utterance
from asrkit.data.readers import separated, spreadsheets
from asrkit.data.readers.columns import (
    AUDIO_COLUMNS,
    NO_CHOICE,
    TEXT_COLUMNS,
    ColumnChoice,
    Columns,
    choose_columns,
    note_columns,
)
from asrkit.data.readers.rows import TableRow, make_utterances, read_field
from asrkit.errors import DataError, first_line

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", *spreadsheets.SUFFIXES)


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


def read(path: Path, choice: ColumnChoice = NO_CHOICE) -> Table:
    """Read the utterances of a table, in its order; audio paths are relative to the table's folder.

    A row that cannot be used is marked "bad-row". Raises DataError, naming file, row and field, for a table that cannot
    be read, lacks a column or has no rows, and where most audio files are missing.
    """
    suffix, sheet = path.suffix.lower(), spreadsheets.Sheet("", [], ())
    if suffix in spreadsheets.SUFFIXES:
        sheet = spreadsheets.read(path, choice.sheet)
        records = [separated.Record(fields, number, number) for number, fields in enumerate(sheet.rows, 1)]
        rows = _name_fields(records, path, choice, "\t", sheet.description, sheet.dates)
    elif suffix in (".jsonl", ".json"):
        rows = _read_json(path)
    else:
        rows = _read_separated(path, choice)
    if not rows:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    limits.check_rows(len(rows), path)
    column_names = tuple(name for name in dict.fromkeys(name for row in rows for name in row.values) if name)
    columns = choose_columns(
        column_names, f"{path}{sheet.description}", choice, lambda name: [row.values.get(name) for row in rows]
    )
    files_of_rows = _find_audio(rows, columns, AudioFinder(path.parent, [path.stem]))
    utterances = make_utterances(
        [
            (row._replace(marks=row.marks + file.marks), str(file.path))
            for row, file in zip(rows, files_of_rows, strict=True)
        ],
        columns,
        column_names,
    )
    prefix = f"{path}{spreadsheets.SHEET_SEPARATOR}"
    return Table(
        utterances,
        column_names,
        columns,
        sheet=prefix + sheet.name if sheet.name else "",
        sheets=tuple(prefix + name for name in sheet.names if name),
        notes=note_columns(column_names, columns),
    )


def _read_separated(path: Path, choice: ColumnChoice) -> list[TableRow]:
    def is_header(names: Sequence[str]) -> bool:
        known = {name.strip().lower() for name in names}
        audio, text = (choice.audio, *AUDIO_COLUMNS), (choice.text, *TEXT_COLUMNS)
        return all(known & {name.strip().lower() for name in wanted if name} for wanted in (audio, text))

    content = files.read_text(path)
    delimiter, content = separated.choose_delimiter(content, is_header)
    return _name_fields(list(separated.read_records(content, delimiter)), path, choice, delimiter)


def _name_fields(
    records: list[separated.Record],
    path: Path,
    choice: ColumnChoice,
    delimiter: str,
    description: str = "",
    dates: Collection[tuple[int, int]] = (),
) -> list[TableRow]:
    """Name the fields of each record by the header, the first record that is not empty; leave out empty ones."""
    top = next((index for index, record in enumerate(records) if any(record.fields)), len(records))
    header = [name.strip() for record in records[top : top + 1] for name in record.fields]
    if not any(any(record.fields) for record in records[top + 1 :]):
        return []
    body = records[top + 1 :]

    def read_column(name: str) -> list[str]:
        index = header.index(name)
        return [record.fields[index] for record in body if len(record.fields) > index]

    columns = choose_columns(filter(None, header), f"{path}{description}", choice, read_column)
    text_index = header.index(columns.text)
    rows: list[TableRow] = []
    for number, record in enumerate(records[top + 1 :], top + 2):
        if any(record.fields):
            fields, marks = _fit_fields(record, len(header), text_index, delimiter)
            if record.has_open_quote and delimiter != "\t":  # TSV files of Common Voice contain bare quotes
                marks.append(Mark("stray-quote", " ".join(record.fields)[:80]))
            if (number - 1, text_index) in dates:
                marks.append(Mark("dates-in-texts", f"{fields[text_index]:.60}"))
            if record.last_line > record.first_line:
                marks.append(Mark("merged-lines", f"lines {record.first_line} to {record.last_line}"))
            values = dict(zip(header, fields, strict=False))
            rows.append(TableRow(f"{path.name} row {number}", values, tuple(marks)))
    return rows


def _fit_fields(record: separated.Record, width: int, text_index: int, delimiter: str) -> tuple[list[str], list[Mark]]:
    """Return the fields of a record that has more or fewer than the header, as those of its columns."""
    fields = list(record.fields)
    while len(fields) > width and not fields[-1].strip():
        fields.pop()
    surplus = len(fields) - width
    if surplus > 0:  # most likely the text contains the delimiter
        end = text_index + surplus + 1
        text = delimiter.join(fields[text_index:end])
        fields[text_index:end] = [text]
        return fields, [Mark("extra-fields", f"{len(record.fields)} fields where the header has {width}: {text:.60}")]
    if surplus < 0:
        return fields, [Mark("missing-fields", f"{len(fields)} fields where the header has {width}")]
    return fields, []


def _read_json(path: Path) -> list[TableRow]:
    """Read one object per line, as NeMo writes it in .json too, or one list of objects.

    Raises DataError if no line or item is an object.
    """
    content = files.read_text(path)
    if path.suffix.lower() == ".json" and content.lstrip().startswith("["):
        items = _parse_json(content, path, path.name)
        numbered = [(f"{path.name} item {number}", item) for number, item in enumerate(items, 1)]
        rows = [_make_json_row(where, item, path) for where, item in numbered]
    elif path.suffix.lower() == ".json" and (named := _parse_dictionary(content)):
        rows = [_make_json_row(f"{path.name} {name:.60}", item, path) for name, item in named.items()]
    else:
        lines = [(f"{path.name} line {number}", line) for number, line in enumerate(content.split("\n"), 1)]
        rows = [_parse_json_line(line, path, where) for where, line in lines if line.strip()]
    if rows and not any(row.values for row in rows):
        raise DataError(f"{rows[0].where} {rows[0].marks[0].detail if rows[0].marks else 'is empty'} (in {path}).")
    return rows


def _parse_dictionary(content: str) -> dict[str, dict[str, Any]]:
    """Return id -> row of one object of objects, as SpeechBrain writes it; empty for anything else."""
    try:
        items = json.loads(content)
    except (json.JSONDecodeError, RecursionError):  # one object a line, or none
        return {}
    if not isinstance(items, dict) or not all(isinstance(item, dict) for item in items.values()):
        return {}
    return {
        name: {"id": name, **{"text" if key == "words" and "text" not in item else key: item[key] for key in item}}
        for name, item in items.items()
    }


def _parse_json_line(line: str, path: Path, where: str) -> TableRow:
    try:
        return _make_json_row(where, _parse_json(line, path, where), path)
    except DataError as error:
        return TableRow(where, {}, (Mark(BAD_ROW, str(error).removeprefix(f"{where} ")),))


def _make_json_row(where: str, item: Any, path: Path) -> TableRow:
    if not isinstance(item, dict):
        return TableRow(where, {}, (Mark(BAD_ROW, "is not a JSON object; give one object a line"),))
    try:
        # Which rows share a recording is found anew: a selection may have left out the others.
        marks = manifest.parse_marks(item.get("marks") or ())
        return TableRow(where, item, tuple(mark for mark in marks if mark.code != "shared-recording"))
    except (TypeError, ValueError):  # a column of another program
        return TableRow(where, item)


def _parse_json(content: str, path: Path, where: str) -> Any:
    try:
        return json.loads(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({first_line(error)}); correct it in {path}.") from error


def _find_audio(rows: list[TableRow], columns: Columns, finder: AudioFinder) -> list[FoundAudio]:
    """Find the audio file of each row. The audit reports a few missing ones.

    Raises DataError if most files are missing, because then the paths are wrong.
    """
    names, faults = [], []
    for row in rows:
        name, fault = "", ""
        try:
            name = read_field(row, columns.audio)
            if not name and not row.is_bad:
                fault = f"{columns.audio} is empty; give the audio file of the row or remove it."
        except DataError as error:
            fault = str(error)
        names.append(name)
        faults.append(fault)
    found = finder.find_all([name or "." for name in names])
    missing = [
        (row, file.path)
        for row, name, file in zip(rows, names, found, strict=True)
        if not file.is_found and name and not row.is_bad and not finder.exists(file.path)
    ]
    if 2 * len(missing) > len(rows):
        row, file = missing[0]
        raise DataError(
            f"{row.where}: {columns.audio} names {file}, which does not exist ({len(missing)} of {len(rows)} files are "
            "missing); correct the paths, which are relative to the table, or remove the rows."
        )
    return [
        replace(file, marks=(*file.marks, Mark(BAD_ROW, fault))) if fault else file
        for file, fault in zip(found, faults, strict=True)
    ]
