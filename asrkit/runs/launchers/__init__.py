"""Launchers: where the worker of a run runs, as a process of this machine or as a job of a cluster."""

from __future__ import annotations

import os
from typing import Any

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError
from asrkit.runs.launchers.hf_jobs import HfJobsLauncher
from asrkit.runs.launchers.interface import JOB, JobState, JobStatus, Launcher
from asrkit.runs.launchers.local import LocalLauncher
from asrkit.runs.launchers.slurm import SlurmLauncher
from asrkit.runs.run import Run

__all__ = ["DEFAULT", "JOB", "JobState", "JobStatus", "Launcher", "for_config", "of_process", "of_run"]

DEFAULT = "ASRKIT_LAUNCHER"
"""Environment variable with the launcher of runs whose `launcher` is `default`."""

_ALL: tuple[Launcher, ...] = (LocalLauncher(), SlurmLauncher(), HfJobsLauncher())
_LAUNCHERS = {launcher.name: launcher for launcher in _ALL}


def for_config(config: TrainConfig) -> Launcher:
    """Return the launcher for a run with these settings. ConfigError if `$ASRKIT_LAUNCHER` names none."""
    if config.launcher != "default":
        return _LAUNCHERS[config.launcher]
    name = os.environ.get(DEFAULT) or LocalLauncher.name
    if name not in _LAUNCHERS:
        raise ConfigError(f"{DEFAULT} is {name!r}; set it to one of {', '.join(_LAUNCHERS)}.")
    return _LAUNCHERS[name]


def of_run(run: Run) -> Launcher:
    """Return the launcher that has started the present or last worker of a run."""
    return of_process(run.process())


def of_process(process: dict[str, Any] | None) -> Launcher:
    """Return the launcher that `process.json` names; local where it names none."""
    return _LAUNCHERS[(process or {}).get("launcher", LocalLauncher.name)]
