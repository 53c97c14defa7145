"""Runs as detached processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError
from asrkit.runs import devices, heartbeat, processes
from asrkit.runs.launchers.interface import JobState, JobStatus, Launcher
from asrkit.runs.run import Run


class LocalLauncher(Launcher):
    """Starts a process. One that another machine has started is alive as long as its heartbeat changes."""

    name, has_queue = "local", False

    def check(self, config: TrainConfig) -> None:
        if config.nodes > 1:
            raise ConfigError(
                f"Nodes (nodes) is {config.nodes}, and the launcher local uses this machine alone; set it to 1, or "
                "Launcher (launcher) to slurm."
            )
        devices.check_available(config)

    def submit(self, run: Run, assigned: Sequence[str]) -> None:
        processes.spawn_worker(run, assigned)

    def status(self, run: Run) -> JobStatus:
        is_alive = processes.is_worker_alive(run) or heartbeat.is_beating_elsewhere(run)
        return JobStatus(JobState.ALIVE if is_alive else JobState.GONE)

    def stop(self, run: Run) -> None:
        processes.kill_worker(run)
