"""Audits in threads of their own: a page that is closed stops nothing, and one that asks for the same audit joins
it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from asrkit.errors import AsrkitError
from asrkit.speech.inspection import Inspection, Progress

REMEMBERED = 4  # results; each holds a few numbers a clip


class Job:
    """One audit: how far it is, and what it found or what was wrong."""

    def __init__(self, work: Callable[[Progress], Inspection], turn: threading.Lock) -> None:
        self.what, self.done, self.of = "Waiting for another audit", 0, 0
        self.result: Inspection | None = None
        self.error: AsrkitError | None = None
        self._work, self._turn = work, turn
        threading.Thread(target=self._run, daemon=True, name="audit").start()

    def _run(self) -> None:
        with self._turn:
            self.what = "Beginning"
            try:
                self.result = self._work(self._progress)
            except AsrkitError as error:
                self.error = error
            except BaseException as error:
                # The page is waiting for this thread; the traceback goes to the terminal.
                self.error = AsrkitError(f"The audit ended with {type(error).__name__}, which is a fault of asrkit; "
                                         f"the "
                                         "terminal says more.")
                raise

    def _progress(self, what: str, done: int, of: int) -> None:
        self.what, self.done, self.of = what, done, of


class Jobs:
    """The latest audits, one at work at a time."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, Job] = OrderedDict()
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def get(self, key: Hashable, work: Callable[[Progress], Inspection], again: bool) -> Job:
        """The job of that key, begun where there is none; again: begun anew where it has ended."""
        with self._lock:
            job = self._jobs.get(key)
            ended = job is not None and (job.result is not None or job.error is not None)
            if job is None or (again and ended):
                self._jobs.pop(key, None)
                job = self._jobs[key] = Job(work, self._turn)
                while len(self._jobs) > REMEMBERED:
                    self._jobs.popitem(last=False)
            return job

    def result(self, key: Hashable) -> Inspection | None:
        """What the audit of that key found, if it was made and is still known."""
        with self._lock:
            job = self._jobs.get(key)
        return job.result if job else None
