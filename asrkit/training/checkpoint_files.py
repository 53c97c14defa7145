"""Checkpoints and weights of a run: where drafts grow, and what a killed worker left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from asrkit.files import restore_directory
from asrkit.runs.run import Run


def partial_dir(run: Run) -> Path:
    """Where a checkpoint grows before it gets its name."""
    return run.checkpoints_dir / ".partial"


def tidy(run: Run) -> None:
    """Finish or undo what a worker was doing to checkpoints and model when it was killed."""
    restore_directory(run.model_dir)
    for left in [*run.path.glob(f".{run.model_dir.name}-*"), *run.checkpoints_dir.glob(".*")]:
        if left.name.endswith("-old"):
            restore_directory(left.with_name(left.name[1:].removesuffix("-old")))
        else:
            shutil.rmtree(left, ignore_errors=True)
