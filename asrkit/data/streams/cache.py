"""A bounded cache of pieces: folders that are made when they are needed, and removed when they were not for longest.

Several processes may use it at once: the app, workers, their loaders. A lock for each piece is shared by those who use
it, and held alone by the one that makes or removes it. A piece appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asrkit.errors import DataError
from asrkit.files import free_bytes
from asrkit.units import format_binary_size

LOCKS, ROOM, SIZE_FILE, DRAFT_PREFIX = ".locks", "room", ".bytes", ".draft-"
SPARE_BYTES = 1 << 30
"""Disk space that is left free."""

MakePiece = Callable[[Path], None]
"""Fills the empty folder of a piece."""


@dataclass(frozen=True)
class PieceCache:
    """The pieces below `root`, as SOURCE/FILE/PIECE, of at most `max_bytes` together.

    A single piece may be larger. Files beside the pieces, such as an index, do not count.
    """

    root: Path
    max_bytes: int

    @contextlib.contextmanager
    def hold(self, piece: Path, make: MakePiece, num_bytes: int) -> Iterator[None]:
        """Keep a piece on the disk in this context. It is made first, where nobody has it, of about `num_bytes`."""
        while True:
            with _locked(piece, fcntl.LOCK_SH):
                if piece.exists():
                    os.utime(piece)
                    yield
                    return
            with _locked(piece, fcntl.LOCK_EX):
                self._make(piece, make, num_bytes)

    def prefetch(self, piece: Path, make: MakePiece, num_bytes: int) -> bool:
        """Make a piece unless it is there, or another process makes or uses it; return whether it was made here."""
        try:
            with _locked(piece, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return self._make(piece, make, num_bytes)
        except BlockingIOError:
            return False

    def size_bytes(self) -> int:
        """Return the size of all pieces."""
        return sum(size for _, piece, size in self._list() if not piece.name.startswith(DRAFT_PREFIX))

    def _make(self, piece: Path, make: MakePiece, num_bytes: int) -> bool:
        """Make a piece that is locked; return False where another process has made it meanwhile."""
        if piece.exists():
            return False
        _remove_drafts(piece)
        with _locked(self.root / ROOM, fcntl.LOCK_EX):
            self._make_room(num_bytes)
            draft = Path(tempfile.mkdtemp(prefix=f"{DRAFT_PREFIX}{piece.name}-", dir=piece.parent))
            (draft / SIZE_FILE).write_text(str(num_bytes), encoding="ascii")  # which others count
        try:
            make(draft)
            size = sum(entry.stat().st_size for entry in os.scandir(draft) if entry.name != SIZE_FILE)
            (draft / SIZE_FILE).write_text(str(size), encoding="ascii")
            os.rename(draft, piece)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return True

    def _make_room(self, num_bytes: int) -> None:
        """Remove what was not used for longest until there is room. Raises DataError for a full disk."""
        for draft in self.root.glob(f"*/*/{DRAFT_PREFIX}*"):
            _remove_abandoned(draft)
        pieces = sorted(self._list())
        total = sum(size for _, _, size in pieces)
        for _, piece, size in pieces:
            if piece.name.startswith(DRAFT_PREFIX):
                continue
            if total + num_bytes <= self.max_bytes and free_bytes(self.root) >= num_bytes + SPARE_BYTES:
                return
            if _remove(piece):
                total -= size
        if (free := free_bytes(self.root)) < num_bytes + SPARE_BYTES:
            raise DataError(
                f"The cache of streamed data at {self.root} needs {format_binary_size(num_bytes + SPARE_BYTES)}, but "
                f"only {format_binary_size(free)} are free; free some space, or set XDG_CACHE_HOME to a folder on "
                "another disk."
            )

    def _list(self) -> Iterator[tuple[int, Path, int]]:
        """Yield (time of last use in nanoseconds, piece or draft of one, bytes)."""
        for file in self.root.glob(f"*/*/*/{SIZE_FILE}"):
            with contextlib.suppress(FileNotFoundError, ValueError):  # another process has just removed it
                yield file.parent.stat().st_mtime_ns, file.parent, int(file.read_text(encoding="ascii"))


@contextlib.contextmanager
def _locked(piece: Path, operation: int) -> Iterator[None]:
    """Lock a piece, for this thread. Raises BlockingIOError where that would wait and the operation forbids it."""
    locks = piece.parent / LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(locks / piece.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, operation)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also of the copy that a forked process has
    finally:
        os.close(descriptor)


def _remove_abandoned(draft: Path) -> None:
    """Remove what a killed process left of a piece, unless somebody makes or uses that."""
    name = draft.name.removeprefix(DRAFT_PREFIX).partition("-")[0]
    with contextlib.suppress(BlockingIOError), _locked(draft.with_name(name), fcntl.LOCK_EX | fcntl.LOCK_NB):
        shutil.rmtree(draft, ignore_errors=True)


def _remove(piece: Path) -> bool:
    """Remove a piece unless somebody uses it; return whether it is gone."""
    removed = piece.with_name(f"{DRAFT_PREFIX}{piece.name}-gone")
    try:
        with _locked(piece, fcntl.LOCK_EX | fcntl.LOCK_NB):
            _remove_drafts(piece)
            with contextlib.suppress(FileNotFoundError):
                os.rename(piece, removed)
            shutil.rmtree(removed, ignore_errors=True)
    except BlockingIOError:
        return False
    return True


def _remove_drafts(piece: Path) -> None:
    """Remove what a killed process left of a piece that is locked."""
    for draft in piece.parent.glob(f"{DRAFT_PREFIX}{piece.name}-*"):
        shutil.rmtree(draft, ignore_errors=True)
