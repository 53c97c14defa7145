"""Elapsed time: the worker stamps its events with it, and readers that poll a run continue it between events."""

from __future__ import annotations

import time

from asrkit.runs.view import RunView


class RunClock:
    """Continues from the newest event by the monotonic clock of the reader's machine.

    Setting the system clock does not change it, and it stands still while the machine is suspended.
    """

    def __init__(self) -> None:
        self._last_event: tuple[float | None, float] | None = None
        self._origin_s = 0.0

    def elapsed_s(self, run_view: RunView) -> float:
        """Return the seconds of work up to now, which is never before the last event."""
        last_event = run_view.last_time, run_view.elapsed_s
        if last_event != self._last_event:
            self._last_event = last_event
            age_s = max(0.0, time.time() - run_view.last_time) if run_view.last_time is not None else 0.0
            self._origin_s = run_view.elapsed_s + age_s - time.monotonic()
        return self._origin_s + time.monotonic()
