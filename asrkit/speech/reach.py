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
    """`check` for many paths, following the links of each folder once. also: folders that may be read as well."""
    limit = os.environ.get(VARIABLE)
    if not limit:
        return
    folders = [Path(os.path.realpath(folder)) for folder in (*limit.split(os.pathsep), ASSETS, *also) if str(folder)]
    real: dict[Path, str] = {}
    for path in paths:
        parent = real.get(path.parent)
        if parent is None:
            parent = real[path.parent] = os.path.realpath(path.parent)
        target = Path(os.path.realpath(os.path.join(parent, path.name)) if _may_lead_away(path) else
                      os.path.join(parent, path.name))
        if not any(target.is_relative_to(folder) for folder in folders):
            raise DataError(f"{path} may not be read here: this app reads only what was uploaded to it or lies in its "
                            f"data folder; upload it, or let whoever runs the app add its folder to {VARIABLE}.")


def _may_lead_away(path: Path) -> bool:
    return path.name in ("", "..") or os.path.islink(path)
