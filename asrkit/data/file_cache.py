"""What was found out about files, by their state, so that an unchanged file is not read again.

A file is unchanged if it has the same size, time of change and inode.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import asrkit

logger = logging.getLogger(__name__)

MAX_BYTES = 4 << 30
"""Of a cache; a larger one is begun anew."""
COMMIT_S = 1.0
CLOCK_TICK_NS = 20_000_000
"""By which the time of a file's change may lie behind the clock."""


class FileCache:
    """Texts by key (`identify_state`), in an SQLite file. Where that cannot be used, nothing is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._committed_at = time.monotonic()
        with self._without_on_error():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > MAX_BYTES:
                path.unlink()
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                path.unlink()  # damaged
                self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet."""
        self.commit()
        with self._without_on_error():
            if self._connection:
                self._connection.close()
        self._connection = None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return what is known, by key."""
        with self._without_on_error():
            if self._connection and keys:
                marks = ",".join("?" * len(keys))
                query = f"SELECT key, value FROM clips WHERE key IN ({marks})"
                return dict(self._connection.execute(query, keys).fetchall())
        return {}

    def add(self, values: Mapping[bytes, str]) -> None:
        """Keep values by key."""
        with self._without_on_error():
            if self._connection and values:
                self._connection.executemany("INSERT OR REPLACE INTO clips VALUES (?, ?)", values.items())
                if time.monotonic() - self._committed_at > COMMIT_S:
                    self.commit()

    def commit(self) -> None:
        """Write what is not written yet, and let others write."""
        with self._without_on_error():
            if self._connection:
                self._connection.commit()
                self._committed_at = time.monotonic()

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE IF NOT EXISTS clips (key BLOB PRIMARY KEY, value TEXT) WITHOUT ROWID")

    @contextlib.contextmanager
    def _without_on_error(self) -> Iterator[None]:
        """Go on without the cache where its file cannot be read or written."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            logger.warning("%s is not used, so unchanged clips are read again: %s", self.path, error)
            self._connection = None


def identify_state(path: str, about: object = None, changed_before_ns: float = float("inf")) -> bytes | None:
    """Return a key for what is found out `about` a file in its present state; None if it is missing or newer than that.

    Of a file that has changed since it was read, or in the same moment, nobody knows which state was read: call it
    before, and again with that time (less `CLOCK_TICK_NS`), and keep the result only if both keys are the same.
    """
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.st_mtime_ns >= changed_before_ns:
        return None
    state = repr((path, about, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return hashlib.blake2b(state.encode("utf-8", "surrogatepass"), digest_size=16, key=_digest_code()).digest()


@functools.cache
def _digest_code() -> bytes:
    """Return a digest of the code that reads and measures audio."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted((Path(asrkit.__file__).parent / "audio").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
