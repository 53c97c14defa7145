"""CSV, TSV, JSON and spreadsheet tables of recordings -> utterances.

Row numbers in messages are those a spreadsheet shows: the header is row 1. JSON has lines, or items of one list.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from asrkit.audio import read_duration_s
from asrkit.data import access
from asrkit.data.manifest import UNREADABLE_S, Utterance
from asrkit.data.readers import spreadsheets
from asrkit.errors import AudioError, DataError, first_line

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", *spreadsheets.SUFFIXES)
AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .aac .webm .mkv .wma .amr .3gp .aif .aiff .aifc .au .caf .w64 .sph "
    ".nist .g722 .722 .ulaw .ul .mulaw .pcmu .alaw .al .pcma".split()
)
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
NO_COLUMN = "-"  # chosen where what is recognised by name is something else
MOST_BYTES = 2 << 30  # of one table: beyond it is no list of recordings

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


@dataclass(frozen=True)
class Wanted:
    """Names that somebody chose for columns; None where they are to be recognised. speaker: "-" where there is none.
    sheet: of a spreadsheet, the first one by default."""

    text: str | None = None
    audio: str | None = None
    speaker: str | None = None
    sheet: str = ""


@dataclass(frozen=True)
class Table:
    """Utterances, the names of all columns, and which of them were taken for what. sheet, sheets: the one that was
    read, and all that there are, each as FILE#SHEET; empty where the table is no spreadsheet."""

    utterances: list[Utterance]
    found: tuple[str, ...]
    columns: Columns
    sheet: str = ""
    sheets: tuple[str, ...] = ()


def read(path: Path, wanted: Wanted = Wanted()) -> Table:
    """The utterances of a table, in its order; audio paths are relative to the table's folder.

    Raises DataError, naming file, row and field, for a table that cannot be read, lacks a column or has no rows, and
    for a row whose audio file is missing.
    """
    suffix, sheet = path.suffix.lower(), spreadsheets.Sheet("", [], ())
    if suffix in spreadsheets.SUFFIXES:
        sheet = spreadsheets.read(path, wanted.sheet)
        rows = _under_header(sheet.rows, path, "")
    else:
        rows = _read_json(path) if suffix in (".jsonl", ".json") else _read_separated(path)
    if not rows:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    found = tuple(name for name in dict.fromkeys(name for _, row in rows for name in row) if name)
    columns = choose_columns(found, f"{path}{sheet.words}", wanted)
    files = _locate(rows, columns, Finder(path.parent))
    utterances = [utterance(row, columns, where, str(file)) for (where, row), file in zip(rows, files, strict=True)]
    sheets = [f"{path}{spreadsheets.SHEET}{name}" for name in (sheet.name, *sheet.names) if name]
    return Table(utterances, found, columns, *sheets[:1], sheets=tuple(sheets[1:]))


def choose_columns(found: Iterable[str], where: str, wanted: Wanted = Wanted()) -> Columns:
    """Which of the columns `found` means what. Raises DataError, listing those found and those wanted."""
    by_name = {name.strip().lower(): name for name in found}

    def choose(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    def require(what: str, chosen: str | None, usual: tuple[str, ...]) -> str:
        names = (chosen.strip().lower(),) if chosen else usual
        column = choose(*names)
        if column is None:
            raise DataError(
                f"{where} has no {what} column: found {', '.join(map(repr, by_name.values())) or 'none'}; wanted "
                f"{repr(chosen) if chosen else 'one of ' + ', '.join(usual)}. Rename it, or set {what}_column."
            )
        return column

    def speaker() -> str | None:
        if wanted.speaker == NO_COLUMN:
            return None
        return require("speaker", wanted.speaker, ()) if wanted.speaker else choose(*SPEAKER_COLUMNS)

    return Columns(
        audio=require("audio", wanted.audio, AUDIO_COLUMNS),
        text=require("text", wanted.text, TEXT_COLUMNS),
        speaker=speaker(),
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
        whole_s = read_duration_s(file)
    except AudioError:
        return UNREADABLE_S
    return max(0.0, (whole_s if end_s is None else min(end_s, whole_s)) - start_s)


def read_text(path: Path) -> str:
    """A file's text, in UTF-8 or, with its byte order mark, UTF-16. Raises DataError for another encoding, for NUL
    bytes and for a file that is too big to be a table."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has {path.stat().st_size / 2**30:.1f} GB, too much for a table; split it up.")
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it again as UTF-8.") from error
    if "\0" in text:
        raise DataError(
            f"{path} holds NUL bytes (the first after {text.index(chr(0))} characters), so it is damaged "
            "or no text; save it again as UTF-8."
        )
    return text


def read_lines(path: Path) -> list[str]:
    """Its lines by the line ends of Unix, Windows and old Macs alone: str.splitlines also cuts at U+2028 and U+0085,
    which stand in texts from the web. Raises DataError as `read_text`."""
    return list(io.StringIO(read_text(path), newline=None))


class Finder:
    """Files of a folder by the names that tables give them: as a path, without its folder, or without its suffix.

    What may not be read is not looked for, so that nobody learns whether it is there; `sources` refuses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = access.Gate()
        self._below: dict[str, Path | None] | None = None

    def find(self, name: str) -> Path:
        """The file, or the path beside the table where there is none."""
        plain = name.replace("\\", "/")
        for place in (self.folder / plain, self.folder / "clips" / plain):  # Common Voice leaves out clips/
            if self.gate.opens(place) and _is_file(place):
                return place
        found = self._index().get(plain.rpartition("/")[2].lower())
        return found or self.folder / plain

    def _index(self) -> dict[str, Path | None]:
        """Audio files below the folder by name and by stem; None for one that is there twice. Looked up when needed."""
        if self._below is None:
            self._below = {}
            for path in walk(self.folder):
                if path.suffix.lower() in AUDIO_SUFFIXES:
                    for key in (path.name.lower(), path.stem.lower()):
                        self._below[key] = None if key in self._below else path
        return self._below


def walk(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted; hidden ones, what Macs leave behind and links to folders are passed over.

    Raises DataError for a name that is not UTF-8, which neither libsndfile nor a report can take."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    for path in found:
        try:
            str(path).encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"The file name {str(path)!r} is not UTF-8; rename the file.") from error
    return sorted(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds what no name can
        return False


def _read_separated(path: Path) -> list[_Row]:
    content = read_text(path)
    header_line = content.split("\n", 1)[0]
    # Common Voice's TSV files hold bare quotes; a CSV from a European spreadsheet is parted by semicolons.
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(",;\t|", key=header_line.count)
    quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    try:
        # Lines keep their ends, so that a quoted line break inside a text survives.
        records = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting))
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table ({error}); save it again as CSV.") from error
    return _under_header(records, path, f"; put quotes around text that contains {delimiter!r}")


def _under_header(records: list[list[str]], path: Path, advice: str) -> list[_Row]:
    """Rows by the names in the first record that holds anything; empty ones are passed over."""
    top = next((place for place, record in enumerate(records) if any(record)), len(records))
    header = [name.strip() for record in records[top : top + 1] for name in record]
    rows = []
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
    """One object a line, as NeMo writes it in .json too, or one list of objects."""
    content = read_text(path)
    if path.suffix.lower() == ".json" and content.lstrip().startswith("["):
        items = _parsed(content, path, path.name)
        numbered = [(f"{path.name} item {number}", item) for number, item in enumerate(items, 1)]
    else:
        lines = [(f"{path.name} line {number}", line) for number, line in enumerate(content.split("\n"), 1)]
        numbered = [(where, _parsed(line, path, where)) for where, line in lines if line.strip()]
    for where, row in numbered:
        if not isinstance(row, dict):
            raise DataError(f"{where} is not a JSON object; give one object a line (in {path}).")
    return numbered


def _parsed(content: str, path: Path, where: str) -> Any:
    try:
        return json.loads(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({first_line(error)}); correct it in {path}.") from error


def _locate(rows: list[_Row], columns: Columns, finder: Finder) -> list[Path]:
    """Each row's audio file. A few that are missing are left to the audit; raises DataError where most are, for then
    the paths are wrong."""
    files = []
    for where, row in rows:
        name = _text(row, columns.audio, where)
        if not name:
            raise DataError(f"{where}: {columns.audio} is empty; give the audio file of the row or remove it.")
        files.append(finder.find(name))
    missing = [
        (where, file)
        for (where, _), file in zip(rows, files, strict=True)
        if finder.gate.opens(file) and not _is_file(file)
    ]
    if 2 * len(missing) > len(rows):
        where, file = missing[0]
        raise DataError(
            f"{where}: {columns.audio} names {file}, which does not exist ({len(missing)} of {len(rows)} files are "
            "missing); correct the paths, which are relative to the table, or remove the rows."
        )
    return files


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
