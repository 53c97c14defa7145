"""What Gradio does not check itself of requests, its failures as sentences, and how many sessions a visitor keeps."""

from __future__ import annotations

import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from asrkit.ui import strings
from asrkit.ui.security.bodies import BodyRefused, replay
from asrkit.ui.security.endpoints import API, JSON_TYPE
from asrkit.ui.security.permissions import Role, current_identity
from asrkit.ui.security.quotas import Quotas

logger = logging.getLogger(__name__)

COMPONENT_SERVER = f"{API}/component_server"
_FUNCTION_CALL = re.compile(f"{API}/(?:run|api|call)/([^/]+)")
MAX_SESSION_NAME = 64
SHARED_SESSION = secrets.token_urlsafe(24)
"""Random, so that no visitor can end it."""


def check_gradio_body(path: str, content: Mapping[str, Any], app: Any) -> None:
    """Raise BodyRefused for a body of a wrong type. app: Gradio's."""
    session = content.get("session_hash")
    if session is not None and not (isinstance(session, str) and len(session) <= MAX_SESSION_NAME):
        raise BodyRefused(400, strings.text("security.wrong_field", name="session_hash"))
    if not is_component_call(path):
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


def is_component_call(path: str) -> bool:
    """Return whether a request calls a server function of a component."""
    return path.rstrip("/") == COMPONENT_SERVER


def without_session(content: Mapping[str, Any], receive: Receive) -> Receive:
    """Return a function that receives a call of a server function in the session that all of them share.

    For a session Gradio copies the state of all components. Server functions have no use for it.
    """
    return replay(orjson.dumps({**content, "session_hash": SHARED_SESSION}), receive)


def add_defaults(path: str, content: dict[str, Any], app: Any) -> bool:
    """Add the values of parameters that a function of the API has got since a program was written for it.

    Returns whether there were any. app: Gradio's.
    """
    match = _FUNCTION_CALL.fullmatch(path.rstrip("/"))
    values = content.get("data")
    if match is None or not isinstance(values, list):
        return False
    functions = app.get_blocks().fns.values()
    inputs: list[Any] = next((function.inputs for function in functions if function.api_name == match[1]), [])
    missing = [getattr(block, "value", None) for block in inputs[len(values) :]]
    content["data"] = [*values, *missing]
    return bool(missing)


async def run_mended(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Run Gradio for a request, which it trusts: where that fails, the answer is one sentence with status 400 or 404.

    By itself Gradio answers 500 with `null` or nothing at all, 422 with a list, 404 with `{"detail"}`, or stops in the
    midst of an answer. The reason is in the app's log.
    """
    answer = _MendedAnswer(send)
    try:
        await app(scope, receive, answer.send)
    except BodyRefused:
        raise
    except Exception as error:  # of Gradio: it did not expect such a request
        # A visitor could fill the log with tracebacks.
        details = error if current_identity().role == Role.OPERATOR else None
        logger.warning("A request to %.200r could not be carried out: %.500r", scope["path"], error, exc_info=details)
        await answer.end()


class _MendedAnswer:
    """Sends on what Gradio answers, except failures, for which there is a sentence."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._failed_status = 0
        self._body = b""
        self._has_started = False
        self._has_ended = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_failure(message):
            self._failed_status = message["status"]
        elif self._failed_status:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._refuse(self._failed_status, _read_sentence(self._body))
        else:
            self._has_started = True
            self._has_ended = message["type"] == "http.response.body" and not message.get("more_body")
            await self._send(message)

    async def end(self) -> None:
        """End the answer of an app that has raised an exception."""
        if self._has_ended:
            return
        if self._has_started:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._refuse(400, "")

    async def _refuse(self, status: int, sentence: str) -> None:
        self._has_started = self._has_ended = True
        is_missing = status == 404
        fallback = strings.text("security.no_such_page") if is_missing else strings.text("security.wrong_request")
        response = JSONResponse({"error": sentence or fallback}, status_code=404 if is_missing else 400)
        await self._send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await self._send({"type": "http.response.body", "body": response.body})


def _is_failure(start: Message) -> bool:
    """Whether an answer is none of ours, but one of Gradio's without a sentence for people."""
    is_json = Headers(raw=start["headers"]).get("content-type", "").startswith(JSON_TYPE)
    return start["status"] >= 500 or start["status"] == 422 or (start["status"] == 404 and is_json)


def _read_sentence(body: bytes) -> str:
    """Return the sentence of Gradio's answer, which is there if the app's own code refused the request."""
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return error if isinstance(error, str) else ""


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
