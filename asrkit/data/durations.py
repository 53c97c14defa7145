"""The lengths of recordings by their headers. Those of unchanged files are remembered while a dataset is read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from asrkit.audio import read_duration_s
from asrkit.data import access, embedded
from asrkit.data.file_cache import CLOCK_TICK_NS, FileCache, identify_state
from asrkit.data.manifest import UNREADABLE_S
from asrkit.errors import AudioError
from asrkit.sandbox import forbidden

FILE_NAME = "durations.sqlite"
"""In the user's cache."""
MIN_FILES = 500
"""Of which a dataset has to have more to be remembered."""
MAX_PENDING = 1_000
"""New durations that are kept at once."""


class DurationCache:
    """Durations by the state of their file. num_files: that were looked up."""

    def __init__(self, known: FileCache) -> None:
        self.num_files = 0
        self._known = known
        self._new: dict[bytes, str] = {}
        self._looked_up: dict[str, tuple[bytes | None, str | None]] = {}

    def look_up(self, files: Iterable[str]) -> None:
        """Look up together what is known of files that are measured next: one by one that takes as long as the rest."""
        self._looked_up = self._find(files)

    def measure(self, file: str) -> float:
        """Do what `measure_duration` does."""
        self.num_files += 1
        before_ns = time.time_ns() - CLOCK_TICK_NS
        key, found = (self._looked_up if file in self._looked_up else self._find([file])).pop(file)
        if found:
            return float(found)
        seconds = _read(file)
        if key and seconds >= 0 and key == identify_state(file, changed_before_ns=before_ns):
            self._new[key] = repr(seconds)
            if len(self._new) >= MAX_PENDING:
                self.keep()
        return seconds

    def _find(self, files: Iterable[str]) -> dict[str, tuple[bytes | None, str | None]]:
        """Return the key of each file, and the seconds that are known of it."""
        keys = {file: identify_state(file) for file in files}
        found = self._known.find([key for key in keys.values() if key])
        return {file: (key, found.get(key) if key else None) for file, key in keys.items()}

    def keep(self) -> None:
        """Keep the new durations of a large dataset."""
        if self.num_files >= MIN_FILES:
            self._known.add(self._new)
            self._known.commit()
            self._new = {}


_cache: ContextVar[DurationCache | None] = ContextVar("durations", default=None)


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Do not read the headers of unchanged files in this context again; nothing is kept of visitors."""
    if access.is_visitor():
        yield
        return
    with FileCache(embedded.cache_dir() / FILE_NAME) as known:
        durations = DurationCache(known)
        token = _cache.set(durations)
        try:
            yield
            durations.keep()
        finally:
            _cache.reset(token)


def measure_duration(file: str | Path) -> float:
    """Return the seconds of a recording by its header; UNREADABLE_S for a file that is not audio."""
    known = _cache.get()
    return known.measure(str(file)) if known else _read(file)


def _read(file: str | Path) -> float:
    try:
        return read_duration_s(file)
    except AudioError:
        return UNREADABLE_S
    except PermissionError:
        forbidden.note(file)
        return UNREADABLE_S


class PartDurations:
    """The lengths of parts of recordings, by the headers of their files, each of which is read once."""

    def __init__(self) -> None:
        self._file_s = cache(measure_duration)

    @staticmethod
    def look_up(files: Iterable[str]) -> None:
        """Look up together what is known of files that are measured next."""
        if known := _cache.get():
            known.look_up(files)

    def measure(self, file: str | Path, start_s: float = 0.0, end_s: float | None = None) -> float:
        """Return the seconds from start_s to end_s that the file has; UNREADABLE_S for a file that is not audio."""
        file_s = self._file_s(file)
        return file_s if file_s < 0 else max(0.0, (file_s if end_s is None else min(end_s, file_s)) - start_s)
