"""What several rooms' tests need."""

from collections.abc import Iterator
from pathlib import Path

import disks
import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with disks.mounted(tmp_path / "small", "1m") as place:
        yield place
