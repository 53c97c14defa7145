"""Explain why a worker ended without an end event: from its exit code, the disk and its log."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from asrkit.files import free_bytes
from asrkit.runs import launchers
from asrkit.runs.processes import is_alive
from asrkit.runs.run import Run

FULL_BYTES = 1 << 20
"""A disk with less free space than this counts as full."""

MAX_LOG_LINE = 300
"""Characters of the log's last line that are quoted."""

SIGNALS = {
    -signal.SIGSEGV: "a fault in native code (segmentation fault)",
    -signal.SIGBUS: "a memory or disk error (bus error)",
    -signal.SIGABRT: "an abort in native code",
    -signal.SIGILL: "an instruction that this processor lacks",
    -signal.SIGFPE: "an arithmetic fault in native code",
}
"""Exit code -> its description, where a signal ended the process."""


def explain_crash(run: Run) -> tuple[str, str]:
    """Return (what happened, what to do) for a run whose last worker wrote no end event.

    The likeliest cause that can still be observed comes first.
    """
    process = run.process() or {}
    resume = "Resume continues from the last checkpoint." if run.checkpoints() else "Resume starts from the beginning."
    if reason := launchers.of_run(run).explain_end(run):
        return reason, resume
    if not os.access(run.path, os.W_OK):
        return (
            "The training process can no longer write to its run directory, which is now read-only.",
            f"Make {run.path} writable. {resume}",
        )
    if free_bytes(run.path) < FULL_BYTES:
        return "The training process ended because the disk is full.", f"Free some space. {resume}"
    if process.get("for_memory"):
        return (
            "The system killed the training process because memory ran out.",
            f"Lower the batch size (and raise the gradient accumulation) or the longest clip first. {resume}",
        )
    if (code := process.get("exit")) in SIGNALS:
        return (
            f"The training process ended with {SIGNALS[code]}.",
            f"See the log; if it happens again, update the driver and PyTorch. {resume}",
        )
    if code is None and (reason := _explain_invisible(run, process)):
        return reason, f"If it has ended there: {resume}"
    last_line = _quote_last_line(run, process)
    if (code or 0) > 0:
        return (
            f"The training process ended with exit code {code} and no other message. Its history is kept.{last_line}",
            f"See the log. {resume}",
        )
    if run.events_size() > process.get("events_from", 0):  # it had started: its history explains more than the log
        last_line = ""
    return (
        "The training process ended without a message: it was killed, or ran out of memory. Its history is "
        f"kept.{last_line}",
        f"See the log. {resume}",
    )


def _explain_invisible(run: Run, process: dict[str, Any]) -> str:
    """Explain why it is unknown here whether the worker is alive; empty where it is known."""
    host = process.get("host", socket.gethostname())
    if host != socket.gethostname():
        seen = (
            "and its heartbeat no longer changes" if run.heartbeat_path.exists() else "and has left no heartbeat here"
        )
        return f"The training process was started on {host}, {seen}."
    return "This is a copy of a run that is active in another folder." if is_alive(process) else ""


def _quote_last_line(run: Run, process: dict[str, Any]) -> str:
    """Quote the last line that the last worker wrote into the log, as a sentence; empty where it wrote none."""
    output = run.log_tail(since=process["log_from"]) if "log_from" in process else ""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return ""
    full_stop = "" if lines[-1].endswith((".", "!", "?")) else "."
    return f" The last line of its log: {lines[-1][:MAX_LOG_LINE]}{full_stop}"
