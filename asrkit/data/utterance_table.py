"""Utterances as Arrow columns, in a file that is mapped into memory, or in memory.

A million utterances as Python objects take 2 GB in every process. Columns take some 150 bytes an utterance, and those
of a file stay there, whose pages all processes share.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from hashlib import blake2b
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from asrkit.data.indexed import IndexedSequence
from asrkit.data.utterance import Utterance, parse_marks
from asrkit.errors import DataError, first_line

TABLE_SUFFIX: Final = ".arrow"
MIN_TABLE_ROWS: Final = 2_000
"""Fewer utterances are lists, and their manifests lines of text, which people can read, too."""
_BATCH_ROWS = 1024
"""Rows that iterators read at once."""
_BUILT_ROWS = 16_384
"""Rows that become Arrow's strings at once."""
_RECURRING = ("folder", "speaker", "split", "marks", "dataset")
"""Columns that store each value once."""
_STRINGS, _NUMBERS = ("name", "text", "row"), ("duration_s", "start_s", "end_s")
_FIELDS = tuple(field.name for field in fields(Utterance))


class UtteranceTable(IndexedSequence[Utterance]):
    """Utterances as columns: `read` maps those of a file, `build` makes them in memory."""

    def __init__(self, columns: dict[str, Any], num_rows: int, path: Path | None = None) -> None:
        self._columns, self._num_rows, self.path = columns, num_rows, path
        self._values: dict[str, list[Any]] = {}  # of recurring columns

    @classmethod
    def read(cls, path: Path) -> UtteranceTable:
        """Map the columns of a manifest. Raises DataError for a damaged file."""
        import pyarrow

        try:
            with pyarrow.memory_map(str(path)) as mapped:
                batch = pyarrow.ipc.open_file(mapped).get_batch(0)
            batch.validate(full=True)  # a damaged offset would lead out of the file
            columns = {name: batch[name] for name in ("folder", "name", *_FIELDS[1:-1])}
            columns["dataset"] = batch["dataset"] if "dataset" in batch.schema.names else _make_empty(batch.num_rows)
            return cls(columns, batch.num_rows, path)
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise DataError(
                f"{path} is no manifest or only a part of one ({first_line(error).rstrip('.')}); start a new run."
            ) from error

    @classmethod
    def build(cls, utterances: Iterable[Utterance]) -> UtteranceTable:
        """Make columns of utterances. UnicodeEncodeError for a lone surrogate, from a file name that is not UTF-8."""
        builder, rows = TableBuilder(), iter(utterances)
        while batch := list(islice(rows, _BUILT_ROWS)):
            builder.add(batch)
        return builder.finish()

    def write(self, file: IO[bytes]) -> None:
        """Write the columns as one batch."""
        import pyarrow

        batch = pyarrow.record_batch(self._columns)
        with pyarrow.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path:
            return UtteranceTable.read, (self.path,)
        return UtteranceTable, (self._columns, self._num_rows)

    def __len__(self) -> int:
        return self._num_rows

    def make_item(self, index: int) -> Utterance:
        return next(self._iter_rows(index, index + 1))

    def make_items(self, positions: range) -> list[Utterance]:
        if positions.step != 1:
            return super().make_items(positions)
        return list(self._iter_rows(positions.start, max(positions.start, positions.stop)))

    def __iter__(self) -> Iterator[Utterance]:
        for start in range(0, self._num_rows, _BATCH_ROWS):
            yield from self._iter_rows(start, start + _BATCH_ROWS)

    def __eq__(self, other: object) -> bool:
        return _are_equal(self, other)

    def iter_column(self, name: str) -> Iterator[Any]:
        """Yield the values of a field of Utterance."""
        for start in range(0, self._num_rows, _BATCH_ROWS):
            yield from self._read(name, start, start + _BATCH_ROWS)

    def iter_folders(self) -> Iterator[str]:
        """Yield the folder of each recording, each folder once."""
        yield from (folder.rstrip("/") for folder in self._columns["folder"].dictionary.to_pylist())

    def to_numpy(self, name: str) -> np.ndarray:
        """Return the numbers of a field, (utterances,) float64; NaN for None."""
        return np.asarray(self._columns[name].to_numpy(zero_copy_only=False))

    def digest(self) -> bytes:
        """Return a digest of the columns, which is equal for utterances that were built equally."""
        digest = blake2b(digest_size=12)
        for column in self._columns.values():
            for part in (column, column.dictionary) if hasattr(column, "dictionary") else (column,):
                for buffer in filter(None, part.buffers()):
                    digest.update(buffer)
        return digest.digest()

    def _iter_rows(self, start: int, stop: int) -> Iterator[Utterance]:
        for values in zip(*(self._read(name, start, stop) for name in _FIELDS), strict=True):
            yield Utterance(*values)

    def _read(self, name: str, start: int, stop: int) -> list[Any]:
        if name == "audio":
            return list(map(str.__add__, self._read("folder", start, stop), self._read("name", start, stop)))
        column = self._columns[name].slice(start, stop - start)
        if name not in _RECURRING:
            return list(column.to_pylist())
        values = self._distinct_values(name)
        return [values[index] for index in column.indices.fill_null(len(values) - 1).to_numpy().tolist()]

    def _distinct_values(self, name: str) -> list[Any]:
        """Return the values that recur; the last is that of rows without one."""
        if name not in self._values:
            values = [*self._columns[name].dictionary.to_pylist(), None]
            if name == "marks":
                values = [parse_marks(json.loads(value)) if value else () for value in values]
            self._values[name] = values
        return self._values[name]


class TableBuilder:
    """Makes an `UtteranceTable` of utterances that come in batches, without keeping them."""

    def __init__(self) -> None:
        self._strings: dict[str, list[Any]] = {name: [] for name in _STRINGS}
        self._numbers = {name: array("d") for name in _NUMBERS}
        self._codes = {name: array("i") for name in _RECURRING}
        self._values: dict[str, dict[str | None, int]] = {name: {None: -1} for name in _RECURRING}

    def add(self, utterances: Sequence[Utterance]) -> None:
        """Add a batch. UnicodeEncodeError for a lone surrogate; the batch is not added then."""
        import pyarrow

        folders = [_folder(row.audio) for row in utterances]
        names = [row.audio[len(folder) :] for row, folder in zip(utterances, folders, strict=True)]
        strings = {"name": names, "text": [row.text for row in utterances], "row": [row.row for row in utterances]}
        recurring: dict[str, list[str | None]] = {
            "folder": [*folders],
            "speaker": [row.speaker for row in utterances],
            "split": [row.split for row in utterances],
            "marks": [json.dumps(row.marks) if row.marks else None for row in utterances],
            "dataset": [row.dataset for row in utterances],
        }
        for values in recurring.values():
            "".join({value for value in values if value}).encode()
        arrays = {name: pyarrow.array(values, pyarrow.string()) for name, values in strings.items()}
        for name, made in arrays.items():
            self._strings[name].append(made)
        for name, values in recurring.items():
            known = self._values[name]
            self._codes[name].extend(known.setdefault(value, len(known) - 1) for value in values)
        self._numbers["duration_s"].extend(row.duration_s for row in utterances)
        self._numbers["start_s"].extend(row.start_s for row in utterances)
        self._numbers["end_s"].extend(np.nan if row.end_s is None else row.end_s for row in utterances)

    def finish(self) -> UtteranceTable:
        """Return the table."""
        import pyarrow

        codes = {name: _pack(column, len(self._values[name])) for name, column in self._codes.items()}
        num_rows = len(codes["folder"])
        columns = {name: self._join_strings(name) for name in _STRINGS}
        columns |= {
            name: pyarrow.DictionaryArray.from_arrays(
                pyarrow.array(codes[name], mask=codes[name] < 0), pyarrow.array(list(values)[1:], pyarrow.string())
            )
            for name, values in self._values.items()
        }
        columns |= {
            name: pyarrow.array(np.array(column), from_pandas=name == "end_s")  # NaN means None there
            for name, column in self._numbers.items()
        }
        pyarrow.default_memory_pool().release_unused()
        return UtteranceTable({name: columns[name] for name in ("folder", "name", *_FIELDS[1:])}, num_rows)

    def _join_strings(self, name: str) -> Any:
        import pyarrow

        parts = self._strings.pop(name)
        return pyarrow.concat_arrays(parts) if parts else pyarrow.array([], pyarrow.string())


def collect_rows(batches: Iterable[list[Utterance]]) -> Sequence[Utterance]:
    """Return the utterances of all batches: many as columns, few as a list."""
    rest, rows = iter(batches), list[Utterance]()
    for batch in rest:
        rows += batch
        if len(rows) >= MIN_TABLE_ROWS:
            break
    else:
        return rows
    builder = TableBuilder()
    for batch in chain([rows], rest):
        try:
            builder.add(batch)
        except UnicodeEncodeError:  # the name of a file that is not UTF-8
            return [*builder.finish(), *batch, *chain.from_iterable(rest)]
    return builder.finish()


class JoinedRows(IndexedSequence[Utterance]):
    """Several sequences of utterances, one after the other."""

    def __init__(self, *parts: Sequence[Utterance]) -> None:
        self.parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def make_item(self, index: int) -> Utterance:
        number = bisect_right(self._ends, index)
        return self.parts[number][index - (self._ends[number - 1] if number else 0)]

    def make_items(self, positions: range) -> list[Utterance]:
        if positions.step != 1:
            return super().make_items(positions)
        items: list[Utterance] = []
        for part, end in zip(self.parts, self._ends, strict=True):
            start = end - len(part)
            items += part[max(0, positions.start - start) : max(0, positions.stop - start)]
        return items

    def __iter__(self) -> Iterator[Utterance]:
        for part in self.parts:
            yield from part

    def __eq__(self, other: object) -> bool:
        return _are_equal(self, other)


def digest_rows(rows: Sequence[Utterance]) -> bytes:
    """Return a digest of utterances, which is equal for those that were built equally."""
    digest = blake2b(str(len(rows)).encode(), digest_size=12)
    for part in rows.parts if isinstance(rows, JoinedRows) else [rows]:
        if isinstance(part, UtteranceTable):
            digest.update(part.digest())
            continue
        for row in part:
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.digest()


class Column:
    """The values of one field of all these utterances, each time they are iterated over."""

    def __init__(self, name: str, *rows: Sequence[Utterance]) -> None:
        self._name = name
        self._parts = [part for each in rows for part in (each.parts if isinstance(each, JoinedRows) else (each,))]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Any]:
        for rows in self._parts:
            if isinstance(rows, UtteranceTable):
                yield from rows.iter_column(self._name)
            else:
                yield from (getattr(row, self._name) for row in rows)

    def to_numpy(self) -> np.ndarray:
        """Return the numbers of the field, (utterances,) float64."""
        parts = [
            rows.to_numpy(self._name)
            if isinstance(rows, UtteranceTable)
            else np.fromiter((getattr(row, self._name) for row in rows), float, len(rows))
            for rows in self._parts
        ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def _pack(codes: array[int], num_values: int) -> np.ndarray:
    """Return codes below `num_values` in as few bytes as hold them."""
    kind = np.int8 if num_values < 1 << 7 else np.int16 if num_values < 1 << 15 else np.int32
    return np.array(codes, kind)


def _make_empty(num_rows: int) -> Any:
    """Return the column `dataset` of a manifest from before there was one."""
    import pyarrow

    codes = pyarrow.array(np.zeros(num_rows, np.int32), mask=np.ones(num_rows, bool))
    return pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array([], pyarrow.string()))


def _folder(audio: str) -> str:
    """Return the folder of a path, with its slash."""
    return audio[: audio.rfind("/") + 1]


def _are_equal(rows: Sequence[Utterance], other: object) -> bool:
    if not isinstance(other, Sequence):
        return NotImplemented
    return len(rows) == len(other) and all(map(Utterance.__eq__, rows, other))
