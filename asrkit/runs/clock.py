"""The present moment of a run, for a reader that polls it."""

from __future__ import annotations

import time

from asrkit.runs.view import RunView


class RunClock:
    """The present by the clock that a run is told by, for who looks again and again: after the newest event it goes on
    by itself, whatever is done to the system's clock, and stands still while the machine sleeps."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._ahead_s = 0.0

    def of(self, seen: RunView) -> float:
        """Unix seconds, never before the last event."""
        if self._last is None or seen.last_time != self._last:
            self._last = seen.last_time
            self._ahead_s = max(time.time(), seen.last_time or 0.0) - time.monotonic()
        return self._ahead_s + time.monotonic()
