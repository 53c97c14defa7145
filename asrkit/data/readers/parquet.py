"""Parquet files of recordings, as the Hub keeps them: bytes and transcripts in one table. Read a few rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.data import embedded
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables
from asrkit.errors import DataError, first_line

SUFFIX = ".parquet"
_ROWS = 64  # at a time: a row holds a whole recording


def read(path: Path, clips_dir: Path | None, wanted: tables.Wanted) -> tables.Table:
    """The utterances of one file. Raises DataError for a damaged one and as `tables.read` does."""
    import pyarrow
    from pyarrow import parquet

    clips, found = embedded.Clips(clips_dir), []
    try:
        file = parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        bytes_columns = [field.name for field in file.schema_arrow if _holds_bytes(field.type)]
        columns = tables.choose_columns(
            names,
            str(path),
            tables.Wanted(wanted.text, wanted.audio or (bytes_columns[0] if bytes_columns else None), wanted.speaker),
        )
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns.used):
            for row in batch.to_pylist():
                found.append(_utterance(row, columns, f"{path.name} row {len(found)}", clips, path.parent))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({first_line(error)}); download or save it again."
        ) from error
    if not found:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    return tables.Table(found, names, columns)


def count(path: Path) -> int:
    """The rows of one file; 1 for a damaged one, of which `read` says so."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError):
        return 1


def _utterance(
    row: dict[str, Any], columns: tables.Columns, where: str, clips: embedded.Clips, folder: Path
) -> Utterance:
    value = row[columns.audio]
    if isinstance(value, str):
        value = str(folder / value)
    return tables.utterance(row, columns, where, clips.file_of(value, where, columns.audio))


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)
