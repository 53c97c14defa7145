"""Says that a run is much slower than earlier ones on this machine, which other work may keep busy."""

from __future__ import annotations

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
    try:
        freeze = run.config().freeze
    except ConfigError:  # of a version that this one cannot read
        return ""
    earlier = pace.recall(str(device), int(parameters), freeze)
    if earlier is None or not earlier.matches(int(parameters), freeze):
        return ""
    share = len(rates) / sum(1 / rate for rate in rates) / earlier.train_speed
    return strings.text("machine.slow", percent=f"{100 * share:.0f}") if share < MAX_SLOW_SHARE else ""
