"""The row groups of a parquet file: where their columns are, and their clips as files. For confined processes."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.data.streams.origins import Group, name_group
from asrkit.errors import AudioError, DataError, first_line

TAIL = struct.Struct("<I4s")
"""The end of a parquet file: the length of the footer before it, and a magic number."""
MAGIC = b"PAR1"
MAX_FOOTER_BYTES = 256 << 20
MAX_GAP_BYTES = 1 << 12
"""Between spans that are fetched at once."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class FileLayout:
    """audio_column: the one with recordings; empty if there is none. others: (start, stop) of all other columns."""

    audio_column: str
    groups: tuple[Group, ...]
    others: tuple[tuple[int, int], ...]


def read_layout(path: Path, audio_column: str) -> FileLayout:
    """Find the columns of a file of which nothing but the footer needs to be there.

    audio_column: as chosen by the user; empty for the first one that holds bytes. DataError for a damaged footer.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        metadata, schema = file.metadata, file.schema_arrow
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet ({first_line(error)}); it is damaged on the Hub.") from error
    bytes_columns = {field.name: leaf for field in schema if (leaf := bytes_leaf(field))}
    chosen = next((name for name in bytes_columns if name.lower() == audio_column.lower()), "")
    audio = chosen if audio_column else next(iter(bytes_columns), "")
    groups, others = [], []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        spans = {column.path_in_schema: _find_span(column) for column in columns}
        if audio:
            leaf = bytes_columns[audio]
            size = next(column.total_uncompressed_size for column in columns if column.path_in_schema == leaf)
            groups.append(Group(group.num_rows, *spans[leaf], size))
        others += [span for name, span in spans.items() if name not in bytes_columns.values()]
    return FileLayout(audio, tuple(groups), tuple(_join_spans(others)))


def extract_clips(shard: Path, index: Path, audio_column: str, group: int, folder: Path) -> int:
    """Write each recording of a row group to a file of its own, named by its row; return how many there are.

    shard: has the audio column of the group. index: all other columns. AudioError for a damaged group, DataError where
    a file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(shard)
        leaf = bytes_leaf(file.schema_arrow.field(audio_column))
        names = name_clips(parquet.ParquetFile(index), audio_column, group)
        row = 0
        for batch in file.iter_batches(batch_size=16, row_groups=[group], columns=[leaf]):
            for value in batch.column(0).to_pylist():
                content = value.get("bytes") if isinstance(value, dict) else value
                if content:
                    (folder / names[row]).write_bytes(content)
                row += 1
    except (pyarrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise DataError(f"The clips of {shard.parent} cannot be written ({first_line(error)}).") from error
        raise AudioError(f"Row group {group} of a streamed file is damaged ({first_line(error)}).") from error
    return row


def name_clips(index: Any, audio_column: str, group: int) -> list[str]:
    """Return the file name of each row of a group. index: a ParquetFile with all columns but the audio."""
    num_rows = index.metadata.row_group(group).num_rows
    leaves = {index.metadata.row_group(group).column(n).path_in_schema for n in range(index.metadata.num_columns)}
    paths: list[Any] = [None] * num_rows
    if f"{audio_column}.path" in leaves:
        column = index.read_row_group(group, columns=[f"{audio_column}.path"]).column(0)
        paths = [value and value.get("path") for value in column.to_pylist()]
    return [f"{row:06d}{_suffix(path)}" for row, path in enumerate(paths)]


def clip_path(folder: Path, group: int, name: str) -> str:
    """Return the path of a clip of the streamed file in `folder`."""
    return f"{folder}/{name_group(group)}/{name}"


def bytes_leaf(field: Any) -> str:
    """Return the path in the schema of what holds the bytes of recordings in a column; empty if nothing does."""
    from pyarrow import types

    if types.is_struct(field.type):
        names = [field.type.field(number).name for number in range(field.type.num_fields)]
        return f"{field.name}.bytes" if "bytes" in names else ""
    return field.name if types.is_binary(field.type) or types.is_large_binary(field.type) else ""


def _find_span(column: Any) -> tuple[int, int]:
    starts = [start for start in (column.dictionary_page_offset, column.data_page_offset) if start]
    return min(starts), min(starts) + column.total_compressed_size


def _join_spans(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, neighbours as one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1] + MAX_GAP_BYTES:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def _suffix(path: Any) -> str:
    suffix = Path(path).suffix if isinstance(path, str) else ""
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else ".audio"
