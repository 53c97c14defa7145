"""The index of a streamed parquet file -> utterances, whose audio is fetched when it is needed.

Their lengths are those of a column of lengths. Without one they are estimated: a row group has as many seconds as its
bytes say, and its clips divide them by the lengths of their texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.data import limits
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables, times
from asrkit.data.readers.columns import ColumnChoice, Columns, choose_columns, note_columns
from asrkit.data.readers.rows import TableRow, make_utterances
from asrkit.data.streams.index import read_rate
from asrkit.data.streams.origins import Origin
from asrkit.data.streams.parquet_groups import bytes_leaf, clip_path, name_clips
from asrkit.errors import DataError, first_line

PAUSE_CHARACTERS = 10.0
"""What the silence of a clip weighs, beside the characters of its text, where its length is estimated."""
MAX_FACTOR = 3.0
"""How far the lengths of a column may be from the estimated ones, all together, in the unit that fits best."""
RATES = (16_000, 48_000, 44_100, 22_050, 8_000, 24_000, 32_000)
"""Sampling rates that a column of samples is tried with."""


def read(path: Path, origin: Origin, choice: ColumnChoice) -> tables.Table:
    """Read the utterances of an index. Raises DataError for a damaged one and as `tables.read` does."""
    import pyarrow
    from pyarrow import parquet

    folder, rows, estimates = path.parent, list[tuple[TableRow, str]](), list[float]()
    rate = read_rate(folder)
    try:
        file = parquet.ParquetFile(path)
        limits.check_rows(file.metadata.num_rows, path)
        names = tuple(file.schema_arrow.names)
        readable = [field.name for field in file.schema_arrow if not bytes_leaf(field)]
        columns = choose_columns(
            names,
            f"{origin.file.repository}: {origin.file.path}",
            ColumnChoice(choice.text, origin.audio_column, choice.speaker),
            lambda name: file.read(columns=[name]).column(0).to_pylist() if name in readable else (),
        )
        budget = limits.CharacterBudget(path)
        for number, group in enumerate(origin.groups):
            values = file.read_row_group(number, columns=readable).to_pylist()
            budget.count([value for row in values for value in row.values()])
            clips = name_clips(file, origin.audio_column, number)
            estimates += _divide(rate * group.audio_bytes, [row.get(columns.text) for row in values])
            for row, name in zip(values, clips, strict=True):
                where = f"{Path(origin.file.path).name} row {len(rows)}"
                rows.append((TableRow(where, row), clip_path(folder, number, name)))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet ({first_line(error)}); remove its folder.") from error
    utterances = make_utterances(rows, columns, names)
    lengths = _find_lengths([row.values for row, _ in rows], columns, readable, estimates)
    return tables.Table(
        [_with_length(row, seconds) for row, seconds in zip(utterances, lengths, strict=True)],
        names,
        columns,
        notes=note_columns(names, columns),
    )


def _divide(seconds: float, texts: Sequence[Any]) -> list[float]:
    """Divide the seconds of a row group among its clips."""
    weights = [PAUSE_CHARACTERS + len(str(text or "")) for text in texts]
    return [round(seconds * weight / sum(weights), 3) for weight in weights]


def _find_lengths(
    rows: Sequence[Mapping[str, Any]], columns: Columns, readable: Sequence[str], estimates: list[float]
) -> list[float]:
    """Return the seconds of each clip by a column of lengths, else the estimated ones."""
    named = [column for name in readable if (column := times.recognise(name, readable)) and column.kind == "length"]
    total_s = sum(estimates)
    for column in named:
        parsed = [times.parse(row.get(column.name)) for row in rows]
        numbers = [value[0] if value else math.nan for value in parsed]
        total = math.fsum(number for number in numbers if number > 0)
        if not all(number > 0 for number in numbers) or not total:
            continue
        factor = min((1.0, 1e-3, *(1 / rate for rate in RATES)), key=lambda unit: abs(math.log(total * unit / total_s)))
        if 1 / MAX_FACTOR < total * factor / total_s < MAX_FACTOR:
            return [number * factor for number in numbers]
    return estimates


def _with_length(row: Utterance, seconds: float) -> Utterance:
    """Return the row with its length: of a part by its times, else that of the clip.

    That of its file would tell which pieces happen to be in the cache.
    """
    if row.fault:
        return row
    return replace(row, duration_s=max(0.0, (seconds if row.end_s is None else row.end_s) - row.start_s))
