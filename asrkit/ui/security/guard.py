"""ASGI middleware in front of every request: which host it names, which site sends it, who is asking, and what for.

What it cannot see from the address, such as the function that a script calls, is checked where the function is
(`permissions.check`).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from asrkit.data import access
from asrkit.hub import credentials
from asrkit.ui import strings
from asrkit.ui.security import endpoints, pages
from asrkit.ui.security.bodies import BodyRefused, JsonBody, bounded, replay
from asrkit.ui.security.deployment import Deployment, Kind
from asrkit.ui.security.endpoints import JSON_TYPE, Endpoint
from asrkit.ui.security.gradio_bodies import (
    SessionLimits,
    add_defaults,
    check_gradio_body,
    is_component_call,
    run_mended,
    without_session,
)
from asrkit.ui.security.page_cache import PageCache
from asrkit.ui.security.paths import UPLOADS, reveal_uploads
from asrkit.ui.security.permissions import NOBODY, OPERATOR, Action, Identity, Role, as_identity, is_allowed
from asrkit.ui.security.rates import RequestLimits
from asrkit.ui.security.signed_in import signed_in_user
from asrkit.ui.security.storage import storage
from asrkit.ui.strings.messages import translate

SCOPE_KEY, LANGUAGE_KEY = "asrkit.identity", "asrkit.language"
LANGUAGE_COOKIE = "asrkit-language"
"""Set by the page's script."""
YEAR_S = 365 * 24 * 3600
MAX_SIGN_IN_BYTES = 4096
_VISITOR_ID = re.compile(r"[\w-]{32}")


class Guard:
    """Checks each request and runs it as its sender (`permissions.as_identity`)."""

    def __init__(self, app: Any, deployment: Deployment) -> None:
        self.app, self.deployment = app, deployment
        self.limits, self.sessions = RequestLimits(deployment.quotas), SessionLimits(deployment.quotas)
        self.pages = PageCache()
        # Cookies know no ports: the name keeps two apps on one machine apart.
        port = deployment.url.rstrip("/").rpartition(":")[2]
        suffix = port if port.isdecimal() else "443"
        self.token_cookie, self.visitor_cookie = f"asrkit-token-{suffix}", f"asrkit-visitor-{suffix}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the app has no web sockets
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)
        scope[LANGUAGE_KEY] = _choose_language(headers)
        with strings.use_language(scope[LANGUAGE_KEY]):
            await self._guard(scope, receive, send, headers)

    async def _guard(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        cookies: list[str] = []
        who = self._identify(scope, headers, cookies)
        send = _with_headers(send, self.deployment, cookies)
        address = self._read_address(scope, headers)
        if not self.limits.allows(who, address):
            return await _refuse(429, strings.text("security.too_many_requests"))(scope, receive, send)
        body = JsonBody(self.limits)
        try:
            with self.limits.open_request(who, address):
                await self._answer(scope, receive, send, who, body)
        except BodyRefused as error:
            await _refuse(error.status, translate(str(error)))(scope, receive, send)
        finally:
            body.release()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, who: Identity, body: JsonBody) -> None:
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        rows = endpoints.find_endpoint(path)
        refusal = self._refuse_origin(headers, scope["method"], path) or await self._answer_sign_in(
            scope, receive, headers, path, who, body
        )
        if refusal is None:
            refusal = self._refuse_endpoint(rows, scope, headers, who)
        if refusal is not None:
            return await refusal(scope, receive, send)
        if scope["method"] == "POST":
            receive = await self._bound_body(scope, receive, headers, body, who)
            check_gradio_body(path, body.fields, scope["app"])
            if add_defaults(path, body.fields, scope["app"]):
                receive = replay(orjson.dumps(body.fields), receive)
            if is_component_call(path):
                receive = without_session(body.fields, receive)
            elif who.role != Role.OPERATOR and (session := body.fields.get("session_hash")):
                visitor = self.limits.key(who, self._read_address(scope, headers))
                self.sessions.use(visitor, session, scope["app"].state_holder)
        scope[SCOPE_KEY] = who
        storage.note_seen(who)
        with as_identity(who):
            if key := self.pages.make_key(scope, path):
                build = functools.partial(run_mended, self.app, {**scope, "query_string": b""}, receive)
                await self.pages.answer(key, build, send)
            else:
                await run_mended(self.app, scope, receive, send)

    async def _bound_body(
        self, scope: Scope, receive: Receive, headers: Headers, body: JsonBody, who: Identity
    ) -> Receive:
        """Read a JSON body, so that the app gets a whole one, and let other bodies pass as far as they may."""
        if not _is_json(headers):
            # An upload has a bound for each file as well, which Gradio checks.
            return bounded(receive, self.deployment.quotas.visitors_disk_bytes, self.deployment.quotas.body_timeout_s)
        await body.read(receive, _read_length(headers))
        if who.role != Role.OPERATOR and UPLOADS.encode() in body.content:
            body.fields = reveal_uploads(body.fields)
            return replay(orjson.dumps(body.fields), receive)
        return replay(body.content, receive)

    def _read_address(self, scope: Scope, headers: Headers) -> str:
        """Return the address of the sender; on a Space the one that its proxy saw."""
        forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if self.deployment.kind == Kind.SPACE and forwarded:
            return forwarded
        return str((scope.get("client") or ("",))[0])

    # Who

    def _identify(self, scope: Scope, headers: Headers, new_cookies: list[str]) -> Identity:
        cookies = cookie_parser(headers.get("cookie", ""))
        if self.deployment.kind != Kind.SPACE:
            bearer = headers.get("authorization", "")
            token = bearer[7:] if bearer[:7].lower() == "bearer " else cookies.get(self.token_cookie, "")
            if hmac.compare_digest(token.encode(), self.deployment.token.encode()):
                return OPERATOR
            if self.deployment.kind != Kind.PUBLIC:
                return NOBODY
        elif user := signed_in_user(scope.get("session") or {}):
            if user.operates(self.deployment):
                return Identity(Role.OPERATOR, name=user.name, owner_id=OPERATOR.owner_id)
            visitor_id = f"hf:{user.name.lower()}"
            visitor = _make_visitor(Role.VISITOR, visitor_id, self.deployment.visitor_grants, user.name)
            if Action.RENT_MACHINE in visitor.grants and user.hub_token:
                # For their runs on rented machines, which go on between their requests.
                credentials.keep_token(visitor.owner_id, user.hub_token, user.expires_s)
            return dataclasses.replace(visitor, hub_token=user.hub_token, may_own=user.may_own(self.deployment))
        known = cookies.get(self.visitor_cookie, "")
        if not _VISITOR_ID.fullmatch(known):
            known = secrets.token_urlsafe(24)
            new_cookies.append(self._make_cookie(self.visitor_cookie, known, YEAR_S))
            # The browser may refuse the cookie; what it sends is then nobody's.
            return Identity(Role.ANONYMOUS, grants=self.deployment.anonymous_grants)
        return _make_visitor(Role.ANONYMOUS, known, self.deployment.anonymous_grants)

    def _make_cookie(self, name: str, value: str, max_age_s: int) -> str:
        # The page of a Space is in a frame of another site, where a browser keeps only partitioned cookies.
        framed = "SameSite=None; Secure; Partitioned"
        strict = "SameSite=Strict; Secure" if self.deployment.is_secure else "SameSite=Strict"
        attributes = framed if self.deployment.kind == Kind.SPACE else strict
        path = urlsplit(self.deployment.url).path  # of a hub's many users, each has one
        return f"{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; {attributes}"

    # From where

    def _refuse_origin(self, headers: Headers, method: str, path: str) -> Response | None:
        """Refuse what another site's page sends, and a host name that is not the app's (DNS rebinding)."""
        if headers.get("host", "").lower() not in self.deployment.hosts:
            return _refuse(403, strings.text("security.wrong_host", url=self.deployment.url))
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self.deployment.origins:
            return _refuse(403, strings.text("security.wrong_origin"))
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        is_navigation = method in endpoints.GET and mode == "navigate" and path in ("/", *_SIGN_IN_PATHS)
        if site not in ("none", "same-origin") and not is_navigation:
            return _refuse(403, strings.text("security.wrong_origin"))
        return None

    # What

    def _refuse_endpoint(self, rows: list[Endpoint], scope: Scope, headers: Headers, who: Identity) -> Response | None:
        row = next((row for row in rows if scope["method"] in row.methods), None)
        if row is None:
            status = 405 if rows else 404
            return _refuse(status, strings.text("security.no_such_page"))
        if row.action is not None and not is_allowed(who, row.action):
            if who.role == Role.NOBODY:
                return self._ask_to_sign_in(headers, scope)
            return _refuse(403, strings.text("security.not_allowed"))
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and media_type != row.body_type:
            return _refuse(415, strings.text("security.wrong_body", type=row.body_type))
        return None

    def _ask_to_sign_in(self, headers: Headers, scope: Scope) -> Response:
        has_password = bool(self.deployment.password)
        text = strings.text("security.password_needed") if has_password else strings.text("security.token_needed")
        if "text/html" not in headers.get("accept", "") or scope["path"] != "/":
            return _refuse(401, text)
        return pages.render_sign_in(text, has_password)

    # Signing in and out

    async def _answer_sign_in(
        self, scope: Scope, receive: Receive, headers: Headers, path: str, who: Identity, body: JsonBody
    ) -> Response | None:
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        if path == "/" and "token" in query and self.deployment.kind != Kind.SPACE:
            return self._take_token(query)
        if path == endpoints.SIGN_IN and scope["method"] == "POST":
            return await self._take_password(receive, headers, body)
        if path == endpoints.SIGN_OUT and scope["method"] == "POST":
            response: Response = PlainTextResponse("")
            response.headers.append("set-cookie", self._make_cookie(self.token_cookie, "", 0))
            return response
        return None

    def _take_token(self, query: Mapping[str, str]) -> Response:
        """Turn the token of the printed link into a cookie, and show the page without it in the address."""
        rest = urlencode({name: value for name, value in query.items() if name != "token"})
        if not hmac.compare_digest(query["token"].encode(), self.deployment.token.encode()):
            return pages.render_sign_in(
                strings.text("security.wrong_token"), has_password=bool(self.deployment.password)
            )
        # Not a redirect: after a click on another site a browser would not send a strict cookie along.
        response = HTMLResponse(pages.render_forward(f"./?{rest}" if rest else "./"))
        response.headers.append("set-cookie", self._make_cookie(self.token_cookie, self.deployment.token, YEAR_S))
        return response

    async def _take_password(self, receive: Receive, headers: Headers, body: JsonBody) -> Response:
        if not _is_json(headers) or not self.deployment.password:
            return _refuse(403, strings.text("security.not_allowed"))
        if (_read_length(headers) or 0) > MAX_SIGN_IN_BYTES:
            return _refuse(413, strings.text("security.body_too_long"))
        await body.read(receive, _read_length(headers))
        password = body.fields.get("password")
        if not isinstance(password, str) or not hmac.compare_digest(
            password.encode(), self.deployment.password.encode()
        ):
            return _refuse(401, strings.text("security.wrong_password"))
        response = PlainTextResponse("")
        response.headers.append("set-cookie", self._make_cookie(self.token_cookie, self.deployment.token, YEAR_S))
        return response


def _choose_language(headers: Headers) -> str:
    wanted = cookie_parser(headers.get("cookie", "")).get(LANGUAGE_COOKIE, "")
    return strings.choose_language(wanted, headers.get("accept-language", ""))


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_TYPE


def _read_length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


_SIGN_IN_PATHS = ("/login/huggingface", "/login/callback", "/logout")


def _make_visitor(role: Role, visitor_id: str, grants: frozenset[Action], name: str = "") -> Identity:
    # A hash: the owner of a run and the path of a dataset may be seen by others, and must not give access.
    folder = hashlib.sha256(visitor_id.encode()).hexdigest()[:24]
    if role == Role.VISITOR:
        folder = f"{access.USER_PREFIX}{folder}"
    return Identity(role, name, folder, f"{access.VISITOR_OWNER}{folder}", grants)


def _refuse(status: int, text: str) -> Response:
    return PlainTextResponse(text, status_code=status)


def _with_headers(send: Send, deployment: Deployment, cookies: list[str]) -> Send:
    """Add the security headers to a response, and new cookies."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in pages.security_headers(deployment).items():
                headers.setdefault(name, value)
            for cookie in cookies:
                headers.append("set-cookie", cookie)
        await send(message)

    return send_with_headers
