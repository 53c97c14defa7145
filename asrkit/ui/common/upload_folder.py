"""The folder of uploaded files. Gradio leaves partial uploads in it, which would fill the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import orjson
from gradio import route_utils
from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from asrkit.errors import DataError, QuotaError
from asrkit.ui import strings
from asrkit.ui.common.private_folder import make_private_folder
from asrkit.ui.security.paths import hide_paths
from asrkit.ui.security.quotas import owner_name
from asrkit.ui.security.storage import storage
from asrkit.ui.strings.messages import translate

UPLOAD_PATH = "/upload"
PARTIAL_PREFIX = "tmp"
PREFIX = "asrkit-uploads-"


_upload: ContextVar[str] = ContextVar("upload", default="other")
"""The upload that is being received."""


def set_upload_folder() -> None:
    """Store uploads in a new private folder, and remove the folders of apps that have ended."""
    shared = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    shared.mkdir(parents=True, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(make_private_folder(shared, PREFIX))


class UploadMiddleware:
    """ASGI middleware for uploads: checks the sender's quota, and notes whose file it is. A failed one leaves none.

    The answer to a visitor has names for the paths.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        _name_partial_files()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].rstrip("/").endswith(UPLOAD_PATH):
            return await self.app(scope, receive, send)
        length = Headers(scope=scope).get("content-length", "")
        try:
            await asyncio.to_thread(storage.check_room, int(length) if length.isdecimal() else 0)
        except QuotaError as error:
            return await PlainTextResponse(translate(str(error)), status_code=413)(scope, receive, send)
        token = _upload.set(secrets.token_hex(8))
        start: dict[str, Any] = {}
        reply: list[bytes] = []

        async def send_noting(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            reply.append(message.get("body", b""))
            if not message.get("more_body"):
                content = b"".join(reply)
                _note_files(content)
                content = hide_paths(content.decode()).encode()
                MutableHeaders(scope=start)["content-length"] = str(len(content))
                await send(start)
                await send({"type": "http.response.body", "body": content})

        try:
            await self.app(scope, receive, send_noting)  # returns once the file is complete
        finally:
            _remove_partial_files(f"{PARTIAL_PREFIX}{_upload.get()}-*")
            _upload.reset(token)


def _name_partial_files() -> None:
    """Let the names of the files that Gradio receives tell which upload they are a part of."""
    names = vars(route_utils)
    if names["NamedTemporaryFile"] is tempfile.NamedTemporaryFile:
        names["NamedTemporaryFile"] = _make_partial_file


def _make_partial_file(**options: Any) -> Any:
    return tempfile.NamedTemporaryFile(prefix=f"{PARTIAL_PREFIX}{_upload.get()}-", **options)


def _note_files(reply: bytes) -> None:
    """Note whose the files of a successful upload are: Gradio's answer is the list of their paths."""
    try:
        paths = orjson.loads(reply)
    except orjson.JSONDecodeError:  # it failed
        return
    if isinstance(paths, list):
        for path in paths:
            storage.note_file(Path(str(path)), owner_name())


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


def _remove_partial_files(pattern: str) -> None:
    # Complete files are in subfolders. A partial one is truncated first: the failed request may still have it open.
    for path in Path(get_upload_folder()).glob(pattern):
        with contextlib.suppress(OSError):  # removed already, or a folder
            os.truncate(path, 0)
            path.unlink()
