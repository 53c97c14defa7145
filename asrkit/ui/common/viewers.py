"""The poll interval of pages: it grows with their number, so that the load of the app stays the same."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict

TIMEOUT_S = 40.0
"""A page that has not polled for this long counts as closed."""

MAX_FULL_RATE = 5
"""Pages that may all poll at the base interval; twice as many poll half as often."""

MAX_INTERVAL_MS = 20_000
"""However many pages there are, or names that look like pages, none waits for longer."""

GROUP_INTERVAL_S = 2.0
"""With more pages, polls are grouped at moments this far apart. Ten polls in a row cost less than half of ten that each
wake the app and find its data evicted from the processor's caches."""


class Viewers:
    """Counts the open pages, by the id that each has given itself."""

    def __init__(self) -> None:
        self._last_polls: OrderedDict[tuple[str, str], float] = OrderedDict()  # (owner, page), longest ago first
        self._num_by_owner: Counter[str] = Counter()
        self._lock = threading.Lock()

    def poll_interval_ms(self, page: str, base_ms: int, owner: str = "", max_pages: int | None = None) -> int:
        """Record a poll of `page`; return the milliseconds to its next one: `base_ms` (at least 1000) for few pages.

        owner: whose page it is. max_pages: how many an owner has at most; a further one takes the place of the oldest.
        """
        now = time.monotonic()
        with self._lock:
            self._forget((owner, page))
            if max_pages is not None and self._num_by_owner[owner] >= max_pages:
                self._forget(next(each for each in self._last_polls if each[0] == owner))
            while self._last_polls and now - next(iter(self._last_polls.values())) >= TIMEOUT_S:
                self._forget(next(iter(self._last_polls)))
            self._last_polls[owner, page] = now
            self._num_by_owner[owner] += 1
            load = len(self._last_polls) / MAX_FULL_RATE
        if load <= 1:
            return base_ms
        due = now + min(base_ms / 1e3 * load, MAX_INTERVAL_MS / 1e3)
        return round(1e3 * (round(due / GROUP_INTERVAL_S) * GROUP_INTERVAL_S - now))

    def _forget(self, page: tuple[str, str]) -> None:
        if self._last_polls.pop(page, None) is not None:
            self._num_by_owner[page[0]] -= 1
            if not self._num_by_owner[page[0]]:
                del self._num_by_owner[page[0]]
