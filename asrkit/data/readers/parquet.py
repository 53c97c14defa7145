"""Parquet files with audio and transcripts in one table, as on the Hub -> utterances. Read a few rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.data import embedded, limits
from asrkit.data.readers import streamed_parquet, tables
from asrkit.data.readers.columns import ColumnChoice, choose_columns, note_columns
from asrkit.data.readers.rows import TableRow, extract_audio, make_utterances
from asrkit.data.streams.origins import INDEX, Origin
from asrkit.errors import DataError, first_line

SUFFIX = ".parquet"
_BATCH_ROWS = 64
"""Few, because each row contains a whole recording."""
_BATCH_BYTES = 256 << 20
"""Fewer where the values are large: a value that repeats is stored once, and may be as large as all that is stored."""


def read(path: Path, clips_dir: Path | None, choice: ColumnChoice) -> tables.Table:
    """Read the utterances of a file, or of a streamed one. DataError for a damaged one and as `tables.read` does."""
    import pyarrow
    from pyarrow import parquet

    if path.name == INDEX and (origin := Origin.read(path.parent)):
        return streamed_parquet.read(path, origin, choice)
    clips = embedded.ClipExtractor(clips_dir)
    rows: list[tuple[TableRow, str]] = []
    try:
        file = parquet.ParquetFile(path)
        limits.check_rows(file.metadata.num_rows, path)
        names, batch_rows = tuple(file.schema_arrow.names), _batch_rows(file)
        bytes_columns = [field.name for field in file.schema_arrow if _is_bytes_column(field.type)]
        columns = choose_columns(
            names,
            str(path),
            ColumnChoice(choice.text, choice.audio or (bytes_columns[0] if bytes_columns else None), choice.speaker),
            lambda name: _read_column(file, name, batch_rows, path) if name not in bytes_columns else (),
        )
        wanted = [name for name in names if name not in bytes_columns or name == columns.audio]
        budget = limits.CharacterBudget(path)
        for batch in file.iter_batches(batch_size=batch_rows, columns=wanted):
            for values in batch.to_pylist():
                budget.count([value for name, value in values.items() if name != columns.audio])
                rows.append(extract_audio(clips, f"{path.name} row {len(rows)}", values, columns, path.parent))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({first_line(error)}); download or save it again."
        ) from error
    if not rows:
        raise DataError(f"{path} has no rows; add one row for each recording.")
    return tables.Table(make_utterances(rows, columns, names), names, columns, notes=note_columns(names, columns))


def _batch_rows(file: Any) -> int:
    """Return how many rows to read at once, so that they fit even if each is as large as all that is stored."""
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    chunks = [group.column(column).total_uncompressed_size for group in groups for column in range(group.num_columns)]
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, *chunks, 1)))


def _read_column(file: Any, name: str, batch_rows: int, path: Path) -> list[Any]:
    """Return the values of a column. Raises DataError for more text than a table may have."""
    values: list[Any] = []
    budget = limits.CharacterBudget(path)
    for batch in file.iter_batches(batch_size=batch_rows, columns=[name]):
        values += batch.column(0).to_pylist()
        budget.count(values[-batch.num_rows :])
    return values


def count_rows(path: Path) -> int:
    """Return the number of rows of a file; 1 for a damaged one, for which `read` raises."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError):
        return 1


def _is_bytes_column(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)
