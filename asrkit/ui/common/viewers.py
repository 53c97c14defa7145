"""The poll interval of pages: it grows with their number, so that the load of the app stays the same."""

from __future__ import annotations

import threading
import time

TIMEOUT_S = 40.0
"""A page that has not polled for this long counts as closed."""

MAX_FULL_RATE = 5
"""Pages that may all poll at the base interval; twice as many poll half as often."""

GROUP_INTERVAL_S = 2.0
"""With more pages, polls are grouped at moments this far apart. Ten polls in a row cost less than half of ten that each
wake the app and find its data evicted from the processor's caches."""


class Viewers:
    """Counts the open pages, by the id that each has given itself."""

    def __init__(self) -> None:
        self._last_polls: dict[str, float] = {}
        self._lock = threading.Lock()

    def poll_interval_ms(self, page: str, base_ms: int) -> int:
        """Record a poll of `page`; return the milliseconds to its next one: `base_ms` (at least 1000) for few pages."""
        now = time.monotonic()
        with self._lock:
            self._last_polls[page] = now
            self._last_polls = {name: at for name, at in self._last_polls.items() if now - at < TIMEOUT_S}
            load = len(self._last_polls) / MAX_FULL_RATE
        if load <= 1:
            return base_ms
        due = now + base_ms / 1e3 * load
        return round(1e3 * (round(due / GROUP_INTERVAL_S) * GROUP_INTERVAL_S - now))
