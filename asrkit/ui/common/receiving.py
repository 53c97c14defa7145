"""The parts of uploads that broke off: Gradio leaves them in its folder, where they would fill the disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from asrkit.errors import DataError
from asrkit.ui import strings

UPLOAD = "/upload"


def own_folder(port: int) -> None:
    """From now on uploads lie in a folder that no other app on this machine has; parts in it are of nobody. It lies in
    the one for temporary files, which may be another program's too."""
    shared = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    os.environ["GRADIO_TEMP_DIR"] = str(Path(shared, f"asrkit-{os.getuid()}-{port}"))
    _remove_parts()


class Receiving:
    """ASGI middleware: when no upload is under way, what lies there in part is removed."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._under_way = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].rstrip("/").endswith(UPLOAD):
            return await self.app(scope, receive, send)
        self._under_way += 1
        try:
            await self.app(scope, receive, send)  # until a whole file is at its place
        finally:
            self._under_way -= 1
            if not self._under_way:
                _remove_parts()


def check_uploaded(path: Any, max_bytes: int | None = None) -> Path:
    """Return the path of a file that was uploaded to this app. Raises DataError for any other, and a larger one."""
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


def _remove_parts() -> None:
    """Whole files lie in folders of their own. A part is emptied first: whatever failed may still have it open."""
    for path in Path(get_upload_folder()).glob("tmp*"):
        with contextlib.suppress(OSError):  # gone already, or a folder
            os.truncate(path, 0)
            path.unlink()
