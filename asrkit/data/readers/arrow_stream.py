"""The headers of an Arrow file, as `datasets` writes it: how many rows it holds, and that no buffer is compressed.

Read without Arrow, which would allocate whatever a header asks for: the rows of a compressed buffer of 10 kB may take
4 GB. `datasets` writes buffers as they are in memory, so that a table takes what its file takes.
"""

from __future__ import annotations

import struct
from pathlib import Path

from asrkit.errors import DataError

CONTINUATION = 0xFFFFFFFF
DICTIONARY, RECORD_BATCH = 2, 3  # types of messages
MAX_HEADER_BYTES = 64 << 20


def count_rows(file: Path) -> int:
    """Return the rows of an Arrow stream. Raises DataError for one that is damaged or compressed.

    Source: the Arrow columnar format, "Encapsulated message format" and Message.fbs.
    """
    num_rows, size = 0, file.stat().st_size
    try:
        with open(file, "rb") as opened:
            while (start := opened.read(4)) and (length := struct.unpack("<I", start)[0]):
                if length == CONTINUATION:  # absent in files of before 2019
                    length = struct.unpack("<I", opened.read(4))[0]
                if length == 0:
                    break
                if length > MAX_HEADER_BYTES:
                    raise ValueError("a header of that size")
                message = _Table.root(opened.read(length))
                kind, header, body = message.byte(1), message.table(2), message.integer(3)
                if kind == DICTIONARY:
                    header = header.table(1)
                if kind in (DICTIONARY, RECORD_BATCH):
                    if header.position(3):
                        raise DataError(
                            f"{file} is compressed, as `datasets` does not save; save the dataset again with it."
                        )
                    num_rows += header.integer(0) if kind == RECORD_BATCH else 0
                if body < 0 or opened.tell() + body > size:
                    raise ValueError("a body beyond the end")
                opened.seek(body, 1)
    except (struct.error, ValueError, IndexError) as error:
        raise DataError(f"{file} is no Arrow file or only a part of one; save the dataset again.") from error
    return num_rows


class _Table:
    """A table of a FlatBuffer. Source: its "Internals" page; all integers are little-endian."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content, self._start = content, start
        self._fields = start - self._unpack("<i", start)

    @classmethod
    def root(cls, content: bytes) -> _Table:
        return cls(content, struct.unpack_from("<I", content)[0])

    def position(self, field: int) -> int:
        """Return where a field is, 0 where the table lacks it."""
        if 4 + 2 * field >= self._unpack("<H", self._fields):
            return 0
        offset = self._unpack("<H", self._fields + 4 + 2 * field)
        return self._start + offset if offset else 0

    def byte(self, field: int) -> int:
        return self._content[at] if (at := self.position(field)) else 0

    def integer(self, field: int) -> int:
        """Return a field of 64 bits."""
        return self._unpack("<q", at) if (at := self.position(field)) else 0

    def table(self, field: int) -> _Table:
        """Return the table that a field refers to. Raises ValueError where it lacks it."""
        if not (at := self.position(field)):
            raise ValueError("a message without a header")
        return _Table(self._content, at + self._unpack("<I", at))

    def _unpack(self, kind: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset before the start")
        value: int = struct.unpack_from(kind, self._content, at)[0]
        return value
