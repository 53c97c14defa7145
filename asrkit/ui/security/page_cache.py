"""The page and its configuration, kept as they were answered: Gradio builds them anew for each request.

That takes some ten milliseconds of the event loop, on which all other visitors wait. They are the same for everybody,
and depend on nothing but the address under which the app is asked, and the language of who asks: the texts are put in
here (`strings.expand_markers`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from starlette.types import Message, Scope, Send

from asrkit.ui import strings

Key = tuple[str, ...]

PATHS = ("/", "/config", "/gradio_api/info")
MAX_ANSWERS = 64
_ADDRESS_HEADERS = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
_UNSENT = (b"set-cookie", b"date", b"content-length")
"""Headers that are of one answer only."""


class PageCache:
    """The answers that were built last. Used by one event loop only."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, list[Message]] = OrderedDict()
        self._lock = asyncio.Lock()

    def make_key(self, scope: Scope, path: str) -> Key | None:
        """Return what the answer depends on; None for a request that has to be answered by the app itself.

        The query is for the page's script: Gradio reads it for apps of several pages only.
        """
        if scope["method"] != "GET" or path not in PATHS:
            return None
        given = dict(scope["headers"])
        headers = (given.get(name, b"").decode("latin-1") for name in _ADDRESS_HEADERS)
        language = strings.current_language()
        return (path, language, str(scope.get("scheme")), str(scope.get("root_path")), *headers)

    async def answer(self, key: Key, build: Callable[[Send], Awaitable[None]], send: Send) -> None:
        """Send the answer of an earlier request, else the one that `build` sends.

        One is built at a time: of many visitors who come at once, all but the first wait for the first one's.
        """
        messages = self._answers.get(key)
        if messages is None:
            async with self._lock:
                messages = self._answers.get(key) or await self._build(key, build)
        for message in messages:
            # A copy: headers are added to it on its way.
            await send({**message, "headers": list(message["headers"])} if "headers" in message else message)

    async def _build(self, key: Key, build: Callable[[Send], Awaitable[None]]) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:  # and send it later: a slow visitor must not keep the lock
            messages.append(message)

        await build(collect)
        start = messages[0]
        body = _expand(b"".join(message.get("body", b"") for message in messages[1:]))
        kept = [(name, value) for name, value in start["headers"] if name.lower() not in _UNSENT]
        start["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
        messages = [start, {"type": "http.response.body", "body": body}]
        if start["status"] == 200:
            self._answers[key] = messages
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return messages


def _expand(body: bytes) -> bytes:
    return strings.expand_markers(body.decode("utf-8"), strings.current_language()).encode("utf-8")
