"""A stand-in for the Hub's OpenID provider on the loopback: authorization code flow with signed ID tokens.

Its page lists the users to sign in as. It also plays the proxy in front of a Space, which speaks https: it sends the
browser back to the app over http, as nothing here has a certificate. Endpoints and claims are those of
https://openid.net/specs/openid-connect-core-1_0.html, sections 2 and 3.1.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.http_server import serve_http

CLIENT_ID, CLIENT_SECRET = "client-of-the-space", "secret-of-the-space"


class Provider:
    """`users` may sign in; `access_token` tells what each of them gets for the Hub."""

    def __init__(self, users: tuple[str, ...]) -> None:
        self.users, self.url = users, ""
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, str]] = {}

    def access_token(self, user: str) -> str:
        return f"hf_oauth_{user}"

    def env(self, space_id: str, host: str) -> dict[str, str]:
        """Return the environment variables of a Space with sign-in. host: where the app listens."""
        return {
            "SYSTEM": "spaces",
            "SPACE_ID": space_id,
            "SPACE_HOST": host,
            "OAUTH_CLIENT_ID": CLIENT_ID,
            "OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "OAUTH_SCOPES": "openid profile",
            "OPENID_PROVIDER_URL": self.url,
        }

    def describe(self) -> dict[str, Any]:
        names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        endpoints = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in names.items()}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            **endpoints,
        }

    def make_token(self, asked: dict[str, str]) -> dict[str, Any]:
        now, user = int(time.time()), asked["user"]
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "sub": f"id-of-{user}",
            "iat": now,
            "exp": now + 3600,
            "nonce": asked["nonce"],
            "name": user.title(),
            "preferred_username": user,
            "orgs": [],
            "profile": f"{self.url}/{user}",
            "picture": f"{self.url}/{user}.png",
        }
        return {
            "access_token": self.access_token(user),
            "token_type": "bearer",
            "expires_in": 3600,
            "scope": asked["scope"],
            "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key),
        }


@contextlib.contextmanager
def serve(*users: str) -> Iterator[Provider]:
    """Serve a provider on a free port until the end of the block."""
    provider = Provider(users)
    with serve_http(type("Handler", (_Handler,), {"provider": provider})) as port:
        provider.url = f"http://127.0.0.1:{port}"
        yield provider


class _Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/.well-known/openid-configuration":
            self._send_json(self.provider.describe())
        elif address.path == "/jwks":
            self._send_json({"keys": [self.provider.key.as_dict(private=False)]})
        elif address.path == "/authorize":
            links = "".join(
                f'<p><a href="/grant?{urlencode({**query, "user": user}).replace("&", "&amp;")}">{user}</a></p>'
                for user in self.provider.users
            )
            self._send(200, f"<!doctype html><title>Sign in</title>{links}".encode(), "text/html")
        elif address.path == "/grant" and query.get("user") in self.provider.users:
            code = secrets.token_urlsafe(16)
            self.provider.codes[code] = query
            target = query["redirect_uri"].replace("https://", "http://", 1)
            joint = "&" if "?" in target else "?"
            self._redirect(f"{target}{joint}{urlencode({'code': code, 'state': query['state']})}")
        else:
            self._send_json({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.provider.codes.pop(form.get("code", ""), None)
        is_right = asked and form.get("redirect_uri") == asked["redirect_uri"] and self._read_client(form)
        if urlsplit(self.path).path != "/token" or not is_right:
            return self._send_json({"error": "invalid_grant"}, 400)
        self._send_json(self.provider.make_token(asked))

    def _read_client(self, form: dict[str, str]) -> bool:
        basic = self.headers.get("authorization", "").removeprefix("Basic ")
        known = base64.b64decode(basic).decode() if basic else f"{form.get('client_id')}:{form.get('client_secret')}"
        return known == f"{CLIENT_ID}:{CLIENT_SECRET}"

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("location", target)
        self.send_header("content-length", "0")
        self.end_headers()

    def _send_json(self, value: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, content: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
