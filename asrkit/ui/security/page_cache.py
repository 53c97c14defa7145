"""The page and its configuration, kept as they were answered: Gradio builds them anew for each request.

That takes some ten milliseconds of the event loop, on which all other visitors wait. They are the same for everybody,
and depend on nothing but the address under which the app is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Key = tuple[str, ...]

PATHS = ("/", "/config")
MAX_ANSWERS = 16
_ADDRESS_HEADERS = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
_UNSENT = (b"set-cookie", b"date")
"""Headers that are of one answer only."""


class PageCache:
    """The last answers. Used by one event loop only."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, list[Message]] = OrderedDict()

    def make_key(self, scope: MutableMapping[str, Any], path: str) -> Key | None:
        """Return what the answer depends on; None for a request that has to be answered by the app itself."""
        if scope["method"] != "GET" or path not in PATHS or scope.get("query_string"):
            return None
        given = dict(scope["headers"])
        headers = (given.get(name, b"").decode("latin-1") for name in _ADDRESS_HEADERS)
        return (path, str(scope.get("scheme")), str(scope.get("root_path")), *headers)

    async def send(self, key: Key, send: Send) -> bool:
        """Send the answer of an earlier request; return whether there was one."""
        messages = self._answers.get(key)
        if messages is None:
            return False
        self._answers.move_to_end(key)
        for message in messages:
            # A copy: headers are added to it on its way.
            await send({**message, "headers": list(message["headers"])} if "headers" in message else message)
        return True

    def keep(self, key: Key, send: Send) -> Send:
        """Return a function that sends an answer and keeps it if it is complete and right."""
        messages: list[Message] = []

        async def send_keeping(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() not in _UNSENT]
                messages.append({**message, "headers": headers})
            else:
                messages.append(message)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                if messages[0].get("status") == 200:
                    self._answers[key] = messages
                while len(self._answers) > MAX_ANSWERS:
                    self._answers.popitem(last=False)

        return send_keeping
