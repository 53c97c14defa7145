"""What visitors have on the disk: how much they may have, and when it is deleted.

A visitor's data is their folder in the data folder, their recordings, their uploads, which wait in the upload folder
until they are used, and the files of their exports.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from asrkit.data import access
from asrkit.errors import QuotaError
from asrkit.files import remove_directory
from asrkit.ui import strings
from asrkit.ui.security.permissions import Identity, Role, current_identity
from asrkit.ui.security.quotas import current_quotas, owner_name

logger = logging.getLogger(__name__)

MEASURED_EVERY_S = 20.0
"""Folders are measured again after so long; what is added meanwhile is counted."""
SEEN_EVERY_S = 600.0
"""How exactly the folder of a visitor tells when they were last here."""
CLEANED_EVERY_S = 60.0


class Stored(Protocol):
    """Something else that keeps data of visitors, such as recordings."""

    def size_bytes(self, owner: str | None = None) -> int: ...

    def delete_all_of(self, owner: str) -> None: ...

    def delete_idle(self) -> None: ...


class VisitorStorage:
    """The data of all visitors of this process."""

    def __init__(self) -> None:
        self._stored: WeakSet[Stored] = WeakSet()
        self._files: dict[Path, str] = {}
        self._held: Counter[Path] = Counter()
        self._measured: dict[Path, tuple[float, int]] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def register(self, stored: Stored) -> None:
        self._stored.add(stored)

    # How much

    def check_room(self, num_bytes: int) -> None:
        """Raise QuotaError unless the sender may store so many bytes more; operators always may."""
        me, quotas = owner_name(), current_quotas()
        if not me:
            return
        own = self._files_bytes(me) + sum(stored.size_bytes(me) for stored in self._each_stored())
        own += self._measure(folder) if (folder := own_folder()) else 0
        if own + num_bytes > quotas.visitor_disk_bytes:
            raise QuotaError(strings.text("quota.visitor_disk"))
        everything = self._files_bytes(None) + sum(stored.size_bytes() for stored in self._each_stored())
        everything += self._measure(root) if (root := visitors_root()) else 0
        if everything + num_bytes > quotas.visitors_disk_bytes:
            raise QuotaError(strings.text("quota.all_disk"))

    def note_file(self, path: Path, owner: str) -> None:
        """Note which visitor an upload or an export belongs to. owner: empty for an operator, whose are not counted."""
        if owner:
            with self._lock:
                self._files[path] = owner

    def note_change(self) -> None:
        """Measure the folders again, because the sender has stored something."""
        with self._lock:
            self._measured.clear()

    def _files_bytes(self, owner: str | None) -> int:
        total = 0
        with self._lock:
            for path, whose in list(self._files.items()):
                try:
                    size = path.stat().st_size
                except OSError:  # used, or too old
                    del self._files[path]
                    continue
                total += size if owner in (None, whose) else 0
        return total

    def _measure(self, folder: Path) -> int:
        with self._lock:
            at, size = self._measured.get(folder, (float("-inf"), 0))
        if time.monotonic() - at > MEASURED_EVERY_S:
            size = sum(stat.st_size for _, stat in iter_files(folder))
            with self._lock:
                self._measured[folder] = time.monotonic(), size
        return size

    def _each_stored(self) -> list[Stored]:
        with self._lock:
            return list(self._stored)

    # How long

    def hold(self, path: Path) -> None:
        """Keep an upload until `release`."""
        with self._lock:
            self._held[path] += 1

    def release(self, path: Path) -> None:
        with self._lock:
            self._held[path] -= 1
            if self._held[path] <= 0:
                del self._held[path]

    def note_seen(self, who: Identity) -> None:
        """Note that a visitor is here, so that their data stays."""
        now = time.monotonic()
        if not who.folder or now - self._seen.get(who.folder, float("-inf")) < SEEN_EVERY_S:
            return
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[who.folder] = now
        if root := visitors_root():
            with contextlib.suppress(OSError):  # they have none
                os.utime(root / who.folder)

    def clean(self, upload_folder: Path) -> None:
        """Delete what is too old: uploads, idle recordings, and the folders of anonymous visitors who are gone."""
        quotas, now = current_quotas(), time.time()
        for stored in self._each_stored():
            stored.delete_idle()
        with self._lock:
            held = set(self._held)
        for path, stat in iter_files(upload_folder):
            if now - stat.st_mtime > 3600 * quotas.upload_hours and path not in held:
                with contextlib.suppress(OSError):  # used meanwhile, or not alone in its folder
                    path.unlink()
                    if path.parent != upload_folder:
                        path.parent.rmdir()
        root = visitors_root()
        for folder in root.iterdir() if root and root.is_dir() else ():
            is_anonymous = not folder.name.startswith((access.USER_PREFIX, "."))
            if is_anonymous and now - _last_used(folder) > 3600 * quotas.anonymous_hours:
                with contextlib.suppress(OSError):
                    remove_directory(folder)
        self.note_change()

    def clean_forever(self, upload_folder: Path) -> None:
        """Clean once a minute. A failure is logged, and the next minute tries again."""
        while True:
            time.sleep(CLEANED_EVERY_S)
            try:
                self.clean(upload_folder)
            except OSError:
                logger.exception("The data of visitors could not be cleaned up.")

    def delete_own(self) -> None:
        """Delete the sender's recordings, uploads, exports and folder."""
        who, me = current_identity(), owner_name()
        if who.role == Role.OPERATOR or not who.folder:
            raise QuotaError(strings.text("quota.nothing_to_delete"))
        for stored in self._each_stored():
            stored.delete_all_of(me)
        with self._lock:
            own = [path for path, owner in self._files.items() if owner == me]
        for path in own:
            path.unlink(missing_ok=True)
        folder = own_folder()
        if folder and folder.is_dir():
            remove_directory(folder)
        self.note_change()


storage = VisitorStorage()
"""That of this process: recordings register themselves, and the guard knows no page."""


def visitors_root() -> Path | None:
    """Return the folder that has the folders of the visitors; None where nobody serves them."""
    root = os.environ.get(access.VISITORS_VARIABLE)
    return Path(root) if root else None


def own_folder() -> Path | None:
    """Return the folder of the sender, which need not exist."""
    root, who = visitors_root(), current_identity()
    return root / who.folder if root and who.folder and who.role != Role.OPERATOR else None


def iter_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each file below a folder; no link is followed, and what vanishes meanwhile is left out."""
    pending = [folder]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    yield Path(entry.path), entry.stat(follow_symlinks=False)


def _last_used(folder: Path) -> float:
    """Return when a visitor was last here or stored something, in Unix seconds."""
    try:
        at = folder.stat().st_mtime
    except OSError:
        return time.time()
    return max([at, *(stat.st_mtime for _, stat in iter_files(folder))])
