"""The paths that confined processes are allowed: files one by one, or, of very many, their folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

MAX_INPUTS = 10_000
"""Files that are allowed one by one; of more, their folders are."""


def limit_number(paths: Iterable[str | Path]) -> Iterable[str]:
    """Return the paths, or the folders of very many, of which there may be millions: they are not kept."""
    rest = map(str, paths)
    unique: set[str] = set()
    for path in rest:
        unique.add(path)
        if len(unique) > MAX_INPUTS:
            return _list_folders(chain(unique, rest))
    return unique


def _list_folders(paths: Iterable[str]) -> set[str]:
    """Return the folders of files, of links those of the files that they lead to. Each folder is listed once."""
    links_of: dict[str, set[str]] = {}
    folders: set[str] = set()
    for path in paths:
        folder = _folder(path)
        if folder not in links_of:
            links_of[folder] = set(_list_links(folder))
        folders.add(os.path.dirname(os.path.realpath(path)) if path in links_of[folder] else folder)
    return folders


def _list_links(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.path for entry in entries if entry.is_symlink())


def _folder(path: str) -> str:
    """Return the folder of a path, so that the paths of its entries begin with it."""
    return path[: path.rfind("/") + 1] or "./"
