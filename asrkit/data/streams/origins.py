"""Where the clips of a streamed file come from, in a small file beside its index.

<user's cache>/asrkit-streams/OWNER--NAME-COMMIT/FILE/origin.json     `Origin`
                                                     index.parquet    all but the audio
                                                     GROUP/ROW.SUFFIX a clip, while its piece is in the cache
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from asrkit.data import embedded
from asrkit.errors import DataError
from asrkit.files import write_json
from asrkit.hub.ranges import RemoteFile
from asrkit.hub.repositories import Repository

FOLDER: Final = "asrkit-streams"
ORIGIN, INDEX = "origin.json", "index.parquet"
_MARK = f"/{FOLDER}/"
_COMMIT_CHARS, _DIGEST_CHARS, _STEM_CHARS = 12, 8, 40


@dataclass(frozen=True)
class Group:
    """A row group of a parquet file.

    start, stop: where the chunk of its audio column is. audio_bytes: of its clips, unpacked.
    """

    num_rows: int
    start: int
    stop: int
    audio_bytes: int


@dataclass(frozen=True)
class Origin:
    """A remote parquet file. audio_column: the one with the bytes of recordings."""

    file: RemoteFile
    audio_column: str
    groups: tuple[Group, ...]

    @classmethod
    def read(cls, folder: Path) -> Origin | None:
        """Read the origin of a folder; None where there is none."""
        try:
            value = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Origin:
        groups = tuple(Group(*group) for group in value["groups"])
        return cls(RemoteFile(**value["file"]), value["audio_column"], groups)

    def to_json(self) -> dict[str, Any]:
        groups = [[group.num_rows, group.start, group.stop, group.audio_bytes] for group in self.groups]
        return {"file": asdict(self.file), "audio_column": self.audio_column, "groups": groups}

    def write(self, folder: Path) -> None:
        """Write the origin, after all else of the folder: it tells that the index is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / ORIGIN, self.to_json())


def cache_root() -> Path:
    """Return the folder of all streamed data."""
    return (embedded.cache_dir() / FOLDER).absolute()


def source_folder(repository: Repository) -> Path:
    """Return the folder of a repository in its present state."""
    return cache_root() / f"{repository.name.replace('/', '--')}-{repository.commit[:_COMMIT_CHARS]}"


def file_folder(repository: Repository, path: str) -> Path:
    """Return the folder of a file of a repository."""
    digest = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()[:_DIGEST_CHARS]
    return source_folder(repository) / f"{Path(path).stem[:_STEM_CHARS]}-{digest}"


def name_group(number: int) -> str:
    return f"{number:06d}"


def piece_of(audio: str) -> str:
    """Return the folder of the piece that a streamed clip is in; empty for any other file."""
    if _MARK not in audio:
        return ""
    piece = audio[: audio.rfind("/")]
    return piece if _is_file_folder(piece[: piece.rfind("/")]) else ""


def list_origins(files: Iterable[str]) -> dict[str, Origin]:
    """Return the folder and the origin of each streamed file that these clips are from."""
    pieces = {audio[: audio.rfind("/")] for audio in files if _MARK in audio}
    found = {folder: Origin.read(Path(folder)) for folder in {os.path.dirname(piece) for piece in pieces}}
    return {folder: origin for folder, origin in sorted(found.items()) if origin}


def list_readable(files: Iterable[str]) -> Iterator[str]:
    """Yield what a reader of these clips has to be allowed: of streamed ones the folder of their source, once."""
    sources = set()
    for audio in files:
        if not (piece := piece_of(audio)):
            yield audio
        elif (source := os.path.dirname(os.path.dirname(piece))) not in sources:
            sources.add(source)
            yield source


def load_origin(folder: Path) -> Origin:
    """Return the origin of a folder, which must have one."""
    if origin := Origin.read(folder):
        return origin
    raise DataError(f"{folder / ORIGIN} is missing, so its clips cannot be fetched; start a new run on this data.")


_file_folders: set[str] = set()


def _is_file_folder(folder: str) -> bool:
    if folder not in _file_folders and os.path.exists(os.path.join(folder, ORIGIN)):
        _file_folders.add(folder)
    return folder in _file_folders
