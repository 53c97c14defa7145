"""Clips that are only bytes in a table (parquet, `datasets`): written to a file, named by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.data import access
from asrkit.errors import DataError

_MAGIC = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff", ".mp3"))


def cache_dir() -> Path:
    """The user's cache for what was taken out of tables and archives."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asrkit"


class Clips:
    """Where such bytes become files. folder: the user's cache by default."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = (folder or cache_dir() / "clips").absolute()
        self._gate = access.Gate()

    def file_of(self, value: Any, where: str, column: str) -> str:
        """The file of `value`, which is {"bytes", "path"}, bytes, or a path. Raises DataError for anything else."""
        if isinstance(value, Mapping):
            content, path = value.get("bytes"), value.get("path")
        else:
            content, path = (value, None) if isinstance(value, bytes) else (None, value)
        if content:
            return str(self._write_once(content, Path(path or "").suffix))
        # What may not be read is not looked for: `sources` refuses it, whether it is there or not.
        if isinstance(path, str) and (not self._gate.opens(Path(path)) or os.path.isfile(path)):
            return os.path.abspath(path)
        raise DataError(
            f"{where}: {column} holds neither the bytes of a recording nor the path of a file that exists "
            f"({str(path)[:60]!r}); choose the audio column with audio_column, or save the dataset with its audio."
        )

    def _write_once(self, content: bytes, suffix: str) -> Path:
        """A second call finds it; written whole or not at all."""
        suffix = suffix or next((ending for magic, ending in _MAGIC if content.startswith(magic)), ".audio")
        path = self.folder / f"{hashlib.sha1(content, usedforsecurity=False).hexdigest()[:20]}{suffix}"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            partial.write_bytes(content)
            os.replace(partial, path)
        return path
