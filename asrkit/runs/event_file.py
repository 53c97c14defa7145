"""An append-only file of event lines: written whole or not at all by one process, read by others while it grows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from asrkit.runs.events import Event, is_train_line

BLOCK_BYTES = 65_536


class EventFile:
    """A file with one event a line. A missing file has no events."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Return the size in bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, line: bytes) -> None:
        """Append one line, whole or not at all. It is handed to the system when this returns.

        OSError if the disk is full or cannot be written.
        """
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size, written = os.fstat(descriptor).st_size, 0
            try:
                while written < len(line):
                    written += os.write(descriptor, line[written:])
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def repair(self) -> None:
        """Cut off a half-written last line, so that the next event gets a line of its own."""
        with contextlib.suppress(FileNotFoundError), open(self.path, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                begin = max(0, end - BLOCK_BYTES)
                file.seek(begin)
                if newline := file.read(end - begin).rfind(b"\n") + 1:
                    file.truncate(begin + newline)
                    return
                end = begin
            file.truncate(0)

    def read(self, after: int = 0, limit_bytes: int | None = None, skim: bool = False) -> tuple[list[Event], int]:
        """Read the events from byte offset `after`; return them and the offset to continue from.

        A half-written last line is left for later. If the file is shorter than `after`, another file has replaced it,
        and reading starts again at 0. skim: of consecutive `train` events, read only the last and those with a number
        that is not finite, for readers that do not need the curves.
        """
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = after if after <= size else 0
                file.seek(start)
                block = file.read(-1 if limit_bytes is None else limit_bytes)
        except FileNotFoundError:
            return [], 0
        complete = block.rfind(b"\n") + 1
        if not complete and len(block) < size - start:  # one line is longer than the limit
            return self.read(start, 4 * len(block) + 4096, skim)
        lines = _split_lines(block[:complete], start)
        chosen = _skim(lines) if skim else lines
        return [event for offset, line in chosen if (event := Event.from_line(line, offset))], start + complete

    def read_last(self, size_bytes: int = BLOCK_BYTES, since: int = 0) -> list[Event]:
        """Read the events in the last `size_bytes`, or in more if the last event is longer. Starts at byte `since`."""
        length = self.size()
        while True:
            events = self.read(after=max(since, length - size_bytes))[0] if since < length else []
            if events or size_bytes >= length - since:
                return events
            size_bytes *= 4


def _split_lines(block: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) for each line of a block that begins at byte `offset` of its file."""
    # Not splitlines: a transcript may contain U+2028, which JSON leaves unescaped.
    for line in block.split(b"\n"):
        yield offset, line
        offset += len(line) + 1


def _skim(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Drop `train` events that are followed by another one. Those with a null are kept."""
    pending = None
    for offset, line in lines:
        if is_train_line(line):
            if b": null" in line:
                yield offset, line
                pending = None
            else:
                pending = offset, line
        elif line:
            if pending:
                yield pending
                pending = None
            yield offset, line
    if pending:
        yield pending
