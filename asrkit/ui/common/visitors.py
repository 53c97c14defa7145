"""Identifies the visitors of a shared app by a random id in a cookie.

What a visitor uploads and records is stored in a folder of their own, whose name is a hash of the id. Runs, which
everybody can see, name that folder; the hash does not give access to it. An app that only its own machine can reach
needs none of this.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import AbstractContextManager
from typing import Any

import gradio as gr
from starlette.requests import cookie_parser

from asrkit.data import access

COOKIE = "asrkit-visitor"
YEAR_S = 365 * 24 * 3600
_ID = re.compile(r"[\w-]{32}")


class VisitorMiddleware:
    """ASGI middleware that runs each request as its visitor, and sets the cookie of a new one."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        known_id = _read_id(headers.get(b"cookie", ""))
        visitor_id = known_id or secrets.token_urlsafe(24)

        async def send_with_cookie(message: dict[str, Any]) -> None:
            if not known_id and message["type"] == "http.response.start":
                cookie = _make_cookie(visitor_id, headers.get(b"x-forwarded-proto", scope.get("scheme", "")) == "https")
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie.encode())]}
            await send(message)

        with access.as_visitor(_folder_name(visitor_id)):
            await self.app(scope, receive, send_with_cookie)


def as_sender(request: gr.Request) -> AbstractContextManager[None]:
    """Act for the visitor who sent an event, which Gradio handles outside of the HTTP request."""
    return access.as_visitor(_folder_name(_read_id(request.headers.get("cookie", ""))))


def _read_id(cookies: str) -> str:
    """Return the visitor's id; empty if there is none."""
    # http.cookies would return no cookie at all if that of another app on this host is malformed.
    visitor_id = cookie_parser(cookies).get(COOKIE, "")
    return visitor_id if _ID.fullmatch(visitor_id) else ""


def _folder_name(visitor_id: str) -> str:
    return hashlib.sha256(visitor_id.encode()).hexdigest()[:24] if visitor_id else ""


def _make_cookie(visitor_id: str, is_https: bool) -> str:
    # The page of a Space is in a frame of another site, where a browser keeps only partitioned cookies.
    attributes = "SameSite=None; Secure; Partitioned" if is_https else "SameSite=Lax"
    return f"{COOKIE}={visitor_id}; Path=/; Max-Age={YEAR_S}; HttpOnly; {attributes}"
