"""Says that a run is much slower than earlier ones on this machine, which other work may keep busy."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from asrkit.errors import ConfigError
from asrkit.runs import pace
from asrkit.runs.run import Run
from asrkit.runs.view import RunView
from asrkit.ui import strings

SPEED = "train/audio_seconds_per_second"
NUM_RECENT, MIN_POINTS = 10, 4
"""How many of the last speeds are compared, and from how many on; the first step allocates."""
MAX_SLOW_SHARE = 0.6
"""Of the earlier speed: batches of another size explain less."""


def describe_slowdown(run: Run, view: RunView) -> str:
    """Return which share of the speed of earlier runs of such a model a run has; empty where it is about as fast."""
    rates = [point.value for point in view.series.get(SPEED, [])[1:] if point.value][-NUM_RECENT:]
    parameters, device = view.started.get("parameters"), view.started.get("device")
    if len(rates) < MIN_POINTS or not parameters or not device:
        return ""
    earlier = _find_earlier_speed(run.path, str(device), int(parameters))
    if earlier is None:
        return ""
    share = len(rates) / sum(1 / rate for rate in rates) / earlier
    return strings.text("machine.slow", percent=f"{100 * share:.0f}") if share < MAX_SLOW_SHARE else ""


@lru_cache(64)
def _find_earlier_speed(path: Path, device: str, parameters: int) -> float | None:
    """Return the speed of earlier runs of such a model; None if it is not known. Pages ask every second."""
    try:
        freeze = Run(path).config().freeze
    except ConfigError:  # of a version that this one cannot read
        return None
    earlier = pace.recall(device, parameters, freeze)
    return earlier.train_speed if earlier and earlier.matches(parameters, freeze) else None
