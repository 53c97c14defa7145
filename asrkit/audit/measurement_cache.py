"""What was measured of clips, so that an unchanged file is not read again: an audit goes on where it was stopped.

A file is unchanged if it has the same size, time of change and inode. What could not be read is tried again, because
its cause, such as a missing program, may have gone. Nothing is kept of visitors, because it has to go with their data.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import asrkit
from asrkit.audio.clip_stats import ClipStats
from asrkit.audio.confined import ClipSpan, Measured
from asrkit.audio.notes import AudioNote
from asrkit.data import access

logger = logging.getLogger(__name__)

FILE_NAME = ".clips.sqlite"
MAX_BYTES = 4 << 30
"""Of the file, some 20 million clips; a larger one is begun anew."""
MIN_CLIPS = 500
COMMIT_S = 1.0
CLOCK_TICK_NS = 20_000_000
"""By which the time of a file's change may lie behind the clock."""


def is_kept(num_clips: int) -> bool:
    """Whether what an audit of so many clips measures is kept."""
    return num_clips >= MIN_CLIPS and not access.is_visitor()


@contextlib.contextmanager
def open_cache(folder: Path, num_clips: int) -> Iterator[MeasurementCache | None]:
    """The cache in `folder`; None for so few clips that it is not worth while, and while a visitor acts."""
    if not is_kept(num_clips):
        yield None
        return
    with MeasurementCache(folder / FILE_NAME) as cache:
        yield cache


class MeasurementCache:
    """Measurements by file and part, in an SQLite file. Without it, if it cannot be used, all is measured again."""

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

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Measured]:
        """Return what is known, by key."""
        found: dict[bytes, Measured] = {}
        with self._without_on_error():
            if self._connection and keys:
                marks = ",".join("?" * len(keys))
                query = f"SELECT key, value FROM clips WHERE key IN ({marks})"
                found = {key: _from_json(value) for key, value in self._connection.execute(query, keys)}
        return found

    def add(self, measured: dict[bytes, Measured]) -> None:
        """Keep measurements, by key."""
        with self._without_on_error():
            if self._connection and measured:
                values = [(key, _to_json(value)) for key, value in measured.items()]
                self._connection.executemany("INSERT OR REPLACE INTO clips VALUES (?, ?)", values)
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
        except (sqlite3.Error, OSError, ValueError) as error:
            logger.warning("%s is not used, so unchanged clips are read again: %s", self.path, error)
            self._connection = None


class CachedBatch:
    """What is known of a batch of clips. missing: those to measure."""

    def __init__(self, cache: MeasurementCache | None, spans: Sequence[ClipSpan], max_decoded_s: float) -> None:
        self._cache, self._spans, self._is_decoded = cache, spans, max_decoded_s > 0
        self._begin_ns = time.time_ns() - CLOCK_TICK_NS
        self._keys = [_make_key(span, self._is_decoded) for span in spans] if cache else [None] * len(spans)
        known = cache.find([key for key in self._keys if key]) if cache else {}
        found = [known.get(key) if key else None for key in self._keys]
        self._found = [each if each and _holds_for(each, max_decoded_s) else None for each in found]
        self.missing = [span for span, each in zip(spans, self._found, strict=True) if each is None]

    def complete(self, measured: Sequence[Measured]) -> list[Measured]:
        """Return all measurements. measured: those of `missing`, which are kept."""
        rest, result, new = iter(measured), list[Measured](), dict[bytes, Measured]()
        for span, key, found in zip(self._spans, self._keys, self._found, strict=True):
            one = found or next(rest)
            result.append(one)
            # Of a file that has changed meanwhile, who knows which state was read.
            if key and not found and not one.error and key == _make_key(span, self._is_decoded, self._begin_ns):
                new[key] = one
        if self._cache:
            self._cache.add(new)
        return result


def _holds_for(measured: Measured, max_decoded_s: float) -> bool:
    """Whether a clip was decoded as far as it has to be."""
    return measured.stats is not None or not 0 < measured.duration_s <= max_decoded_s


def _make_key(span: ClipSpan, is_decoded: bool, changed_before_ns: float = float("inf")) -> bytes | None:
    """Return what identifies a part of a file in its present state; None if it is missing, or newer than that."""
    try:
        stat = os.stat(span.path)
    except (OSError, ValueError):
        return None
    if stat.st_mtime_ns >= changed_before_ns:
        return None
    state = (*span, is_decoded, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return hashlib.blake2b(repr(state).encode("utf-8", "surrogatepass"), digest_size=16, key=_digest_code()).digest()


@functools.cache
def _digest_code() -> bytes:
    """Return a digest of the code that reads and measures audio."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted((Path(asrkit.__file__).parent / "audio").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _to_json(measured: Measured) -> str:
    stats, notes = measured.stats, [(note.code, note.detail) for note in measured.notes]
    numbers = (
        (stats.duration_s, stats.sampling_rate, stats.loudest_dbfs, stats.clipped_fraction, stats.snr_db)
        if stats
        else None
    )
    return json.dumps([measured.duration_s, numbers, stats.digest.hex() if stats else "", notes])


def _from_json(value: Any) -> Measured:
    duration_s, numbers, digest, notes = json.loads(value)
    stats = None
    if numbers:
        seconds, rate, loudest_dbfs, clipped_fraction, snr_db = numbers
        stats = ClipStats(seconds, rate, loudest_dbfs, clipped_fraction, snr_db, bytes.fromhex(digest))
    return Measured(duration_s, stats, tuple(AudioNote(*note) for note in notes))
