"""Rows of a table, with the audio file of each -> utterances. One bad row is one bad row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from asrkit.audio import decode_audio
from asrkit.data.durations import PartDurations
from asrkit.data.embedded import ClipExtractor, ClipLimitError
from asrkit.data.manifest import BAD_ROW, UNREADABLE_S, Mark, Utterance
from asrkit.data.readers import times
from asrkit.data.readers.columns import Columns
from asrkit.errors import AudioError, DataError
from asrkit.sandbox import forbidden

BATCH_ROWS = 500
"""Of a table, whose files are looked up together."""
MIN_SHARED_TEXTS = 3
"""Texts of one recording that make parts of it, where most recordings have one."""
_CHANNELS = frozenset({"channel", "chan", "channel_id", "audio_channel", "kanal", "canal"})
_EXCLUDING = frozenset(
    "exclude excluded skip skipped ignore ignored reject rejected delete deleted discard discarded invalid bad "
    "corrupt corrupted blacklist blacklisted".split()
)
_INCLUDING = frozenset("valid keep include included use approve approved accept accepted".split())
_YES, _NO = frozenset({"1", "true", "yes", "y", "x", "1.0"}), frozenset({"0", "false", "no", "n", "0.0"})


class TableRow(NamedTuple):
    """A row of a table: where it is ("metadata.csv row 7"), column -> value, and what was assumed to read it."""

    where: str
    values: Mapping[str, Any]
    marks: tuple[Mark, ...] = ()

    @property
    def is_bad(self) -> bool:
        return any(mark.code == BAD_ROW for mark in self.marks)


class _Part(NamedTuple):
    """Start, and end or length, as a row names them, with their units; None where it does not."""

    start: tuple[float, times.Unit | None] | None = None
    end: tuple[float, times.Unit | None] | None = None
    length: tuple[float, times.Unit | None] | None = None

    @property
    def unitless(self) -> tuple[float, float] | None:
        """(start, end) where no unit is known and the part has an end, to infer the unit from."""
        last = self.end or self.length
        if last is None or last[1] is not None or (self.start and self.start[1] is not None):
            return None
        start = self.start[0] if self.start else 0.0
        return start, last[0] if self.end else start + last[0]


class _Recordings:
    """The lengths and sampling rates of recordings, by their headers; each is read once."""

    def __init__(self) -> None:
        self.durations = PartDurations()
        self.rate = cache(self._read_rate)

    @staticmethod
    def _read_rate(file: str) -> int:
        try:
            return decode_audio(file, end_s=0.1)[0]
        except AudioError:
            return 1
        except PermissionError:
            forbidden.note(file)
            return 1


@dataclass(frozen=True)
class _TimeReader:
    """Reads which part of its recording a row is. unit: of times that name none."""

    columns: Columns
    recordings: _Recordings
    unit: times.Unit = "s"

    def parse(self, row: TableRow) -> _Part:
        """Raises DataError for a time that is none."""
        parsed = {kind: self._parse_one(row, column) for kind, column in self.columns.parts.items()}
        return _Part(parsed.get("start"), parsed.get("end"), parsed.get("length"))

    def read(self, row: TableRow, file: str) -> tuple[float, float | None]:
        """Return (start_s, end_s). Raises DataError for an empty part and for a time that is none."""
        part = self.parse(row)
        start_s = self._to_seconds(part.start, file) or 0.0
        end_s = self._to_seconds(part.end, file)
        length_s = self._to_seconds(part.length, file)
        if end_s is None and length_s is not None:
            end_s = start_s + length_s
        if end_s is not None and end_s <= start_s:
            raise DataError(f"the part ends at {end_s:g} s but starts at {start_s:g} s; correct its times.")
        return start_s, end_s

    def _parse_one(self, row: TableRow, column: times.TimeColumn) -> tuple[float, times.Unit | None] | None:
        value = row.values.get(column.name)
        if value is None or value == "":
            return None
        parsed = times.parse(value)
        if parsed is None or parsed[0] < 0:
            raise DataError(f"{column.name} is {value!r:.60}; give seconds as a number that is not negative.")
        return parsed[0], parsed[1] or column.unit

    def _to_seconds(self, time: tuple[float, times.Unit | None] | None, file: str) -> float | None:
        if time is None:
            return None
        unit = time[1] or self.unit
        return times.to_seconds(time[0], unit, self.recordings.rate(file) if unit == "samples" else 0)


def make_utterances(
    rows: Sequence[tuple[TableRow, str]], columns: Columns, column_names: Iterable[str]
) -> list[Utterance]:
    """Make the utterance of each row and its audio file, with the marks of what was assumed."""
    recordings = _Recordings()
    reader = _TimeReader(columns, recordings)
    unit, assumed = _infer_unit(rows, reader)
    reader = replace(reader, unit=unit)
    utterances: list[Utterance] = []
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows[start : start + BATCH_ROWS]
        if not columns.duration_s:
            recordings.durations.look_up(file for _, file in batch)
        utterances += [_make_utterance(row, file, reader, assumed) for row, file in batch]
    unused = [name for name in column_names if name not in columns.names]
    for index, mark in _find_ignored(rows, unused, columns, recordings):
        utterances[index] = replace(utterances[index], marks=(*utterances[index].marks, mark))
    if columns.parts:
        utterances = list(_mark_open_ends(utterances))
    return list(_mark_shared(utterances))


def extract_audio(
    clips: ClipExtractor, where: str, values: dict[str, Any], columns: Columns, folder: Path
) -> tuple[TableRow, str]:
    """Return the row of these values and the file of its audio; without audio, marked as bad."""
    value = values.pop(columns.audio)
    try:
        return TableRow(where, values), clips.extract(value, columns.audio, folder)
    except ClipLimitError:
        raise
    except DataError as error:
        path = value.get("path") if isinstance(value, Mapping) else value
        file = folder / path if isinstance(path, str) else folder
        return TableRow(where, values, (Mark(BAD_ROW, str(error)),)), str(file)


def read_field(row: TableRow, column: str | None) -> str:
    """Return the text of a field; empty for a missing one. Raises DataError for a value of another type."""
    value = row.values.get(column) if column else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{column} is {value!r:.60}; give text.")
    # JSON can escape a lone surrogate, which UTF-8 cannot encode.
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()


def _make_utterance(row: TableRow, file: str, reader: _TimeReader, assumed: tuple[Mark, ...]) -> Utterance:
    columns = reader.columns
    if row.is_bad:
        return Utterance(file, "", UNREADABLE_S, row=row.where, marks=row.marks)
    try:
        start_s, end_s = reader.read(row, file)
        text, duration_s = read_field(row, columns.text), _read_duration(row, columns.duration_s)
        speaker, split = read_field(row, columns.speaker) or None, read_field(row, columns.split) or None
    except DataError as error:
        return Utterance(file, "", UNREADABLE_S, row=row.where, marks=(*row.marks, Mark(BAD_ROW, str(error))))
    if duration_s is None:
        duration_s = reader.recordings.durations.measure(file, start_s, end_s)
    return Utterance(file, text, duration_s, speaker, split, start_s, end_s, row.where, (*row.marks, *assumed))


def _read_duration(row: TableRow, column: str | None) -> float | None:
    value = row.values.get(column) if column else None
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(f"{column} is {value!r:.60}; give seconds as a number that is not negative.")
    return seconds


def _infer_unit(rows: Sequence[tuple[TableRow, str]], reader: _TimeReader) -> tuple[times.Unit, tuple[Mark, ...]]:
    """Return the unit of times that name none, and the mark of every row if it is not plainly seconds."""
    unclear = [column.name for column in reader.columns.parts.values() if column.unit is None]
    if not unclear:
        return "s", ()
    parts = []
    for row, file in rows:
        try:
            part = reader.parse(row).unitless
        except DataError:  # a bad row
            continue
        if part and (file_s := reader.recordings.durations.measure(file)) >= 0:
            parts.append((*part, file_s, file))
    unit = times.infer_unit(parts, reader.recordings.rate)
    if unit == "s":
        return unit, ()
    meaning = "milliseconds" if unit == "ms" else "samples"
    return unit, (Mark("assumed-times", f"{' and '.join(unclear)} in {meaning}"),)


def _find_ignored(
    rows: Sequence[tuple[TableRow, str]], unused: list[str], columns: Columns, recordings: _Recordings
) -> Iterator[tuple[int, Mark]]:
    """Find what unused columns say about what is meant: times, a channel, rows to leave out, another text."""
    for name in columns.other_texts:
        for index, (row, _) in enumerate(rows):
            text, other = spoken_part(row.values.get(columns.text)), spoken_part(row.values.get(name))
            if other and text != other:
                yield index, Mark("other-texts", f"{name} is {str(row.values[name]).strip():.60}")
    for name in unused:
        values = [row.values.get(name) for row, _ in rows]
        plain = name.strip().lower().removeprefix("is_")
        column = times.recognise(name, unused)
        if plain in _CHANNELS and len({str(value) for value in values if value not in (None, "")}) > 1:
            yield from ((index, Mark("unused-columns", name)) for index in range(len(rows)))
        elif plain in _EXCLUDING | _INCLUDING:
            meant = _YES if plain in _EXCLUDING else _NO
            for index, value in enumerate(values):
                if str(value).strip().lower() in meant:
                    yield index, Mark("unused-columns", f"{name} is {value}")
        elif not columns.parts and not columns.duration_s and column and column.kind == "length":
            for index, (row, file) in enumerate(rows):
                if not times.is_length_of(
                    row.values, column, recordings.durations.measure(file), recordings.rate, file
                ):
                    yield index, Mark("unused-times", f"{name} is {row.values.get(name)}")
        elif not columns.parts and (column and column.kind != "length" or times.looks_like_time(name)):
            indices = range(len(rows)) if times.holds_times(values) else ()
            yield from ((index, Mark("unused-times", name)) for index in indices)


def spoken_part(value: Any) -> str:
    """Return what two spellings of one text have in common: its letters and digits, without case."""
    return "".join(char for char in str(value or "").casefold() if char.isalnum())


def _mark_open_ends(utterances: list[Utterance]) -> Iterator[Utterance]:
    """Mark parts without an end in which another row's part begins."""
    last_start_s: dict[str, float] = defaultdict(float)
    for row in utterances:
        last_start_s[row.audio] = max(last_start_s[row.audio], row.start_s)
    for row in utterances:
        if row.end_s is None and not row.fault and row.start_s < last_start_s[row.audio]:
            detail = "a part whose end is not named goes to the end of its recording"
            # A manifest has the mark already.
            row = replace(row, marks=tuple(dict.fromkeys((*row.marks, Mark("assumed-times", detail)))))
        yield row


def _mark_shared(utterances: list[Utterance]) -> Iterator[Utterance]:
    """Mark rows that give all of one recording different texts, as parts of it whose times are not read.

    A recording of which only a few rows have a second text is one that was entered twice, which the audit finds.
    """
    whole = [row for row in utterances if row.end_s is None and not row.start_s and row.duration_s >= 0]
    if len({row.audio for row in whole}) == len(whole):
        yield from utterances
        return
    texts: dict[str, set[str]] = defaultdict(set)
    for row in whole:
        texts[row.audio].add(" ".join(row.text.split()))
    counts = [len(texts.get(row.audio, ())) for row in utterances]
    is_common = 2 * sum(count > 1 for count in counts) >= len(counts)
    for row, count in zip(utterances, counts, strict=True):
        if count >= (2 if is_common else MIN_SHARED_TEXTS) and row.end_s is None and not row.start_s:
            mark = Mark("shared-recording", f"one of {count} texts of all of it: {row.text:.60}")
            row = replace(row, marks=(*row.marks, mark))
        yield row
