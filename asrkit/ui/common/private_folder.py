"""A folder for as long as this process lives, in one that other users may share. Imports the standard library only."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from stat import S_ISDIR


def make_private_folder(shared: Path, prefix: str) -> Path:
    """Make a folder that only this user can open, and remove those of processes that have ended.

    Its name cannot be predicted, and nothing is followed that looks like one of ours but is a link or belongs to
    somebody else.
    """
    _remove_abandoned_folders(shared, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=shared))
    try:
        is_kept = _lock(folder) is not None and folder.exists()
    except FileNotFoundError:
        is_kept = False
    if not is_kept:  # a process that began at the same time took it for abandoned before it was locked
        return make_private_folder(shared, prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned_folders(shared: Path, prefix: str) -> None:
    """Remove folders of this user whose process has ended: nobody holds their lock."""
    for folder in shared.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another process removes it, or uses it
            stat = folder.lstat()
            if S_ISDIR(stat.st_mode) and stat.st_uid == os.getuid() and (descriptor := _lock(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """Lock a folder until this process ends; None if another process holds the lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
