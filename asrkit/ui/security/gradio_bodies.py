"""What Gradio does not check itself of the bodies of its protocol, and how many of its sessions a visitor keeps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from asrkit.ui import strings
from asrkit.ui.security.bodies import BodyRefused
from asrkit.ui.security.endpoints import API
from asrkit.ui.security.quotas import Quotas

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
