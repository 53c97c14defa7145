"""Which files may be read because somebody named their path: all of them, or those in a few folders.

An app that others can reach must not read this machine's files to them: a dataset that names /etc/passwd as a recording
would tell whether it is there. `ASRKIT_READABLE` holds the folders, parted as PATH is; where it is not set, every path
is read. It is a variable of the environment so that the worker of a run obeys it too. The app sets it to the data root
when it listens to more than this machine. What comes with asrkit, and what was fetched from the Hub, may always be
read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from asrkit.errors import DataError

VARIABLE = "ASRKIT_READABLE"
ASSETS = Path(__file__).parents[2] / "assets"


def limit_to(folder: Path) -> None:
    """From now on read only what lies in `folder`, here and in processes started from here, unless a limit is set."""
    os.environ.setdefault(VARIABLE, str(folder.absolute()))


def check(path: Path) -> None:
    """Raise DataError unless `path`, with every link in it followed, may be read."""
    check_all([path])


def check_all(paths: Iterable[Path], also: Iterable[Path] = ()) -> None:
    """`check` for many paths. also: folders that may be read as well."""
    gate = Gate(also)
    for path in paths:
        if not gate.opens(path):
            raise DataError(f"{path} may not be read here: this app reads only what was uploaded to it or lies in its "
                            f"data folder; upload it, or let whoever runs the app add its folder to {VARIABLE}.")


class Gate:
    """The limit for many paths; the links of each folder are followed once. also: folders that may be read as well."""

    def __init__(self, also: Iterable[Path] = ()) -> None:
        limit = os.environ.get(VARIABLE)
        folders = (*limit.split(os.pathsep), ASSETS, *_fetched(), *also) if limit else ()
        self._folders = [Path(os.path.realpath(folder)) for folder in folders if str(folder)]
        self._real: dict[Path, str] = {}

    def opens(self, path: Path) -> bool:
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
        return any(target.is_relative_to(folder) for folder in self._folders)


def _may_lead_away(path: Path) -> bool:
    return path.name in ("", "..") or os.path.islink(path)


def _fetched() -> list[Path]:
    """Where the Hub's client keeps files; beside it lies its token, which nobody reads."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return [Path(os.environ.get("HF_HUB_CACHE") or home / "hub")]
