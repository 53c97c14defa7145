"""The heartbeat of a worker: a file that is written while the worker makes progress.

It tells a phase that takes an hour from one that hangs. It is not an event, because it is written every second. Its
time is monotonic: it is the same in all processes of the machine, is never set, and stops while the machine is
suspended.

Of a worker on another machine, which has another clock, it shows life only by changing from one reading to the next.

A worker that is stopped, deadlocked or waits for an answer has no heartbeat: the thread that writes it checks whether
the process has computed, or read from the disk, since the last beat.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from asrkit.runs import processes
from asrkit.runs.run import Run

INTERVAL_S = 1.0
SILENT_S = 30.0
"""Age from which a heartbeat is reported as missing. Loading a library may hold the interpreter for some seconds."""

MIN_CPU_TIME_S = 0.002
"""Processor time between two beats from which on the process has done something; waiting threads take less."""

FILE_BYTES = 64
PAUSED_S = 10.0
MAX_UNFINISHED_S = 200.0
"""A step that has not ended yet counts as at most this long: it may never end."""


ELSEWHERE_LIMIT_S = 120.0
"""A worker on another machine counts as gone once its heartbeat has not changed for this long."""

FIRST_LOOKS_S = 3.0
"""How long `wait_for_first_looks` gives a heartbeat to change."""

_looks: dict[Path, tuple[bytes, float | None]] = {}
"""The heartbeat of a worker on another machine when this process last looked, and when it was seen to have changed, by
the monotonic clock; None after a single look."""


class HeartbeatStatus(NamedTuple):
    """age_s: seconds since the last beat. longest_s: the longest time that the worker has gone without polling for
    control flags, such as a step of training; 0 while unknown."""

    age_s: float
    longest_s: float

    @property
    def is_silent(self) -> bool:
        return self.age_s >= SILENT_S


def read_heartbeat(run: Run) -> HeartbeatStatus | None:
    """Read the heartbeat of a run; None if there is none (as in older versions), or its age is unknown."""
    try:
        line = run.heartbeat_path.read_bytes()
        record = json.loads(line)
        beat, longest_s = float(record["beat"]), float(record["longest_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not processes.is_elsewhere(run.process()):
        return HeartbeatStatus(max(0.0, time.monotonic() - beat), longest_s)
    age_s = _look(run, line)
    return None if age_s is None else HeartbeatStatus(age_s, longest_s)


def is_beating_elsewhere(run: Run) -> bool:
    """Whether the run has a worker on another machine whose heartbeat was seen to change lately.

    False at the first look: see `wait_for_first_looks`.
    """
    if not processes.is_elsewhere(run.process()):
        return False
    status = read_heartbeat(run)
    return status is not None and status.age_s < ELSEWHERE_LIMIT_S


def wait_for_first_looks(runs: Iterable[Run]) -> None:
    """Look twice at the heartbeats of workers on other machines, for callers that ask for a status only once."""
    waiting = [run for run in runs if processes.is_elsewhere(run.process()) and not run.has_ended()]
    deadline = time.monotonic() + FIRST_LOOKS_S
    while waiting := [run for run in waiting if run.heartbeat_path.exists() and not is_beating_elsewhere(run)]:
        if time.monotonic() > deadline:
            return
        time.sleep(INTERVAL_S / 4)


def _look(run: Run, line: bytes) -> float | None:
    """Return the seconds since the heartbeat was seen to change; None if it never was. line: its present content."""
    last_line, changed_at = _looks.get(run.path, (line, None))
    if line != last_line:
        changed_at = time.monotonic()
    _looks[run.path] = line, changed_at
    return None if changed_at is None else time.monotonic() - changed_at


class Heartbeat:
    """The worker's side. `beat` is called by a thread of its own, `on_poll` by the training loop.

    is_alone: False for one of several processes, which may do nothing while it waits for the others; it counts as alive
    as long as its thread runs.
    """

    def __init__(self, run: Run, is_alone: bool = True) -> None:
        self.run, self.is_alone = run, is_alone
        self._longest_s = 0.0
        self._polled_at: float | None = None
        self._beaten_at = time.monotonic() - INTERVAL_S
        self._work = (float("-inf"), 0)

    def on_poll(self) -> None:
        """Note that the worker has polled for control flags."""
        now = time.monotonic()
        if self._polled_at is not None and not self._was_paused(now):
            self._longest_s = max(self._longest_s, now - self._polled_at)
        self._polled_at = now

    def beat(self) -> None:
        """Write the heartbeat if the process has made progress since the last beat, at most every INTERVAL_S."""
        now = time.monotonic()
        if now - self._beaten_at < INTERVAL_S:
            return
        if self._was_paused(now):
            self._polled_at = now
        self._beaten_at = now
        if not (self._has_worked() or not self.is_alone or _is_waiting_for_disk()):
            return
        unfinished_s = min(now - self._polled_at, MAX_UNFINISHED_S) if self._polled_at is not None else 0.0
        longest_s = max(self._longest_s, unfinished_s)
        # If the disk is full or read-only, the next event fails, which ends the worker with that reason.
        with contextlib.suppress(OSError):
            _write(self.run.heartbeat_path, {"beat": round(now, 3), "longest_s": round(longest_s, 3)})

    def _was_paused(self, now: float) -> bool:
        """Whether the whole process was stopped for a while. No step took that time."""
        return now - self._beaten_at > PAUSED_S

    def _has_worked(self) -> bool:
        """Whether the process has computed or read from the disk since the last call, apart from this thread."""
        before = self._work
        self._work = (time.process_time() - time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_majflt)
        return self._work[0] - before[0] > MIN_CPU_TIME_S or self._work[1] > before[1]


def _write(path: Path, record: dict[str, float]) -> None:
    """Write in place and always with the same length: this needs no disk space, and no reader finds half of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, json.dumps(record).ljust(FILE_BYTES).encode(), 0)
    finally:
        os.close(descriptor)


def _is_waiting_for_disk() -> bool:
    """Whether the main thread waits for a disk: writing a checkpoint may take a minute (proc(5), state D)."""
    try:
        stat = Path("/proc/self/stat").read_text()  # the state in it is the main thread's
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "D"
