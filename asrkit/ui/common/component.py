"""What every component with a script of its own is made of: its template, the chapters of its script, and plain
functions for the script to call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from asrkit.errors import AsrkitError
from asrkit.ui import strings

UI = Path(__file__).parents[1]
Asked = dict[str, Any]


def template(name: str) -> str:
    """Read a file of the page, such as `train/live_panel.html`, and fill in its texts (`strings`)."""
    return strings.fill_template((UI / name).read_text(encoding="utf-8"))


def functions(thing: Any, *names: str) -> list[Callable[[Asked], Response]]:
    """Methods of `thing` as Gradio wants them: plain functions, known to the script by their names."""
    return [_served(getattr(thing, name), name) for name in names]


def forgiving(thing: Any, *names: str) -> list[Callable[[Asked], Response]]:
    """Like `functions`, for a script that shows what goes wrong."""
    return [_served(answering(getattr(thing, name)), name) for name in names]


def answering(function: Callable[..., Asked]) -> Callable[..., Asked]:
    """For the page: what goes wrong is one sentence under `error`, and no exception. A function, or a method."""

    @functools.wraps(function)
    def answer(*asked: Any) -> Asked:
        try:
            return function(*asked)
        except AsrkitError as error:
            return {"error": str(error)}

    return answer


def _served(function: Callable[[Asked], Asked], name: str) -> Callable[[Asked], Response]:
    def plain(asked: Asked) -> Response:
        # As it goes over the line: through what is no response FastAPI walks number by number, in Python.
        return Response(orjson.dumps(function(asked), option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    plain.__name__ = name
    return plain
