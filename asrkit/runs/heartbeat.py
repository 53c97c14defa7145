"""Signs of life of a worker: a file that is written while something goes on in it, so that a phase of an hour is no
silence. Not an event: it would be one a second.

The moment is told by the clock that counts from the start of the machine and is the same in all its processes: it is
not set, and stands still while the machine sleeps.

What is stopped, deadlocked or waits for an answer that does not come gives no sign: the thread that beats looks whether
the process has computed, or read from the disk, since the last beat.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import NamedTuple

from asrkit.runs.run import Run

EVERY_S = 1.0
SILENT_S = 30.0
"""After so long without a sign of life a page says so: while a library is loaded nobody may beat for some seconds."""

MIN_CPU_TIME_S = 0.002
"""Processor time between two beats from which on the process has done something; waiting threads take less."""


FILE_BYTES = 64
"""Bytes of the file."""

PAUSED_S = 10.0
MAX_UNFINISHED_S = 200.0
"""A step that is not over counts as one that took so long at most: it may never be over."""


class HeartbeatStatus(NamedTuple):
    """age_s: seconds since the last one. longest_s: the longest time the worker has gone without looking whether
    somebody wants it to end, a step of training for instance; 0 before it is known."""

    age_s: float
    longest_s: float

    @property
    def is_silent(self) -> bool:
        return self.age_s >= SILENT_S


def read_heartbeat(run: Run) -> HeartbeatStatus | None:
    """The last sign of life of the run's worker; None for one that gives none (an older version's)."""
    try:
        told = json.loads(run.heartbeat_path.read_bytes())
        return HeartbeatStatus(max(0.0, time.monotonic() - float(told["beat"])), float(told["longest_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Heartbeat:
    """The worker's side. `beat` is called by a thread of its own, `on_poll` by the loop.

    alone: of several processes one may do nothing while it waits for the others; it lives as long as it can beat.
    """

    def __init__(self, run: Run, is_alone: bool = True) -> None:
        self.run, self.is_alone = run, is_alone
        self._longest = 0.0
        self._looked: float | None = None
        self._beaten = time.monotonic() - EVERY_S
        self._work = (float("-inf"), 0)

    def on_poll(self) -> None:
        """The worker has looked whether somebody wants it to end."""
        now = time.monotonic()
        if self._looked is not None and not self._paused(now):
            self._longest = max(self._longest, now - self._looked)
        self._looked = now

    def beat(self) -> None:
        """Give a sign of life if there was life since the last one, at most every EVERY_S."""
        now = time.monotonic()
        if now - self._beaten < EVERY_S:
            return
        if self._paused(now):
            self._looked = now
        self._beaten = now
        if not (self._worked() or not self.is_alone or _is_waiting_for_disk()):
            return
        under_way = min(now - self._looked, MAX_UNFINISHED_S) if self._looked is not None else 0.0
        longest = max(self._longest, under_way)
        # On a disk that is full or read-only the worker ends by its next event, which says so.
        with contextlib.suppress(OSError):
            _write(self.run.heartbeat_path, {"beat": round(now, 3), "longest_s": round(longest, 3)})

    def _paused(self, now: float) -> bool:
        """Whether nothing at all has gone on in the process: somebody stopped it. No step took that long."""
        return now - self._beaten > PAUSED_S

    def _worked(self) -> bool:
        """Whether the process has computed or read from the disk since this was asked last, apart from asking."""
        before = self._work
        self._work = (time.process_time() - time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_majflt)
        return self._work[0] - before[0] > MIN_CPU_TIME_S or self._work[1] > before[1]


def _write(path: Path, sign: dict[str, float]) -> None:
    """In place and of one length: it needs no room of the disk, and no reader finds half of it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(handle, json.dumps(sign).ljust(FILE_BYTES).encode(), 0)
    finally:
        os.close(handle)


def _is_waiting_for_disk() -> bool:
    """Whether the main thread waits for a disk: writing a checkpoint out may take a minute (proc(5), state D)."""
    try:
        stat = Path(f"/proc/self/task/{threading.main_thread().native_id}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "D"
