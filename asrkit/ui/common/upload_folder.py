"""The folder of uploaded files. Gradio leaves partial uploads in it, which would fill the disk."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from gradio.utils import get_upload_folder

from asrkit.errors import DataError
from asrkit.ui import strings

UPLOAD_PATH = "/upload"
PREFIX = "asrkit-uploads-"


def set_upload_folder() -> None:
    """Store uploads in a new folder that only this user can open, and remove the folders of apps that have ended.

    It is in the folder for temporary files, which other users may share: its name cannot be predicted, and nothing is
    followed that looks like one of ours but is a link or belongs to somebody else.
    """
    shared = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    shared.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_folders(shared)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=shared))
    _lock(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _remove_abandoned_folders(shared: Path) -> None:
    """Remove upload folders of this user whose app has ended: nobody holds their lock."""
    for folder in shared.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another app removes it, or uses it
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


class UploadMiddleware:
    """ASGI middleware that removes partial uploads whenever the last running upload ends."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._num_running = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].rstrip("/").endswith(UPLOAD_PATH):
            return await self.app(scope, receive, send)
        self._num_running += 1
        try:
            await self.app(scope, receive, send)  # returns once the file is complete
        finally:
            self._num_running -= 1
            if not self._num_running:
                _remove_partial_uploads()


def check_uploaded(path: Any, max_bytes: int | None = None) -> Path:
    """Return the path of an uploaded file. Raises DataError for any other file, and for one above `max_bytes`."""
    folder, checked = Path(get_upload_folder()).resolve(), Path(str(path)).resolve()
    try:
        size = checked.stat().st_size if checked.is_relative_to(folder) and checked.is_file() else None
    except OSError:
        size = None
    if size is None:
        raise DataError(strings.text("common.not_uploaded"))
    if max_bytes is not None and size > max_bytes:
        raise DataError(strings.text("common.too_large", limit=f"{max_bytes / 1e6:.0f}"))
    return checked


def _remove_partial_uploads() -> None:
    # Complete files are in subfolders. A partial one is truncated first: the failed request may still have it open.
    for path in Path(get_upload_folder()).glob("tmp*"):
        with contextlib.suppress(OSError):  # removed already, or a folder
            os.truncate(path, 0)
            path.unlink()
