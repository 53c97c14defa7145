"""The paths of the files in a run directory. What a single module reads and writes is named there."""

from __future__ import annotations

from pathlib import Path

from asrkit.data.manifest import TABLE_SUFFIX

OPTIMIZER_STATE = "optimizer.pt"
"""In a checkpoint: twice the size of its weights. Without it a run cannot be resumed from there."""
PROCESS_FILES = frozenset({"process.json", "heartbeat.json", "job.json", "upload.json", "link.json"})
"""About the processes, the host and the job that work on a run."""
LOCAL_FILES = PROCESS_FILES | {"queue.json", "control"}
"""What means nothing on another machine."""


class RunPaths:
    """The paths of the files in a run directory, whether they exist or not."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def process_path(self) -> Path:
        return self.path / "process.json"

    @property
    def job_path(self) -> Path:
        """The id of the run's job in the queue of its launcher, if that has one; see `launchers`."""
        return self.path / "job.json"

    @property
    def upload_path(self) -> Path:
        """Where the launcher has uploaded the clips to, if it does so; see `launchers.job_data`."""
        return self.path / "upload.json"

    @property
    def link_path(self) -> Path:
        """Where a run of another machine, which does not share the directory, is; see `launchers.bucket_link`."""
        return self.path / "link.json"

    @property
    def queue_path(self) -> Path:
        """Exists while the run is queued; see `queue`."""
        return self.path / "queue.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def heartbeat_path(self) -> Path:
        """Written while the worker is alive; see `heartbeat`."""
        return self.path / "heartbeat.json"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def partial_checkpoint_dir(self) -> Path:
        """Where a checkpoint lies until it is complete."""
        return self.checkpoints_dir / ".partial"

    @property
    def model_dir(self) -> Path:
        return self.path / "model"

    @property
    def evaluation_path(self) -> Path:
        """The evaluation of the weights in `model/` as one event line. Missing if they were not evaluated."""
        return self.model_dir / "evaluation.json"

    def partial_results_path(self, rank: int) -> Path:
        """Clips of the final evaluation that one process has decoded, as lines of JSON."""
        return self.model_dir / f"evaluation-partial-{rank}.jsonl"

    def partial_results_paths(self) -> list[Path]:
        """List the files of a final evaluation that is not complete."""
        return sorted(self.model_dir.glob("evaluation-partial-*.jsonl"))

    @property
    def audit_path(self) -> Path:
        return self.path / "audit.json"

    @property
    def streams_path(self) -> Path:
        """Where streamed clips come from (`data.streams.origins`), by the folder that they are cached in."""
        return self.path / "streams.json"

    def manifest_path(self, split: str) -> Path:
        """Return the path of a manifest, of large data a table; `split` is train or eval."""
        return self.table_path(split) if self.has_table(split) else self.path / f"{split}.jsonl"

    def table_path(self, split: str) -> Path:
        return self.path / f"{split}{TABLE_SUFFIX}"

    def has_table(self, split: str) -> bool:
        """Whether a manifest is a table of columns, which runs on the same data share."""
        return self.table_path(split).exists()

    @property
    def control_dir(self) -> Path:
        """Where the app puts a file for each flag that it sets."""
        return self.path / "control"

    @property
    def claim_path(self) -> Path:
        """Locked by the worker for as long as it lives."""
        return self.path / ".claim"

    @property
    def reserve_path(self) -> Path:
        """Occupies a little of the disk, so that the end event can be written when the disk is full."""
        return self.path / ".reserve"
