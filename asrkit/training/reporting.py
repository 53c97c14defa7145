"""Events and log lines of the worker. Rank 0 alone writes events and informative log lines."""

from __future__ import annotations

import logging
from typing import Any

from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.training import distributed

logger = logging.getLogger(__name__)


def emit(run: Run, kind: str, step: int | None = None, epoch: float | None = None, **data: Any) -> None:
    """Append an event to the run."""
    if distributed.IS_MAIN:
        run.append(events.make_event(kind, step, epoch, **data))


def emit_phase(run: Run, phase: str, text: str, **data: Any) -> None:
    """Append a `phase` event, and write its text to the log."""
    emit(run, events.PHASE, phase=phase, text=text, **data)
    logger.info(text)
