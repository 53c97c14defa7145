"""What a click on Start does: check the form, start the run, and say why it cannot be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, ConfigError, UndecidedError
from asrkit.models import resolution
from asrkit.runs import preparation, supervisor
from asrkit.runs.description import make_description
from asrkit.runs.ownership import PRIVATE, SHARED, Ownership
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common import form
from asrkit.ui.security.permissions import current_identity
from asrkit.ui.strings.messages import translate
from asrkit.ui.train.run_quota import run_admitted

ENABLE = "() => Array(2).fill({ __type__: 'update', interactive: true })"
"""Enables Start and the button beside it, in the event that follows theirs."""
REMEMBER = f"""(...values) => {{
  window.asrkitStarted = JSON.stringify(values.slice(0, {len(form.NAMES)}));
  return values;
}}"""
"""Remembers the form's values that a start is about, when a start button is pressed."""
CLEAR = """(...values) => Array(2).fill(
  JSON.stringify(values) === window.asrkitStarted ? { __type__: 'update' } : { __type__: 'update', visible: false }
)"""
"""Hides the message and the button beside Start once the form has other values than those that both are about. Done by
the page itself, because a reply of the server might be late and hide the message of the next start. The event of a
change may be late, too: after the reply to the start."""
REFOCUS = "() => { if (document.activeElement === document.body) document.querySelector('#start').focus(); }"
"""Start is disabled while it works, and a disabled button loses the focus."""

StartUpdate = tuple[Any, Any, Any, Any, Any, Any]
"""Updates of Start, its message, the run to show, the button beside Start, the settings that it switches on, and the
name of the next run."""


def make_start(store: RunStore, decides: bool) -> Callable[..., Iterator[StartUpdate]]:
    """Return what a click on Start, or on the button beside it, does.

    Its arguments are the form's values, the settings that the button beside Start switches on, the run's name and, if
    that is asked, who sees it.
    """

    def on_click(*values: Any) -> Iterator[StartUpdate]:
        num_fields = len(form.NAMES)
        decided, name, visibility = (*values[num_fields:], PRIVATE)[:3]
        yield from start_run(store, values[:num_fields], name, visibility, tuple(decided) if decides else ())

    return on_click


def start_run(
    store: RunStore,
    values: tuple[Any, ...],
    name: str = "",
    visibility: str = PRIVATE,
    decided: tuple[str, ...] = (),
) -> Iterator[StartUpdate]:
    """Start a run; yield updates of its controls. The form stays as it is, without the name, which is this run's.

    Both buttons are disabled until the event has ended (ENABLE): Gradio ignores a click on the button of an event that
    has not, even if the event has shown its last update.

    visibility: who may see it besides the sender and the operator; anything but SHARED is PRIVATE.
    decided: settings to switch on for this run; the visitor has seen what they leave out or accept.
    """
    hidden = gr.update(visible=False, interactive=False)
    checking = update_message(strings.text("train.checking"))
    yield gr.update(interactive=False), checking, gr.skip(), hidden, gr.skip(), gr.skip()
    try:
        config = _check_form(store, values).replace(dict.fromkeys(decided, True))
        run = start_admitted(store, config, name, visibility)
    except (AsrkitError, OSError) as error:
        settings = error.settings if isinstance(error, UndecidedError) else ()
        decide = (
            gr.update(visible=True, value=strings.text(f"train.decide.{'-'.join(settings)}")) if settings else hidden
        )
        yield (
            gr.skip(),
            update_message(translate(str(error)), "callout bad", "alert"),
            gr.skip(),
            decide,
            settings,
            gr.skip(),
        )
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
            gr.skip(),
        )
        raise
    yield gr.skip(), update_message(""), run.id, hidden, (), ""


def start_admitted(store: RunStore, config: TrainConfig, name: str = "", visibility: str = PRIVATE) -> Run:
    """Start a run for the sender, within the limits of a visitor.

    Raises AsrkitError or OSError where it cannot be started.
    """
    owned = Ownership(current_identity().owner_id, SHARED if visibility == SHARED else PRIVATE)
    with run_admitted(store.unguarded, config):
        return supervisor.start(store.unguarded, config, owned=owned, description=make_description(name))


def _check_form(store: RunStore, values: tuple[Any, ...]) -> TrainConfig:
    """Return the form's settings. Raises ConfigError with all that is wrong with them, before the data is read."""
    given = dict(zip(form.NAMES, values, strict=True))
    problems = []
    config = TrainConfig()
    try:
        config = form.read_form(values)
    except ConfigError as error:
        problems.append(str(error))
        valid = configs.check_values({name: given[name] for name in ("model", "train", "eval")})[0]
        config = config.replace({name: value for name, value in valid.items() if value})
    # Also before the supervisor, which sees the runs of everybody.
    for check in (lambda: resolution.resolve(config.model, store), lambda: preparation.check_access(config)):
        try:
            check()
        except AsrkitError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def update_message(text: str, style: str = "callout", role: str = "status") -> Any:
    """Return the update of the message above Start, a paragraph for each line, which is hidden if there is no text."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.split("\n"))
    return gr.update(value=text and f'<div class="{style}" role="{role}">{lines}</div>', visible=bool(text))
