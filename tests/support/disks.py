"""Small file systems that fill up."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mount_tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` (in the notation of mount(8)) at the new directory `folder`.

    Skips the test where mounting is not permitted.
    """
    folder.mkdir()
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if result.returncode:
        pytest.skip(f"a file system cannot be mounted here: {result.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        # Lazily: a traceback may still hold one of its files open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
