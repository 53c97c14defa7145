"""Whether the files of a dataset have changed since it was read, judged by its folders alone: no file is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asrkit.data.layouts import BUILT_IN
from asrkit.data.readers import spreadsheets
from asrkit.errors import DataError


@dataclass(frozen=True)
class Fingerprint:
    """The state of these files, and of all files in these folders: names, sizes, times and inodes.

    changed_at: when the last of them was changed, in Unix seconds.
    """

    files: list[str]
    folders: list[str]
    digest: str
    changed_at: float

    @classmethod
    def of(cls, paths: Iterable[Path], folders: Iterable[str] = ()) -> Self:
        """Return the present state of datasets, which are files or folders, and of the folders of their recordings."""
        files, all_folders = [], set(folders)
        for path in paths:
            if path.is_dir():
                all_folders.update(_walk(str(path)))
            else:
                files.append(str(path))
        states = list(_iter_states(sorted(files), sorted(all_folders)))
        changed_at = max((mtime_ns for _, _, mtime_ns, _ in states), default=0) / 1e9
        return cls(sorted(files), sorted(all_folders), _digest(states), changed_at)

    def is_current(self) -> bool:
        """Return whether all files are still in this state."""
        return _digest(_iter_states(self.files, self.folders)) == self.digest


def locate(data: str) -> Path:
    """Return the file or folder of a dataset on this machine. Raises DataError for a name that no file can have."""
    try:
        path = (BUILT_IN.get(data) or Path(data).expanduser()).absolute()
        return spreadsheets.split_sheet_name(path)[0]
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"There is no data at {data!r:.200} ({error}).") from error


def _walk(folder: str) -> Iterator[str]:
    """Yield a folder and those in it that readers look into."""
    for parent, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent


State = tuple[str, int, int, int]
"""Path, size in bytes, time of the last change in nanoseconds, and inode; of folders and missing files the path."""


def _iter_states(files: Iterable[str], folders: Iterable[str]) -> Iterator[State]:
    for file in files:
        try:
            yield _make_state(file, os.stat(file))
        except OSError:
            yield file, 0, 0, 0
    for folder in folders:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            entries = []
        for entry in entries:
            try:
                if entry.name.startswith("."):
                    continue
                # What is in a folder counts where readers look into it.
                yield (entry.path, 0, 0, 0) if entry.is_dir() else _make_state(entry.path, entry.stat())
            except OSError:  # a link to nothing
                yield entry.path, 0, 0, 0


def _make_state(path: str, stat: os.stat_result) -> State:
    return path, stat.st_size, stat.st_mtime_ns, stat.st_ino


def _digest(states: Iterable[State]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for state in states:
        digest.update(repr(state).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
