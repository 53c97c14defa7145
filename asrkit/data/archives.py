"""Untrusted zip and tar archives -> a new folder, completely or not at all, and nothing outside it.

An archive is refused if it contains a path that leads out of it, a link, a device, a name with control characters, a
password, more files than a corpus has, or more bytes than fit on the disk. Nothing is left behind then.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Self

from asrkit.data import access
from asrkit.errors import DataError
from asrkit.files import claim_name

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_FILES = 500_000
MAX_BYTES = 400 * 2**30
MAX_VISITOR_FILES, MAX_VISITOR_BYTES = 100_000, 2 << 30
SPARE_BYTES = 1 << 30  # of the disk, left free
BOMB_RATIO = 500  # unpacked to packed size, above BOMB_FLOOR bytes; audio and transcripts compress less
BOMB_FLOOR = 64 << 20
MAX_NAME_BYTES = 255  # of one part of a path
MAX_DEPTH = 30
MAX_HEADER_BYTES = 1 << 20  # of a long name or other metadata that tar stores beside a member
_COPY_BYTES = 1 << 20
_ZIP_UTF8_FLAG = 0x800
_IGNORED_NAMES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass
class Budget:
    """What one reading of a dataset may unpack, from archives within archives too; `discard` removes all of it.

    packed_bytes: of the outermost archives. folders: what is unpacked, `made` of them in this reading.
    """

    packed_bytes: int = 0
    written_bytes: int = 0
    num_files: int = 0
    folders: list[Path] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)

    def begin(self, archive: Path) -> None:
        """Count an archive that is about to be unpacked. Raises OSError for one that is gone."""
        if not any(archive.is_relative_to(folder) for folder in self.folders):
            self.packed_bytes += archive.stat().st_size

    def count_file(self, archive: str) -> None:
        """Raise DataError for one file too many."""
        self.num_files += 1
        limit = MAX_VISITOR_FILES if access.is_visitor() else MAX_FILES
        if self.num_files > limit:
            raise DataError(f"{archive} holds more than {limit:,} files; split it into several datasets.")

    def count_bytes(self, num_bytes: int, archive: str) -> None:
        """Raise DataError for more bytes than recordings of this packed size have."""
        self.written_bytes += num_bytes
        if self.written_bytes > max(BOMB_FLOOR, self.packed_bytes * BOMB_RATIO):
            raise DataError(
                f"{archive} unpacks to more than {BOMB_RATIO} times its size, which no recordings do; it was not "
                "unpacked."
            )
        if access.is_visitor() and self.written_bytes > MAX_VISITOR_BYTES:
            raise DataError(
                f"{archive} unpacks to more than the {MAX_VISITOR_BYTES >> 30} GB that visitors may unpack; send a "
                "smaller one."
            )

    def discard(self) -> None:
        """Remove what was unpacked."""
        for folder in self.made:
            shutil.rmtree(folder, ignore_errors=True)
        self.made.clear()


@dataclass(frozen=True)
class _Member:
    name: str
    content: IO[bytes]


def is_archive(path: Path) -> bool:
    """Return whether the file's name is that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """Return the name without the suffix, such as cv-spanish for cv-spanish.tar.gz."""
    longest_first = sorted(SUFFIXES, key=len, reverse=True)
    return path.name[: -len(next(suffix for suffix in longest_first if path.name.lower().endswith(suffix)))]


def unpack_cached(archive: Path, cache: Path, budget: Budget | None = None) -> Path:
    """Return the folder in `cache` with the content of `archive`, unpacked on first use. Raises as `unpack` does."""
    budget = budget or Budget()
    stat = archive.stat()
    identity = f"{archive.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    key = hashlib.sha1(identity.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()[:12]
    target = cache / f"{stem(archive)[:60]}-{key}"
    if not target.is_dir():
        target = unpack(archive, cache, [target.name], budget)
        budget.made.append(target)
    budget.folders.append(target)
    return target


def unpack(archive: Path, folder: Path, names: Iterable[str], budget: Budget | None = None) -> Path:
    """Unpack an archive into a new folder in `folder`, with the first free one of `names`, and return it.

    Raises DataError for an archive that is damaged, unsafe or too large, by itself or for what is left of `budget`.
    """
    draft: Path | None = None
    budget = budget or Budget()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
        available_bytes = max(0, min(MAX_BYTES, shutil.disk_usage(draft).free - SPARE_BYTES))
        budget.begin(archive)
        _extract(draft, archive, available_bytes, budget)
        return claim_name(draft, names)
    except OSError as error:
        raise DataError(
            f"{archive.name} cannot be unpacked into {folder} ({error.strerror or error}); free some "
            "space or choose another folder."
        ) from error
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        struct.error,
        MemoryError,
    ) as error:
        reason = "it needs a password" if "password" in str(error) else "it is damaged or only part of it is there"
        raise DataError(
            f"{archive.name} cannot be unpacked: {reason}; pack it again without a password, as .zip or .tar.gz."
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _extract(folder: Path, archive: Path, available_bytes: int, budget: Budget) -> None:
    is_empty, num_written = True, 0
    for member in _members(archive):
        is_empty = False
        budget.count_file(archive.name)
        path = folder.joinpath(*_check_path(member.name, archive.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise DataError(f"{archive.name} holds {member.name!r:.80} twice; pack it again.")
        with open(path, "xb") as out:
            while block := member.content.read(_COPY_BYTES):
                budget.count_bytes(len(block), archive.name)
                num_written += len(block)
                if num_written > available_bytes:
                    raise DataError(
                        f"{archive.name} unpacks to more than the {available_bytes / 2**30:.1f} GB that there is room "
                        "for; free some space, or unpack it elsewhere and give the folder."
                    )
                out.write(block)
    if is_empty:
        raise DataError(f"{archive.name} holds no files; pack the recordings and their transcripts into it.")


def _check_path(name: str, archive: str) -> tuple[str, ...]:
    """Return the parts of a member's path. Raises DataError for a path that leads out of the folder or is invalid."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0] or not path.parts:
        raise DataError(
            f"{archive} holds {name!r:.80}, a path that leads out of it; nothing was unpacked. Pack it "
            "again with paths relative to its own folder."
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise DataError(f"{archive} holds {name!r:.80}, a name with line breaks or control characters; rename it.")
    if len(path.parts) > MAX_DEPTH or any(len(part.encode()) > MAX_NAME_BYTES for part in path.parts):
        raise DataError(f"{archive} holds {name!r:.80}, whose path is too long or too deep; shorten it.")
    return path.parts


def _members(archive: Path) -> Iterator[_Member]:
    """Yield the files of an archive, without folders and files of the desktop."""
    members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)
    for member in members:
        parts = PurePosixPath(member.name).parts
        if not any(part in _IGNORED_NAMES or part.startswith("._") for part in parts):
            yield member


def _zip_members(archive: Path) -> Iterator[_Member]:
    if _count_zip_entries(archive) > MAX_FILES:  # checked before their list is read
        raise DataError(f"{archive.name} holds more than {MAX_FILES:,} files; split it into several datasets.")
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                raise _special_file_error(archive, entry.filename)
            if not entry.is_dir():
                with packed.open(entry) as content:
                    name = entry.orig_filename if "\0" in entry.orig_filename else entry.filename
                    yield _Member(_decode_zip_name(name, entry.flag_bits), content)


def _decode_zip_name(name: str, flag_bits: int) -> str:
    """Return the name of an entry. A Mac writes UTF-8 without its flag, and zipfile decodes code page 437."""
    if flag_bits & _ZIP_UTF8_FLAG:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:  # it is in that code page, or in another one
        return name


def _count_zip_entries(archive: Path) -> int:
    """Return the number of entries of a zip file: what its end record says, or its list holds if that is more.

    Source: PKWARE APPNOTE 4.3.12, 4.3.14 and 4.3.16.
    """
    with open(archive, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(max(0, size - (1 << 16) - 22 - 20 - 56))
        tail = file.read()
        end, end64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
        if end < 0 or len(tail) < end + 16:
            return 0
        count, list_bytes = struct.unpack_from("<HI", tail, end + 10)
        if end64 >= 0 and len(tail) >= end64 + 48:
            long_count, long_bytes = struct.unpack_from("<QQ", tail, end64 + 32)
            count = long_count if count == 0xFFFF else count
            list_bytes = max(long_bytes, list_bytes if list_bytes != 0xFFFFFFFF else 0)
            end = end64
        return max(count, _count_signatures(file, max(0, begin + end - list_bytes), begin + end))


def _count_signatures(file: IO[bytes], start: int, end: int) -> int:
    """Count what begins an entry in the list of a zip file, without reading it into memory."""
    signature, count, rest = b"PK\x01\x02", 0, b""
    file.seek(start)
    while start < end and (block := file.read(min(_COPY_BYTES, end - start))):
        count += (rest + block).count(signature)
        start, rest = start + len(block), block[1 - len(signature) :]
    return count


class _LimitedTarInfo(tarfile.TarInfo):
    """A tar header that limits long names and other metadata, which tarfile reads into memory at any size."""

    _METADATA_TYPES = (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header. Raises tarfile.ReadError for oversized metadata."""
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in cls._METADATA_TYPES and entry.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {entry.size} bytes")
        return entry


def _tar_members(archive: Path) -> Iterator[_Member]:
    with contextlib.ExitStack() as opened:
        try:
            packed = opened.enter_context(tarfile.open(archive, "r:*", tarinfo=_LimitedTarInfo))
        except tarfile.ReadError:
            raise DataError(
                f"{archive.name} is not a readable archive; give a .zip or .tar.gz that opens on your own machine."
            ) from None
        for entry in packed:
            packed.members = []  # type: ignore[attr-defined]  # else a million of them would be kept in memory
            if entry.isdir():
                continue
            if not entry.isreg():
                raise _special_file_error(archive, entry.name)
            content = packed.extractfile(entry)
            if content is not None:
                yield _Member(entry.name, content)


def _special_file_error(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive.name} holds {name!r:.80}, which is a link or a device, not a regular file; nothing was "
        "unpacked. Pack it again with links followed."
    )
