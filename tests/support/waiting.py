"""Wait for a condition by polling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
WAIT_S = 400.0


def wait_for(condition: Callable[[], Value], what: str, seconds: float = WAIT_S) -> Value:
    """Poll until `condition()` is true and return its value; AssertionError naming `what` if it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
