"""Which files may be read because somebody named their path: all of them, or those in a few folders.

An app that others can reach must not read this machine's files to them: a dataset that names /etc/passwd as a recording
would tell whether it is there. `ASRKIT_READABLE` holds the folders, parted as PATH is; where it is not set, every path
is read. It is a variable of the environment so that the worker of a run obeys it too. The app sets it to the data root
when it listens to more than this machine. What comes with asrkit, and what was fetched from the Hub, may always be
read.

Of the visitors of such an app each has a folder below `ASRKIT_VISITORS`, in which nobody else may read. Who asks is
known to the thread that answers (`as_visitor`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from asrkit.errors import DataError

READABLE_VARIABLE, VISITORS_VARIABLE = "ASRKIT_READABLE", "ASRKIT_VISITORS"
VISITORS_FOLDER = ".visitors"  # of the data root: hidden, so that no dataset is looked for in it from above
ASSETS = Path(__file__).parents[2] / "assets"


def limit_reads(folder: Path) -> None:
    """From now on read only what lies in `folder`, here and in processes started from here, unless a limit is set."""
    os.environ.setdefault(READABLE_VARIABLE, str(folder.absolute()))


def isolate_visitors(data_dir: Path) -> None:
    """From now on each visitor has a folder of their own in the data root, which others do not read."""
    os.environ[VISITORS_VARIABLE] = str(data_dir.absolute() / VISITORS_FOLDER)


_visitor: ContextVar[str] = ContextVar("visitor", default="")


@contextlib.contextmanager
def as_visitor(name: str) -> Iterator[None]:
    """What is asked within is asked by the visitor whose folder is called so; by nobody in particular if empty."""
    token = _visitor.set(name)
    try:
        yield
    finally:
        _visitor.reset(token)


def as_owner_of(*paths: str) -> contextlib.AbstractContextManager[None]:
    """As the one visitor in whose folder these lie: for the worker of a run, whose data was checked when it began."""
    root = os.environ.get(VISITORS_VARIABLE, "")
    below = [os.path.relpath(os.path.realpath(path), os.path.realpath(root)) for path in paths if path and root]
    owners = {path.split(os.sep)[0] for path in below if not path.startswith(os.pardir)}
    return as_visitor(owners.pop() if len(owners) == 1 else "")


def current_visitor() -> str:
    return _visitor.get()


def visitor_dir(data_dir: Path) -> Path:
    """Where what the visitor makes lies: the data root, or the visitor's own folder in it."""
    if VISITORS_VARIABLE not in os.environ:
        return data_dir
    if not current_visitor():
        raise DataError(
            "This browser keeps no cookies, without which nobody else could be kept from what you upload; "
            "allow them for this page and load it again."
        )
    return Path(os.environ[VISITORS_VARIABLE], current_visitor())


def check(path: Path) -> None:
    """Raise DataError unless `path`, with every link in it followed, may be read."""
    check_all([path])


def check_all(paths: Iterable[Path], also: Iterable[Path] = ()) -> None:
    """`check` for many paths. also: folders that may be read as well."""
    policy = ReadPolicy(also)
    for path in paths:
        if not policy.allows(path):
            raise DataError(
                f"{path} may not be read here: this app reads only what was uploaded to it or lies in its "
                f"data folder; upload it, or let whoever runs the app add its folder to {READABLE_VARIABLE}."
            )


class ReadPolicy:
    """The limit for many paths; the links of each folder are followed once. also: folders that may be read as well."""

    def __init__(self, also: Iterable[Path] = ()) -> None:
        limit = os.environ.get(READABLE_VARIABLE)
        folders = (*limit.split(os.pathsep), ASSETS, *_fetched(), *also) if limit else ()
        self._visitors, self._own = None, None
        if limit and (root := os.environ.get(VISITORS_VARIABLE)):
            self._visitors = Path(os.path.realpath(root))
            self._own = self._visitors / current_visitor() if current_visitor() else None
            folders = (*folders, *filter(None, [self._own]))
        self._folders = [Path(os.path.realpath(folder)) for folder in folders if str(folder)]
        self._real: dict[Path, str] = {}

    def allows(self, path: Path) -> bool:
        """Whether `path` may be read. Ask before its existence is looked up, which would tell of it."""
        if not self._folders:
            return True
        try:
            parent = self._real.get(path.parent)
            if parent is None:
                parent = self._real[path.parent] = os.path.realpath(path.parent)
            target = os.path.join(parent, path.name)
            target = Path(os.path.realpath(target) if _may_lead_away(path) else target)
        except ValueError:  # NUL, which no path can have
            return False
        if self._visitors and target.is_relative_to(self._visitors):
            return self._own is not None and target.is_relative_to(self._own)
        return any(target.is_relative_to(folder) for folder in self._folders)


def _may_lead_away(path: Path) -> bool:
    return path.name in ("", "..") or os.path.islink(path)


def _fetched() -> list[Path]:
    """Where the Hub's client keeps files; beside it lies its token, which nobody reads."""
    from huggingface_hub import constants

    return [Path(constants.HF_HUB_CACHE)]
