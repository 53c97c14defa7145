"""Write files and directories atomically, and report disk errors in one sentence."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from asrkit.errors import RunError

FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Begin a formula, as some programs read them also in full width."""

RENEWED_EVERY_S = 24 * 3600.0
"""How exactly the time of what is in a cache tells when it was last used."""


@contextlib.contextmanager
def write_atomic(path: Path, *, mode: int = 0o644, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` if the block succeeds, and is deleted if it raises.

    Readers find the old file or the new one, never a part. sync: the content is on the disk before the file gets its
    name, so that the same holds after a power failure; False for files that can be made again.
    OSError if the disk is full or the folder cannot be written.
    """
    # Cut, because a name that is as long as names may be leaves no room for the draft's.
    handle, draft = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(draft, mode)  # mkstemp's files are private
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    with write_atomic(path) as file:
        file.write(text.encode("utf-8"))


def renew(path: Path) -> bool:
    """Return whether a file or folder of a cache exists; if so, let its time tell that it is used (once a day)."""
    try:
        if time.time() - path.stat().st_mtime > RENEWED_EVERY_S:
            os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # belongs to somebody else, or cannot be written: it is there
        return True
    return True


def disarm_formula(text: str) -> str:
    """Return the text of a CSV cell so that no spreadsheet program takes it for a formula, which it would carry out.

    Only for tables that people open: read back, the text would have the apostrophe that this puts before it.
    """
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) or text.startswith(("\t", "\r", "\n")) else text


@contextlib.contextmanager
def replace_directory(target: Path) -> Iterator[Path]:
    """Make a draft directory that replaces `target` if the block succeeds, and is deleted if it raises."""
    draft = target.with_name(f".{target.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        yield draft
        commit_directory(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def commit_directory(draft: Path, target: Path) -> None:
    """Rename a finished draft to `target`, after its files are on the disk."""
    for path in draft.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    restore_directory(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.rename(target, previous_path(target))
    os.rename(draft, target)
    shutil.rmtree(previous_path(target), ignore_errors=True)


def claim_name(draft: Path, names: Iterable[str]) -> Path:
    """Rename a finished draft directory to the first of `names` that is free beside it, and return its new path.

    If no name is free, the directory with the last name is returned instead. Names are tried by renaming, because
    another process may claim one at any moment.
    """
    draft.chmod(0o755)  # tempfile's directories are private
    for target in map(draft.with_name, names):
        if target.exists():
            continue
        try:
            os.rename(draft, target)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    return target


def restore_directory(target: Path) -> None:
    """Restore the old directory if the process was killed between two renames; else delete the one set aside."""
    old = previous_path(target)
    if old.exists() and not target.exists():
        os.rename(old, target)
    shutil.rmtree(old, ignore_errors=True)


def remove_directory(target: Path) -> None:
    """Delete a directory. It is renamed first, so that a kill leaves no half of it under its name."""
    removed = target.with_name(f".{target.name}-gone")
    shutil.rmtree(removed, ignore_errors=True)
    os.rename(target, removed)
    shutil.rmtree(removed)


def previous_path(target: Path) -> Path:
    """Return the path of the old directory while the new one gets its name."""
    return target.with_name(f".{target.name}-old")


@contextlib.contextmanager
def readable_disk_errors(where: Path) -> Iterator[None]:
    """Turn errors of a full or read-only disk into a RunError with one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"The disk that holds {where} is full; free some space and start again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR):
            raise RunError(f"{where} cannot be written ({error.strerror}); choose another --runs-dir.") from error
        raise


def free_bytes(where: Path) -> int:
    """Return the free bytes on the disk that holds `where` or its nearest existing parent."""
    while not where.exists() and where != where.parent:
        where = where.parent
    return shutil.disk_usage(where).free
