"""Why a worker ended without a word: from how it ended, from the disk and from its log, in plain words."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from asrkit.files import free_bytes
from asrkit.runs.processes import is_alive
from asrkit.runs.run import Run

FULL_BYTES = 1 << 20
"""With less than this free, a disk is full for our purposes."""

MAX_LOG_LINE = 300
"""Letters of a line of the log that are told."""

SIGNALS = {
    -signal.SIGSEGV: "a fault in native code (segmentation fault)",
    -signal.SIGBUS: "a memory or disk error (bus error)",
    -signal.SIGABRT: "an abort in native code",
    -signal.SIGILL: "an instruction that this processor lacks",
    -signal.SIGFPE: "an arithmetic fault in native code",
}
"""Exit code -> words, where a signal ended the process."""


def explain_crash(run: Run) -> tuple[str, str]:
    """(what happened, what to do) for a run whose last life told no end; the likeliest cause that can still be seen
    comes first."""
    process = run.process() or {}
    way_on = "Resume goes on from the last checkpoint." if run.checkpoints() else "Resume begins again."
    if not os.access(run.path, os.W_OK):
        return (
            "The training process could not write into its run directory any more, which is read-only now.",
            f"Make {run.path} writable. {way_on}",
        )
    if free_bytes(run.path) < FULL_BYTES:
        return "The training process ended because the disk is full.", f"Free some space. {way_on}"
    if process.get("for_memory"):
        return (
            "The system killed the training process for memory.",
            f"Lower the batch size (and raise the gradient accumulation) or the longest clip first. {way_on}",
        )
    if (code := process.get("exit")) in SIGNALS:
        return (
            f"The training process ended by {SIGNALS[code]}.",
            f"The log may say more; if it happens again, update the driver and PyTorch. {way_on}",
        )
    if code is None and (told := _out_of_sight(run, process)):
        return told, f"If it has ended there: {way_on}"
    said = _last_line(run, process)
    if (code or 0) > 0:
        return (
            f"The training process ended with exit code {code} and no other word. Its history is kept.{said}",
            f"The log may say more. {way_on}",
        )
    if run.events_size() > process.get("events_from", 0):  # it had begun: its history says more
        said = ""
    return (
        f"The training process ended without a word: it was killed, or ran out of memory. Its history is kept.{said}",
        f"The log may say more. {way_on}",
    )


def _out_of_sight(run: Run, process: dict[str, Any]) -> str:
    """Why it cannot be seen from here whether the worker lives; empty where it can."""
    host = process.get("host", socket.gethostname())
    if host != socket.gethostname():
        return f"The training process was started on {host}; whether it lives cannot be seen from here."
    return "This is a copy of a run that is under way in another folder." if is_alive(process) else ""


def _last_line(run: Run, process: dict[str, Any]) -> str:
    """The last line that the last life of the run wrote into the log, as a sentence; empty where it wrote none."""
    told = run.log_tail(since=process["log_from"]) if "log_from" in process else ""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return (
        f" The last line of its log: {lines[-1][:MAX_LOG_LINE]}" + "." * (lines[-1][-1:] not in ".!?") if lines else ""
    )
