"""Random access to the bytes of a recording, and to a part of them as a file of its own."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Searchable = bytes | mmap.mmap
"""What has `find`, `rfind` and slices."""
_HEAD_BYTES = 4096
_MAX_READ_BYTES = 1 << 24


@dataclass(frozen=True)
class ByteRange:
    """`head`, and behind it the bytes from `start` to `stop` of a file or of encoded bytes."""

    source: str | Path | bytes
    start: int
    stop: int
    head: bytes = b""

    def open(self) -> io.BufferedReader:
        """Open the range as a binary file."""
        raw = io.BytesIO(self.source) if isinstance(self.source, bytes) else open(self.source, "rb")  # noqa: SIM115
        return io.BufferedReader(_RangeReader(raw, self), 1 << 16)


def source_size(source: str | Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else os.stat(source).st_size


def read_bytes(source: str | Path | bytes, start: int, count: int) -> bytes:
    """Read up to `count` bytes from the position `start`."""
    if isinstance(source, bytes):
        return source[start : start + count]
    with open(source, "rb", buffering=0) as file:
        file.seek(start)
        return file.read(count) or b""


@contextmanager
def open_reader(source: str | Path | bytes) -> Iterator[Callable[[int, int], bytes]]:
    """Yield a function (position, count) -> bytes; what is near the start is read once."""
    if isinstance(source, bytes):
        yield lambda position, count: source[position : position + count]
        return
    descriptor = os.open(source, os.O_RDONLY)
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)

        def read(position: int, count: int) -> bytes:
            if position + count <= len(head):
                return head[position : position + count]
            return os.pread(descriptor, count, position)

        yield read
    finally:
        os.close(descriptor)


@contextmanager
def searchable(source: str | Path | bytes) -> Iterator[Searchable]:
    """Read a small file; map a large one into memory, so that it can be searched without being read as a whole."""
    if isinstance(source, bytes):
        yield source
        return
    if (size := source_size(source)) <= _MAX_READ_BYTES:
        yield read_bytes(source, 0, size)
        return
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


class _RangeReader(io.RawIOBase):
    def __init__(self, file: io.BufferedIOBase, part: ByteRange) -> None:
        self._file, self._part, self._at = file, part, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        length = len(self._part.head) + self._part.stop - self._part.start
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: length}[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        part, head = self._part, self._part.head
        if self._at < len(head):
            data = head[self._at : self._at + len(view)]
        else:
            position = part.start + self._at - len(head)
            self._file.seek(position)
            data = self._file.read(max(0, min(len(view), part.stop - position)))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
