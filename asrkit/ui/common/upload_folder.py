"""The folder of uploaded files. Gradio leaves partial uploads in it, which would fill the disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from asrkit.errors import DataError
from asrkit.ui import strings

UPLOAD_PATH = "/upload"


def set_upload_folder(port: int) -> None:
    """Store uploads in a folder that no other program uses, and remove partial uploads of an earlier app from it.

    It is in the folder for temporary files, which other programs may share.
    """
    shared = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    os.environ["GRADIO_TEMP_DIR"] = str(Path(shared, f"asrkit-{os.getuid()}-{port}"))
    _remove_partial_uploads()


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
