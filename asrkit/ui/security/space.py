"""What only a Hugging Face Space has: a disk that may be mounted, and Gradio's hot reload."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

DISK = Path("/data")
"""Where storage is mounted, if the Space has any."""


def is_persistent(disk: Path | None = None) -> bool:
    """Whether `disk` (default: DISK) is mounted and writable. A plain folder in the container goes at a restart."""
    disk = disk or DISK
    try:
        is_mounted = os.path.ismount(disk) or disk.stat().st_dev != Path("/").stat().st_dev
    except OSError:
        return False
    return is_mounted and os.access(disk, os.W_OK | os.X_OK)


@contextlib.contextmanager
def hot_reload_disabled() -> Iterator[None]:
    """Start no server for edits of the code while Gradio's server starts.

    On a Space, Gradio watches the code that runs. For that it looks for a page in `__main__` and needs the package
    `spaces`; without either it prints complaints and a traceback. Code here changes only with a new build.
    """
    from gradio import http_server

    names = vars(http_server)
    real, names["get_space"] = names["get_space"], lambda: None
    try:
        yield
    finally:
        names["get_space"] = real
