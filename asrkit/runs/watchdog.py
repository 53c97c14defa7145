"""What nobody presses a button for: the next run in line begins, and one that was asked to end does end.

A run that was asked to stop has STOP_S to finish its step and save, one that was cancelled CANCEL_S; one that lives and
has taken long for a step has STEPS times as long as that (`given_s`). Then its worker ends itself by force (`guard`);
where not even that works, an app that looks does it (`keep`). Either says so in the run's last event.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from asrkit.errors import AsrkitError
from asrkit.runs import events, heartbeat, lifecycle, processes, queue
from asrkit.runs.run import CANCEL, STOP, Run
from asrkit.runs.store import RunStore

STOP_LIMIT_S, CANCEL_LIMIT_S, LIMIT_STEPS = 600.0, 120.0, 3
GRACE_S = 20.0
"""How much longer an app waits than the worker itself."""


def shutdown_limit_s(run: Run) -> float:
    """Seconds that a run has to end by itself once it was asked to. A worker that gives no sign of life gets no more
    than anybody for being slow."""
    given = CANCEL_LIMIT_S if run.has_flag(CANCEL) else STOP_LIMIT_S
    sign = heartbeat.read_heartbeat(run)
    return given if sign is None or sign.is_silent else max(given, LIMIT_STEPS * sign.longest_s)


class ShutdownTimer:
    """How long runs that were asked to end have been at it, by a clock that does not jump."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._saved: dict[str, int] = {}

    def asked(self, run: Run) -> bool:
        return run.has_flag(STOP) or run.has_flag(CANCEL)

    def over(self, run: Run, grace_s: float = 0.0) -> float | None:
        """Seconds that the run was given, once they are over; else None. A stop that still saves has its time anew."""
        now = time.monotonic()
        if run.has_flag(STOP) and self._saves(run):
            self._since[run.id, STOP] = now
        waited = 0.0
        for flag in (STOP, CANCEL):  # a stop that is cancelled has the time of a cancel, from then on
            if not run.has_flag(flag):
                self._since.pop((run.id, flag), None)
            else:
                waited = now - self._since.setdefault((run.id, flag), now)
        given = shutdown_limit_s(run) if self.asked(run) else 0.0
        return given if waited > given + grace_s else None

    def _saves(self, run: Run) -> bool:
        """Whether more of a checkpoint or a model is written than when this was asked before."""
        before, written = self._saved.get(run.id, 0), run.draft_bytes()
        self._saved[run.id] = written
        return written > before


def guard_worker(
    run: Run, interrupt: Callable[[], None], every_s: float = 0.5, is_alone: bool = True
) -> heartbeat.Heartbeat:
    """Watch over the worker that calls this, from a thread of its own; -> its heart, which that thread lets beat.

    interrupt: called again and again once somebody wants the run to end; it breaks off what can be broken off.
    alone: as Heartbeat has it.
    """
    heart, home = heartbeat.Heartbeat(run, is_alone), processes.get_folder_inode(run)
    with contextlib.suppress(OSError):  # removed already
        os.open(run.path, os.O_RDONLY)  # never closed: while it is open, no other folder gets its number

    def watch() -> None:
        patience = ShutdownTimer()
        while True:
            time.sleep(every_s)
            if processes.get_folder_inode(run) not in (
                home,
                None,
            ):  # it was removed, and this is another run of its name
                os.killpg(os.getpgrp(), signal.SIGKILL)
            heart.beat()
            given = patience.over(run)
            if given is not None:
                try:  # a full disk or a torn run of the line must not leave a worker that nobody watches over
                    _log_errors(_append_forced_end, run, given)
                    _log_errors(queue.start_ready_runs, RunStore(run.path.parent))
                finally:
                    processes.kill_worker(run)
            elif patience.asked(run):
                interrupt()

    threading.Thread(target=watch, daemon=True, name="guard").start()
    return heart


def _log_errors(step: Callable[..., object], *arguments: Any) -> None:
    """Do it, and print what comes between: the log may lie on the disk that is full."""
    try:
        step(*arguments)
    except (AsrkitError, OSError):
        with contextlib.suppress(OSError):
            traceback.print_exc()


def watch_forever(store: RunStore, every_s: float = 5.0) -> None:
    """Start waiting runs and end overdue ones for ever, in a thread of an app."""
    patience = ShutdownTimer()
    while True:
        time.sleep(every_s)
        _log_errors(tick, store, patience)  # a full disk, a directory that is away: it is tried again


def tick(store: RunStore, patience: ShutdownTimer) -> None:
    """One round of `keep`: a worker that was killed could not start the next one, nor end itself."""
    for run in list(lifecycle.iter_active_runs(store)) if any(store.root.glob("*/control/*")) else []:
        given = patience.over(run, GRACE_S)
        if given is not None:
            force_stop(run, given)
    if any(store.root.glob("*/queue.json")):
        queue.start_ready_runs(store)


def force_stop(run: Run, given_s: float | None = None) -> None:
    """Kill the worker of a run that did not end when asked, in `given_s` or soon enough for somebody, and say so in
    its history. Of a cancelled run nothing else is kept."""
    processes.kill_worker(run)
    with RunStore(run.path.parent).lock():
        if lifecycle.get_status(run) == lifecycle.CRASHED:
            run.repair_events()
            _append_forced_end(run, given_s)


def _append_forced_end(run: Run, given_s: float | None) -> None:
    if run.has_ended():  # its worker came first by a hair
        return
    cancelled = run.has_flag(CANCEL)
    if cancelled:
        run.delete_weights()
    within = f" within {given_s / 60:.0f} min" if given_s else ""
    kept = "Cancelled; only the history was kept. " if cancelled else ""
    way_on = "Resume goes on from its last checkpoint." if run.checkpoints() else "Resume begins again."
    run.append_end_event(
        events.make_event(
            events.STOPPED,
            saved=run.has_model(),
            model="model" if run.has_model() else None,
            forced=True,
            message=f"{kept}It did not end{within} when asked, so it was ended by force. {way_on}",
        )
    )
    run.clear_flags()
