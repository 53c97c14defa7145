"""Events and log lines of the worker. Rank 0 alone writes events and informative log lines."""

from __future__ import annotations

import logging
import sys
from typing import Any

from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.training import distributed

logger = logging.getLogger(__name__)


def configure_logging() -> None:
    """Write asrkit's log lines, and warnings of other packages, to stderr, which goes to the run's `log.txt`."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("asrkit").setLevel(logging.INFO if distributed.IS_MAIN else logging.WARNING)


def emit(run: Run, kind: str, step: int | None = None, epoch: float | None = None, **data: Any) -> None:
    """Append an event to the run."""
    if distributed.IS_MAIN:
        run.append(events.make_event(kind, step, epoch, **data))


def emit_phase(run: Run, phase: str, text: str, **data: Any) -> None:
    """Append a `phase` event and a log line, so that no wait goes unexplained."""
    emit(run, events.PHASE, phase=phase, text=text, **data)
    logger.info(text)
