"""What the table shows of one run, read on from where it was last read."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from asrkit import units
from asrkit.runs import lifecycle
from asrkit.runs.clock import RunClock
from asrkit.runs.curves import thin
from asrkit.runs.report import export
from asrkit.runs.run import Run
from asrkit.runs.summary import get_best_evaluation
from asrkit.runs.view import RunView
from asrkit.ui.common import status_text

TREND_POINTS = 40
DISK_INTERVAL_S = 20.0
READ_BYTES = 1 << 24


class RunTracker:
    """The state of one run, with what its row shows."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.settings = _read_settings(run)
        self._disk_bytes, self._disk_measured_s, self._clock = 0, float("-inf"), RunClock()
        self.forget()

    def forget(self) -> None:
        """Free what was read; it is read again if the run goes on."""
        self.view, self.offset = RunView(self.run.id, max_points=TREND_POINTS), 0

    def catch_up(self) -> None:
        """Read the events that are new."""
        while True:
            new_events, offset = self.run.events(self.offset, READ_BYTES, skim=True)
            if offset < self.offset:  # another run has replaced this one
                self.forget()
                continue
            for event in new_events:
                self.view.apply(event)
            if offset == self.offset:
                return
            self.offset = offset

    def make_row(self, status: str) -> dict[str, Any]:
        """Return what the table shows of the run, without its settings."""
        view, now = self.view, time.monotonic()
        is_active = status in lifecycle.ACTIVE
        if not is_active or now - self._disk_measured_s > DISK_INTERVAL_S:
            self._disk_bytes, self._disk_measured_s = export.measure_disk_usage(self.run.path), now
        best = get_best_evaluation(self.run, view)
        metrics = best.data if best else {}
        elapsed_s = self._clock.elapsed_s(view) if is_active else view.elapsed_s
        trend = thin(view.series.get(f"eval/{view.metric}", []), TREND_POINTS)
        return {
            "id": self.run.id,
            "status": status,
            "status_word": status_text.format_short_status(self.run, status),
            "metric": view.metric,
            **{name: metrics.get(name) for name in ("wer", "cer", "loss")},
            "best_step": best and best.step,
            "step": view.step,
            "total_steps": view.total_steps,
            "duration_s": round(elapsed_s),
            "duration": units.format_duration(elapsed_s) if view.last_time is not None else "",
            "disk_bytes": self._disk_bytes,
            "disk": units.format_size(self._disk_bytes),
            "findings": [finding.get("code", "") for finding in view.findings],
            "trend": [point.value for point in trend if point.value is not None],
        }


def _read_settings(run: Run) -> dict[str, Any]:
    """Read the settings as they were written; an old run may have some that this version does not know."""
    try:
        settings = json.loads(run.config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in settings.items() if _is_plain(value)} if isinstance(settings, dict) else {}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))
