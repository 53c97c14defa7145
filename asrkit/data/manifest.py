"""Utterances, and the manifests that list them.

A manifest is JSONL in UTF-8, one utterance a line, or a table of Arrow columns, which is mapped into memory: a million
utterances as Python objects take 2 GB in every process; columns stay in their file, whose pages all processes share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple, cast, get_args, overload

from asrkit.errors import DataError, first_line
from asrkit.files import write_atomic

UNREADABLE_S = -1.0
"""The duration of a clip whose header cannot be read; the audit reports and drops it."""


MarkCode = Literal[
    "bad-row",
    "missing-transcript",
    "file-by-name",
    "merged-lines",
    "stray-quote",
    "extra-fields",
    "missing-fields",
    "unused-times",
    "assumed-times",
    "unused-columns",
    "shared-recording",
    "dates-in-texts",
    "other-texts",
    "columns-not-used",
    "assumed-columns",
    "unmatched-transcripts",
    "assumed-tiers",
    "text-from-name",
    "unsure-text",
    "overlapping-speech",
    "empty-spans",
    "one-of-several",
]
"""The codes of the audit's findings that readers mark rows with."""


BAD_ROW: Final = "bad-row"
"""Marks a row that cannot be used: one bad row is one bad row, not a bad dataset."""
_FAULTS: Final = (BAD_ROW, "missing-transcript")


class Mark(NamedTuple):
    """What a reader saw in a row that the user must know: the code of a finding of the audit, and its detail."""

    code: MarkCode
    detail: str


@dataclass(frozen=True)
class Utterance:
    """A clip, or the part of a file from start_s to end_s, and its transcript as written.

    duration_s: of this utterance, so of the part. row: its origin, such as "metadata.csv row 7", for messages. marks:
    what was assumed to read it, or why it cannot be used; such a row is one bad row, not a bad dataset.
    """

    audio: str
    text: str
    duration_s: float
    speaker: str | None = None
    split: str | None = None
    start_s: float = 0.0
    end_s: float | None = None
    row: str = ""
    marks: tuple[Mark, ...] = ()

    @property
    def fault(self) -> str:
        """Why the row cannot be used; empty if it can."""
        return next((mark.detail for mark in self.marks if mark.code in _FAULTS), "")

    @property
    def id(self) -> str:
        """A short, stable name for lists: the file's stem, and a hash of the path and the part."""
        source = f"{self.audio} {self.start_s} {self.end_s}".encode("utf-8", "surrogatepass")  # any file name
        key = hashlib.sha1(source, usedforsecurity=False).hexdigest()[:8]
        return f"{Path(self.audio).stem}-{key}"


def write(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically: of columns if the path ends in `TABLE_SUFFIX`, else of lines.

    UnicodeEncodeError for columns with a lone surrogate, which lines can hold.
    """
    with write_atomic(Path(path)) as file:
        if Path(path).suffix == TABLE_SUFFIX:
            _write_table(file, list(utterances))
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
        return UtteranceTable(path)
    with open(path, encoding="utf-8") as file:
        return [_parse_line(line, f"{path} line {number}") for number, line in enumerate(file, 1) if line.strip()]


def parse_marks(value: Any) -> tuple[Mark, ...]:
    """Return the marks of a row of a manifest. Raises ValueError for anything that `write` does not write."""
    marks = [tuple(mark) for mark in value]
    for mark in marks:
        if len(mark) != 2 or mark[0] not in get_args(MarkCode) or not isinstance(mark[1], str):
            raise ValueError(f"{mark!r:.60} is no mark")
    return tuple(Mark(cast(MarkCode, code), detail) for code, detail in marks)


def _to_json(utterance: Utterance) -> dict[str, Any]:
    row = vars(utterance)
    return row if row["marks"] else {name: value for name, value in row.items() if name != "marks"}


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


# Columns

TABLE_SUFFIX: Final = ".arrow"
_BATCH_ROWS = 1024
"""Rows that iterators read at once."""
_RECURRING = ("folder", "speaker", "split", "marks")
"""Columns that store each value once."""
_FIELDS = tuple(field.name for field in fields(Utterance))


def _write_table(file: IO[bytes], utterances: Sequence[Utterance]) -> None:
    """Write utterances as one batch of columns."""
    import pyarrow

    def strings(values: Iterable[str | None]) -> Any:
        return pyarrow.array(values, pyarrow.string())

    def numbers(name: str) -> Any:
        return pyarrow.array([getattr(row, name) for row in utterances], pyarrow.float64())

    columns = {
        "folder": strings(_folder(row.audio) for row in utterances),
        "name": strings(row.audio.removeprefix(_folder(row.audio)) for row in utterances),
        "text": strings(row.text for row in utterances),
        "duration_s": numbers("duration_s"),
        "speaker": strings(row.speaker for row in utterances),
        "split": strings(row.split for row in utterances),
        "start_s": numbers("start_s"),
        "end_s": numbers("end_s"),
        "row": strings(row.row for row in utterances),
        "marks": strings(json.dumps(row.marks) if row.marks else None for row in utterances),
    }
    columns |= {name: columns[name].dictionary_encode() for name in _RECURRING}
    batch = pyarrow.record_batch(columns)
    with pyarrow.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def _folder(audio: str) -> str:
    """Return the folder of a path, with its slash."""
    return audio[: audio.rfind("/") + 1]


class UtteranceTable(Sequence[Utterance]):
    """The utterances of a manifest of columns. Raises DataError for a damaged file."""

    def __init__(self, path: Path) -> None:
        import pyarrow

        self.path = path
        try:
            with pyarrow.memory_map(str(path)) as mapped:
                batch = pyarrow.ipc.open_file(mapped).get_batch(0)
            batch.validate(full=True)  # a damaged offset would lead out of the file
            self._columns = {name: batch[name] for name in ("folder", "name", *_FIELDS[1:])}
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise DataError(
                f"{path} is no manifest or only a part of one ({first_line(error).rstrip('.')}); start a new run."
            ) from error
        self._num_rows: int = batch.num_rows

    def __reduce__(self) -> tuple[type[UtteranceTable], tuple[Path]]:
        return UtteranceTable, (self.path,)

    def __len__(self) -> int:
        return self._num_rows

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._num_rows))]
        start = range(self._num_rows)[index]
        return next(self._iter_rows(start, start + 1))

    def __iter__(self) -> Iterator[Utterance]:
        for start in range(0, self._num_rows, _BATCH_ROWS):
            yield from self._iter_rows(start, start + _BATCH_ROWS)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(Utterance.__eq__, self, other))

    def iter_column(self, name: str) -> Iterator[Any]:
        """Yield the values of a field of Utterance."""
        for start in range(0, self._num_rows, _BATCH_ROWS):
            yield from self._read(name, start, start + _BATCH_ROWS)

    def _iter_rows(self, start: int, stop: int) -> Iterator[Utterance]:
        for values in zip(*(self._read(name, start, stop) for name in _FIELDS), strict=True):
            yield Utterance(*values)

    def _read(self, name: str, start: int, stop: int) -> list[Any]:
        if name == "audio":
            return list(map(str.__add__, self._read("folder", start, stop), self._read("name", start, stop)))
        column = self._columns[name].slice(start, stop - start)
        values: list[Any] = (column.dictionary_decode() if name in _RECURRING else column).to_pylist()
        return [parse_marks(json.loads(value)) if value else () for value in values] if name == "marks" else values


class Column:
    """The values of one field of all these utterances, each time they are iterated over."""

    def __init__(self, name: str, *manifests: Sequence[Utterance]) -> None:
        self._name, self._manifests = name, manifests

    def __iter__(self) -> Iterator[Any]:
        for rows in self._manifests:
            if isinstance(rows, UtteranceTable):
                yield from rows.iter_column(self._name)
            else:
                yield from (getattr(row, self._name) for row in rows)
