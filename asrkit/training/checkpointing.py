"""Checkpoints of a run: drafts, completion, and repair after a killed worker."""

from __future__ import annotations

import shutil
from pathlib import Path

from asrkit.files import commit_directory, remove_directory, restore_directory
from asrkit.runs.run import Run


def discard_partial(run: Run) -> None:
    """Delete an incomplete checkpoint."""
    shutil.rmtree(run.partial_checkpoint_dir, ignore_errors=True)


def commit_checkpoint(run: Run, name: str, max_checkpoints: int) -> None:
    """Move the finished checkpoint `name` to its final path and delete all but the newest `max_checkpoints`."""
    commit_directory(run.partial_checkpoint_dir / name, run.checkpoints_dir / name)
    run.partial_checkpoint_dir.rmdir()
    for old in run.checkpoints()[:-max_checkpoints]:
        remove_directory(old)


def parse_step(checkpoint: Path) -> int:
    """Return the optimizer step of a checkpoint directory, `checkpoint-<step>`."""
    return int(checkpoint.name.rpartition("-")[2])


def repair_checkpoints(run: Run) -> None:
    """Complete or undo the changes to checkpoints and model during which a worker was killed."""
    restore_directory(run.model_dir)
    for leftover in [*run.path.glob(f".{run.model_dir.name}-*"), *run.checkpoints_dir.glob(".*")]:
        if leftover.name.endswith("-old"):
            restore_directory(leftover.with_name(leftover.name[1:].removesuffix("-old")))
        else:
            shutil.rmtree(leftover, ignore_errors=True)
