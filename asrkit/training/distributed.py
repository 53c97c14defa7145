"""The processes that train one run together: one alone, or several under `torchrun`.

Rank 0 reads the flags, writes the events and decides; the others are told. A decision that each process took for itself
from a file would be taken at different steps, and the rest would wait for ever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from datetime import timedelta
from typing import Any

RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
FIRST = RANK == 0
HERE = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
"""How many of them run on this machine."""
LAUNCHED = "TORCHELASTIC_RUN_ID" in os.environ
"""Whether torchrun started this process; its parent is then who lives as long as the run."""

_PR_SET_PDEATHSIG = 1


def leader() -> int:
    """Process id that stands for the whole team on this machine."""
    return os.getppid() if LAUNCHED else os.getpid()


def die_with_leader() -> None:
    """End this process when torchrun is killed: it keeps its children in sessions of their own, out of a kill's reach.

    Only Linux knows how (prctl(2), PR_SET_PDEATHSIG); elsewhere the next exchange between processes fails instead.
    """
    if LAUNCHED and sys.platform == "linux":
        launcher = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:  # it died before we asked
            os._exit(1)


def join() -> None:
    """Meet the others. Does nothing for one process alone."""
    if WORLD > 1:
        import torch
        from accelerate import PartialState

        # A member that is gone is noticed by torchrun; one that waits for a download or an evaluation is not lost.
        PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=1))


def part() -> None:
    """Take leave of the others once the work is done: whatever still listens for them would abort this process as it
    ends (seen once, under load: "terminate called without an active exception")."""
    if WORLD > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def agreed(word: Any) -> Any:
    """Rank 0's `word`, on every process."""
    if WORLD == 1:
        return word
    from torch import distributed

    words = [word]
    distributed.broadcast_object_list(words, src=0)
    return words[0]


def gathered(part: Any) -> list[Any]:
    """What every process brings, in order of rank, on every process."""
    if WORLD == 1:
        return [part]
    from torch import distributed

    parts: list[Any] = [None] * WORLD
    distributed.all_gather_object(parts, part)
    return parts
