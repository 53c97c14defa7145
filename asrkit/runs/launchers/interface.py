"""What every launcher does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from asrkit.config import TrainConfig
from asrkit.runs.run import Run

JOB = "ASRKIT_JOB"
"""Environment variable of workers that a cluster has started: the launcher and the job's id, such as slurm:12."""


class JobState(Enum):
    """Whether a run waits in the launcher's own queue, has a worker that is alive, or has none."""

    WAITING = "waiting"
    ALIVE = "alive"
    GONE = "gone"


@dataclass(frozen=True)
class JobStatus:
    """text: why it waits, or where it runs, as a sentence without a full stop; empty where there is nothing to say."""

    state: JobState
    text: str = ""


class Launcher(ABC):
    """Starts the worker of a run somewhere, and tells what has become of it.

    All else goes through the run directory, which the worker and the app share. has_queue: the launcher queues runs
    itself; those of one that does not wait for devices in asrkit's queue. needs_upload: `upload` is to be called before
    a run is created. is_rented: it has machines that are paid for, about which this one tells nothing.
    """

    name: str
    has_queue: bool
    needs_upload: bool = False
    is_rented: bool = False

    @abstractmethod
    def check(self, config: TrainConfig) -> None:
        """Raise ConfigError or RunError if runs with these settings cannot be started from here."""

    def price(self, config: TrainConfig) -> str:
        """Return what a run with these settings costs at most, as a sentence; empty where it costs nothing."""
        return ""

    def upload(self, run: Run, config: TrainConfig) -> Any:
        """Bring the clips of a run to where its worker will read them. run: has its manifests only, so far.

        Return what `submit` has to know about them, as JSON; it is kept in `Run.upload_path`. AsrkitError if it is
        impossible.
        """
        return None

    @abstractmethod
    def submit(self, run: Run, assigned: Sequence[str]) -> None:
        """Start the worker, or queue it where the launcher has a queue. assigned: its devices on this machine.

        RunError if it is refused.
        """

    @abstractmethod
    def status(self, run: Run) -> JobStatus:
        """Return what has become of the worker. Cheap: pages call it every second."""

    @abstractmethod
    def stop(self, run: Run) -> None:
        """End the worker at once, or take it out of the launcher's queue; nothing where there is none."""

    def needs_sync(self, run: Run) -> bool:
        """Whether `sync` has something to do: the worker does not share the run directory, and may write into its."""
        return False

    def wants_sync(self, run: Run) -> bool:
        """Whether `sync` should not wait, because a flag was set."""
        return False

    def sync(self, run: Run) -> None:
        """Fetch what a worker has written that does not share the run directory, and send it the flags.

        AsrkitError if that is impossible now.
        """
        return

    def is_cut_off(self, run: Run) -> bool:
        """Whether the last `sync` failed, so that nobody knows what the worker does now."""
        return False

    def fetch_checkpoints(self, run: Run) -> int:
        """Fetch the checkpoints of a run, which `sync` leaves where they are; return how many there are.

        AsrkitError if that is impossible now.
        """
        return len(run.checkpoints())

    def discard(self, run: Run) -> None:
        """Delete what is elsewhere of a run that is about to be deleted. AsrkitError if that is impossible now."""
        return

    def logs(self, run: Run) -> str:
        """Return the end of the worker's output."""
        return run.log_tail()

    def cost(self, run: Run) -> str:
        """Return what the worker has cost so far, such as `1.5 GPU hours`; empty where it costs nothing."""
        return ""

    def explain_end(self, run: Run) -> str:
        """Return how a worker ended that wrote no end event, as a sentence; empty where the launcher cannot tell."""
        return ""
