"""`python -m asrkit.transcription.measure_engines CHECKPOINT`: find the fastest engine for a model, in the background.

Exporting yields to all other work on the machine. Engines are compared in a thread with the usual priority, which on
Linux is one of each thread and cannot be raised again: it is started first.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NICENESS = 15


def main(checkpoint: Path) -> None:
    """Measure the engines of a checkpoint and keep the choice."""
    measuring = ThreadPoolExecutor(1, "measuring")
    measuring.submit(os.getpid).result()  # the thread exists from now on
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    from asrkit.transcription.acceleration import measurement

    measurement.main(checkpoint, measuring)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
