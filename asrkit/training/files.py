"""Directories of weights that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from asrkit.runs.store import Run


def partial_dir(run: Run) -> Path:
    """Where a checkpoint grows before it gets its name."""
    return run.checkpoints_dir / ".partial"


@contextlib.contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A draft directory that takes the place of `target` when the block ends well, and vanishes when it does not."""
    draft = target.with_name(f".{target.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        yield draft
        settle(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def settle(draft: Path, target: Path) -> None:
    """Give a finished directory its name. Its files are on the disk before it has it."""
    for path in draft.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    restore(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.rename(target, _set_aside(target))
    os.rename(draft, target)
    shutil.rmtree(_set_aside(target), ignore_errors=True)


def restore(target: Path) -> None:
    """Bring back the old directory if a kill came between its two names; else remove what was set aside."""
    old = _set_aside(target)
    if old.exists() and not target.exists():
        os.rename(old, target)
    shutil.rmtree(old, ignore_errors=True)


def discard(target: Path) -> None:
    """Remove a directory: its name is gone before the first of its files is, or a kill would leave half of it."""
    gone = target.with_name(f".{target.name}-gone")
    shutil.rmtree(gone, ignore_errors=True)
    os.rename(target, gone)
    shutil.rmtree(gone)


def tidy(run: Run) -> None:
    """Finish or undo what a worker was doing to checkpoints and model when it was killed."""
    restore(run.model_dir)
    for left in [*run.path.glob(f".{run.model_dir.name}-*"), *run.checkpoints_dir.glob(".*")]:
        if left.name.endswith("-old"):
            restore(left.with_name(left.name[1:].removesuffix("-old")))
        else:
            shutil.rmtree(left, ignore_errors=True)


def _set_aside(target: Path) -> Path:
    return target.with_name(f".{target.name}-old")
