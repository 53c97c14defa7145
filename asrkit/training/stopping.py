"""Stop requests before training begins: interrupt a download, an import or the reading of clips.

During training, `CtcTrainer.poll_flags` reads the flags after each step instead.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from asrkit.runs import watchdog
from asrkit.runs.heartbeat import Heartbeat
from asrkit.runs.run import CANCEL, PREEMPT, STOP, Run
from asrkit.training import distributed

END_FLAGS = frozenset({STOP, CANCEL, PREEMPT})
"""Each of them ends the work on a run. After PREEMPT, the cluster starts the run again."""


class StopRequested(BaseException):
    """The run is to stop before there is anything to save.

    A BaseException, so that no library that is being loaded handles it as an error of its own.
    """


_interruptible = threading.Event()
"""Set while the worker may be interrupted at any point."""


def start_watchdog(run: Run) -> Heartbeat:
    """Start the thread that interrupts loading on a stop request and kills a worker that does not end in time."""

    def raise_stop(*_: Any) -> None:
        if _interruptible.is_set():
            raise StopRequested

    def interrupt() -> None:
        main_thread = threading.main_thread().ident
        # With several processes the others would wait for this one.
        if _interruptible.is_set() and distributed.WORLD_SIZE == 1 and main_thread is not None:
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    _interruptible.set()
    signal.signal(signal.SIGUSR1, raise_stop)
    return watchdog.guard_worker(run, interrupt, is_alone=distributed.WORLD_SIZE == 1)


def disable_interrupts() -> None:
    """Stop raising StopRequested from signals: loading is over, or the run is ending."""
    _interruptible.clear()


def has_stop_flag(run: Run) -> bool:
    """Whether the run has a stop or a cancel flag."""
    return run.has_flag(STOP) or run.has_flag(CANCEL)


def has_end_flag(run: Run) -> bool:
    """Whether the run has one of END_FLAGS."""
    return any(map(run.has_flag, END_FLAGS))


def check_stop(run: Run) -> None:
    """Raise StopRequested on all processes if rank 0 sees one of END_FLAGS."""
    if distributed.broadcast(has_end_flag(run)):
        raise StopRequested
