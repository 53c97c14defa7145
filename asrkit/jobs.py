"""Background jobs: one schema for progress, cancellation, result and error.

A `Job` is one piece of work in a thread. A `JobQueue` runs jobs on a fixed number of threads; a `JobRegistry` keeps the
jobs of one kind by key, so that two visitors who ask for the same work share one job.
"""

from __future__ import annotations

import contextvars
import logging
import math
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from asrkit.errors import AsrkitError

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[str, int, int], None]
"""`on_progress(message, done, total)`. total is 0 where it is unknown. The callback may raise to stop the work."""

WAITING, WORKING, DONE, FAILED, CANCELLED = "waiting", "working", "done", "failed", "cancelled"
"""The states of a job. An abandoned job is cancelled."""

MARK_S, MAX_MARKS = 2.0, 10
"""Seconds between the marks of a job's progress that are kept, by which its pace is known."""

Result = TypeVar("Result")


class JobCancelled(Exception):
    """Raised inside the work of a job that was cancelled or abandoned."""


class Job(Generic[Result]):
    """One piece of work in the background.

    Args:
        kind: a noun for messages, such as "audit".
        work: gets the job, reports to its `on_progress` and returns the result. It runs in the context (`contextvars`)
            of the caller that makes the job.
        abandon_after_s: the job is abandoned if `touch` has not been called for that many seconds.
        on_end: called once with the job when it has ended, also if it never began.
        owner: who asked for it.
    """

    def __init__(
        self,
        kind: str,
        work: Callable[[Job[Result]], Result],
        *,
        abandon_after_s: float = math.inf,
        on_end: Callable[[Job[Result]], None] | None = None,
        owner: str = "",
    ) -> None:
        self.kind, self.owner = kind, owner
        self.state = WAITING
        self.message, self.done, self.total = "", 0, 0
        self.result: Result | None = None
        self.partial: Result | None = None  # what `work` shows before it has the result
        self.error: AsrkitError | None = None
        self.abandon_after_s = abandon_after_s
        self.touched_at = time.monotonic()
        self._work, self._on_end = work, on_end
        self._marks: deque[tuple[float, int]] = deque(maxlen=MAX_MARKS)  # (time, done)
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._cancel_requested = False
        self._ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @property
    def is_abandoned(self) -> bool:
        """Whether `touch` has not been called for `abandon_after_s`."""
        return time.monotonic() - self.touched_at > self.abandon_after_s

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def left_s(self) -> float | None:
        """Estimated seconds until `done` reaches `total`, by the pace of the last seconds; None if it is not known."""
        marks = list(self._marks)
        if not self.total or len(marks) < 2 or marks[-1][1] <= marks[0][1]:
            return None
        (begin_s, first), (end_s, last) = marks[0], marks[-1]
        return (end_s - begin_s) / (last - first) * (self.total - self.done)

    def on_progress(self, message: str, done: int = 0, total: int = 0) -> None:
        """Record progress. Raises JobCancelled if the job is to stop."""
        now = time.monotonic()
        if message != self.message or done < self.done:
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] >= MARK_S:
            self._marks.append((now, done))
        self.message, self.done, self.total = message, done, total
        self.check()

    def check(self) -> None:
        """Raise JobCancelled if the job was cancelled or abandoned."""
        if self._cancel_requested or self.is_abandoned:
            raise JobCancelled

    def touch(self) -> None:
        """Note that the result is still needed, so that the job is not abandoned."""
        self.touched_at = time.monotonic()

    def cancel(self) -> None:
        """Stop the work at its next call of `on_progress` or `check`; a waiting job ends at once."""
        with self._lock:
            self._cancel_requested = True
            was_waiting = self.state == WAITING
            self.state = CANCELLED if was_waiting else self.state
        if was_waiting:
            self._end(CANCELLED)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether the job has ended."""
        return self._ended.wait(timeout_s)

    def start(self) -> None:
        """Run the job in a thread of its own. The interpreter does not wait for it at exit."""
        threading.Thread(target=self.run, daemon=True, name=self.kind).start()

    def run(self) -> None:
        """Do the work in this thread. An unexpected exception is logged and becomes an AsrkitError."""
        with self._lock:
            if self.state != WAITING:
                return
            self.state = WORKING
        try:
            self.check()
            self.result = self._context.run(self._work, self)
            self._end(DONE)
        except JobCancelled:
            self._end(CANCELLED)
        except AsrkitError as error:
            self.error = error
            self._end(FAILED)
        except BaseException as error:
            logger.exception("The %s failed.", self.kind)
            self.error = AsrkitError(f"The {self.kind} failed with {type(error).__name__}; see the app's log.")
            self._end(FAILED)

    def _end(self, state: str) -> None:
        self.state = state
        if self._on_end:
            self._on_end(self)
        self._ended.set()


class JobQueue:
    """Runs jobs on a fixed number of daemon threads, first come, first served.

    Unlike `ThreadPoolExecutor`, it does not keep the interpreter alive until its queue is empty.
    """

    def __init__(self, name: str, num_threads: int = 1) -> None:
        self._jobs: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        for _ in range(num_threads):
            threading.Thread(target=self._work, daemon=True, name=name).start()

    def submit(self, job: Job[Any]) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get().run()


class JobRegistry(Generic[Result]):
    """The latest jobs of one kind, by key.

    Args:
        kind: a noun for messages, such as "audit".
        max_running: jobs that run at once; None for no limit.
        max_jobs: if there are more, the oldest jobs that have ended are dropped.
        abandon_after_s: a running job is abandoned if it has not been requested for so long.
        drop_after_s: a job that has ended is dropped if it has not been requested for so long.
        admit: called with the owners of the unfinished jobs before a new one is made; raises to refuse it.
    """

    def __init__(
        self,
        kind: str,
        *,
        max_running: int | None = 1,
        max_jobs: int = 4,
        abandon_after_s: float = math.inf,
        drop_after_s: float = math.inf,
        admit: Callable[[list[str]], None] | None = None,
    ) -> None:
        self.kind, self.max_jobs, self.admit = kind, max_jobs, admit
        self.abandon_after_s, self.drop_after_s = abandon_after_s, drop_after_s
        self._jobs: OrderedDict[Hashable, Job[Result]] = OrderedDict()
        self._lock = threading.Lock()
        self._queue = JobQueue(kind, max_running) if max_running else None

    def join(
        self, key: Hashable, work: Callable[[Job[Result]], Result], *, restart: bool = False, owner: str = ""
    ) -> Job[Result]:
        """Return the job of `key`; start one if there is none or it was cancelled.

        restart: start one anew, too, where it has ended. owner: of a new job, for `admit`, whose errors are raised.

        A failed job is returned once: the next caller, who may have mended the cause, starts a new one.
        """
        with self._lock:
            self._drop_expired()
            job = self._jobs.get(key)
            if job is None or job.state == CANCELLED or (restart and job.has_ended):
                if self.admit:
                    self.admit([each.owner for each in self._jobs.values() if not each.has_ended])
                job = Job(self.kind, work, abandon_after_s=self.abandon_after_s, owner=owner)
                job.message = f"Waiting for another {self.kind}" if self._queue else ""
                self._queue.submit(job) if self._queue else job.start()
            job.touch()
            self._jobs.pop(key, None)
            if job.error is None:
                self._jobs[key] = job
            self._drop_ended()
            return job

    def find(self, key: Hashable) -> Job[Result] | None:
        """Return the job of `key`, if it has not been dropped."""
        with self._lock:
            return self._jobs.get(key)

    def forget(self, key: Hashable, job: Job[Result]) -> None:
        """Drop `job`, so that the next caller starts a new one."""
        with self._lock:
            if self._jobs.get(key) is job:
                del self._jobs[key]

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for key, job in list(self._jobs.items()):
            if job.has_ended and now - job.touched_at > self.drop_after_s:
                del self._jobs[key]

    def _drop_ended(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.has_ended]
        for key in ended[: max(0, len(self._jobs) - self.max_jobs)]:
            del self._jobs[key]
