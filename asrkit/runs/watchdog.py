"""Start the next queued run, and end runs that do not end on request.

A stopped run has STOP_LIMIT_S to finish its step and save, a cancelled one CANCEL_LIMIT_S. One that is
alive and takes long for a step has LIMIT_STEPS times as long as its longest step (`shutdown_limit_s`). After that, its
worker kills itself (`guard_worker`); where not even that works, a polling app does it (`watch_forever`). Either one
writes this into the run's end event.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from asrkit.errors import AsrkitError
from asrkit.runs import events, heartbeat, launchers, lifecycle, processes, queue
from asrkit.runs.run import CANCEL, STOP, Run
from asrkit.runs.store import RunStore
from asrkit.units import format_duration

STOP_LIMIT_S, CANCEL_LIMIT_S, LIMIT_STEPS = 600.0, 120.0, 3
GRACE_S = 20.0
"""How much longer an app waits than the worker itself."""

logger = logging.getLogger(__name__)


def shutdown_limit_s(run: Run) -> float:
    """Return how long a run may take to end after the request.

    A worker without a heartbeat gets no extra time for slow steps.
    """
    limit_s = CANCEL_LIMIT_S if run.has_flag(CANCEL) else STOP_LIMIT_S
    status = heartbeat.read_heartbeat(run)
    return limit_s if status is None or status.is_silent else max(limit_s, LIMIT_STEPS * status.longest_s)


class ShutdownTimer:
    """Measures the time since runs were requested to end, by the monotonic clock."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._draft_bytes: dict[str, int] = {}

    def is_requested(self, run: Run) -> bool:
        """Whether a stop or a cancel of the run was requested."""
        return run.has_flag(STOP) or run.has_flag(CANCEL)

    def exceeded_limit_s(self, run: Run, grace_s: float = 0.0) -> float | None:
        """Return the time limit of the run once it is exceeded by `grace_s`; else None.

        The limit of a stop starts again whenever the run saves.
        """
        now = time.monotonic()
        if run.has_flag(STOP) and self._is_saving(run):
            self._since[run.id, STOP] = now
        waited_s = 0.0
        for flag in (STOP, CANCEL):  # the limit of a cancel counts from the cancel, also after a stop
            if not run.has_flag(flag):
                self._since.pop((run.id, flag), None)
            else:
                waited_s = now - self._since.setdefault((run.id, flag), now)
        limit_s = shutdown_limit_s(run) if self.is_requested(run) else 0.0
        return limit_s if waited_s > limit_s + grace_s else None

    def _is_saving(self, run: Run) -> bool:
        """Whether more of a checkpoint or a model has been written since the last call."""
        before, written = self._draft_bytes.get(run.id, 0), run.draft_bytes()
        self._draft_bytes[run.id] = written
        return written > before


def guard_worker(
    run: Run, interrupt: Callable[[], None], interval_s: float = 0.5, is_alone: bool = True
) -> heartbeat.Heartbeat:
    """Watch the calling worker from a thread of its own, which also writes the heartbeat; return the heartbeat.

    interrupt: called repeatedly once a stop or a cancel is requested; it interrupts what can be interrupted. is_alone:
    as in `Heartbeat`.
    """
    worker_heartbeat, inode = heartbeat.Heartbeat(run, is_alone), processes.get_folder_inode(run)
    with contextlib.suppress(OSError):  # deleted already
        os.open(run.path, os.O_RDONLY)  # never closed: while it is open, no other directory gets its inode

    def watch() -> None:
        timer = ShutdownTimer()
        while True:
            time.sleep(interval_s)
            if processes.get_folder_inode(run) not in (inode, None):  # deleted, and replaced by another run of its name
                os.killpg(os.getpgrp(), signal.SIGKILL)
            worker_heartbeat.beat()
            limit_s = timer.exceeded_limit_s(run)
            if limit_s is not None:
                try:  # whatever fails, such as a full disk, the worker must not go on without a guard
                    _log_errors(_append_forced_end, run, limit_s)
                    _log_errors(queue.start_ready_runs, RunStore(run.path.parent))
                finally:
                    launchers.of_run(run).stop(run)
            elif timer.is_requested(run):
                interrupt()

    threading.Thread(target=watch, daemon=True, name="guard").start()
    return worker_heartbeat


def _log_errors(function: Callable[..., object], *arguments: Any) -> None:
    """Call the function and log its errors. The log may lie on the disk that is full."""
    try:
        function(*arguments)
    except (AsrkitError, OSError) as error:
        with contextlib.suppress(OSError):
            logger.exception("%s", error)


def watch_forever(store: RunStore, interval_s: float = 5.0) -> None:
    """Start queued runs and kill overdue ones, forever; for a thread of the app."""
    timer = ShutdownTimer()
    while True:
        time.sleep(interval_s)
        _log_errors(tick, store, timer)  # a full disk or a missing directory may be back at the next tick


def tick(store: RunStore, timer: ShutdownTimer) -> None:
    """Do one round of `watch_forever`: a killed worker could neither start the next run nor end itself."""
    for run in list(lifecycle.iter_active_runs(store)) if any(store.root.glob("*/control/*")) else []:
        limit_s = timer.exceeded_limit_s(run, GRACE_S)
        # A worker that the request could not be sent to has not ignored it.
        if limit_s is not None and not launchers.of_run(run).is_cut_off(run):
            force_stop(run, limit_s)
    if any(store.root.glob("*/queue.json")):
        queue.start_ready_runs(store)


def force_stop(run: Run, limit_s: float | None = None) -> None:
    """Kill the worker of a run and write that into its history. A cancelled run keeps nothing else.

    limit_s: the time limit that it has exceeded; None if a user forced the stop.
    """
    launchers.of_run(run).stop(run)
    with RunStore(run.path.parent).lock():
        if lifecycle.get_status(run) == lifecycle.CRASHED:
            run.repair_events()
            _append_forced_end(run, limit_s)


def _append_forced_end(run: Run, limit_s: float | None) -> None:
    if run.has_ended():  # the worker ended by itself at the last moment
        return
    is_cancelled = run.has_flag(CANCEL)
    if is_cancelled:
        run.delete_weights()
    within = f" within {format_duration(limit_s)}" if limit_s else ""
    kept = "Cancelled; only the history was kept. " if is_cancelled else ""
    resume = "Resume continues from its last checkpoint." if run.checkpoints() else "Resume starts from the beginning."
    run.append_end_event(
        events.make_event(
            events.STOPPED,
            saved=run.has_model(),
            model="model" if run.has_model() else None,
            forced=True,
            message=f"{kept}The worker did not stop{within} when asked to, so it was killed. {resume}",
        )
    )
    run.clear_flags()
