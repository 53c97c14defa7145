"""Clips that are only bytes in a table (parquet, `datasets`): written to files, named by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.data import access, limits
from asrkit.data.audio_finder import find_in_any_form
from asrkit.errors import DataError
from asrkit.files import renew, write_atomic
from asrkit.units import format_binary_size

_MAGIC = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff", ".mp3"))


class ClipLimitError(DataError):
    """The recordings of a table are more than may be written."""


def cache_dir() -> Path:
    """Return the user's cache folder for clips of tables and unpacked archives; for a visitor, in their own folder."""
    if access.is_visitor():
        return access.visitor_cache()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asrkit"


class ClipExtractor:
    """Writes clips to files in `folder`, which is in the user's cache by default."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = (folder or cache_dir() / "clips").absolute()
        self._policy, self._bytes_left = access.ReadPolicy(), limits.current().clip_bytes

    def extract(self, value: Any, column: str, folder: Path) -> str:
        """Return the file of `value`, which is {"bytes", "path"}, bytes, or a path, relative to `folder`.

        Raises DataError, naming the column, for any other value.
        """
        if isinstance(value, Mapping):
            content, path = value.get("bytes"), value.get("path")
        else:
            content, path = (value, None) if isinstance(value, bytes) else (None, value)
        if content:
            return str(self._write(content, Path(path or "").suffix))
        # A path that may not be read is not looked up: `sources` refuses it, whether it exists or not.
        if isinstance(path, str) and path:
            file = folder / path
            if not self._policy.allows(file):
                return os.path.abspath(file)
            if found := find_in_any_form(folder, path):
                return os.path.abspath(found)
        raise DataError(
            f"{column} holds neither the bytes of a recording nor the path of a file that exists "
            f"({str(path)[:60]!r}); choose the audio column with audio_column, or save the dataset with its audio."
        )

    def _write(self, content: bytes, suffix: str) -> Path:
        """Write the clip atomically, unless its file exists. Raises DataError for more bytes than the limit."""
        suffix = suffix or next((ending for magic, ending in _MAGIC if content.startswith(magic)), ".audio")
        path = self.folder / f"{hashlib.sha1(content, usedforsecurity=False).hexdigest()[:20]}{suffix}"
        if not renew(path):
            self._bytes_left -= len(content)
            if self._bytes_left < 0:
                limit = format_binary_size(limits.current().clip_bytes)
                raise ClipLimitError(f"The table holds more than {limit} of recordings; split it up.")
            self.folder.mkdir(parents=True, exist_ok=True)
            with write_atomic(path, sync=False) as file:
                file.write(content)
        return path
