"""Functions for Gradio's events, which run outside of the HTTP request that the guard has seen."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import gradio as gr

from asrkit.ui import strings
from asrkit.ui.security.endpoints import EVENTS
from asrkit.ui.security.guard import LANGUAGE_KEY, SCOPE_KEY
from asrkit.ui.security.paths import hide_paths, reveal_paths
from asrkit.ui.security.permissions import Identity, PermissionDenied, as_identity, check, current_identity
from asrkit.ui.strings.messages import translate


def identity_of(request: gr.Request) -> Identity:
    """Return who sent an event."""
    who = getattr(request.request, "scope", {}).get(SCOPE_KEY)
    return who if isinstance(who, Identity) else current_identity()


def as_sender(request: gr.Request) -> AbstractContextManager[object]:
    """Return a context in which code runs as who sent an event, and answers in their language."""
    language = getattr(request.request, "scope", {}).get(LANGUAGE_KEY, strings.ENGLISH)
    with ExitStack() as stack:
        stack.enter_context(as_identity(identity_of(request)))
        stack.enter_context(strings.use_language(language))
        return stack.pop_all()


def guarded(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `function` for an event: it runs as the sender, who must be allowed what EVENTS says of `name`.

    A function that has a parameter `event` gets the event's data instead of values; one that has a parameter `query`
    gets the parameters of the page's address as well.
    """
    action = EVENTS[name]

    def call(request: gr.Request, *values: Any) -> Any:
        with as_sender(request):
            try:
                check(action)
            except PermissionDenied as error:
                raise gr.Error(translate(str(error)), print_exception=False) from error
            try:
                named = {"query": request.query_params} if takes_query else {}
                return hide_paths(function(*map(reveal_paths, values), **named))
            except gr.Error as error:
                error.message = hide_paths(error.message)
                raise

    def call_with_data(request: gr.Request, data: gr.EventData) -> Any:
        return call(request, data)

    def iterate(request: gr.Request, *values: Any) -> Iterator[Any]:
        # The context of a generator is that of whoever calls `next`, so each step is run as the sender.
        steps = call(request, *values)
        while True:
            try:
                with as_sender(request):
                    step = hide_paths(next(steps))
            except StopIteration:
                return
            yield step

    parameters = inspect.signature(function).parameters
    takes_data, takes_query = "event" in parameters, "query" in parameters
    event = iterate if inspect.isgeneratorfunction(function) else call_with_data if takes_data else call
    event.__name__ = name
    event.__doc__ = function.__doc__
    return event
