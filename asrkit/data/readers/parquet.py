"""Parquet files with audio and transcripts in one table, as on the Hub -> utterances. Read a few rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.data import embedded
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables
from asrkit.errors import DataError, first_line

SUFFIX = ".parquet"
_BATCH_ROWS = 64
"""Few, because each row contains a whole recording."""


def read(path: Path, clips_dir: Path | None, choice: tables.ColumnChoice) -> tables.Table:
    """Read the utterances of a file. Raises DataError for a damaged one and as `tables.read` does."""
    import pyarrow
    from pyarrow import parquet

    clips = embedded.ClipExtractor(clips_dir)
    utterances: list[Utterance] = []
    try:
        file = parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        bytes_columns = [field.name for field in file.schema_arrow if _is_bytes_column(field.type)]
        columns = tables.choose_columns(
            names,
            str(path),
            tables.ColumnChoice(
                choice.text, choice.audio or (bytes_columns[0] if bytes_columns else None), choice.speaker
            ),
        )
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns.names):
            for row in batch.to_pylist():
                where = f"{path.name} row {len(utterances)}"
                utterances.append(_make_utterance(row, columns, where, clips, path.parent))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({first_line(error)}); download or save it again."
        ) from error
    if not utterances:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    return tables.Table(utterances, names, columns)


def count_rows(path: Path) -> int:
    """Return the number of rows of a file; 1 for a damaged one, for which `read` raises."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError):
        return 1


def _make_utterance(
    row: dict[str, Any], columns: tables.Columns, where: str, clips: embedded.ClipExtractor, folder: Path
) -> Utterance:
    value = row[columns.audio]
    if isinstance(value, str):
        value = str(folder / value)
    return tables.make_utterance(row, columns, where, clips.extract(value, where, columns.audio))


def _is_bytes_column(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)
