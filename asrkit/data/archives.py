"""Untrusted zip and tar archives -> a new folder, completely or not at all, and nothing outside it.

An archive is refused if it contains a path that leads out of it, a link, a device, a name with control characters, a
password, more files than a corpus has, or more bytes than fit on the disk. Nothing is left behind then.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from asrkit.data import access, archive_members
from asrkit.errors import DataError
from asrkit.files import claim_name, renew
from asrkit.units import format_binary_size

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_BYTES = 400 * 2**30
MAX_VISITOR_FILES, MAX_VISITOR_BYTES = 100_000, 2 << 30
SPARE_BYTES = 1 << 30  # of the disk, left free
BOMB_RATIO = 500  # unpacked to packed size, above BOMB_FLOOR bytes; audio and transcripts compress less
BOMB_FLOOR = 64 << 20
MAX_NAME_BYTES = 255  # of one part of a path
MAX_DEPTH = 30
_COPY_BYTES = 1 << 20


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
        limit = MAX_VISITOR_FILES if access.is_visitor() else archive_members.MAX_FILES
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
                f"{archive} unpacks to more than the {format_binary_size(MAX_VISITOR_BYTES)} that visitors may unpack; "
                "send a smaller one."
            )

    def discard(self) -> None:
        """Remove what was unpacked."""
        for folder in self.made:
            shutil.rmtree(folder, ignore_errors=True)
        self.made.clear()


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
    if not renew(target):
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
    for member in archive_members.iter_members(archive):
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
                        f"{archive.name} unpacks to more than the {format_binary_size(available_bytes)} that there is "
                        "room for; free some space, or unpack it elsewhere and give the folder."
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
