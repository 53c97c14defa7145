"""How many pages look, so that each is told to ask less often when they are many: the app's load stays the same."""

from __future__ import annotations

import threading
import time

AWAY_S = 40.0
"""A page that has not asked for so long is not there any more."""

AT_EASE = 5
"""Pages that may all ask at their own pace; twice as many ask half as often."""


class Viewers:
    """Counts pages by the name that each has given itself."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def pace_ms(self, page: str, base_ms: int) -> int:
        """Milliseconds after which `page` should ask again, where alone it would after `base_ms`."""
        now = time.monotonic()
        with self._lock:
            self._seen[page] = now
            self._seen = {name: at for name, at in self._seen.items() if now - at < AWAY_S}
            return round(base_ms * max(1.0, len(self._seen) / AT_EASE))
