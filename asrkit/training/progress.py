"""The progress of an evaluation: what is emitted while clips are decoded, and whether to go on."""

from __future__ import annotations

import time
from collections.abc import Callable

from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.training.clip_decoding import ProgressCheck
from asrkit.training.stopping import has_end_flag

MIN_INTERVAL_S = 1.0
"""Minimum time between two `phase` events of one evaluation."""


def make_progress_check(
    run: Run, on_poll: Callable[[], None], emit: Callable[..., None], text: str, num_before: int = 0
) -> ProgressCheck:
    """Return what emits the progress of one evaluation, and tells whether to go on.

    on_poll: called each time. emit: appends an event of a kind to the run. text: of the event, with {done} and {total}.
    num_before: clips that were decoded earlier.
    """
    last_emit = float("-inf")

    def check_progress(done: int, total: int) -> bool:
        nonlocal last_emit
        on_poll()
        now = time.monotonic()
        if now - last_emit >= MIN_INTERVAL_S:
            last_emit, done, total = now, num_before + done, num_before + total
            emit(events.PHASE, phase="evaluating", text=text.format(done=done, total=total), done=done, total=total)
        return not has_end_flag(run)

    return check_progress
