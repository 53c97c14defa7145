"""Small file systems that fill up."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size (as mount(8) writes it) in the new folder `folder`; the test is skipped where none can
    be mounted."""
    folder.mkdir()
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if tried.returncode:
        pytest.skip(f"a file system cannot be mounted here: {tried.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        # Lazily: a traceback may still hold a file of it open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
