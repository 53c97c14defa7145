"""How many requests a visitor sends a minute and has open at once, and how many bytes of bodies are being received."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator

from asrkit.ui.security.permissions import Identity, Role
from asrkit.ui.security.quotas import Quotas

MAX_KEYS = 20_000
"""Senders that are remembered; the one that was quiet for longest is forgotten first."""


class TokenBuckets:
    """A bucket for each key: `per_minute` tokens at first, and as many more each minute, up to that number."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens at a time

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> bool:
        """Take a token of `key`; return whether there was one."""
        now = self._clock()
        tokens, at = self._buckets.pop(key, (float(self.per_minute), now))
        tokens = min(self.per_minute, tokens + (now - at) * self.per_minute / 60)
        has_token = tokens >= 1
        self._buckets[key] = (tokens - has_token, now)
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return has_token


class RequestLimits:
    """The limits that the guard applies. Used by one event loop only."""

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self._by_visitor = TokenBuckets(quotas.requests_per_minute)
        self._by_address = TokenBuckets(quotas.address_requests_per_minute)
        self._open: Counter[str] = Counter()
        self.received_bytes = 0

    def allows(self, who: Identity, address: str) -> bool:
        """Count a request; return whether its sender may send it now. Operators always may."""
        if who.role == Role.OPERATOR:
            return True
        if not self._by_address.take(_group_address(address)):
            return False
        key = self.key(who, address)
        return self._by_visitor.take(key) and self._open[key] < self.quotas.open_requests

    def key(self, who: Identity, address: str) -> str:
        """Return what a sender is counted by."""
        return who.folder or _group_address(address)

    @contextlib.contextmanager
    def open_request(self, who: Identity, address: str) -> Iterator[None]:
        """Count a request as open."""
        key = self.key(who, address)
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


def _group_address(address: str) -> str:
    """Return the address; of IPv6 the network, because everybody there has 2**64 addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
