"""Files below a folder that other processes change meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def iter_contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file with its content. What vanishes meanwhile is passed over, where `Path.rglob` fails."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield (path := Path(parent, name)), path.read_bytes()
