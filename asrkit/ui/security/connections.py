"""Limits of connections, which no middleware sees: headers that never end, and too many at once.

Gradio makes the server's configuration itself. The server reads it for each connection, so it can be changed once the
server runs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import Config

from asrkit.ui.security.quotas import Quotas


def limit_connections(config: Config, quotas: Quotas) -> None:
    """Apply the limits to new connections of a running server."""
    config.limit_concurrency = quotas.connections
    config.http_protocol_class = _make_protocol(config.http_protocol_class, quotas)


def _make_protocol(base: Any, quotas: Quotas) -> type[asyncio.Protocol]:
    class LimitedProtocol(base):
        """Closes a connection whose next request has not begun in time, and those beyond twice the limit at once."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > 2 * quotas.connections:
                transport.abort()
                return
            self._start_deadline()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_deadline()
            elif self._deadline is None:  # a further request on the same connection
                self._start_deadline()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_deadline()
            super().connection_lost(exc)

        def _start_deadline(self) -> None:
            self._deadline = self.loop.call_later(quotas.header_timeout_s, self._on_deadline)

        def _stop_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _on_deadline(self) -> None:
            self._deadline = None
            is_answering = self.cycle is not None and not self.cycle.response_complete
            if not is_answering and not self.transport.is_closing():
                self.transport.close()

    return LimitedProtocol
