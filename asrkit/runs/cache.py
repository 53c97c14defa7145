"""The operator's cache on the disk: bounded by the time since something was used, and by size.

It holds clips of tables and unpacked archives (`data.embedded`), graphs of models (`transcription.acceleration`), and
what asrkit has fetched from the Hub. All of it
can be made or fetched again, but a run reads its clips where its manifest says, so what manifests name stays.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from asrkit.data import embedded, manifest
from asrkit.data.manifest import Column
from asrkit.errors import AsrkitError, DataError
from asrkit.hub import credentials
from asrkit.runs.store import RunStore

MIN_IDLE_S = 24 * 3600.0
"""What was used less long ago stays: whoever has loaded it may be about to start a run on it."""
TRIMMED_EVERY_S = 3600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A clip, an unpacked archive or a repository. used_at: in Unix seconds."""

    path: Path
    size_bytes: int
    used_at: float


def trim(store: RunStore, max_bytes: int, max_age_s: float, includes_hub: bool = False) -> list[Path]:
    """Delete what was not used for `max_age_s`, and of the rest the least recently used above `max_bytes` in all.

    includes_hub: whether what asrkit has fetched from the Hub counts. Returns what was deleted.
    """
    entries, now = sorted(_iter_entries(includes_hub), key=lambda entry: entry.used_at), time.time()
    excess = sum(entry.size_bytes for entry in entries) - max_bytes
    idle = [entry for entry in entries if now - entry.used_at > MIN_IDLE_S]
    if not idle or (excess <= 0 and now - idle[0].used_at <= max_age_s):
        return []
    used, deleted = _find_used(store, {str(entry.path) for entry in idle}), []
    for entry in idle:
        if (now - entry.used_at > max_age_s or excess > 0) and str(entry.path) not in used:
            _delete(entry.path)
            excess -= entry.size_bytes
            deleted.append(entry.path)
    return deleted


def trim_forever(store: RunStore, max_bytes: int, max_age_s: float, includes_hub: bool) -> None:
    """Trim the cache once an hour. A failure is logged, and the next hour tries again."""
    while True:
        time.sleep(TRIMMED_EVERY_S)
        try:
            deleted = trim(store, max_bytes, max_age_s, includes_hub)
        except (AsrkitError, OSError):
            logger.exception("The cache could not be trimmed.")
        else:
            if deleted:
                logger.info("%d entries of the cache were deleted.", len(deleted))


def _iter_entries(includes_hub: bool) -> Iterator[Entry]:
    root = embedded.cache_dir().absolute()
    for folder in (root / "clips", root / "unpacked", root / "graphs"):
        yield from _iter_folder(folder)
    if includes_hub:
        for kind in ("dataset", "model"):
            fetched = credentials.home_dir(kind) / "asrkit"
            for entry in _iter_folder(credentials.cache_dir(kind).absolute(), f"{kind}s--"):
                if (fetched / entry.path.name).is_dir():
                    yield entry


def _iter_folder(folder: Path, prefix: str = "") -> Iterator[Entry]:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(prefix)]
    except OSError:  # nothing is cached yet
        return
    for name in names:
        try:
            yield _measure(folder / name)
        except OSError:  # deleted meanwhile
            continue


def _measure(path: Path) -> Entry:
    """Measure a file, or a folder with its files; no link is followed.

    Reading a file sets its st_atime, where the disk is mounted so; `files.renew` sets st_mtime, of a folder too.
    """
    own = path.lstat()
    if not S_ISDIR(own.st_mode):
        return Entry(path, own.st_size, max(own.st_atime, own.st_mtime))
    stats = [os.lstat(os.path.join(parent, name)) for parent, _, names in os.walk(path) for name in names]
    used_at = max([own.st_mtime, *(max(stat.st_atime, stat.st_mtime) for stat in stats)])
    return Entry(path, sum(stat.st_size for stat in stats), used_at)


def _find_used(store: RunStore, paths: set[str]) -> set[str]:
    """Return which of the paths the manifests of the runs name, or something in them."""
    return {parent for audio in _iter_audio(store) for parent in _iter_parents(audio) if parent in paths}


def _iter_audio(store: RunStore) -> Iterable[str]:
    for run in store.all():
        for split in ("train", "eval"):
            try:
                yield from set(Column("audio", manifest.read(run.manifest_path(split))))
            except DataError as error:  # it has none, or one with which it cannot go on
                logger.debug("The cache is trimmed without the manifest of run %s: %s", run.id, error)


def _iter_parents(path: str) -> Iterator[str]:
    yield path
    while (parent := os.path.dirname(path)) != path:
        yield (path := parent)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
