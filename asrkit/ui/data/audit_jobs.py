"""Audits and downloads in threads of their own: a page that asks for the same one joins it, and one that nobody asks
for any more stops."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from asrkit.errors import AsrkitError
from asrkit.jobs import ProgressCallback

REMEMBERED = 4  # results; each holds a few numbers a clip, or the rows of a dataset
PATIENCE_S = 150  # without a question; browsers let a page in the background ask once a minute


class _Abandoned(Exception):
    """Nobody has asked for this for a while."""


class Job:
    """One of them: how far it is, and what it found or what was wrong."""

    def __init__(self, kind: str, work: Callable[[ProgressCallback], Any], turn: threading.Lock) -> None:
        self.what, self.done, self.of = f"Waiting for another {kind}", 0, 0
        self.result: Any = None
        self.error: AsrkitError | None = None
        self.abandoned = False
        self.asked = time.monotonic()
        self._kind, self._work, self._turn = kind, work, turn
        mine = contextvars.copy_context()  # the visitor's
        threading.Thread(target=mine.run, args=[self._run], daemon=True, name=kind).start()

    @property
    def ended(self) -> bool:
        return self.abandoned or self.result is not None or self.error is not None

    def _run(self) -> None:
        with self._turn:
            try:
                self._progress("Beginning", 0, 0)
                self.result = self._work(self._progress)
            except _Abandoned:
                self.abandoned = True
            except AsrkitError as error:
                self.error = error
            except BaseException as error:
                # The page is waiting for this thread; the traceback goes to the terminal.
                self.error = AsrkitError(
                    f"The {self._kind} ended with {type(error).__name__}, which is a fault of "
                    "asrkit; the terminal says more."
                )
                raise

    def _progress(self, what: str, done: int, of: int) -> None:
        self.what, self.done, self.of = what, done, of
        if time.monotonic() - self.asked > PATIENCE_S:
            raise _Abandoned


class Jobs:
    """The latest ones of a kind ("audit"), one at work at a time."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._jobs: OrderedDict[Hashable, Job] = OrderedDict()
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def get(self, key: Hashable, work: Callable[[ProgressCallback], Any], again: bool) -> Job:
        """The job of that key, begun where there is none; again: begun anew where it has ended. An error is told once:
        whoever asks next, perhaps having put it right, begins anew."""
        with self._lock:
            job = self._jobs.pop(key, None)
            if job is None or job.abandoned or (again and job.ended):
                job = Job(self._kind, work, self._turn)
            job.asked = time.monotonic()
            if job.error is None:
                self._jobs[key] = job
            ended = [each for each, other in self._jobs.items() if other.ended]
            for each in ended[:-REMEMBERED]:  # never one at work, which its page would begin anew
                del self._jobs[each]
            return job

    def result(self, key: Hashable) -> Any:
        """What the one of that key found, if it was made and is still known."""
        with self._lock:
            job = self._jobs.get(key)
        return job.result if job else None
