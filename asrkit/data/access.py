"""Read access to paths that a user or a dataset names.

The operator, who runs the app, may read every path; `ASRKIT_READABLE` limits that to a list of folders, separated as in
PATH. It is an environment variable so that the worker of a run obeys it too.

The visitors of a shared app may read asrkit's own files, those folders, and a folder of their own below
`ASRKIT_VISITORS`, which no other visitor may read; what they fetch from the Hub is in it. A dataset that names
/etc/passwd as a clip would otherwise reveal whether it exists. The current visitor is a context variable
(`as_visitor`); without one, the operator is acting.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from asrkit.errors import DataError
from asrkit.hub import credentials
from asrkit.sandbox import ResourceLimits, limited

READABLE_VARIABLE, VISITORS_VARIABLE = "ASRKIT_READABLE", "ASRKIT_VISITORS"
MODELS_VARIABLE = "ASRKIT_VISITOR_MODELS"
"""Lists the Hub ids of models that visitors may use, separated by spaces or commas."""
VISITOR_LIMITS = ResourceLimits(memory_bytes=2 << 30, cpu_s=120, file_bytes=2 << 30, reply_bytes=1 << 30)
"""Of a process that reads the files of a visitor."""
CACHE_FOLDER = ".cache"
VISITORS_FOLDER, HUB_FOLDER = ".visitors", ".hub"
"""In the data root. It is hidden, so that no dataset is searched for in it."""

MAX_VISITOR_FETCH_BYTES = 2 << 30
"""What a visitor may keep of datasets of the Hub, fetched by the page or by a run."""

ASSETS = Path(__file__).parents[2] / "assets"


USER_PREFIX = "user-"
"""Begins the name of the folder of a visitor who has signed in; others are anonymous, and their folders expire."""

VISITOR_OWNER = "visitor:"
"""Begins the owner of a visitor's run; the name of the visitor's folder follows."""


def isolate_visitors(data_dir: Path) -> None:
    """Keep the folders of the visitors in the data root, for this process and its children."""
    os.environ[VISITORS_VARIABLE] = str(data_dir.absolute() / VISITORS_FOLDER)


_visitor: ContextVar[str | None] = ContextVar("visitor", default=None)


@contextlib.contextmanager
def as_visitor(folder: str | None, hub_token: str = "") -> Iterator[None]:
    """Act for the visitor whose folder has this name; an empty name is a visitor without one, None the operator.

    hub_token: the visitor's own, for reading the Hub; without it, only what is public can be read.
    """
    token = _visitor.set(folder)
    reader = None
    if folder is not None:
        home = _visitors_dir() / folder / HUB_FOLDER
        reader = credentials.Reader(hub_token or False, home, MAX_VISITOR_FETCH_BYTES)
    try:
        with credentials.as_reader(reader), limited(ResourceLimits() if folder is None else VISITOR_LIMITS):
            yield
    finally:
        _visitor.reset(token)


def is_visitor() -> bool:
    """Return whether a visitor is acting, not the operator."""
    return _visitor.get() is not None


def current_visitor() -> str:
    """Return the name of the current visitor's folder; empty for the operator, and for a visitor without one."""
    return _visitor.get() or ""


def reader_key() -> str:
    """Return what distinguishes who is acting: a cache of what one person loaded must not serve another."""
    visitor = _visitor.get()
    return "" if visitor is None else f"{VISITOR_OWNER}{visitor}"


def may_use_hub_model(name: str) -> bool:
    """Return whether a model on the Hub may be used: every one by the operator, those of a list by visitors."""
    return not is_visitor() or name in os.environ.get(MODELS_VARIABLE, "").replace(",", " ").split()


def owner_folder(owner: str) -> str | None:
    """Return the folder of a run's owner (`run.json`) for `as_visitor`: None for the operator."""
    return owner.removeprefix(VISITOR_OWNER) if owner.startswith(VISITOR_OWNER) else None


def visitor_dir(data_dir: Path) -> Path:
    """Return the folder for what is created now: the data root, or the visitor's own folder in it."""
    if not is_visitor():
        return data_dir
    if not current_visitor():
        raise DataError(
            "This browser does not accept cookies, so your uploads could not be kept private; "
            "allow them for this page and load it again."
        )
    return Path(os.environ.get(VISITORS_VARIABLE) or data_dir / VISITORS_FOLDER, current_visitor())


def visitor_cache() -> Path:
    """Return the folder of what is unpacked for the current visitor, which counts as theirs and is deleted with it."""
    return _visitors_dir() / current_visitor() / CACHE_FOLDER


def check(path: Path) -> None:
    """Raise DataError unless `path`, with every link in it resolved, may be read."""
    ReadPolicy().check(path)


class ReadPolicy:
    """The read rules, for many paths: the links of each folder are resolved only once.

    extra_folders: further readable folders.
    """

    def __init__(self, extra_folders: Iterable[Path] = ()) -> None:
        limit = os.environ.get(READABLE_VARIABLE)
        folders: list[str | Path] = []
        self._visitors: Path | None = None
        self._own: Path | None = None
        if limit or is_visitor():
            hub_cache = [] if is_visitor() else [credentials.cache_dir("dataset")]
            folders = [*(limit or "").split(os.pathsep), ASSETS, *hub_cache, *extra_folders]
        if is_visitor() and (root := os.environ.get(VISITORS_VARIABLE)):
            self._visitors = Path(os.path.realpath(root))
            if current_visitor():
                self._own = self._visitors / current_visitor()
                folders.append(self._own)
        self._folders = [Path(os.path.realpath(folder)) for folder in folders if str(folder)]
        self._real_parents: dict[Path, str] = {}

    def allows(self, path: Path) -> bool:
        """Return whether `path` may be read. Call it before looking the path up, which would reveal its existence."""
        if not self._folders:
            return True
        try:
            parent = self._real_parents.get(path.parent)
            if parent is None:
                parent = self._real_parents[path.parent] = os.path.realpath(path.parent)
            joined = os.path.join(parent, path.name)
            target = Path(os.path.realpath(joined) if _leads_elsewhere(path) else joined)
        except ValueError:  # NUL, which no path can contain
            return False
        if self._visitors and target.is_relative_to(self._visitors):
            return self._own is not None and target.is_relative_to(self._own)
        return any(target.is_relative_to(folder) for folder in self._folders)

    def check_all(self, paths: Iterable[str]) -> None:
        """Raise DataError unless all of these may be read."""
        if self._folders:
            for path in paths:
                self.check(Path(path))

    def check(self, path: Path) -> None:
        """Raise DataError unless `path` may be read."""
        if not self.allows(path):
            raise DataError(
                f"{path} may not be read here: this app reads only what was uploaded to it; upload it, or "
                f"let whoever runs the app add its folder to {READABLE_VARIABLE}."
            )


def _leads_elsewhere(path: Path) -> bool:
    return path.name in ("", "..") or os.path.islink(path)


def _visitors_dir() -> Path:
    """Return the folder of the visitors' folders; where none is set, one that no visitor may read."""
    root = os.environ.get(VISITORS_VARIABLE)
    return Path(root) if root else credentials.home_dir("model") / VISITORS_FOLDER
