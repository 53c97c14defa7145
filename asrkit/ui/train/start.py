"""What a click on Start does: check the form, start the run, and say why it cannot be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import gradio as gr

from asrkit.errors import AsrkitError, AssumptionError
from asrkit.models import resolution
from asrkit.runs import supervisor
from asrkit.runs.description import make_description
from asrkit.runs.ownership import PRIVATE, SHARED, Ownership
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common import form
from asrkit.ui.security.permissions import current_identity
from asrkit.ui.train.run_quota import run_admitted

ENABLE = "() => Array(2).fill({ __type__: 'update', interactive: true })"
"""Enables Start and the button that accepts assumptions, in the event that follows theirs."""
REFOCUS = "() => { if (document.activeElement === document.body) document.querySelector('#start').focus(); }"
"""Start is disabled while it works, and a disabled button loses the focus."""

StartUpdate = tuple[Any, Any, Any, Any, Any]
"""Updates of Start, its message, the run to show, the button that accepts assumptions, and the name of the next run."""


def make_start(store: RunStore, accept_assumptions: bool) -> Callable[..., Iterator[StartUpdate]]:
    """Return what a click on a start button does with the form's values, the run's name and, if asked, who sees it."""

    def on_click(*values: Any) -> Iterator[StartUpdate]:
        num_fields = len(form.NAMES)
        name, visibility = (*values[num_fields:], PRIVATE)[:2]
        yield from start_run(store, values[:num_fields], name, visibility, accept_assumptions)

    return on_click


def start_run(
    store: RunStore,
    values: tuple[Any, ...],
    name: str = "",
    visibility: str = PRIVATE,
    accept_assumptions: bool = False,
) -> Iterator[StartUpdate]:
    """Start a run; yield updates of its controls. The form stays as it is, without the name, which is this run's.

    Both buttons are disabled until the event has ended (ENABLE): Gradio ignores a click on the button of an event that
    has not, even if the event has shown its last update.

    visibility: who may see it besides the sender and the operator; anything but SHARED is PRIVATE.
    accept_assumptions: the visitor has seen what was assumed to read the data, and accepts it for this run.
    """
    hidden = gr.update(visible=False, interactive=False)
    accepted = {"accept_assumptions": True} if accept_assumptions else {}
    yield gr.update(interactive=False), update_message(strings.text("train.checking")), gr.skip(), hidden, gr.skip()
    try:
        config = form.read_form(values).replace(accepted)
        resolution.resolve(config.model, store)  # before the supervisor, which sees the runs of everybody
        owned = Ownership(current_identity().owner_id, SHARED if visibility == SHARED else PRIVATE)
        with run_admitted(store.unguarded, config):
            run = supervisor.start(store.unguarded, config, owned=owned, description=make_description(name))
    except (AsrkitError, OSError) as error:
        shown = gr.update(visible=isinstance(error, AssumptionError))
        yield gr.skip(), update_message(str(error), "callout bad", "alert"), gr.skip(), shown, gr.skip()
        return
    except BaseException as error:  # raised again for the terminal; no event follows one that fails
        yield (
            gr.update(interactive=True),
            update_message(
                strings.text("train.not_started", error=repr(error)),
                "callout bad",
                "alert",
            ),
            gr.skip(),
            hidden,
            gr.skip(),
        )
        raise
    yield gr.skip(), update_message(""), run.id, hidden, ""


def update_message(text: str, style: str = "callout", role: str = "status") -> Any:
    """Return the update of the line under Start, which is hidden if there is no text."""
    return gr.update(value=text and f'<p class="{style}" role="{role}">{escape(text)}</p>', visible=bool(text))
