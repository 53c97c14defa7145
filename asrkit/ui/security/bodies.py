"""Bodies of requests: bounded before Gradio reads them, in length and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.types import Message, Receive

from asrkit.ui import strings
from asrkit.ui.security.rates import RequestLimits


class BodyRefused(Exception):
    """A body cannot be taken. status: of the answer, which consists of the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class JsonBody:
    """The body of one request. limits: counts the bytes of all bodies, until `release`."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits, self.content = limits, b""
        self.fields: dict[str, Any] = {}
        self._size = 0

    def release(self) -> None:
        """Stop counting the bytes: the request has been answered."""
        self.limits.received_bytes -= self._size
        self._size = 0

    async def read(self, receive: Receive, length: int | None) -> None:
        """Read the body (`content`) and the object in it (`fields`). length: what its header says.

        Raises BodyRefused for one that is too long, too slow or no object.
        """
        if length is not None and length > self.limits.quotas.json_bytes:
            raise BodyRefused(413, strings.text("security.body_too_long"))
        try:
            async with asyncio.timeout(self.limits.quotas.body_timeout_s):
                self.content = b"".join([part async for part in self._iter_parts(receive)])
        except TimeoutError:
            raise BodyRefused(408, strings.text("security.body_too_slow")) from None
        try:
            parsed = orjson.loads(self.content or b"{}")
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict):
            raise BodyRefused(400, strings.text("security.no_object"))
        self.fields = parsed

    async def _iter_parts(self, receive: Receive) -> AsyncIterator[bytes]:
        quotas, has_more = self.limits.quotas, True
        while has_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BodyRefused(400, strings.text("security.body_incomplete"))
            part = message.get("body", b"")
            self._size += len(part)
            self.limits.received_bytes += len(part)
            if self._size > quotas.json_bytes:
                raise BodyRefused(413, strings.text("security.body_too_long"))
            if self.limits.received_bytes > quotas.all_json_bytes:
                raise BodyRefused(503, strings.text("security.too_busy"))
            has_more = message.get("more_body", False)
            yield part


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that receives `body`, and then what `receive` does."""
    is_sent = False

    async def receive_again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def bounded(receive: Receive, max_bytes: int, timeout_s: float) -> Receive:
    """Return a function that receives like `receive`.

    It raises BodyRefused after `max_bytes`, and when nothing arrives for `timeout_s`.
    """
    size, is_complete = 0, False

    async def receive_bounded() -> Message:
        nonlocal size, is_complete
        if is_complete:  # waits for the end of the connection
            return await receive()
        try:
            async with asyncio.timeout(timeout_s):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(408, strings.text("security.body_too_slow")) from None
        is_complete = not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise BodyRefused(413, strings.text("security.body_too_long"))
        return message

    return receive_bounded
