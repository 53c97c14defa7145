"""The processor cores that this process may use."""

from __future__ import annotations

import os
import sys


def count_cores() -> int:
    """Return the number of cores that this process may use, which in a cluster's job are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
