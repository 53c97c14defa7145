"""What every component with a script of its own is made of: its template, the chapters of its script, and plain
functions for the script to call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from asrkit.errors import AsrkitError

HERE = Path(__file__).parent
FIRST = "page.js"
"""The chapter that every script begins with."""

Asked = dict[str, Any]


def template(name: str) -> str:
    """The HTML of a component."""
    return (HERE / name).read_text(encoding="utf-8")


def script(*names: str) -> str:
    """One script of several chapters: Gradio takes the body of one function."""
    return "\n".join(template(name) for name in (FIRST, *names))


def functions(thing: Any, *names: str) -> list[Callable[[Asked], Asked]]:
    """Methods of `thing` as Gradio wants them: plain functions, known to the script by their names."""
    return [_named(getattr(thing, name), name) for name in names]


def answering(function: Callable[[Asked], Asked], name: str) -> Callable[[Asked], Asked]:
    """For the page: what goes wrong is one sentence under `error`, and no exception."""
    def answer(asked: Asked) -> Asked:
        try:
            return function(asked)
        except AsrkitError as error:
            return {"error": str(error)}

    return _named(answer, name)


def _named(function: Callable[[Asked], Asked], name: str) -> Callable[[Asked], Asked]:
    def plain(asked: Asked) -> Asked:
        return function(asked)

    plain.__name__ = name
    return plain
