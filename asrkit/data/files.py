"""Files of a dataset: text, directory listings, audio by name, and durations."""

from __future__ import annotations

import codecs
import io
import os
from pathlib import Path

from asrkit.audio import read_duration_s
from asrkit.data import access
from asrkit.data.manifest import UNREADABLE_S
from asrkit.errors import AudioError, DataError

AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .aac .webm .mkv .wma .amr .3gp .aif .aiff .aifc .au .caf .w64 .sph "
    ".nist .g722 .722 .ulaw .ul .mulaw .pcmu .alaw .al .pcma".split()
)
MAX_TEXT_BYTES = 2 << 30
"""A larger file is not a list of recordings."""


def is_audio(path: Path) -> bool:
    """Return whether the file's suffix is that of an audio file."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 or, with a byte order mark, UTF-16.

    Raises DataError for another encoding, for NUL bytes and for a file above `MAX_TEXT_BYTES`.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_TEXT_BYTES:
        raise DataError(f"{path} has {size_bytes / 2**30:.1f} GB, too much for a table; split it up.")
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it again as UTF-8.") from error
    if "\0" in text:
        raise DataError(
            f"{path} holds NUL bytes (the first after {text.index(chr(0))} characters), so it is damaged "
            "or no text; save it again as UTF-8."
        )
    return text


def read_lines(path: Path) -> list[str]:
    r"""Read the lines of a text file, which end with \n, \r\n or \r. Raises DataError as `read_text` does.

    str.splitlines would also split at U+2028 and U+0085, which occur in texts from the web.
    """
    return list(io.StringIO(read_text(path), newline=None))


def list_files(folder: Path) -> list[Path]:
    """Return every file below `folder`, sorted, without hidden files, __MACOSX and links to folders.

    Raises DataError for a name that is not UTF-8, which neither libsndfile nor a report can handle.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    for path in found:
        try:
            str(path).encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"The file name {str(path)!r} is not UTF-8; rename the file.") from error
    return sorted(found)


def is_file(path: Path) -> bool:
    """Return whether `path` is a file; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or contains NUL
        return False


def measure_duration(file: str | Path, start_s: float = 0.0, end_s: float | None = None) -> float:
    """Return the seconds from start_s to end_s by the file's header; UNREADABLE_S for a file that is not audio."""
    try:
        file_s = read_duration_s(file)
    except AudioError:
        return UNREADABLE_S
    return max(0.0, (file_s if end_s is None else min(end_s, file_s)) - start_s)


class AudioFinder:
    """Audio files below a folder by the names that a table gives them: a path, a file name, or a name without suffix.

    A file that may not be read is not looked up, which would reveal whether it exists; `sources` refuses it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = access.ReadPolicy()
        self._files_by_name: dict[str, Path | None] | None = None

    def find(self, name: str) -> Path:
        """Return the file, or the path relative to the folder if there is none."""
        relative = name.replace("\\", "/")
        for path in (self.folder / relative, self.folder / "clips" / relative):  # Common Voice leaves out clips/
            if self.policy.allows(path) and is_file(path):
                return path
        found = self._index().get(relative.rpartition("/")[2].lower())
        return found or self.folder / relative

    def exists(self, path: Path) -> bool:
        """Return whether `path` exists, or must be treated so because it may not be looked up."""
        return not self.policy.allows(path) or is_file(path)

    def _index(self) -> dict[str, Path | None]:
        """Return the audio files by lower-case name and stem, None for one that occurs twice. Built on first use."""
        if self._files_by_name is None:
            self._files_by_name = {}
            for path in filter(is_audio, list_files(self.folder)):
                for key in (path.name.lower(), path.stem.lower()):
                    self._files_by_name[key] = None if key in self._files_by_name else path
        return self._files_by_name
