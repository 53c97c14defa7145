"""The pages in front of the page, and the headers that tell a browser what the page may load."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse, Response

from asrkit.ui import strings
from asrkit.ui.common import scripts
from asrkit.ui.security.deployment import Deployment, Kind

HUB = "https://huggingface.co"
_DIRECTIVES: Mapping[str, str] = {
    "default-src": "'self'",
    # Gradio's page has inline scripts and styles, and it compiles the scripts and templates of gr.HTML with Function.
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}"
    "input,button{font:inherit;padding:.5rem .75rem}label{display:block;margin:1rem 0 .25rem}"
)


def security_headers(deployment: Deployment) -> dict[str, str]:
    """Return the headers of every response."""
    ancestors = f"'self' {HUB}" if deployment.kind == Kind.SPACE else "'self'"
    policy = "; ".join(f"{name} {value}" for name, value in _DIRECTIVES.items())
    return {
        "Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def render_forward(target: str) -> str:
    """Return a page that opens `target`, an address relative to it."""
    return f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(target, quote=True)}">'


def render_sign_in(text: str, has_password: bool) -> Response:
    """Return the page for whoever is not signed in: one sentence, and a field for the password if there is one."""
    form = ""
    if has_password:
        label, button = strings.text("security.password"), strings.text("security.sign_in")
        form = (
            f'<form id="sign-in"><label for="password">{escape(label)}</label>'
            '<input id="password" type="password" autocomplete="current-password" required autofocus> '
            f'<button>{escape(button)}</button><p role="alert"></p></form>'
            f'<script type="module">import {{ mount }} from "./{scripts.make_url("security/sign_in.js")}"; mount();'
            "</script>"
        )
    content = (
        f'<!doctype html><html lang="{strings.current_language()}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>asrkit</title><style>{_STYLE}</style>"
        f"<h1>asrkit</h1><p>{escape(text)}</p>{form}</html>"
    )
    return HTMLResponse(content, status_code=401)
