"""Files of a dataset: text, directory listings, and audio by name."""

from __future__ import annotations

import codecs
import io
import os
from pathlib import Path, PurePath

from asrkit.data import limits
from asrkit.errors import DataError
from asrkit.sandbox import forbidden
from asrkit.units import format_binary_size

AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .aac .webm .mkv .wma .amr .3gp .aif .aiff .aifc .au .caf .w64 .sph "
    ".nist .g722 .722 .ulaw .ul .mulaw .pcmu .alaw .al .pcma".split()
)


def is_audio(path: PurePath) -> bool:
    """Return whether the file's suffix is that of an audio file."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 or, with a byte order mark, UTF-16.

    Raises DataError for another encoding, for NUL bytes and for a file above the `limits`.
    """
    size_bytes = path.stat().st_size
    if size_bytes > limits.current().text_bytes:
        raise DataError(f"{path} has {format_binary_size(size_bytes)}, too much for a table; split it up.")
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
    limits.check_text(text, path)
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
    for parent, folders, files in os.walk(folder, onerror=forbidden.note_cause):
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
