"""`run.json`: what may change after a run has started, unlike its configuration."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from asrkit.files import readable_disk_errors, write_json
from asrkit.runs.run import Run

NAME = "run.json"
_lock = threading.Lock()


def read_metadata(run: Run) -> Mapping[str, Any]:
    """Read `run.json`; a missing or damaged one is empty. Pages do this for every run every second, so it is cached."""
    path = os.path.join(run.path, NAME)
    try:
        stat = os.stat(path)
    except OSError:
        return MappingProxyType({})
    return _read(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


def update_metadata(run: Run, values: Mapping[str, Any]) -> None:
    """Write `values` into `run.json` and keep what else it holds."""
    with _lock, readable_disk_errors(run.path):
        write_json(run.path / NAME, {**read_metadata(run), **values})


@functools.lru_cache(maxsize=4096)
def _read(path: str, changed_ns: int, size: int, inode: int) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        values = None
    return MappingProxyType(values if isinstance(values, dict) else {})
