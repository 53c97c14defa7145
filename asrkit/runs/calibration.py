"""Measuring how fast this machine trains before its first run, in a process of its own."""

from __future__ import annotations

import os
import subprocess

from asrkit import child
from asrkit.runs import devices, lifecycle, pace
from asrkit.runs.store import RunStore

TIMEOUT_S = 120.0
_PROGRAM = "asrkit.training.calibration"


def calibrate_once(store: RunStore) -> None:
    """Let the program measure, unless something is known of this machine or a run is under way.

    Raises RunError for devices that cannot be listed, OSError if the program cannot be started.
    """
    if pace.is_known(devices.list_devices()[0]) or any(lifecycle.iter_active_runs(store)):
        return
    try:
        subprocess.run(
            child.module_command(_PROGRAM),
            env=child.environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"it took more than {TIMEOUT_S:.0f} s") from error
