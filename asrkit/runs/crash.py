"""Why a worker ended without a word in its history: from what it left in its reserve, from how it ended and from the
disk, in plain words."""

from __future__ import annotations

import os
import signal

from asrkit.runs.store import Run, free_bytes

FULL_BYTES = 1 << 20
"""With less than this free, a disk is full for our purposes."""

SIGNALS = {
    -signal.SIGSEGV: "a fault in native code (segmentation fault)",
    -signal.SIGBUS: "a memory or disk error (bus error)",
    -signal.SIGABRT: "an abort in native code",
    -signal.SIGILL: "an instruction that this processor lacks",
    -signal.SIGFPE: "an arithmetic fault in native code",
}
"""Exit code -> words, where a signal ended the process."""


def explain(run: Run) -> tuple[str, str]:
    """(what happened, what to do) for a run whose history has no end; the likeliest cause that can still be seen comes
    first."""
    if words := run.last_words():
        return str(words.data.get("message") or ""), str(words.data.get("remedy") or "")
    process = run.process() or {}
    way_on = "Resume goes on from the last checkpoint." if run.checkpoints() else "Resume begins again."
    if not os.access(run.path, os.W_OK):
        return ("The training process could not write into its run directory any more, which is read-only now.",
                f"Make {run.path} writable. {way_on}")
    if free_bytes(run.path) < FULL_BYTES:
        return "The training process ended because the disk is full.", f"Free some space. {way_on}"
    if process.get("for_memory"):
        return ("The system killed the training process for memory.",
                f"Lower the batch size (and raise the gradient accumulation) or the longest clip first. {way_on}")
    if (code := process.get("exit")) in SIGNALS:
        return (f"The training process ended by {SIGNALS[code]}.",
                f"The log may say more; if it happens again, update the driver and PyTorch. {way_on}")
    return ("The training process ended without a word: it was killed, or ran out of memory. Its history is kept.",
            f"The log may say more. {way_on}")
