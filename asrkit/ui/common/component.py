"""Parts of every component that has a script: its template, and the server functions that the script calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import orjson
from starlette.responses import Response

from asrkit.errors import AsrkitError
from asrkit.ui import strings
from asrkit.ui.common.request_fields import RequestError, check_request
from asrkit.ui.security.endpoints import FUNCTIONS
from asrkit.ui.security.paths import hide_paths, reveal_request
from asrkit.ui.security.permissions import Action, PermissionDenied, check
from asrkit.ui.strings.messages import translate

P = ParamSpec("P")

UI = Path(__file__).parents[1]
Request = dict[str, Any]
"""JSON from the page's script; not trusted."""

Reply = dict[str, Any]
"""JSON for the page's script."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
"""Options of listeners that finish so soon that a spinner would only flicker.

With a component to show progress on, by default each output, Gradio would update all of them, spinner or not, whenever
any listener begins or ends: the form alone has 78.
"""


def template(name: str) -> str:
    """Read a file of the page, such as `train/live_panel.html`, and fill in its texts (`strings`)."""
    return strings.fill_template((UI / name).read_text(encoding="utf-8"))


def server_functions(api: object, *names: str) -> list[Callable[[Request], Response]]:
    """Return methods of `api` as the plain functions that Gradio needs; the script calls them by name."""
    return [_serve(getattr(api, name), name, FUNCTIONS[f"{type(api).__name__}.{name}"]) for name in names]


def with_error_reply(function: Callable[P, Reply]) -> Callable[P, Reply]:
    """Decorate a function for the page: an AsrkitError becomes the reply `{"error": sentence}`."""

    @functools.wraps(function)
    def reply(*args: P.args, **kwargs: P.kwargs) -> Reply:
        try:
            return function(*args, **kwargs)
        except RequestError:  # has a status of its own
            raise
        except AsrkitError as error:
            return {"error": translate(str(error))}

    return reply


def _serve(function: Callable[[Request], Reply], name: str, action: Action) -> Callable[[Request], Response]:
    def serve(request: Request) -> Response:
        try:
            check(action)
            # Serialised here: FastAPI would walk through the reply number by number, in Python.
            checked = check_request(request)
            reveal_request(checked)
            return _respond(hide_paths(function(checked)))
        except PermissionDenied as error:
            return _respond({"error": hide_paths(translate(str(error)))}, 403)
        except RequestError as error:
            return _respond({"error": translate(str(error))}, 400)

    serve.__name__ = name
    return serve


def _respond(reply: Reply, status: int = 200) -> Response:
    content = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status_code=status, media_type="application/json")
