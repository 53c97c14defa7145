"""What Gradio does not check itself of the bodies of its protocol, and how many of its sessions a visitor keeps."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import JSONResponse

from asrkit.ui import strings
from asrkit.ui.security.bodies import BodyRefused, Message, Receive
from asrkit.ui.security.endpoints import API
from asrkit.ui.security.quotas import Quotas

logger = logging.getLogger(__name__)

Send = Callable[[Message], Awaitable[None]]
COMPONENT_SERVER = f"{API}/component_server"
MAX_SESSION_NAME = 64


def check_gradio_body(path: str, content: Mapping[str, Any], app: Any) -> None:
    """Raise BodyRefused for a body of a wrong type. app: Gradio's."""
    session = content.get("session_hash")
    if session is not None and not (isinstance(session, str) and len(session) <= MAX_SESSION_NAME):
        raise BodyRefused(400, strings.text("security.wrong_field", name="session_hash"))
    if path.rstrip("/") != COMPONENT_SERVER:
        return
    blocks = app.get_blocks().blocks
    is_known = {
        "session_hash": isinstance(session, str),
        "component_id": type(content.get("component_id")) is int and content["component_id"] in blocks,
        "fn_name": isinstance(content.get("fn_name"), str),
        "data": "data" in content,
    }
    for name, is_right in is_known.items():
        if not is_right:
            raise BodyRefused(400, strings.text("security.wrong_field", name=name))


PROTOCOL = re.compile(rf"{API}/(queue/join|cancel|reset|(run|api|call|call/v2)/[^/]+)/?")


async def run_protocol(app: Any, scope: Any, receive: Receive, send: Send) -> None:
    """Run Gradio for a request of its protocol, whose body it trusts: where that fails, the answer is 400.

    Gradio answers 500 with `null` or nothing at all, or 422 with a list. The reason is in the app's log.
    """
    start: Message | None = None
    has_started = False

    async def send_mended(message: Message) -> None:
        nonlocal start, has_started
        if message["type"] == "http.response.start":
            if message["status"] >= 500 or message["status"] == 422:
                start = message
                return
            has_started = True
        elif start is not None:
            if not has_started and not message.get("more_body"):
                has_started = True
                await _refuse_protocol(_read_sentence(message.get("body", b"")))(scope, receive, send)
            return
        await send(message)

    try:
        await app(scope, receive, send_mended)
    except BodyRefused:
        raise
    except Exception:  # of Gradio: it did not expect such a body
        if has_started:
            raise
        logger.exception("Gradio could not carry out a request to %s.", scope["path"])
        await _refuse_protocol("")(scope, receive, send)


def _read_sentence(body: bytes) -> str:
    """Return the sentence of Gradio's answer, which is there if the app's own code refused the request."""
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return error if isinstance(error, str) else ""


def _refuse_protocol(sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence or strings.text("security.wrong_request")}, status_code=400)


class SessionLimits:
    """The sessions of each visitor in Gradio's memory: a new one takes the place of the visitor's oldest."""

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self._sessions: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # visitor -> sessions, oldest first

    def use(self, visitor: str, session: str, holder: Any) -> None:
        """Note that a visitor uses a session. holder: Gradio's StateHolder."""
        sessions = self._sessions.setdefault(visitor, OrderedDict())
        self._sessions.move_to_end(visitor)
        sessions[session] = None
        sessions.move_to_end(session)
        while len(sessions) > self.quotas.visitor_pages:
            _forget(holder, sessions.popitem(last=False)[0])
        while len(self._sessions) > self.quotas.sessions:
            for oldest in self._sessions.popitem(last=False)[1]:
                _forget(holder, oldest)


def _forget(holder: Any, session: str) -> None:
    with holder.lock:
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)
