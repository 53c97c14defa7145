"""Memory of this process that nothing uses any more."""

from __future__ import annotations

import ctypes
import sys


def trim_heap() -> None:
    """Return freed memory to the operating system.

    glibc keeps pieces that are too small for the next request: what a large dataset was made of, or batches of audio,
    each of which has a length of its own (0.4 GB after an hour of speech).
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
