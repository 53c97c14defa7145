"""Who asks, where an app has many visitors: a random id in a cookie that only their browser has.

What a visitor uploads and records lies in a folder of their own, which is called after a hash of the id: runs and their
settings, which everybody sees, may name the folder without giving anybody else the right to read it. An app that only
its own machine can reach has one visitor and none of this.
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


class Visitors:
    """ASGI middleware: every request is that of a visitor, who gets a cookie with the first answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        known = _id(headers.get(b"cookie", ""))
        visitor = known or secrets.token_urlsafe(24)

        async def sending(message: dict[str, Any]) -> None:
            if not known and message["type"] == "http.response.start":
                cookie = _cookie(visitor, headers.get(b"x-forwarded-proto", scope.get("scheme", "")) == "https")
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie.encode())]}
            await send(message)

        with access.as_visitor(_folder(visitor)):
            await self.app(scope, receive, sending)


def of(asked: gr.Request) -> AbstractContextManager[None]:
    """As the visitor of an event, which Gradio hears outside of the request that it came with."""
    return access.as_visitor(_folder(_id(asked.headers.get("cookie", "")) or ""))


def _id(cookies: str) -> str:
    # Not http.cookies, which knows none of them once one, of another app on this host, is not as the standard has it.
    found = cookie_parser(cookies).get(COOKIE, "")
    return found if _ID.fullmatch(found) else ""


def _folder(visitor: str) -> str:
    return hashlib.sha256(visitor.encode()).hexdigest()[:24] if visitor else ""


def _cookie(visitor: str, https: bool) -> str:
    # A Space's page stands in a frame of another site, where a browser keeps only such cookies.
    kind = "SameSite=None; Secure; Partitioned" if https else "SameSite=Lax"
    return f"{COOKIE}={visitor}; Path=/; Max-Age={YEAR_S}; HttpOnly; {kind}"
