"""How many pages look, so that each is told to ask less often when they are many: the app's load stays the same."""

from __future__ import annotations

import threading
import time

AWAY_S = 40.0
"""A page that has not asked for so long is not there any more."""

AT_EASE = 5
"""Pages that may all ask at their own pace; twice as many ask half as often."""

TOGETHER_S = 2.0
"""Where they are more, they ask in groups, at moments so far apart. What ten cost that come one after another is less
than half of what ten cost who each wake the app anew, and find its data gone from the caches of the processor."""


class Viewers:
    """Counts pages by the name that each has given itself."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def pace_ms(self, page: str, base_ms: int) -> int:
        """Milliseconds after which `page` should ask again, where alone it would after `base_ms` (at least 1 s)."""
        now = time.monotonic()
        with self._lock:
            self._seen[page] = now
            self._seen = {name: at for name, at in self._seen.items() if now - at < AWAY_S}
            crowd = len(self._seen) / AT_EASE
        if crowd <= 1:
            return base_ms
        due = now + base_ms / 1e3 * crowd
        return round(1e3 * (round(due / TOGETHER_S) * TOGETHER_S - now))
