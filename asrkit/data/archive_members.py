"""The files of an untrusted zip or tar archive, one after another, without unpacking them.

Links, devices, too many entries and oversized headers are refused; paths and sizes are the caller's to check.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Self

from asrkit.errors import DataError

MAX_FILES = 500_000
MAX_HEADER_BYTES = 1 << 20  # of a long name or other metadata that tar stores beside a member
_COPY_BYTES = 1 << 20
_ZIP_UTF8_FLAG = 0x800
_IGNORED_NAMES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Member:
    name: str
    content: IO[bytes]


def iter_members(archive: Path) -> Iterator[Member]:
    """Yield the files of an archive, without folders and files of the desktop."""
    members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)
    for member in members:
        parts = PurePosixPath(member.name).parts
        if not any(part in _IGNORED_NAMES or part.startswith("._") for part in parts):
            yield member


def _zip_members(archive: Path) -> Iterator[Member]:
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
                    yield Member(_decode_zip_name(name, entry.flag_bits), content)


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


def _tar_members(archive: Path) -> Iterator[Member]:
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
                yield Member(entry.name, content)


def _special_file_error(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive.name} holds {name!r:.80}, which is a link or a device, not a regular file; nothing was "
        "unpacked. Pack it again with links followed."
    )
