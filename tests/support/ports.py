"""Free ports for servers that tests start in processes of their own."""

from __future__ import annotations

import random
import socket

FIRST_PORT, LAST_PORT = 10_000, 32_000  # below those that the system gives to outgoing connections
_random = random.SystemRandom()


def find_free_port() -> int:
    """Return a port of the loopback that nobody uses. Drawn at random, so that parallel tests do not meet."""
    while True:
        port = _random.randint(FIRST_PORT, LAST_PORT)
        if _can_listen(port):
            return port


def _can_listen(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
