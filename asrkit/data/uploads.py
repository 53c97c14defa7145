"""Uploaded files -> a new folder in the data folder, completely or not at all."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from asrkit.data import archives, confined, files
from asrkit.data.readers import parquet, tables
from asrkit.data.readers.annotations import formats
from asrkit.errors import DataError
from asrkit.files import claim_name

UPLOAD_SUFFIXES = frozenset(
    [*files.AUDIO_SUFFIXES, *tables.SUFFIXES, parquet.SUFFIX, *formats.SUFFIXES, *formats.LABEL_SUFFIXES]
)


def save_upload(files: Sequence[tuple[Path, str]], data_dir: Path) -> Path:
    """Move uploaded files, (temporary path, original name) each, into a new folder; unpack a single archive.

    Raises DataError for no files, two files of one name, an invalid name, an unsupported kind of file, and as
    `archives.unpack` does.
    """
    if not files:
        raise DataError("Nothing was uploaded; choose an archive, or recordings and their transcripts.")
    packed = [name for _, name in files if archives.is_archive(Path(name))]
    if packed and len(files) > 1:
        raise DataError(f"{packed[0]} came together with other files; upload an archive by itself.")
    if packed:
        source, name = files[0]
        return _unpack(source, sanitize_file_name(name), data_dir)
    names = [sanitize_file_name(name) for _, name in files]
    for name in names:
        if Path(name).suffix.lower() not in UPLOAD_SUFFIXES:
            raise DataError(
                f"{name} is neither a recording nor a table nor an archive; send .zip, .tar.gz, audio, "
                ".csv, .tsv, .jsonl, .xlsx, .ods, .parquet, .txt, or annotations such as .eaf and .TextGrid."
            )
        if names.count(name) > 1:
            raise DataError(f"{name} was chosen twice; pack folders with equal names into a .zip.")
    tabular = [name for name in names if Path(name).suffix.lower() in (*tables.SUFFIXES, parquet.SUFFIX)]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".receiving-", dir=data_dir) as draft:
            for (source, _), name in zip(files, names, strict=True):
                shutil.copyfile(source, Path(draft) / name)
            target = claim_name(Path(draft), folder_names(Path(tabular[0] if len(tabular) == 1 else names[0]).stem))
            Path(draft).mkdir()  # for the temporary directory to remove
    except OSError as error:
        raise DataError(f"{data_dir} cannot be written ({error.strerror or error}); free some space.") from error
    return target


def _unpack(source: Path, name: str, data_dir: Path) -> Path:
    """Unpack an archive under its original name, which messages contain."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".receiving-", dir=data_dir) as draft:
        link = Path(draft) / name
        link.symlink_to(source.absolute())
        unpacked = Path(f"{draft}-content")
        confined.unpack(link, Path(draft)).rename(unpacked)
        return claim_name(unpacked, folder_names(archives.stem(Path(name))))


def sanitize_file_name(name: str) -> str:
    """Return the last part of a path of any system. Raises DataError for an invalid file name."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1]).strip()
    if last in ("", ".", "..") or last.startswith(".") or any(unicodedata.category(c) in ("Cc", "Cs") for c in last):
        raise DataError(f"{name!r:.80} cannot name a file; rename it with letters and digits.")
    if len(last.encode()) > archives.MAX_NAME_BYTES - 20:
        raise DataError(f"{last[:40]}… is too long a name ({len(last.encode())} bytes); shorten it.")
    return last


def folder_names(stem: str) -> Iterator[str]:
    """Yield names for a folder of the data folder, made from `stem`: the first one that is free is taken."""
    plain = re.sub(r"[^\w-]+", "-", stem).strip("-")[:60] or "upload"
    return (plain if number == 1 else f"{plain}-{number}" for number in itertools.count(1))
