"""Read access to paths that a user or a dataset names: all paths, or those in a few folders.

An app that others can reach must not read this machine's files for them: a dataset that names /etc/passwd as a clip
would reveal whether it exists. `ASRKIT_READABLE` lists the readable folders, separated as in PATH; if it is not set,
every path may be read. It is an environment variable so that the worker of a run obeys it too. The app sets it to the
data root if it listens on more than this machine. The files of asrkit itself and files fetched from the Hub may always
be read.

Each visitor of such an app has a folder below `ASRKIT_VISITORS`, which no other visitor may read. The current visitor
is a context variable (`as_visitor`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from asrkit.errors import DataError

READABLE_VARIABLE, VISITORS_VARIABLE = "ASRKIT_READABLE", "ASRKIT_VISITORS"
VISITORS_FOLDER = ".visitors"
"""In the data root. It is hidden, so that no dataset is searched for in it."""

ASSETS = Path(__file__).parents[2] / "assets"


def limit_reads(folder: Path) -> None:
    """Allow reads only in `folder`, for this process and its children, unless a limit is set already."""
    os.environ.setdefault(READABLE_VARIABLE, str(folder.absolute()))


def isolate_visitors(data_dir: Path) -> None:
    """Give each visitor a folder of their own in the data root, which other visitors may not read."""
    os.environ[VISITORS_VARIABLE] = str(data_dir.absolute() / VISITORS_FOLDER)


_visitor: ContextVar[str] = ContextVar("visitor", default="")


@contextlib.contextmanager
def as_visitor(name: str) -> Iterator[None]:
    """Act for the visitor whose folder has this name; for no visitor if it is empty."""
    token = _visitor.set(name)
    try:
        yield
    finally:
        _visitor.reset(token)


def as_owner(*paths: str) -> contextlib.AbstractContextManager[None]:
    """Act for the visitor whose folder contains these paths; for no visitor if there is none, or more than one.

    For the worker of a run, whose data was checked when the run was created.
    """
    root = os.environ.get(VISITORS_VARIABLE, "")
    relative = [os.path.relpath(os.path.realpath(path), os.path.realpath(root)) for path in paths if path and root]
    owners = {path.split(os.sep)[0] for path in relative if not path.startswith(os.pardir)}
    return as_visitor(owners.pop() if len(owners) == 1 else "")


def current_visitor() -> str:
    """Return the name of the current visitor's folder; empty for no visitor."""
    return _visitor.get()


def visitor_dir(data_dir: Path) -> Path:
    """Return the folder for what the current visitor creates: the data root, or the visitor's own folder in it."""
    if VISITORS_VARIABLE not in os.environ:
        return data_dir
    if not current_visitor():
        raise DataError(
            "This browser does not accept cookies, so your uploads could not be kept private; "
            "allow them for this page and load it again."
        )
    return Path(os.environ[VISITORS_VARIABLE], current_visitor())


def check(path: Path) -> None:
    """Raise DataError unless `path`, with every link in it resolved, may be read."""
    check_all([path])


def check_all(paths: Iterable[Path], extra_folders: Iterable[Path] = ()) -> None:
    """Raise DataError unless all paths may be read. extra_folders: further readable folders."""
    policy = ReadPolicy(extra_folders)
    for path in paths:
        if not policy.allows(path):
            raise DataError(
                f"{path} may not be read here: this app reads only what was uploaded to it or lies in its "
                f"data folder; upload it, or let whoever runs the app add its folder to {READABLE_VARIABLE}."
            )


class ReadPolicy:
    """The read rules, for many paths: the links of each folder are resolved only once.

    extra_folders: further readable folders.
    """

    def __init__(self, extra_folders: Iterable[Path] = ()) -> None:
        limit = os.environ.get(READABLE_VARIABLE)
        folders: list[str | Path] = []
        self._visitors: Path | None = None
        self._own: Path | None = None
        if limit:
            folders = [*limit.split(os.pathsep), ASSETS, _hub_cache(), *extra_folders]
            if root := os.environ.get(VISITORS_VARIABLE):
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


def _leads_elsewhere(path: Path) -> bool:
    return path.name in ("", "..") or os.path.islink(path)


def _hub_cache() -> Path:
    """Return the folder of the Hub client's files. Its token, which may not be read, lies outside it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
