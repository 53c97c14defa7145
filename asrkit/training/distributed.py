"""The processes that train one run: a single one, or several that `torchrun` starts.

Rank 0 reads the control flags, writes the events and makes every decision; the other ranks receive its decisions. If
each process read the flags itself, they could act at different steps, and the rest would wait forever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from datetime import timedelta
from typing import TypeVar

import psutil

T = TypeVar("T")

RANK, WORLD_SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
IS_MAIN = RANK == 0
LOCAL_WORLD_SIZE = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
"""Number of the run's processes on this machine."""
IS_LAUNCHED = "TORCHELASTIC_RUN_ID" in os.environ
"""Whether torchrun started this process; its parent then runs as long as the run does."""

_PR_SET_PDEATHSIG = 1


class ProcessLostError(Exception):
    """Another process of the run ended before this one."""


def launcher_pid() -> int:
    """Process id that stands for all of the run's processes on this machine."""
    return os.getppid() if IS_LAUNCHED else os.getpid()


def die_with_launcher() -> None:
    """End this process when torchrun is killed.

    torchrun starts its children in sessions of their own, so killing its process group does not reach them. Only Linux
    supports this (prctl(2), PR_SET_PDEATHSIG); elsewhere the next exchange between the processes fails instead.
    """
    if IS_LAUNCHED and sys.platform == "linux":
        launcher = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:  # it died before the call
            os._exit(1)


def check_siblings() -> None:
    """Raise ProcessLostError if one of torchrun's processes on this machine has ended.

    torchrun sends SIGTERM to the processes that are left, exactly as it does when somebody stops it.
    """
    if IS_LAUNCHED:
        siblings = psutil.Process(launcher_pid()).children()
        if sum(process.status() != psutil.STATUS_ZOMBIE for process in siblings) < LOCAL_WORLD_SIZE:
            raise ProcessLostError("Another process of this run ended unexpectedly.")


def initialize() -> None:
    """Create the process group. Does nothing for a single process."""
    if WORLD_SIZE > 1:
        import torch
        from accelerate import PartialState

        # torchrun notices a process that died; one that waits for a download or an evaluation must not time out.
        PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=1))


def shutdown() -> None:
    """Destroy the process group before the process exits.

    Its background threads could otherwise abort the process ("terminate called without an active exception").
    """
    if WORLD_SIZE > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def broadcast(value: T) -> T:
    """Return rank 0's `value` on every process."""
    if WORLD_SIZE == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def all_gather(value: T) -> list[T]:
    """Return every process's `value`, in order of rank, on every process."""
    if WORLD_SIZE == 1:
        return [value]
    from torch import distributed

    values: list[T] = [value] * WORLD_SIZE
    distributed.all_gather_object(values, value)
    return values
